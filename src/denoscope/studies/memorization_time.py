"""When, in training, a network makes good samples, and when it begins to copy: over training size
and width.

Every network is trained at a constant rate for the same number of steps per image and looked at in
snapshots evenly spaced in the logarithm of the step: copies by the 1/3 rule, copies beyond those
that held-out images seem to be, denoising errors, and the Fréchet distance of its samples to
held-out images over that of as many real ones. Claimed (Bonnaire et al. 2025): good samples come at
a time tau_gen that does not depend on the number of images N, copies at a time tau_mem that grows
like N, both like 1/width; between the two lies a window that opens with N.

Times are where the mean over runs, training sets and seeds, crosses a height; an exponent is the
slope of their logarithms, drawn together with them, over the sizes whose curves cross in all
but one draw of a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from denoscope.estimate import Estimate, Resampled
from denoscope.fitting.recipe import at_least
from denoscope.fitting.snapshots import snapshot_steps
from denoscope.metrics.crossings import as_size, crossing, joint, less, slope, together
from denoscope.metrics.crossings import spread as range_of
from denoscope.readings import Quantity, Reading, Readings, stored
from denoscope.report.claims import Claim, Expected, above, below, within
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.studies._judged import JUDGED, judged
from denoscope.studies._subject import Subject
from denoscope.studies._trained import Trained
from denoscope.study import Result, Work, axis, option
from denoscope.types import Denoiser

LEVELS = np.array([0.1, 0.5])
"""A small noise level, at which copies are told from their neighbours, and a middle one."""
POINTS = 100
COPYING, GOOD, SPLIT = 0.5, 10.0, 1.5
"""Heights: half of the samples; Fréchet distance, and held-out over training error, as ratios."""
MEMORIZED = 0.9
MOST = 0.99
"""Of the draws of a curve must cross for it to be part of an exponent."""
_TRAINING = 0.8  # of a job's time, for the progress bar

QUANTITIES = {
    **JUDGED,
    "error": Quantity("squared error", "per pixel", form=".3g"),
    "gap": Quantity("held-out error", "over training error", form=".3g"),
    "tau_gen": Quantity("good samples", "step", form=".3g", tip="by Fréchet distance"),
    "tau_split": Quantity("errors split", "step", form=".3g"),
    "tau_mem": Quantity("copying", "step", form=".3g", tip="half of the samples, beyond held-out"),
    "tau_third": Quantity("copying by the 1/3 rule", "step", form=".3g", tip="half of the samples"),
    "window": Quantity("copying", "over good samples", form=".3g"),
    "exponent": Quantity("exponent"),
    "spread": Quantity("spread of the logarithm", "octaves"),
    "largest": Quantity("largest N memorized", form=".3g", tip="90 % of samples are copies"),
}


@dataclass(frozen=True, kw_only=True)
class MemorizationTime(Trained):
    """One network along its training at a constant rate."""

    references: ClassVar[tuple[str, ...]] = ("bonnaire2025", "favero2025", "gu2025", "yoon2023")
    heading: ClassVar[str] = "When copying begins"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("n", "width", "subset", "seed")
    members: ClassVar[tuple[str, ...]] = ("subset", "seed")
    fleets: ClassVar[int] = 1

    n: int = axis(64, "training images", (16, 32, 64, 128, 256))
    width: int = axis(64, "width of the network, the one capacity dial", (32, 64, 128))
    subset: int = axis(0, "which of two training subsets, disjoint as long as both fit", (0, 1))
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1))
    net: str = option("film", "network", ("film", "mlp", "unet", "uvit"))
    steps: int = option(64_000, "training steps at most")
    per_image: int = option(60, "training steps per image: N times as many steps in all")
    lr: float = option(2e-3, "learning rate, the same at every step")
    ema: float = option(
        0.999, "decay of the averaged weights that are measured, at most (1 + k)/(10 + k) at step k"
    )
    snapshots: int = option(12, "snapshots of a training, evenly spaced in the log of the step")
    first: int = option(16, "step of the first snapshot")
    samples: int = option(300, "samples drawn at each snapshot, from the same noises")

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, {"snapshots": 2, "first": 1, "per_image": 1})

    def infeasible(self) -> str:
        return self.unfloored() or super().infeasible()

    def moments(self) -> list[int]:
        """The steps at which the training is looked at."""
        return snapshot_steps(self.first, min(self.steps, self.n * self.per_image), self.snapshots)

    def estimated(self, *, trained: bool) -> float:
        looks = len(self.moments())
        recipe = replace(self.recipe(), steps=self.moments()[-1])
        asked = looks * (recipe.evaluations(self.samples) + 2 * POINTS * len(LEVELS))
        return recipe.seconds(self.where().images().shape, asked, trained=trained)

    @classmethod
    def batch(cls, cells: Sequence[Any], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells as one fleet and measures all snapshots."""
        return cls.asked_along(cells, work, _TRAINING, cls.followed)

    def followed(self, course: Mapping[int, Denoiser]) -> Result:
        """Every reading of a network along its training, by step: one number per run."""
        looks = [list(self.looked(D)) for D in course.values()]
        if not np.isfinite([r.value for look in looks for r in look]).all():
            return Result({"stopped": "its samples are not finite"})
        steps = np.array(list(course))
        each = [
            Reading(name, {"step": steps, **at}, np.array(values)[:, None])
            for name, at, values in (
                (same[0].name, same[0].at, [r.value for r in same]) for same in zip(*looks)
            )
        ]
        last = {r.name: float(r.value) for r in looks[-1] if not r.at}
        return Result(last, stored(each))

    def looked(self, D: Denoiser) -> Iterator[Reading]:
        """One moment of a training: copies, quality and errors."""
        subject = Subject(D, self.where(), self.samples, self.solver_steps)
        yield from judged(self, replace(subject, generated=subject.samples()))
        for level in LEVELS.tolist():
            for images in ("train", "test"):
                found = subject.errors(D, images, [level], POINTS).mean().item()
                yield Reading("error", {"images": images, "sigma": level}, found)

    @classmethod
    def found(cls, rows: Sequence[Any]) -> Readings:
        """One unit per run; what held-out errors are beside training errors among them."""
        found = super().found(rows).joined("subset", "seed")
        train, test = (found.of("error", images=images) for images in ("train", "test"))
        return found + test.against(train, np.divide, "gap", apart="images").dropped("images")

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """The results in order; what these cells do not test is left out by itself."""
        times = Times.of(found)
        yield from over_sizes(times)
        yield from over_widths(times, found)
        yield from drawn(found, times)
        yield "Numbers"
        every = times.all() + ends(found.of("copies", "excess", "quality"))
        names = [
            "tau_gen",
            "tau_split",
            "tau_mem",
            "tau_third",
            "window",
            "copies",
            "excess",
            "quality",
        ]
        yield table("Times, and the end of training", every, ["width", "n"], names)


@dataclass(frozen=True, eq=False)
class Times:
    """log2 of the steps at which something sets in, by its name, width and N, drawn over runs."""

    logs: Mapping[tuple[str, int, int], Resampled]

    @classmethod
    def of(cls, found: Readings) -> Self:
        """All times; draws of one N and width are those of the same runs."""
        small = found.of("gap", sigma=float(LEVELS[0]))
        events = {
            "tau_gen": (found.of("quality"), lambda v: -np.minimum.accumulate(v, 0), -GOOD),
            "tau_split": (small, lambda v: v, SPLIT),
            "tau_mem": (found.of("excess"), lambda v: v, COPYING),
            "tau_third": (found.of("copies"), lambda v: v, COPYING),
        }
        logs = {}
        for name, (some, rising, height) in events.items():
            for width, n, part in some.by("width", "n"):
                steps = part.along("step")
                units = rising(np.stack([part.of(step=s).one for s in steps]))
                logs[name, width, n] = together(steps, units, seed=n * width).rise(height)
        for width, n, _ in found.of("copies").by("width", "n"):
            copying, good = (logs[name, width, n] for name in ("tau_mem", "tau_gen"))
            logs["window", width, n] = less(copying, good)
        return cls(logs)

    def along(self, name: str, coordinate: str) -> Iterator[tuple[dict[str, int], dict[int, Any]]]:
        """The times along N or width, {value: log2}, at each value of the other, of curves that
        cross in most draws; two at least.
        """
        other = "width" if coordinate == "n" else "n"
        groups: dict[int, dict[int, Resampled]] = {}
        for (event, width, n), log in self.logs.items():
            if event == name and np.isfinite(log.value) and np.isfinite(log.draws).mean() > MOST:
                key, value = (width, n) if coordinate == "n" else (n, width)
                groups.setdefault(key, {})[value] = log
        return (({other: k}, some) for k, some in groups.items() if len(some) > 1)

    def across(
        self, name: str, coordinate: str, make: Callable[[Sequence[int]], Any], to: str = "exponent"
    ) -> Readings:
        """A statistic of the logarithms of a time along a coordinate."""
        return Readings(
            [
                Reading(to, at, joint(list(some.values()), make(list(some))))
                for at, some in self.along(name, coordinate)
            ],
            QUANTITIES,
        )

    def exponent(self, name: str, coordinate: str) -> Readings:
        """The slope of the logarithm of a time on that of a coordinate."""
        return self.across(name, coordinate, lambda values: slope(np.log2(values)))

    def all(self) -> Readings:
        """Every time as a reading, and the window between two of them."""
        found = (
            Reading(k, {"width": w, "n": n}, t.map(as_size)) for (k, w, n), t in self.logs.items()
        )
        return Readings(found, QUANTITIES)


def over_sizes(times: Times) -> Iterator[Told]:
    """How the times of the widest network depend on the number of images, and what is left in
    units of it.
    """
    every = times.all()

    def claim(says: str, name: str, expected: Expected, published: str, note: str = "") -> Claim:
        each = times.exponent(name, "n")
        beside = {"All widths": each, "At each N": every.of(name)}
        return Claim(says, widest(each), expected, published, beside=beside, note=note)

    yield claim(
        "Copying sets in at a time that grows like the number of images (exponent in N)",
        "tau_mem",
        within(0.8, 1.2),
        "1",
        f"Widest network. Copying: {COPYING:.0%} of the samples, beyond what held-out images seem "
        "to be.",
    )
    if others := narrower(times.exponent("tau_mem", "n")):
        yield Claim(
            "In narrower networks as well (exponent in N)",
            others,
            within(0.8, 1.2),
            published="1",
            note="Above 1: later than in proportion, and from some N on not at all, which no "
            "exponent counts.",
        )
    yield claim(
        "By the 1/3 rule as well, later (exponent in N)",
        "tau_third",
        within(0.8, 1.2),
        "1, at τ/N about 300 (U-Nets, SGD)",
    )
    yield claim(
        "Good samples come at a time that does not depend on it (exponent in N)",
        "tau_gen",
        within(-0.2, 0.2),
        "0",
        f"Good: the Fréchet distance has first been below {GOOD:g} times its floor. That of 16 "
        "images copied in full, or smoothed, stays at 4 to 9 times: a lower height would ask how "
        "many images there are.",
    )
    yield claim(
        "The window between the two opens with N (exponent of their ratio)",
        "window",
        above(0),
        "1",
    )
    spreads = (
        times.across("tau_mem", "n", lambda values, by=by: range_of(by * np.log2(values)), "spread")
        for by in (1, 0)
    )
    scaled, plain = map(widest, spreads)
    yield Claim(
        "In steps per image the times of copying agree (range of log2 over N, in octaves)",
        scaled,
        below(1),
        published="curves in τ/N collapse",
        beside={"In steps": plain},
    )
    yield claim(
        "Held-out and training errors part at a time that grows like N (exponent)",
        "tau_split",
        within(0.8, 1.2),
        "1",
        f"At σ = {LEVELS[0]:g}: their ratio reaches {SPLIT:g}.",
    )


def widest(some: Readings) -> Readings:
    """Those of the widest network."""
    return some.last("width") or some


def narrower(some: Readings) -> Readings:
    """Those of all other networks."""
    return some.of(width=list(some.along("width"))[:-1])


def over_widths(times: Times, found: Readings) -> Iterator[Told]:
    """How the times depend on the width, and the largest set that each width memorizes."""
    for name, what in (("tau_mem", "Copying sets in"), ("tau_gen", "Good samples come")):
        yield Claim(
            f"{what} sooner in wider networks (exponent in the width)",
            times.exponent(name, "width"),
            below(0),
            published="−1",
        )
    yield Claim(
        "The largest training set that is memorized to 90 % in these steps per image, by width",
        memorized(found),
        note="The N from which the share of copies stays below 90 %, at the end; 0: none is here.",
    )
    yield Claim(
        "At the end the widest networks of the smallest sets copy more than held-out images",
        ends(found.of("excess")).first("n").last("width"),
        above(COPYING),
    )


def ends(some: Readings) -> Readings:
    """At the end of training."""
    return some.last("step").dropped("step")


def memorized(found: Readings) -> Readings:
    """The N up to which 90 % of the samples are copies at the end, by width."""

    def largest(
        sizes: Sequence[float], units: Sequence[np.ndarray], level: float = 0.95
    ) -> Estimate:
        e = crossing(sizes, units, level, height=MEMORIZED, falling=True)
        return replace(e, value=max(e.value, 0.0), low=max(e.low, 0.0), high=max(e.high, 0.0))

    return ends(found.of("copies")).across("n", largest, "largest")


def drawn(found: Readings, times: Times) -> Iterator[Told]:
    """Curves over steps, in steps per image, and times over N."""
    half = {"half of the samples": COPYING}
    yield figure(
        "memorization_time_courses",
        "**Copies, and the distance of the samples to held-out images, over training time**; "
        "averaged weights under a constant rate, means over runs.",
        Plot(found.of("copies"), "step", "n", panel="width", limits=(-0.03, 1.03), levels=half),
        Plot(found.of("quality"), "step", "n", panel="width", scale="log", levels={"good": GOOD}),
    )
    scaled = found.named(per_image=lambda at: at["step"] / at["n"]).dropped("step")
    yield "In steps per image"
    yield figure(
        "memorization_time_collapse",
        "**The same copies in steps per image**, and those beyond held-out images: curves of all N "
        "fall on one another where the time of copying grows like N.",
        Plot(scaled.of("copies"), "per_image", "n", panel="width", levels=half),
        Plot(scaled.of("excess"), "per_image", "n", panel="width"),
    )
    yield "Times"
    every = times.all()
    yield figure(
        "memorization_time_times",
        "**When good samples come and when copying begins**, against the number of images.",
        *(Plot(every.of(name), "n", "width", scale="log") for name in ("tau_gen", "tau_mem")),
    )
    yield figure(
        "memorization_time_errors",
        "**Held-out over training error** over training time.",
        Plot(found.of("gap"), "step", "n", panel=("width", "sigma"), scale="log"),
    )
