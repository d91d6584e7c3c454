"""How much of what was generated is copied from the training set.

A copy is a row whose similarity is *above* the threshold, strictly. The published thresholds and
ratios mean something only in their own feature space and beside a hold-out: `excess` is the one
that carries its own control.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.metrics.calibrate import copy_rates
from denoscope.metrics.protocol import metric
from denoscope.metrics.shares import authentic_share, memorized_share, novel_share, quotient
from denoscope.metrics.similarity import nearest_similarity
from denoscope.nearest import neighbors, same_space


@metric("zhang2024", "clopper1934")
def generalization(
    gen: Tensor | np.ndarray, train: Tensor | np.ndarray, *, threshold: float = 0.6
) -> Estimate:
    """GL = 1 - P(max_i cos(gen, train_i) > threshold): 0 is pure memorization, 1 is all novel
    (Zhang et al. 2024, GL score).
    """
    return novel_share(nearest_similarity(gen, train), threshold)


@metric("yoon2023", "clopper1934")
def memorized(
    gen: Tensor | np.ndarray,
    train: Tensor | np.ndarray,
    *,
    ratio: float = 1 / 3,
    groups: Tensor | np.ndarray | None = None,
) -> Estimate:
    """The share of rows whose nearest training row is less than ``ratio`` times as far as the
    second nearest (Yoon et al. 2023).

    Distances are Euclidean, not squared. With ``groups`` (n_train,), the duplicate cluster of each
    training row, the second is the nearest row of another cluster: without it a set of
    near-duplicates hides every copy. A row with both distances 0 is a copy.
    """
    a, b = same_space(gen, train, ("gen", "train"))
    labels = (
        torch.arange(len(b), device=b.device)
        if groups is None
        else torch.as_tensor(groups, device=b.device)
    )
    if labels.shape != (len(b),):
        raise ValueError(
            f"groups needs one label for each of the {len(b)} training rows, got shape "
            f"{tuple(labels.shape)}"
        )
    if len(labels.unique()) < 2:
        raise ValueError(
            "memorized compares two training rows of different groups: train has fewer than two"
        )
    nearest, second = _two_nearest(a, b, labels)
    return memorized_share(quotient(nearest, second), ratio)


def _two_nearest(gen: Tensor, train: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The distance to the nearest row, and to the nearest row with another label than it, each
    (n,).
    """
    nearest = gen.new_empty(len(gen))
    second = gen.new_empty(len(gen))
    left = torch.arange(len(gen), device=gen.device)
    k = min(2, len(train))
    while len(left):
        found = neighbors(gen[left], train, k)
        other = labels[found.index] != labels[found.index[:, :1]]
        solved = other.any(1)
        nearest[left] = found.distance[:, 0]
        second[left[solved]] = found.distance.gather(1, other.int().argmax(1, keepdim=True))[
            solved, 0
        ]
        left, k = left[~solved], min(4 * k, len(train))
    return nearest, second


@metric("alaa2022", "clopper1934")
def authenticity(gen: Tensor | np.ndarray, train: Tensor | np.ndarray) -> Estimate:
    """The share of rows that are farther from their nearest training row x* than x* is from its
    nearest *other* training row (Alaa et al. 2022).

    1 is all authentic. A perfect generalizer does not score 1: compare with held-out rows.
    """
    a, b = same_space(gen, train, ("gen", "train"))
    if len(b) < 2:
        raise ValueError("authenticity needs at least two training rows")
    found = neighbors(a, b)
    spacing = neighbors(b, b, exclude_self=True).distance[:, 0]
    return authentic_share(found.distance[:, 0], spacing[found.index[:, 0]])


@metric("zhang2024", "clopper1934", "donner2012")
def excess(
    gen: Tensor | np.ndarray,
    train: Tensor | np.ndarray,
    test: Tensor | np.ndarray,
    *,
    false_alarm: float = 0.05,
    seed: int = 0,
) -> Estimate:
    """(p_gen - p_test)/(1 - p_test): the share of copies beyond what real images outside the
    training set show.

    The threshold is the 1 - ``false_alarm`` quantile of the nearest-training similarity of one half
    of ``test``, p_test is counted on the other half; both halves in turn, drawn with ``seed``. It
    equals the share of copies if copies always pass the threshold, else it is a lower bound of it.
    The interval's low end may be negative. See :class:`denoscope.metrics.CopyRates` for the parts.
    """
    return copy_rates(
        nearest_similarity(gen, train),
        nearest_similarity(test, train, names=("test", "train")),
        false_alarm=false_alarm,
        seed=seed,
    ).excess
