"""The figures: norm ratio, cosine and the change alone against the length of the step, and all
against noise beside closed forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from denoscope.estimate import Estimate
from denoscope.report import (
    INK,
    MUTED,
    Level,
    Panel,
    Position,
    Series,
    curves,
    error_curves,
    ordered,
)
from denoscope.report.blocks import Figure
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.linearity.measuring import DIRECTIONS
from denoscope.studies._geometry.linearity.reading import over_levels, over_steps
from denoscope.studies._geometry.linearity.setting import LEVELS, PUBLISHED, SHOWN, STEPS, TIMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_STEP, _SIGMA = "length of the step, λ / √d", "noise level σ"
_MEASURES = {
    "ratio": "norm ratio",
    "cosine": "cosine",
    "change_cosine": "cosine of the change",
    "change_error": "error of the change",
}
_MODELS = {"network": ordered(4)[3], "memorizer": ordered(4)[0], "gaussian": MUTED, "truth": INK}
_RANGE = [Position(step, "ends of the published range") for step in PUBLISHED]


def _steps(panels: Sequence[Panel], width: float) -> Drawing:
    return curves(panels, width=width, height=2.6)


def _log(panels: Sequence[Panel], width: float) -> Drawing:
    return error_curves(panels, width=width)


def _series(
    x: Sequence[float] | np.ndarray, found: Sequence[Estimate], label: str, tone: str, kind: str
) -> Series:
    y, low, high = (
        np.array([getattr(e, part) for e in found]) for part in ("value", "low", "high")
    )
    low, high = (np.where(np.isfinite(end), end, y) for end in (low, high))
    return Series(
        x,
        y,
        label,
        low,
        high,
        tone,
        "solid" if kind == "principal" else "dashed",
        kind=f"{kind} directions",
    )


def _limits(parts: Sequence[Sequence[Series]], *ends: float) -> tuple[float, float]:
    """A shared axis that holds every band and the values ``ends``."""
    values = [
        *ends,
        *(
            float(extreme)
            for part in parts
            for s in part
            for extreme in (np.min(np.asarray(s.low)), np.max(np.asarray(s.high)))
        ),
    ]
    margin = 0.05 * (max(values) - min(values)) or 0.05
    return min(values) - margin, max(values) + margin


def steps(every: Sequence[Group], measure: str) -> Figure:
    """One measure of the networks against the length of the step, a panel a noise level."""
    tones = list(islice(cycle(ordered(min(6, len(every)))), len(every)))
    parts = [
        [
            _series(
                STEPS, over_steps(group, f"{measure}_{kind}_network", time), group.label, tone, kind
            )
            for group, tone in zip(every, tones)
            for kind in DIRECTIONS
        ]
        for time in SHOWN
    ]
    best = 0.0 if measure == "change_error" else 1.0
    limits = _limits(parts, best)
    levels = [Level(best, "exactly linear")]
    panels = [
        Panel(
            series,
            f"t = {time:g}, σ = {LEVELS[TIMES.index(time)]:.2g}",
            _STEP,
            _MEASURES[measure],
            levels=levels,
            limits=limits,
            positions=_RANGE,
            scale="linear",
        )
        for series, time in zip(parts, SHOWN)
    ]
    return Figure(f"local_linearity_{measure}", _CAPTIONS[measure], partial(_steps, panels))


_BANDS = "Bands: 95 % over noisy unseen images."
_CAPTIONS = {
    "ratio": "**Norm ratio**: |D(x + λv)| over |D(x) + λJv|, as published (LOCO Edit, "
    "figure 2b), along the three leading right singular vectors of J and along "
    "random directions, both signs of λ. λ is the "
    "length of the step in the variance-preserving coordinates of the article, x/√(1 + "
    "σ²), whose time is t. Upright lines: λ = 40 for images of 3 × 64 × 64 and of 3 × 32 "
    f"× 32. {_BANDS}",
    "cosine": "**Cosine** between D(x + λv) and D(x) + λJv, as published; otherwise as "
    f"above. {_BANDS}",
    "change_cosine": "**Cosine of the change**: between D(x + λv) − D(x) and λJv, "
    f"without the D(x) that both of the published vectors hold. {_BANDS}",
    "change_error": "**Error of the change**: |D(x + λv) − D(x) − λJv| over |λJv|, each "
    "point capped at 1, where the first-order model misses as much as it "
    f"predicts. {_BANDS}",
}


def noise(every: Sequence[Group], measure: str) -> Figure:
    """One measure of network and closed forms against sigma, at the shorter end of the published
    range, a panel a group.
    """
    step = PUBLISHED[0]
    parts = []
    for group in every:
        models = [name for name in _MODELS if f"{measure}_random_{name}" in group.first]
        parts.append(
            [
                _series(
                    LEVELS,
                    over_levels(group, f"{measure}_{kind}_{name}", step),
                    "Gaussian" if name == "gaussian" else name,
                    _MODELS[name],
                    kind,
                )
                for name in models
                for kind in DIRECTIONS
            ]
        )
    limits = _limits(parts, 1.0)
    panels = [
        Panel(series, group.label, _SIGMA, _MEASURES[measure], limits=limits, scale="linear")
        for series, group in zip(parts, every)
    ]
    caption = (
        f"**Beside closed forms**, {_MEASURES[measure]} at λ = {step:g} √d: the network, "
        "the memorizer and the Gaussian of its training images"
        f"{', and the true denoiser' if 'cosine_random_truth' in every[0].first else ''}. "
        f"Principal directions are each denoiser’s own, random ones shared. {_BANDS}"
    )
    return Figure(f"local_linearity_noise_{measure}", caption, partial(_log, panels))
