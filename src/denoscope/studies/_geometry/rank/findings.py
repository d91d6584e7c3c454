"""What the ranks say of the article's claims: low in between, high at both ends, and what of that
the data explain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from denoscope.estimate import Estimate, median, paired
from denoscope.report import Finding
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.rank.drawings import BELOW, MIDDLE
from denoscope.studies._geometry.rank.points import HIGH
from denoscope.studies._geometry.rank.reading import (
    PLACES,
    PUBLISHED,
    RULES,
    between,
    covariance_norm,
    facts,
    gaussian_ratios,
    levels,
    limit,
    medians,
    ratios,
    said,
    size,
    times,
)
from denoscope.studies._geometry.rank.ushape import PEAK, Arms, arms

SYMMETRIC = 0.2
"""|J - J^T|/|J| up to which a Jacobian counts as nearly symmetric: of 5 parts of its norm, one."""

WINDOWS = ((0.0, 0.1), (0.6, 0.7))
"""The times at which the published models are nearly symmetric."""


def claims(groups: Sequence[Group]) -> list[Finding]:
    """Every claim on ranks that the sweep can test, with its numbers."""
    found = [_u_shape(groups), _low(groups), _right_arm(groups)]
    if len(groups) > 1:
        found.append(_models(groups))
    return [*found, _symmetry(groups), _limits(groups), *_zeros(groups)]


def _u_shape(groups: Sequence[Group]) -> Finding:
    found = {place: [arms(ratios(group, place)) for group in groups] for place in PLACES}
    good = all(one.both for one in found["test"])
    one, sigma = found["test"][-1], levels(groups[-1], "test")
    words = (
        "The rank is U-shaped: lower in between than at both ends"
        if good
        else "The rank is not lower in between than at both ends for every model"
    )
    peaks = "; ".join(
        f"{group.label}: {', '.join(f'{sigma[i]:.2g}' for i in one.peaks) or 'none'}"
        for group, one in zip(groups, found["test"])
    )
    each = [
        f"On {name} ({'yes' if all(one.both for one in found[place]) else 'not for all models'}): "
        + "; ".join(f"{group.label}: {_rises(one)}" for group, one in zip(groups, found[place]))
        for place, name in PLACES.items()
    ]
    return Finding(
        f"{words}: {groups[-1].label} has rank / pixels {said(one.ends[0])} at σ = "
        f"{sigma[0]:.2g}, {said(one.least)} at σ = {sigma[one.at]:.2g}, "
        f"{said(one.ends[1])} at σ = {sigma[-1]:.3g}.",
        "good" if good else "absent",
        f"Rise from the minimum to the low and to the high end. {'. '.join(each)}. Rank "
        f"by {RULES[PUBLISHED]}; means over points with 95 % t intervals; each point's "
        "minimum is read at the level that the other half of the points chooses. Levels "
        f"σ that stand out by more than {PEAK:g} above both neighbours on noisy unseen "
        f"images: {peaks}.",
    )


def _rises(found: Arms) -> str:
    return " and ".join(said(rise) for rise in found.rises)


def _low(groups: Sequence[Group]) -> Finding:
    """Whether it stays below a tenth of the pixels between two times."""
    worst = [_highest(group, "path") for group in groups]
    least = [arms(ratios(group, "path")).least for group in groups]
    good = all(value.value < BELOW for value in worst)
    n, (low, high) = size(groups[0]), MIDDLE
    return Finding(
        f"Between t = {low:g} and {high:g} the rank "
        f"{'stays' if good else 'does not stay'} below {BELOW:g} of the {n} pixels, as it "
        "does in the published models of 3 072 to "
        "12 288: its least value on sampling paths is "
        f"{' and '.join(f'{said(e)} ({group.label})' for e, group in zip(least, groups))}.",
        "good" if good else "absent",
        "Largest median between these times, on sampling paths: "
        f"{'; '.join(f'{group.label}: {said(e)}' for e, group in zip(worst, groups))}. "
        "In directions, least: "
        f"{'; '.join(f'{group.label}: {n * e.value:.3g} of {n}' for e, group in zip(least, groups))}. "
        ""
        ""
        f"What is small beside thousands of pixels need not be beside {n}.",
    )


def _highest(group: Group, place: str) -> Estimate:
    found = ratios(group, place)[between(group, place, *MIDDLE)]
    return max((median(row) for row in found), key=lambda estimate: estimate.value)


def _right_arm(groups: Sequence[Group]) -> Finding:
    """What of the rise at high noise the covariance of the data accounts for."""
    found = [arms(ratios(group, "test")) for group in groups]
    above = [
        group.label for group, one in zip(groups, found) if one.ends[1].low > _highest_limit(group)
    ]
    words = (
        f"The right arm is not explained by the data: at σ = {HIGH:g} the rank lies above "
        "that of either covariance, where an exact denoiser ends"
        if above
        else f"At σ = {HIGH:g} the rank does not lie above that of the covariances, where "
        "an exact denoiser ends"
    )
    norms = [medians(facts(group, "test", "network", "size"))[0][-1] for group in groups]
    return Finding(
        f"{words}{'' if len(above) in (0, len(groups)) else ': ' + ', '.join(above)}.",
        "absent" if above else "good",
        f"Rank / pixels on noisy unseen images, at the minimum and at σ = {HIGH:g}: "
        f"{'; '.join(_ending(group, one) for group, one in zip(groups, found))}. What "
        "exceeds the covariance's "
        "rank is error of the network, at ‖J‖ = "
        f"{', '.join(f'{norm:.2g}' for norm in norms)}: noise that high is hardly ever "
        "drawn in training.",
    )


def _highest_limit(group: Group) -> float:
    return max(limit(group, "train"), limit(group, "all"))


def _ending(group: Group, found: Arms) -> str:
    train, every, rise = (
        limit(group, "train"),
        limit(group, "all"),
        found.ends[1].value - found.least.value,
    )
    explained = (
        min(1.0, max(0.0, _highest_limit(group) - found.least.value) / rise) if rise > 0 else 1.0
    )
    return (
        f"{group.label}: {said(found.least)} and {said(found.ends[1])}, where the "
        f"covariance of the training images has {train:.2f} and that of all images "
        f"{every:.2f}, "
        f"which explains {100 * explained:.0f} % of the rise; σ²‖J‖ there is "
        f"{said(size_share(group), '.3g')} times the norm of the latter"
    )


def size_share(group: Group) -> Estimate:
    """sigma^2 |J|_F of the network at the highest level over the norm of the covariance of all
    images.
    """
    found = facts(group, "test", "network", "size")[-1] * HIGH**2 / covariance_norm(group, "all")
    return median(found)


def _models(groups: Sequence[Group]) -> Finding:
    few, many = groups[0], groups[-1]
    difference = {place: paired(_middle(many, place), _middle(few, place)) for place in PLACES}
    first = difference["test"]
    sign = (
        "higher than that"
        if first.low > 0
        else "lower than that"
        if first.high < 0
        else "not clearly different from that"
    )
    exact = "; ".join(
        f"{group.label}: {_middle(group, 'test', 'memorizer').mean():.2f}" for group in groups
    )
    return Finding(
        f"At intermediate noise the rank of {many.label} is {sign} of {few.label}: by "
        f"{said(first, '.3f')} of the pixels on noisy unseen images.",
        "neutral",
        f"Means over points and over the levels at times {MIDDLE[0]:g} to {MIDDLE[1]:g}, "
        "with 95 % t intervals of paired differences; "
        f"{'; '.join(f'{PLACES[place]} {said(value)}' for place, value in difference.items())}. "
        "Share of samples that copy a training image: "
        f"{'; '.join(f'{group.label}: {_copies(group)}' for group in groups)}. Memorizer "
        f"of the same images, mean at these levels: {exact}. Level by level on noisy "
        f"unseen images, {many.label} is {_by_level(many, few)}.",
    )


def _middle(group: Group, place: str, who: str = "network") -> np.ndarray:
    return ratios(group, place, who)[between(group, place, *MIDDLE)].mean(0)


def _by_level(many: Group, few: Group) -> str:
    """At which levels the rank of the first is higher and lower, intervals and all."""
    pairs = zip(levels(many, "test"), ratios(many, "test"), ratios(few, "test"))
    each = [(sigma, paired(first, second)) for sigma, first, second in pairs]
    parts = {
        "higher": [sigma for sigma, e in each if e.low > 0],
        "lower": [sigma for sigma, e in each if e.high < 0],
    }
    return " and ".join(
        f"{word} at σ = {', '.join(f'{sigma:.2g}' for sigma in at) or 'no level'}"
        for word, at in parts.items()
    )


def _copies(group: Group) -> str:
    found = group.estimate("memorized")
    return "not measured" if found is None else f"{found.value:.2f}"


def _symmetry(groups: Sequence[Group]) -> Finding:
    found = [[_asymmetry(group, window) for window in WINDOWS] for group in groups]
    good = all(value <= SYMMETRIC for value in found[-1])
    whole = medians(facts(groups[-1], "test", "network", "asymmetry"))[0]
    return Finding(
        f"The Jacobian is {'' if good else 'not '}near-symmetric where the published "
        f"models' are: ‖J − Jᵀ‖/‖J‖ is {found[-1][0]:.2f} at t < 0.1 and "
        f"{found[-1][1]:.2f} at t of 0.6 to 0.7 "
        f"({groups[-1].label}).",
        "good" if good else "absent",
        f"Medians over points on noisy unseen images; up to {SYMMETRIC:g} counts as "
        "near-symmetric. "
        f"{'; '.join(f'{group.label}: {a:.2f} and {b:.2f}' for group, (a, b) in zip(groups, found))}. "
        ""
        ""
        f"At all levels, rising, {groups[-1].label}: "
        f"{', '.join(f'{value:.2f}' for value in whole)}. An exact denoiser's Jacobian is "
        "symmetric: what is not is error of the network.",
    )


def _asymmetry(group: Group, window: tuple[float, float]) -> float:
    """The median over points of all levels in a window of times, or of the level nearest to its
    middle where none is in it.
    """
    inside = between(group, "test", *window)
    if not inside.any():
        inside[np.abs(times(levels(group, "test")) - np.mean(window)).argmin()] = True
    return float(np.median(facts(group, "test", "network", "asymmetry")[inside]))


def _limits(groups: Sequence[Group]) -> Finding:
    """Closed forms end at the covariances' ranks."""
    ends = [float(np.median(ratios(group, "test", "memorizer")[-1])) for group in groups]
    highest = np.array([HIGH])
    pairs = [(end, limit(group, "train")) for end, group in zip(ends, groups)]
    pairs += [
        (float(gaussian_ratios(group, of, highest)[0]), limit(group, of))
        for group in groups
        for of in ("train", "all")
    ]
    off = round(max(abs(a - b) for a, b in pairs) * size(groups[0]), 6)
    each = "; ".join(
        f"{group.label}: {end:.3f} and {limit(group, 'train'):.3f}"
        for end, group in zip(ends, groups)
    )
    return Finding(
        f"The closed forms end where they must: at σ = {HIGH:g} memorizer and Gaussians "
        "have the rank of their covariance, "
        f"{'exactly' if off == 0 else f'within {off:.2g} directions'}.",
        "good" if off <= 1 else "absent",
        f"Memorizer, and covariance of its images, rank / pixels: {each}.",
    )


def _zeros(groups: Sequence[Group]) -> list[Finding]:
    members = {
        "networks": [m for group in groups for m in group.arrays],
        "memorizers": [group.first for group in groups],
    }
    each = {
        name: [m[f"{place}_{name[:-1]}_norm"] == 0 for m in found for place in PLACES]
        for name, found in members.items()
    }
    if not any(zero.any() for found in each.values() for zero in found):
        return []
    counts = " and ".join(
        f"{sum(int(z.sum()) for z in found)} of {sum(z.size for z in found)} of the {name}"
        for name, found in each.items()
    )
    return [
        Finding(
            f"Numerically zero Jacobians count as rank 0: {counts}.",
            "neutral",
            "Zero means that noise of one σ moves the answer by less than a float32 "
            "rounds a pixel of 1. A memorizer's posterior is a single image at low "
            "noise, so that its Jacobian vanishes.",
        )
    ]
