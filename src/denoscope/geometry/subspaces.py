"""Distances between subspaces, projection off them, and which recovered subspace is which true one.

A d-dimensional subspace of R^n is given by any U (n, d) with orthonormal columns. The singular
values of U^T V are the cosines of the principal angles theta_i between two of them, and ``||U U^T -
V V^T||_F^2 = 2 sum_i sin^2 theta_i`` for equal dimensions: at most ``2 min(d, n - d)``. Small
angles are taken from their sines, never from cosines that round to 1 (Bjorck and Golub 1973).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def principal_angles(u: Tensor, v: Tensor) -> Tensor:
    """The angles in radians between subspaces ``u`` (*b, n, d) and ``v`` (*b, n, e), ascending,
    shape (*b, min(d, e)).

    Exact to rounding for small and for right angles. Bases must have orthonormal columns; else a
    ValueError.
    """
    check_bases("u", u)
    check_bases("v", v)
    if u.shape[-1] < v.shape[-1]:
        u, v = v, u
    inner = u.mT @ v
    cosines = torch.linalg.svdvals(inner).clamp(max=1)
    sines = torch.linalg.svdvals(v - u @ inner).clamp(max=1).flip(-1)
    return torch.where(cosines**2 > 0.5, sines.asin(), cosines.acos())


def projector_distance(u: Tensor, v: Tensor) -> Tensor:
    """``||U U^T - V V^T||_F`` of ``u`` (*b, n, d), ``v`` (*b, n, e), (*b); exact where tiny too."""
    inner = u.mT @ v
    first, second = (part.square().sum((-2, -1)) for part in (v - u @ inner, u - v @ inner.mT))
    return (first + second).sqrt()


def project_out(v: Tensor, V: Tensor) -> Tensor:
    """``v - V (V^T v)``: what ``v`` has outside the span of ``V`` (*b, n, r), without ever forming
    a matrix (n, n).

    ``v`` has as many axes as ``V``, (*b, n, k), or one fewer, (*b, n); the leading axes broadcast.
    The answer has v's type. Projected twice, which is enough for orthogonality to rounding (Parlett
    1980, "twice is enough"). Columns of V that are not orthonormal, or shapes that do not fit, are
    a ValueError.
    """
    check_bases("V", V)
    if V.ndim - v.ndim not in (0, 1):
        raise ValueError(
            f"v must have as many axes as V of shape {tuple(V.shape)}, or one fewer, got "
            f"shape {tuple(v.shape)}"
        )
    columns, basis = v if v.ndim == V.ndim else v[..., None], V.to(v)
    if columns.shape[-2] != basis.shape[-2] or not _broadcast(columns.shape[:-2], basis.shape[:-2]):
        raise ValueError(
            f"v of shape {tuple(v.shape)} does not fit V of shape {tuple(V.shape)}: they "
            "need the same n and leading axes"
        )
    for _ in range(2):
        columns = columns - basis @ (basis.mT @ columns)
    return columns if v.ndim == V.ndim else columns[..., 0]


def energies(points: Tensor, bases: Sequence[Tensor]) -> Tensor:
    """Squared length of every row's projection onto each subspace, bases (n, d_k), (rows, K)."""
    return torch.stack([(points @ basis).square().sum(1) for basis in bases], 1)


def onto_nearest(points: Tensor, bases: Sequence[Tensor]) -> Tensor:
    """Every row's projection onto the subspace nearest to it, (rows, n)."""
    each = torch.stack([points @ basis @ basis.T for basis in bases], 1)
    return each[torch.arange(len(points)), energies(points, bases).argmax(1)]


def _broadcast(first: torch.Size, second: torch.Size) -> bool:
    """Whether two shapes of equal length broadcast."""
    return all(a == b or 1 in (a, b) for a, b in zip(first, second))


def match(found: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """The one-to-one assignment of K found to K true subspaces with the least sum of squared
    projector distances.

    ``found`` (*b, K, n, d), ``true`` (*b, K, n, e). Returns which found one belongs to each true
    one, int64 (*b, K), and the projector distances of those pairs, (*b, K). Different K are a
    ValueError.
    """
    if found.shape[:-2] != true.shape[:-2] or found.shape[-2] != true.shape[-2]:
        raise ValueError(
            "found and true subspaces must agree in number and dimension n, got "
            f"{tuple(found.shape)} and {tuple(true.shape)}"
        )
    *batch, count, n, _ = found.shape
    flat = found.reshape(-1, count, n, found.shape[-1])
    truth = true.reshape(-1, count, n, true.shape[-1])
    shared = (flat[:, None].mT @ truth[:, :, None]).square().sum((-2, -1)).cpu().double().numpy()
    best = np.stack([linear_sum_assignment(-item)[1] for item in shared])
    order = torch.from_numpy(best).to(found.device)
    chosen = flat.gather(1, order[:, :, None, None].expand(-1, -1, *flat.shape[2:]))
    return order.reshape(*batch, count), projector_distance(chosen, truth).reshape(*batch, count)


def recovered(found: Tensor, true: Tensor, threshold: float = 0.5) -> Tensor:
    """Whether :func:`match` finds every subspace within ``threshold``, bool (*b)."""
    return match(found, true)[1].amax(-1) <= threshold


def check_bases(name: str, bases: Tensor) -> None:
    """A ValueError unless the columns of ``bases`` (*b, n, d) are orthonormal."""
    if bases.ndim < 2 or bases.shape[-1] > bases.shape[-2]:
        raise ValueError(f"{name} must hold bases (n, d), d <= n, got shape {tuple(bases.shape)}")
    identity = torch.eye(bases.shape[-1], dtype=bases.dtype, device=bases.device)
    error = float((bases.mT @ bases - identity).abs().max()) if bases.numel() else 0.0
    if not error <= 1000 * torch.finfo(bases.dtype).eps * bases.shape[-2]:
        off = f"(off by {error:.2g}); take torch.linalg.qr({name}).Q"
        raise ValueError(f"the columns of {name} must be orthonormal {off}")


def overlap(first: Tensor | np.ndarray, second: Tensor | np.ndarray) -> Tensor:
    """``|U^T V|_F^2 / r`` of orthonormal rows (*b, r, n), the mean squared cosine of the principal
    angles (*b,): 1 for equal subspaces, r/n by chance. Rows may be orthonormal to single rounding.
    """
    u, v = (torch.linalg.qr(torch.as_tensor(rows).double().mT).Q for rows in (first, second))
    return principal_angles(u, v).cos().square().mean(-1)
