"""Pictures of readings: arrays (c, h, w) in [-1, 1] as tiles with a note under each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from denoscope.report.blocks import Gallery, Strip

Tile = tuple[np.ndarray, str]
"""An image (c, h, w) in [-1, 1], and the note under it."""


def picture(image: np.ndarray) -> np.ndarray:
    """An image (c, h, w) in [-1, 1] as uint8 (h, w, c); what is not finite is black."""
    finite = np.nan_to_num(np.asarray(image, np.float64), nan=-1.0)
    return np.rint((finite.clip(-1, 1) + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)


def signed(image: np.ndarray) -> np.ndarray:
    """A pattern whose grey is 0, scaled to fill the range."""
    return image / np.abs(image).max().clip(1e-12)


def gallery(
    title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Tile]]]
) -> Gallery:
    """Rows of (caption, tiles with their notes)."""
    strips = [
        Strip([picture(image) for image, _ in tiles], [note for _, note in tiles], caption)
        for caption, tiles in rows
    ]
    return Gallery(title, columns, strips)
