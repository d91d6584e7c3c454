"""What a sweep says of the linearity of denoisers."""

from __future__ import annotations

from collections.abc import Sequence

from denoscope.report import Finding
from denoscope.studies._geometry.gap.reading import difference, extreme, within
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.words import each, said, sizes

_WORDS = {
    "noisy": "noisy unseen images",
    "noise": "noise alone",
    "centred": "noisy unseen images, about the mean image",
}


def linear(every: Sequence[Group]) -> list[Finding]:
    """The linearity score of every model, and whether it is higher where the training set is
    larger, on each kind of input.
    """
    if (ends := sizes(every)) is not None:
        return [_higher(every, *ends, kind) for kind in _WORDS]
    return [_lowest(every, kind) for kind in _WORDS]


def _higher(every: Sequence[Group], few: Group, many: Group, kind: str) -> Finding:
    more = difference(*(within(g, _score(kind), "intermediate") for g in (many, few)))
    least = [extreme(g, _score(kind), sign=-1) for g in (few, many)]
    verdict = (
        "is more linear"
        if more.low > 0
        else "is less linear"
        if more.high < 0
        else "is not clearly more linear"
    )
    return Finding(
        f"On {_WORDS[kind]} the network trained on more images {verdict}: the score is at "
        f"least {least[1][1].value:.3f} ({many.label}) against {least[0][1].value:.3f} "
        f"({few.label}).",
        "neutral" if kind == "noise" else "good" if more.low > 0 else "absent",
        f"Difference of the mean score at intermediate noise, pair by pair: {said(more)}. "
        f"{_lows(every, kind)}",
    )


def _lowest(every: Sequence[Group], kind: str) -> Finding:
    level, least = extreme(every[-1], _score(kind), sign=-1)
    return Finding(
        f"On {_WORDS[kind]} the linearity score of the network ({every[-1].label}) is at "
        f"least {least.value:.3f}, at σ = {level:.2g}.",
        "neutral",
        _lows(every, kind),
    )


def _lows(every: Sequence[Group], kind: str) -> str:
    def low(group: Group) -> str:
        level, least = extreme(group, _score(kind), sign=-1)
        return f"{said(least)} at σ = {level:.2g}"

    def error(group: Group) -> str:
        return said(extreme(group, f"nonlinearity_{kind}_network")[1])

    return (
        f"Smallest score over σ: {each(every, low)}. Largest relative error: {each(every, error)}."
    )


def offset(every: Sequence[Group]) -> Finding:
    """What an affine map with an offset scores, and the memorizer."""
    many = every[-1]
    own, memorizer = (
        extreme(many, "linearity_noisy_gaussian", sign=-1),
        extreme(many, "linearity_noisy_memorizer", sign=-1),
    )
    error, about = (
        extreme(many, "nonlinearity_noisy_gaussian"),
        extreme(many, "linearity_centred_gaussian", sign=-1),
    )
    return Finding(
        "The score takes an offset for non-linearity: the Gaussian itself, which is "
        f"affine, scores down to {own[1].value:.3f} (relative error up to "
        f"{error[1].value:.3f}); about the mean image it scores {about[1].value:.3f}.",
        "neutral",
        f"At σ = {own[0]:.2g} and {error[0]:.2g}; {many.label}. The memorizer of the same "
        f"images scores down to {memorizer[1].value:.3f}, about the mean image to "
        f"{extreme(many, 'linearity_centred_memorizer', sign=-1)[1].value:.3f}.",
    )


def _score(kind: str) -> str:
    return f"linearity_{kind}_network"
