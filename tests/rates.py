"""The one failure rate of every statistical test: with correct code a test that uses it fails once
in a million fresh seeds.
"""

from __future__ import annotations

from scipy.stats import norm

FAILURE_RATE = 1e-6


def sigmas(comparisons: int = 1) -> float:
    """The two-sided normal quantile: with this many standard normals one exceeds it in absolute
    value at most at the failure rate.
    """
    return float(norm.isf(FAILURE_RATE / comparisons / 2))
