"""The dimension of the set that a denoiser takes clean points to lie on, at the scale sigma.

Across the set of dimension d in n numbers the density of x0 + sigma e falls like sigma^(d - n), and
along it the score s = (D - x)/sigma^2 is of order 1, while across it is of order 1/sigma. A
Gaussian with variances lambda (0 across) has, at a clean point a from its mean,

* FLIPD: ``sum lambda/(lambda + sigma^2) + sigma^2 a^2/(lambda + sigma^2)^2``, which over clean
  points is d less ``sum (sigma^2/(lambda + sigma^2))^2``: right to the fourth order in sigma on
  flats;
* tr J: ``sum lambda/(lambda + sigma^2)``, d less ``sum sigma^2/(lambda + sigma^2)``: second order.

On a curved set both have a further error of the order of (sigma/radius)^2: FLIPD on a circle of
radius 1 is 1 + sigma^2/4. At noisy points x0 + sigma e FLIPD is n on average, whatever the law: it
needs clean points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import Estimate, mean
from denoscope.geometry.field import Field
from denoscope.geometry.probes import Stochastic
from denoscope.geometry.traces import trace
from denoscope.random import generator
from denoscope.types import Denoiser

_MOST_ROWS = 128  # points of one call of a denoiser
_LEAST_DRAWS = 256  # below these the spread of a few directions across hides the drop


class NormalBundle(NamedTuple):
    """``dimension`` int64 (*b), and its descending ``S`` (*b, n): 1 across the set, sigma along."""

    dimension: Tensor
    S: Tensor


def flipd(
    D: Denoiser, x: Tensor, sigma: Tensor | float, *, probes: int | None = None, seed: int = 0
) -> Stochastic:
    """``n + sigma^2 (div s + |s|^2) = tr J + |D - x|^2/sigma^2`` (*b) at clean points x: n more
    than the slope of log p against log sigma.

    0 where the denoiser gives x back whatever happens around it, as one that copies does at low
    noise. ``probes`` as in
    :func:`denoscope.geometry.traces.trace`. Source: Kamkari et al. 2024; Tempczyk et al. 2022.
    """
    field = Field(D, x, sigma)
    score = (field.value() - field.rows) / field.sigma[:, None]
    across = score.square().sum(1).reshape(field.batch)
    return trace(D, x, sigma, probes=probes, seed=seed).scaled(torch.ones_like(across), across)


def trace_dimension(
    D: Denoiser,
    x: Tensor,
    sigma: Tensor | float,
    *,
    draws: int = 4,
    probes: int | None = None,
    seed: int = 0,
) -> Stochastic:
    """The mean of tr J (*b) over ``draws`` noisy copies x + sigma e of clean points x: how many
    directions the denoiser keeps.

    The error is that of the mean over the draws, t with draws - 1 degrees of freedom. ``probes`` as
    in
    :func:`denoscope.geometry.traces.trace`; fewer than 2 draws are a ValueError. Source: Mohan et
    al. 2020.
    """
    if draws < 2:
        raise ValueError(f"draws must be at least 2, for a standard error, got {draws}")
    field = Field(D, x, sigma)
    noise = torch.stack([_noise(field, i, draws, seed) for i in range(len(field))])
    noisy = field.rows[:, None] + field.sigma[:, None, None] * noise
    levels = field.sigma[:, None].expand(-1, draws)
    noisy = noisy.reshape(*levels.shape, *field.event)
    values = trace(D, noisy, levels, probes=probes, seed=seed).value
    error = (values.std(1) / math.sqrt(draws)).reshape(field.batch)
    return Stochastic(values.mean(1).reshape(field.batch), error, draws)


def normal_bundle_dimension(
    D: Denoiser, x: Tensor, sigma: Tensor | float, *, draws: int | None = None, seed: int = 0
) -> NormalBundle:
    """n less the number of singular values, of scores at ``draws`` noisy copies of a clean x, that
    come before their largest drop.

    The scores times sigma/draws^(1/2) are stacked, a zero follows the last value: from 0, where all
    directions are across, to n - 1. The set must be flat at the scale sigma n^(1/2), and sigma well
    below its spread: the mean score, which points along it, counts as well. Where draws is None, 4
    n and at least 256; fewer than n are a ValueError. Source: Stanczuk et al. 2024, algorithm 1.
    """
    field = Field(D, x, sigma)
    count = max(4 * field.n, _LEAST_DRAWS) if draws is None else draws
    if count < field.n:
        raise ValueError(f"draws must be at least the {field.n} numbers of a point, got {draws}")
    values = torch.stack([_score_spectrum(field, i, count, seed) for i in range(len(field))])
    drops = values - torch.nn.functional.pad(values[:, 1:], (0, 1))
    dimension = field.n - 1 - drops.argmax(1)
    values = values.reshape(*field.batch, field.n).to(x.dtype)
    return NormalBundle(dimension.reshape(field.batch), values)


def _score_spectrum(field: Field, i: int, draws: int, seed: int) -> Tensor:
    """RMS of ``sigma s`` along its principal directions at copies of point i, float64 (n,)."""
    gram = torch.zeros(field.n, field.n, dtype=torch.float64, device=field.rows.device)
    for noise in _noise(field, i, draws, seed).split(_MOST_ROWS):
        noisy = field.rows[i] + field.sigma[i] * noise
        here = Field(field.D, noisy.reshape(-1, *field.event), field.sigma[i].expand(len(noise)))
        scores = (here.value().double() - here.rows) / field.sigma[i]
        gram += scores.T @ scores
    return torch.linalg.eigvalsh(gram / draws).clamp_min(0).flip(0).sqrt()


def _noise(field: Field, i: int, draws: int, seed: int) -> Tensor:
    """Standard normal (draws, n) for point i, a function of the seed and i alone."""
    drawn = torch.randn(draws, field.n, generator=generator(seed, i), dtype=torch.float64)
    return drawn.to(field.rows)


def plateau(sigmas: Sequence[float], found: Sequence[np.ndarray], level: float = 0.95) -> Estimate:
    """The dimension that a denoiser states at the scale where that changes least against log sigma.

    ``found`` are dimensions (points,) at the rising ``sigmas``. The scale is chosen on every second
    point, of those where they are above 1, and read on the others, by t: the choice favours
    nothing. Points alone are a ValueError.
    """
    stated = np.stack(found).astype(np.float64)
    if stated.shape[1] < 2:
        raise ValueError("choosing a scale and reading there need at least 2 points")
    chosen = stated[:, ::2].mean(1)
    change = np.abs(np.gradient(np.log(np.maximum(chosen, 1e-3)), np.log(sigmas)))
    return mean(stated[int(np.where(chosen > 1, change, np.inf).argmin()), 1::2], level)
