"""Where the probability flow of a Gaussian carries each noise, and how far apart two Gaussians
carry the same one.

Variance exploding: the flow ``dx/dsigma = (x - D(x, sigma))/sigma`` of N(mu, S) is affine. Along an
eigenvector of S with eigenvalue lam the deviation from mu is scaled by the ratio of the noised
standard deviations, so from ``x_T = sigma_T z`` with standard normal z

    x_0 = mu + A (sigma_T z - mu),   A = (S + sigma_0^2)^(1/2) (S + sigma_T^2)^(-1/2),

``mu + S^(1/2) z`` for sigma_T = inf and sigma_0 = 0. Between two Gaussians the root mean square of
the difference is then ``(|mu_1 - mu_2|^2 + |S_1^(1/2) - S_2^(1/2)|_F^2)^(1/2)``: at least their
Wasserstein distance, of which the flows are one coupling, and equal to it where S_1 and S_2
commute. Zhang et al. 2025 (arXiv 2505.20123), definition 1, for Gaussians.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import eigen, numeric, within
from denoscope.theory.linear.modewise import vector


class FlowMap(NamedTuple):
    """The affine map ``z -> offset + matrix z`` from unit noise to samples, (d,) and (d, d)."""

    offset: Any
    matrix: Any


@numeric
def flow_map(
    mean: ArrayLike, cov: ArrayLike, sigma_T: float = math.inf, sigma_0: float = 0.0
) -> FlowMap:
    """What the flow of N(mean, cov) makes at sigma_0 of the state ``sigma_T z``."""
    high, low = _ends(sigma_T, sigma_0)
    lam, vectors = eigen("cov", cov)
    mu, small = vector("mean", mean, len(lam)), np.sqrt(lam + low**2)
    scale, kept = (small, 0 * small) if math.isinf(high) else _scales(small, lam, high)
    return FlowMap(mu - (vectors * kept) @ (vectors.T @ mu), (vectors * scale) @ vectors.T)


@numeric
def flow_distance(
    mean: ArrayLike,
    cov: ArrayLike,
    mean0: ArrayLike,
    cov0: ArrayLike,
    sigma_T: float = math.inf,
    sigma_0: float = 0.0,
) -> Any:
    """The probability-flow distance of N(mean, cov) and N(mean0, cov0): the root mean square
    distance of what their flows make of one noise, over all d numbers. Zhang et al. 2025.
    """
    first, second = (flow_map(mu, S, sigma_T, sigma_0) for mu, S in ((mean, cov), (mean0, cov0)))
    parts = (first.offset - second.offset, first.matrix - second.matrix)
    return np.sqrt(sum(np.square(part).sum() for part in parts))


def _ends(sigma_T: float, sigma_0: float) -> tuple[float, float]:
    """The levels where the flow begins, +inf allowed, and ends."""
    low = float(within("sigma_0", sigma_0, 0, math.inf, closed=True))
    if not sigma_T > low:
        raise ValueError(f"sigma_T must be above sigma_0 = {low:g}, got {sigma_T:g}")
    return float(sigma_T), low


def _scales(small: np.ndarray, lam: np.ndarray, high: float) -> tuple[np.ndarray, np.ndarray]:
    """What each mode's noise and mean are multiplied by: ``sigma_T A`` and A."""
    kept = small / np.sqrt(lam + high**2)
    return high * kept, kept
