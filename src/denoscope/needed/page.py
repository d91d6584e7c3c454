"""The page: the verdict first, then what stands behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from denoscope.needed import drawings
from denoscope.needed.answer import DIRECTIONS, Answers
from denoscope.needed.sample import Sample
from denoscope.needed.words import count, grey, naive_error, steps, verdict
from denoscope.references import DATA, NEEDED, references
from denoscope.report import Column, KeyValues, Page, ReferenceList, Section, Table, Text
from denoscope.report.words import hundredfold

_ALONE = (
    "What the training spectrum alone says holds for independent Gaussian images: images "
    "that resemble each other, or differ much in contrast, make it too "
    "small. The recommendations rest on cross-validation."
)


def build(found: Answers, sample: Sample, command: str, versions: dict[str, str]) -> Page:
    """The whole page of an answer."""
    name = sample.images.name
    of_data = [DATA[name]] if name in DATA else []
    sections = [
        Section("The answer", [Text("\n\n".join(verdict(found, sample)))]),
        Section(
            "How many are enough",
            [drawings.divergence(found), _sizes(found), drawings.losses(found)],
        ),
        Section("What your images show", [drawings.spectrum(found), _unseen(found), Text(_ALONE)]),
        Section(
            "Until there are enough",
            [drawings.remedies(found), Text(_recipe(found)), _levels(found)],
        ),
        Section("Size by size", [_table(found)]),
        Section("What was run", [KeyValues(conditions(found, sample, command, versions))]),
        Section("References", [ReferenceList(references(("denoscope", *NEEDED, *of_data)))]),
    ]
    shape = " × ".join(map(str, sample.images.shape))
    return Page(
        "How many images are enough?",
        f"A linear diffusion model on {count(found.n)} images of {name} ({shape})",
        sections,
    )


def _sizes(found: Answers) -> Table:
    columns = [
        Column(
            "direction",
            "",
            "of the divergence between the law of the model's samples and the true one",
        ),
        Column("no regularisation", "images", "exact for Gaussian data of any spectrum"),
        Column(
            "best ridge",
            "images",
            "with the best ridge at each number of images; estimated, since it depends "
            "on the spectrum",
        ),
    ]
    rows = [
        [name.replace("||", " ‖ "), found.sizes.plain[name], found.sizes.ridge[name]]
        for name in DIRECTIONS
    ]
    return Table(
        f"Images needed for a divergence of {found.asked.kl:g} nats a dimension", columns, rows
    )


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


def _levels(found: Answers) -> Table:
    columns = [
        Column("abar", "", "noise level: x_t = sqrt(abar) x0 + sqrt(1 − abar) eps", "g"),
        Column(
            "to the end",
            "",
            "held-out loss a dimension of the model trained to the end without ridge",
            ".4g",
        ),
        Column("ridge", "", "the same with the recommended ridge", ".4g"),
        Column("stopped", "", "the same at the best training time", ".4g"),
        Column("least", "", "the loss of the best linear model of this data", ".4g"),
        Column(
            "best k", "", "training time k = 2 eta tau with the least held-out loss at this level"
        ),
        Column(
            "gap closed",
            "images",
            f"until test less train loss is within {100 * found.asked.gap:g} % of the "
            "least loss; estimated",
        ),
    ]
    rows = [
        [level.abar, level.trained, level.ridged, level.stopped, level.least, level.k, level.needed]
        for level in found.levels
    ]
    return Table("Loss a dimension on held-out images, by noise level", columns, rows)


def _recipe(found: Answers) -> str:
    level = found.level
    parts = [
        f"**Ridge.** c = {found.ridge:.3g} by cross-validation ({found.ridge_theory:.3g} "
        "from the training spectrum alone), a standard deviation of "
        f"{grey(found.ridge)}: train with the penalty gamma |W|² with gamma = abar c at "
        "each noise level, and the model samples your mean and covariance "
        "plus c on every pixel.",
    ]
    if math.isfinite(level.k):
        parts.append(
            f"**Training time.** k = 2 eta tau = {level.k:.3g} of gradient descent from "
            "zero on the loss summed over pixels, which is k/(2 eta) steps of size "
            f"eta{steps(found)}. A loss averaged over pixels takes {count(found.d)} times as many."
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


def _table(found: Answers) -> Table:
    columns = [
        Column("N"),
        Column("KL", "", "model ‖ true, nats a dimension, no regularisation, exact"),
        Column("ridged", "", "the same at the best ridge, estimated"),
        Column("at c", "", "that ridge", ".2g"),
        Column("reverse", "", "true ‖ model, nats a dimension, no regularisation, exact"),
        Column("ridged", "", "the same at the best ridge, estimated"),
        Column("unseen", "%", "variance outside the span"),
        Column("train", "", f"loss a dimension at abar = {found.asked.abar:g}"),
        Column("test", "", f"loss a dimension at abar = {found.asked.abar:g}"),
    ]
    names = (
        "n",
        "kl",
        "kl_ridge",
        "kl_ridge_c",
        "kl_reverse",
        "kl_reverse_ridge",
        "unseen",
        "train",
        "test",
    )
    kept = {found.n, *found.sizes.plain.values(), *found.sizes.ridge.values()}
    rows = [row for place, row in enumerate(found.table) if row["n"] in kept or place % 4 == 0]
    return Table(
        "Nats and losses a dimension expected at N images (all sizes: needed.csv)",
        columns,
        [[_shown(name, row[name]) for name in names] for row in rows],
    )


def _shown(name: str, value: float | None) -> float | None:
    return math.inf if value is None else 100 * value if name == "unseen" else value


def conditions(
    found: Answers, sample: Sample, command: str, versions: dict[str, str]
) -> dict[str, object]:
    """What a reader needs to run the command again, and the conventions of its numbers."""
    images, asked = sample.images, found.asked
    others = "" if sample.others is None else f", {count(sample.others.count)} others check"
    return {
        "command": f"`{command}`",
        "images": f"{images.name}: {count(len(images))} of "
        f"{' × '.join(map(str, images.shape))}, {count(found.n)} taken{others}",
        **({"notes on the data": "; ".join(sample.notes)} if sample.notes else {}),
        **(
            {"skipped": f"{len(images.skipped)} unreadable images, such as {images.skipped[0][0]}"}
            if images.skipped
            else {}
        ),
        "content hash": f"`{images.sha256}`",
        "directions": f"d = {count(found.d)}"
        + (
            ""
            if sample.varying == sample.pixels
            else f"; {count(sample.varying)} of {count(sample.pixels)} pixels vary, the "
            "others are left out"
        ),
        "units": "pixels in [−1, 1] and not standardised, variances in their square; x_t "
        "= sqrt(abar) x0 + sqrt(1 − abar) eps; losses are squared errors of the "
        "noise a dimension, "
        "divergences nats a dimension",
        "cross-validation": f"{len(sample.folds)} folds at random by seed {asked.seed}",
        "true spectrum": "geometric mean of training and held-out variance along each "
        f"direction up to rank {count(found.trusted)}"
        + (
            ""
            if found.trusted >= found.d
            else ", then a power law that explains what held-out images vary outside the span"
        ),
        "participation ratio": f"{found.ratio:.4g}, corrected for the number of images "
        f"{found.ratio_corrected:.4g}"
        f" (the naive answer: squared error of the covariance about {naive_error(found)} "
        "of its squared norm)",
        "seed": asked.seed,
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
    }
