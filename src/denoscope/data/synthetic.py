"""Image sets that are drawn, not read: their law is known, and with it the true denoiser."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from denoscope.data.images import Images
from denoscope.distributions import GaussianMixture, MoLRG
from denoscope.random import generator
from denoscope.types import Denoiser

SHAPE = (3, 4, 4)
SUBSPACES = (6, 6)
"""Dimensions of the orthogonal subspaces of ``molrg`` in n = 48 (Wang et al. 2024, Fig. 5)."""

SPREAD = 0.4
"""Standard deviation along a basis vector: so that no image leaves [-1, 1]."""

COUNT = 8192
CENTRED = (1, 8, 8)
"""Shape of an image of ``mixture``, the balanced mixture of two Gaussians at plus and minus m."""
CENTRE = 1 / 7
"""Standard deviation of each Gaussian, and size of every number of m: the published setting, scaled
so that no image leaves [-1, 1].
"""
_SEED = 0


class Shaped:
    """A law of vectors as one of images of ``shape``: its denoiser flattens and restores."""

    def __init__(self, law: Denoiser, shape: tuple[int, ...]):
        self.law, self.shape = law, shape

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.law(x.flatten(-len(self.shape)), sigma).reshape(x.shape)


@lru_cache(maxsize=1)
def law() -> MoLRG:
    """The mixture of low-rank Gaussians behind ``molrg``, float64."""
    n = math.prod(SHAPE)
    plain = MoLRG.random(n, SUBSPACES, seed=_SEED)
    spreads = [torch.full((d,), SPREAD**2, dtype=torch.float64) for d in SUBSPACES]
    return MoLRG(plain.bases, variances=spreads)


@lru_cache(maxsize=1)
def images() -> Images:
    """The set ``molrg``: 8 192 points of the mixture as images of 3 x 4 x 4."""
    points = law().sample(COUNT, generator(_SEED, 1))
    return Images(points.float().reshape(-1, *SHAPE), "molrg")


def truth() -> Denoiser:
    """The true denoiser of ``molrg``."""
    return Shaped(law(), SHAPE)


@lru_cache(maxsize=1)
def mixture() -> GaussianMixture:
    """The two Gaussians behind ``mixture``, float64 (Biroli et al. 2024)."""
    n = math.prod(CENTRED)
    signs = torch.randint(0, 2, CENTRED, generator=generator(_SEED, 2)) * 2.0 - 1
    means = torch.stack([signs, -signs]).double() * CENTRE
    return GaussianMixture(means, torch.eye(n, dtype=torch.float64).expand(2, n, n) * CENTRE**2)


@lru_cache(maxsize=1)
def mixture_images() -> Images:
    """The set ``mixture``: 8 192 images of 8 x 8, each with its Gaussian as its label."""
    labels = mixture().labels(COUNT, generator(_SEED, 3))
    points = mixture().sample_of(labels, generator(_SEED, 4))
    return Images(points.float(), "mixture", labels)
