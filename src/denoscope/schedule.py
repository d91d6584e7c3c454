"""Schedules translate a diffusion's time t to (alpha, sigma); levels are the sigmas that a sampler
visits or a training draws.

A Gaussian diffusion ``x_t = alpha(t) x0 + std(t) n`` is ``x = x_t / alpha(t)`` in the coordinates
of this library, with ``sigma(t) = std(t) / alpha(t)``. Larger t is noisier. Discrete times 0 ...
T-1 index the betas (t = 0 is the least noise, not the data); continuous times live in [0, 1] with
the data at t = 0. Times may be numbers or tensors of any shape; the answer has the tensor's
floating type, or float64 for numbers and integer tensors.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def _double(value: Tensor | float) -> Tensor:
    return (
        value.to(torch.float64)
        if isinstance(value, Tensor)
        else torch.tensor(value, dtype=torch.float64)
    )


def _like(result: Tensor, value: Tensor | float) -> Tensor:
    return (
        result.to(value.dtype)
        if isinstance(value, Tensor) and value.is_floating_point()
        else result
    )


def between(name: str, value: float, low: float, high: float = math.inf) -> None:
    if not low < value < high:
        raise ValueError(f"{name} must lie in ({low:g}, {high:g}), got {value:g}")


class Schedule(ABC):
    """What every schedule answers: ``alpha``, ``std``, ``sigma = std / alpha`` at a time, and the
    ``time`` of a sigma.
    """

    def alpha(self, t: Tensor | float) -> Tensor:
        """The factor of the data in x_t; sqrt(abar) for a variance-preserving diffusion."""
        return _like(self._alpha(_double(t)), t)

    def std(self, t: Tensor | float) -> Tensor:
        """The standard deviation of the noise in x_t; sqrt(1 - abar) for a variance-preserving
        diffusion.
        """
        return _like(self._std(_double(t)), t)

    def sigma(self, t: Tensor | float) -> Tensor:
        """The noise level of x_t / alpha(t)."""
        time = _double(t)
        return _like(self._std(time) / self._alpha(time), t)

    def time(self, sigma: Tensor | float) -> Tensor:
        """The time at which the noise level is ``sigma``: the inverse of :meth:`sigma`."""
        return _like(self._time(_double(sigma)), sigma)

    @abstractmethod
    def quantile(self, u: Tensor) -> Tensor:
        """The time below which a share ``u`` in [0, 1] of the training times lies, which are
        uniform.
        """

    @abstractmethod
    def _alpha(self, t: Tensor) -> Tensor: ...

    @abstractmethod
    def _std(self, t: Tensor) -> Tensor: ...

    @abstractmethod
    def _time(self, sigma: Tensor) -> Tensor: ...


class VP(Schedule):
    """The discrete variance-preserving diffusion of DDPM: ``alpha(t)^2 = abar_t = prod_{s <= t} (1
    - betas[s])``, t = 0 ... T-1.

    Between whole times log sigma is linear in t, so ``time`` may return a fraction and inverts
    ``sigma`` exactly; a network that knows only whole times rounds it. Times and sigmas beyond the
    ends are held at the ends. Source: Ho et al. 2020, eq. 4.
    """

    def __init__(self, betas: Tensor | Sequence[float]):
        self.betas = torch.as_tensor(betas, dtype=torch.float64)
        if self.betas.ndim != 1 or not len(self.betas):
            raise ValueError(
                f"betas must be a list of numbers, got shape {tuple(self.betas.shape)}"
            )
        outside = ~((self.betas > 0) & (self.betas < 1))
        if outside.any():
            index = int(outside.nonzero()[0])
            raise ValueError(
                f"betas must lie in (0, 1), got {self.betas[index]:g} at index {index}"
            )
        self._log_sigma = 0.5 * torch.log(
            torch.expm1(-torch.log1p(-self.betas).cumsum(0))
        )  # sigma^2 = 1/abar - 1

    @classmethod
    def linear(cls, steps: int = 1000, beta_min: float = 1e-4, beta_max: float = 2e-2) -> VP:
        """Betas equally spaced from ``beta_min`` to ``beta_max`` (Ho et al. 2020)."""
        _check_betas(steps, beta_min=beta_min, beta_max=beta_max)
        return cls(torch.linspace(beta_min, beta_max, steps, dtype=torch.float64))

    @classmethod
    def scaled_linear(
        cls, steps: int = 1000, beta_min: float = 8.5e-4, beta_max: float = 1.2e-2
    ) -> VP:
        """Betas whose square roots are equally spaced: the schedule of latent diffusion (Rombach et
        al. 2022).
        """
        _check_betas(steps, beta_min=beta_min, beta_max=beta_max)
        return cls(
            torch.linspace(
                math.sqrt(beta_min), math.sqrt(beta_max), steps, dtype=torch.float64
            ).square()
        )

    @classmethod
    def cosine(cls, steps: int = 1000, offset: float = 8e-3, beta_max: float = 0.999) -> VP:
        """``abar`` a squared cosine of time, betas cut at ``beta_max`` (Nichol and Dhariwal 2021,
        eq. 17).
        """
        _check_betas(steps, beta_max=beta_max)
        between("offset", offset, 0)
        angle = (
            (torch.arange(steps + 1, dtype=torch.float64) / steps + offset)
            / (1 + offset)
            * (math.pi / 2)
        )
        abar = angle.cos().square()
        return cls((1 - abar[1:] / abar[:-1]).clamp(max=beta_max))

    def __len__(self) -> int:
        return len(self.betas)

    def quantile(self, u: Tensor) -> Tensor:
        return (u * len(self)).floor().clamp(max=len(self) - 1)

    def _table(self, like: Tensor) -> Tensor:
        return self._log_sigma.to(like.device)

    def _log_sigma_at(self, t: Tensor) -> Tensor:
        table, t = self._table(t), t.clamp(0, len(self) - 1)
        below = t.floor().long()
        return torch.lerp(table[below], table[(below + 1).clamp(max=len(self) - 1)], t - below)

    def _alpha(self, t: Tensor) -> Tensor:
        return torch.exp(2 * self._log_sigma_at(t)).add(1).rsqrt()

    def _std(self, t: Tensor) -> Tensor:
        return torch.exp(-2 * self._log_sigma_at(t)).add(1).rsqrt()

    def _time(self, sigma: Tensor) -> Tensor:
        table = self._table(sigma)
        if len(self) == 1:
            return torch.zeros_like(sigma)
        value = sigma.log().clamp(table[0], table[-1])
        below = (torch.searchsorted(table, value, right=True) - 1).clamp(0, len(self) - 2)
        return below + (value - table[below]) / (table[below + 1] - table[below])


def _check_betas(steps: int, **betas: float) -> None:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    for name, beta in betas.items():
        between(name, beta, 0, 1)


def from_betas(betas: Tensor | Sequence[float]) -> VP:
    """The discrete schedule with these betas, least noise first; a beta outside (0, 1) is a
    ValueError.
    """
    return VP(betas)


@dataclass(frozen=True)
class _Continuous(Schedule):
    """Times in [0, 1]; training and sampling stay within ``span``, away from ends where the level
    is 0 or infinite.
    """

    @property
    def span(self) -> tuple[float, float]:
        return 1e-3, 1.0

    def quantile(self, u: Tensor) -> Tensor:
        start, end = self.span
        return start + (end - start) * u


@dataclass(frozen=True)
class VPSDE(_Continuous):
    """The variance-preserving SDE: ``alpha = exp(-B/2)``, ``std^2 = 1 - exp(-B)``, ``B(t) =
    beta_min t + (beta_max - beta_min) t^2 / 2``.

    Song et al. 2021 (score SDE), appendix B.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        between("beta_min", self.beta_min, 0)
        between("beta_max", self.beta_max, 0)

    def _integral(self, t: Tensor) -> Tensor:
        """B(t), the integral of the rate beta from 0 to t."""
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    def _invert(self, b: Tensor) -> Tensor:
        """The time t at which B(t) = b, in the form that keeps small b and equal betas exact."""
        return (
            2
            * b
            / (
                self.beta_min
                + torch.sqrt(self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * b)
            )
        )

    def _alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-0.5 * self._integral(t))

    def _std(self, t: Tensor) -> Tensor:
        return torch.sqrt(-torch.expm1(-self._integral(t)))

    def _time(self, sigma: Tensor) -> Tensor:
        return self._invert(torch.log1p(sigma**2))


@dataclass(frozen=True)
class SubVP(VPSDE):
    """The sub-VP SDE: alpha as in :class:`VPSDE`, ``std = 1 - exp(-B)``, so ``sigma = 2
    sinh(B/2)``. Song et al. 2021, appendix B.
    """

    def _std(self, t: Tensor) -> Tensor:
        return -torch.expm1(-self._integral(t))

    def _time(self, sigma: Tensor) -> Tensor:
        return self._invert(2 * torch.asinh(0.5 * sigma))


@dataclass(frozen=True)
class OU(_Continuous):
    """The Ornstein-Uhlenbeck process ``dx = -x ds + sqrt(2) dB`` at ``s = horizon * t``: ``alpha =
    exp(-s)``, ``std^2 = 1 - exp(-2s)``.

    With the default horizon t is the process's own time, and may exceed 1.
    """

    horizon: float = 1.0

    def __post_init__(self) -> None:
        between("horizon", self.horizon, 0)

    def _alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-self.horizon * t)

    def _std(self, t: Tensor) -> Tensor:
        return torch.sqrt(-torch.expm1(-2 * self.horizon * t))

    def _time(self, sigma: Tensor) -> Tensor:
        return torch.log1p(sigma**2) / (2 * self.horizon)


@dataclass(frozen=True)
class VE(_Continuous):
    """The variance-exploding SDE: ``alpha = 1``, ``std = low (high/low)^t``. Song et al. 2021,
    appendix B.
    """

    low: float = 0.002
    high: float = 80.0

    def __post_init__(self) -> None:
        between("low", self.low, 0, self.high)

    @property
    def span(self) -> tuple[float, float]:
        return 0.0, 1.0

    def _alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def _std(self, t: Tensor) -> Tensor:
        return self.low * (self.high / self.low) ** t

    def _time(self, sigma: Tensor) -> Tensor:
        return torch.log(sigma / self.low) / math.log(self.high / self.low)


@dataclass(frozen=True)
class Flow(_Continuous):
    """The straight path of flow matching: ``alpha = 1 - t``, ``std = t``; sigma is infinite at t =
    1. Lipman et al. 2023.
    """

    @property
    def span(self) -> tuple[float, float]:
        return 1e-3, 1 - 1e-3

    def _alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def _std(self, t: Tensor) -> Tensor:
        return t

    def _time(self, sigma: Tensor) -> Tensor:
        return 1 / (1 + 1 / sigma)
