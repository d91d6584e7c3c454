"""Means of positive units on the logarithm's scale, where a skewed law of units is nearly normal
and no interval falls below 0 (delta method).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from denoscope.estimate import Estimate


class LogMean(NamedTuple):
    """The logarithm of a mean, its variance by the delta method, and the number of units."""

    value: float
    variance: float
    n: int


def log_mean(units: np.ndarray) -> LogMean:
    """The logarithm of the mean of independent ``units`` (n,) of at least 0: -inf of zeros alone;
    one unit has no variance of its own, +inf.
    """
    values = np.asarray(units, dtype=np.float64)
    average, n = float(values.mean()), len(values)
    if not average > 0:
        return LogMean(-math.inf, 0.0, n)
    spread = float(values.var(ddof=1)) / n / average**2 if n > 1 else math.inf
    return LogMean(math.log(average), spread, n)


def root_mean(squares: np.ndarray, level: float = 0.95) -> Estimate:
    """The root of the mean of independent ``squares`` (n,), by t on the logarithm of that mean.

    Simulated cover .93 to .96 from 50 units on, of chi-squared squares and of mixtures alike, where
    t of the mean itself has .92 to .95; where all but a few units are 0 both are too narrow.
    """
    value, variance, n = log_mean(squares)
    root = math.exp(value / 2)
    if not variance > 0:
        return Estimate(root, root, root, n, level, "t, delta method")
    if math.isinf(variance):
        return Estimate(root, 0.0, math.inf, n, level, "t, delta method (one unit)")
    half = float(stdtrit(n - 1, (1 + level) / 2)) * math.sqrt(variance) / 2
    return Estimate(
        root, root * math.exp(-half), root * math.exp(half), n, level, "t, delta method"
    )
