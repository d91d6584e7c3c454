"""Sampling laws of linear models: recursions, closed sums, integrals and samplers written out by
hand all say the same.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy.integrate import quad, solve_ivp
from scipy.special import exp1, expi

from denoscope.theory.linear.integrals import damped_ein, ein
from denoscope.theory.linear.laws import (
    abars,
    ddim_law,
    ddim_mean,
    ddpm_law,
    ddpm_mean,
    ddpm_moments,
    ode_law,
    ode_mean,
    realised_c,
    sde_law,
    sde_mean,
    slide_betas,
)
from denoscope.theory.linear.optimum import optimal, optimal_bias

LAM = np.array([0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0])
SCHEDULES = {
    "slides": slide_betas(),
    "short": slide_betas(100),
    "ho": np.linspace(1e-4, 2e-2, 1000),
    "cosine-like": np.clip(np.sin(np.linspace(0.01, np.pi / 2, 50)) ** 2, 1e-4, 0.99),
    "falling": np.linspace(0.3, 0.01, 20),
    "one": np.array([0.4]),
}
every = pytest.mark.parametrize("betas", SCHEDULES.values(), ids=SCHEDULES.keys())


def noisy(lam, y):
    return y * lam + 1 - y


def rising(betas):
    return np.append(abars(betas)[::-1], 1.0)


def weight(lam, y, ridge, k):
    total = noisy(lam, y) + ridge
    if k is None:
        return 1 / total
    return np.where(total > 0, -np.expm1(-k * total) / np.where(total > 0, total, 1.0), k)


# --- DDPM
# ----------


def test_slide_schedule():
    betas = slide_betas()
    np.testing.assert_allclose(
        [betas[0], betas[-1], abars(betas)[-1]], [1.099e-4, 1e-2, 6.27053e-3], rtol=1e-5
    )
    np.testing.assert_allclose(abars([0.1, 0.5]), [0.9, 0.45], rtol=1e-15)


def ddpm_noise(betas, last_noise, posterior_variance):
    y = abars(betas)
    before = np.append(1.0, y[:-1])
    noise = betas * (1 - before) / (1 - y) if posterior_variance else betas.copy()
    noise[0] *= last_noise
    return noise


@every
@pytest.mark.parametrize(
    ("last_noise", "posterior_variance"),
    [(False, False), (True, False), (False, True), (True, True)],
)
def test_ddpm_at_the_optimum_is_its_closed_sum(betas, last_noise, posterior_variance):
    y = abars(betas)
    noise = ddpm_noise(betas, last_noise, posterior_variance)
    total = y[-1] / noisy(LAM, y[-1]) ** 2
    for t in range(1, len(betas)):
        total = total + noise[t] * y[t - 1] / noisy(LAM, y[t - 1]) ** 2
    found = ddpm_law(LAM, betas, last_noise=last_noise, posterior_variance=posterior_variance)
    np.testing.assert_allclose(found, LAM**2 * total + noise[0], rtol=1e-12)


@every
@pytest.mark.parametrize("k", [None, 0.0, 0.7, 300.0])
def test_ddpm_is_the_recursion_written_out(betas, k):
    random = np.random.default_rng(0)
    ridge, y, noise = (
        random.exponential(0.1, len(betas)),
        abars(betas),
        ddpm_noise(betas, True, False),
    )
    variance, mean = np.ones_like(LAM), np.zeros_like(LAM)
    for t in reversed(range(len(betas))):
        q = weight(LAM, y[t], ridge[t], k)
        gain = (1 - betas[t] * q) / np.sqrt(1 - betas[t])
        variance = gain**2 * variance + noise[t]
        mean = gain * mean + betas[t] * q * np.sqrt(y[t]) / np.sqrt(1 - betas[t])
    np.testing.assert_allclose(
        ddpm_law(LAM, betas, ridge=ridge, k=k, last_noise=True), variance, rtol=1e-11
    )
    np.testing.assert_allclose(
        ddpm_mean(LAM, betas, ridge=ridge, k=k), mean, rtol=1e-11, atol=1e-12
    )
    both = ddpm_moments(LAM, betas, ridge=ridge, k=k, last_noise=True)
    np.testing.assert_allclose(both, [variance, mean], rtol=1e-11, atol=1e-12)


@every
def test_several_training_times_are_several_models(betas):
    times = np.array([0.0, 0.7, 300.0, np.inf])
    found = ddpm_law(LAM, betas, k=times[:, None], posterior_variance=True)
    alone = [ddpm_law(LAM, betas, k=float(k), posterior_variance=True) for k in times]
    np.testing.assert_allclose(found, alone, rtol=1e-13)


@every
def test_ddpm_laws_that_are_exact(betas):
    assert ddpm_law(0.0, betas) == 0
    assert ddpm_law(0.0, betas, posterior_variance=True, last_noise=True) == 0
    np.testing.assert_allclose(ddpm_law(0.0, betas, last_noise=True), betas[0], rtol=1e-14)
    np.testing.assert_allclose(ddpm_law(1.0, betas, last_noise=True), 1.0, rtol=1e-13)
    y = abars(betas)[-1]
    np.testing.assert_allclose(
        ddpm_mean(LAM, betas), 1 - y * LAM / noisy(LAM, y), rtol=1e-12, atol=1e-14
    )


@every
@pytest.mark.parametrize("k", [None, 5.0])
def test_ridge_proportional_to_abar_adds_to_the_spectrum(betas, k):
    gamma, y, grid = 0.07, abars(betas), rising(betas)
    np.testing.assert_allclose(
        ddpm_law(LAM, betas, ridge=gamma * y, k=k), ddpm_law(LAM + gamma, betas, k=k), rtol=1e-12
    )
    np.testing.assert_allclose(
        ddim_law(LAM, grid, ridge=gamma * grid, k=k), ddim_law(LAM + gamma, grid, k=k), rtol=1e-12
    )
    np.testing.assert_allclose(
        ode_law(LAM, y[-1], ridge=gamma, k=k, scaled=True),
        ode_law(LAM + gamma, y[-1], k=k),
        rtol=1e-14,
    )
    np.testing.assert_allclose(
        sde_law(LAM, y[-1], ridge=gamma, k=k, scaled=True),
        sde_law(LAM + gamma, y[-1], k=k),
        rtol=1e-14,
    )


def test_numbers_of_the_slide_schedule():
    """Rows lam; columns DDPM, with last noise, with the posterior variance, DDIM, ODE, SDE. From an
    independent implementation.
    """
    table = np.array(
        [
            [0, 1.099e-4, 0, 0, 0, 0],
            [6.51e-5, 1.75e-4, 4.18e-5, 4.55e-5, 1.006e-4, 1e-4],
            [9.74e-4, 1.084e-3, 7.88e-4, 8.61e-4, 1.006e-3, 1e-3],
            [1.0075e-2, 1.0185e-2, 9.388e-3, 9.768e-3, 1.0063e-2, 1e-2],
            [0.10037, 0.10048, 0.09820, 0.09985, 0.10057, 0.1],
            [0.99989, 1.0, 0.99355, 0.99731, 1, 1],
            [9.943, 9.944, 9.928, 9.447, 9.466, 9.968],
            [84.85, 84.85, 84.82, 61.62, 61.70, 85.18],
        ]
    )
    betas = slide_betas()
    y = abars(betas)[-1]
    found = [
        ddpm_law(LAM, betas),
        ddpm_law(LAM, betas, last_noise=True),
        ddpm_law(LAM, betas, posterior_variance=True),
    ]
    found += [ddim_law(LAM, rising(betas)), ode_law(LAM, y), sde_law(LAM, y)]
    np.testing.assert_allclose(np.transpose(found), table, rtol=2e-3)


def test_ddpm_samples_of_a_whole_model_have_the_law():
    """Ancestral sampling with matrices, a mean and a covariance that is not diagonal, in
    float64.
    """
    random = np.random.default_rng(1)
    d, n, betas = 4, 100_000, slide_betas(60) * 8
    x = random.standard_normal((3, d)) @ random.standard_normal((d, d)) + [1.0, -2.0, 0.5, 3.0]
    mean0, cov0 = x.mean(0), np.cov(x.T, bias=True)
    y, ridge = abars(betas), 0.05
    sample = random.standard_normal((n, d))
    for t in reversed(range(len(betas))):
        eps = (sample + optimal_bias(mean0, y[t])) @ optimal(cov0, y[t], ridge).T
        sample = (sample - betas[t] / np.sqrt(1 - y[t]) * eps) / np.sqrt(1 - betas[t])
        sample += (t > 0) * np.sqrt(betas[t]) * random.standard_normal((n, d))
    lam, vectors = np.linalg.eigh(cov0)
    lam = np.maximum(lam, 0)
    law, modes = ddpm_law(lam, betas, ridge=ridge), sample @ vectors
    limit = sigmas(d * d + d)
    assert (
        np.abs(modes.mean(0) - ddpm_mean(lam, betas, ridge=ridge) * (mean0 @ vectors))
        < limit * np.sqrt(law / n)
    ).all()
    scatter = np.sqrt((np.outer(law, law) + np.diag(law**2)) / n)
    assert (np.abs(np.cov(modes.T) - np.diag(law)) < limit * scatter).all()


# --- DDIM
# ----------


@every
@pytest.mark.parametrize("last", [1.0, None])
def test_ddim_at_the_optimum_is_a_product_of_cosines(betas, last):
    grid = rising(betas) if last else np.append(0.5 * abars(betas)[-1], abars(betas)[::-1])
    angle = np.arctan2(np.sqrt(1 - grid), np.sqrt(grid * LAM[:, None]))
    share = noisy(LAM, grid[-1]) / noisy(LAM, grid[0])
    np.testing.assert_allclose(
        ddim_law(LAM, grid),
        share * np.prod(np.cos(np.diff(angle)) ** 2, axis=1),
        rtol=1e-11,
        atol=1e-25,
    )
    assert (ddim_law(LAM, grid) <= share * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("steps", "contraction"),
    [(10, 0.78), (20, 0.88), (50, 0.952), (100, 0.976), (200, 0.988), (1000, 0.9975)],
)
def test_equal_angles_are_the_best_ddim_grid(steps, contraction):
    lam, end = 3.0, 1e-9
    angle = np.linspace(np.arctan2(np.sqrt(1 - end), np.sqrt(end * lam)), 0, steps + 1)
    best = ddim_law(lam, 1 / (1 + lam * np.tan(angle) ** 2)) * noisy(lam, end) / lam
    np.testing.assert_allclose(best, np.cos(angle[0] / steps) ** (2 * steps), rtol=1e-10)
    np.testing.assert_allclose(best, contraction, atol=5.1e-3 if steps < 50 else 5.1e-4)
    assert best > ddim_law(lam, np.linspace(end, 1, steps + 1)) * noisy(lam, end) / lam


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("k", [None, 0.0, 2.0])
def test_ddim_is_its_step_written_out(eta, k):
    random = np.random.default_rng(2)
    grid = np.sort(random.uniform(0.01, 0.999, 9))
    grid, ridge = np.append(grid, 1.0), random.exponential(0.1, 10)
    variance, mean = np.ones_like(LAM), np.zeros_like(LAM)
    for t, s, gamma in zip(grid[:-1], grid[1:], ridge):
        noise = eta**2 * (1 - s) / (1 - t) * (1 - t / s)
        slope = np.sqrt(1 - t) * weight(LAM, t, gamma, k)  # eps = slope (x - sqrt(t) mu)
        gain = np.sqrt(s / t) * (1 - np.sqrt(1 - t) * slope) + np.sqrt(1 - s - noise) * slope
        variance, mean = gain**2 * variance + noise, gain * (mean - np.sqrt(t)) + np.sqrt(s)
    np.testing.assert_allclose(
        ddim_law(LAM, grid, eta=eta, ridge=ridge, k=k), variance, rtol=1e-11, atol=1e-28
    )
    np.testing.assert_allclose(
        ddim_mean(LAM, grid, eta=eta, ridge=ridge, k=k), mean, rtol=1e-11, atol=1e-14
    )


@every
def test_ddim_with_eta_one_on_every_level_is_ddpm_with_the_posterior_variance(betas):
    for options in ({}, {"k": 3.0}, {"ridge": 0.1}):
        found = ddim_law(LAM, rising(betas), eta=1.0, **options)
        np.testing.assert_allclose(
            found, ddpm_law(LAM, betas, posterior_variance=True, **options), rtol=1e-11, atol=1e-28
        )
        np.testing.assert_allclose(
            ddim_mean(LAM, rising(betas), eta=1.0, **options),
            ddpm_mean(LAM, betas, **options),
            rtol=1e-11,
            atol=1e-14,
        )


def test_ddim_at_the_ends_of_the_spectrum():
    grid = rising(slide_betas(100))
    assert ddim_law(0.0, grid) == 0
    np.testing.assert_allclose(
        ddim_law(1.0, grid[:-1]),
        np.prod(np.cos(np.diff(np.arccos(np.sqrt(grid[:-1])))) ** 2),
        rtol=1e-12,
    )


# --- ODE and SDE
# ----------

RIDGES = [(0.0, False), (0.2, False), (1.0, False), (3.0, False), (0.2, True)]
TIMES = [0.0, 0.1, 3.0, 40.0, 700.0]
MODES = np.array([0.0, 1e-3, 0.03, 0.3, 1 - 1e-9, 1.0, 2.0, 40.0])


def integrated(start, ridge, scaled, k, sde, lam=MODES):
    def slope(y, v):
        q = weight(lam, y, ridge * y if scaled else ridge, k)
        return (v * (1 - 2 * q) + 1) / y if sde else v * (1 - q) / y

    return solve_ivp(
        slope, (start, 1), np.full_like(lam, 0.8), rtol=1e-12, atol=1e-16, method="DOP853"
    ).y[:, -1]


@pytest.mark.parametrize("start", [0.02, 0.8])
@pytest.mark.parametrize(("ridge", "scaled"), RIDGES)
@pytest.mark.parametrize("k", TIMES)
def test_sde_is_its_differential_equation(k, ridge, scaled, start):
    found = sde_law(MODES, start, v_T=0.8, ridge=ridge, k=k, scaled=scaled)
    np.testing.assert_allclose(found, integrated(start, ridge, scaled, k, True), rtol=1e-9)


@pytest.mark.parametrize("start", [1e-3, 0.5])
@pytest.mark.parametrize(("ridge", "scaled"), RIDGES)
@pytest.mark.parametrize("k", TIMES)
def test_ode_is_its_integral(k, ridge, scaled, start):
    found = ode_law(MODES, start, v_T=0.8, ridge=ridge, k=k, scaled=scaled)

    def exponent(lam):
        def slope(log):
            y = np.exp(log)
            return 1 - weight(lam, y, ridge * y if scaled else ridge, k)

        near = np.log1p(-min(0.1, 1 / (1 + k)))
        return sum(
            quad(slope, a, b, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
            for a, b in [(np.log(start), min(near, -1e-3)), (min(near, -1e-3), 0)]
        )

    np.testing.assert_allclose(found, [0.8 * np.exp(exponent(lam)) for lam in MODES], rtol=1e-11)


@pytest.mark.parametrize("start", [1e-4, 0.3])
def test_continuous_laws_at_the_optimum(start):
    lam = np.append(LAM, 1 + 1e-13)
    end = noisy(lam, start)
    np.testing.assert_allclose(ode_law(lam, start, v_T=0.6), 0.6 * lam / end, rtol=1e-13)
    np.testing.assert_allclose(
        sde_law(lam, start), lam * (1 - start * lam / end * (1 - 1 / end)), rtol=1e-12
    )
    np.testing.assert_allclose(ode_mean(lam, start), 1 - np.sqrt(start * lam / end), rtol=1e-12)
    np.testing.assert_allclose(sde_mean(lam, start), 1 - start * lam / end, rtol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 0.3, 1.0, 5.0])
def test_training_for_long_is_training_for_ever(ridge):
    for law in (ode_law, sde_law, ode_mean, sde_mean):
        np.testing.assert_allclose(
            law(LAM[1:], 0.01, ridge=ridge, k=1e14), law(LAM[1:], 0.01, ridge=ridge), rtol=1e-9
        )


def test_early_stopped_ode_in_exponential_integrals():
    start = 0.05
    for lam, k in [(0.2, 3.0), (0.9, 20.0), (2.5, 1.3), (30.0, 0.4), (1e-3, 90.0)]:
        end = noisy(lam, start)
        rest = np.exp(-k) * (expi(k * (1 - lam)) - expi(k * (1 - lam) * start))
        closed = lam / end * np.exp(exp1(k * lam) - exp1(k * end) + rest)
        np.testing.assert_allclose(ode_law(lam, start, k=k), closed, rtol=1e-12)


def test_many_small_steps_are_the_continuous_laws():
    start = abars(slide_betas())[-1]
    for k in (None, 5.0):
        errors = []
        for n in (4000, 8000):
            rates = (1e-2 - 1e-4) * 1000 * (np.arange(n) + 0.5) / n + 0.1
            betas = -np.expm1(np.log(start) * rates / rates.sum())
            errors.append(
                np.abs(
                    ddpm_law(MODES[3:], betas, k=k, last_noise=True)
                    - sde_law(MODES[3:], start, k=k)
                )
            )
            errors.append(
                np.abs(ddim_law(MODES[3:], rising(betas), k=k) - ode_law(MODES[3:], start, k=k))
            )
        for coarse, fine in ((errors[0], errors[2]), (errors[1], errors[3])):
            assert (fine < 0.51 * coarse + 1e-11).all()
            assert (fine < 1e-2 * MODES[3:]).all()


def test_sde_means_are_those_of_many_small_ancestral_steps():
    betas = np.full(40_000, -np.expm1(np.log(0.05) / 40_000))
    np.testing.assert_allclose(
        sde_mean(MODES, 0.05, k=4.0), ddpm_mean(MODES, betas, k=4.0), rtol=2e-4
    )
    np.testing.assert_allclose(
        ode_mean(MODES, 0.05, k=4.0), ddim_mean(MODES, rising(betas), k=4.0), rtol=2e-4
    )


# --- c
# ----------


def test_c_of_unseen_directions_after_early_stopping():
    assert abs(np.exp(-np.euler_gamma) - 0.561459) < 5e-7
    spread = quad(lambda x: np.exp(-2 * float(ein(np.asarray(x)))), 0, 5, epsabs=1e-13)[0]
    spread += quad(lambda x: np.exp(-2 * float(ein(np.asarray(x)))), 5, np.inf, epsabs=1e-13)[0]
    assert abs(spread - 0.747598) < 5e-7
    for k, share in [(1e4, 1e-3), (1e6, 1e-5), (1e9, 1e-8), (1e13, 1e-10)]:
        np.testing.assert_allclose(
            k * ode_law(0.0, 1e-12, k=k), np.exp(-np.euler_gamma), rtol=share
        )
        np.testing.assert_allclose(k * sde_law(0.0, 1e-12, k=k), spread, rtol=share)
    fine = np.full(20_000, -np.expm1(np.log(1e-4) / 20_000))
    np.testing.assert_allclose(realised_c(0.0, fine, k=20.0), sde_law(0.0, 1e-4, k=20.0), rtol=0.02)
    np.testing.assert_allclose(
        realised_c(0.0, fine, sampler="ddim", k=20.0), ode_law(0.0, 1e-4, k=20.0), rtol=0.02
    )


def test_c_of_a_ridge():
    lam = np.array([0.01, 0.1, 0.5, 1.0, 2.0])
    betas = np.full(3000, -np.expm1(np.log(1e-7) / 3000))
    first_order = {"sde": 1 + lam, "ode": 1 + lam * (np.log(1e7 / lam) - 1), "ddpm": 1 + lam}
    for sampler, expected in first_order.items():
        bare = realised_c(lam, betas, sampler=sampler)
        np.testing.assert_allclose(
            (realised_c(lam, betas, sampler=sampler, ridge=1e-5) - bare) / 1e-5,
            expected,
            rtol=0.05 if sampler == "ddpm" else 1e-3,
        )
        if sampler != "ddpm":
            np.testing.assert_allclose(
                realised_c(lam, betas, sampler=sampler, ridge=1e-3, scaled=True) / 1e-3,
                1,
                rtol=1e-3,
            )
    scaled = realised_c(lam, slide_betas(), ridge=0.02, scaled=True)
    np.testing.assert_allclose(scaled, ddpm_law(lam + 0.02, slide_betas()) - lam, rtol=1e-12)


def test_c_without_regularisation():
    betas = slide_betas()
    assert realised_c(0.0, betas) == 0
    np.testing.assert_allclose(realised_c(0.0, betas, last_noise=True), betas[0], rtol=1e-13)
    np.testing.assert_allclose(
        realised_c(LAM, betas, sampler="ddim", eta=0.5),
        ddim_law(LAM, rising(betas), eta=0.5) - LAM,
        rtol=1e-14,
    )
    np.testing.assert_allclose(
        realised_c(LAM, betas, sampler="ode"), ode_law(LAM, abars(betas)[-1]) - LAM, rtol=1e-12
    )
    with pytest.raises(TypeError, match="eta"):
        realised_c(LAM, betas, eta=0.5)
    with pytest.raises(ValueError, match=r"^sampler must be one of ddpm, ddim, ode, sde"):
        realised_c(LAM, betas, sampler="heun")


# --- safety
# ----------


def test_entire_exponential_integral():
    def integral(z):
        return quad(
            lambda t: -np.expm1(-t) / t if t else 1.0, 0, z, epsabs=1e-15, epsrel=1e-13, limit=200
        )[0]

    for z in [1e-300, 1e-5, 0.3, 0.999, 1.0, 1.001, 4.0, 45.0, 300.0]:
        np.testing.assert_allclose(ein(np.asarray(z)), integral(z), rtol=1e-12)
    for z in [-1e-5, -0.3, -0.999, -1.001, -4.0, -39.9, -40.1, -49.9, -50.1, -200.0]:
        np.testing.assert_allclose(
            damped_ein(np.asarray(z), 300.0), np.exp(-300) * integral(z), rtol=1e-12
        )
    for z in [-1e5, -1e50]:
        np.testing.assert_allclose(damped_ein(np.asarray(z), -z), 1 / z, rtol=1e-4)
    for joint in (1.0, -1.0, -40.0, -50.0):
        sides = damped_ein(np.array([joint * (1 - 1e-15), joint * (1 + 1e-15)]), 60.0)
        np.testing.assert_allclose(sides[0], sides[1], rtol=2e-13)


@pytest.mark.parametrize("law", [ode_law, sde_law, ode_mean, sde_mean])
def test_nothing_overflows_and_nothing_is_nan(law):
    lam = np.array([0.0, 1e-300, 1e-12, 1e-3, 0.5, 1.0, 1 + 1e-15, 3.0, 1e6])
    for start in (1e-8, 1e-3, 0.5, 1 - 1e-12):
        for ridge in (0.0, 1e-12, 0.5, 1.0, 1e3):
            for k in (None, np.inf, 0.0, 1e-300, 1e-6, 1.0, 50.0, 1e3, 1e9, 1e15, 1e100, 1e308):
                assert np.isfinite(law(lam, start, ridge=ridge, k=k)).all()


def test_shapes_and_kinds_follow_lam():
    betas = slide_betas(10)
    for law in (
        lambda lam: ddpm_law(lam, betas),
        lambda lam: ddim_law(lam, rising(betas)),
        lambda lam: sde_law(lam, 0.1, k=1.0),
    ):
        assert isinstance(law(0.3), float)
        assert law(np.full((2, 3), 0.3)).shape == (2, 3)
        assert isinstance(law(torch.ones(4)), torch.Tensor)
        np.testing.assert_allclose(law([0.3, 0.0]), [law(0.3), law(0.0)], rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1, 1.5, np.nan])
@pytest.mark.parametrize(
    "call", [abars, lambda betas: ddpm_law([1.0], betas), lambda betas: ddpm_mean([1.0], betas)]
)
def test_betas_lie_between_0_and_1(call, beta):
    with pytest.raises(ValueError, match=r"^betas must"):
        call([0.1, beta])
    with pytest.raises(ValueError, match=r"^betas must"):
        call([])


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("lam", lambda: ddpm_law([-1.0], [0.1])),
        ("lam", lambda: sde_law([np.nan], 0.1)),
        ("ridge", lambda: ddpm_law([1.0], [0.1, 0.2], ridge=[0.1, 0.2, 0.3])),
        ("ridge", lambda: ode_law([1.0], 0.1, ridge=-1.0)),
        ("k", lambda: ddpm_law([1.0], [0.1], k=-1.0)),
        ("abars", lambda: ddim_law([1.0], [1.0, 0.5])),
        ("abars", lambda: ddim_law([1.0], [0.0, 0.5])),
        ("abars", lambda: ddim_law([1.0], [0.5])),
        ("eta", lambda: ddim_law([1.0], [0.5, 0.9], eta=-1.0)),
        ("eta", lambda: ddim_law([1.0], [0.5, 0.9], eta=9.0)),
        ("abar_T", lambda: ode_law([1.0], 1.0)),
        ("v_T", lambda: sde_law([1.0], 0.5, v_T=-1.0)),
        ("steps", lambda: slide_betas(0)),
    ],
)
def test_bad_input_is_one_clear_line(name, call):
    with pytest.raises(ValueError, match=rf"^{name} ") as raised:
        call()
    assert "\n" not in str(raised.value)
