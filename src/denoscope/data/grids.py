"""Pictures that are grids of images, as trainers save them: found by lines, cut into cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

_SEAM = 2.0  # how much more neighbours differ across a seam than elsewhere
_MOST = 64  # cells per side
_COLOUR, _MOSTLY = 24, 0.9  # levels of 255 by which most of a line may differ where it was JPEG


@dataclass(frozen=True)
class Grid:
    """``rows`` x ``columns`` cells of ``size`` (width, height), ``border`` pixels between them and
    ``margin`` around.
    """

    rows: int
    columns: int
    size: tuple[int, int]
    border: int = 0
    margin: int = 0

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}"

    def cut(self, x: Tensor) -> Tensor:
        """The cells (n, rows * columns, c, h, w) of pictures (n, c, H, W), row by row."""
        width, height = self.size
        return torch.stack([x[..., t : t + height, u : u + width] for t, u in self.places], 1)

    @property
    def places(self) -> list[tuple[int, int]]:
        """Top and left of each cell, row by row."""
        right, down = (side + self.border for side in self.size)
        tops = [self.margin + i * down for i in range(self.rows)]
        return [(top, self.margin + j * right) for top in tops for j in range(self.columns)]


def written(text: str) -> tuple[int, int]:
    """Rows and columns of ``RxC``; anything else is a ValueError."""
    match = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", text)
    if not match or match[1] == match[2] == "1":
        raise ValueError(f"--grid {text}: rows x columns of a picture's cells, such as 5x5")
    return int(match[1]), int(match[2])


def laid_out(text: str, pictures: Tensor) -> Grid:
    """The grid ``RxC`` of pictures (n, c, H, W), with the widest border that leaves whole cells and
    has one colour, or none. Where no cells fit, a ValueError.
    """
    rows, columns = written(text)
    height, width = pictures.shape[-2:]
    for border in range(min(width // columns, height // rows) // 4, -1, -1):
        for margin in (border, 0):
            wide = width - border * (columns - 1) - 2 * margin
            tall = height - border * (rows - 1) - 2 * margin
            grid = Grid(rows, columns, (wide // columns, tall // rows), border, margin)
            if wide % columns == 0 == tall % rows and _ruled(grid, pictures):
                return grid
    raise ValueError(f"--grid {text}: {width}x{height} pixels are not so many cells of one size")


def of_cells(pictures: Tensor, width: int, height: int) -> Grid | None:
    """The grid of cells of this size that pictures (n, c, H, W) are, if they are one: by lines of
    one colour between the cells, or by what changes across their seams.
    """
    for border in range(min(width, height) // 4 + 1):
        for margin in {border, 0}:
            columns, rest = divmod(pictures.shape[-1] - 2 * margin + border, width + border)
            rows, left = divmod(pictures.shape[-2] - 2 * margin + border, height + border)
            grid = Grid(rows, columns, (width, height), border, margin)
            if rest == left == 0 and 2 <= rows * columns <= _MOST**2:
                sound = _ruled if border else _seamed
                if sound(grid, pictures):
                    return grid
    return None


def _ruled(grid: Grid, pictures: Tensor) -> bool:
    """Whether all that lies between the cells has one colour."""
    if not grid.border:
        return True
    inside = torch.zeros(pictures.shape[-2:], dtype=torch.bool)
    for top, left in grid.places:
        inside[top : top + grid.size[1], left : left + grid.size[0]] = True
    lines = pictures.movedim(1, 0)[..., ~inside].flatten(1).to(torch.float32)
    off = (lines - lines.median(1, keepdim=True).values).abs()
    one = 2 / 255 if pictures.is_floating_point() else 1
    return bool((off <= _COLOUR * one).float().mean() > _MOSTLY)


def by_lines(pictures: Tensor) -> Grid | None:
    """The grid whose lines have one colour in all pictures (n, c, H, W), if there is one."""
    across = (pictures == pictures[:1, :, :, :1]).movedim(2, 0).flatten(1).all(1)
    down = (pictures == pictures[:1, :, :1]).movedim(3, 0).flatten(1).all(1)
    lines = [*pictures[0, :, across, 0].T.tolist(), *pictures[0, :, 0, down].T.tolist()]
    if len({tuple(colour) for colour in lines}) != 1:
        return None
    parts = [_segments(plain.tolist()) for plain in (across, down)]
    if not all(parts) or max(map(len, parts)) < 2 or max(map(len, parts)) > _MOST:
        return None
    (tops, tall, gap, above), (lefts, wide, between, before) = map(_regular, parts)
    if min(tops, lefts) == 0 or len({x for x in (gap, between) if x}) != 1 or above != before:
        return None
    return Grid(tops, lefts, (wide, tall), max(gap, between), above)


def _segments(plain: Sequence[bool]) -> list[tuple[int, int]]:
    """Start and end of each run of lines that are not plain."""
    edges = [i for i, (a, b) in enumerate(zip([True, *plain], [*plain, True])) if a != b]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _regular(parts: Sequence[tuple[int, int]]) -> tuple[int, int, int, int]:
    """Number, length, gap and first place of segments that are alike; number 0 if they are not."""
    lengths = {end - start for start, end in parts}
    gaps = {b[0] - a[1] for a, b in pairwise(parts)}
    if len(lengths) > 1 or len(gaps) > 1:
        return 0, 0, 0, 0
    return len(parts), lengths.pop(), gaps.pop() if gaps else 0, parts[0][0]


def _seamed(grid: Grid, pictures: Tensor) -> bool:
    """Whether neighbours across seams differ much more than others."""
    width, height = grid.size
    return min(_seam(pictures, height, -2), _seam(pictures, width, -1)) > _SEAM


def _seam(x: Tensor, side: int, axis: int) -> float:
    """The median difference across seams over what few other neighbours exceed; infinite without
    seams.
    """
    steps = x.to(torch.float32).diff(dim=axis).abs().movedim(axis, 0).flatten(1).mean(1)
    across = torch.arange(1, len(steps) + 1) % side == 0
    if not across.any():
        return float("inf")
    return float(steps[across].median() / steps[~across].quantile(0.9).clamp_min(1e-6))
