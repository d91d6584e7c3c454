"""Whether a decoder for each interval of noise levels makes training cheaper: one network for all
levels, separate experts, and one encoder with several decoders, at equal operations.

Every network sees the same images, noises and quantiles of levels, at a constant rate, and is
looked at in snapshots: the training loss on held-out images, in every stage, and the Fréchet
distance of its samples over that of as many real images. What a row costs are the operations of its
own stage, averaged by the stages' shares of the levels; the widths of experts and of several
decoders are scaled until that is what the unified network costs, and all are trained for equally
many operations. Claimed (Zhang et al. 2024, multistage framework): the loss of the unified network
after 56 to 75 % of its iterations, and 59 to 82 % of its operations ("reduced to", not "by", 82 %).

Curves are monotone fits, the same for all; ratios are paired by seed, with draws by t. Seconds are
processor time, measured beside the unified network step by step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.stats import norm

from denoscope.coordinates import name_of
from denoscope.estimate import exact
from denoscope.fitting import StagedLoss, denoising_loss, visit_shares
from denoscope.fitting.equal_cost import ARMS, PUBLISHED, Stages
from denoscope.fitting.policies import POLICIES
from denoscope.fitting.recipe import RATES, among, at_least, batches
from denoscope.fitting.snapshots import Training, snapshot_steps
from denoscope.geometry.distances import denoising_errors
from denoscope.metrics.copying import excess
from denoscope.metrics.reaching import least_at, scaled, steps_ratio
from denoscope.networks import MultiStage, Preconditioned
from denoscope.readings import Quantity, Reading, Readings, stored
from denoscope.report.claims import Claim, below
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.store import Row
from denoscope.studies._subject import Subject
from denoscope.studies._trained import Trained
from denoscope.study import Result, Work, axis, option
from denoscope.types import Denoiser

INSIDE = 5
"""Levels in each stage at which held-out images are noised."""
ALONE = ("unified", "experts")
"""What is asked whether it copies, on few images."""
STEP = 0.01  # seconds of one core that a stage takes whatever its width, at a step
_TRAINING = 0.8

QUANTITIES = {
    "loss": Quantity("held-out loss", "training weights", form=".4f"),
    "quality": Quantity(
        "Fréchet distance", "over its floor", form=".3g", tip="floor: as many real images"
    ),
    "glc": Quantity("GLc", tip="calibrated generalization: 1 none is copied, 0 all are"),
    "operations": Quantity("operations per row", "million", form=".2f", tip="forward"),
    "pace": Quantity("seconds per step", "over the unified network's", form=".2f"),
    "visits": Quantity("share of the rows", interval=exact, form=".3g"),
    "iterations": Quantity("iterations", "over the unified network's", form=".2f"),
    "work": Quantity("operations", "over the unified network's", form=".2f"),
    "seconds": Quantity("seconds", "over the unified network's", form=".2f"),
    "final": Quantity("held-out loss", "over the unified network's", form=".3f"),
    "timed": Quantity("loss at equal time", "over the unified network's", form=".3f"),
    "copies": Quantity("GLc", "less the unified network's"),
    "learned": Quantity("loss of the last stage", "over that by density", form=".3f"),
}


@dataclass(frozen=True, kw_only=True)
class StagedTraining(Trained):
    """One network along its training."""

    references: ClassVar[tuple[str, ...]] = ("zhang2024stages", "karras2022", "katharopoulos2018")
    heading: ClassVar[str] = "Cheaper training by stages of noise levels"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("n", "arm", "policy", "lr", "seed")
    members: ClassVar[tuple[str, ...]] = ("seed",)

    n: int = axis(1024, "training images; the least of several is asked for copies", (64, 1024))
    arm: str = axis(
        "unified",
        f"how levels share a network: {', '.join(ARMS)} (the paper's widths)",
        ARMS,
    )
    policy: str = axis("density", f"how often stages are visited: {', '.join(POLICIES)}")
    lr: float = axis(3e-3, "learning rate, the same at every step; several are tried for each arm")
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1, 2))
    width: int = option(16, "width of the unified network")
    edges: tuple[float, ...] = option((0.6, 5.7), "rising σ between stages: see noise_intervals")
    widths: tuple[float, ...] = option(
        (1.25, 1.0, 0.25),
        "widths of the stages' decoders over the encoder's: see capacity_by_noise",
    )
    steps: int = option(1200, "training steps of the unified network")
    snapshots: int = option(10, "snapshots of a training, evenly spaced in the log of the step")
    samples: int = option(200, "samples drawn at each snapshot, from the same noises")
    solver_steps: int = option(12, "steps of Heun's method")

    def __post_init__(self) -> None:
        super().__post_init__()
        among(self, arm=ARMS, policy=POLICIES)
        at_least(self, {"snapshots": 2})
        if len(self.widths) != len(self.edges) + 1 or not all(w > 0 for w in self.widths):
            count = len(self.edges) + 1
            raise ValueError(f"--widths: {count} stages need {count} positive widths")
        if self.arm == "published" and len(self.edges) != len(PUBLISHED) - 1:
            raise ValueError("--arm published has three stages: give --edges two levels")
        MultiStage((1, 4, 4), self.edges, [1] * len(self.widths))

    @classmethod
    def combined(cls, axes: Mapping[str, Sequence[Any]]) -> Sequence[Self]:
        """All combinations, but on the fewer of two sizes only what is asked for copies."""
        cells, sizes = super().combined(axes), axes.get("n", [])
        few = min(sizes) if len(sizes) > 1 else -1
        return [c for c in cells if c.n != few or (c.arm in ALONE and c.policy == "density")]

    def infeasible(self) -> str:
        if self.arm == "unified" and self.policy != "density":
            return f"--policy {self.policy}: the unified network has one stage"
        return self.unfloored() or super().infeasible()

    def stages(self) -> Stages:
        """How levels are cut, and the share of the training levels in each stage."""
        shares = tuple(visit_shares(self.edges, self.level_mean, self.level_std).tolist())
        shape = tuple(self.where().images().shape)
        return Stages(shape, self.width, self.edges, self.widths, shares)

    def denoiser(self, arm: str = "") -> Preconditioned:
        """The untrained network, or that of another arm."""
        net = self.stages().network(arm or self.arm, self.member().initial)
        return Preconditioned(net, self.kind, self.where().spread())

    def moments(self) -> list[int]:
        """Steps at which the training is looked at; the last ends it at the unified network's
        operations.
        """
        own, unified = map(self.stages().operations, (self.arm, "unified"))
        return snapshot_steps(self.steps // 16, round(self.steps * unified / own), self.snapshots)

    def estimated(self, *, trained: bool) -> float:
        looked = INSIDE * len(self.widths) * self.held + self.recipe().evaluations(self.samples)
        rows = 3 * self.moments()[-1] * self.batch_size * trained + len(self.moments()) * looked
        stages = 1 if self.arm == "unified" else len(self.widths)
        return (
            self.stages().operations(self.arm) * rows / RATES["unet"]
            + STEP * stages * self.moments()[-1]
        )

    @classmethod
    def batch(cls, cells: Sequence[Any], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells one after the other."""
        for index, cell in enumerate(cells):
            folder = work.folder and work.folder / cell.key()
            tell = partial(_told, work, index, len(cells))
            yield cell, cell.run(Work(folder, tell, work.device))

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        where, recipe, moments = self.where(), self.recipe(), self.moments()
        training = Training(
            lambda device: self.denoiser().to(device),
            batches(recipe, [self.member()], where.images().data),
            moments,
            self.lr,
            self.ema,
            weight_decay=recipe.weight_decay,
            device=work.device,
            folder=work.folder,
            tell=lambda fraction: work.tell(_TRAINING * fraction),
            loss=self.loss,
        )
        ((course, stopped),) = training.denoisers()
        if stopped:
            return Result({"stopped": stopped})
        looks = []
        for D in course.values():
            looks.append(list(self.looked(D)))
            work.tell(_TRAINING + (1 - _TRAINING) * len(looks) / len(course))
        return self.followed(np.array(list(course)), looks, course[moments[-1]])

    def loss(self) -> Any:
        """The denoising loss, under the policy."""
        if self.policy == "density":
            return denoising_loss
        return StagedLoss(self.edges, self.level_mean, self.level_std, self.policy)

    def looked(self, D: Denoiser) -> Iterator[Reading]:
        """One moment of a training: loss in every stage and in all, and quality."""
        where, shares, parts = self.where(), self.stages().shares, []
        for stage, levels in enumerate(self.levels()):
            errors = denoising_errors(D, where.unseen(), levels).mean(1)
            weights = D.weight(torch.from_numpy(levels))  # pyright: ignore[reportFunctionMemberAccess]
            parts.append(float((weights * errors).mean()))
            yield Reading("loss", {"stage": stage}, parts[-1])
        yield Reading("loss", {}, float(np.dot(shares, parts)))
        made = self.made(D)
        yield Reading("quality", {}, self.quality(made) if made.isfinite().all() else math.inf)

    def levels(self) -> list[np.ndarray]:
        """Levels in the middle of equal parts of each stage's density."""
        ends = norm.cdf(np.log([1e-300, *self.edges, 1e300]), self.level_mean, self.level_std)
        inside = (np.arange(INSIDE) + 0.5) / INSIDE
        parts = (low + inside * (high - low) for low, high in pairwise(ends))
        return [np.exp(norm.ppf(u, self.level_mean, self.level_std)) for u in parts]

    def made(self, D: Denoiser) -> torch.Tensor:
        """Samples, from noises that all networks share."""
        return Subject(D, self.where(), self.samples, self.solver_steps).samples()

    def followed(
        self, steps: np.ndarray, looks: Sequence[Sequence[Reading]], last: Denoiser
    ) -> Result:
        """Every reading of a network along its training, by step: one number a run."""
        found = [
            Reading(
                same[0].name, {"step": steps, **same[0].at}, np.array([[r.value] for r in same])
            )
            for same in zip(*looks)
        ]
        if not np.isfinite([r.value for r in found]).all():
            return Result({"stopped": "its samples are not finite"})
        gen, train, test = (
            x.flatten(1) for x in (self.made(last), self.where().train(), self.where().unseen())
        )
        values = {
            "glc": 1 - excess(gen, train, test).value,
            "operations": self.stages().operations(self.arm) / 1e6,
            "pace": self.pace(),
            "loss": float(found[len(self.widths)].value[-1, 0]),
        }
        visits = enumerate(self.stages().shares)
        found += [Reading("visits", {"stage": k}, exact([share])) for k, share in visits]
        found += [Reading(name, {}, [values[name]]) for name in ("glc", "operations", "pace")]
        return Result(values, stored(found))

    def pace(self, turns: int = 9) -> float:
        """Processor time of a step over that of the unified network, the median of turns."""
        x0, sigma, noise = next(batches(self.recipe(), [self.member()], self.where().images().data))
        own, unified = self.denoiser(), self.denoiser("unified")
        seconds: list[list[float]] = [[], []]
        for _ in range(turns):
            for D, spent in zip((own, unified), seconds):
                started = time.process_time()
                denoising_loss(D, x0, sigma, noise).sum().backward()
                spent.append(time.process_time() - started)
        return median(a / b for a, b in zip(*seconds))

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """One unit a run."""
        every = super().found(rows)
        visits = every.of("visits").of(seed=every.along("seed")[0]).dropped("seed")
        return every.of("loss", "quality", "glc", "operations", "pace").joined("seed") + visits

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """The results in order; what these cells do not test is left out by itself."""
        large = found.of(n=found.along("n")[-1:])
        rate = best_rates(large)
        tuned = at_rates(large, rate)
        density = tuned.of(policy="density").dropped("policy")
        yield from reached(density, rate)
        yield from copied(found.first("n"))
        yield from visited(tuned)
        yield from drawn(density, tuned)
        yield from rates(large)
        yield "Numbers"
        keys, ends = ["n", "arm", "policy", "lr"], at_end(found)
        rest = ends.of("loss", "quality").without("stage") + ends.of("glc", "operations", "pace")
        yield table("At the end", rest, keys, ["loss", "quality", "glc", "operations", "pace"])
        beside = ["iterations", "work", "seconds", "final", "timed"]
        yield table("Over the unified network", compared(density), ["arm"], beside)
        yield table(
            "Stages",
            ends.of("visits", "loss").last("n"),
            ["arm", "policy", "stage"],
            ["visits", "loss"],
        )


def at_end(some: Readings) -> Readings:
    """At the end of training, and what is said of all of it."""
    whole = some.of("glc", "operations", "pace", "visits")
    return some.of("loss", "quality").last("step").dropped("step") + whole


def best_rates(large: Readings) -> dict[str, float]:
    """The learning rate at which each arm ends lowest."""
    ends = at_end(large.of("loss", policy="density").without("stage"))
    order = sorted(ends, key=lambda r: -float(np.mean(r.value)))
    return {r.at["arm"]: r.at["lr"] for r in order}


def at_rates(some: Readings, rate: Mapping[str, float]) -> Readings:
    """Each arm at its rate."""
    kept = [r for r in some if rate.get(r.at["arm"]) == r.at["lr"]]
    return Readings(kept, QUANTITIES).dropped("lr")


def compared(density: Readings) -> Readings:
    """Every arm beside the unified network: when it reaches that one's final loss, in iterations,
    operations and seconds, and its loss at equal operations and at equal time.
    """
    loss = density.of("loss").without("stage")
    unified, others = loss.of(arm="unified"), [a for a in loss.along("arm") if a != "unified"]
    if not unified or len(unified[0].value) < 2:
        return Readings((), QUANTITIES)
    (steps0, losses0), found = _curve(unified), []
    cost0 = density.of("operations", arm="unified").one
    for arm in others:
        steps, losses = _curve(loss.of(arm=arm))
        if losses.shape[1] != losses0.shape[1]:  # some of its trainings stopped
            continue
        pace, cost = (density.of(name, arm=arm).one for name in ("pace", "operations"))
        ratio = steps_ratio(steps, losses, steps0, losses0)
        made = {
            "iterations": ratio.map(np.exp2),
            "work": scaled(ratio, cost / cost0).map(np.exp2),
            "seconds": scaled(ratio, pace).map(np.exp2),
            "final": losses[-1] / losses0[-1],
            "timed": least_at(steps, losses, steps0[-1] / pace.mean()) / losses0[-1],
        }
        found += [Reading(name, {"arm": arm}, value) for name, value in made.items()]
    return Readings(found, QUANTITIES)


def _curve(some: Readings) -> tuple[list[int], np.ndarray]:
    steps = some.along("step")
    return steps, np.stack([some.of(step=step).one for step in steps])


def reached(density: Readings, rate: Mapping[str, float]) -> Iterator[Told]:
    """What the paper claims, of decoders as wide as the diagnostic says and as in the paper."""
    every = compared(density)
    tried = ", ".join(f"{name_of('arm', arm)} {lr:g}" for arm, lr in rate.items())
    note = f"Learning rates, of those that were tried the best of each: {tried}."
    other = ["published", "experts"]
    says = (
        "A network of several stages reaches the unified network's final loss in fewer iterations"
    )
    at, beside = (
        every.of("iterations", arm="multistage"),
        {"Others": every.of("iterations", arm=other)},
    )
    yield Claim(f"{says} (ratio)", at, below(0.75), "56 to 75 %", beside=beside, note=note)
    says = "It takes fewer operations (ratio)"
    at = every.of("work", arm="multistage")
    beside = {"Others": every.of("work", arm=other), "In seconds": every.of("seconds")}
    note = "The paper's introduction says reduced by 82 %; its table says to 82 %."
    yield Claim(says, at, below(0.82), "59 to 82 %", beside=beside, note=note)
    says = "With the published widths as well (ratio of operations)"
    yield Claim(says, every.of("work", arm="published"), below(0.82), "59 to 82 %")
    says = "At equal operations a network of several stages has the lower held-out loss (ratio)"
    beside = {"At equal time": every.of("timed"), "Fréchet": at_end(density.of("quality"))}
    yield Claim(says, every.of("final", arm="multistage"), below(1), beside=beside)
    says = "At equal processor time as well (ratio)"
    yield Claim(says, every.of("timed", arm="multistage"), below(1))
    says = "At equal operations separate experts have the lower held-out loss (ratio)"
    published = "after as many iterations a lower FID, later overfitting"
    yield Claim(says, every.of("final", arm="experts"), below(1), published)


def copied(few: Readings) -> Iterator[Told]:
    """Whether experts copy more than one network does, on few images."""
    glc = at_rates(few, best_rates(few)).of("glc", policy="density").dropped("policy")
    unified = glc.of(arm="unified")
    more = glc.of(arm="experts").against(unified, name="copies", apart="arm")
    says = "On few images separate experts copy more than the unified network (difference of GLc)"
    yield Claim(says, more, below(0), beside={"GLc": glc})


def visited(tuned: Readings) -> Iterator[Told]:
    """How often stages are visited, and what the one that is hardly visited learns."""
    staged = tuned.of(arm=["multistage", "published"])
    note = (
        "The published recipe for EDM (edges 2.51 and 7.66, ln σ of mean −1.2 and deviation 1.2) "
        "visits its decoders 96.1, 3.5 and 0.35 % of the time."
    )
    shares = staged.of("visits", policy="density", arm="multistage")
    yield Claim("Shares of the training rows that the stages see", shares, note=note)
    last = at_end(staged.of("loss")).last("stage").dropped("stage")
    other = last.of(policy=[p for p in POLICIES if p != "density"])
    ratio = other.against(last.of(policy="density"), np.divide, "learned", apart="policy")
    says = "Visited more often at the same objective, the stage of most noise is learned better"
    yield Claim(f"{says} (ratio of its loss)", ratio, below(1), any=True)


def drawn(density: Readings, tuned: Readings) -> Iterator[Told]:
    """Losses and distances against iterations, operations and seconds."""
    cost = {arm: some.one.mean() for arm, some in density.of("operations").by("arm")}
    pace = {arm: some.one.mean() for arm, some in density.of("pace").by("arm")}
    curves = density.of("loss", "quality").without("stage")
    steps = curves.of(arm="unified").along("step")
    whole = float(steps[-1]) if steps else 1.0
    spent = curves.named(
        spent=lambda at: at["step"] * cost[at["arm"]] / cost.get("unified", 1) / whole
    )
    elapsed = curves.named(elapsed=lambda at: at["step"] * pace[at["arm"]] / whole)
    along = (
        (curves, "step"),
        (spent.dropped("step"), "spent"),
        (elapsed.dropped("step"), "elapsed"),
    )
    yield figure(
        "multistage_loss",
        "**The training loss on held-out images** against iterations, operations and processor "
        "time, the latter two over what the unified network took; means over seeds.",
        *(Plot(some.of("loss"), x, "arm", scale="log") for some, x in along),
    )
    yield "Quality"
    yield figure(
        "multistage_quality",
        "**The Fréchet distance of samples over its floor**, against the same.",
        *(Plot(some.of("quality"), x, "arm", scale="log") for some, x in along),
    )
    yield "Stages of noise"
    yield figure(
        "multistage_stages",
        "**The same loss within each stage**, least noise first.",
        Plot(
            density.of("loss").of(stage=lambda k: True), "step", "arm", panel="stage", scale="log"
        ),
    )
    yield "Policies"
    staged = tuned.of("loss", arm="multistage").of(stage=lambda k: True)
    if len(staged.along("policy")) > 1:
        yield figure(
            "multistage_policies",
            "**Stages visited more or less often at the same objective.**",
            Plot(staged, "step", "policy", panel="stage", scale="log"),
        )


def rates(large: Readings) -> Iterator[Told]:
    """The sweep of learning rates, the same for every arm."""
    ends = at_end(large.of("loss", policy="density").without("stage")).dropped("policy")
    if len(ends.along("lr")) > 1:
        yield "Learning rates"
        yield figure(
            "multistage_rates",
            "**The loss at the end against the learning rate**, the same rates for every network.",
            Plot(ends, "lr", "arm", scale="log"),
        )


def _told(work: Work, index: int, count: int, fraction: float) -> None:
    work.tell((index + fraction) / count)
