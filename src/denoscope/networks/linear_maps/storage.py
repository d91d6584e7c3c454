"""The maps of all noise levels: a matrix each, or gains on a common basis; and between levels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from denoscope.schedule import VP

# of a level: a sigma so close is that level, so that a sigma rounded to float32 meets the level it
# came from
_MET = 1e-6


@dataclass(frozen=True)
class ScheduleTimes:
    """Whole times of a schedule, of any shape S: ``index``, ``alpha`` = sqrt(abar), ``std`` =
    sqrt(1 - abar), and ``ratio`` = (sigma / its sigma)^2.
    """

    index: Tensor
    alpha: Tensor
    std: Tensor
    ratio: Tensor


@dataclass(frozen=True)
class LevelBracket:
    """Between which levels sigma lies, at ``share`` in [0, 1) of the way in log sigma."""

    below: ScheduleTimes
    above: ScheduleTimes
    share: Tensor


def place(schedule: VP, levels: Tensor, sigma: Tensor, dtype: torch.dtype) -> LevelBracket:
    """The place of ``sigma`` (shape S) among the ``levels`` (T,) of the schedule, in ``dtype``."""
    sigma, levels = sigma.double(), levels.to(sigma.device)
    time = schedule.time(sigma)
    nearest = time.round()
    time = torch.where((sigma / levels[nearest.long()] - 1).abs() < _MET, nearest, time)
    below = time.floor().long()
    above = (below + 1).clamp(max=len(levels) - 1)
    low, high = (_level(t, levels[t], sigma, dtype) for t in (below, above))
    return LevelBracket(low, high, (time - below).to(dtype))


def _level(index: Tensor, level: Tensor, sigma: Tensor, dtype: torch.dtype) -> ScheduleTimes:
    alpha = (1 + level.square()).rsqrt()
    ratio = (sigma / level).square().clamp_min(torch.finfo(torch.float32).tiny)
    return ScheduleTimes(index, alpha.to(dtype), (level * alpha).to(dtype), ratio.to(dtype))


class Dense(nn.Module):
    """``weight`` (T, d, d) and ``bias`` (T, d), all trainable; a call gathers one matrix per number
    in sigma. Between levels Q and m are linear in log sigma.

    The eigenvalues of the optimum's Q, for any covariance, are then off by at most h^2 / (12 sqrt
    3) = 0.048 h^2 between levels h apart in log sigma. Below the least level its Q is kept; above
    the largest one I - Q falls as 1/sigma^2, as it does for every law of finite variance.
    """

    def __init__(self, levels: int, size: int, dtype: torch.dtype):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(levels, size, size, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(levels, size, dtype=dtype))

    def noise(self, x: Tensor, at: LevelBracket) -> Tensor:
        """``Q (x - m)``, what D takes away from x of shape (*S, n, d)."""
        share, mean = self._blended(at, x.dtype)
        centred = x - mean.unsqueeze(-2)
        beyond = at.above.ratio.clamp_min(1)[..., None, None]
        return centred + (centred @ share.mT - centred) / beyond

    def _blended(self, at: LevelBracket, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Q (*S, d, d) and m (*S, d)."""
        ends = (self._at(level, dtype) for level in (at.below, at.above))
        (low, mean_low), (high, mean_high) = ends
        share = at.share[..., None]
        return torch.lerp(low, high, share[..., None]), torch.lerp(mean_low, mean_high, share)

    def _at(self, level: ScheduleTimes, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        weight, bias = self.weight[level.index].to(dtype), self.bias[level.index].to(dtype)
        return level.std[..., None, None] * weight, -bias / level.alpha[..., None]

    def affine(self, t: int, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """W_t (d, d) and b_t (d,)."""
        return self.weight[t].clone(), self.bias[t].clone()

    def losses(self, mean: Tensor, cov: Tensor, alpha: Tensor, std: Tensor) -> Tensor:
        """``E|eps - W (x_t + b)|^2`` by level, (T,), for data of these moments; alpha, std (T,)."""
        weight, bias = self.weight.double(), self.bias.double()
        offset = (weight @ (alpha[:, None] * mean + bias)[..., None])[..., 0]
        return noise_losses(weight, noisy(weight, cov, alpha, std), std) + offset.square().sum(-1)


def noisy(weight: Tensor, cov: Tensor, alpha: Tensor, std: Tensor) -> Tensor:
    """``W (abar cov + (1 - abar) I)`` of every level, (T, d, d)."""
    return alpha.square()[:, None, None] * (weight @ cov) + std.square()[:, None, None] * weight


def noise_losses(weight: Tensor, product: Tensor, std: Tensor) -> Tensor:
    """``d - 2 std Tr W + Tr W C W^T`` by level, weight (T, d, d), product = W C, C of x_t."""
    diagonal = weight.diagonal(dim1=1, dim2=2).sum(-1)
    return weight.shape[-1] - 2 * std * diagonal + (weight * product).sum((-2, -1))


class SharedBasis(nn.Module):
    """``W_t = V diag(gains_t) V^T + rest_t (I - V V^T)`` and ``b_t = -sqrt(abar_t) mean``: V (d, r)
    orthonormal, gains (T, r), rest (T,).

    All that closed forms, ridges, early stopping and descent from zero give is of this kind, in O(d
    r + T r) numbers; nothing is trained here. Between levels and beyond the ends every mode keeps
    the variance ``lam = sigma^2 (1 - q) / q`` of the Gaussian that its share of noise q is that of
    (blended in log sigma from the level below and the one above): exact at every sigma where lam is
    the same at all levels, as without a ridge and with one of ``gamma abar_t``. A q outside [0, 1]
    belongs to no variance, and its excess is kept as it is.
    """

    mean: nn.Parameter
    basis: nn.Parameter
    gains: nn.Parameter
    rest: nn.Parameter

    def __init__(self, levels: int, size: int, rank: int, dtype: torch.dtype):
        super().__init__()
        shapes = {"mean": (size,), "basis": (size, rank)}
        shapes |= {"gains": (levels, rank), "rest": (levels,)}
        for name, shape in shapes.items():
            zeros = torch.zeros(shape, dtype=dtype)
            self.register_parameter(name, nn.Parameter(zeros, requires_grad=False))

    @property
    def _full(self) -> bool:
        return self.basis.shape[-1] == self.basis.shape[-2]

    def noise(self, x: Tensor, at: LevelBracket) -> Tensor:
        """``Q (x - m)``, what D takes away from x of shape (*S, n, d)."""
        basis, centred = self.basis.to(x.dtype), x - self.mean.to(x.dtype)
        shares = self._shares(self.gains, at, x.dtype)
        if self._full:
            return ((centred @ basis) * shares[..., None, :]) @ basis.T
        rest = self._shares(self.rest[:, None], at, x.dtype)
        along = (centred @ basis) * (shares - rest)[..., None, :]
        return along @ basis.T + rest[..., None] * centred

    def _shares(self, gains: Tensor, at: LevelBracket, dtype: torch.dtype) -> Tensor:
        """q of each column of gains (T, r) at sigma, (*S, r)."""
        low, high = (
            _carried(level.std[..., None] * gains[level.index].to(dtype), level.ratio[..., None])
            for level in (at.below, at.above)
        )
        return torch.lerp(low, high, at.share[..., None])

    def affine(self, t: int, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """W_t (d, d) and b_t (d,)."""
        weight = (self.basis * (self.gains[t] - self.rest[t])) @ self.basis.T
        weight.diagonal().add_(self.rest[t])
        return weight, -alpha.to(self.mean) * self.mean

    def losses(self, mean: Tensor, cov: Tensor, alpha: Tensor, std: Tensor) -> Tensor:
        """``E|eps - W (x_t + b)|^2`` by level, (T,), for data of these moments; alpha, std (T,)."""
        basis, offset = self.basis.double(), mean - self.mean.double()
        spread = ((cov @ basis) * basis).sum(0) + (
            offset @ basis
        ).square()  # of the data about the model's mean, along each mode
        inside = _mode_losses(self.gains.double(), spread, 1.0, alpha, std).sum(-1)
        if self._full:
            return inside
        beside = (cov.trace() + offset.square().sum() - spread.sum()).clamp_min(0)
        count = float(basis.shape[0] - basis.shape[1])
        outside = _mode_losses(self.rest.double()[:, None], beside[None], count, alpha, std)
        return inside + outside[:, 0]


def _mode_losses(gains: Tensor, spread: Tensor, count: float, alpha: Tensor, std: Tensor) -> Tensor:
    """The loss of ``count`` modes of one gain (T, r) with variance ``spread`` (r,): (T, r)."""
    alpha, std = alpha[:, None], std[:, None]
    noise = count * (1 - 2 * std * gains + (std * gains).square())
    return noise + (alpha * gains).square() * spread


def _carried(share: Tensor, ratio: Tensor) -> Tensor:
    """Noise share q of a mode at ``ratio`` times the sigma^2, for the same variance."""
    proper = share.clamp(0, 1)
    return ratio * proper / (1 - proper + ratio * proper) + (share - proper)
