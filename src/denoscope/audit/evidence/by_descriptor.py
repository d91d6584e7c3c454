"""What one descriptor says: how much samples, real images and planted copies are like the training
images nearest to them, and what repeats within the training set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from denoscope.audit.findings import PLANTED, Evidence, TrainingDuplicates
from denoscope.audit.sets.inputs import InputSet
from denoscope.estimate import Estimate
from denoscope.metrics.calibrate import auc
from denoscope.metrics.controlled_rates import Calibrated
from denoscope.metrics.copy_scores import CopyScores, cosines, scores, space
from denoscope.metrics.crossfit import Scored, crossfit
from denoscope.metrics.near_duplicates import (
    KEPT,
    NearDuplicates,
    SelfNeighbors,
    near_duplicate_distance,
)
from denoscope.metrics.one_score import log_nearness
from denoscope.metrics.repeated import set_aside
from denoscope.nearest import Neighbors, neighbors

_LARGE = 0.05
_CLOSE = 1 / 3


def descriptor_evidence(
    name: str,
    kind: str,
    identity: Mapping[str, Any],
    features: Mapping[str, Tensor],
    planted: Mapping[str, Tensor],
    *,
    quantile: float,
    mirrored: Mapping[str, Tensor] | None = None,
    classes: Mapping[str, Tensor] | None = None,
) -> Evidence:
    """The evidence of one descriptor of this ``kind`` of score, from ``features`` (n, k) of gen,
    train and perhaps test.

    ``planted`` are features of perturbed training images by perturbation, row j of each made from
    the same image. ``quantile`` declares which training images are near-duplicates. The training
    set is compared with itself once, for all that needs it. With features of ``mirrored`` pictures
    by the same names, each row of every set is compared as it is or mirrored, whichever is nearer
    to the training set: as if that held mirrored images too, its own mirror aside. A training set
    of near-duplicates of one image is a ValueError. With ``classes``, the label of each row by the
    same names, only rows of one class are compared.
    """
    given = [role for role in ("train", "gen", "test") if role in features]
    place = partial(_space, kind=kind, classes=classes or {}, apart=_apart(features, given))
    rows = {role: place(role, features[role]) for role in given}
    train = rows["train"]
    training = SelfNeighbors.of(train)
    turned = {name: place(name, x) for name, x in (mirrored or {}).items()}
    known: dict[str, Neighbors] = {}
    for role in ("gen", "test"):
        if role in rows:
            found = neighbors(rows[role], train, min(KEPT, len(train)))
            rows[role], known[role] = nearer_way(rows[role], found, turned.get(role), train)
    alone, left = nearer_way(train, training.found, turned.get("train"), train, exclude_self=True)
    spacing = near_duplicate_distance(
        train,
        training,
        quantile,
        held_out=known["test"].distance[:, 0] if "test" in known else None,
    )
    close = training.near(train, spacing)
    width = features["train"].shape[1] if kind == "ratio" else train.shape[1]
    score = partial(_scored, train=train, kind=kind, spacing=spacing, width=width)
    own = score(alone, exclude_self=True, found=left)
    found = {role: score(rows[role], found=known[role]) for role in known}
    copies = {}
    for word, x in planted.items():
        copied = place(word, x)
        near = neighbors(copied, train, min(KEPT, len(train)))
        copied, near = nearer_way(copied, near, turned.get(word), train)
        copies[word] = score(copied, found=near)
    tight = min(spacing, near_duplicate_distance(train, training, quantile))
    groups = {role: _alike(rows[role], tight) for role in ("test",) if role in rows}
    groups["gen"] = _alike(rows["gen"], (found["gen"].nearest * _CLOSE).clamp_min(tight))
    groups["own"] = training.near(train, tight).groups
    return Evidence(
        name=name,
        score=kind,
        identity=identity,
        gen=found["gen"],
        test=found.get("test"),
        leave_one_out=own,
        planted=copies,
        areas={},
        spacing=spacing,
        tight=tight,
        groups=groups,
        aside=set_aside({**found, "own": own, **copies}, training, tight),
        training_neighbors=training,
        near_duplicates=close,
    )


def _scored(
    x: Tensor, *, train: Tensor, kind: str, spacing: float, width: int, **how: Any
) -> CopyScores:
    """Scores, with similarities by the first ``width`` coordinates: the others say the class."""
    one = scores(x, train, kind=kind, spacing=spacing, **how)
    if x.shape[1] == width:
        return one
    return replace(one, cosine=cosines(x[:, :width], train[:, :width], one.index))


def _space(
    name: str, x: Tensor, *, kind: str, classes: Mapping[str, Tensor], apart: float
) -> Tensor:
    """The rows in the space of distances, those of different classes farther than any others."""
    rows = space(x, kind, name=name)
    if name not in classes:
        return rows
    count = 1 + max(int(labels.max()) for labels in classes.values())
    place = torch.nn.functional.one_hot(classes[name], count).to(rows)
    return torch.cat([rows, apart * place], 1)


def _apart(features: Mapping[str, Tensor], roles: Sequence[str]) -> float:
    """More than any two rows are apart."""
    return 2 + 2 * max(float(features[role].norm(dim=1).max()) for role in roles)


def nearer_way(
    rows: Tensor,
    known: Neighbors,
    mirrored: Tensor | None,
    train: Tensor,
    *,
    exclude_self: bool = False,
) -> tuple[Tensor, Neighbors]:
    """Each row, or where that is nearer to the training set its mirrored one, and its nearest
    training rows; ``known`` are those of the rows as they are.
    """
    if mirrored is None:
        return rows, known
    here = torch.arange(len(rows))
    own = torch.stack([here, here], 1) if exclude_self else None
    other = neighbors(mirrored, train, known.index.shape[1], exclude=own)
    better = other.distance[:, :1] < known.distance[:, :1]
    distance = torch.where(better, other.distance, known.distance)
    found = Neighbors(distance, torch.where(better, other.index, known.index))
    return torch.where(better, mirrored, rows), found


def _alike(rows: Tensor, reach: float | Tensor) -> Tensor:
    """Labels of rows (n,) that nearly repeat each other."""
    if len(rows) < 2:
        return torch.zeros(len(rows), dtype=torch.int64)
    return SelfNeighbors.of(rows).near(rows, reach).groups


def calibrated(evidence: Sequence[Evidence], *, false_alarm: float, seed: int) -> Calibrated:
    """What these descriptors say together; what repeats is what repeats to the first one."""
    first = evidence[0]
    null = {} if first.test is None else {"test": [one.null for one in evidence]}
    rows = {"gen": [one.gen for one in evidence], "own": [one.leave_one_out for one in evidence]}
    words = [word for word in first.planted if all(word in one.planted for one in evidence)]
    planted = {word: [one.planted[word] for one in evidence] for word in words}
    apart = first.training_neighbors.nearest
    chance = (first.leave_one_out.nearest > apart) & (apart > 0)
    scored = Scored(
        {role: _nearnesses(evidence, each) for role, each in {**rows, **null}.items()},
        {word: _nearnesses(evidence, each) for word, each in planted.items()},
        first.groups,
        {**first.aside, "planted": first.aside[words[0]] if words else torch.tensor([])},
        chance,
    )
    names = [one.name for one in evidence]
    return crossfit(scored, PLANTED, names, false_alarm=false_alarm, seed=seed)


def _nearnesses(evidence: Sequence[Evidence], rows: Sequence[CopyScores]) -> Tensor:
    """By all descriptors, (n, D)."""
    return torch.stack([log_nearness(one.score, x) for one, x in zip(evidence, rows)], 1)


def areas(one: Evidence) -> dict[str, Estimate]:
    """The chance that a planted copy outscores a real image, by perturbation, "near" for those of
    :data:`PLANTED` together.
    """
    found = {word: auc(copies.score, one.held_out) for word, copies in one.planted.items()}
    near = [one.planted[word].score for word in PLANTED if word in one.planted]
    if near:
        found["near"] = auc(torch.cat(near), one.held_out, units=len(near[0]))
    return found


def training_duplicates(first: Evidence, train: InputSet, *, quantile: float) -> TrainingDuplicates:
    """Exact repeats by content, near ones by the first descriptor's ``spacing``, which was the
    ``quantile`` of nearest distances.

    """
    close, training = first.near_duplicates, first.training_neighbors
    exact = len(train) - len(set(train.contents))
    warnings = tuple(_warnings(close, training, ungrouped=first.test is None))
    return TrainingDuplicates(
        exact, close.links, first.spacing, quantile, close.cluster, close.largest, warnings
    )


def _warnings(close: NearDuplicates, training: SelfNeighbors, *, ungrouped: bool) -> Iterator[str]:
    n = len(training)
    if close.largest > _LARGE * n:
        yield (
            f"the largest cluster of near-duplicates has {close.largest} of {n} "
            f"training images ({100 * close.largest / n:.0f} %)"
        )
    alike = int((_gaps(training) & (close.counts == 0)).sum())
    if ungrouped and alike > _LARGE * n:
        yield (
            f"{alike} of {n} training images ({100 * alike / n:.0f} %) are less than a "
            "third as far from some others as from the next: they "
            "look like near-duplicates, which held-out images (--test) or a larger "
            "--duplicates would group"
        )


def _gaps(training: SelfNeighbors) -> Tensor:
    """Rows of which a few others are less than a third as far as the next one."""
    distance = training.found.distance.double()
    return (distance[:, :-1] < _CLOSE * distance[:, 1:]).any(1)
