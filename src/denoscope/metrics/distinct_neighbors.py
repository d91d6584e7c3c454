"""The search for the nearest row that is no near-duplicate of the nearest.

The few nearest rows of each row decide almost always; some more the rest; and where even these all
repeat one image (which was there very often), its near-duplicates are all found and left out of the
search.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.nearest import Neighbors, distances, neighbors, within

_MORE = 32
PAIRS = 1 << 23
"""Pairs that are left out at once."""
_OWN = 1 / 3

Found = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class DistinctNeighborSearch:
    """Distances and index of the nearest row, and the distance of the nearest that is no
    near-duplicate of it; ``exclude_self``: query is train, row by row.
    """

    query: Tensor
    train: Tensor
    spacing: float
    exclude_self: bool

    def solve(self, known: Neighbors) -> Found:
        """Nearest distance (n,), its index, second distance, from some nearest rows that are
        ``known``; infinite where there is none.
        """
        found, left = self._listed(known)
        more = min(_MORE, len(self.train) - self.exclude_self)
        if len(left) and more > known.index.shape[1]:
            better, still = self._listed(
                neighbors(self.query[left], self.train, more, exclude=self._selves(left))
            )
            _put(found, left, better)
            left = left[still]
        for rows in left.split(max(1, PAIRS // len(self.train))):
            _put(found, rows, self._whole(rows))
        return found

    def _selves(self, rows: Tensor) -> Tensor | None:
        return (
            torch.stack([torch.arange(len(rows), device=rows.device), rows], 1)
            if self.exclude_self
            else None
        )

    def _listed(self, known: Neighbors) -> tuple[Found, Tensor]:
        """What lists of nearest rows decide, and the rows that they do not."""
        distance, index = known.distance.double(), known.index
        at = self._first(distance)
        second = torch.full_like(at, -1)
        for place in range(1, distance.shape[1]):
            rows = ((second < 0) & (at >= 0) & (at < place)).nonzero()[:, 0]
            apart = distances(
                self.train, index[rows, at[rows]], self.train, index[rows, place], "euclidean"
            ).double()
            second[rows[(apart >= self.spacing) & (apart > 0)]] = place
        here = torch.arange(len(at), device=at.device)
        return (distance[here, at], index[here, at], distance[here, second]), (
            second < 0
        ).nonzero()[:, 0]

    def _first(self, distance: Tensor) -> Tensor:
        """The place of the nearest row that counts, -1 if it is not in the list."""
        if not self.exclude_self:
            return torch.zeros(len(distance), dtype=torch.int64, device=distance.device)
        beyond = (distance >= self.spacing) & (distance > 0)
        radius = self._radius(distance.where(beyond, math.inf).amin(1))
        counts = (distance >= radius[:, None]) & (distance > 0)
        return counts.int().argmax(1).where(beyond.any(1), -1)

    def _radius(self, beyond: Tensor) -> Tensor:
        """Below it lie a row's own near-duplicates, if ``beyond`` is the distance of the nearest
        row beyond the spacing.
        """
        return (_OWN * beyond).clamp_max(self.spacing)

    def _whole(self, rows: Tensor) -> Found:
        """The same for rows whose near-duplicates are many."""
        query = self.query[rows]
        skipped = torch.empty(0, 2, dtype=torch.int64, device=rows.device)
        if self.exclude_self:
            beyond, _ = outside(query, self.train, within(query, self.train, self.spacing))
            skipped = within(query, self.train, self._radius(beyond))
            selves = torch.stack([torch.arange(len(rows), device=rows.device), rows], 1)
            skipped = torch.cat([skipped, selves]).unique(dim=0)
        nearest, index = outside(query, self.train, skipped)
        centres, place = index.clamp_min(0).unique(return_inverse=True)
        alike = within(self.train[centres], self.train, self.spacing)
        members, columns = _expanded(alike, len(centres), place)
        both = torch.cat([skipped, torch.stack([members, columns], 1)])
        both = (both[:, 0] * len(self.train) + both[:, 1]).unique()
        second, _ = outside(
            query, self.train, torch.stack([both // len(self.train), both % len(self.train)], 1)
        )
        return nearest, index, second


def _put(found: Found, rows: Tensor, better: Found) -> None:
    for whole, part in zip(found, better):
        whole[rows] = part


def outside(query: Tensor, bank: Tensor, skipped: Tensor) -> tuple[Tensor, Tensor]:
    """Distance and index of the nearest bank row that is not skipped; infinity and -1 where all
    are.
    """
    offered = len(bank) - skipped[:, 0].bincount(minlength=len(query))
    rows = (offered > 0).nonzero()[:, 0]
    place = torch.full_like(offered, -1)
    place[rows] = torch.arange(len(rows), device=rows.device)
    pairs = torch.stack([place[skipped[:, 0]], skipped[:, 1]], 1)
    near = neighbors(query[rows], bank, 1, exclude=pairs[pairs[:, 0] >= 0])
    distance, index = (
        query.new_full((len(query),), math.inf, dtype=torch.float64),
        torch.full_like(offered, -1),
    )
    distance[rows], index[rows] = near.distance[:, 0].double(), near.index[:, 0]
    return distance, index


def _expanded(alike: Tensor, centres: int, place: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs (row, near-duplicate of its centre) from the pairs (centre, member) in order and
    the centre of each row.
    """
    sizes = alike[:, 0].bincount(minlength=centres)
    counts = sizes[place]
    rows = torch.arange(len(place), device=place.device).repeat_interleave(counts)
    offset = torch.arange(len(rows), device=place.device) - (counts.cumsum(0) - counts)[rows]
    return rows, alike[(sizes.cumsum(0) - sizes)[place][rows] + offset, 1]
