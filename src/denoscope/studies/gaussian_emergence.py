"""How a network comes near the Gaussian denoiser of its training set, and leaves it, over training
size, width and training time.

Every network is looked at in snapshots evenly spaced in the logarithm of the step, under a constant
learning rate: its distance to the Wiener denoiser of the training images, its linearity, its
denoising errors and its samples. Claimed (Li, Dai and Qu 2024): networks of few images are nearest
to the Gaussian in mid-training and then memorize; stopping there, or a small width, makes them
generalize.

Numbers are averaged over the noise levels at which the choice of a solution matters. Above
sqrt(lam_1), the standard deviation of all images along their leading principal component, the noise
hides every image; below 0.1 all denoisers are near the identity. The paper takes 0.1 to 20 for
images of 64 x 64 x 3 numbers; sqrt(lam_1) grows with the number of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import exact, mean, share
from denoscope.fitting.recipe import at_least
from denoscope.fitting.snapshots import snapshot_steps
from denoscope.geometry.distances import outputs, rmse
from denoscope.geometry.linearization import superposition
from denoscope.metrics.similarity import paired_similarity
from denoscope.readings import Quantity, Reading, Readings, expanded, stored
from denoscope.report.claims import Claim, above, below
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.sampling import sample
from denoscope.store import Value
from denoscope.studies._probed import Probed
from denoscope.studies._subject import Subject
from denoscope.study import Result, Work, axis, option
from denoscope.types import Denoiser

LEVELS = np.array([0.02, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 50.0])
"""One level in the low regime, eight in the intermediate one, one in the high one."""
LOW = 0.1
POINTS = 100
"""Unseen images, training images, and pairs of unseen images at every level."""
EVALUATIONS = 5 * POINTS * len(LEVELS)
"""Calls of a network, one image each, at a snapshot, beside its samples."""
_TRAINING = 0.7  # of a job's time, for the progress bar

QUANTITIES = {
    "distance": Quantity(
        "distance", "RMS per pixel", form=".3g", tip="from a closed form, at noisy unseen images"
    ),
    "between": Quantity("distance", "RMS per pixel", form=".3g"),
    "linearity": Quantity("linearity", form=".4f", tip="of superpositions, |cosine|"),
    "error": Quantity("squared error", "per pixel", form=".3g"),
    "relative": Quantity(
        "relative error", form=".3g", tip="squared error over that of the best linear denoiser"
    ),
    "turn": Quantity("distance above the smallest", "RMS per pixel", form=".3g"),
    "sample": Quantity("sample less the mean image"),
    "agreement": Quantity("cosine", tip="of samples with the Gaussian's from the same noises"),
    "halves": Quantity("cosine", tip="of samples of networks on disjoint halves from one noise"),
    "copies": Quantity("copies", "share", share, tip="samples that are copies by the 1/3 rule"),
    "leading": Quantity("standard deviation", interval=exact, form=".3g"),
    "closest_step": Quantity("nearest", "step", exact, ".0f", "snapshot nearest to the Gaussian"),
    "closest": Quantity("distance", "nearest", form=".3g", tip="there, from the Gaussian"),
    "rise": Quantity("rise", "to the end", form=".3g", tip="of that distance"),
    "distance_all": Quantity("distance", "Gaussian of all", form=".3g", tip="at the end"),
    "distance_memorizer": Quantity("distance", "memorizer", form=".3g", tip="at the end"),
    "best_step": Quantity("least error", "step", exact, ".0f", "snapshot of least held-out error"),
    "held_out": Quantity("held-out error", "end", tip="relative to the best linear denoiser"),
    "held_out_closest": Quantity("held-out error", "nearest", tip="where nearest to the Gaussian"),
    "regime": Quantity("regime", "highest σ", exact, ".3g", "largest noise level averaged over"),
}


@dataclass(frozen=True, kw_only=True)
class GaussianEmergence(Probed):
    """One network along its training at a constant rate, or a given ``model`` at its end."""

    version: ClassVar[int] = 3
    references: ClassVar[tuple[str, ...]] = ("li2024", "wang2025", "yoon2023", "karras2022")
    heading: ClassVar[str] = "Near the Gaussian, and away from it"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    differentiates: ClassVar[bool] = False

    n: int = axis(64, "training images; with --model, 0: all that are left", (16, 64, 256, 768))
    width: int = axis(64, "width of the network, the one capacity dial", (8, 32, 128))
    subset: int = axis(0, "which of two training subsets, disjoint as long as both fit", (0, 1))
    seed: int = axis(0, "training seed: initialisation, batches and noise")
    lr: float = option(2e-3, "learning rate, the same at every step")
    ema: float = option(
        0.999,
        "decay of the averaged weights that are measured, at most (1 + k)/(10 + k) at "
        "step k; 0: the weights themselves",
    )
    snapshots: int = option(12, "snapshots of a training, evenly spaced in the log of the step")
    first: int = option(30, "step of the first snapshot")

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, {"snapshots": 1, "first": 1})

    def moments(self) -> list[int]:
        """The steps at which the training is looked at."""
        return snapshot_steps(self.first, self.steps, self.snapshots)

    def cost(self) -> float:
        looks, recipe = 1 if self.model else len(self.moments()), self.recipe()
        sampled = looks * (EVALUATIONS + recipe.evaluations(self.samples))
        return recipe.seconds(self.where().images().shape, sampled, trained=not self.model)

    @classmethod
    def batch(cls, cells: Sequence[Any], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells as one fleet and measures all snapshots; given networks as they are."""
        if cells[0].model:
            yield from super().batch(cells, work)
            return
        yield from cls.asked_along(cells, work, _TRAINING, cls.snapshot_readings)

    def measure(self, subject: Subject) -> Result:
        """A network at the end of a training that nobody looked at: step 0."""
        return self.followed({0: subject})

    def snapshot_readings(self, course: Mapping[int, Denoiser]) -> Result:
        """Those of the snapshots of a training, by step."""
        return self.followed({step: self.subject(D) for step, D in course.items()})

    def followed(self, course: Mapping[int, Subject]) -> Result:
        """Every reading of a network along its training, by step."""
        found = list(readings(course))
        if not all(np.isfinite(r.value).all() for r in found if r.name == "sample"):
            return Result({"stopped": "its samples are not finite"})
        return Result(self.values(found), stored(found))

    def values(self, readings: Sequence[Reading]) -> dict[str, Value]:
        found = averaged(expanded(readings, QUANTITIES))
        network = found.of(who="network")
        distance, error = network.of("distance"), network.of("relative", images="test")
        end = {
            "distance": distance.of(to="gaussian"),
            "distance_all": distance.of(to="gaussian_all"),
            "distance_memorizer": distance.of(to="memorizer"),
            "linearity": network.of("linearity"),
            "held_out": error,
            "agreement": network.of("agreement"),
        }
        values: dict[str, Value] = {k: mean(final(part).one) for k, part in end.items()}
        values["copies"] = float(np.mean(final(network.of("copies")).one))
        values["regime"] = highest(found)
        nearest, best = distance.of(to="gaussian").smallest("step"), error.smallest("step")
        if nearest:
            values |= {
                "closest_step": nearest[0].at["step"],
                "closest": mean(nearest.one),
                "rise": mean(turn(distance.of(to="gaussian")).of(side="after").one),
                "best_step": best[0].at["step"],
                "held_out_closest": mean(error.meeting(nearest).one),
            }
        return values

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """The results in order; what these cells do not test is left out by itself."""
        course = averaged(found)
        network = course.of(who="network").over("subset", "seed")
        widest = network.last("width") or network
        yield from emergence(widest, network.first("width"), course.of("between"))
        yield from stopping(widest, halves(found))
        yield from ends(network, widest)
        yield from over_time(network, widest, course)
        yield from by_level(found.of("distance", who="network").over("subset", "seed"), widest)
        last = final(network.of(to=lambda to: to == "gaussian") + network.without("to"))
        keys = [c for c in ("n", "model", "width") if last.along(c)]
        yield "Numbers at the end of training"
        shown = last.of(images="test") + last.without("images")
        names = ["distance", "linearity", "relative", "agreement", "copies"]
        yield table("Networks at the end of training", shown, keys, names)


def readings(course: Mapping[int, Subject]) -> Iterator[Reading]:
    """What each snapshot is asked at points and noises that all share; closed forms, once."""
    subject, steps = next(iter(course.values())), np.array(list(course))
    test, train = Asked.of(subject, "test"), Asked.of(subject, "train")
    closed = {name: make() for name, make in subject.others().items()}
    answers = {name: test.answers(D) for name, D in closed.items()}
    centre = subject.data.pool().mean(0)
    drawn = sample(closed["gaussian"], subject.start(), subject.sigmas) - centre
    leading = torch.linalg.eigvalsh(subject.data.gaussian_all().cov.double())[-1].clamp(min=0)
    yield Reading("leading", {}, leading.sqrt().numpy())
    yield Reading("sample", {"who": "gaussian"}, drawn.half().numpy())
    for who, found in answers.items():
        at = {"who": who, "images": "test", "sigma": LEVELS}
        yield Reading("error", at, test.error(found))
        if who in ("gaussian", "gaussian_all"):
            at = {"who": who, "sigma": LEVELS}
            yield Reading("linearity", at, test.linearity(closed[who]))
    between = rmse(answers["gaussian"], answers["gaussian_all"])
    yield Reading("between", {"sigma": LEVELS}, between.float())
    looks = [list(snapshot(s, test, train, answers, drawn, centre)) for s in course.values()]
    for same in zip(*looks, strict=True):
        at = {"who": "network", "step": steps, **same[0].at}
        yield Reading(same[0].name, at, np.stack([r.value for r in same]))


@dataclass(frozen=True, eq=False)
class Asked:
    """Noisy points, levels beside each other, (L P, *event), with their ``sigma`` (L P,) and clean
    images (P, n); ``others`` are as many points to pair them with.
    """

    noisy: Tensor
    others: Tensor
    sigma: Tensor
    clean: Tensor

    @classmethod
    def of(cls, subject: Subject, kind: Any) -> Self:
        """``POINTS`` images "train" or "test", and the noises that go with them."""
        both = torch.stack([subject.noisy(kind, 2 * POINTS, s) for s in LEVELS.tolist()])
        noisy, others = (part.flatten(0, 1) for part in both.split(POINTS, 1))
        sigma = torch.tensor(LEVELS, dtype=torch.float32).repeat_interleave(POINTS)
        return cls(noisy, others, sigma, subject.clean(kind, POINTS).flatten(1).double())

    def answers(self, D: Denoiser) -> Tensor:
        """D at the points, (L, P, n)."""
        return outputs(D, self.noisy, self.sigma).reshape(len(LEVELS), *self.clean.shape)

    def error(self, answers: Tensor) -> Tensor:
        """Mean squared difference from the clean images per pixel, (L, P)."""
        return (answers - self.clean).square().mean(-1).float()

    def linearity(self, D: Denoiser) -> Tensor:
        """|cos(D((x1 + x2)/sqrt 2), (D(x1) + D(x2))/sqrt 2)| over pairs, (L, P)."""
        found = superposition(D, self.noisy, self.others, self.sigma)
        return found.cosine.abs().reshape(len(LEVELS), -1).float()


def snapshot(
    subject: Subject,
    test: Asked,
    train: Asked,
    closed: Mapping[str, Tensor],
    gaussian: Tensor,
    centre: Tensor,
) -> Iterator[Reading]:
    """One moment of a training: distances, linearity, errors, samples, agreement and copies."""
    D = subject.denoiser
    answers, made = test.answers(D), subject.samples()
    for to, other in closed.items():
        yield Reading("distance", {"to": to, "sigma": LEVELS}, rmse(answers, other).float())
    yield Reading("linearity", {"sigma": LEVELS}, test.linearity(D))
    yield Reading("error", {"images": "test", "sigma": LEVELS}, test.error(answers))
    seen = train.error(train.answers(D))
    yield Reading("error", {"images": "train", "sigma": LEVELS}, seen)
    yield Reading("sample", {}, (made - centre).half().numpy())
    alike = paired_similarity((made - centre).flatten(1), gaussian.flatten(1))
    yield Reading("agreement", {}, alike.float())
    yield Reading("copies", {}, subject.copies())


def highest(found: Readings) -> float:
    """The end of the intermediate regime for these images."""
    return max(float(found.of("leading")[0].value[0]), 2 * LOW)


def averaged(found: Readings) -> Readings:
    """Every quantity averaged over the levels of the intermediate regime, point by point; errors
    also relative to the best linear denoiser's mean at each level.
    """
    if not found:
        return found
    top = highest(found)
    inside = found.of(sigma=lambda sigma: LOW <= sigma <= top)
    best = inside.of("error", who="gaussian_all", images="test").map(np.mean)
    relative = inside.of("error").against(best, np.divide, "relative", apart=("who", "images"))
    return (inside + relative).over("sigma") + found.without("sigma")


def halves(found: Readings) -> Readings:
    """Cosines of the samples of models on disjoint halves from one noise, (S,)."""
    rows = found.of("sample").map(lambda v: v.reshape(len(v), -1).astype(np.float32))
    pairs = rows.pairs(
        lambda a, b: paired_similarity(a["sample"], b["sample"]), "subset", "halves", "sample"
    )
    return pairs.over("subset", "seed")


def final(readings: Readings) -> Readings:
    """At the end of training, or of a network that is given, as it is."""
    return (readings.last("step") or readings).dropped("step")


def turn(distance: Readings) -> Readings:
    """How far the first snapshot and the end of a training are above the smallest distance of its
    course: chosen on every second point and read on the others.
    """
    nearest = distance.smallest("step")
    ends = distance.first("step").named(side="before") + distance.last("step").named(side="after")
    return ends.map(lambda v: v[1::2]).against(nearest, name="turn", apart="step").dropped("step")


def emergence(widest: Readings, narrow: Readings, between: Readings) -> Iterator[Told]:
    """Near the Gaussian in mid-training, then away from it."""
    distance = widest.of("distance", to="gaussian")
    turns = turn(distance)
    rise = turns.of(side="after")
    yield Claim(
        "With few images a network is nearest to the Gaussian of its training set in mid-training",
        turns.first("n") or turns,
        above(0),
        published="nearest in mid-training, then memorizes",
        beside={
            "Smallest distance": distance.smallest("step"),
            "Rise of the narrowest": turn(narrow.of("distance", to="gaussian")).of(side="after"),
            "Gaussian of the training set from that of all": between.over("subset", "seed"),
        },
        note=(
            "How far the first snapshot and the end are above the smallest distance. The moment is "
            "chosen on one half of the points and read on the other; intervals are over points."
        ),
    )
    words = "With more images it leaves the Gaussian less far (change of the rise)"
    yield Claim(words, rise.change("n"), below(0), beside={"Rise by N": rise})


def stopping(widest: Readings, pairs: Readings) -> Iterator[Told]:
    """What stopping near the Gaussian brings."""
    error, copies = widest.of("relative", images="test"), widest.of("copies")
    agreement = widest.of("agreement")
    nearest = widest.of("distance", to="gaussian").smallest("step")
    lost = less_there(error, nearest)
    yield Claim(
        "With few images, stopping where it is nearest lowers the held-out error (end less there)",
        lost.first("n") or lost,
        above(0),
        published="early stopping generalizes",
        beside={
            "Error there": error.meeting(nearest),
            "Copies there": copies.meeting(nearest),
            "Copies at the end": copies.last("step"),
        },
        note="Errors are relative to the best linear denoiser's: 1 is its own.",
    )
    wide = pairs.last("width") or pairs
    alike = less_there(wide.of(who="network"), nearest)
    yield Claim(
        "With few images, disjoint halves make less alike samples at the end (cosine, less there)",
        alike.first("n") or alike,
        below(0),
        beside={
            "Gaussians of the halves": wide.of(who="gaussian"),
            "With the Gaussian's samples, first snapshot": agreement.first("step"),
            "and where nearest": agreement.meeting(nearest),
        },
        note="About the mean image. Networks that have hardly trained are alike as well.",
    )
    yield Claim("With many images, leaving the Gaussian changes held-out error by", lost.last("n"))


def less_there(values: Readings, nearest: Readings) -> Readings:
    """The end less the place that is nearest, unit by unit."""
    there = values.meeting(nearest)
    return values.last("step").against(there, apart="step").dropped("step") if there else there


def ends(network: Readings, widest: Readings) -> Iterator[Told]:
    """Over sizes and widths, at the end of training."""
    every, wide = (final(some.of("distance", to="gaussian")) for some in (network, widest))
    words = "At the end the distance to the Gaussian falls with the number of images"
    yield Claim(words, wide.change("n"), below(0), beside={"By N": wide})
    words = "and grows with width (widest less narrowest network)"
    yield Claim(words, every.change("width"), above(0))
    linear = final(widest.of("linearity"))
    words = "Networks of many images end more linear than those of few"
    yield Claim(words, linear.change("n"), above(0), beside={"By N": linear})
    true = final(widest.of("distance", to="truth"))
    words = "With most images the network ends this far from the true denoiser"
    yield Claim(words, true.last("n") or true, beside={"From its Gaussian": wide})
    given = every.of(model=lambda name: bool(name))
    yield Claim("A given network's distance to the Gaussian of its training set", given)


def over_time(network: Readings, widest: Readings, course: Readings) -> Iterator[Told]:
    """Distance, linearity, errors and samples against the training step."""
    if len(network.along("step")) < 2:
        return
    few, wide = network.thinned("n", 3), widest.thinned("n", 3)
    regime = f"noise levels from {LOW:g} to {highest(course):.3g}"
    level = course.of("linearity", who="gaussian_all").map(np.mean)
    linear = {"Gaussian of all images": float(level[0].value)}
    yield "Nearness to the Gaussian over training time"
    yield figure(
        "gaussian_emergence_distance",
        f"**Distance to the Gaussian of the training set over training time**, {regime}; averaged "
        "weights under a constant learning rate.",
        Plot(few.of("distance", to="gaussian"), "step", "width", panel="n"),
    )
    yield figure(
        "gaussian_emergence_solutions",
        "**Distance to the closed-form denoisers**, widest network.",
        Plot(wide.of("distance"), "step", "to", panel="n"),
    )
    yield figure(
        "gaussian_emergence_linearity",
        "**Linearity over training time**: a linear denoiser has 1, an affine one less.",
        Plot(few.of("linearity"), "step", "width", panel="n", levels=linear),
    )
    yield "What the network does meanwhile"
    best = {"best linear denoiser": 1.0}
    yield figure(
        "gaussian_emergence_errors",
        "**Denoising error over training time**, widest network, over that of the best linear "
        "denoiser on held-out images.",
        Plot(wide.of("relative"), "step", "images", panel="n", levels=best, scale="log"),
    )
    yield figure(
        "gaussian_emergence_samples",
        "**Samples over training time**, widest network: cosine with those of the Gaussian from "
        "the same noises, and the share that are copies by the 1/3 rule.",
        Plot(wide.of("agreement"), "step", "n", title="Like the Gaussian's samples"),
        Plot(wide.of("copies"), "step", "n", title="Copies", limits=(-0.03, 1.03)),
    )


def by_level(distance: Readings, widest: Readings) -> Iterator[Told]:
    """Distances level by level, and over sizes, at the end of training."""
    two = {"to": ["gaussian", "memorizer"]}
    last = final((distance.last("width") or distance).of(**two))
    last = last.thinned("n", 3) if last.along("n") else last
    yield "Nearness to the Gaussian, noise level by noise level"
    yield figure(
        "gaussian_emergence_levels",
        "**Distance against the noise level** at the end of training, to the Gaussian and to the "
        "memorizer of the training set.",
        Plot(last, "sigma", "to", panel="n" if last.along("n") else "model", scale="linear"),
    )
    ends = final(widest)
    if len(ends.along("n")) > 1:
        yield figure(
            "gaussian_emergence_sizes",
            "**Over the number of images**, at the end of training, widest network.",
            Plot(ends.of("distance", **two), "n", "to", title="Distance"),
            Plot(ends.of("linearity"), "n", title="Linearity"),
        )
