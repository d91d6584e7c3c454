"""Training and held-out images before anything is measured: what cannot be compared is refused."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from denoscope.metrics.shares import quotient
from denoscope.nearest import neighbors

LEAST = 4
"""Images of a set, at least: a threshold is chosen by one half of them and counted on the other."""
_SAME = 1e-3  # standard deviations, per number: images nearer than this are one image
_THIRD, _MANY = 1 / 3, 0.05  # a larger share of held-out images so near is said


def as_images(x: Tensor, name: str) -> Tensor:
    """Images or rows (N, *shape) as float32 on the CPU; too few, other types and values that are
    not finite are a ValueError.
    """
    x = torch.as_tensor(x).detach().cpu()
    if x.ndim < 2 or not x.is_floating_point() or len(x) < LEAST:
        raise ValueError(
            f"{name} needs at least {LEAST} images (or rows) as floats of shape (N, *shape), got "
            f"{x.dtype} of shape {tuple(x.shape)}"
        )
    if not bool(torch.isfinite(x).all()):
        raise ValueError(f"{name} has values that are not finite")
    return x.float()


def refuse_unlike(held: Tensor, train: Tensor, spread: float) -> None:
    """Held-out images of another shape, or that are training images, are a ValueError; many that
    are as near to one as copies are, a warning.
    """
    if held.shape[1:] != train.shape[1:]:
        raise ValueError(
            f"held has images of shape {tuple(held.shape[1:])} and train of shape "
            f"{tuple(train.shape[1:])}: prepare both in the same way"
        )
    found = neighbors(held.flatten(1), train.flatten(1), 2).distance
    same = (found[:, 0] / math.sqrt(held[0].numel()) < _SAME * spread).nonzero()[:, 0]
    if len(same):
        numbers = ", ".join(map(str, same[:5].tolist())) + (" ..." if len(same) > 5 else "")
        raise ValueError(
            f"{len(same)} of {len(held)} held-out images are training images (numbers {numbers}): "
            "hold out images that are not trained on"
        )
    near = int((quotient(*found.T) < _THIRD).sum())
    if near > _MANY * len(held):
        warnings.warn(
            f"{near} of {len(held)} held-out images are nearer to a training image than a third of "
            "the distance to the next: if they are versions of training images, copies among "
            "samples cannot be told from them; hold out others",
            stacklevel=4,
        )
