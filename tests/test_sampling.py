"""Samplers against exact flows and recursions; their order and noise laws are in test_laws."""

from __future__ import annotations

import pytest
import torch
from rates import sigmas as normal_quantile
from zoo import ZOO, covariances, normal

from denoscope.distributions import Empirical, Gaussian
from denoscope.laws import sampler as laws
from denoscope.levels import karras, uniform
from denoscope.random import Seeds, generator
from denoscope.sampling import ancestral, dpmpp, euler, heun, invert, sample, trajectory
from denoscope.schedule import VP

STEPS = {"euler": lambda: euler, "heun": lambda: heun, "dpmpp": dpmpp}
steps = pytest.mark.parametrize("make_step", STEPS.values(), ids=STEPS.keys())


def gaussian() -> Gaussian:
    return Gaussian(normal(5), covariances(1, 5)[0])


@pytest.mark.parametrize("D", [gaussian(), ZOO["mixture"], ZOO["molrg, general"]])
def test_euler_is_ddim_written_in_vp_coordinates(D):
    """Song et al. 2021, eq. 12 with eta = 0: the predicted noise carries x_t to x_s."""
    schedule, n = VP.linear(50, 1e-3, 0.2), D.event_shape.numel()
    times = torch.arange(49, -1, -1)
    alphas, stds = schedule.alpha(times), schedule.std(times)
    x = normal(4, n, seed=2)
    states = [x]
    for i in range(49):
        sigma = stds[i] / alphas[i]
        noise = (x - alphas[i] * D(x / alphas[i], sigma)) / stds[i]
        x = alphas[i + 1] * (x - stds[i] * noise) / alphas[i] + stds[i + 1] * noise
        states.append(x)
    ours = list(trajectory(D, states[0] / alphas[0], uniform(50, schedule)[:-1], euler))
    for theirs, mine, alpha in zip(states, ours, alphas):
        torch.testing.assert_close(mine, theirs / alpha, rtol=1e-12, atol=1e-12)


def test_ancestral_samples_have_the_covariance_of_the_exact_recursion():
    """DDPM with variance beta-tilde, in VP coordinates, mode by mode: v <- a^2 v + beta-tilde, no
    noise at the last step.
    """
    variances, count = torch.tensor([0.02, 0.5, 1.0, 3.0]).double(), 20000
    schedule = VP.linear(30, 1e-3, 0.3)
    betas = schedule.betas
    abar = torch.cat([torch.ones(1).double(), (1 - betas).cumprod(0)])
    v = torch.ones(4).double()
    for t in range(30, 0, -1):
        slope = (1 - betas[t - 1] / (abar[t] * variances + 1 - abar[t])) / (1 - betas[t - 1]).sqrt()
        v = slope**2 * v + betas[t - 1] * (1 - abar[t - 1]) / (1 - abar[t])
    g = generator(11)
    x = torch.randn(count, 4, generator=g, dtype=torch.float64) / abar[-1].sqrt()
    D = Gaussian(torch.zeros(4).double(), variances.diag())
    drawn = sample(
        D,
        x,
        uniform(30, schedule),
        ancestral,
        lambda z: torch.randn(z.shape, generator=g, dtype=z.dtype),
    )
    z = (drawn.square().mean(0) / v - 1) / (2 / count) ** 0.5
    assert float(z.abs().max()) < normal_quantile(4)
    rotated = drawn / v.sqrt()
    off = (rotated.T @ rotated / count - torch.eye(4).double()).fill_diagonal_(0) * count**0.5
    assert float(off.abs().max()) < normal_quantile(12)


@steps
def test_samplers_reach_the_law_of_a_gaussian_through_the_exact_flow(make_step):
    D, high, low = gaussian(), 40.0, 0.01
    x = high * normal(6, 5, seed=4)
    variances, basis = torch.linalg.eigh(D.cov)
    exact = (
        D.mean
        + ((x - D.mean) @ basis * ((variances + low**2) / (variances + high**2)).sqrt()) @ basis.T
    )
    error = (sample(D, x, karras(400, low, high)[:-1], make_step()) - exact).norm() / exact.norm()
    assert error < (0.02 if make_step() is euler else 1e-4)


@steps
@pytest.mark.parametrize("name", ["mixture", "molrg, unequal", "empirical", "empirical, streamed"])
def test_a_sample_does_not_depend_on_its_batch(make_step, name):
    D = ZOO[name]
    laws.check_independence(D, 20 * normal(5, *D.event_shape), karras(12, 0.01, 20), make_step)


def test_noise_by_seeds_does_not_depend_on_the_batch_either():
    D, levels = gaussian(), karras(6, 0.1, 10)
    x = 10 * Seeds(range(4)).randn((5,), dtype=torch.float64)
    together = sample(D, x, levels, ancestral, Seeds(range(4)).noise())
    torch.testing.assert_close(
        sample(D, x[2:3], levels, ancestral, Seeds([2]).noise()), together[2:3]
    )


@pytest.mark.parametrize(("step", "tolerance"), [(euler, 0.02), (heun, 1e-4)])
def test_inverting_then_sampling_gives_the_point_back(step, tolerance):
    D = gaussian()
    laws.check_inversion(
        D, D.sample(5, generator(1)), karras(300, 0.002, 20), step, tolerance=tolerance
    )
    laws.check_inversion(
        D, D.sample(5, generator(2)), karras(300, 0.002, 20)[:-1], step, tolerance=tolerance
    )


def test_inversion_undoes_the_last_step_to_second_order():
    D, x0 = gaussian(), gaussian().sample(5, generator(1))
    errors = [
        float((sample(D, invert(D, x0, [s, 0.0]), [s, 0.0]) - x0).norm()) for s in (0.02, 0.01)
    ]
    assert errors[0] / errors[1] == pytest.approx(
        16, rel=0.2
    )  # in sigma^2 / lam; the least lam is well above sigma^2


@pytest.mark.parametrize("at", ["lower", "upper"])
def test_both_conventions_of_inversion_are_ddims_written_in_vp_coordinates(at):
    """x' = a' (x - s e)/a + s' e with the noise e that the network sees at either of the times."""
    D, x0, (high, low) = gaussian(), normal(3, 5), torch.tensor([2.0, 0.7]).double()
    a, a_up = (1 + low**2).rsqrt(), (1 + high**2).rsqrt()
    alpha, sigma = (a, low) if at == "lower" else (a_up, high)
    noise = (a * x0 - alpha * D(a * x0 / alpha, sigma)) / (alpha * sigma)
    vp = a_up * (a * x0 - a * low * noise) / a + a_up * high * noise
    torch.testing.assert_close(invert(D, x0, [high, low], at=at), vp / a_up)


@pytest.mark.parametrize("step", [euler, heun])
@pytest.mark.parametrize("at", ["lower", "upper"])
def test_refined_inversion_is_sampled_back_exactly(step, at):
    """The error of a round trip falls by (1 - low/high)(1 - j) at least, and so to rounding."""
    D, levels = gaussian(), karras(25, 0.02, 5.0)
    x0 = D.sample(5, generator(3))

    def error(refine):
        back = sample(D, invert(D, x0, levels, step, at=at, refine=refine), levels, step)
        return float((back - x0).norm() / x0.norm())

    assert error(4) < (1 - levels[1:-1] / levels[:-2]).max() ** 2 * error(2)
    assert error(60) < 1e-12


def test_the_memorizer_lands_on_training_points():
    data = normal(60, 1, 4, 4).float()
    drawn = sample(Empirical(data), 80 * Seeds(range(50)).randn((1, 4, 4)), karras(18))
    nearest = (drawn[:, None] - data).flatten(2).norm(dim=2)
    assert float(nearest.min(1).values.max()) < 1e-4
    assert len(nearest.argmin(1).unique()) > 20


def test_dpmpp_reuses_nothing_across_trajectories():
    D, levels, step = gaussian(), karras(8, 0.05, 20), dpmpp()
    x, y = 20 * normal(3, 5, seed=1), 20 * normal(3, 5, seed=2)
    sample(D, y, levels, step)
    assert torch.equal(sample(D, x, levels, step), sample(D, x, levels, dpmpp()))
    next(states := trajectory(D, y, levels, step))
    next(states)
    assert torch.equal(sample(D, x, levels, step), sample(D, x, levels, dpmpp()))


def test_calls_of_the_denoiser():
    """Heun calls D twice but for the last step, the others once; sigma has shape () and the type of
    x.
    """
    calls = []

    def D(x, sigma):
        calls.append(sigma)
        return x / 2

    for step, count in ((heun, 35), (euler, 18), (dpmpp(), 18)):
        calls.clear()
        assert sample(D, torch.ones(2, 3), karras(18), step).dtype == torch.float32
        assert len(calls) == count
        assert all(sigma.shape == () and sigma.dtype == torch.float32 for sigma in calls)


def test_trajectory_has_a_state_a_level_and_starts_with_x():
    x = 10 * normal(3, 5)
    states = list(trajectory(gaussian(), x, karras(7, 0.1, 10)))
    assert len(states) == 8
    assert states[0] is x
    assert torch.equal(states[-1], sample(gaussian(), x, karras(7, 0.1, 10)))


def test_gradients_only_on_request_and_never_leaking():
    D, x = gaussian(), normal(2, 5).requires_grad_()
    for _ in trajectory(D, x, [3.0, 1.0, 0.0]):
        assert torch.is_grad_enabled()
    assert not sample(D, x, [3.0, 1.0, 0.0]).requires_grad
    assert sample(D, x, [3.0, 1.0, 0.0], grad=True).requires_grad
    assert invert(D, x, [3.0, 1.0, 0.0], grad=True).requires_grad
    with torch.no_grad():
        assert not sample(D, x, [3.0, 1.0, 0.0], grad=True).requires_grad


def test_a_fleet_axis_is_just_another_batch_axis():
    D, x = gaussian(), 10 * normal(3, 4, 5)
    torch.testing.assert_close(
        sample(D, x, karras(9, 0.1, 10)),
        torch.stack([sample(D, row, karras(9, 0.1, 10)) for row in x]),
    )


MISTAKES = {
    "give noise": lambda: sample(gaussian(), normal(2, 5), [2.0, 1.0], ancestral),
    "high to low": lambda: invert(
        gaussian(),
        normal(2, 5),
        [2.0, 1.0],
        lambda D, x, s, t, noise: ancestral(D, x, s, t, torch.randn_like),
    ),
    "strictly falling": lambda: sample(gaussian(), normal(2, 5), [1.0, 2.0]),
    "finite": lambda: sample(gaussian(), normal(2, 5), [torch.inf, 2.0]),
    "at least two": lambda: sample(gaussian(), normal(2, 5), [2.0]),
    "end at 0": lambda: sample(gaussian(), normal(2, 5), [2.0, -1.0]),
    "refine at least 0": lambda: invert(gaussian(), normal(2, 5), [2.0, 1.0], refine=-1),
    '"lower" or "upper"': lambda: invert(gaussian(), normal(2, 5), [2.0, 1.0], at="middle"),
    "floating point": lambda: sample(gaussian(), torch.zeros(2, 5, dtype=torch.long), [2.0, 1.0]),
}


@pytest.mark.parametrize(("message", "mistake"), MISTAKES.items())
def test_mistakes_are_named(message, mistake):
    with pytest.raises(ValueError, match=message):
        mistake()
