"""The largest eigenvalues of the symmetric part ``H = (J + J^T)/2`` of a denoiser's Jacobian, from
products with J and J^T.

Block Lanczos with full orthogonalisation and thick restarts: Rayleigh-Ritz on a growing basis, to
which the residuals of the pairs that have not settled are added (Parlett 1980; Wu and Simon 2000).
Equal eigenvalues are found in full, as the first block has more directions than are wanted. Each
direction costs one product with J and one with J^T: beyond n/2 of them, and for small n, the matrix
J is made instead.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from denoscope.geometry.field import Field
from denoscope.geometry.krylov import Operator
from denoscope.geometry.probes import normal_directions
from denoscope.geometry.singular import dense, groups
from denoscope.geometry.subspaces import project_out
from denoscope.random import derive

_DENSE = 128  # numbers of a point up to which the matrix is made
_SPARE = 8  # directions beyond the wanted ones, which let the last of those settle
_BLOCK = 16  # most directions per step
_MOST = 128  # directions a basis may always have


def largest_eigenpairs(field: Field, k: int, seed: int) -> tuple[Tensor, Tensor]:
    """The k largest eigenvalues (b, k) of H, falling, orthonormal eigenvectors (b, n, k)."""
    matrix_free = field.n > max(_DENSE, 4 * (k + _SPARE))
    some = groups(Operator(field), min(k, _BLOCK))
    parts = [_of_group(group, k, seed, matrix_free) for group in some]
    return torch.cat([values for values, _ in parts]), torch.cat([vectors for _, vectors in parts])


def _of_group(operator: Operator, k: int, seed: int, matrix_free: bool) -> tuple[Tensor, Tensor]:
    rows = operator.field.rows
    values, vectors = rows.new_empty(len(rows), k), rows.new_empty(*rows.shape, k)
    left = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    for points, ritz, basis in _settling(operator, k, seed) if matrix_free else ():
        values[points], vectors[points], left[points] = ritz.to(rows), basis.to(rows), False
    for point in left.nonzero():
        values[point], vectors[point] = _from_matrix(operator.take(point), k)
    return values, vectors


def _from_matrix(operator: Operator, k: int) -> tuple[Tensor, Tensor]:
    """The pairs of one point from the whole Jacobian."""
    J = dense(operator)
    values, vectors = torch.linalg.eigh(0.5 * (J + J.mT))
    return values.flip(-1)[:k], vectors.flip(-1)[:, :k]


def _settling(operator: Operator, k: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Points whose k pairs have settled, with these, until all have or n/2 directions are spent."""
    rows, spent = operator.field.rows.double(), k + _SPARE
    points = torch.arange(len(rows), device=rows.device)
    basis = torch.linalg.qr(normal_directions(rows, spent, seed)).Q
    image = torch.cat([_symmetric(operator, part) for part in basis.split(min(k, _BLOCK), 2)], 2)
    while True:
        ritz, basis, image = _rotated(basis, image)
        residual = image[..., :k] - basis[..., :k] * ritz[:, None, :k]
        settled = residual.norm(dim=1) <= _tolerance(ritz, operator)
        done, left = settled.all(1), ~settled.all(1)
        yield points[done], ritz[done, :k], basis[done][..., :k]
        if not bool(left.any()) or 2 * spent >= rows.shape[1]:
            return
        if bool(done.any()):
            points, operator = points[left], operator.take(left.nonzero()[:, 0])
        basis, image = _restarted(basis[left], k), _restarted(image[left], k)
        added = _expansion(residual[left], settled[left], basis, derive(seed, spent))
        basis = torch.cat([basis, added], 2)
        image = torch.cat([image, _symmetric(operator, added)], 2)
        spent += added.shape[2]


def _symmetric(operator: Operator, directions: Tensor) -> Tensor:
    """``H V``."""
    return 0.5 * (operator.times(directions) + operator.transposed_times(directions))


def _rotated(basis: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Descending Ritz values, ``basis`` and its ``image`` turned to the Ritz vectors."""
    inner = basis.mT @ image
    values, turn = torch.linalg.eigh(0.5 * (inner + inner.mT))
    return values.flip(-1), basis @ turn.flip(-1), image @ turn.flip(-1)


def _tolerance(ritz: Tensor, operator: Operator) -> Tensor:
    """The residuals of settled pairs, (b, 1): relative to the largest modulus, but what is below
    the rounding of J = I counts as zero.
    """
    relative = torch.finfo(operator.field.rows.dtype).eps ** (2 / 3)
    return (relative * ritz.abs().amax(1, keepdim=True)).clamp_min(operator.precision)


def _restarted(columns: Tensor, k: int) -> Tensor:
    """The leading columns alone where no further block has room."""
    kept = k + _SPARE
    enough = columns.shape[2] + _BLOCK <= max(_MOST, 4 * kept)
    return columns if enough else columns[..., : 2 * kept]


def _expansion(residual: Tensor, settled: Tensor, basis: Tensor, seed: int) -> Tensor:
    """Residuals of the first pairs not settled, filled up at random; orthonormal, off the basis."""
    order = settled.int().argsort(dim=1, stable=True)[:, :_BLOCK]
    chosen = residual.gather(2, order[:, None].expand(-1, residual.shape[1], -1))
    drawn = normal_directions(residual[..., 0], order.shape[1], seed)
    added = torch.where(settled.gather(1, order)[:, None], drawn, chosen)
    for _ in range(2):  # the second time for what rounding left of the basis in short residuals
        added = torch.linalg.qr(project_out(added / added.norm(dim=1, keepdim=True), basis)).Q
    return added
