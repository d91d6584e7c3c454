"""Ticks: measured values where they are few, round ones elsewhere, no two labels that touch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from denoscope.report import legend, theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from denoscope.report.panels import Panel


def place(axes: Axes, panel: Panel, base: int) -> None:
    """Ticks of both axes; x is linear (``base`` 0), powers of ten (10), or marked values (2)."""
    if not base:
        whole = all(value.is_integer() for value in _marked(panel))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=whole))
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    if base == 2:
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(FixedLocator(_marked(panel)))
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if axis.get_scale() == "log" and not (base == 2 and axis is axes.xaxis):
            _logarithmic(axis, math.log10(high / low))


def _logarithmic(axis: Axis, decades: float) -> None:
    few = LogLocator(subs=(1, 2, 5) if decades < 1.6 else (1,))
    axis.set_major_locator(MaxNLocator(4) if decades < 0.6 else few)
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_locator(NullLocator())


def thin(axes: Axes, panel: Panel) -> None:
    """Keeps labels of x that do not touch: ends, powers of two, others; tick marks all stay."""
    size = theme.FONT_SIZE - 1
    # drawn just before
    points = axes.get_window_extent().width * 72 / axes.get_figure(root=True).dpi  # pyright: ignore[reportOptionalMemberAccess]
    left, right = (math.log2(limit) for limit in axes.get_xlim())
    values = _marked(panel)
    ends = values[:1] + values[-1:]
    order = sorted(values, key=lambda v: (v not in ends, not math.log2(v).is_integer(), v))
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


def _marked(panel: Panel) -> list[float]:
    """The positive x values of the series with marks, or of all where none has marks."""
    marked = [series for series in panel.series if legend.mark(series)] or panel.series
    values = np.concatenate([np.ravel(np.asarray(s.x, float)) for s in marked] or [np.empty(0)])
    return sorted({float(v) for v in values if math.isfinite(v) and v > 0})


def _plain(value: float, _: object = None) -> str:
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        return f"{value:g}".replace("-", "−")
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
