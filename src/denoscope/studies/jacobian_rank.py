"""Rank of the denoiser's Jacobian against the noise level: low in between, high at both ends, and
what of it the data explain.

The Jacobian of a network at noisy images and along its own sampling paths, by the two rules for a
numerical rank in use, beside those of the memorizer, of the Gaussians of the training and of all
images, and of the true denoiser where it is known (Wang et al. 2024; Chen et al. 2024); its size,
its symmetry, and the intrinsic dimension that it states beside that of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from denoscope.report import Section
from denoscope.store import Row
from denoscope.studies._geometry.base import Probed
from denoscope.studies._geometry.rank import measuring, page
from denoscope.studies._geometry.subject import Subject
from denoscope.study import Result, option


@dataclass(frozen=True, kw_only=True)
class JacobianRank(Probed):
    """Rank of the denoiser's Jacobian against the noise level, beside closed forms; intrinsic
    dimension.
    """

    version: ClassVar[int] = 1
    heading: ClassVar[str] = "Rank of the denoiser's Jacobian"
    seconds: ClassVar[float] = 8.0
    references: ClassVar[tuple[str, ...]] = (
        "wang2024", "chen2024", "kadkhodaie2024", "karras2022", "yoon2023", "meyer2021", "facco2017", "levina2004", "kamkari2024", "stanczuk2024",
    )  # fmt: skip

    points: int = option(
        0, "points at each noise level; 0: 16, or 6 where an image has more than 256 numbers"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points < 0:
            raise ValueError(f"--points {self.points}: must be at least 0")

    def measure(self, subject: Subject) -> Result:
        return measuring.measure(subject, self.points)

    @classmethod
    def sections(cls, rows: Sequence[Row]) -> list[Section]:
        return page.sections(rows)
