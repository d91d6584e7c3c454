"""How far a denoiser is from the Gaussian, the memorizer and its own linear distillate, noise level
by noise level; the linearity score.

The hidden Gaussian structure of Li, Dai and Qu 2024: networks that generalize are nearly linear,
and nearer to the Wiener filter of their training images than to the memorizer; at high and at low
noise all agree, and what differs does so between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from denoscope.report import Section
from denoscope.store import Row
from denoscope.studies._geometry.base import Probed
from denoscope.studies._geometry.gap import measuring, page
from denoscope.studies._geometry.subject import Subject
from denoscope.study import Result, axis, option


@dataclass(frozen=True, kw_only=True)
class ScoreGap(Probed):
    """One denoiser, trained here or given, and its distances from closed forms at 15 noise
    levels.
    """

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = ("li2024", "wang2024", "karras2022")
    heading: ClassVar[str] = "Score gap: network, Gaussian and memorizer"
    seconds: ClassVar[float] = 2.0

    n: int = axis(
        64, "number of training images; with --model, 0: all that are not held out", (16, 256, 1024)
    )
    level_mean: float = option(
        0.5,
        "mean of log sigma in training: with the spread, so that all the levels that are "
        "measured are trained at",
    )
    level_std: float = option(2.5, "standard deviation of log sigma in training")

    def measure(self, subject: Subject) -> Result:
        return measuring.measure(subject)

    @classmethod
    def sections(cls, rows: Sequence[Row]) -> list[Section]:
        return page.sections(rows)
