"""A claim's intervals against the region where they are expected, for a line of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from denoscope.report.blocks import ClaimRow

_WIDE = 150.0  # all lengths in CSS pixels
_SIDE = 9.0  # beside the scale: room for arrows
_FIRST = 8.0  # height of the decisive interval
_STEP, _STACK = 7.0, 42.0  # from one other interval to the next; all of them at most
_FOOT = 13.0  # numerals


def forest(row: ClaimRow) -> Markup:
    """The intervals of ``row`` as an SVG drawing, the decisive one dark on top, the others light
    under it, the expected region shaded with its finite ends written below.

    Ends that are infinite or off the scale are arrows; what is not a number is left out. Where
    nothing is expected nothing is drawn.
    """
    shown = [each for each in row.intervals if not math.isnan(each[1])]
    if not shown or not any(map(math.isfinite, row.region)):
        return Markup("")
    low, high = _scale(shown, row.region)
    bottom = _FIRST + 8 + min(_STEP * (len(shown) - 1), _STACK)
    step = min(_STEP, _STACK / max(1, len(shown) - 1))
    parts = [_region(row.region, low, high, bottom)]
    for i, each in reversed(list(enumerate(shown))):
        parts.append(_interval(each, low, high, _FIRST + i * step + (2 if i else 0), i == 0))
    size = f'viewBox="0 0 {_WIDE:g} {bottom + _FOOT:g}" width="{_WIDE:g}"'
    return Markup(f'<svg class="forest" aria-hidden="true" {size}>{"".join(parts)}</svg>')


def _scale(shown: Sequence[tuple[float, ...]], region: tuple[float, float]) -> tuple[float, float]:
    """Ends of the axis: all values, the decisive interval, the region's ends, a tenth more each."""
    wanted = [*region, *shown[0], *(each[1] for each in shown)]
    finite = [end for end in wanted if math.isfinite(end)] or [0.0]
    low, high = min(finite), max(finite)
    pad = (high - low) / 10 or abs(low) / 10 or 1.0
    return low - pad, high + pad


def _at(value: float, low: float, high: float) -> float:
    part = (min(max(value, low), high) - low) / (high - low)
    return round(_SIDE + part * (_WIDE - 2 * _SIDE), 1)


def _region(region: tuple[float, float], low: float, high: float, bottom: float) -> str:
    left, right = (_at(end, low, high) for end in region)
    left, right = left if region[0] >= low else 0.0, right if region[1] <= high else _WIDE
    finite = [end for end in dict.fromkeys(region) if math.isfinite(end)]
    lines = [f'<path class="edge" d="M{_at(end, low, high)} 0V{bottom:g}"/>' for end in finite]
    return (
        f'<rect class="region" x="{left}" width="{max(right - left, 0):g}" height="{bottom:g}"/>'
        + "".join(lines)
        + "".join(
            _numeral(end, _at(end, low, high), bottom + _FOOT - 3)
            for end in _apart(finite, low, high)
        )
    )


def _apart(ends: Sequence[float], low: float, high: float) -> Sequence[float]:
    """The ends whose numerals have room beside each other."""
    near = len(ends) == 2 and _at(ends[1], low, high) - _at(ends[0], low, high) < 28
    return ends[:1] if near else ends


def _numeral(value: float, x: float, y: float) -> str:
    anchor = "start" if x < 20 else "end" if x > _WIDE - 20 else "middle"
    text = f"{value:.3g}".replace("-", "−")
    return f'<text x="{x}" y="{y:g}" text-anchor="{anchor}">{text}</text>'


def _interval(each: tuple[float, ...], low: float, high: float, y: float, decisive: bool) -> str:
    left, value, right = each
    name = "decisive" if decisive else "other"
    half = 2.5 if decisive else 1.5
    ends = [(end, _at(end, low, high), -1 if end == left else 1) for end in (left, right)]
    caps = [
        f"M{x - 4 * way:g} {y - 3}L{x:g} {y}L{x - 4 * way:g} {y + 3}"
        if not low <= end <= high
        else f"M{x:g} {y - half}V{y + half}"
        for end, x, way in ends
    ]
    dot = f'<circle cx="{_at(value, low, high)}" cy="{y:g}" r="{half + 0.7:g}"/>'
    return (
        f'<g class="{name}"><path d="M{ends[0][1]:g} {y}H{ends[1][1]:g}{"".join(caps)}"/>{dot}</g>'
    )
