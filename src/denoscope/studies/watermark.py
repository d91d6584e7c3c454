"""Watermarks put in at a noise level where the Jacobian has low rank (Li et al. 2024, "Shallow
Diffuse"), by carrier and level, beside what they cost on a Gaussian in closed form.

A mark is a step of length λ, in variance-preserving coordinates, along a direction that the key
draws uniformly in its carrier; its image is found by the exact p of the cosine that inversion
brings back. On the Gaussian of the data all is linear: PSNR, the share that comes back, the change
of the posterior mean and the power are lines that measured points must meet. What the paper claims
of shallow marks is taken apart: by carrier at one level, and by level in one carrier, at equal λ.

That p is uniform is measured with a fresh key for every pair of an image and a key: on unmarked
samples, real images, attacked ones and images with another key's mark; the published non-central
chi-squared p stands beside it. Rivals are Tree-Ring's replacement at t = 1 and spread spectrum in
DCT coefficients without a model (Cox et al. 1997), under the same exact test at equal PSNR.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from denoscope.apply.watermark import Key, noise_level
from denoscope.coordinates import CARRIERS
from denoscope.data.sources import Source, load
from denoscope.data.splits import Split
from denoscope.distributions import Gaussian
from denoscope.estimate import counted, distance, exact, share
from denoscope.fitting.recipe import at_least
from denoscope.fitting.shipped import NETWORKS
from denoscope.levels import karras
from denoscope.metrics.log_means import root_mean
from denoscope.metrics.psnr import gain, output
from denoscope.random import Seeds
from denoscope.readings import Quantity, Reading, Readings, estimated, expanded, stored
from denoscope.report.claims import Claim, Expected, above, within
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, crosstab, table
from denoscope.store import Row, Value
from denoscope.studies._detected import (
    after_attacks,
    attacks,
    by_chance,
    chances,
    identified,
    published_p,
)
from denoscope.studies._marked import (
    EASY,
    FOUND,
    KEYS,
    Bearer,
    at_psnr,
    costs,
    equal,
    marks,
    more_found,
    rival,
    spread_spectrum,
    told,
)  # fmt: skip
from denoscope.studies._predicted import (
    Predicted,
    closed_forms,
    half_found,
    posterior_change,
)
from denoscope.studies._subject import known, opened, unasked
from denoscope.studies._trained import Imaged
from denoscope.study import Result, Work, axis, option
from denoscope.types import Denoiser

GAUSSIAN = "gaussian"
MODELS = (GAUSSIAN, "digits-unet")
TIMES, MAIN, LAST = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0), 0.3, 1.0
ASKED = {"time": (0.1, MAIN, LAST), "carrier": ("all", "low", "high", "null", "replaced")}
"""Of networks; the Gaussian is asked at all times and carriers."""
LEFT_OUT = {"null": (80, 8), "null_most": (300, 2.5)}
"""Leading directions that a null space leaves out, at most, and one of how many dimensions."""
FACTORS = (0.5, 2.0)
"""Strengths of the frontier beside the main one, in half the images, in parts of it."""
KNOWN = 16
"""Images, not marked, over which a network's Jacobian is averaged."""
PART = 4
"""One of how many images is attacked."""
MARKS = {"high": "high-band", "all": "random", "null": "null-space", "low": "low-band"}
"""How marks of a carrier are called."""


QUANTITIES = {
    "psnr": Quantity("PSNR", "dB", output, ".1f", "of the mark alone, before clamp and 8 bits"),
    "psnr_stored": Quantity("PSNR", "dB, 8 bits", output, ".1f", "to the unmarked decode"),
    "psnr_original": Quantity("PSNR", "dB, to the original", output, ".1f", "8 bits"),
    "psnr_theory": Quantity("PSNR", "dB, closed form", exact, ".1f"),
    "recovered": Quantity("recovered share", form=".3f", tip="of the step, before 8 bits"),
    "recovered_theory": Quantity("recovered share", "closed form", exact, ".3f"),
    "kept": Quantity("change of E[x₀ | x]", "per step", root_mean, ".3f", "root mean square"),
    "kept_linear": Quantity("change of E[x₀ | x]", "by the Jacobian", root_mean, ".3f"),
    "kept_ratio": Quantity("measured over ‖JP‖/√m", interval=root_mean, form=".3f"),
    "found": Quantity("share found", interval=share, form=".3f", tip="of 8-bit images"),
    "found_raw": Quantity("share found", "before 8 bits", share, ".3f"),
    "power": Quantity("power", "closed form", form=".3f"),
    "power_line": Quantity("power", "closed form", exact, ".3f"),
    "half": Quantity("PSNR where half are found", "dB, closed form", exact, ".1f"),
    "attacked": Quantity("share found", "after the attack", share, ".3f"),
    "accused": Quantity("clean images accused", interval=share, form=".3f"),
    "alarms": Quantity("false alarms", interval=counted, form=".5f"),
    "alarms_published": Quantity("false alarms", "published p", counted, ".4f"),
    "distance": Quantity("distance from uniform", interval=distance, form=".4f"),
    "distance_published": Quantity("distance from uniform", "published p", distance, ".3f"),
    "found_published": Quantity("share found", "published p", share, ".3f"),
    "rival_psnr": Quantity("PSNR", "dB, rival", output, ".1f"),
    "rival": Quantity("share found", "rival, equal PSNR", share, ".3f"),
    "rival_attacked": Quantity("share found", "rival, attacked", share, ".3f"),
    "blamed": Quantity("given any key, unmarked", interval=share, form=".4f"),
    "named": Quantity("given its own key", interval=share, form=".3f"),
    "misnamed": Quantity("given another key", interval=share, form=".3f"),
    "dimension": Quantity("dimensions", interval=exact, form=".0f"),
    "difference": Quantity("difference", form=".3f"),
    "decibels": Quantity("difference", "dB", form=".2f"),
}


@dataclass(frozen=True, kw_only=True)
class Watermark(Imaged):
    """One carrier at one noise level of one denoiser."""

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = (
        "li2024shallow", "wen2023", "cox1997", "holm1979", "song2021ddim", "clopper1934",
        "massart1990", "xiao2017", "alpaydin1998")  # fmt: skip
    heading: ClassVar[str] = "Watermarks: what they cost, and when they are found"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("model", "carrier", "time")

    model: str = axis(GAUSSIAN, "gaussian, or a network: any word that audit takes", MODELS)
    carrier: str = axis("null", "where marks are put", tuple(CARRIERS)[:-1])
    time: float = axis(MAIN, "noise level, time of 1 000 linear steps, 1 is noise alone", TIMES)
    data: str = option("", "images that a network never saw; of one that comes along its own set")
    images: int = option(100, "images that are marked, and samples; take 500 or more")
    strength: float = option(0.2857, "λ / √d of the mark, in variance-preserving coordinates")
    pairs: int = option(100_000, "images with a fresh key each, of every kind, for false alarms")
    solver_steps: int = option(25, "steps of DDIM from noise alone to images")
    refined: int = option(3, "times that a step of inversion is refined where marks are looked for")

    def __post_init__(self) -> None:
        at_least(self, {"images": 4, "pairs": 100, "solver_steps": 2, "refined": 0, "resize": 0})
        if self.images > KEYS:
            raise ValueError(f"--images {self.images}: must be at most {KEYS}")
        if not 0 < self.strength < 10:
            raise ValueError(f"--strength {self.strength:g}: must be a positive number below 10")
        if not 0.001 <= self.time <= 1:
            raise ValueError(f"--time {self.time:g}: must lie between .001 and 1, noise alone")
        if self.model != GAUSSIAN:
            if not self.data and self.model not in NETWORKS:
                raise ValueError(f"--model {self.model}: give --data, images that it never saw")
            known(self.model)

    def source(self, name: str = "") -> Source:
        own = NETWORKS[self.model].data if self.model in NETWORKS else "digits"
        return super().source(name or self.data or own)

    def where(self) -> Split:
        """The Gaussian is of all but ``images``; a network that comes along never saw its own."""
        held = NETWORKS[self.model].held if self.model in NETWORKS else self.images
        if self.model == GAUSSIAN or self.model in NETWORKS:
            return Split(self.source(), None, held, 0, 0)
        return Split(self.source(), self.source(), 0, 0, 0)

    def infeasible(self) -> str:
        if self.carrier == "replaced" and self.time != LAST:
            return f"--carrier replaced: Tree-Ring's marks are put in at --time {LAST:g}"
        try:
            images = load(self.source())
            if self.model != GAUSSIAN and (reason := self.unasked(tuple(images.shape))):
                return f"--model {self.model}: {reason}"
            self.whole()
            found = len(self.where().unseen())
        except ValueError as error:
            return str(error)
        return "" if found >= self.images else f"--images {self.images}: there are {found} unseen"

    def unasked(self, shape: tuple[int, ...]) -> str:
        """Why a network is not asked this, or nothing."""
        for name, values in ASKED.items():
            if getattr(self, name) not in values:
                return f"networks are asked at --{name} {', '.join(map(str, values))}"
        model = opened(self.model)
        if model.shape != shape:
            return f"{self.source().data} has images of {shape}"
        return unasked(model, self.title())

    def inputs(self) -> dict[str, str]:
        source = self.source()
        model = {} if self.model == GAUSSIAN else {self.model: known(self.model)}
        return {source.data: load(source).sha256, **model}

    @property
    def sigmas(self) -> Tensor:
        """From noise alone down."""
        return karras(self.solver_steps, high=noise_level(LAST))

    def cost(self) -> float:
        n, main = load(self.source()).data[0].numel(), self.time == MAIN
        each = 3e-11 * n**2 if self.model == GAUSSIAN else 0.0004 + 8e-7 * n
        calls = self.images * self.solver_steps * (26 if main else 4 + 13 * self.time)
        return each * calls + (8e-7 * n * self.pairs if main else 0)

    def whole(self, carrier: str = "", time: float = 0.0) -> Key:
        """A key of the carrier, or of the space that a null space is a part of."""
        carrier = carrier or self.carrier
        band = {"replaced": "low"}.get(carrier, "all" if carrier in LEFT_OUT else carrier)
        shape, sigma = tuple(load(self.source()).shape), noise_level(time or self.time)
        return Key.make(0, shape, band, sigma, steps=self.solver_steps)

    def drawn(self, D: Denoiser, carrier: str = "", time: float = 0.0) -> Key:
        """A key of the carrier: null spaces lie off the leading directions of D at its level."""
        whole = self.whole(carrier, time)
        if (carrier := carrier or self.carrier) not in LEFT_OUT:
            return whole
        most, part = LEFT_OUT[carrier]
        rank = min(most, int(whole.dimension / part))
        if isinstance(D, Gaussian):
            order = D.modes.variances.argsort(descending=True)[:rank]
            return replace(whole, name="null", removed=D.modes.basis[:, order])
        some: Any = {"images": self.where().unseen()[-KNOWN:], "sigmas": self.sigmas}
        return Key.make(0, whole.shape, "null", whole.sigma, D=D, rank=rank, **some)

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        gaussian = self.where().gaussian_all()
        D = gaussian if self.model == GAUSSIAN else opened(self.model).denoiser
        x0 = self.where().unseen()[: self.images]
        here, exactly = self.bearer(D, x0), D is gaussian and self.carrier != "replaced"
        parts = [costs(here, x0, FACTORS if self.time == MAIN else (), exactly)]
        if exactly:
            parts += [Predicted.of(here, gaussian).readings()]
        if self.carrier == "replaced":
            parts += [self.replaced(here, x0)]
        else:
            parts += [posterior_change(here, gaussian if exactly else None)]
        if self.time == MAIN:
            noise = Seeds(range(self.images)).randn(here.space.shape)
            samples = here.samples(float(self.sigmas[0]) * noise)
            parts += [marks(samples, {"images": "gen"}), self.attacks(here, x0)]
            parts += [chances(here, samples, x0, self.pairs)]
        readings = [Reading("dimension", {}, np.array([here.space.dimension]))]
        for done, part in enumerate(parts, 1):
            readings += part
            work.tell(done / len(parts))
        return Result(self.values(readings), stored(readings))

    def values(self, readings: Sequence[Reading]) -> dict[str, Value]:
        found = expanded(readings, QUANTITIES).of(images="test").without("strength").estimates()
        values = {name: found.of(name).one for name in ("psnr", "psnr_stored")}
        return values | {"found": found.of("found", p=EASY).one}

    @property
    def length(self) -> float:
        """λ."""
        return round(self.strength * load(self.source()).data[0].numel() ** 0.5, 3)

    def bearer(self, D: Denoiser, x0: Tensor, carrier: str = "", time: float = 0.0) -> Bearer:
        key = self.drawn(D, carrier, time)
        replaced = (carrier or self.carrier) == "replaced"
        how = (key.dimension**0.5, "replace") if replaced else (self.length, "additive")
        return Bearer.of(D, key, x0, self.sigmas, *how, self.refined)

    def attacks(self, here: Bearer, x0: Tensor) -> Iterator[Reading]:
        """On the marks of some images, and on spread spectrum's at equal PSNR."""
        pixels, count = equal(spread_spectrum(x0, 1.0), here), len(x0) // PART
        yield from rival(pixels, "dct")
        variance = self.where().spread() ** 2 * torch.eye(x0[0].numel())
        white = Gaussian(torch.zeros_like(x0[0]), variance)
        some = here.first(count), pixels.first(count), x0[:count]
        yield from attacks(*some, self.sigmas, white)

    def replaced(self, here: Bearer, x0: Tensor) -> Iterator[Reading]:
        """The published statistic of Tree-Ring's marks, and others at equal PSNR."""
        published = published_p(here)
        yield told("found_published", published(here.z, here.own))
        yield from by_chance(here, here.x, self.pairs, "test", published)
        yield from rival(equal(spread_spectrum(x0, 1.0), here), "dct")
        for carrier in ("high", "null"):
            yield from rival(equal(self.bearer(here.D, x0, carrier, MAIN), here), carrier)

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        fields = rows[0].fields
        return {
            "images": f"{fields['images']} that no model saw, as many samples at t = {MAIN:g}, a"
            f" key of its own in each; one of {PART} is attacked, one of 2 has other strengths",
            "strength": f"λ = {fields['strength']:g} √d at every level, in variance-preserving"
            " coordinates; Tree-Ring's is what replacement takes",
            "null space": "off at most 80 leading directions (an eighth of all), or 300 (two"
            f" fifths): of the covariance, or of a network's Jacobian over {KNOWN} other images",
            "false alarms": f"{fields['pairs']} pairs of an image and a fresh key of each kind",
            "spread spectrum": "all but the lowest DCT coefficients; Cox et al. take the largest",
        }

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        plain = found.without("strength")
        main = plain.of(images="test") + plain.without("images")
        gaussian, networks = (main.of(model=who) for who in (GAUSSIAN, lambda m: m != GAUSSIAN))
        yield alarmed("alarms", EASY, within(0.008, 0.012), main)
        for who, some in (("on the Gaussian", gaussian), ("in networks", networks)):
            yield from compared(who, some)
        yield frontier(found)
        yield alarmed("alarms", 1e-3, within(0.0005, 0.0015), main)
        yield alarmed("alarms_published", EASY, within(0.008, 0.012), main)
        yield from closed_forms(gaussian, networks)
        yield from after_attacks(main)
        yield from rivals(main)
        yield from identified(main)
        yield "By noise level"
        yield from by_level(main.of(carrier=lambda carrier: carrier != "replaced"))
        yield "All numbers"
        yield from tables(main)


# What is claimed


def alarmed(name: str, level: float, region: Expected, main: Readings) -> Claim:
    """What happens where image and key do not depend on each other."""
    whose = "The exact p-value" if name == "alarms" else "The published p-value"
    return Claim(
        f"{whose} is at most {level:g} with a chance of {level:g} for an image that does not depend"
        " on the key (share of pairs)",
        main.of(name, p=level),
        region,
        "" if name == "alarms" else "non-central χ² (Wen et al. 2023, Li et al. 2024)",
        beside={"Distance from uniform": main.of(name.replace("alarms", "distance"))},
    )


def decibels(mine: Readings, other: Readings, apart: str) -> Readings:
    """PSNR less the other's, paired by image."""
    return mine.against(other, estimated(gain), "decibels", apart=apart).dropped(apart)


def compared(who: str, found: Readings) -> Iterator[Told]:
    """Carriers at one level, and levels in one carrier, at equal λ."""
    psnr, hits, theory = found.of("psnr"), found.of("found", p=FOUND), found.of("psnr_theory")
    here, there = psnr.of(time=MAIN), psnr.of(time=LAST)
    published = {"null": "", "high": "38.0 and 29.1 dB (Li et al. 2024, table 8)"}
    for carrier, than in {"null": "all", "high": "low"}.items():
        mine, other = ({"carrier": each} for each in (carrier, than))
        yield Claim(
            f"At equal λ {MARKS[carrier]} marks cost less than {MARKS[than]} ones, {who} (PSNR, dB,"
            f" t = {MAIN:g})",
            decibels(here.of(**mine), here.of(**other), "carrier"),
            above(0),
            published[carrier],
            beside={
                "By the closed form": theory.of(**mine)
                .against(theory.of(**other), apart="carrier")
                .dropped("carrier"),
                f"At t = {LAST:g}": decibels(there.of(**mine), there.of(**other), "carrier"),
                "Share found at p ≤ 10⁻⁶, difference": more_found(
                    hits.of(**mine), hits.of(**other), "carrier"
                ),
            },
        )
    for carrier in MARKS:
        mine = {"carrier": carrier}
        some = hits.of(**mine)
        yield Claim(
            f"At equal λ {MARKS[carrier]} marks cost less at {MAIN:g}T than at T, {who} (PSNR, dB)",
            decibels(here.of(**mine), there.of(**mine), "time"),
            above(0),
            "35.5 and 16.6 dB, other things changed too (Li et al. 2024)",
            beside={
                "Share found at p ≤ 10⁻⁶, difference": more_found(
                    some.of(time=MAIN), some.of(time=LAST), "time"
                ),
                "PSNR by level": psnr.of(**mine),
            },
        )


def rivals(main: Readings) -> Iterator[Told]:
    """Others at equal PSNR."""
    hits, other = main.of("found", p=FOUND), main.of("rival", p=FOUND)
    tree, costs = hits.of(carrier="replaced"), main.of("rival_psnr", "psnr_stored")
    attacked = main.of("rival_attacked", p=EASY).dropped("rival")
    yield Claim(
        "At equal PSNR before clamp null-space marks are found more often than spread spectrum in"
        " DCT coefficients (share at p ≤ 10⁻⁶, difference)",
        more_found(hits.of(carrier="null"), other.of(rival="dct").dropped("rival")),
        above(0),
        beside={
            "PSNR in 8 bits": costs.of("psnr_stored", carrier="null", time=MAIN),
            "That of spread spectrum": costs.of("rival_psnr", rival="dct", carrier="null"),
            "After attacks, p ≤ 0.01": more_found(
                main.of("attacked", p=EASY, carrier="null"), attacked
            ),
        },
    )
    for name in ("high", "null"):
        mine = {"carrier": "replaced", "rival": name}
        yield Claim(
            f"At equal PSNR before clamp {MARKS[name]} marks at {MAIN:g}T are found more often than"
            " Tree-Ring's at T (share at p ≤ 10⁻⁶, difference)",
            more_found(other.of(**mine).dropped("rival"), tree),
            above(0),
            beside={
                "PSNR, 8 bits": costs.of("rival_psnr", **mine),
                "Tree-Ring's": costs.of("psnr_stored", carrier="replaced"),
                "Tree-Ring's found by its published p": main.of("found_published", p=FOUND),
            },
        )


# What is drawn


def frontier(found: Readings) -> Told:
    hits, other = found.of("found", images="test", p=FOUND), found.of("rival", p=FOUND, time=MAIN)
    mine = at_psnr(hits.of(time=MAIN) + hits.of(carrier="replaced"), found.of("psnr_stored"))
    spread = at_psnr(other, found.of("rival_psnr")).dropped("rival").named("found", carrier="dct")
    spread = Readings({tuple(r.at.items()): r for r in spread}.values(), found.quantities)
    raw = at_psnr(
        found.of("found_raw", p=FOUND, time=MAIN),
        found.of("psnr", images="test").dropped("images"),
    )
    lines = found.of("power_line", p=FOUND, time=MAIN)
    how: Any = {"x": "marked_psnr", "color": "carrier", "limits": (0, 1)}
    return figure(
        "watermark_frontier",
        f"**Share found at p ≤ 10⁻⁶ against PSNR**, marks at {MAIN:g}T of three strengths, a key an"
        " image. Lines without marks: closed forms of the Gaussian.",
        Plot(raw, **how, theory=lines, title="Gaussian, before clamp"),
        Plot(mine + spread, **how, panel="model", title="8 bits"),
    )


def by_level(main: Readings) -> Iterator[Told]:
    """What depends on the noise level."""
    how: Any = {"x": "time", "color": "carrier", "panel": "model"}
    yield figure(
        "watermark_levels",
        "**PSNR of the mark**, before clamp and 8 bits, and **share found at p ≤ 10⁻⁶**, 8 bits, at"
        " equal λ; **PSNR at which half are found**. Lines without marks: closed form.",
        Plot(main.of("psnr"), **how, theory=main.of("psnr_theory")),
        Plot(main.of("found", p=FOUND), **how),
        Plot(half_found(main.of("power_line")), **how),
    )
    exactly = main.of("kept_linear", model=GAUSSIAN).map(np.sqrt)
    yield figure(
        "watermark_linear",
        "**Change of the posterior mean** over the step, and the **share of the step that inversion"
        " brings back**. Lines without marks: closed form.",
        Plot(main.of("kept"), **how, theory=exactly),
        Plot(main.of("recovered"), **how, theory=main.of("recovered_theory")),
    )


def tables(main: Readings) -> Iterator[Told]:
    """Everything by place."""
    for model, some in main.of("attacked").by("model"):
        for level, words in ((EASY, "10⁻²"), (FOUND, "10⁻⁶")):
            title = f"{model}, after attacks, p ≤ {words}"
            yield crosstab(title, some.of(p=level), "attack", "carrier")
    place = ("model", "carrier", "time", "rival", "attack", "kind", "p")
    for title, names in {
        "What marks cost": ["dimension", "psnr", "psnr_stored", "psnr_original", "kept"],
        "How often they are found": ["found", "found_raw", "power", "found_published"],
        "False alarms": ["alarms", "alarms_published"],
        "Forged": ["accused"],
        "Identified": ["named", "misnamed"],
        "Rivals at equal PSNR": ["rival", "rival_attacked"],
    }.items():
        yield table(title, main, place, names)
