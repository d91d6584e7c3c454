"""Models trained on disjoint halves of the data: do they denoise alike, make the same images from
the same noise, in the same adaptive bases?

Networks are trained on two disjoint subsets of growing size. The study measures output against
input PSNR on training and unseen images, how alike the samples of two models from one noise are
beside how alike a sample is to its nearest training image, and the geometry-adaptive harmonic bases
in which the models shrink (Kadkhodaie, Guth, Simoncelli and Mallat 2024). Cosines are of images
less their own mean. Intervals are over noises or images after averaging over pairs of models, which
share them: they say nothing of training others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from denoscope.coordinates import name_of
from denoscope.describe import Pixels
from denoscope.estimate import share
from denoscope.geometry import overlap
from denoscope.geometry.distances import outputs
from denoscope.geometry.harmonic_basis import harmonics
from denoscope.metrics import psnr, similarity
from denoscope.metrics.crossings import crossing, together
from denoscope.nearest import neighbors
from denoscope.readings import Quantity, Reading, Readings, estimated, expanded
from denoscope.report import Gallery, Text
from denoscope.report.claims import Claim, above, below, number, within
from denoscope.report.pictures import Tile, gallery, signed
from denoscope.report.plots import Histogram, Plot, figure
from denoscope.report.story import Told, columns, table
from denoscope.sampling import sample
from denoscope.store import Row, Value
from denoscope.studies._probed import Probed
from denoscope.studies._subject import Subject
from denoscope.study import axis

INPUTS = np.arange(-10.0, 41.0, 5.0)  # input PSNRs in dB at which denoisers are asked
HARMONIC = 15.0  # dB, sigma = 0.36: where harmonics are taken and denoisers compared
POINTS, COMPARED, PLACES = 128, 64, 16  # noisy images: of errors, of answers, of harmonics
LEADING, WHOLE, SOME = 8, 128, 24  # harmonics kept; all eigenvalues up to WHOLE numbers, else SOME
SHOWN, PICTURED, VECTORS = 4, 2, 5  # samples, noisy images and harmonics in galleries
NEAR = 1.0  # dB by which two curves may differ and count as coinciding
CLOSED = ["memorizer", "gaussian"]
KINDS = {"halves": "subset", "seeds": "seed", "given": "model"}  # pairs, by what the two differ in

QUANTITIES = {
    "psnr_train": Quantity("training", "dB", form=".1f", tip=f"output PSNR at input {HARMONIC:g}"),
    "psnr_test": Quantity("unseen", "dB", form=".1f", tip="the same on unseen images"),
    "psnr_gap": Quantity("gap", "dB", form=".1f", tip="the first less the second"),
    "similarity": Quantity("cosine", "training", form=".3f", tip="samples, nearest training image"),
    "similarity_unseen": Quantity("cosine", "unseen", form=".3f", tip="the same of unseen images"),
    "error": Quantity("output PSNR", "dB", psnr.output, ".1f"),
    "gap": Quantity("gap of output PSNR", "dB"),
    "gain": Quantity("gain of output PSNR", "dB"),
    "unseen": Quantity("cosine", form=".3f", tip="unseen image, nearest training image"),
    "eigenvalue": Quantity("eigenvalue λₖ", tip="of the symmetrised Jacobian"),
    "cosine": Quantity("cosine", form=".3f", tip="of the two samples from one noise"),
    "nearest": Quantity("cosine", "training", form=".3f", tip="sample, nearest training image"),
    "closer": Quantity("nearer", "share", share, tip="to the other's than to own training images"),
    "chance": Quantity("cosine", "unlike noises", tip="the chance level"),
    "cosine_plain": Quantity("cosine", "plain", form=".3f", tip="of images in [0, 1] as they are"),
    "nearest_plain": Quantity("cosine", "plain", form=".3f", tip="the same in [0, 1] as they are"),
    "distance": Quantity("RMS difference", "per pixel", form=".3f", tip="of the two denoisers"),
    "overlap": Quantity("overlap", tip=f"of the {LEADING} leading harmonics: mean squared cosine"),
    "turn": Quantity("N", form=".0f"),
    **{name: Quantity(name) for name in ("answer", "sample", "training", "harmonic", "denoised")},
}


@dataclass(frozen=True, kw_only=True)
class DisjointHalves(Probed):
    """One model, trained on one of two disjoint subsets, or given."""

    version: ClassVar[int] = 3
    references: ClassVar[tuple[str, ...]] = ("kadkhodaie2024", "zhang2024", "karras2022")
    heading: ClassVar[str] = "Models trained on disjoint halves"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES

    n: int = axis(64, "training images; with --model, 0: all that are left", (8, 32, 128, 512, 768))
    subset: int = axis(0, "which of two training subsets, disjoint as long as both fit", (0, 1))

    def readings(self, subject: Subject) -> Iterator[Reading]:
        yield from denoising(subject)
        yield from sampling(subject)
        yield from bases(subject)

    def values(self, readings: Sequence[Reading]) -> dict[str, Value]:
        found = expanded(readings, QUANTITIES)
        error = found.of("error", who="network", psnr=HARMONIC)
        train, test = error.of(images="train"), error.of(images="test")
        return {
            "similarity": found.of("nearest").estimates().one,
            "similarity_unseen": found.of("unseen").estimates().one,
            "psnr_train": train.estimates().one,
            "psnr_test": test.estimates().one,
            "psnr_gap": psnr.gap(train.one, test.one),
        }

    @classmethod
    def compare(cls, rows: Sequence[Row]) -> list[Row]:
        good = [row for row in rows if not row.values.get("stopped")]
        found = cls.found(good) if good else Readings((), QUANTITIES)
        every, made = compared(found).of(pair=list(KINDS)), []
        told = ["n", *(["width"] if len(found.along("width")) > 1 else [])]
        for model, n, width, kind, some in every.by("model", "n", "width", "pair"):
            at = {"n": n, "width": width}
            label = name_of("model", model) if model else ", ".join(name_of(c, at[c]) for c in told)
            fields = {"compared": kind, "models": label, **at, "pairs": len(some.of("cosine"))}
            values: Any = columns(summary(some), {})
            values["chance"] = values["chance"].value
            ordered = {name: values[name] for name in COMPARISONS}
            made.append(Row(f"{kind}-{label}", cls.title(), cls.version, fields, ordered))
        return made

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        every, trained = compared(found), found.without("model")
        pairs = summary(every)
        learned = better(trained.of("error"))
        unseen = trained.of("unseen").over("subset", "seed")
        yield from samples_agree(pairs, unseen, learned)
        yield from functions_meet(trained.of("error"), pairs.of("distance", pair="halves"))
        yield from bases_adapt(pairs.of("overlap"), trained.of("harmonic"), learned)
        says = "Two given models make alike samples from one noise (cosine)"
        yield Claim(says, pairs.of("cosine", pair="given"))
        yield "Samples of models that share no image"
        yield from cosines(pairs, unseen)
        yield histograms(every.of(pair=["halves", "given"]))
        yield [Text(SAMPLES), *shown] if (shown := samples_shown(trained)) else None
        yield "Denoising seen and unseen images"
        yield from curves(found.of("error"))
        yield distances(every.of("distance").over("subset", "seed"))
        yield "Geometry-adaptive harmonic bases"
        yield [Text(HARMONICS), *harmonics_shown(found)]
        values = found.of("eigenvalue").over("subset", "seed")
        yield from spectra(values, pairs.of("overlap"), trained.of("harmonic"))
        yield "Pairs of models"
        keys, each = ("n", "width", "model", "pair"), pairs.of(pair=list(KINDS))
        yield table("Pairs of models", each, keys, list(COMPARISONS))


def denoising(subject: Subject) -> Iterator[Reading]:
    """Mean squared errors per number (levels, images), some answers (levels, points, numbers)."""
    levels = psnr.noise_level(INPUTS).tolist()
    for who, D in subject.everyone().items():
        at = {"who": who, "psnr": INPUTS}
        for kind in ("train", "test"):
            yield Reading("error", {**at, "images": kind}, subject.errors(D, kind, levels, POINTS))
        if who in ("network", "gaussian"):
            answers = [outputs(D, subject.noisy("test", COMPARED, s), s) for s in levels]
            yield Reading("answer", at, torch.stack(answers).float())


def sampling(subject: Subject) -> Iterator[Reading]:
    """Samples from the shared noises, and how alike they are to training images, (noises,)."""
    made, train = subject.samples(), subject.data.train()
    alike = neighbors(Pixels()(made), Pixels()(train), metric="cosine")
    plain = similarity.nearest_similarity((made.flatten(1) + 1) / 2, (train.flatten(1) + 1) / 2)
    unseen = similarity.nearest_similarity(Pixels()(subject.data.unseen()), Pixels()(train))
    network = {"who": "network"}
    yield Reading("sample", network, made.float())
    yield Reading("nearest", network, (1 - alike.distance[:, 0]).float())
    yield Reading("nearest_plain", network, plain.float())
    yield Reading("training", network, train[alike.index[:SHOWN, 0]].float())
    yield Reading("unseen", {}, unseen.float())
    for who in CLOSED:
        drawn = sample(subject.others()[who](), subject.start(), subject.sigmas)
        yield Reading("sample", {"who": who}, drawn.float())


def bases(subject: Subject) -> Iterator[Reading]:
    """Eigenvalues (ranks, points), leading eigenvectors (points, k, n) of symmetrised Jacobians."""
    sigma = float(psnr.noise_level(HARMONIC))
    noisy, clean = subject.noisy("test", PLACES, sigma), subject.clean("test", PICTURED)
    count = n if (n := noisy[0].numel()) <= WHOLE else SOME
    for who, D in subject.everyone().items():
        if who == "gaussian_all":
            continue
        basis = harmonics(D, noisy, torch.full((PLACES,), sigma), count)
        denoised = outputs(D, noisy[:PICTURED], sigma).reshape(clean.shape)
        at = {"who": who, "rank": np.arange(1, count + 1)}
        yield Reading("eigenvalue", at, basis.values.T.float())
        yield Reading("harmonic", {"who": who}, basis.vectors[:, :LEADING].flatten(2).float())
        shown = torch.stack([clean, noisy[:PICTURED], denoised.float()], 1)
        yield Reading("denoised", {"who": who}, shown)


Model = Mapping[str, np.ndarray]  # readings of a network or of its closed form, by name


def compared(found: Readings) -> Readings:
    """Every quantity of every two models, and of the closed forms of disjoint halves."""
    asked = [("network", kind, differing) for kind, differing in KINDS.items()]
    every = Readings((), QUANTITIES)
    for who, pair, differing in [*asked, *((who, who, "subset") for who in CLOSED)]:
        for name, (using, *needed) in COMPARISONS.items():
            of_pairs = found.of(who=who).pairs(using, differing, name, *needed)
            every += of_pairs.map(np.asarray).dropped("who").named(pair=pair)
    return every


def pixels(model: Model) -> Tensor:
    """Samples as rows less their own mean: features of the cosine."""
    return Pixels()(torch.from_numpy(model["sample"]))


def cosine(a: Model, b: Model) -> Tensor:
    """Of the two samples from each noise, (noises,)."""
    return similarity.paired_similarity(pixels(a), pixels(b))


def closer(a: Model, b: Model) -> np.ndarray:
    """Whether a sample is more like the other's than own training images, of both (noises,)."""
    return np.mean([cosine(a, b).numpy() > one["nearest"] for one in (a, b)], 0)


def plain(a: Model, b: Model) -> Tensor:
    """The cosine of images in [0, 1] as they are."""
    rows = ((m["sample"].reshape(len(m["sample"]), -1) + 1) / 2 for m in (a, b))
    return similarity.paired_similarity(*rows)


def distance(a: Model, b: Model) -> np.ndarray:
    """Root mean squared difference per number of the two denoisers, (points,)."""
    return np.sqrt(np.square(a["answer"] - b["answer"]).mean(-1, dtype=np.float64))


def beside(name: str) -> tuple[Any, ...]:
    """What was asked of each of the two, (noises, 2)."""
    return lambda a, b: np.stack([a[name], b[name]], 1), name


COMPARISONS: Mapping[str, tuple[Any, ...]] = {
    "cosine": (cosine, "sample"),
    "nearest": beside("nearest"),
    "closer": (closer, "sample", "nearest"),
    "chance": (lambda a, b: similarity.unlike_similarity(pixels(a), pixels(b)), "sample"),
    "cosine_plain": (plain, "sample"),
    "nearest_plain": beside("nearest_plain"),
    "distance": (distance, "answer"),
    "overlap": (lambda a, b: overlap(a["harmonic"], b["harmonic"]), "harmonic"),
}
"""Columns of ``comparisons.csv``: what is asked of two models, and what of each is needed."""


def summary(every: Readings) -> Readings:
    """One number per noise or point of every comparison, averaged over the pairs of a kind."""
    mean = every.without("psnr").over("subset", "seed")
    several = mean.map(lambda units: units.reshape(len(units), -1).mean(1))
    return several + every.of(psnr=HARMONIC).over("subset", "seed").dropped("psnr")


def by_images(error: Readings) -> tuple[Readings, Readings]:
    """Errors on training images, of halves side by side, and on unseen ones, shared by all."""
    train = error.of(images="train").over("seed").joined("subset")
    return train, error.of(images="test").over("subset", "seed")


def gaps(error: Readings) -> Readings:
    """Output PSNR of the networks on training images less that on unseen ones."""
    train, test = by_images(error.of(who="network"))
    return train.against(test, estimated(psnr.gap), "gap", apart="images").dropped("who", "images")


def gains(error: Readings, who: str) -> Readings:
    """Output PSNR of the networks on unseen images less that of a closed form."""
    _, test = by_images(error)
    network, other = test.of(who="network"), test.of(who=who)
    return network.against(other, estimated(psnr.gain), "gain", apart="who").dropped("who")


def elsewhere(harmonic: Readings) -> Readings:
    """Overlap of a network's harmonics at two images (points / 2,): 1 where they do not adapt."""
    network = harmonic.of(who="network").dropped("who")
    return network.map(lambda v: overlap(v[0::2], v[1::2]), "overlap").over("seed", "subset")


def better(error: Readings) -> Claim:
    """The control of all agreement: models that have learned little are alike too."""
    says = "the models denoise unseen images better than the Gaussian of their training set (dB)"
    return Claim(says, gains(error.of(psnr=HARMONIC), "gaussian").last("n"), above(0))


def samples_agree(pairs: Readings, unseen: Readings, learned: Claim) -> Iterator[Told]:
    """Samples of the two halves from one noise, beside their likeness to training images."""
    halves, closed = pairs.of(pair="halves"), pairs.of("cosine", pair=CLOSED)
    alike, own, nearer = (halves.of(name) for name in ("cosine", "nearest", "closer"))
    ahead = alike.against(own)
    says = "Models of many images, none shared, make samples more alike than like training images"
    published = "at 10⁵ faces the two make nearly the same images, unlike all training images"
    beside = {"By N": ahead, "Closed forms of the halves agree too": closed}
    yield Claim(says, ahead.last("n"), above(0), published, control=learned, beside=beside)
    says = "Models of few images make samples more like training images than like each other"
    published = "up to 100 faces, samples are copies of training images"
    yield Claim(says, ahead.first("n"), below(0), published)
    says = "For many images, most samples are nearer to the other model's than to training images"
    published = "most, at 10⁵ faces (a histogram, no number)"
    yield Claim(says, nearer.last("n"), above(0.5), published, control=learned)
    says = "Samples of disjoint halves from one noise become more alike as N grows (cosine)"
    yield Claim(says, alike.change("n"), above(0), "the histogram of cosines moves right with N")
    says = "Samples become less like training images as N grows (cosine)"
    published = "the histogram of cosines with the nearest training image moves left with N"
    yield Claim(says, own.change("n"), below(0), published, beside={"Unseen images": unseen})
    says = "Samples turn from training images to the other half's at N"
    note = "The crossing of the isotonic fit of the difference of cosines on log₂ N."
    turn = partial(crossing, height=0.0, curve=together)
    yield Claim(says, ahead.across("n", turn, "turn"), note=note)


def functions_meet(error: Readings, distance: Readings) -> Iterator[Told]:
    """Output PSNR on seen and on unseen images, and the distance of the two denoisers."""
    gap, gain = gaps(error), gains(error, "gaussian_all")
    at = gap.of(psnr=HARMONIC)
    says = f"A model of few images denoises these better than unseen ones, at input {HARMONIC:g} dB"
    published = "far apart up to 100 faces: output PSNR grows on training images alone"
    yield Claim(says, at.first("n"), above(NEAR), published, beside={"By N": at})
    says = "A model of many images denoises seen and unseen ones alike, at every input (dB)"
    beside = {"Above the best linear denoiser on unseen images": gain.last("n")}
    region, published = within(-NEAR, NEAR), "the two curves coincide at 10⁵ faces"
    yield Claim(says, gap.last("n"), region, published, beside=beside)
    says = "The denoisers of disjoint halves come together as N grows (change of RMS per pixel)"
    yield Claim(says, distance.change("n"), below(0), "they converge to the same function")


def bases_adapt(shared: Readings, harmonic: Readings, learned: Claim) -> Iterator[Told]:
    """Leading harmonics of two models at one image, of one model at two, and of the truth."""
    alike, other = shared.of(pair="halves"), elsewhere(harmonic)
    says = "Harmonics of disjoint halves at one noisy image become more alike as N grows (overlap)"
    yield Claim(says, alike.change("n"), above(0), control=learned)
    says = "Bases adapt: two models of many images share more at one image than one model at two"
    more = alike.map(lambda units: units.reshape(-1, 2).mean(1)).against(other).last("n")
    beside = {"One model at two images": other}
    yield Claim(says, more, above(0), control=learned, beside=beside)
    says = "The models' harmonics come nearer to the true denoiser's as N grows (overlap)"
    network, truth = (harmonic.of(who=who) for who in ("network", "truth"))
    true = network.against(truth, overlap, "overlap", apart="who").over("seed", "subset")
    yield Claim(says, true.change("n"), above(0), beside={"By N": true})


COSINES = (-0.05, 1.05)
SAMPLES = (
    "Each row starts from one noise: the sample of half 0's model and its nearest training image"
    " (below: their cosine), and those of half 1's (below its sample: its cosine with half 0's)."
)
HARMONICS = (
    "Each row is a denoiser at one noisy unseen image, and the leading eigenvectors of its Jacobian"
    " there (grey is 0; eigenvalue below). Those of the memorizer with eigenvalue 0 are arbitrary."
)


over_n = partial(Plot, x="n", color="pair", panel="width")


def cosines(pairs: Readings, unseen: Readings) -> Iterator[Told]:
    """Cosines over N, and what agrees without a network."""
    own, chance = pairs.of("nearest", pair="halves"), pairs.of("chance", pair="halves")
    lines = own.named("cosine", pair="nearest") + chance.named("cosine", pair="unlike")
    lines += pairs.of("cosine", pair=["halves", "seeds"])
    yield figure(
        "disjoint_halves_agreement",
        "**Samples of two models from one noise**, beside a sample and its nearest training image."
        " Networks that share no image are compared with two seeds of one half, and with chance.",
        over_n(lines, title="Cosine of two images", limits=COSINES),
    )
    closed = pairs.of("cosine", pair=CLOSED) + unseen.over("width").named("cosine", pair="unseen")
    nearer = pairs.of("closer", pair=["halves", "seeds"])
    yield figure(
        "disjoint_halves_comparison",
        "**For comparison.** Left: closed forms of the halves agree without a network. Right:"
        " samples that are nearer to the other model's than to all own training images (share).",
        over_n(closed, title="Cosine of two images", limits=COSINES),
        over_n(nearer, title="Nearer to the other", limits=COSINES),
    )


def histograms(every: Readings) -> Told:
    """How the cosines are spread, all models of a size together."""
    units = every.of("chance").named("cosine", pair="unlike") + every.of("cosine")
    units += every.of("nearest").named("cosine", pair="nearest")
    return figure(
        "disjoint_halves_histograms",
        "**Samples of two models that share no training image**: cosines of the two samples from"
        " one noise, of a sample with its nearest training image, of samples from unlike noises.",
        Histogram(units.map(np.ravel).joined("subset", "seed"), "pair", ("n", "model", "width")),
    )


def curves(error: Readings) -> Iterator[Told]:
    """Output PSNR against input PSNR, and over N at some inputs."""
    train, test = by_images(error)
    own, panel = ["network", *CLOSED], ("n", "model", "width")
    lines, diagonal = train.of(who=own) + test.of(who=[*own, "truth"]), "output = input"
    yield figure(
        "disjoint_halves_psnr",
        "**Denoising training and unseen images.** Images taken as in [0, 1], so that input PSNR is"
        " −20 log₁₀(σ/2). Memorizer and Gaussian are of the training set; the frame cuts curves.",
        Plot(lines, "psnr", "who", "images", panel, limits=(5, 55), diagonal=diagonal),
    )
    some = error.without("model").of(psnr=[0.0, 10.0, 20.0, 30.0])
    _, unseen = by_images(some.of(who=["network", "gaussian_all"]))
    yield figure(
        "disjoint_halves_gap",
        "**The gap closes.** Left: output PSNR on training less that on unseen images. Right: on"
        " unseen images, beside the best linear denoiser.",
        over_n(gaps(some), color="psnr", title="Training less unseen", levels={"no gap": 0.0}),
        over_n(unseen, color="psnr", look="who", title="Unseen images"),
    )


def distances(distance: Readings) -> Told:
    """Root mean square difference of two denoisers against input PSNR."""
    apart = distance.of(pair=["halves", "seeds", "given", "gaussian"])
    return figure(
        "disjoint_halves_distances",
        "**How far two denoisers are apart** at the same noisy unseen images in [−1, 1].",
        Plot(apart, "psnr", "n", panel=("pair", "model", "width")),
    )


def spectra(values: Readings, shared: Readings, harmonic: Readings) -> Iterator[Told]:
    """The decay of the eigenvalues of every denoiser; overlap of leading harmonics over N."""
    panel = ("who", "model", "width")
    yield figure(
        "disjoint_halves_eigenvalues",
        "**Shrinkage factors**: eigenvalues of the symmetrised Jacobian at noisy unseen images. The"
        " memorizer's are 0 where one image has all weight, far above 1 where two images share it.",
        Plot(values, "rank", "n", panel=panel, limits=(-0.25, 2.25), levels={"": 0.0}),
    )
    every = shared.of(pair=["halves", "seeds", "gaussian"])
    every += elsewhere(harmonic).named(pair="places")
    levels = {"chance": LEADING / harmonic[0].value.shape[-1]} if harmonic else {}
    yield figure(
        "disjoint_halves_overlap",
        f"**Do models share their harmonics?** Overlap of the spans of the {LEADING} leading ones."
        " One model at two images is 1 if a basis does not adapt, as the Gaussians' does not.",
        over_n(every, title="Overlap", limits=COSINES, levels=levels),
    )


def samples_shown(trained: Readings) -> list[Gallery]:
    """Samples of the halves from the first noises, at the ends and in the middle of the sizes."""
    heads = ["sample, half 0", "nearest in half 0", "sample, half 1", "nearest in half 1"]
    network = trained.of("sample", "training", "nearest", who="network").thinned("n", 3)
    galleries = []
    for n, some in network.thinned("seed", 1).thinned("width", 1).by("n"):
        halves = [some.of(subset=half) for half in (0, 1)]
        if all(halves):
            models = [{r.name: r.value for r in half} for half in halves]
            galleries.append(gallery(name_of("n", n), heads, list(sample_rows(*models))))
    return galleries


def sample_rows(a: Model, b: Model) -> Iterator[tuple[str, list[Tile]]]:
    """From each of the first noises, both samples beside their nearest training images."""
    notes = [a["nearest"], cosine(a, b), b["nearest"]]
    for i in range(min(SHOWN, len(a["sample"]))):
        images = [one[name][i] for one in (a, b) for name in ("sample", "training")]
        yield "", list(zip(images, ["", *(number(float(note[i])) for note in notes)]))


def harmonics_shown(found: Readings) -> list[Gallery]:
    """Harmonics of every denoiser at two noisy images, at the ends of sizes; of given models."""
    heads = ["clean", "noisy", "denoised", *(f"e{k}" for k in range(1, VECTORS + 1))]
    shown = found.of("denoised", "harmonic", "eigenvalue").thinned("seed", 1).thinned("width", 1)
    return [
        gallery(f"{name_of(*at)}, image {image + 1}", heads, list(harmonic_rows(some, image)))
        for n, model, some in shown.thinned("n", 2).by("n", "model")
        for at in [("model", model) if model else ("n", n)]
        for image in range(PICTURED)
    ]


def harmonic_rows(some: Readings, image: int) -> Iterator[tuple[str, list[Tile]]]:
    """A row for each network and the first half's closed forms; signs fit the first row's."""
    halves, first = some.along("subset") or [None], None
    for who, half, mine in some.by("who", "subset"):
        if who != "network" and half != halves[0]:
            continue
        pictures = mine.of("denoised").one[image]
        vectors = mine.of("harmonic").one[image, :VECTORS].reshape(-1, *pictures.shape[1:])
        first = vectors if first is None else first
        signs = np.where((vectors * first).sum((1, 2, 3)) < 0, -1, 1)
        values = [mine.of("eigenvalue", rank=k).one[image] for k in range(1, VECTORS + 1)]
        tiles: list[Tile] = [(picture, "") for picture in pictures]
        tiles += [(s * signed(v), number(value)) for s, v, value in zip(signs, vectors, values)]
        several = who == "network" and len(halves) > 1
        yield name_of("who", who) + (f", half {half}" if several else ""), tiles
