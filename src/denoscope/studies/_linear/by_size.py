"""Stored cells of a linear study read back: all sizes of one kind of data, in order, with the law
they were drawn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from denoscope.data.population import Population
from denoscope.estimate import Estimate
from denoscope.store import Row
from denoscope.studies._drawn import named, population
from denoscope.studies._source import Source

TWIN = "twin_"
"""What the names of the Gaussian twin's numbers begin with."""

_ALONE = 1.5  # how far lines of theory reach to both sides of a size that is alone


@dataclass(frozen=True, eq=False)
class BySize:
    """The cells that differ in nothing but n, ascending, the law of their data, and a name that
    tells them from other cells.
    """

    name: str
    law: Population
    rows: tuple[Row, ...]

    @classmethod
    def collected(cls, rows: Sequence[Row]) -> list[Self]:
        """All cells, by what they do not differ in: synthetic laws first, then images, by name."""
        return [
            cls(name, _law(some[0]), tuple(sorted(some, key=lambda row: int(str(row.fields["n"])))))
            for name, some in named(rows).items()
        ]

    @property
    def d(self) -> int:
        return self.law.d

    @property
    def fields(self) -> dict[str, Any]:
        """What all cells have in common, and the first one's n."""
        return self.rows[0].fields

    @cached_property
    def sizes(self) -> np.ndarray:
        """Training set sizes, ascending, float64."""
        return np.array([float(str(row.fields["n"])) for row in self.rows])

    @property
    def reach(self) -> tuple[float, float]:
        """Where lines of theory begin and end: at the first and last size, around a size that is
        alone.
        """
        first, last = float(self.sizes[0]), float(self.sizes[-1])
        return (first, last) if first < last else (max(2.0, first / _ALONE), last * _ALONE)

    @property
    def has_twin(self) -> bool:
        return self.law.rows is not None

    def estimates(self, name: str) -> list[Estimate]:
        """A measured number at every size."""
        return [found for row in self.rows if isinstance(found := row.values[name], Estimate)]

    def means(self, name: str) -> np.ndarray:
        """The averages over training sets at every size."""
        return np.array([item.value for item in self.estimates(name)])

    def nearest(self, share: float) -> int:
        """The index of the size nearest, by ratio, to that share of d."""
        return int(np.abs(np.log(self.sizes / self.d / share)).argmin())

    def described(self) -> str:
        """The data in words."""
        if self.law.rows is None:
            return f"{self.name}: Gaussian, d = {self.d}"
        shape = " × ".join(map(str, self.law.shape))
        return (
            f"{self.name}: {len(self.law.rows)} images of {shape}, d = {self.d} "
            "directions that vary"
        )


def _law(row: Row) -> Population:
    fields: dict[str, Any] = row.fields
    return population(
        Source(fields["data"], fields["skip_bad"], fields["resize"], tuple(fields["range"])),
        fields["d"],
    )
