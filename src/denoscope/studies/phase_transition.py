"""Memorization to generalization on real images: GL, RP and N* over training-set size and network
width.

Diffusion models of several widths are trained on growing subsets of one image set and sampled from
the same noises with the same solver. The study measures how often samples are copies (calibrated on
held-out images), how far models agree with each other and with the closed-form memorizer, and where
a width goes from copying to generalizing (Zhang et al. 2024, Figs. 2 and 3; Kadkhodaie et al. 2024
for disjoint halves).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self

import numpy as np

from denoscope.estimate import exact, unpaired
from denoscope.metrics import (
    agreement_rate,
)
from denoscope.networks import dump
from denoscope.readings import Quantity, Reading, Readings, estimated, stored
from denoscope.report import Gallery
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.pictures import gallery
from denoscope.report.plots import Map, Plot, figure, heat_maps
from denoscope.report.story import Told
from denoscope.store import MODEL, Row
from denoscope.studies._reported import Reported, finished
from denoscope.studies._trained import Trained
from denoscope.studies._transition import cell, compared
from denoscope.studies._transition.cell import FALSE_ALARM, SHOWN
from denoscope.studies._transition.setting import FIXED_THRESHOLD, PAIR_QUANTILE
from denoscope.study import Result, Work, axis, option

SIZES = (8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536)
SHARED = (-0.05, 1.05)  # limits of y of a share

QUANTITIES = {
    "glc": Quantity("GLc", tip="calibrated: 0 copies only, 1 as novel as held-out images"),
    "glc_pca": Quantity("GLc, whitened PCA", tip="the same by whitened principal components"),
    "gl_fixed": Quantity(
        f"GL at {FIXED_THRESHOLD:g}", tip="share at most so similar, uncalibrated"
    ),
    "memorized": Quantity("memorized", tip="share by the 1/3 rule, near-duplicates not counted"),
    "rp_memorizer": Quantity("RP, memorizer", tip="noises from which the memorizer agrees"),
    "authenticity": Quantity("authentic", tip="share of authentic samples"),
    "frechet": Quantity("Fréchet distance", tip="to held-out images in pixel space"),
    "error_test": Quantity("error", "× linear", exact, tip="held-out error over a linear model's"),
    "p_gen": Quantity("samples above", interval=exact),
    "p_test": Quantity("held-out above", interval=exact),
    "gl_fixed_test": Quantity("held-out GL"),
    "memorized_test": Quantity("held-out memorized"),
    "sample": Quantity("sample"),
    "nearest": Quantity("nearest training image"),
    "similarity": Quantity("cosine to the nearest training image"),
    "training": Quantity("nearest training image"),
    "error": Quantity("squared error", "per pixel", form=".4f"),
    "curve": Quantity("GLc, calibrated generalization"),
    "share": Quantity("share"),
    "ratio": Quantity("error", "× linear"),
    "distance": Quantity("Fréchet distance", "pixels", form=".1f"),
    "floor": Quantity("Fréchet distance of real images", form=".2f"),
    "n_star": Quantity("N*", form=".0f"),
    "growth": Quantity("log2 of the ratio of N*"),
    "rp": Quantity("RP", interval=agreement_rate),
    "rp_mean": Quantity("RP, means over training seeds", interval=exact),
    "rp_corrected": Quantity("(RP − chance)/(1 − chance)", interval=exact),
    "rp_fixed": Quantity("RP at a fixed threshold", interval=exact),
    "chance": Quantity("chance level", interval=exact),
    "pairs": Quantity("pairs of models", interval=exact, form=".0f"),
    "alike": Quantity("RP", tip="share of the pairs of models that agree, by noise"),
    "dip": Quantity("RP at N* less RP at an end"),
}


@dataclass(frozen=True, kw_only=True)
class PhaseTransition(Trained, Reported):
    """Memorization to generalization on real images: one network of one width, trained on one
    subset with one seed.
    """

    version: ClassVar[int] = 2
    references: ClassVar[tuple[str, ...]] = (
        "zhang2024", "kadkhodaie2024", "yoon2023", "karras2022", "alaa2022", "heusel2017", "clopper1934", "donner2012",
    )  # fmt: skip
    heading: ClassVar[str] = "From memorization to generalization"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("n", "width", "subset", "seed")

    n: int = axis(64, "number of training images", SIZES)
    width: int = axis(64, "width of the network, the one capacity dial", (32, 64, 128))
    subset: int = axis(
        0, "which of two training subsets: 0 or 1, disjoint as long as both fit", (0, 1)
    )
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1))
    net: str = option("mlp", "network", ("mlp", "unet"))

    def place(self) -> cell.Place:
        """Where the cell's training set comes from."""
        source = self.source(self.data)
        return cell.Place(source, self.held, self.samples, self.solver_steps, self.n, self.subset)

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        return next(self.batch([self], work))[1]

    @classmethod
    def plan(cls, cells: Sequence[Self]) -> list[list[Self]]:
        return cls.fleets(cells)

    @classmethod
    def batch(cls, cells: Sequence[Self], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells as one fleet, samples all from the same noises, measures each and keeps
        its network.
        """
        for item, (member, generated, stopped) in zip(cells, cls.learned(cells, work)):
            if stopped:
                yield item, Result({"stopped": stopped})
            else:
                values, readings = cell.measure(item.place(), member, generated)
                yield item, Result(values, stored(readings), {MODEL: dump(member)})

    @classmethod
    def compare(cls, rows: Sequence[Row]) -> list[Row]:
        """Agreements and transitions as rows: one a kind, pair of widths and size, one a width."""
        found = cls.found(rows)
        names = ("rp", "chance", "rp_corrected", "rp_fixed", "pairs")
        rows_of = []
        for pair, width, n, some in found.of(*names).by("pair", "width", "n"):
            small, large = width if isinstance(width, tuple) else (width, width)
            values = {
                r.name: r.value if r.name == "rp" else r.value.value for r in some.estimates()
            }
            fields = {"compared": pair, "width": small, "other": large, "n": n}
            rows_of.append((f"rp-{pair}-{small}-{large}-{n}", fields, values))
        for r in found.of("n_star").estimates():
            fields = {"compared": "transition", "width": r.at["width"]}
            rows_of.append((f"transition-{r.at['width']}", fields, {"n_star": r.value}))
        return [Row(key, cls.title(), cls.version, fields, v) for key, fields, v in rows_of]

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """Also what several cells say together: agreement, N*, its growth, the dip of RP."""
        found, shared = super().found(rows), compared.setting_of(finished(rows)[0])
        found += Readings([Reading("floor", {}, shared.floor())], QUANTITIES)
        found += compared.agreements(found, shared)
        found += compared.transitions(found, len(shared.noise))
        return found + compared.matrix(found, finished(rows))

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        shared = compared.setting_of(rows[0])
        images = shared.images
        shape = " × ".join(map(str, images.shape))
        return {
            "image set": f"{images.name}: {len(images)} images of {shape}, {len(shared.test)} held out",
            "skipped": f"{len(images.skipped)} unreadable images" if images.skipped else "",
            "duplicates": compared.duplicates(shared),
            "copy threshold": f"chosen on half of the held-out images at a false-alarm rate of "
            f"{FALSE_ALARM:g}, counted on the other half, halves swapped",
            "RP threshold": f"{shared.same:.4f}, the {PAIR_QUANTILE:g} quantile of mean-removed "
            "pixel cosine over pairs of distinct real images",
            "notes on the data": "; ".join(images.warnings),
        }

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """The results in order; what these cells do not test is left out by itself."""
        sizes, widths = (found.of("sample").along(axis) for axis in ("n", "width"))
        middle = found.of(width=widths[len(widths) // 2])
        shown = compared.telling_sizes(middle)
        yield from transition(found, sizes)
        yield from quality(found)
        yield "Samples"
        yield from galleries(middle, shown)
        yield from reproducing(found, shown)
        yield from memorization(found)
        yield "Denoising"
        wide = found.of("error", width=widths[-1], n=shown)
        unseen = wide.of(images="test").over("subset", "seed")
        seen = wide.of(images="train").over("seed").joined("subset")
        yield figure(
            "errors",
            "**Denoising error** of the widest network on training and on held-out images, beside "
            "the memorizer and the best linear denoiser of the same training set.",
            Plot(seen + unseen, "sigma", "who", "images", panel="n", scale="log", limits=(1e-4, 2)),
        )


def over_runs(found: Readings, name: str, called: str) -> Readings:
    """A value of each cell, one unit a training run."""
    values = found.of(name).estimates().map(lambda e: np.array([e.value]), called)
    return values.joined("subset", "seed")


def transition(found: Readings, sizes: Sequence[int]) -> Iterator[Told]:
    """Does it copy, and do two trainings agree?"""
    star, curve = found.of("n_star"), found.of("curve")
    range_ = within(sizes[0] * (1 - 1e-9), sizes[-1] * (1 + 1e-9))
    yield Claim(
        "Networks go from copying to generalizing as N grows, at N*",
        star,
        range_,
        published="at every capacity",
        beside={"GLc, most copies": curve.first("n"), "GLc, fewest": curve.last("n")},
        note="N* is where the isotonic fit of GLc on log N reaches one half.",
    )
    words = "N* grows with capacity (log2 of the ratio between neighbouring widths)"
    yield Claim(words, found.of("growth"), above(0), published="in proportion to capacity")
    yield Claim(
        "Reproducibility is U-shaped in N (RP at N* less RP at either end)",
        found.of("dip"),
        below(0),
        published="high, low, high",
        note="Over pairs of runs and shared noises, paired between sizes.",
    )
    yield figure(
        "transition",
        "**Memorization to generalization.** Left: GLc, the share of samples that are no copies "
        "relative to held-out images, and N*. Right: RP, noises from which two seeds agree.",
        Plot(
            curve,
            "n",
            "width",
            title="Does it copy?",
            markers=star,
            levels={"as novel as held-out images": 1.0},
            limits=(-0.08, 1.25),
        ),
        Plot(
            found.of("rp", pair="seeds"),
            "n",
            "width",
            title="Do two trainings agree?",
            y="RP, same noise, two seeds",
            limits=SHARED,
        ),
    )
    share = partial(over_runs, found, called="share")
    real = {"images": "test"}
    yield "Controls"
    yield figure(
        "controls",
        "**Controls.** Images above the copy threshold that held-out images did not choose; GLc in "
        "another feature space; and GL at a fixed threshold, at which real images look copied too.",
        Plot(
            share("p_gen") + share("p_test").joined("width").named(**real),
            "n",
            "width",
            "images",
            title="Above the copy threshold",
            levels={f"declared rate {FALSE_ALARM:g}": FALSE_ALARM},
            limits=SHARED,
        ),
        Plot(share("glc_pca"), "n", "width", title="GLc, whitened PCA", limits=(-0.08, 1.25)),
        Plot(
            share("gl_fixed") + share("gl_fixed_test").joined("width").named(**real),
            "n",
            "width",
            "images",
            title=f"GL at cosine {FIXED_THRESHOLD:g}",
            limits=SHARED,
        ),
    )


def quality(found: Readings) -> Iterator[Told]:
    """That the samples are images at all."""
    distance = over_runs(found, "frechet", "distance")
    error = over_runs(found, "error_test", "ratio")
    words = "Quality with most images: Fréchet distance of samples to held-out images"
    floor = found.of("floor")
    yield Claim(words, distance.last("n"), beside={"Of as many real images": floor})
    words = (
        "Held-out denoising error over that of the best linear denoiser of all images, N largest"
    )
    yield Claim(words, error.last("n"), note="Novelty counts only where quality holds.")
    yield "Quality"
    yield figure(
        "quality",
        "**Quality.** Noise would look novel too: distance of samples to held-out images with that "
        "of as many real images as floor; held-out denoising error over a linear model's.",
        Plot(
            distance,
            "n",
            "width",
            title="Samples against held-out images",
            levels={"real against real": floor[0].value.value},
        ),
        Plot(
            error,
            "n",
            "width",
            title="Denoising held-out images",
            levels={"Wiener denoiser of all data": 1.0},
        ),
    )


def galleries(found: Readings, shown: Sequence[int]) -> Iterator[list[Gallery]]:
    """Sample, nearest training image, and the other seed's sample from the same noise."""
    columns = ["sample", "nearest training image", "other seed, same noise"]
    for n in shown:
        of_seed = [
            some
            for _, some in found.of("sample", "similarity", "training", n=n, subset=0).by("seed")
        ]
        if not of_seed:
            continue
        made, near, train = (of_seed[0].of(k).one for k in ("sample", "similarity", "training"))
        other = of_seed[1].of("sample").one if len(of_seed) > 1 else None
        rows = []
        for i in range(min(SHOWN, len(made))):
            tiles = [(made[i], ""), (train[i], f"{near[i]:.2f}")]
            rows.append(("", tiles if other is None else [*tiles, (other[i], "")]))
        title = f"N = {n}, width {found.along('width')[0]}"
        yield [gallery(title, columns[: len(rows[0][1])], rows)]


def reproducing(found: Readings, shown: Sequence[int]) -> Iterator[Told]:
    """Who agrees with whom."""
    halves = found.of("rp", pair="halves")
    alike = halves.map(lambda same: np.mean(same, 0), "alike")
    yield Claim(
        "Models trained on disjoint images come to agree as N grows (change of RP)",
        alike.change("n"),
        above(0),
        published="independent of the training set",
        beside={"RP by N": halves, "Chance": found.of("chance", pair="halves")},
        note="Paired by noise, for these models.",
    )
    yield "Reproducibility"
    yield figure(
        "agreement",
        "**Who agrees with whom.** Two seeds with the chance level taken out; two widths trained "
        "on the same images; models trained on disjoint halves.",
        Plot(
            found.of("rp_corrected", pair="seeds"),
            "n",
            "width",
            title="Seeds, less chance",
            limits=SHARED,
        ),
        Plot(found.of("rp", pair="widths"), "n", "width", title="Between widths", limits=SHARED),
        Plot(halves, "n", "width", title="Disjoint training sets", limits=SHARED),
    )
    yield heat_maps(
        "matrix",
        "**RP between all kinds of models** at a memorizing, a middle and a generalizing size, "
        "means over training seeds; on the diagonal two seeds of one width.",
        Map(found.of("rp_mean"), "one", "other", "n"),
    )


def memorization(found: Readings) -> Iterator[Told]:
    """Copying, seen two other ways."""
    rule = over_runs(found, "memorized", "share")
    real = over_runs(found, "memorized_test", "share").joined("width").named(images="test")
    agree = over_runs(found, "rp_memorizer", "share")
    falls = agree.last("n").against(agree.first("n"), estimated(unpaired), apart="n").dropped("n")
    yield Claim(
        "Agreement with the closed-form memorizer falls as N grows (change of RP)",
        falls,
        below(0),
        published="to zero",
        beside={"By N": agree, "Copies by the 1/3 rule": rule},
    )
    yield "Memorization"
    yield figure(
        "memorized",
        "**Copying, seen two other ways.** Samples at less than a third of the distance to the "
        "nearest training image that they have to the second; and those that the memorizer makes too.",
        Plot(rule + real, "n", "width", "images", title="Memorized by the 1/3 rule", limits=SHARED),
        Plot(agree, "n", "width", title="Same image as the memorizer", limits=SHARED),
    )
