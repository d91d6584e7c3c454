"""Traces of matrices that are known by their quadratic forms only, from random directions.

For any square A and random z with ``E z z^T = I``, ``E z^T A z = tr A`` (Hutchinson 1990). Without
a basis z has entries +-1, which is exact for a diagonal A. With orthonormal columns Q the part of A
in their span is exact and only the rest is random, ``tr A = tr Q^T A Q + E z^T A z`` (Meyer, Musco,
Musco and Woodruff 2021, Hutch++); z is then uniform on the sphere of radius ``(n - r)^(1/2)`` in
the complement of Q, which is exact for a multiple of the identity there (Epperly, Tropp and Webber
2024).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from denoscope.geometry.field import rows_at_once
from denoscope.geometry.subspaces import project_out
from denoscope.random import derive, generator


@dataclass(frozen=True)
class Stochastic:
    """``value`` (*b) with its standard ``error`` (*b) from ``probes`` random directions per point;
    an exact value has 0 probes and error 0.

    The errors of different points are independent. ``(value - truth)/error`` is about Student's t
    with ``probes - 1`` degrees of freedom.
    """

    value: Tensor
    error: Tensor
    probes: int

    def scaled(self, factor: Tensor, shift: Tensor | float = 0.0) -> Stochastic:
        """``factor * value + shift`` with its error; factor and shift of shape *b."""
        return Stochastic(factor * self.value + shift, factor.abs() * self.error, self.probes)


def estimated_trace(
    form: Callable[[Tensor], Tensor],
    like: Tensor,
    probes: int,
    *,
    basis: Tensor | None = None,
    seed: int = 0,
) -> Stochastic:
    """The traces of b matrices A (n, n) by their quadratic forms ``form``: directions (b, n, k) to
    ``z^T A z`` (b, k).

    ``like`` (b, n) gives shape, type and device; ``basis`` (b, n, r) has orthonormal columns. Where
    probes and basis together are no fewer than n, the trace is exact by the n unit vectors instead.
    Fewer than 2 probes are a ValueError.
    """
    check_probes(probes)
    n, known = like.shape[1], 0 if basis is None else basis.shape[2]
    if probes + known >= n:
        return exact_trace(form, like)
    plain = basis is None
    drawn = _signs(like, probes, seed) if plain else _sphere(like, probes, seed, basis)
    values = _of_all(form, drawn)
    exact = 0.0 if basis is None or not known else _of_all(form, basis).sum(1)
    return Stochastic(exact + values.mean(1), values.std(1) / math.sqrt(probes), probes)


def exact_trace(form: Callable[[Tensor], Tensor], like: Tensor) -> Stochastic:
    """The traces of b matrices (n, n) by the quadratic forms of the n unit vectors."""
    b, n = like.shape
    value = _of_all(form, torch.eye(n, dtype=like.dtype, device=like.device).expand(b, n, n)).sum(1)
    return Stochastic(value, torch.zeros_like(value), 0)


def normal_directions(like: Tensor, count: int, seed: int) -> Tensor:
    """Standard normal directions (b, n, count), those of point i from the seed and i alone."""
    b, n = like.shape
    draws = (generator(seed, i) for i in range(b))
    each = [torch.randn(count, n, generator=draw, dtype=torch.float64).T for draw in draws]
    return torch.stack(each).to(like)


def check_probes(probes: int) -> None:
    """A ValueError unless ``probes`` are enough for a standard error."""
    if probes < 2:
        raise ValueError(f"probes must be at least 2, for a standard error, got {probes}")


def _of_all(form: Callable[[Tensor], Tensor], directions: Tensor) -> Tensor:
    """The quadratic forms of directions (b, n, k) taken a few at a time, (b, k)."""
    width = max(1, rows_at_once(directions[..., 0]) // len(directions))
    return torch.cat([form(part) for part in directions.split(width, 2)], 1)


def _signs(like: Tensor, count: int, seed: int) -> Tensor:
    b, n = like.shape
    draws = (torch.randint(2, (count, n), generator=generator(seed, i)).T for i in range(b))
    return torch.stack([2.0 * drawn - 1 for drawn in draws]).to(like)


def _sphere(like: Tensor, count: int, seed: int, basis: Tensor) -> Tensor:
    outside = project_out(
        normal_directions(like, count, derive(seed, 2)), basis
    )  # a seed no basis was started from
    return outside * math.sqrt(like.shape[1] - basis.shape[2]) / outside.norm(dim=1, keepdim=True)
