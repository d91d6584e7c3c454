"""Denoisers estimated from N points in closed form: posterior means at the probes of a draw.

A kernel smoother takes the empirical denoiser's weights at a level ``tau = f sigma`` above the
noise, in two forms. As the posterior mean of a kernel density estimate of bandwidth h (the training
points convolved with N(0, h^2 I), h^2 = tau^2 - sigma^2) it is ``(sigma^2 E_tau(x) + h^2
x)/tau^2``, with ``E_tau`` the empirical denoiser at tau; as the kernel regression of Nadaraya and
Watson it is ``E_tau(x)``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from denoscope.data.mixtures import MixtureDraw
from denoscope.distributions import Empirical, Gaussian, MoLRG
from denoscope.geometry import k_subspaces, neighbour_starts, principal_subspace
from denoscope.random import generator

FACTORS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
"""The levels tau/sigma that a kernel smoother chooses among; 1 is the empirical denoiser itself."""

FORMS = ("regression", "density estimate")

STARTS = 32
_STARTS = 8  # the place of starts below a draw's seed


def empirical(draw: MixtureDraw, count: int) -> Tensor:
    """The posterior mean under the training points themselves, (1, probes, n)."""
    return _weighted(draw, count, 1.0)[None]


def kernel(draw: MixtureDraw, count: int) -> Tensor:
    """Every kernel smoother of the module's docstring, (levels x forms, probes, n)."""
    smooth = torch.stack([_weighted(draw, count, factor) for factor in FACTORS])
    square = torch.tensor(FACTORS, dtype=smooth.dtype)[:, None, None] ** 2
    return torch.stack([smooth, (smooth + (square - 1) * draw.noisy) / square], 1).flatten(0, 1)


def _weighted(draw: MixtureDraw, count: int, factor: float) -> Tensor:
    """The empirical denoiser at ``factor`` times the noise level, averaged in float32."""
    points = draw.train(count).float()
    return Empirical(points)(draw.noisy.float(), torch.tensor(factor * draw.setting.sigma)).double()


def gaussian(draw: MixtureDraw, count: int) -> Tensor:
    """The Wiener denoiser of the training mean and covariance, (1, probes, n)."""
    return fitted_gaussian(draw, count)(draw.noisy, torch.tensor(draw.setting.sigma))[None]


def molrg(draw: MixtureDraw, count: int) -> Tensor:
    """The mixture's denoiser with subspaces fitted to the training points, (1, probes, n)."""
    return fitted_molrg(draw, count)(draw.noisy, torch.tensor(draw.setting.sigma))[None]


def fitted_gaussian(draw: MixtureDraw, count: int) -> Gaussian:
    """The Gaussian with the training set's mean and covariance (1/N): it knows neither d nor K."""
    return Gaussian.from_data(draw.train(count))


def fitted_molrg(draw: MixtureDraw, count: int) -> MoLRG:
    """The mixture of the best jointly orthonormal K-subspaces of the training points; K = 1 is
    uncentred PCA.

    It knows d, K, the unit variances and that subspaces are orthogonal; which point belongs to
    which it finds, from ``STARTS`` starts.
    """
    points, d, clusters = draw.train(count), draw.setting.d, draw.setting.clusters
    if clusters == 1:
        return MoLRG([principal_subspace(points, d)])
    starts = neighbour_starts(points, STARTS, clusters, d, generator(draw.seed, _STARTS, count))
    return MoLRG(k_subspaces(points, starts).bases)
