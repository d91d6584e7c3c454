"""A denoiser with the images it was trained on and images it never saw: what the studies of
geometry ask about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from denoscope.data.subsets import subset
from denoscope.distributions import Empirical, Gaussian
from denoscope.geometry.distances import outputs
from denoscope.levels import karras
from denoscope.networks import load as load_network
from denoscope.networks.archive import expect
from denoscope.random import Seeds
from denoscope.sampling import sample
from denoscope.store import MODEL
from denoscope.studies._source import Source, load, truth
from denoscope.studies._transition.setting import SPLIT_SEED, split
from denoscope.types import Denoiser

NOISES = 1 << 20
"""Seed of the first noise of points; samples take theirs from 0 on."""


@dataclass(frozen=True)
class Data:
    """Which images: training subset ``which`` of ``size`` images of ``source`` (0: all that are not
    held out), and the unseen ones.

    Unseen are ``held`` images of the same set, or those of ``test`` where one is named; then
    nothing is held out of ``source``.
    """

    source: Source
    test: Source | None
    held: int
    size: int
    which: int

    def train(self) -> Tensor:
        """The training images, (N, c, h, w)."""
        return _split(self)[0]

    def unseen(self) -> Tensor:
        """Images that no model of this data was trained on, (M, c, h, w)."""
        return _split(self)[1]

    def pool(self) -> Tensor:
        """All images that may be trained on: the best that is known of the population, (P, c, h,
        w).
        """
        return _split(self)[2]

    def gaussian(self) -> Gaussian:
        """The Wiener denoiser of the training images."""
        return _gaussian(self)

    def gaussian_all(self) -> Gaussian:
        """The Wiener denoiser of all images that may be trained on."""
        return _gaussian(Data(self.source, self.test, self.held, 0, 0))


@lru_cache(maxsize=8)
def _split(data: Data) -> tuple[Tensor, Tensor, Tensor]:
    images = load(data.source)
    if data.test is None:
        pool, unseen = split(images, data.held)
        others = images.data[unseen]
    else:
        pool, others = torch.arange(len(images)), load(data.test).data
        if others.shape[1:] != images.data.shape[1:]:
            raise ValueError(
                f"--test has images of {tuple(others.shape[1:])}, --data of "
                f"{tuple(images.shape)}: give both the same --resize"
            )
    rows = subset(pool, data.size or len(pool), data.which, seed=SPLIT_SEED, groups=images.groups)
    return images.data[rows], others, images.data[pool]


@lru_cache(maxsize=8)
def _gaussian(data: Data) -> Gaussian:
    return Gaussian.from_data(data.train())


@dataclass(frozen=True, eq=False)
class Subject:
    """A denoiser and its images. ``denoiser`` computes in float32 on images (b, c, h, w);
    ``generated`` are its samples, made when asked for.

    ``noises`` and ``steps``: how many samples, each from a noise of its own seed, and by how many
    steps of Heun's method.
    """

    denoiser: Denoiser
    data: Data
    noises: int = 100
    steps: int = 18
    generated: Tensor | None = None

    @property
    def shape(self) -> torch.Size:
        """(c, h, w) of one image."""
        return self.data.train().shape[1:]

    @property
    def sigmas(self) -> Tensor:
        """The solver's levels, falling to 0."""
        return karras(self.steps).float()

    def start(self) -> Tensor:
        """The states that sampling starts from, shared by all subjects, (noises, c, h, w)."""
        return float(self.sigmas[0]) * Seeds(range(self.noises)).randn(self.shape)

    def samples(self) -> Tensor:
        """What the denoiser makes from the shared noises, (noises, c, h, w)."""
        return (
            sample(self.denoiser, self.start(), self.sigmas)
            if self.generated is None
            else self.generated
        )

    def clean(self, kind: Literal["train", "test"], count: int) -> Tensor:
        """``count`` training or unseen images, the first ones, repeated where there are fewer."""
        images = self.data.train() if kind == "train" else self.data.unseen()
        return images[torch.arange(count) % len(images)]

    def noise(self, count: int, first: int = 0) -> Tensor:
        """Standard normal noise of ``count`` points, the same for every subject of one image shape,
        (count, c, h, w).
        """
        return Seeds(range(NOISES + first, NOISES + first + count)).randn(self.shape)

    def noisy(self, kind: Literal["train", "test"], count: int, level: float) -> Tensor:
        """``count`` points x0 + level n, the same images and noises at every level."""
        return self.clean(kind, count) + level * self.noise(count)

    def errors(
        self, D: Denoiser, kind: Literal["train", "test"], levels: Sequence[float], points: int
    ) -> Tensor:
        """Mean squared errors a number of a denoiser at up to ``points`` noisy images, averaged over
        the noises of an image, (levels, images).
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


def model_file(path: str) -> Path:
    """The file of a trained network: itself, or the one in the folder of a stored cell; neither is
    a ValueError.
    """
    file = Path(path).expanduser()
    file = file / MODEL if file.is_dir() else file
    if not file.is_file():
        raise ValueError(
            f"--model {path}: there is no file {file}; give a file written by "
            "denoscope.save, or the folder of a cell that keeps one"
        )
    return file


def given(path: str, data: Data) -> Denoiser:
    """The network of a file, tried on one image of the data; one that does not take such images is
    a ValueError.
    """
    denoiser = load_network(model_file(path)).eval().requires_grad_(False)
    try:
        expect(denoiser, tuple(data.train().shape[1:]))
    except ValueError as error:
        raise ValueError(f"--model {path} {error}") from error
    return denoiser
