"""The self-consistent equations of the resolvent (U - z)^-1 of random features, for any spectrum
and any number of noises.

Over the noises of one training point, features split into their mean, of which there are n, and m -
1 differences, of which there are n(m - 1). With ``q = Tr(U - z)^-1/p``, ``e1`` and ``e2`` the
fractions of the two that the resolvent leaves, and for the mode of eigenvalue l

    h(l) = (a^2 e^{-2t} l + b^2/m) e1 + (1 - 1/m) b^2 e2,          w(l) = 1/(1 + psi_p q h(l)), s =
    q <w> = Tr W^T (U - z)^-1 W/(p d),                         r = q <l w>, the same between two
    roots of the covariance,

the averages <> over the spectrum, the three unknowns solve

    1/q  = -z + (v^2 + s^2/m) e1 + (1 - 1/m) s^2 e2 + <h w>,
    1/e1 = 1 + (psi_p/psi_n) [a^2 e^{-2t} r + b^2 s/m + (v^2 + s^2/m) q],
    1/e2 = 1 + (psi_p/psi_n) [b^2 s + s^2 q]/m,

s^2 being the constant of the activation where it stands beside v^2 or q. m = inf is Bonnaire et al.
2025, a flat spectrum Urfin et al.
2026. The physical solution is followed by Newton's method from far away, where ``q = -1/z`` and
``e1 = e2 = 1``, to z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from denoscope.theory.inputs import variances, within
from denoscope.theory.random_features.activation import Activation, ActivationConstants, constants

_UNIT = np.eye(3)


@dataclass(frozen=True)
class Point:
    """One solution: ``state`` = (q, e1, e2) on the last axis, s, and what derivatives take.

    ``jacobian`` (..., 3, 3) of the equations, ``gradient`` (..., 3) of s, ``weights`` w (..., k) of
    the modes, ``residual`` (..., 3).
    """

    state: np.ndarray
    s: np.ndarray
    residual: np.ndarray
    jacobian: np.ndarray
    gradient: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Ensemble:
    """Random features in the limit of large d: constants, distinct eigenvalues (k,) with their
    shares, ratios (...), ``u = 1/m`` (...).
    """

    constants: ActivationConstants
    signal: float
    lam: np.ndarray
    share: np.ndarray
    psi_p: np.ndarray
    psi_n: np.ndarray
    u: np.ndarray

    @classmethod
    def of(
        cls,
        psi_p: Any,
        psi_n: Any,
        time: Any,
        spectrum: Any,
        noises: Any,
        activation: Activation,
        *others: np.ndarray,
    ) -> Ensemble:
        """Ratios broadcast with ``others``; psi_n may be infinite, ``spectrum`` None is flat."""
        values, counts = np.unique(
            variances("spectrum", 1.0 if spectrum is None else spectrum), return_counts=True
        )
        share = counts / counts.sum()
        parts = (
            within("psi_p", psi_p, 0.0, math.inf),
            _positive("psi_n", psi_n, 0.0),
            1 / _positive("noises", noises, 1.0),
        )
        ratios = np.broadcast_arrays(*parts, *others)[:3]
        found = constants(time, variance=float(values @ share), activation=activation)
        return cls(found, math.exp(-2 * float(time)), values, share, *ratios)

    @property
    def noise(self) -> float:
        """D = 1 - e^{-2t}."""
        return 1 - self.signal

    @property
    def reach(self) -> np.ndarray:
        """A number far above the spectrum of U."""
        return (
            10
            * self.constants.power
            * (1 + self.lam.max() / (self.lam @ self.share or 1.0))
            * (1 + self.psi_p)
            * (1 + 1 / self.psi_n)
        )

    def mean(self, values: np.ndarray) -> np.ndarray:
        """The average over the spectrum of values on the last axis."""
        return values @ self.share

    def at(self, z: np.ndarray, state: np.ndarray) -> Point:
        """The equations, times their unknowns, and their derivatives at ``state``."""
        (q, e1, e2), (_, _, a, b, v, s) = np.moveaxis(state, -1, 0), self.constants
        psi, u, ratio = self.psi_p, self.u, self.psi_p / self.psi_n
        first, second = (
            a**2 * self.signal * self.lam + (u * b**2)[..., None],
            ((1 - u) * b**2)[..., None] * np.ones_like(self.lam),
        )
        h = first * e1[..., None] + second * e2[..., None]
        w = 1 / (1 + (psi * q)[..., None] * h)
        own, other = v**2 + u * s**2, (1 - u) * s**2

        def trace(factor: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
            """q <factor w> and its gradient."""
            squared = factor * w**2
            slope = -psi * q**2
            parts = (
                self.mean(squared),
                slope * self.mean(first * squared),
                slope * self.mean(second * squared),
            )
            return q * self.mean(factor * w), np.stack(parts, -1)

        s_value, s_slope = trace(1.0)
        r_value, r_slope = trace(self.lam)
        rest_slope = np.stack(
            [-psi * self.mean((h * w) ** 2), self.mean(first * w**2), self.mean(second * w**2)], -1
        )
        inner = -z + own * e1 + other * e2 + self.mean(h * w)
        seen = a**2 * self.signal * r_value + u * b**2 * s_value + own * q
        seen_slope = (
            a**2 * self.signal * r_slope
            + (u * b**2)[..., None] * s_slope
            + own[..., None] * _UNIT[0]
        )
        apart = u * (b**2 * s_value + s**2 * q)
        apart_slope = u[..., None] * (b**2 * s_slope + s**2 * _UNIT[0])
        inner_slope = own[..., None] * _UNIT[1] + other[..., None] * _UNIT[2] + rest_slope
        factors = np.stack([inner, 1 + ratio * seen, 1 + ratio * apart], -1)
        slopes = np.stack(
            [inner_slope, ratio[..., None] * seen_slope, ratio[..., None] * apart_slope], -2
        )
        return Point(
            state,
            s_value,
            state * factors - 1,
            factors[..., None] * _UNIT + state[..., None] * slopes,
            s_slope,
            w,
        )

    def solve(self, z: np.ndarray, away: complex, nearest: np.ndarray) -> Point:
        """The solution at ``z``, followed along ``z + away * distance`` from far away until the
        distance is below ``nearest``, then at z.
        """
        reach = self.reach
        state = np.stack([-1 / (z + away * reach), np.ones_like(z), np.ones_like(z)], -1)
        halvings = math.ceil(np.log2(reach / nearest).max(initial=0.0))
        for halving in range(halvings + 1):
            state = self._newton(z + away * reach * 0.5**halving, state, 1e-3)
        return self.at(z, self._newton(z, state, 1e-13))

    def _newton(self, z: np.ndarray, state: np.ndarray, tolerance: float) -> np.ndarray:
        for _ in range(40):
            point = self.at(z, state)
            step = np.linalg.solve(point.jacobian, point.residual[..., None])[..., 0]
            state = state - step
            if (np.abs(step) <= tolerance * np.abs(state)).all():
                break
        return state


def _positive(name: str, value: Any, low: float) -> np.ndarray:
    """``value`` above 0 and at least ``low``; infinity is welcome."""
    numbers = np.asarray(value, np.float64)
    if not ((numbers > 0) & (numbers >= low)).all():
        raise ValueError(
            f"{name} must be {'at least 1' if low else 'above 0'} or infinite, got {numbers.min()}"
        )
    return numbers
