"""Which preparation of the training files makes them what samples are like.

Each way k of preparing is a hypothesis: "the model saw files as k makes them". Let s_k(x) be the
logarithm of the distance of x to the nearest training image made by k, less the median of that of
training images made by k, each left out. If l is true, samples that are new are to k and l as left
out images made by l are, and copies are nearer still by l: s_k - s_l of samples is not smaller than
that of left-out images. So l is dropped where it is: by many samples together (Mann and Whitney
1947), or by a few that are nearer by k than any left-out image, which copies are. What samples of
all laws would show alike (blur, noise) does not tell the ways apart, since they are compared small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binomtest, mannwhitneyu
from torch import Tensor

_ERROR = 1e-3  # that a right way is dropped, over all pairs
_SHIFT = 0.3  # the chance of a smaller difference below which many samples speak
_FAR = (
    0.02  # chance that a sample is nearer than a left-out image, below which a way makes no sense
)
_TINY = 1e-6
_EQUAL = 0.25 / 127.5  # mean difference of pictures that are the same to the eye of 8 bits


@dataclass(frozen=True)
class Fit:
    """What some samples say of one way: their median distance over that of left-out training
    images (``distance``), the chance that one is nearer than a left-out image is (``nearer``), the
    share of them that this way is ``best`` for, and whether it ``fits``.
    """

    distance: float
    nearer: float
    best: float
    fits: bool


def fits(samples: Sequence[Tensor], training: Sequence[Tensor]) -> list[Fit]:
    """Of each way, ``samples`` (n, k) and ``training`` images (m, k) as it makes them; row i of all
    is the same picture.
    """
    ways = range(len(samples))
    median = [_left_out(training[k], training[k]).median().clamp_min(_TINY) for k in ways]
    real = [
        np.stack([_relative(_left_out(training[h], training[k]), median[k]) for k in ways])
        for h in ways
    ]
    seen = np.stack([_relative(_nearest(samples[k], training[k]), median[k]) for k in ways])
    error = _ERROR / max(1, len(samples) * (len(samples) - 1))
    nearer = [_chance(seen[k], real[k][k]) for k in ways]
    sound = [
        nearer[k] >= _FAR
        and not any(
            _smaller(seen[j] - seen[k], real[k][j] - real[k][k], error) for j in ways if j != k
        )
        for k in ways
    ]
    first = seen.argmin(0)
    return [
        Fit(float(np.exp(np.median(seen[k]))), nearer[k], float((first == k).mean()), sound[k])
        for k in ways
    ]


def alike(samples: Sequence[Tensor], training: Sequence[Tensor]) -> list[int]:
    """The first way that makes the same pictures as each way."""
    everything = [torch.cat(pair) for pair in zip(samples, training, strict=True)]
    return [
        next(j for j in range(i + 1) if float((everything[j] - x).abs().mean()) < _EQUAL)
        for i, x in enumerate(everything)
    ]


def _nearest(x: Tensor, others: Tensor) -> Tensor:
    return torch.cdist(x.double(), others.double()).amin(1)


def _left_out(x: Tensor, others: Tensor) -> Tensor:
    """To the nearest of the others, its own row aside."""
    return torch.cdist(x.double(), others.double()).fill_diagonal_(torch.inf).amin(1)


def _relative(distance: Tensor, median: Tensor) -> np.ndarray:
    return (distance.clamp_min(_TINY).log() - median.log()).numpy()


def _chance(x: np.ndarray, y: np.ndarray) -> float:
    """P(x < y) + P(x = y)/2."""
    return 1 - float(mannwhitneyu(x, y).statistic) / (len(x) * len(y))


def _smaller(x: np.ndarray, y: np.ndarray, error: float) -> bool:
    """Whether many of x are smaller than y, or some smaller than any of it."""
    below = int((x < y.min() - _TINY).sum())
    some = binomtest(below, len(x), 1 / (len(y) + 1), alternative="greater").pvalue
    many = mannwhitneyu(x, y, alternative="less")
    shifted = float(many.statistic) / (len(x) * len(y)) < _SHIFT
    return bool(some < error or (shifted and float(many.pvalue) < error))
