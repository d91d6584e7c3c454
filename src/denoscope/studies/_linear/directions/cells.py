"""The cells beside what theory expects at their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from denoscope.metrics.crossings import as_size, falls
from denoscope.studies._linear.by_size import BySize
from denoscope.studies._linear.directions.expectations import cost, overlap, spanned
from denoscope.studies._linear.directions.measurements import counts
from denoscope.theory.spectra import participation_ratio

_FINE = 80  # sizes on a line of theory
FOUND = 0.9
"""A subspace is found where its overlap is at least this."""


@dataclass(frozen=True, eq=False)
class Directions(BySize):
    """All cells of one kind of data, by size."""

    @property
    def counts(self) -> tuple[int, ...]:
        """How many leading directions were looked at together."""
        return counts(self.d)

    @cached_property
    def effective(self) -> float:
        """The participation ratio of the law, the naive answer."""
        return float(participation_ratio(self.law.spectrum))

    @cached_property
    def grid(self) -> np.ndarray:
        """Sizes between the first and the last."""
        return np.geomspace(*self.reach, _FINE)

    def overlaps(self, k: int, sizes: np.ndarray) -> np.ndarray:
        """The expected overlap of the k leading directions, to first order in 1/N."""
        return overlap(
            self.law.spectrum, k, sizes, None if self.law.rows is None else len(self.law.rows)
        )

    def cost(self, k: int) -> float:
        """The rows that the k leading directions cost, (1 - overlap) N to first order."""
        return cost(self.law.spectrum, k)

    def spanned(self, sizes: np.ndarray) -> np.ndarray:
        """The expected share of the variance that the rows span."""
        return spanned(self.law.spectrum, sizes)

    def found_at(self, name: str) -> float:
        """The size from which an overlap or share stays above FOUND, between sizes by
        interpolation; +-inf beyond them.
        """
        return float(as_size(falls(self.sizes, 1 - self.means(name), 1 - FOUND)))
