"""Annotated heat maps: numbers on a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from denoscope.report import theme
from denoscope.report.edges import foot_of, staircase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_CELL = 0.46  # inches, the largest side of a cell
_GAP = 0.25  # inches between neighbouring maps
_DARK, _PALE = "#000000", "#fefefe"
"""Numerals; deliberately not colours of the theme, since the cells keep theirs in the dark."""


@dataclass(frozen=True)
class HeatMap:
    """A matrix with a name for every row and column; NaN is an empty cell.

    ``x`` and ``y`` name what columns and rows are. ``edge`` is a place along the columns for each
    row, in cells from the left: a staircase runs through them.
    """

    values: ArrayLike
    rows: Sequence[str]
    columns: Sequence[str]
    title: str = ""
    x: str = ""
    y: str = ""
    edge: Sequence[float] = ()


def matrix(
    maps: Sequence[HeatMap],
    *,
    low: float = 0.0,
    high: float = 1.0,
    digits: int = 2,
    label: str = "",
    edge: str = "",
    ends: bool = True,
    width: float = theme.WIDE,
) -> Figure:
    """Heat maps side by side, wrapping within ``width`` inches, on one colour scale from ``low`` to
    ``high``, the numbers written in; without ``ends`` those are left out that are an end of the
    scale, which stands at the foot.

    ``label`` says what the numbers are, ``edge`` what the staircases are; both stand at the foot.
    """
    if not maps:
        raise ValueError("a figure needs at least one heat map")
    for item in maps:
        _check(item)
    maps = [_trimmed(item, width) for item in maps]
    left, top = (max(extent) for extent in zip(*map(_margins, maps)))
    most = max(len(item.columns) for item in maps)
    least = 0.19 + 0.085 * digits
    wide = max(most * least, *(_inches(item.title) * 1.25 for item in maps))  # titles are bold
    per_row = max(1, min(len(maps), int((width + _GAP) / (left + wide + _GAP))))
    cell = min(_CELL, ((width + _GAP) / per_row - _GAP - left - 0.02) / most)
    rows = [maps[i : i + per_row] for i in range(0, len(maps), per_row)]
    heights = [top + cell * max(len(item.rows) for item in row) + 0.12 for row in rows]
    foot = (0.24 if ends else 0.36) if label else 0.04
    total = sum(heights) + foot
    with theme.style():
        figure = Figure(figsize=(width, total))
        y = total
        for row, height in zip(rows, heights):
            for column, item in enumerate(row):
                n, m = np.shape(item.values)
                x = column * (left + most * cell + _GAP) + left
                corner = (x / width, (y - top - n * cell) / total)
                axes = figure.add_axes((*corner, m * cell / width, n * cell / total))
                bare = () if ends else (low, high)
                _heat_map(axes, item, low, high, digits, cell, bare)
                if len(item.edge):
                    staircase(axes, item.edge)
            y -= height
        if label:
            foot_of(figure, label, edge, () if ends else (low, high))
    return figure


def _check(item: HeatMap) -> None:
    shape = np.shape(item.values)
    if shape != (len(item.rows), len(item.columns)):
        names = f"{len(item.rows)} row and {len(item.columns)} column names"
        raise ValueError(f"a heat map of shape {shape} has {names}")


def _trimmed(item: HeatMap, width: float) -> HeatMap:
    """The same map with its names cut to what leaves room for the cells."""
    rows = [theme.shortened(name, 0.3 * width * 72) for name in item.rows]
    columns = [theme.shortened(name, 0.25 * width * 72) for name in item.columns]
    title = theme.shortened(item.title, 0.5 * width * 72, theme.FONT_SIZE)
    return replace(item, rows=rows, columns=columns, title=title)


def _inches(text: str) -> float:
    return theme.text_width(text) / 72


def _turned(item: HeatMap) -> bool:
    return max(map(_inches, item.columns)) > 0.36


def _margins(item: HeatMap) -> tuple[float, float]:
    """Inches that the names need to the left and above."""
    left = max(map(_inches, item.rows)) + 0.08 + (0.24 if item.y else 0)
    return left, _names_above(item) + 0.08 + (0.26 if item.title else 0)


def _names_above(item: HeatMap) -> float:
    """Inches of the names of columns and of what they are."""
    names = max(map(_inches, item.columns)) if _turned(item) else 0.13
    return names + (0.17 if item.x else 0)


def _heat_map(
    axes: Axes,
    item: HeatMap,
    low: float,
    high: float,
    digits: int,
    cell: float,
    bare: Sequence[float],
) -> None:
    values = np.asarray(item.values, float)
    n, m = values.shape
    scale = LinearSegmentedColormap.from_list("heat", theme.HEAT)
    texts = [["" if v in bare else _numeral(v, digits) for v in row] for row in values]
    size = min(
        theme.FONT_SIZE - 1,
        (theme.FONT_SIZE - 1) * 0.84 * cell / max(0.1, *(_inches(t) for row in texts for t in row)),
    )
    for (i, j), value in np.ndenumerate(values):
        missing = math.isnan(value)
        part = np.clip((value - low) / (high - low), 0, 1)
        color = "none" if missing else to_hex(scale(float(part)))
        square = Rectangle((j + 0.02, i + 0.02), 0.96, 0.96, facecolor=color, linewidth=0.4)
        square.set_edgecolor(theme.GRID if missing else color)
        axes.add_patch(square)
        look = {"color": theme.MUTED if missing else _ink(color), "fontsize": size}
        axes.text(j + 0.5, i + 0.52, texts[i][j], ha="center", va="center", **look)
    axes.set(xlim=(0, m), ylim=(n, 0))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=2.5)
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(m) + 0.5, item.columns, rotation=90 if _turned(item) else 0)
    axes.set_yticks(np.arange(n) + 0.5, item.rows)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(item.x, labelpad=2.5)
    axes.set_ylabel(theme.shortened(item.y, n * cell * 72 + 12, theme.FONT_SIZE), labelpad=2.5)
    above = -(_names_above(item) + 0.12) / cell
    axes.text(0, above, item.title, weight="bold", ha="left", va="bottom")


def _ink(ground: str) -> str:
    return max((_DARK, _PALE), key=lambda color: theme.contrast(color, ground))


def _numeral(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def as_rgb(image: np.ndarray) -> np.ndarray:
    """An image (h, w), (h, w, 1) or (h, w, 3) of uint8 as (h, w, 3); else a ValueError."""
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise ValueError(f"images in a report are uint8, not {array.dtype}; round (x + 1) * 127.5")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        raise ValueError(f"images in a report have shape (h, w[, 1 or 3]), not {np.shape(image)}")
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
