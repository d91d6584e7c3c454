"""Thresholds from held-out data, and what they can and cannot see.

A threshold chosen and counted on the same images gives its own false alarm rate back, a number that
measures nothing. So the hold-out is halved: one half chooses the threshold, the other half counts
p_test; then the halves change places.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from denoscope.estimate import Estimate, proportion_ratio, unavailable
from denoscope.nearest import features, same_space, unit
from denoscope.random import generator


def upper_quantile(scores: Tensor, alpha: float) -> float:
    """The least threshold that at most floor(alpha n) of the n scores exceed: their 1 - alpha
    quantile, itself a score, or -inf for alpha = 1.
    """
    passing = math.floor(alpha * len(scores) + 1e-9)
    return (
        -math.inf if passing >= len(scores) else float(scores.sort(descending=True).values[passing])
    )


@dataclass(frozen=True)
class Fold:
    """Counts at one threshold: ``copies`` of ``generated`` samples and ``alarms`` among
    ``held_out`` images that did not choose it.
    """

    threshold: float
    copies: int
    generated: int
    alarms: int
    held_out: int

    def generalization(self) -> Estimate:
        """(1 - p_gen)/(1 - p_test) by MOVER-R; not available at p_test = 1."""
        if self.alarms == self.held_out:
            return unavailable(
                "every held-out image passes the threshold: p_test = 1", self.generated
            )
        return proportion_ratio(
            self.generated - self.copies, self.generated, self.held_out - self.alarms, self.held_out
        )


@dataclass(frozen=True)
class CopyRates:
    """Copies beyond the hold-out's own false alarms: two folds, of which estimates are averaged;
    the interval is that of the first.

    ``false_alarm`` is the rate that was used: ``asked``, or 2/n if there are only n < 2/asked
    held-out images.
    """

    folds: tuple[Fold, Fold]
    false_alarm: float
    asked: float

    @property
    def p_gen(self) -> float:
        """The share of generated samples above the threshold, averaged over folds."""
        return sum(fold.copies / fold.generated for fold in self.folds) / 2

    @property
    def p_test(self) -> float:
        """The share of held-out images above the threshold that the other half chose, averaged over
        folds.
        """
        return sum(fold.alarms / fold.held_out for fold in self.folds) / 2

    @cached_property
    def generalization(self) -> Estimate:
        """GLc = (1 - p_gen)/(1 - p_test) = 1 - excess: 0 for a memorizer, expectation 1 for a
        perfect generalizer; it may exceed 1.
        """
        first, second = (fold.generalization() for fold in self.folds)
        for fold in (first, second):
            if math.isnan(fold.value):
                return fold
        value = (first.value + second.value) / 2
        held_out = sum(fold.held_out for fold in self.folds)
        method = f"{first.method}, one of two hold-out folds"
        if self.false_alarm > self.asked:
            method += (
                f"; false alarm rate {self.false_alarm:.3g}, since {held_out} "
                f"held-out images cannot calibrate {self.asked:.3g}"
            )
        return Estimate(
            value, min(first.low, value), max(first.high, value), first.n, first.level, method
        )

    @property
    def excess(self) -> Estimate:
        """(p_gen - p_test)/(1 - p_test)."""
        return self.generalization.complement()

    @property
    def p_value(self) -> float:
        """Fisher's exact one-sided test of p_gen > p_test at the first fold's threshold."""
        fold = self.folds[0]
        return float(fisher(fold.copies, fold.generated, fold.alarms, fold.held_out))

    def detectable(self, power: float = 1.0) -> float:
        """:func:`detectable` for these counts, if a copy passes the threshold with probability
        ``power``.
        """
        return detectable(self.folds[0].generated, self.folds[0].held_out, self.p_test, power=power)


def halves(n: int, seed: int, groups: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The numbers below n in two parts as equal as can be, drawn with ``seed``; of ``groups`` (n,),
    labels of near-duplicates, each stays whole.

    If all are of one group there are no two parts: a ValueError.
    """
    labels = torch.arange(n) if groups is None else groups.unique(return_inverse=True)[1]
    if labels.shape != (n,):
        raise ValueError(
            f"groups needs one label for each of the {n} held-out images, got shape "
            f"{tuple(labels.shape)}"
        )
    sizes = labels.bincount()
    drawn = torch.randperm(len(sizes), generator=generator(seed))
    ends = sizes[drawn].cumsum(0)
    if len(ends) < 2:
        raise ValueError(
            "the held-out images are all near-duplicates of one another: there is "
            "nothing to calibrate with"
        )
    first = int((ends[:-1] - n // 2).abs().argmin()) + 1
    order = torch.argsort(drawn.argsort()[labels], stable=True)
    return order[: int(ends[first - 1])], order[int(ends[first - 1]) :]


def least_rate(n: int, parts: tuple[Tensor, Tensor]) -> float:
    """The smallest false alarm rate that both parts of n held-out images can calibrate: 2/n if they
    are halves.
    """
    return 1 / min(n / 2, *(len(part) + n % 2 / 2 for part in parts))


def copy_rates(
    gen_similarity: Tensor,
    test_similarity: Tensor,
    *,
    false_alarm: float = 0.05,
    groups: Tensor | None = None,
    seed: int = 0,
) -> CopyRates:
    """Rates of copies from the nearest-training similarity of generated samples (n,) and of
    held-out images (m,).

    Any score will do that is larger for copies. ``groups`` int64 (m,): held-out images of one label
    are near-duplicates, which stay on one side of the calibration. Fewer than 4 held-out images,
    and a rate outside (0, 1), are a ValueError.
    """
    n = len(test_similarity)
    if n < 4 or not len(gen_similarity):
        raise ValueError(
            "calibration needs at least 4 held-out images and a generated sample, got "
            f"{n} and {len(gen_similarity)}"
        )
    if not 0 < false_alarm < 1:
        raise ValueError(f"false_alarm is a rate between 0 and 1, got {false_alarm}")
    parts = halves(n, seed, groups)
    used = max(false_alarm, least_rate(n, parts))

    def fold(choosing: Tensor, counting: Tensor) -> Fold:
        threshold = upper_quantile(test_similarity[choosing], used)
        copies, alarms = (
            int((gen_similarity > threshold).sum()),
            int((test_similarity[counting] > threshold).sum()),
        )
        return Fold(threshold, copies, len(gen_similarity), alarms, len(counting))

    return CopyRates((fold(*parts), fold(*parts[::-1])), used, false_alarm)


def fisher(
    copies: np.ndarray | int, generated: int, alarms: np.ndarray | int, held_out: int
) -> np.ndarray:
    """Fisher's exact one-sided p-value of ``copies`` of ``generated`` beside ``alarms`` of
    ``held_out``: as many copies or more, given the total.
    """
    from scipy.stats import hypergeom  # takes a second to import

    return hypergeom.sf(
        np.asarray(copies) - 1, generated + held_out, np.asarray(copies) + alarms, generated
    )


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where ``function`` changes sign between ``low`` and ``high``."""
    from scipy.optimize import brentq  # takes half a second to import

    return float(brentq(function, low, high, xtol=1e-9))  # pyright: ignore[reportArgumentType]


def detectable(
    generated: int,
    held_out: int,
    p_test: float,
    *,
    power: float = 1.0,
    chance: float = 0.8,
    alpha: float = 0.05,
) -> float:
    """The smallest share of copies that Fisher's test at ``alpha`` finds with probability
    ``chance``; infinity if none.

    Samples pass the threshold at p_test + c (power - p_test), c the share of copies, ``power`` the
    chance that a copy passes.
    """
    from scipy.stats import binom

    alarms = np.arange(held_out + 1)
    weight = binom.pmf(alarms, held_out, p_test)
    alarms, weight = alarms[weight > 1e-9], weight[weight > 1e-9]
    low, high = (
        np.zeros(len(alarms), int),
        np.full(len(alarms), generated + 1),
    )  # the least count of copies that is significant
    while (low < high).any():
        middle = (low + high) // 2
        significant = fisher(middle, generated, alarms, held_out) <= alpha
        low, high = (
            np.where(significant, low, np.minimum(middle + 1, high)),
            np.where(significant, middle, high),
        )

    def shortfall(share: float) -> float:
        return chance - float(
            weight @ binom.sf(high - 1, generated, p_test + share * (power - p_test))
        )

    if power <= p_test or shortfall(1.0) > 0:
        return math.inf
    return _root(shortfall, 0.0, 1.0) if shortfall(0.0) > 0 else 0.0


def beaten(first: Tensor, second: Tensor) -> Tensor:
    """How many of ``second`` (m,) each of ``first`` (n,) is above, and half of those that equal it,
    float64 (n,).
    """
    ordered = second.double().sort().values
    sides = (torch.searchsorted(ordered, first.double(), right=right) for right in (False, True))
    return torch.stack(list(sides)).sum(0).double() / 2


def wins(first: Tensor, second: Tensor) -> float:
    """Mann and Whitney's U: the pairs in which a score of the first is above one of the second."""
    return float(beaten(first, second).sum())


def auc(
    positive: Tensor, negative: Tensor, level: float = 0.95, *, units: int | None = None
) -> Estimate:
    """P(positive > negative) + P(equal)/2, with the interval of all values whose Hanley-McNeil
    error reaches the estimate (Newcombe 2006).

    ``units``: the positive scores come from only so many independent images, and the interval
    counts these.
    """
    n = len(negative)
    if not len(positive) or not n:
        raise ValueError(f"an AUC needs scores of both kinds, got {len(positive)} and {n}")
    value, m = wins(positive, negative) / (len(positive) * n), units or len(positive)
    z = float(ndtri((1 + level) / 2))

    def error(theta: float) -> float:
        first, second = theta / (2 - theta) - theta**2, 2 * theta**2 / (1 + theta) - theta**2
        return z * math.sqrt(
            max(0.0, theta * (1 - theta) + (m - 1) * first + (n - 1) * second) / (m * n)
        )

    inside = min(
        max(value, 1e-9), 1 - 1e-9
    )  # the error is 0 at both ends, which is not the root that is meant
    low = 0.0 if value == 0 else _root(lambda theta: value - theta - error(theta), 0.0, inside)
    high = 1.0 if value == 1 else _root(lambda theta: theta - value - error(theta), inside, 1.0)
    return Estimate(value, low, high, min(m, n), level, "Hanley-McNeil, inverted (Newcombe 2006)")


def cosine_blocks(first: Tensor, second: Tensor, rows: int = 512) -> Iterator[tuple[int, Tensor]]:
    """The cosine matrix of all pairs in float64, as (first row, block of rows), so that it is never
    whole in memory.
    """
    a, b = (unit(x) for x in same_space(first, second, ("first", "second")))
    for start in range(0, len(a), rows):
        yield start, a[start : start + rows] @ b.T


def pair_threshold(
    x: Tensor | np.ndarray, quantile: float = 0.99, *, name: str = "features"
) -> float:
    """The least cosine similarity that at most a share 1 - ``quantile`` of all pairs of distinct
    rows exceed, exactly.

    Passes over all pairs narrow the interval that holds it, until the pairs inside can be sorted;
    memory grows with the rows only.
    """
    x = features(x, name)
    pairs = len(x) * (len(x) - 1) // 2
    if not pairs or not 0 < quantile < 1:
        raise ValueError(
            "a pair threshold needs at least two rows and a quantile between 0 and 1, "
            f"got {len(x)} and {quantile}"
        )
    below = (
        pairs - 1 - math.floor((1 - quantile) * pairs + 1e-9)
    )  # the answer has this many pairs before it in order

    def values() -> Iterator[Tensor]:
        for start, block in cosine_blocks(x, x):
            yield block[torch.ones_like(block, dtype=torch.bool).triu_(start + 1)]

    low, high, bins = -1.5, 1.5, 4096
    while True:
        edges = torch.linspace(low, high, bins + 1, dtype=torch.float64)
        counts = torch.zeros(bins, dtype=torch.int64)
        for block in values():
            inside = block[(block >= low) & (block < high)].cpu()
            counts += torch.bincount(
                torch.bucketize(inside, edges[1:-1], right=True), minlength=bins
            )
        position = int((counts.cumsum(0) <= below).sum())
        below -= int(counts[:position].sum())
        low, high = float(edges[position]), float(edges[position + 1])
        if counts[position] <= 1 << 22 or high - low < 1e-12:
            break
    inside = torch.cat([block[(block >= low) & (block < high)] for block in values()])
    return float(inside.sort().values[below])
