"""Memorization to generalization on real images: GL, RP and N* over training-set size and network width.

Diffusion models of several widths are trained on growing subsets of one image set and sampled from the same noises with the same
solver. The study measures how often samples are copies (calibrated on held-out images), how far models agree with each other and
with the closed-form memorizer, and where a width goes from copying to generalizing (Zhang et al. 2024, Figs. 2 and 3;
Kadkhodaie et al. 2024 for disjoint halves).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from denoscope.fitting import draws, training
from denoscope.networks import MLP, Fleet, Preconditioned, UNet
from denoscope.random import derive
from denoscope.report.page import Page
from denoscope.sampling import heun, sample
from denoscope.schedule import log_normal
from denoscope.store import Row
from denoscope.studies._transition import cell, compare, page, setting
from denoscope.study import Result, Study, Work, axis, option

SIZES = (8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536)
TRAINING_SHARE = 0.85  # of a job's time, for the progress bar


@dataclass(frozen=True, kw_only=True)
class PhaseTransition(Study):
    """Memorization to generalization on real images: one network of one width, trained on one subset with one seed."""

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = (
        "zhang2024", "kadkhodaie2024", "yoon2023", "karras2022", "alaa2022", "heusel2017", "clopper1934", "donner2012",
    )  # fmt: skip

    n: int = axis(64, "number of training images", SIZES)
    width: int = axis(64, "width of the network, the one capacity dial", (32, 64, 128))
    subset: int = axis(0, "which of two training subsets: 0 or 1, disjoint as long as both fit", (0, 1))
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1))
    data: str = option("digits", "image set: digits, fashion_mnist, emoji, faces, or a folder, .npz or .zip of images")
    net: str = option("mlp", "network", ("mlp", "unet"))
    steps: int = option(5000, "training steps")
    batch_size: int = option(64, "images a training step")
    lr: float = option(2e-3, "peak learning rate of the one-cycle schedule")
    ema: float = option(0.999, "decay of the averaged weights that are sampled")
    level_mean: float = option(-0.8, "mean of log sigma in training")
    level_std: float = option(1.2, "standard deviation of log sigma in training")
    samples: int = option(1000, "samples drawn from each model, from the same noises")
    solver_steps: int = option(18, "steps of Heun's method")
    held: int = option(261, "images held out from every model")
    skip_bad: bool = option(False, "leave out images that cannot be read, and count them")
    resize: int = option(0, "make every image this many pixels wide and high; 0 keeps them")
    range: tuple[float, ...] = option((), "LOW HIGH: the range of floating-point arrays")

    def source(self) -> setting.Source:
        """Which images, and how they are read."""
        return setting.Source(self.data, self.skip_bad, self.resize, self.range)

    def infeasible(self) -> str:
        pool = len(setting.split(setting.load(self.source()), self.held)[0])
        if self.subset not in (0, 1):
            return f"--subset {self.subset}: there are two subsets, 0 and 1"
        if self.n < 2:
            return f"--n {self.n}: a training set needs at least 2 images"
        if self.n > pool:
            return f"--n {self.n}: {self.data} has {pool} images beside the {self.held} held out"
        if self.subset == 1 and 2 * self.n > pool:
            return f"--n {self.n} on subset 1: two disjoint subsets of {self.n} do not fit into {pool} images"
        return ""

    def denoiser(self) -> Preconditioned:
        """The untrained network of this cell."""
        images = setting.load(self.source())
        kind = MLP if self.net == "mlp" else UNet
        return Preconditioned(kind(images.shape, self.width, seed=derive(self.run_seed(), 0)), "edm")

    def run_seed(self) -> int:
        """The seed of this training run: no two cells of a sweep share their initialisation, batches or noise."""
        return derive(self.seed, self.n, self.width, self.subset)

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        return next(self.batch([self], work))[1]

    @classmethod
    def plan(cls, cells: Sequence[Self]) -> list[list[Self]]:
        ...

    @classmethod
    def batch(cls, cells: Sequence[Self], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        ...
