"""The kernel distance between generated and real features: an unbiased squared maximum mean discrepancy.

With k(x, y) = (x.y/d + 1)³, MMD² = E k(x, x') + E k(y, y') - 2 E k(x, y); every mean is over pairs of distinct rows, so equal laws have
expectation 0 and single values may be negative. All pairs are summed, tile by tile; nothing is subsampled.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.metrics.jackknife import blocks
from denoscope.metrics.protocol import metric
from denoscope.nearest import same_space
from denoscope.random import derive

_ROWS = 1024
_BLOCKS = 10  # t quantile times sqrt(blocks), the width where laws are equal, has its flat least near here


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x.y/d + 1)³ of all pairs."""
    base = (x.double() @ y.double().T).div_(x.shape[1]).add_(1)
    return base.square().mul_(base)


def _across(x: Tensor, y: Tensor) -> float:
    """The mean of k over all pairs of a row of ``x`` and a row of ``y``."""
    return sum(float(_kernel(rows, others).sum()) for rows in x.split(_ROWS) for others in y.split(_ROWS)) / (len(x) * len(y))


def _among(x: Tensor) -> float:
    """The mean of k over all pairs of two distinct rows of ``x``."""
    parts = x.split(_ROWS)
    beside = sum(float(_kernel(rows, others).sum()) for i, rows in enumerate(parts) for others in parts[i + 1 :])
    within = sum(float(_kernel(rows, rows).fill_diagonal_(0).sum()) for rows in parts)
    return (2 * beside + within) / (len(x) * (len(x) - 1))


def _discrepancy(x: Tensor, y: Tensor) -> float:
    return _among(x) + _among(y) - 2 * _across(x, y)


@metric("binkowski2018", "zaremba2013")
def kernel(gen: Tensor | np.ndarray, real: Tensor | np.ndarray, *, seed: int = 0) -> Estimate:
    """The unbiased MMD² with the kernel (x.y/d + 1)³ over all pairs, known as KID (Bińkowski et al. 2018, equation 4).

    Its interval comes from the block statistic of Zaremba et al. (2013): rows dealt with ``seed`` into up to 10 blocks of at least 2 of
    each set, one independent MMD² a block, t limits of their mean. The value, the mean over all ways of dealing, varies less than the mean
    of one: the interval is conservative, and wide where both laws are equal. Fewer than 2 rows are a ValueError.
    """
    x, y = same_space(gen, real, ("gen", "real"))
    for rows, name in ((x, "gen"), (y, "real")):
        if len(rows) < 2:
            raise ValueError(f"a kernel distance needs at least 2 rows, {name} has {len(rows)}")
    value, count = _discrepancy(x, y), min(_BLOCKS, len(x) // 2, len(y) // 2)
    of_x, of_y = (blocks(rows, count, seed=derive(seed, place)) for place, rows in enumerate((x, y)))
    values = np.array([_discrepancy(x[of_x == index], y[of_y == index]) for index in range(count)])
    half = float(stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / math.sqrt(count)) if count > 1 else math.inf
    return Estimate(value, value - half, value + half, len(x), 0.95, f"block U-statistic, {count} blocks")
