"""What repeats within the training set."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from denoscope.audit.findings import Duplicated, Evidence
from denoscope.audit.sets.inputs import Given
from denoscope.data.duplicates import first_with_content
from denoscope.metrics.own import NearDuplicates, Own

_LARGE = 0.05
_CLOSE = 1 / 3


def repeats(first: Evidence, train: Given, *, quantile: float) -> Duplicated:
    """Exact repeats by content, near ones by the first descriptor's ``spacing``, which was the
    ``quantile`` of nearest distances.

    Evidence without its pass over the training set is a ValueError.
    """
    close, among = first.near_duplicates, first.among
    if close is None or among is None:
        raise ValueError(
            "repeats needs evidence made by weigh: its pass over the training set is missing"
        )
    content = train.features if train.images is None else train.images.data
    assert content is not None  # a set has one or the other
    exact = int((first_with_content(content) != torch.arange(len(content))).sum())
    warnings = tuple(_warnings(close, among, ungrouped=first.test is None))
    return Duplicated(
        exact, close.links, first.spacing, quantile, close.cluster, close.largest, warnings
    )


def _warnings(close: NearDuplicates, among: Own, *, ungrouped: bool) -> Iterator[str]:
    n = len(among)
    if close.largest > _LARGE * n:
        yield (
            f"the largest cluster of near-duplicates has {close.largest} of {n} "
            f"training images ({100 * close.largest / n:.0f} %)"
        )
    alike = int((_gaps(among) & (close.counts == 0)).sum())
    if ungrouped and alike > _LARGE * n:
        yield (
            f"{alike} of {n} training images ({100 * alike / n:.0f} %) are less than a "
            "third as far from some others as from the next: they "
            "look like near-duplicates, which held-out images (--test) or a larger "
            "--duplicates would group"
        )


def _gaps(among: Own) -> Tensor:
    """Rows of which a few others are less than a third as far as the next one."""
    distance = among.found.distance.double()
    return (distance[:, :-1] < _CLOSE * distance[:, 1:]).any(1)
