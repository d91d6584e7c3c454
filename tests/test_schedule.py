"""Schedules invert themselves, agree with their published formulas, and levels have the law that
they claim.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rates import FAILURE_RATE
from scipy import integrate, stats
from torch.func import vmap

from denoscope.levels import karras, log_normal, log_uniform, scheduled, uniform
from denoscope.random import generator
from denoscope.schedule import OU, VE, VP, VPSDE, Flow, SubVP, from_betas

DISCRETE = {
    "linear": VP.linear(),
    "cosine": VP.cosine(200),
    "scaled": VP.scaled_linear(),
    "betas": from_betas([0.1, 0.3, 0.2]),
}
CONTINUOUS = {
    "vp": VPSDE(),
    "sub-vp": SubVP(),
    "ve": VE(),
    "flow": Flow(),
    "ou": OU(),
    "constant": VPSDE(2.0, 2.0),
}
every = pytest.mark.parametrize(
    "schedule", [*DISCRETE.values(), *CONTINUOUS.values()], ids=[*DISCRETE, *CONTINUOUS]
)
discrete = pytest.mark.parametrize("schedule", DISCRETE.values(), ids=DISCRETE.keys())


def times(schedule):
    return schedule.quantile(torch.linspace(0, 1, 57, dtype=torch.float64))


@every
def test_time_inverts_sigma(schedule):
    t = times(schedule)
    torch.testing.assert_close(schedule.time(schedule.sigma(t)), t, rtol=1e-9, atol=1e-9)


@every
def test_sigma_is_std_over_alpha_and_grows(schedule):
    t = times(schedule)
    torch.testing.assert_close(
        schedule.sigma(t), schedule.std(t) / schedule.alpha(t), rtol=1e-12, atol=0
    )
    assert bool((schedule.sigma(t.unique()).diff() > 0).all())


@every
def test_types_and_shapes_follow_the_time(schedule):
    t = times(schedule)[:6].reshape(2, 3)
    assert schedule.alpha(t.float()).dtype == torch.float32
    assert schedule.alpha(t).shape == (2, 3)
    assert schedule.sigma(1).dtype == schedule.sigma(torch.tensor([1])).dtype == torch.float64
    assert torch.equal(
        vmap(schedule.time)(torch.tensor([0.3, 2.0])), schedule.time(torch.tensor([0.3, 2.0]))
    )


@pytest.mark.parametrize("schedule", [*DISCRETE.values(), VPSDE(), OU()])
def test_variance_preserving(schedule):
    t = times(schedule)
    torch.testing.assert_close(schedule.alpha(t) ** 2 + schedule.std(t) ** 2, torch.ones_like(t))


@discrete
def test_alpha_is_the_root_of_the_cumulative_product(schedule):
    abar = np.cumprod(1 - schedule.betas.numpy())
    t = torch.arange(len(schedule))
    np.testing.assert_allclose(schedule.alpha(t).numpy(), np.sqrt(abar), rtol=1e-12)
    np.testing.assert_allclose(schedule.std(t).numpy(), np.sqrt(1 - abar), rtol=1e-9)


def test_linear_betas_reach_the_published_end():
    schedule = VP.linear()
    assert schedule.betas[0] == 1e-4
    assert float(schedule.alpha(999) ** 2) == pytest.approx(
        4.04e-5, rel=2e-3
    )  # abar_T of DDPM's schedule


def test_cosine_follows_its_formula():
    abar = VP.cosine(1000).alpha(torch.arange(900)) ** 2
    t = (torch.arange(900, dtype=torch.float64) + 1) / 1000
    want = (
        torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
        / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    )
    torch.testing.assert_close(abar, want, rtol=1e-9, atol=0)


def test_scaled_linear_is_linear_in_the_root():
    roots = VP.scaled_linear(10).betas.sqrt()
    torch.testing.assert_close(roots.diff(), roots.diff()[:1].expand(9))


def test_times_beyond_the_ends_are_held():
    schedule = VP.linear()
    assert schedule.time(0.0) == 0
    assert schedule.time(1e9) == 999
    assert from_betas([0.5]).time(7.0) == 0
    assert from_betas([0.5]).sigma(0) == 1


@pytest.mark.parametrize("t", [0.01, 0.4, 1.0])
def test_continuous_alphas_solve_their_equations(t):
    rate = integrate.quad(lambda s: 0.1 + 19.9 * s, 0, t)[0]
    assert float(VPSDE().alpha(t)) == pytest.approx(math.exp(-rate / 2))
    assert float(SubVP().std(t)) == pytest.approx(1 - math.exp(-rate))
    assert float(Flow().alpha(t)) == pytest.approx(1 - t)
    assert float(VE(0.01, 50.0).sigma(t)) == pytest.approx(0.01 ** (1 - t) * 50**t)
    assert float(OU().std(t)) ** 2 == pytest.approx(1 - math.exp(-2 * t))
    assert float(VPSDE(2.0, 2.0).sigma(t)) == pytest.approx(float(OU().sigma(t)))


def test_discrete_vp_tends_to_the_continuous_one():
    steps = 20000
    fine = VP.linear(steps, 0.1 / steps, 20 / steps)
    assert float(fine.sigma((steps - 1) / 2)) == pytest.approx(float(VPSDE().sigma(0.5)), rel=1e-3)


def test_karras_is_the_published_rule():
    levels = karras(18)
    i = np.arange(18)
    want = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    assert levels.dtype == torch.float64
    assert levels.shape == (19,)
    np.testing.assert_allclose(levels[:-1].numpy(), want, rtol=1e-12)
    assert levels[0] == 80
    assert levels[-2] == 0.002
    assert levels[-1] == 0
    assert karras(1).tolist() == [80, 0]


@every
def test_uniform_levels_fall_to_zero(schedule):
    levels = uniform(3, schedule)
    assert levels.shape == (4,)
    assert bool((levels.diff() < 0).all())
    assert levels[-1] == 0


@discrete
def test_uniform_levels_of_all_times_are_the_schedule(schedule):
    T = len(schedule)
    torch.testing.assert_close(uniform(T, schedule)[:-1], schedule.sigma(torch.arange(T).flip(0)))


LEVELS = {
    "log-normal": (log_normal(-0.8, 1.2), lambda s: stats.norm.cdf(np.log(s), -0.8, 1.2)),
    "log-uniform": (log_uniform(0.01, 50), lambda s: np.log(s / 0.01) / np.log(50 / 0.01)),
    "scheduled": (
        scheduled(VPSDE()),
        lambda s: (VPSDE().time(torch.as_tensor(s)).numpy() - 1e-3) / (1 - 1e-3),
    ),
}


@pytest.mark.parametrize(("levels", "law"), LEVELS.values(), ids=LEVELS.keys())
def test_training_levels_have_their_law(levels, law):
    drawn = levels(4000, generator(3))
    assert drawn.shape == (4000,)
    assert drawn.dtype == torch.float32
    assert torch.equal(drawn, levels(4000, generator(3)))
    assert stats.kstest(law(drawn.double().numpy()), "uniform").pvalue > FAILURE_RATE


def test_scheduled_levels_of_a_discrete_schedule_are_uniform_over_its_times():
    schedule = VP.linear(5, 0.1, 0.2)
    drawn = schedule.time(scheduled(schedule)(5000, generator(4)).double())
    torch.testing.assert_close(drawn, drawn.round(), atol=1e-5, rtol=0)
    assert (
        stats.chisquare(np.bincount(drawn.round().long().numpy(), minlength=5)).pvalue
        > FAILURE_RATE
    )


MISTAKES = {
    "beta_max": lambda: VP.linear(beta_max=1.5),
    "beta_min": lambda: VP.linear(beta_min=0.0),
    "betas": lambda: from_betas([0.1, 1.0]),
    "index 1": lambda: from_betas(torch.tensor([0.1, -0.2])),
    "list of numbers": lambda: from_betas([]),
    "steps": lambda: VP.cosine(0),
    "low": lambda: karras(5, low=3.0, high=2.0),
    "n must": lambda: karras(0),
    "rho": lambda: karras(5, rho=0.0),
    "at most 10": lambda: uniform(11, VP.linear(10)),
    "std": lambda: log_normal(std=0.0),
    "horizon": lambda: OU(horizon=0.0),
}


@pytest.mark.parametrize(("message", "mistake"), MISTAKES.items())
def test_mistakes_are_named(message, mistake):
    with pytest.raises(ValueError, match=message):
        mistake()
