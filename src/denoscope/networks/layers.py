"""The parts that networks are made of, initialised from an explicit generator and right under jvp,
vmap and stacking.

A :class:`Linear` whose weight carries a leading member axis, (m, in, out) instead of (in, out),
maps inputs (m, b, in) member by member with one batched matrix product. A network built of such
layers alone is therefore a fleet as soon as its weights are stacked.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NO_LABEL = -1
"""The label of a row that has none."""

LABELS = 1
"""Place below a network's seed of what it starts to know of labels: other weights stay alike."""

FEATURES = 16
"""How many numbers :func:`noise_features` makes of a noise level."""

_ORDER = torch.arange(
    FEATURES, dtype=torch.float64
)  # place 2j holds cos(j pi c/4), place 2j - 1 holds sin(j pi c/4)
_RATE, _PHASE = ((_ORDER + 1) / 2).floor() * (math.pi / 4), -(_ORDER % 2) * (math.pi / 2)


def normal(shape: tuple[int, ...], scale: float, generator: torch.Generator) -> nn.Parameter:
    """Independent N(0, scale^2); always draws, so that a zero scale leaves later layers alike."""
    return nn.Parameter(torch.randn(shape, generator=generator) * scale)


def over(values: Tensor, lead: tuple[int, ...]) -> Tensor:
    """Values whose shape is a prefix of ``lead``, one for each of its places."""
    return values.reshape(values.shape + (1,) * (len(lead) - values.ndim)).expand(lead)


def patched(shape: tuple[int, ...], patch: int) -> tuple[int, int, int]:
    """(channels, height, width) of an image whose pixels are patches of ``shape``; patches that do
    not fill it are a ValueError.
    """
    channels, height, width = shape
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"patches of side {patch} do not fill images of {height} x {width}")
    return channels * patch**2, height // patch, width // patch


def noise_features(c: Tensor) -> Tensor:
    """``FEATURES`` smooth functions of c = ln(sigma)/4, shape (*c.shape, FEATURES): 1 and harmonics
    of period 8, as cos and sin.

    Period 8 in c is 32 in ln(sigma): no two levels between 1e-6 and 1e6 share their features.
    """
    return torch.cos(torch.addcmul(_PHASE.to(c), c.unsqueeze(-1), _RATE.to(c)))


class Linear(nn.Module):
    """y = x W + add, without a bias of its own: W (in, out) for x (b, in), or stacked (m, in, out)
    for x (m, b, in).

    Entries of W start as N(0, gain^2/in).
    """

    def __init__(self, fan_in: int, fan_out: int, generator: torch.Generator, gain: float = 1.0):
        super().__init__()
        self.weight = normal((fan_in, fan_out), gain / math.sqrt(fan_in), generator)

    def forward(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        if add is None:
            return x @ self.weight
        multiplied = torch.addmm if self.weight.ndim == 2 else torch.baddbmm
        return multiplied(add, x, self.weight)


class Labels(Linear):
    """add + a learned vector of each label, 0 to classes - 1, or nothing for :data:`NO_LABEL`;
    labels (b,), or stacked (m, b).
    """

    def forward(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        classes = torch.arange(self.weight.shape[-2], device=x.device)
        return super().forward((x.unsqueeze(-1) == classes).to(self.weight), add)


class Conv(nn.Module):
    """A convolution that keeps the size at stride 1, halves it (up) at 2; N(0, gain^2/fan-in)."""

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        size: int,
        generator: torch.Generator,
        gain: float = 1.0,
        stride: int = 1,
    ):
        super().__init__()
        scale = gain / math.sqrt(fan_in * size**2)
        self.weight = normal((fan_out, fan_in, size, size), scale, generator)
        self.bias = nn.Parameter(torch.zeros(fan_out))
        self.stride, self.padding = stride, size // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class Norm(nn.Module):
    """Group normalisation (Wu and He 2018): 8 groups, or as many as divide the channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.groups = math.gcd(8, channels)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.groups, self.weight, self.bias)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q^T k / sqrt(channels)) v for each (..., channels, places), written out: fused
    kernels lack forward derivatives.
    """
    share = torch.softmax(q.mT @ k / math.sqrt(q.shape[-2]), dim=-1)
    return v @ share.mT


class Attention(nn.Module):
    """x + out(attention of the places of norm(x) to each other)."""

    def __init__(self, channels: int, generator: torch.Generator):
        super().__init__()
        self.norm, self.qkv = Norm(channels), Conv(channels, 3 * channels, 1, generator)
        self.out = Conv(channels, channels, 1, generator, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).flatten(-2).chunk(3, dim=-2)  # each (b, channels, places)
        return x + self.out(attend(q, k, v).reshape(x.shape))
