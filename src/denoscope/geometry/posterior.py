"""The posterior covariance that a denoiser states, ``Cov(x0 | x) = sigma^2 J``, as a dense matrix
with its spectrum and log-determinant.

The J of a posterior mean is symmetric and has no negative eigenvalue. That of a network need not
be: the covariance here is its symmetric part, and its negative eigenvalues, which are the network's
error, are kept in the spectrum and left out of the log-determinant.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.distributions import Empirical
from denoscope.geometry.jacobians import jacobian
from denoscope.types import Denoiser, pad

_WEIGHT = 1e-16  # of a posterior: what is left out of its covariance


def posterior_covariance(D: Denoiser, x: Tensor, sigma: Tensor | float) -> Tensor:
    """``sigma^2 (J + J^T)/2`` of flat points, (*b, n, n): Cov(x0 | x) of a posterior mean."""
    J = jacobian(D, x, sigma)
    variance = pad(torch.as_tensor(sigma, dtype=J.dtype, device=J.device) ** 2, J)
    return variance * (0.5 * (J + J.mT))


def posterior_spectrum(D: Denoiser, x: Tensor, sigma: Tensor | float) -> Tensor:
    """The eigenvalues of :func:`posterior_covariance`, (*b, n), descending, negative ones too."""
    return torch.linalg.eigvalsh(posterior_covariance(D, x, sigma)).flip(-1)


def memorizer_spectrum(memorizer: Empirical, x: Tensor, sigma: Tensor) -> Tensor:
    """The eigenvalues of J of the empirical denoiser at points x (*b, *event) and levels (*b), in
    float64 (*b, min(N, n)), from the covariance of the data by their posterior weights.
    """
    flat, levels = x.double().reshape(-1, *memorizer.event_shape), sigma.double().reshape(-1)
    rows = memorizer.data.flatten(1)
    values = [
        _weighted_spectrum(rows, memorizer.weights(flat[i : i + 1], levels[i])[0]) / levels[i] ** 2
        for i in range(len(flat))
    ]
    return torch.stack(values).reshape(*sigma.shape, -1)


def _weighted_spectrum(rows: Tensor, weights: Tensor) -> Tensor:
    """Eigenvalues of the weighted covariance of rows (N, n), min(N, n) of them."""
    kept = weights > _WEIGHT
    share, chosen = weights[kept, None], rows[kept]
    centred = share.sqrt() * (chosen - (share * chosen).sum(0))
    gram = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    found = torch.linalg.eigvalsh(gram).clamp_min(0)
    return torch.nn.functional.pad(found, (0, min(rows.shape) - len(found)))


@dataclass(frozen=True)
class LogDeterminant:
    """The sum ``value`` (*b) of the logarithms of the ``rank`` (*b) eigenvalues that count as
    positive, and the ``least`` (*b) of all n.

    ``rank = n`` makes it the log-determinant, a smaller one the pseudo-log-determinant: values at
    different ranks are not comparable. A clearly negative ``least`` says that D is no posterior
    mean. At rank 0 the value is 0, the logarithm of an empty product.
    """

    value: Tensor
    rank: Tensor
    least: Tensor


def log_determinant(
    D: Denoiser, x: Tensor, sigma: Tensor | float, *, threshold: float | None = None
) -> LogDeterminant:
    """``log det`` of the posterior covariance over its eigenvalues above ``threshold`` times the
    largest; never NaN or infinite.

    ``threshold`` is n times the rounding of x's type if None. One outside [0, 1) is a ValueError.
    """
    values = posterior_spectrum(D, x, sigma)
    relative = values.shape[-1] * torch.finfo(values.dtype).eps if threshold is None else threshold
    if not 0 <= relative < 1:
        raise ValueError(f"threshold must be at least 0 and below 1, got {relative}")
    positive = values > relative * values[..., :1]
    logs = torch.where(positive, values, 1.0).log().sum(-1)
    return LogDeterminant(logs, positive.sum(-1), values[..., -1])
