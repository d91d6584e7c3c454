"""The staircase that runs through a heat map where a transition is, and its explanation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from denoscope.report import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINES = (("#000000", 2.6), ("#fefefe", 1.2))  # pale on dark: seen on every colour of the map


def staircase(axes: Axes, edge: Sequence[float]) -> None:
    """A line down a map's rows at these places along its columns; NaN interrupts it."""
    n = len(edge)
    x = np.clip(np.repeat(np.asarray(edge, float), 2), *axes.get_xlim())
    _double(axes, x, np.repeat(np.arange(n + 1), 2)[1:-1])


def _double(axes: Axes, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> None:
    for order, (color, wide) in enumerate(_LINES):
        look = {"linewidth": wide, "solid_capstyle": "butt", "zorder": 4 + order}
        axes.plot(x, y, color=color, clip_on=False, **look)


def foot_of(figure: Figure, label: str, edge: str, ends: Sequence[float]) -> None:
    """The label of the numbers, the scale between its ``ends`` and the ``edge``, at the foot."""
    width, x = figure.get_figwidth(), 0.02
    if ends:
        _scale(_inset(figure, x + 0.1, 1.0), ends)
        x += 1.35
    _text(figure, x, theme.shortened(label, (width - x) * 72 - 4, theme.FONT_SIZE))
    x += theme.text_width(label) / 72 + 0.3
    if edge:
        line = _inset(figure, x, 0.25)
        line.set(xlim=(0, 1), ylim=(0, 1))
        line.axis("off")
        _double(line, [0, 1], [0.5, 0.5])
        _text(figure, x + 0.32, edge)


def _inset(figure: Figure, x: float, wide: float) -> Axes:
    """Axes of this many inches across at the foot of a figure."""
    width, height = figure.get_size_inches()
    return figure.add_axes((x / width, 0.17 / height, wide / width, 0.09 / height))


def _text(figure: Figure, x: float, text: str) -> None:
    width, height = figure.get_size_inches()
    look = {"color": theme.MUTED, "va": "center", "fontsize": theme.FONT_SIZE - 0.5}
    figure.text(x / width, 0.2 / height, text, **look)


def _scale(axes: Axes, ends: Sequence[float]) -> None:
    colors = LinearSegmentedColormap.from_list("heat", theme.HEAT)(np.linspace(0, 1, 64))
    axes.imshow(colors[None], extent=(0, 1, 0, 1), aspect="auto")
    axes.set_xticks([0, 1], [f"{end:g}" for end in ends])
    axes.set_yticks([])
    axes.tick_params(length=0, pad=1.5)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
