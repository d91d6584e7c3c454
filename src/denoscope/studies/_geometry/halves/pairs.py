"""Pairs of models from the same noises at the same points: disjoint halves, two seeds of one half,
or two models that were given.

Cosines are of images less their own mean, unless called plain. Every mean is first taken over the
pairs of a kind, which share noises and points, then by t over these: intervals are for these models
and say nothing of training others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import torch

from denoscope.describe import Pixels
from denoscope.estimate import Estimate, mean, paired
from denoscope.metrics import paired_similarity
from denoscope.store import Row
from denoscope.studies._geometry.groups import Group, grouped, is_file
from denoscope.studies._geometry.halves.bases import overlap
from denoscope.studies._geometry.halves.measuring import HARMONIC, unsigned
from denoscope.studies._geometry.halves.psnr import at

Member = dict[str, np.ndarray]
KINDS = {"halves": "disjoint halves", "seeds": "two seeds of one half", "given": "two given models"}


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of one ``kind`` among models of one training size ``n`` and width, called
    ``label``; arrays of both members of each.
    """

    kind: str
    label: str
    n: int
    width: int
    shape: tuple[int, ...]
    members: Sequence[tuple[Member, Member]]

    def cosines(self, ending: str = "") -> np.ndarray:
        """Of the two samples from each noise, (pairs, noises); ``ending`` _NAME puts a closed form
        in the models' place.
        """
        return self._over(
            lambda a, b: paired_similarity(*(self._pixels(m, ending) for m in (a, b))).numpy()
        )

    def plain(self) -> np.ndarray:
        """The same of images in [0, 1] as they are."""
        return self._over(
            lambda a, b: paired_similarity(
                *(unsigned(torch.from_numpy(m["samples"])) for m in (a, b))
            ).numpy()
        )

    def nearest(self, name: str = "similarity") -> np.ndarray:
        """Cosine of each member's sample with its nearest training image, averaged over the two
        members, (pairs, noises).
        """
        return self._over(lambda a, b: (a[name] + b[name]) / 2)

    def closer(self) -> np.ndarray:
        """Whether a sample is more like the other member's than like any of its own training
        images, averaged over both, (pairs, noises).
        """
        return np.mean(
            [
                self.cosines() > np.stack([pair[i]["similarity"] for pair in self.members])
                for i in (0, 1)
            ],
            0,
        )

    def overlaps(self, name: str = "vectors") -> np.ndarray:
        """Of the leading subspaces of the two at each point, (pairs, points)."""
        return self._over(lambda a, b: overlap(a[name], b[name]))

    def distances(self, name: str = "answers") -> list[Estimate]:
        """Root mean squared difference a number of the two denoisers at unseen noisy points, one a
        level.
        """
        tables = self._over(
            lambda a, b: np.sqrt(np.square(a[name] - b[name]).mean(-1, dtype=np.float64))
        )
        return [mean(row) for row in tables.mean(0)]

    @cached_property
    def unlike(self) -> np.ndarray:
        """Cosines of one model's samples with the other's from *other* noises, (pairs, noises
        (noises - 1)): the chance level.
        """
        return self._over(lambda a, b: _off_diagonal(self._pixels(a), self._pixels(b)))

    @cached_property
    def agreement(self) -> Estimate:
        """Mean cosine of the two samples."""
        return averaged(self.cosines())

    @cached_property
    def likeness(self) -> Estimate:
        """Mean cosine with the nearest training image."""
        return averaged(self.nearest())

    @cached_property
    def advantage(self) -> Estimate:
        """The first less the second, noise by noise."""
        return paired(self.cosines().mean(0), self.nearest().mean(0))

    @cached_property
    def shared(self) -> Estimate:
        """Mean overlap of the leading subspaces."""
        return averaged(self.overlaps())

    @cached_property
    def apart(self) -> Estimate:
        """The difference of the denoisers at the level of the harmonics."""
        return self.distances()[at(HARMONIC)]

    def _over(self, ask: Callable[[Member, Member], np.ndarray]) -> np.ndarray:
        return np.stack([ask(a, b) for a, b in self.members]).astype(np.float64)

    def _pixels(self, member: Member, ending: str = "") -> torch.Tensor:
        return Pixels()(torch.from_numpy(member[f"samples{ending}"]).reshape(-1, *self.shape))


def averaged(table: np.ndarray) -> Estimate:
    """The mean of a table (pairs, noises or points)."""
    return mean(table.mean(0))


def _off_diagonal(first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
    unit = [torch.nn.functional.normalize(rows.double(), dim=1) for rows in (first, second)]
    cosines = unit[0] @ unit[1].T
    return cosines[~torch.eye(len(first), dtype=torch.bool)].numpy()


def collected(rows: Sequence[Row]) -> list[Pairs]:
    """Every kind of pair at every training size and width, smallest first; among given models each
    with each.
    """
    groups = grouped(rows)
    files = [group for group in groups if is_file(group.rows[0])]
    given = [
        (a, b)
        for a, b in combinations(files, 2)
        if a.first["samples"].shape == b.first["samples"].shape
    ]
    trained = [found for group in groups if group not in files for found in _trained(group)]
    return trained + [
        _pair("given", f"{a.label} and {b.label}", a, [(a.first, b.first)]) for a, b in given
    ]


def _trained(group: Group) -> list[Pairs]:
    keyed = [
        (row.fields["subset"], row.fields["seed"], arrays)
        for row, arrays in zip(group.rows, group.arrays)
    ]
    keyed.sort(key=lambda item: item[:2])
    every = list(combinations(keyed, 2))
    found = {
        "halves": [(a[2], b[2]) for a, b in every if a[0] != b[0] and a[1] == b[1]],
        "seeds": [(a[2], b[2]) for a, b in every if a[0] == b[0]],
    }
    return [_pair(kind, group.label, group, members) for kind, members in found.items() if members]


def _pair(kind: str, label: str, group: Group, members: Sequence[tuple[Member, Member]]) -> Pairs:
    return Pairs(kind, label, group.n, group.width, tuple(group.data().train().shape[1:]), members)


def rows_of(study: str, version: int, rows: Sequence[Row]) -> list[Row]:
    """What pairs of models say, as rows for tables: one a kind, training size and width."""
    return (
        [_row(study, version, item) for item in collected(rows)]
        if any(not row.values.get("stopped") for row in rows)
        else []
    )


def _row(study: str, version: int, item: Pairs) -> Row:
    fields: dict[str, object] = {
        "compared": item.kind,
        "models": item.label,
        "n": item.n,
        "width": item.width,
        "pairs": len(item.members),
    }
    return Row(f"{item.kind}-{item.label}", study, version, fields, dict(summary(item)))


def summary(item: Pairs) -> dict[str, Estimate | float]:
    """The numbers of one kind of pair."""
    return {
        "cosine": item.agreement,
        "nearest": item.likeness,
        "closer": averaged(item.closer()),
        "chance": float(item.unlike.mean()),
        "cosine_plain": averaged(item.plain()),
        "nearest_plain": averaged(item.nearest("similarity_plain")),
        "distance": item.apart,
        "overlap": item.shared,
    }
