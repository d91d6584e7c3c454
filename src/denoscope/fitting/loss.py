"""The denoising loss and its weights over noise levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from denoscope.types import Denoiser, pad

Weight = Callable[[Tensor], Tensor]
"""A loss weight as a function of sigma, of sigma's shape."""


class Loss(Protocol):
    """``loss(D, x0, sigma, noise, weight)``, shape sigma.shape[:-1]. One that changes as training
    goes on has ``at(step)``, the loss at that step, and ``fingerprint()``, a hash of all in it; one
    that learns has ``learned()``, JSON for a checkpoint, and ``take_up`` of it.
    """

    def __call__(
        self, D: Denoiser, x0: Tensor, sigma: Tensor, noise: Tensor, weight: Weight | None = None
    ) -> Tensor: ...


def flat(sigma: Tensor) -> Tensor:
    """The weight 1 at every level."""
    return torch.ones_like(sigma)


def snr(sigma: Tensor) -> Tensor:
    """The weight 1/sigma^2: the loss of predicting the noise (Ho et al. 2020, eq. 14)."""
    return sigma**-2


def min_snr(sigma: Tensor, cap: float = 5.0) -> Tensor:
    """The weight min(1/sigma^2, cap) (Hang et al. 2023, section 3.4)."""
    return snr(sigma).clamp(max=cap)


def denoising_loss(
    D: Denoiser, x0: Tensor, sigma: Tensor, noise: Tensor, weight: Weight | None = None
) -> Tensor:
    """The mean of weight(sigma) |D(x0 + sigma noise, sigma) - x0|^2 over pixels and the last axis
    of sigma, shape sigma.shape[:-1].

    A scalar for a network with sigma (b,), one loss per member for a fleet with sigma (m, b).
    ``weight`` is D's own where it has one, else 1.
    """
    errors = weighted_errors(D, x0, sigma, noise, weight)
    return errors.mean(-1) / math.prod(x0.shape[sigma.ndim :])


def weighted_errors(
    D: Denoiser, x0: Tensor, sigma: Tensor, noise: Tensor, weight: Weight | None = None
) -> Tensor:
    """weight(sigma) |D(x0 + sigma noise, sigma) - x0|^2 of every row, of sigma's shape."""
    own: Weight = getattr(D, "weight", flat)
    answer = D(torch.addcmul(x0, pad(sigma, x0), noise), sigma)
    error = F.mse_loss(answer, x0, reduction="none").flatten(sigma.ndim)
    return (weight or own)(sigma) * error.sum(-1)
