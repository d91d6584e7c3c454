"""A study whose cells are networks trained by the house recipe on a split of images: the fields that
its sweeps vary, and what follows from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from torch import Tensor, nn

from denoscope.data.sources import Source, load
from denoscope.data.splits import Split
from denoscope.fitting.recipe import Member, Recipe, at_least, generate, learned
from denoscope.networks import Fleet, best_size
from denoscope.networks import load as load_network
from denoscope.networks.precondition import Preconditioned
from denoscope.random import Seeds, derive
from denoscope.study import Result, Study, Work, alike, option

MEASURING = 0.5
"""Seconds of one core to measure a network, about."""


class Swept:
    """The fields of a network whose axes, defaults and words each study has for itself."""

    n: int
    width: int
    seed: int
    subset: int = 0
    net: str = "mlp"


@dataclass(frozen=True, kw_only=True)
class Trained(Swept, Study):
    """Images, training and sampling of one cell, beside the axes of its study."""

    data: str = option(
        "digits",
        "image set: digits, fashion_mnist, emoji, faces, molrg (true denoiser known), or "
        "a folder, .npz or .zip of images",
    )
    steps: int = option(8000, "training steps")
    batch_size: int = option(64, "images a training step")
    lr: float = option(4e-3, "peak learning rate of the one-cycle schedule")
    ema: float = option(0.999, "decay of the averaged weights that are sampled")
    level_mean: float = option(-0.6, "mean of log sigma in training")
    level_std: float = option(1.4, "standard deviation of log sigma in training")
    samples: int = option(1000, "samples drawn from each model, from the same noises")
    solver_steps: int = option(18, "steps of Heun's method")
    held: int = option(261, "images held out from every model")
    skip_bad: bool = option(False, "leave out images that cannot be read, and count them")
    resize: int = option(0, "make every image this many pixels wide and high; 0 keeps them")
    range: tuple[float, ...] = option((), "LOW HIGH: the range of floating-point arrays")

    def __post_init__(self) -> None:
        self.recipe()
        at_least(self, {"seed": 0, "samples": 3, "held": 4, "resize": 0})

    def recipe(self) -> Recipe:
        """How the network is trained and sampled."""
        return Recipe(
            net=self.net,
            width=self.width,
            steps=self.steps,
            batch_size=self.batch_size,
            lr=self.lr,
            ema=self.ema,
            level_mean=self.level_mean,
            level_std=self.level_std,
            solver_steps=self.solver_steps,
        )

    def where(self) -> Split:
        """Which images the cell is about."""
        return Split(self.source(self.data), None, self.held, self.n, self.subset)

    def source(self, name: str) -> Source:
        """A set of images, read as this cell reads its own."""
        return Source(name, self.skip_bad, self.resize, self.range)

    def infeasible(self) -> str:
        pool = len(self.where().pool_rows())
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
        return {self.data: load(self.source(self.data)).sha256}

    def cost(self) -> float:
        return self.estimated(trained=True)

    def measuring(self) -> float:
        return self.estimated(trained=False)

    def estimated(self, *, trained: bool) -> float:
        """Seconds of one core to train the network, if it is to be, to sample and to measure it."""
        recipe, shape = self.recipe(), self.where().images().shape
        return recipe.seconds(shape, recipe.evaluations(self.samples), trained=trained) + MEASURING

    def member(self) -> Member:
        """The cell's network in a fleet; no two cells of a sweep share any seed."""
        seed = derive(self.seed, self.n, self.width, self.subset)
        return Member(self.where().train_rows(), derive(seed, 0), derive(seed, 1))

    def denoiser(self) -> Preconditioned:
        """The untrained network."""
        where = self.where()
        return self.recipe().denoiser(where.images().shape, where.spread(), self.member().initial)

    def noise(self) -> Tensor:
        """The standard normal noise that all models are sampled from, (samples, c, h, w), row i from
        seed i alone.
        """
        return _noise(self.samples, tuple(self.where().images().shape))

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        return next(self.batch([self], work))[1]

    @classmethod
    def plan(cls, cells: Sequence[Any]) -> list[list[Any]]:
        return cls.fleets(cells)

    @classmethod
    def fleets(cls, cells: Sequence[Self], least: int = 1) -> list[list[Self]]:
        """Cells of one capacity in fleets as large as pays and evenly filled, ``least`` of them or
        more where there are as many cells; what is bound by arithmetic alone runs one a job.
        """
        jobs = []
        for some in alike(cells, "n", "subset", "seed"):
            count = max(min(least, len(some)), -(-len(some) // best_size(some[0].denoiser())))
            jobs += [some[i::count] for i in range(count)]
        return jobs

    @classmethod
    def learned(cls, cells: Sequence[Self], work: Work) -> Iterator[tuple[nn.Module, Tensor, str]]:
        """Trains the cells as one fleet and samples all from the same noises: each one's denoiser,
        its samples, and why it stopped, if it did. Networks that an earlier version trained are
        taken as they are.
        """
        files = [work.trained(cell) for cell in cells]
        fresh = cls._fresh([cell for cell, file in zip(cells, files) if file is None], work)
        for cell, file in zip(cells, files):
            yield next(fresh) if file is None else cell.sampled(load_network(file).eval())

    @classmethod
    def _fresh(cls, cells: Sequence[Self], work: Work) -> Iterator[tuple[nn.Module, Tensor, str]]:
        if not cells:
            return
        first, where = cells[0], cells[0].where()
        yield from learned(
            first.recipe(),
            [cell.member() for cell in cells],
            where.images().data,
            where.spread(),
            first.noise(),
            device=work.device,
            checkpoint=work.checkpoint,
            tell=work.tell,
        )

    def sampled(self, net: nn.Module) -> tuple[nn.Module, Tensor, str]:
        """A trained network with its samples, as :meth:`learned` gives them."""
        return net, generate(Fleet([net]), self.noise(), self.recipe().sigmas())[0], ""


@lru_cache(maxsize=2)
def _noise(samples: int, shape: tuple[int, ...]) -> Tensor:
    return Seeds(range(samples)).randn(shape)
