"""What an edit changed: how much inside the mask, how much of it, how linearly in its strength.

Changes are images less the image decoded unedited, (..., c, h, w); a mask broadcasts to them.
"""

from __future__ import annotations

import torch
from torch import Tensor

IMAGE = (-3, -2, -1)


def size(delta: Tensor, mask: Tensor) -> Tensor:
    """The root mean square change of the pixels of a mask, (...)."""
    return (_energy(delta, mask) / mask.sum(IMAGE)).sqrt()


def share(delta: Tensor, mask: Tensor) -> Tensor:
    """The share of the squared change that lies inside the mask, (...); 0 where nothing changes."""
    return (_energy(delta, mask) / delta.square().sum(IMAGE)).nan_to_num(0.0)


def leak(delta: Tensor, mask: Tensor) -> Tensor:
    """The change outside a pixel over that inside and outside, root mean squares, (...): 1/2 where
    it is the same everywhere, whatever the mask's area; 0 where nothing changes.
    """
    outside = size(delta, ~mask)
    return (outside / (outside + size(delta, mask))).nan_to_num(0.0)


def proportional(delta: Tensor, strengths: Tensor) -> Tensor:
    """R^2: the share of the squared change of (P, ..., c, h, w) at P strengths that is proportional
    to the strength, pixel by pixel, (...); 0 where nothing changes.
    """
    slope = torch.einsum("p,p...->...", strengths, delta) / strengths.square().sum()
    left = delta - torch.einsum("p,...->p...", strengths, slope)
    parts = [part.square().sum(IMAGE).sum(0) for part in (left, delta)]
    return torch.where(parts[1] > 0, 1 - parts[0] / parts[1], 0.0)


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """The cosine between two changes, (...)."""
    return torch.cosine_similarity(one.flatten(-3), other.flatten(-3), dim=-1)


def residual(both: Tensor, *each: Tensor) -> Tensor:
    """How far the change by several edits at once is from the sum of their changes, over its own
    norm, (...).
    """
    off = both - sum(each)
    return torch.linalg.vector_norm(off, dim=IMAGE) / torch.linalg.vector_norm(both, dim=IMAGE)


def _energy(delta: Tensor, mask: Tensor) -> Tensor:
    return (delta.square() * mask).sum(IMAGE)
