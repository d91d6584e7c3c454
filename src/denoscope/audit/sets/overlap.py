"""What two of the sets share: images that are the same in both, and, counted, images of one that
nearly repeat some of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.audit.sets.inputs import InputSet
from denoscope.metrics.calibrate import fisher
from denoscope.nearest import neighbors
from denoscope.report.words import percent

PAIRS = (("test", "train"), ("gen", "train"), ("test", "gen"), ("twin", "train"), ("twin", "gen"))
"""Which sets are compared: rows of the first with rows of the second."""
_LARGEST = 0.5  # share of held-out images that may be training images
_PROBED, _QUANTILE = (
    1000,
    0.05,
)  # training images whose own nearest distances say what is near, and which part of these
_SIGNIFICANT, _NOTABLE = (
    1e-3,
    2.0,
)  # a p-value, and how many times the expected share is worth a word


@dataclass(frozen=True, eq=False)
class SharedRows:
    """Rows of ``first`` that are also in ``second``: ``exact`` bool (n_first,), ``near`` how many
    others lie nearer than ``threshold`` to a row of it.
    """

    first: str
    second: str
    exact: Tensor
    near: int
    threshold: float


@dataclass(frozen=True, eq=False)
class Overlap:
    """What the sets share, by pair of roles such as ("test", "train"), and what a report must say
    about it.
    """

    shared: Mapping[tuple[str, str], SharedRows]
    warnings: tuple[str, ...]


def exact_rows(first: InputSet, second: InputSet) -> Tensor:
    """Bool (n_first,): the rows whose content is also in ``second``, images at 8 bits, features by
    their numbers (0.0 equals -0.0).

    A test set of which more than half are training images is no control: a ValueError.
    """
    known = set(second.contents)
    same = torch.tensor([content in known for content in first.contents])
    if (first.role, second.role) == ("test", "train") and same.double().mean() > _LARGEST:
        raise ValueError(
            "--test is mostly the training set: "
            f"{_of(int(same.sum()), len(same), 'test images')} are also in --train; "
            "give images that the model never saw, or leave --test out"
        )
    return same


def overlap(
    inputs: Mapping[str, InputSet],
    features: Mapping[str, Tensor],
    spacing: float,
    *,
    nearest: Mapping[tuple[str, str], Tensor] | None = None,
) -> Overlap:
    """Compares every pair of :data:`PAIRS` that is given; ``features`` (n, k) of each role are
    those in which ``spacing`` is a distance.

    ``nearest`` are distances (n_first,) to the nearest row of the second set, for pairs where they
    are known already; the rest is computed. A test set that is mostly training images is a
    ValueError; any training image in it is a warning, and so is a test set that lies nearer to the
    training set than training images lie to each other.
    """
    known = dict(nearest or {})
    shared: dict[tuple[str, str], SharedRows] = {}
    for first, second in PAIRS:
        if first in inputs and second in inputs:
            exact = exact_rows(inputs[first], inputs[second])
            if (first, second) not in known:
                known[first, second] = neighbors(features[first], features[second]).distance[:, 0]
            near = int(((known[first, second] < spacing) & ~exact).sum())
            shared[first, second] = SharedRows(first, second, exact, near, spacing)
    warnings = [line for pair in shared.values() for line in _exactly(pair)]
    if ("test", "train") in shared:
        warnings += _nearly(
            known["test", "train"][~shared["test", "train"].exact], features["train"]
        )
    return Overlap(shared, tuple(warnings))


def _exactly(pair: SharedRows) -> list[str]:
    """What must be said about images that are in both sets."""
    count, n = int(pair.exact.sum()), len(pair.exact)
    if pair.first == "test" and count:
        shown = _of(count, n, "test images")
        if pair.second == "train":
            return [
                f"{shown} are also training images: the model has seen them, so they are "
                "left out of every control"
            ]
        return [
            f"{shown} are also among the generated ones: the model has seen them, or "
            "folders were mixed up"
        ]
    if count < n:
        return []  # copies: what the audit is about
    if pair.second == "gen":
        return [
            "every image of --twin is also in --gen: a twin is a second model, trained "
            "on the same data from another start"
        ]
    return [
        f"every image of --{pair.first} is exactly a training image: make sure that it is "
        "no folder of training images"
    ]


def _nearly(distance: Tensor, train: Tensor) -> list[str]:
    """A warning if test images lie nearer to training images than these lie to each other, as
    training images do that were stored anew.

    ``distance`` are those of the test images that are no exact copies.
    """
    rows = torch.linspace(0, len(train) - 1, min(_PROBED, len(train))).long().unique()
    own = neighbors(
        train[rows], train, min(len(train), 3)
    ).distance  # the nearest is the row itself
    own = own.where(own > 0, torch.inf).min(1).values.double()
    own = own[own < torch.inf]
    if len(own) * _QUANTILE < 1 or not len(distance):
        return []
    bound = own.quantile(_QUANTILE)
    inside, usual = int((distance.double() < bound).sum()), int((own < bound).sum())
    expected = len(distance) * usual / len(own)
    p = float(fisher(inside, len(distance), usual, len(own)))
    if inside <= _NOTABLE * expected or p > _SIGNIFICANT:
        return []
    return [
        f"{_of(inside, len(distance), 'test images')} lie as near to a training image as "
        f"only {100 * usual / len(own):.0f}\u00a0% of training images lie "
        f"to another one (expected are about {round(expected)}): some may be training "
        "images that were stored anew, and such images hide copies"
    ]


def _of(count: int, n: int, things: str) -> str:
    """Count, whole and share: 412 of 1 000 test images (41 %)."""
    shown = [f"{x:,}".replace(",", "\u00a0") for x in (count, n)]
    return f"{shown[0]} of {shown[1]} {things} ({percent(count / n)})"
