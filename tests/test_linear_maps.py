"""Linear maps: closed forms are optima and Wiener filters, descent is its formula step by step,
samples have the predicted law.
"""

from __future__ import annotations

import json
import math
from itertools import islice

import numpy as np
import pytest
import torch
from rates import sigmas
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.func import functional_call

from denoscope.distributions import Gaussian
from denoscope.fitting import denoising_loss, fit, training
from denoscope.laws import denoiser as laws
from denoscope.levels import karras, scheduled, uniform
from denoscope.networks import MLP, Averaged, Fleet, LinearMaps, descend, largest_rate, load, save
from denoscope.networks.linear_maps.storage import Dense, SharedBasis
from denoscope.random import generator
from denoscope.sampling import ancestral, euler, heun, sample
from denoscope.schedule import VP
from denoscope.theory.linear.laws import ddim_law, ddim_mean, ddpm_law, ddpm_mean, slide_betas


def slides(steps: int) -> VP:
    return VP(torch.as_tensor(slide_betas(steps)))


SCHEDULES = {
    "slides": slides(200),
    "ddpm": VP.linear(50),
    "cosine": VP.cosine(30),
    "one level": VP([0.3]),
}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(90125, seed), dtype=torch.float64)


def moments(d: int, n: int = 50, seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """A mean away from zero and a covariance that is not diagonal, of rank min(n, d)."""
    rows = normal(n, d, seed=seed) * torch.linspace(0.2, 2.0, d, dtype=torch.float64)
    rows = scale * rows @ normal(d, d, seed=seed + 1) / math.sqrt(d)
    return normal(d, seed=seed + 2), rows.T @ rows / n


def abars(schedule: VP) -> Tensor:
    return torch.cumprod(1 - schedule.betas, 0)


def all_affine(net: LinearMaps) -> tuple[Tensor, Tensor]:
    weights, biases = zip(*(net.affine(t) for t in range(len(net.schedule))))
    return torch.stack(weights), torch.stack(biases)


def optimum(cov: Tensor, schedule: VP, ridge: Tensor | float = 0.0) -> Tensor:
    """sqrt(1 - y) (y cov + (1 - y + ridge) I)^-1, solved level by level."""
    y, gamma = abars(schedule), torch.as_tensor(ridge, dtype=torch.float64).expand(len(schedule))
    eye = torch.eye(len(cov), dtype=torch.float64)
    return torch.stack(
        [
            torch.linalg.solve(y[t] * cov + (1 - y[t] + gamma[t]) * eye, (1 - y[t]).sqrt() * eye)
            for t in range(len(y))
        ]
    )


# ---- closed forms


@schedules
@pytest.mark.parametrize("n", [50, 4])
@pytest.mark.parametrize("dense", [False, True])
def test_the_closed_form_is_the_optimum_at_every_level_and_with_every_ridge(
    schedule: VP, n: int, dense: bool
):
    mean, cov = moments(7, n)
    y = abars(schedule)
    varied = torch.linspace(0.0, 2.0, len(y), dtype=torch.float64)
    for ridge, scaled, gamma in (
        (0.0, False, 0.0),
        (0.4, False, 0.4),
        (0.4, True, 0.4 * y),
        (varied, False, varied),
        (varied, True, varied * y),
    ):
        weight, bias = all_affine(
            LinearMaps.closed_form(mean, cov, schedule, ridge=ridge, scaled=scaled, dense=dense)
        )
        torch.testing.assert_close(weight, optimum(cov, schedule, gamma), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(bias, -y.sqrt()[:, None] * mean, rtol=1e-12, atol=1e-12)


@schedules
@pytest.mark.parametrize("n", [50, 4])
def test_without_or_with_a_scaled_ridge_it_is_the_gaussian_denoiser_at_every_sigma(
    schedule: VP, n: int
):
    mean, cov = moments(6, n)
    for ridge in (0.0, 0.3):
        D = LinearMaps.closed_form(mean.reshape(2, 3), cov, schedule, ridge=ridge, scaled=True)
        exact = Gaussian(mean.reshape(2, 3), cov + ridge * torch.eye(6, dtype=torch.float64))
        least, most = float(D.levels[0]), float(D.levels[-1])
        inside = torch.logspace(math.log10(least), math.log10(most), 57, dtype=torch.float64)
        for sigma in torch.cat(
            [D.levels, inside, torch.tensor([1e-6, 0.3 * least, 3 * most, 1e4])]
        ):
            x = mean.reshape(2, 3) + torch.sqrt(1 + sigma**2) * normal(5, 2, 3, seed=3)
            torch.testing.assert_close(D(x, sigma), exact(x, sigma), rtol=1e-10, atol=1e-10)


@schedules
def test_dense_maps_are_the_gaussian_denoiser_at_the_levels_and_near_it_between_them(schedule: VP):
    mean, cov = moments(5)
    D, exact = LinearMaps.closed_form(mean, cov, schedule, dense=True), Gaussian(mean, cov)
    x = mean + normal(20, 5, seed=4)
    for sigma in (D.levels[0], D.levels[-1], *D.levels[::7]):
        torch.testing.assert_close(D(x, sigma), exact(x, sigma), rtol=1e-10, atol=1e-10)
        assert (D(x.float(), sigma.float()) - exact(x, sigma)).abs().max() < 1e-5
    for low, high in zip(D.levels[:-1], D.levels[1:]):
        bound = torch.log(high / low) ** 2 / (12 * math.sqrt(3))
        for share in (0.2, 0.5, 0.9):
            sigma = low * (high / low) ** share
            error = torch.linalg.vector_norm(D(x, sigma) - exact(x, sigma), dim=1)
            assert (error <= bound * torch.linalg.vector_norm(x - mean, dim=1) + 1e-12).all()
    far = 1e4 * D.levels[-1]
    x = mean + far * normal(20, 5, seed=5)
    share = exact.modes.variances.max() / D.levels[-1] ** 2
    assert (D(x, far) - mean).abs().max() <= 1.1 * share * (exact(x, far) - mean).abs().max() + 1e-3
    torch.testing.assert_close(D(x, 0 * far), D(x, D.levels[0]), rtol=1e-9, atol=1e-9)


def test_a_constant_ridge_is_smooth_between_levels_and_second_order_exact():
    mean, cov = moments(5)
    worst = []
    for steps in (20, 40, 80):
        schedule = VP(_geometric(steps))
        D = LinearMaps.closed_form(mean, cov, schedule, ridge=0.5)
        errors = []
        for t in range(steps - 1):
            sigma = (D.levels[t] * D.levels[t + 1]).sqrt()
            y = 1 / (1 + sigma**2)
            eye = torch.eye(5, dtype=torch.float64)
            share = (1 - y) * torch.linalg.inv(y * cov + (1 - y + 0.5) * eye)
            errors.append((D(eye + mean, sigma) - (eye + mean - eye @ share)).abs().max())
        worst.append(float(max(errors)))
    assert worst[0] < 5e-3
    assert worst[0] / worst[1] > 3.5
    assert worst[1] / worst[2] > 3.5


def _geometric(steps: int) -> list[float]:
    """Betas whose levels sigma are ``steps`` equal factors apart, from 0.1 to 10."""
    y = 1 / (1 + np.geomspace(0.1, 10, steps) ** 2)
    return (1 - y / np.concatenate([[1.0], y[:-1]])).tolist()


@pytest.mark.parametrize("n", [30, 4, 2])
def test_data_and_their_moments_give_the_same_maps(n: int):
    x, schedule = 2 * normal(n, 2, 3) + 1, VP.linear(20)
    flat = x.flatten(1).numpy()
    given = LinearMaps.closed_form(x.mean(0), np.cov(flat.T, bias=True), schedule, ridge=0.1, k=3.0)
    learned = LinearMaps.from_data(x, schedule, ridge=0.1, k=3.0)
    assert isinstance(learned.maps, SharedBasis)
    assert learned.maps.basis.shape[1] == min(n - 1, 6)
    z = normal(4, 2, 3, seed=8)
    for sigma in (0.001, 0.05, 0.7, 30.0):
        torch.testing.assert_close(
            learned(z, torch.tensor(sigma)), given(z, torch.tensor(sigma)), rtol=1e-9, atol=1e-9
        )
    torch.testing.assert_close(all_affine(learned)[0], all_affine(given)[0], rtol=1e-9, atol=1e-9)
    as_numpy = LinearMaps.from_data(x.numpy(), schedule, ridge=0.1, k=3.0)
    assert torch.equal(all_affine(as_numpy)[0], all_affine(learned)[0])


def test_early_stopping_is_the_gradient_flow_and_the_limit_of_descent():
    (mean, cov), schedule = moments(5, 3), VP.linear(12)
    y, star = abars(schedule), optimum(cov, schedule, 0.2)
    k = torch.linspace(0.1, 8.0, 12, dtype=torch.float64)
    curvature = y[:, None, None] * cov + (1 - y + 0.2)[:, None, None] * torch.eye(5)
    want = star - star @ torch.linalg.matrix_exp(-k[:, None, None] * curvature)
    weight = all_affine(LinearMaps.closed_form(mean, cov, schedule, ridge=0.2, k=k))[0]
    torch.testing.assert_close(weight, want, rtol=1e-12, atol=1e-12)
    near = all_affine(
        LinearMaps.descended(mean, cov, schedule, k / 2 / 1_000_000, 1_000_000, ridge=0.2)
    )[0]
    torch.testing.assert_close(near, want, rtol=1e-4, atol=1e-4)
    for late, end in ((math.inf, star), (0.0, 0 * star)):
        torch.testing.assert_close(
            all_affine(LinearMaps.closed_form(mean, cov, schedule, ridge=0.2, k=late))[0],
            end,
            rtol=1e-10,
            atol=1e-10,
        )


@pytest.mark.parametrize("n", [50, 3])
@pytest.mark.parametrize("k", [None, 2.0])
def test_it_obeys_the_laws_of_denoisers(n: int, k: float | None):
    mean, cov = moments(6, n)
    mean = mean.reshape(1, 2, 3)
    data = mean + (
        normal(8, 6, seed=6) @ torch.linalg.cholesky(cov + 1e-14 * torch.eye(6)).T
    ).reshape(8, 1, 2, 3)
    for dense in (False, True):
        D = LinearMaps.closed_form(mean, cov, VP.linear(60), k=k, dense=dense)
        laws.check_denoiser(D, (1, 2, 3))
        laws.check_symmetric(D, (1, 2, 3))
        if not dense and k is None:
            laws.check_limits(D, data, mean)


def test_trained_maps_of_any_kind_obey_the_laws_of_denoisers():
    D = LinearMaps((2, 3), VP.linear(30))
    torch.nn.init.normal_(D.maps.get_parameter("weight"), generator=generator(3))
    torch.nn.init.normal_(D.maps.get_parameter("bias"), generator=generator(4))
    laws.check_denoiser(D, (2, 3))
    wild = LinearMaps((6,), VP.linear(30), rank=2)
    for name, p in wild.maps.named_parameters():
        p.data = 3 * normal(*p.shape, seed=len(name))
    laws.check_denoiser(wild, (6,))
    assert wild(normal(9, 6), torch.logspace(-9, 9, 9)).isfinite().all()


def test_untrained_maps_are_the_identity():
    for rank in (None, 0, 2, 4):
        x = normal(3, 4)
        assert torch.equal(LinearMaps((4,), VP.linear(5), rank=rank)(x, torch.tensor(0.1)), x)


# ---- losses


@pytest.mark.parametrize("n", [40, 3])
@pytest.mark.parametrize("dense", [False, True])
def test_losses_are_exact_for_training_and_for_test_moments(n: int, dense: bool):
    (mean0, cov0), (mean, cov), schedule = moments(5, n), moments(5, 60, seed=7), VP.linear(15)
    y, eye = abars(schedule), torch.eye(5, dtype=torch.float64)
    net = LinearMaps.closed_form(mean0, cov0, schedule, ridge=0.2, k=4.0, dense=dense)
    weight, bias = all_affine(net)
    for m, c in ((mean0, cov0), (mean, cov)):
        want = []
        for t in range(15):
            residual_noise, residual_data = (
                eye - (1 - y[t]).sqrt() * weight[t],
                y[t].sqrt() * weight[t],
            )
            offset = weight[t] @ (y[t].sqrt() * m + bias[t])
            want.append(
                (residual_noise**2).sum()
                + (residual_data @ c @ residual_data.T).trace()
                + offset @ offset
            )
        torch.testing.assert_close(net.losses(m, c), torch.stack(want), rtol=1e-10, atol=1e-10)


def test_the_gap_is_the_formula_of_the_slides():
    (mean0, cov0), (mean, cov), schedule = moments(6, 4), moments(6, 60, seed=7), VP.linear(25)
    net, y, eye = (
        LinearMaps.closed_form(mean0, cov0, schedule, ridge=0.3),
        abars(schedule),
        torch.eye(6, dtype=torch.float64),
    )
    want = []
    for a in y:
        inverse = torch.linalg.inv(cov0 + (1 - a + 0.3) / a * eye)
        apart = inverse @ (mean - mean0)
        want.append((1 - a) / a * (((cov - cov0) @ inverse @ inverse).trace() + apart @ apart))
    torch.testing.assert_close(
        net.losses(mean, cov) - net.losses(mean0, cov0), torch.stack(want), rtol=1e-9, atol=1e-9
    )


def test_the_weighted_denoising_loss_is_the_loss_of_predicting_noise():
    (mean, cov), schedule = moments(4), VP.linear(8)
    net = LinearMaps.closed_form(mean, cov, schedule, k=1.0, dense=True)
    root = torch.linalg.cholesky(cov)
    x0 = mean + normal(8, 40_000, 4, seed=1) @ root.T
    noise = normal(8, 40_000, 4, seed=2)
    y = abars(schedule)[:, None, None]
    weight, bias = all_affine(net)
    eps = (y.sqrt() * x0 + (1 - y).sqrt() * noise + bias[:, None]) @ weight.mT
    direct = ((eps - noise) ** 2).sum(-1)
    loss = denoising_loss(net, x0, net.levels, noise)  # its weight is the network's own
    torch.testing.assert_close(loss, direct.mean() / 4, rtol=1e-10, atol=1e-12)
    error = direct.std(1) / math.sqrt(direct.shape[1])
    assert ((direct.mean(1) - net.losses(mean, cov)).abs() < sigmas(8) * error).all()


# ---- gradient descent


@pytest.mark.parametrize("start", ["zero", "random"])
@pytest.mark.parametrize(("ridge", "scaled"), [(0.0, False), (0.3, False), (0.3, True)])
def test_every_step_of_descent_is_the_analytic_one(start: str, ridge: float, scaled: bool):
    (mean, cov), schedule = moments(5, 8), VP.linear(10)
    y, eye = abars(schedule)[:, None, None], torch.eye(5, dtype=torch.float64)
    gamma = ridge * y if scaled else torch.full_like(y, ridge)
    rate = 0.7 * largest_rate(cov, schedule, ridge=ridge, scaled=scaled)
    net = LinearMaps((5,), schedule)
    assert isinstance(net.maps, Dense)
    if start == "random":
        net.maps.weight.data.copy_(normal(10, 5, 5, seed=5))
    first, star = net.maps.weight.data.clone(), optimum(cov, schedule, gamma.flatten())
    decay = eye - 2 * rate[:, None, None] * (y * cov + (1 - y + gamma) * eye)
    power = eye.expand(10, 5, 5)
    for step, progress in enumerate(
        islice(descend(net, mean, cov, rate, ridge=ridge, scaled=scaled), 60)
    ):
        assert progress.step == step
        want = star + (first - star) @ power
        error = torch.linalg.matrix_norm(net.maps.weight.data - want)
        assert (
            error <= 1e-12 * (torch.linalg.matrix_norm(star) + torch.linalg.matrix_norm(first))
        ).all(), step
        torch.testing.assert_close(progress.losses, net.losses(mean, cov), rtol=1e-10, atol=1e-10)
        if start == "zero":
            closed = LinearMaps.descended(
                mean, cov, schedule, rate, step, ridge=ridge, scaled=scaled
            )
            torch.testing.assert_close(
                all_affine(closed)[0], net.maps.weight.data, rtol=1e-11, atol=1e-12
            )
        power = power @ decay
    torch.testing.assert_close(
        all_affine(net)[1], -y[:, :, 0].sqrt() * mean, rtol=1e-12, atol=1e-12
    )


def test_a_step_goes_down_the_gradient_of_the_noise_averaged_loss():
    (mean, cov), schedule = moments(4), VP.linear(6)
    y, rate = abars(schedule), 0.01
    net = LinearMaps((4,), schedule)
    net.maps.get_parameter("weight").data.copy_(normal(6, 4, 4, seed=5))
    steps = descend(net, mean, cov, rate, ridge=0.2)
    next(steps)
    weight = net.maps.get_parameter("weight").detach().clone().requires_grad_()
    bias = -y.sqrt()[:, None] * mean
    loss = torch.zeros((), dtype=torch.float64)
    for t in range(6):
        first = torch.eye(4) - (1 - y[t]).sqrt() * weight[t]
        offset = weight[t] @ (y[t].sqrt() * mean + bias[t])
        loss = (
            loss
            + (first**2).sum()
            + y[t] * (weight[t] @ cov @ weight[t].T).trace()
            + offset @ offset
            + 0.2 * (weight[t] ** 2).sum()
        )
    (gradient,) = torch.autograd.grad(loss, weight)
    next(steps)
    torch.testing.assert_close(
        net.maps.get_parameter("weight").data,
        weight.detach() - rate * gradient,
        rtol=1e-12,
        atol=1e-12,
    )


def test_the_largest_rate_is_where_descent_turns():
    (mean, cov), schedule = moments(4), VP.linear(6)
    largest = largest_rate(cov, schedule, ridge=0.1)
    *_, below = islice(
        descend(LinearMaps((4,), schedule), mean, cov, 0.99 * largest, ridge=0.1), 2000
    )
    best = LinearMaps.closed_form(mean, cov, schedule, ridge=0.1).losses(mean, cov)
    torch.testing.assert_close(below.losses, best, rtol=1e-6, atol=1e-6)
    beyond = 1.01 * largest
    top = abars(schedule) * torch.linalg.eigvalsh(cov)[-1] + 1 - abars(schedule) + 0.1
    assert ((1 - 2 * beyond * top).abs() > 1).all()
    for wrong in (beyond, largest, 0.0, -0.1):
        with pytest.raises(ValueError, match="rate must be"):
            descend(LinearMaps((4,), schedule), mean, cov, wrong, ridge=0.1)
    with pytest.raises(ValueError, match="rate must be positive and below"):
        LinearMaps.descended(mean, cov, schedule, beyond, 3, ridge=0.1)


# ---- the stochastic loss


def draws_at_all_levels(x: Tensor, levels: Tensor, batch: int, seed: int = 0):
    step = 0
    while True:
        draw = generator(seed, step)
        rows = torch.randint(len(x), (len(levels), batch), generator=draw)
        yield (
            x[rows],
            levels,
            torch.randn((*rows.shape, *x.shape[1:]), generator=draw, dtype=x.dtype),
        )
        step += 1


def test_training_on_draws_ends_at_the_closed_form_within_stochastic_error():
    x, schedule = 0.8 * normal(30, 3) @ normal(3, 3, seed=1) + 1, VP.linear(8, 0.05, 0.4)
    exact, net = LinearMaps.from_data(x, schedule), LinearMaps((3,), schedule)
    mean, cov = x.mean(0), torch.from_numpy(np.cov(x.T.numpy(), bias=True))
    before, best = net.losses(mean, cov), exact.losses(mean, cov)
    averaged, steps, batch = Averaged(net, 0.995), 1500, 64
    for _ in training(
        net,
        draws_at_all_levels(x, net.levels, batch),
        steps=steps,
        lr=3e-2,
        rate="cosine",
        ema=averaged,
    ):
        pass
    floor = (
        best * 4 / (batch * steps)
    )  # what least squares with d + 1 unknowns an output loses on as many draws
    assert isinstance(averaged.net, LinearMaps)
    excess = averaged.net.losses(mean, cov) - best
    assert (excess >= -1e-12).all()
    assert (excess < 20 * floor).all(), excess / floor
    assert (20 * floor < 0.02 * (before - best)).all()


def test_fit_trains_it_on_random_levels_like_any_network():
    x, schedule = normal(64, 1, 2, 2).float() + 0.5, VP.linear(5, 0.1, 0.5)
    net = LinearMaps((1, 2, 2), schedule, dtype="float32")
    mean, cov = x.mean(0), np.cov(x.flatten(1).T.numpy(), bias=True)
    before = net.losses(mean, cov)
    batches = (x[torch.randint(64, (128,), generator=generator(1, step))] for step in range(800))
    net = fit(net, batches, scheduled(schedule), lr=1e-2, ema=0.99)
    assert isinstance(net, LinearMaps)
    best = LinearMaps.from_data(x, schedule).losses(mean, cov)
    assert (net.losses(mean, cov) - best < 0.05 * (before - best)).all()


def test_a_level_that_is_not_drawn_is_not_trained():
    net = LinearMaps((3,), VP.linear(6), dtype="float32")
    sigma = net.levels[[1, 4]].float()
    denoising_loss(net, normal(2, 3).float(), sigma, normal(2, 3, seed=1).float()).backward()
    gradient = net.maps.get_parameter("weight").grad
    assert gradient is not None
    assert [t for t in range(6) if gradient[t].abs().max() > 0] == [1, 4]


def test_linear_maps_of_several_data_sets_are_a_fleet():
    members = [
        LinearMaps.closed_form(*moments(4, seed=10 * i), VP.linear(7), dense=True) for i in range(3)
    ]
    fleet, x, sigma = Fleet(members), normal(3, 5, 4), normal(3, 5, seed=1).exp()
    for i, member in enumerate(members):
        torch.testing.assert_close(fleet(x, sigma)[i], member(x[i], sigma[i]))
    assert torch.equal(fleet.weight(sigma), sigma**-2)
    doubled = {name: 2 * p for name, p in members[0].named_parameters()}
    assert not torch.equal(
        functional_call(members[0], doubled, (x[0], sigma[0])), members[0](x[0], sigma[0])
    )


# ---- samples


def noises(seed: int):
    draw = generator(seed)
    return lambda x: torch.randn(x.shape, generator=draw, dtype=x.dtype)


def beta_step(D, u: Tensor, sigma: Tensor, beta: Tensor, last: bool, noise) -> Tensor:
    """``(u - beta/sqrt(1-abar) eps)/sqrt(1-beta) + sqrt(beta) noise``, no noise at the last step:
    the slides' update of u_t itself.
    """
    alpha = torch.rsqrt(1 + sigma**2)
    eps = (u / alpha - D(u / alpha, sigma)) / sigma
    mean = (u - beta / (sigma * alpha) * eps) / torch.sqrt(1 - beta)
    return mean if last else mean + torch.sqrt(beta) * noise(u)


def check_law(
    samples: Tensor, mean: Tensor, basis: Tensor, factor: Tensor, variances: Tensor
) -> None:
    """Samples are N(V diag(factor) V^T mean, V diag(variances) V^T) to the Monte-Carlo error of
    every moment along the modes V.
    """
    (n, d), parts = samples.shape, samples.double() @ basis
    z, rounding = sigmas(d + d * (d + 1) // 2), 10 * torch.finfo(samples.dtype).eps
    assert (
        (parts.mean(0) - factor * (mean @ basis)).abs() <= z * torch.sqrt(variances / n) + rounding
    ).all()
    products = variances[:, None] * variances
    error = torch.sqrt((products + torch.diag(variances**2)) / n)
    assert ((torch.cov(parts.T) - torch.diag(variances)).abs() <= z * error + rounding).all()


@pytest.mark.parametrize("posterior_variance", [True, False])
@pytest.mark.parametrize(("ridge", "k"), [(0.0, None), (0.3, None), (0.0, 2.0)])
def test_ddpm_samples_have_the_predicted_law(
    posterior_variance: bool, ridge: float, k: float | None
):
    (mean, cov), schedule, n = moments(5, 3, scale=0.8), VP.linear(60, 1e-3, 0.15), 20_000
    D = LinearMaps.closed_form(mean, cov, schedule, ridge=ridge, k=k)
    start = normal(n, 5, seed=3)
    if posterior_variance:
        samples = sample(
            D,
            start * torch.sqrt(1 + D.levels[-1] ** 2),
            uniform(60, schedule),
            ancestral,
            noises(4),
        )
    else:
        samples, noise = start, noises(4)
        for t in reversed(range(60)):
            samples = beta_step(D, samples, D.levels[t], schedule.betas[t], t == 0, noise)
    lam, basis = torch.linalg.eigh(cov)
    lam = lam.clamp_min(0)
    variances = ddpm_law(
        lam, schedule.betas, ridge=ridge, k=k, posterior_variance=posterior_variance
    )
    check_law(
        samples,
        mean,
        basis,
        torch.as_tensor(ddpm_mean(lam, schedule.betas, ridge=ridge, k=k)),
        torch.as_tensor(variances),
    )


@pytest.mark.slow
def test_a_hundred_thousand_ddpm_samples_on_the_slides_schedule_have_the_predicted_covariance():
    schedule, n = slides(1000), 100_000
    mean, lam, basis = (
        normal(8),
        torch.logspace(-3, 0.5, 8, dtype=torch.float64),
        torch.linalg.qr(normal(8, 8, seed=1)).Q,
    )
    D = LinearMaps.closed_form(mean, (basis * lam) @ basis.T, schedule).float()
    start = math.sqrt(1 + float(D.levels[-1]) ** 2) * normal(n, 8, seed=3).float()
    noise = noises(4)
    samples = torch.cat(
        [sample(D, part, uniform(1000, schedule), ancestral, noise) for part in start.split(10_000)]
    )
    variances = torch.as_tensor(ddpm_law(lam, schedule.betas, posterior_variance=True))
    factor = torch.as_tensor(ddpm_mean(lam, schedule.betas))
    check_law(samples, mean, basis, factor, variances)
    for other in (
        lam,
        torch.as_tensor(ddpm_law(lam, schedule.betas)),
    ):  # neither the covariance itself nor another noise is what was sampled
        with pytest.raises(AssertionError):
            check_law(samples, mean, basis, factor, other)


def test_ddim_samples_are_the_linear_map_that_the_recursion_says():
    (mean, cov), schedule = moments(6, 4), VP.linear(80, 1e-3, 0.1)
    D = LinearMaps.closed_form(mean, cov, schedule, ridge=0.1, scaled=True, k=5.0)
    lam, basis = torch.linalg.eigh(cov)
    lam = lam.clamp_min(0)
    scale = torch.sqrt(1 + D.levels[-1] ** 2)
    ends = sample(
        D,
        scale * torch.cat([torch.zeros(1, 6), torch.eye(6)]).double(),
        uniform(80, schedule),
        euler,
    )
    slope = (ends[1:] - ends[0]).T
    grid = torch.cat([abars(schedule).flip(0), torch.ones(1)])
    ridges = 0.1 * grid
    law = torch.as_tensor(ddim_law(lam, grid, ridge=ridges, k=5.0))
    torch.testing.assert_close(slope @ slope.T, (basis * law) @ basis.T, rtol=1e-9, atol=1e-10)
    factor = torch.as_tensor(ddim_mean(lam, grid, ridge=ridges, k=5.0))
    torch.testing.assert_close(ends[0], basis @ (factor * (basis.T @ mean)), rtol=1e-9, atol=1e-9)


def test_other_samplers_call_it_between_and_beyond_its_levels():
    (mean, cov), levels = moments(5), karras(20)
    start = 80 * normal(6, 5, seed=2)
    want = sample(Gaussian(mean, cov), start, levels, heun)
    torch.testing.assert_close(
        sample(LinearMaps.closed_form(mean, cov, slides(1000)), start, levels, heun),
        want,
        rtol=1e-9,
        atol=1e-9,
    )
    dense = LinearMaps.closed_form(mean, cov, slides(1000), dense=True)
    torch.testing.assert_close(sample(dense, start, levels, heun), want, rtol=0.02, atol=0.02)


# ---- files, size, bad input


@pytest.mark.parametrize("rank", [None, 0, 2, 4])
def test_save_and_load(rank: int | None, tmp_path):
    D = LinearMaps((2, 2), VP.cosine(9), rank=rank, max_memory="5 MB")
    for name, p in D.maps.named_parameters():
        p.data = normal(*p.shape, seed=len(name))
    for dtype in (torch.float64, torch.float32):
        again = load(save(D.to(dtype), tmp_path / "d.safetensors"))
        x = normal(3, 2, 2).to(dtype)
        assert torch.equal(again(x, torch.tensor(0.4)), D(x, torch.tensor(0.4)))
        assert isinstance(again, LinearMaps)
        assert again.config == D.config
        assert next(again.parameters()).dtype == dtype


def test_foreign_files_are_refused(tmp_path):
    path = save(LinearMaps((3,), VP.linear(4), rank=2), tmp_path / "good")
    tensors, config = load_file(path), LinearMaps((3,), VP.linear(4), rank=2).config
    changed = {
        "rank": 3,
        "shape": [4],
        "schedule": [0.1, 2.0, 0.1, 0.1],
        "dtype": "pickle",
        "max_memory": "lots",
    }
    for key, value in {**changed, "unknown": 1}.items():
        about = {"kind": "denoiser", "config": {**config, key: value}}
        save_file(tensors, tmp_path / key, {"denoscope": json.dumps(about)})
        with pytest.raises(ValueError, match="does not fit its own configuration"):
            load(tmp_path / key)
    save_file(
        {"w": torch.zeros(2)},
        tmp_path / "tensors",
        {"denoscope": json.dumps({"kind": "denoiser", "config": config})},
    )
    with pytest.raises(ValueError, match="does not fit its own configuration"):
        load(tmp_path / "tensors")


def test_many_levels_of_large_images_fit_and_a_matrix_each_does_not():
    x = torch.randn(40, 1, 28, 28, generator=generator(1))
    D = LinearMaps.from_data(x, slides(1000))
    assert sum(p.numel() * p.element_size() for p in D.parameters()) < 2e6
    assert D(x, torch.tensor(0.5)).shape == x.shape
    with pytest.raises(
        ValueError,
        match=r"dense maps at 1000 levels of 784 numbers take 4\.5\d GiB, more than max_memory",
    ):
        LinearMaps.from_data(x, slides(1000), dense=True)
    with pytest.raises(ValueError, match="max_memory"):
        LinearMaps((784,), slides(1000))
    assert LinearMaps((784,), VP.linear(2), max_memory="20MB").size == 784


MEAN, COV = moments(3)
CROOKED = COV + torch.tensor([[0, 1, 0], [0, 0, 0], [0, 0, 0.0]])
S = VP.linear(4)
WRONG = {
    "crooked": (lambda: LinearMaps.closed_form(MEAN, CROOKED, S), "cov0 must be symmetric"),
    "negative": (
        lambda: LinearMaps.closed_form(MEAN, -COV, S),
        "cov0 must have no negative eigenvalue",
    ),
    "oblong": (lambda: LinearMaps.closed_form(MEAN, COV[:2], S), "cov0 must be a square matrix"),
    "size": (lambda: LinearMaps.closed_form(MEAN[:2], COV, S), "mean0 must have"),
    "scalar": (
        lambda: LinearMaps.closed_form(torch.tensor(1.0), torch.ones(1, 1), S),
        "mean0 must have",
    ),
    "nan mean": (lambda: LinearMaps.closed_form(MEAN * math.nan, COV, S), "mean0 must be finite"),
    "nan cov": (lambda: LinearMaps.closed_form(MEAN, COV * math.nan, S), "cov0 must be finite"),
    "nan data": (lambda: LinearMaps.from_data(torch.full((4, 2), math.nan), S), "x must be finite"),
    "one item": (lambda: LinearMaps.from_data(torch.ones(1, 2), S), "x must be data .* N >= 2"),
    "no axis": (lambda: LinearMaps.from_data(torch.ones(3), S), "x must be data"),
    "betas": (lambda: LinearMaps.closed_form(MEAN, COV, [0.1, 1.0]), r"betas must lie in \(0, 1\)"),
    "ridge": (lambda: LinearMaps.closed_form(MEAN, COV, S, ridge=-0.1), "ridge must be at least 0"),
    "nan ridge": (
        lambda: LinearMaps.from_data(torch.eye(3), S, ridge=math.nan),
        "ridge must be at least 0",
    ),
    "infinite ridge": (
        lambda: LinearMaps.closed_form(MEAN, COV, S, ridge=math.inf),
        "ridge must be at least 0 and finite",
    ),
    "ridges": (
        lambda: LinearMaps.closed_form(MEAN, COV, S, ridge=[0.1, 0.2]),
        "ridge must be one number, or one for each of the 4",
    ),
    "k": (lambda: LinearMaps.closed_form(MEAN, COV, S, k=-1.0), "k must be at least 0"),
    "steps": (lambda: LinearMaps.descended(MEAN, COV, S, 0.1, -1), "steps must be at least 0"),
    "rank": (lambda: LinearMaps((3,), S, rank=4), "rank must lie between 0 and the 3"),
    "dtype": (lambda: LinearMaps((3,), S, dtype="int8"), "dtype must be one of"),
    "shape": (lambda: LinearMaps((), S), "shape must name at least one axis"),
    "descent of a closed form": (
        lambda: descend(LinearMaps.closed_form(MEAN, COV, S), MEAN, COV, 0.1),
        "only dense maps descend",
    ),
    "descent size": (
        lambda: descend(LinearMaps((4,), S), MEAN, COV, 0.1),
        "mean0 must have the model's 4 numbers",
    ),
    "losses": (
        lambda: LinearMaps((4,), S).losses(MEAN, COV),
        "mean must have the model's 4 numbers",
    ),
    "losses cov": (lambda: LinearMaps((3,), S).losses(MEAN, CROOKED), "cov must be symmetric"),
    "time": (lambda: LinearMaps((3,), S).affine(4), "t must be a whole time, 0 ... 3"),
    "event": (
        lambda: LinearMaps((2, 3), S)(torch.zeros(5, 3, 2), torch.tensor(1.0)),
        r"does not end in the event shape \(2, 3\)",
    ),
    "sigma": (
        lambda: LinearMaps((2,), S)(torch.zeros(5, 2), torch.ones(5, 2)),
        "more axes than the batch",
    ),
    "prefix": (lambda: LinearMaps((2,), S)(torch.zeros(5, 2), torch.ones(4)), "is not a prefix"),
    "training a closed form": (
        lambda: next(training(LinearMaps.closed_form(MEAN, COV, S), [])),
        "nothing to train",
    ),
    "fleet": (lambda: Fleet([LinearMaps((3,), S), MLP((3,))]), "member 1 differs"),
}


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG.keys())
def test_bad_input_is_one_clear_line(wrong, message: str):
    with pytest.raises(ValueError, match=message) as caught:
        wrong()
    assert "\n" not in str(caught.value)
