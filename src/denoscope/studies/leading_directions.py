"""Not enough to span the space: the leading directions of few samples beside the true ones, as
images and in numbers.

Eigenvectors of the covariance of N rows against those of the law: overlap of the leading subspaces
with its chance level, principal angles, the share of the variance that the rows span; for images
beside Gaussian data of exactly the same covariance (Merger and Goldt 2025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from denoscope.data.population import gaussian_twin
from denoscope.estimate import mean
from denoscope.report import Page
from denoscope.store import Row
from denoscope.studies._drawn import Drawn, synthetic
from denoscope.studies._linear.by_size import TWIN
from denoscope.studies._linear.directions import page
from denoscope.studies._linear.directions.measurements import measured
from denoscope.study import Result, Work, axis, option

SIZES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)


@dataclass(frozen=True, kw_only=True)
class LeadingDirections(Drawn):
    """The leading directions of several training sets of one size, from one law of data."""

    version: ClassVar[int] = 1
    least: ClassVar[dict[str, int]] = {"d": 2, "draws": 2, "resize": 0}
    references: ClassVar[tuple[str, ...]] = ("mergergoldt2025",)

    data: str = axis(
        "digits",
        "law of the data: an image set (digits, fashion_mnist, emoji, faces, a folder, "
        ".npz or .zip), or powerK for eigenvalues nu^-K",
        ("digits", "power1", "power2"),
    )
    n: int = axis(64, "number of training rows", SIZES)
    d: int = option(100, "dimension of synthetic data; images have their own")
    draws: int = option(20, "training sets a cell")
    skip_bad: bool = option(False, "leave out images that cannot be read, and count them")
    resize: int = option(0, "make every image this many pixels wide and high; 0 keeps them")
    range: tuple[float, ...] = option((), "LOW HIGH: the range of floating-point arrays")

    def infeasible(self) -> str:
        reason = super().infeasible()
        if not reason and synthetic(self.data) == 0:
            return (
                f"--data {self.data}: all directions have the same variance, so none of them lead"
            )
        return reason

    def cost(self) -> float:
        law = self.law()
        return self.draws * (1 if law.rows is None else 2) * (0.003 + 2e-8 * law.d**3)

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        law = self.law()
        found, first = measured(law, self.n, self.draws)
        if law.rows is not None:
            found |= {
                TWIN + name: values
                for name, values in measured(gaussian_twin(law), self.n, self.draws)[0].items()
            }
        return Result(
            {name: mean(values) for name, values in found.items()}, found | {"leading": first}
        )

    @classmethod
    def page(cls, rows: Sequence[Row], noted: Mapping[str, Any]) -> Page:
        return page.build(rows, noted, cls.references)
