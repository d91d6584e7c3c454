"""A residual network of fully connected layers for vectors and small images, which is its own fleet
when its weights are stacked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoscope.networks.layers import FEATURES, Linear, noise_features
from denoscope.random import generator


class MLP(nn.Module):
    """``net(x, c)`` = leave(h) + gain(c) x, where h starts as enter(x) + noise(c) and each of
    ``blocks`` adds silu(W h) to it.

    x has shape (*lead, *shape) and is flattened inside; c, one number a noise level, has a prefix
    of ``lead`` as its shape. The noise level enters as learned linear functions of
    :func:`~denoscope.networks.layers.noise_features`. The gain, one factor a pixel and level, gives
    every width the best diagonal denoiser: without it a width below the number of pixels cannot
    remove the noise from all of them. The initial weights are a function of ``seed``; the network
    starts as zero.
    """

    stackable = True

    def __init__(self, shape: Iterable[int], width: int = 64, blocks: int = 3, *, seed: int = 0):
        super().__init__()
        self.shape, self.width = tuple(shape), width
        if not self.shape or min(*self.shape, width, blocks) < 1:
            raise ValueError(
                "an MLP needs a shape, a width and blocks of at least 1, got shape "
                f"{self.shape}, width {width}, blocks {blocks}"
            )
        size, draw = math.prod(self.shape), generator(seed)
        self.enter = Linear(size, width, draw)
        self.noise = Linear(FEATURES, width, draw)
        self.blocks = nn.ModuleList(Linear(width, width, draw) for _ in range(blocks))
        self.leave = Linear(width, size, draw, gain=0.0)
        self.gain = Linear(FEATURES, size, draw, gain=0.0)

    @property
    def config(self) -> dict[str, object]:
        return {
            "class": "MLP",
            "shape": list(self.shape),
            "width": self.width,
            "blocks": len(self.blocks),
        }

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        lead = x.shape[: x.ndim - len(self.shape)]
        rows = (self.enter.weight.shape[0], -1) if self.enter.weight.ndim == 3 else (-1,)
        features = noise_features(
            c.reshape(c.shape + (1,) * (len(lead) - c.ndim)).expand(lead)
        ).reshape(*rows, FEATURES)
        flat = x.reshape(*rows, self.enter.weight.shape[-2])
        h = self.enter(flat, self.noise(features))
        for block in self.blocks:
            h = h + F.silu(block(h))
        return torch.addcmul(self.leave(h), self.gain(features), flat).reshape(x.shape)
