"""Principal subspaces and K-subspaces: many instances from many starts at once.

K-subspaces (Bradley and Mangasarian 2000) seeks bases U_k with orthonormal columns that keep the
most energy,

    f(U) = (1/N) sum_i max_k ||U_k^T x_i||^2,

by turns: every point goes to the subspace that keeps most of it, then the bases improve for those
assignments. With ``S_k = sum_{i in C_k} x_i x_i^T`` the steps here are

* free: U_k <- polar(S_k U_k), a step of orthogonal iteration, at the end the top eigenspace of S_k
  itself;
* joint: [U_1 ... U_K] <- polar([S_1 U_1 ... S_K U_K]), which keeps all columns mutually
  orthonormal.

f is the largest of convex functions of U, and the polar factor maximises its tangent, so no step
lowers f. A little of U is added to S_k U_k (S_k plus a multiple of the identity, which changes no
maximiser): directions that no point informs stay as they are. Without the joint constraint any
split of the points into groups of d keeps everything, so d points per subspace identify nothing.

Rows of zeros are padding: they belong to no subspace and count for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from denoscope.networks.subspaces import polar

SHIFT = 1e-4
"""What is added to S_k, as a share of its mean eigenvalue over d directions."""

DEPENDENT = 1e-5
"""Departure of a polar factor from orthonormality that tells of dependent columns."""

AT_ONCE = 1500
"""Starts worked on together: what they need then stays in the processor's cache."""


@dataclass(frozen=True)
class Clustering:
    """The best of many starts: ``bases`` (*b, K, n, d), ``assignments`` int64 (*b, N),
    ``objective`` f (*b), the winning ``start`` (*b).

    ``steps`` (*b) is what the winner took; where it equals the allowed number the ascent had not
    settled.
    """

    bases: Tensor
    assignments: Tensor
    objective: Tensor
    start: Tensor
    steps: Tensor


def principal_subspace(x: Tensor, d: int) -> Tensor:
    """The top-d eigenspace of the uncentred sum of x_i x_i^T over rows ``x`` (*b, N, n), shape (*b,
    n, d), by the smaller Gram matrix.

    Directions beyond the rank of x are an arbitrary orthonormal completion. d outside 1..n is a
    ValueError.
    """
    rows, n = x.shape[-2:]
    if not 1 <= d <= n:
        raise ValueError(f"d must lie between 1 and n = {n}, got {d}")
    if rows >= n:
        return torch.linalg.eigh(x.mT @ x).eigenvectors[..., -d:].flip(-1)
    vectors = torch.linalg.eigh(x @ x.mT).eigenvectors[..., -d:].flip(-1)
    spanned = x.mT @ vectors
    missing = d - spanned.shape[-1]
    return torch.linalg.qr(torch.nn.functional.pad(spanned, (0, max(missing, 0)))).Q


def joint_polar(bases: Tensor) -> Tensor:
    """The nearest bases (*b, K, n, d) whose K d columns are orthonormal; K d > n: ValueError."""
    *batch, count, n, d = bases.shape
    check_joint(count, d, n)
    wide = _orthonormal(bases.movedim(-3, -2).reshape(*batch, n, count * d))
    return wide.reshape(*batch, n, count, d).movedim(-2, -3)


def _orthonormal(a: Tensor) -> Tensor:
    """The polar factor of ``a`` (*b, n, d), inside in float64; by SVD of dependent columns."""
    wide = a.double()
    result = polar(wide)
    unit = torch.eye(a.shape[-1], dtype=wide.dtype, device=a.device)
    error = (result.mT @ result - unit).abs().amax((-2, -1))
    deficient = ~(error <= DEPENDENT)
    if bool(deficient.any()):
        left, _, right = torch.linalg.svd(wide[deficient], full_matrices=False)
        result[deficient] = left @ right
    return result.to(a)


def check_joint(count: int, d: int, n: int) -> None:
    """A ValueError where ``count`` d-dimensional subspaces cannot be orthogonal in n dimensions."""
    if count * d > n:
        raise ValueError(
            f"{count} orthogonal subspaces of dimension {d} need {count * d} dimensions, "
            f"there are n = {n}; lower K or d"
        )


def energies(x: Tensor, bases: Tensor) -> Tensor:
    """``||U_k^T x_i||^2`` for ``x`` (*b, N, n) and ``bases`` (*b, K, n, d), shape (*b, N, K)."""
    return (x[..., None, :, :] @ bases).square().sum(-1).movedim(-1, -2)


def objective(x: Tensor, bases: Tensor) -> Tensor:
    """f(U) = (1/N) sum_i max_k ||U_k^T x_i||^2, shape *b; rows of zeros count for nothing."""
    return energies(x, bases).amax(-1).sum(-1) / _counted(x)


def _counted(x: Tensor) -> Tensor:
    return x.ne(0).any(-1).sum(-1).clamp(min=1)


@torch.no_grad()
def k_subspaces(
    x: Tensor,
    starts: Tensor,
    *,
    joint: bool = True,
    keep: int = 8,
    steps: int = 300,
    tolerance: float = 1e-10,
) -> Clustering:
    """The best K-subspaces clustering of ``x`` (*b, N, n) that is reached from ``starts`` (*b, S,
    K, n, d).

    Every start climbs without the joint constraint until its assignments rest. With ``joint`` the
    bases are then made jointly orthonormal, and the ``keep`` best starts climb on under that
    constraint until a step gains less than ``tolerance`` of f; without it the ``keep`` best end on
    the top eigenspaces of their clusters, as one subspace alone does (uncentred PCA). Shapes that
    do not fit, or K d > n with ``joint``, are a ValueError.
    """
    *batch, count, n = x.shape
    if (
        starts.ndim != x.ndim + 2
        or list(starts.shape[: len(batch)]) != batch
        or starts.shape[-2] != n
    ):
        raise ValueError(
            "starts must have shape (*b, S, K, n, d) for x (*b, N, n), got "
            f"{tuple(starts.shape)} and {tuple(x.shape)}"
        )
    if joint:
        check_joint(starts.shape[-3], starts.shape[-1], n)
    joint = joint and starts.shape[-3] > 1
    flat, tried = x.reshape(-1, count, n), starts.reshape(-1, *starts.shape[len(batch) :])
    found = climb(flat, tried, joint=False, steps=steps)
    if joint:
        found = _valued(flat, joint_polar(found.bases), found)
    found, index = _best(found, keep)
    found = (
        climb(flat, found.bases, joint=True, steps=steps, tolerance=tolerance)
        if joint
        else _settled(flat, found, steps)
    )
    found, place = _best(found, 1)
    won = index.gather(1, place)[:, 0].reshape(batch)
    bases = (
        joint_polar(found.bases[:, 0]) if joint else found.bases[:, 0]
    )  # once more: orthonormal to rounding, however steep the climb was
    assigned = energies(flat, bases).argmax(-1)
    value, taken = (part[:, 0].reshape(batch) for part in (found.objective, found.steps))
    bases, assigned = bases.reshape(*batch, *bases.shape[1:]), assigned.reshape(*batch, count)
    return Clustering(bases, assigned, value, won, taken)


@dataclass(frozen=True)
class Climbed:
    """Where starts arrived: ``bases`` (b, S, K, n, d), ``objective`` (b, S), ``steps`` (b, S)."""

    bases: Tensor
    objective: Tensor
    steps: Tensor


@torch.no_grad()
def climb(
    x: Tensor, starts: Tensor, *, joint: bool, steps: int = 300, tolerance: float = 1e-10
) -> Climbed:
    """Every start (b, S, K, n, d) on the data ``x`` (b, N, n) climbs until it rests; those that
    rest are no longer worked on.

    ``joint``: until a step gains at most ``tolerance`` of f. Free: until no assignment changes.
    """
    instances, tries = starts.shape[:2]
    bases = starts.flatten(0, 1).clone()
    taken = torch.zeros(instances * tries, dtype=torch.int64, device=x.device)
    for rows in torch.arange(instances * tries, device=x.device).split(AT_ONCE):
        points, active, before = trimmed(x[rows // tries]), rows, None
        for step in range(steps):
            improved, value, assigned = _step(points, bases[active], joint)
            bases[active], taken[active] = improved, step + 1
            resting = value if joint else assigned
            if before is not None:
                moving = value > before * (1 + tolerance) if joint else (assigned != before).any(-1)
                points, active, resting = points[moving], active[moving], resting[moving]
            if not len(active):
                break
            before = resting
    climbed = Climbed(starts, taken, taken.reshape(instances, tries))
    return _valued(x, bases.reshape(starts.shape), climbed)


def _step(x: Tensor, bases: Tensor, joint: bool) -> tuple[Tensor, Tensor, Tensor]:
    """One step of ``bases`` (p, K, n, d) on data (p, N, n), the objective's sum, assignments."""
    p, count, n, d = bases.shape
    inside = (x @ bases.movedim(1, 2).reshape(p, n, count * d)).reshape(p, -1, count, d)
    kept = inside.square().sum(-1)
    most, assigned = kept.max(-1)
    mine = torch.zeros_like(kept).scatter_(-1, assigned[..., None], 1.0)
    pulled = (x.mT @ (inside * mine[..., None]).flatten(2)).reshape(p, n, count, d).movedim(2, 1)
    total = most.sum(-1)
    pulled = pulled + (SHIFT / d * total).clamp(min=1e-30)[:, None, None, None] * bases
    return (joint_polar(pulled) if joint else _orthonormal(pulled)), total, assigned


def _settled(x: Tensor, found: Climbed, steps: int) -> Climbed:
    """Plain K-subspaces by exact eigenspaces from where the climb rested, to rest again."""
    d, bases = found.bases.shape[-1], found.bases.clone()
    flat, tries = bases.flatten(0, 1), bases.shape[1]
    active, before = torch.arange(len(flat), device=x.device), None
    for _ in range(steps):
        points, old = x[active // tries], flat[active]
        assigned = energies(points, old).argmax(-1)
        if before is not None:
            moving = (assigned != before).any(-1)
            active, points, assigned = active[moving], points[moving], assigned[moving]
        if not len(active):
            break
        mine = torch.nn.functional.one_hot(assigned, bases.shape[2]).to(x).mT
        flat[active] = principal_subspace(points[:, None] * mine[..., None], d)
        before = assigned
    return _valued(x, flat.reshape(bases.shape), found)


def trimmed(x: Tensor) -> Tensor:
    """``x`` (b, N, n) without trailing rows that are zero in every instance."""
    used = x.ne(0).any(-1).any(0).nonzero()
    return x[:, : int(used[-1]) + 1] if len(used) else x[:, :1]


def _valued(x: Tensor, bases: Tensor, found: Climbed) -> Climbed:
    """The same starts at ``bases``, with the objective there."""
    instances, tries, _, n, _ = bases.shape
    values = torch.empty(instances, tries, dtype=x.dtype, device=x.device)
    for rows in torch.arange(instances, device=x.device).split(max(1, AT_ONCE // tries)):
        points, columns = trimmed(x[rows]), bases[rows].permute(0, 3, 1, 2, 4)
        inside = (points @ columns.reshape(len(rows), n, -1)).square()
        kept = inside.reshape(*points.shape[:2], *columns.shape[2:]).sum(-1)
        values[rows] = kept.amax(-1).sum(1) / _counted(points)[:, None]
    return replace(found, bases=bases, objective=values)


def _best(found: Climbed, keep: int) -> tuple[Climbed, Tensor]:
    """The ``keep`` best starts of every instance, best first, and their places."""
    index = found.objective.topk(min(keep, found.objective.shape[1]), 1).indices
    rows = torch.arange(len(index), device=index.device)[:, None]
    kept = (part[rows, index] for part in (found.bases, found.objective, found.steps))
    return Climbed(*kept), index
