"""The one failure rate of every statistical test: with correct code a test that uses it fails once in a million fresh seeds."""

from __future__ import annotations

from scipy.stats import norm

FAILURE_RATE = 1e-6


def sigmas() -> float:
    """The two-sided normal quantile of the failure rate: a standard normal exceeds it in absolute value with that probability."""
    return float(norm.isf(FAILURE_RATE / 2))
