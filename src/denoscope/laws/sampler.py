"""Laws of samplers, tried where the flow is known: on a Gaussian every coordinate goes as the root
of its variance.

With the posterior mean of N(0, lam) the flow takes x at sigma to ``x sqrt((lam + next^2) / (lam +
sigma^2))`` at next. A ``make_step`` is a function without arguments that returns a fresh step:
``lambda: heun``, or ``dpmpp`` itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from denoscope.distributions import Gaussian
from denoscope.sampling import invert, sample
from denoscope.types import Denoiser, Step

VARIANCES = (0.04, 0.3, 1.0, 4.0)
"""Variances of the Gaussian on which samplers are tried."""


def _gaussian() -> tuple[Gaussian, Tensor]:
    variances = torch.tensor(VARIANCES, dtype=torch.float64)
    return Gaussian(torch.zeros_like(variances), variances.diag()), variances


def _start(sigma: float, count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return sigma * torch.randn(count, len(VARIANCES), generator=generator, dtype=torch.float64)


def _forbidden(x: Tensor) -> Tensor:
    raise AssertionError("a deterministic step called noise")


def measured_order(
    make_step: Callable[[], Step],
    *,
    counts: Sequence[int] = (64, 128, 256, 512),
    high: float = 5.0,
    low: float = 0.05,
) -> float:
    """The rate p at which the error against the exact flow of a Gaussian falls, as steps^-p: a
    least-squares slope over ``counts`` (float64).

    Levels are equally spaced in log sigma from ``high`` to ``low``.
    """
    D, variances = _gaussian()
    x = _start(high, 8, seed=0)
    exact = x * torch.sqrt((variances + low**2) / (variances + high**2))
    errors = []
    for count in counts:
        sigmas = torch.logspace(math.log10(high), math.log10(low), count + 1, dtype=torch.float64)
        errors.append(float((sample(D, x, sigmas, make_step()) - exact).norm()))
    steps, error = torch.tensor(counts).double().log(), torch.tensor(errors).double().log()
    steps, error = steps - steps.mean(), error - error.mean()
    return -float((steps * error).sum() / (steps**2).sum())


def check_order(make_step: Callable[[], Step], order: int, *, tolerance: float = 0.1) -> None:
    """The measured order of a deterministic step is the declared one."""
    measured = measured_order(make_step)
    if not abs(measured - order) <= tolerance:
        raise AssertionError(f"order: declared {order}, measured {measured:.3f}")


def check_deterministic(make_step: Callable[[], Step]) -> None:
    """A deterministic step never calls noise, and gives the same bits twice."""
    D, _ = _gaussian()
    x, sigmas = _start(5.0, 4, seed=1), torch.tensor([5.0, 1.0, 0.2, 0.0])
    if not torch.equal(
        sample(D, x, sigmas, make_step(), _forbidden), sample(D, x, sigmas, make_step())
    ):
        raise AssertionError("two runs of a deterministic step differ")


def check_needs_noise(make_step: Callable[[], Step]) -> None:
    """A stochastic step without noise is a ValueError, not a silently deterministic one."""
    D, _ = _gaussian()
    try:
        sample(D, _start(5.0, 4, seed=1), torch.tensor([5.0, 1.0]), make_step())
    except ValueError:
        return
    raise AssertionError("a stochastic step without noise must be a ValueError")


def check_independence(
    D: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    make_step: Callable[[], Step],
    *,
    tolerance: float = 1e-9,
) -> None:
    """Sample i is the same alone as in its batch, if the denoiser treats points one by one."""
    together = sample(D, x, sigmas, make_step())
    alone = torch.cat([sample(D, row, sigmas, make_step()) for row in x.split(1)])
    error = float((together - alone).abs().max())
    if not error <= tolerance * max(1.0, float(together.abs().max())):
        raise AssertionError(f"a sample depends on its batch by {error:.3g}")


def check_inversion(
    D: Denoiser, x0: Tensor, sigmas: Tensor, step: Step, *, tolerance: float
) -> None:
    """Sampling from the inverted state gives x0 back, to ``tolerance`` in relative norm."""
    back = sample(D, invert(D, x0, sigmas, step), sigmas, step)
    error = float((back - x0).norm() / x0.norm())
    if not error <= tolerance:
        raise AssertionError(
            f"inversion: the round trip is off by {error:.3g} of the norm, allowed {tolerance:.3g}"
        )


def check_sampler(make_step: Callable[[], Step], order: int) -> None:
    """The laws of a deterministic sampler: order, no noise, samples independent of the batch."""
    D, _ = _gaussian()
    check_order(make_step, order)
    check_deterministic(make_step)
    check_independence(
        D, _start(5.0, 4, seed=2), torch.tensor([5.0, 2.0, 0.7, 0.2, 0.0]), make_step
    )
