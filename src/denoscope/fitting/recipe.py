"""The house recipe: how the networks of the studies are trained and sampled, a fleet at a time.

A network by name and width with EDM's preconditioning at the spread of the data, log-normal noise
levels, a one-cycle rate, averaged weights, samples by Heun's method. What a member is trained on,
and all that is random in it, are functions of its rows and its two seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denoscope.fitting.arithmetic import operations
from denoscope.fitting.augmentation import Augmentation
from denoscope.fitting.batches import Draws, draws
from denoscope.fitting.consistency import ConsistencyLoss
from denoscope.fitting.loop import training
from denoscope.fitting.loss import Loss, denoising_loss
from denoscope.levels import karras, log_normal, sparing
from denoscope.networks import MLP, Averaged, FiLM, Fleet, Preconditioned, UNet, UViT
from denoscope.sampling import heun, sample
from denoscope.types import Denoiser, Levels

NETWORKS: Mapping[str, Callable[..., Any]] = {
    "film": FiLM,
    "mlp": MLP,
    "unet": UNet,
    "uvit": UViT,
    "conv": partial(UNet, attention=False),
}
LEAST = {"width": 1, "steps": 1, "batch_size": 1, "solver_steps": 1, "weight_decay": 0, "shift": 0}
WIDEST = 1 << 13
"""A layer between two of these has 2^26 weights, 256 MiB."""
TRAINING_SHARE = 0.85
"""Of the time to train and sample a fleet, for its progress."""
SAMPLED_AT_ONCE = 16_000
RATES = {"film": 26e9, "mlp": 33e9, "unet": 55e9, "uvit": 45e9, "conv": 55e9}
"""Floating-point operations per second of one core, all overheads counted; measured with `denoscope
run phase_transition` on a 2-core machine.
"""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What trains and samples a network; an impossible number is a ValueError by its flag."""

    net: str = "film"
    kind: str = "edm"
    width: int = 64
    steps: int = 3200
    batch_size: int = 64
    lr: float = 3e-3
    ema: float = 0.995
    level_mean: float = -0.6
    level_std: float = 1.4
    solver_steps: int = 18
    weight_decay: float = 0.0
    dropout: float = 0.0
    mirror: bool = False
    shift: int = 0
    band: tuple[float, float] = (1.0, 1.0)
    share: float = 1.0

    def __post_init__(self) -> None:
        at_least(self, LEAST)
        if self.width > WIDEST:
            raise ValueError(f"--width {self.width}: must be at most {WIDEST}")
        positive(self, "lr", "level_std")
        among(self, net=tuple(NETWORKS))
        if not math.isfinite(self.level_mean):
            raise ValueError(f"--level-mean {self.level_mean}: must be a number")
        for name in ("ema", "dropout"):
            if not 0 <= (given := getattr(self, name)) < 1:
                raise ValueError(f"{flag(name)} {given}: must be at least 0 and below 1")
        if not 0 <= self.share <= 1:
            raise ValueError(f"--share {self.share}: must lie between 0 and 1")

    def network(self, shape: Sequence[int], seed: int) -> MLP | UNet | UViT:
        """The untrained network for data of ``shape``."""
        return NETWORKS[self.net](shape, self.width, seed=seed, dropout=self.dropout)

    def denoiser(self, shape: Sequence[int], spread: float, seed: int) -> Preconditioned:
        """The untrained network as a denoiser of data of that standard deviation."""
        return Preconditioned(self.network(shape, seed), self.kind, spread)

    def sigmas(self) -> Tensor:
        """The solver's levels, float64, the last one 0; a consistency model's one step."""
        return karras(1 if self.kind == "consistency" else self.solver_steps)

    def levels(self) -> Levels:
        """The noise levels of training, those in the ``band`` only ``share`` as often as else."""
        if self.share == 1:
            return log_normal(self.level_mean, self.level_std)
        return sparing(self.level_mean, self.level_std, *self.band, self.share)

    def loss(self, teacher: Denoiser | None = None) -> Loss:
        """What is trained: denoising, or consistency with itself or a ``teacher``."""
        consistent = self.kind == "consistency"
        return ConsistencyLoss(self.steps, teacher) if consistent else denoising_loss

    def seconds(self, shape: Sequence[int], sampled: int, *, trained: bool = True) -> float:
        """Seconds of one core: to train, and for ``sampled`` forward passes of one image each."""
        images = 3 * self.steps * self.batch_size * trained + sampled
        return _operations(self.net, tuple(shape), self.width) * images / RATES[self.net]

    def evaluations(self, samples: int) -> int:
        """Forward passes that so many samples take."""
        return samples * (2 * self.solver_steps - 1)


def at_least(item: object, least: Mapping[str, float]) -> None:
    """A ValueError that names the flag of a field below its least value, or not finite."""
    for name, value in least.items():
        if not value <= (given := getattr(item, name)) < math.inf:
            finite = " and finite" if isinstance(given, float) else ""
            raise ValueError(f"{flag(name)} {given}: must be at least {value}{finite}")


def positive(item: object, *names: str) -> None:
    """The same for fields that are not positive and finite."""
    for name in names:
        if not 0 < (given := getattr(item, name)) < math.inf:
            raise ValueError(f"{flag(name)} {given}: must be a positive number")


def among(item: object, **valid: Sequence[str]) -> None:
    """The same for fields that are none of their ``valid`` words."""
    for name, words in valid.items():
        if (word := getattr(item, name)) not in words:
            listed = f"{', '.join(words[:-1])} and {words[-1]}"
            raise ValueError(f"{flag(name)} {word}: there are {listed}")


def fraction(item: object, *names: str) -> None:
    """The same for fields that are not between 0 and 1."""
    for name in names:
        if not 0 < (value := getattr(item, name)) < 1:
            raise ValueError(f"{flag(name)} {value}: must lie between 0 and 1")


def crowded(n: int, **factors: int) -> str:
    """Why as many orthogonal directions as the product of these fields cannot be in R^n, or ""."""
    if (count := math.prod(factors.values())) <= n:
        return ""
    given = " ".join(f"{flag(name)} {value}" for name, value in factors.items())
    return f"{given}: {count} orthogonal directions do not fit into --n {n}"


def flag(field: str) -> str:
    """A field as the command line writes it."""
    return f"--{field.replace('_', '-')}"


@lru_cache(maxsize=64)
def _operations(net: str, shape: tuple[int, ...], width: int) -> int:
    with torch.device("meta"):
        network = NETWORKS[net](shape, width)
    return operations(network, shape)


@dataclass(frozen=True, eq=False)
class Member:
    """One network of a fleet: its training ``rows`` of the data that the fleet shares, and the
    seeds of its initialisation, and of its batches, levels and noise.
    """

    rows: Tensor
    initial: int
    order: int


def fleet(recipe: Recipe, members: Sequence[Member], shape: Sequence[int], spread: float) -> Fleet:
    """The untrained members."""
    return Fleet([recipe.denoiser(shape, spread, member.initial) for member in members])


def batches(recipe: Recipe, members: Sequence[Member], data: Tensor) -> Draws:
    """What a fleet is trained on: each member's own rows of ``data`` (N, *event) in its own order,
    at levels and with noise of its own.
    """
    return draws(
        data,
        [member.rows for member in members],
        [member.order for member in members],
        batch=recipe.batch_size,
        levels=recipe.levels(),
        augment=Augmentation(recipe.mirror, recipe.shift),
    )


def train(
    net: Fleet,
    recipe: Recipe,
    drawn: Draws,
    *,
    checkpoint: Path | None = None,
    tell: Callable[[float], None] = lambda fraction: None,
    teacher: Fleet | None = None,
) -> tuple[Fleet, dict[int, str]]:
    """Trains a fleet in place, or resumes, by its recipe's loss with a ``teacher`` of as many
    members, if there is one; its averaged weights, and why members stopped.
    """
    averaged = Averaged(net, recipe.ema)
    stopped: dict[int, str] = {}
    for progress in training(
        net,
        drawn,
        steps=recipe.steps,
        lr=recipe.lr,
        rate="one_cycle",
        weight_decay=recipe.weight_decay,
        ema=averaged,
        checkpoint=checkpoint,
        loss=recipe.loss(teacher),
    ):
        tell(progress.step / recipe.steps)
        stopped = progress.stopped
    assert isinstance(averaged.net, Fleet)
    return averaged.net, stopped


def generate(net: Fleet, noise: Tensor, sigmas: Tensor, device: str = "cpu") -> Tensor:
    """Every member's samples from the same ``noise`` (S, *event) by Heun, (m, S, *event), CPU."""
    size, levels = net.size, sigmas.to(noise.dtype).to(device)
    parts = []
    for some in noise.split(max(1, SAMPLED_AT_ONCE // size)):
        start = (levels[0] * some.to(device)).expand(size, *some.shape)
        parts.append(sample(net, start, levels, heun).cpu())
    return torch.cat(parts, 1)


def learned(
    recipe: Recipe,
    members: Sequence[Member],
    data: Tensor,
    spread: float,
    noise: Tensor,
    *,
    device: str = "cpu",
    checkpoint: Path | None = None,
    tell: Callable[[float], None] = lambda fraction: None,
    teacher: Fleet | None = None,
) -> Iterator[tuple[nn.Module, Tensor, str]]:
    """Trains a fleet on ``data`` (N, *event) and samples all members from the same ``noise``: each
    one's denoiser, its samples (S, *event), and why it stopped, if it did.
    """
    untrained = fleet(recipe, members, data.shape[1:], spread).to(device)
    net, stopped = train(
        untrained,
        recipe,
        batches(recipe, members, data),
        checkpoint=checkpoint,
        tell=lambda fraction: tell(TRAINING_SHARE * fraction),
        teacher=teacher,
    )
    generated = generate(net, noise, recipe.sigmas(), device)
    for index, member in enumerate(net.cpu().members()):
        tell(TRAINING_SHARE + (1 - TRAINING_SHARE) * index / len(members))
        finite = bool(generated[index].isfinite().all())
        yield (
            member,
            generated[index],
            stopped.get(index, "") or ("" if finite else "its samples are not finite"),
        )
