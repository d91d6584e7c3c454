"""Which points lie inside which balls: the counts under precision, recall, density and coverage,
exactly and in bounded memory.

A tile of |q - b|² - r² comes from one matrix product in float64 on centred rows, lowered by a bound
of its rounding error; pairs within that error of the sphere are decided by the distances that the
nearest-neighbour search gives, which also gave the radii.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from denoscope.nearest import neighbors, paired


def radii(x: Tensor, k: int) -> Tensor:
    """The distance of each row of ``x`` (n, d) to its k-th nearest other row, (n,); one that
    overflows is a ValueError.
    """
    distance = neighbors(x, x, k, exclude_self=True).distance[:, -1]
    if not distance.isfinite().all():
        raise ValueError("features are so large that distances overflow: rescale them first")
    return distance


class _Tiles:
    """Lower bounds of |q - b|² - r² and how far they may be too low, in units that cannot overflow;
    ``side``: rows at once.
    """

    def __init__(self, points: Tensor, centres: Tensor, radius: Tensor):
        self.points, self.centres, self.radius = points, centres, radius
        largest = max(abs(float(bound)) for x in (points, centres) for bound in torch.aminmax(x))
        self.scale = 2.0 ** -max(-900, min(900, math.frexp(largest)[1]))
        self.side = max(64, min(2048, (1 << 22) // points.shape[1]))
        self.middle = sum(
            rows.double().mul(self.scale).sum(0) for rows in centres.split(self.side)
        ) / len(centres)
        self.slack = (2 * points.shape[1] + 32) * torch.finfo(torch.float64).eps
        self.blur = (
            8 * torch.finfo(radius.dtype).eps
        )  # distances and radii are rounded to the features' dtype

    def _rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x.double().mul(self.scale).sub_(self.middle)
        return rows, rows.square().sum(1, keepdim=True)

    def point_rows(self, part: slice) -> tuple[Tensor, Tensor]:
        """[q, |q|² (1 - slack), 1], and how far a bound may be too low, (rows, 1)."""
        rows, squares = self._rows(self.points[part])
        return torch.cat(
            [rows, squares * (1 - self.slack), torch.ones_like(squares)], 1
        ), 2 * self.slack * squares

    def centre_rows(self, part: slice) -> tuple[Tensor, Tensor]:
        """[-2b, 1, |b|² (1 - slack) - r² (1 + blur)], infinite for an empty ball, and how far a
        bound may be too low, (rows, 1).
        """
        rows, squares = self._rows(self.centres[part])
        ball = (self.radius[part].double() * self.scale).square()[:, None]
        bound = (squares * (1 - self.slack) - ball * (1 + self.blur)).where(ball > 0, math.inf)
        return torch.cat([-2 * rows, torch.ones_like(squares), bound], 1), 2 * (
            self.slack * squares + self.blur * ball
        )

    def exactly(self, row: Tensor, column: Tensor) -> Tensor:
        """Is the point at ``row`` inside the ball at ``column``, pair by pair."""
        return paired(self.points[row], self.centres[column]) < self.radius[column]


def inside(points: Tensor, centres: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """In how many balls each point lies, (n,), and how many points each ball holds, (m,): those
    with |point - centre| < radius, strictly.

    ``points`` (n, d) and ``centres`` (m, d) of one dtype, ``radius`` (m,); a ball of radius 0 is
    empty.
    """
    tiles = _Tiles(points, centres, radius)
    balls, held = (
        torch.zeros(len(x), dtype=torch.int64, device=x.device) for x in (points, centres)
    )
    side = tiles.side
    for left in range(0, len(centres), side):
        across = slice(left, left + side)
        columns, error_across = tiles.centre_rows(across)
        for top in range(0, len(points), side):
            down = slice(top, top + side)
            rows, error_down = tiles.point_rows(down)
            low = rows @ columns.T
            within = low < 0
            row, column = (within & (low >= -(error_down + error_across.T))).nonzero().T
            for r, c in zip(row.split(side), column.split(side)):
                within[r, c] = tiles.exactly(top + r, left + c)
            balls[down] += within.sum(1)
            held[across] += within.sum(0)
    return balls, held
