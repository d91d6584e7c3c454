"""Training a linear diffusion model: loss mode by mode against time, and one best stopping time for
all noise levels.

Linear models of all noise levels are trained together by full-batch gradient descent on small
training sets of synthetic and real data, and everything recorded stands beside its closed form:
losses, single modes, when to stop, and which variances a half-trained model samples (Merger and
Goldt 2025; Wang and Pehlevan 2025). The training time is k = 2 eta steps; a mode of variance lam
has lost ``(1 - 2 eta (abar lam + 1 - abar))^steps`` of its way to the optimum. Losses are a
dimension, variances in units in which they sum to d.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from denoscope.coordinates import SAMPLERS
from denoscope.data.population import GROUPS, TrainingSet
from denoscope.estimate import Estimate, exact, mean, unavailable
from denoscope.fitting.recipe import fraction
from denoscope.fitting.stopped import stopped_samples
from denoscope.networks.linear_maps import (
    Course,
    expected_descent,
    expected_flow,
    falling_schedule,
    largest_rate,
    recorded_descent,
    recorded_steps,
)
from denoscope.readings import Quantity, Reading, Readings, stored
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.store import Row, Value
from denoscope.studies._drawn import Drawn, curves
from denoscope.study import Result, Work, axis, option
from denoscope.theory.linear.emergence import (
    BETAS,
    UNSEEN_C,
    emergence_exponent,
    noise_emergence_times,
    stopped_law,
)
from denoscope.theory.linear.learning import emergence_times
from denoscope.theory.linear.minima import recorded_minimum
from denoscope.theory.linear.optimum import bayes_loss_of
from denoscope.theory.linear.stopping import Stopping, compare_stopping, expect_stopping

NOISES = np.array([0.5, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4])
"""1 - abar of the noise levels at which stopping is studied."""
TIMES = 10 ** (np.arange(-20, 51) / 10)
SAMPLED = np.array([0.1, 1.0, 10.0, 100.0])
SPAN = (0.002, 80.0)
"""Noise levels of the denoiser of Wang and Pehlevan 2025 whose emergence times are compared."""
LATE = float(SAMPLED[2])  # the time at which c k is compared with its limit
EXACT = 1e-9  # relative difference up to which descent and its closed form count as equal
CHEAP = 0.01  # excess loss up to which one stopping time serves all levels
NEAR = 1.25  # factor within which a rule counts as true
FEW = 0.7  # of the dimension: the training sets that are drawn have at most so many rows
BEYOND, SHOWN = 30.0, 81  # theory is followed so many times longer than descent, at so many times
TABLED = (1e-4, 1e-3, 1e-2, 0.1, 0.5)  # noise levels of the tables


def settled(values: np.ndarray, level: float = 0.95) -> Estimate:
    """The mean where all values are finite: training on may be best, or a minimum lie later."""
    if not np.isfinite(values).all():
        return unavailable("not finite in every training set", len(values), level)
    return mean(values, level)


QUANTITIES = {
    "d": Quantity("d", "", exact, ".0f", "directions that vary"),
    "difference": Quantity("descent − theory", "relative", exact, ".1e", "largest difference"),
    "difference_flow": Quantity("from flow", "relative", exact, ".1e", "largest difference"),
    "shared": Quantity("best time", "k", form=".3g", tip="of least mean log loss over all levels"),
    "spread": Quantity("spread", "max / min", form=".3g", tip="of best times over noise levels"),
    "paid": Quantity("price", "relative", form=".2%", tip="largest excess of one time for all"),
    "predicted": Quantity("k × unseen", form=".3g", tip="best time × mean unseen variance"),
    "ridge_less_stop": Quantity("ridge − stop", "relative", form=".2%", tip="mean over levels"),
    "trained": Quantity("overfitting", "×", form=".3g", tip="loss over stopped, worst level"),
    "exponent_denoising": Quantity("exponent", "denoising", form=".3f", tip="of emergence times"),
    "exponent_noise": Quantity("exponent", "noise", form=".3f", tip="the same, noise prediction"),
    "loss": Quantity("loss / d", form=".4g"),
    "avoidable": Quantity("avoidable test loss left", "share", form=".3g"),
    "weight": Quantity("weight over optimum", form=".3f"),
    "bayes": Quantity("Bayes", "loss / d", exact, ".4f", "least that Gaussian data allow"),
    "least_k": Quantity("best time k to stop", "", settled, ".3g", "least record of the descent"),
    "best_k": Quantity("best k", "", settled, ".3f", "training time 2ητ with the least test loss"),
    "expected_k": Quantity("expected", "", exact, ".3f", "for Gaussian data"),
    "inverse_k": Quantity("1 / best k", "", settled, ".3f"),
    "best_ridge": Quantity("best ridge", "", form=".3f", tip="penalty γ with the least test loss"),
    "expected_ridge": Quantity("expected", "", exact, ".3f", "for Gaussian data"),
    "unseen": Quantity("unseen variance", form=".3f", tip="mean over directions not spanned"),
    "stopped": Quantity("stopped", "", form=".4f", tip="test loss / d at the best k"),
    "expected_stopped": Quantity("expected", "", exact, ".4f", "for Gaussian data"),
    "ridged": Quantity("ridge", "", form=".4f", tip="test loss / d with the best ridge"),
    "expected_ridged": Quantity("expected", "", exact, ".4f", "for Gaussian data"),
    "unstopped": Quantity("trained on", "", form=".4g", tip="the optimum of the training loss"),
    "expected_unstopped": Quantity("expected", "", exact, ".4g", "for Gaussian data"),
    "at_one_time": Quantity("one time", "", form=".4f", tip="test loss / d at one time for all"),
    "variance": Quantity("sampled variance", "", settled, ".3g"),
    "normed": Quantity("sampled over predicted variance", "", settled, ".3f"),
    "covered": Quantity("share of intervals", "", exact, ".2f"),
    "constant": Quantity("c · k", "", settled, ".3f"),
    "of_limit": Quantity("c · k over its limit", "", settled, ".3f"),
    "emergence": Quantity("emergence time k", "", settled, ".3g"),
}
REACHED = {"stopped": "stopped", "ridged": "ridge", "unstopped": "trained", "at_one_time": "shared"}
"""Test losses at many noise levels, and how they are reached."""


@dataclass(frozen=True, kw_only=True)
class LinearDynamics(Drawn):
    """Gradient descent of linear diffusion models on several training sets of one size."""

    version: ClassVar[int] = 2
    least: ClassVar[dict[str, int]] = {"d": 2, "draws": 1, "steps": 2, "samples": 2, "resize": 0}
    references: ClassVar[tuple[str, ...]] = ("mergergoldt2025", "wang2025", "ledoitpeche2011")
    heading: ClassVar[str] = "Training a linear diffusion model"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES

    data: str = axis("power1", "powerK (variances nu^-K), or an image set", ("power1", "digits"))
    n: int = axis(40, "training items", (20, 40, 80, 200))
    d: int = option(100, "dimension of a synthetic law")
    draws: int = option(10, "training sets of each size")
    abar: tuple[float, ...] = option(
        (0.5, 0.9, 0.99, 0.999),
        "noise levels that are trained, as the share abar of the signal's variance",
    )
    steps: int = option(2000, "steps of gradient descent")
    rate: float = option(0.25, "step size as a share of the largest that is stable")
    samples: int = option(200, "samples drawn from half-trained models")

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction(self, "rate")
        different = len(set(self.abar)) == len(self.abar) > 0
        if not different or not all(0 < y < 1 for y in self.abar):
            words = " ".join(map(str, self.abar))
            raise ValueError(f"--abar {words}: must be different numbers between 0 and 1")

    def cost(self) -> float:
        d = self.law().d
        descent = self.draws * self.steps * len(self.abar) * (7e-6 + 1.1e-10 * d**3)
        return descent + 1.5 + self.samples * d**2 * 2e-6

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        law = self.law()
        sets = [TrainingSet.draw(law, self.n, seed) for seed in range(self.draws)]
        abars = np.array(sorted(self.abar, reverse=True))
        bayes = bayes_loss_of(law.spectrum, abars)[:, None] / law.d
        values, found = self.descents(sets, abars, work.tell)
        for part in (stoppings(sets, law.spectrum, self.n), emergences(sets)):
            values |= part[0]
            found += part[1]
        found += [Reading("bayes", {"abar": abars}, bayes), *half_trained(sets[0], self.samples)]
        return Result(values, stored(found))

    def descents(
        self, sets: Sequence[TrainingSet], abars: np.ndarray, tell: Callable[[float], None]
    ) -> tuple[dict[str, Value], list[Reading]]:
        """Measured courses beside theory's, the stopping times, and how far the two are apart."""
        schedule, at = falling_schedule(abars), recorded_steps(self.steps)
        rate = self.rate * min(float(largest_rate(s.train.cov, schedule).min()) for s in sets)
        longer = np.unique(np.geomspace(1, BEYOND * self.steps, SHOWN).round())
        k, runs, theory, far, flow = 2 * rate * at, [], [], [], []
        for index, item in enumerate(sets):
            lam, modes = item.modes.lam, (item.modes.lam, item.modes.vectors)
            run = recorded_descent(item.train, item.test, modes, abars, rate, self.steps)
            runs.append(followed(run, item))
            expected = expected_descent(lam, item.other, abars, rate, at)
            far.append(runs[-1].difference(followed(expected, item)))
            flowing = expected_flow(lam, item.other, abars, k)
            flow.append(run.difference(flowing._replace(weights=run.weights)))
            theory.append(followed(expected_descent(lam, item.other, abars, rate, longer), item))
            tell(0.8 * (index + 1) / len(sets))
        d = len(sets[0].modes.lam)
        least = [[recorded_minimum(k, column) for column in run.test.T] for run in runs]
        averages = [Course(*(np.mean(part, 0) for part in zip(*theory)))]
        found = [Reading("least_k", {"abar": abars}, np.array(least).T)]
        found += courses("simulation", runs, d, {"abar": abars, "duration": k})
        found += courses("theory", averages, d, {"abar": abars, "duration": 2 * rate * longer})
        apart = {"difference": max(far), "difference_flow": max(flow)}
        return {"rate": rate, **apart, "longest": float(k[-1])}, found

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        sizes = {str(row.fields["data"]): row.values["d"] for row in rows}
        return {
            "data": "; ".join(f"{name}, d = {d}" for name, d in sizes.items())
            + "; variances in units in which they sum to d; means of training sets subtracted"
        }

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """When to stop, what that costs, and what a model that stopped samples."""
        few = sized(found, lambda n, d: n <= d)
        some = shown(found)
        yield from one_time(found, few, some)
        yield from courses_of(found, some)
        yield from stopped_or_ridge(few, some)
        yield from samples_of(found, few, some)


def followed(course: Course, item: TrainingSet) -> Course:
    """With the weights of the modes that are followed alone."""
    return course._replace(weights=item.grouped(course.weights))


def courses(
    source: str, runs: Sequence[Course], d: int, axes: Mapping[str, np.ndarray]
) -> Iterator[Reading]:
    """Losses (R, levels), here per dimension, and weights (R, levels, modes) of several runs."""
    at, stack = {"source": source, **axes}, Course(*(np.array(part) for part in zip(*runs)))
    for images, losses in (("train", stack.train), ("test", stack.test)):
        units = np.float32(losses.transpose(2, 1, 0) / d)
        yield Reading("loss", {"images": images, **at}, units)
    for mode, weights in zip(GROUPS, np.moveaxis(stack.weights, -1, 0)):
        if np.isfinite(weights).all():
            yield Reading("weight", {"mode": mode, **at}, np.float32(weights.transpose(2, 1, 0)))


def stoppings(
    sets: Sequence[TrainingSet], spectrum: np.ndarray, n: int
) -> tuple[dict[str, Value], list[Reading]]:
    """Best times and ridges at many levels, what is expected, and the cost of one time for all."""
    levels, d = {"level": NOISES}, len(spectrum)
    best = [compare_stopping(item.modes, 1 - NOISES) for item in sets]
    got = Stopping(*(np.array(part) for part in zip(*best)))
    theory = expect_stopping(spectrum, n, 1 - NOISES, [item.modes.lam for item in sets])
    unseen = np.array([item.unseen_variance for item in sets])
    finite, known = np.isfinite(got.k).all(1), np.isfinite(got.shared_k)
    units = {
        "spread": got.k[finite].max(1) / got.k[finite].min(1),
        "shared": got.shared_k[known],
        "paid": (got.shared / got.stopped).max(1) - 1,
        "trained": (got.unstopped / got.stopped).max(1),
        "ridge_less_stop": (got.ridged / got.stopped).mean(1) - 1,
        "predicted": got.shared_k * unseen if n <= d else np.zeros(0),
    }
    numbers = {"best_k": got.k, "best_ridge": got.ridge, "at_one_time": got.shared / d}
    numbers |= {"expected_k": theory.k[None], "expected_ridge": theory.ridge[None]}
    numbers["bayes"] = bayes_loss_of(spectrum, 1 - NOISES)[None] / d
    for name in ("stopped", "ridged", "unstopped"):
        numbers[name] = getattr(got, name) / d
        numbers[f"expected_{name}"] = getattr(theory, name)[None] / d
    found = [Reading(name, levels, values.T) for name, values in numbers.items()]
    found += [Reading(name, {}, values) for name, values in units.items() if len(values)]
    found += [Reading("unseen", {}, unseen)] if np.isfinite(unseen).all() else []
    averages: dict[str, Value] = {k: mean(v) if len(v) else None for k, v in units.items()}
    return {"d": d, **averages}, found


def emergences(sets: Sequence[TrainingSet]) -> tuple[dict[str, Value], list[Reading]]:
    """Emergence times of the first set's modes, and the exponents against variances of all sets."""
    values, found = {}, []
    makers = {"noise": noise_emergence_times, "denoising": emergence_times}
    arguments = {"noise": (TIMES,), "denoising": SPAN}
    for target, times in makers.items():
        lams = [item.modes.lam[: item.seen] for item in sets]
        every = [times(lam, *arguments[target]) for lam in lams]
        units = np.array([emergence_exponent(lam, t) for lam, t in zip(lams, every)])
        values[f"exponent_{target}"] = mean(units)
        found.append(Reading("emergence", {"target": target, "lam": lams[0]}, every[0][:, None]))
        found.append(Reading(f"exponent_{target}", {}, units))
    return values, found


def half_trained(item: TrainingSet, count: int) -> Iterator[Reading]:
    """Laws and squares of real samples along the modes of a centred training set that are
    followed, when all levels of the schedule stop at one time.
    """
    lam = item.grouped(item.modes.lam)
    there = np.isfinite(lam)
    for sampler in SAMPLERS:
        drawn = stopped_samples(sampler, item.train.cov, SAMPLED.tolist(), BETAS, count)
        squares = item.grouped((drawn @ item.modes.vectors) ** 2)[..., there]
        law = stopped_law(sampler, lam[there], TIMES)[..., None]
        for i, mode in enumerate(np.array(GROUPS)[there].tolist()):
            at = {"sampler": sampler, "mode": mode}
            own, exactly = {"duration": SAMPLED}, {"duration": TIMES}
            units = np.float32(squares[..., i])
            yield Reading("variance", {**at, "source": "simulation", **own}, units)
            yield Reading("variance", {**at, "source": "theory", **exactly}, law[:, i])


def sized(found: Readings, keep: Callable[[int, float], bool]) -> Readings:
    """The cells whose N and d are so."""
    chosen = found.of(data=[])
    for r in found.of("d"):
        if keep(r.at["n"], r.value.value):
            chosen += found.of(data=r.at["data"], n=r.at["n"])
    return chosen


def shown(found: Readings) -> Readings:
    """For each kind of data the cell whose training is drawn, called with its N: the most items
    that are clearly fewer than d, else the fewest.
    """
    chosen = found.of(data=[])
    for data, some in found.by("data"):
        few = sized(some, lambda n, d: n <= FEW * d).along("n")
        n = few[-1] if few else some.along("n")[0]
        chosen += some.of(n=n).named(data=f"{data}, N = {n}")
    return chosen.dropped("n")


def avoidable(loss: Readings, some: Readings) -> Readings:
    """The loss above Bayes as a share of the untrained one."""
    least = some.of("bayes", **{"abar" if loss.along("abar") else "level": bool})
    return loss.against(least, lambda a, b: (a - b) / (1 - b), "avoidable")


def one_time(found: Readings, few: Readings, some: Readings) -> Iterator[Told]:
    """One stopping time for all noise levels."""
    many = sized(found, lambda n, d: n > d)
    yield Claim(
        "One training time serves all noise levels where N ≤ d (largest excess of its test loss)",
        few.of("paid"),
        below(CHEAP),
        published="nearly one time at every level",
        beside={
            "Largest over smallest best time": few.of("spread"),
            "Excess where N > d": many.of("paid"),
            "Largest over smallest where N > d": many.of("spread"),
        },
        note=f"1 − ᾱ from {NOISES.max():g} to {NOISES.min():g}. With N > d little is to stop.",
    )
    yield Claim(
        "The best time is one over the mean variance of an unseen direction (their product)",
        few.of("predicted"),
        within(1 / NEAR, NEAR),
        published="1/k* is that variance",
        note="Where the variances of unseen directions differ widely, the rule stops too late.",
    )
    yield "When to stop"
    caption = (
        "**One time for all noise levels?** The test loss above Bayes, as a share of what it is "
        "before training: where all curves turn at one time, it serves all. Dots: gradient descent."
    )
    loss = avoidable(some.of("loss", images="test"), some)
    look = {"most": 18, "limits": (0.03, 10), "panel": "data"}
    yield figure("minima", caption, curves(loss, "duration", color="abar", **look))
    dots = found.of("least_k").named("best_k", source="simulation")
    dots = dots.named(level=lambda at: round(1 - at["abar"], 12)).dropped("abar")
    finite = [r for r in found.of("best_k") if np.isfinite(r.value).all()]
    lines = Readings(finite, QUANTITIES).map(np.mean).named(source="theory")
    rule = few.of("best_k").against(few.of("unseen"), lambda k, v: 1 / np.mean(v), "best_k")
    caption = (
        "**When to stop.** The training time with the least test loss; one flat line is one time "
        "for all levels. Lines: exact; dots: the least record of the descents, where it has one."
    )
    every = dots + lines + rule.named(source="rule")
    ends = [float(np.mean(r.value)) for r in every if np.isfinite(r.value).all()]
    look = {"panel": "data", "limits": (0.7 * min(ends), 1.4 * max(ends)) if ends else None}
    yield figure("stopping", caption, curves(every, "level", color="n", **look))


def courses_of(found: Readings, some: Readings) -> Iterator[Told]:
    """Loss and single modes along training."""
    yield "Loss and modes along training"
    yield Claim(
        "Gradient descent follows its closed form (largest relative difference)",
        found.of("difference"),
        below(EXACT),
        beside={"From gradient flow, losses": found.of("difference_flow")},
        note="Over all losses and modes, levels and recorded steps.",
    )
    ends = some.of(abar=lambda abar: abar in (min(levels := some.along("abar")), max(levels)))
    caption = (
        "**Loss against training time.** The less noise, the higher the test loss climbs after its "
        "minimum, and the later. Lines: the closed form of the same descent, continued beyond it."
    )
    look = {"panel": ("data", "abar"), "most": 18}
    yield figure("losses", caption, curves(ends.of("loss"), "duration", color="images", **look))
    caption = (
        "**Mode by mode.** The weight of single eigenvectors of the training covariance over its "
        "optimum. Seen modes are learned at the rate ᾱλ + 1 − ᾱ, unseen ones (their mean) at "
        "1 − ᾱ: ever later, the less noise there is."
    )
    look |= {"limits": (-0.05, 1.1), "scale": "linear"}
    yield figure("modes", caption, curves(ends.of("weight"), "duration", color="mode", **look))


def stopped_or_ridge(few: Readings, some: Readings) -> Iterator[Told]:
    """Early stopping against the best ridge."""
    yield "Early stopping against ridge"
    yield Claim(
        "Early stopping beats the best ridge where N ≤ d (test loss of the ridge less that of "
        "stopping, relative, mean over levels)",
        few.of("ridge_less_stop"),
        above(0),
        published="at the cost of the same one number",
        beside={"Loss trained to the end over stopped, worst level": few.of("trained")},
    )
    caption = (
        "**What stopping early and a ridge save:** the share of the avoidable test loss that is "
        "left. Where the lines of stopping lie on each other, one time for all costs nothing."
    )
    parts = [some.of(name).named("loss", training=how) for name, how in REACHED.items()]
    left = avoidable(sum(parts, some.of(data=[])), some)
    plot = Plot(left, "level", color="training", panel="data", scale="log")
    yield figure("prices", caption, plot)
    tabled = some.of(level=list(TABLED))
    tabled += tabled.of("best_k").map(lambda k: 1 / k, "inverse_k")
    keys = ["data", "level"]
    names = ["best_k", "expected_k", "inverse_k", "best_ridge", "expected_ridge"]
    yield table("When to stop, or which ridge", tabled, keys, names)
    names = ["stopped", "expected_stopped", "ridged", "expected_ridged"]
    yield table("Test loss", tabled, keys, [*names, "unstopped", "expected_unstopped", "bayes"])


def samples_of(found: Readings, few: Readings, some: Readings) -> Iterator[Told]:
    """Which variances a half-trained model samples, and when modes emerge."""
    yield "Samples of half-trained models"
    sampled, law = (found.of("variance", source=s) for s in ("simulation", "theory"))
    normed = sampled.against(law, np.divide, "normed", apart="source")
    yield Claim(
        "Samples of half-trained models have the predicted variances (ratio, mean over modes and "
        "times)",
        normed.over("mode", "duration"),
        within(1 / NEAR, NEAR),
        beside={"Share of all 95 % intervals that hold the law": covered(normed)},
        note=f"k = {', '.join(f'{k:g}' for k in SAMPLED)}; one noise for each sample at all times.",
    )
    limits = [
        few.of("variance", mode="unseen", source="simulation", sampler=sampler, duration=LATE).map(
            lambda c, limit=limit: c * LATE / limit, "of_limit"
        )
        for sampler, limit in UNSEEN_C.items()
    ]
    yield Claim(
        f"On unseen directions a model stopped at k = {LATE:g} samples the variance c = const/k "
        "(c·k over its limit)",
        sum(limits, few.of(data=[])),
        within(1 / NEAR, NEAR),
        published=" and ".join(f"c·k = {UNSEEN_C[k]:.4f} by {v}" for k, v in SAMPLERS.items()),
        note="The limit holds for 1 ≪ k, and for DDPM also k ≪ 1/β₁.",
    )
    yield Claim(
        "Modes of a denoiser emerge at times inverse to their variance (exponent)",
        some.of("exponent_denoising"),
        within(-1.05, -0.95),
        published="−1",
        beside={"Noise prediction, all seen modes": some.of("exponent_noise")},
        note="In noise prediction it tends to −1 for λ ≪ 1 alone; at high noise all learn alike.",
    )
    caption = (
        "**What half-trained models sample**, first training set. A model that has learned nothing "
        "samples huge variances, which come down to those of the training set one mode after the "
        "other; unseen directions go on falling."
    )
    look = {"panel": ("data", "sampler"), "limits": (1e-6, 1e3)}
    yield figure("sampled", caption, curves(some.of("variance"), "duration", color="mode", **look))
    caption = (
        "**The c of unseen directions**, times k: nearly constant between k of order 1 and 1/β₁; "
        "beyond, the finite steps of DDPM without noise in the last one suppress it."
    )
    unseen = some.of("variance", mode="unseen", duration=lambda k: k >= 1)
    parts = [
        unseen.of(duration=k).map(lambda c, k=k: c * k, "constant")
        for k in unseen.along("duration")
    ]
    levels = {f"limit by {SAMPLERS[k]}: {c:.4f}": c for k, c in UNSEEN_C.items()}
    look = {"levels": levels, "limits": (0, 2), "scale": "linear", "panel": "data"}
    lines = curves(sum(parts, some.of(data=[])), "duration", color="sampler", **look)
    yield figure("unseen", caption, lines)
    caption = (
        "**When modes emerge** in probability-flow samples, by exact laws. A denoiser that starts "
        "at zero samples a point; variances rise half way to λ at a time ∝ 1/λ. Those of a noise "
        "predictor fall: modes with λ above 1 all need k of order 1."
    )
    times = some.of("emergence", lam=bool).named(source="theory")
    lines = curves(times, "lam", color="target", panel="data")
    yield figure("emergence", caption, lines)


def covered(normed: Readings) -> Readings:
    """The share of 95 % intervals that hold the law."""
    inside = [e.low <= 1 <= e.high for e in (normed.estimate(r) for r in normed)]
    found = [Reading("covered", {}, exact([float(np.mean(inside))]))] if inside else []
    return Readings(found, QUANTITIES)
