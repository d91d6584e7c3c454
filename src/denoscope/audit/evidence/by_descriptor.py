"""What one descriptor says: how much samples, real images and planted copies are like the training
images nearest to them, and what repeats within the training set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from denoscope.audit.findings import NEAR, Evidence, TrainingDuplicates
from denoscope.audit.sets.inputs import InputSet
from denoscope.data.duplicates import first_with_content
from denoscope.metrics.calibrate import copy_rates
from denoscope.metrics.calibrate import planted as judged
from denoscope.metrics.copy_scores import CopyScores, scores, space
from denoscope.metrics.near_duplicates import (
    KEPT,
    NearDuplicates,
    SelfNeighbors,
    near_duplicate_distance,
)
from denoscope.nearest import neighbors

_LARGE = 0.05
_CLOSE = 1 / 3


def descriptor_evidence(
    name: str,
    kind: str,
    identity: Mapping[str, Any],
    features: Mapping[str, Tensor],
    planted: Mapping[str, Tensor],
    *,
    false_alarm: float,
    quantile: float,
    seed: int,
) -> Evidence:
    """The evidence of one descriptor of this ``kind`` of score, from ``features`` (n, k) of gen,
    train and perhaps test.

    ``planted`` are features of perturbed training images by perturbation, row j of each made from
    the same image. ``quantile`` declares which training images are near-duplicates. The training
    set is compared with itself once, for all that needs it. Too few rows to calibrate with, or a
    training set of near-duplicates of one image, are a ValueError.
    """
    rows = {
        role: space(features[role], kind, name=role)
        for role in ("train", "gen", "test")
        if role in features
    }
    train = rows["train"]
    training = SelfNeighbors.of(train)
    known = {
        role: neighbors(rows[role], train, min(KEPT, len(train)))
        for role in ("gen", "test")
        if role in rows
    }
    spacing = near_duplicate_distance(
        train,
        training,
        quantile,
        held_out=known["test"].distance[:, 0] if "test" in known else None,
    )
    close = training.near(train, spacing)
    score = partial(scores, train=train, kind=kind, spacing=spacing)
    leave_one_out = score(train, exclude_self=True, found=training.found)
    found = {role: score(rows[role], found=known[role]) for role in known}
    copies = {word: score(space(x, kind, name=word)) for word, x in planted.items()}
    counted, groups = _calibrating(rows.get("test"), training, close, spacing)
    null = found.get("test", leave_one_out).score[counted]
    options = {"false_alarm": false_alarm, "groups": groups, "seed": seed}
    return Evidence(
        name=name,
        score=kind,
        identity=identity,
        gen=found["gen"],
        test=found.get("test"),
        leave_one_out=leave_one_out,
        rates=copy_rates(found["gen"].score, null, **options),
        planted=copies,
        quality={word: judged(one.score, null, **options) for word, one in copies.items()},
        near=judged(pooled, null, **options) if (pooled := _near(copies)) is not None else None,
        spacing=spacing,
        copies_of=close.counts,
        counted=counted,
        groups=groups,
        training_neighbors=training,
        near_duplicates=close,
    )


def _calibrating(
    test: Tensor | None, training: SelfNeighbors, close: NearDuplicates, spacing: float
) -> tuple[Tensor, Tensor]:
    """The rows that calibrate, and labels of near-duplicates among them: all held-out images, or
    distinct training images.
    """
    if test is None:
        return training.distinct, close.groups[training.distinct]
    groups = (
        SelfNeighbors.of(test).near(test, spacing).groups
        if len(test) > 1
        else torch.zeros(1, dtype=torch.int64)
    )
    return torch.arange(len(test)), groups


def _near(copies: Mapping[str, CopyScores]) -> Tensor | None:
    """The scores of all near copies, (perturbations, images)."""
    near = [copies[word].score for word in NEAR if word in copies]
    return torch.stack(near) if near else None


def training_duplicates(first: Evidence, train: InputSet, *, quantile: float) -> TrainingDuplicates:
    """Exact repeats by content, near ones by the first descriptor's ``spacing``, which was the
    ``quantile`` of nearest distances.

    Evidence without its pass over the training set is a ValueError.
    """
    close, training = first.near_duplicates, first.training_neighbors
    if close is None or training is None:
        raise ValueError(
            "training_duplicates needs descriptor_evidence's pass over the training set"
        )
    content = train.features if train.images is None else train.images.data
    assert content is not None  # a set has one or the other
    exact = int((first_with_content(content) != torch.arange(len(content))).sum())
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
