"""Distances between the distribution of generated features and that of real ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import Estimate, percentiles, unavailable
from denoscope.metrics.jackknife import blocks, interval
from denoscope.metrics.protocol import metric
from denoscope.nearest import neighbors, same_space
from denoscope.random import derive, generator

_NEAR = 0.1  # MiFID counts the distance to the training set only below this


@dataclass(frozen=True)
class _Moments:
    """Of n rows the mean (d,) and a root R, at most (d, d) if n > d, of their scatter: R^T R = sum (x - mean)(x - mean)^T."""

    count: int
    mean: Tensor
    root: Tensor

    def factor(self) -> Tensor:
        """F with F^T F the covariance."""
        return self.root / math.sqrt(self.count - 1)


def _root(rows: Tensor) -> Tensor:
    """Not more rows than columns with the same R^T R."""
    return torch.linalg.qr(rows, mode="r").R if len(rows) > rows.shape[1] else rows


def _moments(x: Tensor) -> _Moments:
    x = x.double()
    mean = x.mean(0)
    return _Moments(len(x), mean, _root(x - mean))


def _pooled(parts: Sequence[_Moments]) -> _Moments:
    """The moments of all rows of ``parts`` together (Chan, Golub and LeVeque 1983, as a root)."""
    count = sum(part.count for part in parts)
    mean = sum((part.mean * (part.count / count) for part in parts), torch.zeros_like(parts[0].mean))
    between = [math.sqrt(part.count) * (part.mean - mean)[None] for part in parts]
    return _Moments(count, mean, _root(torch.cat([*(part.root for part in parts), *between])))


def _between(first: _Moments, second: _Moments) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½); with C = FᵀF the root's trace is the sum of the singular values of F1 F2ᵀ.

    What is within the rounding error of the traces is 0.
    """
    factor, factor0 = first.factor(), second.factor()
    traces = factor.square().sum() + factor0.square().sum()
    cross = torch.linalg.svdvals(factor @ factor0.T).sum()
    distance = float((first.mean - second.mean).square().sum() + traces - 2 * cross)
    return distance if distance > 4 * len(first.mean) * torch.finfo(traces.dtype).eps * float(traces) else 0.0


def _checked(gen: Tensor | np.ndarray, real: Tensor | np.ndarray, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    a, b = same_space(gen, real, names)
    for rows, name in ((a, names[0]), (b, names[1])):
        if len(rows) < 3:
            raise ValueError(f"a Fréchet distance needs at least 3 rows, {name} has {len(rows)}")
    return a, b


def _replicates(a: Tensor, b: Tensor, block: Tensor, block0: Tensor) -> tuple[float, list[float], list[float]]:
    """The Fréchet distance, and its values without each block of the first set and without each block of the second."""
    parts, parts0 = ([_moments(x[of == index]) for index in of.unique()] for x, of in ((a, block), (b, block0)))
    whole, whole0 = _pooled(parts), _pooled(parts0)
    first = [_between(_pooled(parts[:out] + parts[out + 1 :]), whole0) for out in range(len(parts))]
    second = [_between(whole, _pooled(parts0[:out] + parts0[out + 1 :])) for out in range(len(parts0))]
    return _between(whole, whole0), first, second


def _blocks(a: Tensor, b: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    return blocks(a, seed=seed), blocks(b, seed=derive(seed, 1))


@dataclass(frozen=True, kw_only=True)
class FrechetDistance(Estimate):
    """The distance of sets of this size, and ``limit``, its extrapolation to infinitely many rows of both."""

    limit: Estimate

    def json(self) -> dict[str, object]:
        """As an estimate's, with the limit."""
        return {**super().json(), "limit": self.limit.json()}


def _limit(value: float, first: Sequence[float], second: Sequence[float], a: Tensor, b: Tensor) -> Estimate:
    """The bias is about A/n + B/m: a line over 1/n through all rows and the subsets without a block takes it away (Quenouille 1956).

    Below as many rows as features the bias is not of this form.
    """
    least = min(len(rows) - -(-len(rows) // len(without)) for rows, without in ((a, first), (b, second)))
    if least <= a.shape[1]:
        return unavailable(
            f"an extrapolation needs more than {a.shape[1]} rows of both sets, the number of features, without a block", len(a)
        )
    bias = sum((len(without) - 1) * (float(np.mean(without)) - value) for without in (first, second))
    found = interval(value - bias, first, second, n=len(a), low=-math.inf)
    return replace(found, method=f"{found.method}, extrapolated over 1/n")


@metric("heusel2017", "chong2020", "efron1981")
def frechet(gen: Tensor | np.ndarray, real: Tensor | np.ndarray, *, seed: int = 0) -> FrechetDistance:
    """The squared Fréchet distance between Gaussians with the moments of both sets (Heusel et al. 2017); covariances by 1/(n - 1).

    The interval is by a delete-block jackknife, the rows of each set dealt into 20 blocks with ``seed``. Small sets read too high, by about
    1/n: compare with :func:`frechet_floor`, or see ``limit``, where a line over 1/n ends (Chong and Forsyth 2020). It may be below 0. Its
    line goes through the subsets that the jackknife leaves, of both sets: fitted to nested subsets down to a half it spreads a quarter
    wider and is biased itself where there are hardly more rows than features.
    """
    a, b = _checked(gen, real, ("gen", "real"))
    value, first, second = _replicates(a, b, *_blocks(a, b, seed))
    found = interval(value, first, second, n=len(a))
    limit = _limit(value, first, second, a, b)
    return FrechetDistance(found.value, found.low, found.high, found.n, found.level, found.method, limit=limit)


def _apart(gen: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
    """1 - |cos| of each row of ``gen`` to the training row that it or its negative is most like, and which that is, each (n,)."""
    straight, turned = (neighbors(gen, bank, metric="cosine") for bank in (train, -train))
    closer = turned.distance < straight.distance
    distance, index = turned.distance.where(closer, straight.distance), turned.index.where(closer, straight.index)
    return distance[:, 0], index[:, 0]


def _mean_apart(gen: Tensor, train: Tensor, block: Tensor, block0: Tensor) -> tuple[float, list[float], list[float]]:
    """The mean of 1 - |cos| to the nearest training row, and its values without each block of either set.

    Without a block of training rows only those rows look again whose nearest was in it.
    """
    distance, index = _apart(gen, train)

    def without(block_index: Tensor) -> float:
        lost = block0[index] == block_index
        again = distance.clone()
        again[lost] = _apart(gen[lost], train[block0 != block_index])[0]
        return float(again.mean())

    first = [float(distance[block != i].mean()) for i in block.unique()]
    return float(distance.mean()), first, [without(i) for i in block0.unique()]


def _informed(distance: float, apart: float) -> float:
    """FD/d with d counted as 1 from 0.1 on; +inf where either is 0."""
    if distance == 0 or apart == 0:
        return math.inf
    return distance / (apart if apart < _NEAR else 1.0)


@metric("bai2021", "heusel2017", "efron1981")
def mifid(gen: Tensor | np.ndarray, train: Tensor | np.ndarray, *, seed: int = 0) -> Estimate:
    """The Fréchet distance to the training set over d, the mean of 1 - |cos| from generated rows to their nearest training rows (Bai et al. 2021).

    d counts as 1 unless below 0.1. A set of copies has d = 0 or a distance of 0: it reads +inf, the worst. It does not find copies: a set
    copied nearly whole may read better than one without copies, since its Fréchet distance falls faster than d. A zero row has cosine 0 to
    all rows but zero rows. The interval is by a delete-block jackknife, the rows of each set dealt into 20 blocks with ``seed``.
    """
    a, b = _checked(gen, train, ("gen", "train"))
    dealt = _blocks(a, b, seed)
    (value, *fd_without), (apart, *d_without) = _replicates(a, b, *dealt), _mean_apart(a, b, *dealt)
    informed = _informed(value, apart)
    if math.isinf(informed):
        reason = "every generated row is a multiple of a training row: d = 0" if apart == 0 else "both sets have the same moments: FD = 0"
        return Estimate(informed, informed, informed, len(a), 0.95, reason)
    without = [[_informed(fd, d) for fd, d in zip(*pair)] for pair in zip(fd_without, d_without)]
    return interval(informed, *without, n=len(a))


def frechet_floor(pool: Tensor | np.ndarray, real: Tensor | np.ndarray, n: int, *, draws: int = 20, seed: int = 0) -> Estimate:
    """What a perfect model would read with ``n`` samples: the mean Fréchet distance to ``real`` of n other real rows drawn from ``pool``.

    Draws are without replacement; the interval is their central 95 %. A pool with fewer than n rows is a ValueError.
    """
    a, b = _checked(pool, real, ("pool", "real"))
    if not 3 <= n <= len(a):
        raise ValueError(f"a floor at n = {n} needs a pool of at least n >= 3 rows, got {len(a)}")
    moments = _moments(b)
    source = generator(seed)
    values = [_between(_moments(a[torch.randperm(len(a), generator=source)[:n]]), moments) for _ in range(draws)]
    return percentiles(float(np.mean(values)), values, n, method=f"central share of {draws} subsets")
