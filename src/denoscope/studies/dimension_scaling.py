"""The curse of dimensionality, and what escapes it: samples needed against intrinsic and ambient
dimension, from kernels to networks.

The truth is a mixture of low-rank Gaussians: K orthogonal subspaces of dimension d in R^n. Every
method is a denoiser, and all are measured by one distance, the excess risk E|D - D_true|^2 /
E|D_true|^2 at one noise level (Wang et al. 2024, arXiv 2409.02426).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from denoscope.report import Page
from denoscope.store import Row, Value
from denoscope.studies._molrg.scaling import distances, growing, networks, page
from denoscope.studies._molrg.scaling.crossings import needed
from denoscope.studies._molrg.scaling.truth import Draw, Setting
from denoscope.study import Result, Study, Work, axis, option

METHODS = (*growing.CLOSED, "network")
MIDDLE_D, MIDDLE_N = 4, 48
MOST_SMOOTHED = 8
LEAST = {
    "d": 1,
    "n": 1,
    "clusters": 1,
    "draws": 2,
    "largest": 2,
    "probes": 2,
    "compared": 4,
    "width": 1,
    "steps": 1,
    "batch_size": 1,
}


@dataclass(frozen=True, kw_only=True)
class DimensionScaling(Study):
    """Samples that one method needs to come within the level of the truth, at one d, n and K."""

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = ("wang2024", "mergergoldt2025", "karras2022")

    method: str = axis("empirical", f"the denoiser: {', '.join(METHODS)}", METHODS)
    d: int = axis(MIDDLE_D, "dimension of each subspace", (1, 2, 3, 4, 6, 8, 12))
    n: int = axis(MIDDLE_N, "ambient dimension", (16, 48, 144))
    clusters: int = axis(1, "number of subspaces K", (1, 3))
    full: bool = option(
        False, f"every combination of d and n, not only those with d = {MIDDLE_D} or n = {MIDDLE_N}"
    )
    sigma: float = option(
        0.2, "noise level at which denoisers are compared; the subspaces have unit variance"
    )
    level: float = option(0.05, "the relative excess risk that must be reached")
    noise: float = option(0.01, "ambient noise of the data, standard deviation an entry")
    draws: int = option(4, "random mixtures and training sets a cell")
    largest: int = option(65536, "the largest training set tried")
    probes: int = option(256, "fresh noisy points at which a denoiser is compared with the truth")
    compared: int = option(256, "points of each sample between which W2 is computed")
    width: int = option(128, "width of the networks")
    steps: int = option(800, "training steps of the networks")
    batch_size: int = option(64, "points a training step")
    lr: float = option(5e-3, "learning rate of the networks")
    seed: int = option(0, "seed of everything")

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise ValueError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: must be at least {least}"
                )
        for name in ("sigma", "lr"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"--{name} {getattr(self, name)}: must be a positive number")
        if not 0 < self.level < 1:
            raise ValueError(f"--level {self.level}: must lie between 0 and 1")
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"--noise {self.noise}: must be at least 0")
        if self.method not in METHODS:
            raise ValueError(f"--method {self.method}: there are {', '.join(METHODS)}")

    def infeasible(self) -> str:
        if self.clusters * self.d > self.n:
            return (
                f"--clusters {self.clusters} --d {self.d}: {self.clusters * self.d} "
                f"orthogonal directions do not fit into --n {self.n}"
            )
        if self.method in growing.SMOOTHERS and self.d > MOST_SMOOTHED:
            return (
                "the empirical distribution and kernel smoothers are measured up to "
                f"--d {MOST_SMOOTHED}"
            )
        if not self.full and self.d != MIDDLE_D and self.n != MIDDLE_N:
            return (
                f"d and n vary apart, d at --n {MIDDLE_N} and n at --d {MIDDLE_D}; "
                "--full measures every combination"
            )
        return ""

    def cost(self) -> float:
        if self.method == "network":
            members = self.draws * (math.log2(networks.REACH) + 1)
            return (
                1e-4
                * members
                * self.steps
                * self.batch_size
                / 64
                * (self.width / 64)
                * (0.6 + 0.4 * self.n / 48)
            )
        if self.method in growing.SMOOTHERS:
            count = min(self.largest, 30.0 * self.clusters * 3.4**self.d)
            return 0.3 + 4e-8 * self.draws * self.probes * count * (
                7 if self.method == "kernel" else 1
            )
        return 0.5 + 0.5 * self.clusters

    def setting(self) -> Setting:
        """The truth of this cell."""
        return Setting(
            self.d, self.n, self.clusters, self.sigma, self.noise, self.probes, self.seed
        )

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        drawn = [Draw(self.setting(), index) for index in range(self.draws)]
        if self.method == "network":
            recipe = networks.Recipe(self.width, self.steps, self.batch_size, self.lr)
            arrays = networks.trained(drawn, recipe, work.tell)
        else:
            arrays = growing.grown(self.method, drawn, self.largest, self.level, work.tell)
        if self.method in distances.SAMPLERS:
            arrays |= distances.compared(self.method, drawn, self.compared)
        if self.method == "empirical":
            arrays["nearest"] = distances.nearest(drawn, arrays["sizes"].tolist())
        return Result(_values(arrays, self.level), arrays)

    @classmethod
    def plan(cls, cells: Sequence[Self]) -> list[list[Self]]:
        """The methods of one d, n and K in one job, networks and kernel smoothers apart."""
        jobs: dict[tuple[object, ...], list[Self]] = defaultdict(list)
        for item in cells:
            alone = item.method if item.method in ("network", "kernel") else ""
            jobs[
                (alone, *(value for name, value in item.fields().items() if name != "method"))
            ].append(item)
        return list(jobs.values())

    @classmethod
    def page(cls, rows: Sequence[Row], noted: Mapping[str, Any]) -> Page:
        return page.build(rows, noted, cls.references)


def _values(arrays: Mapping[str, np.ndarray], level: float) -> dict[str, Value]:
    """What a table shows of a cell: the samples needed (+inf: not reached) with their interval, and
    where measuring ended.
    """
    values: dict[str, Value] = {}
    for name, key in (("error", "needed"), ("end", "needed_end")):
        if name in arrays:
            found = needed(arrays["sizes"], arrays[name], level)
            values |= {
                key: found.value,
                f"{key}_low": found.estimate.low,
                f"{key}_high": found.estimate.high,
            }
    return values | {
        "largest_tried": int(arrays["sizes"][-1]),
        "excess_there": float(arrays["error"][-1].mean()),
    }
