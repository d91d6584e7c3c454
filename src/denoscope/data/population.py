"""A law of data known by its second moments: Gaussian with a given spectrum, a whole set of images,
or the Gaussian twin of such a set; and training sets that are drawn from it.

Everything is in the eigenbasis of the law's covariance Sigma, scaled so that Tr Sigma = d: there
Sigma is diagonal and the mean is zero. Directions in which a set of images does not vary (constant
pixels) are left out of d.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
from torch import Tensor

from denoscope.random import derive, generator
from denoscope.theory.linear.optimum import Modes, modes

GROUPS = ("leading", "middle", "trailing", "unseen")
"""Modes that are followed: the first, middle and last that a set spans; the mean of the others."""

_NO_VARIANCE = 1e-10  # of the largest eigenvalue: what rounding leaves of a constant pixel
_PLACE = 1 << 40  # below a seed, beyond any training set's size: a twin's noise is its own


class MeanCovariance(NamedTuple):
    """Mean (d,) and covariance (d, d), 1/N."""

    mean: np.ndarray
    cov: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Self:
        """Of ``rows`` (N, d)."""
        mean = rows.mean(0)
        centred = rows - mean
        return cls(mean, centred.T @ centred / len(rows))


@dataclass(frozen=True, eq=False)
class Population:
    """``spectrum`` (d,) descending with sum d; ``rows``: every image's coefficients (N, d), None
    for a law that is drawn from.

    ``shape``, ``center`` (n,), ``basis`` (n, d) and ``scale`` lead back to images: pixels = center
    + basis @ coefficients / scale.
    """

    name: str
    spectrum: np.ndarray
    rows: np.ndarray | None = None
    shape: tuple[int, ...] = ()
    center: np.ndarray | None = None
    basis: np.ndarray | None = None
    scale: float = 1.0

    @classmethod
    def of_images(cls, images: Tensor, name: str) -> Self:
        """The law that draws from ``images`` (N, *shape) without replacement."""
        pixels = images.flatten(1).double().numpy()
        center, cov = MeanCovariance.of(pixels)
        values, vectors = np.linalg.eigh(cov)
        kept = np.flatnonzero(values > _NO_VARIANCE * values[-1])[::-1]
        scale = float(np.sqrt(len(kept) / values[kept].sum()))
        basis, spectrum = vectors[:, kept], values[kept] * scale**2
        rows = (pixels - center) @ basis * scale
        return cls(name, spectrum, rows, tuple(images.shape[1:]), center, basis, scale)

    @property
    def d(self) -> int:
        return len(self.spectrum)

    @property
    def most(self) -> int | None:
        """The largest training set that leaves as many images to test on; None of drawn data."""
        return None if self.rows is None else len(self.rows) // 2

    def moments(self) -> MeanCovariance:
        """The law's own mean and covariance."""
        return MeanCovariance(np.zeros(self.d), np.diag(self.spectrum))

    def draw(self, n: int, seed: int) -> tuple[np.ndarray, MeanCovariance]:
        """A training set (n, d), and the moments of the law itself, or of all images not drawn."""
        rng = np.random.default_rng(generator(seed, n).initial_seed())
        if self.rows is None:
            return rng.standard_normal((n, self.d)) * np.sqrt(self.spectrum), self.moments()
        order = rng.permutation(len(self.rows))
        return self.rows[order[:n]], MeanCovariance.of(self.rows[order[n:]])

    def images(self, vectors: np.ndarray) -> np.ndarray:
        """Directions (k, d) as pictures (k, *shape) in pixel units, without the mean."""
        if self.basis is None:
            raise ValueError(f"{self.name} is synthetic: its directions are no pictures")
        return (vectors @ self.basis.T).reshape(len(vectors), *self.shape)


@lru_cache(maxsize=2)
def gaussian_twin(population: Population, seed: int = 0) -> Population:
    """As many Gaussian rows as a set has images, with exactly its mean and covariance: what a
    linear model would measure if images were Gaussian, with the set's finite size in common.

    A law that is drawn from is Gaussian already, and a ValueError.
    """
    if population.rows is None:
        raise ValueError(f"{population.name} is Gaussian itself: it has no Gaussian twin")
    noise = np.random.default_rng(derive(seed, _PLACE)).standard_normal(population.rows.shape)
    noise -= noise.mean(0)
    factor = np.linalg.cholesky(noise.T @ noise / len(noise))
    color = np.linalg.inv(factor).T * np.sqrt(population.spectrum)
    return replace(population, name=f"Gaussian twin of {population.name}", rows=noise @ color)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Moments of training and test data, and the training covariance's modes, largest first."""

    train: MeanCovariance
    test: MeanCovariance
    modes: Modes

    @classmethod
    def draw(cls, population: Population, n: int, seed: int) -> Self:
        """``n`` items of the population."""
        rows, test = population.draw(n, seed)
        train = MeanCovariance.of(rows)
        lam, variance, offset, vectors = modes(test.cov, train.cov, test.mean, train.mean)
        return cls(train, test, Modes(lam[::-1], variance[::-1], offset[::-1], vectors[:, ::-1]))

    @property
    def other(self) -> np.ndarray:
        """Second moments of the test data about the training mean along each mode, (d,)."""
        return self.modes.variance + self.modes.offset

    @property
    def seen(self) -> int:
        """How many modes the training set spans."""
        return int((self.modes.lam > _NO_VARIANCE * self.modes.lam[0]).sum())

    @property
    def unseen_variance(self) -> float:
        """The mean second moment of test data along modes that are not spanned; NaN if all are."""
        return float(self.grouped(self.other)[-1])

    def grouped(self, values: np.ndarray) -> np.ndarray:
        """``values`` (..., d) of the modes by ``GROUPS``, (..., 4); NaN where no mode is unseen."""
        r = self.seen
        none = np.full(values.shape[:-1], np.nan)
        unseen = values[..., r:].mean(-1) if r < values.shape[-1] else none
        return np.stack([values[..., 0], values[..., r // 2], values[..., r - 1], unseen], -1)
