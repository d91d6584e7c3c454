"""Curves with their uncertainty, drawn from plain arrays; nothing is shown, and no global state is
touched.

A figure is a row of panels that wraps: ``width`` is all that differs between the paper's version
and the phone's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from denoscope.report import labels, legend, theme, ticks
from denoscope.report.panels import Level, Marker, Panel, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.layout_engine import LayoutEngine

_DODGE = 0.035
_MARK = 4.0  # points across a mark
_LEAST, _SCREEN = 1.7, 5.4  # inches: a row of panels at least, all rows together where they can


def curves(panels: Sequence[Panel], *, width: float = theme.WIDE, height: float = 2.9) -> Figure:
    """Lines over a logarithmic (base 2) axis whose ticks are the marked x values themselves, such
    as training set sizes.

    ``width`` is in inches and ``height`` that of one row of panels, less where the rows would not
    fit on a screen; labels of ticks that would touch are left out, ends first kept.
    """
    return _draw(panels, width, height, base=2)


def error_curves(
    panels: Sequence[Panel], *, width: float = theme.WIDE, height: float = 2.7
) -> Figure:
    """Lines over log-log axes, such as error against noise level; log values must be positive."""
    return _draw(panels, width, height, base=10)


def linear_curves(
    panels: Sequence[Panel], *, width: float = theme.WIDE, height: float = 2.7
) -> Figure:
    """Lines over linear axes, such as decibels; a panel's ``scale`` may make y logarithmic."""
    return _draw(panels, width, height, base=0)


def _draw(panels: Sequence[Panel], width: float, height: float, base: int) -> Figure:
    if not panels:
        raise ValueError("a figure needs at least one panel")
    columns = _columns(len(panels), width)
    rows = math.ceil(len(panels) / columns)
    height = max(_LEAST, min(height, _SCREEN / rows))
    with theme.style():
        layout = ConstrainedLayoutEngine(h_pad=0.07, w_pad=0.06)
        figure = Figure(figsize=(width, rows * height), layout=layout)
        grid = figure.subplots(rows, columns, squeeze=False)
        dashes = legend.reference_dashes(panels)
        drawn = list(zip(grid.flat, panels))
        for axes, panel in drawn:
            title, y = _title(panel.title, width / columns), _beside(panel.y, height)
            _panel(axes, replace(panel, title=title, y=y), base, dashes)
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        parts = [drawn[i : i + columns] for i in range(0, len(drawn), columns)]
        for part in parts:
            _drop_repeated_labels(part)
        _name_lines(figure, layout, parts, width, height)
        if base == 2:
            for axes, panel in drawn:
                ticks.thin(axes, panel)
        figure.set_layout_engine("none")  # laid out once; each export would do it again
    return figure


def _name_lines(
    figure: Figure,
    layout: LayoutEngine,
    parts: Sequence[labels.Row],
    width: float,
    height: float,
) -> None:
    """Names the lines at their ends or in a legend, and lays the figure out."""
    labelled = labels.fit(parts, width, height)
    panels = [panel for part in parts for _, panel in part]
    names = legend.arrange(legend.entries(panels, labelled=labelled), width)
    figure.set_figheight(len(parts) * height + 0.2 * legend.rows(names))
    legend.draw(figure, names)
    written = [labels.draw(part, width) for part in parts] if labelled else []
    layout.execute(figure)
    for part, texts in zip(parts, written):
        labels.tie(part, texts)


def _title(title: str, width: float) -> str:
    """A panel's title in one or two lines that fit above it."""
    room = 60 * width / theme.BOLD
    lines = theme.wrapped(title, room, theme.FONT_SIZE)
    return "\n".join(theme.shortened(line, room, theme.FONT_SIZE) for line in lines)


def _beside(label: str, height: float) -> str:
    """The label of a y axis in one or two lines that fit beside it."""
    return "\n".join(theme.wrapped(label, 50 * height, theme.FONT_SIZE))


def _columns(count: int, width: float) -> int:
    most = min(count, 3, max(1, int(width // 2)))
    return math.ceil(count / math.ceil(count / most))


def _panel(axes: Axes, panel: Panel, base: int, dashes: dict[str, object]) -> None:
    if base:
        axes.set_xscale("log", base=base)
    axes.set_yscale(panel.scale or ("log" if base == 10 else "linear"))
    axes.grid(axis="x", visible=base != 2)
    axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    if panel.limits:
        axes.set_ylim(*panel.limits)
    for series in panel.series:
        _series(axes, series)
    for line in (*panel.levels, *panel.positions):
        look = {"color": line.tone, "linestyle": dashes[line.label], "linewidth": 1.0}
        drawn = axes.axhline(line.y) if isinstance(line, Level) else axes.axvline(line.x)
        drawn.set(zorder=1.5, **look)
    ticks.place(axes, panel, base)
    for marker, shift in zip(panel.markers, _dodged(panel.markers)):
        _marker(axes, marker, shift)


def _series(axes: Axes, series: Series) -> None:
    x, y = np.asarray(series.x, float), np.asarray(series.y, float)
    if series.low is not None and series.high is not None:
        low, high = np.asarray(series.low, float), np.asarray(series.high, float)
        if series.spread == "band":
            axes.fill_between(x, low, high, color=series.tone, alpha=0.16, linewidth=0, zorder=2)
        else:
            axes.vlines(x, low, high, color=series.tone, linewidth=1.0, zorder=2.5)
    if series.left is not None and series.right is not None:
        axes.hlines(y, series.left, series.right, color=series.tone, linewidth=1.0, zorder=2.5)
    axes.plot(
        x,
        y,
        color=series.tone,
        marker=legend.mark(series),
        markersize=_MARK,
        markeredgewidth=0,
        zorder=3,
        **legend.LINES[series.style],  # pyright: ignore[reportArgumentType]
    )


def _dodged(markers: Sequence[Marker]) -> list[float]:
    """Shifts, in parts of the axis, that keep markers apart whose intervals overlap at a height."""
    shifts: list[float] = []
    for marker in markers:
        taken = {shift for other, shift in zip(markers, shifts) if _meet(marker, other)}
        steps = (step * _DODGE for step in (0, 1, -1, 2, -2, 3, -3))
        shifts.append(next((step for step in steps if step not in taken), 4 * _DODGE))
    return shifts


def _meet(one: Marker, other: Marker) -> bool:
    return one.y == other.y and other.low <= one.high and one.low <= other.high


def _marker(axes: Axes, marker: Marker, shift: float) -> None:
    if math.isnan(marker.x):
        return
    left, right = axes.get_xlim()
    bottom, top = min(axes.get_ylim()[0], marker.y), max(axes.get_ylim()[1], marker.y)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    y = _raised(axes, marker.y, shift)
    x, low, high = (min(max(value, left), right) for value in (marker.x, marker.low, marker.high))
    shape = "<" if marker.x < left else ">" if marker.x > right else "o"
    axes.plot([low, high], [y, y], color=marker.tone, linewidth=1.6, zorder=4)
    for end, wanted, beyond in ((low, marker.low, "<"), (high, marker.high, ">")):
        whole = end == wanted
        look = {"marker": "|" if whole else beyond, "markersize": 7 if whole else 5}
        axes.plot([end], [y], color=marker.tone, clip_on=False, zorder=4, **look)  # pyright: ignore[reportArgumentType]
    if shape == "o":
        dots = (0, (1, 2))
        axes.plot([x, x], [bottom, y], color=marker.tone, lw=1.2, linestyle=dots, zorder=1.8)
    face = {"markerfacecolor": theme.GROUND, "markeredgecolor": marker.tone, "markeredgewidth": 1.6}
    # one style for three shapes
    axes.plot([x], [y], marker=shape, markersize=6.5, clip_on=False, zorder=5, **face)  # pyright: ignore[reportArgumentType]
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _raised(axes: Axes, y: float, shift: float) -> float:
    """``y`` moved up by a part of the axis, whatever its scale."""
    scale = axes.yaxis.get_transform()
    at, (bottom, top) = scale.transform([y])[0], scale.transform(axes.get_ylim())
    return float(scale.inverted().transform([at + shift * (top - bottom)])[0])


def _drop_repeated_labels(row: labels.Row) -> None:
    """Names the y axis once in a row, and shares its limits, when all panels have the same."""
    panels, every = [panel for _, panel in row], [axes for axes, _ in row]
    if len({(panel.y, panel.limits, panel.scale) for panel in panels}) > 1 or not panels[0].y:
        return
    limits = np.array([axes.get_ylim() for axes in every])
    for axes in every:
        axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())
    for axes in every[1:]:
        axes.set_ylabel("")
        axes.tick_params(labelleft=False)
