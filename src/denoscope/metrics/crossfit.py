"""Rates of copies by one score of some descriptors, cross-fitted on the whole hold-out.

Each fold of the held-out images is counted by a score and by thresholds that the others chose; what
is no held-out image is counted by all of them, on average. The p-value of a sample is (1 + the
number of held-out images that score as much in the fold that they had no part in)/(m + 1), a
cross-conformal one (Vovk 2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.metrics.controlled_rates import SPENT, Calibrated, Rates
from denoscope.metrics.grouped import Share
from denoscope.metrics.one_score import OneScore, thresholds
from denoscope.random import generator

FOLDS = 5
_EQUAL = 1e-12  # scores that differ by rounding alone


def folds_of(groups: Tensor, seed: int) -> Tensor:
    """The fold of each row, int64 (m,), rows of one label together; at least two.

    If all are of one group there is nothing to divide: a ValueError.
    """
    label = groups.unique(return_inverse=True)[1]
    count = int(label.max()) + 1
    if count < 2:
        raise ValueError(
            "the held-out images are all near-duplicates of one another: there is "
            "nothing to calibrate with"
        )
    place = torch.randperm(count, generator=generator(seed)).argsort()
    return place[label] % min(FOLDS, count)


@dataclass(frozen=True, eq=False)
class Scored:
    """Nearnesses of all sets by D descriptors, (n, D): of "gen", of "own", the training images each
    left out, perhaps of "test", and of ``planted`` copies by perturbation, row j of each made from
    one image. By set ``groups`` label rows that nearly repeat each other, ``aside`` marks those
    that are set aside, of "planted" too; ``chance`` marks training images that are near another by
    chance.
    """

    rows: Mapping[str, Tensor]
    planted: Mapping[str, Tensor]
    groups: Mapping[str, Tensor]
    aside: Mapping[str, Tensor]
    chance: Tensor

    @property
    def null(self) -> str:
        """The set that calibrates."""
        return "test" if "test" in self.rows else "own"

    def kept(self, role: str) -> Tensor:
        """The rows of a set that are not set aside."""
        return self.rows[role][~self.aside[role]]

    def labels(self, role: str) -> Tensor:
        """Their groups."""
        return self.groups[role][~self.aside[role]]


def crossfit(
    scored: Scored,
    near: Sequence[str],
    descriptors: Sequence[str],
    *,
    false_alarm: float,
    seed: int,
) -> Calibrated:
    """What these descriptors say together, of the rows that are not set aside; ``near`` are the
    perturbations that a copy is told by.

    Without held-out images training images, each left out, are the only control. Fewer than 4 rows
    to calibrate with are a ValueError.
    """
    null, samples = scored.kept(scored.null), len(scored.kept("gen"))
    if len(null) < 4 or not samples:
        raise ValueError(
            "calibration needs at least 4 held-out images and a generated sample, got "
            f"{len(null)} and {samples}"
        )
    words = [word for word in near if word in scored.planted]
    copies = {word: x[~scored.aside["planted"]] for word, x in scored.planted.items()}
    like = torch.cat([copies[word] for word in words] or [null[:0]])
    fold = folds_of(scored.labels(scored.null), seed)
    counted = _Counts({**copies, "gen": scored.rows["gen"], "own": scored.kept("own")}, len(null))
    for part in fold.unique():
        inside = fold == part
        score = OneScore.fitted(null[~inside], like)
        ends = thresholds(score(null[~inside]), score(like), samples, len(null), false_alarm)
        counted.add(score, ends, null, inside)
    least = 1 / (1 + len(null) - int(fold.bincount().max()))
    return Calibrated(
        tuple(descriptors),
        tuple(_rates(scored, counted, place, list(copies), words) for place in range(len(SPENT))),
        (1 + counted.above) / (1 + len(null)),
        max(false_alarm, least),
        false_alarm,
        _crossed(scored, OneScore.fitted(null, like), false_alarm),
    )


class _Counts:
    """How often rows pass either threshold, (2, n) by role, averaged over folds; the held-out ones
    in the fold in which they chose nothing. ``above`` counts for each sample the held-out images
    that score as much.
    """

    def __init__(self, rows: Mapping[str, Tensor], held_out: int):
        self.rows = rows
        self.passed = {
            role: torch.zeros(2, len(x), dtype=torch.float64) for role, x in rows.items()
        }
        self.alarms = torch.zeros(2, held_out, dtype=torch.float64)
        self.above = torch.zeros(len(rows["gen"]), dtype=torch.float64)
        self.limits = torch.zeros(2, dtype=torch.float64)

    def add(self, score: OneScore, ends: Sequence[float], null: Tensor, inside: Tensor) -> None:
        share = float(inside.double().mean())
        self.limits += share * torch.tensor(ends, dtype=torch.float64)
        limit = torch.tensor(ends, dtype=torch.float64)[:, None] + _EQUAL
        for role, x in self.rows.items():
            self.passed[role] += share * (score(x) > limit).double()
        held = score(null[inside]).sort().values
        self.alarms[:, inside] = (score(null[inside]) > limit).double()
        below = torch.searchsorted(held, score(self.rows["gen"]) - _EQUAL)
        self.above += len(held) - below


def _rates(
    scored: Scored, counted: _Counts, place: int, words: Sequence[str], near: Sequence[str]
) -> Rates:
    """The shares at one of both thresholds."""
    passed = {role: values[place] for role, values in counted.passed.items()}
    planted = {word: Share.of(passed[word]) for word in words}
    together = [passed[word] for word in near]
    planted["near"] = Share.of(torch.stack(together).mean(0)) if near else Share(0.0, 1.0, 0)
    null = Share.of(counted.alarms[place], scored.labels(scored.null))
    own = Share.of(passed["own"], scored.labels("own"))
    kept = ~scored.aside["gen"]
    return Rates(
        float(counted.limits[place]),
        Share.of(passed["gen"][kept], scored.labels("gen")),
        {"test": null, "own": own} if scored.null == "test" else {"own": null},
        planted,
        passed["gen"] * kept,
        SPENT[place],
    )


def _crossed(scored: Scored, score: OneScore, rate: float) -> tuple[Share, Share] | None:
    """The rates of held-out images and of training images left out above the threshold that a share
    ``rate`` of the latter passes; near pairs of these that come by chance are ordinary.
    """
    if scored.null == "own":
        return None
    own = score(scored.rows["own"]).masked_fill(scored.chance, torch.inf)
    own = own[~scored.aside["own"] | scored.chance]
    limit = own.sort(descending=True).values[min(len(own) - 1, int(rate * len(own) + 1e-9))]
    test = (score(scored.kept("test")) > limit).double()
    return Share.of(test, scored.labels("test")), Share.of((own > limit).double())
