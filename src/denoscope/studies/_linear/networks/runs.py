"""Stored cells read back: the runs of one training set together, averaged over training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from denoscope.estimate import Estimate, mean
from denoscope.store import Row
from denoscope.studies._averages import over_runs


@dataclass(frozen=True, eq=False)
class Runs:
    """All training runs on one set of ``n`` images."""

    n: int
    rows: Sequence[Row]

    @cached_property
    def arrays(self) -> list[dict[str, np.ndarray]]:
        """The arrays of every run, read once."""
        return [row.arrays() for row in self.rows]

    @property
    def first(self) -> dict[str, np.ndarray]:
        """Arrays of the first run, for what all runs share."""
        return self.arrays[0]

    @property
    def seen(self) -> int:
        """How many directions the training set spans."""
        return int(str(self.rows[0].values["seen"]))

    @property
    def leading(self) -> int:
        """How many of them hold half of its variance."""
        return int(str(self.rows[0].values["leading"]))

    def mean(self, name: str) -> np.ndarray:
        """The mean of an array over the runs."""
        return np.mean([run[name] for run in self.arrays], 0)

    def variances(self, name: str) -> list[Estimate]:
        """Variances along every direction, with intervals over noises; squares are first averaged over the runs, which share their noises."""
        return [mean(column) for column in self.mean(name).astype(np.float64).T]

    def estimate(self, name: str) -> Estimate | None:
        """A value averaged over the runs: t over runs where there are several, else the run's own interval; None where it is missing."""
        return over_runs(self.rows, name)


def collected(rows: Sequence[Row]) -> list[Runs]:
    """Runs by training set, smallest first; a training that stopped is left out."""
    good = [row for row in rows if not row.values.get("stopped")]
    sizes = sorted({int(str(row.fields["n"])) for row in good})
    return [Runs(n, [row for row in good if row.fields["n"] == n]) for n in sizes]
