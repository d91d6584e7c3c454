"""How long a cell takes, estimated from the arithmetic it does."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

RATES = {"mlp": 33e9, "unet": 55e9}
"""Floating-point operations a second of one core, all overheads counted; measured with `denoscope
run phase_transition` on a 2-core machine.
"""

MEASURING = 0.5
"""Seconds a cell for its metrics."""


@lru_cache(maxsize=64)
def operations(kind: Callable[..., nn.Module], shape: tuple[int, ...], width: int) -> int:
    """Floating-point operations of one forward pass for one image."""
    with torch.device("meta"):
        net = kind(shape, width)
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(1, *shape), torch.empty(1))
    return counter.get_total_flops()


def seconds(
    kind: Callable[..., nn.Module],
    name: str,
    shape: tuple[int, ...],
    width: int,
    *,
    trained: int,
    sampled: int,
) -> float:
    """Seconds of one core for ``trained`` forward and backward passes and ``sampled`` forward ones,
    an image each.
    """
    return operations(kind, shape, width) * (3 * trained + sampled) / RATES[name] + MEASURING
