"""Memorization to generalization on real images: GL, RP and N* over training-set size and network
width.

Diffusion models of several widths are trained on growing subsets of one image set and sampled from
the same noises with the same solver. The study measures how often samples are copies (calibrated on
held-out images), how far models agree with each other and with the closed-form memorizer, and where
a width goes from copying to generalizing (Zhang et al. 2024, Figs. 2 and 3; Kadkhodaie et al. 2024
for disjoint halves).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from denoscope.fitting import Draws, draws, training
from denoscope.levels import log_normal
from denoscope.networks import MLP, Averaged, Fleet, Preconditioned, UNet, best_size, dump
from denoscope.random import derive
from denoscope.report import Page
from denoscope.sampling import heun, sample
from denoscope.store import MODEL, Row
from denoscope.studies._recipe import Recipe
from denoscope.studies._source import Source, load
from denoscope.studies._transition import cell, compare, costs, page, setting
from denoscope.study import Result, Work, alike, axis, option

SIZES = (8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536)
NETWORKS = {"mlp": MLP, "unet": UNet}
LEAST = {
    "width": 1,
    "seed": 0,
    "steps": 1,
    "batch_size": 1,
    "samples": 3,
    "solver_steps": 1,
    "held": 4,
    "resize": 0,
}
TRAINING_SHARE = 0.85  # of a job's time, for the progress bar
SAMPLED_AT_ONCE = 16_000


@dataclass(frozen=True, kw_only=True)
class PhaseTransition(Recipe):
    """Memorization to generalization on real images: one network of one width, trained on one
    subset with one seed.
    """

    version: ClassVar[int] = 1
    references: ClassVar[tuple[str, ...]] = (
        "zhang2024", "kadkhodaie2024", "yoon2023", "karras2022", "alaa2022", "heusel2017", "clopper1934", "donner2012",
    )  # fmt: skip

    n: int = axis(64, "number of training images", SIZES)
    width: int = axis(64, "width of the network, the one capacity dial", (32, 64, 128))
    subset: int = axis(
        0, "which of two training subsets: 0 or 1, disjoint as long as both fit", (0, 1)
    )
    seed: int = axis(0, "training seed: initialisation, batches and noise", (0, 1))
    net: str = option("mlp", "network", ("mlp", "unet"))

    def source(self) -> Source:
        """Which images, and how they are read."""
        return Source(self.data, self.skip_bad, self.resize, self.range)

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise ValueError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: must be at least {least}"
                )
        for name in ("lr", "level_std"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: must be a positive number"
                )
        if not 0 <= self.ema < 1:
            raise ValueError(f"--ema {self.ema}: must be at least 0 and below 1")
        if self.net not in NETWORKS:
            raise ValueError(f"--net {self.net}: there are {' and '.join(NETWORKS)}")

    def infeasible(self) -> str:
        pool = len(setting.split(load(self.source()), self.held)[0])
        if self.subset not in (0, 1):
            return f"--subset {self.subset}: there are two subsets, 0 and 1"
        if self.n < 2:
            return f"--n {self.n}: a training set needs at least 2 images"
        if self.n > pool:
            return f"--n {self.n}: {self.data} has {pool} images beside the {self.held} held out"
        if self.subset == 1 and 2 * self.n > pool:
            return (
                f"--n {self.n} on subset 1: two disjoint subsets of {self.n} do not "
                f"fit into {pool} images"
            )
        return ""

    def inputs(self) -> dict[str, str]:
        return {self.data: load(self.source()).sha256}

    def cost(self) -> float:
        return costs.seconds(
            NETWORKS[self.net],
            self.net,
            load(self.source()).shape,
            self.width,
            trained=self.steps * self.batch_size,
            sampled=self.samples * (2 * self.solver_steps - 1),
        )

    def place(self) -> cell.Place:
        """Where the cell's training set comes from."""
        return cell.Place(
            self.source(), self.held, self.samples, self.solver_steps, self.n, self.subset
        )

    def network(self) -> MLP | UNet:
        """The untrained network of this cell; no two cells of a sweep share their
        initialisation.
        """
        return NETWORKS[self.net](
            load(self.source()).shape, self.width, seed=derive(self.run_seed(), 0)
        )

    def denoiser(self) -> Preconditioned:
        """The network as a denoiser by EDM's preconditioning, at the spread of the data."""
        return Preconditioned(self.network(), "edm", self.place().setting().spread)

    def run_seed(self) -> int:
        """The seed of this training run, another for every cell of a sweep."""
        return derive(self.seed, self.n, self.width, self.subset)

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        return next(self.batch([self], work))[1]

    @classmethod
    def plan(cls, cells: Sequence[Self]) -> list[list[Self]]:
        """Fleets of cells of one capacity, as large as pays and evenly filled; what is bound by
        arithmetic alone runs one cell a job.
        """
        jobs = []
        for members in alike(cells, "n", "subset", "seed"):
            count = -(-len(members) // best_size(members[0].network()))
            jobs += [
                members[len(members) * i // count : len(members) * (i + 1) // count]
                for i in range(count)
            ]
        return jobs

    @classmethod
    def batch(cls, cells: Sequence[Self], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells as one fleet, samples all from the same noises, measures each and keeps
        its network.
        """
        for item, (member, generated, stopped) in zip(cells, learned(cells, work)):
            if stopped:
                yield item, Result({"stopped": stopped})
            else:
                measured = cell.measure(item.place(), member, generated)
                yield item, Result(measured.values, measured.arrays, {MODEL: dump(member)})

    @classmethod
    def compare(cls, rows: Sequence[Row]) -> list[Row]:
        return compare.rows_of(cls.title(), cls.version, rows)

    @classmethod
    def page(cls, rows: Sequence[Row], noted: Mapping[str, Any]) -> Page:
        return page.build(rows, noted, cls.references)


def learned(
    cells: Sequence[PhaseTransition], work: Work
) -> Iterator[tuple[nn.Module, Tensor, str]]:
    """Trains the cells as one fleet and samples all from the same noises: each one's denoiser,
    samples, and why it stopped, if it did.
    """
    fleet = Fleet([item.denoiser() for item in cells]).to(work.device)
    averaged = Averaged(fleet, cells[0].ema)
    stopped = train(fleet, averaged, cells, work)
    net = averaged.net
    assert isinstance(net, Fleet)
    generated = generate(net, cells[0].place().setting(), len(cells), work.device)
    for index, member in enumerate(net.cpu().members()):
        work.tell(TRAINING_SHARE + (1 - TRAINING_SHARE) * index / len(cells))
        finite = bool(generated[index].isfinite().all())
        yield (
            member,
            generated[index],
            stopped.get(index, "") or ("" if finite else "its samples are not finite"),
        )


def batches(cells: Sequence[PhaseTransition]) -> Draws:
    """What a fleet of these cells is trained on: each one's own images in its own order, at levels
    and with noise of its own.
    """
    first, shared = cells[0], cells[0].place().setting()
    return draws(
        shared.images.data,
        [shared.train_rows(item.n, item.subset) for item in cells],
        [derive(item.run_seed(), 1) for item in cells],
        batch=first.batch_size,
        levels=log_normal(first.level_mean, first.level_std),
    )


def train(
    fleet: Fleet, averaged: Averaged, cells: Sequence[PhaseTransition], work: Work
) -> dict[int, str]:
    """Trains a fleet in place, resuming from the job's checkpoint; returns why members stopped, if
    any did.
    """
    first = cells[0]
    checkpoint = None if work.folder is None else work.folder / "training.safetensors"
    stopped: dict[int, str] = {}
    for progress in training(
        fleet,
        batches(cells),
        steps=first.steps,
        lr=first.lr,
        rate="one_cycle",
        ema=averaged,
        checkpoint=checkpoint,
    ):
        work.tell(TRAINING_SHARE * progress.step / first.steps)
        stopped = progress.stopped
    return stopped


def generate(fleet: Fleet, shared: setting.Setting, size: int, device: str) -> Tensor:
    """Every member's samples from the same noises by Heun's method, (members, samples, c, h, w) on
    the CPU.
    """
    sigmas = shared.sigmas.to(device)
    parts = []
    for noise in shared.noise.split(max(1, SAMPLED_AT_ONCE // size)):
        start = (sigmas[0] * noise.to(device)).expand(size, *noise.shape)
        parts.append(sample(fleet, start, sigmas, heun).cpu())
    return torch.cat(parts, 1)
