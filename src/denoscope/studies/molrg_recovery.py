"""Recovering subspaces from few points: clustering and diffusion training change from failure to
success at as many points as dimensions.

Random mixtures of K orthogonal d-dimensional Gaussians in n dimensions, N_k points from each:
K-subspaces (for K = 1 uncentred PCA) on one side, on the other the denoiser of the same family
trained by its denoising loss, from the same points and the same starts (Wang et al. 2024, Figures 4
and 7).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from denoscope.report import Page
from denoscope.store import Row
from denoscope.studies._molrg.recovery import column, page
from denoscope.studies._molrg.recovery.instances import STARTS
from denoscope.study import Result, Study, Work, axis, option

LEAST = {"k": 1, "d": 1, "fewest": 1, "n": 1, "trials": 1, "starts": 1, "keep": 1, "steps": 1}
CHOICES = {"start": STARTS, "method": tuple(column.METHODS)}


@dataclass(frozen=True, kw_only=True)
class MolrgRecovery(Study):
    """Success of one method at one K and d, for every number of points a subspace: a column of a
    success map, measured at once.
    """

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = ("wang2024", "clopper1934")

    k: int = axis(1, "number of subspaces", (1, 2, 3))
    d: int = axis(2, "dimension of each", (2, 3, 4, 5, 6, 7, 8))
    noise: float = axis(
        0.01, "standard deviation, an entry, of what is added to the points", (0.01,)
    )
    start: str = axis(
        "neighbours", f"where both methods start: {' or '.join(STARTS)}", ("neighbours",)
    )
    method: str = axis("clustering", f"{' or '.join(column.METHODS)}", tuple(column.METHODS))
    fewest: int = option(2, "least number of points a subspace, N_k")
    most: int = option(15, "largest number of points a subspace; every one between is measured")
    trials: int = option(20, "random instances for each K, d and N_k")
    n: int = option(48, "dimension of the space")
    starts: int = option(64, "starts of each instance")
    keep: int = option(8, "the best starts, which both methods follow to the end")
    steps: int = option(150, "steps of diffusion training of the starts that were kept")

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"--{name} {getattr(self, name)}: must be at least {least}")
        for name, valid in CHOICES.items():
            if getattr(self, name) not in valid:
                raise ValueError(f"--{name} {getattr(self, name)}: there are {' and '.join(valid)}")
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"--noise {self.noise}: must be at least 0 and finite")
        if self.most < self.fewest:
            raise ValueError(f"--most {self.most}: must be at least --fewest {self.fewest}")

    def counts(self) -> range:
        """The numbers of points a subspace."""
        return range(self.fewest, self.most + 1)

    def infeasible(self) -> str:
        if self.k * self.d > self.n:
            return (
                f"--k {self.k} --d {self.d}: {self.k * self.d} mutually orthogonal "
                f"directions do not fit --n {self.n}"
            )
        return ""

    def cost(self) -> float:
        return column.seconds(
            self.method,
            self.k,
            self.d,
            self.counts(),
            self.n,
            self.trials,
            self.starts,
            self.keep,
            self.steps,
        )

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        return column.measured(
            self.method,
            self.k,
            self.d,
            self.counts(),
            n=self.n,
            noise=self.noise,
            trials=self.trials,
            starts=self.starts,
            start=self.start,
            keep=self.keep,
            steps=self.steps,
            tell=work.tell,
        )

    @classmethod
    def page(cls, rows: Sequence[Row], noted: Mapping[str, Any]) -> Page:
        return page.build(rows, noted, cls.references)
