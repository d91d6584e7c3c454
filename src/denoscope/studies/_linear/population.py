"""A law of data known by its second moments: a synthetic Gaussian with a power-law spectrum, or a
whole set of real images.

Everything is in the eigenbasis of the law's covariance Sigma, scaled so that Tr Sigma = d: there
Sigma is diagonal and the mean is zero. Directions in which a set of images does not vary (constant
pixels) are left out of d.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from denoscope.random import generator
from denoscope.studies._source import Source, load
from denoscope.theory.spectra import power_law

_POWER = re.compile(r"power(\d+(?:\.\d+)?)")
_NO_VARIANCE = 1e-10  # of the largest eigenvalue: what rounding leaves of a constant pixel


class Moments(NamedTuple):
    """Mean (d,) and covariance (d, d), 1/N."""

    mean: np.ndarray
    cov: np.ndarray


@dataclass(frozen=True, eq=False)
class Population:
    """``spectrum`` (d,) descending with sum d; ``rows``: every image's coefficients (N, d), None
    for a synthetic law.

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

    @property
    def d(self) -> int:
        return len(self.spectrum)

    @property
    def most(self) -> int | None:
        """The largest training set that leaves as many images to test on; None where data are
        drawn.
        """
        return None if self.rows is None else len(self.rows) // 2

    def moments(self) -> Moments:
        """The law's own mean and covariance."""
        return Moments(np.zeros(self.d), np.diag(self.spectrum))

    def draw(self, n: int, seed: int) -> tuple[np.ndarray, Moments]:
        """A training set (n, d), and the moments of what it is tested on: the law itself, or all
        images that were not drawn.
        """
        draw = generator(seed, n)
        rng = np.random.default_rng(draw.initial_seed())
        if self.rows is None:
            return rng.standard_normal((n, self.d)) * np.sqrt(self.spectrum), self.moments()
        order = rng.permutation(len(self.rows))
        return self.rows[order[:n]], moments(self.rows[order[n:]])

    def images(self, vectors: np.ndarray) -> np.ndarray:
        """Directions (k, d) as pictures (k, *shape) in pixel units, without the mean."""
        if self.basis is None:
            raise ValueError(f"{self.name} is synthetic: its directions are no pictures")
        return (vectors @ self.basis.T).reshape(len(vectors), *self.shape)


def moments(rows: np.ndarray) -> Moments:
    """Mean and covariance (1/N) of ``rows`` (N, d)."""
    mean = rows.mean(0)
    centred = rows - mean
    return Moments(mean, centred.T @ centred / len(rows))


def synthetic(data: str) -> float | None:
    """The exponent k of ``powerK``, the law with eigenvalues nu^-k; None for the name of a set of
    images.
    """
    match = _POWER.fullmatch(data)
    return float(match[1]) if match else None


@lru_cache(maxsize=4)
def population(source: Source, d: int) -> Population:
    """The law of that name; ``d`` is the dimension of a synthetic one and ignored for images."""
    k = synthetic(source.data)
    return (
        _of_images(source) if k is None else Population(source.data, np.sort(power_law(d, k))[::-1])
    )


def _of_images(source: Source) -> Population:
    images = load(source)
    data = images.data if images.test_from is None else images.data[: images.test_from]
    pixels = data.flatten(1).double().numpy()
    center, cov = moments(pixels)
    values, vectors = np.linalg.eigh(cov)
    kept = np.flatnonzero(values > _NO_VARIANCE * values[-1])[::-1]
    scale = float(np.sqrt(len(kept) / values[kept].sum()))
    basis = vectors[:, kept]
    rows = (pixels - center) @ basis * scale
    return Population(
        images.name, values[kept] * scale**2, rows, images.shape, center, basis, scale
    )
