"""Dropout whose masks are a function of a key, so that a network alone, a fleet and a resumed
training drop the same numbers.

A number is dropped where a hash of (key, its place) is small; no stream of random numbers is read,
and derivatives and ``vmap`` see a fixed mask. There is a key only within a step of training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from denoscope.networks.layers import over

_WORD = (1 << 32) - 1
_APART = 0x9E3779B9  # between the keys of steps, and of layers


class Dropout(nn.Module):
    """h with every number zero with probability ``rate`` and the others divided by 1 - rate
    (Srivastava et al. 2014), in training mode and where there is a ``key``, whose shape is a prefix
    of h's; h itself otherwise.
    """

    key: Tensor | None

    def __init__(self, rate: float = 0.0):
        super().__init__()
        self.rate = rate
        self.register_buffer("key", None, persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        if self.key is None or not self.training:
            return h
        own = h.shape[self.key.ndim :]
        place = _mixed(torch.arange(math.prod(own), device=h.device).reshape(own))
        bits = _mixed(over(_mixed(self.key), h.shape) ^ place)
        return h * (bits >= self.rate * (_WORD + 1)).to(h) / (1 - self.rate)


def drop_out(net: nn.Module, rate: float) -> None:
    """Gives all layers of dropout in ``net`` this rate."""
    if not 0 <= rate < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {rate}")
    for layer in net.modules():
        if isinstance(layer, Dropout):
            layer.rate = rate


def told(rate: float) -> dict[str, float]:
    """A rate as a part of a network's configuration, which is as it always was without one."""
    return {"dropout": rate} if rate else {}


def dropping_layers(net: nn.Module) -> list[Dropout]:
    """The layers of ``net`` that drop anything."""
    return [layer for layer in net.modules() if isinstance(layer, Dropout) and layer.rate]


@contextmanager
def dropping(layers: Sequence[Dropout], noise: Tensor, step: int, fleet: bool) -> Iterator[None]:
    """Lets ``layers`` drop: what a network, or each member of a fleet, drops is a function of the
    ``step`` and of the ``noise`` (b, *shape), or (m, b, *shape), that it is given there.
    """
    for place, layer in enumerate(layers):
        layer.key = _mixed(_bits(noise, fleet) + step * _APART) + place * _APART
    try:
        yield
    finally:
        for layer in layers:
            layer.key = None


def _bits(noise: Tensor, fleet: bool) -> Tensor:
    """The sum of the bit patterns of the noise of a network, or of each member, int64."""
    rows = noise.float().reshape(*noise.shape[:fleet], -1).contiguous()
    return rows.view(torch.int32).sum(-1, dtype=torch.int64)


def _mixed(x: Tensor) -> Tensor:
    """32 well mixed bits of integers: multiplications by odd constants between shifts, each of
    which can be undone.
    """
    x = x & _WORD
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ((x ^ (x >> shift)) * factor) & _WORD
    return x ^ (x >> 16)
