"""Stored cells read back: those of one kind of data together, and the size at which its figures are
drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from denoscope.estimate import Estimate, mean
from denoscope.store import Row
from denoscope.studies._linear.population import synthetic

_FEW = 0.7  # of the dimension


@dataclass(frozen=True, eq=False)
class Cell:
    """One stored cell with its arrays, read once."""

    row: Row

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        return self.row.arrays()

    @property
    def n(self) -> int:
        return int(str(self.row.fields["n"]))

    @property
    def d(self) -> int:
        return int(self.number("d"))

    @property
    def few(self) -> bool:
        """Whether the training set leaves directions unseen."""
        return self.n <= self.d

    def estimate(self, name: str) -> Estimate | None:
        """A measured average, None where the cell has none."""
        found = self.row.values.get(name)
        return found if isinstance(found, Estimate) else None

    def number(self, name: str) -> float:
        """A measured number."""
        return float(str(self.row.values[name]))


@dataclass(frozen=True, eq=False)
class Data:
    """All cells of one kind of data, by size."""

    name: str
    cells: Sequence[Cell]

    @property
    def d(self) -> int:
        return self.cells[0].d

    @property
    def shown(self) -> Cell:
        """The cell whose training is drawn: the most items that are clearly fewer than d, else the
        fewest.
        """
        few = [cell for cell in self.cells if cell.n <= _FEW * self.d]
        return few[-1] if few else self.cells[0]


def collected(rows: Sequence[Row]) -> list[Data]:
    """Cells by data, synthetic laws first."""
    names = sorted(
        {str(row.fields["data"]) for row in rows}, key=lambda name: (synthetic(name) is None, name)
    )
    cells = sorted((Cell(row) for row in rows), key=lambda cell: cell.n)
    return [
        Data(name, [cell for cell in cells if cell.row.fields["data"] == name]) for name in names
    ]


def averages(values: np.ndarray) -> list[Estimate]:
    """The mean over training sets, the first axis, of every column."""
    return [mean(column) for column in values.T]
