"""Random features trained on noised Gaussian data, as finite matrices: what the theory of
:mod:`denoscope.theory.random_features` is compared with.

The feature matrices U = E[f f^T] and V = E[f xi^T], with ``f = tanh(W x_t/sqrt(d))``, are averages
over the training points with the noise averaged exactly, over m noises per point, or over the law
itself. The exact ones are by Mehler's formula: two features see one noise xi as standard normals of
correlation ``r = w w'/(|w| |w'|)``, so ``E[f f'] = sum_k r^k c_k c'_k`` with the Hermite
coefficients ``c_k`` of each feature as a function of its own normal; the diagonal, r = 1, is an
integral of its own. Of the powers of r, which are of order d^(-k/2) off the diagonal, the first
``ORDERS`` are kept. Given them, the trained features and their losses are closed forms of the
training time or the ridge, without sampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

ORDERS = 12
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, eq=False)
class SimulatedFeatures:
    """Features W (p, d) with the matrices U (p, p) and V (p, d) of a training set, and ``law_u``
    and ``law_v`` of the law; ``noise`` is D = 1 - e^{-2t}.
    """

    noise: float
    u: np.ndarray
    v: np.ndarray
    law_u: np.ndarray
    law_v: np.ndarray

    @cached_property
    def modes(self) -> tuple[np.ndarray, np.ndarray]:
        """The eigenvalues of U, rising (p,), and its eigenvectors (p, p)."""
        return np.linalg.eigh(self.u)

    @cached_property
    def _moments(self) -> tuple[np.ndarray, ...]:
        """In the eigenbasis: |V|^2 (p,), V V~ (p,) and U~ V V^T, entry by entry (p, p)."""
        basis = self.modes[1]
        seen, true = basis.T @ self.v, basis.T @ self.law_v
        law = basis.T @ self.law_u @ basis * (seen @ seen.T)
        return (seen**2).sum(1), (seen * true).sum(1), law

    def trained(self, tau: float) -> tuple[float, float]:
        """Training and test loss per dimension after gradient flow for ``tau`` from zero."""
        rate = 2 * self.noise * tau * self.v.shape[1] / len(self.u)
        values = self.modes[0]
        kept = np.where(values > 1e-12, values, 1.0)
        return self._losses(np.where(values > 1e-12, -np.expm1(-rate * kept) / kept, rate))

    def fitted(self, ridge: float) -> tuple[float, float]:
        """The same at the minimum of the objective with a positive ``ridge``."""
        return self._losses(1 / (np.maximum(self.modes[0], 0) + ridge))

    def _losses(self, h: np.ndarray) -> tuple[float, float]:
        """Losses of ``A/sqrt(p) = -V^T h(U)/sqrt(D)``."""
        (own, cross, law), d = self._moments, self.v.shape[1]
        train = 1 + (h**2 * self.modes[0] * own - 2 * h * own).sum() / d
        test = 1 + (h @ law @ h - 2 * h @ cross) / d
        return float(train), float(test)


def simulated(
    d: int, p: int, n: int, time: float, noises: int, source: np.random.Generator
) -> SimulatedFeatures:
    """Features of n standard normal points of R^d with ``noises`` each; 0 averages over all."""
    noise = -math.expm1(-2 * time)
    weights, points = source.standard_normal((p, d)), source.standard_normal((n, d))
    norms = np.linalg.norm(weights, axis=1)
    units = weights / norms[:, None]
    scale = norms / math.sqrt(d)
    signal = math.exp(-time) * points @ weights.T / math.sqrt(d)
    law = _averaged(np.zeros((1, p)), scale, units)
    law_v = math.sqrt(noise) * law[1]
    if not noises:
        u, v = _averaged(signal, math.sqrt(noise) * scale, units)
        return SimulatedFeatures(noise, u, v, law[0], law_v)
    drawn = source.standard_normal((noises, n, d))
    seen = np.tanh(signal + math.sqrt(noise / d) * drawn @ weights.T).reshape(-1, p)
    u, v = (seen.T @ other / len(seen) for other in (seen, drawn.reshape(-1, d)))
    return SimulatedFeatures(noise, u, v, law[0], law_v)


def _averaged(
    mean: np.ndarray, scale: np.ndarray, units: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """U and V, exactly averaged over standard normal x: features tanh(mean + scale u x), ``mean``
    (n, p) of each point, ``scale`` (p,), ``units`` (p, d).
    """
    values = np.tanh(mean[..., None] + scale[:, None] * _NODES)
    correlation, power = units @ units.T, np.ones((len(units), len(units)))
    u = np.zeros_like(power)
    before, polynomial = np.zeros_like(_NODES), np.ones_like(_NODES)
    first = np.zeros(mean.shape)
    for k in range(ORDERS):
        c = values @ (_WEIGHTS * polynomial) / math.sqrt(math.factorial(k))
        first = c if k == 1 else first
        u += power * (c.T @ c) / len(mean)
        power *= correlation
        before, polynomial = polynomial, _NODES * polynomial - k * before
    np.fill_diagonal(u, (values**2 @ _WEIGHTS).mean(0))
    return u, first.mean(0)[:, None] * units
