"""How linear a denoiser is around a point: D(x + lv) against its first-order model, along principal
and random directions.

The article's figure 5b (Chen et al. 2024, LOCO Edit, figure 2b): the ratio of norms and the cosine
of the two against the length of the step, at several noise levels; and, since D(x) is on both sides
of these, the same of the change alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from denoscope.report import Section
from denoscope.store import Row
from denoscope.studies._geometry.base import Probed
from denoscope.studies._geometry.linearity import measuring, page
from denoscope.studies._geometry.subject import Subject
from denoscope.study import Result


@dataclass(frozen=True, kw_only=True)
class LocalLinearity(Probed):
    """One denoiser, trained here or given, around noisy unseen images at 7 noise levels."""

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = ("chen2024", "wang2024", "karras2022")
    heading: ClassVar[str] = "Local linearity of denoisers"
    seconds: ClassVar[float] = 2.0

    def measure(self, subject: Subject) -> Result:
        return measuring.measure(subject)

    @classmethod
    def sections(cls, rows: Sequence[Row]) -> list[Section]:
        return page.sections(rows)
