"""The closed forms that a network is compared with: linear model and memorizer of its training set,
sampled from the same noises with the same solver, and their denoising errors at the same noisy
images; made once per process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from denoscope.data.population import MeanCovariance
from denoscope.data.splits import Split
from denoscope.distributions import Empirical
from denoscope.geometry.distances import denoising_errors
from denoscope.levels import karras
from denoscope.networks.linear_maps import LinearMaps
from denoscope.random import Seeds
from denoscope.readings import Reading
from denoscope.sampling import sample
from denoscope.schedule import VP
from denoscope.theory.linear.laws import ode_law
from denoscope.types import Denoiser

HALF = 0.5
"""Of the variance: what the leading directions hold."""
_SEEN = 1e-10  # of the largest eigenvalue


@dataclass(frozen=True)
class ClosedForms:
    """Closed forms of a training set, and how they are sampled."""

    where: Split
    samples: int
    solver_steps: int

    def linear(self) -> LinearModel:
        """The linear model of the training set."""
        return _linear(self)

    def memorizer(self) -> np.ndarray:
        """The samples of the memorizer, (samples, d)."""
        return _sampled(self, "memorizer")

    def gaussian(self) -> np.ndarray:
        """The samples of the Gaussian of the training set, (samples, d): all that a covariance
        alone makes.
        """
        return _sampled(self, "gaussian")

    def images(self, kind: str) -> Tensor:
        """The images "train" or "test"."""
        return self.where.train() if kind == "train" else self.where.unseen()

    def starts(self) -> tuple[Tensor, Tensor]:
        """The states at the highest level that all samples come from, and the levels, float64."""
        sigmas = karras(self.solver_steps)
        noise = Seeds(range(self.samples)).randn(tuple(self.where.images().shape))
        return float(sigmas[0]) * noise, sigmas

    def errors(self, kind: str, levels: Sequence[float] | np.ndarray) -> dict[str, np.ndarray]:
        """Denoising errors of memorizer, Gaussian and Gaussian of all images at noisy images
        "train" or "test", (levels, points).
        """
        return _errors(self, kind, tuple(np.ravel(levels).tolist()))

    def beside(self, D: Denoiser, levels: np.ndarray) -> Iterator[Reading]:
        """The ``error`` of a network and of the closed forms, each on training and on held-out
        images, float32 (levels, points).
        """
        for kind in ("train", "test"):
            found = {"network": denoising_errors(D, self.images(kind), levels).numpy()}
            for who, each in {**found, **self.errors(kind, levels)}.items():
                at = {"who": who, "images": kind, "sigma": levels}
                yield Reading("error", at, each.astype(np.float32))


def over_linear(errors: Sequence[Reading]) -> float:
    """The network's error on held-out images over that of the best linear denoiser of all images,
    geometric mean over levels.
    """
    unseen = {r.at["who"]: r.value.mean(1, dtype=float) for r in errors if r.at["images"] == "test"}
    return float(np.exp(np.mean(np.log(unseen["network"] / unseen["gaussian_all"]))))


@dataclass(frozen=True, eq=False)
class LinearModel:
    """The linear model of a training set: moments of the set, of all images that may be trained on
    and of those held out; ``values`` (d,) falling and ``vectors`` (d, d) of the covariances of the
    first two.

    ``seen`` modes have variance in the training set, the first ``leading`` of them hold half of it;
    ``samples`` (n, d) are the model's from the shared noises, ``law`` (d,) their exact variances by
    the solver's finite steps, ``ode`` (d,) those of the ODE itself.
    """

    train: MeanCovariance
    all: MeanCovariance
    test: MeanCovariance
    values: dict[str, np.ndarray]
    vectors: dict[str, np.ndarray]
    seen: int
    leading: int
    samples: np.ndarray
    law: np.ndarray
    ode: np.ndarray

    @property
    def groups(self) -> dict[str, slice]:
        """The leading directions, and the others that the training set spans."""
        return {
            "leading": slice(0, self.leading),
            "trailing": slice(self.leading, self.seen),
        }


@lru_cache(maxsize=16)
def _linear(forms: ClosedForms) -> LinearModel:
    where, (start, sigmas) = forms.where, forms.starts()
    train, reals, test = (
        MeanCovariance.of(rows_of(images))
        for images in (where.train(), where.pool(), where.unseen())
    )
    pairs = {"own": _falling(train.cov), "all": _falling(reals.cov)}
    lam, vectors = pairs["own"]
    net = LinearMaps.closed_form(torch.from_numpy(train.mean), train.cov, VP.linear())
    sigma_T = float(sigmas[0])
    origin = sample(net, torch.zeros(1, len(lam), dtype=torch.float64), sigmas)
    moved = sample(net, sigma_T * torch.from_numpy(vectors.T.copy()), sigmas) - origin
    abar = 1 / (1 + sigma_T**2)
    return LinearModel(
        train,
        reals,
        test,
        {name: values for name, (values, _) in pairs.items()},
        {name: columns for name, (_, columns) in pairs.items()},
        int((lam > _SEEN * lam[0]).sum()),
        1 + int(np.searchsorted(lam.cumsum(), HALF * lam.sum())),
        sample(net, start.flatten(1).double(), sigmas).numpy(),
        (moved.numpy() * vectors.T).sum(1) ** 2,
        ode_law(lam, abar, v_T=1 - abar),
    )


def _denoisers(where: Split) -> dict[str, Denoiser]:
    return {
        "memorizer": Empirical(where.train()),
        "gaussian": where.gaussian(),
        "gaussian_all": where.gaussian_all(),
    }


@lru_cache(maxsize=32)
def _sampled(forms: ClosedForms, who: str) -> np.ndarray:
    start, sigmas = forms.starts()
    return rows_of(sample(_denoisers(forms.where)[who], start, sigmas.to(start.dtype)))


@lru_cache(maxsize=32)
def _errors(forms: ClosedForms, kind: str, levels: tuple[float, ...]) -> dict[str, np.ndarray]:
    known, images = _denoisers(forms.where), forms.images(kind)
    return {who: denoising_errors(D, images, levels).numpy() for who, D in known.items()}


def rows_of(images: Tensor) -> np.ndarray:
    """Images (N, *event) as rows (N, d) in float64."""
    return images.flatten(1).double().numpy()


def _falling(cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(cov)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]
