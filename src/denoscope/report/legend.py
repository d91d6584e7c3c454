"""One legend above all panels: names of colours and of line styles, wrapped to the width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from denoscope.report import theme
from denoscope.report.panels import Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from denoscope.report.panels import Marker, Panel, Style

LINES: dict[Style, dict[str, object]] = {
    "solid": {"linestyle": "-", "linewidth": 1.8},
    "line": {"linestyle": "-", "linewidth": 1.6},
    "dots": {"linestyle": "none"},
    "dashed": {"linestyle": (0, (4, 2)), "linewidth": 1.4},
    "dotted": {"linestyle": (0, (1, 1.6)), "linewidth": 1.6},
    "thin": {"linestyle": "-", "linewidth": 0.8},
}
_MARKED: tuple[Style, ...] = ("solid", "dots")
_MANY = 24  # points of a line that carries no marks
_REFERENCES = ((0, (6, 2, 1, 2)), (0, (2, 2)), (0, (8, 3)), (0, (4, 1, 1, 1, 1, 1)))
_SIZE = theme.FONT_SIZE - 0.5
_HANDLE, _PAD, _BETWEEN = 2.2, 0.8, 1.4  # in units of the font size

Entry = tuple[Line2D, str]


def reference_dashes(panels: Iterable[Panel]) -> dict[str, object]:
    """The dash pattern of every reference line by its label, the same in all panels."""
    straight = (line for panel in panels for line in (*panel.levels, *panel.positions))
    labels = dict.fromkeys(line.label for line in straight)
    return {label: _REFERENCES[i % len(_REFERENCES)] for i, label in enumerate(labels)}


def mark(series: Series) -> str:
    """The mark at the points of a line: none where they are many, or where its style has none."""
    many = np.size(series.x) > _MANY and series.style != "dots"
    if many or (series.style not in _MARKED and not series.marker):
        return ""
    return series.marker or theme.MARKS.get(series.tone, "o")


def entries(panels: Sequence[Panel], *, labelled: bool = False) -> list[list[Entry]]:
    """Groups of entries: colours, line styles, markers, and last the lines of their own and the
    reference levels, which are left out where they are ``labelled``; each name once.
    """
    lines = [series for panel in panels for series in panel.series]
    kinds = {s.kind: [t for t in lines if t.kind == s.kind] for s in lines if s.kind}
    groups: list[dict[str, Line2D]] = [
        {s.label: _handle(_marked(s, lines)) for s in lines if s.kind},
        {kind: _of_kind(some) for kind, some in kinds.items()},
        {m.label: _ring(m) for panel in panels for m in panel.markers},
        _single(panels, labelled),
    ]
    named = [[(handle, label) for label, handle in group.items() if label] for group in groups]
    return [group for group in named if group]


def _marked(series: Series, lines: Sequence[Series]) -> Series:
    """Of the lines with this one's label the first that carries marks, or itself."""
    return next((s for s in lines if s.label == series.label and mark(s)), series)


def _single(panels: Sequence[Panel], labelled: bool) -> dict[str, Line2D]:
    dashes = reference_dashes(panels)
    levels = [] if labelled else [line for panel in panels for line in panel.levels]
    straight = [*levels, *(line for panel in panels for line in panel.positions)]
    lines = [] if labelled else [s for panel in panels for s in panel.series if not s.kind]
    look = {"linewidth": 1.0}
    return {s.label: _handle(s) for s in lines} | {
        line.label: Line2D([], [], color=line.tone, linestyle=dashes[line.label], **look)  # pyright: ignore[reportArgumentType]
        for line in straight
    }


def _handle(series: Series, **look: object) -> Line2D:
    line = {"color": series.tone, "marker": mark(series), "markersize": 4.5, "markeredgewidth": 0}
    return Line2D([], [], **{**line, **LINES[series.style], **look})  # pyright: ignore[reportArgumentType] -- one table of line styles


def _of_kind(some: Sequence[Series]) -> Line2D:
    """The line of one kind: in its own colour and with its own mark where all of them share it."""
    tones, marks = {s.tone for s in some}, {mark(s) for s in some}
    look = {} if len(tones) == 1 else {"color": theme.INK}
    dots = some[0].style == "dots"
    return _handle(some[0], **look, **({} if len(marks) == 1 or dots else {"marker": ""}))


def _ring(marker: Marker) -> Line2D:
    face = {"markerfacecolor": theme.GROUND, "markeredgewidth": 1.4, "markersize": 6}
    return _handle(Series([], [], tone=marker.tone, marker="o"), **face)


def arrange(groups: Sequence[Sequence[Entry]], width: float) -> list[list[Entry]]:
    """Columns that fit ``width`` inches: a group each if it costs one row at most, else flowing."""
    every = [entry for group in groups for entry in group]
    flowing = next(
        (found for count in range(len(every), 1, -1) if _fits(found := _flow(every, count), width)),
        [every],
    )
    grouped = [list(group) for group in groups]
    near = len(grouped) > 1 and rows(grouped) <= rows(flowing) + 1
    return grouped if near and _fits(grouped, width) else flowing


def rows(columns: Sequence[Sequence[Entry]]) -> int:
    """Lines of text that the legend takes."""
    return max(map(len, columns), default=0)


def _flow(every: list[Entry], count: int) -> list[list[Entry]]:
    height = math.ceil(len(every) / count)
    return [every[i : i + height] for i in range(0, len(every), height)]


def _fits(columns: Sequence[Sequence[Entry]], width: float) -> bool:
    names = sum(max(theme.text_width(label, _SIZE) for _, label in column) for column in columns)
    return names + len(columns) * (_HANDLE + _PAD + _BETWEEN) * _SIZE <= width * 72


def draw(figure: Figure, columns: Sequence[Sequence[Entry]]) -> None:
    """Puts the legend above the panels; the layout makes room for it."""
    if not rows(columns):
        return
    blank = (Line2D([], [], linestyle="none"), "")
    cells = [c[i] if i < len(c) else blank for c in columns for i in range(rows(columns))]
    handles = [handle for handle, _ in cells]
    room = figure.get_figwidth() * 72 - (_HANDLE + _PAD + _BETWEEN) * _SIZE
    labels = [theme.shortened(label, room, _SIZE) for _, label in cells]
    look = {"columnspacing": _BETWEEN, "handlelength": _HANDLE, "handletextpad": _PAD}
    look["borderpad"] = 0.1
    figure.legend(handles, labels, loc="outside upper left", ncols=len(columns), **look)
