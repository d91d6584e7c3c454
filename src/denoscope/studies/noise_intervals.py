"""Intervals of noise levels within which the optimal denoiser hardly changes, from data alone
(Zhang et al. 2024, multistage framework, section 4.2).

The optimal noise predictions eps* of N images (the memorizer's) are compared at pairs of times of
the schedule with rates from 0.1 to 20, image and noise shared: their similarity is the share of
pixels that differ by at most eta. The first interval lasts as long as the mean similarity to time 0
stays above alpha, the last one begins where that to time 1 does. The published formula has two
readings: *as printed* the end is eps* at time 1, which is all but the noise itself, as the
beginning is; *as in the code* it is the prediction of a posterior mean that has collapsed onto the
mean of all images, at the same point. Beside them three intervals that hold the most similar times,
by dynamic programming, and the same of the Gaussian with the images' mean and covariance, in closed
form, by similarity and by the rank of its Jacobian.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from denoscope.data.sources import load
from denoscope.distributions import Empirical
from denoscope.estimate import Resampled, exact
from denoscope.fitting.recipe import at_least
from denoscope.geometry import energy_rank
from denoscope.metrics.crossings import less
from denoscope.random import derive, generator
from denoscope.readings import Quantity, Reading, Readings, collected, stored
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.schedule import VPSDE
from denoscope.store import Row
from denoscope.studies._reported import finished
from denoscope.studies._trained import Imaged
from denoscope.study import Result, Work, axis, option
from denoscope.theory.stages import (
    LinearPrediction,
    collapsed,
    first_boundary,
    gaussian_similarity,
    last_boundary,
    optimal,
    stages,
    true_noise,
)

PUBLISHED, NEAR = {"printed": 0.442, "code": 0.631}, 0.05
"""Boundaries for CIFAR-10 with pixels in [0, 1], and how near counts as the same."""
ALPHA, AMPLITUDE = 0.9, 0.5
ALPHAS = (0.8, ALPHA, 0.95)
COARSE = 24
"""Times of the matrix of similarities."""
WIDEST = 4096
"""Numbers per image up to which the Gaussian's closed form is made."""
FIRST = 1e-3
_DRAWS, _FEW = 2000, 200

QUANTITIES = {
    "start": Quantity("similar to time 0", "share"),
    "end": Quantity("similar to time 1", "share"),
    "alike": Quantity("similarity", "share"),
    "start_law": Quantity("similar to time 0", "share", interval=exact),
    "end_law": Quantity("similar to time 1", "share", interval=exact),
    "alike_law": Quantity("similarity", "share", interval=exact),
    "rank": Quantity("rank", "share of directions", interval=exact),
    "boundary": Quantity("boundary", "t", form=".2f"),
    "level": Quantity("boundary", "σ", form=".3g"),
    "snr": Quantity("boundary", "1/σ²", form=".2g"),
    "later": Quantity("difference", "t", form=".2f"),
}


@dataclass(frozen=True, kw_only=True)
class NoiseIntervals(Imaged):
    """One training set at one amplitude."""

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = ("zhang2024stages", "song2021")
    heading: ClassVar[str] = "Intervals of noise levels"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("n", "amplitude")

    n: int = axis(0, "images, the first ones; 0: all", (100, 0))
    amplitude: float = axis(1.0, "images lie in [-A, A]: 1, or .5 as in [0, 1]", (0.5, 1.0))
    eta: float = option(2 / 256, "by how much a pixel of two predictions may differ")
    times: int = option(100, "times of the schedule, evenly spaced")
    pairs: int = option(64, "images with a noise each, the same at all times")
    seed: int = option(0, "of the images and noises")

    def __post_init__(self) -> None:
        at_least(self, {"n": 0, "times": COARSE, "pairs": 2, "resize": 0})
        if not self.amplitude > 0 or not self.eta > 0:
            raise ValueError("--amplitude and --eta must be above 0")

    def images(self) -> Tensor:
        """(N, d), centred, times the amplitude."""
        rows = load(self.source()).data.flatten(1)
        rows = rows[: self.n or None]
        return self.amplitude * (rows - rows.mean(0))

    def infeasible(self) -> str:
        have = len(load(self.source()).data)
        return f"--n {self.n}: {self.data} has {have} images" if self.n > have else ""

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        images, times = self.images(), np.linspace(FIRST, 1, self.times)
        levels = VPSDE().sigma(torch.from_numpy(times)).numpy()
        drawn = torch.randint(len(images), (self.pairs,), generator=generator(derive(self.seed, 0)))
        noise = torch.randn(self.pairs, images.shape[1], generator=generator(derive(self.seed, 1)))
        found = list(self.memorizer(images, images[drawn], noise, times, levels))
        work.tell(0.5)
        if images.shape[1] <= WIDEST:
            found += self.gaussian(images, times, levels)
        return Result({"images": len(images)}, stored(found))

    def memorizer(
        self, images: Tensor, x0: Tensor, noise: Tensor, times: np.ndarray, levels: np.ndarray
    ) -> Iterator[Reading]:
        """The similarity of each pair's predictions, the memorizer's."""
        sigma = torch.from_numpy(levels).to(x0)
        means = Empirical(images).along(x0, noise, sigma)
        predicted = noise + (x0 - means) / sigma[:, None, None]
        at = {"time": times}
        yield Reading("start", at, self.share(predicted, noise))
        yield Reading("end", {**at, "reading": "printed"}, self.share(predicted, predicted[-1]))
        sigma = torch.from_numpy(levels).float()[:, None, None]
        yield Reading("end", {**at, "reading": "code"}, self.share(predicted, noise + x0 / sigma))
        few = coarse(len(times))
        grid = np.stack([self.share(predicted[few], predicted[i]) for i in few])
        yield Reading("alike", {"time": times[few], "later_time": times[few]}, grid)

    def share(self, one: Tensor, other: Tensor) -> np.ndarray:
        """Of the pixels, how many differ by at most eta, of each pair."""
        return ((one - other).abs() <= self.eta).float().mean(-1).numpy()

    def gaussian(self, images: Tensor, times: np.ndarray, levels: np.ndarray) -> Iterator[Reading]:
        """The same of the Gaussian law, and the rank of its Jacobian."""
        rows = images.double()
        lam, vectors = (x.numpy() for x in torch.linalg.eigh(rows.T @ rows / len(rows)))
        lam = lam.clip(0)

        def alike(*pairs: tuple[LinearPrediction, LinearPrediction]) -> np.ndarray:
            return gaussian_similarity(lam, vectors, pairs, self.eta)[:, None]

        own = [optimal(lam, s) for s in levels]
        at, few = {"time": times}, coarse(len(times))
        yield Reading("start_law", at, alike(*((one, true_noise(lam)) for one in own)))
        ends = {
            "printed": [own[-1]] * len(own),
            "code": [collapsed(lam, s) for s in levels],
        }
        for reading, other in ends.items():
            yield Reading("end_law", {**at, "reading": reading}, alike(*zip(own, other)))
        grid = np.stack([alike(*((own[i], own[j]) for j in few)) for i in few])
        yield Reading("alike_law", {"time": times[few], "later_time": times[few]}, grid)
        values = torch.from_numpy(lam / (lam + levels[:, None] ** 2)).sort(1, True).values
        rank = energy_rank(values).numpy() / len(lam)
        yield Reading("rank", at, rank[:, None])

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """The readings of all cells, N as it was found."""
        placed = [
            replace(row, fields={**row.fields, "n": row.values["images"]}) for row in finished(rows)
        ]
        return collected(placed, cls.quantities, *cls.places)

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """The results in order; what these cells do not test is left out by itself."""
        every = boundaries(found)
        main = every.of("boundary", alpha=ALPHA).dropped("alpha")
        most = largest(largest(main, "n"), "amplitude")
        yield Claim(
            "With more images the first interval ends earlier (t of the most less the fewest)",
            differences(main.of(edge="first"), "n"),
            below(0),
            note="It is where the memorizer's posterior mean leaves the one image.",
        )
        both = most.of(edge="last")
        yield Claim(
            "Read as printed, the last boundary lies later than read as in the code (t less)",
            differences(both, "reading", ["code", "printed"]),
            above(0),
        )
        yield Claim(
            "Images of the larger amplitude have the later boundary (t less)",
            differences(largest(main, "n").of(reading="code"), "amplitude"),
            above(0),
            note="Read as in the code. More noise is needed to hide them.",
        )
        for (reading, published), edge in zip(PUBLISHED.items(), ("first", "last")):
            yield Claim(
                f"The {edge} boundary is that of CIFAR-10 (t)",
                largest(main, "n").of(edge=edge, reading=reading, amplitude=AMPLITUDE),
                within(published - NEAR, published + NEAR),
                published=f"{published:g}",
                beside={"All sets and amplitudes": main.of(edge=edge)},
                note=f"Images in [0, 1] as published, α = {ALPHA:g}, which is not."
                + (" Read as in the code." if reading == "code" else ""),
            )
        yield figure(
            "noise_intervals",
            "**Similarity of the optimal noise prediction to that at time 0 and at time 1**, "
            "against time.",
            *curves(found.of("start"), found.of("end")),
        )
        yield "Boundaries"
        keys = ["edge", "reading", "alpha", "amplitude", "n"]
        yield table("First and last interval", every, keys, ["boundary", "level", "snr"])
        three = programmed(found)
        keys = ["edge", "by", "amplitude", "n"]
        yield table("Three intervals of most similar times", three, keys, ["boundary", "level"])
        yield "The Gaussian of the same images"
        yield figure(
            "noise_intervals_gaussian",
            "**The same similarities of the Gaussian**, in closed form: it has no first interval, "
            "since it knows no single image.",
            *curves(found.of("start_law"), found.of("end_law")),
        )
        yield figure(
            "noise_intervals_rank",
            "**Rank of the Gaussian's Jacobian**: directions with 99 % of its squares.",
            Plot(found.of("rank"), "time", "n", panel="amplitude"),
        )


def curves(start: Readings, end: Readings) -> Iterator[Plot]:
    """Similarities to either end of the schedule, and alpha."""
    level = {f"α = {ALPHA:g}": ALPHA}
    for some, look in ((start, ""), (end, "reading")):
        yield Plot(some, "time", "n", look=look, panel="amplitude", limits=(0, 1.02), levels=level)


def coarse(count: int) -> np.ndarray:
    """Which of so many times the matrix has."""
    return np.unique(np.linspace(0, count - 1, COARSE).round().astype(int))


def largest(some: Readings, coordinate: str) -> Readings:
    """Those at the largest value of a coordinate, without it."""
    return (some.last(coordinate) or some).dropped(coordinate)


def means(values: np.ndarray, draws: int) -> np.ndarray:
    """The mean over pairs of values (..., pairs), and then those of ``draws`` samples of pairs with
    replacement, (1 + draws, ...).
    """
    pairs = values.shape[-1]
    at = np.random.default_rng(0).integers(pairs, size=(draws if pairs > 1 else 1, pairs))
    weights = np.stack([np.bincount(row, minlength=pairs) for row in at]) / pairs
    weights = np.vstack([np.full(pairs, 1 / pairs), weights])
    return np.moveaxis(values @ weights.T, -1, 0)


def resampled(statistics: np.ndarray, pairs: int) -> Resampled:
    """A statistic of each row of :func:`means`."""
    return Resampled(float(statistics[0]), statistics[1:].astype(np.float64), pairs)


def boundaries(found: Readings) -> Readings:
    """The first and the last boundary of every set, for each alpha and reading, as t, sigma and
    signal-to-noise ratio.
    """
    readings: list[Reading] = []
    for name, side, rule in (("start", "first", first_boundary), ("end", "last", last_boundary)):
        for n, amplitude, reading, some in found.of(name).by("n", "amplitude", "reading"):
            times = np.array(some.along("time"))
            curves = np.stack([some.of(time=t).one for t in times.tolist()])
            drawn = means(curves, _DRAWS)
            for alpha in ALPHAS:
                at = {"n": n, "amplitude": amplitude, "alpha": alpha, "edge": side}
                at["reading"] = reading or "printed"
                time = resampled(rule(times, drawn, alpha), curves.shape[-1])
                readings += said(time, at)
    return Readings(readings, QUANTITIES)


def said(time: Resampled, at: Mapping[str, object]) -> Iterator[Reading]:
    """A time, its noise level, and the signal-to-noise ratio there, 1 over its square."""
    sigma = time.map(lambda t: VPSDE().sigma(torch.as_tensor(t)).numpy())
    yield Reading("boundary", at, time)
    yield Reading("level", at, sigma)
    ratio = Resampled(sigma.value**-2, sigma.draws**-2, time.n)
    yield Reading("snr", at, ratio)


def differences(some: Readings, coordinate: str, ends: Sequence[object] | None = None) -> Readings:
    """The boundary at the last value of a coordinate less that at the first, of the same draws."""
    low, high = ends or [*some.along(coordinate)[:1], *some.along(coordinate)[-1:]]
    rest = [name for name in some.varied() if name != coordinate]
    readings = []
    for *place, here in some.by(*rest):
        one, other = (here.of(**{coordinate: value}) for value in (high, low))
        if one and other and low != high:
            readings.append(Reading("later", dict(zip(rest, place)), less(one.one, other.one)))
    return Readings(readings, QUANTITIES)


def programmed(found: Readings) -> Readings:
    """The two boundaries of the three intervals that hold the most similar times."""
    readings: list[Reading] = []
    for name, by in (("alike", "memorizer"), ("alike_law", "gaussian"), ("rank", "rank")):
        for n, amplitude, some in found.of(name).by("n", "amplitude"):
            times = np.array(some.along("time"))
            if name == "rank":
                times = times[coarse(len(times))]
                rank = np.array([float(some.of(time=t).one[0]) for t in times.tolist()])
                values = 1 - np.abs(rank[:, None] - rank)[..., None]
            else:
                rows = [[some.of(time=a, later_time=b).one for b in times] for a in times]
                values = np.array(rows)
            starts = np.array([stages(one, 3) for one in means(values, _FEW)])
            for edge, drawn in zip(("first", "last"), times[starts].T):
                at = {"n": n, "amplitude": amplitude, "by": by, "edge": edge}
                readings += list(said(resampled(drawn, values.shape[-1]), at))[:2]
    return Readings(readings, QUANTITIES)
