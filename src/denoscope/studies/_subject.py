"""A denoiser, the images it was trained on, and images it never saw: what geometry is asked of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from denoscope.data.sources import truth
from denoscope.data.splits import Split
from denoscope.distributions import Empirical
from denoscope.geometry.distances import outputs
from denoscope.levels import karras
from denoscope.metrics.shares import quotient
from denoscope.models import ONE_STEP, Model, fingerprint, open_model
from denoscope.models.labels import single
from denoscope.nearest import neighbors
from denoscope.networks.archive import expect
from denoscope.random import Seeds
from denoscope.sampling import sample
from denoscope.types import Denoiser

NOISES = 1 << 20
"""Seed of the first noise of points; samples take theirs from 0 on."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A denoiser and its images. ``denoiser`` computes in float32 on images (b, c, h, w);
    ``generated`` are its samples, made when asked for.

    ``noises`` and ``steps``: how many samples, each from a noise of its own seed, and by how many
    steps of Heun's method; a ``model`` that was given says at which levels, from which start and in
    which bounds.
    """

    denoiser: Denoiser
    data: Split
    noises: int = 100
    steps: int = 18
    generated: Tensor | None = None
    model: Model | None = None

    @property
    def shape(self) -> torch.Size:
        """(c, h, w) of one image."""
        return self.data.train().shape[1:]

    @property
    def sigmas(self) -> Tensor:
        """The solver's levels, falling to 0."""
        return (self.model.levels if self.model else karras)(self.steps).float()

    def start(self) -> Tensor:
        """The states that sampling starts from, shared by all subjects, (noises, c, h, w)."""
        noise = Seeds(range(self.noises)).randn(self.shape)
        return self.model.start(noise) if self.model else float(self.sigmas[0]) * noise

    def samples(self) -> Tensor:
        """What the denoiser makes from the shared noises, (noises, c, h, w)."""
        if self.generated is not None:
            return self.generated
        sampled = self.model.sampled if self.model else self.denoiser
        return sample(sampled, self.start(), self.sigmas)

    def copies(self) -> Tensor:
        """Whether each sample is a copy by the 1/3 rule, bool (noises,); of two images at least."""
        near = neighbors(self.samples().flatten(1), self.data.train().flatten(1), 2).distance
        return quotient(*near.T) < 1 / 3

    def clean(self, kind: Literal["train", "test"], count: int) -> Tensor:
        """``count`` training or unseen images, the first ones, repeated where there are fewer."""
        images = self.data.train() if kind == "train" else self.data.unseen()
        return images[torch.arange(count) % len(images)]

    def noise(self, count: int, first: int = 0) -> Tensor:
        """Standard normal noise (count, c, h, w), the same for all subjects of one image shape."""
        return Seeds(range(NOISES + first, NOISES + first + count)).randn(self.shape)

    def noisy(self, kind: Literal["train", "test"], count: int, level: float) -> Tensor:
        """``count`` points x0 + level n, the same images and noises at every level."""
        return self.clean(kind, count) + level * self.noise(count)

    def errors(
        self, D: Denoiser, kind: Literal["train", "test"], levels: Sequence[float], points: int
    ) -> Tensor:
        """Mean squared errors per number of a denoiser at up to ``points`` noisy images, averaged
        over the noises of an image, (levels, images).
        """
        images = min(points, len(self.data.train() if kind == "train" else self.data.unseen()))
        count = images * (points // images)
        clean = self.clean(kind, count).flatten(1)
        each = [outputs(D, self.noisy(kind, count, s), s).flatten(1) - clean for s in levels]
        return torch.stack(each).square().mean(2).reshape(len(levels), -1, images).mean(1)

    def everyone(self) -> dict[str, Denoiser]:
        """The network and every closed form that is known, by role."""
        return {"network": self.denoiser, **{name: make() for name, make in self.others().items()}}

    def others(self) -> dict[str, Callable[[], Denoiser]]:
        """The closed-form denoisers to compare with, made when called: memorizer and Gaussian of
        the training images, Gaussian of all, the truth.
        """
        found: dict[str, Callable[[], Denoiser]] = {
            "memorizer": lambda: Empirical(self.data.train()),
            "gaussian": self.data.gaussian,
            "gaussian_all": self.data.gaussian_all,
        }
        if (known := truth(self.data.source)) is not None:
            found["truth"] = lambda: known
        return found


def known(word: str) -> str:
    """The hash of the model that a word names, as far as files tell it; none is a ValueError."""
    with _naming(word):
        return fingerprint(word)


def given(word: str, data: Split, label: str = "") -> Model:
    """The model that a word names, for a label, tried on one image; what cannot be opened, or takes
    no such images, is a ValueError.
    """
    model = opened(word, label)
    try:
        expect(model.denoiser, tuple(data.train().shape[1:]))
    except ValueError as error:
        raise ValueError(f"--model {word} {error}") from error
    return model


def opened(word: str, label: str = "") -> Model:
    """The model that a word names, for a label."""
    return _opened(word, label, known(word))


def unasked(model: Model, study: str, differentiates: bool = True) -> str:
    """Why a model cannot be asked what a study of posterior means asks, or nothing."""
    if model.kind == ONE_STEP:
        return (
            "is a one-step map and no posterior mean: nothing is asked of its covariance, its "
            "rank or its Gaussian; `denoscope audit --gen` asks whether it copies"
        )
    if differentiates and not model.differentiable:
        return (
            f"runs forward alone, and {study} asks for derivatives: --studies score_gap "
            "gaussian_emergence ask for none"
        )
    return ""


@lru_cache(maxsize=1)
def _opened(word: str, label: str, content: str) -> Model:
    with _naming(word):
        return open_model(word, label=single(label))


@contextmanager
def _naming(word: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"--model {word}: {error}") from error
