"""What the cells say of the law that the model samples: its divergence above and below N = d, and
the norm that is learned before.
"""

from __future__ import annotations

from collections.abc import Sequence

from denoscope.metrics.crossings import as_size, falls
from denoscope.report import Finding
from denoscope.studies._linear.by_size import TWIN
from denoscope.studies._linear.generalization.cells import CLOSE, Measured
from denoscope.studies._linear.generalization.measurements import DIVERGENCES
from denoscope.studies._linear.words import each, plain, size
from denoscope.theory.spectra import participation_ratio

ERROR = 0.1
"""The level at which the error of the covariance and the divergence are compared."""


def above(every: Sequence[Measured]) -> Finding | None:
    """The slope of the divergence against d/(4N) for Gaussian data; None without sizes above 4d."""
    slopes = {
        item.name: (_slope(item, "kl"), _slope(item, "kl_reverse"))
        for item in _far([item for item in every if not item.has_twin])
    }
    if not slopes:
        return None
    good = all(
        abs(forward[0] - forward[1]) < CLOSE and abs(forward[0] - 1) < 0.2
        for forward, _ in slopes.values()
    )
    return Finding(
        "Above N = 4d the divergence KL(model ‖ true)/d is "
        f"{each({name: f'{forward[0]:.3f}' for name, (forward, _) in slopes.items()})} "
        "times d/(4N): "
        f"{'linear in d/N, whatever the spectrum' if good else 'not what theory has'}.",
        "good" if good else "absent",
        "Slope of the line through the origin; in theory "
        f"{each({name: f'{forward[1]:.3f}' for name, (forward, _) in slopes.items()})}, "
        "where what is above 1 are higher orders of d/N. "
        "KL(true ‖ model)/d: "
        f"{each({name: f'{reverse[0]:.2f}' for name, (_, reverse) in slopes.items()})}, "
        "in theory "
        f"{each({name: f'{reverse[1]:.2f}' for name, (_, reverse) in slopes.items()})}. "
        "The power laws share their noises; without the last step's noise KL(model ‖ "
        "true) would be the same number for all of them.",
    )


def of_images(every: Sequence[Measured]) -> Finding | None:
    """The same slope for images and their Gaussian twins; None without them."""
    images = [item for item in _far(every) if item.has_twin]
    if not images:
        return None
    real, twin = (
        {item.name: _slope(item, "kl", prefix)[0] for item in images} for prefix in ("", TWIN)
    )
    good = all(abs(slope - 1) < 0.2 for slope in real.values())
    below = {
        item.name: f"{int((item.law.spectrum < item.levels.betas[0]).sum())} of {item.d}"
        for item in images
    }
    left = each({item.name: f"{item.floors['kl']:.2g}" for item in images})
    return Finding(
        "On real images KL(model ‖ true)/d is "
        f"{each({name: f'{slope:.2f}' for name, slope in real.items()})} times d/(4N) "
        "above N = "
        "4d, on Gaussian data of the same covariance "
        f"and number {each({name: f'{slope:.2f}' for name, slope in twin.items()})}.",
        "good" if good else "absent",
        f"Taken off before: {left}, what is left at N = ∞, most of it from directions "
        "that vary less than the schedule's least noise "
        f"({each(below)}). That training sets are parts of the finite set that stands for "
        "the truth lowers both numbers; directions in "
        "which few images vary raise that of the images, since many training sets lack them.",
    )


def _far(every: Sequence[Measured]) -> list[Measured]:
    """Those with at least two sizes above 4d."""
    return [item for item in every if (item.sizes > 4 * item.d).sum() > 1]


def _slope(item: Measured, name: str, prefix: str = "") -> tuple[float, float]:
    """The slope of a divergence against d/(4N) above N = 4d, measured and in theory."""
    far = item.sizes > 4 * item.d
    x = 1 / (4 * item.sizes[far] / item.d)
    mine, theory = (
        float(x @ (y[far] - item.floors[name]) / (x @ x))
        for y in (item.means(prefix + name), item.theory[name])
    )
    return mine, theory


def below(every: Sequence[Measured]) -> Finding | None:
    """The divergence at about d/2, without and with a ridge; None without sizes below N = d."""
    half = {item.name: (item, item.nearest(0.5)) for item in every if item.sizes[0] < 0.75 * item.d}
    if not half:
        return None
    bare, ridge = (
        {
            direction: each(
                {name: plain(item.means(key + ending)[at]) for name, (item, at) in half.items()}
            )
            for key, direction in DIVERGENCES.items()
        }
        for ending in ("", "_ridge")
    )
    rescued = all(
        item.means(key + "_ridge")[at] < item.means(key)[at]
        for item, at in half.values()
        for key in DIVERGENCES
    )
    first, second = DIVERGENCES.values()
    sizes = ", ".join(dict.fromkeys(f"{item.sizes[at]:.0f}" for item, at in half.values()))
    return Finding(
        f"Below N = d samples are far from the law. At about N = d/2 ({sizes}) KL(true ‖ "
        f"model)/d is, in nats, {bare[second]}; with the "
        f"best ridge {ridge[second]}.",
        "good" if rescued else "absent",
        f"KL(model ‖ true)/d: {bare[first]}; with the best ridge {ridge[first]}. The "
        "sampler's last step adds a variance of "
        f"{every[0].levels.betas[0]:.2g}; without it both divergences would be infinite.",
    )


def norm(every: Sequence[Measured]) -> Finding:
    """At which sizes the covariance's error and the samples' divergence are small."""
    learned = {
        item.name: float(as_size(falls(item.sizes, item.means("frobenius"), ERROR)))
        for item in every
    }
    sampled = {
        item.name: float(as_size(falls(item.sizes, item.means("kl") - item.floors["kl"], ERROR)))
        for item in every
    }
    effective = {
        item.name: float(participation_ratio(item.law.spectrum)) / item.d for item in every
    }
    long = [name for name in learned if learned[name] < sampled[name] / 2]
    said = {
        item.name: f"{size(learned[item.name], item.sizes)} against "
        f"{size(sampled[item.name], item.sizes)}"
        for item in every
    }
    return Finding(
        "The norm of the covariance is learned long before the samples are good "
        f"{'for ' + ' and '.join(long) if long else 'for none of these data'}: its "
        "squared relative error falls "
        f"below {ERROR:g} at N = {each(said)} for KL(model ‖ true)/d to do so.",
        "good" if long else "absent",
        "Long before: at less than half the size. The error of the norm is about d_eff/N "
        "and KL/d about d/(4N), so the norm is first "
        "where d_eff/d < 1/4; d_eff/d is "
        f"{each({name: f'{value:.3f}' for name, value in effective.items()})}.",
    )
