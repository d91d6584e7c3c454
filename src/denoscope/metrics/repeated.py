"""Content that repeats is set aside in all sets alike.

A blank page among the training images, the held-out images and the samples is no copy, and as the
nearest of everything it would hide those that are. So an image that occurs twice in the training
set, or in both real sets, is set aside with every row that is nearest to it, samples included; a
sample never is for being near a training image.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from denoscope.metrics.copy_scores import CopyScores
from denoscope.metrics.near_duplicates import SelfNeighbors

_CLOSE = 1 / 3
_LEAST = 4  # real images that must be left, else nothing is set aside
_RULE = 0.5  # of the training images: where more repeat, that is the rule and nothing is set aside


def set_aside(
    scores: Mapping[str, CopyScores], training: SelfNeighbors, spacing: float
) -> dict[str, Tensor]:
    """Which rows of each set are nearest to repeated content, bool; the training images themselves,
    each left out, are "own".

    Within the training set repeats are what leaving one out skips. So, too, a held-out image
    repeats a training image that is nearer than the ``spacing`` and than a third of the next, for
    all rows but itself: else the nearest of real images would go, and the nearest samples stay. One
    that is equal to it goes too.
    """
    own, test = scores["own"], scores.get("test")
    twice = own.nearest > training.nearest
    twice &= twice.double().mean() <= _RULE
    met, aside = twice, {}
    if test is not None:
        near, equal = (test.nearest < spacing) & (test.ratio < _CLOSE), test.nearest == 0
        hits = test.index[near | equal].bincount(minlength=len(twice))
        same = torch.zeros_like(twice).index_put((test.index[equal],), torch.tensor(True))
        others = hits[test.index] > (near | equal).long()
        met = twice | (hits > 0)
        aside["test"] = (twice | same)[test.index] | others
    rest = {role: met[one.index] for role, one in scores.items() if role != "test"}
    found = {**rest, **aside, "own": rest["own"] | met}
    left = {role: int((~rows).sum()) for role, rows in found.items()}
    enough = left["gen"] >= 1 and min(left["own"], left.get("test", _LEAST)) >= _LEAST
    return found if enough else {role: torch.zeros_like(rows) for role, rows in found.items()}
