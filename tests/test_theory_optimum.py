"""The linear optimum is the regression of noise on noisy data; its losses, gap and best ridge are
what brute force finds.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy.optimize import minimize_scalar

from denoscope.theory.linear import optimum
from denoscope.theory.linear.optimum import (
    bayes_loss,
    bayes_loss_of,
    best_ridge,
    gap,
    losses,
    modes,
    optimal,
    optimal_bias,
    train_loss,
)

D = 7


def moments(x):
    return x.mean(0), np.cov(x.T, bias=True)


def truth(seed, d=D, decay=1.0):
    """A covariance that is not diagonal and a mean that is not 0."""
    random = np.random.default_rng(seed)
    basis = np.linalg.qr(random.standard_normal((d, d)))[0]
    return (basis * (2.0 / np.arange(1, d + 1) ** decay)) @ basis.T, random.standard_normal(d)


def drawn(seed, n, cov, mean):
    return np.random.default_rng(seed).multivariate_normal(mean, cov, n)


def problem(seed=0, n=5, d=D, decay=1.0):
    """True and training moments with fewer items than dimensions."""
    cov, mean = truth(seed, d, decay)
    mean0, cov0 = moments(drawn(seed + 1, n, cov, mean))
    return cov, cov0, mean, mean0


def noisy(x, abar):
    """All pairs of an item and a noise from 2d points whose first two moments are those of N(0, I):
    x_t and eps, (n 2d, d) each.
    """
    d = x.shape[1]
    eps = np.sqrt(d) * np.concatenate([np.eye(d), -np.eye(d)])
    eps, x = np.tile(eps, (len(x), 1)), np.repeat(x, 2 * d, 0)
    return np.sqrt(abar) * x + np.sqrt(1 - abar) * eps, eps


def regression(x, abar, ridge):
    """W and beta of eps = W x_t + beta by least squares, the ridge on W alone."""
    x_t, eps = noisy(x, abar)
    d, rows = x.shape[1], len(x_t)
    left = np.concatenate(
        [np.c_[x_t, np.ones(rows)] / np.sqrt(rows), np.c_[np.sqrt(ridge) * np.eye(d), np.zeros(d)]]
    )
    right = np.concatenate([eps / np.sqrt(rows), np.zeros((d, d))])
    found = np.linalg.lstsq(left, right, rcond=None)[0].T
    return found[:, :d], found[:, d]


def loss_of(weights, beta, x, abar):
    x_t, eps = noisy(x, abar)
    return ((eps - x_t @ weights.T - beta) ** 2).sum(1).mean()


@pytest.mark.parametrize("ridge", [0.0, 0.03, 2.0])
@pytest.mark.parametrize("abar", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("n", [3, 5, 40])
def test_optimum_and_losses_are_those_of_a_regression(n, abar, ridge):
    cov, mean = truth(n)
    train, test = drawn(n, n, cov, mean), drawn(n + 1, 60, cov, mean)
    (mean0, cov0), (mean1, cov1) = moments(train), moments(test)
    weights, beta = regression(train, abar, ridge)
    np.testing.assert_allclose(optimal(cov0, abar, ridge), weights, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        optimal(cov0, abar, ridge) @ optimal_bias(mean0, abar), beta, rtol=1e-9, atol=1e-10
    )
    np.testing.assert_allclose(
        train_loss(cov1, cov0, mean1, mean0, abar, ridge),
        loss_of(weights, beta, train, abar),
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        optimum.test_loss(cov1, cov0, mean1, mean0, abar, ridge),
        loss_of(weights, beta, test, abar),
        rtol=1e-9,
    )


def test_test_loss_of_fresh_gaussian_data():
    cov, cov0, mean, mean0 = problem(3)
    random = np.random.default_rng(0)
    for abar, ridge in [(0.9, 0.0), (0.6, 0.2)]:
        x0, eps = drawn(9, 200_000, cov, mean), random.standard_normal((200_000, D))
        x_t = np.sqrt(abar) * x0 + np.sqrt(1 - abar) * eps
        errors = ((eps - (x_t + optimal_bias(mean0, abar)) @ optimal(cov0, abar, ridge)) ** 2).sum(
            1
        )
        error = errors.std() / np.sqrt(len(errors))
        assert (
            abs(errors.mean() - optimum.test_loss(cov, cov0, mean, mean0, abar, ridge))
            < sigmas(2) * error
        )


@pytest.mark.parametrize("seed", range(4))
def test_gap_is_test_less_train_and_the_trace_formula(seed):
    cov, cov0, mean, mean0 = problem(seed, n=3 + 3 * seed, decay=seed)
    for abar, ridge in [(0.3, 0.0), (0.99, 0.0), (0.9999, 0.001), (0.8, 1.5)]:
        found = gap(cov, cov0, mean, mean0, abar, ridge)
        own = train_loss(cov, cov0, mean, mean0, abar, ridge)
        np.testing.assert_allclose(
            found,
            optimum.test_loss(cov, cov0, mean, mean0, abar, ridge) - own,
            rtol=1e-11,
            atol=1e-12 * own,
        )
        inverse = np.linalg.inv(cov0 + (1 - abar + ridge) / abar * np.eye(D))
        shift = inverse @ (mean - mean0)
        slide = (1 - abar) / abar * (np.trace((cov - cov0) @ inverse @ inverse) + shift @ shift)
        np.testing.assert_allclose(found, slide, rtol=1e-9)


def test_unseen_directions_bound_the_test_loss_from_below():
    cov, cov0, mean, mean0 = problem(2, n=4)
    found = modes(cov, cov0, mean, mean0)
    unseen = found.variance[found.lam < 1e-12].sum()
    for abar in [0.9, 0.999, 1 - 1e-9]:
        bound = abar / (1 - abar) * unseen
        assert bound < optimum.test_loss(cov, cov0, mean, mean0, abar)
    np.testing.assert_allclose(gap(cov, cov0, mean, mean0, 1 - 1e-9), unseen * 1e9, rtol=0.3)


def test_the_model_of_the_truth_has_the_bayes_loss_and_no_gap():
    cov, mean = truth(5)
    for abar in [1e-6, 0.4, 1 - 1e-6]:
        bayes = bayes_loss(cov, abar)
        np.testing.assert_allclose(optimum.test_loss(cov, cov, mean, mean, abar), bayes, rtol=1e-12)
        np.testing.assert_allclose(train_loss(cov, cov, mean, mean, abar), bayes, rtol=1e-12)
        np.testing.assert_allclose(bayes_loss_of(np.linalg.eigvalsh(cov), abar), bayes, rtol=1e-12)
        lam = np.linalg.eigvalsh(cov)
        np.testing.assert_allclose(bayes, (abar * lam / (abar * lam + 1 - abar)).sum(), rtol=1e-12)


def test_no_training_set_beats_bayes():
    cov, cov0, mean, mean0 = problem(6, n=30)
    found, abar = modes(cov, cov0, mean, mean0), np.linspace(0.01, 0.999, 50)
    train, test = losses(found, abar)
    bayes = bayes_loss(cov, abar)
    assert (test > bayes).all()
    assert (train < test).all()
    assert (losses(found, abar, best_ridge(found, abar))[1] > bayes).all()


def test_losses_are_vectorised_over_levels_and_agree_with_matrices():
    cov, cov0, mean, mean0 = problem(7)
    found = modes(cov, cov0, mean, mean0)
    abar, ridge = np.array([[0.1], [0.5], [0.99]]), np.array([0.0, 0.1, 1.0, 10.0])
    train, test = losses(found, abar, ridge)
    assert train.shape == test.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            level = float(abar[i, 0]), float(ridge[j])
            np.testing.assert_allclose(
                train[i, j], train_loss(cov, cov0, mean, mean0, *level), rtol=1e-12
            )
            np.testing.assert_allclose(
                test[i, j], optimum.test_loss(cov, cov0, mean, mean0, *level), rtol=1e-12
            )
            np.testing.assert_allclose(
                optimal(cov0, abar, ridge)[i, j], optimal(cov0, *level), rtol=1e-12
            )
    assert gap(cov, cov0, mean, mean0, abar, ridge).shape == (3, 4)
    assert optimal_bias(mean0, abar).shape == (3, 1, D)


def test_ridge_proportional_to_abar_is_a_larger_training_covariance():
    cov0 = problem(8)[1]
    for abar in [0.2, 0.9, 0.9999]:
        np.testing.assert_allclose(
            optimal(cov0, abar, 0.3 * abar),
            optimal(cov0 + 0.3 * np.eye(D), abar),
            rtol=1e-10,
            atol=1e-13,
        )


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("n", [2, 5, 8, 30])
def test_best_ridge_is_the_least_loss_of_all_and_stationary(n, decay):
    cov, cov0, mean, mean0 = problem(10 * n, n=n, decay=decay)
    found, abar = modes(cov, cov0, mean, mean0), np.array([0.05, 0.5, 0.9, 0.9999])
    best = best_ridge(found, abar)
    assert best.shape == (4,)
    for y, ridge in zip(abar, best):
        tried = np.concatenate([[0.0], np.geomspace(1e-9, 1e3, 4000)])
        least = losses(found, y, ridge)[1]
        assert least <= losses(found, y, tried)[1].min() * (1 + 1e-13)
        if ridge > 0:
            resolvent = np.linalg.inv(y * cov0 + (1 - y + ridge) * np.eye(D))
            cube, shift = resolvent @ resolvent @ resolvent, mean - mean0
            stationary = y * (np.trace(cube @ (cov - cov0)) + shift @ cube @ shift) / np.trace(cube)
            np.testing.assert_allclose(ridge, stationary, rtol=1e-6)


def test_no_ridge_helps_where_the_training_covariance_is_too_large():
    cov, _, mean, _ = problem(1)
    assert best_ridge(modes(cov, 1.5 * cov, mean, mean), 0.9) == 0
    assert best_ridge(modes(cov, cov, mean, mean), 0.9) < 1e-12
    assert best_ridge(modes(0 * cov, cov, mean, mean), [0.5, 0.9]).tolist() == [0, 0]


def test_best_ridge_where_nothing_was_learned_is_the_mean_unseen_variance():
    """cov0 = 0: every mode has the loss of one number, whose best ridge is abar times the mean
    variance.
    """
    cov, mean = truth(4)
    for abar in [0.1, 0.999]:
        found = best_ridge(modes(cov, np.zeros((D, D)), mean, mean), abar)
        np.testing.assert_allclose(found, abar * np.trace(cov) / D, rtol=1e-12)
        tested = partial(optimum.test_loss, cov, np.zeros((D, D)), mean, mean, abar)
        direct = minimize_scalar(
            lambda log, tested=tested: tested(np.exp(log)), (-6, 3), options={"xtol": 1e-9}
        )
        np.testing.assert_allclose(np.exp(direct.x), found, rtol=1e-5)


def test_torch_in_torch_out():
    arrays = problem(11)
    tensors = [torch.from_numpy(part).float() for part in arrays]
    doubles = [part.double().numpy() for part in tensors]
    found = modes(*tensors)
    train, test = losses(found, [0.3, 0.9])
    assert all(
        isinstance(part, torch.Tensor) and part.dtype == torch.float64
        for part in (*found, train, test)
    )
    np.testing.assert_allclose(test.numpy(), losses(modes(*doubles), [0.3, 0.9])[1], rtol=1e-12)
    assert isinstance(best_ridge(found, 0.5), torch.Tensor)
    assert isinstance(gap(*doubles, 0.5), float)


@pytest.mark.parametrize("abar", [1e-300, 1 - 2e-16])
def test_no_nan_at_the_ends_with_singular_covariances(abar):
    zero, mean = np.zeros((3, 3)), np.zeros(3)
    found = modes(zero, zero, mean, mean)
    for value in (
        *losses(found, abar),
        best_ridge(found, abar),
        bayes_loss(zero, abar),
        gap(zero, zero, mean, mean, abar),
    ):
        assert np.isfinite(value)
    assert np.isfinite(optimal(zero, abar)).all()


def bad(cov, cov0, mean, mean0):
    nan, skew, indefinite = cov.copy(), cov.copy(), cov - 0.9 * np.trace(cov) * np.eye(D)
    nan[0, 0], skew[0, 1] = np.nan, skew[0, 1] + 1
    yield from (
        (name, value)
        for value in (nan, skew, indefinite, cov[:3], np.eye(2))
        for name in ("cov", "cov0")
    )
    yield from ((name, value) for value in (mean[:2], mean * np.inf) for name in ("mean", "mean0"))
    yield from (("abar", value) for value in (0.0, 1.0, -1.0, np.nan))
    yield from (("ridge", value) for value in (-0.1, np.nan, np.inf))


def test_bad_input_is_one_clear_line():
    good = dict(zip(("cov", "cov0", "mean", "mean0"), problem(12)), abar=0.5, ridge=0.0)
    for name, value in bad(*problem(12)):
        for function in (gap, optimum.test_loss):
            with pytest.raises(
                ValueError, match=rf"^{name}\b|cov0" if np.shape(value) == (2, 2) else rf"^{name}\b"
            ) as raised:
                function(**{**good, name: value})
            assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match=r"^lam "):
        bayes_loss_of([1.0, -1.0], 0.5)
