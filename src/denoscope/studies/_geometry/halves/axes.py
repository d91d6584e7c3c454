"""Panels over a linear x axis, such as decibels, cosines or ranks; otherwise drawn as the other figures of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from denoscope.report import legend, theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from denoscope.report.panels import Panel, Series

_HEIGHT = 2.5  # inches of a row of panels


def linear(panels: Sequence[Panel], width: float = theme.WIDE) -> Figure:
    """A row of panels that wraps, with one legend above; all share their x limits, those of one row with one y label also their y limits."""
    columns = min(len(panels), max(1, min(3, int(width // 1.75))))
    columns = math.ceil(len(panels) / math.ceil(len(panels) / columns))
    rows = math.ceil(len(panels) / columns)
    with theme.style():
        dashes = legend.reference_dashes(panels)
        names = legend.arrange(legend.entries(panels), width)
        figure = Figure(figsize=(width, rows * _HEIGHT + 0.2 * legend.rows(names)), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.07, w_pad=0.06)  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue] -- the constrained layout of the line above
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=len({panel.y for panel in panels}) == 1)
        for axes, panel in zip(grid.flat, panels):
            axes.set_title(theme.shortened(panel.title, 60 * width / columns, theme.FONT_SIZE))
            _panel(axes, panel, dashes)
        for place in range(len(panels), rows * columns):
            grid.flat[place].remove()
            grid.flat[place - columns].xaxis.set_tick_params(labelbottom=True)
        for place, (axes, panel) in enumerate(zip(grid.flat, panels)):
            axes.set_xlabel(panel.x if place + columns >= len(panels) else "")
            axes.set_ylabel(panel.y if place % columns == 0 or panel.y != panels[place - 1].y else "")
        legend.draw(figure, names)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once; each export would do it again
    return figure


def _panel(axes: Axes, panel: Panel, dashes: dict[str, object]) -> None:
    axes.set_yscale(panel.scale or "linear")
    for series in panel.series:
        _series(axes, series)
    for line in panel.levels:
        axes.axhline(line.y, color=line.tone, linewidth=1.0, linestyle=dashes[line.label], zorder=1.5)  # pyright: ignore[reportArgumentType] -- a dash pattern
    for line in panel.positions:
        axes.axvline(line.x, color=line.tone, linewidth=1.0, linestyle=dashes[line.label], zorder=1.5)  # pyright: ignore[reportArgumentType] -- a dash pattern
    if panel.limits:
        axes.set_ylim(*panel.limits)


def _series(axes: Axes, series: Series) -> None:
    x, y = np.asarray(series.x, float), np.asarray(series.y, float)
    mark = theme.MARKS.get(series.tone, "o") if series.style in legend.MARKED else ""
    if series.low is not None and series.high is not None:
        axes.fill_between(
            x, np.asarray(series.low, float), np.asarray(series.high, float), color=series.tone, alpha=0.16, linewidth=0, zorder=2
        )
    axes.plot(x, y, color=series.tone, marker=mark, markersize=3.5, markeredgewidth=0, zorder=3, **legend.LINES[series.style])  # pyright: ignore[reportArgumentType] -- one table of line styles
