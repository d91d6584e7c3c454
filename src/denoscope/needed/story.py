"""What an answer claims, draws and tabulates, in a paper's order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from denoscope.estimate import Estimate
from denoscope.needed.answer import Answers, marks
from denoscope.needed.law import mapped
from denoscope.needed.measured import LEVELS, QUANTITIES, SIZES, divergences, readings
from denoscope.needed.sample import Sample
from denoscope.needed.words import about, count, needed, verdict
from denoscope.readings import Readings
from denoscope.report import Figure, Text
from denoscope.report.claims import Claim, below, said
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.report.words import percent

FAR = 1e3
"""How far above an axis a line is drawn that is infinite: the wall from which it comes down."""
_FLAT = 4.0  # a range of values that needs no logarithm


def told(found: Answers, sample: Sample) -> Iterator[Told]:
    """Claims, figures and tables in a paper's order."""
    read = readings(found)
    yield from _claims(found, read)
    yield "How many are enough"
    yield _divergence(found, read)
    yield _losses(found, read)
    yield "What your images show"
    yield Text("\n\n".join(verdict(found, sample)[1:]))
    yield _spectrum(found, read)
    yield "Until there are enough"
    yield _remedies(found, read)
    levels = "Loss per dimension on held-out images, by noise level"
    yield table(levels, read.without("divergence"), ["abar"], LEVELS)
    yield "Size by size"
    kept = {found.n, *marks(found.plain, found.ridged)}
    shown = [row["n"] for i, row in enumerate(found.table) if row["n"] in kept or i % 4 == 0]
    title = "Nats and losses per dimension expected at N images (all sizes: needed.csv)"
    yield table(title, read.of(*SIZES, size=shown), ["size"], SIZES)


def _claims(found: Answers, read: Readings) -> Iterator[Claim]:
    yield Claim(
        f"Samples of a linear model of {count(found.n)} images are as near the best one as asked",
        found.law.decisive,
        below(found.asked.kl),
        published=f"at most {found.asked.kl:g} nats per dimension",
        beside={"Predicted": read.of("predicted"), "Measured": read.of("measured")},
        note="KL divergence without regularisation, mean over training sets.",
    )
    for remedy, name in (("ridge", "A ridge"), ("stop", "An early stop")):
        yield Claim(
            f"{name} lowers the loss on held-out images at ᾱ = {found.asked.abar:g}",
            read.of("gain", remedy=remedy),
            below(1),
            published="less than trained to the end",
            note="Loss in parts of that trained to the end, by fold; the remedy of a fold was "
            "chosen on the others, and folds count as independent.",
        )
    yield Claim(
        f"Variance of new images outside the span of {count(found.law.measured.count)}",
        read.of("unseen"),
    )


def _divergence(found: Answers, read: Readings) -> Figure | None:
    drawn = divergences(read)
    values = np.array([float(r.value) for r in drawn])
    values = values[(values > 0) & (values < math.inf)]
    top = min(100.0, float(values.max()) * 1.5)
    known, ridged = found.law.factor, found.ridged
    f = f"at least {known.low:.2g}" if math.isinf(known.high) else f"= {said(known, '.2g')}"
    caption = (
        "**How far the samples' law is from the best linear one**, on average over training sets. "
        f"Without regularisation it is infinite up to N = d, then falls to f d/(4N), f {f}: "
        f"{found.asked.kl:g} takes {needed(found.plain, found.law.few)} images, with the best "
        f"ridge {needed(ridged, found.law.few)} (estimated)."
    )
    plot = Plot(
        drawn.map(lambda value: _walled(value, FAR * top)),
        "size",
        "remedy",
        scale="log",
        title="KL(model ‖ best linear model)",
        levels={f"asked: {found.asked.kl:g}": found.asked.kl},
        positions=_sizes_of_note(found),
        limits=(float(values.min()) / 1.5, top),
    )
    return figure("divergence", caption, plot)


def _walled(value: Any, wall: float) -> Any:
    """What is infinite far above the axis, as the wall from which it comes down."""
    if isinstance(value, Estimate):
        return mapped(value, lambda x: min(x, wall))
    return min(value, wall)


def _sizes_of_note(found: Answers) -> dict[str, float]:
    return {f"your {count(found.n)} images": found.n, f"N = d = {count(found.d)}": found.d}


def _losses(found: Answers, read: Readings) -> Figure | None:
    caption = (
        "**Train and test loss** of a linear model without regularisation: theory of Gaussian "
        "images with this spectrum, and a mark where the loss was measured; a model that predicts "
        f"nothing has 1. The gap is within {percent(found.asked.gap)} of the least possible loss "
        f"from about {about(found.level.needed)} of your images on."
    )
    theory = Readings((), QUANTITIES)
    for name in ("train", "test"):
        theory += read.of(name).named("loss", images=name)
    plot = Plot(
        read.of("loss", images=["train", "test"]),
        "size",
        "images",
        theory=theory,
        scale="log",
        title=f"Loss of noise prediction at ᾱ = {found.asked.abar:g}",
        levels={"least possible": found.level.least},
        positions=_sizes_of_note(found),
    )
    return figure("losses", caption, plot)


def _spectrum(found: Answers, read: Readings) -> Figure | None:
    caption = (
        "**Spectrum.** Variance along the principal directions of your images, of images held out "
        "(along the directions of the other folds, averaged over neighbouring ranks), and the "
        "estimate of the true one. Your own images exaggerate the first directions and hide the "
        "last; held-out images do the opposite."
    )
    marked = (
        {f"{count(found.law.spanned)} directions spanned": float(found.law.spanned)}
        if found.law.spanned < found.d
        else {}
    )
    title = "Variance along each direction"
    variance = read.of("variance")
    plot = Plot(variance, "principal", "images", title=title, positions=marked, scale="log")
    return figure("spectrum", caption, plot)


def _remedies(found: Answers, read: Readings) -> Figure | None:
    level, loss = found.level, read.of("loss").without("images")
    values = np.array([r.value for r in loss] + [level.trained, level.least])
    plots = [
        Plot(
            loss.of(remedy=remedy),
            x,
            "remedy",
            title=title,
            scale="linear" if values.max() < _FLAT * values.min() else "log",
            y="held-out loss per dimension",
            levels={"trained to the end": level.trained, "least possible": level.least},
            positions={"recommended": best} if 0 < best < math.inf else {},
        )
        for remedy, x, title, best in (
            ("ridge", "ridge", "Against ridge", found.ridge),
            ("stop", "duration", "Against training time", level.k),
        )
    ]
    caption = (
        f"**Until there are enough images**: the loss on held-out images at ᾱ = {level.abar:g}. "
        "The recommended ridge is the one under which held-out images are most probable over all "
        "noise levels together, so it need not be the lowest point at this one; the recommended "
        "training time is the lowest point."
    )
    return figure("remedies", caption, *plots)
