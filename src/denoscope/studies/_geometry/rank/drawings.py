"""The figures of ranks: of each model beside the closed forms, of all models over both axes of
noise, by both rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from denoscope.report import MUTED, Level, Panel, Series, error_curves, linear_curves, ordered
from denoscope.report.blocks import Figure
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.rank.points import HIGH
from denoscope.studies._geometry.rank.reading import (
    PLACES,
    PUBLISHED,
    RULES,
    covariance_norm,
    facts,
    gaussian_ratios,
    has,
    levels,
    limit,
    medians,
    ratios,
    times,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

SIGMA, TIME = "noise level σ", "time t"
RATIO = "rank / pixels"
_WHOLE = (0.0, 1.04)
_, NETWORK, _, TRUTH, GAUSSIAN, MEMORIZER = ordered(6)
BELOW = 0.1
"""The rank ratio below which the published models stay at times between ``MIDDLE``."""

MIDDLE = (0.2, 0.7)
_LEAST_SIZE = 1e-5
_POINTS = (
    "Medians over points with intervals between order statistics (at least 95 % "
    "from 6 points on); ranks are first averaged over training seeds, which share "
    "their points."
)


def log(panels: Sequence[Panel], width: float) -> Drawing:
    """Panels over the logarithm of the noise level."""
    return error_curves(panels, width=width)


def tones(count: int) -> list[str]:
    """One tone a group, from few images to many."""
    return list(islice(cycle(ordered(min(6, count))), count))


def line(
    x: np.ndarray, found: np.ndarray, label: str, tone: str, kind: str = "", least: float = -np.inf
) -> Series:
    """Medians over points of (levels, points) with their band; what is below ``least`` is not
    drawn.
    """
    y, low, high = medians(found)
    shown = y > least
    return Series(
        x,
        np.where(shown, y, np.nan),
        label,
        np.where(shown, np.maximum(low, least), np.nan),
        np.where(shown, high, np.nan),
        tone,
        kind=kind,
    )


def beside_closed_forms(groups: Sequence[Group], place: str) -> Figure:
    """The network's rank against sigma beside all closed forms, a panel a group."""
    panels = [
        Panel(
            _forms(group, place),
            group.label,
            SIGMA,
            RATIO,
            levels=_limits(group),
            limits=_WHOLE,
            scale="linear",
        )
        for group in groups
    ]
    where = {
        "test": "at x0 + σn, x0 images that no model was trained on",
        "train": "at x0 + σn, x0 training images",
        "path": "along the sampling paths of each denoiser, all from the same noises, "
        "the published protocol",
    }[place]
    caption = (
        f"**Rank of the Jacobian on {PLACES[place]}**: rank ({RULES[PUBLISHED]}) over "
        f"pixels, {where}, of the network, the empirical denoiser of its training images "
        "(memorizer)"
        f"{', the true denoiser' if has(groups[0], 'truth') else ''} and the Gaussian of "
        "the training images or of all images, whose Jacobian is the same at every "
        "point. "
        "Horizontal: rank of the two covariances, which the Jacobian of an exact "
        f"denoiser approaches as σ grows. {_POINTS}"
    )
    return Figure(f"jacobian_rank_{place}", caption, partial(log, panels))


def _forms(group: Group, place: str) -> list[Series]:
    x = levels(group, place)
    fine = np.geomspace(x[0], HIGH, 80)
    found = [
        line(x, ratios(group, place), "network", NETWORK),
        line(x, ratios(group, place, "memorizer"), "memorizer", MEMORIZER),
    ]
    if has(group, "truth"):
        found.append(line(x, ratios(group, place, "truth"), "true denoiser", TRUTH))
    for of, label, tone in (
        ("train", "Gaussian of the training images", GAUSSIAN),
        ("all", "Gaussian of all images", MUTED),
    ):
        found.append(Series(fine, gaussian_ratios(group, of, fine), label, tone=tone, style="line"))
    return found


def _limits(group: Group) -> list[Level]:
    return [
        Level(limit(group, "train"), "covariance of the training images", GAUSSIAN),
        Level(limit(group, "all"), "covariance of all images", MUTED),
    ]


def over_time(groups: Sequence[Group]) -> Figure:
    """The networks' ranks against the time of a linear variance-preserving diffusion, at all three
    kinds of points.
    """
    panels = []
    for place, title in PLACES.items():
        series = [
            line(times(levels(group, place)), ratios(group, place), group.label, tone)
            for group, tone in zip(groups, tones(len(groups)))
        ]
        below = [Level(BELOW, "0.1: published for 0.2 ≤ t ≤ 0.7")]
        panels.append(
            Panel(
                series,
                title.capitalize(),
                TIME,
                RATIO,
                levels=below,
                limits=_WHOLE,
                span=(0.0, 1.0),
            )
        )
    caption = (
        f"**Rank of the networks' Jacobian against time**: rank ({RULES[PUBLISHED]}) over "
        "pixels, at the times t of a linear variance-preserving diffusion (β from 0.1 to "
        "20) that has "
        f"these noise levels, σ² = exp(9.95 t² + 0.1 t) − 1, as in the published figure. {_POINTS}"
    )
    return Figure("jacobian_rank_time", caption, partial(_linear, panels))


def _linear(panels: Sequence[Panel], width: float) -> Drawing:
    return linear_curves(panels, width=width)


def by_rule(groups: Sequence[Group]) -> Figure:
    """The networks' ranks on noisy unseen images by either rule, against sigma."""
    panels = []
    for rule, title in RULES.items():
        series = [
            line(levels(group, "test"), ratios(group, "test", rule=rule), group.label, tone)
            for group, tone in zip(groups, tones(len(groups)))
        ]
        panels.append(Panel(series, f"Rule: {title}", SIGMA, RATIO, limits=_WHOLE, scale="linear"))
    caption = (
        "**Two rules in use**: the least number of singular values that hold more than "
        "0.99 of the Frobenius norm (0.9801 of its square; the published rule), or more "
        "than 0.99 of its "
        f"square, the energy. Networks on noisy unseen images. {_POINTS}"
    )
    return Figure("jacobian_rank_rules", caption, partial(log, panels))


def sizes(groups: Sequence[Group]) -> Figure:
    """The Jacobian's norm, as it is and times sigma^2, and its asymmetry."""
    names = tones(len(groups))
    plain, scaled, skew = [], [], []
    for group, tone in zip(groups, names):
        x = levels(group, "test")
        for who in ("network", "memorizer"):
            size = facts(group, "test", who, "size")
            style = {"label": group.label, "tone": tone, "kind": who}
            plain.append(_styled(line(x, size, least=_LEAST_SIZE, **style)))
            scaled.append(_styled(line(x, x[:, None] ** 2 * size, least=_LEAST_SIZE, **style)))
        skew.append(
            line(x, facts(group, "test", "network", "asymmetry"), group.label, tone, "network")
        )
    limits = [Level(covariance_norm(groups[-1], "all"), "‖Cov‖ of all images")]
    panels = [
        Panel(plain, "Size", SIGMA, "‖J‖", limits=(_LEAST_SIZE, 20.0)),
        Panel(scaled, "Size times σ²", SIGMA, "σ²‖J‖", levels=limits, limits=(1e-3, 2e3)),
        Panel(skew, "Asymmetry", SIGMA, "‖J − Jᵀ‖ / ‖J‖", limits=(0.0, 1.5), scale="linear"),
    ]
    caption = (
        "**How large, and how symmetric.** Left: Frobenius norm of the Jacobian on noisy "
        "unseen images. Middle: the same times σ², which for an exact denoiser is the "
        "norm of the posterior "
        "covariance and tends to that of the data's covariance. Right: asymmetry of the "
        "networks' Jacobian, 0 for any exact denoiser and for all closed forms. Norms "
        "below "
        "1e-5 are not drawn. Medians over points; ranks and norms are averaged over "
        "training seeds before."
    )
    return Figure("jacobian_rank_size", caption, partial(log, panels))


def _styled(series: Series) -> Series:
    return (
        series if series.kind == "network" else replace(series, style="dashed", low=None, high=None)
    )
