"""A study small enough to be killed and resumed many times."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from denoscope.estimate import mean
from denoscope.study import Result, Study, Work, axis, option


@dataclass(frozen=True, kw_only=True)
class Toy(Study):
    """Means of seeded normals."""

    version: ClassVar[int] = 3
    n: int = axis(4, "how many numbers", (2, 4))
    seed: int = axis(0, "seed", (0, 1))
    scale: float = option(1.0, "their scale")
    wait: float = option(0.0, "seconds to dawdle")

    def infeasible(self) -> str:
        return "n must be at least 2" if self.n < 2 else ""

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        if self.scale < 0:
            raise ValueError("scale must not be negative")
        if self.scale == 13:
            raise RuntimeError("unlucky")
        for part in range(10):
            time.sleep(self.wait / 10)
            work.tell(part / 10)
        numbers = self.scale * np.random.default_rng([self.n, self.seed]).standard_normal(self.n)
        return Result(
            {"mean": mean(numbers), "largest": float(numbers.max()), "none": float("nan")},
            {"numbers": numbers},
        )

    @classmethod
    def batch(cls, cells: Sequence[Self], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        for cell in cells:
            yield cell, cell.run(work)

    @classmethod
    def plan(cls, cells: Sequence[Self]) -> list[list[Self]]:
        return [
            [cell for cell in cells if cell.seed == seed]
            for seed in dict.fromkeys(cell.seed for cell in cells)
        ]
