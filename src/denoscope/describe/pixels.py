"""Descriptors without a network and without data: pixels, and random projections of them.

Near copies keep their pixels, so that their distance to the training image is a small share of the
distance to the next one: the ratio of both (Yoon et al. 2023) is the score. Images with a side
longer than 64 pixels are first reduced to 64 x 64.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor

from denoscope.describe.identity import Score
from denoscope.describe.rows import expect_shape, projected, reduced, reduced_shape, reduction
from denoscope.random import generator

SIDE = 64
"""The longest side, in pixels, of images that are compared number by number."""


class Pixels:
    """Each image less its mean over channels and pixels; a constant one gives exactly zeros.

    ``half`` rounds to half precision: 11 bits of each pixel, for sets that fill a memory.
    """

    name = "pixels"
    protocol = (
        f"pixels in [-1, 1], at most {SIDE}x{SIDE} of them, less the image's own "
        "mean over all channels and pixels"
    )
    score: Score = "ratio"
    costly = False
    identity: Mapping[str, Any] = {"name": "pixels", "version": 1, "preprocessing": protocol}

    def __init__(self, *, half: bool = False):
        self.half = half
        if half:
            self.protocol = f"{Pixels.protocol}, rounded to half precision"
            self.identity = {**Pixels.identity, "preprocessing": self.protocol}

    def __call__(self, images: Tensor) -> Tensor:
        rows = reduced(images, SIDE).flatten(1).to(torch.float32)
        rows = rows - rows.mean(1, keepdim=True, dtype=torch.float64).to(
            rows.dtype
        )  # in float64 the mean of equal numbers is that number
        return rows.half() if self.half else rows


class RandomProjection:
    """Pixels times a Gaussian matrix with entries N(0, 1/k): squared lengths and distances are kept
    on average.

    Johnson and Lindenstrauss (1984). ``shape`` is that of one image, (c, h, w); ``k >= 1``
    features; the matrix depends on shape, k and seed alone. Images of another shape are a
    ValueError.
    """

    score: Score = "ratio"
    costly = False

    def __init__(self, shape: Iterable[int], k: int, seed: int = 0):
        if k < 1:
            raise ValueError(f"a projection has at least 1 feature, got {k}")
        self.shape = tuple(shape)
        self.name = f"projection-{k}"
        numbers = prod(reduced_shape(self.shape, SIDE))
        drawn = torch.randn(numbers, k, generator=generator(seed), dtype=torch.float32)
        self.matrix = drawn / sqrt(k)
        size = f"{'x'.join(map(str, self.shape))}{reduction(self.shape, SIDE)}"
        matrix = f"a Gaussian matrix N(0, 1/{k}) of seed {seed}"
        self.protocol = f"pixels in [-1, 1] of shape {size} times {matrix}"
        about = {"shape": list(self.shape), "features": k, "seed": seed}
        about = {"name": self.name, "version": 1, "preprocessing": self.protocol, **about}
        self.identity: Mapping[str, Any] = about

    def __call__(self, images: Tensor) -> Tensor:
        expect_shape(images, self.shape)
        return projected(images, None, self.matrix, SIDE)
