"""What stands around a verdict: which descriptors decided, what they were calibrated on, the
training set, and what is not shown.
"""

from __future__ import annotations

import math

from denoscope.audit.findings import MOVED, NEAR, Audit, Evidence
from denoscope.report.words import count, listed, numbers, percent, percents, things

MUCH = 0.05
"""The share of training images with duplicates above which that is said loudly."""
SHARP = 0.9
"""The power over all near copies below which the excess is said to be too small."""
FEW = 100
"""Training images below which their own distances are a poor control: of digits 2 or 3 audits of 20
at 24 to 40 found copies that were none.
"""
SEEN = 0.8
"""The power below which a kind of planted copies is named as one that may be missed."""


def caveats(audit: Audit) -> list[str]:
    """Paragraphs on how sure the verdict is and what it does not show, the latter last."""
    parts = [_sharpness(audit), _null(audit), _training_set(audit), _twin(audit), limits(audit)]
    return [part for part in parts if part]


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


def area(found: Evidence) -> str:
    return f"AUC {numbers(found.near.auc)}" if found.near else "no planted copies"


def shared(audit: Audit, first: str, second: str = "train") -> tuple[int, int]:
    """How many rows of the one set are exactly in the other, of how many."""
    found = audit.overlap.shared.get((first, second))
    return (int(found.exact.sum()), len(found.exact)) if found else (0, 0)


def _sharpness(audit: Audit) -> str:
    """Which descriptors decided, how well they see copies, and which could not."""
    together = audit.combined
    if not together:
        return ""
    able = [
        f"{found.name} ({area(found)})"
        for found in audit.evidence
        if found.name in together.descriptors
    ]
    unable = [
        f"{found.name} ({area(found)})"
        for found in audit.evidence
        if found.name not in together.descriptors
    ]
    kinds = [called(name) for name in NEAR if name in audit.first.planted]
    text = (
        f"Decided by {listed(able)}: of training {thing(audit)} copied with "
        f"{listed(kinds)}, {percents(together.near_power, bracket=True)} were found."
    )
    if together.near_power.value > 0 and together.near_power.high < SHARP:
        text += (
            " What is missed is not counted: the true share of copies may be "
            f"{1 / together.near_power.value:.2g} times as large."
        )
    if unable:
        text += (
            f" {listed(unable)} cannot decide here and "
            f"{'was' if len(unable) == 1 else 'were'} left out."
        )
    rates = together.rates
    if rates.false_alarm > rates.asked:
        held = sum(fold.held_out for fold in rates.folds)
        text += (
            f" Only {count(held)} "
            f"{'held-out' if audit.first.test is not None else 'training'} {thing(audit)} "
            "calibrate the thresholds: the false alarm rate is "
            f"{percent(rates.false_alarm)} instead of the {percent(rates.asked)} asked."
        )
    return text


def called(name: str) -> str:
    """A perturbation as it is called in a sentence."""
    return {"jpeg": "JPEG", "colour": "changed colours"}.get(name, name)


def _null(audit: Audit) -> str:
    """What the samples were compared with, if that weakens the answer."""
    word = thing(audit)
    if audit.first.test is None:
        text = (
            f"**No held-out {word} were given:** each training {word[:-1]} was compared "
            "with the others instead. That cannot see a difference between the training "
            "set and "
            "the population it comes from, and leaves every comparison of training with "
            f"held-out {word} unanswered; `--test` would give both."
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
    text = (
        f"**The test set leaks:** {things(leaks, word[:-1])} of {count(n)} {are} in "
        f"the training set too and {were} left out of the control."
    )
    near = audit.overlap.shared["test", "train"].near
    return text + (
        f" {count(near)} more nearly repeat training {word} and stay in it, which hides copies."
        if near
        else ""
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
    return (
        f"{first}{exactly}; the largest cluster has {count(found.largest)}. "
        "Near-duplicates count as one when a sample's nearest and second nearest are "
        "compared."
    )


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
    moved = f"Copies that were moved can be missed here: {listed(missed)}. " if missed else ""
    names = listed([found.name for found in audit.evidence])
    sought = (
        f"Copies are sought by {names}: a copied style, object or part of an image need "
        "not be near any training image as a whole."
        if thing(audit) == "images"
        else "Copies are sought in the given features alone: what these do not show is not seen."
    )
    again = (
        "The intervals hold for this model and this training set; they say nothing "
        "about a model trained again."
    )
    return f"**What this does not show.** {moved}{again} {sought}"
