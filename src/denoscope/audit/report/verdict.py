"""The verdict in plain words, and nothing in it that does not follow from a number and its
interval.

Copies are seen if the interval of the excess lies above 0. If it covers 0 its upper end says below
which share copies stay: never that there are none. If no descriptor can tell planted copies from
real images, nothing can be said, except that exact copies are copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from denoscope.audit.findings import DECIDES, Audit, Combined
from denoscope.audit.report.caveats import area, caveats, control, shared, thing
from denoscope.audit.report.matches import flagged, origins
from denoscope.estimate import Estimate, unavailable
from denoscope.metrics.calibrate import fisher
from denoscope.report.words import count, listed, percent, percents, probability, things, upper

Status: TypeAlias = Literal["copies", "not seen", "undecided"]

_CANNOT = "The audit cannot decide whether there are copies."
CHANCE = 0.05
"""The p-value at most which exact copies are more than held-out images have."""


@dataclass(frozen=True)
class Headline:
    """The ``answer`` in one sentence and in one word, ``because`` of what, and the ``reach``: which
    share of copies an audit of this size finds, whatever it found.
    """

    status: Status
    answer: str
    because: str
    reach: str = ""

    @property
    def text(self) -> str:
        """All of it in one paragraph, the answer marked."""
        return " ".join(part for part in (f"**{self.answer}**", self.because, self.reach) if part)


def verdict(audit: Audit) -> list[str]:
    """A few paragraphs, the headline first: what was found, where it comes from, how sure that is,
    what it does not show.
    """
    return [headline(audit).text, *details(audit), *caveats(audit)]


def details(audit: Audit) -> list[str]:
    """What belongs to the headline: where flagged samples come from, and exact copies."""
    return [part for part in (_sources(audit), exact(audit)) if part]


def headline(audit: Audit) -> Headline:
    """The answer, from the intervals alone."""
    together = audit.combined
    excess = together.rates.excess if together else unavailable("")
    if together and excess.low > 0:
        return _found(audit, together)
    if _exact_copies(audit):
        return _found_exact(audit, excess)
    if together is None:
        return Headline("undecided", _CANNOT, _blind(audit))
    if math.isnan(excess.value):
        return Headline("undecided", _CANNOT, _saturated(audit, excess.method))
    return _not_seen(audit, excess, _reach(together, seen=False))


def _found(audit: Audit, together: Combined) -> Headline:
    n, excess = len(audit.first.gen), together.rates.excess
    beyond = (
        f"{control(audit)} show"
        if audit.first.test is not None
        else f"training {thing(audit)} show among themselves"
    )
    answer = (
        f"{count(max(1, round(excess.value * n)))} of {count(n)} samples "
        f"({percents(excess)}) are copies of training {thing(audit)} beyond what {beyond}."
    )
    test = f"Fisher's exact test: {probability(together.rates.p_value)}."
    return Headline("copies", answer, test, _reach(together, seen=True))


def _reach(together: Combined, *, seen: bool) -> str:
    """Which share of copies this audit could find."""
    if not math.isfinite(together.detectable):
        return (
            "At this size no share of copies is found for sure: take more samples and "
            "more held-out images."
        )
    if seen:
        return f"Copies below {percent(together.detectable)} could not be seen at this size."
    return f"At this size a share of {percent(together.detectable)} is found in 4 of 5 audits."


def _not_seen(audit: Audit, excess: Estimate, reach: str) -> Headline:
    n, word, real = count(len(audit.first.gen)), thing(audit), control(audit)
    if excess.high <= 0:
        return Headline(
            "not seen",
            f"Fewer of the {n} samples than of {real} come near training {word}.",
            f"The excess is {percents(excess, bracket=True)}: nothing looks copied, but samples "
            f"that lie farther from the training set than real {word} are unlike these, for "
            "instance noisy or blurred.",
            reach,
        )
    return Headline(
        "not seen",
        f"Copies were not seen; if there are any, they are below {upper(excess.high)} of the "
        f"{n} samples.",
        f"These come near training {word} about as often as {real} do: the excess is "
        f"{percents(excess, bracket=True)}.",
        reach,
    )


def _blind(audit: Audit) -> str:
    """No descriptor decides: how good each is, and what to do."""
    seen = listed([f"{found.name} ({area(found)})" for found in audit.evidence])
    images = audit.inputs["train"].images is not None
    advice = (
        "Try another descriptor (`--descriptor sscd --sscd FILE`, `--descriptor module:function`)"
        if images
        else "Try features of another descriptor"
    )
    more = (
        "or more held-out ones"
        if audit.first.test is not None
        else f"or give real {thing(audit)} from outside the training set (`--test`)"
    )
    return (
        f"No descriptor tells planted copies from {control(audit)} well enough: "
        f"{seen}, where an area of {DECIDES:g} under the ROC curve is asked. {advice}, "
        f"{more}."
    )


def _saturated(audit: Audit, reason: str) -> str:
    """So many real images pass the threshold that nothing can exceed them."""
    return (
        f"{reason[:1].upper()}{reason[1:]}. Give more {thing(audit)} to calibrate on, "
        "or a lower `--false-alarm`."
    )


def _exact_copies(audit: Audit) -> bool:
    """Whether samples repeat training images exactly more often than held-out images do, or than
    training images repeat one another.
    """
    many, n = shared(audit, "gen")
    others, of = (
        shared(audit, "test")
        if audit.first.test is not None
        else (audit.duplicates.exact, len(audit.inputs["train"]))
    )
    if not many or not others:
        return many > 0
    return float(fisher(many, n, others, of)) <= CHANCE


def _found_exact(audit: Audit, excess: Estimate) -> Headline:
    many, n = shared(audit, "gen")
    are = "is an exact copy" if many == 1 else "are exact copies"
    others = (
        "Whether others are copies too cannot be decided: no descriptor tells planted "
        "copies from real ones well enough."
        if audit.combined is None
        else f"Whether others are copies too cannot be decided: {excess.method}."
        if math.isnan(excess.value)
        else "All that the descriptors find together does not exceed what "
        f"{control(audit)} show: the excess is {percents(excess, bracket=True)}."
    )
    answer = f"{things(many, 'sample')} of {count(n)} {are} of training {thing(audit)}."
    return Headline("copies", answer, others)


def exact(audit: Audit) -> str:
    """What is said of samples that repeat a training image bit by bit, whatever the descriptors
    see; empty if there are none.
    """
    many, n = shared(audit, "gen")
    own, of = shared(audit, "test")
    lines = []
    if many:
        against = f"; of the {count(of)} held-out {thing(audit)} {count(own)}" if of else ""
        lines.append(
            f"{things(many, 'sample')} of {count(n)} repeat{'s' if many == 1 else ''} a "
            f"training {thing(audit)[:-1]} exactly{against}."
            + (
                ""
                if _exact_copies(audit)
                else f" That is not more than among {control(audit)}, so these are not "
                "counted as copies for that alone."
            )
        )
    repeated = shared(audit, "test", "gen")[0]
    if repeated:
        lines.append(
            f"{things(repeated, 'sample')} equal{'s' if repeated == 1 else ''} a held-out "
            f"{thing(audit)[:-1]} exactly: are these samples of a model?"
        )
    return " ".join(lines)


def _sources(audit: Audit) -> str:
    """How many samples are flagged, and how many of them come from training images that are there
    more than once.
    """
    rows = flagged(audit)
    many = int(rows.sum())
    if not audit.combined:
        return ""
    expected = max(1, round(audit.combined.rates.false_alarm * len(rows)))
    text = (
        f"{things(many, 'sample')} of {count(len(rows))} "
        f"{'is' if many == 1 else 'are'} flagged; of as many real {thing(audit)} about "
        f"{count(expected)} would be"
    )
    clusters = audit.duplicates.cluster[origins(audit)[rows]]
    copied = clusters[clusters >= 0]
    if not audit.duplicates.images or not many:
        return f"{text}."
    if not len(copied):
        return f"{text}. None of them comes from a duplicated training {thing(audit)[:-1]}."
    verb = "comes" if len(copied) == 1 else "come"
    return (
        f"{text}. {count(len(copied))} of the {count(many)} {verb} from "
        f"{things(len(copied.unique()), f'duplicated training {thing(audit)[:-1]}')}."
    )
