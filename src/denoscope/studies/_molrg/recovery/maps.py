"""The cells of a sweep as success maps: shares of trials over dimension and number of points, with
their exact intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from denoscope.estimate import Estimate, proportion
from denoscope.store import Row
from denoscope.studies._molrg.recovery.column import METHODS, SUCCESS, verdicts

CLUSTERING, TRAINING = METHODS


@dataclass(frozen=True)
class Map:
    """One method at one K: bool arrays (dimensions, counts, trials), of success, of failures below
    the truth's objective, and so on.

    ``free``: success of clustering without the joint constraint; None for training. Cells that were
    not run are absent from ``ran``.
    """

    k: int
    ds: tuple[int, ...]
    counts: tuple[int, ...]
    success: np.ndarray
    below: np.ndarray
    free: np.ndarray | None

    def estimate(self, i: int, j: int) -> Estimate:
        """The share of trials that succeed at dimension i and number of points j."""
        return proportion(int(self.success[i, j].sum()), self.success.shape[2])

    @property
    def share(self) -> np.ndarray:
        """Share of successes, (dimensions, counts)."""
        return self.success.mean(2)

    def at_offset(self, offset: int, which: np.ndarray | None = None) -> Estimate | None:
        """The share of success over all cells with N_k = d + ``offset``, or None where there is
        none.
        """
        of = self.success if which is None else which
        chosen = [
            of[i, self.counts.index(d + offset)]
            for i, d in enumerate(self.ds)
            if d + offset in self.counts
        ]
        return proportion(int(np.sum(chosen)), int(np.size(chosen))) if chosen else None

    def offsets(self) -> list[int]:
        """Every N_k - d that some cell has."""
        return sorted({count - d for d in self.ds for count in self.counts})


@dataclass(frozen=True)
class Pair:
    """Both methods at one K, or the one that was run."""

    k: int
    maps: Mapping[str, Map]

    @property
    def both(self) -> tuple[Map, Map] | None:
        """The two maps, where both were run on the same dimensions."""
        a, b = self.maps.get(CLUSTERING), self.maps.get(TRAINING)
        return (a, b) if a and b and a.ds == b.ds and a.counts == b.counts else None


@dataclass(frozen=True)
class Case:
    """All maps of one noise level and one kind of start."""

    noise: float
    start: str
    pairs: Sequence[Pair]
    rows: Sequence[Row]

    @property
    def name(self) -> str:
        """The noise and the start in words."""
        return f"noise {self.noise:g}" + (", random starts" if self.start == "random" else "")

    @cached_property
    def maps(self) -> list[Map]:
        """Every map, clustering first."""
        return [pair.maps[name] for name in METHODS for pair in self.pairs if name in pair.maps]

    def both(self) -> Iterator[tuple[Map, Map]]:
        """Clustering and training at every K where both were run."""
        return (pair.both for pair in self.pairs if pair.both)


def cases(rows: Sequence[Row]) -> list[Case]:
    """The cells of a sweep by kind of start and noise level, starts at neighbours first."""
    keys = {(str(row.fields["start"]), float(str(row.fields["noise"]))) for row in rows}
    return [
        _case(
            noise,
            start,
            [
                row
                for row in rows
                if row.fields["start"] == start and float(str(row.fields["noise"])) == noise
            ],
        )
        for start, noise in sorted(keys)
    ]


def _case(noise: float, start: str, rows: Sequence[Row]) -> Case:
    pairs = []
    for k in sorted({_whole(row, "k") for row in rows}):
        of_k = [row for row in rows if row.fields["k"] == k]
        named = {name: [row for row in of_k if row.fields["method"] == name] for name in METHODS}
        pairs.append(Pair(k, {name: _map(k, of) for name, of in named.items() if of}))
    return Case(noise, start, pairs, rows)


def _whole(row: Row, name: str) -> int:
    return int(str(row.fields[name]))


def _map(k: int, rows: Sequence[Row]) -> Map:
    rows = sorted(rows, key=lambda row: _whole(row, "d"))
    arrays = [row.arrays() for row in rows]
    found = [verdicts(part["distance"], part["gain"]) for part in arrays]
    free = (
        np.stack([part["free_distance"] <= SUCCESS for part in arrays])
        if "free_distance" in arrays[0]
        else None
    )
    return Map(
        k,
        tuple(_whole(row, "d") for row in rows),
        tuple(int(count) for count in arrays[0]["counts"]),
        np.stack([success for success, _ in found]),
        np.stack([below for _, below in found]),
        free,
    )


@dataclass(frozen=True)
class Agreement:
    """Cells in all, and those whose two exact intervals overlap (``overlap``), and hold each
    other's value too (``mutual``).

    ``same``: the share of instances in which both methods succeed or both fail. ``worst``: (K, d,
    N_k, share by clustering, by training) where they differ most.
    """

    cells: int
    overlap: Estimate
    mutual: Estimate
    same: Estimate
    worst: tuple[int, int, int, float, float]


def agreement(pairs: Sequence[tuple[Map, Map]]) -> Agreement:
    """How well the maps of clustering and of training agree within the binomial intervals of their
    cells.
    """
    overlap = mutual = cells = 0
    worst, largest = (0, 0, 0, 0.0, 0.0), -1.0
    for a, b in pairs:
        for i, j in np.ndindex(a.share.shape):
            one, two = a.estimate(i, j), b.estimate(i, j)
            cells += 1
            overlap += one.low <= two.high and two.low <= one.high
            mutual += one.low <= two.value <= one.high and two.low <= one.value <= two.high
            if abs(one.value - two.value) > largest:
                largest, worst = (
                    abs(one.value - two.value),
                    (a.k, a.ds[i], a.counts[j], one.value, two.value),
                )
    same = sum(int((a.success == b.success).sum()) for a, b in pairs)
    total = sum(a.success.size for a, _ in pairs)
    return Agreement(
        cells, proportion(overlap, cells), proportion(mutual, cells), proportion(same, total), worst
    )
