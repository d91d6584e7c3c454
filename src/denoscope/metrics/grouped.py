"""Rows that were not drawn one by one: near-identical samples of a collapsed generator, shots of
one recording. Values count rows, errors count groups.
"""

from __future__ import annotations

import math

import torch
from scipy.special import stdtrit
from torch import Tensor

from denoscope.estimate import Estimate, proportion


def count_groups(n: int, groups: Tensor | None) -> int:
    """How many groups n rows are; without labels each is its own."""
    return n if groups is None else len(groups.unique())


def mean_variance(values: Tensor, groups: Tensor | None = None) -> float:
    """The squared error of the mean of ``values`` (n,), rows of one label drawn together: that of a
    ratio estimator (Cochran 1977); infinite for a single group.
    """
    if groups is None:
        groups = torch.arange(len(values))
    label = groups.unique(return_inverse=True)[1]
    apart = values.double() - values.double().mean()
    sums = torch.zeros(int(label.max()) + 1, dtype=torch.float64).index_add_(0, label, apart)
    count = len(sums)
    if count < 2:
        return math.inf
    return count / (count - 1) * float(sums.square().sum()) / len(values) ** 2


def grouped_share(values: Tensor, groups: Tensor | None = None, level: float = 0.95) -> Estimate:
    """The mean of ``values`` (n,) in [0, 1], exact at the effective number of rows (Korn and
    Graubard 1998): n over the design effect of the groups, never more than n.

    Where all values are 0, or all 1, each group counts once.
    """
    n, count = len(values), count_groups(len(values), groups)
    value = float(values.double().mean())
    if count == n:
        rows = float(n)
    elif not 0 < value < 1 or count < 2:
        rows = float(count)
    else:
        t = [float(stdtrit(k - 1, (1 + level) / 2)) for k in (n, count)]
        alone = value * (1 - value) / (n - 1)
        rows = min(float(n), n * (t[0] / t[1]) ** 2 * alone / mean_variance(values, groups))
    exact = proportion(value * rows, rows, level)
    method = exact.method if count == n else f"{exact.method}, {count} groups of near-identical"
    return Estimate(value, exact.low, exact.high, n, level, method)
