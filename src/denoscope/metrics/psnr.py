"""Peak signal-to-noise ratios in dB, for images taken as in [0, 1], peak 1, as in Kadkhodaie et al.
2024.

Our images are in [-1, 1], so in those units noise and errors are half as large: input PSNR is ``-20
log10(sigma/2)``, output PSNR ``-10 log10(MSE/4)`` of the mean squared error over images. Intervals
are those of the MSE by t over images, carried to dB by the slope of the logarithm (delta method).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import stats

from denoscope.estimate import Estimate, unavailable
from denoscope.metrics.log_means import log_mean

_DB = 10 / math.log(10)


def noise_level(db: np.ndarray | float) -> np.ndarray:
    """The noise level sigma of an input PSNR."""
    return 2 * 10 ** (-np.asarray(db) / 20)


def output(errors: np.ndarray, level: float = 0.95) -> Estimate:
    """The output PSNR of images with mean squared errors (images,); not available where all are
    denoised without error.
    """
    value, variance, n = log_mean(errors)
    return _estimate(-_DB * (value - math.log(4)), variance, n - 1, n, level)


def gap(errors: np.ndarray, others: np.ndarray, level: float = 0.95) -> Estimate:
    """Output PSNR of images with mean squared errors ``errors`` (images,) less that of other images
    with ``others``; degrees of freedom as Welch 1947.
    """
    (first, variance, n), (second, other, m) = log_mean(errors), log_mean(others)
    total = variance + other
    welch = total > 0 and min(n, m) > 1
    freedom = total**2 / (variance**2 / (n - 1) + other**2 / (m - 1)) if welch else min(n, m) - 1
    return _estimate(_DB * (second - first), total, freedom, n + m, level)


def gain(errors: np.ndarray, others: np.ndarray, level: float = 0.95) -> Estimate:
    """The same of two denoisers on the same images, paired: both are (images,)."""
    (first, _, n), (second, _, m) = log_mean(errors), log_mean(others)
    if n != m:
        raise ValueError(f"errors on the same images are as many, got {n} and {m}")
    if not math.isfinite(second - first):
        return _estimate(math.nan, 0.0, n - 1, n, level)
    relative = np.asarray(errors) / math.exp(first) - np.asarray(others) / math.exp(second)
    variance = float(relative.var(ddof=1)) / n if n > 1 else math.inf
    return _estimate(_DB * (second - first), variance, n - 1, n, level)


def beyond(errors: np.ndarray, known: np.ndarray, level: float = 0.95) -> Estimate:
    """Output PSNR of images with mean squared errors (images,) less one that is ``known`` (1,)."""
    e, db = output(errors, level), float(np.reshape(known, ()))
    return replace(e, value=e.value - db, low=e.low - db, high=e.high - db)


def _estimate(db: float, variance: float, freedom: float, n: int, level: float) -> Estimate:
    if not math.isfinite(db):
        return unavailable("images are denoised without error", n, level)
    t = float(stats.t.ppf((1 + level) / 2, freedom)) if freedom > 0 else math.inf
    half = t * _DB * math.sqrt(variance) if variance else 0.0
    return Estimate(db, db - half, db + half, n, level, "t over images, delta method")
