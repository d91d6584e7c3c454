"""How many samples reach the level, and how that number grows.

N is where the mean excess over draws falls below the level and stays there, between two sizes on
the log-log line, rounded up. Intervals are percentiles over bootstrap resamples of the draws. Where
the largest size does not reach the level N is +inf: a lower bound is all that was measured, and
growth is fitted without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from denoscope.estimate import Estimate, percentiles, unavailable
from denoscope.studies._linear.by_size import falls_below

RESAMPLES = 300
METHOD = "percentile bootstrap over draws"

Law = Literal["linear", "exponential", "power"]


@dataclass(frozen=True, eq=False)
class Needed:
    """The samples needed with their interval, what resamples of the draws say (r,), the largest
    size tried, and the mean excess there.
    """

    estimate: Estimate
    resampled: np.ndarray
    largest: int
    least: float

    @property
    def value(self) -> float:
        return self.estimate.value

    @property
    def reached(self) -> bool:
        return math.isfinite(self.value)

    def __str__(self) -> str:
        if not self.reached:
            return f"more than {self.largest}"
        high = (
            f"{self.estimate.high:.0f}"
            if math.isfinite(self.estimate.high)
            else f"above {self.largest}"
        )
        return f"{self.value:.0f} [{self.estimate.low:.0f}, {high}]"


def needed(sizes: np.ndarray, errors: np.ndarray, level: float) -> Needed:
    """The samples needed, from excesses ``errors`` (sizes, draws); a first size that is below the
    level already counts as needed.
    """
    count = errors.shape[1]
    picks = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    picks.sort(axis=1)
    distinct, inverse = np.unique(picks, axis=0, return_inverse=True)
    each = np.array([_crossing(sizes, errors[:, rows].mean(1), level) for rows in distinct])
    resampled = each[inverse.ravel()]
    mean = errors.mean(1)
    return Needed(
        percentiles(_crossing(sizes, mean, level), resampled, count, method=METHOD),
        resampled,
        int(sizes[-1]),
        float(mean[-1]),
    )


def _crossing(sizes: np.ndarray, errors: np.ndarray, level: float) -> float:
    found = falls_below(sizes, errors, level)
    return (
        found
        if found == math.inf
        else float(max(sizes[0], math.ceil(found - 1e-9) if found > 0 else 0))
    )


@dataclass(frozen=True)
class Growth:
    """A law fitted to N against a dimension: its slope and intercept, and ``miss``, the rms of
    fitted N over N less 1.
    """

    slope: Estimate
    intercept: float
    miss: float
    points: int


def growth(law: Law, dimensions: Sequence[int], points: Sequence[Needed]) -> Growth:
    """A law fitted to the points that reached the level, the slope's interval over resamples of the
    draws; it needs three of them.

    "linear" is N = a + b d by least squares of relative errors; "exponential" is ln N = a + b d and
    "power" ln N = a + b ln d.
    """
    reached = [(value, point) for value, point in zip(dimensions, points) if point.reached]
    if len(reached) < 3:
        reason = f"{len(reached)} of {len(points)} points reached the level, a slope needs 3"
        return Growth(unavailable(reason), math.nan, math.inf, len(reached))
    at = np.array([float(value) for value, _ in reached])
    slope, intercept, miss = _fit(law, at, np.array([point.value for _, point in reached]))
    drawn = [
        _fit(law, at, values)[0]
        for values in np.stack([point.resampled for _, point in reached], 1)
    ]
    return Growth(
        percentiles(slope, drawn, len(reached), method=METHOD), intercept, miss, len(reached)
    )


def _fit(law: Law, at: np.ndarray, counts: np.ndarray) -> tuple[float, float, float]:
    """Slope, intercept and miss, resamples that did not reach the level left out; fewer than two
    others leave the slope open.
    """
    kept = np.isfinite(counts)
    if kept.sum() < 2:
        return math.inf, math.nan, math.nan
    at, counts = at[kept], counts[kept]
    design = np.stack([np.log(at) if law == "power" else at, np.ones(len(at))], 1)
    scale, target = (
        (counts[:, None], np.ones(len(at))) if law == "linear" else (1.0, np.log(counts))
    )
    found, *_ = np.linalg.lstsq(design / scale, target, rcond=None)
    fitted = design @ found if law == "linear" else np.exp(design @ found)
    return float(found[0]), float(found[1]), float(np.sqrt(np.mean((fitted / counts - 1) ** 2)))
