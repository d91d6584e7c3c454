"""The k nearest rows of a bank, whatever fits in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from denoscope.nearest.rows import Metric, bytes_of, check_metric, distances, same_space
from denoscope.nearest.tiles import BlockSizes, Frame, threads_for, tiles
from denoscope.threads import each


@dataclass(frozen=True)
class Neighbors:
    """The k nearest bank rows of each query row: ``distance`` (q, k) ascending, ``index`` int64 (q,
    k); ties have the lowest index first.
    """

    distance: Tensor
    index: Tensor


class _Candidates:
    """Pairs that may be among the k nearest of their row, each with its lower bound."""

    def __init__(self, query: Tensor, bank: Tensor, k: int, metric: Metric):
        self.query, self.bank, self.k = query, bank, k
        self.metric: Metric = metric
        self.parts: list[tuple[Tensor, Tensor, Tensor]] = []
        self.count = 0

    def add(self, rows: Tensor, columns: Tensor, low: Tensor) -> None:
        self.parts.append((rows, columns, low))
        self.count += len(rows)

    def thin(self, ceiling: Tensor, most: int) -> None:
        """Drops pairs above their row's ceiling; if more than ``most`` are left, keeps the k
        exactly nearest of each row.
        """
        rows, columns, low = (torch.cat(part) for part in zip(*self.parts))
        keep = (low <= ceiling[rows]).nonzero()[:, 0]
        rows, columns, low = rows[keep], columns[keep], low[keep]
        if len(rows) > most:
            keep, _ = self._nearest(rows, columns)
            rows, columns, low = rows[keep], columns[keep], low[keep]
        self.parts, self.count = [(rows, columns, low)], len(rows)

    def _nearest(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Positions of the k nearest pairs of each row, ordered by (row, distance, column), and
        their distances.
        """
        distance = distances(self.query, rows, self.bank, columns, self.metric)
        order = columns.argsort(stable=True)
        order = order[distance[order].argsort(stable=True)]
        order = order[rows[order].argsort(stable=True)]
        counts = torch.bincount(rows, minlength=len(self.query))
        rank = (
            torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows[order]]
        )
        order = order[rank < self.k]
        return order, distance[order]

    def result(self, ceiling: Tensor) -> Neighbors:
        self.thin(ceiling, self.count)
        rows, columns, _ = self.parts[0]
        order, distance = self._nearest(rows, columns)
        shape = (len(self.query), self.k)
        return Neighbors(distance.reshape(shape), columns[order].reshape(shape))


class _LeftOut:
    """Pairs (query row, bank row) that are no neighbours, in the order of their bank rows."""

    def __init__(self, pairs: Tensor):
        self.rows, self.columns = pairs[pairs[:, 1].argsort()].T.contiguous()

    def fill(self, tile: Tensor, here: slice, left: int) -> None:
        ends = torch.searchsorted(
            self.columns, self.columns.new_tensor([left, left + tile.shape[1]])
        )
        rows, columns = (part[int(ends[0]) : int(ends[1])] for part in (self.rows, self.columns))
        inside = (rows >= here.start) & (rows < here.stop)
        tile[rows[inside] - here.start, columns[inside] - left] = math.inf


def _search(
    query: Tensor, bank: Tensor, k: int, frame: Frame, sizes: BlockSizes, left_out: _LeftOut | None
) -> Neighbors:
    """The neighbours of one chunk of queries."""
    points = frame.queries(query)
    squares = points[:, :-1].square().sum(1)
    best = points.new_full(
        (len(query), k), math.inf
    )  # lower bounds of k pairs of each row, the least seen so far
    candidates = _Candidates(query, bank, k, frame.metric)
    for here, left, tile in tiles(points, bank, frame, sizes):
        if left_out is not None:
            left_out.fill(tile, here, left)
        groups = tile.view(len(tile), sizes.group, -1)
        least = groups.amin(1)
        best[here] = torch.cat([best[here], least], 1).topk(k, largest=False).values
        ceiling = frame.ceiling(best[here].amax(1), squares[here])
        row, column = (least <= ceiling[:, None]).nonzero().T
        values = groups[row, :, column]
        at, member = (values <= ceiling[row, None]).nonzero().T
        candidates.add(
            here.start + row[at], left + member * groups.shape[2] + column[at], values[at, member]
        )
        if candidates.count > sizes.pairs:
            candidates.thin(frame.ceiling(best.amax(1), squares), sizes.pairs // 2)
    return candidates.result(frame.ceiling(best.amax(1), squares))


@torch.no_grad()
def neighbors(
    query: Tensor | np.ndarray,
    bank: Tensor | np.ndarray,
    k: int = 1,
    *,
    metric: Metric = "euclidean",
    exclude_self: bool = False,
    exclude: Tensor | None = None,
    max_memory: str | int = "1GiB",
) -> Neighbors:
    """The k nearest rows of ``bank`` (n, d) to each row of ``query`` (q, d), exactly.

    Distances are Euclidean (not squared) or 1 - cosine, in the dtype of the features, computed from
    float64 differences: duplicates are at exactly 0. Ties have the lowest index first. A zero row
    has cosine 0 to every row but another zero row. ``exclude_self``: query i is bank row i, which
    is left out; ``exclude`` int64 (m, 2): distinct pairs (query row, bank row) that are left out.
    ``max_memory`` bounds what is used beside inputs and result (the matrix library's own buffers
    come on top); it never changes the result. More neighbours than bank rows, values that are not
    finite, and different sizes are a ValueError.
    """
    query, bank = same_space(query, bank, ("query", "bank"), half=True)
    check_metric(metric)
    if exclude_self and len(query) != len(bank):
        raise ValueError(
            f"exclude_self needs query and bank to be the same rows, got {len(query)} and "
            f"{len(bank)}"
        )
    pairs = _pairs_left_out(len(query), exclude_self, exclude).to(query.device)
    offered = len(bank) - (int(pairs[:, 0].bincount().max()) if len(pairs) else 0)
    if not 1 <= k <= offered:
        raise ValueError(f"k = {k} neighbours were asked of a bank that offers {offered}")
    if not len(query):
        return Neighbors(
            query.new_empty(0, k, dtype=torch.promote_types(query.dtype, torch.float32)),
            torch.empty(0, k, dtype=torch.int64, device=query.device),
        )
    bound = bytes_of(max_memory)
    at_once = threads_for(query, bank, bound)
    sizes = BlockSizes.within(bound // at_once, len(bank), k, query.shape[1]).shared(
        len(query), at_once
    )
    frame = Frame.of(query, bank, metric)

    def chunk(start: int) -> Neighbors:
        rows = slice(start, min(start + sizes.chunk, len(query)))
        inside = pairs[(pairs[:, 0] >= rows.start) & (pairs[:, 0] < rows.stop)] - pairs.new_tensor(
            [start, 0]
        )
        return _search(
            query[rows], bank, k, frame, sizes, _LeftOut(inside) if len(inside) else None
        )

    found = each(chunk, range(0, len(query), sizes.chunk), at_once=at_once)
    return Neighbors(torch.cat([f.distance for f in found]), torch.cat([f.index for f in found]))


def _pairs_left_out(queries: int, exclude_self: bool, exclude: Tensor | None) -> Tensor:
    pairs = torch.empty(0, 2, dtype=torch.int64) if exclude is None else exclude
    own = torch.arange(queries if exclude_self else 0, device=pairs.device)
    return torch.cat([torch.stack([own, own], 1), pairs])
