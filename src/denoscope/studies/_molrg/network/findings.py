"""What a sweep says of the published claims, in words and numbers, whether they appeared or not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from denoscope.estimate import Estimate
from denoscope.report import Finding
from denoscope.store import Row
from denoscope.studies._molrg.network.halfway import HALF, NEAR_ONE, Crossings, Scores, whole

PUBLISHED = (50, 60)
"""N_k/d at which the published curves of a U-Net on such data reach a GL of about 1."""

COPIES, NOVEL = 0.1, 0.9
"""A GL that counts as copying, and one that counts as generalizing."""

NEAR = 0.95
"""The share of energy in the nearest subspace from which on samples count as lying near one."""


def claims(
    rows: Sequence[Row], curves: Sequence[Scores], within: Sequence[Scores], net: str
) -> list[Finding]:
    """Every claim that the sweep can test, with its numbers; ``rows`` are the finished ones."""
    half, near = (Crossings.of(curves, level) for level in (HALF, NEAR_ONE))
    inner = Crossings.of(within, HALF), Crossings.of(within, NEAR_ONE)
    return [
        _transition(curves, half),
        _half(half, inner[0], net),
        _published(near, inner[1], net),
        *([_collapse(half, near, inner[0])] if len(half.dims) > 1 else []),
        _places(rows),
        _references(rows),
    ]


def _each(words: Sequence[str], dims: Sequence[int]) -> str:
    return ", ".join(f"{word} (d = {d})" for word, d in zip(words, dims))


def said(value: float) -> str:
    """A size or ratio in words: 0 lies below those measured, infinity above."""
    return (
        "below the smallest"
        if value == 0
        else "above the largest"
        if value == math.inf
        else f"{value:.3g}"
    )


def spoken(e: Estimate) -> str:
    """A size or ratio with its interval in words."""
    return (
        f"{said(e.value)} [{said(e.low)}, {said(e.high)}]" if not math.isnan(e.value) else e.method
    )


def _counted(e: Estimate) -> str:
    """A number that may have either sign, with its interval in words."""
    return (
        f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]".replace("-", "−").replace("inf", "∞")
        if not math.isnan(e.value)
        else e.method
    )


def _transition(curves: Sequence[Scores], half: Crossings) -> Finding:
    dims = half.dims
    ends = _each([f"{item.means[0]:.2f} to {item.means[-1]:.2f}" for item in curves], dims)
    crossed = half.complete and all(
        item.means[0] <= COPIES and item.means[-1] >= NOVEL for item in curves
    )
    return Finding(
        f"From N_k = {curves[0].sizes[0]} to {curves[0].sizes[-1]} the networks "
        f"{'go' if crossed else 'do not go all the way'} from copying to generalizing"
        f"{' at every d' if crossed else ''}: GL goes from {ends}.",
        "good" if crossed else "absent",
        "GL = D(generated, train)/D(fresh, train), D the mean squared distance to the "
        "nearest training point; 0 copies, 1 as far from them as fresh points. "
        f"Counted as copying up to {COPIES:g} and as generalizing from {NOVEL:g} on.",
    )


def _half(half: Crossings, inner: Crossings, net: str) -> Finding:
    mean = half.ratio()
    headline = (
        f"These networks ({_named(net)}) need {spoken(mean)} points a dimension "
        "for a GL of one half, the geometric mean over d of N_k/d."
    )
    return Finding(
        headline if half.complete else "Not every curve crosses one half within the sizes.",
        "neutral" if half.complete else "absent",
        f"N_k/d at one half: {_each([spoken(e) for e in half.ratios()], half.dims)}; N_k "
        f"itself: {_each([spoken(e) for e in half.sizes()], half.dims)}. With all points "
        "projected onto their nearest subspace first: N_k/d = "
        f"{_each([spoken(e) for e in inner.ratios()], inner.dims)}, geometric mean "
        f"{spoken(inner.ratio())}. Intervals: "
        f"{half.method}; with so few runs a size such an interval covers less often than "
        "95 %, so read it as the spread of these runs.",
    )


def _named(net: str) -> str:
    return {"mlp": "multilayer perceptron", "unet": "U-Net"}[net]


def _published(near: Crossings, inner: Crossings, net: str) -> Finding:
    low, high = PUBLISHED
    ratio, other = near.ratio(), inner.ratio()
    here = (
        f"here GL comes to {NEAR_ONE:g} at {spoken(ratio)}"
        if near.complete
        else f"here GL does not come to {NEAR_ONE:g} at every d"
    )
    return Finding(
        f"The {low} to {high} points a dimension of the papers are where the curves of a "
        f"large U-Net come to about 1, not to one half; {here}.",
        "neutral",
        "N_k/d, geometric mean over d. By dimension: "
        f"{_each([spoken(e) for e in near.ratios()], near.dims)}. Within the subspaces "
        f"(projected first): {spoken(other)}; by "
        f"dimension {_each([spoken(e) for e in inner.ratios()], inner.dims)}. Network, "
        "training and score all move this number: the published one belongs to another "
        "network than "
        f"this {_named(net)}.",
    )


def _collapse(half: Crossings, near: Crossings, inner: Crossings) -> Finding:
    if not half.complete:
        return Finding(
            "Whether curves of different d collapse cannot be said: not every curve "
            "crosses one half.",
            "absent",
        )
    in_n, in_ratio, change = (
        half.spread(by_dimension=False),
        half.spread(by_dimension=True),
        half.narrowing(),
    )
    slope = half.slope()
    together = change.high < 0 and slope.low <= 1 <= slope.high
    word = (
        "collapse"
        if together
        else "draw together but do not collapse"
        if change.high < 0
        else "do not clearly draw together"
    )
    return Finding(
        f"Against N_k/d the curves of different d {word} at one half: their half-points "
        f"lie {in_ratio.value:.2f} octaves apart, against {in_n.value:.2f} in N_k"
        f"{_ranges(near)}.",
        "good" if together else "absent",
        f"Range over d of log2 at one half: {_counted(in_n)} against N_k, "
        f"{_counted(in_ratio)} against N_k/d, change {_counted(change)}; the spread of "
        "training "
        f"runs alone would make a range of about {half.chance():.2f}. N_k at one half "
        f"grows as d to the power {_counted(slope)}: 1 is a collapse, 0 would be no "
        "effect of d. "
        f"At GL = {NEAR_ONE:g}: ranges {_both(near)}. Within the subspaces, at one half: "
        f"ranges {_both(inner)}. "
        "Called a collapse where the range at one half shrinks beyond its interval and "
        "the power's interval holds 1.",
    )


def _ranges(near: Crossings) -> str:
    if not near.complete:
        return ""
    in_n, in_ratio = near.spread(by_dimension=False), near.spread(by_dimension=True)
    return f"; where GL comes to {NEAR_ONE:g}, {in_ratio.value:.2f} against {in_n.value:.2f}"


def _both(at: Crossings) -> str:
    return (
        f"{_counted(at.spread(by_dimension=False))} against N_k, "
        f"{_counted(at.spread(by_dimension=True))} against N_k/d, power "
        f"{_counted(at.slope())}"
    )


def number(row: Row, name: str) -> float:
    """A value of a row as a number; an Estimate gives its value."""
    value = row.values.get(name)
    return float(value) if isinstance(value, Estimate | int | float) else math.nan


def _size(value: float) -> str:
    """A squared distance; what rounding leaves is 0."""
    return f"{value:.3g}" if value > 1e-9 else "0"


def _last(rows: Sequence[Row]) -> list[Row]:
    """The rows of the largest size."""
    largest = max(whole(row, "n_k") for row in rows)
    return [row for row in rows if whole(row, "n_k") == largest]


def _places(rows: Sequence[Row]) -> Finding:
    last = _last(rows)
    inside, nearest, distance, fresh, between, energy = (
        np.array([number(row, name) for row in last])
        for name in ("inside", "nearest", "distance", "distance_fresh", "between", "energy")
    )
    near = nearest.mean() >= NEAR
    return Finding(
        f"At N_k = {whole(last[0], 'n_k')}, {inside.mean():.1%} of the samples' energy is "
        f"in the span of the true subspaces and {nearest.mean():.1%} in the one nearest "
        "to each "
        f"sample{': samples lie near one subspace' if near else ', so samples do not lie near one subspace'}.",
        "good" if near else "absent",
        f"Least over runs: {inside.min():.1%} and {nearest.min():.1%}. Mean squared "
        f"distance to the nearest subspace {distance.mean():.3g} (largest "
        f"{distance.max():.3g}; fresh points "
        f"{_size(fresh.mean())}), beside the fresh points' mean squared distance to the "
        f"nearest training point, {between.mean():.3g}: the ratio of the two, "
        f"{np.mean(distance / between):.2f}, is "
        "about what leaving the subspaces adds to GL. Energy of samples relative to the "
        f"law's: {energy.mean():.2f}.",
    )


def _references(rows: Sequence[Row]) -> Finding:
    memorizer, truth = (
        np.array([number(row, f"gl_{name}") for row in rows]) for name in ("memorizer", "truth")
    )
    return Finding(
        f"The same noises and solver give GL = {memorizer.mean():.2g} with the "
        f"closed-form memorizer and {truth.mean():.2f} with the true denoiser.",
        "neutral",
        f"Over all training sets: memorizer {memorizer.min():.2g} to "
        f"{memorizer.max():.2g}, truth {truth.min():.2f} to {truth.max():.2f}; what "
        "separates the truth from 1 is "
        "chance of the samples and the solver's finite steps.",
    )
