"""The leading singular vectors of a denoiser's Jacobian from its products with directions, without
the matrix.

Block Golub-Kahan bases (``denoscope.geometry.krylov``) grow until the residuals ``|J v_i - s_i
u_i|`` and ``|J^T u_i - s_i v_i|`` of the k leading approximate triplets are below a tolerance times
s_1; signs and rotations among equal singular values do not matter to them. The bases are cut back
to the leading triplets when they have grown to a few times k, so memory grows with k n a point.
What the power method of Chen et al. 2024 finds in some 10 to 50 iterations takes a handful of
blocks here, because all products are kept. Sources: Halko, Martinsson and Tropp 2011; Musco and
Musco 2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from denoscope.geometry.field import Field, rows_at_once
from denoscope.geometry.jacobians import jacobian_rows
from denoscope.geometry.krylov import Krylov, Mask, Operator
from denoscope.types import Denoiser

LARGEST_BLOCK = 32


class SVD(NamedTuple):
    """``J V = U diag(S)``: orthonormal U and V (*batch, n, k), S (*batch, k) descending."""

    U: Tensor
    S: Tensor
    V: Tensor


def svd(
    D: Denoiser, x: Tensor, sigma: Tensor | float, k: int, *, mask: Mask = None, seed: int = 0
) -> SVD:
    """The k leading singular triplets of ``P_out J P_in`` at each point, in the type of x.

    ``mask``: bool of a point's shape for outputs and inputs, or a pair (outputs, inputs); True is
    kept, and vectors are zero elsewhere. Residuals are at most eps^(2/3) s_1 (2e-5 in float32,
    4e-11 in float64), so angles of vectors that are apart are of that size over the relative gap.
    Points go through together and leave when done; a point with a k of the order of n, or that has
    taken 2 n products, is finished from its dense matrix. ``seed`` fixes the random directions. A k
    below 1 or above what the mask keeps, and a mask that does not fit, are a ValueError.
    """
    field = Field(D, x, sigma)
    operator = Operator(field, mask)
    if not 1 <= k <= min(operator.shape):
        raise ValueError(f"k must be from 1 to {min(operator.shape)}, the Jacobian's size, got {k}")
    parts = [_leading(part, k, seed) for part in groups(operator, _block(k))]
    U, S, V = (torch.cat(side).to(x.dtype) for side in zip(*parts))
    sides = (operator.expand(part, side) for side, part in enumerate((U, V)))
    left, right = (part.reshape(*field.batch, field.n, k) for part in sides)
    return SVD(left, S.reshape(*field.batch, k), right)


def groups(operator: Operator, block: int) -> Iterator[Operator]:
    """Groups of points that pass the denoiser at once with ``block`` directions each."""
    index = torch.arange(len(operator.field), device=operator.field.rows.device)
    return map(operator.take, index.split(max(1, rows_at_once(operator.field.rows) // block)))


def dense(operator: Operator) -> Tensor:
    """The (masked) Jacobian of an operator of one point, (rows, columns)."""
    return jacobian_rows(operator.field, operator.kept[0])[:, operator.kept[1]]


def _block(k: int) -> int:
    """Directions a step: more than k, so that equal values are all found, but for a large k."""
    return min(k + 2, LARGEST_BLOCK)


def _leading(operator: Operator, k: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The triplets (b, rows, k), (b, k), (b, columns, k) of one group."""
    size, points = min(operator.shape), len(operator.field)
    tolerance = torch.finfo(operator.field.rows.dtype).eps ** (2 / 3)
    out = [
        torch.zeros(points, *shape, dtype=torch.float64, device=operator.field.rows.device)
        for shape in _shapes(operator, k)
    ]
    active = torch.arange(points, device=operator.field.rows.device)
    krylov, most = Krylov(operator, min(_block(k), size), seed), 3 * k + 3 * _block(k)
    products = 0
    while len(active) and krylov.room and products < 2 * size:
        krylov.grow()
        products += 2 * krylov.block
        if krylov.k < k:
            continue
        U, S, V, residuals = krylov.triplets()
        done = (residuals[:, :k] <= tolerance * S[:, :1]).all(1)
        for whole, part in zip(out, (U[..., :k], S[:, :k], V[..., :k])):
            whole[active[done]] = part[done]
        active = active[~done]
        if len(active) and bool(done.any()):
            krylov = krylov.take((~done).nonzero()[:, 0])
        if len(active) and krylov.k + krylov.block > most:
            krylov.restart(k + krylov.block)
    for point in active:
        U, S, Vh = torch.linalg.svd(dense(operator.take(point[None])).double(), full_matrices=False)
        for whole, part in zip(out, (U[:, :k], S[:k], Vh[:k].T)):
            whole[point] = part
    return out[0], out[1], out[2]


def _shapes(operator: Operator, k: int) -> list[tuple[int, ...]]:
    rows, columns = operator.shape
    return [(rows, k), (k,), (columns, k)]
