"""At which noise levels a denoiser needs its parameters.

Networks of growing width are trained alike and asked, level by level, by how much their error on
held-out images exceeds that of the widest one, the *reference*. Error is not quality, so each
network also takes the reference's place in one stage of levels while it samples (the swap test of
Zhang et al. 2024, multistage framework, section 3): Fréchet distance and copies then say what that
stage's capacity is worth. The paper gives fewer channels to more noise; the rank of the Jacobian,
which is the number of directions that a denoiser keeps, is high at both ends. The parameters that a
level needs, so many that the error is within 5 % of the reference's, are compared with that rank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from denoscope.estimate import Estimate, exact, mean
from denoscope.fitting.recipe import at_least, learned
from denoscope.geometry.distances import denoising_errors
from denoscope.geometry.ranks import numerical_rank
from denoscope.metrics.copying import excess
from denoscope.metrics.crossings import crossing, together
from denoscope.networks import MultiStage, best_size, switched
from denoscope.readings import Quantity, Reading, Readings, stored
from denoscope.report.claims import Claim, above, below
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, crosstab, table
from denoscope.studies._subject import Subject
from denoscope.studies._trained import Trained
from denoscope.study import Result, Work, alike, axis, option
from denoscope.types import Denoiser

LEVELS = np.geomspace(0.02, 20.0, 13)
STAGES = ("low", "intermediate", "high")
LITTLE, MUCH = 0.02, 0.10
"""Of the error: what a level hardly notices, and what it does."""
ENOUGH = 0.05
POINTS = 8
STEP = 0.002  # seconds of one core that a step takes whatever the width
_TRAINING = 0.85


def correlation(values: Any, level: float = 0.95) -> Estimate:
    """The mean of correlations by t, which never leaves [-1, 1]."""
    e = mean(values, level)
    return replace(e, low=max(-1.0, e.low), high=min(1.0, e.high))


QUANTITIES = {
    "error": Quantity("squared error", "per pixel", form=".3g", tip="held-out images"),
    "cost": Quantity("error", "above the reference's, share", form=".3f"),
    "quality": Quantity("Fréchet distance", "over its floor", form=".3g"),
    "glc": Quantity("GLc", tip="calibrated generalization: 1 none is copied, 0 all are"),
    "swapped": Quantity("Fréchet distance", "over the reference's own", form=".2f"),
    "parameters": Quantity("parameters", interval=exact, form=".3g"),
    "needed": Quantity("parameters for an error within 5 %", form=".3g"),
    "rank": Quantity("numerical rank", "directions", form=".1f", tip="99 % of the energy"),
    "level": Quantity("noise level σ", form=".2g"),
    "along": Quantity("rank correlation over levels", interval=correlation),
}


@dataclass(frozen=True, kw_only=True)
class CapacityByNoise(Trained):
    """One network beside the reference of its seed."""

    references: ClassVar[tuple[str, ...]] = ("zhang2024stages", "karras2022", "wang2024")
    heading: ClassVar[str] = "Where a denoiser needs its parameters"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("n", "width", "seed")

    n: int = axis(1024, "training images")
    width: int = axis(64, "width of the network; the reference is the widest", (8, 16, 32, 64))
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1, 2, 3, 4, 5))
    reference: int = option(64, "width of the reference")
    edges: tuple[float, ...] = option((0.6, 5.7), "rising σ between three stages")
    net: str = option("film", "network", ("film", "mlp", "unet", "uvit", "conv"))
    samples: int = option(200, "samples drawn from each model, from the same noises")
    solver_steps: int = option(12, "steps of Heun's method")

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, {"reference": self.width})
        if len(self.edges) != len(STAGES) - 1:
            given = " ".join(map(str, self.edges))
            raise ValueError(f"--edges {given}: three stages have two levels between them")
        MultiStage((1, 4, 4), self.edges, [1] * len(STAGES))

    def infeasible(self) -> str:
        return self.unfloored() or super().infeasible()

    def estimated(self, *, trained: bool) -> float:
        asked = 3 * self.recipe().evaluations(self.samples) + self.held * len(LEVELS)
        asked += 2 * POINTS * len(LEVELS) * math.prod(self.where().images().shape)
        seconds = self.recipe().seconds(self.where().images().shape, asked, trained=trained)
        return seconds + STEP * self.steps * trained

    @classmethod
    def plan(cls, cells: Sequence[Any]) -> list[list[Any]]:
        """All widths of a seed together, since they share the reference, and as many seeds as pay
        in a fleet.
        """
        jobs = []
        for some in alike(cells, "seed", "width"):
            size = best_size(max(some, key=lambda cell: cell.width).denoiser())
            runs = alike(some, "width")
            fleets = (runs[start : start + size] for start in range(0, len(runs), size))
            jobs += [[cell for run in fleet for cell in run] for fleet in fleets]
        return jobs

    @classmethod
    def batch(cls, cells: Sequence[Any], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the reference and every other width once a seed, then measures each."""
        seeds = list(dict.fromkeys(c.seed for c in cells))
        widths = dict.fromkeys([*(c.width for c in cells), cells[0].reference])
        made = {}
        for index, width in enumerate(widths):
            fleet = [replace(cells[0], width=width, seed=seed) for seed in seeds]
            trained = cls.networks(fleet, work, partial(_told, work, index, len(widths)))
            made |= {(width, seed): found for seed, found in zip(seeds, trained)}
        for index, cell in enumerate(cells):
            (D, why), (reference, stopped) = (
                made[width, cell.seed] for width in (cell.width, cell.reference)
            )
            found = {"stopped": why or stopped} if why or stopped else {}
            yield cell, Result(found) if found else cell.beside(D, reference)
            work.tell(_TRAINING + (1 - _TRAINING) * (index + 1) / len(cells))

    @classmethod
    def networks(
        cls, cells: Sequence[Self], work: Work, tell: Callable[[float], None]
    ) -> Iterator[tuple[nn.Module, str]]:
        """The trained networks of one width, and why their training stopped, if it did."""
        first, where = cells[0], cells[0].where()
        for net, _, stopped in learned(
            first.recipe(),
            [cell.member() for cell in cells],
            where.images().data,
            where.spread(),
            first.noise()[:1],
            device=work.device,
            checkpoint=work.folder and work.folder / f"width-{first.width}.safetensors",
            tell=tell,
        ):
            yield net.requires_grad_(False), stopped

    def beside(self, D: nn.Module, reference: Denoiser) -> Result:
        """Every reading: one number a run."""
        where = self.where()
        error = denoising_errors(D, where.unseen(), LEVELS).mean(1).numpy()
        found = [Reading("error", {"sigma": LEVELS}, error[:, None])]
        count = sum(p.numel() for p in D.parameters())
        found.append(Reading("parameters", {}, exact([count])))
        for regime, made in self.made(D, reference):
            for name, value in self.asked(made).items():
                found.append(Reading(name, regime, [value]))
        if self.width == self.reference:
            found.append(Reading("rank", {"sigma": LEVELS}, self.ranks(D)[:, None]))
        own = {r.name: r.value[0] for r in found if r.name in ("quality", "glc") and not r.at}
        return Result({**own, "parameters": count}, stored(found))

    def made(self, D: Denoiser, reference: Denoiser) -> Iterator[tuple[dict[str, str], Tensor]]:
        """Samples of the network, and of the reference with the network in one stage."""
        ends = (0.0, *self.edges, np.inf)
        denoisers: list[tuple[dict[str, str], Denoiser]] = [({}, D)]
        if self.width < self.reference:
            for regime, low, high in zip(STAGES, ends, ends[1:]):
                denoisers.append(({"regime": regime}, switched(D, reference, low, high)))
        for at, some in denoisers:
            yield at, Subject(some, self.where(), self.samples, self.solver_steps).samples()

    def asked(self, made: Tensor) -> dict[str, float]:
        """Quality and copies of samples."""
        where = self.where()
        gen, train, test = (x.flatten(1) for x in (made, where.train(), where.unseen()))
        return {"quality": self.quality(made), "glc": 1 - excess(gen, train, test).value}

    def ranks(self, D: Denoiser) -> np.ndarray:
        """The mean numerical rank of the Jacobian at noisy held-out images, by level."""
        subject = Subject(D, self.where())
        return np.array([self.rank(D, subject.noisy("test", POINTS, s), s) for s in LEVELS])

    @staticmethod
    def rank(D: Denoiser, points: Tensor, level: float) -> float:
        """The mean over points (b, c, h, w) at one level."""
        found = numerical_rank(D, points, torch.full((len(points),), level).to(points))
        return float(found.rank.double().mean())

    @classmethod
    def found(cls, rows: Sequence[Any]) -> Readings:
        """One unit a run."""
        every = super().found(rows)
        counts = every.of("parameters").of(seed=every.along("seed")[:1]).dropped("seed")
        return every.of("error", "quality", "glc", "rank").joined("seed") + counts

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """The results in order; what these cells do not test is left out by itself."""
        widest = found.along("width")[-1]
        error, quality = found.of("error"), found.of("quality")
        cost = error.against(error.of(width=widest), _above, "cost", apart="width")
        cost = cost.of(width=lambda w: w < widest)
        own = quality.without("regime").of(width=widest)
        swapped = quality.of(regime=list(STAGES))
        swapped = swapped.against(own, np.divide, "swapped", apart="width")
        every = needed(error, found.of("parameters")) + found.of("rank").dropped("width")
        yield from narrow(cost, swapped, f"Widths {cost.along('width')} beside {widest}.")
        yield from followed(every)
        yield from drawn(cost, swapped, every)
        yield "Numbers"
        yield crosstab("Cost of a width", cost, "sigma", "width")
        yield table("Samples", found, ["n", "width", "regime"], ["quality", "glc", "parameters"])


def _told(work: Work, index: int, count: int, fraction: float) -> None:
    work.tell(_TRAINING * (index + fraction) / count)


def _above(mine: Any, theirs: Any) -> np.ndarray:
    return np.asarray(mine) / np.asarray(theirs) - 1


def needed(error: Readings, counts: Readings) -> Readings:
    """How many parameters bring the error at a level within 5 % of the widest network's, between
    widths on the line in the logarithm of both; those of the narrowest where that is within.
    """
    widths = error.along("width")
    size = np.log([float(counts.of(width=w).estimates().one.value) for w in widths])

    def least(errors: np.ndarray) -> float:
        over = np.log(np.maximum.accumulate((errors / errors[-1])[::-1]))
        return float(np.exp(np.interp(np.log1p(ENOUGH), over, size[::-1])))

    found = []
    for sigma, some in error.by("sigma") if len(widths) > 1 else ():
        runs = np.stack([some.of(width=w).one for w in widths])
        value = np.array([least(run) for run in runs.T])
        found.append(Reading("needed", {"sigma": sigma}, value))
    return Readings(found, QUANTITIES)


def narrow(cost: Readings, swapped: Readings, note: str) -> Iterator[Told]:
    """What the narrowest network costs, level by level and in samples."""
    quarter = cost.first("width") or cost
    says = "There are levels at which the narrowest network costs less than 2 % of the error"
    low = [s for s in cost.along("sigma") if s < 1]
    ends = {
        f"The σ from which on it costs less than {100 * share:g} %": quarter.across(
            "sigma", partial(crossing, curve=together, height=share, falling=True), "level"
        )
        for share in (LITTLE, MUCH)
    }
    yield Claim(says, quarter, below(LITTLE), any=True, beside=ends, note=note)
    says = "There are levels at which it costs more than 10 %"
    yield Claim(says, quarter, above(MUCH), any=True, beside={"Every width": cost.largest("sigma")})
    more = quarter.of(sigma=low).over("sigma")
    less = quarter.of(sigma=lambda s: s >= 10).over("sigma")
    says = "It costs more at little noise than at much (σ < 1 less σ ≥ 10)"
    yield Claim(says, more.against(less), above(0), "low noise needs parameters, high does not")
    says = (
        "At much noise it may take the reference's place while sampling (Fréchet distances, ratio)"
    )
    beside = {"In each stage": swapped}
    at = (swapped.first("width") or swapped).of(regime="high")
    yield Claim(says, at, below(1.1), "swap test", beside=beside)


def followed(every: Readings) -> Iterator[Told]:
    """Whether the parameters that a level needs are the directions that it keeps."""
    size, rank = every.of("needed"), every.of("rank")
    levels = size.along("sigma")
    found = []
    if levels and rank:
        pairs = ([some.of(sigma=s).one for s in levels] for some in (size, rank))
        runs = zip(*(np.stack(values).T for values in pairs))
        found = [Reading("along", {}, np.array([spearmanr(*run)[0] for run in runs]))]
    says = "The parameters that a level needs rise and fall with the Jacobian's rank (correlation)"
    yield Claim(says, Readings(found, QUANTITIES), above(0.5))


def drawn(cost: Readings, swapped: Readings, every: Readings) -> Iterator[Told]:
    """Costs and parameters over levels; samples by stage."""
    marks = {f"{100 * share:g} %": share for share in (LITTLE, MUCH)}
    yield figure(
        "capacity_by_noise",
        "**What narrower networks cost, level by level**: held-out error above the widest one's; "
        "means over seeds. Beside it how many parameters bring the error within 5 % of it, and the "
        "numerical rank of the widest one's Jacobian.",
        Plot(cost, "sigma", "width", levels=marks),
        Plot(every.of("needed"), "sigma", scale="log"),
        Plot(every.of("rank"), "sigma", scale="log"),
    )
    yield "Swapped while sampling"
    yield figure(
        "capacity_by_noise_swaps",
        "**Samples of the widest network with a narrower one in its place in one stage**: the "
        "Fréchet distance over its own.",
        Plot(swapped, "width", panel="regime", levels={"its own": 1.0}),
    )
