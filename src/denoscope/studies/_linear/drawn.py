"""What the studies that draw training sets from a law have in common: where the law comes from, and
what of it is checked.
"""

from __future__ import annotations

from typing import ClassVar

from denoscope.studies._linear.population import Population, population, synthetic
from denoscope.studies._source import Source, load
from denoscope.study import Study


class Drawn(Study):
    """A study with the fields ``data``, ``n``, ``d``, ``skip_bad``, ``resize`` and ``range``;
    ``least`` are the least values of its fields.
    """

    least: ClassVar[dict[str, int]] = {}

    data: str  # stated here for its type alone: each study has its own default and help
    n: int
    d: int
    skip_bad: bool
    resize: int
    range: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, least in self.least.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"--{name} {getattr(self, name)}: must be at least {least}")

    def source(self) -> Source:
        """Which data, and how images are read."""
        return Source(self.data, self.skip_bad, self.resize, self.range)

    def law(self) -> Population:
        """The law of the data."""
        return population(self.source(), self.d)

    def infeasible(self) -> str:
        if self.n < 2:
            return f"--n {self.n}: a training set needs at least 2 rows"
        most = self.law().most
        if most is not None and self.n > most:
            return (
                f"--n {self.n}: {self.data} has {2 * most} images, half of which test; "
                f"at most {most} train"
            )
        return ""

    def inputs(self) -> dict[str, str]:
        return {self.data: load(self.source()).sha256} if synthetic(self.data) is None else {}
