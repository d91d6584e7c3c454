"""From the coordinates of a foreign network to those of this library: D(x, s) = skip x + out
F(scale x + offset, time).

F is the network as its own library calls it, s the noise level of x = x0 + s n with images in [-1,
1]. Three families of diffusions:

variance preserving (DDPM and all that share its betas)
    The network saw x_t = alpha (x0 + s n), alpha = 1/sqrt(1 + s^2), and the number of the step t, 0
    ... T-1, at which ``sqrt(1 - abar_t)/sqrt(abar_t)`` is s; between steps, t is linear in log s.
    Ho et al. 2020, eq. 4.
variance exploding (score SDE)
    Images in [0, 1], so the network saw (x + 1)/2 with noise s/2, and answers with the score there:
    ``D = x + (s^2/2) F((x + 1)/2, s/2)``. Song et al. 2021; Karras et al. 2022, eq. 213.
preconditioned (EDM)
    ``D = c_skip x + c_out F(c_in x, ln(s)/4)``. Karras et al. 2022, table 1.
consistent
    The same with coefficients that leave x as it is at the lowest level; the network's time is 250
    ln(s). It maps x along its path to an image in one step and is no posterior mean. Song et al.
    2023, appendix C.
straight (flow matching)
    The network saw x_t = (1 - t) x0 + t n at t = s/(1 + s), is told 1000 t, and answers with n -
    x0. Lipman et al. 2023.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from denoscope.levels import karras, uniform
from denoscope.networks.precondition import Preconditioned, posterior
from denoscope.schedule import VE, VP, Flow, Schedule
from denoscope.types import pad


@dataclass(frozen=True)
class Coefficients:
    """The coefficients at some levels, float64: D = skip x + out F(scale x + offset, time)."""

    skip: Tensor
    out: Tensor
    scale: Tensor
    time: Tensor
    offset: float = 0.0


class Coordinates(Protocol):
    """What a family of diffusions answers; ``prediction`` names what its network predicts,
    ``steps`` how many levels it was trained on.
    """

    @property
    def prediction(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def schedule(self) -> Schedule: ...
    def affine(self, sigma: Tensor) -> Coefficients: ...
    def levels(self, n: int) -> Tensor: ...
    def spread(self, highest: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Preserving:
    """A network that predicts "eps", "x0" or "v" at the whole times of ``schedule``."""

    schedule: VP
    prediction: str

    @property
    def steps(self) -> int:
        """How many levels there are."""
        return len(self.schedule)

    def affine(self, sigma: Tensor) -> Coefficients:
        """The coefficients at ``sigma``; the time alone is held at the ends of the schedule."""
        alpha = (1 + sigma**2).rsqrt()
        a, b = posterior(self.prediction, alpha, alpha * sigma)
        return Coefficients(alpha * a, b, alpha, self.schedule.time(sigma))

    def levels(self, n: int) -> Tensor:
        """n training levels at equally spaced times from the last to the first, then 0."""
        return uniform(n, self.schedule)

    def spread(self, highest: Tensor) -> Tensor:
        """The standard deviation of the first state: sampling begins at x_T = n, that is n/alpha_T
        here, whatever is left of the data.
        """
        return torch.sqrt(1 + highest**2)


@dataclass(frozen=True)
class Exploding:
    """A network that answers with the score of images in [0, 1], trained at levels from ``low`` to
    ``high`` (those of [-1, 1]).
    """

    low: float
    high: float
    steps: int
    prediction: str = "score"

    @property
    def schedule(self) -> VE:
        """The levels as a schedule: geometric in time."""
        return VE(self.low, self.high)

    def affine(self, sigma: Tensor) -> Coefficients:
        """The coefficients at ``sigma``."""
        half = torch.full_like(sigma, 0.5)
        return Coefficients(torch.ones_like(sigma), sigma**2 / 2, half, sigma / 2, 0.5)

    def levels(self, n: int) -> Tensor:
        """n geometrically spaced levels from the highest to the lowest, then 0."""
        return uniform(n, self.schedule)

    def spread(self, highest: Tensor) -> Tensor:
        """The standard deviation of the first state."""
        return highest


@dataclass(frozen=True)
class EDM:
    """A network behind EDM's preconditioning, whose answer counts with ``sign``; levels by ``rho``,
    or geometric where that is None.
    """

    low: float
    high: float
    steps: int
    sigma_data: float
    sign: float
    rho: float | None
    prediction: str = "edm"
    table: Preconditioned = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", Preconditioned(nn.Identity(), "edm", self.sigma_data))

    @property
    def schedule(self) -> VE:
        """The range of levels as a schedule."""
        return VE(self.low, self.high)

    def affine(self, sigma: Tensor) -> Coefficients:
        """The coefficients at ``sigma``."""
        skip, out, scale = self.table.coefficients(sigma)
        return Coefficients(
            skip, self.sign * out, scale, sigma.clamp(min=torch.finfo(sigma.dtype).tiny).log() / 4
        )

    def levels(self, n: int) -> Tensor:
        """n levels from the highest to the lowest as the scheduler spaces them, then 0."""
        return (
            uniform(n, self.schedule)
            if self.rho is None
            else karras(n, self.low, self.high, self.rho)
        )

    def spread(self, highest: Tensor) -> Tensor:
        """The standard deviation of the first state, of data of unit variance, as it begins."""
        return torch.sqrt(1 + highest**2)


@dataclass(frozen=True)
class Consistent:
    """A consistency model, trained at levels from ``low`` to ``high``."""

    low: float
    high: float
    steps: int
    sigma_data: float
    rho: float
    prediction: str = "consistency"

    @property
    def schedule(self) -> VE:
        """The range of levels as a schedule."""
        return VE(self.low, self.high)

    def affine(self, sigma: Tensor) -> Coefficients:
        """The coefficients at ``sigma``; below the lowest level x is what it maps to."""
        beyond, scale = (sigma - self.low).clamp(min=0), (sigma**2 + self.sigma_data**2).rsqrt()
        skip = self.sigma_data**2 / (beyond**2 + self.sigma_data**2)
        time = 250 * sigma.clamp(min=self.low).log()
        return Coefficients(skip, beyond * self.sigma_data * scale, scale, time)

    def levels(self, n: int) -> Tensor:
        """n levels from the highest to the lowest, then 0."""
        return karras(n, self.low, self.high, self.rho)

    def spread(self, highest: Tensor) -> Tensor:
        """The standard deviation of the first state."""
        return highest


@dataclass(frozen=True)
class Straight:
    """A network that predicts the velocity n - x0, at ``steps`` times; ``shift`` moves the times at
    which it is sampled towards noise.
    """

    steps: int
    shift: float
    prediction: str = "flow"

    @property
    def schedule(self) -> Flow:
        """The straight path."""
        return Flow()

    def affine(self, sigma: Tensor) -> Coefficients:
        """The coefficients at ``sigma``."""
        alpha = 1 / (1 + sigma)
        a, b = posterior(self.prediction, alpha, alpha * sigma)
        return Coefficients(alpha * a, b, alpha, self.steps * alpha * sigma)

    def levels(self, n: int) -> Tensor:
        """n levels at shifted times from the highest to the lowest, then 0; pure noise, t = 1, is
        taken at 1 - 1/(4 steps).
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        lowest = self._shifted(torch.tensor(1 / self.steps, dtype=torch.float64))
        times = torch.linspace(1, float(lowest), n, dtype=torch.float64)
        t = self._shifted(times).clamp(max=1 - 0.25 / self.steps)
        return torch.cat([t / (1 - t), t.new_zeros(1)])

    def _shifted(self, t: Tensor) -> Tensor:
        return self.shift * t / (1 + (self.shift - 1) * t)

    def spread(self, highest: Tensor) -> Tensor:
        """The standard deviation of the first state: sampling begins at pure noise."""
        return 1 + highest


class Translated(nn.Module):
    """The denoiser of a UNet2D in some coordinates, for x (*batch, c, h, w) and sigma whose shape
    is a prefix of the batch's.

    It computes in the type of the network (``.double()`` for float64) and answers in the type of x.
    ``whole`` rounds times for networks that know no others; ``label`` is the class of a
    class-conditional one, or (b,) one for each entry of the first axis of x. Further channels of
    the answer (a learned variance) are dropped.
    """

    def __init__(
        self,
        net: nn.Module,
        coordinates: Coordinates,
        *,
        whole: bool = False,
        label: int | Tensor | None = None,
    ):
        super().__init__()
        self.net, self.coordinates, self.whole, self.label = net, coordinates, whole, label

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        pad(sigma, x)
        lead = x.shape[:-3]
        rows = x.reshape(-1, *x.shape[-3:])
        levels = (
            sigma.reshape(sigma.shape + (1,) * (len(lead) - sigma.ndim)).expand(lead).reshape(-1)
        )
        affine = self.coordinates.affine(levels.to(torch.float64))
        skip, out, scale = (
            pad(c.to(x.dtype), rows) for c in (affine.skip, affine.out, affine.scale)
        )
        answer = self._net(scale * rows + affine.offset, affine.time, self._labels(x))
        answer = answer[:, : x.shape[-3]].to(x.dtype)
        return torch.addcmul(skip * rows, out, answer).reshape(x.shape)

    def _labels(self, x: Tensor) -> Tensor | None:
        """The class of every row."""
        if self.label is None:
            return None
        label = torch.as_tensor(self.label, device=x.device)
        return pad(label, x[..., 0, 0, 0]).expand(x.shape[:-3]).reshape(-1)

    def _net(self, rows: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        dtype = next(self.net.parameters()).dtype
        times = time.round().long() if self.whole else time.to(dtype)
        return self.net(rows.to(dtype), times, class_labels=labels, return_dict=False)[0]
