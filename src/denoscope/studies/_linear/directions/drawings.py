"""The figures: how the leading directions of N rows come to be those of the law, and the directions
themselves as images.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from denoscope.report import INK, Gallery, Panel, Position, Series, Strip, curves, ordered
from denoscope.report.blocks import Figure
from denoscope.studies._linear.by_size import TWIN
from denoscope.studies._linear.directions.cells import Directions
from denoscope.studies._linear.directions.measurements import SHOWN

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

ROWS = "training rows N"
TOLD = 0.5
"""First-order theory is drawn where it leaves more than this of the overlap."""
STRIPS = 5
_SIMULATION = "simulation, 95 % intervals"


def _dots(item: Directions, name: str, label: str, tone: str) -> Series:
    found = item.estimates(name)
    low, high = [e.low for e in found], [e.high for e in found]
    return Series(item.sizes, item.means(name), label, low, high, tone, "dots", "bars", _SIMULATION)


def _twin(item: Directions, name: str, label: str, tone: str) -> list[Series]:
    if not item.has_twin:
        return []
    return [
        Series(
            item.sizes,
            item.means(TWIN + name),
            label,
            tone=tone,
            style="thin",
            kind="simulation, Gaussian twin",
        )
    ]


def _positions(item: Directions) -> list[Position]:
    return [Position(item.effective, "N = d_eff"), Position(item.d, "N = d")]


def _drawn(panels: Sequence[Panel], width: float) -> Drawing:
    return curves(panels, width=width)


def _panel(
    item: Directions, series: Sequence[Series], y: str, limits: tuple[float, float]
) -> Panel:
    return Panel(
        series, f"{item.name}, d = {item.d}", ROWS, y, limits=limits, positions=_positions(item)
    )


def _named(k: int) -> str:
    return f"k = {k}"


def _tones(item: Directions) -> list[tuple[int, str]]:
    return list(zip(item.counts, ordered(len(item.counts)))) if item.counts else []


def overlaps(every: Sequence[Directions]) -> Figure:
    """The overlap of the k leading directions with the law's against N, with theory, the twin and
    the chance level.
    """
    panels = []
    for item in every:
        series = []
        for k, tone in _tones(item):
            theory = item.overlaps(k, item.grid)
            line = np.where(theory > TOLD, theory, np.nan)
            series.append(
                Series(
                    item.grid,
                    line,
                    _named(k),
                    tone=tone,
                    style="line",
                    kind="theory, first order in 1/N",
                )
            )
            series.append(_dots(item, f"overlap_{k}", _named(k), tone))
            series += _twin(item, f"overlap_{k}", _named(k), tone)
            series.append(
                Series(
                    item.sizes[[0, -1]],
                    [k / item.d] * 2,
                    _named(k),
                    tone=tone,
                    style="dotted",
                    kind="chance, k / d",
                )
            )
        panels.append(_panel(item, series, "overlap |U_kᵀV_k|² / k", (-0.03, 1.05)))
    caption = (
        "**How much of the k leading directions N rows find**: the overlap of their "
        "subspace with the law's, 1 where the two are the "
        "same. What counts is how far apart the "
        "variances are: a direction whose variance is nearly that of the next one is "
        "found late, even the first."
    )
    return Figure("overlap", caption, partial(_drawn, panels))


def angles(every: Sequence[Directions]) -> Figure:
    """The largest principal angle between the two subspaces against N."""
    panels = []
    for item in every:
        series = [
            s
            for k, tone in _tones(item)
            for s in (
                _dots(item, f"angle_{k}", _named(k), tone),
                *_twin(item, f"angle_{k}", _named(k), tone),
            )
        ]
        panels.append(_panel(item, series, "largest principal angle, degrees", (-3.0, 95.0)))
    caption = (
        "**The worst direction among the k leading ones**: the largest principal angle "
        "between their subspace and the law's; 90° means "
        "that some direction of one is not in the "
        "other at all."
    )
    return Figure("angles", caption, partial(_drawn, panels))


def variance(every: Sequence[Directions]) -> Figure:
    """The share of the variance that the rows span, beside the share of directions, and what the
    leading ones hold of it.
    """
    panels = []
    for item in every:
        series = [
            Series(
                item.grid,
                item.spanned(item.grid),
                "all directions of the rows",
                tone=INK,
                style="line",
                kind="theory",
            )
        ]
        series.append(_dots(item, "span", "all directions of the rows", INK))
        for k, tone in _tones(item):
            series.append(_dots(item, f"captured_{k}", f"{k} leading, of what {k} can hold", tone))
        shares = np.minimum(item.grid - 1, item.d) / item.d
        series.append(
            Series(
                item.grid, shares, "share of the directions, (N − 1) / d", tone=INK, style="dotted"
            )
        )
        panels.append(_panel(item, series, "share of the variance", (-0.03, 1.05)))
    caption = (
        "**Not enough to span the space.** The share of the variance (of images that "
        "were not drawn, or of the law) in the span of N "
        "rows: well before N = d most of it, though never more than N − 1 of d "
        "directions. Coloured: what the k leading training directions hold, relative to "
        "the most that k directions can."
    )
    return Figure("variance", caption, partial(_drawn, panels))


def gallery(item: Directions) -> Gallery:
    """Leading directions of the first training set at a few sizes, and last those of the whole set,
    with |cos| under each.
    """
    kept = np.unique(
        np.linspace(0, len(item.rows) - 1, min(STRIPS - 1, len(item.rows))).round().astype(int)
    )
    strips = [
        _strip(item, item.rows[at].arrays()["leading"], f"N = {item.sizes[at]:.0f}") for at in kept
    ]
    whole = np.eye(item.d)[:SHOWN]
    strips.append(
        _strip(
            item,
            whole,
            f"all {len(item.law.rows) if item.law.rows is not None else ''} images",
            own=True,
        )
    )
    names = [str(rank + 1) for rank in range(len(whole))]
    return Gallery(f"Leading directions, {item.name}", names, strips)


def _strip(item: Directions, vectors: np.ndarray, caption: str, *, own: bool = False) -> Strip:
    images = item.law.images(vectors).transpose(0, 2, 3, 1)
    notes = ["" if own else _note(vectors[rank], rank) for rank in range(len(vectors))]
    return Strip([_grey(image) for image in images], notes, caption)


def _note(vector: np.ndarray, rank: int) -> str:
    return f"{abs(vector[rank]):.2f}" if vector.any() else "none"


def _grey(image: np.ndarray) -> np.ndarray:
    """A direction as uint8, 0 in the middle, its largest pixel at an end."""
    largest = np.abs(image).max()
    return np.round(127.5 + 127.5 * image / (largest if largest > 0 else 1.0)).astype(np.uint8)
