"""Rows that were not drawn one by one: near-identical samples of a collapsed generator, shots of
one recording. Values count rows, errors count groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class Share:
    """A share ``value`` of ``n`` rows that are worth ``rows`` independent ones."""

    value: float
    rows: float
    n: int

    @staticmethod
    def of(values: Tensor, groups: Tensor | None = None) -> Share:
        """The mean of ``values`` (n,) in [0, 1]; its rows are n over the design effect of the
        groups (Korn and Graubard 1998), never more than n.

        Where all values are 0, or all 1, each group counts once.
        """
        n, count = len(values), count_groups(len(values), groups)
        value = min(1.0, float(values.double().mean()))
        if count == n:
            return Share(value, n, n)
        if not 0 < value < 1 or count < 2:
            return Share(value, count, n)
        t = [float(stdtrit(k - 1, 0.975)) for k in (n, count)]
        alone = value * (1 - value) / (n - 1)
        effective = n * (t[0] / t[1]) ** 2 * alone / mean_variance(values, groups)
        return Share(value, min(float(n), max(1.0, effective)), n)

    def at(self, level: float = 0.95) -> Estimate:
        """With the exact interval of so many rows."""
        found = proportion(self.value * self.rows, self.rows, level)
        method = found.method + ("" if self.rows == self.n else f", {self.rows:.3g} rows' worth")
        return replace(found, value=self.value, n=self.n, method=method)

    @property
    def counts(self) -> tuple[float, float]:
        """How many of how many independent rows."""
        return self.value * self.rows, self.rows

    def times(self, factor: float) -> Share:
        """The same share of so many times as many rows."""
        return replace(self, rows=factor * self.rows, n=round(factor * self.n))


def grouped_share(values: Tensor, groups: Tensor | None = None, level: float = 0.95) -> Estimate:
    """The mean of ``values`` (n,) in [0, 1] with the interval that its groups leave: see
    :class:`Share`.
    """
    return Share.of(values, groups).at(level)
