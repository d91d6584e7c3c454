"""Which training image each sample points at, which samples are flagged, and how often each
training image was hit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.audit.findings import Audit, Evidence
from denoscope.files import harmless


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
    copy, by its rank among held-out images, int64 (n_gen,).
    """
    return torch.stack(
        [
            torch.searchsorted(one.held_out.sort().values, one.gen.score.contiguous())
            / max(1, len(one.held_out))
            for one in deciding(audit)
        ]
    ).argmax(0)


def origins(audit: Audit) -> Tensor:
    """The nearest training image of each sample by its strongest descriptor, int64 (n_gen,)."""
    indices = torch.stack([found.gen.index for found in deciding(audit)])
    return indices.gather(0, strongest(audit)[None])[0]


def closest(audit: Audit) -> Tensor:
    """All samples, most like a copy first: by p-value, then by the score of the first deciding
    descriptor, then by row; those that are set aside come last.
    """
    score = deciding(audit)[0].gen.score.double()
    rows = torch.argsort(-score, stable=True)
    if audit.combined:
        rows = rows[torch.argsort(audit.combined.p_values[rows], stable=True)]
    return rows[torch.argsort(audit.first.aside["gen"][rows].byte(), stable=True)]


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


def repeating(audit: Audit, role: str) -> Tensor:
    """Which rows repeat real content: a training image exactly, or nearly what is set aside;
    training images among themselves are "own".
    """
    one = audit.first
    if role == "own":
        return one.training_neighbors.nearest < one.tight
    scores = one.gen if role == "gen" else one.test
    assert scores is not None  # asked of sets that are there
    shared = audit.overlap.shared.get((role, "train"))
    same = torch.zeros(len(scores), dtype=torch.bool) if shared is None else shared.exact
    return same | (one.aside[role] & (scores.nearest < one.tight))


def named_groups(audit: Audit) -> list[tuple[int, str]]:
    """Groups of near-identical samples that lie nearer to a training image than any real image that
    is not set aside: how many and to which, the largest first.
    """
    one = audit.first
    kept = ~one.aside["own" if one.test is None else "test"]
    limit = one.null.nearest[kept].amin() if kept.any() else 0.0
    names, found = audit.inputs["train"].names, []
    labels = one.groups["gen"].unique(return_inverse=True)[1]
    sizes = labels.bincount()
    for row in torch.argsort(one.gen.nearest, stable=True).tolist():
        label = labels[row]
        if one.gen.nearest[row] >= limit:
            break
        if sizes[label] > 1 and not one.aside["gen"][row]:
            found.append((int(sizes[label]), harmless(names[int(one.gen.index[row])])))
            sizes[label] = 0
    return sorted(found, key=lambda group: -group[0])


def alike(audit: Audit, image: int) -> int:
    """How many training images are in this one's cluster of near-duplicates, itself included."""
    cluster = audit.duplicates.cluster
    return 1 if cluster[image] < 0 else int((cluster == cluster[image]).sum())
