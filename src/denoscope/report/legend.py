"""One legend above all panels of a figure: it names colours and line styles apart, and wraps to the
figure's width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from denoscope.report import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from denoscope.report.panels import Panel, Style

LINES: dict[Style, dict[str, object]] = {
    "solid": {"linestyle": "-", "linewidth": 1.8},
    "line": {"linestyle": "-", "linewidth": 1.6},
    "dots": {"linestyle": "none"},
    "dashed": {"linestyle": (0, (4, 2)), "linewidth": 1.4},
    "dotted": {"linestyle": (0, (1, 1.6)), "linewidth": 1.6},
    "thin": {"linestyle": "-", "linewidth": 0.8},
}
MARKED: tuple[Style, ...] = ("solid", "dots")
_REFERENCES = ((0, (6, 2, 1, 2)), (0, (2, 2)), (0, (8, 3)), (0, (4, 1, 1, 1, 1, 1)))
_SIZE = theme.FONT_SIZE - 0.5
_HANDLE, _PAD, _BETWEEN = 2.2, 0.8, 1.4  # in units of the font size

Entry = tuple[Line2D, str]


def reference_dashes(panels: Iterable[Panel]) -> dict[str, object]:
    """The dash pattern of every reference line, by its label: one label is one pattern in all
    panels.
    """
    labels = dict.fromkeys(
        line.label for panel in panels for line in (*panel.levels, *panel.positions)
    )
    return {label: _REFERENCES[i % len(_REFERENCES)] for i, label in enumerate(labels)}


def entries(panels: Sequence[Panel]) -> list[list[Entry]]:
    """Groups of entries: colours, line styles, markers, and last the lines of their own and the
    reference levels; each name once.
    """
    lines = [series for panel in panels for series in panel.series]
    markers = [marker for panel in panels for marker in panel.markers]
    straight = [line for panel in panels for line in (*panel.levels, *panel.positions)]
    dashes = reference_dashes(panels)
    groups: list[dict[str, Line2D]] = [
        {s.label: _handle(s.tone, "solid") for s in lines if s.kind},
        {
            s.kind: _handle(
                theme.INK if s.label else s.tone, s.style, mark=None if s.style == "dots" else ""
            )
            for s in lines
        },
        {
            m.label: _handle(
                m.tone,
                "solid",
                mark="o",
                markerfacecolor=theme.GROUND,
                markeredgewidth=1.4,
                markersize=6,
            )
            for m in markers
        },
        {s.label: _handle(s.tone, s.style) for s in lines if not s.kind}
        | {
            line.label: Line2D([], [], color=line.tone, linewidth=1.0, linestyle=dashes[line.label])  # pyright: ignore[reportArgumentType]
            for line in straight
        },
    ]
    named = [[(handle, label) for label, handle in group.items() if label] for group in groups]
    return [group for group in named if group]


def _handle(tone: str, style: Style, mark: str | None = None, **look: object) -> Line2D:
    shape = (theme.MARKS.get(tone, "o") if style in MARKED else "") if mark is None else mark
    return Line2D(
        [], [], **{"color": tone, "marker": shape, "markersize": 4.5, **LINES[style], **look}
    )  # pyright: ignore[reportArgumentType] -- one table of line styles


def arrange(groups: Sequence[Sequence[Entry]], width: float) -> list[list[Entry]]:
    """Columns of entries that fit into ``width`` inches: a group a column where that costs at most
    one row more, else as they flow.
    """
    every = [entry for group in groups for entry in group]
    flowing = next(
        (found for count in range(len(every), 1, -1) if _fits(found := _flow(every, count), width)),
        [every],
    )
    grouped = [list(group) for group in groups]
    return (
        grouped
        if grouped and _fits(grouped, width) and rows(grouped) <= rows(flowing) + 1
        else flowing
    )


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
    """Puts the legend above the panels, columns filled up with empty entries; the layout makes room
    for it.
    """
    if not rows(columns):
        return
    blank = (Line2D([], [], linestyle="none"), "")
    cells = [
        column[i] if i < len(column) else blank for column in columns for i in range(rows(columns))
    ]
    handles = [handle for handle, _ in cells]
    labels = [
        theme.shortened(
            label, figure.get_figwidth() * 72 - (_HANDLE + _PAD + _BETWEEN) * _SIZE, _SIZE
        )
        for _, label in cells
    ]
    look = {
        "columnspacing": _BETWEEN,
        "handlelength": _HANDLE,
        "handletextpad": _PAD,
        "borderpad": 0.1,
    }
    figure.legend(handles, labels, loc="outside upper left", ncols=len(columns), **look)
