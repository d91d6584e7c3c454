"""Stored cells read back as lines: one method along d at one n, or along n at one d."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from denoscope.store import Row
from denoscope.studies._molrg.scaling.crossings import Growth, Needed, growth, needed

AXES = ("method", "d", "n", "clusters")
END = "network, to the end"
METHODS = {
    "empirical": "empirical distribution",
    "kernel": "kernel smoother",
    "gaussian": "Gaussian fit",
    "molrg": "MoLRG fit",
    "network": "network",
    END: END,
}
"""Every curve's name in words; the first five are the methods of cells."""

SMOOTHERS = ("empirical", "kernel")


@dataclass(frozen=True, eq=False)
class Cell:
    """One measured cell, or with ``method`` END the same networks at their last step."""

    row: Row
    method: str
    arrays: Mapping[str, np.ndarray]

    @property
    def fields(self) -> dict[str, Any]:
        return self.row.fields

    @property
    def errors(self) -> np.ndarray:
        """The relative excess, (sizes, draws)."""
        return self.arrays["end" if self.method == END else "error"]

    @cached_property
    def needed(self) -> Needed:
        """The samples that reach the level."""
        return needed(self.arrays["sizes"], self.errors, float(self.fields["level"]))


@dataclass(frozen=True, eq=False)
class Line:
    """The cells of one method and K that differ in ``axis`` alone, ascending; ``fixed`` is the
    value of the other dimension.
    """

    method: str
    clusters: int
    axis: Literal["d", "n"]
    fixed: int
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        return METHODS[self.method]

    @property
    def x(self) -> list[int]:
        return [int(cell.fields[self.axis]) for cell in self.cells]

    @property
    def points(self) -> list[Needed]:
        return [cell.needed for cell in self.cells]

    @cached_property
    def linear(self) -> Growth:
        """N = a + b d."""
        return growth("linear", self.x, self.points)

    @cached_property
    def exponential(self) -> Growth:
        """ln N = a + b d."""
        return growth("exponential", self.x, self.points)

    @cached_property
    def power(self) -> Growth:
        """ln N = a + b ln d, or ln n."""
        return growth("power", self.x, self.points)

    def at(self, value: int) -> Cell | None:
        """The cell with this d (or n)."""
        return next((cell for cell in self.cells if cell.fields[self.axis] == value), None)


def alike(rows: Sequence[Row]) -> list[Row]:
    """The rows of the most common settings, axes apart."""

    def setting(row: Row) -> tuple[str, ...]:
        return tuple(
            f"{name} {value}" for name, value in row.fields.items() if name not in (*AXES, "full")
        )

    common = Counter(map(setting, rows)).most_common(1)[0][0]
    return [row for row in rows if setting(row) == common]


def collected(rows: Sequence[Row]) -> list[Cell]:
    """Every cell, networks twice."""
    cells = []
    for row in rows:
        arrays = row.arrays()
        cells.append(Cell(row, str(row.fields["method"]), arrays))
        if "end" in arrays:
            cells.append(Cell(row, END, arrays))
    return cells


def along(cells: Sequence[Cell], axis: Literal["d", "n"], clusters: int) -> list[Line]:
    """The lines of one K along ``axis``, at the value of the other dimension that has most cells;
    those of one cell are left out.
    """
    other = "n" if axis == "d" else "d"
    mine = [cell for cell in cells if cell.fields["clusters"] == clusters]
    spread = {
        value: len({c.fields[axis] for c in mine if c.fields[other] == value})
        for value in sorted({c.fields[other] for c in mine})
    }
    fixed = max(spread, key=lambda value: spread[value], default=0)
    lines = []
    for method in METHODS:
        members = sorted(
            (c for c in mine if c.method == method and c.fields[other] == fixed),
            key=lambda c: c.fields[axis],
        )
        if len(members) > 1:
            lines.append(Line(method, clusters, axis, fixed, tuple(members)))
    return lines
