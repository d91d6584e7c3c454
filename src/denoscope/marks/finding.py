"""`watermark detect`: which of the named keys do images carry?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from denoscope.apply.watermark import Detection, Key, detect_keys, exactly_one, holm
from denoscope.marks.asked import Asking, ImageSet, MarkRequest, hashed, images_of
from denoscope.marks.rows import Row, Rows
from denoscope.progress import Voice

SILENT = "nothing of the image lies in the carrier"


def settings(asked: MarkRequest, about: Asking, keys: Sequence[Key]) -> dict[str, Any]:
    """What rows of detections are made of."""
    return {
        "action": "detect", "model": about.fingerprint, "keys": [key.fingerprint for key in keys],
        "images": asked.images, "shifts": asked.shifts, "prepare": list(asked.prepare),
    }  # fmt: skip


def detect_all(
    asked: MarkRequest, about: Asking, keys: Sequence[Key], target: Path, say: Voice
) -> tuple[list[Row], ImageSet]:
    """A row per image and key: ``p`` of this key alone, ``adjusted_p`` of all keys together."""
    given = images_of(asked, asked.images, "images", about.model.shape)
    rows = Rows(target, settings(asked, about, keys))
    with say.counting("images", len(given.names)) as told:
        for some, images in given.parts(asked.batch_size):
            wanted = [
                [
                    {"file": given.names[i], "key": key.fingerprint, "sha256": hashed(image)}
                    for key in keys
                ]
                for i, image in zip(some, images)
            ]
            left = [j for j, row in enumerate(wanted) if not all([*map(rows.take, row)])]
            if left:
                found = _detected(asked, about, keys, images[left].to(asked.device))
                rows.add(_rows([wanted[j] for j in left], found))
            told(some[-1] + 1, len(given.names))
    return rows.finish(given.names), given


def _detected(
    asked: MarkRequest, about: Asking, keys: Sequence[Key], images: Tensor
) -> list[Detection]:
    """What the images say of each key; those of one level share an inversion."""
    found: dict[str, Detection] = {}
    for _, some in groupby(sorted(keys, key=_level), key=_level):
        same = list(some)
        how = {"shifts": asked.shifts, "batch": asked.batch_size}
        said = detect_keys(about.model.denoiser, images, same, about.levels(same[0]), **how)
        found |= {key.fingerprint: one for key, one in zip(same, said)}
    return [found[key.fingerprint] for key in keys]


def _level(key: Key) -> tuple[float, int]:
    return key.sigma, key.steps


def _rows(wanted: Sequence[Sequence[Row]], found: Sequence[Detection]) -> list[Row]:
    adjusted = holm(torch.stack([one.p for one in found], -1))
    return [
        row
        | {"p": float(one.p[i]), "cosine": float(one.cosine[i]), "dimension": one.dimension}
        | {"adjusted_p": float(adjusted[i, k])}
        | {"warnings": SILENT if one.cosine[i] == 0 and one.p[i] == 1 else ""}
        for i, of_image in enumerate(wanted)
        for k, (row, one) in enumerate(zip(of_image, found))
    ]


def attributed(rows: Sequence[Row], keys: Sequence[Key], level: float) -> tuple[Tensor, Tensor]:
    """The key whose mark each image carries, -1 where none or several, and how many are found."""
    of = {(row["file"], row["key"]): row["adjusted_p"] for row in rows}
    files = dict.fromkeys(row["file"] for row in rows)
    adjusted = [[of[file, key.fingerprint] for key in keys] for file in files]
    return exactly_one(torch.tensor(adjusted, dtype=torch.float64), level)
