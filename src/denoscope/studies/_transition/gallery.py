"""Samples beside their nearest training images and the samples of another seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from denoscope.data import to_uint8
from denoscope.report import Gallery, Strip
from denoscope.studies._transition.compare import Model, setting_of


def galleries(
    models: Sequence[Model], width: int, sizes: Sequence[int], noises: int = 8
) -> list[Gallery]:
    """Sample, nearest training image, and the other seed's sample from the same noise, at a few
    sizes.
    """
    found = []
    for size in sizes:
        pair = sorted(
            (m for m in models if (m.n, m.width, m.subset) == (size, width, 0)),
            key=lambda m: m.seed,
        )
        if not pair:
            continue
        first, other = pair[0], pair[1] if len(pair) > 1 else None
        found.append(_gallery(first, other, size, noises))
    return found


def _gallery(first: Model, other: Model | None, size: int, noises: int) -> Gallery:
    setting, arrays = setting_of(first.row), first.row.arrays()
    train = setting.train(size, first.subset)
    twin = None if other is None else other.row.arrays()["samples"]
    strips = []
    for index in range(noises):
        images = [
            _pixels(arrays["samples"][index]),
            _pixels(train[int(arrays["nearest"][index])].numpy()),
        ]
        notes = ["", f"{arrays['similarity'][index]:.2f}"]
        if other is not None and twin is not None:
            cosine = torch.cosine_similarity(first.features[index], other.features[index], dim=0)
            images.append(_pixels(twin[index]))
            notes.append(f"{float(cosine):.2f}")
        strips.append(Strip(images, notes))
    columns = ["sample", "nearest training image", "other seed, same noise"][
        : len(strips[0].images)
    ]
    return Gallery(f"N = {size}, width {first.width}", columns, strips)


def _pixels(image: np.ndarray) -> np.ndarray:
    """(c, h, w) in [-1, 1] to uint8 (h, w, c)."""
    return to_uint8(torch.from_numpy(image).nan_to_num().clamp(-1, 1)).permute(1, 2, 0).numpy()
