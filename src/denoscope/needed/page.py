"""The page: yes or no and the figure that says so, then what stands behind it."""

from __future__ import annotations

from denoscope.needed.answer import Answers
from denoscope.needed.sample import Sample
from denoscope.needed.story import told
from denoscope.needed.words import answer, because, count, spans
from denoscope.references import DATA, NEEDED, references
from denoscope.report import KeyValues, Page, ReferenceList, Section
from denoscope.report.story import story
from denoscope.report.words import percent


def build(found: Answers, sample: Sample, command: str, versions: dict[str, str]) -> Page:
    """The whole page of an answer."""
    name = sample.images.name
    of_data = [DATA[name]] if name in DATA else []
    parts = story(told(found, sample))
    run = KeyValues(conditions(found, sample, command, versions))
    works = ReferenceList(references(("denoscope", *NEEDED, *of_data)))
    sections = [
        *parts.sections,
        Section("What was run", [run], folded=True),
        Section("References", [works], folded=True),
    ]
    shape = " × ".join(map(str, sample.images.shape))
    about_it = f"A linear diffusion model on {count(found.n)} images of {name} ({shape})."
    return Page(
        "Are there enough images?",
        f"{spans(found, sample) if found.law.infinite else ''} {because(found)}\n\n{about_it}",
        sections,
        answer(found),
        parts.opening,
    )


def conditions(
    found: Answers, sample: Sample, command: str, versions: dict[str, str]
) -> dict[str, object]:
    """What a reader needs to run the command again, and the conventions of its numbers."""
    images, asked = sample.images, found.asked
    shape = " × ".join(map(str, images.shape))
    others = f", {count(sample.left)} others check" if sample.left else ""
    constant = sample.pixels - sample.varying
    ranks = (
        "" if found.trusted >= found.d else f" up to rank {count(found.trusted)}, then a power law"
    )
    example = images.skipped[0][0] if images.skipped else ""
    skipped = f"{len(images.skipped)} unreadable images, such as {example}"
    said = {
        "command": f"`{command}`",
        "images": f"{images.name}: {count(len(images))} of {shape}, {count(found.n)} taken{others}",
        "notes on the data": "; ".join(sample.notes),
        "skipped": skipped if images.skipped else "",
        "content hash": f"`{images.sha256}`",
        "directions": f"d = {count(found.d)}"
        + (f"; {count(constant)} of {count(sample.pixels)} pixels never vary" if constant else ""),
        "units": "pixels in [−1, 1] and not standardised, variances in their square; x_t = √ᾱ x0 + "
        "√(1 − ᾱ) ε; losses are squared errors of the noise, divergences nats, per dimension",
        "kurtosis": "E|z|⁴ − d over d (d + 1), z the whitened image: geometric mean of whitening "
        "by all images and by all others; intervals by t over images",
        "cross-validation": f"{len(sample.folds)} folds at random by seed {asked.seed}",
        "true spectrum": "geometric mean of training and held-out variance along each direction"
        + ranks,
        "participation ratio": f"{found.ratio:.4g}, corrected for the number of images "
        f"{found.ratio_corrected:.4g}: at N = {count(found.n)} the squared error of the covariance "
        f"is about {percent(min(1.0, found.ratio / found.n))} of its squared norm, whatever the "
        "divergence",
        "seed": asked.seed,
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
    }
    return {name: text for name, text in said.items() if text != ""}
