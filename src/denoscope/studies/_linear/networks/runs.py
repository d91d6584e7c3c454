"""Stored cells read back: the runs of one training set together, averaged over training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from denoscope.estimate import Estimate, mean
from denoscope.store import Row
from denoscope.studies._averages import Averaged


@dataclass(frozen=True, eq=False)
class Runs(Averaged):
    """All training runs on one set of ``n`` images."""

    n: int
    rows: Sequence[Row]

    @property
    def seen(self) -> int:
        """How many directions the training set spans."""
        return int(str(self.rows[0].values["seen"]))

    @property
    def leading(self) -> int:
        """How many of them hold half of its variance."""
        return int(str(self.rows[0].values["leading"]))

    def variances(self, name: str) -> list[Estimate]:
        """Variances along every direction, with intervals over noises; squares are first averaged
        over the runs, which share their noises.
        """
        return [mean(column) for column in self.mean(name).T]


def collected(rows: Sequence[Row]) -> list[Runs]:
    """Runs by training set, smallest first; a training that stopped is left out."""
    good = [row for row in rows if not row.values.get("stopped")]
    sizes = sorted({int(str(row.fields["n"])) for row in good})
    return [Runs(n, [row for row in good if row.fields["n"] == n]) for n in sizes]
