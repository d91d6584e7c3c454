"""Memorization to generalization on real images: does a network copy, and from which N on not?

Diffusion models of several widths are trained on growing subsets of one image set and sampled from
the same noises with the same solver (Zhang et al. 2024, Figs. 2 and 3; Kadkhodaie et al. 2024 for
disjoint halves).

* GLc = (1 - p_gen)/(1 - p_test): the share of samples that are no copies over that of held-out
  images, by mean-removed pixel cosine to the nearest training image. Its threshold is chosen on half
  of the held-out images at a declared rate of false alarms and counted on the other half, halves
  swapped: 0 copies only, 1 as novel as real images.
* N*: where the isotonic fit of mean GLc on log2 N first reaches one half, never extrapolated.
* RP: the share of noises from which two models make the same image, that is one whose cosine lies
  above the 0.99 quantile over pairs of distinct real images.

Intervals of GLc, N* and means are over training runs, those of RP over pairs of runs crossed with
the noises that they share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, product
from statistics import median_high
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from denoscope.describe import Pixels
from denoscope.estimate import Estimate, exact, proportion, runs, share
from denoscope.fitting.closed_forms import ClosedForms
from denoscope.geometry.distances import denoising_errors
from denoscope.metrics import agreements as alike
from denoscope.metrics import paired_similarity
from denoscope.metrics.crossings import crossing, rise_growth
from denoscope.metrics.model_pairs import RUN, agreements, mean_rp
from denoscope.metrics.pool_descriptors import (
    FALSE_ALARM,
    FIXED,
    PAIR_QUANTILE,
    PoolDescriptors,
    copying_otherwise,
    duplicates_said,
    real_distance,
)
from denoscope.metrics.transition import nearest_size
from denoscope.networks import dump
from denoscope.readings import Quantity, Reading, Readings, stored
from denoscope.report import Gallery
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.pictures import gallery
from denoscope.report.plots import Map, Plot, figure, heat_maps
from denoscope.report.story import Told
from denoscope.store import MODEL, Row, Value
from denoscope.studies._reported import finished
from denoscope.studies._trained import Trained
from denoscope.study import Result, axis, option
from denoscope.types import Denoiser

SIZES = (8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536)
LEVELS = np.geomspace(0.02, 20.0, 13)
SHOWN = 8
"""Samples that the page shows beside their nearest training images."""
SHARE, GLC = (-0.05, 1.05), (-0.08, 1.25)  # limits of axes

QUANTITIES = {
    "glc": Quantity("GLc", tip="calibrated: 0 copies only, 1 as novel as held-out images"),
    "glc_pca": Quantity("GLc", "whitened PCA", tip="the same by whitened principal components"),
    "gl_fixed": Quantity("GL", f"at {FIXED:g}", share, tip="share at most so similar"),
    "memorized": Quantity("memorized", "", share, tip="by the 1/3 rule, near-duplicates left out"),
    "rp_memorizer": Quantity("RP", "memorizer", share, tip="of model and memorizer"),
    "authenticity": Quantity("authentic", tip="share of authentic samples (Alaa et al.)"),
    "frechet": Quantity("Fréchet", tip="distance to held-out images in pixel space"),
    "error_test": Quantity("error", "× linear", exact, tip="held-out, over a linear model's"),
    "p_gen": Quantity("samples above", "threshold", exact),
    "p_test": Quantity("held-out above", "threshold", exact),
    "gl_fixed_test": Quantity("held-out GL", f"at {FIXED:g}"),
    "memorized_test": Quantity("held-out memorized"),
    "sample": Quantity("sample"),
    "training": Quantity("nearest training image"),
    "similarity": Quantity("cosine to the nearest training image"),
    "as_memorizer": Quantity("RP", "memorizer", share, tip="noises from which it makes the same"),
    "error": Quantity("squared error", "per pixel", form=".4f"),
    "curve": Quantity("GLc, calibrated generalization", interval=runs),
    "mean": Quantity("share of images", tip="mean over training runs"),
    "ratio": Quantity("error", "× linear", tip="mean over training runs"),
    "distance": Quantity("Fréchet distance", "pixels", form=".2f", tip="mean over training runs"),
    "floor": Quantity("Fréchet distance", "real images", form=".2f"),
    "excess": Quantity("Fréchet distance", "over that of real images", form=".1f"),
    "n_star": Quantity("N*", form=".0f"),
    "growth": Quantity("growth of N*", "octaves"),
    "features": Quantity("mean-removed pixels"),
    "cosine": Quantity("cosine"),
    "rp": Quantity("RP", interval=share, tip="noises from which two models make the same image"),
    "rp_fixed": Quantity("RP", f"at cosine {FIXED:g}", share),
    "rp_corrected": Quantity("RP", "less chance"),
    "rp_mean": Quantity("RP", "mean over training seeds", exact),
    "chance": Quantity("chance level", interval=exact, form=".3f"),
    "pairs": Quantity("pairs of models", interval=exact, form=".0f"),
    "change": Quantity("change of RP"),
    "dip": Quantity("RP at N* less RP at an end"),
}


@dataclass(frozen=True, kw_only=True)
class PhaseTransition(Trained):
    """Memorization to generalization on real images: one network of one width, trained on one
    subset with one seed.
    """

    version: ClassVar[int] = 2
    references: ClassVar[tuple[str, ...]] = (
        "zhang2024", "kadkhodaie2024", "yoon2023", "karras2022", "alaa2022", "heusel2017", "clopper1934", "donner2012",
    )  # fmt: skip
    fleets: ClassVar[int] = 1
    heading: ClassVar[str] = "From memorization to generalization"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("n", "width", "subset", "seed")

    n: int = axis(64, "number of training images", SIZES)
    width: int = axis(64, "width of the network, the one capacity dial", (32, 64, 128))
    subset: int = axis(
        0, "which of two training subsets: 0 or 1, disjoint as long as both fit", (0, 1)
    )
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1))
    net: str = option("film", "network", ("film", "mlp", "unet"))

    def measured(self, net: nn.Module, generated: Tensor) -> Result:
        """Every number of a cell, and its network."""
        values, readings = self.asked(net, generated)
        return Result(values, stored(readings), {MODEL: dump(net)})

    def asked(self, D: Denoiser, made: Tensor) -> tuple[dict[str, Value], list[Reading]]:
        """Every value and reading of a cell: does it copy, does it agree with the memorizer, how
        well does it denoise; from its denoiser and its samples (samples, c, h, w), on the CPU.
        """
        where, seen = self.where(), self.seen_by
        train, errors = where.train(), list(self.errors(D))
        index, cosine = seen.nearest(made, train)
        both = seen.pixels(made), seen.pixels(self.memorized())
        same = alike(*both, threshold=seen.same).numpy()
        values = seen.copying(made, train, where.unseen()) | copying_otherwise(made, where)
        values["rp_memorizer"] = proportion(int(same.sum()), len(same))
        values["error_test"] = over_linear(errors)
        return values, [
            Reading("sample", {}, made.numpy().astype(np.float32)),
            Reading("similarity", {}, cosine.float().numpy()),
            Reading("training", {}, train[index[:SHOWN]].numpy().astype(np.float32)),
            Reading("as_memorizer", {}, same),
            *(r for r in errors if r.at["who"] != "gaussian_all"),
        ]

    def errors(self, D: Denoiser) -> Iterator[Reading]:
        """Denoising errors of the network and of closed forms of its training images."""
        forms = self.forms()
        for kind in ("train", "test"):
            found = {"network": denoising_errors(D, forms.images(kind), LEVELS).numpy()}
            for who, each in {**found, **forms.errors(kind, LEVELS)}.items():
                at = {"who": who, "images": kind, "sigma": LEVELS}
                yield Reading("error", at, each.astype(np.float32))

    def forms(self) -> ClosedForms:
        """The closed forms of the training set."""
        return ClosedForms(self.where(), self.samples, self.solver_steps)

    def memorized(self) -> Tensor:
        """What the closed-form memorizer of the training set makes from the shared noises."""
        rows = torch.from_numpy(self.forms().memorizer()).float()
        return rows.reshape(-1, *self.where().images().shape)

    @property
    def seen_by(self) -> PoolDescriptors:
        """What tells images apart, made of the pool once a process."""
        return PoolDescriptors.of(self.where())

    @classmethod
    def compare(cls, rows: Sequence[Row]) -> list[Row]:
        """Agreements and transitions as rows: one a kind, pair of widths and size, one a width."""
        found, made = cls.found(rows), []
        names = ("rp", "chance", "rp_corrected", "rp_fixed", "pairs")
        for pair, width, n, some in found.of(*names).crossed(*RUN).by("pair", "width", "n"):
            small, large = width if isinstance(width, tuple) else (width, width)
            each: dict[str, Any] = {r.name: r.value for r in some.estimates()}
            values = {k: e if k == "rp" else e.value for k, e in each.items()}
            values["pairs"] = int(values["pairs"])
            fields = {"compared": pair, "width": small, "other": large, "n": n}
            made.append((f"rp-{pair}-{small}-{large}-{n}", fields, values))
        for r in found.of("n_star").estimates():
            fields = {"compared": "transition", "width": r.at["width"]}
            made.append((f"transition-{r.at['width']}", fields, {"n_star": r.value}))
        return [Row(key, cls.title(), cls.version, fields, v) for key, fields, v in made]

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """Also what several cells say together: agreement, N* and its growth, the dip of RP."""
        one, found = cls.of(finished(rows)[0].fields), super().found(rows)
        found += transitions(found)
        found += agreements(found, one.seen_by)
        made = [Reading("floor", {}, real_distance(one.where().whole(), one.samples))]
        return found + Readings(made, QUANTITIES) + dips(found) + matrix(found, one)

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        one = cls.of(rows[0].fields)
        where, images = one.where(), one.where().images()
        shape, skipped = " × ".join(map(str, images.shape)), images.skipped
        return {
            "image set": f"{images.name}: {len(images)} images of {shape}, {one.held} held out",
            "skipped": f"{len(skipped)} images, such as {skipped[0][0]}" if skipped else "",
            "duplicates": duplicates_said(where),
            "copy threshold": "chosen on half of the held-out images at a false-alarm rate of "
            f"{FALSE_ALARM:g}, counted on the other half, halves swapped",
            "RP threshold": f"{one.seen_by.same:.4f}, the {PAIR_QUANTILE:g} quantile of "
            "mean-removed pixel cosine over pairs of distinct real images",
            "notes on the data": "; ".join(images.warnings),
        }

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """The results in order; what these cells do not test is left out by itself."""
        middle = found.of(width=median_high(found.of("sample").along("width")))
        shown = telling_sizes(middle)
        yield from transition(found)
        yield from halves(found)
        yield from memorizer(found)
        yield from quality(found)
        yield from controls(found)
        yield "Samples"
        yield [gallery for n in shown for gallery in galleries(middle.of(n=n, subset=0))]
        yield from reproducing(found)
        yield from denoising(found, shown)


def over_linear(errors: Sequence[Reading]) -> float:
    """The network's error on unseen images over that of the best linear denoiser of all images,
    geometric mean over levels.
    """
    unseen = {r.at["who"]: r.value.mean(1, dtype=float) for r in errors if r.at["images"] == "test"}
    return float(np.exp(np.mean(np.log(unseen["network"] / unseen["gaussian_all"]))))


def as_run(p_gen: Estimate, p_test: Estimate, samples: int) -> np.ndarray:
    """GLc of one training run with its standard error by sampling, (1, 2)."""
    new, real = 1 - p_gen.value, 1 - p_test.value
    return np.array([[new, math.sqrt(new * (1 - new) / samples)]]) / (real or math.nan)


def transitions(found: Readings) -> Readings:
    """GLc by size, N* of each width, and the growth of N* between neighbouring widths, whose runs
    are paired by size, subset and seed.
    """
    samples = len(found.of("sample")[0].value)
    each = found.of("p_gen").against(found.of("p_test"), partial(as_run, samples=samples), "curve")
    each = Readings((r for r in each if np.isfinite(r.value).all()), QUANTITIES)
    curve = each.joined(*RUN)
    neighbours = list(pairwise(curve.along("width")))
    both = each.pairs(lambda *ab: np.stack([x["curve"] for x in ab], 1), "width", "growth", "curve")
    grown = both.of(width=lambda pair: pair in neighbours).joined(*RUN)
    return curve + curve.across("n", crossing, "n_star") + grown.across("n", rise_growth, "growth")


def dips(found: Readings) -> Readings:
    """RP of two seeds at the size nearest to N*, less RP at the smallest and at the largest size;
    nothing where N* lies beyond the sizes or nearest to an end.
    """
    dip = Readings((), QUANTITIES)
    for width, star in found.of("n_star").by("width"):
        rp = found.of("rp", pair="seeds", width=width)
        point, sizes = star.estimates().one.value, rp.along("n")
        middle = nearest_size(sizes, point) if sizes and math.isfinite(point) else None
        for end in (sizes[0], sizes[-1]) if middle in sizes[1:-1] else ():
            less = rp.of(n=middle).against(rp.of(n=end), name="dip", apart="n")
            dip += less.dropped("n").named(n=end)
    return dip.crossed(*RUN)


def matrix(found: Readings, one: PhaseTransition) -> Readings:
    """Mean RP over pairs of different models, of every width and subset and the memorizers of the
    subsets, at the telling sizes.
    """
    made, same, pixels = found.of("sample"), one.seen_by.same, one.seen_by.pixels
    cells = []
    for n in telling_sizes(found.of(width=median_high(made.along("width")))):
        kinds: dict[str, list[Tensor]] = {
            f"width {width}, half {which}": [pixels(torch.from_numpy(r.value)) for r in some]
            for which, width, some in made.of(n=n).by("subset", "width")
        }
        for which in made.of(n=n).along("subset"):
            memorized = replace(one, n=n, subset=which).memorized()
            kinds[f"memorizer, half {which}"] = [pixels(memorized)]
        for (row, a), (column, b) in product(kinds.items(), repeat=2):
            at = {"one": row, "other": column, "n": n}
            cells.append(Reading("rp_mean", at, [mean_rp(a, b, same)]))
    return Readings(cells, QUANTITIES)


def telling_sizes(found: Readings) -> list[int]:
    """A memorizing, a middle and a generalizing size: of those with most models the ends, and the
    one nearest to N*.
    """
    counts = {n: len(some) for n, some in found.of("sample").by("n")}
    sizes = [n for n, count in counts.items() if count == max(counts.values())]
    star = [r.value.value for r in found.of("n_star").estimates()]
    point = star[0] if star and math.isfinite(star[0]) else math.sqrt(sizes[0] * sizes[-1])
    return sorted({sizes[0], nearest_size(sizes, point), sizes[-1]})


def over_runs(found: Readings, name: str, called: str = "mean") -> Readings:
    """A value of each cell, one unit a training run."""
    values = found.of(name).estimates().map(lambda e: np.array([e.value]), called)
    return values.joined(*RUN)


def beside_real(found: Readings, name: str) -> Readings:
    """The same of samples, and of the held-out images that all widths share."""
    real = over_runs(found, f"{name}_test").joined("width")
    return over_runs(found, name) + real.named(images="test")


def by_n(readings: Readings, title: str, look: str = "", **how: Any) -> Plot:
    """Lines over N, a colour for each width."""
    return Plot(readings, "n", "width", look, title=title, **{"limits": SHARE, **how})


def transition(found: Readings) -> Iterator[Told]:
    """Does it copy? The answer, and its figure."""
    curve, sizes = found.of("curve"), found.of("curve").along("n")
    yield Claim(
        "Networks go from copying to generalizing as N grows, at N*",
        found.of("n_star"),
        within(sizes[0] * (1 - 1e-9), sizes[-1] * (1 + 1e-9)),
        published="at every capacity (Zhang et al. 2024, Fig. 3)",
        beside={"GLc, fewest images": curve.first("n"), "GLc, most": curve.last("n")},
        note="N* is where the isotonic fit of GLc on log N reaches one half.",
    )
    yield Claim(
        "N* grows with capacity (octaves from one width to the next)",
        found.of("growth"),
        above(0),
        published="more images for more parameters (Fig. 3)",
        note="Runs are paired by size, subset and seed.",
    )
    yield Claim(
        "Reproducibility is U-shaped in N (RP at N* less RP at either end)",
        found.of("dip"),
        below(0),
        published="high, low, high (Zhang et al. 2024, Fig. 2)",
        beside={"RP by N": found.of("rp", pair="seeds").crossed(*RUN)},
        note="Of two seeds, paired by training subset and by noise.",
    )
    real = {"as novel as held-out images": 1.0}
    yield figure(
        "transition",
        "**Memorization to generalization.** GLc, the share of samples that are no copies relative "
        "to held-out images; marked: N*, where it reaches one half. 95 % over training runs.",
        by_n(curve, "", limits=GLC, markers=found.of("n_star"), levels=real),
    )


def halves(found: Readings) -> Iterator[Told]:
    """Do models that saw disjoint images agree?"""
    rp = found.of("rp", pair="halves")
    yield Claim(
        "Models trained on disjoint images come to agree as N grows (change of RP)",
        rp.change("n", "change").crossed(*RUN),
        above(0),
        published="the same function from disjoint sets (Kadkhodaie et al. 2024)",
        beside={"RP by N": rp.crossed(*RUN), "Chance": found.of("chance", pair="halves")},
        note="Paired by noise.",
    )


def memorizer(found: Readings) -> Iterator[Told]:
    """Do models make what the closed-form memorizer makes?"""
    same = found.of("as_memorizer")
    yield Claim(
        "Agreement with the closed-form memorizer falls as N grows (change of RP)",
        same.change("n", "change").crossed(*RUN),
        below(0),
        published="to zero (Zhang et al. 2024)",
        beside={"By N": same.crossed(*RUN), "Copies, 1/3 rule": over_runs(found, "memorized")},
        note="Where it does not come to zero, a new sample and a training image are often within "
        "the threshold of RP from each other.",
    )
    yield "Memorization"
    yield figure(
        "memorized",
        "**Copying, seen two other ways.** Samples at less than a third of the distance to the "
        "nearest training image that they have to the second, near-duplicates not counted; and "
        "noises from which the memorizer, sampled by the same solver, makes the same image.",
        by_n(beside_real(found, "memorized"), "Copies by the 1/3 rule", "images"),
        by_n(same.crossed(*RUN), "Same image as the memorizer"),
    )


def quality(found: Readings) -> Iterator[Told]:
    """That the samples are images at all: noise would look novel too."""
    distance, error = (
        over_runs(found, "frechet", "distance"),
        over_runs(found, "error_test", "ratio"),
    )
    real = found.of("floor").one.value
    words = "Distance of samples to held-out images over that of as many real images, N largest"
    over = distance.last("n").map(lambda d: d / real, "excess")
    note = "Novelty counts only where quality holds."
    yield Claim(words, over, beside={"Real images": found.of("floor")}, note=note)
    words = (
        "Held-out denoising error over that of the best linear denoiser of all images, N largest"
    )
    yield Claim(words, error.last("n"))
    yield "Quality"
    floor, linear = {"real against real": real}, {"Wiener denoiser of all data": 1.0}
    yield figure(
        "quality",
        "**Quality.** Fréchet distance of samples to held-out images in pixel space, with that of "
        "as many real images as its floor; denoising error on held-out images, geometric mean over "
        "noise levels, over that of the best linear denoiser fitted to the whole pool.",
        by_n(distance, "Samples against held-out images", limits=None, levels=floor),
        by_n(error, "Denoising held-out images", limits=None, levels=linear),
    )


def controls(found: Readings) -> Iterator[Told]:
    """What stands behind GLc."""
    real = over_runs(found, "p_test").joined("width").named(images="test")
    alarms = {f"declared rate {FALSE_ALARM:g}": FALSE_ALARM}
    second, fixed = over_runs(found, "glc_pca"), beside_real(found, "gl_fixed")
    yield "Controls"
    yield figure(
        "controls",
        "**Controls.** Images above the copy threshold that held-out images did not choose; GLc in "
        "another feature space; and GL at a fixed threshold, by which real images look copied too.",
        by_n(over_runs(found, "p_gen") + real, "Above the copy threshold", "images", levels=alarms),
        by_n(second, "By a second descriptor", y="GLc, whitened PCA", limits=GLC),
        by_n(fixed, "Uncalibrated", "images", y=f"GL at cosine {FIXED:g}"),
    )


def galleries(found: Readings) -> Iterator[Gallery]:
    """Sample, nearest training image, and the other seed's sample from the same noise, of a size."""
    seeds = [some for _, some in found.of("sample", "similarity", "training").by("seed")]
    if not seeds:
        return
    made, near, train = (seeds[0].of(name).one for name in ("sample", "similarity", "training"))
    columns = [[(image, "") for image in made], [(x, f"{c:.2f}") for x, c in zip(train, near)]]
    if len(seeds) > 1:
        other = seeds[1].of("sample").one
        both = (Pixels()(torch.from_numpy(x)) for x in (made, other))
        columns.append([(x, f"{c:.2f}") for x, c in zip(other, paired_similarity(*both).tolist())])
    heads = ["sample", "nearest training image", "other seed, same noise"][: len(columns)]
    at, rows = seeds[0][0].at, [("", list(tiles)) for tiles in zip(*columns)]
    yield gallery(f"N = {at['n']}, width {at['width']}, cosines below", heads, rows)


def reproducing(found: Readings) -> Iterator[Told]:
    """Who agrees with whom."""
    rp, less = (found.of(name).crossed(*RUN) for name in ("rp", "rp_corrected"))
    yield "Reproducibility"
    yield figure(
        "agreement",
        "**Who agrees with whom.** RP of two seeds, as it is and with the chance level (samples of "
        "unlike noises) taken out; of two widths trained on the same images; and of models trained "
        "on disjoint halves, which can agree only if both learned the distribution.",
        by_n(rp.of(pair="seeds"), "Two seeds"),
        by_n(less.of(pair="seeds"), "Two seeds, less chance", y="(RP − chance)/(1 − chance)"),
        by_n(rp.of(pair="widths"), "Two widths"),
        by_n(rp.of(pair="halves"), "Disjoint halves"),
    )
    yield heat_maps(
        "matrix",
        "**RP between all kinds of models** at a memorizing, a middle and a generalizing size, "
        "means over training seeds; on the diagonal two seeds of one width. Blocks off it compare "
        "models that saw disjoint images.",
        Map(found.of("rp_mean"), "one", "other", "n"),
    )


def denoising(found: Readings, shown: Sequence[int]) -> Iterator[Told]:
    """The denoising errors of the widest network, beside closed forms."""
    some = found.of("error", n=list(shown))
    widest = some.last("width") or some
    seen = widest.of(images="train").over("seed").joined("subset")
    lines = widest.of(images="test").over(*RUN) + seen
    yield "Denoising"
    yield figure(
        "errors",
        "**Denoising error** of the widest network on training and on held-out images, beside the "
        "memorizer and the best linear denoiser of the same training set.",
        Plot(lines, "sigma", "who", "images", panel="n", scale="log", limits=(1e-4, 2)),
    )
