"""The verdict in plain words, and nothing in it that does not follow from a number and its
interval.

Copies are seen if the interval of the excess lies above 0 against both controls; else the bound
says below which share they stay, never that there are none. Controls that are unlike each other are
a state of their own: then it is the hold-out that must be mended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from denoscope.audit.findings import Audit
from denoscope.audit.report.caveats import caveats, control, share_of, shared, sight, thing
from denoscope.audit.report.likeness import unlikeness
from denoscope.audit.report.matches import flagged, named_groups, origins, repeating
from denoscope.estimate import Estimate
from denoscope.metrics.controlled_rates import Calibrated, Gate, beyond
from denoscope.metrics.grouped import Share
from denoscope.report.words import count, listed, percent, percents, probability, things, upper

State: TypeAlias = Literal["copies", "not seen", "undecided", "control unlike", "hold-out near"]

_CANNOT = "The audit cannot decide whether there are copies."


@dataclass(frozen=True)
class Headline:
    """The ``answer`` in one sentence and in one word, ``because`` of what, and the ``reach``: which
    share of copies an audit of this size finds, whatever it found.
    """

    state: State
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
    """What belongs to the headline: where flagged samples come from, what repeats, and whether
    samples are unlike real images.
    """
    found, sound = state(audit), not near_holdout(audit)
    parts = [_sources(audit), exact(audit)]
    if found != "control unlike":
        unlike = unlikeness(audit, thing(audit), copied=found == "copies")
        parts.append(unlike if sound else near_holdout(audit))
    return [part for part in parts if part and part != headline(audit).because]


def state(audit: Audit) -> State:
    """The answer in one word, from the intervals alone."""
    together = audit.combined
    if repeats(audit).low > 0:
        return "copies"
    if together is None or math.isnan(together.excess.value):
        return "undecided"
    if together.is_unlike:
        return "control unlike"
    if together.excess.low > 0:
        return "copies"
    if together.is_near:
        return "hold-out near"
    return "not seen" if together.copies_at_most < 1 else "undecided"


def headline(audit: Audit) -> Headline:
    """The answer in a sentence."""
    word, together = state(audit), audit.combined
    if word == "copies" and (together is None or not together.excess.low > 0 or together.is_unlike):
        return Headline(word, *_repeated(audit))
    if together is None:
        return Headline(word, _CANNOT, _blind(audit))
    return Headline(word, *_ANSWERS[word](audit, together, together.excess))


def _found(audit: Audit, together: Calibrated, excess: Estimate) -> tuple[str, str]:
    n, marked = together.best.gen.n, int(flagged(audit).sum())
    many = min(marked, max(1, round(excess.value * n)))
    answer = (
        f"{count(many)} of {count(n)} samples ({percents(excess)}) are copies of training "
        f"{thing(audit)} beyond what {_real(audit)}."
    )
    rates = f"{_rates(audit, together)}; {probability(together.p_value)}."
    return answer, f"{rates} {_most(together)}".strip()


def _real(audit: Audit) -> str:
    if audit.first.test is None:
        return f"training {thing(audit)} show among themselves"
    return f"{control(audit)} show"


def _rates(audit: Audit, together: Calibrated) -> str:
    """What passes the threshold, of each set."""
    shares = [f"{percent(together.p_gen)} of samples"]
    if audit.first.test is not None:
        shares.append(f"{percent(together.p_test)} of held-out {thing(audit)}")
    shares.append(f"{percent(together.own)} of training {thing(audit)} left out")
    return f"The threshold is passed by {listed(shares)}"


def _most(together: Calibrated) -> str:
    most = together.copies_at_most
    return f"At most {upper(most)} are copies as near as planted ones." if most < 1 else ""


def _below(audit: Audit, together: Calibrated) -> str:
    """Below which share copies stay."""
    if together.copies_at_most >= 1:
        return "no share of copies is excluded"
    bound = upper(together.copies_at_most) if together.copies_at_most else percent(0)
    return f"if there are any, they are below {bound} of the {count(together.best.gen.n)} samples"


def _not_seen(audit: Audit, together: Calibrated, excess: Estimate) -> tuple[str, str, str]:
    reach = together.detectable
    found = (
        f"A share of {percent(reach)} is found in 4 of 5 audits of this size."
        if math.isfinite(reach)
        else "At this size no share of copies is found for sure."
    )
    answer = f"Copies were not seen; {_below(audit, together)}."
    return answer, f"{_rates(audit, together)}.", found


def _undecided(audit: Audit, together: Calibrated, excess: Estimate) -> tuple[str, str]:
    if math.isnan(excess.value):
        why = f"{excess.method[:1].upper()}{excess.method[1:]}"
        return _CANNOT, f"{why}. Give more {thing(audit)} to calibrate on."
    n, worth = together.best.gen.n, together.best.gen.rows
    alike = f", worth {worth:.2g} different ones," if worth < n else ""
    verb = "excludes" if n == 1 else "exclude"
    return _CANNOT, (
        f"{_rates(audit, together)}. {things(n, 'sample')}{alike} {verb} no share of copies: take "
        "more."
    )


def _control_unlike(audit: Audit, together: Calibrated, excess: Estimate) -> tuple[str, str]:
    word, asked = thing(audit), together.at[0]
    answer = f"The held-out {word} are unlike the training {word}: no copies are claimed"
    own, test, gen = (
        percent(share.value) for share in (asked.controls["own"], asked.control, asked.gen)
    )
    because = (
        f"Of training {word}, each left out, {own} pass the threshold, of held-out {word} {test}, "
        f"of samples {gen}. Either the hold-out comes from another source, or training {word} come "
        "in groups, such as several shots of one scene. Hold out whole groups of the source of the "
        f"training {word} (`--test`)."
    )
    return f"{answer}; {_below(audit, together)}.", because


def _holdout_near(audit: Audit, together: Calibrated, excess: Estimate) -> tuple[str, str]:
    word = thing(audit)
    answer = (
        f"The held-out {word} lie too near to the training {word} to show copies; "
        f"{_below(audit, together)}."
    )
    return answer, near_holdout(audit)


def near_holdout(audit: Audit) -> str:
    """That held-out images nearly repeat training images, and what to do; empty if they do not."""
    together, word = audit.combined, thing(audit)
    if together is None or together.crossed is None or not together.is_near:
        return ""
    test, own = (percent(share.value) for share in together.crossed)
    return (
        f"{test} of held-out {word} pass a threshold that {own} of training {word}, each left out, "
        f"pass: training {word} stored anew, or near-duplicates of them, seem to be among them and "
        "hide copies. Leave these out of `--test`."
    )


_ANSWERS = {
    "copies": _found,
    "not seen": _not_seen,
    "undecided": _undecided,
    "control unlike": _control_unlike,
    "hold-out near": _holdout_near,
}


def _advice(audit: Audit) -> str:
    if audit.inputs["train"].images is None:
        return "try features of another descriptor, or more of each set."
    return (
        "try another descriptor (`--descriptor sscd --sscd FILE`, `--descriptor module:function`), "
        "or more of each set."
    )


def _blind(audit: Audit) -> str:
    """No descriptor decides: how good each is, and what to do."""
    seen = listed([sight(one) for one in audit.evidence])
    return f"No descriptor tells planted copies from {control(audit)}: {seen}; {_advice(audit)}"


def _repeats(audit: Audit) -> tuple[Share, Share]:
    """The share of samples that repeat real content, and that of held-out images; that of training
    images where these are unlike them or not there.
    """
    together = audit.combined
    sound = audit.first.test is not None and together is not None and not together.is_unlike
    gen, real = (
        Share.of(repeating(audit, role).double(), audit.first.groups[role])
        for role in ("gen", "test" if sound else "own")
    )
    return gen, real


def repeats(audit: Audit) -> Estimate:
    """How much more often samples repeat real content than real images do."""
    return beyond(*_repeats(audit), 0.98)


def _repeated(audit: Audit) -> tuple[str, str]:
    gen, real = _repeats(audit)
    many, word = round(gen.counts[0]), thing(audit)
    verb = "repeats a training" if many == 1 else "repeat training"
    answer = (
        f"{things(many, 'sample')} of {count(gen.n)} {verb} {word[:-1] if many == 1 else word}."
    )
    others = f"Of real {word} {percent(real.value)} do."
    together = audit.combined
    if together is None:
        return answer, f"{others} {_CANNOT[:-1].replace('there are', 'there are other')}."
    return answer, f"{others} Of the other samples: {_below(audit, together)}."


def exact(audit: Audit) -> str:
    """What is set aside or repeats bit by bit, whatever the descriptors see; empty if nothing."""
    lines, word = [], thing(audit)
    aside = audit.first.aside
    if aside["gen"].any():
        held = f", as are {share_of(aside['test'], f'held-out {word}')}" if "test" in aside else ""
        lines.append(
            f"{share_of(aside['gen'], 'samples')} are nearest to {word} that repeat in the real "
            f"sets and are set aside{held}."
        )
    many, n = shared(audit, "gen")
    own, of = shared(audit, "test")
    if many:
        against = f"; of {count(of)} held-out {word} {count(own)}" if of else ""
        verb = "repeats" if many == 1 else "repeat"
        lines.append(
            f"{things(many, 'sample')} of {count(n)} {verb} a training {word[:-1]} "
            f"exactly{against}."
        )
    repeated = shared(audit, "test", "gen")[0]
    if repeated:
        lines.append(
            f"{things(repeated, 'sample')} equal{'s' if repeated == 1 else ''} a held-out "
            f"{word[:-1]} exactly: are these samples of a model?"
        )
    return " ".join(lines)


def _sources(audit: Audit) -> str:
    """How many samples are flagged, how many of them come from training images that are there more
    than once, and which are groups.
    """
    rows = flagged(audit)
    if audit.combined and audit.combined.is_unlike:
        return ""
    many, lines, word = int(rows.sum()), [], f"training {thing(audit)[:-1]}"
    clusters = audit.duplicates.cluster[origins(audit)[rows]]
    copied = clusters[clusters >= 0]
    if many:
        text = f"{things(many, 'sample')} {'is' if many == 1 else 'are'} flagged"
        if len(copied):
            text += (
                f", {count(len(copied))} from {things(len(copied.unique()), f'duplicated {word}')}"
            )
        lines.append(f"{text}.")
    groups = named_groups(audit)
    if groups:
        size, image = groups[0]
        rest = f" ({things(len(groups) - 1, 'more such group')})" if len(groups) > 1 else ""
        real = "held-out" if audit.first.test is not None else "other training"
        lines.append(
            f"{count(size)} near-identical samples lie nearer to {image} than any {real} "
            f"{thing(audit)[:-1]} to any{rest}: look at these first."
        )
    return " ".join(lines)


def gate(audit: Audit, limit: float) -> Gate:
    """What ``--fail-above`` says: failed, passed or undecided."""
    together, least = audit.combined, repeats(audit).low
    if least > limit:
        return "failed"
    if together is None or math.isnan(together.excess.value):
        return "undecided"
    found = together.gate(limit)
    outside = float(audit.first.aside["gen"].double().mean()) if least > 0 else 0.0
    hidden = together.copies_at_most + outside > limit  # what is set aside is not in the bound
    return "undecided" if found == "passed" and hidden else found
