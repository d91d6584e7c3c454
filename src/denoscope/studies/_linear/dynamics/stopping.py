"""When to stop, and against which ridge: the least test losses of one training set at many noise
levels, and their expectation.

One training time for all noise levels costs, at each, the ratio of its loss to the least one there.
The expectation over training sets replaces the true variance along each mode by its average given
the mode's eigenvalue (Ledoit and Péché 2011), or needs the true spectrum alone (deterministic
equivalents).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from denoscope.studies._linear.training_set import TrainingSet
from denoscope.theory.linear.dynamics import best_stopping, early_stopped
from denoscope.theory.linear.equivalents import deterministic, unseen_variance
from denoscope.theory.linear.optimum import best_ridge, losses
from denoscope.theory.linear.oracle import oracle_variances
from denoscope.theory.linear.sizes import expected_best_ridge

NOISES = np.array([0.5, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4])
"""1 - abar of the noise levels at which stopping is studied."""

LEVELS = 1 - NOISES
_TRIED = 1000  # stopping times


class Stopping(NamedTuple):
    """At each of ``LEVELS``: the best training time, the best ridge, the test losses (sums over d)
    they lead to, and that of training on.

    ``shared`` is the one training time for all levels with the least mean log loss, ``loss_shared``
    what it leads to.
    """

    k: np.ndarray
    ridge: np.ndarray
    loss_k: np.ndarray
    loss_ridge: np.ndarray
    loss_trained: np.ndarray
    loss_shared: np.ndarray
    shared: float


def stopping(item: TrainingSet) -> Stopping:
    """The best stopping times and ridges of one training set."""
    lam, other = item.modes.lam, item.other
    k, ridge = best_stopping(lam, other, LEVELS), best_ridge(item.modes, LEVELS)
    shared = _shared(lam, other, k)
    return Stopping(
        k,
        ridge,
        early_stopped(lam, LEVELS, k, other),
        losses(item.modes, LEVELS, ridge)[1],
        losses(item.modes, LEVELS)[1],
        early_stopped(lam, LEVELS, shared, other),
        shared,
    )


def _shared(lam: np.ndarray, other: np.ndarray, k: np.ndarray) -> float:
    """The training time with the least mean of log test losses over the levels; +inf where every
    level wants to train on.
    """
    finite = k[np.isfinite(k)]
    if not len(finite):
        return np.inf
    tried = np.geomspace(0.99 * finite.min(), 1.01 * finite.max(), _TRIED)
    return float(tried[np.log(early_stopped(lam, LEVELS, tried[:, None], other)).mean(1).argmin()])


class Expected(NamedTuple):
    """Expectations over training sets at each of ``LEVELS``, and the mean variance of an unseen
    direction (0 where none is unseen).
    """

    loss_k: np.ndarray
    loss_ridge: np.ndarray
    loss_trained: np.ndarray
    k: np.ndarray
    ridge: np.ndarray
    unseen: float


def expected(spectrum: np.ndarray, n: int, sets: Sequence[TrainingSet]) -> Expected:
    """Of ``n`` items with their mean subtracted; early stopping by the oracle variances at the
    eigenvalues of ``sets``.
    """
    d = len(spectrum)
    stopped = [_oracle_stopped(spectrum, n, item.modes.lam) for item in sets]
    ridges = expected_best_ridge(spectrum, n, LEVELS, centred=True)
    return Expected(
        np.mean([loss for _, loss in stopped], 0),
        _expected_loss(spectrum, n, LEVELS, ridges),
        _expected_loss(spectrum, n, LEVELS, np.zeros_like(LEVELS)),
        np.mean([k for k, _ in stopped], 0),
        ridges,
        float(unseen_variance(spectrum, n - 1)) / (d - n + 1) if n - 1 < d else 0.0,
    )


def _oracle_stopped(spectrum: np.ndarray, n: int, lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best training times and their losses where the truth has its expected variance along each
    mode, and the mean is off by 1/n of it.
    """
    known = np.where(lam > 1e-10 * lam.max(), lam, 0.0) * n / (n - 1)
    other = (1 + 1 / n) * oracle_variances(spectrum, n - 1, known)
    k = best_stopping(lam, other, LEVELS)
    return k, early_stopped(lam, LEVELS, k, other)


def _expected_loss(spectrum: np.ndarray, n: int, abar: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    return deterministic(spectrum, n, (1 - abar + ridge) / abar, abar=abar, centred=True).test
