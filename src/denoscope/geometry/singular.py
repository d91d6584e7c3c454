"""The leading singular vectors of a denoiser's Jacobian from its products with directions, without
the matrix.

Block Golub-Kahan bases (``denoscope.geometry.krylov``) grow until the residuals ``|J v_i - s_i
u_i|`` (zero but for rounding) and ``r_i = |J^T u_i - s_i v_i|`` of the k leading approximate
triplets are small enough: below a tolerance times s_1; signs and rotations among equal singular
values do not matter to them. Or below a tolerance times the gap g_i to the nearest other value,
since ``sin(v_i, true v_i) <= r_i/g_i`` (Davis and Kahan 1970; Wedin 1972). The bases are cut back
to the leading triplets when they have grown to a few times k, so memory grows with k n per point.
What the power method of Chen et al. 2024 finds in some 10 to 50 iterations takes a handful of
blocks here, because all products are kept. Sources: Halko, Martinsson and Tropp 2011; Musco and
Musco 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from denoscope.geometry.field import Field, rows_at_once
from denoscope.geometry.jacobians import jacobian_rows
from denoscope.geometry.krylov import Krylov, Mask, Operator, at_points
from denoscope.types import Denoiser

LARGEST_BLOCK = 32

BLOCKS = 10
"""Blocks of products that vectors take at least, about: fewer rows are taken as a matrix."""


class SVD(NamedTuple):
    """``J V = U diag(S)``: orthonormal U and V (*batch, n, k), S (*batch, k) descending."""

    U: Tensor
    S: Tensor
    V: Tensor


class Triplets(NamedTuple):
    """Those of points in rows, by the entries that masks keep: ``U`` (b, rows, k), ``S`` (b, k + 1)
    with the value after the last, ``V`` (b, columns, k) and the residuals ``r`` (b, k), in float64.
    """

    U: Tensor
    S: Tensor
    V: Tensor
    r: Tensor


Rule = Callable[[Tensor, Tensor], Tensor]
"""Which points are done (b,), of their values S (b, k + 1) and residuals (b, k)."""


def svd(
    D: Denoiser,
    x: Tensor,
    sigma: Tensor | float,
    k: int,
    *,
    mask: Mask = None,
    tolerance: float | None = None,
    seed: int = 0,
) -> SVD:
    """The k leading singular triplets of ``P_out J P_in`` at each point, in the type of x.

    ``mask``: bool of a point's shape for outputs and inputs, or a pair (outputs, inputs); True is
    kept, and vectors are zero elsewhere. Residuals are at most ``tolerance`` s_1, by default
    eps^(2/3) (2e-5 in float32, 4e-11 in float64), so angles of vectors that are apart are of that
    size over the relative gap. Points go through together and leave when done; a point with a k of
    the order of n, or that has taken 2 n products, is finished from its dense matrix. ``seed``
    fixes the random directions. A k below 1 or above what the mask keeps, a mask that does not fit,
    and a tolerance that is not positive are a ValueError.
    """
    field = Field(D, x, at_points(x, sigma, mask))
    operator = Operator(field, mask)
    if not 1 <= k <= min(operator.shape):
        raise ValueError(f"k must be from 1 to {min(operator.shape)}, the Jacobian's size, got {k}")
    least = torch.finfo(x.dtype).eps ** (2 / 3) if tolerance is None else tolerance
    if not least > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance}")
    parts = [leading(part, k, _relative(least), seed) for part in groups(operator, block_of(k))]
    U, S, V, _ = (torch.cat(side).to(x.dtype) for side in zip(*parts))
    sides = (operator.expand(part, side) for side, part in enumerate((U, V)))
    left, right = (part.reshape(*field.batch, field.n, k) for part in sides)
    return SVD(left, S[:, :k].reshape(*field.batch, k), right)


def _relative(tolerance: float) -> Rule:
    return lambda S, r: (r <= tolerance * S[:, :1]).all(1)


def gaps(S: Tensor) -> Tensor:
    """The distance of each of the first k of k + 1 values (b, k + 1) to the nearest other, (b, k);
    no value lies beyond 0.
    """
    below = S[:, :-1] - S[:, 1:]
    above = torch.nn.functional.pad(below[:, :-1], (1, 0), value=torch.inf)
    return torch.minimum(below, above)


def apart(tolerance: float) -> Rule:
    """Every vector within ``tolerance`` radians of the true one, if its gap is above ``tolerance``
    s_1; else within the residual that this takes.
    """
    return lambda S, r: (r <= tolerance * gaps(S).clamp(min=tolerance * S[:, :1])).all(1)


def together(tolerance: float) -> Rule:
    """The same of the space that the vectors span, and of the gap after the last value."""
    return lambda S, r: (
        torch.linalg.vector_norm(r, dim=1)
        <= tolerance * (S[:, -2] - S[:, -1]).clamp(min=tolerance * S[:, 0])
    )


def groups(operator: Operator, block: int) -> Iterator[Operator]:
    """Groups of points that pass the denoiser at once with ``block`` directions each."""
    index = torch.arange(len(operator.field), device=operator.field.rows.device)
    return map(operator.take, index.split(max(1, rows_at_once(operator.field.rows) // block)))


def dense(operator: Operator) -> Tensor:
    """The (masked) Jacobian of an operator of one point, (rows, columns)."""
    return jacobian_rows(operator.field, operator.kept[0])[:, operator.kept[1]]


def block_of(k: int) -> int:
    """Directions per step: more than k, so that equal values are all found, but for a large k."""
    return min(k + 2, LARGEST_BLOCK)


def leading(
    operator: Operator, k: int, enough: Rule, seed: int, block: int | None = None
) -> Triplets:
    """The leading triplets of the points of one group, until they are ``enough``; from the matrix
    where that takes fewer products. A small ``block`` of directions per step takes fewer products
    and may miss some of more than ``block`` equal values.
    """
    size, points = min(operator.shape), len(operator.field)
    out = _nothing(operator, points, k)
    active = torch.arange(points, device=operator.field.rows.device)
    krylov = Krylov(operator, min(block or block_of(k), size), seed)
    most = 3 * k + 3 * krylov.block
    products, limit = 0, 2 * size if operator.shape[0] > BLOCKS * block_of(k) else 0
    while len(active) and krylov.room and products < limit:
        krylov.grow()
        products += 2 * krylov.block
        if krylov.k <= k:
            continue
        U, S, V, r = krylov.triplets()
        found = Triplets(U[..., :k], S[:, : k + 1], V[..., :k], r[:, :k])
        done = enough(found.S, found.r)
        for whole, part in zip(out, found):
            whole[active[done]] = part[done]
        active = active[~done]
        if len(active) and bool(done.any()):
            krylov = krylov.take((~done).nonzero()[:, 0])
        if len(active) and krylov.k + krylov.block > most:
            krylov.restart(k + krylov.block)
    for point in active:
        for whole, part in zip(out, _of_matrix(operator.take(point[None]), k)):
            whole[point] = part
    return out


def _of_matrix(operator: Operator, k: int) -> Triplets:
    """The triplets of one point, without its axis, from the matrix."""
    U, S, Vh = torch.linalg.svd(dense(operator).double(), full_matrices=False)
    values = torch.nn.functional.pad(S, (0, 1))[: k + 1]
    return Triplets(U[:, :k], values, Vh[:k].T, (operator.precision * S[0]).expand(k))


def _nothing(operator: Operator, points: int, k: int) -> Triplets:
    rows, columns = operator.shape
    shapes = [(rows, k), (k + 1,), (columns, k), (k,)]
    return Triplets(
        *(operator.field.rows.new_zeros(points, *s, dtype=torch.float64) for s in shapes)
    )
