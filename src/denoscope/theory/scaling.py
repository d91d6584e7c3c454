"""What theory expects: the nearest training point at any N and d, and the excess of a Gaussian fit.

Of N independent points, the nearest to x is farther than r with probability (1 - P(ball of radius r
about x))^N. For standard normal coordinates in orthogonal subspaces that ball's probability is a
mixture of a noncentral and a shifted chi-square's, so mean distances are one-dimensional integrals
over r and over the norm of x, exact at any N. They fall as N^(-1/d).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from denoscope.theory.linear.equivalents import deterministic
from denoscope.theory.linear.optimum import bayes_loss

_NORMS = 64
_RADII = 600
_FAR = 12.0


@lru_cache(maxsize=64)
def _misses(d: int, clusters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radii (r,), weights (q,) over |x|^2, and ln P(a point is farther than r from x), (q, r)."""
    nodes, weights = np.polynomial.legendre.leggauss(_NORMS)
    square = stats.chi2.ppf((nodes + 1) / 2, d)[:, None]
    radii = np.geomspace(1e-7, _FAR, _RADII)
    own = stats.ncx2.sf(radii**2, d, square)
    other = stats.chi2.sf(radii**2 - square, d)
    return radii, weights / 2, np.log(np.maximum((own + (clusters - 1) * other) / clusters, 1e-300))


def nearest_distance(sizes: np.ndarray, d: int, clusters: int, power: int = 1) -> np.ndarray:
    """``E[distance^power]`` from a fresh point to the nearest of N training points, at every N of
    ``sizes``; ambient noise is left out.
    """
    radii, weights, logs = _misses(d, clusters)
    survival = weights @ np.exp(np.asarray(sizes, float)[:, None, None] * logs)
    return np.trapezoid(power * radii ** (power - 1) * survival, radii, axis=1) + radii[0] ** power


@lru_cache(maxsize=64)
def copies_needed(d: int, clusters: int, level: float, largest: float = 1e9) -> float:
    """N at which the nearest training point of a fresh one is within ``level`` of the signal: what
    the empirical denoiser needs as sigma -> 0.
    """
    return _first(lambda n: nearest_distance(n, d, clusters, 2) / d - level, 1.0, largest)


def gaussian_excess(sizes: np.ndarray, d: int, n: int, sigma: float, noise: float) -> np.ndarray:
    """The relative excess of the Gaussian fit to N points of one subspace (K = 1), by deterministic
    equivalents; sizes of at least 2.
    """
    spectrum = np.concatenate([np.full(d, 1 + noise**2), np.full(n - d, noise**2)])
    level = sigma**2
    found = deterministic(spectrum, np.asarray(sizes, float), level, centred=True)
    signal = (spectrum**2 / (spectrum + level)).sum()
    return level * (found.test - bayes_loss(np.diag(spectrum), 1 / (1 + level))) / signal


@lru_cache(maxsize=64)
def gaussian_needed(d: int, n: int, sigma: float, noise: float, level: float) -> float:
    """N at which that excess falls below the level."""
    return _first(lambda size: gaussian_excess(size, d, n, sigma, noise) - level, 2.0, 1e5)


def _first(gap: Callable[[np.ndarray], np.ndarray], least: float, largest: float) -> float:
    """The zero of a decreasing function of N; the least N where it is negative there already, +inf
    where it is positive at the largest.
    """
    ends = [float(gap(np.array([n]))[0]) for n in (least, largest)]
    if ends[0] <= 0 or ends[1] > 0:
        return least if ends[0] <= 0 else math.inf
    log = brentq(lambda x: float(gap(np.array([math.exp(x)]))[0]), *np.log([least, largest]))
    return math.exp(float(log))  # pyright: ignore[reportArgumentType]
