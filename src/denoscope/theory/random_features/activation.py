"""What an odd activation is worth on noised Gaussian data: its linear part, what two noises share
beyond it, and the rest.

With ``G^2 = e^{-2t} variance + D`` the variance of x_t and u, v, w standard normal: ``mu =
E[sigma(G u) u]``, ``a = mu/G`` and ``b = sqrt(D) mu/G`` (Stein) are the coefficients of the signal
and of the noise, ``v^2 = E[sigma(x_t) sigma(x_t')] - a^2 e^{-2t} variance`` over two noises on one
point, and ``s^2 = E sigma^2 - mu^2 - v^2``. As functions of x the features act like ``W(a e^{-t}
x_0 + b xi)/sqrt(d) + v (one Gaussian per point) + s (one Gaussian per noise)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from denoscope.theory.inputs import finite, numeric, within

Activation = Callable[[np.ndarray], np.ndarray]

_NODES = np.linspace(-10.0, 10.0, 1601)
_WEIGHTS = (
    np.exp(-0.5 * _NODES**2) / np.exp(-0.5 * _NODES**2).sum()
)  # the trapezoidal rule: for smooth activations exact to rounding


class ActivationConstants(NamedTuple):
    """``mu = E[sigma(G u) u]``, ``power = E sigma(G u)^2 = mu^2 + v^2 + s^2``, ``a``, ``b``."""

    mu: float
    power: float
    a: float
    b: float
    v: float
    s: float


@numeric
def constants(
    time: float, *, variance: float = 1.0, activation: Activation = np.tanh
) -> ActivationConstants:
    """The constants of an odd, nonlinear ``activation`` of numpy arrays at ``time`` > 0, for data
    of mean ``variance`` a coordinate.

    Another activation is a ValueError. Source: Bonnaire et al. 2025, with ``a`` and ``b`` by
    Stein's lemma.
    """
    return _constants(
        float(within("time", time, 0.0, math.inf)),
        float(within("variance", variance, 0.0, math.inf, closed=True)),
        activation,
    )


@lru_cache(maxsize=256)
def _constants(time: float, variance: float, activation: Activation) -> ActivationConstants:
    signal, noise = math.exp(-2 * time) * variance, -math.expm1(-2 * time)
    scale = math.sqrt(signal + noise)
    values = finite("activation", activation(scale * _NODES))
    power, mu = _expectation(values**2), _expectation(values * _NODES)
    if np.abs(values + values[::-1]).max() > 1e-9 * np.abs(values).max():
        raise ValueError("activation must be odd, sigma(-x) = -sigma(x), such as numpy.tanh")
    if power - mu**2 <= 1e-9 * power:
        raise ValueError(
            "activation must not be linear on the data: theory.linear is the theory of "
            "linear models"
        )
    shared = activation(math.sqrt(signal) * _NODES[:, None] + math.sqrt(noise) * _NODES) @ _WEIGHTS
    common = max(_expectation(shared**2) - mu**2 * signal / (signal + noise), 0.0)
    rest = max(power - mu**2 - common, 0.0)
    return ActivationConstants(
        mu, power, mu / scale, math.sqrt(noise) * mu / scale, math.sqrt(common), math.sqrt(rest)
    )


def _expectation(values: Any) -> float:
    """E f(u) from the values of f at the nodes."""
    return float(values @ _WEIGHTS)
