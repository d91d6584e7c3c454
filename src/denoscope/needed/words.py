"""The verdict in plain words, and nothing in it that does not follow from a number."""

from __future__ import annotations

import math

from denoscope.needed.answer import DIRECTIONS, GREY, Answers
from denoscope.needed.sample import Sample
from denoscope.report.words import count as count

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
    """A few paragraphs: yes or no, what the images span, what the naive answer is, what to do until
    there are enough, what is not said.
    """
    first = f"**{answer(found)}** {because(found)}"
    return [first, _span(found, sample), _naive(found), _advice(found), _limits(found)]


def answer(found: Answers) -> str:
    """Yes or no, with both numbers."""
    word, needed = "Yes" if found.enough else "No", about(found.sizes.plain[DIRECTIONS[0]])
    return f"{word}: a linear model needs about {needed} images, and you have {count(found.n)}."


def because(found: Answers) -> str:
    """What is meant by enough, and how many with a ridge or by the gap of the losses."""
    asked = found.asked
    return (
        f"That is for samples at a KL divergence of {asked.kl:g} nats a dimension from the true law "
        "without regularisation, whatever the spectrum. With the best ridge it is about "
        f"{about(found.sizes.ridge[DIRECTIONS[0]])}; for a test loss that exceeds the training loss "
        f"by at most {share(asked.gap)} of the least possible loss at ᾱ = {asked.abar:g} about "
        f"{about(found.level.needed)}. These two are estimates."
    )


def _span(found: Answers, sample: Sample) -> str:
    if found.spanned == found.d:
        return (
            f"Your {count(found.n)} images span all {count(found.d)} directions{_varying(sample)}."
        )
    return (
        f"Your {count(found.n)} images span {count(found.spanned)} of {count(found.d)} "
        f"directions{_varying(sample)}; "
        f"{share(found.unseen.predicted)} of the variance of new images lies outside "
        f"({_measured(found, sample)})."
    )


def _varying(sample: Sample) -> str:
    if sample.d < sample.varying:
        return f" in which they vary (of {count(sample.pixels)} pixels)"
    return (
        ""
        if sample.varying == sample.pixels
        else f" ({count(sample.varying)} of {count(sample.pixels)} pixels vary)"
    )


def _measured(found: Answers, sample: Sample) -> str:
    unseen = found.unseen
    if sample.others is not None and unseen.others is not None:
        return (
            f"expected; {share(unseen.others)} measured on the "
            f"{count(sample.others.count)} other images"
        )
    return (
        f"expected; by cross-validation {count(unseen.count)} of them leave out "
        f"{share(unseen.crossed.value)} of the rest"
    )


def _naive(found: Answers) -> str:
    kl = next(row["kl"] for row in found.table if row["n"] == found.n)
    far = "infinitely far" if kl is None else f"{kl:.2g} nats a dimension"
    turn = "The samples are then good too" if found.enough else "The samples are not good then"
    return (
        f"By the naive answer, the participation ratio, a few times {found.ratio:.3g} "
        "images would do: the squared error of your covariance matrix is about "
        f"{naive_error(found)} of its squared norm. {turn}: the law of an unregularised "
        f"linear model of {count(found.n)} images is expected to be {far} from the "
        "true one (KL divergence)."
    )


def naive_error(found: Answers) -> str:
    """The expected squared error of the training covariance as a share of the squared norm of the
    true one, d_eff/N.
    """
    return share(min(1.0, found.ratio / found.n))


def _advice(found: Answers) -> str:
    level, images = (
        found.level,
        "held-out images"
        + (
            ""
            if found.unseen.others is not None
            else f" (cross-validated, {count(found.unseen.count)} to train on)"
        ),
    )
    if min(level.ridged, level.stopped) > _NOTICEABLE * level.trained:
        return (
            "A ridge or an early stop would gain nothing worth the name: at ᾱ = "
            f"{level.abar:g} the loss a dimension on {images} is {level.trained:.4g} "
            f"when trained to the end, the least possible {_least(found)}."
        )
    begin = "You have that many; still" if found.enough else "Until then"
    ridge = (
        f"**a ridge c = {found.ridge:.2g}** (a standard deviation of {grey(found.ridge)})"
        if found.ridge > 0
        else "no ridge"
    )
    stop = (
        f"**an early stop at k = 2ητ = {level.k:.3g}**{steps(found)}"
        if math.isfinite(level.k)
        else "training to the end"
    )
    return (
        f"{begin}, {ridge} or {stop}: at ᾱ = {level.abar:g} the loss a dimension on "
        f"{images} is {level.trained:.4g} when trained to the "
        f"end, {level.ridged:.4g} with that ridge, {level.stopped:.4g} when stopped then; "
        f"the least possible is {_least(found)}."
    )


def _least(found: Answers) -> str:
    """The Bayes loss: of all images where there are others, else of the estimated spectrum."""
    return f"{found.level.least:.4g}" + ("" if found.unseen.others is not None else " (estimated)")


def steps(found: Answers) -> str:
    """How many steps of gradient descent the training time is, at a step size that is stable."""
    return f" ({about(found.steps)} steps of size {found.eta:g})"


def _limits(found: Answers) -> str:
    text = (
        "Without regularisation this is exact for linear models of Gaussian data. A "
        "nonlinear network may need more images, or fewer."
    )
    if found.trusted < found.d:
        text += (
            f" {count(found.n)} images do not show the whole spectrum: beyond rank "
            f"{count(found.trusted)} it was continued as a power law, and the estimates "
            "above depend on that."
        )
    return text
