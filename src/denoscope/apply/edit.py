"""Local edits of images along the leading singular vectors of a masked Jacobian (Chen et al. 2024,
"LOCO Edit").

An image x0 is inverted to the state x at the noise level sigma, moved along a direction v of
:mod:`~denoscope.apply.local_directions`, and sampled back without noise,

    x0(s) = sample(x + l v),      l = s sqrt(n) sqrt(1 + sigma^2)

for n numbers per image: the strength s is a step in parts of sqrt(n) in variance-preserving
coordinates, x/sqrt(1 + sigma^2), whose length is about sqrt(n). Where D is linear along v the edit
is linear in s, flips with its sign, is the same on every image and adds up with others.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from denoscope.apply.local_directions import Directions as Directions
from denoscope.apply.local_directions import directions as directions
from denoscope.apply.local_directions import toward as toward
from denoscope.sampling import euler, invert, sample
from denoscope.types import Denoiser, Step

REFINED = 3
"""Times that each step of an inversion is refined."""
BATCH = 256
"""Images that are sampled at once."""
BEYOND = 0.05
"""How far beyond [-1, 1], and beyond what the unedited image is, an edit may be unsaid."""


class Edited(NamedTuple):
    """``images`` (len(strengths), *b, *shape), and the image decoded ``unedited`` (*b, *shape): all
    change is measured against it, and its distance to the original is the round trip's error.
    """

    images: Tensor
    unedited: Tensor

    @property
    def change(self) -> Tensor:
        return self.images - self.unedited


def length(strength: Tensor, n: int, sigma: Tensor | float) -> Tensor:
    """The step of a strength for images of n numbers, in variance-exploding coordinates."""
    return strength * math.sqrt(n) * torch.sqrt(1 + torch.as_tensor(sigma) ** 2).to(strength)


def edit(
    D: Denoiser,
    x0: Tensor,
    vector: Tensor,
    strengths: Sequence[float] | Sequence[Sequence[float]] | Tensor,
    sigma: float,
    sigmas: Tensor | Sequence[float],
    *,
    step: Step = euler,
    at: str = "lower",
    refine: int = REFINED,
    batch: int = BATCH,
) -> Tensor:
    """The images of :func:`edited`."""
    how = {"step": step, "at": at, "refine": refine, "batch": batch}
    return edited(D, x0, vector, strengths, sigma, sigmas, **how).images


def edited(
    D: Denoiser,
    x0: Tensor,
    vector: Tensor,
    strengths: Sequence[float] | Sequence[Sequence[float]] | Tensor,
    sigma: float,
    sigmas: Tensor | Sequence[float],
    *,
    step: Step = euler,
    at: str = "lower",
    refine: int = REFINED,
    batch: int = BATCH,
) -> Edited:
    """Images x0 (*b, *shape) inverted to ``sigma``, moved along a unit ``vector`` (*shape) by each
    of the ``strengths`` (L,), and sampled back; with strengths (L, m) along m vectors (m, *shape).

    ``sigmas`` as for sampling: those at ``sigma`` and above are dropped. ``at``, ``refine``: as in
    :func:`~denoscope.sampling.invert`. The image need not be the one, nor ``sigma`` the level, at
    which the vector was found. ``batch`` images pass at once. Never clamped: a UserWarning says how
    far an edit leaves [-1, 1].
    """
    amounts = torch.as_tensor(strengths, dtype=x0.dtype, device=x0.device)
    vectors = vector.to(x0)[None] if amounts.ndim == 1 else vector.to(x0)
    amounts = amounts[:, None] if amounts.ndim == 1 else amounts
    event = vectors.shape[1:]
    if amounts.ndim != 2 or amounts.shape[1] != len(vectors):
        raise ValueError(
            f"strengths must be (L,) for one vector or (L, m) for m of them, got "
            f"{tuple(torch.as_tensor(strengths).shape)} for {len(vectors)}"
        )
    if not event or x0.shape[x0.ndim - len(event) :] != event:
        raise ValueError(
            f"images of shape {tuple(x0.shape)} do not end in the direction's {tuple(event)}"
        )
    levels = path(sigma, sigmas)
    rows = x0.reshape(-1, *event)
    x = invert(D, rows, levels, step, at=at, refine=refine)
    steps = length(amounts, math.prod(event), sigma)
    moved = x + torch.einsum("lm,m...->l...", steps, vectors)[:, None]
    states = torch.cat([x[None], moved])
    parts = states.reshape(-1, *event).split(batch)
    out = torch.cat([sample(D, part, levels, step) for part in parts]).reshape(states.shape)
    found = Edited(out[1:].reshape(len(amounts), *x0.shape), out[0].reshape(x0.shape))
    _warn(found, amounts)
    return found


def path(sigma: float, sigmas: Tensor | Sequence[float]) -> Tensor:
    """The levels of ``sigmas`` below ``sigma``, and it before them; none is a ValueError."""
    levels = torch.as_tensor(sigmas, dtype=torch.float64)
    below = levels[levels < sigma]
    if not len(below):
        raise ValueError(f"no level lies below sigma = {sigma:g}: there is nothing to sample down")
    return torch.cat([below.new_tensor([sigma]), below])


def _warn(found: Edited, amounts: Tensor) -> None:
    """Says how far edits leave the range of images."""
    reach = found.images.abs().flatten(1).amax(1) - found.unedited.abs().max().clamp(min=1)
    if bool((reach > BEYOND).any()):
        worst = int(reach.argmax())
        image = found.images[worst]
        share = float((image.abs() > 1 + BEYOND).double().mean())
        strength = ", ".join(f"{amount:g}" for amount in amounts[worst].tolist())
        warnings.warn(
            f"the edit of strength {strength} leaves the range of images: up to "
            f"{float(image.abs().max()):.2f}, {share:.0%} of its numbers are beyond [-1, 1]; "
            "nothing was clamped",
            stacklevel=3,
        )
