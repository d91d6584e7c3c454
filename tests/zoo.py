"""Every closed-form denoiser that the laws are run over, listed once; all compute in float64. A new
one is one more line.
"""

from __future__ import annotations

import torch
from torch import Tensor

from denoscope.distributions import Empirical, Gaussian, GaussianMixture, LocalScore, MoLRG
from denoscope.random import generator


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(20240101, seed), dtype=torch.float64)


def bases(n: int, *dims: int, seed: int = 0) -> list[Tensor]:
    return [torch.linalg.qr(normal(n, d, seed=seed + k)).Q for k, d in enumerate(dims)]


def covariances(count: int, n: int, seed: int = 0) -> Tensor:
    root = normal(count, n, n, seed=seed)
    return root @ root.mT / n


def spread(*dims: int) -> list[Tensor]:
    return [torch.linspace(0.5, 1.5, d, dtype=torch.float64) for d in dims]


WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
GENERAL = {"means": normal(3, 6, seed=9), "variances": spread(1, 2, 3)}

ZOO = {
    "gaussian": Gaussian(normal(5), covariances(1, 5)[0]),
    "gaussian of images": Gaussian.from_data(normal(40, 1, 2, 3), ridge=0.1),
    "gaussian of few data": Gaussian.from_data(normal(4, 6)),
    "gaussian of few data, ridge": Gaussian.from_data(normal(4, 6), ridge=0.2),
    "mixture": GaussianMixture(normal(3, 5), covariances(3, 5), WEIGHTS),
    "mixture of images": GaussianMixture(normal(2, 2, 2), covariances(2, 4)),
    "molrg": MoLRG(torch.stack(bases(6, 2, 2))),
    "molrg, unequal": MoLRG(bases(6, 1, 2, 3), WEIGHTS),
    "molrg, general": MoLRG(bases(6, 1, 2, 3), WEIGHTS, **GENERAL, noise=0.1),
    "molrg, random": MoLRG.random(7, [2, 3], noise=0.05, seed=1),
    "empirical": Empirical(normal(20, 5)),
    "empirical of images": Empirical(normal(9, 1, 2, 3)),
    "empirical, streamed": Empirical(normal(50, 4), max_memory=10_000),
}

LOCAL = {
    "windows": LocalScore(normal(9, 2, 4, 5), 3),
    "windows, anywhere": LocalScore(normal(6, 2, 4, 5), 3, equivariant=True),
    "windows by level": LocalScore(normal(9, 1, 4, 5), lambda sigma: 3 if sigma < 1 else 7),
    "windows of the data": LocalScore.wiener(normal(30, 1, 4, 5), 0.1),
}
"""Closed-form denoisers that are the posterior mean of no law."""
