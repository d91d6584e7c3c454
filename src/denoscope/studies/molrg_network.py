"""Generic networks on mixtures of low-rank Gaussians: how many points per dimension it takes to go
from copying to generalizing.

Multilayer perceptrons or small U-Nets are trained on exactly N_k points of each of K orthogonal
subspaces of dimension d, with standard normal coefficients, and sampled by a deterministic solver
from noises that all of them share. With D(A, B) the mean over A of the squared distance to the
nearest point of B,

    GL = D(generated, train) / D(fresh, train)

is 0 for copies of training points and 1 for fresh points of the law (Wang et al. 2024, Fig. 5 and
appendix). The study measures at which N_k it crosses one half, and whether N_k/d decides: then log2
N_k at the crossing has slope 1 on log2 d, and curves of different d fall on one against N_k/d.

What lies off the subspaces is far from the training points too, so GL alone does not tell novelty
from noise. It is therefore also computed within the subspaces, all points first projected onto the
one nearest to each, and with distances that are not squared. Every cell draws its own subspaces,
training points and initialisation: runs are independent, and intervals speak about all of these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from denoscope.coordinates import name_of
from denoscope.data.mixtures import FRESH, MixtureSplit, mixture_split
from denoscope.distributions import Empirical
from denoscope.estimate import Estimate, bounded, exact, runs
from denoscope.fitting.recipe import Member, at_least, crowded, learned
from denoscope.metrics.collapse import over_dimensions, range_by_chance
from denoscope.metrics.crossings import Curve, apart
from denoscope.metrics.mixture_scores import scores
from denoscope.networks import Preconditioned
from denoscope.random import Seeds, derive
from denoscope.readings import Quantity, Reading, Readings
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, crosstab, table
from denoscope.sampling import sample
from denoscope.store import Row, Value
from denoscope.studies._trained import Learned, Model
from denoscope.study import Result, Work, axis, option
from denoscope.types import Denoiser

LEAST = {"d": 1, "n_k": 1, "seed": 0, "n": 1, "k": 1, "noise": 0, "width": 0, "samples": 2}
WIDTHS = {"mlp": 128, "unet": 32}
OVERHEAD = {"mlp": 1.0, "unet": 2.4}
"""Time of a step over that by arithmetic: images of 4 x 4 do not keep a U-Net busy."""
MEASURING = 0.5
"""Seconds per cell for its scores."""
HALF, NEAR_ONE = 0.5, 0.9
HEIGHTS = (0.25, HALF, 0.75, NEAR_ONE)
"""GL at which crossings are read."""
COPIES, NOVEL = 0.1, 0.9
"""A GL that counts as copying, and one that counts as generalizing."""
NEAR = 0.95
"""The share of energy in the nearest subspace from which on samples count as lying near one."""
PROPORTIONAL = (0.5, 1.5)
"""Powers of d nearer to proportional than to no effect of d or to its square."""
SCORES = ("gl", "gl_within", "gl_unsquared")
PARTS = dict.fromkeys(("inside", "nearest"), "energy_share")
PARTS |= dict.fromkeys(("distance", "between"), "squared")
"""What figures show together, and as which quantity."""
Z = 1.959963984540054  # half a 95 % interval of one run, in standard errors
PUBLISHED = "50 to 60 points per dimension, of a large U-Net (Fig. 5)"

QUANTITIES = {
    "gl": Quantity("GL", "", runs, ".3f", "0 copies, 1 as far from them as fresh points"),
    "gl_within": Quantity("GL", "within", runs, ".3f", "all points first projected"),
    "gl_unsquared": Quantity("GL", "unsquared", runs, ".3f", "distances not squared"),
    "gl_memorizer": Quantity("GL", "memorizer", runs, ".2g", "same noises and solver"),
    "gl_truth": Quantity("GL", "truth", runs, tip="true denoiser, same noises and solver"),
    "inside": Quantity("energy in all subspaces", "share", bounded(runs), ".3f"),
    "nearest": Quantity("energy in the nearest subspace", "share", bounded(runs), ".3f"),
    "distance": Quantity("samples to subspace", "squared", runs, ".3g"),
    "distance_fresh": Quantity("fresh points to subspace", "squared", runs, ".3g"),
    "between": Quantity("fresh to training points", "squared", runs, ".3g"),
    "energy": Quantity("energy of samples", "of the law's", runs),
    "score": Quantity("GL", interval=runs, form=".3f"),
    "energy_share": Quantity("share of the samples' energy", "", bounded(runs), ".3f"),
    "squared": Quantity("mean squared distance", "", runs, ".3g"),
    "added": Quantity("distance off the subspaces over that between points", "", runs),
    "crossing": Quantity("where GL is one half", "N_k", form=".3g"),
    "needed": Quantity("where GL is one half", "N_k/d", form=".3g"),
    "ratio": Quantity("N_k/d", "geometric mean over d", form=".3g"),
    "power": Quantity("power of d", tip="N_k at the crossing grows as it; 1: collapse"),
    "range_n": Quantity("range in N_k", "octaves", tip="largest over smallest crossing"),
    "range_ratio": Quantity("range in N_k/d", "octaves", tip="the same in units of d"),
    "narrowing": Quantity("change of the range", "octaves"),
    "chance": Quantity("range by chance", "octaves", exact, tip="by the spread of runs alone"),
}


@dataclass(frozen=True, kw_only=True)
class MolrgNetwork(Learned):
    """One network trained on its own mixture of low-rank Gaussians: all is drawn anew."""

    version: ClassVar[int] = 2
    references: ClassVar[tuple[str, ...]] = ("wang2024", "karras2022")
    heading: ClassVar[str] = "Generic networks on mixtures of low-rank Gaussians"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("d", "n_k", "seed")
    members: ClassVar[tuple[str, ...]] = ("n_k", "seed")
    fleets: ClassVar[int] = 1

    d: int = axis(4, "dimension d of each subspace", (3, 4, 5, 6))
    n_k: int = axis(64, "training points N_k of each subspace", (4, 16, 32, 64, 128, 256, 512))
    seed: int = axis(0, "subspaces, training points, initialisation, batches and noise", (0, 1, 2))
    n: int = option(48, "dimension of the space; the U-Net sees 48 numbers as 3 x 4 x 4")
    k: int = option(2, "number of subspaces K, orthogonal to each other")
    noise: float = option(0.0, "standard deviation of ambient noise on every entry of the data")
    net: str = option("mlp", "network", ("mlp", "unet"))
    width: int = option(0, "width of the network; 0: 128 for the mlp, 32 for the unet")
    steps: int = option(4000, "training steps")
    level_mean: float = option(-1.2, "mean of log sigma in training")

    def __post_init__(self) -> None:
        at_least(self, LEAST)
        self.recipe()
        self.shape()

    def infeasible(self) -> str:
        return crowded(self.n, k=self.k, d=self.d)

    def cost(self) -> float:
        recipe = self.recipe()
        sampled = recipe.evaluations(self.samples)
        return OVERHEAD[self.net] * recipe.seconds(self.shape(), sampled) + MEASURING

    def wide(self) -> int:
        return self.width or WIDTHS.get(self.net, 1)

    def shape(self) -> tuple[int, ...]:
        """The shape in which the network sees n numbers: a vector, or for the U-Net the image of
        fewest channels, 3 x 4 x 4 for n = 48; an n without a square factor is a ValueError.
        """
        if self.net == "mlp":
            return (self.n,)
        side = next(side for side in range(math.isqrt(self.n), 0, -1) if self.n % side**2 == 0)
        if side == 1:
            raise ValueError(
                f"--n {self.n} is no channels x side x side with a side of at least 2, which --net "
                "unet needs; take 48 = 3 x 4 x 4"
            )
        return (self.n // side**2, side, side)

    def spread(self) -> float:
        """Standard deviation of an entry of the data."""
        return math.sqrt(self.d / self.n + self.noise**2)

    def run_seed(self) -> int:
        """The seed of everything random in this cell, another for every cell of a sweep."""
        return derive(self.seed, self.n, self.k, self.d, self.n_k)

    def data(self) -> MixtureSplit:
        """The data, made once per process: no two cells of a sweep share any of them."""
        return mixture_split(self.run_seed(), self.n, self.k, self.d, self.n_k, self.noise)

    def denoiser(self) -> Preconditioned:
        return self.recipe().denoiser(self.shape(), self.spread(), derive(self.run_seed(), 3))

    @classmethod
    def learned(cls, cells: Sequence[Any], work: Work) -> Iterator[Model]:
        first, sets = cells[0], [item.data().train.float() for item in cells]
        rows = torch.arange(sum(map(len, sets))).split([len(points) for points in sets])
        seeds = [item.run_seed() for item in cells]
        return learned(
            first.recipe(),
            [Member(own, derive(s, 3), derive(s, 4)) for own, s in zip(rows, seeds)],
            torch.cat(sets).reshape(-1, *first.shape()),
            first.spread(),
            noises(first.samples, first.n).reshape(-1, *first.shape()),
            device=work.device,
            checkpoint=work.checkpoint,
            tell=work.tell,
        )

    def measured(self, net: Denoiser, generated: Tensor) -> Result:
        return Result(self.scored(generated))

    def scored(self, generated: Tensor) -> Mapping[str, Value]:
        """Every value of a cell from its samples (samples, n), beside the samples that memorizer
        and truth make of the same noises with the networks' solver.
        """
        data, sigmas = self.data(), self.recipe().sigmas()
        start = float(sigmas[0]) * noises(self.samples, self.n).double()
        closed = {"memorizer": Empirical(data.train), "truth": data.truth}
        drawn = {who: sample(D, start, sigmas) for who, D in closed.items()}
        return scores(data, generated.flatten(1), drawn)

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """Every value with its runs as units, where scores cross, what figures show together."""
        read = (r for r in super().found(rows) if math.isfinite(r.value.value))
        single = Readings(read, QUANTITIES).map(as_run)
        added = single.of("distance").against(single.of("between"), quotient, "added")
        found = (single + added).joined("seed")
        parts = [found.of(of).named(name, part=of) for of, name in PARTS.items()]
        some = [found.of(name).named("score", score=name) for name in SCORES]
        found = sum([*parts, *some], found)
        return found + crossings(found.of("score"))

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        yield from points_a_dimension(found)
        yield from transition(found)
        yield "The transition"
        yield transition_figure(found)
        yield figure(
            "half_points",
            "**How many points per dimension it takes**: N_k/d at which GL crosses each height, of "
            "all distances and within the subspaces, where noise off them does not pass for "
            "novelty. Flat: N_k/d decides; halving with every doubling of d: N_k alone decides.",
            Plot(
                within_sizes(found.of("needed", score=["gl", "gl_within"])),
                "d",
                color="height",
                panel="score",
                y="N_k/d at the crossing",
                levels={"published: GL about 1": 55},
                scale="log",
            ),
        )
        yield "Novelty or noise"
        yield from controls(found)
        yield "Crossings"
        names = ["ratio", "power", "range_n", "range_ratio"]
        yield table("Where the curves cross", found, ["score", "height"], names)
        for score, some in found.of("needed").by("score"):
            yield crosstab(f"By dimension, {name_of('score', score)}", some, "height", "d")

    @classmethod
    def subtitle(cls, rows: Sequence[Row]) -> str:
        fields = rows[0].fields
        return f"{fields['net']}: n = {fields['n']}, K = {fields['k']}; {super().subtitle(rows)}"

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        fields: dict[str, Any] = {**rows[0].fields}
        cell = cls(**fields)
        return {
            "data": f"{cell.k} random subspaces, orthogonal to each other, in {cell.n} dimensions, "
            f"unit variances, ambient noise {cell.noise}; N_k training points and {FRESH} fresh "
            "points of each",
            "network": f"{cell.net} of width {cell.wide()} on "
            f"{' × '.join(map(str, cell.shape()))} numbers, preconditioned as EDM at the spread of "
            "the data",
        }


@lru_cache(maxsize=4)
def noises(samples: int, n: int) -> Tensor:
    """Standard normal noise that all models are sampled from, (samples, n), row i from seed i."""
    return Seeds(range(samples)).randn((n,))


# ---- runs and crossings


def as_run(e: Estimate) -> np.ndarray:
    """One run, (1, 2): its value and the standard error of sampling."""
    return np.array([[e.value, (e.high - e.low) / (2 * Z)]])


def quotient(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.array([[one[0, 0] / other[0, 0], 0.0]])


def crossings(gl: Readings) -> Readings:
    """Where the isotonic fit of a score on log2 N_k first reaches a height, by d and over d."""
    found: list[Reading] = []
    for score, some in gl.by("score"):
        curves = {d: curve(part, d) for d, part in some.by("d")}
        for height in HEIGHTS:
            points = {d: of.rise(height) for d, of in curves.items()}
            at = {"score": score, "height": height}
            for d, point in points.items():
                found.append(Reading("crossing", {**at, "d": d}, point.map(np.exp2)))
                per_d = point.map(lambda log2, d=d: np.exp2(log2) / d)
                found.append(Reading("needed", {**at, "d": d}, per_d))
            found += [Reading(name, at, value) for name, value in over_dimensions(points).items()]
            if len(points) > 1:
                found.append(Reading("chance", at, range_by_chance(points)))
    return Readings(found, QUANTITIES)


def curve(part: Readings, d: int) -> Curve:
    sizes = part.along("n_k")
    return apart(sizes, [part.of(n_k=size).one for size in sizes], seed=d, own=d)


def within_sizes(found: Readings) -> Readings:
    """Crossings that lie within the sizes."""
    made = found.estimates()
    return Readings((r for r in made if 0 < r.value.value < math.inf), QUANTITIES)


# ---- what is claimed


def points_a_dimension(found: Readings) -> Iterator[Claim]:
    def at(name: str, score: str = "gl", height: float = HALF) -> Readings:
        return found.of(name, score=score, height=height)

    yield Claim(
        "Points per dimension decide: N_k at a GL of one half grows in proportion to d "
        "(power of d)",
        at("power"),
        within(*PROPORTIONAL),
        "curves of d = 3 to 6 fall on one against N_k/d, Fig. 5",
        beside={
            f"where GL is {NEAR_ONE:g}": at("power", height=NEAR_ONE),
            "within the subspaces": at("power", "gl_within"),
        },
    )
    yield Claim(
        "Counted in points per dimension, the curves draw together at one half (range over d)",
        at("narrowing"),
        below(0),
        "curves collapse against N_k/d, Fig. 5",
        beside={
            "range in N_k": at("range_n"),
            "range in N_k/d": at("range_ratio"),
            "range that training runs alone would make": at("chance"),
            f"in N_k where GL is {NEAR_ONE:g}": at("range_n", height=NEAR_ONE),
            f"in N_k/d where GL is {NEAR_ONE:g}": at("range_ratio", height=NEAR_ONE),
            "within the subspaces, in N_k": at("range_n", "gl_within"),
            "within the subspaces, in N_k/d": at("range_ratio", "gl_within"),
        },
    )
    yield Claim(
        "Points per dimension for a GL of one half, geometric mean over d",
        at("ratio"),
        beside={
            "N_k/d": at("needed"),
            "N_k": at("crossing"),
            "within the subspaces": at("ratio", "gl_within"),
            "within the subspaces, N_k/d": at("needed", "gl_within"),
        },
    )
    yield Claim(
        f"Points per dimension for a GL of {NEAR_ONE:g}, geometric mean over d",
        at("ratio", height=NEAR_ONE),
        published=PUBLISHED,
        beside={
            "N_k/d": at("needed", height=NEAR_ONE),
            "within the subspaces": at("ratio", "gl_within", NEAR_ONE),
            "within the subspaces, N_k/d": at("needed", "gl_within", NEAR_ONE),
        },
        note="Network, training and score all move this number; the published one is where the "
        "curves of a large U-Net come to about 1.",
    )


def transition(found: Readings) -> Iterator[Claim]:
    gl = found.of("gl")
    yield Claim("With the fewest points the networks copy", gl.first("n_k"), below(COPIES))
    yield Claim("With the most points they generalize", gl.last("n_k"), above(NOVEL))
    yield Claim(
        "With the most points samples lie near one subspace (share of their energy)",
        found.of("nearest").last("n_k"),
        above(NEAR),
        beside={
            QUANTITIES[name].label: found.of(name).last("n_k")
            for name in ("inside", "distance", "distance_fresh", "between", "added", "energy")
        },
        note="Squared distance off the subspaces over that between fresh and training points is "
        "about what leaving the subspaces adds to GL.",
    )
    words = "From the same noises and solver, the closed-form memorizer copies"
    yield Claim(words, found.of("gl_memorizer"), below(COPIES))
    yield Claim("and the true denoiser generalizes", found.of("gl_truth"), above(NOVEL))


# ---- what is drawn


def transition_figure(found: Readings) -> Told:
    """GL of every dimension against N_k, and again against N_k/d."""
    gl, half = found.of("score", score="gl"), found.of(score="gl", height=HALF)
    references = {"memorizer": "gl_memorizer", "true denoiser": "gl_truth"}
    levels = {who: average(found.of(name)) for who, name in references.items()}
    same = {"color": "d", "levels": levels, "limits": limits(gl)}
    caption = (
        "**From copying to generalizing**: GL against the training points of each subspace, and "
        "against these over d, where curves fall on one if N_k/d decides. Bands: 95 % over "
        "training runs; open points: GL is one half."
    )
    return figure(
        "transition",
        caption,
        Plot(gl, "n_k", markers=half.of("crossing"), **same),
        Plot(
            gl.named(ratio=lambda at: float(f"{at['n_k'] / at['d']:.3g}")),
            "ratio",
            markers=half.of("needed"),
            positions={"published: GL about 1 at 50 to 60": 55},
            **same,
        ),
    )


def average(found: Readings) -> float:
    return float(np.mean([r.value[:, 0].mean() for r in found]))


def limits(gl: Readings) -> tuple[float, float]:
    """From below 0 to above the largest mean, at most 2.5: curves beyond are far from the law."""
    largest = max((r.value[:, 0].mean() for r in gl), default=0.0)
    return -0.08, float(min(2.5, max(1.3, 0.1 + largest)))


def controls(found: Readings) -> Iterator[Told]:
    other = found.of("score", score=["gl_within", "gl_unsquared"])
    yield figure(
        "controls",
        "**The same curves by two other scores**: samples, fresh and training points projected "
        "onto the subspace nearest to each before distances are taken; and mean distances instead "
        "of mean squared ones. Bands: 95 % over training runs.",
        Plot(
            other,
            "n_k",
            color="d",
            panel="score",
            levels={"as fresh points": 1.0, "one half": HALF},
            limits=limits(other),
        ),
    )
    yield figure(
        "places",
        "**Where the samples lie**: the share of their squared length in the span of all true "
        "subspaces, and in the one nearest to each sample; and their mean squared distance to the "
        "nearest subspace beside that of fresh points to the nearest training point, the "
        "denominator of GL: where the first is no longer small beside the second, GL exceeds 1 by "
        "noise and not by novelty.",
        Plot(found.of("energy_share"), "n_k", "d", "part", title="Energy in the true subspaces"),
        Plot(found.of("squared"), "n_k", "d", "part", title="Distance to the truth", scale="log"),
    )
