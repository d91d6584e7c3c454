"""Diffusion training of many learnable MoLRG denoisers at once, by a gradient that is written out.

The denoiser is :class:`denoscope.networks.Subspaces` with soft weights and [U_1 ... U_K]
orthonormal. In ``z_k = U_k^T x_t`` and ``a_k = U_k^T x`` of a noisy and a clean point, with ``c =
1/(1 + sigma^2)`` and ``w = softmax_k(phi |z_k|^2)``, its loss is

    |D(x_t, sigma) - x|^2 = |x|^2 + sum_k (c^2 w_k^2 |z_k|^2 - 2 c w_k z_k.a_k),

whose gradient in U needs two products of matrices, shared by all starts of an instance. It equals
the derivative through the denoiser along every direction that keeps the columns orthonormal. The
loss is that of noise prediction, weight 1/sigma^2, at levels uniform in log sigma, and every noise
is used with both signs, which cancels what it adds to the gradient in first order. Each step ends
with the polar factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.fitting.instances import Instances
from denoscope.networks.subspaces import polar
from denoscope.random import generator

LOW, HIGH = 0.02, 0.5
"""Levels of training: at much higher ones only the subspaces' joint span is identified."""

RATE = 5.0
"""Step of the gradient, in units of one over the mean eigenvalue d/sum|x|^2."""

LONGEST = 20.0
"""The largest Frobenius norm of one step."""

SCREENED, JUDGED = 8, 16
"""Steps that all starts train before the best are chosen; noises per point of final losses."""

AT_ONCE = 40
"""Instances worked on together: what they need then stays in the processor's cache."""


@dataclass(frozen=True)
class Noisy:
    """Noises sigma e (T, b, N, n) and levels (T, b, N, 1) of T steps, float32."""

    noise: Tensor
    levels: Tensor


def noises(of: Instances, steps: int, path: int) -> Noisy:
    """Noises of ``steps`` steps, those of an instance a function of its seed and ``path`` alone;
    rows of zeros get none.
    """
    b, count, n = of.x.shape
    noise, levels = torch.zeros(steps, b, count, n), torch.ones(steps, b, count, 1)
    sizes = of.x.ne(0).any(-1).sum(-1).tolist()
    for i, (size, seed) in enumerate(zip(sizes, of.seeds)):
        draws = generator(seed, path)
        levels[:, i, :size, 0] = LOW * (HIGH / LOW) ** torch.rand(steps, size, generator=draws)
        noise[:, i, :size] = torch.randn(steps, size, n, generator=draws) * levels[:, i, :size]
    return Noisy(noise, levels)


def weight(level: Tensor) -> Tensor:
    """1/sigma^2 over its mean for levels uniform in log sigma."""
    return 2 * math.log(HIGH / LOW) / (LOW**-2 - HIGH**-2) / level**2


def _products(points: Tensor, bases: Tensor) -> Tensor:
    """U_k^T p for points (b, M, n) and bases (b, S, K, n, d), shape (b, M, S, K, d)."""
    b, tries, count, n, d = bases.shape
    return (points @ bases.permute(0, 3, 1, 2, 4).reshape(b, n, -1)).reshape(b, -1, tries, count, d)


def _terms(
    level: Tensor, clean: Tensor, noisy: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """c, phi, w, |z_k|^2 and z_k.a_k; the last three of shape (b, N, S, K)."""
    sigma = level[..., None]
    scale = 1 / (1 + sigma**2)
    phi = scale / (2 * sigma**2)
    square, inner = noisy.square().sum(-1), (noisy * clean).sum(-1)
    return scale, phi, (phi * square).softmax(-1), square, inner


def losses(x: Tensor, noisy: Noisy, bases: Tensor) -> Tensor:
    """The weighted loss of every start (b, S), summed over x (b, N, n), noises of both signs."""
    total = x.new_zeros(bases.shape[:2])
    for noise, level in zip(noisy.noise, noisy.levels):
        clean, extra = _products(torch.cat([x, noise], 1), bases).chunk(2, 1)
        for sign in (1.0, -1.0):
            scale, _, share, square, inner = _terms(level, clean, clean + sign * extra)
            parts = (scale**2 * share**2 * square - 2 * scale * share * inner).sum(-1)
            total += (weight(level) * (x.square().sum(-1, keepdim=True) + parts) * _real(x)).sum(1)
    return total / (2 * len(noisy.noise))


def _real(x: Tensor) -> Tensor:
    """1 for points and 0 for rows of zeros, (b, N, 1)."""
    return x.ne(0).any(-1, keepdim=True).to(x)


def gradient(x: Tensor, noise: Tensor, level: Tensor, bases: Tensor) -> Tensor:
    """The gradient of :func:`losses` for one noise per point, up to what a polar factor removes."""
    b, tries, count, n, d = bases.shape
    both = torch.cat([x, noise], 1)
    clean, extra = _products(both, bases).chunk(2, 1)
    at_noisy, at_clean = zip(*(_slopes(level, clean, clean + sign * extra) for sign in (1.0, -1.0)))
    pulled = torch.cat(
        [at_noisy[0] + at_noisy[1] + at_clean[0] + at_clean[1], at_noisy[0] - at_noisy[1]], 1
    )
    return (both.mT @ pulled.flatten(2)).reshape(b, n, tries, count, d).permute(0, 2, 3, 1, 4)


def _slopes(level: Tensor, clean: Tensor, noisy: Tensor) -> tuple[Tensor, Tensor]:
    """Half the derivatives of the weighted loss in z and in a, each (b, N, S, K, d)."""
    scale, phi, share, square, inner = _terms(level, clean, noisy)
    slope = share * (scale**2 * share * square - scale * inner)
    turned = slope - share * slope.sum(-1, keepdim=True)
    weighed = weight(level)[..., None]
    pull = (weighed * scale * share)[..., None]
    return (weighed * (scale**2 * share**2 + 2 * phi * turned))[
        ..., None
    ] * noisy - pull * clean, -pull * noisy


def descend(x: Tensor, noisy: Noisy, bases: Tensor, rate: Callable[[int], float]) -> Tensor:
    """``bases`` (b, S, K, n, d) after a gradient step and its retraction for each noise."""
    unit = bases.shape[-1] / (2 * x.square().sum((1, 2)))
    for step, (noise, level) in enumerate(zip(noisy.noise, noisy.levels)):
        move = rate(step) * unit[:, None, None, None, None] * gradient(x, noise, level, bases)
        length = move.square().sum((2, 3, 4), keepdim=True).sqrt()
        bases = polar_bases(bases - move * (LONGEST / length.clamp(min=LONGEST)))
    return bases


def polar_bases(bases: Tensor) -> Tensor:
    """The polar factor of [U_1 ... U_K] for bases (*b, K, n, d), in their own precision."""
    *batch, count, n, d = bases.shape
    wide = polar(bases.transpose(-3, -2).reshape(*batch, n, count * d))
    return wide.reshape(*batch, n, count, d).transpose(-3, -2)


@dataclass(frozen=True)
class TrainedSubspaces:
    """The denoiser with the least loss of every instance: ``bases`` (b, K, n, d) float64, its
    ``loss`` (b,), and that of the ``truth`` (b,).
    """

    bases: Tensor
    loss: Tensor
    truth: Tensor


@torch.no_grad()
def train_subspaces(
    of: Instances,
    *,
    keep: int,
    steps: int,
    tell: Callable[[float], None] = lambda fraction: None,
) -> TrainedSubspaces:
    """Diffusion training from every start of every instance.

    All starts train for ``SCREENED`` steps at the full rate; the ``keep`` with the least loss train
    on for ``steps`` with a rate that falls to 0 as a cosine; the best of them is the one with the
    least loss on ``JUDGED`` noises per point, the same for all and for the truth.
    """
    parts = []
    for first in range(0, len(of), AT_ONCE):
        parts.append(_block(of.part(first, first + AT_ONCE), keep, steps))
        tell(min(1.0, (first + AT_ONCE) / len(of)))
    return TrainedSubspaces(*(torch.cat(values) for values in zip(*parts)))


def _block(of: Instances, keep: int, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    x, rows = of.x.float(), torch.arange(len(of))
    judging = noises(of, JUDGED, 2)
    few = Noisy(judging.noise[: JUDGED // 4], judging.levels[: JUDGED // 4])
    bases = descend(x, noises(of, SCREENED, 0), of.starts.float(), lambda step: RATE)
    best = losses(x, few, bases).topk(min(keep, bases.shape[1]), 1, largest=False).indices
    falling = lambda step: RATE * 0.5 * (1 + math.cos(math.pi * step / steps))  # noqa: E731
    bases = descend(x, noises(of, steps, 1), bases[rows[:, None], best], falling)
    found = losses(x, judging, bases)
    least, place = found.min(1)
    truth = losses(x, judging, of.truth[:, None].float())[:, 0]
    return polar_bases(bases[rows, place].double()), least, truth
