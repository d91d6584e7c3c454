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

from denoscope.networks import best_size
from denoscope.report import Page
from denoscope.store import Row
from denoscope.studies._linear.networks import measuring, page
from denoscope.studies._recipe import Recipe
from denoscope.studies._source import Source, load
from denoscope.studies.phase_transition import PhaseTransition, learned
from denoscope.study import Result, Work, alike, axis, option

SIZES = (16, 64, 256, 1000)


@dataclass(frozen=True, kw_only=True)
class LinearVsNetwork(Recipe):
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

    def __post_init__(self) -> None:
        self.trained()

    def trained(self) -> PhaseTransition:
        """The same network as a cell of the transition's study, whose recipe trains and samples
        it.
        """
        return PhaseTransition(**self.fields())

    def infeasible(self) -> str:
        return self.trained().infeasible()

    def inputs(self) -> dict[str, str]:
        return {self.data: load(Source(self.data, self.skip_bad, self.resize, self.range)).sha256}

    def cost(self) -> float:
        return self.trained().cost()

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        return next(self.batch([self], work))[1]

    @classmethod
    def plan(cls, cells: Sequence[Self]) -> list[list[Self]]:
        """Fleets of alike cells, as large as pays but two where that keeps two cores busy."""
        jobs = []
        for members in alike(cells, "n", "seed"):
            count = max(
                min(2, len(members)), -(-len(members) // best_size(members[0].trained().network()))
            )
            jobs += [members[i::count] for i in range(count)]
        return jobs

    @classmethod
    def batch(cls, cells: Sequence[Self], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells as one fleet, samples all from the same noises, measures each beside its
        linear model.
        """
        twins = [item.trained() for item in cells]
        for item, twin, (member, generated, stopped) in zip(cells, twins, learned(twins, work)):
            yield (
                item,
                Result({"stopped": stopped})
                if stopped
                else measuring.measure(twin.place(), member, generated),
            )

    @classmethod
    def page(cls, rows: Sequence[Row], noted: Mapping[str, Any]) -> Page:
        return page.build(rows, noted, cls.references)
