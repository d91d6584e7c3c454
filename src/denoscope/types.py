"""The nouns of the library: what a denoiser is, and the one shape rule that everything follows.

A denoiser is any callable ``D(x, sigma) -> E[x0 | x]`` for ``x = x0 + sigma * n`` with standard
normal ``n`` (variance-exploding coordinates, images in [-1, 1]). ``sigma.shape`` is a prefix of
``x.shape``: ``()`` for one level, ``(b,)`` for one level per point, ``(m, b)`` for m networks with
b points each. :func:`pad` states that rule once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""``D(x, sigma) -> E[x0 | x]``, same shape as ``x``."""

Noise = Callable[[Tensor], Tensor]
"""``noise(x)``: standard normal of the shape, dtype and device of ``x``."""

Levels = Callable[[int, torch.Generator], Tensor]
"""``levels(n, generator)``: n training noise levels sigma, shape (n,)."""

Step = Callable[[Denoiser, Tensor, Tensor, Tensor, "Noise | None"], Tensor]
"""``step(D, x, sigma, next_sigma, noise)``: the state at ``next_sigma``."""

Descriptor = Callable[[Tensor], Tensor]
"""``describe(images)``: (n, c, h, w) in [-1, 1] to features (n, k)."""


def pad(sigma: Tensor, x: Tensor) -> Tensor:
    """``sigma`` with trailing axes of length one, so that it broadcasts against ``x`` from the
    left.

    ``sigma.shape`` must be a prefix of ``x.shape``; anything else is a ValueError that names both
    shapes.
    """
    if sigma.shape != x.shape[: sigma.ndim]:
        raise ValueError(
            f"sigma of shape {tuple(sigma.shape)} is not a prefix of x of shape {tuple(x.shape)}"
        )
    return sigma.reshape(sigma.shape + (1,) * (x.ndim - sigma.ndim))
