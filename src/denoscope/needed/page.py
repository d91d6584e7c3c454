"""The page: yes or no and the figure that says so, then what stands behind it."""

from __future__ import annotations

from denoscope.needed.answer import Answers
from denoscope.needed.sample import Sample
from denoscope.needed.story import told
from denoscope.needed.words import answer, because, count, naive_error
from denoscope.references import DATA, NEEDED, references
from denoscope.report import KeyValues, Page, ReferenceList, Section
from denoscope.report.story import story


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
        f"{because(found)}\n\n{about_it}",
        sections,
        answer(found),
        parts.opening,
    )


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
        "= √ᾱ x0 + √(1 − ᾱ) ε; losses are squared errors of the "
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
