"""Denoisers made smoother after training: averaged over noise, or mixed with another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from denoscope.random import generator
from denoscope.types import Denoiser, pad


def blurred(
    D: Denoiser, width: float, shape: Sequence[int], *, noises: int = 4, seed: int = 0
) -> Denoiser:
    """The mean of D(x + width sigma e, sigma) over ``noises`` fixed normal e of an image's
    ``shape`` and their negatives: the score (D - x)/sigma^2 averaged over noise, whose own mean is
    zero (Scarvelis, Borde and Solomon 2023, for the score of training images).
    """
    if not width >= 0 or noises < 1:
        raise ValueError(f"width must be at least 0 and noises 1, got {width} and {noises}")
    drawn = torch.randn((noises, *shape), generator=generator(seed))
    both = torch.cat([drawn, -drawn])

    def smooth(x: Tensor, sigma: Tensor) -> Tensor:
        moved = width * pad(sigma, x)
        return torch.stack([D(x + moved * e.to(x), sigma) for e in both]).mean(0)

    return smooth


def mixed(D: Denoiser, other: Denoiser, share: float) -> Denoiser:
    """(1 - share) D + share ``other``."""
    return lambda x, sigma: torch.lerp(D(x, sigma), other(x, sigma).to(x), share)
