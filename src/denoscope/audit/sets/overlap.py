"""What two of the sets share: images that are the same in both, and, counted, images of one that
nearly repeat some of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.audit.sets.inputs import InputSet
from denoscope.nearest import neighbors
from denoscope.report.words import percent

PAIRS = (("test", "train"), ("gen", "train"), ("test", "gen"), ("twin", "train"), ("twin", "gen"))
"""Which sets are compared: rows of the first with rows of the second."""
_LARGEST = 0.5  # share of held-out images that may be training images


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

    @property
    def suspicious(self) -> list[str]:
        """What is said of sets that are wholly in another one."""
        whole = [one for one in self.shared.values() if one.exact.all()]
        return [line for one in whole for line in _exactly(one)]


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
    ValueError; any training image in it is a warning.
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
    return Overlap(shared, tuple(line for pair in shared.values() for line in _exactly(pair)))


def _exactly(pair: SharedRows) -> list[str]:
    """What must be said about images that are in both sets."""
    count, n = int(pair.exact.sum()), len(pair.exact)
    if pair.first == "test" and count:
        shown = _of(count, n, "test images")
        if pair.second == "train":
            return [
                f"{shown} are also training images: the model has seen them, so they are set "
                "aside with every row that is nearest to them"
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


def _of(count: int, n: int, things: str) -> str:
    """Count, whole and share: 412 of 1 000 test images (41 %)."""
    shown = [f"{x:,}".replace(",", "\u00a0") for x in (count, n)]
    return f"{shown[0]} of {shown[1]} {things} ({percent(count / n)})"
