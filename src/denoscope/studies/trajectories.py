"""The trajectories of a denoiser (the article's figure 1): what a model takes an image to be while
noise is added, and on what it settles, and when, while noise is taken away.

Down the probability-flow ODE a state x at the noise level σ has the posterior mean D(x, σ) under
it: what the model expects at the end. The training image that is nearest to it changes on the way,
until from some level on it stays: there the path has *settled* on that image, and earlier on its
class. A memorizer settles on an image that it then repeats; a network that generalizes passes by
the images and ends between them. All denoisers start from the same noises; the memorizer and the
Gaussian of the same training images stand beside the network, since of more images the nearest one
changes longer whatever the model. Noised training images are asked for the other way: up to which
level an image is still known (Zhang et al. 2024; Biroli et al. 2024 for when a memorizer decides).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from denoscope.coordinates import IMAGES, ROLES, name_of
from denoscope.data.sources import load
from denoscope.estimate import share
from denoscope.geometry.distances import outputs
from denoscope.metrics.shares import quotient
from denoscope.nearest import neighbors
from denoscope.readings import Quantity, Reading, Readings, expanded
from denoscope.report import Text
from denoscope.report.claims import Claim, above, below, number, within
from denoscope.report.pictures import Tile, gallery
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.store import Row, Value
from denoscope.studies._paths import Known, Path, settled, staying, walked
from denoscope.studies._probed import Probed
from denoscope.studies._subject import Subject
from denoscope.study import option
from denoscope.types import Denoiser

PICTURED, SHOWN = 6, 3  # levels in strips, and paths of which there are strips
VISIBLE = 0.1  # noise below it is not seen in a strip
KNOWN = 1.0
"""The level at which a claim asks whether a noised training image is still known."""
OCTAVE = 1.0
"""In log2 σ: levels that differ by less count as the same."""

QUANTITIES = {
    "settled": Quantity("log₂ σ", "settled", tip="the level below which the choice stays"),
    "gained": Quantity("log₂ σ", "difference"),
    "decided": Quantity("share of paths, settled", interval=share),
    "away": Quantity("distance from the end", tip="|D(x, σ) − end| over |end|"),
    "copy": Quantity("copies", interval=share, tip="the end, by the 1/3 rule"),
    "met": Quantity("the memorizer's image", interval=share, tip="the end is nearest to it"),
    "known": Quantity("share of images, known", interval=share),
    "state": Quantity("state"),
    "mean": Quantity("posterior mean"),
    "number": Quantity("nearest training image, its row"),
    "label": Quantity("its class"),
    "target": Quantity("nearest training image"),
    "noised": Quantity("noised image"),
    "denoised": Quantity("posterior mean of it"),
}
PICTURES = ("state", "mean", "number", "label", "target", "noised", "denoised")


@dataclass(frozen=True, kw_only=True)
class Trajectories(Probed):
    """One denoiser, trained here or given, along its paths from shared noises and back."""

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = ("zhang2024", "biroli2024", "song2021", "karras2022")
    heading: ClassVar[str] = "What a path settles on, and when"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    seconds: ClassVar[float] = 2.0

    image: str = option("", "images to noise, such as a folder; none: one of training, one unseen")

    def infeasible(self) -> str:
        return super().infeasible() or self._misfit()

    def _misfit(self) -> str:
        """What is wrong with --image, if anything."""
        if not self.image:
            return ""
        try:
            shape, wanted = load(self.source(self.image)).shape, self.where().images().shape
        except ValueError as error:
            return f"--image {self.image}: {error}"
        said = f"--image has images of {tuple(shape)}, --data of {tuple(wanted)}"
        return "" if shape == wanted else f"{said}: give both the same --resize"

    def inputs(self) -> dict[str, str]:
        given = {self.image: load(self.source(self.image)).sha256} if self.image else {}
        return super().inputs() | given

    def readings(self, subject: Subject) -> Iterator[Reading]:
        models = {who: D for who, D in subject.everyone().items() if who != "gaussian_all"}
        known = Known.of(subject.data)
        memorizer = walked(models["memorizer"], subject.start(), subject.sigmas)
        theirs = known.nearest(memorizer.end)
        for who, D in models.items():
            path = memorizer if who == "memorizer" else walked(D, subject.start(), subject.sigmas)
            yield from followed(path, known, {"who": who})
            if who != "memorizer":
                met = known.nearest(path.end) == theirs
                yield Reading("met", {"who": who}, met.numpy())
            yield from recognized(D, subject, known, {"who": who})
        yield from noised(self.pictured(subject), models, subject)

    def pictured(self, subject: Subject) -> dict[str, Tensor]:
        """The images whose noising is shown, by what they are."""
        if self.image:
            return {"given": load(self.source(self.image)).data[:SHOWN]}
        return {"train": subject.clean("train", 1), "test": subject.clean("test", 1)}

    def values(self, readings: Sequence[Reading]) -> dict[str, Value]:
        found = expanded(readings, QUANTITIES).of(who="network").estimates()
        named = {name: found.of(name).one for name in ("copy", "met")}
        return {"settled": found.of("settled", choice="image").one, **named}

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        steps = rows[0].fields["solver_steps"]
        told = {
            "paths": f"{rows[0].fields['samples']} noises, the same for all denoisers, {steps}"
            " steps of Heun's method from σ = 80",
            "intervals": "by t over noises, exact for shares; training seeds averaged before",
        }
        return super().about(rows) | told

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        asked = [name for name in QUANTITIES if name not in PICTURES and name != "gained"]
        every = found.of(*asked).over("seed", "subset")
        network = every.of(who="network")
        most, few = network.last("n") or network, network.first("n")
        yield from memorizing(few, every)
        yield from generalizing(most, few, every)
        yield from seen(few, most)
        yield drawn(every)
        yield "Paths, from noise to image"
        yield from paths_shown(found)
        yield "Images, noised and denoised"
        yield from images_shown(found)
        yield "How far the end still is, and which images are known"
        yield from courses(every)
        yield "Every denoiser"
        keys = ("who", "n", "width", "model", "choice")
        yield table("Where paths settle", every.of("settled"), keys, ["settled"])
        yield table("What they end in", every.of("copy", "met"), keys, ["copy", "met"])


# What is measured


def followed(path: Path, known: Known, at: Mapping[str, Any]) -> Iterator[Reading]:
    """When a path settles and on what, how far its end still is, and its first pictures."""
    chosen = torch.cat([known.nearest(path.means), known.nearest(path.end)[None]])
    levels = {"sigma": path.sigmas.double().numpy()}
    for choice, each in known.choices(chosen).items():
        stays = staying(each)
        yield Reading("decided", {**levels, **at, "choice": choice}, stays.numpy())
        yield Reading("settled", {**at, "choice": choice}, settled(stays, path.sigmas).numpy())
    size = path.end.flatten(1).norm(dim=1).clamp_min(1e-12)
    away = (path.means - path.end).flatten(2).norm(dim=2) / size
    yield Reading("away", {**levels, **at}, away.numpy())
    if len(known.images) > 1:
        near = neighbors(path.end.flatten(1), known.images.flatten(1), 2).distance
        yield Reading("copy", at, (quotient(*near.T) < 1 / 3).numpy())
    some = strip(path.sigmas)
    few = {"sigma": path.sigmas[some].double().numpy()}
    scale = (1 + path.sigmas[some] ** 2).rsqrt()[:, None, None, None, None]
    yield picture("state", {**few, **at}, scale * path.states[some, :SHOWN])
    yield picture("mean", {**few, **at}, path.means[some, :SHOWN])
    yield picture("target", at, torch.stack([path.end[:SHOWN], known.images[chosen[-1, :SHOWN]]]))
    for name, each in zip(("number", "label"), known.choices(chosen).values()):
        yield Reading(name, {**few, **at}, each[some, :SHOWN].numpy())


def strip(sigmas: Tensor) -> Tensor:
    """Which of the levels are pictured: evenly spread over those whose noise is seen."""
    rows = (sigmas >= VISIBLE).nonzero()[:, 0]
    return rows[torch.linspace(0, len(rows) - 1, min(PICTURED, len(rows))).round().long()]


def picture(name: str, at: Mapping[str, Any], images: Tensor) -> Reading:
    return Reading(name, at, images.numpy().astype(np.float16))


def recognized(
    D: Denoiser, subject: Subject, known: Known, at: Mapping[str, Any]
) -> Iterator[Reading]:
    """Whether the posterior mean of a noised training image is nearest to that image."""
    count, sigmas = min(subject.noises, len(known.images)), subject.sigmas[:-1].flip(0)
    own = torch.arange(count)
    noisy = ((s, subject.noisy("train", count, s)) for s in sigmas.tolist())
    each = [known.nearest(outputs(D, x, s).reshape(x.shape)) == own for s, x in noisy]
    levels = {"sigma": sigmas.double().numpy()}
    yield Reading("known", {**levels, **at}, torch.stack(each).numpy())


def noised(
    pictured: Mapping[str, Tensor], models: Mapping[str, Denoiser], subject: Subject
) -> Iterator[Reading]:
    """Images at rising noise, and what every denoiser takes them to be."""
    sigmas = subject.sigmas[:-1].flip(0)
    sigmas = sigmas[strip(sigmas)]
    few = {"sigma": sigmas.double().numpy()}
    for kind, images in pictured.items():
        noise = subject.noise(len(images))
        states = torch.stack([images + s * noise for s in sigmas])
        scale = (1 + sigmas**2).rsqrt()[:, None, None, None, None]
        yield picture("noised", {**few, "images": kind}, scale * states)
        for who, D in models.items():
            means = [outputs(D, x, s) for x, s in zip(states, sigmas.tolist())]
            at = {**few, "images": kind, "who": who}
            yield picture("denoised", at, torch.stack(means).reshape(states.shape))


# What is claimed


def memorizing(few: Readings, every: Readings) -> Iterator[Told]:
    """A network of few images takes the memorizer's path."""
    level = few.of("settled", choice="image")
    memorizer = every.of("settled", choice="image", who="memorizer")
    yield Claim(
        "A network of few images settles on a training image where the memorizer does (difference"
        " of log₂ σ, same noises)",
        level.against(memorizer, name="gained", apart="who"),
        within(-OCTAVE, OCTAVE),
        "within an octave",
        beside={"Network": level, "Memorizers": memorizer},
    )
    yield Claim(
        "It settles on the same image as the memorizer, and ends there (share of noises)",
        few.of("met"),
        above(0.5),
        beside={"All networks": every.of("met", who="network"), "Copies": few.of("copy")},
    )


def generalizing(most: Readings, few: Readings, every: Readings) -> Iterator[Told]:
    """A network of many images leaves it."""
    level = most.of("settled", choice="image")
    memorizer = every.of("settled", choice="image", who="memorizer")
    yield Claim(
        "The network of the most images still moves between training images where the memorizer of"
        " the same images has settled (difference of log₂ σ, same noises)",
        level.against(memorizer, name="gained", apart="who"),
        below(0),
        beside={
            "Network": level,
            "Gaussian": every.of("settled", choice="image", who="gaussian"),
            "Memorizers": memorizer,
        },
        note="Compared at equal N, because of more images the nearest one changes longer whatever"
        " the model.",
    )
    yield Claim(
        "It ends elsewhere: nearest to the memorizer's image from the same noise for less than half"
        " of the noises",
        most.of("met"),
        below(0.5),
        beside={"Gaussian": every.of("met", who="gaussian"), "Copies": most.of("copy")},
    )
    yield Claim(
        "What networks end in are copies of few images, not of many (copies by the 1/3 rule, the"
        " most images less the fewest)",
        most.of("copy").against(few.of("copy"), name="gained", apart="n").dropped("n"),
        below(0),
        beside={"By N": every.of("copy", who="network")},
    )


def seen(few: Readings, most: Readings) -> Iterator[Told]:
    """Class before image, and what noise leaves of an image."""
    for who, some in (("few", few), ("the most", most)):
        image, kind = (some.of("settled", choice=c) for c in ("image", "class"))
        yield Claim(
            f"The class is settled before the image (log₂ σ of the class less that of the image,"
            f" network of {who} images)",
            kind.against(image, name="gained", apart="choice"),
            beside={"Class": kind, "Image": image},
            note="Never below 0, since the nearest image has its class.",
        )
    at = next((s for s in few.of("known").along("sigma") if s >= KNOWN), None)
    known = few.of("known", sigma=at) if at else few.of("known", sigma=[])
    yield Claim(
        f"Noised beyond σ = {KNOWN:g}, a training image is still known to the network of few images"
        " (its posterior mean is nearest to it)",
        known,
        above(0.5),
        beside={"The most images": most.of("known", sigma=at) if at else known},
    )


# What is drawn

PLACES = ("n", "width", "model")


def drawn(every: Readings) -> Told:
    """The share of paths that have settled, against the level."""
    by = {"color": "who", "panel": PLACES, "limits": (0.0, 1.02)}
    return figure(
        "trajectories_settled",
        "**When paths settle**: the share of noises whose path has settled at a noise level σ, from"
        " right to left as it is sampled: on the training image nearest to its end (image), and on"
        " that image's class (class), where there are classes.",
        Plot(every.of("decided", choice="image"), "sigma", title="Image", **by),
        Plot(every.of("decided", choice="class"), "sigma", title="Class", **by),
    )


def courses(every: Readings) -> Iterator[Told]:
    """Distances from the end, and known images, against the level."""
    yield figure(
        "trajectories_away",
        "**How far the end still is**: |D(x, σ) − end| over |end| along the path.",
        Plot(every.of("away"), "sigma", "who", panel=PLACES),
    )
    yield figure(
        "trajectories_known",
        "**Which images are known**: the share of training images, noised to the level σ, whose"
        " posterior mean is nearest to the image itself.",
        Plot(every.of("known"), "sigma", "who", panel=PLACES, limits=(0.0, 1.02)),
    )


def paths_shown(found: Readings) -> Iterator[Told]:
    """Strips of the first noises: the network's states, and every denoiser's posterior means."""
    some = found.of(*PICTURES).thinned("seed", 1).thinned("subset", 1).thinned("width", 1)
    kept = some.thinned("n", 2)
    if kept.of("mean"):
        yield Text(
            "Under every posterior mean is the class of the training image nearest to it, or its"
            " number. States are shown divided by √(1 + σ²)."
        )
    for n, model, mine in kept.of("state", "mean", "number", "label", "target").by("n", "model"):
        place = name_of("model", model) if model else name_of("n", n) if n else "network"
        for i in range(min(SHOWN, *(len(r.value) for r in mine.of("mean")))):
            sigmas = sorted(mine.of("mean").along("sigma"), reverse=True)
            heads = [*(f"σ = {number(s, '.2g')}" for s in sigmas), "end", "nearest"]
            rows = list(path_rows(mine, sigmas, i))
            yield [gallery(f"{place}, noise {i + 1}", heads, rows)]


def path_rows(mine: Readings, sigmas: Sequence[float], i: int) -> Iterator[tuple[str, list[Tile]]]:
    for who in mine.along("who"):
        here = mine.of(who=who)
        end, nearest = (picture[i] for picture in here.of("target").one)
        tails: list[Tile] = [(end, ""), (nearest, "")]
        said = here.of("label") or here.of("number")
        notes = [f"{int(said.of(sigma=s).one[i])}" for s in sigmas]
        means = [here.of("mean", sigma=s).one[i] for s in sigmas]
        if who == "network":
            states: list[Tile] = [(here.of("state", sigma=s).one[i], "") for s in sigmas]
            yield "state", [*states, *tails]
        yield ROLES[who], [*zip(means, notes), *tails]


def images_shown(found: Readings) -> Iterator[Told]:
    """Images at rising noise, and every denoiser's posterior means."""
    some = found.of("noised", "denoised").thinned("seed", 1).thinned("subset", 1)
    for n, model, mine in some.thinned("width", 1).thinned("n", 2).by("n", "model"):
        place = name_of("model", model) if model else name_of("n", n) if n else "network"
        for kind, here in mine.by("images"):
            sigmas = here.of("noised").along("sigma")
            heads = [f"σ = {number(s, '.2g')}" for s in sigmas]
            for i in range(len(here.of("noised", sigma=sigmas[0]).one)):
                rows = list(image_rows(here, sigmas, i))
                yield [gallery(f"{place}, {IMAGES[kind]}", heads, rows)]


def image_rows(here: Readings, sigmas: Sequence[float], i: int) -> Iterator[tuple[str, list[Tile]]]:
    yield "noised", [(here.of("noised", sigma=s).one[i], "") for s in sigmas]
    for who in here.of("denoised").along("who"):
        means = here.of("denoised", who=who)
        yield ROLES[who], [(means.of(sigma=s).one[i], "") for s in sigmas]
