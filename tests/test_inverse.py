"""Inverse problems whose posterior is known: exact for a Gaussian law, with a measured bias for a
mixture; and the formula of any denoiser, written with dense matrices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rates import sigmas as normal_quantile
from torch import Tensor
from zoo import normal

from denoscope import (
    MLP,
    Gaussian,
    GaussianMixture,
    Preconditioned,
    Seeds,
    dpmpp,
    jacobian,
    karras,
    neighbors,
)
from denoscope.apply import inverse
from denoscope.apply.inverse import deblurring, inpainting, posterior_samples, super_resolution
from denoscope.data.embedded import digits
from denoscope.data.perturb import Blur
from denoscope.geometry import posterior_spectrum
from denoscope.integrations.diffusers import from_pipeline
from denoscope.theory import linear

SHAPE, N = (1, 4, 2), 8
MASK = torch.tensor([1, 1, 0, 1, 0, 0, 1, 0], dtype=torch.bool).reshape(SHAPE)
OPERATORS = {
    "inpainting": inpainting(MASK),
    "super-resolution": super_resolution(2),
    "deblurring": deblurring(0.7),
}
operators = pytest.mark.parametrize("A", OPERATORS.values(), ids=OPERATORS.keys())
STD = 0.1
LAW = Gaussian.from_data(digits().data.double()[:500, :, ::2, 2:6:2], ridge=1e-3)
TRUE = digits().data.double()[600:601, :, ::2, 2:6:2]


def matrix(A: inverse.Operator) -> Tensor:
    """The operator as a matrix (m, n)."""
    return A(torch.eye(N, dtype=torch.float64).reshape(N, *SHAPE)).flatten(1).T


def measurement(A: inverse.Operator) -> Tensor:
    clean = A(TRUE)[0]
    return clean + STD * normal(*clean.shape, seed=3)


def posterior(A: inverse.Operator) -> Gaussian:
    """By conditioning the joint law of image and measurement."""
    M, C, m = matrix(A), LAW.cov, LAW.mean.flatten()
    gain = C @ M.T @ torch.linalg.inv(M @ C @ M.T + STD**2 * torch.eye(len(M), dtype=C.dtype))
    cov = C - gain @ M @ C
    mean = m + gain @ (measurement(A).flatten() - M @ m)
    return Gaussian(mean.reshape(SHAPE), (cov + cov.T) / 2)


@operators
def test_of_a_gaussian_it_is_the_denoiser_of_the_posterior(A: inverse.Operator) -> None:
    D, exact = inverse.measured(LAW, measurement(A), A, STD), posterior(A)
    for level in (0.01, 0.3, 5.0, 80.0):
        x, sigma = exact.sample(9) + level * normal(9, *SHAPE), torch.tensor(level).double()
        torch.testing.assert_close(D(x, sigma), exact(x, sigma), rtol=1e-6, atol=1e-6)
    levels = torch.tensor([0.1, 2.0]).double()
    x = normal(2, *SHAPE)
    torch.testing.assert_close(D(x, levels), exact(x, levels), rtol=1e-6, atol=1e-6)


@operators
def test_draws_of_a_gaussian_have_the_posteriors_mean_and_covariance(A: inverse.Operator) -> None:
    exact, count = posterior(A), 2000
    noise = Seeds(range(count)).randn(SHAPE, dtype=torch.float64)
    whole: dict[str, Any] = {"std": STD, "directions": N // 2, "step": dpmpp()}
    drawn = posterior_samples(LAW, measurement(A), A, noise, karras(36), **whole)
    values, basis = torch.linalg.eigh(exact.cov)
    white = ((drawn - exact.mean).flatten(1) @ basis) / values.sqrt()
    pairs = torch.triu_indices(N, N)
    second = (white[:, :, None] * white[:, None])[:, *pairs] - torch.eye(N)[*pairs]
    units = torch.cat([white, second], 1)
    z = units.mean(0) / units.std(0) * count**0.5
    assert float(z.abs().max()) < normal_quantile(len(z))
    flow = linear.flow_map(exact.mean.flatten(), exact.cov, 80.0)
    want = (flow.offset + noise.flatten(1) @ flow.matrix.T).reshape(drawn.shape)
    error = (drawn - want).square().mean().sqrt() / exact.cov.diagonal().mean().sqrt()
    assert float(error) < 1 / count**0.5


def network(scale: float) -> Preconditioned:
    """An untrained network whose Jacobian is no covariance."""
    torch.manual_seed(0)
    D = Preconditioned(MLP(SHAPE, 16)).double().requires_grad_(False)
    for parameter in D.parameters():  # the last layer of a new network is zero
        parameter.add_(scale * torch.randn_like(parameter))
    return D


@operators
@pytest.mark.parametrize("scale", [0.05, 0.3])
def test_of_any_denoiser_it_is_the_formula_with_dense_matrices(
    A: inverse.Operator, scale: float
) -> None:
    D, M, y, x, level = network(scale), matrix(A), measurement(A), normal(5, *SHAPE, seed=4), 0.7
    sigma = torch.full((5,), level, dtype=torch.float64)
    J, clean = jacobian(D, x, sigma), D(x, sigma).flatten(1)
    stated, axes = torch.linalg.eigh(level**2 * (J + J.mT) / 2)
    assert float((J - J.mT).abs().max()) > 0.01
    assert float(stated.min()) < 0
    V = axes @ (stated.clamp_min(0)[..., None] * axes.mT)
    solved = torch.linalg.solve(
        STD**2 * torch.eye(len(M)) + M @ V @ M.T, (y.flatten() - clean @ M.T)[..., None]
    )
    want = clean + (V @ M.T @ solved)[..., 0]
    found = inverse.measured(D, y, A, STD)(x, sigma)
    if 2 * len(M) >= N:  # the space is the whole one
        torch.testing.assert_close(found.flatten(1), want, rtol=1e-5, atol=1e-5)
    without = inverse.measured(D, y, A, 1e6)(x, sigma)
    torch.testing.assert_close(without, D(x, sigma), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_a_network_that_memorized_gives_back_the_image_that_was_measured(
    memorizing_pipeline: tuple[Path, Tensor],
) -> None:
    """Its Jacobian is far from a covariance; images that are seen in part come back whole."""
    folder, images = memorizing_pipeline
    pipeline = from_pipeline(folder)
    D, level = pipeline.denoiser.requires_grad_(False), torch.full((8,), 5.0)
    noise = Seeds(range(8)).randn((1, 8, 8))
    assert float(posterior_spectrum(D, images + 5.0 * noise, level).min()) < -1
    A, levels = super_resolution(2), pipeline.levels(10).float()
    drawn = posterior_samples(D, A(images), A, noise, levels, std=0.1, step=dpmpp(), directions=4)
    nearest = neighbors(drawn.flatten(1), images.flatten(1)).index[:, 0]
    assert int((nearest == torch.arange(8)).sum()) >= 7
    assert float((A(drawn) - A(images)).square().mean().sqrt()) < 0.15
    assert float(drawn.abs().max()) < 2


def test_of_a_mixture_the_weights_are_pulled_towards_each_other() -> None:
    """The bias of the method, measured: two components 6 standard deviations apart, one coordinate
    of two seen. Each is drawn from rightly, but the likelier too rarely.
    """
    means = torch.tensor([[-1.0, -1.0], [1.0, 1.0]]).double()
    covs, weights = 0.1 * torch.eye(2).double().expand(2, 2, 2), torch.tensor([0.3, 0.7]).double()
    noise, std = Seeds(range(800)).randn((2,), dtype=torch.float64), 0.1
    shares = {}
    for seen in (0.0, 0.3, 1.0):
        drawn = posterior_samples(
            GaussianMixture(means, covs, weights),
            torch.tensor([seen]).double(),
            lambda x: x[:, :1],
            noise,
            karras(24, 0.01, 80.0),
            std=std,
        )
        odds = weights * (-0.5 * (seen - means[:, 0]) ** 2 / (0.1 + std**2)).exp()
        second = drawn[:, 1] > 0
        shares[seen] = float(odds[1] / odds.sum()), float(second.double().mean())
        centre = (0.1 * seen + std**2 * means[1, 0]) / (0.1 + std**2)
        assert float(drawn[second, 0].mean() - centre) == pytest.approx(0, abs=0.05)
    assert shares[0.0] == pytest.approx((0.700, 0.57), abs=0.03)
    assert shares[0.3] == pytest.approx((0.998, 0.89), abs=0.03)
    assert shares[1.0] == pytest.approx((1.000, 1.00), abs=0.01)


def test_a_draw_depends_on_its_own_noise_and_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    A, noise = OPERATORS["inpainting"], Seeds(range(5)).randn(SHAPE, dtype=torch.float64)
    y = A(TRUE) + 0.3 * normal(5, 4, seed=6)
    together = posterior_samples(LAW, y, A, noise, karras(8), std=STD)
    each = [posterior_samples(LAW, y[i], A, noise[i : i + 1], karras(8), std=STD) for i in range(5)]
    torch.testing.assert_close(together, torch.cat(each))
    monkeypatch.setattr(inverse, "rows_at_once", lambda rows: 2)
    parts = posterior_samples(LAW, y, A, noise, karras(8), std=STD)
    torch.testing.assert_close(parts, together)


def test_the_operators_are_what_they_say() -> None:
    images = digits().data[:3]
    top = torch.arange(64).reshape(1, 8, 8) < 16
    assert torch.equal(inpainting(top)(images), images[:, 0, :2].flatten(1))
    halves = images.reshape(3, 1, 4, 2, 4, 2).mean((3, 5))
    torch.testing.assert_close(super_resolution(2)(images), halves)
    torch.testing.assert_close(deblurring(0.8)(images), Blur(0.8)(images, 0))


NOISE = Seeds(range(2)).randn(SHAPE, dtype=torch.float64)
MISTAKES = {
    "must be positive": lambda A, y: posterior_samples(LAW, y, A, NOISE, karras(4), std=0.0),
    "no measurement by": lambda A, y: posterior_samples(LAW, y[:2], A, NOISE, karras(4)),
    "must be linear": lambda A, y: posterior_samples(LAW, y, lambda x: A(x) + 1, NOISE, karras(4)),
    "2 does not divide": lambda A, y: super_resolution(2)(torch.zeros(1, 1, 4, 3)),
    "keeps a pixel": lambda A, y: inpainting(torch.zeros(SHAPE, dtype=torch.bool)),
    "has no derivative": lambda A, y: posterior_samples(
        lambda x, sigma: LAW(x.detach(), sigma), y, A, NOISE, karras(4)
    ),
}


@pytest.mark.parametrize(("message", "mistake"), MISTAKES.items())
def test_mistakes_are_named(message, mistake) -> None:
    A = OPERATORS["inpainting"]
    with pytest.raises(ValueError, match=message):
        mistake(A, measurement(A))
