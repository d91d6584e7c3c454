"""The curse of dimensionality, and what escapes it: samples needed against intrinsic and ambient
dimension, from kernels to networks.

The truth is x0 = U_k a with a standard normal, k one of K orthogonal subspaces of dimension d in
R^n, and a little ambient noise. Every method turns N training points into a denoiser, and all are
held to one measure at fresh points x0 + sigma n: the relative excess risk E|D - D_true|^2 /
E|D_true|^2, with the true posterior mean in closed form (Wang et al. 2024, arXiv 2409.02426). It is
0 for the truth and exists for every denoiser alike; what no denoiser can know is not in it.

What each method knows: the empirical distribution nothing; the kernel smoother nothing, but it has
the best of several bandwidths, chosen by the excess itself; the Gaussian fit nothing; the MoLRG fit
d, K, unit variances and that subspaces are orthogonal, but not which point lies where; the network,
a residual MLP on all n coordinates, nothing. It is shown at its best step, and trained to the end.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

import numpy as np
from torch import Tensor

from denoscope.data.mixtures import MixtureDraw, MixtureSetting
from denoscope.estimate import Resampled, exact, unpaired
from denoscope.fitting import estimators, growing
from denoscope.fitting.growing import CLOSED, FITS, REACH, SMOOTHERS
from denoscope.fitting.recipe import among, at_least, crowded, fraction, positive
from denoscope.metrics.crossings import as_size, together
from denoscope.metrics.growth_laws import laws_of
from denoscope.metrics.wasserstein import wasserstein
from denoscope.nearest import neighbors
from denoscope.random import derive, generator
from denoscope.readings import Quantity, Reading, Readings, collected, estimated, expanded, stored
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, crosstab, table
from denoscope.store import Row, Value
from denoscope.studies._reported import Reported
from denoscope.study import Result, Work, axis, option
from denoscope.theory.scaling import copies_needed, gaussian_needed, nearest_distance

METHODS = (*CLOSED, "network")
FITTED = [*FITS, "network", "network_end"]
READ = ("excess", "dial", "w2", "floor", "nearest")
MIDDLE_D, MIDDLE_N = 4, 48
MOST_SMOOTHED = 8
FLAT = 0.25
"""N hardly depends on n below this exponent: ten times more n take less than twice the samples."""
SETTINGS = ("sigma", "level", "noise", "draws", "largest", "probes", "compared", "seed")
RESAMPLES = 300
_SAMPLES = 7  # the place of a model's own draws below a draw's seed
LEAST: dict[str, int] = dict.fromkeys(("d", "n", "clusters", "width", "steps", "batch_size"), 1)
LEAST |= {"draws": 2, "largest": 2, "probes": 2, "compared": 4, "noise": 0}

QUANTITIES = {
    "excess": Quantity("relative excess risk", form=".3f"),
    "dial": Quantity("best bandwidth or step", interval=exact, form=".0f"),
    "w2": Quantity("W2 to fresh samples", form=".2f"),
    "floor": Quantity("W2 of two fresh samples", form=".2f"),
    "nearest": Quantity("distance to the nearest training point", form=".2f"),
    "level": Quantity("excess that must be reached", interval=exact, form=".2g"),
    "sigma": Quantity("noise level", interval=exact, form=".2g"),
    "noise": Quantity("ambient noise", interval=exact, form=".2g"),
    "needed": Quantity("training points needed, N", form=".0f"),
    "needed_end": Quantity("N needed", "to the end", exact, ".0f", "by networks at the last step"),
    "largest_tried": Quantity("largest N", interval=exact, form=".0f"),
    "excess_there": Quantity("excess there", interval=exact, form=".2g"),
    "verdict": Quantity("ln of misses", "exponential over linear", form=".2f"),
    "factor": Quantity("×", "per dimension", form=".2f", tip="N = exp(a + b d): exp(b)"),
    "straight": Quantity("points", "per dimension", form=".2f", tip="N = a + b d: b"),
    "power": Quantity("exponent", "of d", form=".2f", tip="N = exp(a) d^b: b"),
    "ambient_power": Quantity("exponent of n", form=".2f", tip="N grows as this power of n"),
    "rate": Quantity("exponent of N", form=".2f", tip="W2 falls as this power of N"),
    "ratio": Quantity("ratio", form=".2f"),
}


@dataclass(frozen=True, kw_only=True)
class DimensionScaling(Reported):
    """Samples that one method needs to come within the level of the truth, at one d, n and K."""

    version: ClassVar[int] = 2
    references: ClassVar[tuple[str, ...]] = ("wang2024", "mergergoldt2025", "karras2022")
    heading: ClassVar[str] = "Samples needed against dimension"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES

    method: str = axis("empirical", f"the denoiser: {', '.join(METHODS)}", METHODS)
    d: int = axis(MIDDLE_D, "dimension of each subspace", (1, 2, 3, 4, 6, 8, 12))
    n: int = axis(MIDDLE_N, "ambient dimension", (16, 48, 144))
    clusters: int = axis(1, "number of subspaces K", (1, 3))
    full: bool = option(
        False, f"every combination of d and n, not only those with d = {MIDDLE_D} or n = {MIDDLE_N}"
    )
    sigma: float = option(0.2, "noise level of the comparison; the subspaces have unit variance")
    level: float = option(0.05, "the relative excess risk that must be reached")
    noise: float = option(0.01, "ambient noise of the data, standard deviation per entry")
    draws: int = option(4, "random mixtures and training sets a cell")
    largest: int = option(65536, "the largest training set tried")
    probes: int = option(256, "fresh noisy points at which a denoiser is compared with the truth")
    compared: int = option(256, "points of each sample between which W2 is computed")
    width: int = option(128, "width of the networks")
    steps: int = option(800, "training steps of the networks")
    batch_size: int = option(64, "points per training step")
    lr: float = option(5e-3, "learning rate of the networks")
    seed: int = option(0, "seed of everything")

    def __post_init__(self) -> None:
        at_least(self, LEAST)
        positive(self, "sigma", "lr")
        fraction(self, "level")
        among(self, method=METHODS)

    def infeasible(self) -> str:
        if reason := crowded(self.n, clusters=self.clusters, d=self.d):
            return reason
        if self.method in SMOOTHERS and self.d > MOST_SMOOTHED:
            return (
                "the empirical distribution and kernel smoothers are measured up to "
                f"--d {MOST_SMOOTHED}"
            )
        if not self.full and self.d != MIDDLE_D and self.n != MIDDLE_N:
            return (
                f"d and n vary apart, d at --n {MIDDLE_N} and n at --d {MIDDLE_D}; "
                "--full measures every combination"
            )
        return ""

    def cost(self) -> float:
        if self.method == "network":
            members = self.draws * (math.log2(REACH) + 1)
            passes = 1e-4 * members * self.steps * self.batch_size / 64
            return passes * self.width / 64 * (0.6 + 0.4 * self.n / 48)
        if self.method in SMOOTHERS:
            count = min(self.largest, 30.0 * self.clusters * 3.4**self.d)
            smoothers = 7 if self.method == "kernel" else 1
            return 0.3 + 4e-8 * self.draws * self.probes * count * smoothers
        return 0.5 + 0.5 * self.clusters

    def drawn(self) -> list[MixtureDraw]:
        """The mixtures of this cell, each with its training points and its probes."""
        d, n, k = self.d, self.n, self.clusters
        setting = MixtureSetting(d, n, k, self.sigma, self.noise, self.probes, self.seed)
        return [MixtureDraw(setting, index) for index in range(self.draws)]

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        drawn = self.drawn()
        readings = list(self.grown(drawn, work))
        if self.method in SAMPLED:
            readings += compared(self.method, drawn, self.compared)
        if self.method == "empirical":
            sizes = readings[0].at["size"]
            readings.append(Reading("nearest", {"size": sizes}, nearest(drawn, sizes.tolist())))
        return Result(values(expanded(readings, QUANTITIES), self.level), stored(readings))

    def grown(self, drawn: Sequence[MixtureDraw], work: Work) -> Iterator[Reading]:
        """The excess on growing training sets; of networks also at their last step."""
        if self.method == "network":
            size = {name: getattr(self, name) for name in ("width", "steps", "batch_size", "lr")}
            found = growing.trained(drawn, tell=work.tell, **size)
        else:
            found = growing.grown(self.method, drawn, self.largest, self.level, work.tell)
        at = {"method": self.method, "size": found.sizes}
        yield Reading("excess", at, found.error)
        yield Reading("dial", at, found.dial)
        if found.end is not None:
            yield Reading("excess", {**at, "method": "network_end"}, found.end)

    @classmethod
    def plan(cls, cells: Sequence[Self]) -> list[list[Self]]:
        """The methods of one d, n and K in one job, networks and kernel smoothers apart."""
        jobs: dict[tuple[object, ...], list[Self]] = defaultdict(list)
        for item in cells:
            alone = item.method if item.method in ("network", "kernel") else ""
            others = (value for name, value in item.fields().items() if name != "method")
            jobs[(alone, *others)].append(item)
        return list(jobs.values())

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """Of the cells with the most common settings, with the samples that they need."""
        same = common(rows)
        read = collected(same, QUANTITIES, "d", "n", "clusters").of(*READ)
        told = {name: np.array([same[0].fields[name]]) for name in ("level", "sigma", "noise")}
        found = read.moved({"n": "ambient", "clusters": "k"})
        found += [Reading(name, {}, value) for name, value in told.items()]
        return found + needed(found.of("excess"), float(told["level"][0]))

    @classmethod
    def subtitle(cls, rows: Sequence[Row]) -> str:
        fields = common(rows)[0].fields
        return (
            f"{len(rows)} cells; relative excess risk {fields['level']} at σ = {fields['sigma']}, "
            f"{fields['draws']} draws each"
        )

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        fields, left = rows[0].fields, len(rows) - len(common(rows))
        return {
            "networks": f"MLP of width {fields['width']} with {growing.BLOCKS} blocks, EDM "
            f"preconditioning, Adam at {fields['lr']} for {fields['steps']} steps of "
            f"{fields['batch_size']}, averaged weights ({growing.AVERAGED}), "
            f"log σ ~ N(ln {fields['sigma']}, {growing.LEVEL_SPREAD}²)",
            "intervals": f"over {fields['draws']} draws of mixture, training set and probes",
            "left out": f"{left} cells with other settings" if left else "",
        }

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """The results in order; what these cells do not test is left out by itself."""
        points = found.of("needed")
        by_d, by_n = line(points, "d", "ambient"), line(points, "ambient", "d")
        laws = growth(by_d, "d")
        yield from claims(laws, by_n, found)
        yield "Samples needed"
        yield figure(
            "needed-d",
            "**Training points needed against the dimension of the subspaces**; lines without "
            "marks: theory. On this axis exponentials are straight.",
            Plot(by_d, "d", "method", panel="k", scale="log", theory=expected(by_d, found)),
        )
        yield crosstab("N needed", by_d.of(k=by_d.along("k")[:1]), "method", "d")
        yield crosstab("N needed, K largest", by_d.last("k"), "method", "d")
        yield table("Laws of growth", laws, ["k", "method"], ["factor", "straight", "power"])
        caption = "**Training points needed against the ambient dimension.**"
        yield figure("needed-n", caption, Plot(by_n, "ambient", "method", panel="k", scale="log"))
        excess = line(found.of("excess"), "d", "ambient")
        first = excess.of(k=excess.along("k")[:1]).thinned("d", 3)
        height = {"level": float(found.of("level")[0].value[0])} if first else {}
        yield "How the excess falls"
        yield figure(
            "excess",
            "**Relative excess risk against the size of the training set**, one subspace number.",
            Plot(first, "size", "method", panel="d", levels=height, scale="log"),
        )
        yield from samples(found)


def common(rows: Sequence[Row]) -> list[Row]:
    """The rows of the most common settings."""

    def setting(row: Row) -> tuple[str, ...]:
        return tuple(f"{name} {row.fields[name]}" for name in SETTINGS)

    most = Counter(map(setting, rows)).most_common(1)[0][0]
    return [row for row in rows if setting(row) == most]


SAMPLED: dict[str, Callable[[MixtureDraw, int, int], Tensor]] = {
    "empirical": lambda draw, size, count: draw.train(size).repeat(count // size, 1),
    "gaussian": lambda draw, size, count: estimators.fitted_gaussian(draw, size).sample(
        count, generator(draw.seed, _SAMPLES, size)
    ),
    "molrg": lambda draw, size, count: estimators.fitted_molrg(draw, size).sample(
        count, generator(draw.seed, _SAMPLES, size)
    ),
}


def compared(method: str, draws: Sequence[MixtureDraw], count: int) -> Iterator[Reading]:
    """W2 between ``count`` samples of the model and as many fresh ones, (sizes, draws), and of two
    fresh samples, which no model goes below on average. Sizes are powers of 4 up to ``count``.
    """
    sizes = [4**j for j in range(1, 20) if 4**j <= count]
    fresh = [draw.fresh(2 * count) for draw in draws]
    both = list(zip(draws, (x[:count] for x in fresh)))
    found = [[wasserstein(SAMPLED[method](d, n, count), x) for d, x in both] for n in sizes]
    yield Reading("w2", {"method": method, "size": np.array(sizes)}, np.array(found))
    floor = [wasserstein(x[count:], x[:count]) for x in fresh]
    yield Reading("floor", {"method": method}, np.array(floor))


def nearest(draws: Sequence[MixtureDraw], sizes: Sequence[int]) -> np.ndarray:
    """The mean distance of a fresh point to the nearest of N, (sizes, draws), no ambient noise."""
    pure = [MixtureDraw(replace(draw.setting, noise=0.0), draw.index) for draw in draws]
    found = [
        [float(neighbors(draw.clean, draw.train(size)).distance.mean()) for draw in pure]
        for size in sizes
    ]
    return np.array(found)


def values(found: Readings, level: float) -> dict[str, Value]:
    """The samples needed (+inf: not reached) with their interval, and where measuring ended."""
    made: dict[str, Value] = {}
    for r in needed(found.of("excess"), level):
        key, e = "needed_end" if r.at["method"] == "network_end" else "needed", r.value()
        made |= {key: e.value, f"{key}_low": e.low, f"{key}_high": e.high}
    last = found.of("excess", method=lambda name: name != "network_end")
    ended = {"excess_there": float(np.mean(last[-1].value))}
    return made | {"largest_tried": last.along("size")[-1]} | ended


def needed(excess: Readings, level: float) -> Readings:
    """Where the mean excess over draws is below the level for good: a first size that is below it
    already counts as needed, and one that is not reached is +inf.
    """
    rest, made = ("method", "d", "ambient", "k"), []
    for *place, some in excess.by(*rest):
        at = {name: value for name, value in zip(rest, place) if value is not None}
        sizes = some.along("size")
        units = [some.of(size=size).one for size in sizes]
        seed = derive(*(at.get(name, 0) for name in rest[1:]))  # methods share their draws
        fall = together(sizes, units, draws=RESAMPLES, seed=seed).fall(level)
        made.append(Reading("needed", at, fall.map(partial(_counted, sizes[0]))))
    return Readings(made, QUANTITIES)


def _counted(least: int, log2: np.ndarray) -> np.ndarray:
    return np.maximum(least, np.ceil(as_size(log2) - 1e-9))


def line(readings: Readings, axis: str, fixed: str) -> Readings:
    """Those along a dimension, at the value of the other that has most of it."""
    spread = {value: len(some.along(axis)) for value, some in readings.by(fixed)}
    if not spread or max(spread.values()) < 2:
        return readings.of(**{fixed: []})
    return readings.of(**{fixed: max(spread, key=lambda value: spread[value])})


def growth(points: Readings, axis: str) -> Readings:
    """The laws of N along a dimension, for every method and K with three sizes reached."""
    made = []
    for method, clusters, some in points.by("method", "k"):
        reached = [r for r in some if math.isfinite(r.value.value)]
        if len(reached) < 3:
            continue
        found = laws_of([r.at[axis] for r in reached], [r.value for r in reached])
        along_n = {"ambient_power": found["power"]}
        at = {"method": method, "k": clusters}
        made += [Reading(k, at, v) for k, v in (found if axis == "d" else along_n).items()]
    return Readings(made, QUANTITIES)


def claims(laws: Readings, by_n: Readings, found: Readings) -> Iterator[Told]:
    """Which law each method follows, and what the ambient dimension costs."""
    misses = laws.of("verdict")
    note = "ln of the misses of the best exponential over the best line, rms relative errors of N."
    says = "Kernels need exponentially many samples in the dimension of the data"
    smooth = misses.of(method=list(SMOOTHERS))
    yield Claim(says, smooth, below(0), "exponential in d", note=note)
    says = "What fits or trains needs linearly many"
    yield Claim(says, misses.of(method=FITTED), above(0), "linear in d", note=note)
    says = "The ambient dimension hardly matters (exponent of n)"
    yield Claim(says, growth(by_n, "ambient"), below(FLAT), "N depends on d, not on n")
    both = found.of("needed", method="network_end").against(
        found.of("needed", method="network"), _quotient, "ratio", apart="method"
    )
    words = "Trained to the end, networks need this many times the samples of their best step"
    yield Claim(words, line(both, "d", "ambient"))


def _quotient(end: Resampled, best: Resampled) -> Resampled:
    finite = math.isfinite(end.value) and math.isfinite(best.value)
    with np.errstate(invalid="ignore"):
        drawn = end.draws / best.draws
    return Resampled(end.value / best.value if finite else math.nan, drawn, end.n, "not reached")


def expected(by_d: Readings, found: Readings) -> Readings:
    """Theory: the empirical distribution as sigma falls to 0, the Gaussian fit to one subspace."""
    level, sigma, noise = (
        float(found.of(name)[0].value[0]) for name in ("level", "sigma", "noise")
    )
    made = []
    for method, d, ambient, k, _ in by_d.by("method", "d", "ambient", "k"):
        at = {"method": method, "d": d, "ambient": ambient, "k": k}
        if method == "empirical":
            made.append(Reading("needed", at, copies_needed(d, k, level)))
        if method == "gaussian" and k == 1:
            made.append(Reading("needed", at, gaussian_needed(d, ambient, sigma, noise, level)))
    return Readings(made, QUANTITIES)


def samples(found: Readings) -> Iterator[Told]:
    """Distances between samples: W2, and to the nearest training point."""
    w2 = line(found.of("w2"), "d", "ambient")
    falling = w2.of(method="empirical").by("d", "k") if len(w2.along("size")) > 1 else ()
    made = (Reading("rate", {"d": d, "k": k}, slopes(some)) for d, k, some in falling)
    rates = Readings(made, QUANTITIES)
    slower = rates.last("d").against(rates.first("d"), estimated(unpaired), apart="d")
    words = (
        "W2 of the empirical distribution falls more slowly in more dimensions (exponents of 1/N)"
    )
    yield Claim(words, slower.dropped("d"), below(0), beside={"By d": rates})
    fits = w2.of(method=list(FITS)).last("size").last("d")
    ratio = fits.against(found.of("floor"), np.divide, "ratio")
    yield Claim("Samples of fitted models are at this multiple of the W2 floor", ratio)
    near = line(found.of("nearest"), "d", "ambient")
    exactly = Readings((Reading(r.name, r.at, _expected_nearest(r.at)) for r in near), QUANTITIES)
    words = (
        "The distance to the nearest training point is its exact expectation (ratio, most points)"
    )
    most = near.last("size").against(exactly, np.divide, "ratio")
    yield Claim(words, most, within(0.9, 1.1), "as exact integrals have it")
    yield "Distances between samples"
    few = w2.of(k=w2.along("k")[:1]).thinned("d", 3)
    caption = "**W2 between samples of a model and fresh ones**, by the size of its training set."
    yield figure("wasserstein", caption, Plot(few, "size", "method", panel="d", scale="log"))
    shown = near.thinned("d", 6)
    yield figure(
        "nearest",
        "**Distance of a fresh point to the nearest of N training points**; lines: exact.",
        Plot(shown, "size", "d", panel="k", theory=exactly.meeting(shown), scale="log"),
    )


def slopes(w2: Readings) -> np.ndarray:
    """Minus the slope of ln W2 on ln N of each draw, (draws,)."""
    sizes = w2.along("size")
    table = np.stack([w2.of(size=size).one for size in sizes])
    return -np.polyfit(np.log(sizes), np.log(table), 1)[0]


def _expected_nearest(at: Mapping[str, int]) -> float:
    return float(nearest_distance(np.array([at["size"]]), at["d"], at["k"])[0])
