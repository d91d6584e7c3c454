"""The Jacobian J = dD/dx of a denoiser, row = output: its products with vectors, and the matrix
itself, row by row.

The exact denoiser has ``J = Cov(x0 | x)/sigma^2``, symmetric and positive semidefinite; the
asymmetry of a network's is an error of the network. Sources: Robbins 1956; Miyasawa 1961; Manor and
Michaeli 2024 (the posterior covariance); Chen et al. 2024 (its symmetry, lemma 3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from denoscope.geometry.field import Field, Linearized, rows_at_once
from denoscope.types import Denoiser


def jvp(D: Denoiser, x: Tensor, sigma: Tensor | float, v: Tensor) -> Tensor:
    """``J v``, the derivative of D at x in the direction v, of the shape of x."""
    field = Field(D, x, sigma)
    return field.times(_columns(field, x, v, "v"))[..., 0].reshape(x.shape)


def vjp(D: Denoiser, x: Tensor, sigma: Tensor | float, u: Tensor) -> Tensor:
    """``J^T u``, the gradient of <u, D(x)>, of the shape of x."""
    field = Field(D, x, sigma)
    return field.transposed_times(_columns(field, x, u, "u"))[..., 0].reshape(x.shape)


def jacobian(D: Denoiser, x: Tensor, sigma: Tensor | float, *, chunk: int | None = None) -> Tensor:
    """``J`` of shape (*batch, n, n), row = output, over flattened points.

    ``chunk`` rows of a point are computed at once; by default so many that the denoiser keeps about
    256 MiB for its derivatives. A chunk below 1 is a ValueError.
    """
    field = Field(D, x, sigma)
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be at least 1 row, got {chunk}")
    rows = torch.arange(field.n, device=x.device)
    each = torch.arange(len(field), device=x.device).split(1)
    points = [jacobian_rows(field.take(point), rows, chunk) for point in each]
    return torch.stack(points).reshape(*field.batch, field.n, field.n)


def jacobian_rows(field: Field, rows: Tensor, chunk: int | None = None) -> Tensor:
    """Some rows (r,) of the Jacobian of a field of one point, (r, n)."""
    copies = min(chunk or rows_at_once(field.rows), len(rows))
    linear, out = Linearized(field, copies), field.rows.new_zeros(len(rows), field.n)
    for part in torch.arange(len(rows), device=rows.device).split(copies):
        units = torch.nn.functional.one_hot(rows[part], field.n).to(out)
        out[part] = linear.transposed_times(units.T[None])[0].T
    return out


def asymmetry(J: Tensor) -> Tensor:
    """``|J - J^T|_F/|J|_F`` of J (*b, n, n), (*b): 0 symmetric or zero, 2 antisymmetric."""
    if J.ndim < 2 or J.shape[-1] != J.shape[-2]:
        raise ValueError(f"J must hold square matrices, got shape {tuple(J.shape)}")
    size = torch.linalg.matrix_norm(J)
    least = size.clamp(min=torch.finfo(J.dtype).tiny)
    return torch.where(size > 0, torch.linalg.matrix_norm(J - J.mT) / least, 0.0)


def _columns(field: Field, x: Tensor, vector: Tensor, name: str) -> Tensor:
    if vector.shape != x.shape:
        raise ValueError(f"{name} must have x's shape {tuple(x.shape)}, got {tuple(vector.shape)}")
    return vector.reshape(len(field), field.n, 1)
