"""What the cells say of the article's claim, in words and numbers, whether it appeared or not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from denoscope.estimate import mean
from denoscope.report import Finding
from denoscope.studies._molrg.scaling.crossings import Growth, Needed
from denoscope.studies._molrg.scaling.expectations import (
    copies_needed,
    gaussian_needed,
    nearest_distance,
)
from denoscope.studies._molrg.scaling.lines import END, SMOOTHERS, Line

FLAT = 0.25
"""N hardly depends on n where its exponent is not clearly above this: ten times more n take less
than twice as many samples.
"""

CLEARLY = 0.8
"""Two laws are told apart where one misses by less than this part of the other."""

MANY = 64
"""From this N on, an average over a few draws says something about the expected nearest
distance.
"""


def contrast(lines: Sequence[Line]) -> list[Finding]:
    """One finding a K: what the largest common d costs each method, and whether kernels and fits
    part ways.
    """
    return [
        _contrast([line for line in lines if line.clusters == clusters])
        for clusters in sorted({line.clusters for line in lines})
    ]


def _contrast(lines: Sequence[Line]) -> Finding:
    common = sorted(set.intersection(*(set(line.x) for line in lines)))
    smooth = [line for line in lines if line.method in SMOOTHERS and line.linear.points > 2]
    other = [line for line in lines if line.method not in SMOOTHERS and line.linear.points > 2]
    status, words = "neutral", "samples needed"
    if smooth and other:
        unclear = [line for line in (*smooth, *other) if law(line) == "undecided"]
        against = [
            line for line in (*smooth, *other) if law(line) not in (claimed(line), "undecided")
        ]
        status = "absent" if against else "neutral" if unclear else "good"
        words = "kernels need exponentially many samples in d, what fits or trains linearly many"
        words += f", but for the {_names(against)} it is the other way round" if against else ""
        words += (
            f" (linear and slow exponential growth are not told apart for the {_names(unclear)})"
            if unclear
            else ""
        )
    ends = [common[0], common[-1]] if common else []
    said = "; ".join(
        f"{line.name} {' and '.join(_least(cell.needed) for d in ends if (cell := line.at(d)))}"
        for line in lines
    )
    return Finding(
        f"K = {lines[0].clusters}: {words}. N at d = {' and '.join(map(str, ends))}: {said}.",
        status,
    )


def _names(lines: Sequence[Line]) -> str:
    return " and the ".join(line.name for line in lines)


def _least(point: Needed) -> str:
    return str(point).split(" [")[0]


def law(line: Line) -> str:
    """ "exponential" or "linear", whichever misses N by clearly less, or "undecided"."""
    exponential, linear = line.exponential.miss, line.linear.miss
    return (
        "exponential"
        if exponential < CLEARLY * linear
        else "linear"
        if linear < CLEARLY * exponential
        else "undecided"
    )


def claimed(line: Line) -> str:
    """The law that the article claims of this method."""
    return "exponential" if line.method in SMOOTHERS else "linear"


def against_d(lines: Sequence[Line]) -> list[Finding]:
    """For every method, which law its N follows in d, with the slopes of all three."""
    return [_against_d(line) for line in lines]


def _against_d(line: Line) -> Finding:
    head = f"{_title(line)}, against d"
    counts = "; ".join(f"d = {x}: {point}" for x, point in zip(line.x, line.points))
    if line.exponential.points < 3:
        return Finding(
            f"{head}: {line.exponential.slope.method}.", "neutral", f"N, {counts}.{_censored(line)}"
        )
    words = {
        "exponential": f"N grows exponentially, ×{_factor(line.exponential)} for every dimension",
        "linear": f"N grows linearly, about {_straight(line.linear)}",
        "undecided": "linear and exponential growth are not told apart: "
        f"{_straight(line.linear)}, or ×{_factor(line.exponential)} for "
        "every dimension",
    }[law(line)]
    return Finding(
        f"{head}: {words}.",
        "good"
        if law(line) == claimed(line)
        else "neutral"
        if law(line) == "undecided"
        else "absent",
        f"An exponential (×{_factor(line.exponential)} a dimension) misses by "
        f"{line.exponential.miss:.0%}, the line N = {_straight(line.linear)} by "
        f"{line.linear.miss:.0%}, "
        f"a power of d (exponent {_slope(line.power)}) by {line.power.miss:.0%}. N, "
        f"{counts}.{_censored(line)}",
    )


def _censored(line: Line) -> str:
    beyond = [x for x, point in zip(line.x, line.points) if not point.reached]
    if not beyond:
        return ""
    least = ", ".join(f"{point.least:.3f}" for point in line.points if not point.reached)
    why = (
        " A linear denoiser cannot tell subspaces apart."
        if line.method == "gaussian" and line.clusters > 1
        else ""
    )
    last = [int(cell.arrays["dial"][-1]) for cell in line.cells if not cell.needed.reached]
    if line.method == "network" and min(last) == line.cells[0].fields["steps"]:
        why = (
            " There the best step is the last: what stops these networks is training "
            "time, not data."
        )
    return (
        f" Not reached at {line.axis} = {', '.join(map(str, beyond))} (excess there "
        f"{least}): lower bounds, left out of the laws.{why}"
    )


def _factor(found: Growth) -> str:
    return (
        f"{math.exp(found.slope.value):.2f} [{math.exp(found.slope.low):.2f}, "
        f"{math.exp(found.slope.high):.2f}]"
    )


def _straight(found: Growth) -> str:
    return f"{found.intercept:.1f} + {_slope(found)} d"


def _slope(found: Growth) -> str:
    return f"{found.slope.value:.2f} [{found.slope.low:.2f}, {found.slope.high:.2f}]"


def _title(line: Line) -> str:
    return f"{line.name[0].upper()}{line.name[1:]}, K = {line.clusters}"


def against_n(lines: Sequence[Line]) -> list[Finding]:
    """For every K, which methods' N depends on n."""
    return [
        _against_n([line for line in lines if line.clusters == clusters])
        for clusters in sorted({line.clusters for line in lines})
    ]


def _against_n(lines: Sequence[Line]) -> Finding:
    slopes = {line: line.power for line in lines if line.power.points > 2}
    named = ", ".join(f"{line.name} {_slope(found)}" for line, found in slopes.items())
    counts = "; ".join(
        f"{line.name}: {', '.join(_least(point) for point in line.points)}" for line in lines
    )
    head = (
        f"K = {lines[0].clusters}, d = {lines[0].fixed}, from n = {lines[0].x[0]} to "
        f"{lines[0].x[-1]}"
    )
    if not slopes:
        return Finding(
            f"{head}: too few points reached the level for a slope.", "neutral", f"N, {counts}."
        )
    growing = {line: found for line, found in slopes.items() if found.slope.low > FLAT}
    detail = f"Exponents of n, to tell from 1 for growth in proportion: {named}. N, {counts}."
    if not growing:
        steepest = max(slopes, key=lambda line: slopes[line].slope.value)
        return Finding(
            f"{head}: N hardly depends on the ambient dimension. The steepest is the "
            f"{steepest.name}, as n^{_slope(slopes[steepest])}.",
            "good",
            detail,
        )
    names = ", ".join(f"{line.name} (as n^{_slope(found)})" for line, found in growing.items())
    return Finding(f"{head}: N grows with the ambient dimension for {names}.", "absent", detail)


def trained_on(lines: Sequence[Line]) -> list[Finding]:
    """What training to the end costs a network, against stopping at its best step."""
    found = []
    by_place = {(line.method, line.clusters): line for line in lines}
    for line in lines:
        end = by_place.get((END, line.clusters))
        if line.method != "network" or end is None:
            continue
        ratios = [
            b.value / a.value for a, b in zip(line.points, end.points) if a.reached and b.reached
        ]
        if ratios and max(ratios) > 1.05:
            steps = line.cells[0].fields["steps"]
            found.append(
                Finding(
                    f"K = {line.clusters}: trained for all {steps} steps, networks need "
                    f"{min(ratios):.1f} to {max(ratios):.1f} times the samples of those "
                    "stopped at their best step.",
                    "neutral",
                    "The best step is chosen by the excess risk itself, as is the "
                    "smoother's bandwidth: both are the best that the method can do.",
                )
            )
    return found


def distances(lines: Sequence[Line]) -> list[Finding]:
    """How W2 of the empirical distribution falls, and whether fitted models reach the floor."""
    found = []
    for line in lines:
        if line.method == "empirical":
            slopes = {
                cell.fields["d"]: mean(
                    [_log_slope(cell.arrays["w2_sizes"], w) for w in cell.arrays["w2"].T]
                )
                for cell in line.cells
            }
            said = "; ".join(
                f"d = {d}: {-e.value:.2f} [{-e.high:.2f}, {-e.low:.2f}] (1/d = {1 / d:.2f})"
                for d, e in slopes.items()
            )
            first, last = next(iter(slopes.values())), list(slopes.values())[-1]
            slower = last.low > first.high
            found.append(
                Finding(
                    f"K = {line.clusters}: W2 of the empirical distribution "
                    f"{'falls' if slower else 'does not clearly fall'} more slowly at d = "
                    f"{line.x[-1]} than at d = {line.x[0]}.",
                    "good" if slower else "absent",
                    f"Exponents of 1/N: {said}. The finite-sample floor flattens the line "
                    "where W2 falls fast, in few dimensions; there the known rate is "
                    "1/2, not 1/d.",
                )
            )
        else:
            last = line.cells[-1]
            ratio = mean(last.arrays["w2"][-1] / last.arrays["w2_floor"])
            low = (
                mean(last.arrays["w2"][1] / last.arrays["w2_floor"])
                if len(last.arrays["w2"]) > 1
                else ratio
            )
            sizes = last.arrays["w2_sizes"]
            found.append(
                Finding(
                    f"K = {line.clusters}, d = {last.fields['d']}: samples of the "
                    f"{line.name} are at {low.value:.2f} times the W2 floor with "
                    f"{sizes[min(1, len(sizes) - 1)]} training "
                    f"points and at {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] "
                    f"with {sizes[-1]}.",
                    "neutral",
                )
            )
    return found


def _log_slope(sizes: np.ndarray, values: np.ndarray) -> float:
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def theory(lines: Sequence[Line]) -> list[Finding]:
    """Measurements beside what is known exactly."""
    found = []
    for line in lines:
        if line.method == "empirical":
            found.append(_nearest(line))
        if line.method == "gaussian" and line.clusters == 1 and line.axis == "d":
            fields = line.cells[0].fields
            wanted = [
                gaussian_needed(d, line.fixed, fields["sigma"], fields["noise"], fields["level"])
                for d in line.x
            ]
            pairs = ", ".join(
                f"{point.value:.0f} and {value:.1f} at d = {x}"
                for x, point, value in zip(line.x, line.points, wanted)
            )
            found.append(
                Finding(
                    "Gaussian fit, K = 1: samples needed and what deterministic "
                    "equivalents expect of them.",
                    "neutral",
                    f"{pairs}.",
                )
            )
    return found


def _nearest(line: Line) -> Finding:
    off = {}
    for cell in line.cells:
        kept = cell.arrays["sizes"] >= MANY
        if kept.any():
            wanted = nearest_distance(
                cell.arrays["sizes"][kept].astype(float), int(cell.fields["d"]), line.clusters
            )
            off[cell.fields["d"]] = float(
                np.abs(cell.arrays["nearest"][kept].mean(1) / wanted - 1).max()
            )
    fields = line.cells[0].fields
    limits = ", ".join(
        f"{copies_needed(d, line.clusters, fields['level']):.3g} at d = {d}" for d in line.x
    )
    said = (
        f"within {max(off.values()):.0%} of its exact expectation at every d and every N "
        f"of at least {MANY}"
        if off
        else "shown in the figure"
    )
    return Finding(
        f"K = {line.clusters}: the distance to the nearest training point is {said}.",
        "neutral",
        "As σ → 0 the empirical denoiser's excess is that distance's mean square over d, "
        f"and reaches the level at N = {limits}; at σ = {fields['sigma']:g} averaging "
        "over points within reach saves a part.",
    )
