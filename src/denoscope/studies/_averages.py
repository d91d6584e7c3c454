"""Stored cells that are averaged: training runs alike but for what they are averaged over."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from denoscope.estimate import Estimate, mean
from denoscope.store import Row


class Averaged:
    """Cells ``rows`` that are read together; a base of dataclasses that have that field."""

    rows: Sequence[Row]

    @cached_property
    def arrays(self) -> list[dict[str, np.ndarray]]:
        """The arrays of every cell, read once."""
        return [row.arrays() for row in self.rows]

    @property
    def first(self) -> dict[str, np.ndarray]:
        """Arrays of the first cell, for what all share."""
        return self.arrays[0]

    def mean(self, name: str) -> np.ndarray:
        """An array averaged over the cells."""
        return np.mean([cell[name].astype(np.float64) for cell in self.arrays], 0)

    def estimate(self, name: str) -> Estimate | None:
        """A value averaged over the cells, see :func:`over_runs`."""
        return over_runs(self.rows, name)


def over_runs(rows: Sequence[Row], name: str) -> Estimate | None:
    """A value's mean over rows: by t over them where there are several, else the row's own
    interval; None where one lacks it.
    """
    found = [row.values.get(name) for row in rows]
    if not found or any(not isinstance(value, Estimate | int | float) for value in found):
        return None
    if len(found) == 1:
        return found[0] if isinstance(found[0], Estimate) else mean([float(str(found[0]))])
    return mean(
        [value.value if isinstance(value, Estimate) else float(str(value)) for value in found]
    )
