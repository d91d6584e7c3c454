"""How a network comes near the Gaussian denoiser of its training set, and leaves it, over training
size, width and training time.

Every network is looked at in snapshots evenly spaced in the logarithm of the step, under a constant
learning rate: its distance to the Wiener denoiser of the training images, its linearity, its
denoising errors and its samples. Claimed (Li, Dai and Qu 2024): networks of few images are nearest
to the Gaussian in mid-training and then memorize; stopping there, or a small width, makes them
generalize.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from denoscope.report import Section
from denoscope.store import Row
from denoscope.studies._geometry.base import Probed
from denoscope.studies._geometry.emergence import measuring, page
from denoscope.studies._geometry.emergence.trajectory import snapshot_steps, trajectories
from denoscope.studies._geometry.subject import Subject
from denoscope.studies._source import load
from denoscope.studies._transition import costs
from denoscope.studies.phase_transition import NETWORKS
from denoscope.study import Result, Work, axis, option

_TRAINING = 0.7  # of a job's time, for the progress bar


@dataclass(frozen=True, kw_only=True)
class GaussianEmergence(Probed):
    """One network along its training at a constant rate, or with ``model`` one that is given, at
    its end.
    """

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = ("li2024", "wang2025", "yoon2023", "karras2022")
    heading: ClassVar[str] = "Near the Gaussian, and away from it"

    n: int = axis(
        64,
        "number of training images; with --model, 0: all that are not held out",
        (16, 64, 256, 768),
    )
    width: int = axis(64, "width of the network, the one capacity dial", (8, 32, 128))
    subset: int = axis(
        0, "which of two training subsets: 0 or 1, disjoint as long as both fit", (0, 1)
    )
    seed: int = axis(0, "training seed: initialisation, batches and noise")
    lr: float = option(2e-3, "learning rate, the same at every step")
    ema: float = option(
        0.999,
        "decay of the averaged weights that are measured, at most (1 + k)/(10 + k) at "
        "step k; 0: the weights themselves",
    )
    snapshots: int = option(
        12, "snapshots of a training, evenly spaced in the logarithm of the step"
    )
    first: int = option(30, "step of the first snapshot")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("snapshots", "first"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}: must be at least 1")

    def moments(self) -> list[int]:
        """The steps at which the training is looked at."""
        return snapshot_steps(self.first, self.steps, self.snapshots)

    def cost(self) -> float:
        looks, shape = 1 if self.model else len(self.moments()), load(self.where().source).shape
        return costs.seconds(
            NETWORKS[self.net],
            self.net,
            shape,
            self.width,
            trained=0 if self.model else self.steps * self.batch_size,
            sampled=looks * (measuring.EVALUATIONS + self.samples * (2 * self.solver_steps - 1)),
        )

    @classmethod
    def batch(cls, cells: Sequence[Any], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells as one fleet, interrupted at every snapshot, and measures each; networks
        that are given are measured as they are.
        """
        if cells[0].model:
            yield from super().batch(cells, work)
            return
        trained = trajectories(
            [cell.trained() for cell in cells], cells[0].moments(), work, _TRAINING
        )
        for index, (item, (course, stopped)) in enumerate(zip(cells, trained)):
            work.tell(_TRAINING + (1 - _TRAINING) * index / len(cells))
            where = item.where()
            seen = {
                step: Subject(denoiser, where, item.samples, item.solver_steps)
                for step, denoiser in course.items()
            }
            yield item, Result({"stopped": stopped}) if stopped else measuring.measure(seen)

    def measure(self, subject: Subject) -> Result:
        """A network at the end of a training that nobody looked at: step 0."""
        return measuring.measure({0: subject})

    @classmethod
    def sections(cls, rows: Sequence[Row]) -> list[Section]:
        return page.sections(rows)
