"""All rows within a distance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from denoscope.nearest.rows import bytes_of, distances, same_space
from denoscope.nearest.tiles import BlockSizes, Frame, threads_for, tiles
from denoscope.threads import each

_ROUNDING = 1e-6  # of distances that are rounded to float32, and more


@torch.no_grad()
def within(
    query: Tensor | np.ndarray,
    bank: Tensor | np.ndarray,
    radius: float | Tensor,
    *,
    max_memory: str | int = "1GiB",
) -> Tensor:
    """The pairs (i, j) of a query row and a bank row nearer than ``radius``, one number or one per
    query row, or at distance 0; int64 (m, 2).

    In the order of i, then j. Distances are Euclidean and those of :func:`neighbors` to the last
    bit; a row has distance 0 to itself.
    """
    query, bank = same_space(query, bank, ("query", "bank"), half=True)
    reach = torch.as_tensor(radius, dtype=torch.float64, device=query.device).expand(len(query))
    if not len(query) or not len(bank):
        return torch.empty(0, 2, dtype=torch.int64, device=query.device)
    bound = bytes_of(max_memory)
    at_once = threads_for(query, bank, bound)
    sizes = BlockSizes.within(bound // at_once, len(bank), 1, query.shape[1]).shared(
        len(query), at_once
    )
    frame = Frame.of(query, bank, "euclidean")

    def chunk(start: int) -> Tensor:
        part = slice(start, start + sizes.chunk)
        return torch.cat(list(_pairs(query[part], bank, reach[part], frame, sizes))) + torch.tensor(
            [start, 0], device=query.device
        )

    pairs = torch.cat(each(chunk, range(0, len(query), sizes.chunk), at_once=at_once))
    return pairs[(pairs[:, 0] * len(bank) + pairs[:, 1]).argsort()]


def _pairs(
    query: Tensor, bank: Tensor, reach: Tensor, frame: Frame, sizes: BlockSizes
) -> Iterator[Tensor]:
    """The pairs of each tile: those that are near beyond rounding, and those that exact distances
    decide.
    """
    points = frame.queries(query)
    squares = points[:, :-1].double().square().sum(1)
    square = (reach * frame.scale).square()
    shift, slack = squares * (1 - frame.slack), frame.slack
    outer = (square * (1 + _ROUNDING) - shift + slack * squares).to(points.dtype)
    inner = (square * (1 - _ROUNDING) * (1 - 4 * slack) - 7 * slack * squares - shift).to(
        points.dtype
    )  # as in Frame.ceiling
    for here, left, tile in tiles(points, bank, frame, sizes):
        row, column = (tile <= outer[here, None]).nonzero().T
        sure = tile[row, column] < inner[here][row]
        row, column = row + here.start, column + left
        apart = distances(query, row[~sure], bank, column[~sure], "euclidean").double()
        sure[~sure] = (apart < reach[row[~sure]]) | (apart == 0)
        yield torch.stack([row[sure], column[sure]], 1)
