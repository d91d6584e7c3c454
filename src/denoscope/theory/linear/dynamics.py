"""How a linear diffusion model learns: gradient descent on the noise-averaged loss, mode by mode,
and when to stop it.

At noise level y = abar the loss is quadratic in W with the curvature ``C = y Sigma_0 + (1-y) I (+
ridge)``, so gradient flow from zero is ``W(tau) = W* (I - e^{-2 eta tau C})`` and n descent steps
of size eta put ``(1 - 2 eta C)^n`` in place of the exponential. Per mode ``w = sqrt(1-y) (1 - e^{-k
u}) / u`` with ``u = y lam + 1 - y + ridge`` and ``k = 2 eta tau``. Directions that the training set
spans are learned at the rate u ~ y lam, all others at 1 - y: slowly where the noise is low, which
is why stopping early helps. The best weight of a direction that the data do not span but the truth
has (variance S) is passed at ``k = ln(1 + (1-y)/(y S)) / (1-y) ~ 1/(y S)``, nearly the same time at
every noise level. Merger and Goldt 2025.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import eigen, numeric, within
from denoscope.theory.linear.minima import root
from denoscope.theory.linear.modewise import (
    decayed,
    levels,
    loss,
    relaxed,
    spectrum,
    training_time,
    vector,
)

_A_DECADE = 60  # training times tried in a decade
_SETTLED = 40.0  # e^{-40} is below rounding


@numeric
def flow_weights(
    lam: ArrayLike, abar: ArrayLike, k: ArrayLike | None, ridge: ArrayLike = 0.0
) -> Any:
    """Each mode's weight ``sqrt(1-abar) (1 - e^{-k u}) / u`` after the training time k = 2 eta tau
    of gradient flow from zero.

    Shape (*levels, d), where abar, k and ridge broadcast to the levels; k = inf or None is the
    optimum.
    """
    lam, (abar, ridge), k = spectrum("lam", lam), levels(abar, ridge), training_time(k)
    abar, ridge, k = abar[..., None], ridge[..., None], k[..., None]
    return np.sqrt(1 - abar) * relaxed(abar * lam + (1 - abar) + ridge, k)


@numeric
def descent_weights(
    lam: ArrayLike, abar: ArrayLike, rate: ArrayLike, steps: ArrayLike, ridge: ArrayLike = 0.0
) -> Any:
    """Each mode's weight ``sqrt(1-abar) (1 - (1 - 2 rate u)^steps) / u`` after gradient descent
    from zero, shape (*levels, d).

    It is what the loop does, also where ``rate u > 1`` and descent diverges.
    """
    lam, (abar, ridge) = spectrum("lam", lam), levels(abar, ridge)
    abar, ridge, rate, steps = (part[..., None] for part in (abar, ridge, *_descent(rate, steps)))
    total = abar * lam + (1 - abar) + ridge
    return np.sqrt(1 - abar) * _gained(total, rate, steps) / total


@numeric
def affine_descent(
    cov0: ArrayLike, mean0: ArrayLike, abar: float, rate: float, steps: float, ridge: float = 0.0
) -> tuple[Any, Any]:
    """W (d, d) and beta (d,) of the noise predictor ``W x_t + beta`` after gradient descent from
    zero on data with a mean.

    Weights and bias are learned together, so the mean mixes the modes: the curvature is that of the
    homogeneous coordinates (x_t, 1). The ridge is on W alone. They end at ``W*`` and ``-sqrt(abar)
    W* mean0``.
    """
    rate, steps = (float(part) for part in _descent(rate, steps))
    return _affine(
        cov0,
        mean0,
        abar,
        ridge,
        lambda total: _gained(total, np.asarray(rate), np.asarray(steps)) / total,
    )


@numeric
def affine_flow(
    cov0: ArrayLike, mean0: ArrayLike, abar: float, k: float | None, ridge: float = 0.0
) -> tuple[Any, Any]:
    """:func:`affine_descent` in the limit of small steps, after the training time k = 2 eta tau."""
    time = training_time(k)
    return _affine(cov0, mean0, abar, ridge, lambda total: relaxed(total, time))


@numeric
def early_stopped(
    lam: ArrayLike,
    abar: ArrayLike,
    k: ArrayLike | None,
    other: ArrayLike | None = None,
    ridge: ArrayLike = 0.0,
) -> Any:
    """The loss after the training time k of gradient flow from zero, shape of the levels.

    ``other`` (d,) is the second moment, along the training modes and about the training mean, of
    the data that the loss is measured on: ``modes.variance + modes.offset`` for the test loss, left
    out for the training loss.
    """
    lam = spectrum("lam", lam)
    other = lam if other is None else _alike("other", other, lam)
    (abar, ridge), k = levels(abar, ridge), training_time(k)
    abar, ridge, k = abar[..., None], ridge[..., None], k[..., None]
    return loss(lam, other, abar, ridge, decayed(abar * lam + (1 - abar) + ridge, k)).sum(-1)


@numeric
def descent_loss(
    lam: ArrayLike,
    abar: ArrayLike,
    rate: ArrayLike,
    steps: ArrayLike,
    other: ArrayLike | None = None,
) -> Any:
    """:func:`early_stopped` after ``steps`` of descent of size ``rate`` instead of flow."""
    lam = spectrum("lam", lam)
    other = lam if other is None else _alike("other", other, lam)
    abar, rate, steps = (part[..., None] for part in (levels(abar, 0.0)[0], *_descent(rate, steps)))
    left = 1 - _gained(abar * lam + 1 - abar, rate, steps)
    return loss(lam, other, abar, np.zeros(1), left).sum(-1)


@numeric
def mode_stopping(lam: ArrayLike, other: ArrayLike, abar: ArrayLike) -> Any:
    """When each mode passes its best weight, (*abar, d); +inf for a mode with ``other <= lam``."""
    lam = spectrum("lam", lam)
    abar = levels(abar, 0.0)[0][..., None]
    return _passing(lam, _alike("other", other, lam), abar)


@numeric
def best_stopping(lam: ArrayLike, other: ArrayLike, abar: ArrayLike) -> Any:
    """The training time k = 2 eta tau with the least test loss at each ``abar``, its shape; +inf
    where training on is best.

    Every root of the loss's derivative between the first and the last :func:`mode_stopping` is
    tried.
    """
    lam = spectrum("lam", lam)
    other, abar = _alike("other", other, lam), levels(abar, 0.0)[0]
    return np.array([_best_stopping_at(lam, other, float(y)) for y in abar.ravel()]).reshape(
        abar.shape
    )


def _best_stopping_at(lam: np.ndarray, other: np.ndarray, abar: float) -> float:
    total, passing = abar * lam + (1 - abar), _passing(lam, other, np.asarray(abar))
    if np.isinf(passing).all():
        return np.inf

    def slope(k: np.ndarray) -> np.ndarray:
        """The derivative of the test loss, times e^{k min(total)}, up to a positive constant."""
        time = k[:, None]
        return (
            np.exp(-time * (total - total.min()))
            * ((abar * other + 1 - abar) * relaxed(total, time) - 1)
        ).sum(-1)

    first, last = passing.min(), max(passing[np.isfinite(passing)].max(), _SETTLED / total.min())
    tried = np.geomspace(
        first * (1 - 1e-9), last * (1 + 1e-9), int(_A_DECADE * (1 + np.log10(last / first)))
    )
    slopes = slope(tried)
    turns = np.flatnonzero((slopes[:-1] < 0) & (slopes[1:] >= 0))
    found = np.concatenate([[np.inf], root(slope, tried[turns], tried[turns + 1])])
    left = decayed(total, found[:, None])
    return float(found[loss(lam, other, np.asarray(abar), np.zeros(()), left).sum(-1).argmin()])


def _passing(lam: np.ndarray, other: np.ndarray, abar: np.ndarray) -> np.ndarray:
    """The k with ``(1 - e^{-k v}) / v = 1 / (abar other + 1 - abar)``, v = abar lam + 1 - abar."""
    excess = abar * (other - lam)
    with np.errstate(over="ignore"):
        ahead = np.where(
            excess > 0, (abar * lam + 1 - abar) / np.where(excess > 0, excess, 1.0), np.inf
        )
    return np.log1p(ahead) / (abar * lam + 1 - abar)


def _affine(
    cov0: Any, mean0: Any, abar: Any, ridge: Any, filtered: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """``B f(E)``, B = E[eps (x_t, 1)^T], E the curvature; f acts on its eigenvalues."""
    values, vectors = eigen("cov0", cov0)
    d, (abar, ridge) = len(values), levels(abar, ridge)
    mean, curvature = vector("mean0", mean0, d), np.empty((d + 1, d + 1))
    curvature[:d, :d] = (
        (vectors * (abar * values)) @ vectors.T
        + (1 - abar + ridge) * np.eye(d)
        + abar * np.outer(mean, mean)
    )
    curvature[:d, d] = curvature[d, :d] = np.sqrt(abar) * mean
    curvature[d, d] = 1.0
    values, vectors = np.linalg.eigh(curvature)
    filter_ = np.sqrt(1 - abar) * (vectors[:d] * filtered(values)) @ vectors.T
    return filter_[:, :d], filter_[:, d]


def _gained(total: np.ndarray, rate: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """``1 - (1 - 2 rate total)^steps``, exact if small; infinite where it left the floats."""
    left = 1 - 2 * rate * total
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return np.where(left > 0.5, -np.expm1(steps * np.log1p(-2 * rate * total)), 1 - left**steps)


def _descent(rate: Any, steps: Any) -> tuple[np.ndarray, np.ndarray]:
    """``rate`` >= 0 and ``steps`` a whole number >= 0; else a ValueError by name."""
    steps = within("steps", steps, 0, np.inf, closed=True)
    if (steps != np.floor(steps)).any():
        raise ValueError(f"steps must be a whole number, got {steps}")
    return within("rate", rate, 0, np.inf, closed=True), steps


def _alike(name: str, value: Any, lam: np.ndarray) -> np.ndarray:
    values = spectrum(name, value)
    if values.shape != lam.shape:
        raise ValueError(f"{name} must have one value per mode, {len(lam)}, got {len(values)}")
    return values
