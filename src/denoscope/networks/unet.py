"""A U-Net for images from 8 x 8 to 64 x 64, grey or colour, of even or odd size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from denoscope.networks.dropout import Dropout, drop_out, told
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
        self.drop = Dropout()

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.noise(embedding)[..., None, None].chunk(2, dim=-3)
        inner = torch.addcmul(shift, self.norm2(self.conv1(F.silu(self.norm1(h)))), 1 + scale)
        return self.straight(h) + self.conv2(self.drop(F.silu(inner)))


def level_channels(width: int, *sides: int) -> list[int]:
    """Channels at each resolution, the full one first."""
    return [width, *[2 * width] * (level_count(*sides) - 1)]


def add_encoder(
    net: Any, pixels: int, channels: Sequence[int], embedding: int, draw: torch.Generator
) -> None:
    """Gives ``net`` the way down, and the embedding of noise levels."""
    net.embed = nn.ModuleList(
        [Linear(FEATURES, embedding, draw), Linear(embedding, embedding, draw)]
    )
    net.enter = Conv(pixels, channels[0], 3, draw)
    net.down = nn.ModuleList(Block(c, c, embedding, draw) for c in channels)
    net.halve = nn.ModuleList(Conv(a, b, 3, draw, stride=2) for a, b in pairwise(channels))


def add_decoder(
    net: Any,
    pixels: int,
    given: Sequence[int],
    channels: Sequence[int],
    embedding: int,
    draw: torch.Generator,
    attention: bool = True,
) -> None:
    """Gives ``net`` bottom and way up in ``channels``; an encoder's maps have those ``given``."""
    deepest, pairs = channels[-1], list(pairwise(channels))
    blocks = [Block(c, deepest, embedding, draw) for c in (given[-1], deepest)]
    net.middle = nn.ModuleList(blocks)
    net.attention = Attention(deepest, draw) if attention else nn.Identity()
    net.enlarge = nn.ModuleList(Conv(b, a, 3, draw) for a, b in reversed(pairs))
    met = reversed(list(zip(channels, given)))
    net.up = nn.ModuleList(Block(c + g, c, embedding, draw) for c, g in met)
    net.norm = Norm(channels[0])
    net.leave = Conv(channels[0], pixels, 3, draw, gain=0.0)


def encoded(net: Any, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The way down: what arrives at the bottom, and the map of each resolution."""
    h, passed = net.enter(x), []
    for level, block in enumerate(net.down):
        h = block(h, embedding)
        passed.append(h)
        if level < len(net.halve):
            h = net.halve[level](h)
    return h, passed


def decoded(net: Any, h: Tensor, passed: Sequence[Tensor], embedding: Tensor) -> Tensor:
    """Bottom and way up, with the maps of the way down."""
    h = net.middle[1](net.attention(net.middle[0](h, embedding)), embedding)
    for level, (block, met) in enumerate(zip(net.up, reversed(passed))):
        if level > 0:
            larger = F.interpolate(h, size=met.shape[-2:], mode="nearest")
            h = net.enlarge[level - 1](larger)
        h = block(torch.cat([h, met], dim=-3), embedding)
    return net.leave(F.silu(net.norm(h)))


class UNet(nn.Module):
    """``net(x, c, label)`` for x (*lead, channels, height, width) and c, one number per level,
    with a prefix of ``lead`` as its shape, as has label: 0 to ``classes`` - 1, or -1 for none.

    It works on patches of ``patch`` x ``patch`` pixels, each a pixel of patch^2 as many channels.
    ``width`` channels at full resolution and twice as many below (:func:`level_count`), one
    residual block per level on either way, a block, self-attention and a block at the bottom; noise
    levels scale and shift every block. Odd sizes are halved rounding up, and enlarged to the size
    of the way down. The initial weights are a function of ``seed``; the network starts as zero.
    ``dropout``: the share of each block's numbers before its last convolution that a step of
    training leaves out.
    """

    embed: nn.ModuleList

    def __init__(
        self,
        shape: Iterable[int],
        width: int = 32,
        *,
        seed: int = 0,
        classes: int = 0,
        patch: int = 1,
        attention: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.shape, self.width, self.classes, self.patch = tuple(shape), width, classes, patch
        self.dropout = dropout
        if len(self.shape) != 3 or min(*self.shape, width, classes + 1) < 1:
            raise ValueError(
                "a U-Net needs a shape (channels, height, width), a width of at least 1 and "
                f"classes of at least 0, got shape {self.shape}, width {width}, classes {classes}"
            )
        pixels, *sides = patched(self.shape, patch)
        draw, embedding = generator(seed), 4 * width
        channels = level_channels(width, *sides)
        add_encoder(self, pixels, channels, embedding, draw)
        add_decoder(self, pixels, channels, channels, embedding, draw, attention)
        drop_out(self, dropout)
        if classes:
            self.label = Labels(classes, embedding, generator(seed, LABELS))

    @property
    def config(self) -> dict[str, object]:
        options = {"classes": self.classes, "patch": self.patch, "attention": self.attends}
        size = {"shape": list(self.shape), "width": self.width}
        return {"class": "UNet", **size, **options, **told(self.dropout)}

    @property
    def attends(self) -> bool:
        return isinstance(self.attention, Attention)

    def forward(self, x: Tensor, c: Tensor, label: Tensor | None = None) -> Tensor:
        lead = x.shape[:-3]
        level = noise_features(over(c, lead).reshape(-1))
        known = self.embed[1](F.silu(self.embed[0](level)))
        if label is not None:
            known = self.label(over(label, lead).reshape(-1), known)
        patches, embedding = (
            F.pixel_unshuffle(x.reshape(-1, *self.shape), self.patch),
            F.silu(known),
        )
        image = decoded(self, *encoded(self, patches, embedding), embedding)
        return F.pixel_shuffle(image, self.patch).reshape(x.shape)
