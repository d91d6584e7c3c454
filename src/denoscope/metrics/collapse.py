"""Whether N/d decides where curves of different dimension d cross: at a collapse log2 N at the
crossing is log2 d plus a constant, so that its slope is 1, and crossings spread over d when they
are counted in N but not when they are counted in N/d.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from denoscope.estimate import Resampled
from denoscope.metrics.crossings import joint, slope, spread


def over_dimensions(crossings: Mapping[int, Resampled]) -> dict[str, Resampled]:
    """Of log2 N at the crossing for each d: ``ratio``, the geometric mean of N/d; and for several d
    the ``power`` of d as which N grows, the ranges over d in octaves ``range_n`` and
    ``range_ratio``, and ``narrowing``, how much wider the second is.
    """
    several, logs = list(crossings.values()), np.log2(list(crossings))
    mean = joint(several, lambda y: (y.T - logs).T.mean(0), rising=True)
    if len(several) == 1:
        return {"ratio": mean.map(np.exp2)}
    in_n, in_ratio = spread(), spread(logs)
    return {
        "ratio": mean.map(np.exp2),
        "power": joint(several, slope(logs)),
        "range_n": joint(several, in_n),
        "range_ratio": joint(several, in_ratio),
        "narrowing": joint(several, lambda y: in_ratio(y) - in_n(y)),
    }


def range_by_chance(crossings: Mapping[int, Resampled]) -> float:
    """The range over d, in octaves, that the spread of runs alone would show, were all crossings
    the same: the median draw; NaN where one d does not cross.
    """
    drawn = np.stack([point.draws for point in crossings.values()])
    drawn = drawn[:, np.isfinite(drawn).all(0)]
    crossed = all(np.isfinite(point.value) for point in crossings.values())
    if not crossed or not drawn.size:
        return float("nan")
    return float(np.median(np.ptp(drawn - np.median(drawn, 1, keepdims=True), axis=0)))
