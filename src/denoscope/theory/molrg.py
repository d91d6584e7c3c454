"""Mixtures of low-rank Gaussians: the denoising loss as subspace clustering, exactly, and how many
samples recover a subspace.

Model: x0 = U_k a (+ a perturbation e), a standard normal of dimension d, U_k with n rows and
orthonormal columns. Denoiser: ``x0_hat = U_c U_c^T x / (1 + sigma^2)`` at x = x0 + sigma n, where
the assignment c does not look at the noise n (such as c = argmax_k |U_k^T x0|). For every point and
level

    E|x0_hat - x0|^2 = |x0|^2 - g |U_c^T x0|^2 + h d_c,   g = (1 + 2 sigma^2)/(1 + sigma^2)^2,   h =
    sigma^2/(1 + sigma^2)^2,

so that with weights lambda over levels and ``L = sum lambda``, ``G = sum lambda g > 0``, ``H = sum
lambda h`` the loss over N points is ``L mean|x|^2
- G mean|U_c^T x|^2 + H mean d_c``: affine and decreasing in the clustering objective ``mean|U_c^T
x|^2`` whatever schedule and weights, if and only if all d_k are equal. Mutual orthogonality of the
U_k is not needed. With K = 1 the minimiser is the top eigenspace of the uncentred ``(1/N) sum x
x^T``, unique where its d-th eigenvalue exceeds the next. Neither holds where the assignment looks
at x, or for soft weights.

Source: Wang et al. 2024, arXiv 2409.02426; s = 1 and gamma = sigma in variance-exploding
coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from denoscope.theory.inputs import finite, numeric, within


class LossConstants(NamedTuple):
    """L, G and H: what multiplies the data's energy, the captured energy and the dimension."""

    total: float
    gain: float
    cost: float


class NoiseLevelLaw(Protocol):
    """A noise level sigma(t) at every time, uniform training times among them."""

    def sigma(self, t: Tensor) -> Tensor: ...
    def quantile(self, u: Tensor) -> Tensor: ...


@numeric
def gain(sigma: Any) -> Any:
    """``g = (1 + 2 sigma^2)/(1 + sigma^2)^2``: 1 at sigma = 0, falling to 0."""
    kept = _kept(sigma)
    return kept * (2 - kept)


@numeric
def cost(sigma: Any) -> Any:
    """``h = sigma^2/(1 + sigma^2)^2``: variance that noise inside a subspace adds; at most 1/4."""
    level = _levels("sigma", sigma)
    return _kept(level) * (level / np.hypot(1.0, level)) ** 2


def _kept(sigma: Any) -> np.ndarray:
    """1/(1 + sigma^2), without overflow."""
    return np.hypot(1.0, _levels("sigma", sigma)) ** -2.0


def _levels(name: str, value: Any) -> np.ndarray:
    return within(name, value, 0.0, math.inf, closed=True)


@numeric
def constants(levels: Any, weights: Any = None) -> LossConstants:
    """(L, G, H) of the loss summed over noise ``levels`` with these ``weights``, both of one shape;
    by default their mean, weights 1/number.
    """
    sigma = np.atleast_1d(_levels("levels", levels))
    shares = (
        np.full(sigma.shape, 1 / sigma.size)
        if weights is None
        else np.atleast_1d(_levels("weights", weights))
    )
    if shares.shape != sigma.shape:
        raise ValueError(
            f"weights must have the shape {sigma.shape} of the levels, got {shares.shape}"
        )
    if not shares.sum() > 0:
        raise ValueError("weights must not all be 0: there is no loss then")
    return LossConstants(
        *(float((shares * part).sum()) for part in (np.ones_like(sigma), gain(sigma), cost(sigma)))
    )


def scheduled_constants(
    schedule: NoiseLevelLaw, weight: Callable[[Tensor], Tensor] | None = None
) -> LossConstants:
    """(L, G, H) of the loss at uniform training times of ``schedule``, with a ``weight`` as a
    function of sigma (1 by default).

    L = E weight(sigma), G = E weight g, H = E weight h; the expectation is an integral over
    continuous times (adaptive quadrature, relative error 1e-10) and the mean over the steps of a
    discrete schedule. It is what training on these levels minimises, summed over the n numbers of a
    point. Divide by L to compare weights.
    """
    if _steps(schedule):
        sigma = schedule.sigma(torch.arange(_steps(schedule), dtype=torch.float64))
        return constants(sigma.numpy(), _weighted(weight, sigma) / len(sigma))
    from scipy.integrate import quad_vec  # takes half a second to import

    parts, _ = quad_vec(
        lambda u: _integrand(schedule, weight, u),
        0.0,
        1.0,
        epsabs=0.0,
        epsrel=1e-10,
        norm="max",
        limit=2000,
    )
    return LossConstants(*map(float, parts))


def _steps(schedule: NoiseLevelLaw) -> int:
    """The number of steps of a discrete schedule, 0 for continuous time."""
    # asked just before
    return len(schedule) if hasattr(schedule, "__len__") else 0  # pyright: ignore[reportArgumentType]


def _integrand(
    schedule: NoiseLevelLaw, weight: Callable[[Tensor], Tensor] | None, u: float
) -> np.ndarray:
    sigma = schedule.sigma(schedule.quantile(torch.tensor([u], dtype=torch.float64)))
    level = sigma.numpy()
    return _weighted(weight, sigma) * np.concatenate([np.ones(1), gain(level), cost(level)])


def _weighted(weight: Callable[[Tensor], Tensor] | None, sigma: Tensor) -> np.ndarray:
    return np.ones(sigma.shape) if weight is None else _levels("weight", weight(sigma).numpy())


@numeric
def expected_loss(square: Any, captured: Any, dims: Any, sigma: Any) -> Any:
    """``E|x0_hat - x0|^2 = |x|^2 - g |U_c^T x|^2 + h d_c`` for points with ``square`` = |x|^2,
    ``captured`` = |U_c^T x|^2; broadcast.
    """
    energy, inside = _levels("square", square), _levels("captured", captured)
    return energy - gain(sigma) * inside + cost(sigma) * finite("dims", dims)


@numeric
def integrated_loss(square: Any, captured: Any, dims: Any, constants: LossConstants) -> float:
    """``L mean|x|^2 - G mean|U_c^T x|^2 + H mean d_c`` over points of these energies."""
    total, won, price = (float(part) for part in constants)
    means = (
        float(np.mean(finite(name, value)))
        for name, value in (("square", square), ("captured", captured), ("dims", dims))
    )
    energy, inside, dimension = means
    return total * energy - won * inside + price * dimension


@numeric
def error_floor(d: Any, count: Any, n: Any) -> Any:
    """``sqrt(2 min(d - N, n - d))`` for N = ``count`` < d points in R^n, 0 for N >= d: what the
    worst minimiser is off the truth.

    N points without perturbation fix N directions; the other d - N columns of a minimiser are free,
    and as many of them as the complement of the truth can hold may be orthogonal to it. The
    distance is ``|U U^T - V V^T|_F``.
    """
    d, count, n = np.broadcast_arrays(_levels("d", d), _levels("count", count), _levels("n", n))
    if (d > n).any():
        raise ValueError("a subspace of d dimensions does not fit n: d must be at most n")
    return np.sqrt(2 * np.minimum(np.maximum(d - count, 0), n - d))


@numeric
def largest_distance(d: Any, n: Any) -> Any:
    """``sqrt(2 min(d, n - d))``: the largest ``|U U^T - V V^T|_F`` of d-dimensional subspaces."""
    return error_floor(d, 0.0, n)


@numeric
def upper_bound(d: Any, count: Any, perturbation: Any, c1: float = 1.0) -> Any:
    """``c1 sqrt(sum |e_i|^2) / (sqrt N - sqrt(d - 1))``, the bound on ``|U U^T - V V^T|_F`` for N =
    ``count`` >= d points; +inf for N < d.

    ``perturbation`` is ``sqrt(sum |e_i|^2)``. With several subspaces N is that of one of them, the
    sum runs over all points, and the bound holds up to a permutation, if d >~ log N and |e_i| <~
    sqrt(d/N). Certain: the form, and that it vanishes with the perturbations. Not known: c1, which
    depends on the moments of a Gaussian alone; 1 is a unit, no claim. Source: Wang et al. 2024,
    theorems 2 and 4.
    """
    d, count, size = np.broadcast_arrays(
        _dims(d), _levels("count", count), _levels("perturbation", perturbation)
    )
    gap = np.sqrt(count) - np.sqrt(d - 1)
    return np.where(count >= d, _constant("c1", c1) * size / np.where(count >= d, gap, 1.0), np.inf)


@numeric
def lower_bound(d: Any, count: Any, n: Any, perturbation: Any, c1: float = 1.0) -> Any:
    """``sqrt(2 min(d - N, n - d)) - c1 sqrt(sum |e_i|^2) / (sqrt d - sqrt(N - 1))``, for 1 <= N =
    ``count`` < d, cut at 0; 0 for N >= d.

    There is a minimiser with at least this error; that all have it is not claimed. Certain: the
    first term, which is
    :func:`error_floor`. The second has the form of the upper bound with d and N exchanged, its
    constant is not known.
    """
    d, count, size = np.broadcast_arrays(
        _dims(d),
        within("count", count, 1.0, math.inf, closed=True),
        _levels("perturbation", perturbation),
    )
    few = count < d
    gap = np.where(few, np.sqrt(d) - np.sqrt(count - 1), 1.0)
    return np.where(
        few, np.maximum(error_floor(d, count, n) - _constant("c1", c1) * size / gap, 0.0), 0.0
    )


@numeric
def failure_probability(d: Any, counts: Any, c2: float = 1.0) -> float:
    """The most probability with which :func:`upper_bound` fails for ``counts`` = N_k points in each
    of K subspaces, at most 1.

    ``sum_k ((1/2)^(N_k - d + 1) + exp(-c2 N_k))``, and for K > 1 also ``2 K^2 / N`` with N the sum
    of the N_k, for wrong assignments; 1 where some N_k < d. Certain: the form, of the smallest
    singular value of a Gaussian matrix (Rudelson and Vershynin 2009). Not known: c2.
    """
    number, sizes = _dims(d), np.atleast_1d(within("counts", counts, 1.0, math.inf, closed=True))
    if (sizes < number).any():
        return 1.0
    confused = 2 * sizes.size**2 / sizes.sum() if sizes.size > 1 else 0.0
    return float(
        min(
            1.0,
            confused + (0.5 ** (sizes - number + 1) + np.exp(-_constant("c2", c2) * sizes)).sum(),
        )
    )


def _dims(d: Any) -> np.ndarray:
    return within("d", d, 1.0, math.inf, closed=True)


def _constant(name: str, value: float) -> float:
    return float(within(name, value, 0.0, math.inf))
