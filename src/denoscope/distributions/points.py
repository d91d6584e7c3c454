"""Points as rows of numbers: what every closed form does with the axes of x and sigma."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from denoscope.types import pad

LEAST_SIGMA = 1e-12
"""Lower levels are raised to this: a posterior mean at 0 is its limit, never 0/0."""


def rows(
    x: Tensor, sigma: Tensor | float, event_shape: torch.Size, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """``x`` as (b, n) and ``sigma`` as (b, 1), both in ``dtype`` or x's own where that is wider.

    The last axes of ``x`` must be ``event_shape``, those before are batch, and sigma's shape a
    prefix of the batch axes; else a ValueError.
    """
    batch = x.ndim - len(event_shape)
    if batch < 0 or x.shape[batch:] != event_shape:
        raise ValueError(
            f"x of shape {tuple(x.shape)} does not end in the event shape {tuple(event_shape)}"
        )
    level = torch.as_tensor(sigma, device=x.device)
    if level.ndim > batch:
        raise ValueError(
            f"sigma of shape {tuple(level.shape)} has more axes than the batch "
            f"{tuple(x.shape[:batch])} of x"
        )
    wide = torch.promote_types(x.dtype, dtype)
    count = math.prod(x.shape[:batch])
    level = pad(level, x).expand(x.shape[:batch] + (1,) * len(event_shape))
    return x.reshape(count, event_shape.numel()).to(wide), level.reshape(count, 1).to(
        wide
    ).clamp_min(LEAST_SIGMA)


def batch_shape(x: Tensor, event_shape: torch.Size) -> torch.Size:
    """The axes of ``x`` before its event shape."""
    return x.shape[: x.ndim - len(event_shape)]


def log_weights(weights: Tensor | None, count: int, like: Tensor) -> Tensor:
    """The logarithms of ``count`` weights, normalised; None is equal weights. (count,)."""
    given = like.new_ones(count) if weights is None else torch.as_tensor(weights).to(like)
    if given.shape != (count,) or not bool((given >= 0).all()) or not bool(given.sum() > 0):
        raise ValueError(
            f"weights must be {count} non-negative numbers with a positive sum, got "
            f"{given.tolist()}"
        )
    return (given / given.sum()).log()
