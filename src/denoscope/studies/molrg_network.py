"""Generic networks on mixtures of low-rank Gaussians: how many points a dimension it takes to go
from copying to generalizing.

Multilayer perceptrons or small U-Nets are trained on N_k points of each of K orthogonal subspaces
of dimension d, and sampled from the same noises. GL is the squared distance of samples to the
nearest training point relative to that of fresh points: 0 for copies, 1 for points of the law. The
study measures at which N_k/d it crosses one half, and whether curves of different d fall on one
(Wang et al. 2024, Fig. 5).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from denoscope.fitting import draws, training
from denoscope.levels import log_normal
from denoscope.networks import Averaged, Fleet, Preconditioned, best_size
from denoscope.random import derive
from denoscope.report import Page
from denoscope.sampling import heun, sample
from denoscope.store import Row
from denoscope.studies._molrg.network import measuring, page, setting
from denoscope.studies._transition import costs
from denoscope.study import Result, Study, Work, alike, axis, option

LEAST = {
    "d": 1,
    "n_k": 1,
    "seed": 0,
    "n": 1,
    "k": 1,
    "noise": 0,
    "width": 0,
    "steps": 1,
    "batch_size": 1,
    "samples": 2,
    "solver_steps": 1,
}
TRAINING_SHARE = 0.85  # of a job's time, for the progress bar
SAMPLED_AT_ONCE = 16_000
OVERHEAD = {"mlp": 1.0, "unet": 2.4}
"""Measured time of a step relative to that by arithmetic alone: images of 4 x 4 are too small to
keep a U-Net busy.
"""


@dataclass(frozen=True, kw_only=True)
class MolrgNetwork(Study):
    """One network trained on one random mixture of low-rank Gaussians: its subspaces, training
    points and training are all drawn anew.
    """

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = ("wang2024", "karras2022")

    d: int = axis(4, "dimension d of each subspace", (3, 4, 5, 6))
    n_k: int = axis(64, "training points N_k of each subspace", (4, 16, 32, 64, 128, 256, 512))
    seed: int = axis(0, "subspaces, training points, initialisation, batches and noise", (0, 1, 2))
    n: int = option(48, "dimension of the space; the U-Net sees 48 numbers as 3 x 4 x 4")
    k: int = option(2, "number of subspaces K, orthogonal to each other")
    noise: float = option(0.0, "standard deviation of ambient noise on every entry of the data")
    net: str = option("mlp", "network", ("mlp", "unet"))
    width: int = option(0, "width of the network; 0: 128 for the mlp, 32 for the unet")
    steps: int = option(4000, "training steps")
    batch_size: int = option(64, "points a training step")
    lr: float = option(4e-3, "peak learning rate of the one-cycle schedule")
    ema: float = option(0.999, "decay of the averaged weights that are sampled")
    level_mean: float = option(-1.2, "mean of log sigma in training")
    level_std: float = option(1.4, "standard deviation of log sigma in training")
    samples: int = option(1000, "samples drawn from each model, from the same noises")
    solver_steps: int = option(18, "steps of Heun's method")

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: must be at least {least}"
                )
        for name in ("lr", "level_std"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: must be a positive number"
                )
        if not math.isfinite(self.level_mean):
            raise ValueError(f"--level-mean {self.level_mean}: must be a number")
        if not 0 <= self.ema < 1:
            raise ValueError(f"--ema {self.ema}: must be at least 0 and below 1")
        if self.net not in setting.NETWORKS:
            raise ValueError(f"--net {self.net}: there are {' and '.join(setting.NETWORKS)}")
        setting.shape(self.net, self.n)

    def infeasible(self) -> str:
        if self.k * self.d > self.n:
            return (
                f"--d {self.d}: {self.k} orthogonal subspaces of dimension {self.d} do "
                f"not fit a space of --n {self.n}"
            )
        return ""

    def cost(self) -> float:
        return OVERHEAD[self.net] * costs.seconds(
            setting.NETWORKS[self.net],
            self.net,
            setting.shape(self.net, self.n),
            self.width or setting.WIDTHS[self.net],
            trained=self.steps * self.batch_size,
            sampled=self.samples * (2 * self.solver_steps - 1),
        )

    def place(self) -> setting.Place:
        """Where the cell's data come from."""
        return setting.Place(
            self.n, self.k, self.d, self.n_k, self.noise, self.seed, self.samples, self.solver_steps
        )

    def denoiser(self) -> Preconditioned:
        """The untrained network as a denoiser by EDM's preconditioning, at the spread of the
        data.
        """
        place = self.place()
        return Preconditioned(
            setting.network(self.net, self.n, self.width, derive(place.run_seed(), 3)),
            "edm",
            place.spread(),
        )

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        return next(self.batch([self], work))[1]

    @classmethod
    def plan(cls, cells: Sequence[Self]) -> list[list[Self]]:
        """Fleets of cells that differ in N_k and seed alone, as large as pays and evenly filled."""
        jobs = []
        for members in alike(cells, "n_k", "seed"):
            count = -(-len(members) // best_size(members[0].denoiser()))
            jobs += [members[i::count] for i in range(count)]
        return jobs

    @classmethod
    def batch(cls, cells: Sequence[Self], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells as one fleet, samples all from the same noises, measures each."""
        fleet = Fleet([item.denoiser() for item in cells]).to(work.device)
        averaged = Averaged(fleet, cells[0].ema)
        stopped = train(fleet, averaged, cells, work)
        generated = generate(averaged.net, cells, work.device)
        for index, item in enumerate(cells):
            work.tell(TRAINING_SHARE + (1 - TRAINING_SHARE) * index / len(cells))
            reason = stopped.get(index, "") or (
                "" if bool(generated[index].isfinite().all()) else "its samples are not finite"
            )
            yield (
                item,
                Result({"stopped": reason})
                if reason
                else measuring.measure(item.place(), generated[index]),
            )

    @classmethod
    def page(cls, rows: Sequence[Row], noted: Mapping[str, Any]) -> Page:
        return page.build(rows, noted, cls.references)


def train(
    fleet: Fleet, averaged: Averaged, cells: Sequence[MolrgNetwork], work: Work
) -> dict[int, str]:
    """Trains a fleet in place, resuming from the job's checkpoint; returns why members stopped, if
    any did.
    """
    first = cells[0]
    points, rows = setting.stacked([item.place() for item in cells])
    drawn = draws(
        points.reshape(-1, *setting.shape(first.net, first.n)),
        rows,
        [derive(item.place().run_seed(), 4) for item in cells],
        batch=first.batch_size,
        levels=log_normal(first.level_mean, first.level_std),
    )
    checkpoint = None if work.folder is None else work.folder / "training.safetensors"
    stopped: dict[int, str] = {}
    for progress in training(
        fleet,
        drawn,
        steps=first.steps,
        lr=first.lr,
        rate="one_cycle",
        ema=averaged,
        checkpoint=checkpoint,
    ):
        work.tell(TRAINING_SHARE * progress.step / first.steps)
        stopped = progress.stopped
    return stopped


def generate(fleet: torch.nn.Module, cells: Sequence[MolrgNetwork], device: str) -> Tensor:
    """Every member's samples from the same noises by Heun's method, (members, samples, n) on the
    CPU.
    """
    first, size = cells[0], len(cells)
    place = first.place()
    sigmas = place.sigmas().float().to(device)
    parts = []
    for noise in place.noises().split(max(1, SAMPLED_AT_ONCE // size)):
        start = (sigmas[0] * noise.to(device)).reshape(-1, *setting.shape(first.net, first.n))
        parts.append(sample(fleet, start.expand(size, *start.shape), sigmas, heun).flatten(2).cpu())
    return torch.cat(parts, 1)
