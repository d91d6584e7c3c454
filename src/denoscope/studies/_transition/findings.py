"""What a sweep says of the published claims, in words and numbers, whether they appeared or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from denoscope.estimate import Estimate
from denoscope.report import Finding
from denoscope.store import Row
from denoscope.studies._transition.compare import Agreement, Verdicts, at
from denoscope.studies._transition.drawings import averaged, number


def claims(
    rows: Sequence[Row],
    found: Verdicts,
    pairs: Sequence[Agreement],
    widths: Sequence[int],
    sizes: Sequence[int],
    floor: Estimate,
) -> list[Finding]:
    """Every claim of the papers that the sweep can test, over all widths, with its numbers, whether
    it appeared or not.
    """
    results = [_crossings(found, widths, sizes)]
    if found.growths:
        results.append(_growth(found))
    if found.dips:
        results.append(_dips(found, pairs))
    results.append(_memorizer(rows, widths, sizes))
    halves = [_of_kind(pairs, "halves", width) for width in widths]
    if all(len(items) > 1 for items in halves):
        results.append(_halves(widths, halves))
    return [*results, _quality(rows, widths, sizes, floor)]


def _each(words: Mapping[int, str]) -> str:
    """What holds at each width, in one phrase."""
    return ", ".join(f"{text} at width {width}" for width, text in words.items())


def _words(size: float, sizes: Sequence[int]) -> str:
    return (
        f"below {sizes[0]}"
        if size == -math.inf
        else f"above {sizes[-1]}"
        if size == math.inf
        else f"{size:.0f}"
    )


def _crossings(found: Verdicts, widths: Sequence[int], sizes: Sequence[int]) -> Finding:
    points = {w: found.transitions[w].point for w in widths}
    said = _each(
        {
            w: f"{_words(p.value, sizes)} [{_words(p.low, sizes)}, {_words(p.high, sizes)}]"
            for w, p in points.items()
        }
    )
    every = all(math.isfinite(p.value) for p in points.values())
    ends = _each(
        {
            w: f"{found.transitions[w].curve[0].value:.2f} to "
            f"{found.transitions[w].curve[-1].value:.2f}"
            for w in widths
        }
    )
    return Finding(
        f"{'Every' if every else 'Not every'} width goes from copying to generalizing as "
        f"N grows. N* is {said}.",
        "good" if every else "absent",
        f"From N = {sizes[0]} to N = {sizes[-1]}, GLc goes from {ends}. Intervals: "
        f"{points[widths[0]].method}; with so few runs a size such an "
        "interval covers less often than 95 %, so read it as the spread of these runs.",
    )


def _growth(found: Verdicts) -> Finding:
    grows = all(change.low > 0 for change in found.growths.values())
    factors = [
        f"{change.method} from width {small} to {large}"
        if math.isnan(change.value)
        else f"by a factor of {2**change.value:.1f} [{2**change.low:.1f}, "
        f"{2**change.high:.1f}] from width {small} to {large}"
        for (small, large), change in found.growths.items()
    ]
    return Finding(
        f"N* {'grows' if grows else 'does not clearly grow'} with capacity: {', '.join(factors)}.",
        "good" if grows else "absent",
        f"{next(iter(found.growths.values())).method.capitalize()}.",
    )


def _dips(found: Verdicts, pairs: Sequence[Agreement]) -> Finding:
    u = {w: start.high < 0 and end.high < 0 for w, (start, end) in found.dips.items()}
    least = {w: min(_of_kind(pairs, "seeds", w), key=lambda p: p.rp.value) for w in u}
    seen = [str(w) for w, yes in u.items() if yes]
    headline = "Reproducibility is U-shaped in N at " f"{'every width' if all(u.values()) else 'width ' + ', '.join(seen)}" if seen else (
        "Reproducibility shows no significant U in N"
    )  # fmt: skip
    tests = "; ".join(
        f"width {w}: {start.method}" if math.isnan(start.value) else f"width {w}: {start} and {end}"
        for w, (start, end) in found.dips.items()
    )
    return Finding(
        f"{headline}: its least is "
        f"{_each({w: f'{p.rp.value:.2f} (N = {p.n})' for w, p in least.items()})}.",
        "good" if all(u.values()) else "absent",
        "RP at the size nearest to N*, less RP at the smallest and less RP at the "
        "largest size, with intervals by bootstrap over pairs of "
        f"runs and shared noises; both must lie below 0. {tests}.",
    )


def _of_kind(pairs: Sequence[Agreement], kind: str, width: int) -> list[Agreement]:
    """The agreements of one kind within one width, by size."""
    return sorted(
        (p for p in pairs if (p.kind, p.width, p.other) == (kind, width, width)), key=lambda p: p.n
    )


def _memorizer(rows: Sequence[Row], widths: Sequence[int], sizes: Sequence[int]) -> Finding:
    ends = {}
    for name in ("rp_memorizer", "memorized"):
        means = {
            w: averaged([row for row in rows if at(row, "width") == w], name)[1] for w in widths
        }
        ends[name] = _each({w: f"{mean[0]:.0%} and {mean[-1]:.0%}" for w, mean in means.items()})
    return Finding(
        f"At N = {sizes[0]} and N = {sizes[-1]}, a model makes the closed-form "
        f"memorizer's image from {ends['rp_memorizer']} of the noises.",
        "neutral",
        f"Copies by the 1/3 rule at these sizes: {ends['memorized']}. The published curve "
        "of agreement with the memorizer (Zhang et al. 2024: CIFAR-10, SSCD) "
        "falls to zero; where it does not here, a new sample and a training image are "
        "often within the RP threshold of each other.",
    )


def _halves(widths: Sequence[int], halves: Sequence[Sequence[Agreement]]) -> Finding:
    grown = all(items[-1].rp.low > items[0].rp.high for items in halves)
    first, last = halves[0][0], halves[0][-1]
    said = _each(
        {
            w: f"{items[0].rp.value:.0%} and {items[-1].rp.value:.0%}"
            for w, items in zip(widths, halves)
        }
    )
    detail = "; ".join(
        f"width {w}: {items[0].rp} (chance {items[0].chance:.2f}) and {items[-1].rp} "
        f"(chance {items[-1].chance:.3f})"
        for w, items in zip(widths, halves)
    )
    return Finding(
        "Models trained on disjoint images "
        f"{'come to agree' if grown else 'do not clearly come to agree'}: on {said} of "
        "the noises, "
        f"at N = {first.n} and N = {last.n}.",
        "good" if grown else "absent",
        f"RP, {detail}.",
    )


def _quality(
    rows: Sequence[Row], widths: Sequence[int], sizes: Sequence[int], floor: Estimate
) -> Finding:
    last = {
        w: [row for row in rows if at(row, "n") == sizes[-1] and at(row, "width") == w]
        for w in widths
    }
    ratios = _each(
        {
            w: f"{np.mean([number(r, 'frechet') for r in found]) / floor.value:.1f}"
            for w, found in last.items()
            if found
        }
    )
    errors = _each(
        {
            w: f"{np.mean([number(r, 'error_test') for r in found]):.2f}"
            for w, found in last.items()
            if found
        }
    )
    return Finding(
        f"Quality at N = {sizes[-1]}: the samples' Fréchet distance to held-out images is "
        f"{ratios} times that of as many real images.",
        "neutral",
        "Held-out denoising error relative to the best linear denoiser of the whole "
        f"pool: {errors}. Novelty counts only where quality holds.",
    )
