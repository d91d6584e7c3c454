"""Which training image each sample points at, which samples are flagged, and how often each
training image was hit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.audit.evidence.combined import conformal
from denoscope.audit.findings import Audit, Evidence


@dataclass(frozen=True)
class Hit:
    """A training image and the rows of the flagged ``samples`` that are nearest to it, most like it
    first.
    """

    image: int
    samples: tuple[int, ...]


def deciding(audit: Audit) -> list[Evidence]:
    """The descriptors that the verdict rests on; the first alone where none can decide."""
    names = audit.combined.descriptors if audit.combined else ()
    return [found for found in audit.evidence if found.name in names] or [audit.first]


def flagged(audit: Audit) -> Tensor:
    """Which samples are copies by all deciding descriptors together, bool (n_gen,); none where no
    descriptor decides.
    """
    return (
        audit.combined.copies
        if audit.combined
        else torch.zeros(len(audit.first.gen), dtype=torch.bool)
    )


def strongest(audit: Audit) -> Tensor:
    """The place among the deciding descriptors of the one to which each sample looks most like a
    copy, int64 (n_gen,).
    """
    return torch.stack(
        [conformal(found.gen.score[None], found.held_out[None]) for found in deciding(audit)]
    ).argmin(0)


def origins(audit: Audit) -> Tensor:
    """The nearest training image of each sample by its strongest descriptor, int64 (n_gen,)."""
    indices = torch.stack([found.gen.index for found in deciding(audit)])
    return indices.gather(0, strongest(audit)[None])[0]


def closest(audit: Audit) -> Tensor:
    """All samples, most like a copy first: by p-value, then by the score of the first deciding
    descriptor, then by row.
    """
    score = deciding(audit)[0].gen.score.double()
    rows = torch.argsort(-score, stable=True)
    if audit.combined:
        rows = rows[torch.argsort(audit.combined.p_values[rows], stable=True)]
    return rows


def hits(audit: Audit) -> list[Hit]:
    """Training images by the number of flagged samples nearest to them, the most copied first, then
    by row.
    """
    of, copies = origins(audit), flagged(audit)
    found: dict[int, list[int]] = {}
    for row in closest(audit).tolist():
        if copies[row]:
            found.setdefault(int(of[row]), []).append(row)
    return sorted(
        (Hit(image, tuple(rows)) for image, rows in found.items()),
        key=lambda hit: (-len(hit.samples), hit.image),
    )


def alike(audit: Audit, image: int) -> int:
    """How many training images are in this one's cluster of near-duplicates, itself included."""
    cluster = audit.duplicates.cluster
    return 1 if cluster[image] < 0 else int((cluster == cluster[image]).sum())
