"""How far denoising is from subspace clustering once the assignment sees the noise: measured
against the noise level.

With the assignment of the clean point, c = argmax_k |U_k^T x0|, the loss at a level is exactly
``|x0|^2 - g |U_c^T x0|^2 + h d_c`` (:mod:`denoscope.theory.molrg`). A real denoiser sees x = x0 +
sigma n alone: it assigns by the largest ``|U_k^T x|``, or mixes by soft weights. Here all three
lose on the same points and the same noise, so that the differences are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from denoscope.networks import Subspaces
from denoscope.random import generator
from denoscope.theory.molrg import expected_loss


class Departure(NamedTuple):
    """Losses summed over the n numbers of a point and averaged over the points, a row per level and
    a column a draw of the noise.

    ``exact`` (levels,): the formula, with the clean assignment. ``clean``: the same by Monte Carlo.
    ``argmax`` and ``soft``: the loss less that of the clean assignment on the same noise, for the
    assignment of the noisy point and for soft weights; negative where the denoiser loses less than
    the clustering form. ``wrong``: the share of noisy points that go to another subspace than their
    clean point.
    """

    exact: np.ndarray
    clean: np.ndarray
    argmax: np.ndarray
    soft: np.ndarray
    wrong: np.ndarray


def departures(
    bases: Tensor | Sequence[Tensor],
    x: Tensor,
    sigmas: Sequence[float],
    *,
    weights: Sequence[float] | None = None,
    draws: int = 64,
    seed: int = 0,
) -> Departure:
    """What the loss of the points ``x`` (N, n) is at every level under the three assignments, for
    subspaces with these orthonormal ``bases``.

    The bases may be the truth's or any others, K tensors (n, d_k) or one (K, n, d). ``draws``
    noises per point, the same at every level: what varies over them is the noise, the points being
    given. ``weights``: pi of the soft weights. O(draws N n sum d_k) per level.
    """
    if draws < 2:
        raise ValueError(f"draws must be at least 2 for an interval, got {draws}")
    hard = Subspaces.from_bases(bases, joint=False, hard=True, weights=weights)
    soft = Subspaces.from_bases(bases, joint=False, hard=False, weights=weights)
    x = x.to(hard.matrix)
    noise = torch.randn((draws, *x.shape), generator=generator(seed), dtype=x.dtype)
    with torch.no_grad():
        rows = [_at_level(hard, soft, x, noise, float(sigma)) for sigma in sigmas]
        exact = [_exact(hard, x, float(sigma)) for sigma in sigmas]
    return Departure(np.array(exact), *torch.stack(rows, 1).numpy())


def _exact(net: Subspaces, x: Tensor, sigma: float) -> float:
    captured, chosen = net.energies(x).max(-1)
    dims = torch.tensor(net.dims)[chosen]
    return float(expected_loss(x.square().sum(-1), captured, dims, sigma).mean())


def _at_level(hard: Subspaces, soft: Subspaces, x: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """The clean loss, two differences from it, the share of wrong assignments, (4, draws)."""
    noisy, level = x + sigma * noise, torch.tensor(sigma, dtype=x.dtype)
    chosen = hard.assign(x).expand(noisy.shape[:-1])
    clean, argmax, mixed = (
        (D - x).square().sum(-1)
        for D in (hard(noisy, level, chosen), hard(noisy, level), soft(noisy, level))
    )
    wrong = (hard.assign(noisy) != chosen).to(x.dtype)
    return torch.stack([clean, argmax - clean, mixed - clean, wrong]).mean(-1)
