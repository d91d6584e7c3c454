"""The spectrum of the feature matrix U: density, atom, bulks, and their training times."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from denoscope.theory.inputs import finite, numeric, within
from denoscope.theory.random_features.activation import Activation, constants
from denoscope.theory.random_features.resolvent import Ensemble


@numeric
def density(
    x: Any,
    psi_p: float,
    psi_n: float,
    time: float,
    *,
    spectrum: Any = None,
    noises: float = math.inf,
    activation: Activation = np.tanh,
) -> Any:
    """The density of the eigenvalues of U at ``x``, of x's shape, without its atom (:func:`atom`):
    Im q(x)/pi.

    The solution is followed down to the real axis from large imaginary parts. psi_n = inf gives the
    population's U. Source: Bonnaire et al.
    2025.
    """
    place, weight = _atom(psi_p, psi_n, time, spectrum, noises, activation)
    return _density(finite("x", x), psi_p, psi_n, time, spectrum, noises, activation) * _beside(
        x, place, weight
    )


def _density(x: np.ndarray, *model: Any) -> np.ndarray:
    ensemble = Ensemble.of(*model, x)
    above = 1e-12 * (1 + np.abs(x))
    return (
        np.maximum(np.imag(ensemble.solve(x + 1j * above, 1j, above).state[..., 0]), 0.0) / math.pi
    )


def _beside(x: Any, place: float, weight: float) -> np.ndarray:
    """False where the atom hides the density."""
    return (np.abs(np.asarray(x) - place) > 1e-6 * (1 + place)) | (weight == 0)


@numeric
def atom(
    psi_p: float,
    psi_n: float,
    time: float,
    *,
    spectrum: Any = None,
    noises: float = math.inf,
    activation: Activation = np.tanh,
) -> tuple[float, float]:
    """Place and weight of the eigenvalues of U that no data reach: s^2 with 1 - (1 + psi_n)/psi_p,
    for finite m 0 with 1 - psi_n m/psi_p.

    The population's, psi_n = inf, is at s^2 + v^2 with 1 - 1/psi_p. The weight is 0 where that is
    negative. Source: Bonnaire et al. 2025; for finite m the rank of U.
    """
    return _atom(psi_p, psi_n, time, spectrum, noises, activation)


def _atom(*model: Any) -> tuple[float, float]:
    ensemble = Ensemble.of(*model)
    k, psi_n, u = ensemble.constants, ensemble.psi_n, ensemble.u
    place, reached = (0.0, psi_n / u) if u > 0 else (k.s**2, 1 + psi_n)
    if np.isinf(psi_n):
        place, reached = k.s**2 + k.v**2, 1.0
    return float(place), max(0.0, float(1 - reached / ensemble.psi_p))


@numeric
def support(
    psi_p: float,
    psi_n: float,
    time: float,
    *,
    spectrum: Any = None,
    noises: float = math.inf,
    activation: Activation = np.tanh,
    points: int = 4000,
) -> Any:
    """The intervals (k, 2), ascending, on which U has a density: its bulks, each end to about 1e-6
    of its value.

    They are looked for on ``points`` places, logarithmically spaced from 0 and from s^2: a narrower
    bulk or gap is not seen, nor is what lies within 1e-6 of the atom. The atom is not among them.
    At p = n m the lowest bulk reaches 0.
    """
    model = (psi_p, psi_n, time, spectrum, noises, activation)
    ensemble, (place, weight) = Ensemble.of(*model), _atom(*model)

    def filled(x: np.ndarray) -> np.ndarray:
        return (_density(x, *model) * x > 1e-4) & _beside(x, place, weight)

    steps = np.geomspace(1e-9, 1.0, points // 2) * float(ensemble.reach)
    grid = np.sort(
        np.concatenate([[0.0], steps, ensemble.constants.s**2 + steps])
    )  # bulks may be narrow beside s^2
    inside = filled(grid)
    at = np.flatnonzero(inside[1:] != inside[:-1])
    low, high, left = grid[at], grid[at + 1], inside[at]
    for _ in range(3):
        fine = np.linspace(low, high, 41, axis=-1)
        first = (filled(fine)[:, 1:] != left[:, None]).argmax(-1)
        low, high = (fine[np.arange(len(fine)), first + step] for step in (0, 1))
    return np.where(low >= steps[0], 0.5 * (low + high), 0.0).reshape(-1, 2)


@numeric
def memorization_bulk(
    psi_p: Any, psi_n: Any, time: float, *, variance: float = 1.0, activation: Activation = np.tanh
) -> tuple[Any, Any]:
    """Ends of the bulk that the single training points make, ``s^2 + v^2 (1 ∓
    sqrt(psi_p/psi_n))^2``, for psi_p and psi_n far above 1.

    Arguments broadcast; the noise is averaged exactly. :func:`support` has the ends at any size.
    Source: Bonnaire et al. 2025.
    """
    k = constants(time, variance=variance, activation=activation)
    ratio = np.sqrt(within("psi_p", psi_p, 0.0, math.inf) / within("psi_n", psi_n, 0.0, math.inf))
    return k.s**2 + k.v**2 * (1 - ratio) ** 2, k.s**2 + k.v**2 * (1 + ratio) ** 2


@numeric
def generalization_bulk(
    psi_p: Any, time: float, *, variance: float = 1.0, activation: Activation = np.tanh
) -> tuple[Any, Any]:
    """Ends of the bulk that isotropic data of any number make, ``s^2 + v^2 + mu^2 (sqrt(psi_p) ∓
    1)^2``: the Marchenko-Pastur law of W W^T/d.

    Source: Bonnaire et al. 2025, the spectrum of the population's U.
    """
    k = constants(time, variance=variance, activation=activation)
    root = np.sqrt(within("psi_p", psi_p, 0.0, math.inf))
    return k.power - k.mu**2 + k.mu**2 * (root - 1) ** 2, k.power - k.mu**2 + k.mu**2 * (
        root + 1
    ) ** 2


@numeric
def relaxation_time(eigenvalue: Any, psi_p: Any, time: Any) -> Any:
    """psi_p/(2 D eigenvalue): the training time, steps times learning rate over d^2, in which a
    mode of U is learned to all but 1/e.

    ``time`` > 0 is the noise's; an eigenvalue of 0 takes for ever: +inf. Arguments broadcast.
    Source: Bonnaire et al. 2025.
    """
    noise = -np.expm1(-2 * within("time", time, 0.0, math.inf))
    rate = 2 * noise * within("eigenvalue", eigenvalue, 0.0, math.inf, closed=True)
    size, rate = np.broadcast_arrays(within("psi_p", psi_p, 0.0, math.inf), rate)
    return np.divide(size, rate, out=np.full(rate.shape, math.inf), where=rate > 0)


@numeric
def memorization_time(
    psi_p: Any, psi_n: Any, time: float, *, variance: float = 1.0, activation: Activation = np.tanh
) -> Any:
    """tau_mem = psi_p/(D u) with u the low end of :func:`memorization_bulk`: for psi_p far above
    psi_n it grows like psi_n/D.

    Source: Bonnaire et al. 2025.
    """
    return 2 * relaxation_time(
        memorization_bulk(psi_p, psi_n, time, variance=variance, activation=activation)[0],
        psi_p,
        time,
    )


@numeric
def generalization_time(
    psi_p: Any, time: float, *, variance: float = 1.0, activation: Activation = np.tanh
) -> Any:
    """tau_gen = psi_p/(D u) with u the low end of :func:`generalization_bulk`: for large psi_p it
    is 1/(mu^2 D), whatever the data's number.

    Source: Bonnaire et al. 2025, with the constant.
    """
    return 2 * relaxation_time(
        generalization_bulk(psi_p, time, variance=variance, activation=activation)[0], psi_p, time
    )
