"""The median of independent values with its exact, distribution-free interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from denoscope.estimate import Estimate


def median(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Estimate:
    """The median with the interval between two order statistics, at least ``level`` where 6 values or more make that possible.

    Fewer give their extremes, and the estimate's own ``level`` says what these cover: 1 - 2^(1 - n) of n values. None is a ValueError.
    """
    data = np.sort(np.asarray(values, dtype=np.float64).ravel())
    if not data.size:
        raise ValueError("the median of no values is undefined")
    skipped = max(0, int(stats.binom.ppf((1 - level) / 2, data.size, 0.5)) - 1)
    covered = 1 - 2 * float(stats.binom.cdf(skipped, data.size, 0.5))
    return Estimate(
        float(np.median(data)), float(data[skipped]), float(data[-1 - skipped]), data.size, max(0.0, covered), "order statistics"
    )
