"""Laws that every denoiser obeys, and those of a posterior mean in closed form.

Plain functions for one's own tests: each takes a denoiser ``D(x, sigma)``, the ``shape`` of one
event (or data), and raises an AssertionError that says what was expected and by how much it was
missed. Points are standard normal times ``sqrt(1 + sigma^2)``; give ``dtype=torch.float64`` laws a
denoiser that computes in float64, since they compare with finite differences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.func import jacrev, jvp, vjp, vmap

from denoscope.types import Denoiser, pad

LEVELS = (0.05, 0.5, 5.0)
"""The levels at which a law is tried unless others are given."""


class ClosedForm(Protocol):
    """A denoiser that is the posterior mean of a law it can sample and whose density it knows."""

    event_shape: torch.Size

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor: ...
    def log_prob(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor: ...
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor: ...


def _points(sigma: Tensor, shape: Sequence[int], seed: int) -> Tensor:
    """One point per level: shape (*sigma.shape, *shape)."""
    noise = torch.randn(
        (*sigma.shape, *shape), generator=torch.Generator().manual_seed(seed), dtype=sigma.dtype
    )
    return noise * pad(torch.sqrt(1 + sigma**2), noise)


def _close(got: Tensor, want: Tensor, tolerance: float, law: str) -> None:
    if got.shape != want.shape or got.dtype != want.dtype:
        raise AssertionError(
            f"{law}: got {got.dtype} of shape {tuple(got.shape)}, expected {want.dtype} "
            f"of shape {tuple(want.shape)}"
        )
    if not bool(torch.isfinite(got).all()):
        raise AssertionError(f"{law}: got numbers that are not finite")
    error = float((got - want).detach().abs().max())
    limit = tolerance * max(1.0, float(want.detach().abs().max()))
    if not error <= limit:
        raise AssertionError(f"{law}: off by {error:.3g}, allowed {limit:.3g}")


def check_prefix_rule(
    D: Denoiser,
    shape: Sequence[int],
    *,
    sigma: float = 0.7,
    dtype: torch.dtype = torch.float64,
    tolerance: float = 1e-9,
    seed: int = 0,
) -> None:
    """A level of shape () means the same as that level repeated over the batch, each point has its
    own, and the answer is like x.
    """
    x = _points(torch.full((4,), sigma, dtype=dtype), shape, seed)
    level = torch.tensor(sigma, dtype=dtype)
    want = D(x, level.expand(4).clone())
    if want.shape != x.shape or want.dtype != x.dtype:
        raise AssertionError(
            f"prefix rule: x is {x.dtype} of shape {tuple(x.shape)}, the answer "
            f"{want.dtype} of shape {tuple(want.shape)}"
        )
    _close(D(x, level), want, tolerance, "prefix rule, sigma of shape () against (b,)")
    levels = torch.tensor([0.2, 0.7, 2.0, 9.0], dtype=dtype)
    each = torch.cat([D(x[i : i + 1], levels[i : i + 1]) for i in range(4)])
    _close(D(x, levels), each, tolerance, "prefix rule, levels per point against calls per point")


def check_extra_axes(
    D: Denoiser,
    shape: Sequence[int],
    *,
    dtype: torch.dtype = torch.float64,
    tolerance: float = 1e-9,
    seed: int = 0,
) -> None:
    """Points on batch axes (m, b), sigma (m, b), (m,) or (), are denoised as on one axis."""
    levels = torch.tensor([[0.3, 1.0, 4.0], [0.1, 0.5, 20.0]], dtype=dtype)
    x = _points(levels, shape, seed)
    for sigma in (levels, levels[:, 0].clone(), levels[0, 0].clone()):
        flat = (
            sigma.reshape(sigma.shape + (1,) * (2 - sigma.ndim)) * torch.ones_like(levels)
        ).flatten()
        _close(
            D(x, sigma).flatten(0, 1),
            D(x.flatten(0, 1), flat),
            tolerance,
            f"extra axes, sigma of shape {tuple(sigma.shape)}",
        )


def check_limits(
    D: Denoiser,
    data: Tensor,
    mean: Tensor,
    *,
    low: float = 1e-5,
    high: float = 1e5,
    tolerance: float = 1e-3,
) -> None:
    """sigma to infinity gives the law's ``mean``; sigma to 0 gives every point of the support back,
    of which ``data`` (b, *shape) are some.
    """
    _close(
        D(data, torch.tensor(low, dtype=data.dtype)),
        data,
        tolerance,
        "limits, identity on the support at small sigma",
    )
    _close(
        D(data, torch.tensor(high, dtype=data.dtype)),
        mean.expand_as(data),
        tolerance,
        "limits, the mean at large sigma",
    )


def check_jvp(
    D: Denoiser,
    shape: Sequence[int],
    *,
    levels: Sequence[float] = LEVELS,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> None:
    """The forward derivative is the central difference (float64); ``step`` in units of sigma."""
    sigma = torch.tensor(levels, dtype=torch.float64)
    x, v = _points(sigma, shape, seed), _points(0 * sigma, shape, seed + 1)
    small = step * pad(sigma, x)
    tangent = jvp(lambda z: D(z, sigma), (x,), (v,))[1]
    _close(
        tangent,
        (D(x + small * v, sigma) - D(x - small * v, sigma)) / (2 * small),
        tolerance,
        "jvp against finite differences",
    )


def check_adjoint(
    D: Denoiser,
    shape: Sequence[int],
    *,
    levels: Sequence[float] = LEVELS,
    tolerance: float = 1e-9,
    seed: int = 0,
) -> None:
    """Forward and reverse mode agree: ``<u, J v> = <J^T u, v>`` for every point (float64)."""
    sigma = torch.tensor(levels, dtype=torch.float64)
    x, u, v = (
        _points(sigma, shape, seed),
        _points(0 * sigma, shape, seed + 1),
        _points(0 * sigma, shape, seed + 2),
    )
    forward = jvp(lambda z: D(z, sigma), (x,), (v,))[1]
    backward = vjp(lambda z: D(z, sigma), x)[1](u)[0]
    _close(
        (u * forward).flatten(1).sum(1),
        (backward * v).flatten(1).sum(1),
        tolerance,
        "adjoint, <u, Jv> against <J^T u, v>",
    )


def check_vmap(
    D: Denoiser,
    shape: Sequence[int],
    *,
    levels: Sequence[float] = LEVELS,
    dtype: torch.dtype = torch.float64,
    tolerance: float = 1e-9,
    seed: int = 0,
) -> None:
    """``torch.func.vmap`` over points and levels is the batched call."""
    sigma = torch.tensor(levels, dtype=dtype)
    x = _points(sigma, shape, seed)
    one = vmap(lambda z, s: D(z[None], s[None])[0])(x, sigma)
    _close(one, D(x, sigma), tolerance, "vmap against the batched call")


def jacobians(D: Denoiser, x: Tensor, sigma: Tensor) -> Tensor:
    """dD/dx at b points by reverse mode: (b, n, n), row = output, x (b, *shape), sigma (b,)."""
    n = math.prod(x.shape[1:])
    return vmap(jacrev(lambda z, s: D(z[None], s[None])[0]))(x, sigma).reshape(len(x), n, n)


def check_symmetric(
    D: Denoiser,
    shape: Sequence[int],
    *,
    levels: Sequence[float] = LEVELS,
    tolerance: float = 1e-10,
    seed: int = 0,
) -> None:
    """A posterior mean has ``J = Cov(x0 | x) / sigma^2``: symmetric, with no eigenvalue below zero
    (float64). No trained network obeys exactly.
    """
    sigma = torch.tensor(levels, dtype=torch.float64)
    J = jacobians(D, _points(sigma, shape, seed), sigma).detach()
    _close(J, J.mT, tolerance, "J = Cov / sigma^2, symmetry")
    least = float(torch.linalg.eigvalsh(0.5 * (J + J.mT))[:, 0].min())
    scale = float(torch.linalg.matrix_norm(J, 2).max())
    if not least >= -tolerance * max(scale, torch.finfo(J.dtype).tiny):
        raise AssertionError(
            f"J = Cov / sigma^2: eigenvalue {least:.3g} is below zero, with |J| = {scale:.3g}"
        )


def check_tweedie(
    D: ClosedForm, *, levels: Sequence[float] = LEVELS, tolerance: float = 1e-8, seed: int = 0
) -> None:
    """``D(x, sigma) = x + sigma^2 grad log p(x)`` with the gradient of ``D.log_prob`` by autograd
    (float64). Robbins 1956; Efron 2011.
    """
    sigma = torch.tensor(levels, dtype=torch.float64)
    x = _points(sigma, D.event_shape, seed).requires_grad_()
    (score,) = torch.autograd.grad(D.log_prob(x, sigma).sum(), x)
    x = x.detach()
    _close(
        D(x, sigma),
        x + pad(sigma, x) ** 2 * score,
        tolerance,
        "Tweedie, D against x + sigma^2 grad log p",
    )


def check_posterior_mean(
    D: ClosedForm, *, sigma: float = 0.6, draws: int = 20000, z: float = 5.0, seed: int = 0
) -> None:
    """For x0 drawn from the law and x = x0 + sigma n the residual x0 - D(x) is uncorrelated with
    functions of x, within z standard errors.

    The functions: 1, x, D(x) and tanh of x. z should be chosen for the number of comparisons, 3 n^2
    + n for an event of n numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    clean = D.sample(draws, generator)
    x = clean + sigma * torch.randn(clean.shape, generator=generator, dtype=clean.dtype)
    guess = D(x, torch.tensor(sigma, dtype=x.dtype)).flatten(1)
    flat, residual = x.flatten(1), clean.flatten(1) - guess
    tests = torch.cat([torch.ones_like(flat[:, :1]), flat, guess, torch.tanh(flat)], 1)
    products = residual[:, :, None] * tests[:, None, :]
    errors = products.std(0) / math.sqrt(draws)
    worst = float((products.mean(0).abs() / errors.clamp_min(1e-12)).max())
    if not worst <= z:
        raise AssertionError(
            f"posterior mean: the residual correlates with a function of x by {worst:.2f} "
            f"standard errors, allowed {z:.2f}"
        )


def check_closed_form(D: ClosedForm, *, levels: Sequence[float] = LEVELS, seed: int = 0) -> None:
    """All exact laws of a closed posterior mean: symmetric positive Jacobian, Tweedie; float64."""
    check_symmetric(D, D.event_shape, levels=levels, seed=seed)
    check_tweedie(D, levels=levels, seed=seed)


def check_denoiser(D: Denoiser, shape: Sequence[int], *, seed: int = 0) -> None:
    """The laws of any differentiable denoiser: prefix rule, extra axes, jvp, adjoint, vmap."""
    for law in (check_prefix_rule, check_extra_axes, check_jvp, check_adjoint, check_vmap):
        law(D, shape, seed=seed)
