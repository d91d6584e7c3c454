"""One Gaussian as independent modes: ``N(mean, V diag(variances) V^T + floor (I - V V^T))`` on n
numbers, V of shape (n, d).

With x = x0 + sigma n every mode is denoised by its own scalar ``variance / (variance + sigma^2)``,
so nothing here is ever an n x n inverse: the cost is O(n d) per point. :class:`Gaussian`,
:class:`GaussianMixture` and :class:`MoLRG` are made of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GaussianModes:
    """``mean`` (n,), ``basis`` (n, d) with orthonormal columns, ``variances`` (d,), ``floor``: the
    variance of all other directions.
    """

    mean: Tensor
    basis: Tensor
    variances: Tensor
    floor: float = 0.0

    @property
    def full(self) -> bool:
        """Whether the basis spans the whole space, which leaves no other directions."""
        return self.basis.shape[0] == self.basis.shape[1]

    @property
    def singular(self) -> bool:
        """Whether some direction has no variance at all."""
        return bool((self.variances == 0).any()) or (not self.full and self.floor == 0)

    def cov(self) -> Tensor:
        """The covariance (n, n)."""
        identity = torch.eye(len(self.mean), dtype=self.mean.dtype, device=self.mean.device)
        return (self.basis * (self.variances - self.floor)) @ self.basis.T + self.floor * identity

    def split(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Coefficients (b, d) of ``x - mean`` in the basis, and what the basis leaves over (b, n),
        None when that is nothing.
        """
        centred = x - self.mean.to(x)
        basis = self.basis.to(x)
        inside = centred @ basis
        return inside, None if self.full else centred - inside @ basis.T

    def posterior_mean(self, parts: tuple[Tensor, Tensor | None], sigma: Tensor) -> Tensor:
        """E[x0 | x] of shape (b, n) for ``parts = split(x)`` and sigma of shape (b, 1)."""
        inside, outside = parts
        variances = self.variances.to(inside)
        mean = (
            self.mean.to(inside)
            + (inside * (variances / (variances + sigma**2))) @ self.basis.to(inside).T
        )
        return (
            mean
            if outside is None or self.floor == 0
            else mean + outside * (self.floor / (self.floor + sigma**2))
        )

    def score(self, parts: tuple[Tensor, Tensor | None], sigma: Tensor) -> Tensor:
        """The gradient of :meth:`log_prob` at x, (b, n), without cancellation at small sigma."""
        inside, outside = parts
        pull = -(inside / (self.variances.to(inside) + sigma**2)) @ self.basis.to(inside).T
        return pull if outside is None else pull - outside / (self.floor + sigma**2)

    def jacobian(self, sigma: Tensor) -> Tensor:
        """``dE[x0 | x]/dx = Cov(x0 | x)/sigma^2``, one at all x: (b, n, n) for sigma (b, 1)."""
        variances, basis = self.variances.to(sigma), self.basis.to(sigma)
        rest = self.floor / (self.floor + sigma**2)
        inner = (basis * (variances / (variances + sigma**2) - rest)[:, None, :]) @ basis.T
        return inner + rest[..., None] * torch.eye(
            len(basis), dtype=inner.dtype, device=inner.device
        )

    def log_prob(self, parts: tuple[Tensor, Tensor | None], sigma: Tensor) -> Tensor:
        """Log density of x0 + sigma n, (b,), for ``parts = split(x)`` and sigma (b, 1)."""
        inside, outside = parts
        total = self.variances.to(inside) + sigma**2
        n, d = self.basis.shape
        result = -0.5 * (inside**2 / total + total.log()).sum(1) - 0.5 * n * math.log(2 * math.pi)
        if outside is None:
            return result
        rest = (self.floor + sigma**2).squeeze(1)
        return result - 0.5 * ((outside**2).sum(1) / rest + (n - d) * rest.log())

    def sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """n draws, shape (n, len(mean)), made on the CPU."""
        dtype, device = self.mean.dtype, self.mean.device
        inside = (
            torch.randn(n, len(self.variances), generator=generator, dtype=dtype).to(device)
            * self.variances.sqrt()
        )
        x = self.mean + inside @ self.basis.T
        if self.full or self.floor == 0:
            return x
        noise = torch.randn(n, len(self.mean), generator=generator, dtype=dtype).to(
            device
        ) * math.sqrt(self.floor)
        return x + noise - (noise @ self.basis) @ self.basis.T


def from_covariance(mean: Tensor, cov: Tensor) -> GaussianModes:
    """The modes of N(mean, cov), by one eigendecomposition in float64; eigenvalues that are zero to
    rounding become zero.

    ``cov`` must be a finite symmetric matrix without negative eigenvalues; else a ValueError.
    """
    n = mean.numel()
    if cov.shape != (n, n):
        raise ValueError(
            f"cov must have shape ({n}, {n}) for a mean of {n} numbers, got {tuple(cov.shape)}"
        )
    wide = cov.double()
    if not bool(torch.isfinite(wide).all()) or not torch.allclose(
        wide, wide.T, rtol=1e-5, atol=1e-6 * float(wide.abs().max())
    ):
        raise ValueError("cov must be finite and symmetric")
    variances, basis = torch.linalg.eigh(0.5 * (wide + wide.T))
    rounding = n * torch.finfo(cov.dtype).eps * float(variances.abs().max())
    if float(variances[0]) < -rounding:
        raise ValueError(f"cov must have no negative eigenvalue, got {float(variances[0]):.3g}")
    variances = torch.where(variances > rounding, variances, 0.0)
    return GaussianModes(mean.reshape(n), basis.to(mean), variances.to(mean))
