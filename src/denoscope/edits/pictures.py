"""Pictures of edits: images, changes on one scale with the mask's outline, contact sheets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from denoscope.report.pictures import picture

SIDE = 112
"""Pixels, about the side at which small images are drawn."""
LOWER, HIGHER, OUTLINE = (23, 85, 122), (201, 122, 0), (40, 44, 52)
"""Colours of what falls, what rises, and the mask's edge."""
_GAP, _LINE = 6, 18  # pixels between pictures, and of a line of text


def _times(side: int) -> int:
    return max(1, round(SIDE / side))


def enlarged(image: np.ndarray) -> np.ndarray:
    """A picture (h, w, c) with visible pixels, about ``SIDE`` large."""
    times = _times(max(image.shape[:2]))
    return image.repeat(times, 0).repeat(times, 1)


def change_map(delta: np.ndarray, scale: float, mask: np.ndarray) -> np.ndarray:
    """What falls and what rises (mean over channels of (c, h, w)), white at 0 and full at
    ``scale``, with the outline of the mask (c, h, w): uint8 (H, W, 3).
    """
    part = (delta.mean(0) / max(scale, 1e-12)).clip(-1, 1)[..., None]
    colour = np.where(part < 0, LOWER, HIGHER)
    drawn = enlarged(np.rint(255 + np.abs(part) * (colour - 255.0)).astype(np.uint8))
    inside = enlarged(mask[0][..., None])[..., 0]
    around = np.pad(inside, 1, mode="edge")
    core = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    drawn[inside & ~core] = OUTLINE
    return drawn


def outlined(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """An image (c, h, w) whose outside is faded, uint8 (h, w, 3)."""
    shown = np.broadcast_to(picture(image), (*image.shape[1:], 3)).astype(np.float64)
    return np.where(mask[0][..., None], shown, 0.35 * shown + 0.65 * 140).astype(np.uint8)


def sheet(title: str, words: Sequence[str], rows: Sequence[Sequence[np.ndarray]]) -> Image.Image:
    """Rows of pictures of one size under a title and a word a column."""
    big = [[np.broadcast_to(one, (*one.shape[:2], 3)) for one in row] for row in rows]
    height, width = big[0][0].shape[:2]
    size = (len(words) * (width + _GAP) + _GAP, len(big) * (height + _GAP) + 2 * _LINE + _GAP)
    canvas = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    draw.text((_GAP, 3), title, OUTLINE, font)
    for column, word in enumerate(words):
        left = _GAP + column * (width + _GAP)
        draw.text((left, _LINE + 2), word, OUTLINE, font)
        for place, row in enumerate(big):
            corner = (left, 2 * _LINE + place * (height + _GAP))
            canvas.paste(Image.fromarray(np.ascontiguousarray(row[column])), corner)
    return canvas


def save(image: Image.Image | np.ndarray, file: Path) -> None:
    """A PNG; a picture (h, w, c) keeps its size."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)
