"""Networks trained on growing training sets, all sizes and draws of a cell as one fleet, and asked
along the way.

A network on few data fits them better and better and the truth worse: how long it trained decides.
So its excess is kept at several steps, and two numbers come out: at the best of them for each size,
as a smoother has its best bandwidth, and at the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from denoscope.fitting import draws as batches
from denoscope.fitting import training
from denoscope.levels import log_normal
from denoscope.networks import MLP, Averaged, Fleet, Preconditioned
from denoscope.random import derive
from denoscope.studies._molrg.scaling.truth import Draw, Setting

BLOCKS = 2
AVERAGED = 0.98
LEVEL_SPREAD = 0.3
"""Standard deviation of log sigma in training, about the level that is measured."""

REACH = 16
"""Training sets go from K d to this many times K d."""


@dataclass(frozen=True)
class Recipe:
    """How the networks are trained."""

    width: int
    steps: int
    batch_size: int
    lr: float

    def marks(self) -> list[int]:
        """The steps at which networks are asked: the last, and earlier ones by factors of 2^(1/2),
        ten in all.
        """
        return sorted({max(1, round(self.steps * 2 ** (-j / 2))) for j in range(10)})


def sizes_for(setting: Setting) -> list[int]:
    """Training set sizes by factors of 2."""
    least = setting.clusters * setting.d
    return [least * 2**j for j in range(int(math.log2(REACH)) + 1)]


def trained(
    draws: Sequence[Draw], recipe: Recipe, tell: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """``sizes`` (s,); ``error`` (s, draws) and ``dial`` (s,), the step with the least mean error;
    ``end`` (s, draws) at the last step.
    """
    setting = draws[0].setting
    sizes = sizes_for(setting)
    data = torch.cat([draw.train(sizes[-1]) for draw in draws]).float()
    rows = [torch.arange(size) + k * sizes[-1] for size in sizes for k in range(len(draws))]
    seeds = [derive(draw.seed, size) for size in sizes for draw in draws]
    spread = float(data.std())
    fleet = Fleet(
        [
            Preconditioned(
                MLP((setting.n,), recipe.width, BLOCKS, seed=derive(seed, 0)), "edm", spread
            )
            for seed in seeds
        ]
    )
    averaged = Averaged(fleet, AVERAGED)
    drawn = batches(
        data,
        rows,
        [derive(seed, 1) for seed in seeds],
        batch=recipe.batch_size,
        levels=log_normal(math.log(setting.sigma), LEVEL_SPREAD),
    )
    found: dict[int, np.ndarray] = {}
    for progress in training(
        fleet, drawn, steps=recipe.steps, lr=recipe.lr, ema=averaged, report=0.0
    ):
        if progress.step in recipe.marks():
            found[progress.step] = _asked(averaged, draws, len(sizes))
            tell(progress.step / recipe.steps)
    marks, errors = np.array(sorted(found)), np.stack([found[step] for step in sorted(found)])
    best = errors.mean(2).argmin(0)
    return {
        "sizes": np.array(sizes, dtype=np.int64),
        "error": errors[best, np.arange(len(sizes))],
        "dial": marks[best],
        "end": errors[-1],
    }


@torch.no_grad()
def _asked(averaged: Averaged, draws: Sequence[Draw], count: int) -> np.ndarray:
    """The relative excess of every network, (sizes, draws)."""
    probes = torch.stack([draw.noisy for draw in draws]).float().repeat(count, 1, 1)
    answers = (
        averaged.net(probes, torch.tensor(draws[0].setting.sigma))
        .double()
        .unflatten(0, (count, len(draws)))
    )
    return torch.stack([draw.excess(answers[:, k]) for k, draw in enumerate(draws)], 1).numpy()
