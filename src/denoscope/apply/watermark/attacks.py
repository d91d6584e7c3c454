"""Attacks on marks that take a model or several images; those on one image alone are in
:mod:`denoscope.data.perturb`. All take and give images as files have them, 8 bits per number.

    regenerated      x0 + sigma n sampled down again by a model: noise at "0.3T" takes fine marks
    mark_estimate    mean of n marked images, less the mean of n clean ones where there are any:
                     what all marks of one key have in common, as their images differ
    subtracted       an image less the estimate: removal
    forged           a clean image plus the estimate: the key's owner is blamed for it
    re-marked        a second key embedded in a marked image (``embed`` once more)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from denoscope.apply.edit import path
from denoscope.data.images import from_uint8, to_uint8
from denoscope.random import generator
from denoscope.sampling import euler, sample
from denoscope.types import Denoiser


def as_stored(images: Tensor) -> Tensor:
    """Images in [-1, 1] as an 8-bit file gives them back, in their type."""
    return from_uint8(to_uint8(images)).to(images)


def regenerated(
    D: Denoiser,
    images: Tensor,
    sigma: float,
    sigmas: Tensor | Sequence[float],
    seed: int = 0,
    rows: Sequence[int] | None = None,
) -> Tensor:
    """Images (n, *shape) with noise of level ``sigma`` added and sampled down by D: image i from
    (seed, i), or from (seed, rows[i]).
    """
    draws = (generator(seed, i) for i in (range(len(images)) if rows is None else rows))
    noise = [torch.randn(images.shape[1:], generator=draw) for draw in draws]
    noisy = images + sigma * torch.stack(noise).to(images)
    return as_stored(sample(D, noisy, path(sigma, sigmas), euler))


def mark_estimate(marked: Tensor, clean: Tensor | None = None) -> Tensor:
    """What n marked images (n, *shape) have in common (*shape): their mean, less that of ``clean``
    ones where the attacker has any.
    """
    mean = marked.mean(0)
    return mean if clean is None else mean - clean.mean(0)


def subtracted(images: Tensor, estimate: Tensor, strength: float = 1.0) -> Tensor:
    """Images (n, *shape) less ``strength`` times the estimate."""
    return as_stored(images - strength * estimate)


def forged(clean: Tensor, estimate: Tensor, strength: float = 1.0) -> Tensor:
    """Clean images (n, *shape) plus ``strength`` times the estimate."""
    return as_stored(clean + strength * estimate)
