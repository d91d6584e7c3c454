"""The delete-block jackknife: intervals for statistics that a bootstrap would spoil by repeating
rows.

The rows of a set are dealt into g blocks at random, the statistic is taken without each block in
turn, and (g - 1)/g sum_b (T_b - mean T)^2 estimates its variance, on average from above (Efron and
Stein 1981). Sets are independent: their variances add. The interval speaks about sets of this size;
a statistic's bias at that size stays in its value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.metrics.partition import content_order
from denoscope.random import generator

BLOCKS = 20


def blocks(x: Tensor, count: int = BLOCKS, *, seed: int = 0) -> Tensor:
    """The block of each row of ``x`` (n, d), int64 (n,): min(count, n) blocks whose sizes differ by
    one at most, dealt at random with ``seed``.

    At random, because files come sorted by class, and to leave out a class is not to leave out a
    sample; in the order of their content, so that the order of rows is of no matter.
    """
    dealt = torch.arange(len(x)) * min(count, len(x)) // max(len(x), 1)
    block = torch.empty_like(dealt)
    block[content_order(x)] = dealt[torch.randperm(len(x), generator=generator(seed))]
    return block.to(x.device)


def _variance(without: Sequence[float]) -> float:
    """(g - 1)/g times the sum of squares about the mean; infinite if one value is, or if there is a
    single block.
    """
    values = np.asarray(without, dtype=np.float64)
    return (
        float(values.var() * (len(values) - 1))
        if len(values) > 1 and np.isfinite(values).all()
        else math.inf
    )


def interval(
    value: float,
    *without: Sequence[float],
    n: int,
    low: float = 0.0,
    high: float = math.inf,
    level: float = 0.95,
) -> Estimate:
    """``value`` with t limits inside [low, high]; each of ``without`` has the values without each
    block of one set.
    """
    freedom = max(1, min(len(values) for values in without) - 1)
    half = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(
        sum(_variance(values) for values in without)
    )
    return Estimate(
        value, max(low, value - half), min(high, value + half), n, level, "delete-block jackknife"
    )
