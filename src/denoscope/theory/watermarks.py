"""Watermarks: the exact law of a key's cosine, and what a mark costs on a Gaussian, where all is
linear.

A key k is uniform on the unit sphere of its carrier, a space of m real dimensions with projector P.
For any z in the carrier that does not depend on k, cos(z, k) has the law of one coordinate of a
uniform point on that sphere:

    P(cos >= c) = 1/2 P(Beta(1/2, (m - 1)/2) >= c^2)        for c >= 0, one less that of -c below.

The same law says how often a step of length L along the key is found in a given image, whose own
part in the carrier has the length r: with u = cos(z, k) before, the cosine after it is

    (L + r u) / sqrt(L^2 + 2 L r u + r^2),

which is at least t for ``u >= (-L (1 - t^2) + t s)/r``, ``s^2 = r^2 - L^2 (1 - t^2)``; where L > r
also for ``u <= (-L (1 - t^2) - t s)/r``, and for every u where s^2 < 0.

On a Gaussian whose covariance has the eigenvalues v_i, every step is one factor per direction. With
``shares_i = |P u_i|^2`` of its eigenvectors, which sum to m, the mean over keys of |G k|^2 is
``sum g_i^2 shares_i / m = |G P|_F^2 / m`` for any G with factors g_i on the eigenvectors.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincinv

from denoscope.theory.inputs import finite, numeric, variances, within


@numeric
def cosine_tail(cosine: ArrayLike, dimension: int) -> Any:
    """The exact p-value of cosines (*s) with a key in ``dimension`` >= 2 real dimensions.

    A cosine beyond [-1, 1] by more than rounding, and fewer dimensions, are a ValueError.
    """
    if dimension < 2:
        raise ValueError(f"a carrier needs at least 2 dimensions, got {dimension}")
    c = within("cosine", cosine, -1 - 1e-6, 1 + 1e-6).clip(-1, 1)
    half = 0.5 * betainc((dimension - 1) / 2, 0.5, (1 - c) * (1 + c))
    return np.where(c >= 0, half, 1 - half)


@numeric
def cosine_threshold(level: ArrayLike, dimension: int) -> Any:
    """The cosine whose p-value is ``level`` (*s), in (0, 1/2]."""
    alpha = within("level", level, 0, 0.5 + 1e-12)
    return np.sqrt(1 - betaincinv((dimension - 1) / 2, 0.5, (2 * alpha).clip(max=1)))


@numeric
def power(length: ArrayLike, own: ArrayLike, dimension: int, level: float) -> Any:
    """The share of keys whose p-value is at most ``level`` after an additive step of ``length``
    in an image whose own part in the carrier has the length ``own``: both (*s), broadcast.
    """
    L, r = np.broadcast_arrays(finite("length", length), within("own", own, 0, np.inf))
    t = cosine_threshold(level, dimension)
    inside = r**2 - L**2 * (1 - t**2)
    root, middle = t * np.sqrt(inside.clip(0)), -L * (1 - t**2)
    high, low = (((middle + sign * root) / r).clip(-1, 1) for sign in (1, -1))
    beyond = np.where(r < L, 1 - cosine_tail(low, dimension), 0.0)
    return np.where(inside < 0, 1.0, cosine_tail(high, dimension) + beyond)


@numeric
def posterior_gain(spectrum: ArrayLike, sigma: float) -> Any:
    """``v / (v + sigma^2)``, the eigenvalues of the Jacobian of the posterior mean."""
    v = variances("spectrum", spectrum)
    return np.where(v > 0, v / np.where(v > 0, v + sigma**2, 1), 0.0)


@numeric
def ddim_gain(spectrum: ArrayLike, sigmas: ArrayLike) -> Any:
    """What DDIM along falling ``sigmas`` makes of a unit step at the first, by eigenvector."""
    levels = np.asarray(finite("sigmas", sigmas))
    factors = [_down(spectrum, high, low) for high, low in pairwise(levels)]
    return np.prod(factors, axis=0)


@numeric
def inversion_gain(spectrum: ArrayLike, sigmas: ArrayLike, refine: int) -> Any:
    """What :func:`denoscope.sampling.invert` with ``refine`` makes of a unit step of the image, by
    eigenvector; the inverse of :func:`ddim_gain` as ``refine`` grows.
    """
    levels = np.asarray(finite("sigmas", sigmas))[::-1]
    gain = np.ones_like(variances("spectrum", spectrum))
    for low, high in pairwise(levels):
        down = _down(spectrum, high, low)
        up, times = (_down(spectrum, low, high), refine) if low > 0 else (1.0, refine + 1)
        for _ in range(times):
            up = up + (1 - down * up)
        gain = gain * up
    return gain


def _down(spectrum: ArrayLike, sigma: float, following: float) -> Any:
    clean = posterior_gain(spectrum, sigma)
    return clean + following / sigma * (1 - clean)


@numeric
def mean_square(gain: ArrayLike, shares: ArrayLike) -> Any:
    """``|G P|_F^2 / m``: the mean over keys of the squared length of G k; times L^2 for a step of
    length L. Its root times L is the root mean square change.
    """
    g, s = finite("gain", gain), variances("shares", shares)
    return (g**2 * s).sum(-1) / s.sum(-1)


@numeric
def recovered(gain: ArrayLike, back: ArrayLike, shares: ArrayLike) -> Any:
    """``tr(P B G)/m``: the share of the step along the key that is there after decoding (``gain``)
    and inversion (``back``), in the mean over keys.
    """
    s = variances("shares", shares)
    return (finite("gain", gain) * finite("back", back) * s).sum(-1) / s.sum(-1)


@numeric
def psnr(squared: ArrayLike, numbers: int = 1) -> Any:
    """Peak signal-to-noise ratio in dB of a squared change (of ``numbers`` numbers in all) of
    images in [-1, 1].
    """
    return -10 * np.log10(within("squared", squared, 0, np.inf) / numbers / 4)
