"""Mixtures of Gaussians: posterior means weighted by the components' responsibilities, a softmax of
their log densities at x.

``E[x0 | x] = sum_k w_k(x) m_k(x)`` with ``m_k`` the Wiener filter of component k and ``w_k(x) ~
weight_k N(x; mean_k, cov_k + sigma^2 I)``. Its derivative is ``J = Cov(x0 | x)/sigma^2 = sum_k w_k
[J_k + (m_k - m)(m_k - m)^T/sigma^2]`` with ``J_k`` that of component k and m the posterior mean.
"""

from __future__ import annotations

import torch
from torch import Tensor

from denoscope.display import sized
from denoscope.distributions.gaussian import refuse_singular
from denoscope.distributions.modes import GaussianModes, from_covariance
from denoscope.distributions.points import batch_shape, log_weights, rows
from denoscope.types import pad


class Mixture:
    """A weighted list of Gaussians in their modes, as a denoiser."""

    def __init__(
        self, components: list[GaussianModes], weights: Tensor | None, event_shape: torch.Size
    ):
        self.components = components
        self.event_shape = event_shape
        self.log_weights = log_weights(weights, len(components), components[0].mean)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self.components)} components of {sized(self.event_shape)})"
        )

    @property
    def means(self) -> Tensor:
        """The components' means, shape (K, *event)."""
        return torch.stack(
            [component.mean.reshape(self.event_shape) for component in self.components]
        )

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
        means = [
            component.posterior_mean(part, level) for component, part in zip(self.components, parts)
        ]
        return _average(self._joint(parts, level).softmax(1), means).reshape(x.shape).to(x.dtype)

    def score(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The score of x0 + sigma n at x, ``(E[x0 | x] - x)/sigma^2``, shape and type of x."""
        parts, level = self._parts(x, sigma)
        scores = [component.score(part, level) for component, part in zip(self.components, parts)]
        return _average(self._joint(parts, level).softmax(1), scores).reshape(x.shape).to(x.dtype)

    def jacobian(self, x: Tensor, sigma: Tensor) -> Tensor:
        """``dE[x0 | x]/dx = Cov(x0 | x)/sigma^2`` over flat events, (*batch, n, n), in x's type."""
        parts, level = self._parts(x, sigma)
        shares = self._joint(parts, level).softmax(1)
        means = [
            component.posterior_mean(part, level) for component, part in zip(self.components, parts)
        ]
        spread = torch.stack(means, 1) - _average(shares, means)[:, None]
        spread = spread * (shares.sqrt() / level)[..., None]
        within = _average(shares, [component.jacobian(level) for component in self.components])
        n = self.event_shape.numel()
        return (
            (within + spread.mT @ spread)
            .reshape(*batch_shape(x, self.event_shape), n, n)
            .to(x.dtype)
        )

    def responsibilities(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The posterior probability of each component, shape (*batch, K)."""
        parts, level = self._parts(x, sigma)
        return (
            self._joint(parts, level)
            .softmax(1)
            .reshape(*batch_shape(x, self.event_shape), -1)
            .to(x.dtype)
        )

    def log_prob(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """Log density of x0 + sigma n at x, batch shape; with a singular component there is none at
        sigma = 0: a ValueError.
        """
        refuse_singular(any(component.singular for component in self.components), sigma)
        parts, level = self._parts(x, sigma)
        return (
            self._joint(parts, level)
            .logsumexp(1)
            .reshape(batch_shape(x, self.event_shape))
            .to(x.dtype)
        )

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws, shape (n, *event)."""
        return self.sample_of(self.labels(n, generator), generator)

    def labels(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """The components of n draws, by their weights: int64 of shape (n,)."""
        return torch.multinomial(
            self.log_weights.exp().cpu(), n, replacement=True, generator=generator
        ).to(self.log_weights.device)

    def sample_of(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw from the component that each of ``labels`` (n,) names, shape (n, *event)."""
        x = self.components[0].mean.new_empty(len(labels), self.event_shape.numel())
        for index, component in enumerate(self.components):
            chosen = labels == index
            x[chosen] = component.sample(int(chosen.sum()), generator)
        return x.reshape(len(labels), *self.event_shape)

    def _parts(
        self, x: Tensor, sigma: Tensor | float
    ) -> tuple[list[tuple[Tensor, Tensor | None]], Tensor]:
        flat, level = rows(x, sigma, self.event_shape, self.log_weights.dtype)
        return [component.split(flat) for component in self.components], level

    def _joint(self, parts: list[tuple[Tensor, Tensor | None]], level: Tensor) -> Tensor:
        """Log of weight times density at x of every component, shape (b, K)."""
        densities = [
            component.log_prob(part, level) for component, part in zip(self.components, parts)
        ]
        return torch.stack(densities, 1) + self.log_weights.to(level)


def _average(shares: Tensor, values: list[Tensor]) -> Tensor:
    """The sum over components of shares (b, K) times values (b, ...)."""
    return sum(
        (pad(share, value) * value for share, value in zip(shares.unbind(1), values)),
        torch.zeros_like(values[0]),
    )


class GaussianMixture(Mixture):
    """The mixture of N(means[k], covs[k]): ``means`` (K, *event) with n numbers per event, ``covs``
    (K, n, n), ``weights`` (K,) normalised.

    Misshapen, asymmetric or indefinite covariances and negative weights are a ValueError.
    """

    def __init__(self, means: Tensor, covs: Tensor, weights: Tensor | None = None):
        if means.ndim < 2 or not len(means) or len(covs) != len(means):
            raise ValueError(
                "means (K, *event) and covs (K, n, n) need the same K >= 1, got "
                f"{tuple(means.shape)} and {tuple(covs.shape)}"
            )
        super().__init__(
            [from_covariance(mean, cov) for mean, cov in zip(means, covs)], weights, means.shape[1:]
        )
