"""Directions of a state that change the posterior mean inside a mask and little outside (Chen et
al. 2024, "LOCO Edit").

With J = dD/dx at the state x and P the projection onto the pixels of the mask,

    P J       = U S V^T        v = V e_k changes the posterior mean inside most,
    (1 - P) J = U' S' V'^T     its leading vectors V' outside,
    v <- (1 - V' V'^T) v / |(1 - V' V'^T) v|.

Only outputs are masked: a direction may move the state anywhere. A singular vector is known as far
as its value is apart from the others: its angle to the true one is at most residual over gap, and
vectors of values that are not apart may be turned into one another.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from denoscope.geometry.field import Field
from denoscope.geometry.jacobians import vjp
from denoscope.geometry.krylov import Operator
from denoscope.geometry.singular import apart, gaps, groups, leading, together
from denoscope.geometry.subspaces import project_out
from denoscope.types import Denoiser, pad

RANK = 5
"""Leading vectors of the outside that are projected off, as published; small images need more."""
BLOCK = 3
"""Directions per step of the search: fewer take fewer products in all, and longer each."""
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
    for part in groups(inside, BLOCK):
        U, S, V, r = leading(part, k, apart(tolerance), seed, BLOCK)
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
    left = project_out(V, leading(outside, rank, together(tolerance), seed, BLOCK).V)
    length = torch.linalg.vector_norm(left, dim=1, keepdim=True)
    if not bool((length > KEPT).all()):
        raise ValueError(
            f"a direction lies within the {rank} leading ones of the outside: take a smaller rank"
        )
    return left / length
