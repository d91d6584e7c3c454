"""Memorization to generalization on real images: does a network copy, and from which N on not?

Diffusion models of several widths are trained on growing subsets of one image set and sampled from
the same noises with the same solver (Zhang et al. 2024, Figs. 2 and 3; Kadkhodaie et al. 2024 for
disjoint halves), clipped to the range of the images; beside them stands the closed-form Gaussian of
each training set, from the same noises: what its covariance alone does.

* GLc = (1 - p_gen)/(1 - .05): the share of samples that are not nearer to the training set than the
  nearest 5 % of all held-out images, by mean-removed pixel cosine, over that of these: 0 copies
  only, 1 as few as held-out images, 1.05 none at all.
* nearness: P(a sample is nearer than a held-out image is); 1/2 as near on average. Real-like is 1/2
  with both tails near .05: GLc above 1 and nearness below 1/2 are samples that are no images yet.
* N* is where the isotonic fit of GLc on log2 N first reaches one half, N° where nearness falls to
  it, never extrapolated.
* RP: the share of noises from which two models make the same image, that is one whose cosine lies
  above the 0.99 quantile over pairs of distinct real images. Beyond the Gaussians of their training
  images models agree in their remainders (:mod:`denoscope.metrics.remainders`).

Intervals of GLc, nearness, N* and N° are over training subsets, held-out images and samples
(:mod:`denoscope.metrics.transition`), those of RP and remainders over pairs of runs crossed with
the noises that they share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median_high
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from denoscope.describe import Pixels
from denoscope.estimate import exact, proportion, share
from denoscope.fitting.closed_forms import over_linear
from denoscope.metrics import REAL_LIKE, TAIL, paired_similarity
from denoscope.metrics.model_pairs import RUN, agreements, dips, kinds_of_models, telling_sizes
from denoscope.metrics.pool_descriptors import (
    FIXED,
    PAIR_QUANTILE,
    copying_otherwise,
    duplicates_said,
    real_distance,
)
from denoscope.metrics.remainders import beyond
from denoscope.metrics.transition import curves, novelty, tails, transitions
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
RATES = (0.01, 0.1)
"""Other rates of false alarms at which N* is read too."""
MOST = 1 / (1 - TAIL)
"""The ceiling of GLc."""
AS_NEAR = (0.4, 0.6)
"""Nearness of samples whose tails are between .02 and .10 by a shift of all their distances."""

QUANTITIES = {
    "glc": Quantity("GLc", tip="calibrated: 0 copies only, 1 as few as held-out images"),
    "nearness": Quantity("nearness", tip="P(nearer than a held-out image): ½ as near as these"),
    "glc_pca": Quantity("GLc", "whitened PCA", tip="the same by whitened principal components"),
    "gl_fixed": Quantity("GL", f"at {FIXED:g}", share, tip="share at most so similar"),
    "memorized": Quantity("memorized", "", share, tip="by the 1/3 rule, near-duplicates left out"),
    "rp_memorizer": Quantity("RP", "memorizer", share, tip="of model and memorizer"),
    "rp_gaussian": Quantity("RP", "Gaussian", share, tip="of model and Gaussian"),
    "authenticity": Quantity("authentic", tip="share of authentic samples (Alaa et al.)"),
    "frechet": Quantity("Fréchet", tip="distance to held-out images in pixel space"),
    "error_test": Quantity("error", "× linear", exact, tip="held-out, over a linear model's"),
    "p_gen": Quantity("nearer", "share", tip="than the nearest 5 % of held-out images"),
    "far": Quantity("farther", "share", tip="than the farthest 5 % of held-out images"),
    "p_test": Quantity("held-out above", "threshold", tip="which the other half of them chose"),
    "gl_fixed_test": Quantity("held-out GL", f"at {FIXED:g}"),
    "memorized_test": Quantity("held-out memorized"),
    "sample": Quantity("sample"),
    "training": Quantity("nearest training image"),
    "similarity": Quantity("cosine to the nearest training image"),
    "as_memorizer": Quantity("RP", "memorizer", share, tip="noises from which it makes the same"),
    "as_gaussian": Quantity("RP", "Gaussian", share, tip="noises from which it makes the same"),
    "remainder": Quantity("remainder", tip="samples less all that is linear in noise or Gaussian"),
    "left": Quantity("remainder", "share of variance", tip="neither linear nor clipping"),
    "error": Quantity("squared error", "per pixel", form=".4f"),
    "curve": Quantity("GLc, calibrated generalization"),
    "as_near": Quantity("nearness"),
    "nearer": Quantity("share of samples", "nearest 5 %"),
    "farther": Quantity("share of samples", "farthest 5 %"),
    "tail": Quantity("share of samples", "in a tail"),
    "mean": Quantity("share of images", tip="mean over training runs"),
    "ratio": Quantity("error", "× linear", tip="mean over training runs"),
    "distance": Quantity("Fréchet distance", "pixels", form=".2f", tip="mean over training runs"),
    "floor": Quantity("Fréchet distance", "real images", form=".2f"),
    "excess": Quantity("Fréchet distance", "over that of real images", form=".1f"),
    "n_star": Quantity("N*", form=".0f"),
    "n_middle": Quantity("N°", form=".0f"),
    "growth": Quantity("ratio of N*"),
    "features": Quantity("mean-removed pixels"),
    "cosine": Quantity("cosine"),
    "rp": Quantity("RP", interval=share, tip="noises from which two models make the same image"),
    "rp_fixed": Quantity("RP", f"at cosine {FIXED:g}", share),
    "rp_corrected": Quantity("RP", "less chance"),
    "rp_mean": Quantity("RP", "mean over training seeds", exact),
    "chance": Quantity("chance level", interval=exact, form=".3f"),
    "pairs": Quantity("pairs of models", interval=exact, form=".0f"),
    "shared": Quantity("cosine of remainders"),
    "change": Quantity("change of RP"),
    "dip": Quantity("RP at N* less RP at an end"),
}


@dataclass(frozen=True, kw_only=True)
class PhaseTransition(Trained):
    """Memorization to generalization on real images: one network of one width, trained on one
    subset with one seed.
    """

    version: ClassVar[int] = 3
    references: ClassVar[tuple[str, ...]] = (
        "zhang2024", "kadkhodaie2024", "yoon2023", "karras2022", "alaa2022", "heusel2017",
        "mann1947", "delong1988", "clopper1934", "donner2012",
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
    net: str = option("film", "network", ("film", "mlp", "unet", "uvit"))

    def measured(self, net: nn.Module, generated: Tensor) -> Result:
        """Every number of a cell, and its network."""
        values, readings = self.asked(net, self.clipped(generated))
        return Result(values, stored(readings), {MODEL: dump(net)})

    def asked(self, D: Denoiser, made: Tensor) -> tuple[dict[str, Value], list[Reading]]:
        """Every value and reading of a cell: does it copy, does it agree with the closed forms of
        its training images, how well does it denoise; from its denoiser and its samples (samples,
        c, h, w), on the CPU.
        """
        where, seen = self.where(), self.seen_by
        train, test, errors = where.train(), where.unseen(), list(self.forms().beside(D, LEVELS))
        closed = {who: self.closed(who) for who in ("memorizer", "gaussian")}
        same = {who: seen.agree(made, other) for who, other in closed.items()}
        values = seen.copying(made, train, test) | copying_otherwise(made, where)
        values |= {f"rp_{who}": proportion(int(s.sum()), len(s)) for who, s in same.items()}
        values["error_test"] = over_linear(errors)
        shown = train[seen.nearest(made[:SHOWN], train)[0]]
        return values, [
            Reading("sample", {}, made.numpy().astype(np.float32)),
            Reading("training", {}, shown.numpy().astype(np.float32)),
            *seen.similarities({"network": made, "gaussian": closed["gaussian"]}, train, test),
            *(Reading(f"as_{who}", {}, s) for who, s in same.items()),
            *beyond(made, self.noise(), closed["gaussian"]),
            *(r for r in errors if r.at["who"] != "gaussian_all"),
        ]

    def closed(self, who: str) -> Tensor:
        """What the closed-form "memorizer" or "gaussian" of the training set makes from the shared
        noises.
        """
        rows = torch.from_numpy(getattr(self.forms(), who)()).float()
        return self.clipped(rows.reshape(-1, *self.where().images().shape))

    def forms_at(self, who: str, n: int, subset: int) -> Tensor:
        """The same of another training set."""
        return replace(self, n=n, subset=subset).closed(who)

    def gaussians(self, found: Readings) -> Readings:
        """The samples of the Gaussian of every training set."""
        places = [{"n": n, "subset": which} for n, which, _ in found.of("sample").by("n", "subset")]
        made = [Reading("sample", at, self.forms_at("gaussian", **at).numpy()) for at in places]
        return Readings(made, QUANTITIES)

    @classmethod
    def compare(cls, rows: Sequence[Row]) -> list[Row]:
        """Agreements and transitions as rows: one per kind, pair of widths and size, one per
        width.
        """
        found, made = cls.found(rows), []
        names = ("rp", "chance", "rp_corrected", "rp_fixed", "pairs")
        for pair, width, n, some in found.of(*names).crossed(*RUN).by("pair", "width", "n"):
            small, large = width if isinstance(width, tuple) else (width, width)
            each: dict[str, Any] = {r.name: r.value for r in some.estimates()}
            values = {k: e if k == "rp" else e.value for k, e in each.items()}
            values["pairs"] = int(values["pairs"])
            fields = {"compared": pair, "width": small, "other": large, "n": n}
            places = [str(part) for part in (pair, small, large, n) if part is not None]
            made.append(("-".join(["rp", *places]), fields, values))
        for width, some in found.of("n_star", "n_middle").by("width"):
            fields = {"compared": "transition", "width": width}
            points: dict[str, Any] = {r.name: r.value for r in some.estimates()}
            made.append((f"transition-{width}", fields, points))
        return [Row(key, cls.title(), cls.version, fields, v) for key, fields, v in made]

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """Also what several cells say together: curves, N*, N° and their growth, agreement, the dip
        of RP.
        """
        one, found = cls.of(finished(rows)[0].fields), super().found(rows)
        drawn = novelty(found)
        found += curves(drawn, one.samples) + transitions(drawn)
        found += agreements(found, one.gaussians(found), one.seen_by)
        made = [Reading("floor", {}, real_distance(one.where().whole(), one.samples))]
        for n in telling_sizes(found.of(width=median_high(found.of("sample").along("width")))):
            made += kinds_of_models(found.of("sample"), one.forms_at, n, one.seen_by)
        return found + Readings(made, QUANTITIES) + dips(found)

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        one = cls.of(rows[0].fields)
        where, images = one.where(), one.where().images()
        shape, skipped = " × ".join(map(str, images.shape)), images.skipped
        return {
            "image set": f"{images.name}: {len(images)} images of {shape}, {one.held} held out",
            "skipped": f"{len(skipped)} images, such as {skipped[0][0]}" if skipped else "",
            "duplicates": duplicates_said(where),
            "copy threshold": f"the nearest {TAIL:.0%} of all held-out images, by cosine of "
            "mean-removed pixels, for each training set",
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


def over_runs(found: Readings, name: str, called: str = "mean") -> Readings:
    """A value of each cell, one unit per training run."""
    values = found.of(name).estimates().map(lambda e: np.array([e.value]), called)
    return values.joined(*RUN)


def of_real(found: Readings, name: str) -> Readings:
    """A share of held-out images beside the first training set of each size, exact."""
    firsts = [some[0] for _, some in found.of(name).by("n")]
    return Readings(firsts, QUANTITIES).dropped("width", *RUN).named("mean", images="test")


def beside_real(found: Readings, name: str) -> Readings:
    """The same of samples and of held-out images."""
    return over_runs(found, name) + of_real(found, f"{name}_test")


def by_n(readings: Readings, title: str, look: str = "", **how: Any) -> Plot:
    """Lines over N, a colour for each width."""
    return Plot(readings, "n", "width", look, title=title, **{"limits": SHARE, **how})


def transition(found: Readings) -> Iterator[Told]:
    """Does it copy, and are its samples images? The answer, and its figure."""
    curve, near, rate = found.of("curve"), found.of("as_near"), f"false-alarm rate {TAIL:g}"
    networks, alike, sizes = curve.of(width=bool), near.of(width=bool), curve.along("n")
    others = {
        f"At a rate of {a:g}": transitions(novelty(found, a), a).of("growth", "n_star")
        for a in RATES
    }
    says = f"Wider networks need more images until they stop copying (ratio of N*, {rate})"
    published = "more images for more parameters (Zhang et al. 2024, Fig. 3)"
    beside = {words: some.of("growth") for words, some in others.items()}
    note = "From one width to the next, paired by training subset."
    yield Claim(says, found.of("growth"), above(1), published, beside=beside, note=note)
    says = f"Networks go from copying to generalizing as N grows, at N* ({rate})"
    inside = within(sizes[0] * (1 - 1e-9), sizes[-1] * (1 + 1e-9))
    beside = {words: some.of("n_star") for words, some in others.items()}
    beside |= {"GLc, fewest images": networks.first("n"), "GLc, most": networks.last("n")}
    beside |= {"The Gaussian's": curve.of(who="gaussian")}
    note = f"GLc is at most {MOST:.3g}: no sample is as near as the nearest {TAIL:.0%} of held-out "
    note += "images. It says that samples are no copies, not that they are images."
    published = "at every capacity (Zhang et al. 2024, Fig. 3)"
    yield Claim(says, found.of("n_star"), inside, published, beside=beside, note=note)
    says = "With most images samples are as near to the training set as held-out images (nearness)"
    beside = {"By N": alike, "It is ½ at N°": found.of("n_middle")}
    note = "Real-like is ½, and both tails as held-out images'; below it samples are farther off "
    note += "than real images are. Nearness ½ alone is no sign of quality: copies and noise mixed."
    yield Claim(says, alike.last("n"), within(*AS_NEAR), beside=beside, note=note)
    says = "With most images as many samples lie in either tail as held-out images (share)"
    note = f"Nearer than the nearest {TAIL:.0%} of held-out images, farther than the farthest."
    yield Claim(says, tails(found).last("n"), within(*REAL_LIKE), note=note)
    levels = {"as few as held-out images": 1.0, f"ceiling {MOST:.3g}": MOST}
    half = {"as near as held-out images": 0.5}
    yield figure(
        "transition",
        "**Memorization to generalization.** Left: GLc, the share of samples that are no copies "
        "relative to held-out images; marked: N*, where it reaches one half. Right: nearness, 1 "
        "copying, ½ as near as held-out images, 0 off the data; marked: N°. Beside the networks "
        "the Gaussian of their training images. 95 % over training subsets, hold-out and samples.",
        by_n(curve, "Do they copy?", "who", limits=GLC, markers=found.of("n_star"), levels=levels),
        by_n(near, "Are they images?", "who", markers=found.of("n_middle"), levels=half),
    )


def halves(found: Readings) -> Iterator[Told]:
    """Do models that saw disjoint images agree, and beyond what their covariances do?"""
    rp, shared = (found.of(name, pair="halves") for name in ("rp", "shared"))
    closed = found.of("rp", pair="gaussian").dropped("subset", "pair")
    says = "Models trained on disjoint images come to agree as N grows (change of RP)"
    published = "the same function from disjoint sets (Kadkhodaie et al. 2024)"
    beside = {"RP by N": rp.crossed(*RUN), "Gaussians of these images": closed}
    beside |= {"Chance": found.of("chance", pair="halves")}
    note = "Paired by noise. The Gaussians agree by their covariances alone: see the next claims."
    change = rp.change("n", "change").crossed(*RUN)
    yield Claim(says, change, above(0), published, beside=beside, note=note)
    says = "Networks of disjoint images agree more than their Gaussians, N largest (change of RP)"
    more = rp.last("n").against(closed, name="change").crossed(*RUN)
    yield Claim(says, more, above(0), note="Paired by noise.")
    error = over_runs(found, "error_test", "ratio").of(n=rp.along("n")).last("n")
    learned = Claim(
        "the networks denoise better than the best linear denoiser of all", error, below(1)
    )
    says = (
        "Networks of disjoint images agree beyond their Gaussians, N largest (cosine of remainders)"
    )
    left = found.of("left").crossed(*RUN).last("n")
    beside = {"By N": shared.crossed(*RUN), "Share of variance": left}
    note = (
        "Remainders: samples less their cross-fitted regression on [z, clip(g)], z the noise and "
    )
    note += "g the Gaussian's sample, linear in it; less the mean cosine of unlike noises."
    most = shared.last("n").crossed(*RUN)
    yield Claim(says, most, above(0), control=learned, beside=beside, note=note)


def memorizer(found: Readings) -> Iterator[Told]:
    """Do models make what the closed forms of their training images make?"""
    same, linear = (found.of(f"as_{who}") for who in ("memorizer", "gaussian"))
    says = "Agreement with the closed-form memorizer falls as N grows (change of RP)"
    beside = {"By N": same.crossed(*RUN), "With the Gaussian": linear.crossed(*RUN)}
    beside |= {"Copies, 1/3 rule": over_runs(found, "memorized")}
    note = "Where it does not come to zero, a new sample and a training image are often within the "
    note += "threshold of RP from each other."
    change = same.change("n", "change").crossed(*RUN)
    yield Claim(says, change, below(0), "to zero (Zhang et al. 2024)", beside=beside, note=note)
    yield "Memorization"
    yield figure(
        "memorized",
        "**Copying, seen two other ways.** Samples at less than a third of the distance to the "
        "nearest training image that they have to the second, near-duplicates not counted; and "
        "noises from which the memorizer and the Gaussian of the training images, sampled by the "
        "same solver, make the same image.",
        by_n(beside_real(found, "memorized"), "Copies by the 1/3 rule", "images"),
        by_n(same.crossed(*RUN), "Same image as the memorizer"),
        by_n(linear.crossed(*RUN), "Same image as the Gaussian"),
    )


def quality(found: Readings) -> Iterator[Told]:
    """That the samples are images at all: noise would look novel too."""
    distance = over_runs(found, "frechet", "distance")
    error = over_runs(found, "error_test", "ratio")
    floor, novel = found.of("floor"), "Novelty counts only where quality holds."
    says = "Distance of samples to held-out images over that of as many real images, N largest"
    over = distance.last("n").map(lambda d: d / floor.one.value, "excess")
    yield Claim(says, over, beside={"Real images": floor}, note=novel)
    says = "Networks denoise held-out images better than the best linear denoiser, N largest"
    note = "Error over that of the Wiener denoiser of all images that may be trained on."
    yield Claim(says, error.last("n"), below(1), beside={"By N": error}, note=note)
    yield "Quality"
    real, linear = {"real against real": floor.one.value}, {"Wiener denoiser of all data": 1.0}
    yield figure(
        "quality",
        "**Quality.** Fréchet distance of samples to held-out images in pixel space, with that of "
        "as many real images as its floor; denoising error on held-out images, geometric mean over "
        "noise levels, over that of the best linear denoiser fitted to the whole pool; samples "
        "that are farther from the training set than 95 % of held-out images.",
        by_n(distance, "Samples against held-out images", limits=None, levels=real),
        by_n(error, "Denoising held-out images", limits=None, levels=linear),
        by_n(found.of("farther"), "Far from the data", "who", levels={"held-out images": TAIL}),
    )


def controls(found: Readings) -> Iterator[Told]:
    """What stands behind GLc."""
    near, alarms = found.of("nearer", width=bool).named("mean"), {f"declared rate {TAIL:g}": TAIL}
    real = of_real(found, "p_test")
    second, fixed = over_runs(found, "glc_pca"), beside_real(found, "gl_fixed")
    yield "Controls"
    yield figure(
        "controls",
        "**Controls.** Samples nearer than the nearest 5 % of held-out images, and held-out images "
        "above the threshold that the other half of them chose; GLc in another feature space; and "
        "GL at a fixed threshold, by which real images look copied too.",
        by_n(near + real, "Above the copy threshold", "images", levels=alarms),
        by_n(second, "By a second descriptor", y="GLc, whitened PCA", limits=GLC),
        by_n(fixed, "Uncalibrated", "images", y=f"GL at cosine {FIXED:g}"),
    )


def galleries(found: Readings) -> Iterator[Gallery]:
    """Sample, nearest training image, and the other seed's sample from the same noise."""
    seeds = [some for _, some in found.of("sample", "similarity", "training").by("seed")]
    if not seeds:
        return
    made, train = (seeds[0].of(name).one for name in ("sample", "training"))
    near = seeds[0].of("similarity", who="network").one
    columns = [[(image, "") for image in made], [(x, f"{c:.2f}") for x, c in zip(train, near)]]
    if len(seeds) > 1:
        other = seeds[1].of("sample").one
        both = (Pixels()(torch.from_numpy(x)) for x in (made, other))
        columns.append([(x, f"{c:.2f}") for x, c in zip(other, paired_similarity(*both).tolist())])
    heads = ["sample", "nearest training image", "other seed, same noise"][: len(columns)]
    at, rows = seeds[0][0].at, [("", list(tiles)) for tiles in zip(*columns)]
    yield gallery(f"N = {at['n']}, width {at['width']}, cosines below", heads, rows)


def reproducing(found: Readings) -> Iterator[Told]:
    """Who agrees with whom, and what of it a covariance does."""
    rp, less, shared = (found.of(k).crossed(*RUN) for k in ("rp", "rp_corrected", "shared"))
    closed = rp.of(pair="gaussian").named(who="gaussian").dropped("pair")
    says = "Reproducibility is U-shaped in N (RP at N* less RP at either end)"
    beside, published = (
        {"RP by N": rp.of(pair="seeds")},
        "high, low, high (Zhang et al. 2024, Fig. 2)",
    )
    note = "Of two seeds, paired by training subset and by noise."
    yield Claim(says, found.of("dip"), below(0), published, beside=beside, note=note)
    yield "Reproducibility"
    yield figure(
        "agreement",
        "**Who agrees with whom.** RP of two seeds, as it is and with the chance level (samples of "
        "unlike noises) taken out; of two widths trained on the same images; and of models trained "
        "on disjoint halves, beside the Gaussians of these.",
        by_n(rp.of(pair="seeds"), "Two seeds"),
        by_n(less.of(pair="seeds"), "Two seeds, less chance", y="(RP − chance)/(1 − chance)"),
        by_n(rp.of(pair="widths"), "Two widths"),
        by_n(rp.of(pair="halves").dropped("pair") + closed, "Disjoint halves", "who"),
    )
    yield figure(
        "remainders",
        "**Beyond the Gaussian.** Cosine of two models' remainders, samples less all that is "
        "linear in the noise, or the clipping of the Gaussian's samples, and their size.",
        by_n(shared.of(pair="seeds"), "Two seeds"),
        by_n(shared.of(pair="halves"), "Disjoint halves"),
        by_n(found.of("left").without("pair").crossed(*RUN), "Share of variance"),
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
