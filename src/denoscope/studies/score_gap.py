"""How far a denoiser is from the Gaussian, the memorizer and its own linear distillate, noise level
by noise level; the linearity score.

The hidden Gaussian structure of Li, Dai and Qu 2024: networks that generalize are nearly linear,
and nearer to the Wiener filter of their training images than to the memorizer; at high and at low
noise all agree, and what differs does so between. Distances are root mean squares per pixel at
noisy unseen images, those of score fields are these over sigma squared. As sigma falls a denoiser
that keeps clean images leaves them where they are, while the Wiener filter of N <= d images
projects onto their affine span. The score of linearity asks for ``D(a x1 + b x2) = a D(x1) +
b D(x2)``, which an affine map with an offset fails; about the mean training image every Wiener
filter scores 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from denoscope.data.splits import Split
from denoscope.estimate import exact, mean
from denoscope.geometry.distances import beyond_span, outputs, relative_error, rmse
from denoscope.geometry.distillation import Affine, distill, weight_error, wiener
from denoscope.geometry.linearization import recentred, superposition
from denoscope.readings import Quantity, Reading, Readings, expanded, stacked
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.store import Row, Value
from denoscope.studies._probed import Probed
from denoscope.studies._subject import Subject
from denoscope.study import axis, option
from denoscope.types import Denoiser

LEVELS = np.geomspace(0.005, 80.0, 15)  # about a factor of two apart
EDGES = {"edge of the low regime": 0.1, "edge of the high regime": 20.0}  # Li, Dai and Qu 2024
REGIMES = {
    name: LEVELS[np.digitize(LEVELS, list(EDGES.values())) == index].tolist()
    for index, name in enumerate(("low", "intermediate", "high"))
}
MIDDLE, ENDS = REGIMES["intermediate"], REGIMES["low"] + REGIMES["high"]
NEAR = 0.05  # the distance per pixel below which the paper calls two denoisers the same
POINTS = 200  # noisy unseen images
IMAGES, ROWS = 8, 2048  # images for each number of a row of W, and least rows, of a distillation
MOST = 4096  # images of a memorizer that is distilled too: what distilling alone does
PAIRS = [
    *(("network", to) for to in ("memorizer", "gaussian", "gaussian_all", "distillate", "truth")),
    *((who, "gaussian") for who in ("distillate", "control", "memorizer")),
]
INPUTS = {
    "noisy": "On noisy unseen images, networks of more images are more linear (change of score)",
    "noise": "On noise alone, the change of the score as N grows",
    "centred": "About the mean image, networks of more images are more linear (change of score)",
}

QUANTITIES = {
    "distance": Quantity("distance", "per pixel", form=".3f", tip="root mean square"),
    "relative": Quantity(
        "relative distance", form=".3f", tip="to the length of the first's answer"
    ),
    "weight": Quantity("|W − W₀|² / |W₀|²", interval=exact, form=".2g"),
    "linearity": Quantity("linearity score", form=".3f", tip="size of the cosine"),
    "nonlinearity": Quantity("relative error", form=".3f"),
    "beyond": Quantity("distance from the span", "per pixel", form=".3f"),
    "rank": Quantity("rank", "directions", exact, ".0f", "that the training images span"),
    "dimension": Quantity("dimension", "", exact, ".0f", "numbers of an image"),
    "distilled": Quantity("distilled on", "images", exact, ".0f", "the same for all models"),
    **{
        f"{to}_{regime}": Quantity(to, f"{regime} σ", form=".3f", tip="distance of the network")
        for to in ("gaussian", "memorizer", "distillate")
        for regime in REGIMES
    },
    "distillate_gaussian": Quantity("distillate, Gaussian", "worst σ", form=".3f"),
    **{f"linearity_{kind}": Quantity("linearity", f"{kind}, least", form=".3f") for kind in INPUTS},
}


@dataclass(frozen=True, kw_only=True)
class ScoreGap(Probed):
    """One denoiser, trained here or given, and its distances from closed forms at 15 levels."""

    version: ClassVar[int] = 3
    references: ClassVar[tuple[str, ...]] = ("li2024", "wang2024", "karras2022")
    heading: ClassVar[str] = "Score gap: network, Gaussian and memorizer"
    seconds: ClassVar[float] = 2.0
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    differentiates: ClassVar[bool] = False

    n: int = axis(64, "training images; with --model, 0: all that are left", (16, 256, 1024))
    level_mean: float = option(0.5, "mean of log sigma in training, so that all levels are trained")
    level_std: float = option(2.5, "standard deviation of log sigma in training")

    def readings(self, subject: Subject) -> Iterator[Reading]:
        data, count = subject.data, points(subject.data)
        yield from stacked(sigma=LEVELS, at=partial(at_level, subject))
        beyond, rank = beyond_span(data.train(), subject.clean("test", count))
        yield Reading("beyond", {}, beyond.float())
        yield Reading("rank", {}, exact([rank]))
        yield Reading("dimension", {}, exact([subject.shape.numel()]))
        yield Reading("distilled", {}, exact([len(neutral(data))]))

    def values(self, readings: Sequence[Reading]) -> dict[str, Value]:
        """Means over points of the distance in each regime, and of the least linear level."""
        found = expanded(readings, QUANTITIES)
        distance, score = found.of("distance"), found.of("linearity", who="network")
        values: dict[str, Value] = {"rank": int(found.of("rank").one.value)}
        for to in ("gaussian", "memorizer", "distillate"):
            for regime, levels in REGIMES.items():
                some = distance.of(who="network", to=to, sigma=levels).over("sigma")
                values[f"{to}_{regime}"] = mean(some.one)
        values["distillate_gaussian"] = worst(distance.of(who="distillate"), np.argmax)
        for kind in INPUTS:
            values[f"linearity_{kind}"] = worst(score.of(asked_on=kind), np.argmin)
        counts = {name: int(found.of(name).one.value) for name in ("dimension", "distilled")}
        return values | counts

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        drawn = stats.norm(*(float(str(rows[0].fields[k])) for k in ("level_mean", "level_std")))
        low, high = (math.exp(end) for end in drawn.interval(0.95))
        edge = max(EDGES.values())
        words = f"{100 * drawn.sf(math.log(edge)):.2g} % of them at σ ≥ {edge:g}"
        trained = {"levels of training": f"95 % between σ = {low:.2g} and {high:.3g}; {words}"}
        return super().about(rows) | ({} if rows[0].fields["model"] else trained)

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        found = found.of(*(name for name in QUANTITIES if "_" not in name)).over("seed", "subset")
        distance = found.of("distance")
        trained, network = distance.without("model"), distance.of(who="network")
        yield from sides(trained)
        yield from distances(network, distance)
        yield from distillates(trained)
        yield from superpositions(found.without("model"))
        yield from limits(found)
        yield "Distances relative to the answer"
        yield relative(found.of("relative"))
        yield "The distillate's matrix"
        yield weights(found.of("weight"))
        yield "Linearity of superpositions"
        yield linearity(found.of("linearity", "nonlinearity"))
        yield "Distances in the three regimes"
        keys = ("n", "width", "model", "who", "to", "regime")
        yield table("Distances in the three regimes", regimes(distance), keys, ["distance"])


def points(data: Split) -> int:
    """How many noisy unseen images: at most 200, even, and each once where there are two."""
    return max(2, min(POINTS, len(data.unseen())) // 2 * 2)


def neutral(data: Split) -> Tensor:
    """What every model is distilled on: unseen images, filled up from the pool to 8 (d + 1)."""
    wanted = IMAGES * (data.unseen()[0].numel() + 1)
    unseen = data.unseen()[:wanted]
    return torch.cat([unseen, data.pool()[: wanted - len(unseen)]])


def at_level(subject: Subject, sigma: float) -> Iterator[Reading]:
    """All readings at one noise level; units are points, or pairs of points."""
    everyone, affine = subject.everyone(), distilled(subject, sigma)
    matrix = wiener(subject.data.gaussian().cov, sigma)
    for who, map_ in affine.items():
        yield Reading("weight", {"who": who}, [weight_error(map_.weight, matrix)])
    noisy = subject.noisy("test", points(subject.data), sigma)
    answers = {who: outputs(D, noisy, sigma) for who, D in {**everyone, **affine}.items()}
    for who, to in PAIRS:
        if who in answers and to in answers:
            at = {"who": who, "to": to}
            yield Reading("distance", at, rmse(answers[who], answers[to]))
            yield Reading("relative", at, relative_error(answers[who], answers[to]))
    yield from linearities(subject, everyone, sigma)


def distilled(subject: Subject, sigma: float) -> dict[str, Affine]:
    """The best affine maps to the network and, of few training images, to the memorizer."""
    images, everyone = neutral(subject.data), subject.everyone()
    asked = {"distillate": "network"}
    if len(subject.data.train()) <= MOST:
        asked["control"] = "memorizer"
    repeats = -(-ROWS // len(images))
    repeats = -(-ROWS // len(images))
    return {k: distill(everyone[who], images, sigma, repeats=repeats) for k, who in asked.items()}


def linearities(
    subject: Subject, everyone: Mapping[str, Denoiser], sigma: float
) -> Iterator[Reading]:
    """Size of the cosine, and relative error, of superpositions, (pairs,)."""
    count, origin = points(subject.data), subject.data.train().mean(0)
    noisy = subject.noisy("test", count, sigma)
    inputs = {"noisy": noisy, "noise": sigma * subject.noise(count), "centred": noisy - origin}
    for kind, x in inputs.items():
        for who, D in everyone.items():
            asked = recentred(D, origin) if kind == "centred" else D
            compared = superposition(asked, x[: count // 2], x[count // 2 :], sigma)
            at = {"who": who, "asked_on": kind}
            yield Reading("linearity", at, compared.cosine.abs())
            yield Reading("nonlinearity", at, compared.error)


def worst(readings: Readings, choose: Callable[[Sequence[float]], np.intp]) -> Value:
    """The mean over points at the level where it is largest or smallest."""
    return mean(readings[int(choose([float(r.value.mean()) for r in readings]))].value)


def regimes(distance: Readings) -> Readings:
    """Distances averaged over the levels of each regime, point by point."""
    each = ((name, distance.of(sigma=levels)) for name, levels in REGIMES.items())
    parts = [some.over("sigma").named(regime=name) for name, some in each]
    return sum(parts[1:], parts[0])


def middle(distance: Readings, who: str = "network", to: str = "gaussian") -> Readings:
    """One distance averaged over intermediate noise, point by point."""
    return distance.of(who=who, to=to, sigma=MIDDLE).over("sigma")


def sides(distance: Readings) -> Iterator[Told]:
    """On which side a network is, and the three regimes."""
    gaussian, memorizer = middle(distance), middle(distance, to="memorizer")
    nearer = gaussian.against(memorizer, apart="to")
    at = distance.of(who="network", to="gaussian").last("n")
    says = "At intermediate noise a network of many images is nearer to Gaussian than to memorizer"
    published = "networks that generalize are close to the Gaussian, those that memorize are not"
    beside = {"By N": nearer, "From the Gaussian": gaussian, "From the memorizer": memorizer}
    yield Claim(says, nearer.last("n"), below(0), published, beside=beside)
    says = "At intermediate noise one of few images is nearer to the memorizer"
    yield Claim(says, nearer.first("n"), above(0), "networks of few images memorize them")
    says = "A network of many images is its Gaussian at low and at high noise (σ ≤ 0.1 and σ ≥ 20)"
    published = f"the same (below {NEAR:g}) at low and at high noise"
    yield Claim(says, at.of(sigma=ENDS), below(NEAR), published)
    says = "At some σ between it is not its Gaussian"
    yield Claim(says, at.of(sigma=MIDDLE), above(NEAR), "a gap at intermediate noise", any=True)
    says = "Networks come nearer to their Gaussian as N grows (change, intermediate noise)"
    yield Claim(says, gaussian.change("n"), below(0), "the gap closes as the training set grows")


def distillates(distance: Readings) -> Iterator[Told]:
    """The best affine map to a network, beside the Gaussian."""
    own = distance.of(who="distillate", to="gaussian")
    control = distance.of(who="control", to="gaussian").last("n").largest("sigma")
    says = "The best affine map to a network of many images is its Gaussian at every σ"
    published = f"the two are the same (below {NEAR:g})"
    beside = {"The memorizer's, where it is farthest": control}
    yield Claim(says, own.last("n"), below(NEAR), published, beside=beside)
    says = "It comes nearer to the Gaussian as N grows (change, intermediate noise)"
    yield Claim(says, middle(distance, "distillate").change("n"), below(0))


def superpositions(found: Readings) -> Iterator[Told]:
    """Whether networks of more images are more linear, on each kind of input."""
    score = found.of("linearity")
    for kind, words in INPUTS.items():
        network = score.of(who="network", asked_on=kind)
        more = network.of(sigma=MIDDLE).over("sigma").change("n")
        beside = {"Least over σ": network.smallest("sigma")}
        yield Claim(words, more, None if kind == "noise" else above(0), beside=beside)
    gaussian, memorizer = (score.of(who=who).last("n") for who in ("gaussian", "memorizer"))
    least = gaussian.of(asked_on="noisy").smallest("sigma")
    says = "The score takes an offset for non-linearity: what the Gaussian, which is affine, scores"
    beside = {
        "About the mean image": gaussian.of(asked_on="centred").smallest("sigma"),
        "Memorizer": memorizer.smallest("sigma"),
    }
    yield Claim(says, least, beside=beside)


def limits(found: Readings) -> Iterator[Told]:
    """What the distance tends to as the noise falls, and the distance from the truth."""
    distance = found.of("distance").without("model")
    span = distance.of(who="network", to="gaussian", sigma=LEVELS[0])
    says = (
        "As σ falls the distance from the Gaussian tends to that of unseen images from the span of"
        " the training images (difference)"
    )
    rest = span.against(found.of("beyond").without("model"))
    beside = {"Directions spanned": found.of("rank"), "of": found.of("dimension")}
    yield Claim(says, rest, within(-2 * LEVELS[0], 2 * LEVELS[0]), beside=beside)
    true, gaussian = middle(distance, to="truth"), middle(distance)
    says = (
        "Distance of a network of many images from the true denoiser, less that from its Gaussian"
    )
    more = true.against(gaussian, apart="to").last("n")
    yield Claim(says, more, beside={"Distance from the truth": true})


by_level = partial(Plot, x="sigma", positions=EDGES)
SAME = {f"{NEAR:g}: the same, as published": NEAR}


def distances(network: Readings, every: Readings) -> Iterator[Told]:
    """Distances at each noise level, model by model and pair by pair."""
    to, place = ["gaussian", "memorizer", "distillate", "truth"], ("n", "model", "width")
    yield figure(
        "score_gap_models",
        "**How far a network is** from the Gaussian and the memorizer of its own training set, from"
        " its distillate (the best affine map at that σ) and the truth, if known, at noisy unseen"
        " images.",
        by_level(network.of(to=to), color="to", panel=place, levels=SAME),
    )
    yield "Distances, pair by pair"
    pairs = every.of(to=["gaussian", "memorizer", "truth"]).of(who=lambda who: who != "control")
    yield figure(
        "score_gap_sizes",
        "**Memorizing and generalizing networks**: distances pair by pair, "
        "a line per training size.",
        by_level(pairs, color="n", panel=("who", "to", "model", "width"), levels=SAME),
    )


def relative(every: Readings) -> Told:
    """The same, relative to the answer."""
    shown = every.of(who=["network", "distillate"], to=["gaussian", "memorizer", "truth"])
    return figure(
        "score_gap_relative",
        "**Distances relative to the length of the first one's answer** (not squared).",
        by_level(shown, color="n", panel=("who", "to", "model", "width")),
    )


def weights(weight: Readings) -> Told:
    """Relative squared error of the distillates' matrices against the Wiener filter's."""
    return figure(
        "score_gap_weights",
        "**The distillate's matrix against the Wiener filter's** of the training images. At low"
        " noise the Wiener filter of few images projects onto their span. Dashed: the memorizer's.",
        by_level(
            weight.of(who=["distillate", "control"]),
            color="n",
            look="who",
            panel=("model", "width"),
            levels={"0.2: most levels, as published": 0.2},
            scale="log",
        ),
    )


def linearity(every: Readings) -> Told:
    """Score and relative error of superpositions, on three kinds of input."""
    shown = every.of(who=["network", "memorizer"])
    shown += every.of(who="gaussian").thinned("n", 1).dropped("n")
    lines = partial(by_level, color="n", look="who", panel=("asked_on", "model", "width"))
    return figure(
        "score_gap_linearity",
        "**Linearity**: D(αx₁ + βx₂) against αD(x₁) + βD(x₂), α = β = 1/√2: size of the cosine, and"
        " length of the difference over the first's. What the Gaussian loses is its offset's.",
        lines(shown.of("linearity")),
        lines(shown.of("nonlinearity")),
    )
