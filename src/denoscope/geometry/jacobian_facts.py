"""What the Jacobian J of a denoiser is like at a point: its rank by both rules, its size, its trace
and its asymmetry, from J itself, from products with it, or from a spectrum that is known.

The rank is the least r whose leading singular values hold more than 0.99 of the squared Frobenius
norm ("energy"), or of the norm itself ("norm", 0.9801 of the square; Chen et al. 2024). J counts as
zero, of rank 0, where noise of one sigma moves the answer by no more than a float32 rounds a pixel
of 1: ``sigma |J|_F <= eps n^(1/2)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from denoscope.distributions import Empirical
from denoscope.geometry.field import Field
from denoscope.geometry.jacobians import asymmetry, jacobian
from denoscope.geometry.posterior import memorizer_spectrum
from denoscope.geometry.probes import estimated_trace
from denoscope.geometry.ranks import energy_rank, numerical_rank
from denoscope.geometry.traces import trace
from denoscope.types import Denoiser

DENSE = 1024
"""Numbers of an image up to which J is formed, which then costs no more than products enough for
the ranks of small networks; above, products.
"""

PROBES = 16
_EPS = torch.finfo(torch.float32).eps


class JacobianFacts(NamedTuple):
    """All (*b): ranks by the two rules (0: J is zero); |J|_F; tr J; |J - J^T|_F/|J|_F."""

    energy: Tensor
    norm: Tensor
    size: Tensor
    trace: Tensor
    asymmetry: Tensor


def jacobian_facts(D: Denoiser, x: Tensor, sigma: Tensor) -> JacobianFacts:
    """The facts of D at x (*b, *event), levels (*b): of small images by J, else by products."""
    n = x[(0,) * sigma.ndim].numel()
    flat, levels = x.reshape(-1, *x.shape[sigma.ndim :]), sigma.reshape(-1)
    ask = _dense if n <= DENSE else _free
    parts = [ask(D, flat[i : i + 1], levels[i : i + 1]) for i in range(len(flat))]
    return JacobianFacts(*(torch.cat(values).reshape(sigma.shape) for values in zip(*parts)))


def memorizer_facts(memorizer: Empirical, x: Tensor, sigma: Tensor) -> JacobianFacts:
    """The facts of the empirical denoiser at x (*b, *event), levels (*b), by its exact spectrum."""
    values = memorizer_spectrum(memorizer, x, sigma)
    return of_spectrum(values, sigma.double(), memorizer.event_shape.numel())


def of_spectrum(values: Tensor, sigma: Tensor, n: int) -> JacobianFacts:
    """The facts of a symmetric J of n numbers by its eigenvalues (*b, k) >= 0 and level (*b)."""
    size = values.square().sum(-1).sqrt()
    skew = torch.zeros_like(size)
    return JacobianFacts(*ranks(values, size, sigma, n), size, values.sum(-1), skew)


def ranks(values: Tensor, size: Tensor, sigma: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Ranks by both rules from leading singular values (*b, k) and |J|_F (*b); 0: J is zero."""
    there = sigma * size > _EPS * n**0.5
    return tuple(
        torch.where(there, energy_rank(values, rule=rule, total=size.double() ** 2), 0)
        for rule in ("energy", "norm")
    )  # pyright: ignore[reportReturnType] -- two rules


def _dense(D: Denoiser, x: Tensor, sigma: Tensor) -> JacobianFacts:
    J = jacobian(D, x, sigma).double()
    size = torch.linalg.matrix_norm(J)
    found = ranks(torch.linalg.svdvals(J), size, sigma.double(), J.shape[-1])
    return JacobianFacts(*found, size, J.diagonal(dim1=-2, dim2=-1).sum(-1), asymmetry(J))


def _free(D: Denoiser, x: Tensor, sigma: Tensor) -> JacobianFacts:
    field, found = Field(D, x, sigma), numerical_rank(D, x, sigma)
    size = found.norm.double()
    skew = estimated_trace(_skewness(field), field.rows, PROBES).value.clamp_min(0).sqrt()
    share = torch.where(size > 0, skew / size.clamp_min(torch.finfo(size.dtype).tiny), 0.0)
    _, norm = ranks(found.S, size, sigma.double(), field.n)
    rank, about = torch.where(norm > 0, found.rank, 0), trace(D, x, sigma, probes=PROBES).value
    return JacobianFacts(rank, norm, size, about, share)


def _skewness(field: Field) -> Callable[[Tensor], Tensor]:
    """Directions z (b, n, k) to ``|(J - J^T) z|^2`` (b, k)."""
    return lambda z: (field.times(z) - field.transposed_times(z)).square().sum(1)
