"""The verdict in plain words, and nothing in it that does not follow from a number."""

from __future__ import annotations

import math

from denoscope.estimate import Estimate
from denoscope.needed.answer import GREY, Answers
from denoscope.needed.sample import Sample
from denoscope.report.claims import said
from denoscope.report.words import count as count
from denoscope.report.words import percents, things

_NOTICEABLE = 0.99  # a loss below this part of another is worth a remedy


def about(n: float) -> str:
    """A number of things to three digits, thousands apart."""
    return count(n if n < 1000 else round(n, 2 - math.floor(math.log10(n))))


def grey(variance: float) -> str:
    """A variance as a standard deviation in grey levels of 0 to 255."""
    return f"{GREY * math.sqrt(variance):.2g} of 255 grey levels"


def needed(size: Estimate, few: bool) -> str:
    """How many images are needed, as far as it is known; of ``few`` only within what."""
    if math.isinf(size.high):
        return f"at least {about(size.low)}"
    low, value, high = map(about, (size.low, size.value, size.high))
    return f"between {low} and {high}" if few else f"about {value} ({low}–{high})"


def verdict(found: Answers, sample: Sample) -> list[str]:
    """A few paragraphs: yes or no and what the images span, by which law, what to do until there
    are enough, what is not said.
    """
    first = f"**{answer(found)}** {spans(found, sample)}"
    return [first, because(found), _advice(found), _limits(found)]


def answer(found: Answers) -> str:
    """Yes or no, by the whole interval, with both numbers."""
    law, n, asked = found.law, count(found.n), found.asked.kl
    if law.infinite:
        return f"No: the divergence of a linear model of {n} images is infinite."
    word = (
        "Yes" if law.decisive.high <= asked else "No" if law.decisive.low > asked else "Undecided"
    )
    have = n if law.n == found.n else f"{count(law.n)} different ones"
    return (
        f"{word}: a linear model needs {needed(found.plain, law.few)} images, and you have {have}."
    )


def spans(found: Answers, sample: Sample) -> str:
    """What the images span, what makes the divergence infinite, and what a ridge does about it."""
    law = found.law
    whole, d = law.spanned == found.d, things(found.d, "direction")
    of = f"all {d}" if whole else f"{count(law.spanned)} of {d}"
    text = f"Your {things(found.n, 'image')} span {of}"
    if sample.d < sample.varying:
        text += f" in which they vary (of {count(sample.pixels)} pixels)"
    elif sample.varying < sample.pixels:
        text += f" ({count(sample.varying)} of {count(sample.pixels)} pixels vary)"
    if not whole:
        checked = (
            f"{things(law.measured.left, 'other image')}"
            if law.measured.left
            else "others (cross-validated)"
        )
        unseen = percents(law.measured.unseen, bracket=True)
        text += f"; {unseen} of the variance of {checked} is outside"
    if not law.infinite:
        return f"{text}."
    cause = (
        law.infinite.removeprefix("infinite: ") if whole else "the model gives the rest no variance"
    )
    return f"{text}. {cause[0].upper()}{cause[1:]}; with a ridge the divergence is finite."


def because(found: Answers) -> str:
    """What is meant by enough, what the divergence is at this N, and what was measured of it."""
    law, e, seen = found.law, found.law.predicted, found.law.measured.kl
    goal = (
        f"Enough is within {found.asked.kl:g} nats per dimension of the best linear model (KL "
        "divergence without regularisation, mean over training sets)"
    )
    parts = [f"{goal}: {needed(found.plain, law.few)} images." if law.infinite else f"{goal}."]
    place = f"At {things(law.n, 'image')}" + (
        f" and in {count(law.d)} directions" if law.empty else ""
    )
    unknown = (
        f", at least {e.low:.2g}" if math.isinf(e.high) else f" within {e.low:.2g} and {e.high:.2g}"
    )
    factor = f"{said(law.kurtosis, '.2g')} times that of Gaussian images, by their kurtosis"
    if not law.endless:
        known = f"unknown{unknown}" if law.few else f"{said(e, '.3g')}, {factor}"
        parts.append(f"{place} it is {known}.")
    if math.isfinite(seen.value):
        counts = ": this is what counts" if law.apart else ""
        parts.append(
            f"Measured on {things(seen.n, 'training set')} it is {said(seen, '.3g')}{counts}."
        )
    return " ".join(parts)


def _advice(found: Answers) -> str:
    level, measured = found.level, found.law.measured
    least = f"the least possible is {level.least:.4g}" + ("" if measured.enough else " (estimated)")
    held = f"at ᾱ = {level.abar:g} the loss per dimension on held-out images is "
    held += f"{said(measured.loss, '.4g')} when trained to the end"
    ridge = f"A ridge c = {found.ridge:.2g} (a standard deviation of {grey(found.ridge)})"
    ridge = ridge if found.ridge > 0 else "No ridge"
    stop = f"an early stop at k = 2ητ = {level.k:.3g}"
    stop = stop if math.isfinite(level.k) else "training to the end"
    if min(level.ridged, level.stopped) > _NOTICEABLE * level.trained:
        return f"{ridge} or {stop} lowers the loss by less than 1\u00a0%: {held}; {least}."
    return (
        f"**{ridge}** or **{stop}** helps until then: {held}, {level.ridged:.4g} with that ridge, "
        f"{level.stopped:.4g} when stopped then; {least}."
    )


def _limits(found: Answers) -> str:
    text = (
        "This is the law of linear models, to second order in 1/N; a nonlinear network may need "
        "more images, or fewer."
    )
    rank = (
        f" Beyond rank {count(found.trusted)} the spectrum was continued as a power law: what is "
    )
    return text + (f"{rank}said of ridges depends on that." if found.trusted < found.d else "")
