"""Linear inverse problems: images that a model takes to be behind a measurement ``y = A x0 + s n``.

A denoiser given the measurement is again a denoiser, so that every sampler draws from the
posterior: by Bayes' rule and Tweedie's formula,

    D_y(x, sigma) = E[x0 | x, y] = D(x, sigma) + sigma^2 grad_x log p(y | x).

p(y | x) is taken as normal, with the mean A D and the covariance ``s^2 + A V A^T``, V that of x0
given x: *moment matching posterior sampling* (Rozet et al. 2024, arXiv 2405.13712). Then ``D_y = D
+ V A^T (s^2 + A V A^T)^-1 (y - A D)``. V is ``sigma^2 J``, J the Jacobian of D, symmetric and
without negative eigenvalues for a posterior mean. A network's J is neither (an asymmetry of .5 and
variances of -.5 of 4 were measured on digits), and conjugate gradients, which the paper takes, then
gave images a thousand times too large. So V is taken on a small space as the nearest covariance to
what D states there: no correction is larger than a covariance allows.

The space is spanned by the first directions of the Krylov space of ``A^T A V`` and by V times
these, so that the solution converges as conjugate gradients do. Where x0 given x is normal, as for
every Gaussian law, D_y is exact once it has, and so are the draws, up to the steps of the sampler.
Elsewhere it is an approximation, whose bias was measured: of a mixture each component is drawn from
rightly, but its weight is pulled towards one half (.70 read .57, .998 read .89, two components 6
standard deviations apart, one coordinate of two seen).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vjp
from torch.nn.functional import avg_pool2d

from denoscope.data.perturb import gaussian_blur
from denoscope.geometry.field import Field, Linearized, rows_at_once
from denoscope.sampling import heun, sample
from denoscope.types import Denoiser, Step

Operator = Callable[[Tensor], Tensor]
"""What is measured without noise, linear: points (k, *event) to (k, *measured)."""
Product = Callable[[Tensor], Tensor]
"""A matrix of each point times columns (b, n, k)."""

_LEAST = 1e-300  # stands for zero below a fraction
_NEW = 1e-6  # of its length: less of a vector is rounding
_ROUNDED = 1e-8  # of the largest eigenvalue of a Gram matrix: directions that are there already


def inpainting(mask: Tensor) -> Operator:
    """The pixels where ``mask``, bool of an image's shape, is True, (k, m)."""
    if mask.dtype != torch.bool or not bool(mask.any()):
        raise ValueError("mask must be a bool tensor of an image's shape that keeps a pixel")
    return lambda x: x[:, mask.to(x.device)]


def super_resolution(factor: int) -> Operator:
    """Means over squares of ``factor`` by ``factor`` pixels: (k, c, h, w) to (k, c, h/factor,
    w/factor); sides that it does not divide are a ValueError.
    """

    def means(x: Tensor) -> Tensor:
        if factor < 1 or x.shape[-2] % factor or x.shape[-1] % factor:
            raise ValueError(f"{factor} does not divide images of {tuple(x.shape[-2:])} pixels")
        return avg_pool2d(x, factor)

    return means


def deblurring(width: float) -> Operator:
    """Images blurred by a normal density of standard deviation ``width`` pixels, edges repeated."""
    return lambda x: gaussian_blur(x, width)


def posterior_samples(
    D: Denoiser,
    y: Tensor,
    operator: Operator,
    noise: Tensor,
    sigmas: Tensor,
    *,
    std: float = 0.05,
    step: Step = heun,
    directions: int = 8,
) -> Tensor:
    """What D's model takes to be behind the measurement ``y``, of standard deviation ``std``, one
    draw for each unit ``noise`` (k, *event); y is one measurement, or (k, *measured) one per row.

    Deterministic for a deterministic step: the same noise into two models tells whether they agree.
    """
    given = measured(D, y, operator, std, directions=directions)
    return sample(given, float(sigmas[0]) * noise, sigmas, step)


def measured(
    D: Denoiser, y: Tensor, operator: Operator, std: float, *, directions: int = 8
) -> Denoiser:
    """D given the measurement: the denoiser E[x0 | x, y] of points x (b, *event) on one batch axis.

    It costs two products with J per direction. A ``std`` that is not positive, an operator that is
    not linear, and a ``y`` that is none of its measurements are a ValueError; so is a denoiser
    without derivatives.
    """
    if not std > 0:
        raise ValueError(f"std, that of the measurement's noise, must be positive, got {std}")

    def given(x: Tensor, sigma: Tensor) -> Tensor:
        levels, wanted = torch.as_tensor(sigma).to(x).expand(len(x)), _for_each(y, operator, x)
        parts = torch.arange(len(x), device=x.device).split(rows_at_once(x.flatten(1)))
        fields = ((Field(D, x[part], levels[part]), wanted[part]) for part in parts)
        return torch.cat([_posterior_mean(*one, operator, std, directions) for one in fields])

    return given


def _posterior_mean(
    field: Field, y: Tensor, operator: Operator, std: float, directions: int
) -> Tensor:
    """E[x0 | x, y] at the points of a field, (b, *event)."""
    linear = Linearized(field, 1)
    clean, variance = linear.out.detach(), field.sigma.double().square()[:, None, None]

    def measure(rows: Tensor) -> Tensor:
        return operator(rows.reshape(-1, *field.event)).flatten(1)

    with torch.enable_grad():
        seen, adjoint = vjp(measure, clean)[:2]

    def back(u: Tensor) -> Tensor:
        return adjoint(u.to(clean))[0].double()[..., None]

    surprise = y.flatten(1) - seen
    root = covariance_root(
        lambda v: variance * linear.transposed_times(v),  # J^T is J, once T is symmetric
        lambda v: back(measure(v[..., 0].to(clean))),
        back(surprise),
        min(directions, surprise.shape[1]),
    )
    shown = torch.stack([measure(f) for f in root.to(clean).unbind(2)], 2).double()
    total = shown.mT @ shown + std**2 * torch.eye(shown.shape[2]).to(shown)
    solved = torch.linalg.solve(total, shown.mT @ surprise.double()[..., None])
    return (clean + (root @ solved)[..., 0].to(clean)).reshape(-1, *field.event)


def covariance_root(V: Product, B: Product, start: Tensor, count: int) -> Tensor:
    """F (b, n, 2 count) with ``F F^T`` the nearest covariance to V on the space of ``count``
    directions of the Krylov space of ``B V`` from ``start`` (b, n, 1), and of V times these.

    Rayleigh and Ritz: V's symmetric part on an orthonormal basis, its negative eigenvalues left
    out. In float64.
    """
    first = start.new_zeros(len(start), start.shape[1], 0)
    pushed, following = first, start
    for _ in range(count):
        first = torch.cat([first, _orthonormal(following, first)], 2)
        pushed = torch.cat([pushed, V(first[..., -1:]).double()], 2)
        following = B(pushed[..., -1:])
    size = torch.linalg.vector_norm(pushed, dim=1, keepdim=True).clamp_min(_LEAST)
    basis = torch.cat([first, pushed / size], 2)
    whole = torch.cat([pushed, V(pushed / size).double()], 2)
    values, vectors = torch.linalg.eigh(basis.mT @ basis)
    kept = torch.where(values > _ROUNDED * values[:, -1:], values.clamp_min(_LEAST).rsqrt(), 0.0)
    turn = vectors * kept[:, None]
    small = turn.mT @ (basis.mT @ whole) @ turn
    variances, axes = torch.linalg.eigh((small + small.mT) / 2)
    return basis @ turn @ (axes * variances.clamp_min(0).sqrt()[:, None])


def _orthonormal(vector: Tensor, basis: Tensor) -> Tensor:
    """What is new in ``vector`` (b, n, 1), of length 1; zero where nothing is."""
    left = vector
    for _ in range(2):  # once more, for what rounding left
        left = left - basis @ (basis.mT @ left)
    size, before = (torch.linalg.vector_norm(v, dim=1, keepdim=True) for v in (left, vector))
    return torch.where(size > _NEW * before, left / size.clamp_min(_LEAST), 0.0)


def _for_each(y: Tensor, operator: Operator, x: Tensor) -> Tensor:
    """The measurement of each point, (k, *measured)."""
    seen = operator(x)
    if not torch.allclose(operator(2 * x), 2 * seen):
        raise ValueError(
            "the operator must be linear: twice the image is not twice the measurement"
        )
    if y.shape not in (seen.shape, seen.shape[1:]):
        raise ValueError(
            f"y of shape {tuple(y.shape)} is no measurement by this operator, which gives numbers "
            f"of shape {tuple(seen.shape[1:])} an image"
        )
    return y.to(seen).expand(seen.shape)
