"""What a sweep says of the claim that linear and trained networks behave alike but differ in the
leading directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from denoscope.estimate import Estimate
from denoscope.report import Finding
from denoscope.studies._linear.networks.measuring import APART
from denoscope.studies._linear.networks.runs import Runs

ALIKE = 0.25
"""Relative difference of variances in a group of directions up to which two models count as
alike.
"""


def claims(every: Sequence[Runs]) -> list[Finding]:
    """Every claim that the sweep can test, with its numbers."""
    return [
        _agreement(every),
        _alike(every),
        _leading(every),
        _outside(every),
        _between(every),
        _exact(every),
    ]


def _each(every: Sequence[Runs], name: str, said: Callable[[float], str] = "{:.2f}".format) -> str:
    """The average of that name at every size, in one phrase."""
    return ", ".join(
        f"{_said(e, said)} (N = {runs.n})" for runs in every if (e := runs.estimate(name))
    )


def _said(e: Estimate, said: Callable[[float], str]) -> str:
    interval = f" [{said(e.low)}, {said(e.high)}]" if np.isfinite(e.low) else ""
    return f"{said(e.value)}{interval}".replace("-", "−")


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %" if abs(value) > 1e-12 else "0 %"


def _values(every: Sequence[Runs], name: str) -> list[float]:
    return [e.value for runs in every if (e := runs.estimate(name))]


def _agreement(every: Sequence[Runs]) -> Finding:
    linear, memorizer = _values(every, "cosine_linear"), _values(every, "cosine_memorizer")
    turned = linear[0] < memorizer[0] and linear[-1] > memorizer[-1]
    words = (
        "From the same noise the network's sample is nearer to the memorizer's when "
        "N is small, and to the linear model's when N is large"
    )
    if not turned:
        words = (
            "The network's samples do not change over from the memorizer's to the "
            "linear model's as N grows"
        )
    return Finding(
        f"{words}: cosine with the linear model {linear[0]:.2f} and {linear[-1]:.2f}, "
        f"with the memorizer {memorizer[0]:.2f} and {memorizer[-1]:.2f}, at N = "
        f"{every[0].n} and {every[-1].n}.",
        "good" if turned else "absent",
        f"With the linear model: {_each(every, 'cosine_linear')}; with the memorizer: "
        f"{_each(every, 'cosine_memorizer')}; between these two: "
        f"{_each(every, 'cosine_solutions')}. About the training mean; intervals over "
        "training seeds where there are several.",
    )


def _alike(every: Sequence[Runs]) -> Finding:
    both = _values(every, "ratio_leading") + _values(every, "ratio_trailing")
    off = max(abs(value - 1) for value in both)
    return Finding(
        f"In variance the network {'behaves like' if off <= ALIKE else 'departs from'} "
        "the linear model: summed over the leading or the other spanned directions it "
        "differs "
        f"by at most {_percent(off)}.",
        "good" if off <= ALIKE else "absent",
        "Network over linear model, leading directions (half of the training variance): "
        f"{_each(every, 'ratio_leading')}; the others: {_each(every, 'ratio_trailing')}.",
    )


def _leading(every: Sequence[Runs]) -> Finding:
    pairs = [
        (runs.estimate("misplaced_leading"), runs.estimate("misplaced_trailing"), runs)
        for runs in every
    ]
    more = [runs.n for a, b, runs in pairs if a and b and a.value > b.value]
    logs = [
        runs.n
        for runs in every
        if (a := runs.estimate("deviation_leading"))
        and (b := runs.estimate("deviation_trailing"))
        and a.value > b.value
    ]
    leads = len(more) == len(every)
    found = [e for runs in every if (e := runs.estimate("ratio_leading"))]
    differ = all(e.high < 1 or e.low > 1 for e in found)
    span = f"{min(e.value for e in found):.2f} to {max(e.value for e in found):.2f}"
    words = (
        "more than in the others at every N"
        if leads
        else f"more than in the others at {_sizes(more)} only"
        if more
        else "nowhere more than in the others"
    )
    return Finding(
        "In the leading directions network and linear model "
        f"{'differ' if differ else 'do not clearly differ'} (ratio of variances {span}), "
        f"{words}.",
        "good" if differ and leads else "absent",
        "Sum of the differences of variance over single directions, as a share of the "
        f"whole: leading {_each(every, 'misplaced_leading', _percent)}; others "
        f"{_each(every, 'misplaced_trailing', _percent)}. Relative to each direction's "
        "own variance (mean size of the log ratio): leading "
        f"{_each(every, 'deviation_leading')}; others "
        f"{_each(every, 'deviation_trailing')}: larger in the leading ones at "
        f"{_sizes(logs)}.",
    )


def _sizes(sizes: Sequence[int]) -> str:
    return "N = " + ", ".join(map(str, sizes)) if sizes else "no N"


def _outside(every: Sequence[Runs]) -> Finding:
    data = ", ".join(
        f"{_percent(float(str(runs.rows[0].values['outside_data'])))} (N = {runs.n})"
        for runs in every
    )
    return Finding(
        f"Outside of the span of its {every[0].n} training images the network puts "
        f"{_percent(_values(every, 'outside')[0])} of its samples' variance; a linear "
        "model puts none.",
        "neutral",
        f"Network: {_each(every, 'outside', _percent)}. All images have there: {data}.",
    )


def _between(every: Sequence[Runs]) -> Finding:
    train, test = _values(every, "position_train"), _values(every, "position_test")
    moved = len(train) > 1 and train[-1] > train[0] and test[-1] > test[0]
    return Finding(
        f"The network's denoising error {'moves' if moved else 'does not clearly move'} "
        "from the memorizer's to that of the best linear denoiser as N grows: place "
        f"{train[0]:.2f} to {train[-1]:.2f} on training images, {test[0]:.2f} to "
        f"{test[-1]:.2f} on held-out ones.",
        "good" if moved else "absent",
        "0 is the memorizer, 1 the Gaussian of all images, above 1 better (held-out) "
        "than any linear denoiser; median over the noise levels at which the two differ "
        f"by more than a factor of {APART:g}. "
        f"Training images: {_each(every, 'position_train')}; held-out: "
        f"{_each(every, 'position_test')}.",
    )


def _exact(every: Sequence[Runs]) -> Finding:
    inside, count, steps, off = 0, 0, 0.0, 0.0
    for runs in every:
        seen, lead, first = runs.seen, runs.leading, runs.first
        found = [e for e, _ in zip(runs.variances("linear_own"), range(seen))]
        inside += sum(e.low <= value <= e.high for e, value in zip(found, first["law_own"]))
        count += seen
        steps = max(
            steps, float(np.abs(first["law_own"][:lead] / first["ode_own"][:lead] - 1).max())
        )
        pairs = [
            (first[f"error_{kind}_{name}"], first[f"theory_{kind}_{name}"])
            for kind in ("train", "test")
            for name in ("gaussian", "all")
        ]
        off = max(off, *(float(np.abs(measured / theory - 1).max()) for measured, theory in pairs))
    return Finding(
        f"Samples of the linear model have the variances of its exact law: {inside} of "
        f"{count} 95 % intervals contain them.",
        "good" if inside >= 0.85 * count else "absent",
        "The law is that of the solver's own steps, which the network takes too; it "
        f"differs from that of the ODE by at most {_percent(steps)} in the leading "
        "directions. Largest relative difference of a "
        f"measured error of a Gaussian denoiser from its closed form: {_percent(off)}, by "
        "the finite number of noisy images.",
    )
