"""The spectrum behind the images, from cross-validation: what the training covariance exaggerates
and held-out images deflate.

Along the directions in which a training set varies most, its own variance lam is too large and that
of held-out images S too small, by the same factor to first order in 1/N (the bias of eigenvalues,
and the expansion of Ledoit and Péché's oracle): lam = tau (1 + a) and S = tau (1 - a). Their
geometric mean is the true variance tau. It is trusted for the first half of the ranks that a
training set spans; beyond them the spectrum goes on as a power law, with the exponent that explains
the variance which held-out images have outside the span of the training set; where a training set
spans everything, with the one that makes the sum right, which is known without bias.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from denoscope.data.moments import Moments, whole
from denoscope.needed.sample import floor
from denoscope.theory.linear.equivalents import unseen_variance
from denoscope.theory.linear.optimum import modes

_STEEPEST = 60.0
_LEAST = 1e-12  # of the largest variance: no direction is estimated to be emptier


@dataclass(frozen=True, eq=False)
class SpectrumFold:
    """A training set of ``count`` images and other images along its directions, by falling
    variance.

    ``lam`` (d,) are its own variances, ``other`` (d,) the second moments of the other images about
    the training mean.
    """

    lam: np.ndarray
    other: np.ndarray
    count: int

    @property
    def unseen(self) -> float:
        """The share of ``other`` outside the directions that the training set spans."""
        total = float(self.other.sum())
        return float(self.other[self.lam == 0].sum()) / total if total > 0 else 0.0


def fold(train: Moments, test: Moments, d: int = 0) -> SpectrumFold:
    """Test images measured along the directions of a training set: one eigendecomposition. Nothing
    varies in further directions, of which there are ``d`` in all.
    """
    mean, mean0 = test.mean.numpy(), train.mean.numpy()
    found = modes(_covariance(test), _covariance(train), mean, mean0)
    lam = np.where(found.lam > floor(found.lam), found.lam, 0.0)
    empty = (0, max(0, d - len(lam)))
    other = found.variance + found.offset
    return SpectrumFold(np.pad(lam[::-1], empty), np.pad(other[::-1], empty), train.count)


def _covariance(images: Moments) -> np.ndarray:
    """Their covariance, 0 where it is rounding: of one image, repeated."""
    cov, scale = images.cov.numpy(), float(images.second.diagonal().max()) / images.count
    return cov if np.abs(cov).max() > _LEAST * scale else np.zeros_like(cov)


def crossed(folds: Sequence[Moments], d: int = 0) -> list[SpectrumFold]:
    """Every fold measured by the training set that all others make together."""
    every = whole(folds)
    return [fold(every - part, part, d) for part in folds]


def population(folds: Sequence[SpectrumFold], total: float) -> np.ndarray:
    """The estimated true spectrum (d,), falling, of which the sum ``total`` is known: see the
    module's docstring.
    """
    count = float(np.mean([f.count for f in folds]))
    lam = np.mean([f.lam for f in folds], 0) * count / max(count - 1, 1)
    other = (
        np.mean([f.other for f in folds], 0) * count / (count + 1)
    )  # less the error of the training mean
    head = np.sort(np.sqrt(lam * other))[::-1]
    known, d = trusted(folds) if head[0] > 0 else 0, len(head)
    if known < d:
        unseen = float(np.mean([f.other[f.lam == 0].sum() for f in folds])) * count / (count + 1)
        head = (
            by_unseen(head[:known], d, unseen, count - 1)
            if unseen > 0 and known
            else by_sum(head[:known], d, total)
        )
    return np.maximum(head, _LEAST * head.max())


def trusted(folds: Sequence[SpectrumFold]) -> int:
    """How many ranks of the spectrum are estimated from the images: half as many as there are
    training images, at most all.
    """
    return min(int(np.mean([f.count for f in folds]) / 2), len(folds[0].lam))


def by_unseen(head: np.ndarray, d: int, unseen: float, freedom: float) -> np.ndarray:
    """``head`` (m,), falling, continued to d ranks as ``head[-1] (rank/m)^-k``, k >= 0 such that
    ``freedom`` degrees of freedom are expected to leave the variance ``unseen`` outside their span;
    as far as that can be reached.
    """
    return _continued(head, d, lambda spectrum: float(unseen_variance(spectrum, freedom)) - unseen)


def by_sum(head: np.ndarray, d: int, total: float) -> np.ndarray:
    """The same with k such that the sum is ``total``; without a head, or where k = 0 falls short of
    it, what is missing is spread equally.
    """
    m, missing = len(head), max(total - head.sum(), _LEAST * total)
    if not m or head[-1] * (d - m) <= missing:
        return np.append(head, np.full(d - m, missing / (d - m)))
    return _continued(head, d, lambda spectrum: float(spectrum[m:].sum()) - missing)


def _continued(head: np.ndarray, d: int, excess: Callable[[np.ndarray], float]) -> np.ndarray:
    """The continuation of which ``excess``, falling in k, is 0; at the end of the range of k where
    it is nowhere.
    """
    ranks = np.arange(1, d - len(head) + 1) / len(head) + 1

    def of(k: float) -> np.ndarray:
        return np.append(head, head[-1] * ranks**-k)

    if excess(of(0.0)) <= 0:
        return of(0.0)
    if excess(of(_STEEPEST)) >= 0:
        return of(_STEEPEST)
    # a number without full_output
    return of(float(brentq(lambda k: excess(of(k)), 0.0, _STEEPEST, xtol=1e-9)))  # pyright: ignore[reportArgumentType]
