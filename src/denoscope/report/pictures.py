"""Pictures of readings: arrays (c, h, w) in [-1, 1] as tiles with a note under each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from denoscope.report import theme
from denoscope.report.blocks import Gallery, Strip

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Tile = tuple[np.ndarray, str]
"""An image (c, h, w) in [-1, 1], and the note under it."""


def picture(image: np.ndarray) -> np.ndarray:
    """An image (c, h, w) in [-1, 1] as uint8 (h, w, c); what is not finite is black."""
    finite = np.nan_to_num(np.asarray(image, np.float64), nan=-1.0)
    return np.rint((finite.clip(-1, 1) + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)


def signed(image: np.ndarray) -> np.ndarray:
    """A pattern whose grey is 0, scaled to fill the range."""
    return image / np.abs(image).max().clip(1e-12)


def plot_pairs(
    samples: ArrayLike,
    nearest: ArrayLike,
    notes: Sequence[object] = (),
    *,
    columns: int = 8,
    width: float = theme.WIDE,
) -> Figure:
    """Samples over their nearest training images, both (n, c, h, w) in [-1, 1], ``columns`` in a
    line, with a note under each pair such as its distance; a figure ``width`` inches wide.
    """
    upper, lower = np.asarray(samples), np.asarray(nearest)
    if upper.shape != lower.shape or upper.ndim != 4 or not len(upper):
        raise ValueError("samples and nearest are images (n, c, h, w) of one shape, n at least 1")
    across = min(columns, len(upper))
    lines, (high, wide) = -(-len(upper) // across), upper.shape[2:]
    tall = 2 * width / across * high / wide + 0.25  # inches of a pair and its note
    figure = Figure((width, lines * tall), layout="constrained")
    axes = figure.subplots(2 * lines, across, squeeze=False)
    for each in axes.flat:
        each.axis("off")
    for i, pair in enumerate(zip(upper, lower)):
        places = axes[2 * (i // across) :, i % across]
        for place, image in zip(places, pair):
            pixels = picture(image)
            grey = pixels.shape[-1] == 1
            place.imshow(pixels.squeeze(-1) if grey else pixels, "gray", vmin=0, vmax=255)
        if len(notes):
            note = notes[i]
            text = f"{float(note):.3g}" if isinstance(note, float | np.number) else str(note)
            places[1].set_title(text, fontsize=theme.FONT_SIZE - 1, color=theme.INK, y=-0.35)
    return figure


def gallery(
    title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Tile]]]
) -> Gallery:
    """Rows of (caption, tiles with their notes)."""
    strips = [
        Strip([picture(image) for image, _ in tiles], [note for _, note in tiles], caption)
        for caption, tiles in rows
    ]
    return Gallery(title, columns, strips)
