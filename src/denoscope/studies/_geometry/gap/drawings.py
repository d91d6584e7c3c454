"""The figures: distances against noise level, model by model and size by size, matrices of
distillates, and linearity.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from denoscope.report import INK, MUTED, Level, Panel, Position, Series, error_curves, ordered
from denoscope.report.blocks import Figure
from denoscope.studies._geometry.gap.regimes import EDGES, LEVELS, NEAR
from denoscope.studies._geometry.groups import Group

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from denoscope.report.panels import Style

SIGMA = "noise level σ"
_PAIRS = {
    "network_memorizer": ("network, memorizer", ordered(4)[0]),
    "network_gaussian": ("network, Gaussian", ordered(4)[1]),
    "network_distillate": ("network, its distillate", ordered(4)[2]),
    "distillate_gaussian": ("distillate, Gaussian", ordered(4)[3]),
    "network_truth": ("network, truth", INK),
}
_EACH = {
    "network_gaussian": "Network, Gaussian",
    "network_memorizer": "Network, memorizer",
    "distillate_gaussian": "Distillate, Gaussian",
    "network_truth": "Network, truth",
}
_INPUTS = {"noisy": "Noisy images", "noise": "Noise alone", "centred": "About the mean image"}
_DISTILLATES: tuple[tuple[str, str, Style], ...] = (
    ("distillate", "network", "solid"),
    ("control", "memorizer", "dashed"),
)
_REGIMES = [Position(edge, "edges of the regimes") for edge in EDGES]
_NEAR = Level(NEAR, f"{NEAR:g}: the same, as published")


def _log(panels: Sequence[Panel], width: float) -> Drawing:
    return error_curves(panels, width=width)


def _panel(
    series: Sequence[Series],
    title: str,
    y: str,
    levels: Sequence[Level] = (),
    limits: tuple[float, float] | None = None,
) -> Panel:
    return Panel(
        series, title, SIGMA, y, levels=levels, limits=limits, positions=_REGIMES, scale="linear"
    )


def _line(
    group: Group, name: str, label: str, tone: str, style: Style = "line", kind: str = ""
) -> Series:
    """A mean over points against sigma, with its interval where it is that of the network."""
    found = group.along(name)
    y, low, high = (
        np.array([getattr(e, part) for e in found]) for part in ("value", "low", "high")
    )
    return Series(LEVELS, y, label, low, high, tone, style, kind=kind)


def _known(every: Sequence[Group], names: Sequence[str], prefix: str) -> list[str]:
    return [name for name in names if f"{prefix}_{name}" in every[0].first]


def _top(panels: Sequence[Sequence[Series]]) -> float:
    """The upper end of a shared axis."""
    return 1.05 * max(float(np.max(np.asarray(series.high))) for part in panels for series in part)


def _tones(every: Sequence[Group]) -> list[tuple[Group, str]]:
    return list(zip(every, islice(cycle(ordered(min(6, len(every)))), len(every))))


def models(every: Sequence[Group]) -> Figure:
    """All distances of one training size on one pair of axes."""
    parts = []
    for group in every:
        series = [
            _line(group, f"rmse_{name}", *_PAIRS[name], style="solid")
            for name in _known(every, list(_PAIRS), "rmse")
        ]
        parts.append(
            [
                *series,
                _line(group, "rmse_memorizer_gaussian", "memorizer, Gaussian", MUTED, "dashed"),
            ]
        )
    limits = (0.0, _top(parts))
    panels = [
        _panel(series, group.label, "distance a pixel", [_NEAR], limits)
        for series, group in zip(parts, every)
    ]
    caption = (
        "**How far from each other**: root mean square distance a pixel between pairs of "
        "denoisers at noisy unseen images; that of their score fields is this over σ². "
        "Memorizer and "
        "Gaussian are those of the model’s own training set, the distillate is the best "
        "affine map to the network at that σ. Bands: 95 % over images; models averaged "
        "over training seeds. "
        f"Upright lines: σ = {EDGES[0]:g} and {EDGES[1]:g}, between the low, intermediate "
        "and high regimes."
    )
    return Figure("score_gap_models", caption, partial(_log, panels))


def sizes(every: Sequence[Group], prefix: str) -> Figure:
    """One panel a pair of denoisers, one line a training size; ``prefix`` rmse or relative."""
    names = _known(every, list(_EACH), prefix)
    parts = [
        [
            _line(group, f"{prefix}_{name}", group.label, tone, "solid")
            for group, tone in _tones(every)
        ]
        for name in names
    ]
    y, levels = ("distance a pixel", [_NEAR]) if prefix == "rmse" else ("relative distance", [])
    limits = (0.0, _top(parts))
    panels = [_panel(series, _EACH[name], y, levels, limits) for series, name in zip(parts, names)]
    caption = {
        "rmse": "**Memorizing and generalizing networks**: the same distances, pair by "
        "pair, a line a training size; Gaussian and memorizer are those of each "
        "model’s own training set.",
        "relative": "**The same distances relative to the length of the first one’s "
        "answer** (not squared).",
    }[prefix]
    return Figure(
        f"score_gap_{'sizes' if prefix == 'rmse' else 'relative'}",
        f"{caption} Bands: 95 % over images.",
        partial(_log, panels),
    )


def weights(every: Sequence[Group]) -> Figure:
    """Relative squared error of the distillates' matrices against the Wiener filter's."""
    series = [
        Series(
            LEVELS,
            _drawable(group.mean(f"weight_{who}")),
            group.label,
            tone=tone,
            style=style,
            kind=f"{whose}’s distillate",
        )
        for group, tone in _tones(every)
        for who, whose, style in _DISTILLATES
        if f"weight_{who}" in group.first
    ]
    panel = Panel(
        series,
        "",
        SIGMA,
        "|W − W₀|² / |W₀|²",
        levels=[Level(0.2, "0.2: most levels, as published")],
        positions=_REGIMES,
    )
    caption = (
        "**The matrix of the distillate against the Wiener filter’s** of the training "
        "images. At low noise the Wiener filter of few images projects onto their span, "
        "so that a map that leaves "
        "images as they are is far from it. Dashed: the memorizer of the same training "
        "images, distilled on the same inputs. Means over training seeds."
    )
    return Figure("score_gap_weights", caption, partial(_log, [panel]))


def _drawable(values: np.ndarray) -> np.ndarray:
    return np.where(values > 1e-8, values, np.nan)


def linearity(every: Sequence[Group]) -> Figure:
    """Score and relative error of superpositions, on three kinds of input, of networks, memorizers
    and the last Gaussian.
    """
    panels = []
    for measure, y in (("linearity", "linearity score"), ("nonlinearity", "relative error")):
        parts = [_scores(every, f"{measure}_{kind}") for kind in _INPUTS]
        low = min(float(np.min(np.asarray(series.low))) for part in parts for series in part)
        limits = (
            (low - 0.05 * (1 - low), 1 + 0.05 * (1 - low))
            if measure == "linearity"
            else (0.0, _top(parts))
        )
        panels += [
            _panel(series, title, y, limits=limits)
            for series, title in zip(parts, _INPUTS.values())
        ]
    caption = (
        "**Linearity**: D(αx₁ + βx₂) against αD(x₁) + βD(x₂), α = β = 1/√2: size of the "
        "cosine (upper row) and length of the difference over that of the first (lower "
        "row), on pairs of noisy unseen "
        "images, on noise alone, and on the noisy images with the mean training image as "
        f"origin. The Gaussian ({every[-1].label}) is affine: what it loses is the "
        "offset’s, and nothing about the mean image. "
        "Bands: 95 % over pairs."
    )
    return Figure("score_gap_linearity", caption, partial(_log, panels))


def _scores(every: Sequence[Group], name: str) -> list[Series]:
    networks = [
        _line(group, f"{name}_network", group.label, tone, "solid", "network")
        for group, tone in _tones(every)
    ]
    memorizers = [
        _line(group, f"{name}_memorizer", group.label, tone, "dashed", "memorizer")
        for group, tone in _tones(every)
    ]
    return [
        *networks,
        *memorizers,
        _line(every[-1], f"{name}_gaussian", "Gaussian", MUTED, "dotted"),
    ]
