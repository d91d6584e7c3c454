"""Mixtures of Gaussians: posterior means weighted by the components' responsibilities, a softmax of their log densities at x.

``E[x0 | x] = sum_k w_k(x) m_k(x)`` with ``m_k`` the Wiener filter of component k and ``w_k(x) ~ weight_k N(x; mean_k, cov_k + sigma^2 I)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from denoscope.distributions.gaussian import refuse_singular
from denoscope.distributions.modes import Modes, from_covariance
from denoscope.distributions.points import batch_shape, log_weights, rows


class _Mixture:
    """A weighted list of Gaussians in their modes, as a denoiser."""

    def __init__(self, components: list[Modes], weights: Tensor | None, event_shape: torch.Size):
        self.components = components
        self.event_shape = event_shape
        self.log_weights = log_weights(weights, len(components), components[0].mean)

    @property
    def means(self) -> Tensor:
        """The components' means, shape (K, *event)."""
        return torch.stack([component.mean.reshape(self.event_shape) for component in self.components])

    @property
    def covs(self) -> Tensor:
        """The components' covariances over the flattened event, shape (K, n, n)."""
        return torch.stack([component.cov() for component in self.components])

    @property
    def mean(self) -> Tensor:
        """The mean of the whole mixture, of the event shape."""
        return torch.tensordot(self.log_weights.exp(), self.means, dims=1)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x0 | x], the shape and type of x."""
        parts, level = self._parts(x, sigma)
        shares = self._joint(parts, level).softmax(1)
        means = [component.posterior_mean(part, level) for component, part in zip(self.components, parts)]
        return (
            sum((share[:, None] * mean for share, mean in zip(shares.unbind(1), means)), torch.zeros_like(means[0]))
            .reshape(x.shape)
            .to(x.dtype)
        )

    def responsibilities(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The posterior probability of each component, shape (*batch, K)."""
        parts, level = self._parts(x, sigma)
        return self._joint(parts, level).softmax(1).reshape(*batch_shape(x, self.event_shape), -1).to(x.dtype)

    def log_prob(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Log density of x0 + sigma n at x, batch shape; with a singular component there is none at sigma = 0: a ValueError."""
        refuse_singular(any(component.singular for component in self.components), sigma)
        parts, level = self._parts(x, sigma)
        return self._joint(parts, level).logsumexp(1).reshape(batch_shape(x, self.event_shape)).to(x.dtype)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws, shape (n, *event)."""
        draws = torch.multinomial(self.log_weights.exp().cpu(), n, replacement=True, generator=generator).to(self.log_weights.device)
        x = self.components[0].mean.new_empty(n, self.event_shape.numel())
        for index, component in enumerate(self.components):
            chosen = draws == index
            x[chosen] = component.sample(int(chosen.sum()), generator)
        return x.reshape(n, *self.event_shape)

    def _parts(self, x: Tensor, sigma: Tensor | float) -> tuple[list[tuple[Tensor, Tensor | None]], Tensor]:
        flat, level = rows(x, sigma, self.event_shape, self.log_weights.dtype)
        return [component.split(flat) for component in self.components], level

    def _joint(self, parts: list[tuple[Tensor, Tensor | None]], level: Tensor) -> Tensor:
        """Log of weight times density at x of every component, shape (b, K)."""
        densities = [component.log_prob(part, level) for component, part in zip(self.components, parts)]
        return torch.stack(densities, 1) + self.log_weights.to(level)


class GaussianMixture(_Mixture):
    """The mixture of N(means[k], covs[k]): ``means`` (K, *event) with n numbers an event, ``covs`` (K, n, n), ``weights`` (K,) normalised.

    Misshapen, asymmetric or indefinite covariances and negative weights are a ValueError.
    """

    def __init__(self, means: Tensor, covs: Tensor, weights: Tensor | None = None):
        if means.ndim < 2 or not len(means) or len(covs) != len(means):
            raise ValueError(f"means (K, *event) and covs (K, n, n) need the same K >= 1, got {tuple(means.shape)} and {tuple(covs.shape)}")
        super().__init__([from_covariance(mean, cov) for mean, cov in zip(means, covs)], weights, means.shape[1:])


class MoLRG(_Mixture):
    """The mixture of low-rank Gaussians ``x = means[k] + bases[k] diag(variances[k])^(1/2) a + noise e``, a and e standard normal.

    ``bases``: K tensors (n, d_k) with orthonormal columns, or one (K, n, d); ``means`` (K, n), 0 by default; ``variances`` K tensors (d_k,)
    or one (K, d), 1 by default; ``noise``: standard deviation of the ambient noise e. O(n sum d_k) a point. Columns that are not
    orthonormal, or shapes that do not fit, are a ValueError. Source: Wang et al. 2024, arXiv 2409.02426, lemma 1.
    """

    def __init__(
        self,
        bases: Tensor | Sequence[Tensor],
        weights: Tensor | None = None,
        *,
        means: Tensor | None = None,
        variances: Tensor | Sequence[Tensor] | None = None,
        noise: float = 0.0,
    ):
        bases = list(bases)
        _check_bases(bases)
        if not noise >= 0:
            raise ValueError(f"noise must be at least 0, got {noise}")
        n, count = bases[0].shape[0], len(bases)
        centres = bases[0].new_zeros(count, n) if means is None else means.to(bases[0])
        spreads = (
            [basis.new_ones(basis.shape[1]) for basis in bases] if variances is None else [spread.to(bases[0]) for spread in variances]
        )
        if centres.shape != (count, n):
            raise ValueError(f"means must have shape ({count}, {n}), got {tuple(centres.shape)}")
        if [tuple(spread.shape) for spread in spreads] != [(basis.shape[1],) for basis in bases]:
            raise ValueError("variances must hold one number for each column of each basis")
        if not all(bool((spread >= 0).all()) for spread in spreads):
            raise ValueError("variances must be at least 0")
        self.bases, self.noise = bases, float(noise)
        components = [Modes(mean, basis, spread + noise**2, noise**2) for mean, basis, spread in zip(centres, bases, spreads)]
        super().__init__(components, weights, torch.Size([n]))


def _check_bases(bases: list[Tensor]) -> None:
    if not bases or any(basis.ndim != 2 or basis.shape[0] != bases[0].shape[0] for basis in bases):
        raise ValueError("bases must be K >= 1 matrices (n, d_k) with the same n")
    for index, basis in enumerate(bases):
        identity = torch.eye(basis.shape[1], dtype=basis.dtype, device=basis.device)
        error = float((basis.T @ basis - identity).abs().max()) if basis.numel() else 0.0
        if not error <= 100 * torch.finfo(basis.dtype).eps * max(basis.shape):
            raise ValueError(f"the columns of bases[{index}] must be orthonormal (off by {error:.2g}); take torch.linalg.qr(basis).Q")
