"""A U-ViT: a transformer on patches with long skips, the noise level and the label as tokens among
those of the image (Bao et al. 2023).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoscope.networks.dropout import Dropout, drop_out, told
from denoscope.networks.layers import (
    FEATURES,
    LABELS,
    NO_LABEL,
    Labels,
    Linear,
    attend,
    noise_features,
    normal,
    over,
    patched,
)
from denoscope.random import generator

HEADS, WIDER = 4, 4
"""Heads of attention, or as many as divide the width; widening inside a block."""
PLACED = 0.3
"""Standard deviation of the position embedding at the start."""


class TokenNorm(nn.Module):
    """Layer normalisation of every token (Ba et al. 2016)."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias)


class TokenBlock(nn.Module):
    """h + attention(norm(h)), then h + down(gelu(up(norm(h)))), for tokens (b, n, width); starts
    as h.
    """

    def __init__(self, width: int, draw: torch.Generator):
        super().__init__()
        self.norm1, self.qkv = TokenNorm(width), Linear(width, 3 * width, draw)
        self.out = Linear(width, width, draw, gain=0.0)
        self.norm2, self.up = TokenNorm(width), Linear(width, WIDER * width, draw)
        self.down = Linear(WIDER * width, width, draw, gain=0.0)
        self.heads, self.drop = math.gcd(HEADS, width), Dropout()

    def forward(self, h: Tensor) -> Tensor:
        heads = self.qkv(self.norm1(h)).mT.unflatten(-2, (3, self.heads, -1))
        found = attend(*heads.unbind(-4)).flatten(-3, -2).mT
        h = h + self.out(found)
        return h + self.down(self.drop(F.gelu(self.up(self.norm2(h)))))


class UViT(nn.Module):
    """``net(x, c, label)`` for x (*lead, channels, height, width) and c, one number per level,
    with a prefix of ``lead`` as its shape, as has label: 0 to ``classes`` - 1, or -1 for none.

    Patches of ``patch`` x ``patch`` pixels are tokens of ``width`` numbers; ``depth`` blocks on the
    way in are each joined to one on the way out, with a block between. The initial weights are a
    function of ``seed``; the network starts as zero. ``dropout``: the share of each block's widened
    numbers that a step of training leaves out.
    """

    def __init__(
        self,
        shape: Iterable[int],
        width: int = 64,
        depth: int = 2,
        *,
        seed: int = 0,
        patch: int = 2,
        classes: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.shape, self.width, self.patch, self.classes = tuple(shape), width, patch, classes
        self.dropout = dropout
        if len(self.shape) != 3 or min(*self.shape, width, depth, classes + 1) < 1:
            raise ValueError(
                "a U-ViT needs a shape (channels, height, width), a width and depth of at least 1 "
                f"and classes of at least 0, got shape {self.shape}, width {width}, depth {depth}, "
                f"classes {classes}"
            )
        pixels, *self.sides = patched(self.shape, patch)
        draw = generator(seed)
        self.enter = Linear(pixels, width, draw)
        self.places = normal((math.prod(self.sides), width), PLACED, draw)
        self.noise = Linear(FEATURES, width, draw)
        self.inward = nn.ModuleList(TokenBlock(width, draw) for _ in range(depth))
        self.middle = TokenBlock(width, draw)
        self.join = nn.ModuleList(Linear(2 * width, width, draw) for _ in range(depth))
        self.outward = nn.ModuleList(TokenBlock(width, draw) for _ in range(depth))
        self.norm = TokenNorm(width)
        self.leave = Linear(width, pixels, draw, gain=0.0)
        drop_out(self, dropout)
        if classes:
            self.label = Labels(classes, width, generator(seed, LABELS))
            self.unlabelled = normal((width,), PLACED, generator(seed, LABELS + 1))

    @property
    def config(self) -> dict[str, object]:
        size = {"shape": list(self.shape), "width": self.width, "depth": len(self.inward)}
        options = {"patch": self.patch, "classes": self.classes}
        return {"class": "UViT", **size, **options, **told(self.dropout)}

    def forward(self, x: Tensor, c: Tensor, label: Tensor | None = None) -> Tensor:
        lead = x.shape[:-3]
        images = F.pixel_unshuffle(x.reshape(-1, *self.shape), self.patch)
        tokens = [self.noise(noise_features(over(c, lead).reshape(-1))).unsqueeze(-2)]
        if self.classes:
            known = torch.full((), NO_LABEL, device=x.device) if label is None else label
            tokens += [self.label(over(known, lead).reshape(-1), self.unlabelled).unsqueeze(-2)]
        tokens += [self.enter(images.flatten(-2).mT) + self.places]
        h = self._through(torch.cat(tokens, -2))[..., -len(self.places) :, :]
        patches = self.leave(self.norm(h)).mT.unflatten(-1, self.sides)
        return F.pixel_shuffle(patches, self.patch).reshape(x.shape)

    def _through(self, h: Tensor) -> Tensor:
        passed = []
        for block in self.inward:
            h = block(h)
            passed.append(h)
        h = self.middle(h)
        for join, block in zip(self.join, self.outward):
            h = block(join(torch.cat([h, passed.pop()], -1)))
        return h
