"""A trained network beside the linear model of the same images: variance of samples mode by mode,
and losses between the two solutions.

Networks of one width are trained on growing sets of images and sampled from the same noises, with
the same solver, as the exact linear model and the closed-form memorizer of each set. The linear
model is the optimum of its loss, the Gaussian of the set's mean and covariance Sigma_0 (1/N); its
samples by the probability-flow ODE from N(0, sigma_T^2) have the variance ``lam sigma_T^2 / (lam +
sigma_T^2)`` along an eigenvector of Sigma_0 of eigenvalue lam. The study measures along which
directions the three agree, and where the network's denoising error lies between the empirical
denoiser's and that of the best linear one (Merger and Goldt 2025). Variances and errors are in
squared pixel units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from denoscope.estimate import exact, mean, share
from denoscope.fitting.closed_forms import ClosedForms, LinearModel, rows_of
from denoscope.geometry.distances import denoising_errors
from denoscope.metrics.modewise import correlations, squares, variances_along
from denoscope.readings import Quantity, Reading, Readings, expanded, stored
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told
from denoscope.store import Row, Value
from denoscope.studies._trained import Trained
from denoscope.study import Result, axis, option
from denoscope.theory.linear.optimum import losses, modes
from denoscope.types import Denoiser

SIZES = (16, 64, 256, 1000)
LEVELS = np.geomspace(0.02, 20.0, 13)
"""Noise levels σ at which networks denoise."""
APART = 1.5  # by what factor the errors of the two solutions differ for a place between them
ALIKE = 0.25  # up to which relative difference of variances two models count as alike
COVERED = 0.85  # share of 95 % intervals that must contain the exact law
LEAST = 1e-4  # of the largest variance: what is drawn
DRAWN = 22  # directions in a figure, about equally spaced in the logarithm of their rank

CELLS = {
    "seen": Quantity("spanned", "directions", exact, ".0f", "rank of the training covariance"),
    "leading": Quantity("leading", "directions", exact, ".0f", "that hold half of its variance"),
    "dimension": Quantity("dimension", "", exact, ".0f", "numbers of an image"),
    "cosine_linear": Quantity("cosine", "linear", tip="of samples with the linear model's"),
    "cosine_memorizer": Quantity("cosine", "memorizer", tip="of samples with the memorizer's"),
    "ratio_leading": Quantity("ratio", "leading", tip="variance over the linear model's"),
    "ratio_trailing": Quantity("ratio", "others", tip="the same, other spanned directions"),
    "position_train": Quantity("place", "training", tip="0 memorizer, 1 best linear denoiser"),
    "position_test": Quantity("place", "held-out", tip="0 memorizer, 1 best linear denoiser"),
}
QUANTITIES = {
    **CELLS,
    "variance": Quantity("variance", form=".2g", tip="of samples, about their mean"),
    "law": Quantity("variance", interval=exact, form=".2g"),
    "ratio": Quantity("variance over the linear model's"),
    "inside": Quantity("covered", "share of directions", share),
    "steps": Quantity("largest relative difference", "", exact, ".1g"),
    "misplaced": Quantity("differences of variance", "share of all", form=".1%"),
    "deviation": Quantity("size of the log ratio of variances"),
    "more": Quantity("leading less other directions", form=".3f"),
    "outside": Quantity("outside of the span", "share of the variance", form=".2g"),
    "outside_data": Quantity("outside of the span", "all images", exact, ".2g"),
    "cosine": Quantity("cosine", "same noise", tip="of samples about the training mean"),
    "nearer": Quantity("cosine with the linear model's less memorizer's"),
    "correlation": Quantity("correlation of samples"),
    "error": Quantity("squared error", "per pixel", form=".3g"),
    "exact_error": Quantity("squared error", "per pixel", exact, ".3g"),
    "off": Quantity("largest relative difference", "", exact, ".2g"),
    "position": Quantity("place between solutions", tip="0 memorizer, 1 best linear denoiser"),
    "place": Quantity("place", "median over σ", tip="0 memorizer, 1 best linear denoiser"),
    "moved": Quantity("change of the place"),
}


@dataclass(frozen=True, kw_only=True)
class LinearVsNetwork(Trained):
    """One network, trained on one set of images with one seed, and the linear model of that set."""

    version: ClassVar[int] = 3
    references: ClassVar[tuple[str, ...]] = (
        "mergergoldt2025",
        "wang2025",
        "karras2022",
        "yoon2023",
    )
    heading: ClassVar[str] = "Linear model and network"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("n", "seed")

    n: int = axis(64, "number of training images", SIZES)
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1, 2))
    width: int = option(64, "width of the network, a multilayer perceptron")

    def measured(self, net: Denoiser, generated: Tensor) -> Result:
        """The network beside the linear model of its training set."""
        found = readings(self.forms(), net, generated)
        return Result(values(found, self.forms().linear()), stored(found))

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        first = rows[0]
        return {
            "data": f"{first.fields['data']}, {first.values.get('dimension')} numbers per image in"
            f" [−1, 1]; {first.fields['held']} images held out; one training set per size, the"
            " smaller within the larger; covariances with 1/N",
            "intervals": "by t over noises crossed with training seeds; where a number is one of a"
            " whole network, over seeds",
        }

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """Whose samples they are, their variances direction by direction, the denoising."""
        parts = (samples, variances, between, exactness, direction_by_direction, denoising)
        for part in parts if found else ():
            yield from part(found)


# What is measured


def readings(forms: ClosedForms, denoiser: Denoiser, generated: Tensor) -> list[Reading]:
    """Every reading of one cell, from its denoiser and its samples (samples, c, h, w)."""
    model = forms.linear()
    made = {"network": rows_of(generated), "gaussian": model.samples}
    made["memorizer"] = forms.memorizer()
    found = [*by_direction(made, model), *by_group(made, model), *agreement(made, model)]
    return found + [r for kind in ("train", "test") for r in denoised(forms, denoiser, kind)]


def by_direction(made: Mapping[str, np.ndarray], model: LinearModel) -> Iterator[Reading]:
    """Squared deviations of samples from their mean along directions of both bases, (directions,
    samples), with the exact laws; whether 95 % intervals contain these, along all that are spanned.
    """
    drawn = shown(model)
    laws = {
        ("gaussian", "own"): model.law,
        ("gaussian", "all"): ((model.vectors["all"].T @ model.vectors["own"]) ** 2) @ model.law,
        ("gaussian_all", "own"): variances_along(model.all.cov, model.vectors["own"]),
        ("gaussian_all", "all"): model.values["all"],
    }
    for basis, vectors in model.vectors.items():
        at = {"basis": basis, "order": drawn + 1}
        for who, rows in made.items():
            yield Reading("variance", {"who": who, **at}, squares(rows, vectors[:, drawn]).T)
        for who in ("gaussian", "gaussian_all"):
            yield Reading("law", {"who": who, **at}, laws[who, basis][drawn])
    own = squares(model.samples, model.vectors["own"][:, : model.seen])
    ends = [mean(column) for column in own.T]
    inside = [e.low <= law <= e.high for e, law in zip(ends, model.law)]
    yield Reading("inside", {}, np.array(inside, np.float32))
    lead = model.groups["leading"]
    yield Reading("steps", {}, np.abs(model.law[lead] / model.ode[lead] - 1).max())
    seen = drawn[drawn < model.seen]
    for to in ("gaussian", "memorizer"):
        both = made["network"], made[to]
        units = correlations(*both, model.vectors["own"][:, seen])
        yield Reading("correlation", {"to": to, "order": seen + 1}, units)


def by_group(made: Mapping[str, np.ndarray], model: LinearModel) -> Iterator[Reading]:
    """Of the leading and the other spanned directions: ``ratio`` of summed variances to the linear
    model's, ``deviation``, the mean size of its logarithm over single directions, ``misplaced``,
    the sum of their differences in size as a share of the linear model's whole variance; and the
    share of the variance outside of the training set's span.
    """
    vectors, r = model.vectors["own"], model.seen
    own = squares(made["network"], vectors).astype(np.float64)
    for name, part in model.groups.items():
        at, law, each = {"mode": name}, model.law[part], own[:, part].mean(0)
        yield Reading("misplaced", at, np.abs(each - law).sum() / model.law.sum())
        if law.sum() > 0:
            yield Reading("ratio", at, own[:, part].sum(1) / law.sum())
            yield Reading("deviation", at, np.abs(np.log(each / law)).mean())
    yield Reading("outside", {}, own[:, r:].sum(1) / own.sum(1).mean())
    unseen = variances_along(model.all.cov, vectors[:, r:]).sum()
    yield Reading("outside_data", {}, unseen / np.trace(model.all.cov))


def shown(model: LinearModel) -> np.ndarray:
    """Ranks, from 0, of the directions that figures show."""
    spread = [np.geomspace(1, c, min(c, DRAWN)).round() for c in (len(model.law), model.seen)]
    return np.unique(np.concatenate(spread)).astype(int) - 1


def agreement(made: Mapping[str, np.ndarray], model: LinearModel) -> Iterator[Reading]:
    """The cosine of samples from one noise, about the training mean, (samples,)."""
    about = {who: rows - model.train.mean for who, rows in made.items()}
    for who, to in (("network", "gaussian"), ("network", "memorizer"), ("gaussian", "memorizer")):
        a, b = about[who], about[to]
        sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        yield Reading("cosine", {"who": who, "to": to}, (a * b).sum(1) / np.maximum(sizes, 1e-300))


def denoised(forms: ClosedForms, denoiser: Denoiser, kind: str) -> Iterator[Reading]:
    """Denoising errors per pixel at every level, (levels, noisy images), of network and closed
    forms, exact errors of the Gaussians, and the network's place between the two solutions.
    """
    model, at = forms.linear(), {"images": kind, "sigma": LEVELS}
    own = denoising_errors(denoiser, forms.images(kind), LEVELS).numpy()
    each = {"network": own, **forms.errors(kind, LEVELS)}
    for who, units in each.items():
        yield Reading("error", {"who": who, **at}, units.astype(np.float32))
    means = {who: units.mean(1) for who, units in each.items()}
    between = positions(means["network"], means["memorizer"], means["gaussian_all"])
    known = np.isfinite(between)
    yield Reading("position", {"images": kind, "sigma": LEVELS[known]}, between[known])
    if known.any():
        yield Reading("place", {"images": kind}, np.median(between[known]))
    data = model.train if kind == "train" else model.test
    for who, law in (("gaussian", model.train), ("gaussian_all", model.all)):
        loss = losses(modes(data.cov, law.cov, data.mean, law.mean), 1 / (1 + LEVELS**2))[1]
        pixel = LEVELS**2 * loss / len(data.mean)
        yield Reading("exact_error", {"who": who, **at}, pixel)
        yield Reading("off", {"who": who, "images": kind}, np.abs(means[who] / pixel - 1).max())


def positions(loss: np.ndarray, empirical: np.ndarray, best: np.ndarray) -> np.ndarray:
    """A loss between the memorizer's (0) and the best linear one (1); NaN where these are near."""
    apart = np.maximum(best, empirical) > APART * np.minimum(best, empirical)
    return np.where(apart, (loss - empirical) / np.where(apart, best - empirical, 1.0), np.nan)


def values(readings: Sequence[Reading], model: LinearModel) -> dict[str, Value]:
    """One number each, as a row of the tables has them; None where it is of nothing."""
    found = expanded(readings, QUANTITIES)
    some = {"seen": model.seen, "leading": model.leading, "dimension": len(model.law)}
    names = ("ratio", "misplaced", "deviation")
    chosen = {f"{k}_{mode}": found.of(k, mode=mode) for mode in model.groups for k in names}
    chosen |= {"outside": found.of("outside"), "outside_data": found.of("outside_data")}
    cosine = found.of("cosine")
    chosen |= {
        "cosine_linear": cosine.of(who="network", to="gaussian"),
        "cosine_memorizer": cosine.of(who="network", to="memorizer"),
        "cosine_solutions": cosine.of(who="gaussian"),
    }
    chosen |= {f"position_{kind}": found.of("place", images=kind) for kind in ("train", "test")}
    return {**some, **{name: _value(part) for name, part in chosen.items()}}


def _value(found: Readings) -> Value:
    """The mean of several units, one as it is."""
    if not found:
        return None
    units = found.one
    return mean(units) if len(units) > 1 else float(units[0])


# What is claimed


def samples(found: Readings) -> Iterator[Told]:
    """Whose samples the network makes of the same noises."""
    cosine = found.of("cosine")
    network = cosine.of(who="network")
    nearer = network.of(to="gaussian").against(
        network.of(to="memorizer"), name="nearer", apart="to"
    )
    nearer = nearer.dropped("who", "to")
    beside = {
        "With the linear model's": network.of(to="gaussian").crossed("seed"),
        "With the memorizer's": network.of(to="memorizer").crossed("seed"),
        "Linear model with memorizer": cosine.of(who="gaussian").over("seed"),
    }
    for words, some, region in (
        ("many images makes nearly the linear model's sample", nearer.last("n"), above(0)),
        ("few images makes nearly the memorizer's", nearer.first("n"), below(0)),
    ):
        yield Claim(
            f"From the same noise a network of {words} (cosine with the linear model's less that"
            " with the memorizer's)",
            some.crossed("seed"),
            region,
            beside=beside,
            note="About the training mean.",
        )
    yield figure(
        "summary",
        "**Over the size of the training set.** Left: mean cosine of samples from the same noise"
        " with those of the Gaussian (the linear model) and of the memorizer. Right: the network's"
        " variance over the linear model's, of the leading directions, which hold half of the"
        " training variance, and of the others that the set spans.",
        Plot(
            network.crossed("seed"),
            "n",
            "to",
            title="Agreement of samples",
            limits=(0.0, 1.05),
        ),
        Plot(
            found.of("ratio").crossed("seed"),
            "n",
            "mode",
            title="Variance",
            levels={"as the linear model": 1.0},
            limits=(0.5, 1.5),
        ),
    )


def variances(found: Readings) -> Iterator[Told]:
    """Alike in groups of directions, and where they differ most."""
    ratio = found.of("ratio").crossed("seed")
    yield Claim(
        "In variance the network behaves like the linear model (its variance over that model's,"
        " summed over the leading or the other spanned directions)",
        ratio,
        within(1 - ALIKE, 1 + ALIKE),
        published="linear and trained networks behave alike (Merger and Goldt 2025)",
    )
    yield Claim(
        "In the leading directions the variances of network and linear model have the ratio",
        ratio.of(mode="leading"),
    )
    for name, words in (
        ("misplaced", "differences of variance over single directions, as a share of the whole"),
        ("deviation", "mean size of the log ratio of variances, direction by direction"),
    ):
        each = found.of(name).joined("seed")
        more = each.of(mode="leading").against(each.of(mode="trailing"), name="more", apart="mode")
        yield Claim(
            f"They differ more in the leading directions than in the others ({words})",
            more.dropped("mode"),
            above(0),
            published="they differ in the leading directions (Merger and Goldt 2025)",
            beside={"Leading and others": each},
        )
    yield Claim(
        "The network puts this share of its variance outside of the span of its training images,"
        " a linear model none",
        found.of("outside").crossed("seed"),
        beside={"All images have there": found.of("outside_data").over("seed")},
    )


def between(found: Readings) -> Iterator[Told]:
    """Denoising between the two solutions."""
    place = found.of("place").joined("seed")
    words = {"train": "training", "test": "held-out"}
    for kind, name in words.items():
        yield Claim(
            f"On {name} images the network's denoising error moves from the memorizer's to that of"
            " the best linear denoiser as N grows (change of the place)",
            place.of(images=kind).change("n", "moved"),
            above(0),
            beside={"By N": place.of(images=kind)},
            note="0 is the memorizer, 1 the Gaussian of all images; on held-out images above 1 is"
            " better than any linear denoiser. Median over the noise levels at which the two"
            f" differ by more than a factor of {APART:g}.",
        )


def exactness(found: Readings) -> Iterator[Told]:
    """The linear model's own samples and errors beside their exact laws."""
    first = found.of(seed=found.along("seed")[:1])
    yield Claim(
        "Samples of the linear model have the variances of its exact law (share of spanned"
        " directions whose 95 % interval contains it)",
        first.of("inside").joined("n"),
        above(COVERED),
        beside={
            "Law of the solver's steps from that of the ODE, leading directions": first.of("steps"),
            "Measured errors of the Gaussians from their closed forms": first.of("off"),
        },
        note="The law is that of the solver's own steps, which the network takes too. The errors"
        " differ by the finite number of noisy images.",
    )


# What is drawn


def direction_by_direction(found: Readings) -> Iterator[Told]:
    """Variances, their ratio and the correlation of samples along each direction."""
    variance = found.of("variance").over("seed")
    law = found.of("law").over("seed").named("variance")
    top = max(float(r.value) for r in law)
    yield "Variance, direction by direction"
    yield figure(
        "variances",
        "**Variance of samples, direction by direction**: eigenvectors of the covariance of the"
        " training images, and of all. Marks: samples from the same noises (squares averaged over"
        " training seeds); lines: the exact law of the linear model under the same solver, and all"
        f" images that may be trained on. Below {LEAST:g} of the largest nothing is drawn.",
        Plot(
            variance,
            "order",
            "who",
            panel=("basis", "n"),
            theory=law,
            limits=(LEAST * top, 2 * top),
            scale="log",
        ),
    )
    own = variance.of(who="network", basis="own")
    ratio = own.against(law.of(who="gaussian"), np.divide, "ratio", apart="who")
    yield figure(
        "ratios",
        "**The network's variance relative to the linear model's**, along the eigenvectors of the"
        " training covariance that the training set spans; 95 % over noises. Directions left of"
        " the upright line hold half of the training variance.",
        *by_size(ratio, found, levels={"as the linear model": 1.0}, limits=(0.25, 4), scale="log"),
    )
    yield "Agreement, direction by direction"
    yield figure(
        "correlations",
        "**Whose sample does the network make?** The correlation over noises between the network's"
        " samples and those of the linear model (Gaussian) and of the memorizer from the same"
        " noises, along each eigenvector of the training covariance; over training seeds.",
        *by_size(found.of("correlation").joined("seed"), found, "to", limits=(-0.1, 1.05)),
    )


def by_size(some: Readings, found: Readings, color: str = "", **look: Any) -> Iterator[Plot]:
    """A panel for each N, along the directions that the training set spans."""
    for n, here in some.by("n"):
        seen, leading = (found.of(name, n=n).over("seed").one for name in ("seen", "leading"))
        here = here.of(order=[order for order in here.along("order") if order <= seen])
        edge = {"half of the variance": float(leading) + 0.5}
        yield Plot(here, "order", color, title=f"N = {n}", positions=edge, **look)


def denoising(found: Readings) -> Iterator[Told]:
    """Errors against the noise level, and the place between the solutions."""
    error = found.of("error")
    network = error.of(who="network").over("seed")
    closed = error.of(who=["memorizer", "gaussian", "gaussian_all"]).over("seed")
    exact_lines = found.of("exact_error").over("seed").named("error")
    yield "Denoising"
    yield figure(
        "losses",
        "**Denoising error** of the network (over training seeds), of the empirical denoiser"
        " (memorizer) and of the two best linear denoisers, at the same noisy images; 95 % over"
        " these. Lines: the closed forms.",
        Plot(
            network + closed,
            "sigma",
            "who",
            panel=("images", "n"),
            theory=exact_lines,
            limits=(1e-4, 2.0),
            scale="log",
        ),
    )
    yield figure(
        "positions",
        "**Between the two solutions**: the network's denoising error less the memorizer's,"
        " relative to that of the Gaussian of all images less the memorizer's; over training"
        " seeds. Above 1 on unseen images is better than that Gaussian, on training images worse."
        f" Gaps: the two differ by less than a factor of {APART:g}.",
        Plot(
            found.of("position").joined("seed"),
            "sigma",
            "n",
            panel="images",
            levels={"memorizer": 0.0, "Gaussian of all images": 1.0},
            limits=(-0.6, 1.6),
        ),
    )
