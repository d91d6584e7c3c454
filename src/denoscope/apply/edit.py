"""Local edits of images along the leading singular vectors of a masked Jacobian (Chen et al. 2024,
"LOCO Edit").

An image x0 is inverted to the state x at the noise level sigma, moved, and sampled back without
noise. With J = dD/dx at x and P the projection onto the pixels of a mask,

    P J       = U S V^T        v = V e_k changes the posterior mean inside most,
    (1 - P) J = U' S' V'^T     its leading vectors V' outside,
    v <- (1 - V' V'^T) v / |(1 - V' V'^T) v|,      x0(s) = sample(x + l v),

l = s sqrt(n) sqrt(1 + sigma^2) for n numbers an image: the strength s is a step in parts of sqrt(n)
in variance-preserving coordinates, x/sqrt(1 + sigma^2), whose length is about sqrt(n). Only outputs
are masked: a direction may move the state anywhere. Where D is linear along v the edit is linear in
s, flips with its sign, is the same on every image and adds up with others. A singular vector is
known as far as its value is apart from the others: its angle to the true one is at most residual
over gap, and vectors of values that are not apart may be turned into one another.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from denoscope.geometry.field import Field
from denoscope.geometry.jacobians import vjp
from denoscope.geometry.krylov import Operator
from denoscope.geometry.singular import apart, block_of, gaps, groups, leading, together
from denoscope.geometry.subspaces import project_out
from denoscope.sampling import euler, invert, sample
from denoscope.types import Denoiser, Step, pad

RANK = 5
"""Leading vectors of the outside that are projected off, as published; small images need more."""
REFINED = 3
"""Times that each step of an inversion is refined."""
BATCH = 256
"""Images that are sampled at once."""
BEYOND = 0.05
"""How far beyond [-1, 1], and beyond what the unedited image is, an edit may be unsaid."""
KEPT = 1e-3
"""The least part of a direction that must be left off the outside's vectors."""


class Directions(NamedTuple):
    """Unit ``vectors`` (*b, k, *shape) by descending singular ``values`` (*b, k) of the masked
    Jacobian; ``gap`` (*b, k) from each value to the nearest other, and ``residual`` (*b, k).
    """

    vectors: Tensor
    values: Tensor
    gap: Tensor
    residual: Tensor

    @property
    def angle(self) -> Tensor:
        """At most so many radians from the true singular vector, before projection (*b, k); pi/2
        says that the value has no gap.
        """
        return (self.residual / self.gap).nan_to_num(1.0).clamp(max=1.0).asin()


class Edited(NamedTuple):
    """``images`` (len(strengths), *b, *shape), and the image decoded ``unedited`` (*b, *shape): all
    change is measured against it, and its distance to the original is the round trip's error.
    """

    images: Tensor
    unedited: Tensor

    @property
    def change(self) -> Tensor:
        return self.images - self.unedited


def directions(
    D: Denoiser,
    x: Tensor,
    sigma: Tensor | float,
    mask: Tensor,
    k: int = 5,
    *,
    project: bool = True,
    rank: int = RANK,
    tolerance: float = 1e-2,
    seed: int = 0,
) -> Directions:
    """The k directions at each state x (*b, *shape), sigma () or (*b), that change the posterior
    mean inside the ``mask`` (*shape), True inside, most.

    ``project``: off the ``rank`` leading ones of the outside. Both are within ``tolerance`` radians
    where their values are more than ``tolerance`` of the first apart. Of v and -v, that is taken
    which raises the sum over the mask. A mask that is empty, full or does not fit, a k that it does
    not hold, and a direction of which projection leaves nothing are a ValueError.
    """
    batch, levels = _points(x, sigma, mask)
    inside = Operator(Field(D, x, levels), _outputs(mask))
    if not 1 <= k <= inside.shape[0]:
        raise ValueError(f"k must be from 1 to {inside.shape[0]}, the mask's size, got {k}")
    found = []
    for part in groups(inside, block_of(k)):
        U, S, V, r = leading(part, k, apart(tolerance), seed)
        V = V * torch.where(U.sum(1) < 0, -1.0, 1.0)[:, None]
        if project:
            V = _off(V, part.beside(_outputs(~mask)), rank, tolerance, seed)
        found.append((V.mT, S[:, :k], gaps(S), r))
    vectors, *numbers = (torch.cat(side).to(x.dtype) for side in zip(*found))
    return Directions(
        vectors.reshape(*batch, k, *mask.shape), *(part.reshape(*batch, k) for part in numbers)
    )


def toward(
    D: Denoiser,
    target: Denoiser,
    x: Tensor,
    sigma: Tensor | float,
    mask: Tensor,
    *,
    project: bool = True,
    rank: int = RANK,
    tolerance: float = 1e-2,
    seed: int = 0,
) -> Tensor:
    """The unit direction (*b, *shape) that takes D's posterior mean inside the mask toward that of
    ``target``, such as ``given(D, label)``: ``v = J_target^T P (target(x) - D(x))``, then off the
    outside's leading ones of D.

    Arguments and errors as of :func:`directions`; two denoisers that agree inside are a ValueError.
    Source: Chen et al. 2024, algorithm 4 with text.
    """
    batch, levels = _points(x, sigma, mask)
    field = Field(D, x, levels)
    apart_by = (Field(target, x, levels).value() - field.value()) * mask.reshape(-1)
    v = vjp(target, x, levels, apart_by.reshape(x.shape)).reshape(*field.rows.shape, 1).double()
    if not bool((torch.linalg.vector_norm(v, dim=1) > 0).all()):
        raise ValueError("the denoiser and its target agree inside the mask: there is no direction")
    v = v / torch.linalg.vector_norm(v, dim=1, keepdim=True)
    if project:
        operator = Operator(field, _outputs(~mask))
        index = torch.arange(len(field), device=x.device)
        parts = ((operator.take(i), v[i]) for i in index.split(1))
        v = torch.cat([_off(one, part, rank, tolerance, seed) for part, one in parts])
    return v.to(x.dtype).reshape(*batch, *mask.shape)


def _points(x: Tensor, sigma: Tensor | float, mask: Tensor) -> tuple[torch.Size, Tensor]:
    """The batch shape of the states, and a level each."""
    if mask.dtype != torch.bool or x.shape[x.ndim - mask.ndim :] != mask.shape:
        raise ValueError(
            f"mask must be bool of an image's shape, the last of {tuple(x.shape)}, got "
            f"{mask.dtype} of shape {tuple(mask.shape)}"
        )
    if not bool(mask.any()) or bool(mask.all()):
        what = "everything, so that nothing is outside" if bool(mask.any()) else "nothing"
        raise ValueError(f"mask keeps {what}")
    batch = x.shape[: x.ndim - mask.ndim]
    levels = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    return batch, pad(levels, x.new_empty(batch)).expand(batch)


def _outputs(mask: Tensor) -> tuple[Tensor, Tensor]:
    return mask, torch.ones_like(mask)


def _off(V: Tensor, outside: Operator, rank: int, tolerance: float, seed: int) -> Tensor:
    """Unit columns V (b, n, k) off the leading vectors of the outside."""
    rank = min(rank, *outside.shape)
    if rank < 1:
        raise ValueError(f"rank must be at least 1, got {rank}: without projection, project=False")
    left = project_out(V, leading(outside, rank, together(tolerance), seed).V)
    length = torch.linalg.vector_norm(left, dim=1, keepdim=True)
    if not bool((length > KEPT).all()):
        raise ValueError(
            f"a direction lies within the {rank} leading ones of the outside: take a smaller rank"
        )
    return left / length


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
