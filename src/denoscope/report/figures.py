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
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from denoscope.report import legend, theme
from denoscope.report.panels import Marker, Panel, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DODGE = 0.035


def curves(panels: Sequence[Panel], *, width: float = theme.WIDE, height: float = 2.9) -> Figure:
    """Lines over a logarithmic (base 2) axis whose ticks are the marked x values themselves, such
    as training set sizes.

    ``width`` is in inches and ``height`` that of one row of panels; labels of ticks that would
    touch are left out, ends first kept.
    """
    return _draw(panels, width, height, base=2)


def error_curves(
    panels: Sequence[Panel], *, width: float = theme.WIDE, height: float = 2.7
) -> Figure:
    """Lines over log-log axes, such as denoising error against noise level sigma; values on a
    logarithmic axis must be positive.
    """
    return _draw(panels, width, height, base=10)


def linear_curves(
    panels: Sequence[Panel], *, width: float = theme.WIDE, height: float = 2.7
) -> Figure:
    """Lines over linear axes, such as decibels, cosines or time; a panel's ``scale`` may make its y
    axis logarithmic.
    """
    return _draw(panels, width, height, base=0)


def _draw(panels: Sequence[Panel], width: float, height: float, base: int) -> Figure:
    if not panels:
        raise ValueError("a figure needs at least one panel")
    columns = _columns(len(panels), width)
    rows = math.ceil(len(panels) / columns)
    with theme.style():
        dashes = legend.reference_dashes(panels)
        names = legend.arrange(legend.entries(panels), width)
        figure = Figure(
            figsize=(width, rows * height + 0.2 * legend.rows(names)), layout="constrained"
        )
        # the constrained layout of the line above
        figure.get_layout_engine().set(h_pad=0.07, w_pad=0.06)  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue]
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, panel in zip(grid.flat, panels):
            _panel(
                axes,
                replace(
                    panel, title=theme.shortened(panel.title, 60 * width / columns, theme.FONT_SIZE)
                ),
                base,
                dashes,
            )
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        _drop_repeated_labels([list(row) for row in grid], panels)
        legend.draw(figure, names)
        figure.draw_without_rendering()
        if base == 2:
            for axes, panel in zip(grid.flat, panels):
                _thin_ticks(axes, panel)
        figure.set_layout_engine("none")  # laid out once; each export would do it again
    return figure


def _columns(count: int, width: float) -> int:
    most = min(count, 3, max(1, int(width // 2)))
    return math.ceil(count / math.ceil(count / most))


def _panel(axes: Axes, panel: Panel, base: int, dashes: dict[str, object]) -> None:
    if base:
        axes.set_xscale("log", base=base)
    axes.set_yscale(panel.scale or ("log" if base == 10 else "linear"))
    axes.grid(axis="x", visible=base != 2)
    axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    for series in panel.series:
        _series(axes, series)
    for level in panel.levels:
        axes.axhline(
            level.y, color=level.tone, linewidth=1.0, linestyle=dashes[level.label], zorder=1.5
        )  # pyright: ignore[reportArgumentType] -- a dash pattern
    for position in panel.positions:
        axes.axvline(
            position.x,
            color=position.tone,
            linewidth=1.0,
            linestyle=dashes[position.label],
            zorder=1.5,
        )  # pyright: ignore[reportArgumentType] -- a dash pattern
    if panel.limits:
        axes.set_ylim(*panel.limits)
    if panel.span:
        axes.set_xlim(*panel.span)
    _ticks(axes, panel, base)
    for marker, shift in zip(panel.markers, _dodged(panel.markers)):
        _marker(axes, marker, shift)


def _series(axes: Axes, series: Series) -> None:
    x, y = np.asarray(series.x, float), np.asarray(series.y, float)
    mark = theme.MARKS.get(series.tone, "o") if series.style in legend.MARKED else ""
    if series.low is not None and series.high is not None:
        low, high = np.asarray(series.low, float), np.asarray(series.high, float)
        if series.spread == "band":
            axes.fill_between(x, low, high, color=series.tone, alpha=0.16, linewidth=0, zorder=2)
        else:
            axes.vlines(x, low, high, color=series.tone, linewidth=1.0, zorder=2.5)
    axes.plot(
        x,
        y,
        color=series.tone,
        marker=mark,
        markersize=4,
        markeredgewidth=0,
        zorder=3,
        **legend.LINES[series.style],  # pyright: ignore[reportArgumentType]
    )


def _dodged(markers: Sequence[Marker]) -> list[float]:
    """Vertical shifts, in parts of the axis, which keep markers apart whose intervals overlap at
    one height.
    """
    shifts: list[float] = []
    for i, marker in enumerate(markers):
        taken = {
            s
            for other, s in zip(markers[:i], shifts)
            if other.y == marker.y and other.low <= marker.high and marker.low <= other.high
        }
        shifts.append(
            next(
                step * _DODGE
                for step in (0, 1, -1, 2, -2, 3, -3, 4)
                if step * _DODGE not in taken or step == 4
            )
        )
    return shifts


def _marker(axes: Axes, marker: Marker, shift: float) -> None:
    if math.isnan(marker.x):
        return
    left, right = axes.get_xlim()
    bottom, top = min(axes.get_ylim()[0], marker.y), max(axes.get_ylim()[1], marker.y)
    y = marker.y + shift * (top - bottom)
    x, low, high = (min(max(value, left), right) for value in (marker.x, marker.low, marker.high))
    shape = "<" if marker.x < left else ">" if marker.x > right else "o"
    axes.plot([low, high], [y, y], color=marker.tone, linewidth=1.6, zorder=4)
    for end, wanted, beyond in ((low, marker.low, "<"), (high, marker.high, ">")):
        axes.plot(
            [end],
            [y],
            color=marker.tone,
            marker="|" if end == wanted else beyond,
            markersize=7 if end == wanted else 5,
            clip_on=False,
            zorder=4,
        )
    if shape == "o":
        axes.plot(
            [x, x], [bottom, y], color=marker.tone, linewidth=1.2, linestyle=(0, (1, 2)), zorder=1.8
        )
    face = {"markerfacecolor": theme.GROUND, "markeredgecolor": marker.tone, "markeredgewidth": 1.6}
    # one style for three shapes
    axes.plot([x], [y], marker=shape, markersize=6.5, clip_on=False, zorder=5, **face)  # pyright: ignore[reportArgumentType]
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _ticked(panel: Panel) -> list[float]:
    """The x values of the series with markers, or of all where none has markers."""
    marked = [series for series in panel.series if series.style in legend.MARKED] or panel.series
    return sorted(
        {
            float(v)
            for series in marked
            for v in np.ravel(np.asarray(series.x, float))
            if math.isfinite(v) and v > 0
        }
    )


def _plain(value: float, _: object = None) -> str:
    return (
        f"{value:g}".replace("-", "−")
        if value == 0 or 1e-4 <= abs(value) < 1e5
        else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    )


def _ticks(axes: Axes, panel: Panel, base: int) -> None:
    if not base:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    if base == 2:
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(FixedLocator(_ticked(panel)))
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if axis.get_scale() != "log" or (base == 2 and axis is axes.xaxis):
            continue
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if math.log10(high / low) < 1.6 else (1,)))
        axis.set_major_formatter(FuncFormatter(_plain))
        axis.set_minor_locator(NullLocator())


def _thin_ticks(axes: Axes, panel: Panel) -> None:
    """Keeps the tick labels that do not touch: both ends, then powers of two, then the others;
    every tick mark stays.
    """
    size = theme.FONT_SIZE - 1
    # drawn just before
    points = axes.get_window_extent().width * 72 / axes.get_figure(root=True).dpi  # pyright: ignore[reportOptionalMemberAccess]
    left, right = (math.log2(limit) for limit in axes.get_xlim())
    values = _ticked(panel)
    order = sorted(
        values,
        key=lambda v: (v not in (min(values), max(values)), not math.log2(v).is_integer(), v),
    )
    kept: dict[float, tuple[float, float]] = {}
    for value in order:
        center = (math.log2(value) - left) / (right - left) * points
        half = (theme.text_width(_plain(value), size) + 0.3 * size) / 2
        if all(center + half <= low or center - half >= high for low, high in kept.values()):
            kept[value] = (center - half, center + half)
    axes.xaxis.set_major_formatter(
        FuncFormatter(
            lambda value, _: _plain(value) if any(math.isclose(value, k) for k in kept) else ""
        )
    )


def _drop_repeated_labels(grid: list[list[Axes]], panels: Sequence[Panel]) -> None:
    """Names an axis once in a row, and shares its limits there, when all panels of that row have
    the same y label.
    """
    columns = len(grid[0])
    for start in range(0, len(panels), columns):
        row = panels[start : start + columns]
        if (
            len(row) > 1
            and row[0].y
            and len({panel.y for panel in row}) == 1
            and len({panel.limits for panel in row}) == 1
        ):
            axes = grid[start // columns][: len(row)]
            low, high = min(a.get_ylim()[0] for a in axes), max(a.get_ylim()[1] for a in axes)
            for a in axes:
                a.set_ylim(low, high)
            for a in axes[1:]:
                a.set_ylabel("")
                a.tick_params(labelleft=False)
