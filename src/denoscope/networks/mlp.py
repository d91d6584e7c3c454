"""Residual networks of fully connected layers, their own fleets when weights are stacked."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoscope.networks.dropout import Dropout, drop_out, told
from denoscope.networks.layers import FEATURES, LABELS, Labels, Linear, noise_features, over
from denoscope.random import generator

EPSILON = 1e-6
SMALL = 0.3
"""Gain of a modulated block's output and of its modulation at the start."""


class MLP(nn.Module):
    """``net(x, c, label)`` = leave(h) + gain(c) x, where h starts as enter(x) + noise(c), plus a
    learned vector of the label where one is given, and each of ``blocks`` adds silu(W h) to it.

    x has shape (*lead, *shape) and is flattened inside; c, one number per noise level, has a prefix
    of ``lead`` as its shape, and so has label: 0 to ``classes`` - 1, or -1 for none. The noise
    level enters as learned linear functions of :func:`~denoscope.networks.layers.noise_features`.
    The gain, one factor per pixel and level, gives every width the best diagonal denoiser: without
    it a width below the number of pixels cannot remove the noise from all of them. The initial
    weights are a function of ``seed``; the network starts as zero. ``dropout``: the share of each
    block's numbers after silu that a step of training leaves out.
    """

    stackable = True

    def __init__(
        self,
        shape: Iterable[int],
        width: int = 64,
        blocks: int = 3,
        *,
        seed: int = 0,
        classes: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.shape, self.width, self.classes = tuple(shape), width, classes
        self.dropout = dropout
        if not self.shape or min(*self.shape, width, blocks, classes + 1) < 1:
            raise ValueError(
                f"{type(self).__name__} needs a shape, a width and blocks of at least 1 and "
                f"classes of at least 0, got shape {self.shape}, width {width}, blocks {blocks}, "
                f"classes {classes}"
            )
        size, draw = math.prod(self.shape), generator(seed)
        self.enter = Linear(size, width, draw)
        self.noise = Linear(FEATURES, width, draw)
        self.blocks = nn.ModuleList(self.block(draw) for _ in range(blocks))
        self.drops = nn.ModuleList(Dropout() for _ in range(blocks))
        drop_out(self, dropout)
        self.leave = Linear(width, size, draw, gain=0.0)
        self.gain = Linear(FEATURES, size, draw, gain=0.0)
        if classes:
            self.label = Labels(classes, width, generator(seed, LABELS))

    @property
    def config(self) -> dict[str, object]:
        size = {"width": self.width, "blocks": len(self.blocks), "classes": self.classes}
        named = {"class": type(self).__name__, "shape": list(self.shape)}
        return {**named, **size, **told(self.dropout)}

    def block(self, draw: torch.Generator) -> nn.Module:
        """What one block learns."""
        return Linear(self.width, self.width, draw)

    def body(self, h: Tensor, level: Tensor) -> Tensor:
        """All blocks, for h (*members, rows, width) and features of the noise levels (*members,
        rows, FEATURES).
        """
        for block, drop in zip(self.blocks, self.drops):
            h = h + drop(F.silu(block(h)))
        return h

    def forward(self, x: Tensor, c: Tensor, label: Tensor | None = None) -> Tensor:
        lead = x.shape[: x.ndim - len(self.shape)]
        if x.shape[len(lead) :] != self.shape:
            raise ValueError(f"the network takes states of {self.shape}, got {tuple(x.shape)}")
        rows = (*self.enter.weight.shape[:-2], -1)
        level = noise_features(over(c, lead)).reshape(*rows, FEATURES)
        flat = x.reshape(*rows, self.enter.weight.shape[-2])
        known = self.noise(level)
        if label is not None:
            known = self.label(over(label, lead).reshape(rows), known)
        h = self.body(self.enter(flat, known), level)
        return torch.addcmul(self.leave(h), self.gain(level), flat).reshape(x.shape)


class FiLM(MLP):
    """An :class:`MLP` that the noise level modulates feature by feature (Perez et al. 2018): each
    block adds down(silu((1 + scale(c)) up(h/rms(h)) + shift(c))) to h, and what leaves is
    (1 + strength(c)) h.

    Without the blocks it is a bank of linear filters whose strengths the level sets, as those of
    the best linear denoiser are.
    """

    def __init__(
        self,
        shape: Iterable[int],
        width: int = 64,
        blocks: int = 5,
        *,
        seed: int = 0,
        classes: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__(shape, width, blocks, seed=seed, classes=classes, dropout=dropout)
        self.strength = Linear(FEATURES, width, generator(seed), gain=0.0)

    def block(self, draw: torch.Generator) -> nn.Module:
        return Modulated(self.width, draw)

    def body(self, h: Tensor, level: Tensor) -> Tensor:
        for block, drop in zip(self.blocks, self.drops):
            h = block(h, level, drop)
        return torch.addcmul(h, h, self.strength(level))


class Modulated(nn.Module):
    """h + down(silu((1 + scale) up(h/rms(h)) + shift)), scale and shift linear in features of the
    level, rms the root of the mean square (Zhang and Sennrich 2019).
    """

    def __init__(self, width: int, draw: torch.Generator):
        super().__init__()
        self.up, self.down = Linear(width, width, draw), Linear(width, width, draw, gain=SMALL)
        self.scale = Linear(FEATURES, width, draw, gain=SMALL)
        self.shift = Linear(FEATURES, width, draw, gain=SMALL)

    def forward(self, h: Tensor, level: Tensor, drop: nn.Module) -> Tensor:
        square = torch.linalg.vecdot(h, h).unsqueeze(-1) / h.shape[-1]
        u = self.up(h * (square + EPSILON).rsqrt())
        found = F.silu(torch.addcmul(self.shift(level, u), u, self.scale(level)))
        return self.down(drop(found), h)
