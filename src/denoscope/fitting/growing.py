"""The excess risk of denoisers on growing training sets of a known mixture: those with a closed
form, and networks.

A network on few data fits them better and better and the truth worse: how long it trained decides.
So its excess is kept at its best step, as a smoother has its best bandwidth, and at the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from denoscope.data.mixtures import MixtureDraw
from denoscope.fitting import estimators
from denoscope.fitting.batches import draws as batches
from denoscope.fitting.loop import training
from denoscope.levels import log_normal
from denoscope.networks import MLP, Averaged, Fleet, Preconditioned
from denoscope.random import derive

SMOOTHERS = {"empirical": estimators.empirical, "kernel": estimators.kernel}
FITS = {"gaussian": estimators.gaussian, "molrg": estimators.molrg}
CLOSED: dict[str, Callable[[MixtureDraw, int], Tensor]] = SMOOTHERS | FITS
MOST_FITTED = 2048
WELL_BELOW = 0.8
"""Growing ends where every draw's excess is below this part of the level."""
REACH = 16
"""Networks' training sets go from K d to this many times K d."""
BLOCKS, AVERAGED, LEVEL_SPREAD = 2, 0.98, 0.3
"""Of the networks: blocks, decay of averaged weights, spread of log sigma about the level."""


@dataclass(frozen=True, eq=False)
class Grown:
    """``sizes`` (s,); ``error`` (s, draws), the relative excess of the variant with the least mean;
    ``dial`` (s,), which that was: a bandwidth's place, or a step; ``end`` (s, draws) of networks at
    their last step.
    """

    sizes: np.ndarray
    error: np.ndarray
    dial: np.ndarray
    end: np.ndarray | None = None


def sizes_for(method: str, largest: int) -> list[int]:
    """The training set sizes tried: powers of two; for fits every size up to 32, then factors of
    2^(1/4), at most ``MOST_FITTED``.
    """
    if method in SMOOTHERS:
        return sorted({2**j for j in range(int(np.log2(largest)) + 1)} | {largest})
    top = min(largest, MOST_FITTED)
    every = {*range(1, 33), *(round(2 ** (j / 4)) for j in range(21, 64)), top}
    return [size for size in sorted(every) if size <= top]


def grown(
    method: str,
    draws: Sequence[MixtureDraw],
    largest: int,
    level: float,
    tell: Callable[[float], None],
) -> Grown:
    """A method with a closed form, until its excess is well below the level."""
    sizes, errors, dials = sizes_for(method, largest), [], []
    for done, size in enumerate(sizes):
        each = np.stack([draw.excess(CLOSED[method](draw, size)).numpy() for draw in draws], 1)
        dials.append(int(each.mean(1).argmin()))
        errors.append(each[dials[-1]])
        tell((done + 1) / len(sizes))
        if errors[-1].max() < WELL_BELOW * level:
            break
    return Grown(np.array(sizes[: len(errors)]), np.array(errors), np.array(dials))


def trained(
    draws: Sequence[MixtureDraw],
    *,
    width: int,
    steps: int,
    batch_size: int,
    lr: float,
    tell: Callable[[float], None] = lambda fraction: None,
) -> Grown:
    """Networks, all sizes and draws as one fleet, asked along the way."""
    setting = draws[0].setting
    least = setting.clusters * setting.d
    sizes = [least * 2**j for j in range(int(math.log2(REACH)) + 1)]
    data = torch.cat([draw.train(sizes[-1]) for draw in draws]).float()
    rows = [torch.arange(size) + k * sizes[-1] for size in sizes for k in range(len(draws))]
    seeds = [derive(draw.seed, size) for size in sizes for draw in draws]
    nets = [MLP((setting.n,), width, BLOCKS, seed=derive(seed, 0)) for seed in seeds]
    spread = float(data.std())
    fleet = Fleet([Preconditioned(net, "edm", spread) for net in nets])
    averaged = Averaged(fleet, AVERAGED)
    levels = log_normal(math.log(setting.sigma), LEVEL_SPREAD)
    own = [derive(seed, 1) for seed in seeds]
    drawn = batches(data, rows, own, batch=batch_size, levels=levels)
    found: dict[int, np.ndarray] = {}
    for progress in training(fleet, drawn, steps=steps, lr=lr, ema=averaged, report=0.0):
        if progress.step in marks(steps):
            found[progress.step] = _asked(averaged, draws, len(sizes))
            tell(progress.step / steps)
    errors = np.stack([found[mark] for mark in sorted(found)])
    best = errors.mean(2).argmin(0)
    least_mean = errors[best, np.arange(len(sizes))]
    return Grown(np.array(sizes), least_mean, np.array(sorted(found))[best], errors[-1])


def marks(steps: int) -> list[int]:
    """The steps at which networks are asked: the last, and earlier ones by factors of 2^(1/2)."""
    return sorted({max(1, round(steps * 2 ** (-j / 2))) for j in range(10)})


@torch.no_grad()
def _asked(averaged: Averaged, draws: Sequence[MixtureDraw], count: int) -> np.ndarray:
    """The relative excess of every network, (sizes, draws)."""
    probes = torch.stack([draw.noisy for draw in draws]).float().repeat(count, 1, 1)
    answers = averaged.net(probes, torch.tensor(draws[0].setting.sigma)).double()
    answers = answers.unflatten(0, (count, len(draws)))
    return torch.stack([draw.excess(answers[:, k]) for k, draw in enumerate(draws)], 1).numpy()
