"""k-means cells of a training set: the same whatever the order of its rows, in memory that does not
grow with their size.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from denoscope.random import generator

_NUMBERS = 1 << 22  # in one chunk of rows
_STARTS, _ROUNDS = 8, 100


def content_order(x: Tensor) -> Tensor:
    """The positions of the rows (n, d) in the order of their bytes, int64 (n,): only equal rows can
    change places.
    """
    rows = np.ascontiguousarray(x.detach().cpu().numpy())
    order = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0].argsort(
        kind="stable"
    )
    return torch.from_numpy(order).to(x.device)


def _chunks(x: Tensor) -> Iterator[Tensor]:
    for rows in x.split(max(1, _NUMBERS // x.shape[1])):
        yield rows.double()


def _nearest(x: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The least distance of each row and its centre, from differences, so that equal rows have
    equal answers.
    """
    found = [
        torch.cdist(rows, centres, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        for rows in _chunks(x)
    ]
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


def nearest_centre(x: Tensor, centres: Tensor) -> Tensor:
    """The centre (k, d) in float64 that each row (n, d) is nearest to, the first of equals, int64
    (n,).
    """
    return _nearest(x, centres)[1]


def k_means(x: Tensor, k: int, seed: int = 0) -> Tensor:
    """The centres (k, d), float64, with the least sum of squared distances at which Lloyd's
    algorithm settles from 8 k-means++ starts.

    Arthur and Vassilvitskii (2007). The starts are drawn with ``seed`` from the rows in the order
    of their content. Fewer than k different rows are a ValueError.
    """
    order = content_order(x)
    centres = torch.stack([_start(x, order, k, generator(seed, start)) for start in range(_STARTS)])
    costs = centres.new_zeros(_STARTS)
    for _ in range(_ROUNDS):
        previous = centres
        centres, costs = _round(x, centres)
        if torch.equal(previous, centres):
            break
    return centres[costs.argmin()]


def _start(x: Tensor, order: Tensor, k: int, source: torch.Generator) -> Tensor:
    """k rows, each drawn with the square of its distance to those before it as weight."""
    squared = torch.ones(len(x), dtype=torch.float64, device=x.device)
    centres = x[:0].double()
    for _ in range(k):
        total = squared[order].cumsum(0)
        if not total[-1] > 0:
            raise ValueError(
                f"{k} cells need at least {k} different training rows, there are {len(centres)}"
            )
        drawn = torch.rand((), generator=source, dtype=torch.float64).to(x.device) * total[-1]
        position = torch.searchsorted(total, drawn, right=True).clamp_max((total < total[-1]).sum())
        centres = torch.cat([centres, x[order[position]][None].double()])
        squared = _nearest(x, centres)[0].square()
    return centres


def _round(x: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """One step for all starts (s, k, d): the mean of the rows nearest to each centre, which stays
    if it has none, and the costs (s,).

    A cost is the sum of squared distances to the centres given, less that of squared lengths, which
    is the same for all starts.
    """
    s, k, d = centres.shape
    sums, counts, costs = torch.zeros_like(centres), centres.new_zeros(s, k), centres.new_zeros(s)
    lengths = centres.square().sum(2)
    for rows in _chunks(x):
        least = (lengths - 2 * (rows @ centres.reshape(-1, d).T).reshape(-1, s, k)).min(2)
        member = one_hot(least.indices, k).to(rows.dtype)
        sums += (member.reshape(-1, s * k).T @ rows).reshape(s, k, d)
        counts += member.sum(0)
        costs += least.values.sum(0)
    return torch.where(counts[..., None] > 0, sums / counts[..., None].clamp_min(1), centres), costs
