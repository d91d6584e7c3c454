"""Training and test loss of random features fitted to the end, with a ridge, for any number of
noises per training point.

With ``tau = e1/m + (1 - 1/m) e2``, the minimum of the training objective is ``1 - T`` with ``T = 1
- tau + b^2 psi_p s tau^2`` at z =
-ridge. The rest are derivatives of T: along the ridge for the penalty, and for the test loss along
the second moment of the features over the population, ``U~ = (mu/G)^2 W (e^{-2t} Sigma + D) W^T/d +
(E sigma^2 - mu^2) I``, which is added to U with a small factor.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from denoscope.theory.inputs import numeric, within
from denoscope.theory.random_features.activation import Activation
from denoscope.theory.random_features.resolvent import Ensemble, Point


class Losses(NamedTuple):
    """Denoising losses ``E |sqrt(D) s_A + xi|^2/d`` and the score's error ``E |s_A - grad log
    P_t|^2/d`` on new data.

    ``objective`` is the training loss with its penalty; ``score_error`` is ``bias`` (squared, of
    the model averaged over training sets, noises and features) plus variance.
    """

    train: Any
    test: Any
    objective: Any
    score_error: Any
    bias: Any


@numeric
def losses(
    psi_p: Any,
    psi_n: Any,
    time: float,
    ridge: Any,
    *,
    spectrum: Any = None,
    noises: Any = math.inf,
    activation: Activation = np.tanh,
) -> Losses:
    """Losses of the minimum of the training objective at ``psi_p = p/d``, ``psi_n = n/d``,
    ``noises`` m per training point; all four broadcast.

    ``ridge`` is added to U; it may be 0 where the noise is averaged exactly (m = inf), and must be
    positive for finite m, where the test loss peaks at p = n m as it falls. ``spectrum`` holds the
    eigenvalues of the data's covariance (default: all 1; zeros make a linear manifold). Sources:
    Bonnaire et al. 2025 for U; Urfin et al. 2026 for finite m and a flat spectrum; other spectra by
    the same argument.
    """
    penalty = within("ridge", ridge, 0.0, math.inf, closed=True)
    model = Ensemble.of(psi_p, psi_n, time, spectrum, noises, activation, penalty)
    lam = np.broadcast_to(penalty, model.u.shape)
    if ((lam == 0) & (model.u > 0)).any():
        raise ValueError(
            "ridge must be positive where noises is finite: without one the fit is not "
            "unique for p > n m"
        )
    point = model.solve(-lam, -1.0, 1e-2 * (lam + model.constants.s**2 * (model.u == 0)))
    return _losses(model, lam, point)


def _losses(model: Ensemble, ridge: np.ndarray, point: Point) -> Losses:
    (q, e1, e2), k = np.moveaxis(point.state, -1, 0), model.constants
    u, scale = model.u, k.b**2 * model.psi_p
    tau = u * e1 + (1 - u) * e2
    tau_slope = np.stack([np.zeros_like(u), u, 1 - u], -1)
    value = 1 - tau + scale * point.s * tau**2
    slope = (2 * scale * point.s * tau - 1)[..., None] * tau_slope + (scale * tau**2)[
        ..., None
    ] * point.gradient
    adjoint = -np.linalg.solve(np.swapaxes(point.jacobian, -1, -2), slope[..., None])[
        ..., 0
    ]  # dT along any change of the equations
    by_ridge = adjoint[..., 0] * q
    by_population = (adjoint * _towards_population(model, point)).sum(-1) + scale * tau**2 * _shift(
        model, point, 1.0
    )
    test = 1 - 2 * scale * point.s * tau - by_population
    noised = model.signal * model.lam + model.noise
    mean_slope = k.a**2 * (model.psi_p * q * tau)[..., None] * point.weights
    error = (test - 1) / model.noise + model.mean(1 / noised)
    return Losses(
        1 - value + ridge * by_ridge,
        test,
        1 - value,
        error,
        model.mean(noised * (1 / noised - mean_slope) ** 2),
    )


def _population(model: Ensemble) -> np.ndarray:
    """What U~ adds to h of each mode."""
    return model.constants.a**2 * (model.noise + model.signal * model.lam)


def _shift(model: Ensemble, point: Point, factor: np.ndarray | float) -> np.ndarray:
    """How q <factor w> changes when U~ is added, the unknowns held fixed."""
    return (
        -model.psi_p
        * point.state[..., 0] ** 2
        * model.mean(factor * _population(model) * point.weights**2)
    )


def _towards_population(model: Ensemble, point: Point) -> np.ndarray:
    """How the equations change when U~ is added, the unknowns held fixed, (..., 3)."""
    (q, e1, e2), k = np.moveaxis(point.state, -1, 0), model.constants
    ratio, s_shift = model.psi_p / model.psi_n, _shift(model, point, 1.0)
    direct = q * (k.power - k.mu**2 + model.mean(_population(model) * point.weights**2))
    seen = (
        e1
        * ratio
        * (k.a**2 * model.signal * _shift(model, point, model.lam) + model.u * k.b**2 * s_shift)
    )
    return np.stack([direct, seen, e2 * ratio * model.u * k.b**2 * s_shift], -1)
