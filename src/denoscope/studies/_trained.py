"""The studies whose cells are networks that the house recipe trains: what their sweeps vary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from denoscope.data.sources import Source, load
from denoscope.data.splits import Split
from denoscope.fitting.closed_forms import ClosedForms
from denoscope.fitting.recipe import (
    Member,
    Recipe,
    at_least,
    batches,
    fleet,
    generate,
    learned,
)
from denoscope.fitting.snapshots import Training
from denoscope.metrics.divergence import frechet, frechet_floor
from denoscope.metrics.pool_descriptors import PoolDescriptors
from denoscope.networks import Fleet, best_size
from denoscope.networks import load as load_network
from denoscope.networks.precondition import Preconditioned
from denoscope.random import Seeds, derive
from denoscope.studies._reported import Reported
from denoscope.study import Result, Work, alike, option
from denoscope.types import Denoiser

MEASURING = 0.8
"""Seconds of one core to measure a network, about."""
Model = tuple[Any, Any, str]
"""A denoiser, its samples (None: not made yet), and why its training stopped, if it did."""


class Swept:
    """The fields of a network whose axes, defaults and words each study has for itself."""

    n: int
    width: int
    seed: int
    subset: int = 0
    net: str = "film"
    kind: str = "edm"


@dataclass(frozen=True, kw_only=True)
class Imaged(Reported):
    """Images, and how they are read."""

    data: str = option(
        "digits",
        "image set: digits, fashion_mnist, emoji, faces, molrg or mixture (true denoiser "
        "known), or a folder, .npz or .zip of images",
    )
    skip_bad: bool = option(False, "leave out images that cannot be read, and count them")
    resize: int = option(0, "make every image this many pixels wide and high; 0 keeps them")
    prepare: tuple[str, ...] = option((), "how files become images: exif crop-centre resize:64 …")
    range: tuple[float, ...] = option((), "LOW HIGH: the range of floating-point arrays")

    def source(self, name: str = "") -> Source:
        """The cell's images, or another set that is read as these are."""
        return Source(name or self.data, self.skip_bad, self.resize, self.range, self.prepare)

    def inputs(self) -> dict[str, str]:
        return {self.data: load(self.source()).sha256}


@dataclass(frozen=True, kw_only=True)
class Learned(Swept, Reported):
    """One network that the house recipe trains and samples."""

    members: ClassVar[tuple[str, ...]] = ("n", "subset", "seed")
    """The fields in which networks of one fleet may differ, the last one on one training set."""
    fleets: ClassVar[int] = 2
    """How many at least, where there are as many cells: two keep two cores busy."""

    steps: int = option(8000, "training steps")
    batch_size: int = option(64, "images or points per training step")
    lr: float = option(4e-3, "peak learning rate of the one-cycle schedule")
    ema: float = option(0.999, "decay of the averaged weights that are sampled")
    level_mean: float = option(-0.6, "mean of log sigma in training")
    level_std: float = option(1.4, "standard deviation of log sigma in training")
    samples: int = option(1000, "samples drawn from each model, from the same noises")
    solver_steps: int = option(18, "steps of Heun's method")

    def recipe(self) -> Recipe:
        """How the network is trained and sampled."""
        given = {f.name: getattr(self, f.name, f.default) for f in fields_of(Recipe)}
        return Recipe(**{**given, "width": self.wide()})

    def wide(self) -> int:
        """The width of the network."""
        return self.width

    def denoiser(self) -> Preconditioned:
        """The untrained network."""
        raise NotImplementedError

    def measured(self, net: Any, generated: Any) -> Result:
        """What is asked of the denoiser and of its samples (samples, ...), both on the CPU."""
        raise NotImplementedError

    @classmethod
    def learned(cls, cells: Sequence[Any], work: Work) -> Iterator[Model]:
        """Trains the cells as one fleet and samples all from the same noises."""
        raise NotImplementedError

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        return next(self.batch([self], work))[1]

    @classmethod
    def plan(cls, cells: Sequence[Any]) -> list[list[Any]]:
        """Alike cells in fleets as large as pays, evenly filled, those of one training set together
        (its closed forms are made once per job); large networks one per job.
        """
        jobs = []
        for some in alike(cells, *cls.members):
            largest = best_size(some[0].denoiser())
            count = max(min(cls.fleets, len(some)), -(-len(some) // largest))
            sets = alike(some, cls.members[-1])
            dealt = [cell for i in range(count) for one in sets[i::count] for cell in one]
            cuts = [len(dealt) * i // count for i in range(count + 1)]
            jobs += [dealt[start:end] for start, end in pairwise(cuts)]
        return jobs

    @classmethod
    def batch(cls, cells: Sequence[Any], work: Work = Work()) -> Iterator[tuple[Self, Result]]:  # noqa: B008
        """Trains the cells as one fleet, samples all from the same noises and measures each."""
        for item, (net, generated, stopped) in zip(cells, cls.learned(cells, work)):
            found = Result({"stopped": stopped}) if stopped else item.measured(net, generated)
            yield item, found


@dataclass(frozen=True, kw_only=True)
class Trained(Learned, Imaged):
    """A network that is trained on a split of images."""

    steps: int = option(3200, "training steps")
    lr: float = option(3e-3, "peak learning rate of the one-cycle schedule")
    ema: float = option(0.995, "decay of the averaged weights that are sampled")
    held: int = option(261, "images held out from every model")
    subsets: ClassVar[int] = 2
    """How many training subsets there are, disjoint as long as they fit."""

    def __post_init__(self) -> None:
        self.recipe()
        at_least(self, {"seed": 0, "samples": 3, "held": 4, "resize": 0})

    def where(self) -> Split:
        """Which images the cell is about."""
        return Split(self.source(), None, self.held, self.n, self.subset)

    def infeasible(self) -> str:
        pool = len(self.where().pool_rows())
        if self.subset not in range(self.subsets):
            return f"--subset {self.subset}: there are {self.subsets}, from 0 on"
        if self.n < 2:
            return f"--n {self.n}: a training set needs at least 2 images"
        if self.n > pool:
            return f"--n {self.n}: {self.data} has {pool} images beside the {self.held} held out"
        parts, words = ((1, "one"), (2, "two"), (4, "four"), (4, "four"))[self.subset]
        if parts * self.n > pool:
            return (
                f"--n {self.n} on subset {self.subset}: {words} disjoint subsets of {self.n} do "
                f"not fit into {pool} images"
            )
        return ""

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
        """The normal noise of all models, (samples, c, h, w), row i from seed i alone."""
        return _noise(self.samples, tuple(self.where().images().shape))

    def forms(self) -> ClosedForms:
        """The closed forms of the training set."""
        return ClosedForms(self.where(), self.samples, self.solver_steps)

    def clipped(self, samples: Tensor) -> Tensor:
        """Samples in the range of the images, as they are when they are saved."""
        return samples.clamp(*self.where().images().data.aminmax())

    def quality(self, samples: Tensor) -> float:
        """The Fréchet distance of samples (S, c, h, w) to held-out images over its floor, that of
        as many real ones.
        """
        where = self.where()
        found = frechet(samples.flatten(1), where.unseen().flatten(1)).value
        return found / _floor(where.whole(), len(samples))

    def unfloored(self) -> str:
        """Why samples cannot be compared with as many real images, or nothing."""
        real = len(self.where().pool_rows())
        few = f"--samples {self.samples}: there are {real} real images to compare with"
        return few if self.samples > real else ""

    @property
    def seen_by(self) -> PoolDescriptors:
        """What tells images apart, made of the pool once per process."""
        return PoolDescriptors.of(self.where())

    @classmethod
    def learned(cls, cells: Sequence[Any], work: Work) -> Iterator[Model]:
        """The same; networks that an earlier version trained are taken as they are."""
        files = [work.trained(cell) for cell in cells]
        fresh = cls._fresh([cell for cell, file in zip(cells, files) if file is None], work)
        for cell, file in zip(cells, files):
            again = None if file is None else cell.sampled(load_network(file).eval())
            net, generated, stopped = again or next(fresh)
            yield net.requires_grad_(False), generated, stopped

    @classmethod
    def _fresh(cls, cells: Sequence[Self], work: Work) -> Iterator[Model]:
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
            teacher=cls.teacher(cells, work),
        )

    @classmethod
    def course(cls, cells: Sequence[Any], work: Work, part: float = 1.0) -> Training:
        """The training of a fleet of these cells with snapshots at their ``moments``, that part of
        the job's time.
        """
        first, where = cells[0], cells[0].where()
        recipe, members = first.recipe(), [cell.member() for cell in cells]
        shape, spread = where.images().shape, where.spread()
        return Training(
            lambda device: fleet(recipe, members, shape, spread).to(device),
            batches(recipe, members, where.images().data),
            first.moments(),
            first.lr,
            first.ema,
            recipe.weight_decay,
            work.device,
            work.folder,
            lambda fraction: work.tell(part * fraction),
        )

    @classmethod
    def asked_along(
        cls,
        cells: Sequence[Any],
        work: Work,
        part: float,
        ask: Callable[[Any, Mapping[int, Denoiser]], Result],
    ) -> Iterator[tuple[Self, Result]]:
        """Trains the cells as one fleet, that part of the job's time, and asks each of its
        snapshots, by step; a training that stopped says why.
        """
        trained = cls.course(cells, work, part).denoisers()
        for index, (item, (course, stopped)) in enumerate(zip(cells, trained)):
            work.tell(part + (1 - part) * index / len(cells))
            yield item, Result({"stopped": stopped}) if stopped else ask(item, course)

    @classmethod
    def teacher(cls, cells: Sequence[Any], work: Work) -> Fleet | None:
        """The networks that these are distilled from, if they are."""
        return None

    def sampled(self, net: nn.Module) -> Model:
        """A trained network with its samples, as :meth:`learned` gives them."""
        return net, generate(Fleet([net]), self.noise(), self.recipe().sigmas())[0], ""


@lru_cache(maxsize=2)
def _floor(whole: Split, count: int) -> float:
    return frechet_floor(whole.pool().flatten(1), whole.unseen().flatten(1), count).value


@lru_cache(maxsize=2)
def _noise(samples: int, shape: tuple[int, ...]) -> Tensor:
    return Seeds(range(samples)).randn(shape)
