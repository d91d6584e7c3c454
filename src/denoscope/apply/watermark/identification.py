"""Identification: which of K keys does an image carry?

All K p-values of an image are adjusted together, so that an image that does not depend on the keys
is given to any of them with a probability of at most the level (Holm 1979), whatever the keys have
in common. Where every image is marked with one key, an image that carries several was made from
several: it is given to none (the rule "exactly one key" of arXiv 2507.07871 against forging).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from denoscope.apply.watermark.carriers import Carrier
from denoscope.apply.watermark.detection import readings_of_keys


class Identified(NamedTuple):
    """The ``key`` (n,) whose mark each image carries, -1 where none or several; how ``many`` (n,)
    were found; ``adjusted`` p-values (n, K).
    """

    key: Tensor
    many: Tensor
    adjusted: Tensor


def holm(p: Tensor) -> Tensor:
    """p-values (*b, K) adjusted for K tests together: the family-wise error is at most the level.

    Source: Holm 1979.
    """
    count = p.shape[-1]
    ordered, order = p.sort(-1)
    weights = torch.arange(count, 0, -1, dtype=p.dtype, device=p.device)
    stepped = (ordered * weights).cummax(-1).values.clamp(max=1)
    return torch.empty_like(p).scatter_(-1, order, stepped)


def exactly_one(adjusted: Tensor, level: float = 0.01) -> tuple[Tensor, Tensor]:
    """The key (*b) of adjusted p-values (*b, K) at or below the level, -1 unless it is the only
    one, and how many there are (*b).
    """
    found = adjusted <= level
    many = found.sum(-1)
    return torch.where(many == 1, adjusted.argmin(-1), -1), many


def identify(z: Tensor, directions: Tensor, space: Carrier, level: float = 0.01) -> Identified:
    """Which of K unit ``directions`` (K, *shape) of the carrier states z (n, *shape) carry, at the
    family-wise ``level``.
    """
    adjusted = holm(readings_of_keys(z, directions, space).p)
    return Identified(*exactly_one(adjusted, level), adjusted)
