"""Novelty has two sides: samples nearer to the training set than real images are copies, samples
farther from it are no images.

A threshold sees the first side alone. With d the distance to the nearest training row,

    nearness = P(d_gen < d_test) + P(d_gen = d_test)/2

is 1 for copies, 1/2 for samples as near as held-out images *on average*, 0 off the data; given the
training set 1/2 is the null at any of its sizes. A mixture of copies and noise reads 1/2 too, so
the two tails stand beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, logit, ndtri
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.metrics.calibrate import beaten
from denoscope.metrics.grouped import count_groups, grouped_share, mean_variance
from denoscope.metrics.protocol import metric
from denoscope.nearest import neighbors, same_space

TAIL = 0.05
"""The share of held-out images that each tail holds."""
REAL_LIKE = (0.02, 0.10)
"""Where both tails of samples lie that are as near as real images, if nearness is 1/2."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Nearness(Estimate):
    """Nearness, and the shares of samples ``near``: nearer than the nearest 5 % of held-out images,
    and ``far``: farther than their farthest 5 %.
    """

    near: Estimate
    far: Estimate

    @property
    def tails(self) -> dict[str, Estimate]:
        """Both tails by name."""
        return {"near": self.near, "far": self.far}

    def json(self) -> dict[str, object]:
        """As an estimate's, with the tails."""
        return {**super().json(), "near": self.near.json(), "far": self.far.json()}


@metric("mann1947", "delong1988", "clopper1934", "donner2012")
def nearness(
    gen: Tensor | np.ndarray, train: Tensor | np.ndarray, test: Tensor | np.ndarray
) -> Nearness:
    """P(a sample is nearer to the training set than a held-out row is), by Euclidean distance: 1
    copying, 1/2 as near as real rows on average, 0 off the data. See :func:`nearness_of`.
    """
    b = same_space(train, train, ("train", "train"))[0]
    near, far = (
        neighbors(same_space(rows, b, (name, "train"))[0], b).distance[:, 0]
        for rows, name in ((gen, "gen"), (test, "test"))
    )
    return nearness_of(near, far)


def nearness_of(
    gen: Tensor,
    test: Tensor,
    *,
    gen_groups: Tensor | None = None,
    test_groups: Tensor | None = None,
    level: float = 0.95,
) -> Nearness:
    """Nearness from distances to the nearest training row, of samples (n,) and held-out rows (m,).

    Interval of DeLong et al. (1988) on the logit scale; where all pairs are decided alike, the end
    1 - .025^(1/min(n, m)). Rows of one label of ``gen_groups`` (n,) or ``test_groups`` (m,) are
    near-identical: the value counts rows, the error groups. The tails' intervals are MOVER (Donner
    and Zou 2012) of the share and of the order statistics that bound the quantile. Fewer than two
    rows of a kind are a ValueError.
    """
    n, m = len(gen), len(test)
    if min(n, m) < 2:
        raise ValueError(
            f"nearness compares at least two samples with two held-out rows, got {n} and {m}"
        )
    wins, losses = beaten(-gen, -test) / m, 1 - beaten(-test, -gen) / n
    value, tail = float(wins.mean()), (1 - level) / 2
    error = mean_variance(wins, gen_groups) + mean_variance(losses, test_groups)
    units = min(count_groups(n, gen_groups), count_groups(m, test_groups))
    method = "DeLong, logit"
    low, high = value * tail ** (1 / units), 1 - (1 - value) * tail ** (1 / units)
    if 0 < value < 1 and error > 0:
        half = float(ndtri(1 - tail)) * math.sqrt(error) / (value * (1 - value))
        low, high = (float(expit(logit(value) + side * half)) for side in (-1, 1))
    near, far = (_tail(side * gen, side * test, gen_groups, level) for side in (1, -1))
    return Nearness(value, low, high, n, level, method, near=near, far=far)


def _tail(gen: Tensor, test: Tensor, groups: Tensor | None, level: float) -> Estimate:
    """The share of samples below the ``TAIL`` quantile of held-out ones, whose expectation is
    ``TAIL`` if both have one law; the quantile lies between two order statistics.
    """
    from scipy.stats import binom  # takes a second to import

    m = len(test)
    below = grouped_share(_below(gen, test, TAIL * (m + 1)), groups, level)
    ends = binom.ppf((1 - level) / 2, m, TAIL), binom.ppf((1 + level) / 2, m, TAIL) + 1
    low, high = (float(_below(gen, test, float(end)).mean()) for end in ends)
    value = below.value
    return Estimate(
        value,
        value - math.hypot(value - below.low, value - min(low, value)),
        value + math.hypot(below.high - value, max(high, value) - value),
        len(gen),
        level,
        f"MOVER of {below.method} and order statistics",
    )


def _below(gen: Tensor, test: Tensor, rank: float) -> Tensor:
    """Whether each sample lies below the held-out value of a rank from 0 (none do) to m + 1 (all
    do), linear between ranks, half where equal, float64 (n,).
    """
    ends = torch.tensor([math.inf], dtype=torch.float64)
    ordered = torch.cat([-ends, test.double().sort().values, ends])
    at, rest = int(rank), rank - int(rank)
    sides = [
        ((gen < value).double() + (gen <= value).double()) / 2
        for value in ordered[[at, min(at + 1, len(ordered) - 1)]]
    ]
    return (1 - rest) * sides[0] + rest * sides[1]
