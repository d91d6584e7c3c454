"""What stands around a verdict: which descriptors decided, what they were calibrated on, the
training set, and what is not shown.
"""

from __future__ import annotations

import math

from torch import Tensor

from denoscope.audit.findings import MOVED, PLANTED, ROUND_TRIP, Audit, Evidence
from denoscope.report.words import count, listed, percent, percents, things

MUCH = 0.05
"""The share of training images with duplicates above which that is said loudly."""
FEW = 100
"""Training images below which their own distances are a poor control: of digits 2 or 3 audits of 20
at 24 to 40 found copies that were none.
"""
SEEN = 0.8
"""The power below which a kind of planted copies is named as one that may be missed."""


def caveats(audit: Audit) -> list[str]:
    """Paragraphs on how sure the verdict is and what it does not show, the latter last."""
    parts = [prepared_as(audit), _mirrored(audit), read_otherwise(audit)]
    parts += [_sharpness(audit), _null(audit)]
    parts += [_training_set(audit), _twin(audit), limits(audit)]
    return [part for part in parts if part]


def prepared_as(audit: Audit) -> str:
    """How files became images, and who chose that; empty where they were taken as they are."""
    found, grouped = audit.settled, {}
    for role, how in found.how.items():
        if role in audit.inputs:
            grouped.setdefault(str(how), []).append(_SETS[role])
    if not any(grouped):
        return _cut(audit)
    doubt = f" **{found.doubt}: copies may be missed.**" if found.doubt else ""
    said = [
        f"{listed(roles)} by `{words}`" if words else f"{listed(roles)} as they are stored"
        for words, roles in grouped.items()
    ]
    text = f"**What was compared:** {', '.join(said)}. {_cut(audit)}".strip()
    if not found.tried:
        return text + doubt
    return (
        f"{text} Files and samples did not fit ({listed(list(found.misfits))}); of "
        f"{things(len(found.tried), 'usual way')} this one alone fits {count(len(found.chose))} "
        "samples, which are left out of the count."
    )


_SETS = {"train": "training images", "test": "held-out ones", "gen": "samples", "twin": "twins"}


def _cut(audit: Audit) -> str:
    """That samples are cells of pictures, and that mirrored images were compared too."""
    lines = []
    if audit.settled.grid:
        lines.append(f"Samples are the cells of grids of {audit.settled.grid}.")
    if audit.flips:
        lines.append("Mirrored training images were compared too.")
    if audit.options.by_class:
        lines.append("Images were compared within classes, those of the samples.")
    return " ".join(lines)


def _mirrored(audit: Audit) -> str:
    """That samples repeat training images mirrored, which was not compared."""
    many, n = audit.mirrored
    if not many:
        return ""
    return (
        f"**Mirrored copies are not counted:** {count(many)} of {count(n)} samples, mirrored, come "
        "nearer to a training image than any real image does: `--flips` counts them."
    )


def read_otherwise(audit: Audit) -> str:
    """What was skipped, changed or suspicious in reading."""
    lines = [line for one in audit.inputs.values() for line in one.warnings]
    lines += audit.overlap.suspicious
    return f"**Look at what was read:** {'; '.join(lines)}." if lines else ""


def thing(audit: Audit) -> str:
    """What a row of the sets is."""
    return "images" if audit.inputs["train"].images is not None else "rows"


def control(audit: Audit) -> str:
    """What the samples are compared with."""
    return (
        f"real held-out {thing(audit)}"
        if audit.first.test is not None
        else f"training {thing(audit)} among themselves"
    )


def sight(found: Evidence) -> str:
    """What a descriptor sees of planted copies."""
    if found.rates is None or not found.areas:
        return f"{found.name} (no planted copies)"
    return f"{found.name} finds {percents(found.rates.power['near'], bracket=True)}"


def share_of(rows: Tensor, what: str) -> str:
    """So many of so many: 24 of 400 samples."""
    return f"{count(int(rows.sum()))} of {count(len(rows))} {what}"


def shared(audit: Audit, first: str, second: str = "train") -> tuple[int, int]:
    """How many rows of the one set are exactly in the other, of how many."""
    found = audit.overlap.shared.get((first, second))
    return (int(found.exact.sum()), len(found.exact)) if found else (0, 0)


def _sharpness(audit: Audit) -> str:
    """Which descriptors decided, how well they see copies, and which could not."""
    together = audit.combined
    if not together:
        return ""
    unable = [one.name for one in audit.evidence if one.name not in together.descriptors]
    kinds = [called(name) for name in PLANTED if name in audit.first.planted]
    text = (
        f"Decided by {listed(together.descriptors)}: of training {thing(audit)} copied with "
        f"{listed(kinds)}, {percents(together.power['near'], bracket=True)} were found."
    )
    if unable:
        were = "was" if len(unable) == 1 else "were"
        text += f" {listed(unable)} cannot tell these from real ones and {were} left out."
    return text


def called(name: str) -> str:
    """A perturbation as it is called in a sentence."""
    words = {"jpeg": "JPEG", "colour": "changed colours", ROUND_TRIP: "the model's own round trip"}
    return words.get(name, name)


def _null(audit: Audit) -> str:
    """What the samples were compared with, if that weakens the answer."""
    word = thing(audit)
    if audit.first.test is None:
        text = (
            f"**No held-out {word} were given:** each training {word[:-1]} was compared with the "
            "others instead, which cannot see how the training set differs from its population; "
            "`--test` would."
        )
        few = len(audit.inputs["train"]) < FEW
        return text + (
            f" So few training {word} do not even calibrate themselves well: copies may "
            "be reported where there are none."
            if few
            else ""
        )
    leaks, n = shared(audit, "test")
    if not leaks:
        return ""
    are, were = ("is", "was") if leaks == 1 else ("are", "were")
    return (
        f"**The test set leaks:** {things(leaks, word[:-1])} of {count(n)} {are} in "
        f"the training set too and {were} set aside."
    )


def _training_set(audit: Audit) -> str:
    """The training set's own duplicates, if there are any."""
    found = audit.duplicates
    if not found.images:
        return ""
    n = len(found.cluster)
    word = f"training {thing(audit)}"
    text = (
        f"{count(found.images)} of the {count(n)} {word} ({percent(found.images / n)}) "
        "have a duplicate or near-duplicate"
    )
    exactly = f", {count(found.exact)} repeat earlier ones exactly" if found.exact else ""
    first = f"**The training set is duplicated:** {text}" if found.images > MUCH * n else text
    return f"{first}{exactly}; the largest cluster has {count(found.largest)}."


def _twin(audit: Audit) -> str:
    """How often two runs give the same sample from the same noise, beside chance."""
    measured = audit.metrics.get("reproducibility", {}).get(audit.first.name)
    if measured is None or math.isnan(measured.estimate.value):
        return ""
    chance = (measured.extra or {}).get("chance")
    beside = f"; chance alone gives {percent(float(chance))}" if chance is not None else ""
    return (
        "The two runs give the same sample from the same noise in "
        f"{percents(measured.estimate, bracket=True)} of pairs{beside} "
        f"({audit.first.name})."
    )


def limits(audit: Audit) -> str:
    """What this does not show."""
    power = audit.combined.power if audit.combined else {}
    missed = [
        f"{called(name)} ({percent(power[name].value)} found)"
        for name in MOVED
        if name in power and power[name].value < SEEN
    ]
    moved = f" Copies that were moved can be missed: {listed(missed)}." if missed else ""
    sought = (
        "A copied style, object or part of an image need not be near any training image as a whole"
        if thing(audit) == "images"
        else "What the given features do not show is not seen"
    )
    return (
        f"**What this does not show.** {sought}, nor are copies less near than the planted ones "
        f"bounded.{moved} The intervals say nothing about a model trained again."
    )
