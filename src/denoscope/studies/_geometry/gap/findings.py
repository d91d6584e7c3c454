"""What a sweep says of the claims of the hidden Gaussian structure: regimes, sides, distillates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from denoscope.report import Finding
from denoscope.studies._geometry.gap.distances import POINTS
from denoscope.studies._geometry.gap.linear_findings import linear, offset
from denoscope.studies._geometry.gap.reading import (
    average,
    difference,
    extreme,
    share,
    trained,
    within,
)
from denoscope.studies._geometry.gap.regimes import EDGES, LEVELS, NEAR, REGIMES
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.words import each, said, sizes

GAUSSIAN, MEMORIZER, DISTILLATE = (
    "rmse_network_gaussian",
    "rmse_network_memorizer",
    "rmse_network_distillate",
)
_SCARCE = 0.05  # of the training levels
DISTILLED, CONTROL = "rmse_distillate_gaussian", "rmse_control_gaussian"


def claims(every: Sequence[Group]) -> list[Finding]:
    """Every claim that these cells can test, with its numbers."""
    found = [_regimes(every), _sides(every), _distillate(every)]
    if (ends := sizes(every)) is not None:
        found += [_contrast(*ends)]
    found += [*linear(every), offset(every), _span(every)]
    return found + ([_truth(every)] if "rmse_network_truth" in every[0].first else [])


def _regimes(every: Sequence[Group]) -> Finding:
    many = every[-1]
    worst = {regime: extreme(many, GAUSSIAN, chosen) for regime, chosen in REGIMES.items()}
    ends = {"low": f"σ ≤ {EDGES[0]:g}", "high": f"σ ≥ {EDGES[1]:g}"}
    same = [regime for regime in ends if worst[regime][1].value < NEAR]
    level, peak = worst["intermediate"]
    good = len(same) == 2 and peak.low > NEAR
    numbers = (
        f"at most {worst['low'][1].value:.3f} a pixel at σ ≤ {EDGES[0]:g} and "
        f"{worst['high'][1].value:.3f} at σ ≥ {EDGES[1]:g}"
    )
    words = (
        "Three regimes"
        if good
        else f"Not all of the three regimes: network and Gaussian are within {NEAR:g} of "
        f"each other at {_where(same, ends)}"
    )
    return Finding(
        f"{words}. Distance of the network ({many.label}) from the Gaussian of its "
        f"training set: {numbers}; between, up to {peak.value:.3f} at σ = {level:.2g}.",
        "good" if good else "absent",
        "Largest mean distance at low, intermediate and high noise. "
        + each(
            every,
            lambda g: ", ".join(
                said(extreme(g, GAUSSIAN, chosen)[1]) for chosen in REGIMES.values()
            ),
        )
        + f". {POINTS} noisy unseen images at most; averages over training seeds, "
        f"intervals by t over images.{_reach(many)}",
    )


def _reach(group: Group) -> str:
    """How much of training was at high noise, where that is known."""
    if trained(group) is None:
        return ""
    part = share(group, EDGES[1])
    advice = (
        "; networks trained at a wider range of levels (--level-std) answer better there"
        if part < _SCARCE
        else ""
    )
    return f" Training drew {100 * part:.2g} % of its levels at σ ≥ {EDGES[1]:g}{advice}."


def _where(same: Sequence[str], ends: dict[str, str]) -> str:
    return (
        " and ".join(f"{regime} noise ({ends[regime]})" for regime in same)
        or "neither low nor high noise"
    )


def _sides(every: Sequence[Group]) -> Finding:
    gaps = [
        difference(within(g, GAUSSIAN, "intermediate"), within(g, MEMORIZER, "intermediate"))
        for g in every
    ]
    few, many = gaps[0], gaps[-1]
    nearer = (
        "nearer to its Gaussian than to the memorizer"
        if many.high < 0
        else "not nearer to its Gaussian than to the memorizer"
    )
    words = f"At intermediate noise the network ({every[-1].label}) is {nearer}: {_pair(every[-1])}"
    if sizes(every) is not None:
        words += (
            f"; for {every[0].label} "
            f"{'the memorizer is nearer' if few.low > 0 else 'too' if few.high < 0 else 'neither is nearer'}: "
            ""
            f"{_pair(every[0])}"
        )
    return Finding(
        f"{words}.",
        "good" if many.high < 0 else "absent",
        f"Mean over the levels between {EDGES[0]:g} and {EDGES[1]:g}. Distance from the "
        "Gaussian less that from the memorizer, image by image: "
        + "; ".join(f"{g.label}: {said(gap)}" for g, gap in zip(every, gaps))
        + ".",
    )


def _pair(group: Group) -> str:
    return f"{average(group, GAUSSIAN).value:.3f} and {average(group, MEMORIZER).value:.3f} a pixel"


def _distillate(every: Sequence[Group]) -> Finding:
    worst = [extreme(g, DISTILLED) for g in every]
    level, most = worst[-1]
    near = most.value < NEAR
    controls = [g for g in every if CONTROL in g.first]
    beside = each(
        controls, lambda g: f"{said(extreme(g, CONTROL)[1])} at σ = {extreme(g, CONTROL)[0]:.2g}"
    )
    return Finding(
        f"The best affine map to the network ({every[-1].label}) is "
        f"{'within' if near else 'not within'} {NEAR:g} of the Gaussian at every σ: at "
        f"most {most.value:.3f} a pixel, at σ = {level:.2g}.",
        "good" if near else "absent",
        "Largest mean distance of the distillate from the Gaussian: "
        f"{each(every, lambda g: said(extreme(g, DISTILLED)[1]))}. "
        f"{_where_trained(every)}"
        + (f"Of the memorizer, distilled alike: {beside}. " if controls else "")
        + "Relative squared error of its matrix against the Wiener filter's, median over "
        f"levels: {each(every, _weights)}. Distilled on "
        f"{every[0].rows[0].values['distilled']} images that are the same for all "
        "models: the unseen ones, filled up with images that may be trained on.",
    )


def _where_trained(every: Sequence[Group]) -> str:
    """The same over the levels that the networks were trained at."""
    reach = trained(every[-1])
    if reach is None:
        return ""
    inside = (reach[0] <= LEVELS) & (reach[1] >= LEVELS)
    if not inside.any():
        return ""
    return (
        f"At the levels of 95 % of training, {reach[0]:.2g} to {reach[1]:.3g}: "
        f"{each(every, lambda g: said(extreme(g, DISTILLED, inside)[1]))}. "
    )


def _weights(group: Group) -> str:
    return f"{np.median(group.mean('weight_distillate')):.2g}"


def _contrast(few: Group, many: Group) -> Finding:
    names = {"network": GAUSSIAN, "distillate": DISTILLED}
    more = {
        who: difference(within(few, name, "intermediate"), within(many, name, "intermediate"))
        for who, name in names.items()
    }
    good = all(gap.low > 0 for gap in more.values())
    peaks = {
        who: [extreme(g, name, REGIMES["intermediate"])[1].value for g in (few, many)]
        for who, name in names.items()
    }
    return Finding(
        "Trained on few images both the network and its distillate are "
        f"{'farther from' if good else 'not both farther from'} the Gaussian: at the peak "
        f"{peaks['network'][0]:.3f} and "
        f"{peaks['distillate'][0]:.3f} a pixel ({few.label}), against "
        f"{peaks['network'][1]:.3f} and {peaks['distillate'][1]:.3f} ({many.label}).",
        "good" if good else "absent",
        "Differences of the means over intermediate noise, image by image: network "
        f"{said(more['network'])}, distillate {said(more['distillate'])}. Each against "
        "the Gaussian of its own training set.",
    )


def _span(every: Sequence[Group]) -> Finding:
    gaps, beyond = [g.along(GAUSSIAN)[0] for g in every], [g.mean("beyond").mean() for g in every]
    good = all(abs(gap.value - rest) <= 2 * LEVELS[0] for gap, rest in zip(gaps, beyond))
    return Finding(
        "As σ falls the distance of network and Gaussian "
        f"{'tends' if good else 'does not tend'} to that of unseen images from the span "
        f"of the training images: at σ = {LEVELS[0]:g}, "
        f"{each(every, _limit)}.",
        "good" if good else "absent",
        "So it stays above zero where too few images span too few directions: "
        f"{each(every, _spanned)}. Directions in which no image varies, such as "
        "black corners, leave no distance. Counted as equal within 2 σ; intervals over "
        f"images: {each(every, lambda g: said(g.along(GAUSSIAN)[0]))}.",
    )


def _limit(group: Group) -> str:
    return f"{group.along(GAUSSIAN)[0].value:.3f} against {group.mean('beyond').mean():.3f}"


def _spanned(group: Group) -> str:
    values = group.rows[0].values
    return f"{values['rank']} of {values['dimension']}"


def _truth(every: Sequence[Group]) -> Finding:
    many = every[-1]
    true, gauss = average(many, "rmse_network_truth"), average(many, GAUSSIAN)
    gap = difference(
        within(many, "rmse_network_truth", "intermediate"), within(many, GAUSSIAN, "intermediate")
    )
    return Finding(
        f"At intermediate noise the network ({many.label}) is "
        f"{'nearer to the true denoiser than to its Gaussian' if gap.high < 0 else 'not nearer to the true denoiser than to its Gaussian'}: "
        ""
        ""
        f"{true.value:.3f} and {gauss.value:.3f} a pixel.",
        "neutral",
        "Distance from the truth: "
        f"{each(every, lambda g: said(average(g, 'rmse_network_truth')))}.",
    )
