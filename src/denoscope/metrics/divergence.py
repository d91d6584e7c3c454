"""Distances between the distribution of generated features and that of real ones."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import Estimate, percentiles, unavailable
from denoscope.metrics.jackknife import blocks, interval
from denoscope.metrics.protocol import metric
from denoscope.nearest import neighbors, same_space
from denoscope.random import derive, generator
from denoscope.threads import each

_NEAR = 0.1  # MiFID counts the distance to the training set only below this
_TOGETHER = 5  # blocks that are left out by one thread, which pools all others once


@dataclass(frozen=True)
class _Moments:
    """Of n rows the mean (d,) and a root R, at most (2d, d), of their scatter: R^T R = sum (x -
    mean)(x - mean)^T.
    """

    count: int
    mean: Tensor
    root: Tensor


def _root(rows: Tensor, most: int = 2) -> Tensor:
    """Not more than ``most`` times as many rows as columns with the same R^T R."""
    return torch.linalg.qr(rows, mode="r").R if len(rows) > most * rows.shape[1] else rows


def _moments(x: Tensor) -> _Moments:
    mean = x.mean(0)
    return _Moments(len(x), mean, _root(x - mean))


def _pooled(parts: Sequence[_Moments]) -> _Moments:
    """The moments of all rows of ``parts`` together (Chan, Golub and LeVeque 1983, as a root)."""
    count = sum(part.count for part in parts)
    mean = sum(
        (part.mean * (part.count / count) for part in parts), torch.zeros_like(parts[0].mean)
    )
    between = [math.sqrt(part.count) * (part.mean - mean)[None] for part in parts]
    return _Moments(count, mean, _root(torch.cat([*(part.root for part in parts), *between])))


def _left_out(parts: Sequence[_Moments], rest: Sequence[_Moments]) -> Iterator[_Moments]:
    """The moments of ``rest`` and all parts but one, for each part in turn; those of halves of the
    parts are pooled once.
    """
    middle = len(parts) // 2
    if not middle:
        yield _pooled(rest)
        return
    yield from _left_out(parts[:middle], [_pooled([*rest, *parts[middle:]])])
    yield from _left_out(parts[middle:], [_pooled([*rest, *parts[:middle]])])


class _Facing:
    """Rows (n, d) that face another set: the Fréchet distance of any subset of them from the whole
    of the other.

    It is |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½). With C2 = FᵀF the root's trace is that of the root
    of F C1 Fᵀ, the scatter of the rows F x: the sum of the singular values of any of its roots. So
    the rows are turned once, to no more columns than the smaller set has rows.
    """

    def __init__(self, x: Tensor, other: Tensor):
        other = other.double()
        mean = other.mean(0)
        factor = _root(other - mean, 1) / math.sqrt(len(other) - 1)
        self.rows = x.double() - x.double().mean(0)
        self.turned = _root(factor @ self.rows.T, 1).T
        self.shift = x.double().mean(0) - mean
        self.trace = float(factor.square().sum())

    def sums(self, rows: Tensor | slice) -> _RowSums:
        chosen = self.rows[rows]
        return _RowSums(len(chosen), chosen.sum(0), float(chosen.square().sum()))

    def distance(self, sums: _RowSums, root: Tensor) -> float:
        """That of the rows with these sums; ``root`` is one of the scatter of the turned ones.
        Within the rounding error of the traces it is 0.
        """
        mean = sums.total / sums.count
        trace = (sums.squares - sums.count * float(mean.square().sum())) / (
            sums.count - 1
        ) + self.trace
        cross = float(torch.linalg.svdvals(root).sum()) / math.sqrt(sums.count - 1)
        distance = float((mean + self.shift).square().sum()) + trace - 2 * cross
        return distance if distance > 4 * len(mean) * torch.finfo(root.dtype).eps * trace else 0.0

    def of(self, rows: Tensor | slice) -> float:
        """The distance of some of the rows."""
        return self.distance(self.sums(rows), _moments(self.turned[rows]).root)

    def without(self, block: Tensor) -> Iterator[Callable[[], list[float]]]:
        """Calls that give the distances without each block, some blocks at once, which can run side
        by side.
        """
        labels = block.unique()
        parts = [_moments(self.turned[block == label]) for label in labels]
        whole = self.sums(slice(None))
        out = [whole - self.sums(block == label) for label in labels]
        for start in range(0, len(parts), _TOGETHER):
            some = slice(start, start + _TOGETHER)
            yield partial(self._some, out[some], parts[some], [*parts[:start], *parts[some.stop :]])

    def _some(
        self, out: Sequence[_RowSums], parts: Sequence[_Moments], rest: Sequence[_Moments]
    ) -> list[float]:
        left = _left_out(parts, [_pooled(rest)] if rest else [])
        return [self.distance(sums, moments.root) for sums, moments in zip(out, left)]


@dataclass(frozen=True)
class _RowSums:
    """Of some rows their number, their sum (d,) and the sum of their squared lengths."""

    count: int
    total: Tensor
    squares: float

    def __sub__(self, other: _RowSums) -> _RowSums:
        return _RowSums(
            self.count - other.count, self.total - other.total, self.squares - other.squares
        )


def _checked(
    gen: Tensor | np.ndarray, real: Tensor | np.ndarray, names: tuple[str, str]
) -> tuple[Tensor, Tensor]:
    a, b = same_space(gen, real, names)
    for rows, name in ((a, names[0]), (b, names[1])):
        if len(rows) < 3:
            raise ValueError(f"a Fréchet distance needs at least 3 rows, {name} has {len(rows)}")
    return a, b


def _replicates(
    a: Tensor, b: Tensor, block: Tensor, block0: Tensor
) -> tuple[float, list[float], list[float]]:
    """The Fréchet distance, and its values without each block of the first set and without each
    block of the second.
    """
    facing, facing0 = _Facing(a, b), _Facing(b, a)
    first, second = list(facing.without(block)), list(facing0.without(block0))
    found = each(operator.call, [*first, *second])
    return (
        facing.of(slice(None)),
        list(chain(*found[: len(first)])),
        list(chain(*found[len(first) :])),
    )


def _blocks(a: Tensor, b: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    return blocks(a, seed=seed), blocks(b, seed=derive(seed, 1))


@dataclass(frozen=True, kw_only=True, repr=False)
class FrechetDistance(Estimate):
    """The distance of sets of this size, and ``limit``, its extrapolation to infinitely many rows
    of both.
    """

    limit: Estimate

    def json(self) -> dict[str, object]:
        """As an estimate's, with the limit."""
        return {**super().json(), "limit": self.limit.json()}


def _limit(
    value: float, first: Sequence[float], second: Sequence[float], a: Tensor, b: Tensor
) -> Estimate:
    """The bias is about A/n + B/m: a line over 1/n through all rows and the subsets without a block
    takes it away (Quenouille 1956).

    Below as many rows as features the bias is not of this form.
    """
    least = min(
        len(rows) - -(-len(rows) // len(without)) for rows, without in ((a, first), (b, second))
    )
    if least <= a.shape[1]:
        return unavailable(
            f"an extrapolation needs more than {a.shape[1]} rows of both sets, the number "
            "of features, without a block",
            len(a),
        )
    bias = sum(
        (len(without) - 1) * (float(np.mean(without)) - value) for without in (first, second)
    )
    found = interval(value - bias, first, second, n=len(a), low=-math.inf)
    return replace(found, method=f"{found.method}, extrapolated over 1/n")


@metric("heusel2017", "chong2020", "efron1981")
def frechet(
    gen: Tensor | np.ndarray, real: Tensor | np.ndarray, *, seed: int = 0
) -> FrechetDistance:
    """The squared Fréchet distance between Gaussians with the moments of both sets (Heusel et al.
    2017); covariances by 1/(n - 1).

    The interval is by a delete-block jackknife, the rows of each set dealt into 20 blocks with
    ``seed``. Small sets read too high, by about 1/n: compare with :func:`frechet_floor`, or see
    ``limit``, where a line over 1/n ends (Chong and Forsyth 2020). It may be below 0. Its line goes
    through the subsets that the jackknife leaves, of both sets: fitted to nested subsets down to a
    half it spreads a quarter wider and is biased itself where there are hardly more rows than
    features.
    """
    a, b = _checked(gen, real, ("gen", "real"))
    value, first, second = _replicates(a, b, *_blocks(a, b, seed))
    found = interval(value, first, second, n=len(a))
    limit = _limit(value, first, second, a, b)
    return FrechetDistance(
        found.value, found.low, found.high, found.n, found.level, found.method, limit=limit
    )


def _apart(gen: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
    """1 - |cos| of each row of ``gen`` to the training row that it or its negative is most like,
    and which that is, each (n,).
    """
    straight, turned = (neighbors(gen, bank, metric="cosine") for bank in (train, -train))
    closer = turned.distance < straight.distance
    distance, index = (
        turned.distance.where(closer, straight.distance),
        turned.index.where(closer, straight.index),
    )
    return distance[:, 0], index[:, 0]


def _mean_apart(
    gen: Tensor, train: Tensor, block: Tensor, block0: Tensor
) -> tuple[float, list[float], list[float]]:
    """The mean of 1 - |cos| to the nearest training row, and its values without each block of
    either set.

    Without a block of training rows only those rows look again whose nearest was in it.
    """
    distance, index = _apart(gen, train)

    def without(block_index: Tensor) -> float:
        lost = block0[index] == block_index
        again = distance.clone()
        again[lost] = _apart(gen[lost], train[block0 != block_index])[0]
        return float(again.mean())

    first = [float(distance[block != i].mean()) for i in block.unique()]
    return float(distance.mean()), first, each(without, list(block0.unique()))


def _informed(distance: float, apart: float) -> float:
    """FD/d with d counted as 1 from 0.1 on; +inf where either is 0."""
    if distance == 0 or apart == 0:
        return math.inf
    return distance / (apart if apart < _NEAR else 1.0)


@metric("bai2021", "heusel2017", "efron1981")
def mifid(gen: Tensor | np.ndarray, train: Tensor | np.ndarray, *, seed: int = 0) -> Estimate:
    """The Fréchet distance to the training set over d, the mean of 1 - |cos| from generated rows to
    their nearest training rows (Bai et al. 2021).

    d counts as 1 unless below 0.1. A set of copies has d = 0 or a distance of 0: it reads +inf, the
    worst. It does not find copies: a set copied nearly whole may read better than one without
    copies, since its Fréchet distance falls faster than d. A zero row has cosine 0 to all rows but
    zero rows. The interval is by a delete-block jackknife, the rows of each set dealt into 20
    blocks with ``seed``.
    """
    a, b = _checked(gen, train, ("gen", "train"))
    dealt = _blocks(a, b, seed)
    (value, *fd_without), (apart, *d_without) = _replicates(a, b, *dealt), _mean_apart(a, b, *dealt)
    informed = _informed(value, apart)
    if math.isinf(informed):
        reason = (
            "every generated row is a multiple of a training row: d = 0"
            if apart == 0
            else "both sets have the same moments: FD = 0"
        )
        return Estimate(informed, informed, informed, len(a), 0.95, reason)
    without = [[_informed(fd, d) for fd, d in zip(*pair)] for pair in zip(fd_without, d_without)]
    return interval(informed, *without, n=len(a))


def frechet_floor(
    pool: Tensor | np.ndarray, real: Tensor | np.ndarray, n: int, *, draws: int = 20, seed: int = 0
) -> Estimate:
    """What a perfect model would read with ``n`` samples: the mean Fréchet distance to ``real`` of
    n other real rows drawn from ``pool``.

    Draws are without replacement; the interval is their central 95 %. A pool with fewer than n rows
    is a ValueError.
    """
    a, b = _checked(pool, real, ("pool", "real"))
    if not 3 <= n <= len(a):
        raise ValueError(f"a floor at n = {n} needs a pool of at least n >= 3 rows, got {len(a)}")
    source = generator(seed)
    drawn = torch.stack([torch.randperm(len(a), generator=source)[:n] for _ in range(draws)])
    used, place = drawn.unique(return_inverse=True)
    values = each(_Facing(a[used], b).of, list(place))
    return percentiles(
        float(np.mean(values)), values, n, method=f"central share of {draws} subsets"
    )
