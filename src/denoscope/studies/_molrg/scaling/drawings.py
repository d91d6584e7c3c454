"""The figures: samples needed against d and n, how the excess falls, and distances between
samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

from denoscope.estimate import mean
from denoscope.report import INK, MUTED, Level, Panel, Series, curves, error_curves, ordered
from denoscope.report.blocks import Figure
from denoscope.report.theme import TONES
from denoscope.studies._molrg.scaling.expectations import (
    copies_needed,
    gaussian_needed,
    nearest_distance,
)
from denoscope.studies._molrg.scaling.lines import END, METHODS, Cell, Line

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

NEEDED = "training points needed, N"
TONE = dict(zip(METHODS, (*TONES[:5], TONES[4])))
_ARROW = 2.2


def needed_against_d(lines: Sequence[Line]) -> Figure:
    """N against d: on a linear axis, where exponentials are straight, and on a logarithmic one,
    where powers are.
    """
    panels, bounds, straight = [], [], []
    for clusters in _clusters(lines):
        mine = [line for line in lines if line.clusters == clusters]
        series = [_measured(line) for line in mine] + _theory(mine)
        for scale, words in (
            ("linear", "exponentials are straight"),
            ("log", "powers are straight"),
        ):
            panels.append(
                Panel(
                    series, f"K = {clusters}: {words}", "intrinsic dimension d", NEEDED, scale="log"
                )
            )
            bounds.append([bound for line in mine for bound in _bounds(line)])
            straight.append(scale == "linear")
    fields = lines[0].cells[0].fields
    caption = (
        f"**Training points needed for a relative excess risk of {fields['level']:g}** at "
        f"σ = {fields['sigma']:g}, against the intrinsic dimension, at n = "
        f"{lines[0].fixed}. "
        "Both columns show the same numbers. Arrows are lower bounds: the largest "
        "training set did not reach the level. Whiskers are 95 % bootstrap intervals "
        "over draws. "
        "Dotted: where the nearest training point is that close to a fresh one, which is "
        "what the empirical distribution needs as σ → 0. "
        "Thin: the Gaussian fit by deterministic equivalents."
    )
    return Figure("needed-d", caption, partial(_with_bounds, panels, bounds, straight))


def needed_against_n(lines: Sequence[Line]) -> Figure:
    """N against n on logarithmic axes."""
    panels, bounds = [], []
    for clusters in _clusters(lines):
        mine = [line for line in lines if line.clusters == clusters]
        panels.append(
            Panel(
                [_measured(line) for line in mine],
                f"K = {clusters}",
                "ambient dimension n",
                NEEDED,
                scale="log",
            )
        )
        bounds.append([bound for line in mine for bound in _bounds(line)])
    caption = (
        f"**The same against the ambient dimension,** at d = {lines[0].fixed}. Distances "
        "and principal directions live in the subspaces; every direction "
        "beside them adds to the kernels' N about a factor 1 + δ²/σ² by the ambient "
        "noise δ. The kernel smoother gains most in few dimensions, where its density "
        "estimate keeps "
        "little noise. A network must learn which directions to suppress."
    )
    return Figure("needed-n", caption, partial(_with_bounds, panels, bounds, [False] * len(panels)))


def excess(lines: Sequence[Line]) -> Figure:
    """The relative excess against N, a panel a method, a line a d."""
    panels = []
    level, tones = float(lines[0].cells[0].fields["level"]), _tones(lines)
    for line in lines:
        series = [
            _falling(cell, f"d = {d}", tone)
            for d, tone in tones.items()
            if (cell := line.at(d)) is not None
        ]
        panels.append(
            Panel(
                series,
                line.name,
                "training points N",
                "relative excess risk",
                levels=[Level(level, "the level")],
            )
        )
    caption = (
        f"**How the excess risk falls with N,** K = {lines[0].clusters}, n = "
        f"{lines[0].fixed}: E|D − D_true|²/E|D_true|² at fresh noisy points, means and 95 "
        "% intervals over draws. The kernel "
        "smoother has its best bandwidth and form at every N, the network its best training step."
    )
    return Figure("excess", caption, partial(_log_log, panels))


def wasserstein(lines: Sequence[Line]) -> Figure:
    """W2 against N, a panel a d."""
    panels = []
    by_method = {line.method: line for line in lines}
    for d in _spread(by_method.get("empirical", lines[0]).x, 3):
        series, floor = [], 0.0
        for method, line in by_method.items():
            if (found := line.at(d)) is None:
                continue
            sizes, values = found.arrays["w2_sizes"].astype(float), found.arrays["w2"]
            floor = float(found.arrays["w2_floor"].mean())
            series.append(_banded(sizes, values, METHODS[method], TONE[method]))
            if method == "empirical":
                last = values[-1].mean()
                series.append(
                    Series(
                        sizes,
                        last * (sizes[-1] / sizes) ** (1 / max(d, 2)),
                        "slope N^(−1/max(d, 2))",
                        tone=INK,
                        style="dotted",
                    )
                )
        panels.append(
            Panel(
                series,
                f"d = {d}",
                "training points N",
                "W2",
                levels=[Level(floor, "floor: two samples of the truth")],
            )
        )
    points = lines[0].cells[0].fields["compared"]
    caption = (
        f"**Exact W2 between {points} points of the model and as many fresh ones,** K = "
        f"{lines[0].clusters}, n = {lines[0].fixed}. Two samples of the truth itself are "
        "as far apart as the floor, "
        f"so nothing shows below it: at N = {points} the training set has reached it "
        "although it is only a sample. The dotted slope is anchored at the last point."
    )
    return Figure("wasserstein", caption, partial(_log_log, panels))


def nearest(lines: Sequence[Line]) -> Figure:
    """The distance to the nearest training point, measured and exact."""
    panels, tones = [], _tones(lines)
    for line in lines:
        series = []
        for d, tone in tones.items():
            if (cell := line.at(d)) is None:
                continue
            sizes = cell.arrays["sizes"].astype(float)
            fine = np.geomspace(1, sizes[-1], 80)
            series.append(
                Series(
                    fine,
                    nearest_distance(fine, d, line.clusters),
                    f"d = {d}",
                    tone=tone,
                    style="line",
                    kind="exact",
                )
            )
            values = [mean(row) for row in cell.arrays["nearest"]]
            series.append(_dots(sizes, values, f"d = {d}", tone))
        panels.append(
            Panel(series, f"K = {line.clusters}", "training points N", "nearest distance")
        )
    caption = (
        "**The mean distance of a fresh point to its nearest training point,** both "
        "without ambient noise, measured and exact (an integral over noncentral "
        "chi-squares), falls as N^(−1/d): in eight "
        "dimensions ten times more data bring it down by a quarter."
    )
    return Figure("nearest", caption, partial(_log_log, panels))


def _clusters(lines: Sequence[Line]) -> list[int]:
    return sorted({line.clusters for line in lines})


def _tones(lines: Sequence[Line]) -> dict[int, str]:
    """A tone for every d, or for as many as there are tones, the least and the greatest among
    them.
    """
    shown = _spread(sorted({d for line in lines for d in line.x}), len(TONES))
    return dict(zip(shown, ordered(len(shown))))


def _spread(values: Sequence[int], most: int) -> list[int]:
    """At most so many of the values, first and last among them."""
    places = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return [values[place] for place in places]


def _measured(line: Line) -> Series:
    """The numbers with their intervals, gaps where the level was not reached."""
    points = line.points
    y = np.array([point.value if point.reached else np.nan for point in points])
    low = np.array([point.estimate.low for point in points])
    high = np.array([min(point.estimate.high, point.largest) for point in points])
    style = "dashed" if line.method == END else "solid"
    return Series(
        line.x,
        y,
        line.name,
        np.where(np.isnan(y), np.nan, low),
        np.where(np.isnan(y), np.nan, high),
        TONE[line.method],
        style,
        "bars",
    )


def _bounds(line: Line) -> list[tuple[int, int, str]]:
    return [
        (x, point.largest, TONE[line.method])
        for x, point in zip(line.x, line.points)
        if not point.reached
    ]


def _theory(lines: Sequence[Line]) -> list[Series]:
    """The lines that theory has for the empirical distribution and, with one subspace, for the
    Gaussian fit.
    """
    series = []
    for line in lines:
        fields = line.cells[0].fields
        if line.method == "empirical":
            y = [copies_needed(d, line.clusters, fields["level"]) for d in line.x]
            series.append(
                Series(line.x, y, "nearest training point that close", tone=MUTED, style="dotted")
            )
        if line.method == "gaussian" and line.clusters == 1:
            y = [
                gaussian_needed(d, line.fixed, fields["sigma"], fields["noise"], fields["level"])
                for d in line.x
            ]
            series.append(Series(line.x, y, "Gaussian fit, theory", tone=INK, style="thin"))
    return series


def _falling(cell: Cell, label: str, tone: str) -> Series:
    return _banded(cell.arrays["sizes"].astype(float), cell.errors, label, tone)


def _banded(x: np.ndarray, values: np.ndarray, label: str, tone: str) -> Series:
    found = [mean(row) for row in values]
    y = np.array([item.value for item in found])
    return Series(
        x,
        y,
        label,
        np.maximum([item.low for item in found], y / 3),
        [item.high for item in found],
        tone,
    )


def _dots(x: np.ndarray, found: Sequence[Any], label: str, tone: str) -> Series:
    low, high = [max(item.low, item.value / 3) for item in found], [item.high for item in found]
    return Series(
        x,
        [item.value for item in found],
        label,
        low,
        high,
        tone,
        "dots",
        "bars",
        "measured, 95 % intervals",
    )


def _log_log(panels: Sequence[Panel], width: float) -> Drawing:
    return error_curves(panels, width=width)


def _with_bounds(
    panels: Sequence[Panel],
    bounds: Sequence[Sequence[tuple[int, int, str]]],
    straight: Sequence[bool],
    width: float,
) -> Drawing:
    """The curves on one range of y, with an arrow for every lower bound, some panels on a linear
    axis of x.
    """
    drawing = curves(panels, width=width)
    low = min(axes.get_ylim()[0] for axes in drawing.axes)
    top = max(
        [
            *(axes.get_ylim()[1] for axes in drawing.axes),
            *(2 * _ARROW * y for arrows in bounds for _, y, _ in arrows),
        ]
    )
    for axes, arrows, linear in zip(drawing.axes, bounds, straight):
        axes.set_ylim(low, top)
        for x, y, tone in arrows:
            axes.annotate(
                "",
                (x, y * _ARROW),
                (x, y),
                arrowprops={
                    "arrowstyle": "->",
                    "color": tone,
                    "linewidth": 1.4,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )
        if linear:
            _linear(axes)
    return drawing


def _linear(axes: Any) -> None:
    ticks, style = list(axes.get_xticks()), axes.xaxis.get_major_formatter()
    axes.set_xscale("linear")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(style)
    span = max(ticks) - min(ticks)
    axes.set_xlim(min(ticks) - 0.05 * span, max(ticks) + 0.05 * span)
