"""Least values of many functions of a positive number at once: a scan, then a refinement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_SCAN = 60  # values tried in the first scan
_BISECTIONS = 60  # of a cell of the scan: down to rounding
_ZOOMS, _ZOOM = 11, 12  # a minimum is flat: its place is known to about 1e-8, the root of rounding

Function = Callable[[np.ndarray], np.ndarray]


def cell(
    value: Function, low: np.ndarray, high: np.ndarray, points: int = _SCAN
) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of the least of ``points`` values from low > 0 to high, geometric; elementwise."""
    ratio = (high / low) ** (1 / (points - 1))
    least, place = np.full(np.shape(ratio), np.inf), np.zeros(np.shape(ratio))
    for step in range(points):
        found = value(low * ratio**step)
        least, place = np.where(found < least, found, least), np.where(found < least, step, place)
    return low * ratio ** np.maximum(place - 1, 0), low * ratio ** np.minimum(place + 1, points - 1)


def root(slope: Function, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where ``slope``, negative at low > 0 and positive at high, changes its sign."""
    for _ in range(_BISECTIONS):
        middle = np.sqrt(low) * np.sqrt(high)
        rising = slope(middle) > 0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    return np.sqrt(low) * np.sqrt(high)


def argmin(value: Function, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where ``value`` is least between low > 0 and high."""
    low, high = cell(value, low, high)
    for _ in range(_ZOOMS):
        low, high = cell(value, low, high, _ZOOM)
    return np.sqrt(low) * np.sqrt(high)


def recorded_minimum(x: np.ndarray, values: np.ndarray) -> float:
    """Where a curve of records ``values`` (R,) at ``x`` (R,) > 0 is least, by a parabola in ln x
    through the least record and its neighbours; NaN where that record is the first or the last.
    """
    i = int(values.argmin())
    if not 0 < i < len(x) - 1:
        return np.nan
    near = slice(i - 1, i + 2)
    a, b, _ = np.polyfit(np.log(x[near] / x[i]), values[near] - values[i], 2)
    return float(x[i] * np.exp(-b / (2 * a)))


def least_whole(reached: Callable[[int], bool]) -> int:
    """The least whole number of at least 1 from which on ``reached`` is true."""
    high = 1
    while not reached(high):
        high *= 2
    low = high // 2  # not reached, or 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
