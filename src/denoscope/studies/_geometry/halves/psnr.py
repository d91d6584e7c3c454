"""Peak signal-to-noise ratios in dB, for images taken as in [0, 1], peak 1, as in Kadkhodaie et al.
2024.

Our images are in [-1, 1], so in those units noise and errors are half as large: input PSNR is ``-20
log10(sigma/2)``, output PSNR ``-10 log10(MSE/4)`` of the mean squared error over images. Its
interval is that of the MSE by t over images, carried to dB by the slope of the logarithm (delta
method).
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from denoscope.estimate import Estimate, unavailable

INPUTS = np.arange(-10.0, 41.0, 5.0)
"""Input PSNRs in dB at which denoisers are asked."""

_DB = 10 / math.log(10)


def level(db: np.ndarray | float) -> np.ndarray:
    """The noise level sigma of an input PSNR."""
    return 2 * 10 ** (-np.asarray(db) / 20)


def at(db: float) -> int:
    """The place of an input PSNR among ``INPUTS``."""
    return int(np.flatnonzero(db == INPUTS)[0])


def output(errors: np.ndarray) -> Estimate:
    """The output PSNR of images with mean squared errors (images,); not available where all are
    denoised without error.
    """
    value, variance, n = _logarithm(errors)
    return _estimate(-_DB * (value - math.log(4)), variance, n - 1, n)


def gap(train: np.ndarray, test: np.ndarray) -> Estimate:
    """Output PSNR of images with mean squared errors ``train`` (images,) less that of others with
    ``test``; degrees of freedom as Welch 1947.
    """
    (first, variance, n), (second, other, m) = _logarithm(train), _logarithm(test)
    total = variance + other
    freedom = (
        total**2 / (variance**2 / (n - 1) + other**2 / (m - 1))
        if total > 0 and min(n, m) > 1
        else min(n, m) - 1
    )
    return _estimate(_DB * (second - first), total, freedom, n + m)


def _logarithm(errors: np.ndarray) -> tuple[float, float, int]:
    """The logarithm of the mean, the variance of that, and the number of images."""
    values = np.asarray(errors, dtype=np.float64)
    average, n = float(values.mean()), len(values)
    if not average > 0:
        return -math.inf, 0.0, n
    return math.log(average), float(values.var(ddof=1)) / n / average**2 if n > 1 else math.inf, n


def _estimate(db: float, variance: float, freedom: float, n: int) -> Estimate:
    if not math.isfinite(db):
        return unavailable("images are denoised without error", n)
    half = (
        float(stats.t.ppf(0.975, freedom)) * _DB * math.sqrt(variance) if freedom > 0 else math.inf
    )
    return Estimate(db, db - half, db + half, n, method="t over images, delta method")
