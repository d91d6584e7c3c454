"""Numbers of a denoiser's Jacobian J that need products with few directions: its Frobenius norm,
its trace, and what follows from that.

The posterior mean has ``J = Cov(x0 | x)/sigma^2``, so that ``sigma^2 tr J`` is its mean squared
error at x. The score ``(D - x)/sigma^2`` has the divergence ``(tr J - n)/sigma^2``; and whatever D
is, ``|x - D|^2 - sigma^2 n + 2 sigma^2 tr J`` has, over the noise in x = x0 + sigma e, the
expectation of the squared error ``|D(x) - x0|^2`` (Stein 1981), without x0 being known.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from denoscope.geometry.field import Field
from denoscope.geometry.probes import (
    Stochastic,
    check_probes,
    estimated_trace,
    exact_trace,
    normal_directions,
)
from denoscope.geometry.subspaces import check_bases
from denoscope.random import derive
from denoscope.types import Denoiser

_EXACT = 256  # numbers of a point up to which the trace is exact when nothing else is asked
_PROBES = 32


def squared_norm(
    D: Denoiser,
    x: Tensor,
    sigma: Tensor | float,
    *,
    probes: int = _PROBES,
    basis: Tensor | None = None,
    seed: int = 0,
) -> Stochastic:
    """``||J||_F^2`` (*b) as ``||J V||_F^2 + E|J z|^2`` with z outside the span of ``basis`` V (*b,
    n, r), orthonormal columns; r = 0 if None.

    The leading right singular vectors of J as ``basis`` leave little to chance. Exact where probes
    + r >= n. Source: Hutchinson 1990; Meyer et al. 2021. A basis of another shape or without
    orthonormal columns, or fewer than 2 probes, is a ValueError.
    """
    field = Field(D, x, sigma)

    def form(directions: Tensor) -> Tensor:
        return field.times(directions).square().sum(1)

    known = None if basis is None else _checked(basis, field)
    return _shaped(estimated_trace(form, field.rows, probes, basis=known, seed=seed), field)


def trace(
    D: Denoiser, x: Tensor, sigma: Tensor | float, *, probes: int | None = None, seed: int = 0
) -> Stochastic:
    """``tr J`` (*b): exact by n products up to n = 256 numbers, else by Hutch++ with its standard
    error.

    ``probes`` random directions on top of a sketch of as many: 3 probes products with J in all, 96
    by default; exact also where that is no fewer than n. Source: Meyer et al. 2021. Fewer than 2
    probes are a ValueError.
    """
    field = Field(D, x, sigma)
    return _shaped(_shifted_trace(field, 0.0, probes, seed), field)


def score_divergence(
    D: Denoiser, x: Tensor, sigma: Tensor | float, *, probes: int | None = None, seed: int = 0
) -> Stochastic:
    """``(tr J - n)/sigma^2`` (*b): the Laplacian of the log density that D belongs to; ``probes``
    as in :func:`trace`.

    Taken as the trace of ``J - I``, which at low noise is small beside n.
    """
    field = Field(D, x, sigma)
    return _shaped(_shifted_trace(field, 1.0, probes, seed).scaled(field.sigma**-2), field)


def sure(
    D: Denoiser, x: Tensor, sigma: Tensor | float, *, probes: int | None = None, seed: int = 0
) -> Stochastic:
    """``|x - D|^2 - sigma^2 n + 2 sigma^2 tr J`` (*b): an unbiased estimate of the squared error
    ``|D(x) - x0|^2``, from the noisy x alone.

    Unbiased over the noise in x, for any D; the value of a single point may be negative. The error
    is that of the trace alone, not of the noise; ``probes`` as in :func:`trace`. Source: Stein
    1981.
    """
    field = Field(D, x, sigma)
    variance = field.sigma**2
    misfit = (field.rows - field.value()).square().sum(1)
    found = _shifted_trace(field, 0.0, probes, seed)
    return _shaped(found.scaled(2 * variance, misfit - variance * field.n), field)


def _shifted_trace(field: Field, shift: float, probes: int | None, seed: int) -> Stochastic:
    """The trace of ``J - shift I`` (b,)."""

    def product(directions: Tensor) -> Tensor:
        return field.times(directions) - shift * directions

    def form(directions: Tensor) -> Tensor:
        return (directions * product(directions)).sum(1)

    count = _PROBES if probes is None else probes
    check_probes(count)
    if 3 * count >= field.n or (probes is None and field.n <= _EXACT):
        return exact_trace(form, field.rows)
    sketch = torch.linalg.qr(product(normal_directions(field.rows, count, derive(seed, 1)))).Q
    return estimated_trace(form, field.rows, count, basis=sketch, seed=seed)


def _checked(basis: Tensor, field: Field) -> Tensor:
    if basis.ndim != len(field.batch) + 2 or basis.shape[:-1] != (*field.batch, field.n):
        raise ValueError(
            f"basis must have shape {(*field.batch, field.n)} and a last axis of r "
            f"directions, got {tuple(basis.shape)}"
        )
    check_bases("basis", basis)
    return basis.reshape(len(field), field.n, -1).to(field.rows)


def _shaped(result: Stochastic, field: Field) -> Stochastic:
    value, error = (part.reshape(field.batch) for part in (result.value, result.error))
    return replace(result, value=value, error=error)
