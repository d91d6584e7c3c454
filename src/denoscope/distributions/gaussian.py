"""The Gaussian: its posterior mean is the Wiener filter, affine in x, one scalar ``lam / (lam +
sigma^2)`` per mode of the covariance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from denoscope.display import sized
from denoscope.distributions.modes import GaussianModes, from_covariance
from denoscope.distributions.points import batch_shape, rows


class Gaussian:
    """N(mean, cov) as a denoiser: ``mean`` of the event shape with n numbers in all, ``cov`` (n, n)
    over the flattened event.

    An asymmetric, indefinite or misshapen covariance is a ValueError; a singular one is allowed.
    Source: Wiener (1949).
    """

    def __init__(self, mean: Tensor, cov: Tensor):
        self.event_shape = mean.shape
        self.modes = from_covariance(mean, cov)

    def __repr__(self) -> str:
        return f"Gaussian(of {sized(self.event_shape)})"

    @classmethod
    def from_data(cls, x: Tensor, ridge: float = 0.0) -> Gaussian:
        """The Gaussian with the mean and covariance (1/N, plus ``ridge`` times the identity) of
        ``x``, shape (N, *event).

        With fewer items than numbers it keeps only the directions that the data span: O(N n min(N,
        n)) in all.
        """
        if x.ndim < 2 or not len(x) or not bool(torch.isfinite(x).all()):
            raise ValueError(
                "x must be finite data of shape (N, *event) with N >= 1, got shape "
                f"{tuple(x.shape)}"
            )
        if not ridge >= 0:
            raise ValueError(f"ridge must be at least 0, got {ridge}")
        gaussian = cls.__new__(cls)
        gaussian.event_shape = x.shape[1:]
        gaussian.modes = _modes_of(x.flatten(1), float(ridge))
        return gaussian

    @property
    def mean(self) -> Tensor:
        """The mean, of the event shape."""
        return self.modes.mean.reshape(self.event_shape)

    @property
    def cov(self) -> Tensor:
        """The covariance (n, n) over the flattened event."""
        return self.modes.cov()

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """``mean + cov (cov + sigma^2 I)^-1 (x - mean)``, the shape and type of x."""
        flat, level = rows(x, sigma, self.event_shape, self.modes.mean.dtype)
        return self.modes.posterior_mean(self.modes.split(flat), level).reshape(x.shape).to(x.dtype)

    def log_prob(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Log density of x0 + sigma n at x, batch shape; a singular covariance at sigma = 0 has
        none: a ValueError.
        """
        refuse_singular(self.modes.singular, sigma)
        flat, level = rows(x, sigma, self.event_shape, self.modes.mean.dtype)
        return (
            self.modes.log_prob(self.modes.split(flat), level)
            .reshape(batch_shape(x, self.event_shape))
            .to(x.dtype)
        )

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws, shape (n, *event)."""
        return self.modes.sample(n, generator).reshape(n, *self.event_shape)


def _modes_of(x: Tensor, ridge: float) -> GaussianModes:
    """The modes of data (N, n), in its type: of the covariance when N > n, else of the span."""
    count, n = x.shape
    mean = x.double().mean(0)
    centred = x.double() - mean
    if count > n:
        return from_covariance(
            mean.to(x),
            centred.T @ centred / count
            + ridge * torch.eye(n, dtype=torch.float64, device=x.device),
        )
    _, scale, basis = torch.linalg.svd(centred, full_matrices=False)
    kept = scale > n * torch.finfo(torch.float64).eps * (centred.norm() + mean.norm())
    return GaussianModes(
        mean.to(x), basis[kept].T.to(x), (scale[kept] ** 2 / count + ridge).to(x), ridge
    )


def refuse_singular(singular: bool, sigma: Tensor | float) -> None:
    """A law without a density, asked for its density at sigma = 0, is a ValueError."""
    if singular and bool((torch.as_tensor(sigma) == 0).any()):
        raise ValueError(
            "this law is singular and has no density at sigma = 0; give a positive sigma"
        )
