"""The entire exponential integral ``Ein(z) = int_0^z (1 - e^{-t})/t dt``: what exponential
relaxation leaves in a sampler's exponent.

``Ein(z) = ln|z| + gamma_E + E1(z)`` for z > 0 and ``ln|z| + gamma_E - Ei(-z)`` for z < 0, where it
grows like ``-e^{|z|}/|z|``.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import exp1, expi

_SERIES = 1.0  # below it the power series is summed
_COEFFICIENTS = [0.0, *((-1) ** (n + 1) / (n * math.factorial(n)) for n in range(1, 20))]
_ASYMPTOTIC = 50.0  # above it Ei is its asymptotic series, whose smallest term is then below 1e-21


def ein(z: np.ndarray) -> np.ndarray:
    """``Ein(z)`` for z >= 0."""
    z = np.asarray(z, np.float64)
    large = np.maximum(z, _SERIES)
    return np.where(
        z < _SERIES, _series(np.minimum(z, _SERIES)), np.log(large) + np.euler_gamma + exp1(large)
    )


def damped_ein(z: np.ndarray, damping: float) -> np.ndarray:
    """``e^{-damping} Ein(z)``, z >= -damping, damping >= 0: finite where Ein overflows."""
    z = np.asarray(z, np.float64)
    size = np.maximum(-z, _SERIES)
    growing = np.exp(-damping) * (np.log(size) + np.euler_gamma) - np.exp(
        -damping + size
    ) * _scaled_ei(size)
    growing = np.where(z > -_SERIES, np.exp(-damping) * _series(np.clip(z, -_SERIES, 0.0)), growing)
    return np.where(z >= 0, np.exp(-damping) * ein(np.maximum(z, 0.0)), growing)


def _series(z: np.ndarray) -> np.ndarray:
    """``-sum_n (-z)^n / (n n!)``, for at most 1 in size."""
    return np.polynomial.polynomial.polyval(z, _COEFFICIENTS)


def _scaled_ei(x: np.ndarray) -> np.ndarray:
    """``e^{-x} Ei(x)`` for x > 0."""
    small = np.minimum(x, _ASYMPTOTIC)
    large = np.maximum(x, _ASYMPTOTIC)
    series = np.ones_like(large)
    for n in range(30, 0, -1):
        series = 1 + series * n / large
    return np.where(x <= _ASYMPTOTIC, np.exp(-small) * expi(small), series / large)
