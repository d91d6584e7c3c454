"""A trained network beside the linear model of the same images: variance of samples mode by mode,
and losses between the two solutions.

Networks of one width are trained on growing sets of images and sampled from the same noises, with
the same solver, as the exact linear model and the closed-form memorizer of each set. The study
measures along which directions they agree, and where the network's denoising loss lies between the
empirical denoiser and the best linear one (Merger and Goldt 2025).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from denoscope.report import Page
from denoscope.store import Row
from denoscope.studies._linear.networks import measuring, page
from denoscope.studies._trained import Trained
from denoscope.studies._transition.cell import Place
from denoscope.study import Result, Work, axis, option

SIZES = (16, 64, 256, 1000)


@dataclass(frozen=True, kw_only=True)
class LinearVsNetwork(Trained):
    """One network, trained on one set of images with one seed, and the linear model of that set."""

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = (
        "mergergoldt2025",
        "wang2025",
        "karras2022",
        "yoon2023",
    )

    n: int = axis(64, "number of training images", SIZES)
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1, 2))
    width: int = option(64, "width of the network, a multilayer perceptron")

    def place(self) -> Place:
        """Where the cell's training set comes from."""
        source = self.source(self.data)
        return Place(source, self.held, self.samples, self.solver_steps, self.n, self.subset)

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        return next(self.batch([self], work))[1]

    @classmethod
    def plan(cls, cells: Sequence[Self]) -> list[list[Self]]:
        """Fleets of alike cells, as large as pays but two where that keeps two cores busy."""
        return cls.fleets(cells, 2)

    @classmethod
    def batch(cls, cells: Sequence[Self], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells as one fleet, samples all from the same noises, measures each beside its
        linear model.
        """
        for item, (member, generated, stopped) in zip(cells, cls.learned(cells, work)):
            yield (
                item,
                Result({"stopped": stopped})
                if stopped
                else measuring.measure(item.place(), member, generated),
            )

    @classmethod
    def page(cls, rows: Sequence[Row], noted: Mapping[str, Any]) -> Page:
        return page.build(rows, noted, cls.references)
