"""The dimension of data by their neighbours, against scikit-dimension; of denoisers, against closed
forms of flats, circles and spheres.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rates import FAILURE_RATE, sigmas
from scipy import special, stats
from torch import Tensor

from denoscope.distributions import Empirical, Gaussian, GaussianMixture, MoLRG
from denoscope.geometry.dimension import (
    dimensions,
    flipd,
    local_pca_dimension,
    mle_dimension,
    normal_bundle_dimension,
    participation_dimension,
    plateau,
    trace_dimension,
    two_nn,
)
from denoscope.random import generator

BY_DATA = {
    "two": two_nn,
    "mle": lambda x: mle_dimension(x, 12),
    "pca": lambda x: local_pca_dimension(x, 30),
}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(5, seed), dtype=torch.float64)


def frame(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(n, d, seed=seed)).Q


def sphere(count: int, d: int, seed: int = 0) -> Tensor:
    return torch.nn.functional.normalize(normal(count, d + 1, seed=seed), dim=1)


def ball(count: int, d: int, seed: int = 0) -> Tensor:
    radius = torch.rand(count, 1, generator=generator(6, seed), dtype=torch.float64) ** (1 / d)
    return sphere(count, d - 1, seed) * radius


# --- from data
# ----------


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # theirs, in a figure's axis
@pytest.mark.parametrize(("d", "n"), [(1, 3), (3, 10), (6, 40)])
def test_agrees_with_scikit_dimension(d, n):
    from skdim import id as reference

    x = ball(400, d, seed=d) @ frame(n, d).T + 0.01 * normal(400, n, seed=1) + normal(n, seed=2)
    for discard in (0.0, 0.1, 0.35):
        want = reference.TwoNN(method="mle", discard_fraction=discard).fit(x.numpy()).dimension_
        assert two_nn(x, discard=discard).value == pytest.approx(want, rel=1e-9)
    for k in (2, 5, 20):
        assert mle_dimension(x, k).value == pytest.approx(
            reference.MLE().fit(x.numpy(), n_neighbors=k).dimension_, rel=1e-9
        )
    for k, share in ((100, 0.95), (20, 0.8), (12, 0.99)):
        local = (
            reference.lPCA(ver="ratio", alphaRatio=share)
            .fit_pw(x.numpy(), n_neighbors=k)
            .dimension_pw_
        )
        assert local_pca_dimension(x, k, share).value == np.median(local)


@pytest.mark.parametrize(
    ("points", "d"),
    [(ball(1500, 2) @ frame(50, 2).T, 2), (sphere(1500, 2), 2), (sphere(1500, 4), 4)],
)
def test_finds_known_dimensions(points, d):
    assert two_nn(points).value == pytest.approx(d, rel=0.12)
    assert mle_dimension(points).value == pytest.approx(d, rel=0.08)
    assert local_pca_dimension(points, 40, 0.9).value == d


def test_noise_fills_the_scale_that_neighbours_see():
    x = ball(1000, 2) @ frame(8, 2).T
    noisy = x + 0.1 * normal(1000, 8, seed=3)  # the second neighbour is at 0.04
    assert two_nn(noisy).low > 3
    assert local_pca_dimension(x + 0.005 * normal(1000, 8, seed=3), 100).value == 2


def test_misses_dimensions_at_edges():
    x = ball(1000, 5, seed=4)
    assert 0.85 < mle_dimension(x).value / 5 < 0.95
    assert 0.85 < two_nn(x).value / 5 < 1.05


@pytest.mark.parametrize("name", BY_DATA)
def test_does_not_depend_on_frame_scale_or_shape(name):
    x = sphere(200, 3, seed=7)
    want = BY_DATA[name](x)
    moved = 1e3 * (x @ frame(12, 4, seed=1).T) - 40 * normal(12, seed=1)
    for same in (moved, moved.reshape(200, 3, 2, 2), moved.numpy(), 1e-20 * x):
        got = BY_DATA[name](same)
        assert (got.value, got.low, got.high) == pytest.approx(
            (want.value, want.low, want.high), rel=1e-6
        )
    assert BY_DATA[name](x.float()).value == pytest.approx(want.value, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("law", "d"), [(ball, 1), (ball, 2)])
def test_two_neighbours_interval_covers(law, d):
    trials = 100
    found = [two_nn(law(240, d, seed=100 + i)) for i in range(trials)]
    covered = sum(e.low <= d <= e.high for e in found)
    assert stats.binom.cdf(covered, trials, 0.93) > FAILURE_RATE / 4
    assert stats.binom.sf(covered - 1, trials, 0.97) > FAILURE_RATE / 4


def test_likelihood_interval_covers_where_nothing_is_curved_or_ends():
    trials = 80
    found = [mle_dimension(sphere(250, 1, seed=i), 8) for i in range(trials)]
    covered = sum(e.low <= 1 <= e.high for e in found)
    assert stats.binom.cdf(covered, trials, 0.93) > FAILURE_RATE / 2
    assert stats.binom.sf(covered - 1, trials, 0.97) > FAILURE_RATE / 2


def test_median_interval_is_the_one_of_a_median():
    dense = local_pca_dimension(torch.cat([ball(300, 2), ball(60, 2, seed=1) * 1e-3 + 9]), 10, 0.9)
    assert dense.low <= dense.value <= dense.high
    few = local_pca_dimension(ball(50, 2), 20)
    assert (few.low, few.high) == (0, 2)  # two places tell nothing
    line = torch.linspace(0, 1, 100, dtype=torch.float64)[:, None] * frame(5, 1).T
    flat = local_pca_dimension(line, 10)
    assert (flat.value, flat.low, flat.high) == (1, 1, 1)


def test_participation_has_an_interval_that_covers():
    lam, rng = np.array([4.0, 2.0, 1.0, 0.5]), np.random.default_rng(2)
    exact = lam.sum() ** 2 / (lam**2).sum()
    drawn = [rng.normal(size=(400, 4)) * np.sqrt(lam) for _ in range(60)]
    found = [participation_dimension(x) for x in drawn]
    assert np.mean([e.low <= exact <= e.high for e in found]) > 0.83


def test_every_estimator_gives_an_estimate_or_its_reason():
    x = normal(150, 3)
    found = dimensions(x)
    assert found == {
        "two_nn": two_nn(x),
        "mle": mle_dimension(x),
        "local_pca": local_pca_dimension(x),
        "participation": participation_dimension(x),
    }
    few = dimensions(x[:30])
    assert math.isnan(few["local_pca"].value)
    assert "at least" in few["local_pca"].method
    assert few["two_nn"].value > 0


def test_the_plateau_is_where_the_dimension_changes_least():
    """Chosen on every second point and read on the others; scales below 1 do not count."""
    sigmas = np.geomspace(0.01, 100, 9)
    course = np.array([60, 30, 12, 6, 6, 6, 2, 0.1, 0.1])
    noise = 0.01 * np.random.default_rng(0).normal(size=(9, 40))
    found = plateau(sigmas.tolist(), list(course[:, None] + noise))
    assert found.low <= 6 <= found.high
    assert found.n == 20
    with pytest.raises(ValueError, match="at least 2 points"):
        plateau(sigmas.tolist(), list(course[:, None]))


def test_few_points_have_an_open_interval():
    found = two_nn(ball(11, 2))
    assert (found.low, found.high, found.n) == (0, math.inf, 11)
    assert two_nn(ball(24, 2)).low > 0


def test_repeated_points_are_taken_once_and_said():
    x = ball(150, 3)
    again = torch.cat([x, x[:7], x[3:4]])
    for estimate in (two_nn, mle_dimension):
        assert estimate(again).value == estimate(x).value
        assert "8 repeated points left out" in estimate(again).method
        assert estimate(again).n == 150
    assert local_pca_dimension(torch.ones(20, 4), 5).value == 0


GRID = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: two_nn(ball(5, 2)), "at least 6 points"),
        (lambda: two_nn(torch.ones(50, 3)), "at least 6 points"),
        (lambda: two_nn(torch.rand(50)), r"shape \(N, \*event\)"),
        (lambda: two_nn(ball(50, 2), discard=1), "discard"),
        (lambda: two_nn(GRID), "grid"),
        (lambda: two_nn(torch.full((50, 2), math.nan)), "not finite in row 0"),
        (lambda: mle_dimension(ball(41, 2)), "at least 42 points"),
        (lambda: mle_dimension(ball(50, 2), 1), "k must be at least 2"),
        (lambda: local_pca_dimension(ball(20, 2), 20), "at least 21 points"),
        (lambda: local_pca_dimension(ball(20, 2), 5, 1.0), "share"),
        (lambda: local_pca_dimension(ball(20, 2), 1), "k must be at least 2"),
    ],
)
def test_refuses_bad_data(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- from the denoiser
# ----------


def flat(n: int, variances: list[float], seed: int = 0) -> tuple[Gaussian, Tensor, Tensor]:
    basis, spread, mean = (
        frame(n, len(variances), seed),
        torch.tensor(variances, dtype=torch.float64),
        normal(n, seed=50 + seed),
    )
    return Gaussian(mean, basis * spread @ basis.T), basis, spread


@pytest.mark.parametrize("sigma", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("variances", [[1.0, 1.0, 1.0], [0.2, 1.0, 3.0, 0.5]])
def test_flipd_on_flats_is_its_closed_form(variances, sigma):
    law, basis, spread = flat(9, variances)
    x = law.sample(6, generator(1))
    squares = ((x - law.mean) @ basis) ** 2
    want = (spread / (spread + sigma**2) + sigma**2 * squares / (spread + sigma**2) ** 2).sum(1)
    torch.testing.assert_close(flipd(law, x, torch.full((6,), sigma)).value, want)
    kept = float((spread / (spread + sigma**2)).sum())
    traced = trace_dimension(law, x, torch.full((6,), sigma))
    torch.testing.assert_close(traced.value, torch.full((6,), kept, dtype=torch.float64))
    assert float(traced.error.max()) < 1e-12


def test_flipd_over_clean_points_is_right_to_fourth_order_and_over_noisy_ones_useless():
    law, _, spread = flat(9, [0.5, 1.0, 2.0, 1.5])
    for sigma in (0.2, 0.7):
        x = law.sample(4000, generator(2))
        found = flipd(law, x, torch.full((4000,), sigma)).value
        want = 4 - float(((sigma**2 / (spread + sigma**2)) ** 2).sum())
        assert abs(float(found.mean()) - want) < sigmas(4) * float(found.std()) / math.sqrt(4000)
        noisy = flipd(law, x + sigma * normal(4000, 9, seed=3), torch.full((4000,), sigma)).value
        assert abs(float(noisy.mean()) - 9) < sigmas(4) * float(noisy.std()) / math.sqrt(4000)


def test_subspaces_of_a_mixture_have_their_own_dimension():
    law = MoLRG.random(24, [2, 5, 7], seed=3)
    x, labels, _ = law.labelled([3, 3, 3], generator(4))
    dims = torch.tensor([2, 5, 7])[labels]
    levels = torch.full((9,), 0.02, dtype=torch.float64)
    inside = sum((law.bases[k].T @ x.T).square().sum(0) * (labels == k) for k in range(3))
    want = dims / (1 + 0.02**2) + 0.02**2 * inside / (1 + 0.02**2) ** 2
    torch.testing.assert_close(flipd(law, x, levels).value, want)
    bundle = normal_bundle_dimension(law, x, levels)
    assert torch.equal(bundle.dimension, dims)
    assert bundle.S.shape == (9, 24)
    torch.testing.assert_close(trace_dimension(law, x, levels).value, dims.double() / (1 + 0.02**2))


def test_flipd_is_the_slope_of_the_log_density():
    roots = normal(3, 5, 5, seed=8)
    law = GaussianMixture(normal(3, 5, seed=9), roots @ roots.mT / 5)
    x, sigma, step = normal(4, 5, seed=10), torch.full((4,), 0.6, dtype=torch.float64), 1e-5
    slope = (law.log_prob(x, sigma * math.exp(step)) - law.log_prob(x, sigma * math.exp(-step))) / (
        2 * step
    )
    torch.testing.assert_close(flipd(law, x, sigma).value, 5 + slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.4])
def test_flipd_on_a_circle_is_its_closed_form(sigma):
    angle = 2 * math.pi * torch.arange(300, dtype=torch.float64) / 300  # dense: the spacing is 0.02
    law = Empirical(torch.stack([angle.cos(), angle.sin()], 1) @ frame(6, 2).T + 3)
    k = sigma**-2
    want = 2 * k * (1 - special.ive(1, k) / special.ive(0, k))
    assert float(flipd(law, law.data[0], sigma).value) == pytest.approx(want, rel=1e-6)
    assert want == pytest.approx(1 + sigma**2 / 4, abs=sigma**4)


def posterior_on_sphere(x: Tensor, sigma: Tensor) -> Tensor:
    """E[x0 | x] for x0 uniform on the unit sphere of the first three numbers: (coth k - 1/k) along
    x, k = |x|/sigma^2.
    """
    first = x[:, :3]
    radius = first.norm(dim=1, keepdim=True)
    k = radius / sigma[:, None] ** 2
    return torch.cat([(1 / torch.tanh(k) - 1 / k) * first / radius, torch.zeros_like(x[:, 3:])], 1)


def test_a_sphere_has_two_dimensions():
    x = torch.nn.functional.pad(sphere(4, 2, seed=5), (0, 7))
    for sigma in (0.02, 0.1):
        levels = torch.full((4,), sigma)
        torch.testing.assert_close(
            flipd(posterior_on_sphere, x, levels).value, torch.full((4,), 2.0, dtype=torch.float64)
        )
        assert normal_bundle_dimension(posterior_on_sphere, x, levels).dimension.tolist() == [2] * 4
        kept = trace_dimension(posterior_on_sphere, x, levels, draws=8)
        assert float((kept.value - 2).abs().max()) < 8 * sigma**2 + sigmas(8) * float(
            kept.error.max()
        )


def test_a_copying_denoiser_has_none():
    law = Empirical(normal(12, 6))
    assert float(flipd(law, law.data[3], 0.02).value) == pytest.approx(0, abs=1e-9)
    assert int(normal_bundle_dimension(law, law.data[3], 0.02).dimension) == 0
    kept = trace_dimension(law, law.data[:2], torch.full((2,), 0.02))
    torch.testing.assert_close(kept.value, torch.zeros(2, dtype=torch.float64))


def test_normal_bundle_is_the_svd_of_stacked_scores():
    law, _, _ = flat(5, [1.0, 0.3], seed=2)
    x, sigma, draws = law.sample(2, generator(7)), 0.4, 300
    found = normal_bundle_dimension(
        law, x, torch.full((2,), sigma, dtype=torch.float64), draws=draws, seed=9
    )
    for i in range(2):
        noisy = x[i] + sigma * torch.randn(draws, 5, generator=generator(9, i), dtype=torch.float64)
        scores = (law(noisy, torch.full((draws,), sigma, dtype=torch.float64)) - noisy) / sigma**2
        values = np.linalg.svd(scores.numpy(), compute_uv=False) * sigma / math.sqrt(draws)
        np.testing.assert_allclose(found.S[i].numpy(), values, rtol=1e-9)
    alone = normal_bundle_dimension(law, x[0], sigma, draws=draws, seed=9)
    torch.testing.assert_close(alone.S, found.S[0])
    assert alone.dimension.shape == ()


def test_any_denoiser_of_images():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.GELU(), torch.nn.Conv2d(8, 1, 3, padding=1)
    )

    def D(x: Tensor, sigma: Tensor) -> Tensor:
        return net(x) / (1 + sigma[:, None, None, None])

    x, sigma = torch.randn(2, 1, 6, 6), torch.tensor([0.3, 1.5])
    found = flipd(D, x, sigma)
    for i in range(2):
        dense = torch.autograd.functional.jacobian(
            lambda y, i=i: D(y[None], sigma[i : i + 1])[0], x[i]
        ).reshape(36, 36)
        across = (D(x[i : i + 1], sigma[i : i + 1]) - x[i]).square().sum() / sigma[i] ** 2
        torch.testing.assert_close(
            found.value[i], (dense.trace() + across).detach(), rtol=1e-4, atol=1e-4
        )
    sketched = flipd(D, x, sigma, probes=6, seed=1)
    assert bool(
        (
            (sketched.value - found.value).abs()
            <= stats.t.isf(FAILURE_RATE / 4, 5) * sketched.error
        ).all()
    )
    bundle = normal_bundle_dimension(D, x, sigma, draws=40)
    assert bundle.S.dtype == torch.float32
    assert bool((bundle.S.diff(dim=1) <= 0).all())


def test_traces_of_noisy_copies_measure_the_error_of_denoising():
    law = GaussianMixture(
        normal(2, 4, seed=20), 0.3 * torch.eye(4, dtype=torch.float64).expand(2, 4, 4)
    )
    clean, sigma = law.sample(300, generator(8)), 0.8
    kept = trace_dimension(law, clean, torch.full((300,), sigma), draws=2).value * sigma**2
    noisy = law.sample(20000, generator(9))
    seen = noisy + sigma * normal(20000, 4, seed=21)
    missed = (law(seen, torch.full((20000,), sigma)) - noisy).square().sum(1)
    gap = float(kept.mean() - missed.mean())
    assert abs(gap) < sigmas() * math.sqrt(float(kept.var()) / 300 + float(missed.var()) / 20000)


ORIGIN = torch.zeros(2, 4, dtype=torch.float64)
LAW = Gaussian(ORIGIN[0], torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("function", [flipd, trace_dimension, normal_bundle_dimension])
def test_refuses_bad_denoisers_and_points(function):
    levels = torch.ones(2)
    with pytest.raises(ValueError, match="positive"):
        function(LAW, ORIGIN, torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="finite"):
        function(LAW, ORIGIN * math.nan, levels)
    with pytest.raises(ValueError, match="prefix"):
        function(LAW, ORIGIN, torch.ones(3))
    with pytest.raises(ValueError, match="not finite"):
        function(lambda x, sigma: x / 0, ORIGIN, levels)
    with pytest.raises(ValueError, match="shape of x"):
        function(lambda x, sigma: x[:, :2], ORIGIN, levels)


def test_refuses_too_few_draws():
    with pytest.raises(ValueError, match="draws must be at least the 4 numbers"):
        normal_bundle_dimension(LAW, ORIGIN, torch.ones(2), draws=3)
    with pytest.raises(ValueError, match="draws must be at least 2"):
        trace_dimension(LAW, ORIGIN, torch.ones(2), draws=1)
