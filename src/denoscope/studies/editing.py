"""Local edits along a masked Jacobian's leading directions (the article's figure 6b-d; Chen et al.
2024, LOCO Edit), measured on images that the model never saw.

An image is inverted to the noise level σ, moved along a direction v by a strength λ in parts of √d
in variance-preserving coordinates, to either side, and sampled back. All change is measured against
the image sampled back unmoved. A direction that changes less also leaks less, so directions are
compared *at the same change inside the mask*: each is moved as far as this takes. Beside the
published ones (masked, and projected off the outside's leading ones) stand the same without
projection, the whole Jacobian's leading ones, random ones, noise on the mask's pixels alone, and
the frame of Zhang et al. (2026), principal components of what D makes of small perturbations, from
as many calls of the network. The masks are the thirds of an image in turn.

The same is asked of the Gaussian of the model's images, whose edits are exactly linear, additive
and the same on every image: what differs there is the measurement's own error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from denoscope.coordinates import name_of
from denoscope.data.sources import Source, load
from denoscope.data.splits import Split, cut
from denoscope.estimate import bounded, exact, mean
from denoscope.fitting.recipe import at_least
from denoscope.fitting.shipped import NETWORKS
from denoscope.readings import Quantity, Reading, Readings, expanded, stored
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.pictures import Tile, gallery
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.report.words import percent
from denoscope.store import Row, Value
from denoscope.studies._edited import (
    BENT,
    CHANGE,
    STEPS,
    STRENGTH,
    carried,
    elsewhere,
    local,
    returned,
    straight,
    together,
)  # fmt: skip
from denoscope.studies._inverted import (
    CALLS,
    NUDGE,
    RANK,
    REFINED,
    Inverted,
    compared,
    masked_directions,
    partners,
    thirds,
)  # fmt: skip
from denoscope.studies._subject import known, opened, unasked
from denoscope.studies._trained import Imaged
from denoscope.study import Result, Work, axis, option
from denoscope.types import Denoiser

TIMES, MAIN = (0.2, 0.4, 0.6), 0.4
"""Of the schedule with rates from 0.1 to 20, and that of `denoscope edit`."""
RANKS = (5, 20, 40)
"""Leading directions of the outside that are projected off at the main level, beside none and
`RANK`.
"""
RANGE = (0.05, 0.36)
"""λ / √d: about where the published strengths end (15 at 3 x 256 x 256), and what one can see."""
PART = bounded(mean)
"""The interval of what lies in [0, 1]."""

QUANTITIES = {
    "share": Quantity("share inside", interval=PART, form=".3f", tip="of the squared change"),
    "leak": Quantity(
        "leak", interval=PART, form=".3f", tip="change outside over that outside and inside, RMS"
    ),
    "off": Quantity("change inside, off", form=".1%", tip=f"from the {CHANGE:g} asked for"),
    "strength": Quantity("strength", "λ/√d", tip="that makes this change"),
    "linear": Quantity(
        "R²", interval=PART, form=".3f", tip="share of the squared change proportional to λ"
    ),
    "symmetry": Quantity("symmetry", form=".3f", tip="cosine of the changes at λ and −λ, turned"),
    "bent": Quantity("log₂ strength", "edit bent"),
    "bent_mean": Quantity("log₂ strength", "posterior mean bent"),
    "round_trip": Quantity("round trip", "RMS", form=".1e", tip="sampled back against the image"),
    "returned": Quantity("round trip's share", form=".1e", tip="of an edit's squared change"),
    "alike": Quantity("cosine", "changes at two levels", form=".3f"),
    "unlike": Quantity("cosine", "two directions", form=".3f", tip="without sign"),
    "carried": Quantity("cosine", "changes of two images", form=".3f"),
    "carried_share": Quantity("share inside", "other image", PART, ".3f"),
    "additive": Quantity("residual", "two masks", form=".3f", tip="of the sum, over the change"),
    "edited": Quantity("edited image"),
    "edited_share": Quantity("share inside", "picture"),
    "unedited": Quantity("unedited image"),
    "gained": Quantity("difference", form=".3f"),
    "shrunk": Quantity("log₁₀ ratio", form=".2f"),
    "apart": Quantity("log₂ ratio", form=".2f"),
    "error": Quantity("largest deviation", interval=exact, form=".1g"),
}
PICTURES = ("edited", "edited_share", "unedited")


@dataclass(frozen=True, kw_only=True)
class Editing(Imaged):
    """One network at one noise level, and the Gaussian of its images."""

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = (
        "chen2024", "zhang2026", "song2021ddim", "alpaydin1998", "xiao2017")  # fmt: skip
    heading: ClassVar[str] = "Local edits: share inside, linearity, transfer, composition"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("model", "time")

    model: str = axis("digits-unet", "a network: any word that audit takes", (*NETWORKS,))
    time: float = axis(MAIN, "noise level, time of the schedule with rates 0.1 to 20", TIMES)
    data: str = option("", "images that it never saw; of a network that comes along its own set")
    images: int = option(24, "images that are edited")
    directions: int = option(5, "directions of each")
    solver_steps: int = option(25, "steps of DDIM up to the noise level, and back")

    def __post_init__(self) -> None:
        at_least(self, {"images": 2, "directions": 2, "solver_steps": 2, "resize": 0})
        if not 0 < self.time <= 1:
            raise ValueError(f"--time {self.time:g}: must lie between 0 and 1, noise alone")
        if not self.data and self.model not in NETWORKS:
            raise ValueError(f"--model {self.model}: give --data, images that it never saw")
        known(self.model)

    def source(self, name: str = "") -> Source:
        return super().source(name or self.data or NETWORKS[self.model].data)

    def where(self) -> Split:
        """What a network that comes along never saw, or all images of ``data``."""
        if self.model in NETWORKS:
            return Split(self.source(), None, NETWORKS[self.model].held, 0, 0)
        return Split(self.source(), self.source(), 0, 0, 0)

    def unseen(self) -> tuple[Tensor, Tensor | None]:
        """The images (n, c, h, w) with their labels, if there are any."""
        where = self.where()
        images = where.images()
        rows = torch.arange(len(images)) if where.test else cut(images, where.held)[1]
        return images.data[rows], None if images.labels is None else images.labels[rows]

    def infeasible(self) -> str:
        try:
            model, images = opened(self.model), load(self.source())
            if reason := unasked(model, self.title()):
                return f"--model {self.model} {reason}"
            if model.shape != tuple(images.shape):
                return f"--model {self.model}: {images.name} has images of {tuple(images.shape)}"
            found = len(self.unseen()[0])
        except ValueError as error:
            return str(error)
        return "" if found >= self.images else f"--images {self.images}: there are {found} unseen"

    def inputs(self) -> dict[str, str]:
        source = self.source()
        return {source.data: load(source).sha256, self.model: known(self.model)}

    def cost(self) -> float:
        return (90 + 0.36 * self.unseen()[0][0].numel()) * self.images * self.directions / 120

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        D, gaussian = opened(self.model).denoiser, self.where().gaussian_all()
        parts = {0.6: self.located(D), 0.8: self.behaved(D), 1.0: self.behaved(gaussian)}
        readings = []
        for done, part in parts.items():
            who = {"who": "gaussian" if done == 1 else "network"}
            readings += [replace(r, at={**who, **r.at}) for r in part]
            work.tell(done)
        return Result(self.values(readings), stored(readings))

    def values(self, readings: Sequence[Reading]) -> dict[str, Value]:
        found = expanded(readings, QUANTITIES).of(who="network").estimates()
        main = found.of("share", "leak", direction="projected").without("rank")
        named = {"share": main.of("share").one, "leak": main.of("leak").one}
        named["linear"] = found.of("linear", length=STEPS[3]).one
        return named | {"round_trip": found.of("round_trip", refined=REFINED).one}

    def inverted(self, D: Denoiser, x0: Tensor, time: float = 0.0) -> Inverted:
        return Inverted.of(D, x0, time or self.time, self.solver_steps)

    def located(self, D: Denoiser) -> Iterator[Reading]:
        """Where edits change an image, units images, and what is lost on the way."""
        x0, k = self.unseen()[0][: self.images], self.directions
        here = self.inverted(D, x0)
        masks, kinds = thirds(here.x), compared(here, k)
        for kind, vectors in kinds.items():
            yield from local(here, vectors, masks, {"direction": kind})
        most = int((~masks).sum((1, 2, 3, 4)).min()) // 2 if self.time == MAIN else 0
        for rank in (rank for rank in RANKS if rank <= most):
            yield from local(here, masked_directions(here, k, rank), masks, {"rank": rank})
        yield from returned(here, x0, kinds["projected"])

    def behaved(self, D: Denoiser) -> Iterator[Reading]:
        """How directions behave at other strengths, with others, and elsewhere, units images."""
        pool, labels = self.unseen()
        here = self.inverted(D, pool[: self.images])
        vectors, others = (masked_directions(here, self.directions, RANK, s) for s in (0, 1))
        yield from straight(here, vectors)
        yield from together(here, vectors, others)
        if self.time != MAIN:
            main = self.inverted(D, pool[: self.images], MAIN)
            yield from elsewhere(here, main, masked_directions(main, self.directions, RANK))
        if labels is not None:
            for onto, rows in partners(labels, self.images).items():
                yield from carried(here, self.inverted(D, pool[rows]), vectors, {"onto": onto})

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        fields = rows[0].fields
        return {
            "images": f"{fields['images']} that the network never saw, {fields['directions']}"
            " directions each; masks: upper, middle and lower third in turn",
            "the same change": f"{CHANGE:g} inside the mask, root mean square over both signs",
            "frame": f"principal components of D at {CALLS} perturbations of {NUDGE:g} σ, inside"
            " the mask; the paper moves images, not states, along its frame",
            "intervals": "by t over images, directions and signs averaged before",
        }

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        pictures = found.of(*PICTURES)
        found = found.of(*(name for name in QUANTITIES if name not in PICTURES))
        network, gaussian = found.of(who="network"), found.of(who="gaussian")
        yield from locality(network.without("rank"))
        yield from round_trip(network)
        yield from linearity(network)
        yield from transfer(network)
        yield exactness(gaussian)
        yield "Where the change is"
        yield by_rank(network)
        yield from pictured(pictures.of(time=MAIN))
        yield "How straight edits are"
        yield from by_strength(network)
        yield "All directions"
        keys = ("model", "time", "direction")
        title = f"At a change of {CHANGE:g} inside the mask"
        names = ["share", "leak", "off", "strength"]
        yield table(title, found.without("rank"), keys, names)
        yield table("By rank", ranked(network), ("model", "rank"), names[:2])


# What is claimed


RIVALS = {
    "masked": "projected directions change less outside than the same without projection",
    "global": "projected directions change less outside than the whole Jacobian's leading ones",
    "uniform": "projected directions change less outside than random ones",
    "pixels": "share of projected directions less that of noise on the mask's pixels",
    "frame": "share of projected directions less that of the frame of denoised perturbations",
}
"""What is said of projected directions beside others; the last two say no sign beforehand."""


def less(values: Readings, kind: str) -> Readings:
    """Projected directions less others, image by image."""
    mine, other = values.of(direction="projected"), values.of(direction=kind)
    return mine.against(other, name="gained", apart="direction").dropped("direction")


def locality(network: Readings) -> Iterator[Told]:
    """Where the change of projected directions is, beside all others, and how it is drawn."""
    shares, leaks = network.of("share"), network.of("leak")
    off = network.of("off", time=MAIN)
    for kind, words in RIVALS.items():
        same = Claim(
            "The changes inside the mask are equal (off the one asked for)",
            off.of(direction=["projected", kind]),
            within(-0.1, 0.1),
        )
        gained = less(shares, kind)
        yield Claim(
            f"At equal change inside the mask, {words} (difference of the shares inside,"
            f" t = {MAIN:g})",
            gained.of(time=MAIN),
            above(0) if words.startswith("projected") else None,
            "worse without (LOCO Edit, ablation)" if kind == "masked" else "",
            control=same,
            beside={
                "Shares": shares.of(time=MAIN, direction=["projected", kind]),
                "Leak": leaks.of(time=MAIN, direction=["projected", kind]),
                "At other noise levels": gained.of(time=lambda time: time != MAIN),
            },
        )
    yield figure(
        "editing_share",
        f"**Share of the change inside the mask** at a change of {CHANGE:g} inside (root mean"
        " square), against the noise level at which an image is moved; means over images and"
        f" directions. Projected: off {RANK} leading directions of the outside.",
        Plot(shares, "time", "direction", panel="model"),
    )


def round_trip(network: Readings) -> Iterator[Told]:
    """What is lost on the way up and back."""
    trip = network.of("round_trip")
    shrunk = trip.of(slope=lambda at: True).against(
        trip.without("slope"), lambda a, b: np.log10(a / b), "shrunk", apart="refined"
    )
    yield Claim(
        "Refined inversion is sampled back ten times more exactly than the published one (log₁₀ of"
        " the ratio of errors)",
        shrunk.dropped("refined"),
        above(1),
        beside={"Error, root mean square": trip},
    )
    yield Claim(
        f"The round trip's error is less than a hundredth of the squared change of an edit"
        f" (strength {STRENGTH:g})",
        network.of("returned"),
        below(0.01),
        note="Change is measured against the image sampled back unmoved, so it is left out anyway.",
    )


def linearity(network: Readings) -> Iterator[Told]:
    """How far edits are straight, and whether the posterior mean says where they are not."""
    for at, published in zip(RANGE, ("linear, in pictures (LOCO Edit)", "")):
        said = {
            "linear": f"Edits are proportional to the strength up to {at:g} √d (R², both signs)",
            "symmetry": f"Edits of opposite strengths of {at:g} √d are opposite (cosine)",
        }
        for name, words in said.items():
            here, beside = network.of(name), {"By strength": network.of(name, time=MAIN)}
            yield Claim(words, here.of(length=at), above(0.9), published, beside=beside)
    edit, mean = network.of("bent"), network.of("bent_mean")
    yield Claim(
        f"Edits leave the straight line (cosine below {BENT:g}) where the posterior mean does, to"
        " an octave (log₂ of the ratio of strengths)",
        edit.against(mean, name="apart"),
        within(-1, 1),
        beside={"Edit": edit, "Posterior mean": mean},
        note=f"Strengths are {STEPS[0]:g} to {STEPS[-1]:g} √d; what bends later counts there.",
    )


def transfer(network: Readings) -> Iterator[Told]:
    """The same direction elsewhere, and with another."""
    yield Claim(
        f"A direction found at t = {MAIN:g} makes the same change at other noise levels (cosine)",
        network.of("alike"),
        above(0.5),
        "the same, in pictures (LOCO Edit)",
        beside={"Of two directions of one mask": network.of("unlike")},
    )
    carried = network.of("carried")
    same, other = carried.of(onto="same"), carried.of(onto="other")
    published = "0.91 of raters see the same (LOCO Edit)"
    beside = {"Another class": other, "Share inside": network.of("carried_share")}
    yield Claim(
        "A direction makes the same change on other images of the class (cosine, both signs)",
        same, above(0.5), published, beside=beside,
    )  # fmt: skip
    yield Claim(
        "It is more alike on images of the class than on those of another (difference)",
        same.against(other, name="gained", apart="onto").dropped("onto"),
        above(0),
    )
    yield Claim(
        f"Edits of two masks add up (residual over the change, strength {STRENGTH:g} each)",
        network.of("additive"),
        below(0.1),
        "they do, in pictures (LOCO Edit)",
    )


def exactness(gaussian: Readings) -> Claim:
    """What is exact for a Gaussian law: the measurement's own error."""
    one = gaussian.of("linear", "symmetry", "carried").map(lambda v: v - 1, "error")
    worst = (
        (one + gaussian.of("additive").named("error"))
        .joined("length", "onto", "time")
        .map(lambda v: float(np.abs(v).max()))
    )
    return Claim(
        "Edits of a Gaussian law are linear, symmetric, additive and the same on all images"
        " (largest deviation)",
        worst,
        below(1e-2),
        note="In single precision.",
    )


def ranked(network: Readings) -> Readings:
    """Masked directions by how many of the outside are projected off."""
    here = network.of("share", "leak", time=MAIN)
    known = {
        rank: here.of(direction=kind).named(rank=rank).dropped("direction")
        for kind, rank in (("masked", 0), ("projected", RANK))
    }
    return here.of(rank=lambda rank: True) + known[0] + known[RANK]


def by_rank(network: Readings) -> Told:
    return figure(
        "editing_rank",
        "**Share inside** at the same change, against how many leading directions of the outside"
        f" are projected off; 0: none; t = {MAIN:g}.",
        Plot(ranked(network).of("share"), "rank", panel="model"),
    )


def pictured(found: Readings) -> Iterator[Told]:
    """One image a mask, the first direction of each kind, at the same change inside the mask."""
    for model, mine in found.by("model"):
        plain = mine.of("unedited").one
        rows: list[tuple[str, list[Tile]]] = [("unedited", [(image, "") for image in plain])]
        for kind, some in mine.of("edited", "edited_share").by("direction"):
            images, shares = (some.of(name).one for name in ("edited", "edited_share"))
            notes = [f"{percent(float(part))} inside" for part in shares]
            rows.append((name_of("direction", kind), list(zip(images, notes))))
        title = f"{model}: the first direction of each kind, the same change inside the mask"
        yield gallery(title, ["upper third", "middle third", "lower third"][: len(plain)], rows)


def by_strength(network: Readings) -> Iterator[Told]:
    yield figure(
        "editing_linear",
        "**R²** of the change against the strength, over both signs and all strengths up to the one"
        " shown; and the **symmetry**, minus the cosine of the changes at opposite strengths.",
        Plot(network.of("linear"), "length", "time", panel="model"),
        Plot(network.of("symmetry"), "length", "time", panel="model"),
    )
