"""Images to look at: the samples most like copies, real images for contrast, the training images
copied most.

Names of files stand in notes, which are shown as they are; what could command a terminal or turn
the text around is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from denoscope.audit.findings import Audit, Evidence
from denoscope.audit.report.matches import (
    Hit,
    alike,
    closest,
    deciding,
    flagged,
    origins,
    strongest,
)
from denoscope.files import harmless
from denoscope.report import Gallery
from denoscope.report.pictures import Tile, gallery
from denoscope.report.words import probability, things

MOST = 12
"""Training images in the gallery of those copied most."""
_SIDE = 128  # pixels of the longer side of a shown image
_LETTERS = 16


@dataclass(frozen=True)
class Pair:
    """A ``row`` of a set and the training ``image`` nearest to it, with its score; of a sample its
    p-value and whether it is flagged.
    """

    role: str
    row: int
    image: int
    score: str
    p: str = ""
    flagged: bool = False


def short(name: str, letters: int = _LETTERS) -> str:
    """The last part of a path, cut in its middle to so many letters."""
    text = harmless(name.rstrip("/").rpartition("/")[2] or name)
    kept = letters - 1
    return text if len(text) <= letters else f"{text[: kept - kept // 2]}…{text[-(kept // 2) :]}"


def shown(audit: Audit, role: str, row: int) -> np.ndarray:
    """An image of a set, (c, h, w) in [-1, 1], of at most 128 pixels per side."""
    images = audit.inputs[role].images
    assert images is not None  # only sets of images have galleries
    image = images[row : row + 1]
    side = max(image.shape[-2:])
    if side > _SIDE:
        size = [max(1, round(length * _SIDE / side)) for length in image.shape[-2:]]
        image = interpolate(
            image, size=size, mode="bicubic", antialias=True, align_corners=False
        ).clamp(-1, 1)
    return image[0].numpy()


def of_images(audit: Audit) -> bool:
    """Whether there is something to look at."""
    return all(audit.inputs[role].images is not None for role in ("gen", "train"))


def samples(audit: Audit) -> list[Pair]:
    """All samples, most like copies first, each with the score of its strongest descriptor."""
    views, chosen = deciding(audit), strongest(audit)
    of, marked = origins(audit), flagged(audit)
    p = audit.combined.p_values.tolist() if audit.combined else []
    return [
        Pair(
            "gen",
            row,
            int(of[row]),
            _score(views[chosen[row]], views[chosen[row]].gen.score[row]),
            probability(p[row]) if p else "",
            bool(marked[row]),
        )
        for row in closest(audit).tolist()
    ]


def held_out(audit: Audit) -> list[Pair]:
    """The held-out images closest to the training set, without those that are set aside or training
    images too; none without held-out images.
    """
    first, shared = deciding(audit)[0], audit.overlap.shared.get(("test", "train"))
    if first.test is None or "test" not in audit.inputs:
        return []
    away = first.aside["test"] if shared is None else first.aside["test"] | shared.exact
    order = torch.argsort(-first.test.score.double(), stable=True)
    return [
        Pair("test", row, int(first.test.index[row]), _score(first, first.test.score[row]))
        for row in order.tolist()
        if not away[row]
    ]


def _score(found: Evidence, score: Tensor) -> str:
    if found.score == "ratio":
        return f"ratio\u00a0{1 - float(score):.2f}"
    return f"cosine\u00a0{float(score):.3f}"


def pairs(audit: Audit, rows: slice, *, named: bool) -> list[Gallery]:
    """Samples most like copies beside the held-out images that come as near, each with its nearest
    training image: ``named``, or with their scores; none without images.
    """
    sides = [side[rows] for side in (samples(audit), held_out(audit)) if side]
    if not of_images(audit) or not sides[0]:
        return []
    names = ["sample", "nearest in training", "held-out image", "nearest in training"]
    strips = [
        (
            "; beside ".join(_said(audit, pair) for pair in row) if named else "",
            [tile for pair in row for tile in _tiles(audit, pair, named)],
        )
        for row in zip(*sides)
    ]
    title = "The closest pairs, by name" if named else "The closest pairs"
    return [gallery(title, names[: 2 * len(sides)], strips)]


def _tiles(audit: Audit, pair: Pair, named: bool) -> list[Tile]:
    of = [(pair.role, pair.row), ("train", pair.image)]
    scored = [pair.score, "flagged" if pair.flagged else ""]
    notes = [short(audit.inputs[role].names[row]) for role, row in of] if named else scored
    return [(shown(audit, *place), note) for place, note in zip(of, notes)]


def _said(audit: Audit, pair: Pair) -> str:
    """The score, and whether the sample is flagged."""
    flag = "**flagged:** " if pair.flagged else ""
    said = ", ".join(part for part in (pair.score, pair.p) if part)
    return flag + said + _repeated(audit, pair.image)


def _repeated(audit: Audit, image: int) -> str:
    """How many training images are alike, where it has duplicates."""
    many = alike(audit, image)
    return f"; {many}\u00a0alike" if many > 1 else ""


def most_copied(audit: Audit, found: Sequence[Hit]) -> list[Gallery]:
    """The training images that most flagged samples are nearest to, each beside the sample most
    like it; none without images.
    """
    if not of_images(audit):
        return []
    rows = [
        (
            f"{things(len(hit.samples), 'sample')}{_repeated(audit, hit.image)}",
            _tiles(audit, Pair("gen", hit.samples[0], hit.image, ""), named=True),
        )
        for hit in found[:MOST]
    ]
    return [gallery("By flagged samples", ["sample", "nearest in training"], rows)]
