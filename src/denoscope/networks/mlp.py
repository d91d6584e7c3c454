"""A residual network of fully connected layers for vectors and small images, which is its own fleet when its weights are stacked."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from denoscope.networks.layers import FEATURES, Linear, noise_features
from denoscope.random import generator


class MLP(nn.Module):
    """``net(x, c)``: ``blocks`` residual blocks h + W2 silu(W1 h + b(c)) of ``width`` between an input and an output layer.

    x has shape (*lead, *shape) and is flattened inside; c, one number a noise level, has a prefix of ``lead`` as its shape. Every
    bias is a learned linear function of :func:`~denoscope.networks.layers.noise_features`, which costs no pass over the activations.
    The initial weights are a function of ``seed``; the network starts as zero.
    """

    stackable = True

    def __init__(self, shape: Iterable[int], width: int = 64, blocks: int = 3, *, seed: int = 0):
        super().__init__()
        self.shape, self.width, self.blocks = tuple(shape), width, blocks
        if not self.shape or min(*self.shape, width, blocks) < 1:
            raise ValueError(f"an MLP needs a shape, a width and blocks of at least 1, got shape {self.shape}, width {width}, blocks {blocks}")
        size, draw = math.prod(self.shape), generator(seed)
        self.enter = Linear(size, width, draw)
        self.noise = Linear(FEATURES, width * (blocks + 1), draw)
        self.into = nn.ModuleList(Linear(width, width, draw) for _ in range(blocks))
        self.back = nn.ModuleList(Linear(width, width, draw, gain=0.0) for _ in range(blocks))
        self.leave = Linear(width, size, draw, gain=0.0)

    @property
    def config(self) -> dict[str, object]:
        return {"class": "MLP", "shape": list(self.shape), "width": self.width, "blocks": self.blocks}

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        lead = x.shape[: x.ndim - len(self.shape)]
        rows = (self.enter.weight.shape[0], -1) if self.enter.weight.ndim == 3 else (-1,)
        features = noise_features(c.reshape(c.shape + (1,) * (len(lead) - c.ndim)).expand(lead))
        first, *biases = self.noise(features.reshape(*rows, FEATURES)).split(self.width, dim=-1)
        h = self.enter(x.reshape(*rows, self.enter.weight.shape[-2]), first)
        for into, back, bias in zip(self.into, self.back, biases):
            h = back(F.silu(into(h, bias)), h)
        return self.leave(h).reshape(x.shape)
