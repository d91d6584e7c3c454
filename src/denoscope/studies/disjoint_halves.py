"""Models trained on disjoint halves of the data: do they denoise alike, make the same images from
the same noise, in the same adaptive bases?

Networks are trained on two disjoint subsets of growing size. The study measures output against
input PSNR on training and unseen images, how alike the samples of two models from one noise are
beside how alike a sample is to its nearest training image, and the geometry-adaptive harmonic bases
in which the models shrink (Kadkhodaie, Guth, Simoncelli and Mallat 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from denoscope.report import Section
from denoscope.store import Row
from denoscope.studies._geometry.base import Probed
from denoscope.studies._geometry.halves import measuring, page, pairs
from denoscope.studies._geometry.subject import Subject
from denoscope.study import Result, axis


@dataclass(frozen=True, kw_only=True)
class DisjointHalves(Probed):
    """One model, trained on one of two disjoint subsets, or given."""

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = ("kadkhodaie2024", "zhang2024", "karras2022")
    heading: ClassVar[str] = "Models trained on disjoint halves"
    seconds: ClassVar[float] = 1.0

    n: int = axis(
        64,
        "number of training images; with --model, 0: all that are not held out",
        (8, 32, 128, 512, 768),
    )
    subset: int = axis(
        0, "which of two training subsets: 0 or 1, disjoint as long as both fit", (0, 1)
    )

    def measure(self, subject: Subject) -> Result:
        return measuring.measure(subject)

    @classmethod
    def compare(cls, rows: Sequence[Row]) -> list[Row]:
        return pairs.rows_of(cls.title(), cls.version, rows)

    @classmethod
    def sections(cls, rows: Sequence[Row]) -> list[Section]:
        return page.sections(rows)
