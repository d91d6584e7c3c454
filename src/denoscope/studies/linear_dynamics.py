"""Training a linear diffusion model: loss mode by mode against time, and one best stopping time for
all noise levels.

Linear models of all noise levels are trained together by full-batch gradient descent on small
training sets of synthetic and real data, and everything recorded stands beside its closed form:
losses, single modes, when to stop, and which variances a half-trained model samples (Merger and
Goldt 2025; Wang and Pehlevan 2025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from denoscope.report import Page
from denoscope.store import Row
from denoscope.studies._linear.drawn import Drawn
from denoscope.studies._linear.dynamics import learned, page
from denoscope.study import Result, Work, axis, option


@dataclass(frozen=True, kw_only=True)
class LinearDynamics(Drawn):
    """Gradient descent of linear diffusion models on several training sets of one size."""

    version: ClassVar[int] = 1
    least: ClassVar[dict[str, int]] = {"d": 2, "draws": 1, "steps": 2, "samples": 2, "resize": 0}
    references: ClassVar[tuple[str, ...]] = ("mergergoldt2025", "wang2025", "ledoitpeche2011")

    data: str = axis(
        "power1",
        "law of the data: powerK (variances nu^-K), or an image set: digits, fashion_mnist, ...",
        ("power1", "digits"),
    )
    n: int = axis(40, "training items", (20, 40, 80, 200))
    d: int = option(100, "dimension of a synthetic law")
    draws: int = option(10, "training sets of each size")
    abar: tuple[float, ...] = option(
        (0.5, 0.9, 0.99, 0.999),
        "noise levels that are trained, as the share abar of the signal's variance",
    )
    steps: int = option(2000, "steps of gradient descent")
    rate: float = option(0.25, "step size as a share of the largest that is stable")
    samples: int = option(200, "samples drawn from half-trained models")
    skip_bad: bool = option(False, "leave out images that cannot be read, and count them")
    resize: int = option(0, "make every image this many pixels wide and high; 0 keeps them")
    range: tuple[float, ...] = option((), "LOW HIGH: the range of floating-point arrays")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.rate < 1:
            raise ValueError(f"--rate {self.rate}: must lie between 0 and 1")
        if (
            not self.abar
            or len(set(self.abar)) < len(self.abar)
            or not all(0 < y < 1 for y in self.abar)
        ):
            raise ValueError(
                f"--abar {' '.join(map(str, self.abar))}: must be different numbers between 0 and 1"
            )

    def infeasible(self) -> str:
        if self.n < 2:
            return f"--n {self.n}: a training set needs at least 2 items"
        most = self.law().most
        return (
            f"--n {self.n}: half of the images of {self.data}, {most}, can be trained on"
            if most is not None and self.n > most
            else ""
        )

    def cost(self) -> float:
        d = self.law().d
        descent = self.draws * self.steps * len(self.abar) * (7e-6 + 1.1e-10 * d**3)
        return descent + 1.5 + self.samples * d**2 * 2e-6

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        return learned.cell(
            self.law(),
            self.n,
            draws=self.draws,
            abars=sorted(self.abar, reverse=True),
            steps=self.steps,
            share=self.rate,
            samples=self.samples,
            tell=work.tell,
        )

    @classmethod
    def page(cls, rows: Sequence[Row], noted: Mapping[str, Any]) -> Page:
        return page.build(rows, noted, cls.references)
