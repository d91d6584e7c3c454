"""What keeps a network from copying its training images, and what that costs in quality.

A network that memorizes is trained again with one remedy at a time, at several strengths: weight
decay, dropout, a smaller width, shifted or mirrored images, fewer draws in a band of noise levels.
Other remedies act on the network that memorizes: an earlier snapshot, that of the least copies and
held-out error that a monitor chooses, its score averaged over noise (Scarvelis et al. 2023), its
mixture with the Gaussian of its training images, or a sampler that ends at a higher noise level
with the denoised estimate there, in units of the level at which the memorizer's posterior is half
on one image (the collapse of Biroli et al. 2024). The linear model stopped at the one time that is
best for it (Merger and Goldt 2025) and a network trained on all images stand beside.

A remedy helps at a strength where copies beyond those of held-out images fall and the Fréchet
distance does not rise, runs paired by training set and seed: where the larger of (change of the
excess, logarithm of the ratio of distances over 1.1) lies below 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from denoscope.coordinates import FAMILIES
from denoscope.data.population import Population
from denoscope.data.splits import Split
from denoscope.estimate import Estimate, mean
from denoscope.fitting.recipe import Member, Recipe, at_least
from denoscope.fitting.snapshots import snapshot_steps
from denoscope.fitting.stopped import stopped_linear
from denoscope.levels import karras
from denoscope.monitor import MemorizationMonitor
from denoscope.readings import Quantity, Reading, Readings, estimated, stored
from denoscope.report.claims import Claim, above, below
from denoscope.report.frontiers import Frontier
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.sampling import sample
from denoscope.smoothing import blurred, mixed
from denoscope.studies._judged import JUDGED, judged
from denoscope.studies._subject import Subject
from denoscope.studies._trained import Trained
from denoscope.study import Result, Work, axis, option
from denoscope.theory.times import measured_collapse_time
from denoscope.types import Denoiser

TRAINED: Mapping[str, Callable[[float], dict[str, Any]]] = {
    "none": lambda _: {},
    "all": lambda _: {},
    "decay": lambda s: {"weight_decay": s},
    "dropout": lambda s: {"dropout": s},
    "width": lambda s: {"width": int(s)},
    "shift": lambda s: {"shift": int(s)},
    "mirror": lambda _: {"mirror": True},
    "rare": lambda s: {"share": s},
}
"""What a remedy changes in the recipe at a strength."""
BARE = ("none", "all", "mirror")
WORDS = (
    *("none", "all", "decay:0.3", "decay:1", "decay:3", "dropout:0.1", "dropout:0.2"),
    *("dropout:0.4", "width:32", "width:16", "width:8", "shift:1", "shift:2", "mirror"),
    *("rare:0.25", "rare:0"),
)
BLURS, MIXED, STOPS = (0.5, 1.0, 2.0), (0.2, 0.5, 0.8), (0.5, 1.0, 2.0)
"""Strengths afterwards: widths over σ, shares of the Gaussian, levels over that of collapse."""
BESIDE = ("none", "all", "linear")
LEVELS, POINTS = (0.1, 0.3, 1.0), 100
NOISES = np.array([0.5, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4])
"""1 − ᾱ, the levels over which the linear model's time is best."""
MARGIN, COPYING, NONE = 1.1, 0.3, 0.1
"""The ratio of Fréchet distances that counts as no worse; shares of copies, many and hardly any."""
_TRAINING = 0.7  # of a job's time, for the progress bar


def geometric(units: np.ndarray, level: float = 0.95) -> Estimate:
    """The geometric mean, by t on logarithms."""
    e = mean(np.log(units), level)
    return replace(e, value=math.exp(e.value), low=math.exp(e.low), high=math.exp(e.high))


def larger(change: np.ndarray, ratio: np.ndarray, level: float = 0.95) -> Estimate:
    """The larger of two means, of the change and of ln(ratio/1.1): both intervals at half the
    error, so that it is below 0 where both are.
    """
    half = 1 - (1 - level) / 2
    a, b = mean(change, half), mean(np.log(ratio / MARGIN), half)
    value, low, high = (max(x, y) for x, y in zip(astuple(a)[:3], astuple(b)[:3]))
    return Estimate(value, low, high, a.n, level, "larger of two means by t, Bonferroni")


QUANTITIES = {
    **JUDGED,
    "quality": replace(JUDGED["quality"], interval=geometric),
    "error": Quantity(
        "held-out error",
        "over the best linear",
        geometric,
        ".3g",
        "of denoising, over that of the Gaussian of all images; geometric mean over levels",
    ),
    "change": Quantity("excess copies", "less those without the remedy"),
    "ratio": Quantity("Fréchet distance", "over that without the remedy", geometric, ".3g"),
    "beyond": Quantity("Fréchet distance", "over that of all images", geometric, ".3g"),
    "larger": Quantity("larger of both", "below 0: fewer copies, no worse"),
    "chosen": Quantity("monitor's checkpoint", "step", geometric, ".3g"),
    "collapse": Quantity("collapse of the memorizer", "σ", form=".3g"),
}


@dataclass(frozen=True, kw_only=True)
class Remedies(Trained):
    """One network with one remedy in training, or without, and then those that act afterwards."""

    references: ClassVar[tuple[str, ...]] = (
        *("bonnaire2025", "loshchilov2019", "srivastava2014", "scarvelis2023", "biroli2024"),
        *("mergergoldt2025", "yoon2023"),
    )
    heading: ClassVar[str] = "What keeps a network from copying"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("n", "subset", "seed")
    members: ClassVar[tuple[str, ...]] = ("n", "subset", "seed")
    fleets: ClassVar[int] = 1

    n: int = axis(64, "training images", (32, 64))
    remedy: str = axis(
        "none",
        "none, all (images), mirror, or decay, dropout, width, shift or rare with a strength, as "
        "in decay:1",
        WORDS,
    )
    subset: int = axis(0, "which of two training subsets, disjoint as long as both fit")
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1, 2))
    width: int = option(64, "width of the network without a remedy")
    net: str = option("film", "network", ("film", "mlp", "unet", "uvit"))
    steps: int = option(2000, "training steps")
    batch_size: int = option(32, "images a training step")
    lr: float = option(4e-3, "learning rate, the same at every step")
    ema: float = option(
        0.999, "decay of the averaged weights that are measured, at most (1 + k)/(10 + k) at step k"
    )
    band: tuple[float, float] = option((0.4, 2.0), "LOW HIGH: noise levels drawn more rarely")
    snapshots: int = option(8, "snapshots without a remedy, evenly spaced in the log of the step")
    first: int = option(60, "step of the first snapshot")
    samples: int = option(300, "samples drawn from each network, from the same noises")

    def __post_init__(self) -> None:
        at_least(self, {"snapshots": 2, "first": 1})
        if len(self.band) != 2 or not 0 < self.band[0] < self.band[1] < math.inf:
            given = " ".join(map(str, self.band))
            raise ValueError(f"--band {given}: give two noise levels, the lower one first")
        parsed(self.remedy)
        super().__post_init__()

    def infeasible(self) -> str:
        shift, side = self.recipe().shift, min(self.where().images().shape[-2:])
        if shift >= side:
            return f"--remedy {self.remedy}: images have a side of {side} pixels"
        return self.unfloored() or super().infeasible()

    def recipe(self) -> Recipe:
        family, strength = parsed(self.remedy)
        return replace(super().recipe(), **TRAINED[family](strength))

    def member(self) -> Member:
        member, everything = super().member(), parsed(self.remedy)[0] == "all"
        return replace(member, rows=self.where().pool_rows()) if everything else member

    def moments(self) -> list[int]:
        """The steps at which the training is looked at."""
        several = self.snapshots if self.remedy == "none" else 1
        return snapshot_steps(self.first, self.steps, several)

    def estimated(self, *, trained: bool) -> float:
        recipe, plain = self.recipe(), self.remedy == "none"
        looks = 3 * self.snapshots + 8 * len(BLURS) + len(MIXED) + len(STOPS) if plain else 1
        shape, asked = self.where().images().shape, looks * recipe.evaluations(self.samples)
        return recipe.seconds(shape, asked, trained=trained)

    @classmethod
    def batch(cls, cells: Sequence[Any], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells as one fleet and measures each."""
        return cls.asked_along(cells, work, _TRAINING, cls.asked)

    def asked(self, course: Mapping[int, Denoiser]) -> Result:
        """Every reading of a network, one number a run."""
        family, strength = parsed(self.remedy)
        last = list(self.looked(course[max(course)]))
        found = list(placed(last, family, strength))
        if family == "none":
            found += [*self.along(course, last), *self.afterwards(course[max(course)])]
        if not np.isfinite([r.value for r in found]).all():
            return Result({"stopped": "its samples are not finite"})
        values = {r.name: float(r.value) for r in last}
        each = (Reading(r.name, r.at, np.array([r.value])) for r in found)
        return Result(values, stored(each))

    def looked(self, D: Denoiser, sigmas: Tensor | None = None) -> Iterator[Reading]:
        """Copies, quality and held-out error of a denoiser, sampled at these levels."""
        subject = Subject(D, self.where(), self.samples, self.solver_steps)
        levels = subject.sigmas if sigmas is None else sigmas
        yield from judged(self, replace(subject, generated=sample(D, subject.start(), levels)))
        if sigmas is not None:  # another sampler, the same denoiser
            return
        mine = subject.errors(D, "test", LEVELS, POINTS).double().mean(1)
        yield Reading("error", {}, float((mine / _linear(self.where())).log().mean().exp()))

    def along(self, course: Mapping[int, Denoiser], last: Sequence[Reading]) -> Iterator[Reading]:
        """Earlier snapshots, and that which a monitor chooses; it has other images held out."""
        looks = {step: list(self.looked(D)) for step, D in course.items() if step < max(course)}
        for step, look in looks.items():
            yield from placed(look, "early", step)
        where = self.where()
        pool = where.pool_rows()
        others = pool[~torch.isin(pool, where.train_rows())][: self.held]
        monitor = MemorizationMonitor(where.train(), where.images().data[others], every=course)
        for step, D in course.items():
            monitor.look(step, D)
        chosen = monitor.choice.step
        yield from placed({**looks, max(course): last}[chosen], "monitor", 0.0)
        yield Reading("chosen", {}, float(chosen))

    def afterwards(self, D: Denoiser) -> Iterator[Reading]:
        """What is done to the trained network or to its sampler, and the linear model."""
        where, shape = self.where(), self.where().images().shape
        for width in BLURS:
            yield from placed(self.looked(blurred(D, width, shape)), "blur", width)
        for share in MIXED:
            yield from placed(self.looked(mixed(D, where.gaussian(), share)), "mix", share)
        collapse = _collapse(where)
        for factor in STOPS:
            sigmas = until(karras(self.solver_steps), factor * collapse).float()
            yield from placed(self.looked(D, sigmas), "stop", factor)
        yield Reading("collapse", {}, collapse)
        first = (self.seed + 1) * self.samples
        made = stopped_linear(_law(where.whole()), where.train(), self.samples, NOISES, first)
        yield from placed(judged(self, Subject(D, where, generated=made)), "linear", 0.0)

    @classmethod
    def found(cls, rows: Sequence[Any]) -> Readings:
        """One unit a run, and the same beside those without a remedy and of all images."""
        runs = super().found(rows)
        none, whole = (runs.of(family=f).dropped("family", "dose") for f in ("none", "all"))
        treated = runs.of(family=lambda f: f != "none")
        change = beside(treated.of("excess"), none.of("excess"), np.subtract, "change")
        ratio = beside(treated.of("quality"), none.of("quality"), np.divide, "ratio")
        some = runs.of("quality", family=lambda f: f != "all")
        beyond = beside(some, whole.of("quality"), np.divide, "beyond")
        return (runs + change + ratio + beyond).joined("subset", "seed")

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """The results in order; what these cells do not test is left out by itself."""
        yield from helping(found)
        yield from others(found)
        yield from drawn(found)


def parsed(word: str) -> tuple[str, float]:
    """A remedy's family and strength, 0 of those that have none."""
    family, _, number = word.partition(":")
    strong = number.replace(".", "", 1).isdigit()
    whole = family not in ("width", "shift") or (number.isdigit() and int(number) > 0)
    share = family not in ("dropout", "rare") or (strong and float(number) <= 1)
    if family not in TRAINED or (family in BARE) != (not number):
        named = ", ".join(f if f in BARE else f"{f}:STRENGTH" for f in TRAINED)
        raise ValueError(f"--remedy {word}: there are {named}")
    if family in BARE:
        return family, 0.0
    if not (strong and whole and share):
        what = "a whole number above 0" if not whole else "a number" if share else "at most 1"
        raise ValueError(f"--remedy {word}: the strength of {family} is {what}")
    return family, float(number)


def placed(some: Iterator[Reading] | Sequence[Reading], family: str, s: float) -> Iterator[Reading]:
    """Readings at a remedy and its strength."""
    return (Reading(r.name, {"family": family, "dose": float(s), **r.at}, r.value) for r in some)


def until(sigmas: Tensor, last: float) -> Tensor:
    """A solver's levels above ``last``, then ``last`` and 0: its last step is the denoised
    estimate there.
    """
    return torch.cat([sigmas[sigmas > last], sigmas.new_tensor([last, 0.0])])


def beside(some: Readings, other: Readings, using: Callable[..., Any], name: str) -> Readings:
    """Each against the other's at its training set and seed, where there is one."""
    return some.meeting(other).against(other.meeting(some), using, name)


@lru_cache(maxsize=8)
def _linear(where: Split) -> Tensor:
    """The held-out error of the Gaussian of all images at each level."""
    subject = Subject(where.gaussian_all(), where)
    return subject.errors(subject.denoiser, "test", LEVELS, POINTS).double().mean(1)


@lru_cache(maxsize=8)
def _collapse(where: Split) -> float:
    """The level at which the memorizer's posterior is half on the image that was noised."""
    time = float(measured_collapse_time(where.train().flatten(1).double().numpy()))
    return math.sqrt(math.expm1(2 * time))


@lru_cache(maxsize=2)
def _law(whole: Split) -> Population:
    return Population.of_images(whole.pool(), whole.images().name)


def treated(some: Readings) -> Readings:
    """Without what stands beside."""
    return some.of(family=lambda family: family not in BESIDE)


def helping(found: Readings) -> Iterator[Told]:
    """Which remedies lower copying without worse samples, over all training sets."""
    pooled = found.joined("n")
    both = pooled.of("change").against(pooled.of("ratio"), estimated(larger), "larger")
    copying = Claim(
        "The network without a remedy copies", found.of("excess", family="none"), above(COPYING)
    )
    note = (
        "Means over runs, paired by training set and seed. No worse: less than "
        f"{MARGIN:g} times the Fréchet distance. Given is the larger of the change of the excess "
        f"and ln(ratio/{MARGIN:g}), below 0 where both hold."
    )
    yield Claim(
        "Copying can be lowered without worse samples, by one remedy at least",
        treated(both),
        below(0),
        any=True,
        control=copying,
        note=note,
    )
    yield copying
    yield Claim(
        f"At the monitor's checkpoint less than {NONE:.0%} of the samples are copies beyond those "
        "of held-out images",
        found.of("excess", family="monitor"),
        below(NONE),
        beside={"Checkpoints": found.of("chosen")},
    )
    for family in treated(both).along("family"):
        apart = {n: treated(pooled.of(n, family=family)) for n in ("change", "ratio")}
        yield Claim(
            f"Fewer copies, samples no worse: {FAMILIES[family]}, at one strength at least",
            both.of(family=family),
            below(0),
            any=True,
            control=copying,
            beside={"Change of the excess": apart["change"], "Ratio": apart["ratio"]},
            note=note,
        )


def others(found: Readings) -> Iterator[Told]:
    """What all remedies have in common, and the linear model."""
    yield Claim(
        "No remedy makes up for more images: a network trained on all makes better samples",
        treated(found.joined("n").of("beyond")),
        above(1),
        control=Claim(
            "It copies hardly more than held-out images",
            found.of("excess", family="all"),
            below(NONE),
        ),
    )
    yield Claim(
        "The linear model stopped at its best time hardly copies",
        found.of("excess", family="linear"),
        below(NONE),
    )


def applied(at: Mapping[str, Any]) -> str:
    return "training" if at["family"] in TRAINED else "afterwards"


def drawn(found: Readings) -> Iterator[Told]:
    """The frontier, snapshots over time, and every number."""
    both = found.of("excess", "quality")
    yield figure(
        "remedies_frontier",
        "**Copies beyond those of held-out images against the distance of the samples to held-out "
        "images**, by remedy and strength; better is below and to the left. Bars: 95 % over "
        "runs.",
        Frontier(
            treated(both).named(applied=applied),
            "quality",
            "excess",
            "family",
            "dose",
            "applied",
            panel=("n", "applied"),
            references=both.of(family=list(BESIDE)),
            levels={"as held-out images": 0.0},
        ),
    )
    early = found.of("excess", "quality", "error", family="early")
    early = early.named(step=lambda at: round(at["dose"])).dropped("family", "dose")
    yield "Earlier snapshots"
    yield figure(
        "remedies_early",
        "**Stopping early**: copies, distance of the samples and held-out error along the training "
        "without a remedy.",
        Plot(early.of("excess"), "step", "n", levels={"hardly any": NONE}),
        Plot(early.of("quality"), "step", "n", scale="log"),
        Plot(early.of("error"), "step", "n", scale="log"),
    )
    yield "Numbers"
    names = ["excess", "copies", "quality", "error", "change", "ratio"]
    yield table("Remedies by strength", found, ["family", "dose", "n"], names)
    yield table("Levels and checkpoints", found, ["n"], ["collapse", "chosen"])
