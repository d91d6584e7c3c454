"""What one descriptor says: how much samples, real images and planted copies are like the training
images nearest to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from denoscope.audit.findings import NEAR, Evidence
from denoscope.metrics.calibrate import copy_rates
from denoscope.metrics.calibrate import planted as judged
from denoscope.metrics.own import KEPT, NearDuplicates, Own
from denoscope.metrics.stars import Scores, near_duplicate_distance, scores, space
from denoscope.nearest import neighbors


def weigh(
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
    among = Own.of(train)
    known = {
        role: neighbors(rows[role], train, min(KEPT, len(train)))
        for role in ("gen", "test")
        if role in rows
    }
    spacing = near_duplicate_distance(
        train, among, quantile, held_out=known["test"].distance[:, 0] if "test" in known else None
    )
    close = among.near(train, spacing)
    score = partial(scores, train=train, kind=kind, spacing=spacing)
    own = score(train, exclude_self=True, found=among.found)
    found = {role: score(rows[role], found=known[role]) for role in known}
    copies = {word: score(space(x, kind, name=word)) for word, x in planted.items()}
    counted, groups = _calibrating(rows.get("test"), among, close, spacing)
    null = found.get("test", own).score[counted]
    options = {"false_alarm": false_alarm, "groups": groups, "seed": seed}
    return Evidence(
        name=name,
        score=kind,
        identity=identity,
        gen=found["gen"],
        test=found.get("test"),
        own=own,
        rates=copy_rates(found["gen"].score, null, **options),
        planted=copies,
        quality={word: judged(one.score, null, **options) for word, one in copies.items()},
        near=judged(pooled, null, **options) if (pooled := _near(copies)) is not None else None,
        spacing=spacing,
        copies_of=close.counts,
        counted=counted,
        groups=groups,
        among=among,
        near_duplicates=close,
    )


def _calibrating(
    test: Tensor | None, among: Own, close: NearDuplicates, spacing: float
) -> tuple[Tensor, Tensor]:
    """The rows that calibrate, and labels of near-duplicates among them: all held-out images, or
    distinct training images.
    """
    if test is None:
        return among.distinct, close.groups[among.distinct]
    groups = (
        Own.of(test).near(test, spacing).groups
        if len(test) > 1
        else torch.zeros(1, dtype=torch.int64)
    )
    return torch.arange(len(test)), groups


def _near(copies: Mapping[str, Scores]) -> Tensor | None:
    """The scores of all near copies, (perturbations, images)."""
    near = [copies[word].score for word in NEAR if word in copies]
    return torch.stack(near) if near else None
