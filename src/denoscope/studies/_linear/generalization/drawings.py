"""The figures: lines are theory, dots simulation; a panel a kind of data, or all of them over
N/d.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from denoscope.report import INK, MUTED, Level, Panel, Position, Series, error_curves, ordered
from denoscope.report.blocks import Figure
from denoscope.studies._linear.by_size import TWIN
from denoscope.studies._linear.generalization.cells import Measured
from denoscope.studies._linear.generalization.measurements import DIVERGENCES
from denoscope.theory.linear.divergences import expected_kl

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

ROWS = "training rows N"
SHARE = "N / d"
AT = "N = d"


def theory(
    item: Measured, name: str, label: str, tone: str, *, over: float = 1.0, less: float = 0.0
) -> Series:
    """The expectation of a number as a line over N / ``over``, ``less`` taken off."""
    return Series(
        item.grid / over,
        _shown(item.lines[name] - less),
        label,
        tone=tone,
        style="line",
        kind="theory",
    )


def dots(
    item: Measured, name: str, label: str, tone: str, *, over: float = 1.0, less: float = 0.0
) -> Series:
    """The averages over training sets with their intervals."""
    found = item.estimates(name)
    y, low, high = (
        np.array([getattr(e, part) for e in found]) - less for part in ("value", "low", "high")
    )
    shown = _shown(y)
    low = np.where(low > 0, low, shown)
    return Series(
        item.sizes / over,
        shown,
        label,
        low,
        high,
        tone,
        "dots",
        "bars",
        "simulation, 95 % intervals",
    )


def twins(
    item: Measured, name: str, label: str, tone: str, *, over: float = 1.0, less: float = 0.0
) -> list[Series]:
    """The Gaussian twin's averages as a thin line, where there is a twin."""
    if not item.has_twin:
        return []
    shown = _shown(item.means(TWIN + name) - less)
    return [
        Series(
            item.sizes / over,
            shown,
            label,
            tone=tone,
            style="thin",
            kind="simulation, Gaussian twin",
        )
    ]


def _shown(values: np.ndarray) -> np.ndarray:
    """Values for a logarithmic axis: what is not positive becomes a gap."""
    return np.where(values > 0, values, np.nan)


def _drawn(panels: Sequence[Panel], width: float) -> Drawing:
    return error_curves(panels, width=width)


def _figure(name: str, caption: str, panels: Sequence[Panel]) -> Figure:
    return Figure(name, caption, partial(_drawn, panels))


def _title(item: Measured) -> str:
    return f"{item.name}, d = {item.d}"


def _tones(every: Sequence[Measured]) -> list[str]:
    return list(ordered(len(every)))


def losses(every: Sequence[Measured], *, mean: bool = False) -> Figure:
    """Train and test loss against N, a panel a kind of data; with ``mean`` averaged over the
    schedule.
    """
    train, test = ordered(2)
    ending, index = ("_mean", 1) if mean else ("", 0)
    panels = []
    for item in every:
        series = [
            maker(item, kind + ending, label, tone)
            for kind, label, tone in (("train", "train", train), ("test", "test", test))
            for maker in (theory, dots)
        ]
        series += twins(item, "test" + ending, "test", test)
        level = Level(item.bayes[index], "Bayes: the least loss there is")
        panels.append(
            Panel(
                series,
                _title(item),
                ROWS,
                "loss / d",
                levels=[level],
                positions=[Position(item.d, AT)],
            )
        )
    if mean:
        caption = (
            f"**The same, averaged over all {every[0].levels.steps} levels of the "
            "schedule.** The least noisy levels dominate: there the "
            "part of the test loss that comes from "
            "directions without training data is its variance over the noise's."
        )
        return _figure("losses-mean", caption, panels)
    caption = (
        "**Train and test loss of the optimal linear model** at ᾱ = "
        f"{every[0].levels.abar:g}, a dimension (a model that predicts 0 has "
        "loss 1). Below N = d the model fits its training "
        "rows ever better than Bayes and fails on others; the two losses meet only well "
        "above N = d, whatever the spectrum. Lines: "
        "deterministic equivalents for Gaussian data "
        "of this spectrum. Images are tested on images that were not drawn."
    )
    return _figure("losses", caption, panels)


def divergence(every: Sequence[Measured]) -> Figure:
    """Both divergences a dimension against N/d, all data in one panel, with what is exact for any
    spectrum.
    """
    tones, d = _tones(every), every[0].d
    panels = []
    for name, direction in DIVERGENCES.items():
        series = []
        for item, tone in zip(every, tones):
            look = {"over": item.d, "less": item.floors[name]}
            series += [
                theory(item, name, item.name, tone, **look),
                dots(item, name, item.name, tone, **look),
            ]
            series += twins(item, name, item.name, tone, **look)
        last = max(item.sizes[-1] / item.d for item in every)
        ratio = np.geomspace(1 + 3.5 / d, max(last, 1.5), 200)
        exact = expected_kl(d, ratio * d, direction) / d
        series += [
            Series(
                ratio,
                exact,
                f"any spectrum, no noise added: digammas, d = {d}",
                tone=INK,
                style="dashed",
            ),
            Series(ratio, 1 / (4 * ratio), "d / (4N)", tone=MUTED, style="dotted"),
        ]
        panels.append(
            Panel(
                series,
                "",
                SHARE,
                f"KL({direction.replace('||', ' ‖ ')}) / d less its limit",
                positions=[Position(1.0, AT)],
            )
        )
    caption = (
        "**What the model samples against the law.** Divergence a dimension, in nats, of "
        "the exact law of ancestral samples from the law "
        "of the data, less what is left of it at N = ∞ because "
        "the schedule ends at its least noise. Above N = d Gaussian data of any spectrum "
        "fall on one curve that depends on d and N alone, about d/(4N). "
        "Below, directions without data have no variance but the last step's noise, and "
        "the divergence is large in both senses. Images "
        "lie higher where training sets lack directions in which few images vary; their "
        "Gaussian twin is Gaussian data with exactly the "
        "covariance and the number of the images."
    )
    return _figure("divergence", caption, panels)


def norm(every: Sequence[Measured]) -> Figure:
    """The Frobenius error of the covariance beside the divergence of the samples, on one axis."""
    first, second = ordered(2)
    panels = []
    for item in every:
        series = []
        for name, label, tone in (
            ("frobenius", "error of the covariance, |Σ₀ − Σ|²/|Σ|²", first),
            ("kl", "KL(model ‖ true) / d, nats", second),
        ):
            series += [
                theory(item, name, label, tone),
                dots(item, name, label, tone),
                *twins(item, name, label, tone),
            ]
        panels.append(
            Panel(
                series,
                _title(item),
                ROWS,
                "error",
                levels=[Level(0.1, "one tenth")],
                positions=[Position(item.d, AT)],
            )
        )
    caption = (
        "**When the covariance's norm is learned, and when the samples are good.** The "
        "squared Frobenius error of the training "
        "covariance falls as d_eff/N, governed by the few "
        "directions with much variance; the divergence of the samples needs every "
        "direction. The norm comes first where d_eff < d/4, "
        "since KL/d is about d/(4N). "
        "Training images are part of the set that stands for the law, which is why their "
        "covariance, and that of a Gaussian twin, is "
        "nearer to it than theory has it."
    )
    return _figure("norm", caption, panels)


def unseen(every: Sequence[Measured]) -> Figure:
    """The variance that training rows do not span, and the part of the gap that it makes."""
    tones = _tones(every)
    share, gap = [], []
    for item, tone in zip(every, tones):
        look = {"over": item.d}
        share += [
            theory(item, "unseen", item.name, tone, **look),
            dots(item, "unseen", item.name, tone, **look),
        ]
        gap += [
            theory(item, "gap", item.name, tone, **look),
            dots(item, "gap", item.name, tone, **look),
        ]
        bound = _shown(item.lines["bound"])
        gap.append(
            Series(
                item.grid / item.d, bound, item.name, tone=tone, style="dashed", kind="lower bound"
            )
        )
    positions = [Position(1.0, AT)]
    panels = [
        Panel(share, "Unseen variance", SHARE, "share of the variance", positions=positions),
        Panel(gap, "Test less train loss", SHARE, "gap / d", positions=positions),
    ]
    caption = (
        "**Directions without training data.** Left: the share of the variance that N "
        "rows do not span, with theory N κ₀/Tr Σ. Right: "
        "the gap between test and train loss, and "
        "the part of it that these directions make, ((1 − ᾱ)/ᾱ) N κ₀/c² with c = (1 − "
        "ᾱ)/ᾱ: a lower bound (dashed) that nearly is the "
        "gap up to N = d. A steep spectrum "
        "leaves little variance unseen, which is how it helps."
    )
    return _figure("unseen", caption, panels)


def rescue(every: Sequence[Measured]) -> Figure:
    """The excess of the test loss over Bayes: without regularisation, with the best ridge, stopped
    at the best time.
    """
    kinds = (
        ("test", "fully trained, no ridge"),
        ("test_ridge", "best ridge"),
        ("test_stopped", "best stopping time"),
    )
    panels = []
    for item in every:
        series = []
        for (name, label), tone in zip(kinds, ordered(3)):
            series += (
                [theory(item, name, label, tone, less=item.bayes[0])] if name in item.lines else []
            )
            series.append(dots(item, name, label, tone, less=item.bayes[0]))
        panels.append(
            Panel(
                series,
                _title(item),
                ROWS,
                "(test loss − Bayes) / d",
                positions=[Position(item.d, AT)],
            )
        )
    caption = (
        f"**What a ridge and early stopping rescue,** at ᾱ = {every[0].levels.abar:g}: "
        "the test loss above the least there is. Both keep "
        "the weights of directions without data small; "
        "which of the two is better depends on the spectrum and on N. Ridge and time are "
        "the best ones for each training set."
    )
    return _figure("rescue", caption, panels)


def rescued_divergence(every: Sequence[Measured]) -> Figure:
    """Both divergences with and without the ridge that theory calls best."""
    panels = []
    for name, direction in DIVERGENCES.items():
        series = []
        for item, tone in zip(every, _tones(every)):
            series.append(
                Series(
                    item.grid / item.d,
                    item.lines[name],
                    item.name,
                    tone=tone,
                    style="dashed",
                    kind="no ridge, theory",
                )
            )
            ridge = name + "_ridge"
            series += [
                theory(item, ridge, item.name, tone, over=item.d),
                dots(item, ridge, item.name, tone, over=item.d),
            ]
        panels.append(
            Panel(
                series,
                "",
                SHARE,
                f"KL({direction.replace('||', ' ‖ ')}) / d, nats",
                positions=[Position(1.0, AT)],
            )
        )
    caption = (
        "**The samples with the best ridge.** With the ridge ᾱc at each level the model "
        "samples N(μ₀, Σ₀ + c); c is the one that theory "
        "calls best for this spectrum and N, another one for each "
        "direction of the divergence. The catastrophe below N = d is gone."
    )
    return _figure("rescued-divergence", caption, panels)
