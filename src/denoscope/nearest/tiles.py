"""Tiles of lower bounds of squared distances, from matrix products in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from denoscope.nearest.rows import Metric, unit
from denoscope.threads import workers


@dataclass(frozen=True)
class Frame:
    """Where the matrix product works: centred and scaled points, and ``slack``, the relative
    rounding error of its squared distances.
    """

    metric: Metric
    centre: Tensor | float
    scale: float
    dtype: torch.dtype
    slack: float

    @staticmethod
    def of(query: Tensor, bank: Tensor, metric: Metric) -> Frame:
        exact = query.dtype == torch.float64 or torch.get_float32_matmul_precision() != "highest"
        dtype = torch.float64 if exact else torch.float32
        # probabilistic bound on a rounded inner product: a few sqrt(k) units (Higham and Mary
        # 2019); the constant covers centring and scaling
        slack = (4 * math.sqrt(query.shape[1]) + 16) * torch.finfo(dtype).eps
        if metric == "cosine":
            return Frame(metric, 0.0, 1.0, dtype, slack)
        largest = max(abs(float(bound)) for x in (query, bank) for bound in torch.aminmax(x))
        exponent = max(
            -100, min(100, math.frexp(largest)[1])
        )  # squares must neither overflow nor vanish
        return Frame(metric, bank.mean(0).to(dtype), 2.0**-exponent, dtype, slack)

    def _points(self, x: Tensor) -> Tensor:
        return (
            unit(x).to(self.dtype)
            if self.metric == "cosine"
            else (x.to(self.dtype) - self.centre).mul_(self.scale)
        )

    def queries(self, x: Tensor) -> Tensor:
        """[q, 1] for each row."""
        points = self._points(x)
        return torch.cat([points, points.new_ones(len(points), 1)], 1)

    def bank(self, x: Tensor, width: int) -> Tensor:
        """[-2b, (1 - slack)|b|²] for each row, so that a product with [q, 1] bounds |q - b|² - (1 -
        slack)|q|² from below; filled up with infinity.
        """
        points = self._points(x)
        out = points.new_zeros(width, points.shape[1] + 1)
        torch.mul(points, -2, out=out[: len(x), :-1])
        out[: len(x), -1] = points.square_().sum(1).mul_(1 - self.slack)
        out[len(x) :, -1] = math.inf
        return out

    def ceiling(self, low: Tensor, squares: Tensor) -> Tensor:
        """What a pair's lower bound may at most be, if ``low`` is the lower bound of the k-th pair;
        both less (1 - slack)|q|².

        A pair has d² <= low + 2 slack (|q|² + |b|²), and |b|² <= 2|q|² + 2d²: so d² <= (low + 6
        slack |q|²)/(1 - 4 slack).
        """
        shift = squares * (1 - self.slack)
        bound = (low + shift + 6 * self.slack * squares) / (1 - 4 * self.slack) - shift
        return bound.clamp_max(torch.finfo(low.dtype).max)


@dataclass(frozen=True)
class BlockSizes:
    """Block sizes under a memory bound: queries at once, tile rows and columns, columns per group,
    and pairs held before they are thinned.
    """

    chunk: int
    rows: int
    columns: int
    group: int
    pairs: int

    @staticmethod
    def within(bound: int, bank: int, k: int, width: int) -> BlockSizes:
        row = 32 * (width + 2)  # bytes that preparing one row takes
        chunk = bound // 4 // (row + 500 * k)
        widest = bound // 8 // row
        if chunk < 1 or widest < min(bank, 4) or bound < 1 << 20:
            least = max(1 << 20, 32 * row, 4 * (row + 500 * k))
            raise ValueError(
                f"max_memory of {bound} bytes is too small here: give at least {least}"
            )
        tile = min(
            1 << 22, bound // 256
        )  # numbers in a tile; its worst case, every pair a candidate, takes 64 bytes per number
        columns = min(4096, widest, tile, bank)
        columns = math.ceil(bank / math.ceil(bank / columns))
        group = max(1, min(64, columns // (4 * k)))
        columns = math.ceil(columns / group) * group
        return BlockSizes(chunk, max(1, tile // columns), columns, group, bound // 400)

    def shared(self, queries: int, at_once: int) -> BlockSizes:
        """The same with chunks as equal as can be, as many on each of so many threads."""
        rounds = math.ceil(queries / (self.chunk * at_once))
        return replace(self, chunk=math.ceil(queries / (rounds * at_once)))


def threads_for(query: Tensor, bank: Tensor, bound: int) -> int:
    """How many chunks of queries are searched at once: one where there is little to do, little
    memory, or another device.
    """
    work = len(query) * len(bank) * query.shape[1] >> 24
    return workers(min(work, bound >> 26)) if query.device.type == "cpu" else 1


def tiles(
    points: Tensor, bank: Tensor, frame: Frame, sizes: BlockSizes
) -> Iterator[tuple[slice, int, Tensor]]:
    """Slices of the queries, the first bank row of a block, and their lower bounds less (1 -
    slack)|q|², infinite beyond the bank.

    The numbers are overwritten by the next tile.
    """
    buffer = points.new_empty(min(sizes.rows, len(points)), sizes.columns)
    for left in range(0, len(bank), sizes.columns):
        block = frame.bank(bank[left : left + sizes.columns], sizes.columns).T
        for top in range(0, len(points), sizes.rows):
            here = slice(top, min(top + sizes.rows, len(points)))
            yield here, left, torch.mm(points[here], block, out=buffer[: here.stop - top])
