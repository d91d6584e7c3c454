"""Noise levels: where a sampler stops on its way down, and where a denoiser is trained."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from denoscope.schedule import VP, Schedule, between
from denoscope.types import Levels


def _check_levels(n: int, low: float, high: float) -> None:
    if n < 1:
        raise ValueError(f"n must be at least 1 level, got {n}")
    between("low", low, 0, high)


def karras(n: int, low: float = 0.002, high: float = 80.0, rho: float = 7.0) -> Tensor:
    """The n levels from ``high`` down to ``low`` whose 1/rho-th powers are equally spaced, then 0:
    shape (n + 1,), float64.

    Karras et al. 2022, eq. 5. With n = 1 the level is ``high``.
    """
    _check_levels(n, low, high)
    between("rho", rho, 0)
    levels = torch.linspace(high ** (1 / rho), low ** (1 / rho), n, dtype=torch.float64) ** rho
    levels[0] = high
    if n > 1:
        levels[-1] = low
    return torch.cat([levels, levels.new_zeros(1)])


def uniform(n: int, schedule: Schedule) -> Tensor:
    """The n levels at equally spaced times of ``schedule``, noisiest first, then 0: shape (n + 1,),
    float64.

    A discrete schedule is visited at whole times, so n may not exceed its length; a continuous one
    from end to start of its ``span``.
    """
    if n < 1 or (isinstance(schedule, VP) and n > len(schedule)):
        limit = (
            f" and at most {len(schedule)}, the times of the schedule"
            if isinstance(schedule, VP)
            else ""
        )
        raise ValueError(f"n must be at least 1{limit}, got {n}")
    times = schedule.quantile(torch.linspace(1, 0, n, dtype=torch.float64))
    return torch.cat([schedule.sigma(times), torch.zeros(1, dtype=torch.float64)])


def log_normal(mean: float = -1.2, std: float = 1.2) -> Levels:
    """Training levels with ``log sigma ~ N(mean, std^2)``, float32. Karras et al. 2022, table 1."""
    between("std", std, 0)
    return lambda n, generator: (
        torch.randn(n, generator=generator, dtype=torch.float32).mul(std).add(mean).exp()
    )


def sparing(mean: float, std: float, low: float, high: float, share: float) -> Levels:
    """Training levels of :func:`log_normal` whose density between ``low`` and ``high`` is only
    ``share`` of what it was, before all is scaled to 1 again; float32.
    """
    _check_levels(1, low, high)
    between("std", std, 0)
    ends = torch.tensor([low, high], dtype=torch.float64).log().sub(mean).div(std)
    below, inside = torch.special.ndtr(ends).diff(prepend=torch.zeros(1)).tolist()

    def drawn(n: int, generator: torch.Generator) -> Tensor:
        u = torch.rand(n, generator=generator, dtype=torch.float64)
        u = u * (1 - (1 - share) * inside)
        within = below + (u - below) / max(share, 1e-300)
        beyond = u + (1 - share) * inside
        place = torch.where(u < below, u, torch.where(u < below + share * inside, within, beyond))
        return torch.special.ndtri(place).mul(std).add(mean).exp().float()

    return drawn


def log_uniform(low: float = 0.002, high: float = 80.0) -> Levels:
    """Training levels with log sigma uniform between ``log low`` and ``log high``, float32."""
    _check_levels(1, low, high)
    return lambda n, generator: (
        torch.rand(n, generator=generator, dtype=torch.float32)
        .mul(math.log(high / low))
        .exp()
        .mul(low)
    )


def scheduled(schedule: Schedule) -> Levels:
    """Training levels ``schedule.sigma(t)`` at uniform times t (whole ones for a discrete
    schedule), float32. Ho et al. 2020, alg. 1.
    """
    return lambda n, generator: schedule.sigma(
        schedule.quantile(torch.rand(n, generator=generator, dtype=torch.float64))
    ).float()
