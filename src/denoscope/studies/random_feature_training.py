"""Why a network learns before it memorizes: random features trained on noised Gaussian data,
simulated, beside their theory.

The spectrum of the feature matrix U has a bulk of the population's, which is learned within the
relaxation time of its low end whatever the number of points n, and for p > n one of the single
training points, whose low end is learned later by a factor of order n/d (Bonnaire et al. 2025).
With m noises per point instead of all, the loss on new points peaks at p = n m (Urfin et al. 2026).
Matrices are those of finite d with the noise averaged exactly or drawn; the theory is for large d,
so that what is left between them shrinks with d.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from denoscope.estimate import Estimate, Resampled, exact, mean, share
from denoscope.fitting.recipe import at_least, positive
from denoscope.fitting.simulated_features import SimulatedFeatures, simulated
from denoscope.metrics.crossings import apart, joint, slope
from denoscope.random import derive
from denoscope.readings import Quantity, Reading, Readings, stored
from denoscope.report.claims import Claim, above, within
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.studies._reported import Reported
from denoscope.study import Result, Work, axis, option
from denoscope.theory.random_features import (
    atom,
    density,
    generalization_bulk,
    losses,
    memorization_bulk,
    relaxation_time,
    support,
)

TAUS = np.geomspace(1.0, 1e6, 73)
BINS = 60
EDGE = 0.05
"""An eigenvalue is outside where it is farther than this share of its value from every bulk."""
CLOSE, ERRORS = 0.02, 3
SMALL = 0.1  # losses below are compared with this

QUANTITIES = {
    "loss": Quantity("loss", "per dimension", form=".4f", tip="simulated, at the minimum"),
    "predicted": Quantity("loss", "per dimension", exact, ".4f", "theory, large d"),
    "miss": Quantity("simulation less theory", "of theory", form=".2%"),
    "allowance": Quantity("miss", "of what is allowed", exact, tip="3 standard errors, or 2 %"),
    "course": Quantity("loss", "per dimension", form=".4f", tip="along gradient flow"),
    "spectrum": Quantity("density of ln λ", interval=mean, form=".3g", tip="simulated"),
    "law": Quantity("density of ln λ", interval=exact, form=".3g", tip="theory"),
    "outside": Quantity("outside the bulks", "share of eigenvalues", form=".2%"),
    "learned": Quantity("population learned", "τ", exact, ".3g", "relaxation time, theory"),
    "memorized": Quantity("points memorized", "τ", exact, ".3g", "relaxation time, theory"),
    "best": Quantity("least loss on new points", "τ", form=".3g"),
    "parted": Quantity("half of the final gap", "τ", form=".3g"),
    "after": Quantity("best time over that of learning", form=".3g"),
    "before": Quantity("time of memorization over the best", form=".3g"),
    "exponent": Quantity("exponent in n/d"),
    "peak": Quantity("p at the peak over n m"),
}


@dataclass(frozen=True, kw_only=True)
class RandomFeatureTraining(Reported):
    """Several random-feature models of one size, their losses and spectra."""

    references: ClassVar[tuple[str, ...]] = ("bonnaire2025", "george2025", "urfin2026")
    heading: ClassVar[str] = "Learning before memorizing, in random features"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("features", "per_d", "noises")

    features: float = axis(8.0, "features per dimension, p/d", (1, 2, 4, 6, 8, 12, 16, 24))
    per_d: float = axis(4.0, "training points per dimension, n/d", (2, 4, 8))
    noises: int = axis(0, "noises per training point; 0: averaged exactly", (0, 1, 2))
    d: int = option(64, "dimension of the data")
    draws: int = option(5, "models per cell: features and points of their own")
    time: float = option(0.1, "noise: time of the Ornstein-Uhlenbeck process")
    ridge: tuple[float, ...] = option((1e-3, 0.1), "ridges, added to the feature matrix")
    seed: int = option(0, "seed of the draws")

    def __post_init__(self) -> None:
        at_least(self, {"noises": 0, "d": 2, "draws": 2, "seed": 0})
        positive(self, "features", "per_d", "time")
        if not self.ridge or min(self.ridge) <= 0:
            raise ValueError(f"--ridge {self.ridge}: must be positive numbers")

    def sizes(self) -> tuple[int, int]:
        """Numbers of features p and of points n."""
        return max(1, round(self.features * self.d)), max(1, round(self.per_d * self.d))

    def infeasible(self) -> str:
        p = self.sizes()[0]
        return f"--features {self.features}: {p} features are too many" if p > 20_000 else ""

    def cost(self) -> float:
        p, n = self.sizes()
        return self.draws * (1e-9 * p**3 + 1e-10 * p * p * n * max(12, self.noises) + 0.05)

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        p, n = self.sizes()
        made = []
        for index in range(self.draws):
            work.tell(index / self.draws)
            source = np.random.default_rng(derive(self.seed, p, n, self.noises, index))
            made.append(self.asked(simulated(self.d, p, n, self.time, self.noises, source)))
        each = [
            Reading(same[0].name, same[0].at, np.stack([r.value for r in same], -1))
            for same in zip(*made)
        ]
        found = [*each, *self.theory(p / self.d, n / self.d)]
        outside = next(r for r in found if r.name == "outside")
        return Result({"outside": mean(outside.value)}, stored(found))

    def asked(self, features: SimulatedFeatures) -> list[Reading]:
        """Losses at every ridge, along the flow, and the spectrum, of one model."""
        values = features.modes[0]
        fits = np.array([features.fitted(ridge) for ridge in self.ridge])
        flow = np.array([features.trained(tau) for tau in TAUS])
        at, grid = {"ridge": np.array(self.ridge)}, self.grid()
        counts = np.histogram(np.log(np.maximum(values, grid[0])), np.log(grid))[0]
        found = [Reading("loss", {"loss": k, **at}, fits[:, i]) for i, k in enumerate(_LOSSES)]
        found += [
            Reading("course", {"loss": k, "flow": TAUS}, flow[:, i]) for i, k in enumerate(_LOSSES)
        ]
        gap = np.maximum.accumulate(flow[:, 1] - flow[:, 0])
        found += [
            Reading("best", {}, np.exp(vertex(np.log(TAUS), -flow[:, 1][None])[0])),
            Reading("parted", {}, np.exp(np.interp(gap[-1] / 2, gap, np.log(TAUS)))),
            Reading("outside", {}, np.array(outside(values, *self.bulks()))),
        ]
        centres = np.sqrt(grid[1:] * grid[:-1])
        share = counts / len(values) / np.diff(np.log(grid))
        return [*found, Reading("spectrum", {"eigenvalue": centres}, share)]

    def model(self) -> dict[str, Any]:
        """Time and noises as the theory takes them."""
        return {"time": self.time, "noises": self.noises or math.inf}

    def bulks(self) -> tuple[float, np.ndarray]:
        """The weight of the atom, and the bulks (k, 2), by theory."""
        p, n = self.sizes()
        return _bulks(p / self.d, n / self.d, self.time, self.noises or math.inf)

    def grid(self) -> np.ndarray:
        """Edges of the bins of the spectrum."""
        return np.geomspace(1e-3, 4 * self.features + 10, BINS + 1)

    def theory(self, p: float, n: float) -> Iterator[Reading]:
        """The same of large d, and the relaxation times of the low ends of both bulks."""
        fitted = losses(p, n, ridge=np.array(self.ridge), **self.model())
        for kind in _LOSSES:
            at = {"loss": kind, "ridge": np.array(self.ridge)}
            yield Reading("predicted", at, getattr(fitted, kind)[:, None])
        centres = np.sqrt(self.grid()[1:] * self.grid()[:-1])
        law = density(centres, p, n, **self.model()) * centres
        yield Reading("law", {"eigenvalue": centres}, law[:, None])
        lows = {
            "learned": generalization_bulk(p, self.time)[0],
            "memorized": memorization_bulk(p, n, self.time)[0],
        }
        for name, low in lows.items():
            yield Reading(name, {}, np.array([relaxation_time(low, p, self.time)]))

    @classmethod
    def subtitle(cls, rows: Sequence[Any]) -> str:
        fields = rows[0].fields
        return f"{len(rows)} cells of {fields['draws']} models at d = {fields['d']}"

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """The results in order; what these cells do not test is left out by itself."""
        full = found.of(noises=0)
        wide = widest(full)
        yield from times(wide)
        yield from agreement(found)
        yield from peaks(found)
        yield figure(
            "random_feature_training_course",
            "**Losses along gradient flow**, most features, noise averaged exactly; marked are the "
            "relaxation times of the low ends of the two bulks, by theory.",
            Plot(
                wide.of("course"),
                "flow",
                "loss",
                panel="per_d",
                markers=wide.of("learned", "memorized"),
                height=0.95,
                limits=(0.2, 2.2),
            ),
        )
        yield "The spectrum of the feature matrix"
        yield figure(
            "random_feature_training_spectrum",
            "**The spectrum of the feature matrix U**, most features: a bulk of the training "
            "points, and one of the population to its right. The peak to the left are the "
            "eigenvalues that no data reach, an atom that theory's line leaves out.",
            Plot(
                wide.of("spectrum").named(source="simulation"),
                "eigenvalue",
                "source",
                panel="per_d",
                theory=wide.of("law").named(source="theory"),
            ),
        )
        yield "Losses against the number of features"
        yield figure(
            "random_feature_training_losses",
            "**Losses at the smallest ridge**, simulated (marks) and by theory (lines); 0 noises: "
            "averaged exactly.",
            Plot(
                least(found.of("loss")),
                "features",
                "loss",
                panel=("noises", "per_d"),
                theory=least(found.of("predicted")),
            ),
        )
        yield "Numbers"
        names = ["learned", "best", "parted", "memorized", "outside"]
        yield table("Times and spectra", full, ["per_d", "features"], names)


_LOSSES = ("train", "test")


@lru_cache(maxsize=4)
def _bulks(p: float, n: float, time: float, noises: float) -> tuple[float, np.ndarray]:
    ends = support(p, n, time, noises=noises, points=400)
    return atom(p, n, time, noises=noises)[1], ends


def outside(values: np.ndarray, weight: float, bulks: np.ndarray) -> float:
    """The share of eigenvalues, rising, off the ``bulks`` (k, 2); an atom's ``weight`` of them are
    the least and set apart.
    """
    rest = values[round(weight * len(values)) :]
    inside = (rest >= bulks[:, :1] * (1 - EDGE)) & (rest <= bulks[:, 1:] * (1 + EDGE))
    return float((~inside.any(0)).sum() / len(values))


def widest(full: Readings) -> Readings:
    """Models with most features, without that coordinate."""
    most = full.along("features")[-1:]
    return full.of(features=most).dropped("features", "noises")


def least(some: Readings) -> Readings:
    """At the smallest ridge."""
    return (some.first("ridge") or some).dropped("ridge")


def times(wide: Readings) -> Iterator[Told]:
    """Between the two relaxation times lies the best moment; the later one grows with n."""
    best, parted = wide.of("best"), wide.of("parted")
    learned, memorized = wide.of("learned"), wide.of("memorized")
    yield Claim(
        "With most features the loss on new points is least when the population is learned (ratio)",
        best.against(learned, np.divide, "after"),
        within(1 / 3, 3),
        published="the window between both times",
        beside={"Best time": best, "Relaxation time of the population's bulk": learned},
    )
    yield Claim(
        "and before the low end of the training points' bulk is (ratio)",
        memorized.against(best, np.divide, "before"),
        above(1),
        beside={"Relaxation time of the points' bulk": memorized},
    )
    yield Claim(
        "Training loss and loss on new points part later the more points there are (exponent)",
        growth(parted),
        above(0),
        published="1 for p ≫ n ≫ d",
        beside={"Half of the final gap": parted, "Theory, points' bulk": memorized},
    )
    yield Claim("The best time itself grows with the exponent", growth(best), published="0")


def growth(some: Readings) -> Readings:
    """The exponent of a time in n/d."""

    def exponent(
        sizes: Sequence[float], units: Sequence[np.ndarray], level: float = 0.95
    ) -> Estimate:
        return joint(apart(sizes, [np.log2(u) for u in units]).at(), slope(np.log2(sizes)))(level)

    return some.across("per_d", exponent, "exponent")


def agreement(found: Readings) -> Iterator[Told]:
    """Simulation and theory, number by number."""
    off = found.of("loss").against(found.of("predicted"), _miss, "miss")
    allowed = off.map(allowance, "allowance")
    kept = [float(r.value[0] < 1) for r in allowed]
    yield Claim(
        "Most losses are those of theory within 3 standard errors or 2 % (share of all)",
        share(kept) if kept else Readings(),
        above(0.5),
        note=f"{sum(kept):.0f} of {len(kept)}. Finite d moves losses by order 1/d.",
        beside={"Farthest off": farthest(off)},
    )
    yield Claim(
        "With most features few eigenvalues lie outside the bulks of theory (share)",
        widest(found.of(noises=0)).of("outside"),
        within(-0.01, 0.05),
        beside={"All": found.of("outside", noises=0)},
        note=f"Farther than {EDGE:.0%} of their value from every bulk; the atom's set apart.",
    )


def _miss(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return (measured - predicted) / np.maximum(predicted, SMALL)


def allowance(miss: np.ndarray) -> np.ndarray:
    """|mean| over the larger of 3 standard errors and 2 %."""
    error = ERRORS * np.std(miss, ddof=1) / math.sqrt(len(miss))
    return np.array([abs(np.mean(miss)) / max(error, CLOSE)])


def farthest(miss: Readings) -> Readings:
    """The five that are farthest from theory."""
    order = sorted(miss, key=lambda r: -abs(np.mean(r.value)))
    return Readings(order[:5], QUANTITIES)


def peaks(found: Readings) -> Iterator[Told]:
    """Where the loss on new points peaks over the number of features."""
    tests = least(found.of("loss", loss="test", noises=lambda m: m > 0)).dropped("loss")
    places = []
    for per_d, noises, some in tests.by("per_d", "noises"):
        sizes, wanted = some.along("features"), per_d * noises
        if len(sizes) > 2 and sizes[0] < wanted < sizes[-1]:
            units = [some.of(features=p).one for p in sizes]
            at = {"per_d": per_d, "noises": noises}
            places.append(Reading("peak", at, summit(np.array(sizes) / wanted, units)))
    yield Claim(
        "With m noises per point the loss on new points peaks at p = n m (p there, over n m)",
        Readings(places, QUANTITIES),
        within(0.7, 1.4),
        published="p = n m",
    )


def summit(sizes: np.ndarray, units: Sequence[np.ndarray]) -> Resampled:
    """The size at which a mean is largest, by the parabola through it there and at the two sizes
    beside, over their logarithm.
    """
    curve = apart(list(sizes), units)
    place = np.exp(vertex(np.log(sizes), np.vstack([curve.means, curve.draws])))
    return Resampled(float(place[0]), place[1:], curve.n, curve.method)


def vertex(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where curves ``y`` (r, s) over ``x`` (s,) are largest, by the parabola through the largest
    value within and its neighbours, (r,).
    """
    top = np.clip(y.argmax(-1), 1, len(x) - 2)
    (left, middle, right), rows = (x[top + k] for k in (-1, 0, 1)), np.arange(len(y))
    a, b, c = (y[rows, top + k] for k in (-1, 0, 1))
    rise, fall = (b - a) / (middle - left), (b - c) / (right - middle)
    bend = np.maximum(rise + fall, 1e-12)
    return np.clip(0.5 * (left + middle) + rise / bend * 0.5 * (right - left), left, right)
