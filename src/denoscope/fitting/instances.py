"""Random mixtures of low-rank Gaussians, many at once: the points, the truth, and where every
method that looks for their subspaces starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.distributions import MoLRG
from denoscope.geometry import neighbour_starts, random_starts
from denoscope.geometry.clustering import trimmed
from denoscope.random import derive, generator

STARTS = ("neighbours", "random")


@dataclass(frozen=True)
class Instances:
    """``x`` (b, N, n) with rows of zeros at the end of the smaller ones, ``truth`` (b, K, n, d),
    ``starts`` (b, S, K, n, d), float64; ``seeds`` (b) of whatever noise a method draws.
    """

    x: Tensor
    truth: Tensor
    starts: Tensor
    seeds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.x)

    def part(self, first: int, last: int) -> Instances:
        """Instances ``first`` to ``last`` without the rows of zeros that none of them needs."""
        rows = slice(first, last)
        return Instances(
            trimmed(self.x[rows]), self.truth[rows], self.starts[rows], self.seeds[rows]
        )


def instances(
    k: int,
    d: int,
    counts: Sequence[int],
    trials: int,
    *,
    n: int,
    noise: float,
    starts: int,
    start: str,
) -> Instances:
    """``trials`` instances for every number of points per subspace in ``counts``, in that order;
    ``start`` is one of ``STARTS``.

    Subspaces, coefficients, noise directions and starts of an instance are functions of (n, k, d,
    its count, its trial) alone, so levels of ``noise`` and sizes of a sweep see the same ones.
    """
    made = [
        _one(k, d, count, n, noise, starts, start, derive(trial, n, k, d, count))
        for count in counts
        for trial in range(trials)
    ]
    points, truths, begun, seeds = zip(*made)
    x = torch.nn.utils.rnn.pad_sequence(list(points), batch_first=True)
    return Instances(x, torch.stack(truths), torch.stack(begun), seeds)


def _one(
    k: int, d: int, count: int, n: int, noise: float, starts: int, start: str, seed: int
) -> tuple[Tensor, Tensor, Tensor, int]:
    law = MoLRG.random(n, (d,) * k, seed=derive(seed, 0))
    x = law.labelled([count] * k, generator(seed, 1), perturbation=noise).points
    draws = generator(seed, 2)
    begun = (
        neighbour_starts(x, starts, k, d, draws)
        if start == "neighbours"
        else random_starts(starts, k, n, d, draws)
    )
    return x, torch.stack(law.bases), begun, derive(seed, 3)
