"""When, on its way from noise to image, a path decides on a class and on a training image, up to
where a network follows the memorizer, and at which noise copying is done (Biroli et al. 2024;
Dodson et al. 2026).

A cell trains networks of nested sets of one set of images: that of the fewest memorizes. Their
stochastic paths, the memorizers' of the same images and, where the law is known, the true
denoiser's part at a noise level into two clones: above the speciation time t_S these end in
independent classes, below the collapse time t_C at one training image. Theory, the data alone
(posterior weights under noised training images) and paths say when. Deterministic paths from the
same noises say up to where a network follows the memorizer of its images. At last the networks of
the fewest and of the most images are one denoiser, switched by bands of noise levels: which band
makes copies, and which prevents them?
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from denoscope.data.sources import MIXTURE, truth
from denoscope.distributions import Empirical
from denoscope.estimate import Estimate, exact, mean, paired_shares, share
from denoscope.fitting.recipe import at_least
from denoscope.levels import karras
from denoscope.metrics.crossings import as_size, together
from denoscope.random import Seeds
from denoscope.readings import Quantity, Reading, Readings, estimated, expanded, stored
from denoscope.report.claims import Claim, above, within
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.sampling import ancestral
from denoscope.store import Row, Value
from denoscope.studies._decided import Scale, classes_of, decided, expected, predicted
from denoscope.studies._followed import FAR, banded, followed
from denoscope.studies._paths import Known, walked
from denoscope.studies._probed import called
from denoscope.studies._subject import Subject
from denoscope.studies._trained import Model, Trained
from denoscope.study import Result, Work, axis, option
from denoscope.types import Denoiser

SPREAD = 0.236
"""The least published standard deviation of the time of the last change, over paths."""
AGREED = 0.7752
"""How often clones of the mixture agree that part at t_S, in closed form."""
NEAR = 0.2
"""In t: crossings so near to t_S count as there (of five published sets: 0.02 to 0.53 off)."""
STEP = 4
"""From one training set to the next larger one."""

BANDED = {
    "memorizing": "memory at middle noise alone makes more copies than at the least or the most"
    " noise alone (share of noises, less that of each outer band)",
    "generalizing": "a generalizing network at middle noise alone prevents more copies than at the"
    " least or the most noise alone (share of noises, less that of each outer band)",
}

QUANTITIES = {
    "agree": Quantity("clones that end alike", interval=share, tip="share of paths"),
    "excess": Quantity("excess entropy", "f/α", mean, tip="of the posterior, over ln N"),
    "speciation": Quantity("t_S", interval=exact, form=".3f", tip="class decided"),
    "collapse": Quantity("t_C", interval=exact, form=".3f", tip="image decided"),
    "fixed": Quantity("last change of image", "t", tip="of the nearest training image"),
    "agreed": Quantity(f"clones agree {AGREED:g}", "t", form=".3f", tip="on their class"),
    "apart": Quantity("distance of posterior means", "spreads", tip="same noises"),
    "left": Quantity("leaves the memorizer", "t", tip=f"farther than {FAR:g} from there on"),
    "sigma_left": Quantity("leaves the memorizer", "σ", form=".2g", tip="at the mean t"),
    "kept": Quantity("never leaves it", interval=share, tip="share of paths"),
    "copied": Quantity("copies", interval=share, tip="of the few images, by the 1/3 rule"),
    "whole": Quantity("copies", "one network", share, tip="of the few images, by the 1/3 rule"),
    "control": Quantity("held-out images", "as copies", share, tip="by the 1/3 rule"),
    "more": Quantity("copies", "difference"),
    "s": Quantity("spread", interval=exact, form=".3f"),
    "late": Quantity("t", "difference"),
    "sigma_s": Quantity("t_S", "σ", exact),
    "sigma_c": Quantity("t_C", "σ", exact),
}


@dataclass(frozen=True, kw_only=True)
class DynamicalRegimes(Trained):
    """Networks of nested training sets, beside the memorizers of these."""

    references: ClassVar[tuple[str, ...]] = (
        "biroli2024",
        "dodson2026",
        "yoon2023",
        "donner2012",
        "karras2022",
    )
    heading: ClassVar[str] = "When a path decides"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("data", "seed")

    data: str = axis(
        "digits",
        "image set: digits, fashion_mnist, mixture (two Gaussians, closed form), or a folder, "
        ".npz or .zip of images",
        ("digits", MIXTURE),
    )
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1))
    n: int = option(16, "training images of the network that memorizes")
    many: int = option(1024, "those of the last network; between lie networks of 4 times as many")
    width: int = option(64, "width of the networks, the one capacity dial")
    subset: int = option(0, "which of two training subsets")
    level_mean: float = option(0.5, "mean of log sigma in training, so that all levels are trained")
    level_std: float = option(2.5, "standard deviation of log sigma in training")
    samples: int = option(300, "paths of each denoiser, from the same noises")
    path_steps: int = option(48, "steps of a stochastic path")

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, {"path_steps": 4, "many": 2})

    def infeasible(self) -> str:
        if self.many <= self.n:
            return f"--many {self.many}: must be above --n {self.n}"
        return super().infeasible() or super(DynamicalRegimes, self.networks()[-1]).infeasible()

    def networks(self) -> list[Self]:
        """A cell for each network, of the ``n`` of its training set."""
        between = math.ceil(math.log(self.many / self.n, STEP) - 1e-9)
        sizes = [self.n * STEP**k for k in range(between)]
        return [replace(self, n=n) for n in (*sizes, self.many)]

    def estimated(self, *, trained: bool) -> float:
        numbers, count = math.prod(self.where().images().shape), len(self.networks())
        asked = 8 * (self.samples / 300) * (self.path_steps / 48) ** 2 * numbers / 64
        return count * (super().estimated(trained=trained) + asked)

    @classmethod
    def batch(cls, cells: Sequence[Any], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains all networks of every cell in one fleet."""
        part = replace(work, tell=lambda fraction: work.tell(fraction / 2))
        learned = cls.learned([one for cell in cells for one in cell.networks()], part)
        for index, cell in enumerate(cells):
            models = list(islice(learned, len(cell.networks())))
            stopped = next((said for *_, said in models if said), "")
            yield cell, Result({"stopped": stopped}) if stopped else cell.measure(models)
            work.tell(0.5 + (index + 1) / len(cells) / 2)

    def measure(self, models: Sequence[Model]) -> Result:
        """Every reading of the networks."""
        subjects = [
            Subject(net, cell.where(), self.samples, self.solver_steps, generated)
            for cell, (net, generated, _) in zip(self.networks(), models)
        ]
        readings = list(self.readings(subjects))
        return Result(self.values(readings), stored(readings))

    def readings(self, subjects: Sequence[Subject]) -> Iterator[Reading]:
        """What the networks, and the closed forms, are asked, by coordinates."""
        few, *_, many = subjects
        scale, ladder = Scale.of(few.data), self.levels()[:-1].double().numpy()
        yield Reading("s", {}, exact([scale.spread]))
        for subject in subjects:
            known = (predicted(subject.data, ladder), expected(subject.data, ladder, self.samples))
            for r in chain(*known, self.deciding(subject), followed(subject, scale)):
                yield replace(r, at={**r.at, "n": len(subject.data.train())})
        yield from banded(few, many, scale)
        if law := truth(self.source()):
            each = self.stochastic(law, many)
            yield from (r for r in each if r.at.get("choice") == "class")

    def levels(self) -> Tensor:
        """Those of stochastic paths, falling to 0."""
        return karras(self.path_steps).float()

    def deciding(self, subject: Subject) -> Iterator[Reading]:
        for who, D in (
            ("network", subject.denoiser),
            ("memorizer", Empirical(subject.data.train())),
        ):
            for r in self.stochastic(D, subject):
                yield replace(r, at={**r.at, "who": who})

    def stochastic(self, D: Denoiser, subject: Subject) -> Iterator[Reading]:
        """What the stochastic paths of a denoiser say; the true one's by default."""
        noise = Seeds(range(subject.noises)).noise()
        path = walked(D, subject.start(), self.levels(), ancestral, noise)
        at = {"who": "truth", "source": "paths"}
        scale, kinds = Scale.of(subject.data), classes_of(subject.data)
        yield from decided(D, path, Known.of(subject.data), kinds, scale, at)

    def values(self, readings: Sequence[Reading]) -> dict[str, Value]:
        found = expanded(readings, QUANTITIES).of(n=self.n).estimates()
        times = {name: found.of(name, source="theory").one for name in ("speciation", "collapse")}
        return {**times, "fixed": found.of("fixed", who="memorizer").one}

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        fields = rows[0].fields
        ddpm, heun = fields["path_steps"], fields["solver_steps"]
        return {
            "paths": f"{fields['samples']} noises, the same for all denoisers, from σ = 80: {ddpm}"
            f" steps of DDPM; {heun} of Heun's method where paths are compared",
            "time": "t = ln(1 + σ²/s²)/2, s² the mean variance of a number of the set",
            "intervals": "by t over paths, exact for shares; training seeds averaged before",
        }

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """Training seeds averaged, closed forms once; copies stay by seed, each 0 or 1."""
        plain = super().found(sorted(rows, key=lambda row: row.fields["data"] == MIXTURE))
        sets = plain.along("data")
        every = plain.named(data=lambda at: called(at["data"], sets))
        fixed = Readings([r for r in every if isinstance(r.value, Estimate)], QUANTITIES)
        units = Readings([r for r in every if not isinstance(r.value, Estimate)], QUANTITIES)
        copied = units.of("copied", "whole")
        rest = Readings([r for r in units if r.name not in ("copied", "whole")], QUANTITIES)
        return copied + rest.over("seed") + once(fixed)

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        most, fewer = collapsing(found)
        yield most
        yield speciating(found, "the true denoiser and of the memorizer", "truth", "memorizer")
        yield when(found)
        yield from copying(found)
        yield fewer
        yield speciating(found, "the network", "network")
        yield from following(found)
        yield "At which noise copies are made"
        yield switches(found)
        yield "Theory, data and paths"
        yield from curves(found)
        yield "Where networks leave the memorizer"
        yield from parting(found)
        yield "Times"
        keys = ("data", "n", "source", "who")
        names = ["speciation", "collapse", "fixed", "agreed", "left", "sigma_left", "kept"]
        yield table("Times", found + crossed(found) + leaving(found), keys, names)
        copied = found.of("whole", "control").over("seed")
        yield table("Copies of one network", copied, ["data", "switched"], ["whole", "control"])


def once(some: Readings) -> Readings:
    """The first of readings that differ in the seed alone."""
    kept: dict[Any, Reading] = {}
    for r in some.dropped("seed"):
        kept.setdefault((r.name, frozenset(r.at.items())), r)
    return Readings(kept.values(), some.quantities)


# What is claimed


def crossed(found: Readings, less: float = 0.0, name: str = "agreed") -> Readings:
    """The time at which so many clones of the mixture agree on their class as at t_S, ``less`` a
    time.
    """
    mixture = found.of(data=MIXTURE)

    def crossing(
        sigmas: Sequence[float], units: Sequence[np.ndarray], level: float = 0.95
    ) -> Estimate:
        scale = Scale(mixture.of("s").one.value, np.ones(1))
        falling = together(sigmas, [-np.asarray(u, np.float64) for u in units]).rise(-AGREED)
        return falling.map(lambda log2: scale.time(as_size(log2)) - less)(level)

    agree = mixture.of("agree", choice="class", source="paths")
    return agree.across("sigma", crossing, name).dropped("choice")


def collapsing(found: Readings) -> tuple[Claim, Claim]:
    """Where the image is decided."""
    mine, theory = found.of("fixed", who="memorizer"), found.of("collapse", source="theory")
    late = mine.against(theory, apart="source", name="late")
    fewer = late.of(n=late.along("n")[:-1])
    beside = {"Memorizers": mine, "Networks": found.of("fixed", who="network")}
    most = Claim(
        "A memorizer of the most images fixes its training image at the collapse time t_C of theory"
        " (mean time of its last change, less t_C)",
        late.last("n"),
        within(-SPREAD, SPREAD),
        published=f"0.33 ± {SPREAD:g} (standard deviation over paths) to 1.7 ± 0.46 on image sets",
        beside={**beside, "Theory": theory, "Data alone": found.of("collapse", source="data")},
    )
    return most, Claim("Memorizers of fewer images do as well", fewer, within(-SPREAD, SPREAD))


def speciating(found: Readings, words: str, *who: str) -> Told:
    """Where the class of the mixture is decided, of the most images."""
    law = once(found.of("speciation", source="theory", data=MIXTURE).dropped("n"))
    if not law:
        return None
    late = crossed(found, float(law.one), "late").of(who=[*who])
    return Claim(
        f"Clones of {words} of the most images of the mixture agree on their class as often as in"
        f" closed form at the speciation time t_S (time at which {AGREED:g} agree, less t_S)",
        late.last("n") + late.without("n"),
        within(-NEAR, NEAR),
        published=f"{AGREED:g} at t_S in closed form",
        beside={"All times": crossed(found), "t_S": law},
    )


def following(found: Readings) -> Iterator[Told]:
    """Where a network leaves the memorizer."""
    left = found.of("left", who="network")
    gaussian = found.of("left", who="gaussian")
    times = found.of("collapse", source="theory").last("n")
    yield Claim(
        "A network of the most images leaves the memorizer's path before that collapses (time from"
        " which on it is off, less t_C)",
        left.last("n").against(times, apart="source", name="late"),
        above(0),
        published="a smooth score cannot follow the empirical one below t_C",
        beside={"Networks": left, "σ": leaving(left + found.of("s")), "Gaussians": gaussian},
    )
    yield Claim(
        "It leaves it earlier than a network of the fewest images leaves its own (difference in t,"
        " same noises)",
        left.change("n", name="late"),
        above(0),
        beside={"Paths that never leave": found.of("kept", who="network")},
    )


def copying(found: Readings) -> Iterator[Told]:
    """At which noise copies are made, and prevented."""
    whole, control = found.of("whole"), found.of("control")
    for data, copied in found.of("copied").by("data"):
        for kind, says in BANDED.items():
            some = copied.of(switched=kind)
            yield Claim(
                f"{data}: {says}",
                outer(some, kind),
                above(0),
                published="memorization is most pronounced at medium noise",
                control=memorizing(whole.of(data=data), control),
                beside={"Every band": some, "Held-out images": control.of(data=data)},
                note="The middle band is chosen on every second noise and read on the others.",
            )
    yield memorizing(whole, control)


def memorizing(whole: Readings, control: Readings) -> Claim:
    """Whether there is memory to be switched on and off."""
    few, many = (whole.of(switched=kind) for kind in BANDED)
    return Claim(
        "The network of the fewest images copies them, that of the most does not (difference)",
        few.against(many, estimated(paired_shares), "more", apart="switched"),
        above(0.5),
        beside={"Each": whole, "Held-out images": control},
    )


def outer(copied: Readings, kind: str) -> Readings:
    """Copies that the most telling middle band makes (or prevents) beyond each outer one."""
    ends = [copied.along("band")[i] for i in (0, -1)] if copied else []
    sign = 1 if kind == "memorizing" else -1
    best = copied.of(band=lambda band: band not in ends).largest("band", sign)

    def beyond(end: Any, middle: Any) -> Any:
        return estimated(paired_shares)(*((middle, end) if sign > 0 else (end, middle)))

    half = copied.of(band=ends).map(lambda units: units[1::2])
    return half.against(best, beyond, "more", apart="band")


# What is drawn


def marks(found: Readings) -> Readings:
    """Times of theory as noise levels."""
    s = found.of("s")
    named = {"speciation": ("sigma_s", "class"), "collapse": ("sigma_c", "image")}
    each = [
        found.of(old, source="theory").against(s, level_of, new).named(choice=choice)
        for old, (new, choice) in named.items()
    ]
    return each[0] + each[1]


def leaving(found: Readings) -> Readings:
    """The noise level at which a path leaves the memorizer's, by who takes it."""
    return found.of("left").estimates().against(found.of("s"), level_of, "sigma_left")


def level_of(time: Estimate, spread: Estimate) -> Estimate:
    """A time as a noise level, its interval with it."""
    scale = Scale(spread.value, np.ones(1))
    value, low, high = (float(scale.sigma(max(0.0, t))) for t in (time.value, time.low, time.high))
    return replace(time, value=value, low=low, high=high)


def when(found: Readings) -> Told:
    """What the memorizer's clones agree on, against the level at which they part."""
    mine = found.of("agree", who="memorizer", source="paths").thinned("n", 2)
    return figure(
        "dynamical_regimes_when",
        "**When a memorizer's path decides**: the share of its clones that end in one class, and at"
        " one training image, against the noise level σ at which they part, from right to left as"
        " it is sampled. Markers: t_S and t_C of theory.",
        Plot(
            mine.dropped("who", "source"),
            "sigma",
            "choice",
            panel=("data", "n"),
            limits=(0.0, 1.02),
            markers=marks(found).dropped("source"),
        ),
    )


def curves(found: Readings) -> Iterator[Told]:
    """Theory, data and paths of one set in one figure."""
    for i, (data, some) in enumerate(found.by("data")):

        def draw(name: str, title: str, some: Readings = some, **at: Any) -> Plot:
            every = some.of(name, **at).thinned("n", 2)
            return Plot(
                every.of(source=["data", "paths"]),
                "sigma",
                "who",
                "source",
                panel="n",
                title=title,
                theory=every.of(source="theory"),
                limits=(0.0, 1.02),
            )

        yield figure(
            f"dynamical_regimes_{i + 1}",
            f"**{data}: theory, data and paths**, against the noise level σ: clones that part at σ"
            " and end in one class, and at one training image (of the data alone: the weight of a"
            " noised training image on itself), and the excess entropy of the posterior.",
            draw("agree", "Class", choice="class"),
            draw("agree", "Image", choice="image"),
            draw("excess", "Excess entropy"),
        )


def switches(found: Readings) -> Told:
    """Copies against the band in which networks are switched."""
    copied = found.of("copied").over("seed")
    return figure(
        "dynamical_regimes_bands",
        "**Two networks as one denoiser**: copies of the few images where one network is asked"
        " inside a band of noise levels, two octaves wide, and the other at all others.",
        Plot(copied, "band", "switched", panel="data", limits=(-0.02, 1.02)),
    )


def parting(found: Readings) -> Iterator[Told]:
    """How far networks and Gaussians are from the memorizer on the way, and where they leave it."""
    yield figure(
        "dynamical_regimes_apart",
        "**How far a path is from the memorizer's**: distance of the posterior means from the same"
        " noise, over the spread of the data.",
        Plot(found.of("apart"), "sigma", "who", panel=("data", "n"), levels={"parted": FAR}),
    )
    yield figure(
        "dynamical_regimes_left",
        "**When paths leave the memorizer's**, and t_C of theory, in t, which falls along a path.",
        Plot(
            found.of("left"),
            "n",
            "who",
            "source",
            panel="data",
            theory=found.of("collapse", source="theory"),
            y="t",
        ),
    )
