"""Images to look at: the samples most like copies, real images for contrast, the training images
copied most.

Names of files stand in notes, which are shown as they are; what could command a terminal or turn
the text around is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from denoscope.audit.findings import Audit, Evidence
from denoscope.audit.report.matches import alike, closest, deciding, flagged, hits, origins
from denoscope.audit.sets.inputs import InputSet
from denoscope.data.images import to_uint8
from denoscope.files import harmless
from denoscope.report import Gallery, Strip
from denoscope.report.words import probability, things

PAIRS = 24
"""How many pairs a gallery shows at most."""
_SIDE = 128  # pixels of the longer side of a shown image
_LETTERS = 16


def short(name: str, letters: int = _LETTERS) -> str:
    """The last part of a path, cut in its middle to so many letters."""
    text = harmless(name.rstrip("/").rpartition("/")[2] or name)
    kept = letters - 1
    return text if len(text) <= letters else f"{text[: kept - kept // 2]}…{text[-(kept // 2) :]}"


def tile(images: Tensor, row: int) -> np.ndarray:
    """An image as uint8 (h, w, c) of at most 128 pixels a side."""
    image = images[row : row + 1]
    side = max(image.shape[-2:])
    if side > _SIDE:
        size = [max(1, round(length * _SIDE / side)) for length in image.shape[-2:]]
        image = interpolate(
            image, size=size, mode="bicubic", antialias=True, align_corners=False
        ).clamp(-1, 1)
    return to_uint8(image[0].cpu()).permute(1, 2, 0).contiguous().numpy()


def galleries(audit: Audit) -> list[Gallery]:
    """The closest pairs, of samples and for contrast of held-out images; none without images."""
    if audit.inputs["gen"].images is None or audit.inputs["train"].images is None:
        return []
    rows = closest(audit)[:PAIRS].tolist()
    of = origins(audit)
    found = [
        _pairs(
            audit,
            "Samples most like copies",
            "sample",
            audit.inputs["gen"],
            [(row, int(of[row]), _said(audit, row)) for row in rows],
        )
    ]
    first = deciding(audit)[0]
    if first.test is not None and "test" in audit.inputs:
        pairs = [
            (given, int(first.test.index[row]), _score(first, first.test.score[row]))
            for row, given in held_out(audit)[: PAIRS // 2]
        ]
        found.append(
            _pairs(
                audit,
                "For contrast: held-out images closest to the training set",
                "held-out image",
                audit.inputs["test"],
                pairs,
            )
        )
    return found


def held_out(audit: Audit) -> list[tuple[int, int]]:
    """Rows of the control and of the given test set, the closest to the training set first, without
    those that are training images too.
    """
    first, shared = deciding(audit)[0], audit.overlap.shared.get(("test", "train"))
    if first.test is None:
        return []
    leaked = (
        torch.zeros(len(audit.inputs["test"]), dtype=torch.bool) if shared is None else shared.exact
    )
    rows = (
        torch.arange(len(leaked)) if len(first.test) == len(leaked) else (~leaked).nonzero()[:, 0]
    )
    order = torch.argsort(-first.test.score.double(), stable=True)
    return [(int(row), int(rows[row])) for row in order if not leaked[rows[row]]]


def most_copied(audit: Audit) -> Gallery | None:
    """The training images that most flagged samples are nearest to, each beside the sample most
    like it; None if there are none.
    """
    found = hits(audit)[: PAIRS // 2]
    gen, train = audit.inputs["gen"].images, audit.inputs["train"].images
    if not found or gen is None or train is None:
        return None
    strips = []
    for hit in found:
        names = (
            short(audit.inputs["train"].names[hit.image]),
            short(audit.inputs["gen"].names[hit.samples[0]]),
        )
        images = [tile(train.data, hit.image), tile(gen.data, hit.samples[0])]
        strips.append(
            Strip(
                images, names, f"{things(len(hit.samples), 'sample')}{_repeated(audit, hit.image)}"
            )
        )
    return Gallery(
        "Each beside the sample most like it", ["training image", "its closest sample"], strips
    )


def _repeated(audit: Audit, image: int) -> str:
    """How many training images are alike, where it has duplicates."""
    many = alike(audit, image)
    return f"; {many}\u00a0alike" if many > 1 else ""


def _pairs(
    audit: Audit, title: str, name: str, queried: InputSet, pairs: Sequence[tuple[int, int, str]]
) -> Gallery:
    train = audit.inputs["train"]
    assert queried.images is not None  # only sets of images have galleries
    assert train.images is not None
    strips = [
        Strip(
            [tile(queried.images.data, row), tile(train.images.data, image)],
            [short(queried.names[row]), short(train.names[image])],
            said + _repeated(audit, image),
        )
        for row, image, said in pairs
    ]
    return Gallery(title, [name, "nearest in training"], strips)


def _said(audit: Audit, row: int) -> str:
    """The score of a sample by the first deciding descriptor, and whether it is flagged."""
    first = deciding(audit)[0]
    text = _score(first, first.gen.score[row])
    if audit.combined is None:
        return text
    mark = "**flagged:** " if flagged(audit)[row] else ""
    return f"{mark}{text}, {probability(float(audit.combined.p_values[row]))}"


def _score(found: Evidence, score: Tensor) -> str:
    return (
        f"ratio\u00a0{1 - float(score):.2f}"
        if found.score == "ratio"
        else f"cosine\u00a0{float(score):.3f}"
    )
