"""Embedding: a state at the key's noise level moved inside the carrier by a step of length
``lambda sqrt(1 + sigma^2)``, lambda in variance-preserving coordinates, and decoded.

With u the state's own part in the carrier, k the key and L that length:

    additive       u + L k
    informed       the point of the ball of radius L about u that has the largest cosine with k
    replace        L k: the own part is lost, and the length of the step is what it happens to be

With u = a k + b e, e a unit vector across k, b >= 0: where the ball reaches the key's ray (b <= L)
informed takes the farthest point on it, ``(a + sqrt(L^2 - b^2)) k``; else the point where a line
from the origin touches the ball, at the distance ``sqrt(|u|^2 - L^2)`` (Miller, Doerr and Cox
2004 call this informed embedding).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from denoscope.apply.edit import BATCH, REFINED, path
from denoscope.apply.watermark.carriers import Carrier
from denoscope.apply.watermark.detection import states
from denoscope.apply.watermark.keys import Key
from denoscope.sampling import euler, sample
from denoscope.types import Denoiser

WAYS = ("additive", "informed", "replace")


class Marked(NamedTuple):
    """``images`` and the same decoded ``unmarked``, (n, *shape), never clamped, and the ``length``
    (n,) of the step in variance-preserving coordinates.
    """

    images: Tensor
    unmarked: Tensor
    length: Tensor


def mark(
    x: Tensor, direction: Tensor, space: Carrier, sigma: float, strength: float, how: str
) -> Tensor:
    """States x (n, *shape) at ``sigma`` moved toward a unit ``direction`` ((n,) *shape) of the
    carrier by ``strength``, in variance-preserving coordinates; float64.
    """
    if how not in WAYS:
        raise ValueError(f"how must be one of {', '.join(WAYS)}, got {how!r}")
    if not strength >= 0:
        raise ValueError(f"strength must be at least 0, got {strength}")
    step = strength * (1 + sigma**2) ** 0.5
    k = direction.to(x.device).double().expand(x.shape).flatten(1)
    if how == "additive":
        return x.double() + (step * k).reshape(x.shape)
    own = space.project(x).flatten(1)
    new = step * k if how == "replace" else _nearest_to_key(own, k, step)
    return x.double() + (new - own).reshape(x.shape)


def _nearest_to_key(own: Tensor, k: Tensor, step: float) -> Tensor:
    """The points within ``step`` of rows ``own`` (n, d) with the largest cosine with rows k."""
    along = (own * k).sum(1, keepdim=True)
    across = own - along * k
    b = across.norm(dim=1, keepdim=True)
    across = across / b.clamp(min=torch.finfo(own.dtype).tiny)
    ray = along + (step**2 - b**2).clamp(min=0).sqrt()
    length = torch.hypot(along, b)
    angle = torch.atan2(b, along) - (step / length.clamp(min=step)).nan_to_num(1.0).asin()
    touching = (length**2 - step**2).clamp(min=0).sqrt()
    touch = touching * (angle.cos() * k + angle.sin() * across)
    return torch.where((b <= step) & (ray > 0), ray * k, touch)


def embed(
    D: Denoiser,
    x0: Tensor,
    key: Key,
    strength: float,
    sigmas: Tensor | Sequence[float],
    *,
    how: str = "additive",
    refine: int = REFINED,
    batch: int = BATCH,
) -> Tensor:
    """The images of :func:`marked`."""
    return marked(D, x0, key, strength, sigmas, how=how, refine=refine, batch=batch).images


def marked(
    D: Denoiser,
    x0: Tensor,
    key: Key,
    strength: float,
    sigmas: Tensor | Sequence[float],
    *,
    direction: Tensor | None = None,
    how: str = "additive",
    refine: int = REFINED,
    batch: int = BATCH,
) -> Marked:
    """Given images x0 (n, *shape) inverted to the key's level along ``sigmas``, marked and decoded.

    ``sigmas`` fall; those at the key's level and above are dropped. ``direction`` ((n,) *shape) of
    the carrier takes the place of the key's own, such as that of a message.
    """
    key.check(x0.shape[1:])
    levels = path(key.sigma, sigmas)
    x = states(D, x0, key.sigma, sigmas, refine=refine, batch=batch)
    toward = key.direction if direction is None else direction
    return decoded(D, x, mark(x, toward, key.space, key.sigma, strength, how), levels, batch)


def sampled(
    D: Denoiser,
    x: Tensor,
    key: Key,
    strength: float,
    sigmas: Tensor | Sequence[float],
    *,
    direction: Tensor | None = None,
    how: str = "additive",
    batch: int = BATCH,
) -> Marked:
    """Images sampled by DDIM from states x (n, *shape) at the first of ``sigmas``, and marked on
    the way at the key's level, which must not lie above it: else a ValueError.
    """
    key.check(x.shape[1:])
    levels = torch.as_tensor(sigmas, dtype=torch.float64)
    if key.sigma > float(levels[0]) * (1 + 1e-9):
        raise ValueError(f"the key's level {key.sigma:g} lies above the first, {levels[0]:g}")
    above = levels[levels > key.sigma * (1 + 1e-9)]
    if len(above):
        down = torch.cat([above, above.new_tensor([key.sigma])])
        x = torch.cat([sample(D, part, down, euler) for part in x.split(batch)])
    toward = key.direction if direction is None else direction
    moved = mark(x, toward, key.space, key.sigma, strength, how)
    return decoded(D, x, moved, path(key.sigma, levels), batch)


def decoded(D: Denoiser, x: Tensor, moved: Tensor, levels: Tensor, batch: int = BATCH) -> Marked:
    """States x (n, *shape) at the first of ``levels``, and the same ``moved``, sampled down."""
    length = (moved - x).flatten(1).norm(dim=1) / float(1 + levels[0] ** 2) ** 0.5
    both = torch.cat([moved.to(x), x])
    out = torch.cat([sample(D, part, levels, euler) for part in both.split(batch)])
    return Marked(out[: len(x)], out[len(x) :], length)
