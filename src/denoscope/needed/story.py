"""What an answer claims, draws and tabulates, in a paper's order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from denoscope.needed.answer import Answers
from denoscope.needed.measured import LEVELS, QUANTITIES, SIZES, divergences, readings
from denoscope.needed.sample import Sample
from denoscope.needed.words import about, count, grey, share, steps, verdict
from denoscope.readings import Readings
from denoscope.report import Column, Figure, Table, Text
from denoscope.report.claims import Claim, below
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, crosstab, table
from denoscope.report.words import hundredfold

FAR = 1e9
"""Where a line is drawn that is infinite: the wall from which it comes down."""
_FLAT = 4.0  # a range of values that needs no logarithm
_ALONE = (
    "What the training spectrum alone says holds for independent Gaussian images: images "
    "that resemble each other, or differ much in contrast, make it too "
    "small. The recommendations rest on cross-validation."
)


def told(found: Answers, sample: Sample) -> Iterator[Told]:
    """Claims, figures and tables in a paper's order."""
    read = readings(found)
    yield from _claims(found, read)
    yield "How many are enough"
    yield _divergence(found, read)
    nats = f"{found.asked.kl:g} nats a dimension"
    needed = read.of("needed").without("abar")
    yield crosstab(f"For a divergence of {nats}", needed, "divergence", "remedy")
    yield _losses(found, read)
    yield "What your images show"
    yield Text("\n\n".join(verdict(found, sample)[1:]))
    yield _spectrum(found, read)
    yield [_unseen(found), Text(_ALONE)]
    yield "Until there are enough"
    yield _remedies(found, read)
    yield Text(_recipe(found))
    levels = "Loss a dimension on held-out images, by noise level"
    yield table(levels, read.without("divergence"), ["abar"], LEVELS)
    yield "Size by size"
    kept = {found.n, *found.sizes.plain.values(), *found.sizes.ridge.values()}
    shown = [row["n"] for i, row in enumerate(found.table) if row["n"] in kept or i % 4 == 0]
    title = "Nats and losses a dimension expected at N images (all sizes: needed.csv)"
    yield table(title, read.of(*SIZES, size=shown), ["size"], SIZES)


def _claims(found: Answers, read: Readings) -> Iterator[Claim]:
    at = f"at ᾱ = {found.asked.abar:g}"
    yield Claim(
        f"Samples of a linear model of {count(found.n)} images are as near to the true law as asked",
        read.of("kl", size=found.n),
        below(found.asked.kl),
        published=f"at most {found.asked.kl:g} nats a dimension",
        note="Expected KL divergence without regularisation: exact, whatever the spectrum.",
    )
    for remedy, name in (("ridge", "A ridge"), ("stop", "An early stop")):
        yield Claim(
            f"{name} lowers the loss on held-out images {at}",
            read.of("gain", remedy=remedy),
            below(1),
            published="less than trained to the end",
            note="Loss in parts of that trained to the end, by fold; the remedy of a fold was "
            "chosen on the others, and folds count as independent.",
        )
    yield Claim(
        f"Variance of new images outside the span of {count(found.unseen.count)}",
        read.of("unseen"),
    )
    if found.tried:
        worst = max(found.tried, key=lambda tried: tried.off)
        yield Claim(
            f"Largest difference between theory and models trained on subsets {at}",
            read.of("off", size=worst.n),
            beside={"All": read.of("off")},
        )


def _divergence(found: Answers, read: Readings) -> Figure | None:
    plain, ridge = (sizes["model||true"] for sizes in (found.sizes.plain, found.sizes.ridge))
    drawn = divergences(read).map(lambda value: min(float(value), FAR))
    values = np.array([r.value for r in drawn])
    values = values[(values > 0) & (values < FAR)]
    caption = (
        "**How far the samples' law is from the true one**, on average over training sets. Without "
        "regularisation it is infinite up to N = d, then falls to d/(4N) and reaches "
        f"{found.asked.kl:g} at {about(plain)} images; with the best ridge at about {about(ridge)}."
    )
    plot = Plot(
        drawn,
        "size",
        "remedy",
        panel="divergence",
        scale="log",
        levels={f"asked: {found.asked.kl:g}": found.asked.kl},
        positions=_sizes_of_note(found),
        limits=(float(values.min()) / 1.5, min(100.0, float(values.max()) * 1.5)),
    )
    return figure("divergence", caption, plot)


def _sizes_of_note(found: Answers) -> dict[str, float]:
    return {f"your {count(found.n)} images": found.n, f"N = d = {count(found.d)}": found.d}


def _losses(found: Answers, read: Readings) -> Figure | None:
    caption = (
        "**Train and test loss** of a linear model without regularisation: theory, and marks where "
        "models were trained on subsets of your images; 1 is the loss of a model that predicts "
        f"nothing. The gap is within {share(found.asked.gap)} of the least possible loss from about "
        f"{about(found.level.needed)} images on."
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
    spans = found.spanned < found.d
    caption = (
        "**Spectrum.** Variance along the principal directions of your images, of images held out "
        "(along the directions of the other folds, averaged over neighbouring ranks), and the "
        "estimate of the true one. Your own images exaggerate the first directions and hide the "
        "last; held-out images do the opposite."
    )
    marked = {f"{count(found.spanned)} directions spanned": float(found.spanned)} if spans else {}
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
            y="held-out loss a dimension",
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


def _unseen(found: Answers) -> Table:
    unseen = found.unseen
    rows: list[Sequence[object]] = [
        ["expected, from the estimated spectrum", found.n, 100 * unseen.predicted],
        ["expected, from the training spectrum alone", found.n, 100 * unseen.alone],
        ["measured by cross-validation", unseen.count, hundredfold(unseen.crossed)],
    ]
    if unseen.others is not None:
        rows.append(["measured on the images not taken", found.n, 100 * unseen.others])
    columns = [
        Column("how"),
        Column("images", "", "that span the directions"),
        Column(
            "outside the span",
            "%",
            "of the variance of new images; the interval is by t over folds, as if they "
            "were independent",
            ".2g",
        ),
    ]
    return Table("Variance of new images outside the span", columns, rows)


def _recipe(found: Answers) -> str:
    level = found.level
    parts = [
        f"**Ridge.** c = {found.ridge:.3g} by cross-validation ({found.ridge_theory:.3g} "
        "from the training spectrum alone), a standard deviation of "
        f"{grey(found.ridge)}: train with the penalty γ |W|² with γ = ᾱ c at "
        "each noise level, and the model samples your mean and covariance "
        "plus c on every pixel.",
    ]
    if math.isfinite(level.k):
        parts.append(
            f"**Training time.** k = 2ητ = {level.k:.3g} of gradient descent from "
            "zero on the loss summed over pixels, which is k/(2η) steps of size "
            f"η{steps(found)}. A loss averaged over pixels takes {count(found.d)} times as many."
        )
    else:
        parts.append(
            "**Training time.** Held-out loss falls until the end of training: there is "
            "nothing to gain by stopping early."
        )
    unseen = found.unseen.predicted * found.spectrum.sum() / max(1, found.d - found.spanned)
    if found.spanned < found.d:
        parts.append(
            "The rule of thumb for c is the mean variance of a direction that your "
            f"images do not span, about {unseen:.3g}; for k it is the inverse, "
            f"{1 / unseen:.3g}."
        )
    return "\n\n".join(parts)
