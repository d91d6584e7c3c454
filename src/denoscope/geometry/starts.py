"""Where K-subspaces and diffusion training begin: orthonormal bases, random or of neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from denoscope.geometry.clustering import check_joint, joint_polar

BLEND = 1e-3
"""Share of a random basis in one of neighbours, for what too few neighbours leave open."""


def random_starts(count: int, k: int, n: int, d: int, generator: torch.Generator) -> Tensor:
    """``count`` random sets of k orthonormal bases, float64 (count, k, n, d); k d <= n."""
    check_joint(k, d, n)
    return joint_polar(torch.randn(count, k, n, d, generator=generator, dtype=torch.float64))


def neighbour_starts(x: Tensor, count: int, k: int, d: int, generator: torch.Generator) -> Tensor:
    """``count`` sets of k bases (count, k, n, d), each spanned by a random point of ``x`` (N, n)
    and its d - 1 nearest in angle.

    The k random points of a start are different ones where there are enough; then all its columns
    are made orthonormal. Neighbours in angle mostly lie in one subspace, so such starts find what
    random ones miss. k d > n is a ValueError.
    """
    points, n = x.shape
    random = random_starts(count, k, n, d, generator)
    unit = x / x.norm(dim=1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
    near = (unit @ unit.T).abs().fill_diagonal_(2.0).topk(min(d, points), 1).indices
    order = torch.rand(count, max(points, k), generator=generator).argsort(1)[:, :k] % points
    spanned = torch.nn.functional.pad(unit[near[order]].mT, (0, d - near.shape[1]))
    return joint_polar(spanned + _blend(spanned, random))


def _blend(spanned: Tensor, random: Tensor) -> Tensor:
    """A little of the random basis everywhere, all of it in columns that no neighbour fills."""
    empty = (spanned == 0).all(-2, keepdim=True)
    return torch.where(empty, random.to(spanned), BLEND * random.to(spanned))
