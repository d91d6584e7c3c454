"""Lines that say their own names: up to four are labelled where they end, without a legend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from denoscope.report import theme
from denoscope.report.panels import Level, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Transform

    from denoscope.report.panels import Panel

_MOST = 4
_SIZE = theme.FONT_SIZE - 0.5
_LINE = 1.2 * _SIZE  # points from one line of text to the next
_ROOM = (0.27, 0.2, 0.16)  # of the figure's width, beside 1, 2 or 3 panels
_ENDS = 0.85  # of the panel's width: how far right a line must reach
_APART = 1.5  # points between two ends that can be told apart
_GAP = 12.0  # points from the panel to the names

Row = Sequence[tuple["Axes", "Panel"]]


def fit(rows: Sequence[Row], width: float, height: float) -> bool:
    """Whether each row's last panel has room for the names of all lines of its row; ``width`` of
    the figure and ``height`` of a row are in inches.
    """
    named = any(_named(panel) for row in rows for _, panel in row)
    return named and all(_fits(row, width, height) for row in rows)


def _fits(row: Row, width: float, height: float) -> bool:
    axes, last = row[-1]
    lines, panels = _named(last), [panel for _, panel in row]
    if any(series.kind for panel in panels for series in panel.series):
        return False
    if not {name for panel in panels for name in _named(panel)} <= set(lines):
        return False
    ends = [_end(axes, line) for line in lines.values()]
    points = 72 * (height - 0.7)
    return (
        sum(isinstance(line, Series) for line in lines.values()) <= _MOST
        and len(lines) <= _MOST + 2
        and _leaves_room(row, width, points)
        and all(x >= _ENDS for x, _ in ends)
        and bool((np.diff(sorted(y * points for _, y in ends)) >= _APART).all())
    )


def _leaves_room(row: Row, width: float, points: float) -> bool:
    """Whether the names fit beside the panels, and the panels' titles above what is left."""
    room = _room(row, width)
    texts = [theme.wrapped(name, room, _SIZE) for name in _named(row[-1][1])]
    taken = max((theme.text_width(part, _SIZE) for text in texts for part in text), default=0.0)
    left = (72 * width - taken - _GAP) / len(row) - 2 * _GAP
    titles = (theme.text_width(panel.title, theme.FONT_SIZE) * theme.BOLD for _, panel in row)
    return taken <= room and sum(map(len, texts)) * _LINE <= points and max(titles) <= left


def _room(row: Row, width: float) -> float:
    return 72 * width * _ROOM[len(row) - 1]


def _named(panel: Panel) -> dict[str, Series | Level]:
    return {line.label: line for line in (*panel.series, *panel.levels) if line.label}


def _end(axes: Axes, line: Series | Level) -> tuple[float, float]:
    """Where a line ends, in parts of the panel; a line that is nowhere in it ends at (-1, -1)."""
    points = np.array(
        [[axes.get_xlim()[1], line.y]]
        if isinstance(line, Level)
        else np.stack([np.asarray(line.x, float), np.asarray(line.y, float)], 1)
    ).reshape(-1, 2)
    shown = axes.transAxes.inverted().transform(axes.transData.transform(points))
    inside = shown[((shown > -0.01) & (shown < 1.01)).all(1)]
    return tuple(inside[inside[:, 0].argmax()]) if len(inside) else (-1.0, -1.0)


def draw(row: Row, width: float) -> list[Annotation]:
    """Writes the names right of a row's last panel, lowest line first; the layout makes room."""
    axes, panel = row[-1]
    room = _room(row, width)
    found = sorted((_end(axes, line)[1], name) for name, line in _named(panel).items())
    return [
        axes.annotate(
            "\n".join(theme.wrapped(name, room, _SIZE)),
            (1.0, y),
            (_GAP, 0.0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            fontsize=_SIZE,
            linespacing=1.1,
            annotation_clip=False,
        )
        for y, name in found
    ]


def tie(row: Row, names: Sequence[Annotation]) -> None:
    """Once laid out: moves names apart, each as little as possible, and ties each to its line."""
    axes, panel = row[-1]
    box = axes.get_window_extent().transformed(_inches(axes))
    ends = sorted((_end(axes, line)[::-1], line.tone) for line in _named(panel).values())
    heights = np.array([_LINE * (1 + name.get_text().count("\n")) for name in names])
    wanted = np.array([72 * box.height * y for (y, _), _ in ends])
    for name, y, ((end, x), tone) in zip(names, _apart(wanted, heights, 72 * box.height), ends):
        name.set_position((_GAP, y - 72 * box.height * end))
        near = 1 + (_GAP - 2) / (72 * box.width)
        path = Path([(x, end), (1.0, end), (near, y / (72 * box.height))])
        look = {"facecolor": "none", "edgecolor": tone, "linewidth": 0.8, "clip_on": False}
        axes.add_patch(PathPatch(path, transform=axes.transAxes, **look))  # pyright: ignore[reportArgumentType]


def _inches(axes: Axes) -> Transform:
    return axes.get_figure(root=True).dpi_scale_trans.inverted()  # pyright: ignore[reportOptionalMemberAccess]


def _apart(wanted: np.ndarray, heights: np.ndarray, top: float) -> Iterator[float]:
    """Least-squares centres (n) of rising boxes of these heights (n) that do not overlap, within 0
    and ``top``: isotonic regression by pooling neighbours.
    """
    offsets = np.cumsum(heights) - heights / 2
    pools: list[list[float]] = []
    for value in wanted - offsets:
        pools.append([float(value)])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    starts = np.concatenate([np.full(len(pool), np.mean(pool)) for pool in pools])
    yield from np.clip(starts, 0, max(0.0, top - float(heights.sum()))) + offsets
