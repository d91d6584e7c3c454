"""How many samples a linear diffusion model needs: losses and divergences against N, theory and
simulation.

The optimal linear denoiser of N training rows, for power-law Gaussian data and real images: train
and test loss, the divergence of what it samples from the law, the error of its covariance, the
variance that its training rows do not span, and what a ridge and early stopping rescue (Merger and
Goldt 2025). Everything is exact for a given training set; averages over training sets stand beside
their deterministic equivalents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from denoscope.estimate import mean
from denoscope.report import Page
from denoscope.store import Row, Value
from denoscope.studies._linear.by_size import TWIN
from denoscope.studies._linear.drawn import Drawn
from denoscope.studies._linear.generalization import page
from denoscope.studies._linear.generalization.measurements import Levels, measured
from denoscope.studies._linear.twin import gaussian_twin
from denoscope.study import Result, Work, axis, option

SIZES = (8, 16, 32, 50, 64, 80, 100, 128, 160, 200, 256, 400, 512, 800, 1024, 2048)


@dataclass(frozen=True, kw_only=True)
class LinearGeneralization(Drawn):
    """The optimal linear diffusion model of several training sets of one size, from one law of
    data.
    """

    version: ClassVar[int] = 1
    least: ClassVar[dict[str, int]] = {"d": 2, "draws": 2, "steps": 1, "resize": 0}
    references: ClassVar[tuple[str, ...]] = ("mergergoldt2025", "ledoitpeche2011", "ho2020")

    data: str = axis(
        "power1",
        "law of the data: powerK for eigenvalues nu^-K, or an image set: digits, "
        "fashion_mnist, emoji, faces, a folder, .npz or .zip",
        ("power0", "power1", "power2", "digits"),
    )
    n: int = axis(64, "number of training rows", SIZES)
    d: int = option(100, "dimension of synthetic data; images have their own")
    draws: int = option(20, "training sets a cell")
    abar: float = option(
        0.99, "noise level at which losses are shown, x_t = sqrt(abar) x0 + sqrt(1-abar) eps"
    )
    steps: int = option(
        1000, "levels of the schedule; with much fewer than 1000 it ends too far from noise"
    )
    skip_bad: bool = option(False, "leave out images that cannot be read, and count them")
    resize: int = option(0, "make every image this many pixels wide and high; 0 keeps them")
    range: tuple[float, ...] = option((), "LOW HIGH: the range of floating-point arrays")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.abar < 1:
            raise ValueError(f"--abar {self.abar}: must lie between 0 and 1")

    def cost(self) -> float:
        law = self.law()
        return (
            self.draws
            * (1 if law.rows is None else 2)
            * (0.01 + 2e-5 * self.steps + 4e-8 * law.d**3)
        )

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        law, levels = self.law(), Levels(self.abar, self.steps)
        found = measured(law, self.n, self.draws, levels)
        if law.rows is not None:
            found |= {
                TWIN + name: values
                for name, values in measured(gaussian_twin(law), self.n, self.draws, levels).items()
            }
        return Result({name: _averaged(name, values) for name, values in found.items()}, found)

    @classmethod
    def page(cls, rows: Sequence[Row], noted: Mapping[str, Any]) -> Page:
        return page.build(rows, noted, cls.references)


def _averaged(name: str, values: np.ndarray) -> Value:
    """The mean over training sets; of stopping times the median, since to train on may be best for
    some.
    """
    return float(np.median(values)) if name.removeprefix(TWIN) == "k" else mean(values)
