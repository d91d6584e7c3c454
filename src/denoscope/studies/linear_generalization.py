"""How many samples a linear diffusion model needs: losses and divergences against N, theory and
simulation.

The optimal linear denoiser of N training rows predicts the noise in x_t = sqrt(abar) x_0 +
sqrt(1 - abar) eps by W_t (x_t + b_t), one map per noise level. It depends on the rows only through
their mean mu_0 and covariance Sigma_0, and what it samples is Gaussian, N(mu_0, Sigma_0 + c): every
number is exact for its training set. Rows come from Gaussian data with power-law spectra or from
real images; their averages stand beside deterministic equivalents for Gaussian data of the same
spectrum, and beside the images' Gaussian twin (Merger and Goldt 2025).

All numbers are a dimension, in units in which Tr Sigma = d. Losses are measured on the law itself,
or on the images that were not drawn; divergences and the error of the covariance are those from the
law, for images the whole set (a held-out half may not vary at all in a direction in which few
images do, and no divergence from it would be finite).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from denoscope.data.population import TrainingSet, gaussian_twin
from denoscope.data.realised import realised_numbers
from denoscope.estimate import Estimate, exact, mean, median
from denoscope.fitting.recipe import fraction
from denoscope.readings import Quantity, Reading, Readings, stored
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.plots import figure
from denoscope.report.story import Told, crosstab, table
from denoscope.store import Row
from denoscope.studies._drawn import Drawn, between, closing, curves, named, sooner
from denoscope.study import Result, Work, axis, option
from denoscope.theory.linear.expectations import KL, expected_numbers, sampled_floors
from denoscope.theory.linear.laws import abars, slide_betas
from denoscope.theory.linear.optimum import bayes_loss_of
from denoscope.theory.spectra import participation_ratio

SIZES = (8, 16, 32, 50, 64, 80, 100, 128, 160, 200, 256, 400, 512, 800, 1024, 2048)
CLOSED = 0.1  # the gap is closed where the test loss is within this share of Bayes
CLOSE = 0.1  # theory and simulation agree where they differ by less than this share
ERROR = 0.1  # where the error of the covariance and the divergence are compared
AWAY = 1.5  # from N = d, by this factor: nearer the averages have heavy tails and 1/d corrections
FAR, HALF = 4.0, 0.5  # N/d above which divergences are d/(4N), and at which a model overfits

QUANTITIES = {
    "train": Quantity("train", form=".3g", tip="train loss per dimension at the level shown"),
    "test": Quantity("test", form=".3g", tip="test loss per dimension at the level shown"),
    "gap": Quantity("gap", form=".3g", tip="test less train loss, per dimension"),
    "train_mean": Quantity("train, all levels", form=".3g", tip="averaged over the schedule"),
    "test_mean": Quantity("test, all levels", form=".3g", tip="averaged over the schedule"),
    "test_ridge": Quantity("test, ridge", form=".3g", tip="test loss with the best ridge"),
    "ridge": Quantity("best ridge", form=".3g", tip="with the least test loss at the level shown"),
    "test_stopped": Quantity("test, stopped", form=".3g", tip="test loss at the best time to stop"),
    "k": Quantity("best time", "", median, ".3g", "2 × rate × steps, median over training sets"),
    "kl": Quantity("KL(m‖t)", "nats", form=".3g", tip="KL(model ‖ true) per dimension"),
    "kl_reverse": Quantity("KL(t‖m)", "nats", form=".3g", tip="KL(true ‖ model) per dimension"),
    "kl_ridge": Quantity("KL(m‖t), ridge", "nats", form=".3g", tip="with the best ridge"),
    "kl_reverse_ridge": Quantity("KL(t‖m), ridge", "nats", form=".3g", tip="with the best ridge"),
    "frobenius": Quantity("|Σ₀ − Σ|²/|Σ|²", form=".3g", tip="squared error of the covariance"),
    "unseen": Quantity("unseen variance", "share", form=".3g", tip="not spanned by the rows"),
    "spectrum": Quantity("eigenvalues of Σ"),
    "bayes": Quantity("Bayes", "", exact, ".3g", "least loss per dimension that the data allow"),
    "bayes_mean": Quantity("Bayes, all levels", "", exact, ".3g"),
    "floor": Quantity("limit", "nats", exact, ".2g", "divergence per dimension at N = ∞"),
    "d_eff": Quantity("d_eff/d", "", exact, ".3f", "(Tr Σ)²/Tr Σ², the participation ratio"),
    "bound": Quantity("lower bound of the gap", form=".3g"),
    "loss": Quantity("loss / d", form=".3g"),
    "excess": Quantity("test loss over Bayes − 1", form=".3g"),
    "closes": Quantity("N/d", form=".2f"),
    "divergence": Quantity("KL / d", "nats", form=".3g"),
    "further": Quantity("KL / d less its limit", "nats", form=".3g"),
    "slope": Quantity("KL over d²/(4N)", form=".3f"),
    "rescued": Quantity("change of KL / d by the best ridge", "nats", form=".3g"),
    "sooner": Quantity("N of the norm over N of the samples"),
    "multiple": Quantity("gap over its lower bound"),
    "left": Quantity("(test loss − Bayes) / d", form=".3g"),
    "of_bayes": Quantity("test loss over Bayes", form=".3g"),
    "later": Quantity("test loss stopped less with ridge", form=".2g"),
    "off": Quantity("relative difference from theory", form=".2%"),
}


@dataclass(frozen=True, kw_only=True)
class LinearGeneralization(Drawn):
    """The optimal linear diffusion model of several training sets of one size, from one law."""

    version: ClassVar[int] = 2
    least: ClassVar[dict[str, int]] = {"d": 2, "draws": 2, "steps": 1, "resize": 0}
    references: ClassVar[tuple[str, ...]] = ("mergergoldt2025", "ledoitpeche2011", "ho2020")
    heading: ClassVar[str] = "How many samples a linear diffusion model needs"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES

    data: str = axis(
        "power1",
        "law of the data: powerK for eigenvalues nu^-K, or an image set: digits, "
        "fashion_mnist, emoji, faces, a folder, .npz or .zip",
        ("power0", "power1", "power2", "digits"),
    )
    n: int = axis(64, "number of training rows", SIZES)
    d: int = option(100, "dimension of synthetic data; images have their own")
    draws: int = option(20, "training sets a cell")
    abar: float = option(0.99, "level of losses, x_t = sqrt(abar) x0 + sqrt(1-abar) eps")
    steps: int = option(1000, "levels of the schedule; far fewer end too far from noise")

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction(self, "abar")

    def cost(self) -> float:
        law = self.law()
        sets = self.draws * (1 if law.rows is None else 2)
        return sets * (0.02 + 4e-5 * self.steps + 4e-8 * law.d**3)

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        law, betas, values = self.law(), slide_betas(self.steps), {}
        laws = {"simulation": law} | ({} if law.rows is None else {"twin": gaussian_twin(law)})
        found = [Reading("spectrum", {}, law.spectrum)]
        for source, each in laws.items():
            prefix = "twin_" if source == "twin" else ""
            sets = [TrainingSet.draw(each, self.n, seed) for seed in range(self.draws)]
            numbers = realised_numbers(sets, law.spectrum, self.n, self.abar, betas)
            for name, units in numbers.items():
                found.append(Reading(name, {"source": source}, units.astype(np.float32)))
                values[prefix + name] = float(np.median(units)) if name == "k" else mean(units)
        return Result(values, stored(found))

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """What was measured, at N/d, with theory; data from flat to steep spectra."""
        cells, spectra, found = super().found(rows), cls.spectra(rows), Readings([], QUANTITIES)
        share = {name: float(participation_ratio(s)) / len(s) for name, s in spectra.items()}
        for name in sorted(spectra, key=lambda name: -share[name]):
            some, spectrum = cells.of(data=name), spectra[name]
            fields: dict[str, Any] = named(rows)[name][0].fields
            sizes = between(some.along("n"), len(spectrum))
            expected = theory(spectrum, sizes, fields["abar"], fields["steps"])
            together = some.of(source=["simulation", "twin"]) + expected.named(data=name)
            d = len(spectrum)
            found += together.of(n=bool).named(per_d=lambda at, d=d: at["n"] / d)
            found += together.without("n")
        return found.dropped("n")

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        fields: dict[str, Any] = rows[0].fields
        betas = slide_betas(fields["steps"])
        return {
            "noise levels": f"losses at ᾱ = {fields['abar']:g}; schedule of {len(betas)} steps, "
            f"β from {betas[0]:.3g} to {betas[-1]:.3g}, ᾱ_T = {abars(betas)[-1]:.3g}",
            "sampling": "ancestral from N(0, I), σ_t² = β_t, noise in the last step too: "
            f"directions without data get the variance c = {betas[0]:.4g}",
            "data": "; ".join(f"{name}, d = {len(s)}" for name, s in cls.spectra(rows).items()),
            "truth": "Gaussian data: the law itself. Images: losses on all images that were not "
            "drawn; divergences and the error of the covariance against the moments of the whole "
            "set, whose spectrum theory uses too; directions without variance are left out",
        }

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """How many rows close the gap, the law of the samples, and what helps below N = d."""
        images = found.of(source="twin").along("data")
        gaussian = [name for name in found.along("data") if name not in images]
        yield from enough(found)
        yield from the_samples(found, gaussian, images)
        yield from below_d(found)
        yield from without_data(found)
        yield from agreement(found, gaussian, images)


def theory(spectrum: np.ndarray, sizes: np.ndarray, abar: float, steps: int) -> Readings:
    """What is expected above 0 at every size, and the limits of endless data."""
    d, betas = len(spectrum), slide_betas(steps)
    found = [
        Reading(name, {"n": float(n), "source": "theory"}, np.array([value]))
        for name, values in expected_numbers(spectrum, sizes, abar, betas).items()
        for n, value in zip(sizes, values)
        if value > 0
    ]
    floors = sampled_floors(spectrum, betas)
    found += [Reading("floor", {"divergence": KL[k]}, np.array([v])) for k, v in floors.items()]
    for name, value in (
        ("bayes", bayes_loss_of(spectrum, abar)),
        ("bayes_mean", bayes_loss_of(spectrum, abars(betas)).mean()),
        ("d_eff", participation_ratio(spectrum)),
    ):
        found.append(Reading(name, {}, np.array([float(value) / d])))
    return Readings(found, QUANTITIES)


over_d = partial(curves, x="per_d", positions={"N = d": 1.0})


def enough(found: Readings) -> Iterator[Told]:
    """How many rows bring the test loss near the least there is."""
    near = partial(closing, height=CLOSED)
    excess = found.of("test").against(found.of("bayes"), lambda a, b: a / b - 1, "excess")
    yield Claim(
        f"The test loss comes within {CLOSED:.0%} of Bayes only at N of the order of d",
        excess.of(source="simulation").across("per_d", near, "closes"),
        within(0.5, 5),
        published="N of the order of d, whatever the spectrum",
        beside={"Theory": excess.of(source="theory").across("per_d", near, "closes")},
        note="At a higher noise level it takes fewer: directions below the noise do not count.",
    )
    yield "Train and test loss"
    samples = further(found).of(divergence="model||true")
    samples = samples.of(source=["simulation", "theory"]) + first_order(found).named("further")
    caption = (
        "**How many rows are enough.** Left: test loss over the least there is. Right: divergence "
        "of the exact law of the samples from the data's, per dimension, less its limit at N = ∞."
    )
    yield figure(
        "enough",
        caption,
        over_d(excess, color="data", title="Test loss", levels={"10 % above Bayes": CLOSED}),
        over_d(samples, color="data", title="Samples"),
    )
    for ending, words in (("", "at the noise level shown"), ("_mean", "averaged over all levels")):
        loss = both(found, {"train": "train", "test": "test"}, "images", "loss", ending)
        bayes, least = found.of("bayes" + ending), found.of("test" + ending, source="theory")
        least = least.against(bayes, lambda a, b: b, "loss")
        caption = (
            f"**Train and test loss, {words}.** Below N = d the model fits its training rows ever "
            "better than Bayes and fails on others; a model that predicts 0 has loss 1."
        )
        lines = over_d(loss + least.named(source="bayes"), color="images", panel="data")
        yield figure("losses" + ending.replace("_", "-"), caption, lines)


def the_samples(found: Readings, gaussian: list[str], images: list[str]) -> Iterator[Told]:
    """The divergence of the samples above and below N = d, and the norm that is learned before."""
    yield "The law of the samples"
    beyond = further(found)
    toward = slopes(beyond.of(divergence="model||true"))
    yield Claim(
        "Above N = 4d the divergence KL(model ‖ true) is d²/(4N), whatever the spectrum",
        toward.of(data=gaussian, source="simulation"),
        within(0.8, 1.2),
        published="d²/(4N) to first order",
        beside={
            "Theory": toward.of(data=gaussian, source="theory"),
            "KL(true ‖ model)": slopes(beyond.of(divergence="true||model", data=gaussian)),
        },
        note="Slope of the line through the origin; what is above 1 are higher orders of d/N.",
    )
    plain, ridged = near_half(divergence(found)), near_half(divergence(found, "_ridge"))
    yield Claim(
        "At about N = d/2 samples are far from the law, the best ridge brings them nearer (change)",
        ridged.of(source="simulation").against(plain.of(source="simulation"), name="rescued"),
        below(0),
        beside={"Without": plain.of(source="simulation"), "With": ridged.of(source="simulation")},
        note="The last step adds the schedule's least noise; without it both would be infinite.",
    )
    real = beyond.of(data=images, source="simulation", divergence="model||true")
    yield Claim(
        "Real images follow the same law above N = 4d",
        slopes(real),
        within(0.8, 1.2),
        beside={
            "Gaussian twin": toward.of(source="twin"),
            "Limit taken off": found.of("floor", data=images),
        },
        note="Training sets are parts of the set that stands for the truth: both are lower.",
    )
    yield Claim(
        "Directions in which few images vary raise it above their Gaussian twin's (slope, less)",
        slopes(real.against(further(found).of(source="twin"), apart="source")),
        above(0),
    )
    error, samples = found.of("frobenius"), further(found).of(divergence="model||true")
    small = partial(closing, height=ERROR)
    pairs = error.of(source="simulation").against(samples, lambda a, b: np.stack([a, b], -1))
    yield Claim(
        "The norm of the covariance is learned long before the samples are good: its error falls "
        f"below {ERROR:g} at less than half of the rows that KL / d needs, for some spectrum",
        pairs.across("per_d", partial(sooner, height=ERROR), "sooner"),
        below(0.5),
        any=True,
        published="first where d_eff < d/4: the error is d_eff/N, KL / d is d/(4N)",
        beside={
            "N/d of the norm": error.of(source="simulation").across("per_d", small, "closes"),
            "N/d of the samples": samples.of(source="simulation").across("per_d", small, "closes"),
            "d_eff/d": found.of("d_eff"),
        },
    )
    yield Claim("The participation ratio d_eff = (Tr Σ)²/Tr Σ², over d", found.of("d_eff"))
    caption = (
        "**What the model samples against the law.** Above N = d Gaussian data of any spectrum "
        "fall on one curve; below, directions without data have no variance but the last step's "
        "noise. With the ridge that is best on average the catastrophe is gone."
    )
    every = (divergence(found) + first_order(found)).named(training="trained")
    every += divergence(found, "_ridge").named(training="ridge")
    panels = ("divergence", "training")
    yield figure("divergence", caption, over_d(every, color="data", panel=panels))


def below_d(found: Readings) -> Iterator[Told]:
    """What a ridge and early stopping rescue."""
    yield "Ridge and early stopping"
    names = {"trained": "test", "ridge": "test_ridge", "stopped": "test_stopped"}
    tests = both(found, names, "training", "loss")
    half = near_half(tests.of(source="simulation"))
    times = half.against(found.of("bayes"), np.divide, "of_bayes")
    yield Claim(
        "At about N = d/2 ridge and early stopping prevent overfitting (test loss over Bayes)",
        times.of(training=["ridge", "stopped"]),
        below(2),
        control=Claim("Trained to the end it is above 2", times.of(training="trained"), above(2)),
        beside={"Trained to the end": times.of(training="trained")},
    )
    stopped, ridge = half.of(training="stopped"), half.of(training="ridge")
    words = "Which of the two is better depends on the data (loss when stopped less with ridge)"
    yield Claim(words, stopped.against(ridge, name="later", apart="training").dropped("training"))
    left = tests.against(found.of("bayes"), name="left")
    caption = (
        "**What a ridge and early stopping rescue:** the test loss above the least there is, with "
        "the ridge and the time that are best for each training set."
    )
    yield figure("rescue", caption, over_d(left, color="training", panel="data"))
    numbers = near_half(found.of(source="simulation"))
    names = ["test", "test_ridge", "test_stopped", "ridge", "k"]
    yield table("At about N = d/2", numbers, ["data", "per_d"], names)


def without_data(found: Readings) -> Iterator[Told]:
    """The norm, the variance that the rows do not span, and the part of the gap that it makes."""
    yield "Directions without data"
    gap, bound = found.of("gap"), found.of("bound")
    few = gap.of(source="simulation", per_d=lambda ratio: ratio < 1 / AWAY)
    off = relative(found, "unseen").of(per_d=lambda ratio: ratio < 1 / AWAY)
    yield Claim(
        "Below N = d the gap of test and train loss is that of directions without data (ratio)",
        few.against(bound, np.divide, "multiple", apart="source"),
        within(1 / (1 + CLOSE), 2),
        published="((1 − ᾱ)/ᾱ) N κ₀/c² is a lower bound, and nearly the gap",
        beside={"Unseen variance, relative difference from N κ₀": off},
        note=f"Sizes below d/{AWAY:g}.",
    )
    caption = (
        "**What is learned, and what cannot be.** The error of the covariance is about d_eff/N; "
        "directions that the rows do not span (middle) make most of the gap (right, dashed)."
    )
    yield figure(
        "directions",
        caption,
        over_d(found.of("frobenius"), color="data", title="Error of the covariance"),
        over_d(found.of("unseen"), color="data", title="Unseen variance"),
        over_d(gap + bound.named("gap", source="bound"), color="data", title="Gap"),
    )


def agreement(found: Readings, gaussian: list[str], images: list[str]) -> Iterator[Told]:
    """Theory against simulation."""
    yield "Theory against simulation"
    names = dict.fromkeys(r.name for r in found.of(source="simulation"))
    away = found.of(per_d=lambda ratio: abs(np.log(ratio)) >= np.log(AWAY))
    parts = [relative(away, name).named(number=QUANTITIES[name].label) for name in names]
    off = sum(parts, found.of(data=[]))
    own, twin = off.of(source="simulation"), off.of(source="twin")
    yield Claim(
        "Deterministic equivalents predict every average over training sets of Gaussian rows",
        own.of(data=gaussian),
        within(-CLOSE, CLOSE),
        published="exact for large d",
        note=f"All numbers at sizes that differ from N = d by a factor of {AWAY:g} or more.",
    )
    yield Claim(
        "Half of all numbers on real images are so near to theory",
        typical(own.of(data=images)),
        beside={"Gaussian twin": typical(twin)},
        note="The twin's are of a finite set; what images add are pixels that few of them use.",
    )
    for title, some in (("Training sets", own), ("Gaussian twins", twin)):
        yield crosstab(f"{title}, mean over sizes", some.over("per_d"), "number", "data")


def both(
    found: Readings, names: Mapping[str, str], coordinate: str, name: str, ending: str = ""
) -> Readings:
    """Several quantities as one, at the values of a coordinate."""
    parts = [found.of(old + ending).named(name, **{coordinate: at}) for at, old in names.items()]
    return sum(parts, found.of(data=[]))


def divergence(found: Readings, ending: str = "") -> Readings:
    """Both divergences as one quantity."""
    return both(found, {v: k for k, v in KL.items()}, "divergence", "divergence", ending)


def further(found: Readings) -> Readings:
    """Both divergences less what is left of them at N = inf."""
    return divergence(found).against(found.of("floor"), name="further")


def first_order(found: Readings) -> Readings:
    """The line d/(4N), the same for both divergences and all data."""
    at = [{"per_d": ratio, "source": "first_order"} for ratio in found.along("per_d") if ratio > 1]
    line = (Reading("divergence", each, np.array([1 / (4 * each["per_d"])])) for each in at)
    return Readings(line, QUANTITIES)


def relative(found: Readings, name: str) -> Readings:
    """The relative difference of a quantity from theory."""
    expected = found.of(name, source="theory")
    measured = found.of(name, source=["simulation", "twin"])
    return measured.against(expected, lambda a, b: a / b - 1, "off", apart="source")


def near_half(found: Readings) -> Readings:
    """At the measured size nearest to d/2, of data with sizes below 3d/4."""
    chosen = found.of(data=[])
    for _, some in found.of(source="simulation").by("data"):
        few = [ratio for ratio in some.along("per_d") if ratio < 1.5 * HALF]
        if few:
            chosen += some.of(per_d=min(few, key=lambda ratio: abs(np.log(ratio / HALF))))
    return found.meeting(chosen.dropped("source"))


def slopes(divergences: Readings) -> Readings:
    """The slopes of KL / d against d/(4N) above N = 4d, of data with two sizes there."""
    far = divergences.of(per_d=lambda ratio: ratio > FAR)
    measured = far.of(source=["simulation", "twin"])
    expected = far.of(source="theory").meeting(measured.dropped("source"))
    return (measured + expected).across("per_d", through_origin, "slope")


def through_origin(
    ratios: Sequence[float], units: Sequence[np.ndarray], level: float = 0.95
) -> Estimate:
    """The slope of a line, set by set."""
    x = 1 / (4 * np.array(ratios))
    slope = np.stack(units, -1) @ x / (x @ x)
    return mean(slope, level) if slope.size > 1 else exact(slope)


def typical(off: Readings) -> Readings:
    """The median size of the mean relative difference, over all numbers and sizes."""
    found = [
        Reading("off", {"data": data}, exact([np.median([abs(np.mean(r.value)) for r in some])]))
        for data, some in off.by("data")
    ]
    return Readings(found, QUANTITIES)
