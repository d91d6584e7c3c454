"""Random mixtures of low-rank Gaussians whose denoiser is known: training sets that grow by need,
and noisy probes with their true posterior means; or exactly as many points of each subspace.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from denoscope.distributions import MoLRG
from denoscope.random import derive, generator

_LAW, _PROBES, _NOISE, _TRAIN, _FRESH = range(5)
_FIRST_BLOCK = 64

FRESH = 2000
"""Fresh points of each subspace of a :class:`MixtureSplit`, which no network sees."""


@dataclass(frozen=True)
class MixtureSetting:
    """K = ``clusters`` orthogonal d-dimensional subspaces of R^n, and noises."""

    d: int
    n: int
    clusters: int
    sigma: float
    noise: float
    probes: int
    seed: int


class MixtureDraw:
    """A random mixture, a growing training set and fresh noisy probes; all from (seed, index)."""

    def __init__(self, setting: MixtureSetting, index: int):
        self.setting, self.index = setting, index
        self.seed = derive(setting.seed, setting.d, setting.n, setting.clusters, index)
        dims, seed = [setting.d] * setting.clusters, derive(self.seed, _LAW)
        self.law = MoLRG.random(setting.n, dims, noise=setting.noise, seed=seed)
        self.clean = self.law.sample(setting.probes, generator(self.seed, _PROBES))
        self._points = self.clean.new_empty(0, setting.n)

    def train(self, count: int) -> Tensor:
        """The first ``count`` training points (count, n), float64; sets are nested."""
        while len(self._points) < count:
            size = max(_FIRST_BLOCK, len(self._points))
            block = self.law.sample(size, generator(self.seed, _TRAIN, len(self._points)))
            self._points = torch.cat([self._points, block])
        return self._points[:count]

    def fresh(self, count: int) -> Tensor:
        """Points of the law that no method trains on, (count, n)."""
        return self.law.sample(count, generator(self.seed, _FRESH))

    @cached_property
    def noisy(self) -> Tensor:
        """The probes with noise of level sigma, (probes, n)."""
        drawn, clean = generator(self.seed, _NOISE), self.clean
        noise = torch.randn(clean.shape, generator=drawn, dtype=clean.dtype)
        return self.clean + self.setting.sigma * noise

    @cached_property
    def wanted(self) -> Tensor:
        """The true posterior mean at every noisy probe, (probes, n)."""
        return self.law(self.noisy, torch.tensor(self.setting.sigma))

    def excess(self, answers: Tensor) -> Tensor:
        """``E|D - D_true|^2 / E|D_true|^2`` over the probes, (*), of ``answers`` (*, probes, n)."""
        off = (answers - self.wanted).square().sum(-1).mean(-1)
        return off / self.wanted.square().sum(-1).mean()


@dataclass(frozen=True, eq=False)
class MixtureSplit:
    """A mixture, its training points (K N_k, n) by subspace, fresh ones (K FRESH, n); float64."""

    truth: MoLRG
    train: Tensor
    fresh: Tensor


@lru_cache(maxsize=128)
def mixture_split(seed: int, n: int, k: int, d: int, n_k: int, noise: float) -> MixtureSplit:
    """K orthogonal d-dimensional subspaces of R^n, N_k noisy points of each; by ``seed``."""
    truth = MoLRG.random(n, [d] * k, noise=noise, seed=derive(seed, 0))
    train = truth.labelled([n_k] * k, generator(seed, 1)).points
    fresh = truth.labelled([FRESH] * k, generator(seed, 2)).points
    return MixtureSplit(truth, train, fresh)
