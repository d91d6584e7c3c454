"""What the cells say of the published claims, in words and numbers, whether they appeared or
not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from denoscope.metrics.crossings import as_size, falls
from denoscope.report import Finding
from denoscope.studies._linear.by_size import TWIN
from denoscope.studies._linear.generalization import law_findings
from denoscope.studies._linear.generalization.cells import CLOSE, Measured, compared, differences
from denoscope.studies._linear.words import each, times
from denoscope.theory.spectra import participation_ratio

AWAY = 1.5
"""A size is away from N = d where it differs by more than this factor; within it the averages have
heavy tails and 1/d corrections.
"""

CLOSED = 0.1
"""The gap is closed where the test loss is within this share of Bayes."""

WORDS = {
    "train": "train loss",
    "test": "test loss",
    "gap": "gap",
    "train_mean": "train loss over all levels",
    "test_mean": "test loss over all levels",
    "ridge": "best ridge",
    "test_ridge": "test loss with the best ridge",
    "k": "best stopping time",
    "test_stopped": "test loss at the best stopping time",
    "frobenius": "error of the covariance",
    "unseen": "unseen variance",
    "kl": "KL(model ‖ true)",
    "kl_ridge": "KL(model ‖ true) with the best ridge",
    "kl_reverse": "KL(true ‖ model)",
    "kl_reverse_ridge": "KL(true ‖ model) with the best ridge",
}


def claims(every: Sequence[Measured]) -> list[Finding]:
    """Every claim that the cells can test, and the facts they rest on."""
    tests: tuple[Callable[[Sequence[Measured]], Finding | None], ...] = (
        _agreement, _gap, law_findings.above, law_findings.of_images, law_findings.below, law_findings.norm, _bound, _rescue, _images, _effective,
    )  # fmt: skip
    return [found for test in tests if (found := test(every))]


def _agreement(every: Sequence[Measured]) -> Finding | None:
    gaussian = [item for item in every if not item.has_twin]
    if not gaussian:
        return None
    said = {item.name: _off(differences(item)) for item in gaussian}
    away = {item.name: _off(found) for item in gaussian if (found := differences(item, apart=AWAY))}
    wrong = [
        f"{WORDS[one.name]} of {item.name} at N = {one.size:.0f}"
        for item in gaussian
        for one in compared(item)
        if one.off > CLOSE and one.widths > 2 and abs(math.log(one.size / item.d)) >= math.log(AWAY)
    ]
    held = [one.widths <= 1 for item in gaussian for one in compared(item)]
    return Finding(
        f"Theory and simulation {'differ' if wrong else 'agree'} on Gaussian data: the "
        "largest relative difference over all numbers and "
        f"sizes is {each(said)}.",
        "absent" if wrong else "good",
        (
            f"More than {CLOSE:.0%} away, and more than twice as far as the 95 % interval "
            f"reaches: {', '.join(wrong)}. "
            if wrong
            else ""
        )
        + f"Away from N = d (by a factor of {AWAY:g}): {each(away)}. {np.mean(held):.0%} "
        "of all 95 % intervals hold the theory, which is that of large d: an interval "
        "of a few per mille sees what it leaves out.",
    )


def _off(found: Mapping[str, tuple[float, float]]) -> str:
    name, off, size = _largest(found)
    return f"{off:.1%} ({WORDS[name]} at N = {size:.0f})"


def _largest(found: Mapping[str, tuple[float, float]]) -> tuple[str, float, float]:
    name = max(found, key=lambda key: found[key][0])
    return name, *found[name]


def _gap(every: Sequence[Measured]) -> Finding:
    ratios = {
        item.name: float(
            as_size(falls(item.sizes, item.means("test"), (1 + CLOSED) * item.bayes[0]))
        )
        / item.d
        for item in every
    }
    finite = [ratio for ratio in ratios.values() if math.isfinite(ratio)]
    good = len(finite) == len(ratios) and all(0.5 <= ratio <= 5 for ratio in finite)
    theory = {
        item.name: times(float(as_size(falls(item.grid, item.lines["test"], (1 + CLOSED) * item.bayes[0]))) / item.d, item.grid / item.d) for item in every
    }  # fmt: skip
    said = {item.name: times(ratios[item.name], item.sizes / item.d) for item in every}
    return Finding(
        f"The test loss comes within {CLOSED:.0%} of Bayes only at N "
        f"{'of the order of d' if good else 'that is not of the order of d everywhere'}: "
        f"N/d = {each(said)}.",
        "good" if good else "absent",
        f"At ᾱ = {every[0].levels.abar:g}; theory: {each(theory)}. At a higher noise "
        "level it takes fewer, since directions below the "
        "noise do not count.",
    )


def _bound(every: Sequence[Measured]) -> Finding | None:
    below = {item.name: item.sizes < item.d / AWAY for item in every}
    every = [item for item in every if below[item.name].any()]
    if not every:
        return None
    off = {
        item.name: np.abs(item.means("unseen")[near] / item.theory["unseen"][near] - 1).max()
        for item in every
        for near in (below[item.name],)
    }
    part = {
        item.name: (item.theory["bound"] / item.means("gap"))[below[item.name]] for item in every
    }
    held = all(share.max() <= 1 + CLOSE for share in part.values())
    return Finding(
        "Below N = d the gap between test and train loss is that of directions without "
        "data: their share of it is "
        f"{each({n: f'{s.min():.0%} to {s.max():.0%}' for n, s in part.items()})}.",
        "good" if held and all(share.min() > 0.5 for share in part.values()) else "absent",
        f"Sizes below d/{AWAY:g}; the share is the lower bound ((1 − ᾱ)/ᾱ) N κ₀/c² over "
        "the measured gap. The unseen variance differs "
        f"from N κ₀ by at most {each({name: f'{value:.1%}' for name, value in off.items()})}.",
    )


def _rescue(every: Sequence[Measured]) -> Finding | None:
    half = {item.name: (item, item.nearest(0.5)) for item in every if item.sizes[0] < 0.75 * item.d}
    if not half:
        return None
    names = ("test", "test_ridge", "test_stopped")
    said = {
        name: " → ".join(f"{item.means(key)[at]:.3g}" for key in names)
        + f" (Bayes {item.bayes[0]:.3g})"
        for name, (item, at) in half.items()
    }
    better = sum(
        int((item.means("test_stopped") < item.means("test_ridge")).sum()) for item in every
    )
    cells = sum(len(item.sizes) for item in every)
    rescued = all(
        item.means(key)[at] < 2 * item.bayes[0] < item.means("test")[at]
        for item, at in half.values()
        for key in names[1:]
    )
    kept = {
        name: f"{item.means('ridge')[at]:.2g} ({_unseen_mean(item, at):.2g})"
        for name, (item, at) in half.items()
    }
    return Finding(
        "Ridge and early stopping prevent overfitting below N = d: about N = d/2 the "
        "test loss goes, fully trained → best ridge → best "
        f"stopping time, {each(said)}.",
        "good" if rescued else "absent",
        f"At ᾱ = {every[0].levels.abar:g}, a dimension. Stopping is the better of the two "
        f"in {better} of {cells} cells. Best ridge (and "
        f"mean variance of an unseen direction): {each(kept)}.",
    )


def _unseen_mean(item: Measured, at: int) -> float:
    """The mean variance of a direction that the training rows at this size do not span, in
    theory.
    """
    return float(item.theory["unseen"][at] * item.d / max(1.0, item.d - item.sizes[at] + 1))


def _images(every: Sequence[Measured]) -> Finding | None:
    off, twin = {}, {}
    for item in every:
        if item.has_twin:
            off[item.name] = _typical(item, "")
            twin[item.name] = _typical(item, TWIN)
    if not off:
        return None
    real = {item.name: _off(differences(item)) for item in every if item.has_twin}
    return Finding(
        "Images are not Gaussian, and it shows: the largest relative difference from "
        f"theory is {each(real)}.",
        "neutral",
        f"Half of all numbers are within {each({n: f'{v:.1%}' for n, v in off.items()})}; "
        "for a Gaussian twin, as many rows with "
        "exactly the same covariance, within "
        f"{each({n: f'{v:.1%}' for n, v in twin.items()})}. The twin's own differences "
        "are those of a finite set that training and test "
        "images share. What images add "
        "are pixels that few of them use: a training set often lacks them, which no "
        "Gaussian of that covariance would.",
    )


def _typical(item: Measured, prefix: str) -> float:
    """The median relative difference from theory over all numbers and sizes."""
    return float(np.median([one.off for one in compared(item, prefix)]))


def _effective(every: Sequence[Measured]) -> Finding:
    said = {
        item.name: f"{float(participation_ratio(item.law.spectrum)):.2f} of d = {item.d}"
        for item in every
    }
    images = [
        f"{item.name}: {len(item.law.rows)} images of {' × '.join(map(str, item.law.shape))}"
        for item in every
        if item.law.rows is not None
    ]
    return Finding(
        f"The participation ratio d_eff = (Tr Σ)²/Tr Σ² is {each(said)}.",
        "neutral",
        "It depends on preprocessing. Pixels as they are read, mean subtracted, "
        "directions without variance left out "
        f"({'; '.join(images)})."
        if images
        else "",
    )
