"""Learning curves of linear denoisers against gradient flow and probability-flow ODEs that are
integrated numerically.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp
from scipy.special import expi

from denoscope.theory.linear.learning import (
    convolution_weights,
    denoiser_variance,
    denoiser_weights,
    emergence_times,
    fourier_variances,
    two_layer_variance,
    two_layer_weights,
    weight_times,
)

LAM = np.array([0.0, 1e-3, 0.2, 1.0, 30.0])


def random_covariance(seed, d):
    factor = np.random.default_rng(seed).standard_normal((d, d))
    return factor @ factor.T / d


def flowed(gradient, start, tau):
    """The end of gradient flow, -dW/dtau = gradient, over a time tau."""
    shape = start.shape
    slope = lambda _, w: -gradient(w.reshape(shape)).ravel()  # noqa: E731
    return (
        solve_ivp(slope, (0, tau), start.ravel(), rtol=1e-11, atol=1e-13, method="DOP853")
        .y[:, -1]
        .reshape(shape)
    )


@pytest.mark.parametrize("sigma", [0.1, 1.5])
@pytest.mark.parametrize("k", [0.0, 0.3, 2.0])
def test_one_layer_is_gradient_flow_of_a_matrix(k, sigma):
    cov = random_covariance(0, 5)
    lam, vectors = np.linalg.eigh(cov)
    noisy = cov + sigma**2 * np.eye(5)
    found = (
        flowed(lambda w: 2 * (w @ noisy - cov), 0.3 * np.eye(5), 0.5 * k) if k else 0.3 * np.eye(5)
    )
    weights = denoiser_weights(np.maximum(lam, 0), sigma, k, initial=0.3)
    np.testing.assert_allclose((vectors * weights) @ vectors.T, found, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("sigma", [0.1, 1.5])
@pytest.mark.parametrize("k", [0.3, 2.0])
def test_two_layers_are_gradient_flow_of_their_factor(k, sigma):
    """P starts at sqrt(Q) O with any orthogonal O; W = P P^T."""
    cov = random_covariance(1, 5)
    lam, vectors = np.linalg.eigh(cov)
    noisy = cov + sigma**2 * np.eye(5)
    start = np.sqrt(0.02) * np.linalg.qr(np.random.default_rng(2).standard_normal((5, 5)))[0]

    def gradient(p):
        slope = 2 * (p @ p.T @ noisy - cov)
        return (slope + slope.T) @ p

    factor = flowed(gradient, start, 0.5 * k)
    weights = two_layer_weights(np.maximum(lam, 0), sigma, k, initial=0.02)
    np.testing.assert_allclose(
        (vectors * weights) @ vectors.T, factor @ factor.T, rtol=1e-8, atol=1e-9
    )


@pytest.mark.parametrize("initial", [1e-6, 0.3, 0.95])
def test_two_layers_follow_the_sigmoid(initial):
    lam, k, sigma = LAM[1:], np.geomspace(1e-3, 1e3, 50)[:, None], 0.4
    best = lam / (lam + sigma**2)
    sigmoid = best * initial / ((best - initial) * np.exp(-4 * k * lam) + initial)
    np.testing.assert_allclose(
        two_layer_weights(lam, sigma, k, initial=initial), sigmoid, rtol=1e-11
    )
    assert two_layer_weights(0.0, sigma, np.inf, initial=initial) == 0
    np.testing.assert_allclose(
        two_layer_weights(0.0, sigma, 2.0, initial=initial),
        initial / (1 + 8 * initial * sigma**2),
        rtol=1e-12,
    )


def sampled(weight, lam, low, high):
    """sigma_T^2 exp(2 int (1 - w)/sigma d sigma) from sigma_T to sigma_0, by quadrature in ln
    sigma.
    """
    exponent = quad(
        lambda log: 1 - weight(lam, np.exp(log)),
        np.log(high),
        np.log(low),
        epsabs=1e-12,
        epsrel=1e-12,
        limit=400,
    )[0]
    return high**2 * np.exp(2 * exponent)


@pytest.mark.parametrize("initial", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("k", [0.0, 1e-3, 0.5, 20.0, 1e4])
def test_one_layer_variance_is_that_of_the_probability_flow(k, initial):
    found = denoiser_variance(LAM, k, 0.01, 20.0, initial=initial)
    direct = [
        sampled(lambda lam, s: float(denoiser_weights(lam, s, k, initial=initial)), lam, 0.01, 20.0)
        for lam in LAM
    ]
    np.testing.assert_allclose(found, direct, rtol=1e-10)


@pytest.mark.parametrize("initial", [1e-8, 0.1, 1.0])
@pytest.mark.parametrize("k", [0.0, 1e-3, 0.5, 20.0, 1e4])
def test_two_layer_variance_is_that_of_the_probability_flow(k, initial):
    found = two_layer_variance(LAM, k, 0.01, 20.0, initial=initial)
    direct = [
        sampled(
            lambda lam, s: float(two_layer_weights(lam, s, k, initial=initial)), lam, 0.01, 20.0
        )
        for lam in LAM
    ]
    np.testing.assert_allclose(found, direct, rtol=1e-10)


@pytest.mark.parametrize("initial", [0.0, 0.2])
def test_one_layer_variance_in_exponential_integrals(initial):
    """Phi as it was published."""
    lam, k, low, high = LAM[1:4], 0.7, 0.05, 4.0

    def phi(s):
        rest = 0.5 * (1 - initial) * expi(-k * s**2) * np.exp(-k * lam) - 0.5 * expi(
            -k * (s**2 + lam)
        )
        return np.sqrt(lam + s**2) * np.exp(rest)

    found = denoiser_variance(lam, k, low, high, initial=initial)
    np.testing.assert_allclose(found, high**2 * (phi(low) / phi(high)) ** 2, rtol=1e-12)


def test_untrained_and_trained_variances():
    low, high = 0.02, 30.0
    trained = high**2 * (LAM + low**2) / (LAM + high**2)
    for k in (None, np.inf):
        np.testing.assert_allclose(
            denoiser_variance(LAM, k, low, high, initial=0.1), trained, rtol=1e-12
        )
        np.testing.assert_allclose(
            two_layer_variance(LAM[1:], k, low, high, initial=0.1), trained[1:], rtol=1e-12
        )
    np.testing.assert_allclose(denoiser_variance(LAM, 0.0, low, high), low**2, rtol=1e-12)
    np.testing.assert_allclose(
        two_layer_variance(LAM, 0.0, low, high, initial=1.0), high**2, rtol=1e-12
    )
    np.testing.assert_allclose(
        two_layer_variance(0.0, np.inf, low, high, initial=0.1), low**2, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("two_layer", "initial"), [(False, 0.0), (False, 1e-3), (True, 1e-3), (True, 1e-8)]
)
def test_emergence_is_half_way_in_the_logarithm(two_layer, initial):
    law = two_layer_variance if two_layer else denoiser_variance
    low, high, lam = 0.01, 50.0, np.geomspace(0.01, 100, 9)
    times = emergence_times(lam, low, high, initial=initial, two_layer=two_layer)
    before, at, after = (law(lam, k, low, high, initial=initial) for k in (0.0, times, np.inf))
    np.testing.assert_allclose(at, np.sqrt(before * after), rtol=1e-9)
    earlier = law(lam, times * np.linspace(0, 0.999, 50)[:, None], low, high, initial=initial)
    assert (earlier < at).all()


def test_emergence_times_fall_as_one_over_the_variance():
    lam = np.geomspace(0.1, 100, 20)
    for two_layer, initial in [(False, 0.0), (True, 1e-6)]:
        times = emergence_times(lam, 1e-3, 100.0, initial=initial, two_layer=two_layer)
        slope = np.polyfit(np.log(lam), np.log(times), 1)[0]
        assert -1.1 < slope < -0.9
    assert emergence_times(0.0, 0.01, 10.0) == np.inf
    assert emergence_times(1.0, 0.01, 10.0) < np.inf


def test_weights_are_half_way_at_their_times():
    lam, sigma = LAM[1:], 0.3
    best = lam / (lam + sigma**2)
    for initial in (0.0, 1e-4):
        times = weight_times(lam, sigma, initial=initial)
        np.testing.assert_allclose(
            denoiser_weights(lam, sigma, times, initial=initial), best / 2, rtol=1e-10
        )
    np.testing.assert_allclose(weight_times(lam, sigma), np.log(2) / (lam + sigma**2), rtol=1e-12)
    times = weight_times(lam, sigma, initial=1e-4, two_layer=True)
    np.testing.assert_allclose(
        two_layer_weights(lam, sigma, times, initial=1e-4), best / 2, rtol=1e-10
    )
    np.testing.assert_allclose(
        weight_times(lam, sigma, initial=best / 3, two_layer=True),
        np.log(2) / (4 * lam),
        rtol=1e-10,
    )
    assert (
        weight_times(1.0, sigma, initial=0.9)
        == weight_times(1.0, sigma, initial=0.9, two_layer=True)
        == 0
    )
    assert weight_times(0.0, sigma) == np.inf


def stationary(seed, n):
    """A covariance (n, n) that depends on the circular distance alone."""
    spectrum = np.random.default_rng(seed).exponential(size=n // 2 + 1)
    row = np.fft.irfft(spectrum, n)
    return np.stack([np.roll(row, shift) for shift in range(n)])


@pytest.mark.parametrize(
    "cov", [stationary(3, 8), random_covariance(4, 8)], ids=["stationary", "any"]
)
@pytest.mark.parametrize("steps", [1, 30, 500])
def test_convolution_is_real_gradient_steps_on_its_filter(cov, steps):
    """Descent on the filter h itself, by automatic differentiation of the loss of its circulant
    matrix.
    """
    n, sigma, rate = len(cov), 0.5, 2e-3
    filter_ = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    true = torch.from_numpy(cov)
    index = (torch.arange(n)[:, None] - torch.arange(n)[None]) % n
    for _ in range(steps):
        matrix = filter_[index]
        loss = torch.trace(
            matrix @ (true + sigma**2 * torch.eye(n, dtype=torch.float64)) @ matrix.T
            - 2 * matrix @ true
        )
        (gradient,) = torch.autograd.grad(loss, filter_)
        filter_ = (filter_ - rate * gradient).detach().requires_grad_()
    lam = fourier_variances(cov)
    total = lam + sigma**2
    np.testing.assert_allclose(
        np.fft.fft(filter_.detach().numpy()),
        lam * (1 - (1 - 2 * rate * n * total) ** steps) / total,
        atol=1e-12,
    )
    flow = convolution_weights(lam, sigma, 2 * rate * steps)
    np.testing.assert_allclose(
        flow, lam * -np.expm1(-2 * rate * n * total * steps) / total, rtol=1e-12
    )
    np.testing.assert_allclose(flow, np.fft.fft(filter_.detach().numpy()).real, atol=0.05)


def test_fourier_variances_are_those_of_the_modes():
    cov = stationary(5, 9)
    np.testing.assert_allclose(
        np.sort(fourier_variances(cov)), np.sort(np.linalg.eigvalsh(cov)), rtol=1e-10, atol=1e-12
    )
    x = np.random.default_rng(6).standard_normal((50, 7))
    empirical = (np.abs(np.fft.fft(x - x.mean(0), axis=1)) ** 2).mean(0) / 7
    np.testing.assert_allclose(fourier_variances(np.cov(x.T, bias=True)), empirical, rtol=1e-10)


def test_shapes_kinds_and_singular_cases():
    assert denoiser_weights(LAM, 0.5, np.ones((3, 1))).shape == (3, 5)
    assert isinstance(denoiser_variance(torch.ones(3), 1.0, 0.1, 1.0), torch.Tensor)
    assert isinstance(emergence_times(1.0, 0.1, 10.0), float)
    lam = np.array([0.0, 1e-300, 1e-9, 1.0, 1e9])
    for k in (None, 0.0, 1e-12, 1.0, 1e12, 1e150, 1e308):
        values = [denoiser_weights(lam, 1e-3, k), two_layer_weights(lam, 1e-3, k, initial=1e-9)]
        values += [
            denoiser_variance(lam, k, 1e-3, 1e3),
            two_layer_variance(lam, k, 1e-3, 1e3, initial=1e-9),
        ]
        assert np.isfinite(values).all()
    for two_layer in (False, True):
        assert not np.isnan(
            emergence_times(lam, 1e-3, 1e3, initial=1e-9, two_layer=two_layer)
        ).any()


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("lam", lambda: denoiser_weights([-1.0], 0.5, 1.0)),
        ("sigma", lambda: denoiser_weights([1.0], 0.0, 1.0)),
        ("k", lambda: denoiser_variance([1.0], -1.0, 0.1, 1.0)),
        ("sigma_0", lambda: denoiser_variance([1.0], 1.0, 2.0, 1.0)),
        ("sigma_T", lambda: emergence_times([1.0], 0.1, np.inf)),
        ("initial", lambda: two_layer_weights([1.0], 0.5, 1.0, initial=0.0)),
        ("initial", lambda: emergence_times([1.0], 0.1, 1.0, two_layer=True)),
        ("cov", lambda: fourier_variances(np.ones((2, 3)))),
    ],
)
def test_bad_input_is_one_clear_line(name, call):
    with pytest.raises(ValueError, match=rf"^{name} ") as raised:
        call()
    assert "\n" not in str(raised.value)
