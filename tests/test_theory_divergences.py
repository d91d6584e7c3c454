"""Divergences of the sampled from the true law: against torch, the loss integral, simulated
training sets and their exact means.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rates import sigmas
from torch.distributions import MultivariateNormal, kl_divergence

from denoscope.theory.linear.divergences import (
    DIRECTIONS,
    expected_kl,
    expected_kl_limit,
    kl,
    kl_along,
    kl_from_losses,
)
from denoscope.theory.spectra import power_law

direction = pytest.mark.parametrize("direction", DIRECTIONS)


def law(seed, d, condition=50.0):
    """A mean and a covariance in general position."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return rng.standard_normal(d), (basis * np.geomspace(3, 3 / condition, d)) @ basis.T


@direction
@pytest.mark.parametrize("d", [1, 2, 9])
@pytest.mark.parametrize("c", [0.0, 0.7])
def test_kl_is_torchs(d, c, direction):
    (mean, cov), (mean0, cov0) = law(0, d), law(1, d)
    truth = MultivariateNormal(torch.tensor(mean), torch.tensor(cov))
    model = MultivariateNormal(torch.tensor(mean0), torch.tensor(cov0 + c * np.eye(d)))
    expected = (
        kl_divergence(model, truth) if direction == "model||true" else kl_divergence(truth, model)
    )
    assert kl(mean, cov, mean0, cov0, c, direction=direction) == pytest.approx(
        expected.item(), rel=1e-12
    )
    assert isinstance(kl(torch.tensor(mean), cov, mean0, cov0, direction=direction), torch.Tensor)


@direction
@pytest.mark.parametrize("d", [1, 2, 9])
def test_kl_along_known_eigenvectors_is_kl(d, direction):
    spectrum, (mean0, cov0) = np.geomspace(0.1, 3, d), law(1, d)
    lam, vectors = np.linalg.eigh(cov0)
    found = kl_along(spectrum, mean0, lam, vectors, direction=direction)
    expected = kl(np.zeros(d), np.diag(spectrum), mean0, cov0, direction=direction)
    assert found == pytest.approx(expected, rel=1e-12)
    lam[0] = 0.0
    assert d == 1 or kl_along(spectrum, mean0, lam, vectors, direction=direction) == np.inf


@direction
def test_kl_of_a_law_from_itself_is_0(direction):
    mean, cov = law(2, 6)
    assert kl(mean, cov, mean, cov, direction=direction) == pytest.approx(0, abs=1e-13)
    assert kl(mean, cov, mean, cov, direction=direction) >= 0


@direction
def test_a_singular_law_is_infinitely_far(direction):
    """Whichever of the two is singular; c > 0 repairs the model but not the truth."""
    mean, cov = law(3, 4)
    flat = cov - np.outer(*2 * [np.linalg.eigh(cov)[1][:, 0]]) * np.linalg.eigvalsh(cov)[0]
    assert kl(mean, cov, mean, flat, direction=direction) == np.inf
    assert kl(mean, cov, mean, flat, 0.1, direction=direction) < np.inf
    for c in (0.0, 0.1):
        assert kl(mean, flat, mean, cov, c, direction=direction) == np.inf
        assert kl(mean, flat, mean, flat, c, direction=direction) == np.inf
        assert kl_from_losses(mean, flat, mean, cov, c) == np.inf
    assert kl_from_losses(mean, cov, mean, flat) == np.inf
    assert (
        kl(np.zeros(2), np.zeros((2, 2)), np.zeros(2), np.zeros((2, 2)), direction=direction)
        == np.inf
    )


@direction
def test_few_samples_leave_the_divergence_to_c(direction):
    """c -> 0 at N < d: model||true falls (d - N + 1)/2 nats an e-folding of c, true||model grows
    like Tr P S / (2c).
    """
    rng, n, d = np.random.default_rng(4), 5, 12
    cov = np.diag(power_law(d, 1.0))
    items = rng.multivariate_normal(np.zeros(d), cov, n)
    cov0, mean0 = np.cov(items, rowvar=False, bias=True), items.mean(0)
    first, second = (
        kl(np.zeros(d), cov, mean0, cov0, c, direction=direction) for c in (1e-8, 1e-8 / np.e)
    )
    if direction == "model||true":
        assert second - first == pytest.approx((d - n + 1) / 2, rel=1e-6)
    else:
        lam, vectors = np.linalg.eigh(cov0)
        unseen = vectors[:, lam < 1e-10]
        outside = np.trace(unseen.T @ cov @ unseen) + ((unseen.T @ mean0) ** 2).sum()
        assert second / first == pytest.approx(np.e, rel=1e-6)
        assert 2e-8 * first == pytest.approx(outside, rel=1e-6)


@pytest.mark.parametrize("d", [1, 2, 7, 40])
@pytest.mark.parametrize("condition", [1.0, 1e4, 1e10])
@pytest.mark.parametrize("c", [0.0, 1e-3, 2.0])
def test_kl_is_half_the_excess_loss_over_all_noise_levels(d, condition, c):
    (mean, cov), (mean0, cov0) = law(5, d, condition), law(6, d, condition)
    expected = kl(mean, cov, mean0, cov0, c, direction="true||model")
    assert kl_from_losses(mean, cov, mean0, cov0, c) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-8, 1e6])
def test_the_loss_integral_knows_no_units(scale):
    (mean, cov), (mean0, cov0) = law(7, 5), law(8, 5)
    one = kl_from_losses(mean, cov, mean0, cov0, 0.2)
    root = np.sqrt(scale)
    assert kl_from_losses(
        mean * root, cov * scale, mean0 * root, cov0 * scale, 0.2 * scale
    ) == pytest.approx(one, rel=1e-10)


@pytest.mark.parametrize(
    ("n", "forward", "reverse"),
    [
        (110, 0.3985, 6.039),
        (200, 0.15865, 0.3669),
        (400, 0.07064, 0.1022),
        (1000, 0.02667, 0.03068),
        (10000, 0.00258, 0.00262),
    ],
)
def test_expected_kl_of_a_hundred_dimensions(n, forward, reverse):
    assert expected_kl(100, n) / 100 == pytest.approx(forward, rel=2e-3)
    assert expected_kl(100, n, "true||model") / 100 == pytest.approx(reverse, rel=2e-3)


@direction
@pytest.mark.parametrize(("d", "n", "k"), [(3, 11, 0.0), (3, 11, 3.0), (12, 40, 1.0), (1, 8, 0.0)])
def test_expected_kl_is_the_mean_over_training_sets(d, n, k, direction):
    """For any mean and spectrum; the exact value, so the interval is that of the simulation."""
    rng, runs = np.random.default_rng(9), 1500
    mean, basis = rng.standard_normal(d), np.linalg.qr(rng.standard_normal((d, d)))[0]
    cov = (basis * power_law(d, k)) @ basis.T
    found = []
    for _ in range(runs):
        items = mean + rng.standard_normal((n, d)) * np.sqrt(power_law(d, k)) @ basis.T
        cov0 = np.cov(items, rowvar=False, bias=True).reshape(d, d)
        found.append(kl(mean, cov, items.mean(0), cov0, direction=direction))
    assert abs(np.mean(found) - expected_kl(d, n, direction)) < sigmas(8) * np.std(found) / np.sqrt(
        runs
    )


@direction
def test_expected_kl_is_infinite_where_it_is(direction):
    least = {"model||true": 4, "true||model": 6}[direction]
    values = expected_kl(4, range(1, 30), direction)
    np.testing.assert_array_equal(np.isinf(values), np.arange(1, 30) <= least)
    assert (np.diff(values[least:]) < 0).all()


@direction
@pytest.mark.parametrize("d", [1, 5, 300])
def test_expected_kl_approaches_d_over_4n_a_dimension(d, direction):
    n = d * np.array([10, 100, 1e3, 1e5]) + 10
    excess = (
        expected_kl(d, n, direction) * 4 * n / (d * (d + 3)) - 1
    )  # d(d+3)/2 numbers estimated: those of the covariance and the mean
    assert (excess > 0).all()
    assert (np.diff(excess) < 0).all()
    np.testing.assert_allclose(excess, 0, atol=3 * (d + 2) / n.min())
    np.testing.assert_allclose(excess[-1], 0, atol=1e-4)


@direction
def test_the_limit_is_that_of_many_dimensions(direction):
    phi = np.array([0.05, 0.3, 0.8])
    limit = expected_kl_limit(phi, direction)
    errors = [
        np.abs([expected_kl(d, d / p, direction) / d for p in phi] / limit - 1) for d in (400, 4000)
    ]
    assert (errors[1] < 0.02).all()
    np.testing.assert_allclose(errors[0] / errors[1], 10, rtol=0.3)  # it is reached as 1/d


@direction
def test_the_limit_by_its_logarithms(direction):
    phi = np.array([0.1, 0.5, 0.9])
    part = (1 / phi - 1) * np.log1p(-phi)
    expected = 0.5 * (1 + part) if direction == "model||true" else 0.5 * (1 / (1 - phi) - 2 - part)
    np.testing.assert_allclose(expected_kl_limit(phi, direction), expected, rtol=1e-12)
    assert expected_kl_limit(1e-9, direction) == pytest.approx(2.5e-10, rel=1e-8)
    edge = 0.5 if direction == "model||true" else np.inf
    np.testing.assert_allclose(expected_kl_limit([0.0, 1.0, 1.1], direction), [0.0, edge, np.inf])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: kl(np.zeros(2), np.eye(2), np.zeros(2), np.eye(2), -1.0), "c"),
        (lambda: kl(np.zeros(2), np.eye(2), np.zeros(2), np.eye(2), direction="both"), "direction"),
        (lambda: kl(np.zeros(2), -np.eye(2), np.zeros(2), np.eye(2)), "cov"),
        (lambda: kl(np.zeros(2), np.eye(2), np.zeros(3), np.eye(2)), "mean0"),
        (
            lambda: kl_from_losses(
                np.zeros(2), np.eye(2), np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]])
            ),
            "cov0",
        ),
        (lambda: expected_kl(0, 5), "d"),
        (lambda: expected_kl(3, [5, np.nan]), "n"),
        (lambda: expected_kl(3, 5, "true"), "direction"),
        (lambda: expected_kl_limit(-0.1), "phi"),
    ],
)
def test_a_bad_argument_is_named(call, name):
    with pytest.raises(ValueError, match=rf"^{name} "):
        call()
