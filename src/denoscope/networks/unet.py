"""A U-Net for images from 8 x 8 to 64 x 64, grey or colour, of even or odd size."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoscope.networks.layers import (
    FEATURES,
    LABELS,
    Attention,
    Conv,
    Labels,
    Linear,
    Norm,
    noise_features,
    over,
    patched,
)
from denoscope.random import generator

MOST_LEVELS = 4
SMALLEST_SIDE = 4  # no level is smaller, if the image is not


def level_count(height: int, width: int) -> int:
    """Resolutions of a U-Net: the shorter side is halved, rounding up, while it stays at least 4,
    at most three times; 8 -> 2, 16 -> 3, from 25 on 4.
    """
    side, count = min(height, width), 1
    while count < MOST_LEVELS and (side + 1) // 2 >= SMALLEST_SIDE:
        side, count = (side + 1) // 2, count + 1
    return count


class Block(nn.Module):
    """h + conv(silu((1 + scale) norm(conv(silu(norm(h)))) + shift)), scale and shift linear in the
    noise embedding; starts as h (or its 1 x 1 map).
    """

    def __init__(self, fan_in: int, fan_out: int, embedding: int, generator: torch.Generator):
        super().__init__()
        self.norm1, self.conv1 = Norm(fan_in), Conv(fan_in, fan_out, 3, generator)
        self.noise = Linear(embedding, 2 * fan_out, generator, gain=0.1)
        self.norm2, self.conv2 = Norm(fan_out), Conv(fan_out, fan_out, 3, generator, gain=0.0)
        self.straight = Conv(fan_in, fan_out, 1, generator) if fan_in != fan_out else nn.Identity()

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.noise(embedding)[..., None, None].chunk(2, dim=-3)
        inner = torch.addcmul(shift, self.norm2(self.conv1(F.silu(self.norm1(h)))), 1 + scale)
        return self.straight(h) + self.conv2(F.silu(inner))


class UNet(nn.Module):
    """``net(x, c, label)`` for x (*lead, channels, height, width) and c, one number a noise level,
    with a prefix of ``lead`` as its shape, as has label: 0 to ``classes`` - 1, or -1 for none.

    It works on patches of ``patch`` x ``patch`` pixels, each a pixel of patch^2 as many channels.
    ``width`` channels at full resolution and twice as many below (:func:`level_count`), one
    residual block a level on either way, a block, self-attention and a block at the bottom; noise
    levels scale and shift every block. Odd sizes are halved rounding up, and enlarged to the size
    of the way down. The initial weights are a function of ``seed``; the network starts as zero.
    """

    def __init__(
        self,
        shape: Iterable[int],
        width: int = 32,
        *,
        seed: int = 0,
        classes: int = 0,
        patch: int = 1,
        attention: bool = True,
    ):
        super().__init__()
        self.shape, self.width, self.classes, self.patch = tuple(shape), width, classes, patch
        if len(self.shape) != 3 or min(*self.shape, width, classes + 1) < 1:
            raise ValueError(
                "a U-Net needs a shape (channels, height, width), a width of at least 1 and "
                f"classes of at least 0, got shape {self.shape}, width {width}, classes {classes}"
            )
        pixels, *sides = patched(self.shape, patch)
        draw, embedding = generator(seed), 4 * width
        channels = [width, *[2 * width] * (level_count(*sides) - 1)]
        pairs = list(pairwise(channels))
        self.embed = nn.ModuleList(
            [Linear(FEATURES, embedding, draw), Linear(embedding, embedding, draw)]
        )
        self.enter = Conv(pixels, width, 3, draw)
        self.down = nn.ModuleList(Block(c, c, embedding, draw) for c in channels)
        self.halve = nn.ModuleList(Conv(a, b, 3, draw, stride=2) for a, b in pairs)
        deepest = [Block(channels[-1], channels[-1], embedding, draw) for _ in range(2)]
        self.middle = nn.ModuleList(deepest)
        self.attention = Attention(channels[-1], draw) if attention else nn.Identity()
        self.enlarge = nn.ModuleList(Conv(b, a, 3, draw) for a, b in reversed(pairs))
        self.up = nn.ModuleList(Block(2 * c, c, embedding, draw) for c in reversed(channels))
        self.norm = Norm(width)
        self.leave = Conv(width, pixels, 3, draw, gain=0.0)
        if classes:
            self.label = Labels(classes, embedding, generator(seed, LABELS))

    @property
    def config(self) -> dict[str, object]:
        options = {"classes": self.classes, "patch": self.patch, "attention": self.attends}
        return {"class": "UNet", "shape": list(self.shape), "width": self.width, **options}

    @property
    def attends(self) -> bool:
        return isinstance(self.attention, Attention)

    def forward(self, x: Tensor, c: Tensor, label: Tensor | None = None) -> Tensor:
        lead = x.shape[:-3]
        level = noise_features(over(c, lead).reshape(-1))
        known = self.embed[1](F.silu(self.embed[0](level)))
        if label is not None:
            known = self.label(over(label, lead).reshape(-1), known)
        patches = F.pixel_unshuffle(x.reshape(-1, *self.shape), self.patch)
        return F.pixel_shuffle(self._image(patches, F.silu(known)), self.patch).reshape(x.shape)

    def _image(self, x: Tensor, embedding: Tensor) -> Tensor:
        h, passed = self.enter(x), []
        for level, block in enumerate(self.down):
            h = block(h, embedding)
            passed.append(h)
            if level < len(self.halve):
                h = self.halve[level](h)
        h = self.middle[1](self.attention(self.middle[0](h, embedding)), embedding)
        for level, block in enumerate(self.up):
            if level > 0:
                larger = F.interpolate(h, size=passed[-1].shape[-2:], mode="nearest")
                h = self.enlarge[level - 1](larger)
            h = block(torch.cat([h, passed.pop()], dim=-3), embedding)
        return self.leave(F.silu(self.norm(h)))
