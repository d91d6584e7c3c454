"""What a linear diffusion model samples in continuous time: exact laws of the probability-flow ODE
and of the reverse SDE.

In the clock y = abar, running from abar_T to 1, a mode with the weight per noise ``q(y) = (1 -
e^{-k u})/u``, ``u = y lam + 1 - y + ridge``, obeys

    ODE    d ln v / dy = (1 - q) / y
    SDE    d v / dy = (v (1 - 2q) + 1) / y

Both follow from ``h(y) = int_y^1 (1 - q)/y' dy'``: the ODE's samples have the variance ``v_T
e^{h(abar_T)}``, the SDE's ``abar_T v_T e^{2h(abar_T)} + int e^{2h} dy``, and the means fall short
by the gains of a deviation, ``e^{h/2}`` and ``sqrt(y) e^h``. With b = 1 + ridge, m = lam - 1 and
partial fractions of 1/(y u),

    h(y) = ln(1/y) - (1/b) { (1 - e^{-kb}) ln(1/y) + e^{-kb} [Ein(km) - Ein(kmy)] - Ein(k u(1)) +
    Ein(k u(y)) },

at k = inf ``e^h = z^{1/b} / y`` with ``z = y u(1)/u(y)``. Merger and Goldt 2025; Song et al. 2021
(score SDE).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import numeric, within
from denoscope.theory.linear.integrals import damped_ein, ein
from denoscope.theory.linear.modewise import eigenvalues, training_time

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(
    14
)  # on panels that double in width this is exact to rounding


class _Flow(NamedTuple):
    """A sampler of the modes lam from abar_T on; a scaled ridge is already in lam."""

    lam: np.ndarray
    abar_T: float
    ridge: float
    k: float


@numeric
def ode_law(
    lam: ArrayLike,
    abar_T: float,
    *,
    v_T: ArrayLike = 1.0,
    ridge: float = 0.0,
    k: float | None = None,
    scaled: bool = False,
) -> Any:
    """Variances of samples of the probability-flow ODE from N(0, v_T I) at abar_T, lam's shape;
    ``lam v_T / v*_T`` at the optimum.

    The ridge is ``ridge`` at every level, or ``ridge * abar`` when ``scaled``, which is the same as
    lam + ridge in place of lam.
    """
    return _start(v_T) * _whole_gain(_flow(lam, abar_T, ridge, k, scaled))


@numeric
def ode_mean(
    lam: ArrayLike,
    abar_T: float,
    *,
    ridge: float = 0.0,
    k: float | None = None,
    scaled: bool = False,
) -> Any:
    """Means of probability-flow samples along each mode as a share of the training mean's."""
    return 1 - np.sqrt(abar_T * _whole_gain(_flow(lam, abar_T, ridge, k, scaled)))


@numeric
def sde_law(
    lam: ArrayLike,
    abar_T: float,
    *,
    v_T: ArrayLike = 1.0,
    ridge: float = 0.0,
    k: float | None = None,
    scaled: bool = False,
) -> Any:
    """Variances of samples of the reverse SDE from N(0, v_T I) at abar_T, lam's shape.

    At the optimum and v_T = 1 it is ``lam (1 - (abar_T lam / v*_T)(1 - 1/v*_T))``. The ridge is
    that of :func:`ode_law`. After a finite training time it is a quadrature of the closed
    integrand, to about 1e-13.
    """
    flow = _flow(lam, abar_T, ridge, k, scaled)
    return flow.abar_T * _whole_gain(flow) ** 2 * _start(v_T) + (
        _trained_noise(flow) if np.isinf(flow.k) else _stopped_noise(flow)
    )


@numeric
def sde_mean(
    lam: ArrayLike,
    abar_T: float,
    *,
    ridge: float = 0.0,
    k: float | None = None,
    scaled: bool = False,
) -> Any:
    """The mean of samples of the reverse SDE along each mode as a share of the training mean's; ``1
    - abar_T lam / v*_T`` at the optimum.
    """
    flow = _flow(lam, abar_T, ridge, k, scaled)
    return 1 - flow.abar_T * _whole_gain(flow)


def _flow(lam: Any, abar_T: Any, ridge: Any, k: Any, scaled: bool) -> _Flow:
    lam, ridge = eigenvalues("lam", lam), float(within("ridge", ridge, 0, np.inf, closed=True))
    start = float(within("abar_T", abar_T, 0, 1))
    return (
        _Flow(lam + ridge, start, 0.0, float(training_time(k)))
        if scaled
        else _Flow(lam, start, ridge, float(training_time(k)))
    )


def _start(v_T: Any) -> np.ndarray:
    return within("v_T", v_T, 0, np.inf, closed=True)


def _whole_gain(flow: _Flow) -> np.ndarray:
    """``e^h`` from abar_T to 1."""
    y = flow.abar_T
    if np.isinf(flow.k):
        return _ratio(flow) ** (1 / (1 + flow.ridge)) / y
    return np.exp(_exponent(flow, y, 1 - y))


def _ratio(flow: _Flow) -> np.ndarray:
    """``z = abar_T u(1) / u(abar_T)``."""
    return (
        flow.abar_T
        * (flow.lam + flow.ridge)
        / (flow.abar_T * flow.lam + (1 - flow.abar_T) + flow.ridge)
    )


def _exponent(flow: _Flow, y: Any, rest: Any) -> np.ndarray:
    """``h(y)`` after a finite training time; rest = 1 - y apart, to be exact near the data."""
    lam, b, k = flow.lam, 1 + flow.ridge, flow.k
    log = np.where(rest < 0.5, -np.log1p(-np.minimum(rest, 0.5)), -np.log(y))
    noise_scale = (
        -np.expm1(-k * b) * log
        + damped_ein(k * (lam - 1), k * b)
        - damped_ein(k * (lam - 1) * y, k * b)
    )
    return (
        log
        - (noise_scale - ein(k * (lam + flow.ridge)) + ein(k * (y * lam + rest + flow.ridge))) / b
    )


def _trained_noise(flow: _Flow) -> np.ndarray:
    """``int e^{2h} dy = (u(1)/b) (1 - z^p)/p`` with p = 2/b - 1, at the optimum."""
    b, z = 1 + flow.ridge, _ratio(flow)
    power = 2 / b - 1
    log = np.log(z, out=np.full_like(z, -np.inf), where=z > 0)
    spread = -log if power == 0 else -np.expm1(power * log) / power
    return (flow.lam + flow.ridge) / b * spread


def _stopped_noise(flow: _Flow) -> np.ndarray:
    """``int e^{2h} dy`` from abar_T to 1, finite time: Gauss-Legendre, panels finer at the ends."""
    modes, total = flow._replace(lam=flow.lam.ravel()), np.zeros(flow.lam.size)
    for y, rest, weight in _nodes(flow):
        total += weight @ np.exp(2 * _exponent(modes, y[:, None], rest[:, None]))
    return total.reshape(flow.lam.shape)


def _nodes(flow: _Flow) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """y, 1 - y and weight of the nodes of every panel.

    The integrand varies on the scale of u near the data, at least ``max(lam + ridge, 1/k)``, and on
    that of y far from it.
    """
    finest = np.maximum(flow.lam + flow.ridge, 1 / max(flow.k, 1.0)).min()
    half = min(0.5, 1 - flow.abar_T)
    for low, high in _panels(0.5 * min(finest, half), half, from_zero=True):
        rest, weight = _on(low, high)
        yield 1 - rest, rest, weight
    if flow.abar_T < 0.5:
        for low, high in _panels(flow.abar_T, 0.5, from_zero=False):
            y, weight = _on(low, high)
            yield y, 1 - y, weight


def _panels(first: float, last: float, *, from_zero: bool) -> list[tuple[float, float]]:
    """Intervals that at most double in width from ``first`` to ``last``, with [0, first] before
    them when ``from_zero``.
    """
    edges = np.geomspace(first, last, 2 + int(np.log2(last / first)))
    edges = np.concatenate([[0.0], edges]) if from_zero else edges
    return list(pairwise(edges.tolist()))


def _on(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [low, high]."""
    return low + 0.5 * (high - low) * (1 + _NODES), 0.5 * (high - low) * _WEIGHTS
