"""What one cell is given: a random mixture of low-rank Gaussians, exactly N_k training points of
each subspace, fresh points, noises and levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from denoscope.distributions import MoLRG
from denoscope.levels import karras
from denoscope.networks import MLP, UNet
from denoscope.random import Seeds, derive, generator

FRESH = 2000
"""Fresh points of each subspace, which no network sees."""

NETWORKS = {"mlp": MLP, "unet": UNet}
WIDTHS = {"mlp": 128, "unet": 32}
"""The width of each network where none is given."""


@dataclass(frozen=True)
class Place:
    """Where the data of a cell come from: everything that decides them, and what is drawn from
    them.

    The subspaces (``k`` of dimension ``d``, orthogonal, in R^n), the ``n_k`` training points of
    each, and the fresh points are functions of these numbers and ``seed``: no two cells of a sweep
    share any of them. ``noise``: standard deviation of ambient noise, an entry.
    """

    n: int
    k: int
    d: int
    n_k: int
    noise: float
    seed: int
    samples: int
    solver_steps: int

    def run_seed(self) -> int:
        """The seed of everything random in this cell, another for every cell of a sweep."""
        return derive(self.seed, self.n, self.k, self.d, self.n_k)

    def instance(self) -> Instance:
        """The data, made once a process."""
        return _instance(self)

    def noises(self) -> Tensor:
        """Standard normal noise that all models of a sweep are sampled from, (samples, n), row i
        from seed i alone.
        """
        return _noises(self.samples, self.n)

    def sigmas(self) -> Tensor:
        """The solver's levels, the last one 0, float64."""
        return karras(self.solver_steps)

    def spread(self) -> float:
        """Standard deviation of an entry of the data: sqrt(d/n + noise^2), which networks take as
        that of their data.
        """
        return math.sqrt(self.d / self.n + self.noise**2)


@dataclass(frozen=True, eq=False)
class Instance:
    """A random mixture, its training points (k n_k, n), subspace after subspace, and fresh points
    (k FRESH, n); float64.
    """

    truth: MoLRG
    train: Tensor
    fresh: Tensor


@lru_cache(maxsize=128)
def _instance(place: Place) -> Instance:
    seed = place.run_seed()
    truth = MoLRG.random(place.n, [place.d] * place.k, noise=place.noise, seed=derive(seed, 0))
    train = truth.labelled([place.n_k] * place.k, generator(seed, 1)).points
    fresh = truth.labelled([FRESH] * place.k, generator(seed, 2)).points
    return Instance(truth, train, fresh)


@lru_cache(maxsize=4)
def _noises(samples: int, n: int) -> Tensor:
    return Seeds(range(samples)).randn((n,))


def shape(net: str, n: int) -> tuple[int, ...]:
    """The shape in which a network sees n numbers: a vector, or for the U-Net the image of fewest
    channels, 3 x 4 x 4 for n = 48.

    An n without a square factor makes no image: a ValueError.
    """
    if net == "mlp":
        return (n,)
    side = next(side for side in range(math.isqrt(n), 0, -1) if n % side**2 == 0)
    if side == 1:
        raise ValueError(
            f"--n {n} is no channels x side x side with a side of at least 2, which --net "
            "unet needs; take 48 = 3 x 4 x 4"
        )
    return (n // side**2, side, side)


def network(net: str, n: int, width: int, seed: int) -> MLP | UNet:
    """The untrained network; ``width`` 0 is the one in ``WIDTHS``."""
    return NETWORKS[net](shape(net, n), width or WIDTHS[net], seed=seed)


def stacked(places: list[Place]) -> tuple[Tensor, list[Tensor]]:
    """The training points of several cells one after the other, float32 (rows, n), and the rows of
    each cell.
    """
    sets = [place.instance().train for place in places]
    rows = torch.arange(sum(map(len, sets))).split([len(points) for points in sets])
    return torch.cat(sets).float(), list(rows)
