"""Distances between the distribution of generated features and that of real ones."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from denoscope.estimate import Estimate, percentiles
from denoscope.metrics.protocol import metric
from denoscope.nearest import same_space
from denoscope.random import generator

_BLOCKS = 20


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (d,) and a factor F (min(n, d), d) of the covariance, C = F^T F."""
    mean = x.mean(0)
    centred = (x - mean) / math.sqrt(len(x) - 1)
    return mean, torch.linalg.qr(centred, mode="r").R if len(x) > x.shape[1] else centred


def _between(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½); with C = FᵀF the root's trace is the sum of the singular values of F1 F2ᵀ."""
    (mean, factor), (mean0, factor0) = first, second
    cross = torch.linalg.svdvals(factor @ factor0.T).sum()
    return max(0.0, float((mean - mean0).square().sum() + factor.square().sum() + factor0.square().sum() - 2 * cross))


def _checked(gen: Tensor | np.ndarray, real: Tensor | np.ndarray, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    a, b = same_space(gen, real, names)
    for rows, name in ((a, names[0]), (b, names[1])):
        if len(rows) < 3:
            raise ValueError(f"a Fréchet distance needs at least 3 rows, {name} has {len(rows)}")
    return a.double(), b.double()


def _without_blocks(x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The moments of ``x`` without each of its blocks of rows in turn."""
    block = torch.arange(len(x), device=x.device) * _BLOCKS // len(x)
    return [_moments(x[block != index]) for index in block.unique()]


def _spread(values: list[float]) -> float:
    """The jackknife's variance: (g - 1)/g times the sum of squares about the mean."""
    data = np.asarray(values)
    return float(data.var() * (len(data) - 1))


@metric("heusel2017")
def frechet(gen: Tensor | np.ndarray, real: Tensor | np.ndarray) -> Estimate:
    """The squared Fréchet distance between Gaussians with the moments of both sets (Heusel et al. 2017); covariances by 1/(n - 1).

    The interval is by a delete-block jackknife, 20 blocks of each set, rows in the order given. Small sets read too high, by about 1/n:
    compare with :func:`frechet_floor`.
    """
    a, b = _checked(gen, real, ("gen", "real"))
    moments, moments0 = _moments(a), _moments(b)
    value = _between(moments, moments0)
    first = [_between(without, moments0) for without in _without_blocks(a)]
    second = [_between(moments, without) for without in _without_blocks(b)]
    freedom = min(len(first), len(second)) - 1
    half = float(stats.t.ppf(0.975, freedom)) * math.sqrt(_spread(first) + _spread(second))
    return Estimate(value, max(0.0, value - half), value + half, len(a), 0.95, "delete-block jackknife")


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
