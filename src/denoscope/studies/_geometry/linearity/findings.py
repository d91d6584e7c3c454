"""What a sweep says of the claims: near 1 at intermediate noise, worse at low noise, and what
training on more images does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from denoscope.estimate import Estimate, mean, paired
from denoscope.report import Finding
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.linearity.measuring import DIRECTIONS
from denoscope.studies._geometry.linearity.reading import at, points
from denoscope.studies._geometry.linearity.setting import LEVELS, PUBLISHED, TIMES
from denoscope.studies._geometry.words import each, said, sizes

NEAR = 0.04
"""How far from 1 the published ratios and cosines are at most, at the end of the published
range.
"""

HIGH, MIDDLE, LOW = (0.7, 0.5), 0.2, 0.04
"""Times: those of the claim, one where models differ, and the low noise of the published panels."""


def claims(every: Sequence[Group]) -> list[Finding]:
    """Every claim that these cells can test, with its numbers."""
    found = [
        *(_near_one(every, kind) for kind in ("random", "principal")),
        _worse(every),
        _change(every),
    ]
    if (ends := sizes(every)) is not None:
        found.append(_trained(*ends))
    found.append(_memorizer(every))
    return [
        *found,
        *([_truth(every)] if "cosine_random_truth" in every[0].first else []),
        _exact(every),
    ]


def sigma(time: float) -> str:
    """The noise level of a time."""
    return f"{LEVELS[TIMES.index(time)]:.2g}"


def _when(time: float) -> str:
    return f"t = {time:g} (σ = {sigma(time)})"


def _off(group: Group, kind: str, time: float, step: float) -> Estimate:
    """How far the published measures are from 1: the larger of the distances of ratio and
    cosine.
    """
    pair = [
        at(group, f"off_{kind}_network", time, step),
        _lost(group, f"cosine_{kind}_network", time, step),
    ]
    return max(pair, key=lambda e: e.value)


def _lost(group: Group, name: str, time: float, step: float) -> Estimate:
    """1 minus a cosine."""
    return mean(1 - points(group, name, time, step))


def _near_one(every: Sequence[Group], kind: str) -> Finding:
    many = every[-1]
    near, far = (
        max((_off(many, kind, time, step) for time in HIGH), key=lambda e: e.value).value
        for step in PUBLISHED
    )
    good = far <= NEAR
    return Finding(
        f"Along {kind} directions, at {' and '.join(_when(time) for time in HIGH)}, norm "
        f"ratio and cosine ({many.label}) are {'near 1' if good else 'not all near 1'} "
        "for steps up to "
        f"{PUBLISHED[1]:g} √d: off by at most {far:.3f}, and by {near:.3f} up to "
        f"{PUBLISHED[0]:g} √d.",
        "good" if good else "absent",
        f"The published ones are off by at most {NEAR:g}; how their directions were drawn "
        f"is not told. Larger of |ratio − 1| and 1 − cosine at {PUBLISHED[1]:g} √d: "
        + "; ".join(
            f"{_when(time)}: "
            f"{each(every, lambda g, time=time: said(_off(g, kind, time, PUBLISHED[1])))}"
            for time in HIGH
        )
        + ". Means over noisy unseen images, models averaged over training seeds; "
        "intervals by t over images.",
    )


def _worse(every: Sequence[Group]) -> Finding:
    many, step = every[-1], PUBLISHED[0]
    more = [
        paired(
            points(many, f"cosine_{kind}_network", HIGH[0], step),
            points(many, f"cosine_{kind}_network", LOW, step),
        )
        for kind in DIRECTIONS
    ]
    good = all(e.low > 0 for e in more)
    return Finding(
        f"At low noise, {_when(LOW)}, the denoiser ({many.label}) is "
        f"{'less linear' if good else 'not less linear in both kinds of direction'} than "
        f"at {_when(HIGH[0])}: cosine "
        f"{_cosines(many, LOW)} against {_cosines(many, HIGH[0])} at {step:g} √d.",
        "good" if good else "absent",
        "Principal, random directions. Differences, image by image: "
        f"{', '.join(map(said, more))}. At low noise: "
        f"{each(every, lambda g: _cosines(g, LOW))}. "
        f"Smallest over all levels: {each(every, _least)}.",
    )


def _cosines(group: Group, time: float) -> str:
    return ", ".join(
        f"{at(group, f'cosine_{kind}_network', time, PUBLISHED[0]).value:.3f}"
        for kind in DIRECTIONS
    )


def _least(group: Group) -> str:
    time = min(TIMES, key=lambda t: at(group, "cosine_principal_network", t, PUBLISHED[0]).value)
    return f"{_cosines(group, time)} at {_when(time)}"


def _change(every: Sequence[Group]) -> Finding:
    many, step = every[-1], PUBLISHED[0]
    error = {kind: at(many, f"change_error_{kind}_network", MIDDLE, step) for kind in DIRECTIONS}
    cosine = {kind: at(many, f"cosine_{kind}_network", MIDDLE, step) for kind in DIRECTIONS}
    return Finding(
        f"The published measures flatter, since D(x) is on both sides: at {_when(MIDDLE)} "
        f"and {step:g} √d the first-order model misses "
        f"{100 * error['principal'].value:.0f} % of the change it predicts "
        f"along principal and {100 * error['random'].value:.0f} % along random "
        f"directions, where the cosines are {cosine['principal'].value:.3f} and "
        f"{cosine['random'].value:.3f}.",
        "neutral",
        f"{many.label}. Error of the change, by time, principal and random directions: "
        f"{'; '.join(f'{_when(time)}: {_errors(many, time)}' for time in (LOW, MIDDLE, *reversed(HIGH)))}. "
        ""
        ""
        "Each point's error is capped at 100 %.",
    )


def _errors(group: Group, time: float) -> str:
    return ", ".join(
        said(at(group, f"change_error_{kind}_network", time, PUBLISHED[0])) for kind in DIRECTIONS
    )


def _trained(few: Group, many: Group) -> Finding:
    step = PUBLISHED[0]

    def gap(measure: str, kind: str, time: float) -> Estimate:
        name = f"{measure}_{kind}_network"
        return paired(points(many, name, time, step), points(few, name, time, step))

    more = [gap("change_cosine", kind, MIDDLE) for kind in DIRECTIONS]
    good = all(e.low > 0 for e in more)
    words = (
        "is locally more linear"
        if good
        else "is not locally more linear in both kinds of direction"
    )
    values = [
        [at(g, f"change_cosine_{kind}_network", MIDDLE, step).value for kind in DIRECTIONS]
        for g in (many, few)
    ]
    return Finding(
        f"At {_when(MIDDLE)} the network trained on more images {words}: cosine of change "
        f"and first-order change {values[0][0]:.3f} (principal) and {values[0][1]:.3f} "
        f"(random) for {many.label}, "
        f"{values[1][0]:.3f} and {values[1][1]:.3f} for {few.label}.",
        "good" if good else "absent",
        f"Differences, image by image, principal and random, at {step:g} √d: "
        + "; ".join(
            f"{_when(time)}: "
            f"{', '.join(said(gap('change_cosine', kind, time)) for kind in DIRECTIONS)}"
            for time in (LOW, MIDDLE, *reversed(HIGH))
        )
        + ".",
    )


def _memorizer(every: Sequence[Group]) -> Finding:
    step = PUBLISHED[0]
    return Finding(
        f"Cosine of the change at {_when(MIDDLE)} and {step:g} √d, along principal and "
        "random directions: memorizer of the same training images "
        f"{each(every, lambda g: _changes(g, 'memorizer'))}; network "
        f"{each(every, lambda g: _changes(g, 'network'))}.",
        "neutral",
        "Principal directions are each denoiser's own, random ones shared. Where the "
        "memorizer's answer is one training image its derivative is next to nothing, and "
        "its first-order model says "
        "nothing of the jump to another.",
    )


def _changes(group: Group, model: str) -> str:
    return ", ".join(
        f"{at(group, f'change_cosine_{kind}_{model}', MIDDLE, PUBLISHED[0]).value:.3f}"
        for kind in DIRECTIONS
    )


def _truth(every: Sequence[Group]) -> Finding:
    many = every[-1]
    return Finding(
        f"The true denoiser, at {_when(MIDDLE)} and {PUBLISHED[0]:g} √d, has a cosine of "
        f"the change of {_changes(many, 'truth')} along principal and random directions; "
        f"the network ({many.label}) "
        f"{_changes(many, 'network')}.",
    )


def _exact(every: Sequence[Group]) -> Finding:
    off = max(
        float(np.abs(1 - group.mean(f"{measure}_{kind}_gaussian")).max())
        for group in every
        for kind in DIRECTIONS
        for measure in ("ratio", "cosine", "change_cosine")
    )
    return Finding(
        f"The Gaussian denoiser, which is affine, has ratios and cosines of 1 to within {off:.1g}.",
        "good" if off < 1e-3 else "absent",
        "The largest deviation of any level, step and point, in single precision: what "
        "the measurement itself adds.",
    )
