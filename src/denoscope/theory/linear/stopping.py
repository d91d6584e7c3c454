"""When to stop, and against which ridge: the least test losses of one training set at many noise
levels, and their expectation.

The expectation over training sets replaces the true variance along each mode by its average given
the mode's eigenvalue (Ledoit and Péché 2011), or needs the true spectrum alone (deterministic
equivalents). Merger and Goldt 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import numeric, variances, within
from denoscope.theory.linear.dynamics import best_stopping, early_stopped
from denoscope.theory.linear.equivalents import deterministic
from denoscope.theory.linear.optimum import Modes, best_ridge, losses
from denoscope.theory.linear.oracle import oracle_variances
from denoscope.theory.linear.sizes import expected_best_ridge

_TRIED = 1000  # stopping times
_SEEN = 1e-10  # of the largest eigenvalue


class Stopping(NamedTuple):
    """At each of several noise levels: the best training time ``k``, the best ``ridge``, the test
    losses (sums over d) that stopping, the ridge and training on lead to, and what one training
    time for all levels, ``shared``, leads to (None in an expectation).
    """

    k: Any
    ridge: Any
    stopped: Any
    ridged: Any
    unstopped: Any
    shared: Any = None
    shared_k: Any = None


@numeric
def compare_stopping(modes: Modes, abar: ArrayLike) -> Stopping:
    """The best stopping times and ridges of one training set at the noise levels ``abar`` (L,)."""
    y, lam, other = within("abar", abar, 0, 1), modes.lam, modes.variance + modes.offset
    k, ridge = best_stopping(lam, other, y), best_ridge(modes, y)
    one = _shared_time(lam, other, y, k)
    return Stopping(
        k,
        ridge,
        early_stopped(lam, y, k, other),
        losses(modes, y, ridge)[1],
        losses(modes, y)[1],
        early_stopped(lam, y, one, other),
        np.asarray(one),
    )


def _shared_time(lam: np.ndarray, other: np.ndarray, abar: np.ndarray, k: np.ndarray) -> float:
    """The time of the least mean log test loss over levels; +inf where all want to train on."""
    finite = k[np.isfinite(k)]
    if not len(finite):
        return np.inf
    tried = np.geomspace(0.99 * finite.min(), 1.01 * finite.max(), _TRIED)
    return float(tried[np.log(early_stopped(lam, abar, tried[:, None], other)).mean(1).argmin()])


@numeric
def expect_stopping(
    spectrum: ArrayLike, n: int, abar: ArrayLike, lams: Sequence[ArrayLike]
) -> Stopping:
    """What :func:`compare_stopping` has on average over sets of ``n`` items less their mean, drawn
    from ``spectrum`` (d,); stopping by the oracle variances at the eigenvalues ``lams`` of sets.
    """
    given, y = np.ravel(variances("spectrum", spectrum)), within("abar", abar, 0, 1)
    stopped = [_oracle_stopped(given, n, y, np.asarray(lam)) for lam in lams]
    ridge = expected_best_ridge(given, n, y, centred=True)
    return Stopping(
        np.mean([k for k, _ in stopped], 0),
        ridge,
        np.mean([loss for _, loss in stopped], 0),
        deterministic(given, n, (1 - y + ridge) / y, abar=y, centred=True).test,
        deterministic(given, n, (1 - y) / y, abar=y, centred=True).test,
    )


def _oracle_stopped(
    spectrum: np.ndarray, n: int, abar: np.ndarray, lam: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Best training times and their losses where the truth has its expected variance along each
    mode, and the mean is off by 1/n of it.
    """
    known = np.where(lam > _SEEN * lam.max(), lam, 0.0) * n / (n - 1)
    other = (1 + 1 / n) * oracle_variances(spectrum, n - 1, known)
    k = best_stopping(lam, other, abar)
    return k, early_stopped(lam, abar, k, other)
