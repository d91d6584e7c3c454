"""Training dynamics of linear models against real gradient steps; the best stopping time against
brute force.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rates import sigmas

from denoscope.theory.linear.dynamics import (
    affine_descent,
    affine_flow,
    best_stopping,
    descent_weights,
    early_stopped,
    flow_weights,
    mode_stopping,
)
from denoscope.theory.linear.optimum import (
    Modes,
    bayes_loss_of,
    best_ridge,
    losses,
    modes,
    optimal,
    train_loss,
)

D = 6
LEVELS = [(0.3, 0.0), (0.99, 0.0), (0.9, 0.4)]


def training_moments(seed, n=4, d=D):
    random = np.random.default_rng(seed)
    x = random.standard_normal((n, d)) @ random.standard_normal((d, d)) + random.standard_normal(d)
    return x.mean(0), np.cov(x.T, bias=True)


def descend(curvature, target, rate, steps):
    """Gradient descent from zero on a quadratic loss with the gradient 2 (W curvature - target)."""
    weights = np.zeros_like(target)
    for _ in range(steps):
        weights = weights - rate * 2 * (weights @ curvature - target)
    return weights


@pytest.mark.parametrize(("abar", "ridge"), LEVELS)
@pytest.mark.parametrize(
    ("rate", "steps"), [(0.02, 0), (0.02, 1), (0.03, 57), (1e-5, 300), (0.4, 9)]
)
def test_descent_weights_are_real_gradient_steps(abar, ridge, rate, steps):
    _, cov0 = training_moments(1)
    lam, vectors = np.linalg.eigh(cov0)
    curvature = abar * cov0 + (1 - abar + ridge) * np.eye(D)
    real = descend(curvature, np.sqrt(1 - abar) * np.eye(D), rate, steps)
    found = (vectors * descent_weights(np.maximum(lam, 0), abar, rate, steps, ridge)) @ vectors.T
    np.testing.assert_allclose(
        found, real, rtol=1e-13, atol=1e-13 * max(np.abs(real).max(), 1e-300)
    )


@pytest.mark.parametrize(("abar", "ridge"), LEVELS)
@pytest.mark.parametrize("steps", [1, 40, 1000])
def test_affine_descent_is_real_gradient_steps_on_data_with_a_mean(abar, ridge, steps):
    mean0, cov0 = training_moments(2)
    moments = np.zeros((D + 1, D + 1))
    moments[:D, :D] = abar * (cov0 + np.outer(mean0, mean0)) + (1 - abar + ridge) * np.eye(D)
    moments[:D, D] = moments[D, :D] = np.sqrt(abar) * mean0
    moments[D, D] = 1
    target = np.c_[np.sqrt(1 - abar) * np.eye(D), np.zeros(D)]
    real = descend(moments, target, 0.01, steps)
    weights, bias = affine_descent(cov0, mean0, abar, 0.01, steps, ridge)
    np.testing.assert_allclose(
        np.c_[weights, bias], real, rtol=1e-12, atol=1e-13 * np.abs(real).max()
    )


@pytest.mark.parametrize(("abar", "ridge"), LEVELS)
def test_affine_training_ends_at_the_optimum_and_without_a_mean_is_mode_by_mode(abar, ridge):
    mean0, cov0 = training_moments(3)
    weights, bias = affine_flow(cov0, mean0, abar, np.inf, ridge)
    np.testing.assert_allclose(weights, optimal(cov0, abar, ridge), rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(bias, -np.sqrt(abar) * weights @ mean0, rtol=1e-10, atol=1e-11)
    lam, vectors = np.linalg.eigh(cov0)
    weights, bias = affine_flow(cov0, np.zeros(D), abar, 1.7, ridge)
    apart = (vectors * flow_weights(np.maximum(lam, 0), abar, 1.7, ridge)) @ vectors.T
    np.testing.assert_allclose(weights, apart, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(bias, 0, atol=1e-13)


def test_descent_with_small_steps_is_gradient_flow():
    lam = np.array([0.0, 0.3, 4.0])
    flow = flow_weights(lam, 0.7, 2.0, 0.1)
    errors = [
        np.abs(descent_weights(lam, 0.7, 1.0 / n, n, 0.1) - flow).max() for n in (10**4, 10**5)
    ]
    np.testing.assert_allclose(errors[0] / errors[1], 10, rtol=1e-2)
    mean0, cov0 = training_moments(4)
    small = affine_descent(cov0, mean0, 0.7, 1e-6, 10**6)[0]
    np.testing.assert_allclose(small, affine_flow(cov0, mean0, 0.7, 2.0)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("k", [0.0, 1e-9, 0.3, 7.0, 1e4, np.inf])
def test_early_stopped_loss_is_that_of_the_weights(k):
    random = np.random.default_rng(5)
    lam, other, abar = (
        random.exponential(size=(2, 9)),
        random.exponential(size=9),
        np.array([0.1, 0.9]),
    )
    lam = np.append(lam[0], 0.0)
    other = np.append(other, 0.7)
    for ridge in (0.0, 0.3):
        weights = flow_weights(lam, abar, k, ridge)
        noise = np.sqrt(1 - abar)[:, None]
        direct = 1 - 2 * noise * weights + weights**2 * (abar[:, None] * other + noise**2)
        np.testing.assert_allclose(
            early_stopped(lam, abar, k, other, ridge), direct.sum(-1), rtol=1e-12
        )
    assert early_stopped(lam, 0.5, 0.0, other) == len(lam)


def test_trained_for_ever_it_is_the_optimum():
    mean0, cov0 = training_moments(6)
    lam = np.maximum(np.linalg.eigvalsh(cov0), 0)
    for k in (None, np.inf):
        np.testing.assert_allclose(
            early_stopped(lam, 0.9, k, ridge=0.2),
            train_loss(cov0, cov0, mean0, mean0, 0.9, 0.2),
            rtol=1e-12,
        )
    found = Modes(lam, lam + 0.1, 0.2 * lam, np.eye(D))
    abar = np.array([0.4, 0.999])
    np.testing.assert_allclose(
        early_stopped(lam, abar, np.inf, found.variance + found.offset),
        losses(found, abar)[1],
        rtol=1e-12,
    )


def test_training_loss_falls_all_the_time_and_unseen_modes_learn_last():
    lam, k = np.array([0.0, 0.01, 1.0, 30.0]), np.geomspace(1e-4, 1e6, 300)
    assert (np.diff(early_stopped(lam, 0.99, k)) <= 1e-15).all()
    share = flow_weights(lam, 0.99, k) / flow_weights(lam, 0.99, np.inf)
    assert (np.diff(share, axis=1) >= 0).all()


def test_an_unseen_mode_passes_its_best_weight_at_one_over_its_variance():
    abar, variance = np.array([0.999999, 0.99, 0.5]), np.array([0.05, 0.7, 3.0])
    found = mode_stopping(np.zeros(3), variance, abar)
    noise, best = (
        (1 - abar)[:, None],
        np.sqrt(1 - abar)[:, None] / (abar[:, None] * variance + (1 - abar)[:, None]),
    )
    np.testing.assert_allclose(
        found, -np.log(1 - noise / (abar[:, None] * variance + noise)) / noise, rtol=1e-9
    )
    np.testing.assert_allclose(
        np.diagonal(flow_weights(np.zeros(3), abar[:, None], found), axis1=1, axis2=2),
        best,
        rtol=1e-9,
    )
    np.testing.assert_allclose(found[0], 1 / variance, rtol=1e-4)


@pytest.mark.parametrize("abar", [0.05, 0.5, 0.99, 0.99999])
@pytest.mark.parametrize("seed", range(6))
def test_best_stopping_is_the_least_loss_of_all(seed, abar):
    random = np.random.default_rng(seed)
    lam = np.append(random.exponential(size=8) * 10.0 ** random.integers(-3, 3, 8), np.zeros(seed))
    other = lam * random.uniform(0.3, 3, len(lam)) + random.exponential(size=len(lam)) * (lam == 0)
    found = best_stopping(lam, other, abar)
    tried = early_stopped(lam, abar, np.append(np.geomspace(1e-6, 1e9, 20_000), np.inf), other)
    assert early_stopped(lam, abar, found, other) <= tried.min() * (1 + 1e-12)


def test_best_stopping_in_its_singular_cases():
    lam = np.array([0.0, 1.0, 5.0])
    assert best_stopping(lam, lam, [0.1, 0.99]).tolist() == [np.inf, np.inf]
    assert best_stopping(lam, 0 * lam, 0.5) == np.inf
    assert best_stopping([1.0], [1 + 1e-15], 0.5) > 10
    np.testing.assert_allclose(
        best_stopping([0.0], [2.0], 0.9), mode_stopping([0.0], [2.0], 0.9)[0], rtol=1e-9
    )
    np.testing.assert_allclose(
        best_stopping([1e6, 0.0], [1e6, 1e-6], 0.999),
        mode_stopping([0.0], [1e-6], 0.999)[0],
        rtol=1e-6,
    )
    assert 0 < best_stopping([1e-12, 0], [1e12, 1e-12], 1 - 1e-12) < np.inf
    assert best_stopping([0.0, 1.0], [5e-324, 1.0], 0.9) > 0


def power_law(d, decay):
    spectrum = 1.0 / np.arange(1, d + 1) ** decay
    return d * spectrum / spectrum.sum()


def sampled_modes(seed, spectrum, n):
    x = np.random.default_rng(seed).standard_normal((n, len(spectrum))) * np.sqrt(spectrum)
    return modes(np.diag(spectrum), np.cov(x.T, bias=True), np.zeros(len(spectrum)), x.mean(0))


ABAR = np.array([0.9999, 0.99, 0.9, 0.5])
# d = 100, variances as 1/nu with the sum d, 40 training items whose unseen directions have 35.383
# of it: best k, best ridge, test loss per
# dimension stopped early and with the ridge, trained to the end. Computed by an independent
# implementation on one training set.
TABLE = np.array(
    [
        [1.775, 1.778, 1.810, 2.111],
        [0.560, 0.553, 0.498, 0.255],
        [0.9999, 0.9858, 0.8652, 0.4358],
        [0.9999, 0.9862, 0.8686, 0.4419],
        [3538.3, 35.42, 3.543, 0.5645],
    ]
)


def early_stopping_row(seed, unseen=35.383):
    """The table's rows for one training set, its unseen variance scaled to the table's."""
    spectrum = power_law(100, 1)
    found = sampled_modes(seed, spectrum, 40)
    other = found.variance + found.offset
    hidden = found.lam < 1e-9
    assert hidden.sum() == 61
    other[hidden] *= unseen / other[hidden].sum()
    found = Modes(found.lam, other, 0 * other, found.vectors)
    k, ridge = best_stopping(found.lam, other, ABAR), best_ridge(found, ABAR)
    stopped = early_stopped(found.lam, ABAR, k, other)
    return np.array(
        [k, ridge, stopped / 100, losses(found, ABAR, ridge)[1] / 100, losses(found, ABAR)[1] / 100]
    )


def test_early_stopping_table():
    rows = np.array([early_stopping_row(seed) for seed in range(30)])
    digits = np.array([5e-4, 5e-4, 5e-5, 5e-5, 1e-3])[:, None]
    digits = np.where(TABLE > 1000, 0.06, np.where(TABLE > 10, 6e-3, digits))
    scatter = np.sqrt(1 + 1 / len(rows)) * rows.std(0, ddof=1)
    assert (np.abs(rows.mean(0) - TABLE) < sigmas(TABLE.size) * scatter + digits).all()
    np.testing.assert_allclose(
        bayes_loss_of(power_law(100, 1), ABAR) / 100, [0.9997, 0.9744, 0.7878, 0.3472], atol=5.1e-5
    )


@pytest.mark.parametrize("decay", [0.5, 1.0, 1.5])
def test_one_stopping_time_serves_all_low_noise_levels_and_beats_the_ridge(decay):
    for seed in range(5):
        found = sampled_modes(seed, power_law(80, decay), 30)
        other, abar = found.variance + found.offset, np.array([0.99999, 0.999, 0.99])
        k, ridge = best_stopping(found.lam, other, abar), best_ridge(found, abar)
        np.testing.assert_allclose(k, k[0], rtol=0.02)
        np.testing.assert_allclose(ridge, 1 / k, rtol=0.15)
        stopped, shrunk = early_stopped(found.lam, abar, k, other), losses(found, abar, ridge)[1]
        assert (stopped < shrunk).all()
        bayes = bayes_loss_of(power_law(80, decay), abar)
        assert (bayes < stopped).all()


def test_torch_in_torch_out():
    lam = torch.tensor([0.0, 1.0])
    assert isinstance(flow_weights(lam, 0.5, 1.0), torch.Tensor)
    assert all(
        isinstance(part, torch.Tensor)
        for part in affine_descent(torch.eye(2), torch.ones(2), 0.5, 0.1, 3)
    )
    assert isinstance(early_stopped([0.0, 1.0], 0.5, 1.0), float)
    assert isinstance(best_stopping([0.0], [1.0], 0.5), float)


def test_descent_that_diverges_is_never_nan():
    assert not np.isnan(descent_weights([0.0, 100.0], 0.9, 1.0, [10, 10**6, 10**6 + 1])).any()


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("lam", lambda: flow_weights([1.0, -1.0], 0.5, 1.0)),
        ("lam", lambda: flow_weights([[1.0]], 0.5, 1.0)),
        ("abar", lambda: flow_weights([1.0], 1.5, 1.0)),
        ("k", lambda: flow_weights([1.0], 0.5, -1.0)),
        ("k", lambda: early_stopped([1.0], 0.5, np.nan)),
        ("other", lambda: early_stopped([1.0], 0.5, 1.0, [1.0, 2.0])),
        ("other", lambda: best_stopping([1.0], [np.nan], 0.5)),
        ("ridge", lambda: descent_weights([1.0], 0.5, 0.1, 3, -1.0)),
        ("rate", lambda: descent_weights([1.0], 0.5, -0.1, 3)),
        ("steps", lambda: descent_weights([1.0], 0.5, 0.1, 2.5)),
        (
            "cov0",
            lambda: affine_descent(np.array([[1.0, 2.0], [2.0, 1.0]]), [0.0, 0.0], 0.5, 0.1, 3),
        ),
        ("mean0", lambda: affine_descent(np.eye(2), [0.0], 0.5, 0.1, 3)),
    ],
)
def test_bad_input_is_one_clear_line(name, call):
    with pytest.raises(ValueError, match=rf"^{name} ") as raised:
        call()
    assert "\n" not in str(raised.value)
