"""Copies of which it is known that they are copies: perturbed training images, and perturbed
features where there are no images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from denoscope.audit.findings import MOVED, NEAR
from denoscope.data.perturb import PERTURBATIONS
from denoscope.nearest import features, neighbors
from denoscope.random import derive, generator

_NOISE = 0.1
_TRIED = 8  # images on which a perturbation is tried out


def plant(images: Tensor, count: int, seed: int) -> dict[str, Tensor]:
    """``count`` training images (n, c, h, w) in [-1, 1], drawn with ``seed``, after each
    perturbation that :func:`left_out` does not name.

    Row j of every entry is made from the same image; fewer images than ``count`` are all taken.
    """
    chosen = images[drawn(len(images), count, seed)]
    without = left_out(chosen)
    words = [word for word in (*NEAR, *MOVED) if word not in without]
    return {
        word: PERTURBATIONS[word](chosen, derive(seed, place)) for place, word in enumerate(words)
    }


def left_out(images: Tensor) -> dict[str, str]:
    """Perturbations that cannot be applied to images of this shape, or leave them as they are, and
    why.
    """
    reasons = {}
    for word in (*NEAR, *MOVED):
        try:
            if torch.equal(PERTURBATIONS[word](images[:_TRIED], 0), images[:_TRIED]):
                reasons[word] = f"{word} leaves these images as they are"
        except ValueError as error:
            reasons[word] = str(error)
    return reasons


def plant_features(train: Tensor, count: int, seed: int) -> dict[str, Tensor]:
    """Training rows (n, k) plus normal noise a tenth as long, on average, as the median distance of
    these rows to their nearest others.

    Where files hold features and no images, nothing better is known of copies. Fewer than two rows
    are a ValueError.
    """
    rows = features(train, "train")
    at = drawn(len(rows), count, seed)
    chosen = rows[at]
    nearest = neighbors(chosen, rows, exclude=torch.stack([torch.arange(len(at)), at], 1)).distance[
        :, 0
    ]
    apart = nearest[nearest > 0]
    length = _NOISE * float(apart.median()) if len(apart) else 0.0
    noise = torch.randn(chosen.shape, generator=generator(seed, 1), dtype=chosen.dtype)
    return {"noise": chosen + length / chosen.shape[1] ** 0.5 * noise}


def drawn(n: int, count: int, seed: int) -> Tensor:
    """Which of n training images are planted, int64 (at most ``count``,)."""
    return torch.randperm(n, generator=generator(seed))[:count]
