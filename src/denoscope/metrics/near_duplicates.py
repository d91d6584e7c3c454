"""A training set among itself: one pass over all pairs of rows, of which everything else is
made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from denoscope.data.duplicates import components
from denoscope.metrics.distinct_neighbors import PAIRS, outside
from denoscope.nearest import Neighbors, neighbors, within

KEPT = 4
"""Nearest rows that are found at once: where everything is there twice, itself apart, a row, its
double and another one.
"""


@dataclass(frozen=True, eq=False)
class SelfNeighbors:
    """The few nearest *other* rows of each row, ``found`` (n, k), ties with the lowest index
    first.
    """

    found: Neighbors

    @staticmethod
    def of(rows: Tensor) -> SelfNeighbors:
        """The pass itself; fewer than two rows are a ValueError."""
        if len(rows) < 2:
            raise ValueError(
                f"at least 2 rows are needed to compare them with one another, got {len(rows)}"
            )
        return SelfNeighbors(neighbors(rows, rows, min(KEPT, len(rows) - 1), exclude_self=True))

    def __len__(self) -> int:
        return len(self.found.index)

    @property
    def nearest(self) -> Tensor:
        """The distance to the nearest other row, float64 (n,)."""
        return self.found.distance[:, 0].double()

    @property
    def rival(self) -> Tensor:
        """How far the nearest other row of each row is from its own nearest other row, that row
        itself aside; infinite where there is none.

        A row nearer than this to its nearest is as near to it as the training set goes: the control
        of authenticity.
        """
        distance, index = self.found.distance.double(), self.found.index
        here, near = torch.arange(len(self)), index[:, 0]
        others = distance[near].where(index[near] != here[:, None], torch.inf)
        return others.amin(1)

    @cached_property
    def first(self) -> Tensor:
        """The first row equal to each row, int64 (n,): itself where nothing before it is the
        same.
        """
        here = torch.arange(len(self))
        return here.where(self.nearest > 0, self.found.index[:, 0].minimum(here))

    @cached_property
    def distinct(self) -> Tensor:
        """The rows that repeat none before them, int64."""
        return (self.first == torch.arange(len(self))).nonzero()[:, 0]

    def apart(self, rows: Tensor) -> Tensor:
        """The distance of each distinct row to the nearest row of other content, float64; empty if
        all are equal.
        """
        known = self.found.distance[self.distinct].double()
        apart = known.where(known > 0, torch.inf).amin(1)
        left = apart.isinf().nonzero()[:, 0]
        for part in left.split(max(1, PAIRS // len(self))):
            same = rows[self.distinct[part]]
            apart[part], _ = outside(same, rows, within(same, rows, 0.0))
        return apart[apart.isfinite()]

    def near(self, rows: Tensor, spacing: float | Tensor) -> NearDuplicates:
        """The rows nearer to one another than ``spacing``, one number or one per row, or equal."""
        reach = torch.as_tensor(spacing, dtype=torch.float64).expand(len(self))
        listed = (self.found.distance.double() < reach[:, None]) | (self.found.distance == 0)
        full = listed.all(1) & (
            listed.shape[1] < len(self) - 1
        )  # there may be more than the list has room for
        counts = listed.sum(1)
        i, j = (listed & ~full[:, None]).nonzero().T
        cluster = _merged(torch.arange(len(self)), i, self.found.index[i, j])
        more = full.nonzero()[:, 0]
        for part in more.split(max(1, PAIRS // len(self))):
            i, j = within(rows[part], rows, reach[part]).T
            counts[part] = i.bincount(minlength=len(part)) - 1  # itself
            cluster = _merged(cluster, part[i], j)
        return NearDuplicates(counts, torch.where(counts > 0, cluster, -1), int(counts.sum()) // 2)


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Of n rows: ``counts`` of near-duplicates of each and the connected component ``cluster`` it
    is in, -1 if it has none, both int64 (n,); ``links`` is the number of pairs.
    """

    counts: Tensor
    cluster: Tensor
    links: int

    @property
    def groups(self) -> Tensor:
        """A label for every row, int64 (n,): that of its cluster, its own for a row that has
        none.
        """
        alone = torch.arange(len(self.cluster)) + len(self.cluster)
        return self.cluster.where(self.cluster >= 0, alone)

    @property
    def largest(self) -> int:
        """Rows in the largest cluster, 0 if there is none."""
        inside = self.cluster[self.cluster >= 0]
        return int(inside.bincount().max()) if len(inside) else 0


def near_duplicate_distance(
    train: Tensor, pairs: SelfNeighbors, quantile: float, *, held_out: Tensor | None = None
) -> float:
    """The distance below which two training rows count as near-duplicates: a ``quantile`` of
    distances to the nearest training row.

    Those of held-out rows (n,) where they are known, since duplicates within the training set do
    not draw these down; else those between training rows of distinct content. 0, exact duplicates
    alone, for quantile 0 or fewer than three distances.
    """
    apart = pairs.apart(train) if held_out is None else held_out
    apart = apart[apart > 0]
    if quantile == 0 or len(apart) < 3:
        return 0.0
    return float(np.quantile(apart.double().numpy(), quantile))


def _merged(labels: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Components after the components ``labels``, numbers below n, of n nodes were joined by the
    edges (i, j).
    """
    return components(len(labels), torch.stack([labels[i], labels[j]], 1))[labels]
