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
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from denoscope.levels import karras, uniform
from denoscope.networks.precondition import Preconditioned, posterior
from denoscope.schedule import VE, VP, Schedule
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


class Translated(nn.Module):
    """The denoiser of a UNet2D in some coordinates, for x (*batch, c, h, w) and sigma whose shape
    is a prefix of the batch's.

    It computes in the type of the network (``.double()`` for float64) and answers in the type of x.
    ``whole`` rounds times for networks that know no others; ``label`` is the class of a
    class-conditional one. Further channels of the answer (a learned variance) are dropped.
    """

    def __init__(
        self,
        net: nn.Module,
        coordinates: Coordinates,
        *,
        whole: bool = False,
        label: int | None = None,
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
        answer = self._net(scale * rows + affine.offset, affine.time)[:, : x.shape[-3]].to(x.dtype)
        return torch.addcmul(skip * rows, out, answer).reshape(x.shape)

    def _net(self, rows: Tensor, time: Tensor) -> Tensor:
        dtype = next(self.net.parameters()).dtype
        labels = (
            None if self.label is None else torch.full((len(rows),), self.label, device=rows.device)
        )
        times = time.round().long() if self.whole else time.to(dtype)
        return self.net(rows.to(dtype), times, class_labels=labels, return_dict=False)[0]
