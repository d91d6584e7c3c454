"""The figures: GL against N_k and against N_k/d, the half-points over d, controls, and where the
samples lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from denoscope.report import INK, MUTED, Level, Marker, Panel, Position, Series, curves, ordered
from denoscope.report.blocks import Figure
from denoscope.report.panels import Style
from denoscope.store import Row
from denoscope.studies._molrg.network.findings import PUBLISHED, number
from denoscope.studies._molrg.network.halfway import HALF, LEVELS, Crossings, Scores, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

POINTS, RATIO, DIMENSION = "training points a subspace, N_k", "N_k / d", "dimension d"
MEMORIZER, TRUTH, RUNS = "memorizer", "truth", "networks"
REPORTED = f"published: GL ≈ 1 at {PUBLISHED[0]}–{PUBLISHED[1]}"


def _drawn(panels: Sequence[Panel], width: float) -> Drawing:
    return curves(panels, width=width)


def tones(dims: Sequence[int]) -> dict[int, str]:
    """One tone a dimension, in order; they repeat beyond six."""
    return dict(zip(dims, islice(cycle(ordered(min(6, len(dims)))), len(dims))))


def _limits(found: Sequence[Scores]) -> tuple[float, float]:
    """From below 0 to above the largest mean, at most 2.5: curves that leave the frame are far from
    the law.
    """
    return -0.08, min(2.5, max(1.3, 0.1 + max(float(item.means.max()) for item in found)))


def _in_units(sizes: Sequence[int], d: int) -> list[float]:
    """N_k/d to three digits, for an axis whose ticks are the values themselves."""
    return [float(f"{size / d:.3g}") for size in sizes]


def _lines(found: Sequence[Scores], tone: dict[int, str], *, by_dimension: bool) -> list[Series]:
    lines = []
    for item in found:
        curve, x = item.curve, _in_units(item.sizes, item.d) if by_dimension else item.sizes
        low, high = [e.low for e in curve], [e.high for e in curve]
        lines.append(
            Series(x, [e.value for e in curve], f"d = {item.d}", low, high, tone[item.d], kind=RUNS)
        )
    return lines


def _closed(found: Sequence[Scores], name: str, *, by_dimension: bool) -> Series:
    """A closed form's mean GL over d at every size; in units of d, over the sizes that are left
    when those of all d are put in order.
    """
    points = sorted(
        (size / item.d if by_dimension else float(size), value)
        for item in found
        for size, value in zip(item.sizes, item.means)
    )
    x = sorted({at for at, _ in points})
    y = [float(np.mean([value for at, value in points if at == here])) for here in x]
    return Series(x, y, tone=INK, style="dashed" if name == MEMORIZER else "dotted", kind=name)


def transition(
    found: Sequence[Scores], half: Crossings, references: Mapping[str, Sequence[Scores]]
) -> Figure:
    """The main figure: GL of every dimension against N_k, and again against N_k/d."""
    tone = tones([item.d for item in found])
    panels = []
    for by_dimension, title in (
        (False, "Against the number of points"),
        (True, "Against points a dimension"),
    ):
        lines = _lines(found, tone, by_dimension=by_dimension)
        lines += [
            _closed(scores, name, by_dimension=by_dimension)
            for name, scores in references.items()
            if scores
        ]
        at = half.ratios() if by_dimension else half.sizes()
        markers = [Marker(e.value, e.low, e.high, HALF, "", tone[d]) for e, d in zip(at, half.dims)]
        reported = [Position(float(value), REPORTED) for value in PUBLISHED] if by_dimension else []
        x = RATIO if by_dimension else POINTS
        panels.append(
            Panel(
                lines,
                title,
                x,
                "GL, generalization score",
                markers,
                limits=_limits(found),
                positions=reported,
            )
        )
    caption = (
        "**From copying to generalizing.** GL, the mean squared distance of samples to "
        "the nearest training point relative to that of fresh points, against the number "
        "of "
        "training points of each subspace (left) and against that number divided by the "
        "dimension d (right): where d decides through N_k/d alone, the curves fall on "
        "one. Bands: "
        "95 % bootstrap over training runs; open points with whiskers: where GL is one "
        "half, with 95 % intervals. Dashed and dotted: the closed-form memorizer and the "
        "true "
        "denoiser from the same noises with the same solver. Upright: where the "
        "published curves of a large U-Net come to about 1."
    )
    return Figure("transition", caption, partial(_drawn, panels))


def half_points(found: Mapping[str, Sequence[Scores]]) -> Figure:
    """N_k/d at which the curves cross several levels, for each d: flat where N_k/d decides."""
    panels = []
    for name, title in (("gl", "All distances"), ("gl_within", "Within the subspaces")):
        at = [Crossings.of(found[name], level) for level in LEVELS]
        lines = [_crossed(item, tone) for item, tone in zip(at, ordered(len(LEVELS)))]
        half = at[LEVELS.index(HALF)]
        if half.complete:
            alone = half.ratio().value * 2.0 ** float(half.log_dims.mean()) / np.array(half.dims)
            lines.append(Series(half.dims, alone, "if N_k alone decided", tone=MUTED, style="thin"))
        levels = [Level(float(value), REPORTED) for value in PUBLISHED]
        panels.append(
            Panel(lines, title, DIMENSION, "N_k / d at the crossing", levels=levels, scale="log")
        )
    caption = (
        "**How many points a dimension it takes**: N_k/d at which GL crosses each level, "
        "for each dimension d, for all distances (left) and within the subspaces (right: "
        "all points first projected "
        "onto the nearest one, so that noise off the subspaces does not pass for "
        "novelty). Flat: N_k/d decides, and curves collapse; parallel to the thin line: "
        "N_k alone decides. Bars: 95 % bootstrap "
        "over training runs; crossings outside of the measured sizes are left out. Level "
        "lines: the published 50 to 60, where GL is about 1."
    )
    return Figure("half_points", caption, partial(_drawn, panels))


def _crossed(item: Crossings, tone: str) -> Series:
    found = item.ratios()
    y = np.array([e.value if 0 < e.value < np.inf else np.nan for e in found])
    low = np.where(np.isnan(y), np.nan, [e.low if e.low > 0 else e.value for e in found])
    high = np.where(
        np.isnan(y), np.nan, [e.high if np.isfinite(e.high) else e.value for e in found]
    )
    return Series(item.dims, y, f"GL = {item.level:g}", low, high, tone, "solid", "bars")


def controls(found: Mapping[str, Sequence[Scores]]) -> Figure:
    """GL by two other definitions against N_k/d."""
    tone = tones([item.d for item in found["gl_within"]])
    titles = {
        "gl_within": ("Within the subspaces", "GL of projected points"),
        "gl_unsquared": ("Distances not squared", "GL, unsquared"),
    }
    panels = []
    for name, (title, y) in titles.items():
        lines = _lines(found[name], tone, by_dimension=True)
        panels.append(
            Panel(
                lines,
                title,
                RATIO,
                y,
                levels=[Level(1.0, "as fresh points"), Level(HALF, "one half")],
                limits=_limits(found[name]),
            )
        )
    caption = (
        "**The same curves by two other scores.** Left: samples, fresh and training "
        "points are projected onto the subspace nearest to each before distances are "
        "taken, so that only "
        "differences within the subspaces count. Right: mean distances instead of mean "
        "squared ones. Bands: 95 % bootstrap over training runs."
    )
    return Figure("controls", caption, partial(_drawn, panels))


def places(rows: Sequence[Row]) -> Figure:
    """Shares of energy in the true subspaces, and the squared distance of samples to them, against
    N_k.
    """
    dims = sorted({whole(row, "d") for row in rows})
    tone = tones(dims)
    inside, nearest, distance, between = (
        [_over(rows, d, name, tone[d]) for d in dims]
        for name in ("inside", "nearest", "distance", "between")
    )
    share = [
        *_kinds(inside, "in their span", "dashed"),
        *_kinds(nearest, "in the nearest one", "solid"),
    ]
    away = [
        *_kinds(distance, "samples to subspace", "solid"),
        *_kinds(between, "fresh to training point", "thin"),
    ]
    least = min(float(np.nanmin(np.asarray(line.y))) for line in nearest)
    panels = [
        Panel(
            share,
            "Energy in the true subspaces",
            POINTS,
            "share of the samples' energy",
            limits=(min(0.9, least - 0.02), 1.01),
        ),
        Panel(away, "Distance to the truth", POINTS, "mean squared distance", scale="log"),
    ]
    caption = (
        "**Where the samples lie.** Left: the share of their squared length in the span "
        "of all true subspaces, and in the one nearest to each sample; both are 1 for "
        "points of the law "
        "without ambient noise. Right: their mean squared distance to the nearest true "
        "subspace, and thin, the mean squared distance of fresh points to the nearest "
        "training point, "
        "which is the denominator of GL: where the first is no longer small beside the "
        "second, GL exceeds 1 by noise and not by novelty. Means over training runs."
    )
    return Figure("places", caption, partial(_drawn, panels))


def _over(rows: Sequence[Row], d: int, name: str, tone: str) -> Series:
    mine = [row for row in rows if whole(row, "d") == d]
    sizes = sorted({whole(row, "n_k") for row in mine})
    means = np.array(
        [
            np.mean([number(row, name) for row in mine if whole(row, "n_k") == size])
            for size in sizes
        ]
    )
    return Series(sizes, np.where(means > 0, means, np.nan), f"d = {d}", tone=tone)


def _kinds(lines: Sequence[Series], kind: str, style: Style) -> list[Series]:
    return [
        Series(line.x, line.y, line.label, tone=line.tone, style=style, kind=kind) for line in lines
    ]
