"""The cells beside what theory expects at their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from denoscope.studies._linear.by_size import BySize
from denoscope.studies._linear.generalization.expectations import bayes, expected, floors
from denoscope.studies._linear.generalization.measurements import Levels

CLOSE = 0.1
"""Theory and simulation agree where they differ by less than this share."""

_ROUNDING = 1e-9  # the relative width below which an interval is none
_FINE = 60  # sizes on a line of theory, and near N = d half as many more


@dataclass(frozen=True, eq=False)
class Measured(BySize):
    """All cells of one kind of data, by size, with theory at the same settings."""

    @cached_property
    def levels(self) -> Levels:
        """The noise levels of these cells."""
        return Levels(self.fields["abar"], self.fields["steps"])

    @cached_property
    def theory(self) -> dict[str, np.ndarray]:
        """What is expected at every size."""
        return expected(self.law.spectrum, self.sizes, self.levels)

    @cached_property
    def grid(self) -> np.ndarray:
        """Sizes between the first and the last, closer to each other around N = d."""
        ends = self.reach
        near = self.d * np.linspace(0.8, 1.3, _FINE // 2)
        return np.unique(
            np.concatenate([np.geomspace(*ends, _FINE), near[(near > ends[0]) & (near < ends[1])]])
        )

    @cached_property
    def lines(self) -> dict[str, np.ndarray]:
        """What is expected on the whole grid."""
        return expected(self.law.spectrum, self.grid, self.levels)

    @cached_property
    def bayes(self) -> tuple[float, float]:
        """The least loss a dimension at the level shown, and averaged over the schedule."""
        return bayes(self.law.spectrum, self.levels)

    @cached_property
    def floors(self) -> dict[str, float]:
        """What is left of each divergence however many images there are."""
        return floors(self.law.spectrum, self.levels)


class Compared(NamedTuple):
    """One measured number beside its theory: the relative difference, and the difference in
    half-widths of the 95 % interval.
    """

    name: str
    size: float
    off: float
    widths: float


def compared(item: Measured, prefix: str = "") -> list[Compared]:
    """Everything that theory has above 0, at every size."""
    return [
        Compared(
            name,
            float(size),
            abs(found.value / wanted - 1),
            2 * abs(found.value - wanted) / max(found.high - found.low, _ROUNDING * wanted),
        )
        for name, theory in item.theory.items()
        if prefix + name in item.rows[0].values
        for size, wanted, found in zip(item.sizes, theory, item.estimates(prefix + name))
        if wanted > 0
    ]


def differences(
    item: Measured, prefix: str = "", *, apart: float = 1.0
) -> dict[str, tuple[float, float]]:
    """For every number, the largest relative difference of simulation from theory, and the size
    where it is.

    ``apart`` above 1 leaves out sizes closer to N = d than by that factor.
    """
    found: dict[str, tuple[float, float]] = {}
    for one in compared(item, prefix):
        if (
            abs(np.log(one.size / item.d)) >= np.log(apart)
            and one.off >= found.get(one.name, (0.0, 0.0))[0]
        ):
            found[one.name] = one.off, one.size
    return found
