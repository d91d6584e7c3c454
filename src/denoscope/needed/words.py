"""The verdict in plain words, and nothing in it that does not follow from a number."""

from __future__ import annotations

import math
from collections.abc import Sequence

from denoscope.needed.answer import GREY, Answers
from denoscope.needed.sample import Sample
from denoscope.report.claims import said
from denoscope.report.words import count as count
from denoscope.report.words import percents, things

_NOTICEABLE = 0.99  # a loss below this part of another is worth a remedy


def about(n: float) -> str:
    """A number of things to three digits, thousands apart."""
    return count(n if n < 1000 else round(n, 2 - math.floor(math.log10(n))))


def share(part: float) -> str:
    """A share in per cent, to two digits; one that is not 0 is not shown as 0."""
    return (
        f"{float(f'{100 * part:.2g}'):g}\u00a0%"
        if part >= 1e-4 or part == 0
        else "less than 0.01\u00a0%"
    )


def grey(variance: float) -> str:
    """A variance as a standard deviation in grey levels of 0 to 255."""
    return f"{GREY * math.sqrt(variance):.2g} of 255 grey levels"


def verdict(found: Answers, sample: Sample) -> list[str]:
    """A few paragraphs: yes or no and what the images span, by which law, what to do until there are
    enough, what is not said.
    """
    first = [f"**{answer(found)}**", _span(found, sample), _infinite(found)]
    return [_joined(first), because(found), _advice(found), _limits(found)]


def _joined(parts: Sequence[str]) -> str:
    return " ".join(part for part in parts if part)


def answer(found: Answers) -> str:
    """Yes or no, by the whole interval, with both numbers."""
    now, n, asked = found.law.now, count(found.n), found.asked.kl
    if found.law.infinite:
        return f"No: the divergence of a linear model of {n} images is infinite."
    word = "Yes" if now.high <= asked else "No" if now.low > asked else "Undecided"
    return f"{word}: a linear model needs {needed(found)} images, and you have {n}."


def needed(found: Answers) -> str:
    """How many images are needed, as far as it is known."""
    low, value, high = (
        about(n) if n < math.inf else ""
        for n in (found.plain.low, found.plain.value, found.plain.high)
    )
    if not high:
        return f"at least {low}"
    return f"between {low} and {high}" if found.law.few else f"about {value} ({low}–{high})"


def because(found: Answers) -> str:
    """What is meant by enough, what the divergence is at this N, and what was measured of it."""
    many = needed(found)
    number = f"{many[0].upper()}{many[1:]} images are needed" if found.law.infinite else "That is"
    goal = (
        f"{number} for samples within {found.asked.kl:g} nats a dimension of the best linear model "
        "(KL divergence without regularisation, mean over training sets)."
    )
    return _joined([goal, _predicted(found), _measured(found)])


def _predicted(found: Answers) -> str:
    """The law at this N, where it says more than that the divergence is infinite."""
    law, e = found.law, found.law.predicted
    if law.endless:
        return ""
    place = f"At {things(law.n, 'image')}" + (
        f" and in {count(law.d)} directions" if law.empty else ""
    )
    if math.isinf(e.high):
        return f"{place} it is unknown, at least {e.low:.2g}."
    if law.few:
        return f"{place} it is unknown within {e.low:.2g} and {e.high:.2g}."
    return (
        f"{place} it is {said(e, '.2g')}: {said(law.kurtosis, '.2g')} times that of Gaussian images, "
        "by their kurtosis."
    )


def _measured(found: Answers) -> str:
    law, e = found.law, found.law.measured.kl
    if math.isnan(e.value) or law.spanned < law.d:
        return ""
    if math.isinf(e.value):
        return f"Measured, it is {e.method}."
    counts = ", which is what counts here" if law.apart else ""
    return f"Measured on {things(e.n, 'training set')} it is {said(e, '.2g')}{counts}."


def _span(found: Answers, sample: Sample) -> str:
    law, own = found.law, f"Your {things(found.n, 'image')} span"
    if law.spanned == found.d:
        return f"{own} all {count(found.d)} directions{_varying(sample)}."
    checked = (
        f"of {things(sample.left, 'other image')}"
        if sample.left
        else f"of others, by cross-validation with {count(law.measured.count)} to train on"
    )
    return (
        f"{own} {count(law.spanned)} of {count(found.d)} directions{_varying(sample)}; outside lies "
        f"{percents(law.measured.unseen, bracket=True)} of the variance {checked}."
    )


def _varying(sample: Sample) -> str:
    if sample.d < sample.varying:
        return f" in which they vary (of {count(sample.pixels)} pixels)"
    return (
        ""
        if sample.varying == sample.pixels
        else f" ({count(sample.varying)} of {count(sample.pixels)} pixels vary)"
    )


def _infinite(found: Answers) -> str:
    """What makes the divergence infinite, and what a ridge does about it."""
    if not found.law.infinite:
        return ""
    remedy = "a ridge gives every direction a variance, and the divergence is finite."
    cause = found.law.infinite.removeprefix("infinite: ")
    if found.law.spanned < found.d:
        cause = "The model gives the others no variance at all"
    return f"{cause[0].upper()}{cause[1:]}; {remedy}"


def _advice(found: Answers) -> str:
    level, measured = found.level, found.law.measured
    least = f"{level.least:.4g}" + ("" if measured.others else " (estimated)")
    held = f"at ᾱ = {level.abar:g} the loss a dimension on held-out images"
    trained = f"{said(measured.loss, '.4g')} when trained to the end"
    if min(level.ridged, level.stopped) > _NOTICEABLE * level.trained:
        return (
            f"A ridge or an early stop lowers the loss by less than 1\u00a0%: {held} is {trained}, "
            f"the least possible is {least}."
        )
    ridge = (
        f"**A ridge c = {found.ridge:.2g}** (a standard deviation of {grey(found.ridge)})"
        if found.ridge > 0
        else "No ridge"
    )
    stop = (
        f"**an early stop at k = 2ητ = {level.k:.3g}**{steps(found)}"
        if math.isfinite(level.k)
        else "training to the end"
    )
    return (
        f"{ridge} or {stop} helps until then: {held} is {trained}, {level.ridged:.4g} with that ridge, "
        f"{level.stopped:.4g} when stopped then; the least possible is {least}."
    )


def steps(found: Answers) -> str:
    """How many steps of gradient descent the training time is, at a step size that is stable."""
    return f" ({about(found.steps)} steps of size {found.eta:g})"


def _limits(found: Answers) -> str:
    text = (
        "This is the law of linear models, to second order in 1/N; a nonlinear network may need more "
        "images, or fewer."
    )
    if found.trusted < found.d:
        text += (
            f" Beyond rank {count(found.trusted)} the spectrum was continued as a power law: what is "
            "said of ridges depends on that."
        )
    return text
