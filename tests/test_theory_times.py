"""Speciation and collapse: closed forms against quadrature, posteriors and brute force, and every
case that is singular.
"""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy import integrate, optimize, stats
from sklearn.datasets import load_digits

from denoscope.theory import times
from denoscope.theory.times import (
    clone_agreement,
    collapse_time,
    collapse_time_from,
    excess_entropy,
    excess_entropy_gaussian,
    excess_entropy_mixture,
    measured_collapse_time,
    ou_time,
    potential,
    self_weight,
    speciation_time,
    step_of,
)


def gaussian(n: int, spectrum: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, len(spectrum))) * np.sqrt(spectrum)


def test_speciation_is_half_the_logarithm_of_the_largest_eigenvalue() -> None:
    source = np.random.default_rng(0)
    root = source.standard_normal((7, 20))
    cov = root @ root.T
    top = np.linalg.eigvalsh(cov)[-1]
    assert speciation_time(cov) == pytest.approx(0.5 * math.log(top), abs=1e-12)
    assert speciation_time(np.linalg.eigvalsh(cov)) == pytest.approx(0.5 * math.log(top), abs=1e-12)
    assert top * math.exp(-2 * speciation_time(cov)) == pytest.approx(1)
    assert speciation_time(4 * np.eye(3)) - speciation_time(2 * np.eye(3)) == pytest.approx(
        0.5 * math.log(2)
    )


@pytest.mark.parametrize("cov", [np.zeros((3, 3)), 0.5 * np.eye(2), np.eye(2), [0.0]])
def test_data_that_never_stand_out_of_the_noise_speciate_at_zero(cov: np.ndarray) -> None:
    assert speciation_time(cov) == 0.0


@pytest.mark.parametrize(
    ("top", "step"), [(7.66, 446), (16.72, 526), (3.05, 329), (12.11, 495), (60.52, 635)]
)
def test_speciation_steps_of_five_image_sets(top: float, step: int) -> None:
    """MNIST, CIFAR, ImageNet16, ImageNet32, LSUN on the linear schedule 1e-4 to 2e-2 of 1000 steps
    (data published by Biroli et al. 2024).
    """
    abars = np.cumprod(1 - np.linspace(1e-4, 2e-2, 1000))
    found = step_of(speciation_time([top]), abars)
    assert found == step
    assert abars[found] < 1 / top <= abars[found - 1]
    assert ou_time(abars)[found] > speciation_time([top]) > ou_time(abars)[found - 1]


def test_steps_at_the_ends_of_a_schedule() -> None:
    assert step_of(0.0, [1.0, 0.5]) == 1
    assert step_of(0.0, [0.9, 0.5]) == 0
    assert step_of(9.0, [0.9, 0.5]) == 2
    assert ou_time(1.0) == 0.0


def quadrature(t: float, d: float, separation: float, variance: float) -> float:
    """The published integral, in units of the standard deviation."""
    spread = math.sqrt(1 - math.exp(-2 * t) + variance * math.exp(-2 * t))
    k = separation * math.sqrt(d) * math.exp(-t) / spread

    def integrand(y: float) -> float:
        near, far = stats.norm.pdf(y, k), stats.norm.pdf(y, -k)
        return 0.5 * (near**2 + far**2) / (near + far)

    return sum(
        integrate.quad(integrand, *ends, epsabs=1e-13, limit=400)[0]
        for ends in ((-k - 12, 0), (0, k + 12))
    )


@pytest.mark.parametrize(
    ("t", "d", "separation", "variance"),
    [
        (0.7, 3, 1.0, 1.0),
        (2.0, 64, 0.7, 1.5),
        (3.0, 1024, 1.0, 0.2),
        (0.0, 2, 0.9, 2.0),
        (1.0, 8, 1.3, 0.0),
    ],
)
def test_clone_agreement_is_the_published_integral(
    t: float, d: float, separation: float, variance: float
) -> None:
    found = clone_agreement(t, d, separation=separation, variance=variance)
    assert found == pytest.approx(quadrature(t, d, separation, variance), abs=1e-9)


def test_clones_agree_with_probability_0_7752_at_speciation_in_every_dimension() -> None:
    d = np.array([4.0, 64.0, 1024.0, 65536.0])
    np.testing.assert_allclose(clone_agreement(0.5 * np.log(d), d), 0.7752, atol=5e-5)
    np.testing.assert_allclose(
        clone_agreement(0.5 * np.log(9 * d), d, separation=3.0), 0.7752, atol=5e-5
    )


def test_clone_agreement_is_the_mean_squared_posterior_and_what_ten_thousand_clones_gave() -> None:
    t, d, n = 1.4, 12, 40000
    source = np.random.default_rng(1)
    centre = np.ones(d)
    x = math.exp(-t) * (centre * source.choice([-1, 1], (n, 1)) + source.standard_normal((n, d)))
    x += math.sqrt(-math.expm1(-2 * t)) * source.standard_normal((n, d))
    p = 1 / (1 + np.exp(-2 * math.exp(-t) * x @ centre))
    agreement = p**2 + (1 - p) ** 2
    assert abs(agreement.mean() - clone_agreement(t, d)) < sigmas() * agreement.std() / math.sqrt(n)
    np.testing.assert_allclose(
        clone_agreement(3.0, [256, 1024, 4096, 16384]),
        [0.701, 0.912, 0.998, 1.0],
        atol=sigmas(4) * 0.0046,
    )


def test_clones_agree_always_at_the_end_and_half_the_time_at_the_start() -> None:
    assert clone_agreement(0.0, 64, variance=0.0) == 1.0
    assert clone_agreement(40.0, 64) == pytest.approx(0.5, abs=1e-12)
    assert clone_agreement(1.0, 64, separation=0.0) == pytest.approx(0.5, abs=1e-12)
    values = clone_agreement(np.linspace(0, 6, 200), 256, variance=0.5)
    assert (np.diff(values) <= 1e-12).all()


@pytest.mark.parametrize(("t", "d", "separation"), [(0.5, 9.0, 1.0), (2.0, 100.0, 0.6)])
def test_the_potential_is_what_the_reverse_drift_rolls_down(
    t: float, d: float, separation: float
) -> None:
    """Drift of x: x + 2 score, score = -x + m e^-t tanh(x.m e^-t) for unit variance; q =
    x.m/sqrt(d).
    """
    q, h, m2 = np.linspace(-3, 3, 13), 1e-5, separation**2 * d
    drift = -q + 2 * m2 / math.sqrt(d) * math.exp(-t) * np.tanh(q * math.sqrt(d) * math.exp(-t))
    slope = (
        potential(q + h, t, d, separation=separation)
        - potential(q - h, t, d, separation=separation)
    ) / (2 * h)
    np.testing.assert_allclose(-slope, drift, atol=1e-7)
    assert np.isfinite(potential(1e3, 0.0, 1e6))


def test_one_well_becomes_two_half_a_logarithm_of_two_before_speciation() -> None:
    d, separation = 50.0, 1.3
    split = 0.5 * math.log(2 * separation**2 * d)

    def curvature(t: float) -> float:
        return potential(1e-4, t, d, separation=separation) - potential(
            0.0, t, d, separation=separation
        )

    assert curvature(split + 0.01) > 0 > curvature(split - 0.01)


def test_collapse_of_twenty_thousand_points() -> None:
    np.testing.assert_allclose(
        collapse_time(20000, [256, 1024, 4096]), [1.2988, 1.9775, 2.6671], atol=5e-5
    )


@pytest.mark.parametrize(
    ("spectrum", "expected"),
    [
        (np.ones(64), 0.7035),
        (64 / np.arange(1, 65) / (1 / np.arange(1, 65)).sum(), 0.6069),  # 1/nu, trace d
        (np.r_[np.full(8, 8.0), np.full(56, 1e-4)], 0.3331),  # rank 8 and a floor of 1e-4
    ],
)
def test_data_of_lower_rank_collapse_later(spectrum: np.ndarray, expected: float) -> None:
    assert collapse_time_from(spectrum, 8000) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("seed", range(4))
def test_collapse_is_the_root_of_the_excess_entropy(seed: int) -> None:
    source = np.random.default_rng(seed)
    spectrum = source.gamma(0.3, 2.0, 40) * (source.random(40) < 0.7)
    n = np.array([2.0, 37.0, 1e4, 1e9])
    found = collapse_time_from(spectrum, n)
    for size, t in zip(n, found):
        root = optimize.brentq(
            lambda v, size=size: (
                np.log1p(spectrum / np.expm1(2 * math.exp(v))).sum() - 2 * math.log(size)
            ),
            -40,
            4,
        )
        assert t == pytest.approx(math.exp(root), rel=1e-8)
    assert (np.diff(found) < 0).all()
    np.testing.assert_allclose(excess_entropy_gaussian(spectrum, n, found * 0.99), 0.0, atol=0)
    assert (excess_entropy_gaussian(spectrum, n, found * 1.01) > 0).all()


def test_a_flat_spectrum_is_the_isotropic_formula() -> None:
    n = np.array([2, 50, 10**6])
    np.testing.assert_allclose(
        collapse_time_from(np.full(30, 2.5), n), collapse_time(n, 30, 2.5), rtol=1e-10
    )


def test_one_point_has_collapsed_always_and_points_without_spread_never() -> None:
    assert (
        collapse_time(1, 5)
        == collapse_time(1, 5, 0.0)
        == collapse_time_from([1.0, 2.0], 1)
        == collapse_time_from([0.0], 1)
        == math.inf
    )
    assert collapse_time(5, 3, 0.0) == collapse_time_from(np.zeros(4), 5) == 0.0
    np.testing.assert_array_equal(collapse_time_from(np.zeros(4), [1, 5]), [math.inf, 0.0])
    assert (
        excess_entropy_gaussian([1.0, 0.0], 9, 0.0) == excess_entropy_gaussian([1.0], 1, 2.0) == 0.0
    )
    assert excess_entropy_gaussian([0.0], 9, 0.0) == excess_entropy_gaussian([0.0], 9, 1.0) == 1.0
    assert excess_entropy_gaussian([1.0], 9, 50.0) == pytest.approx(1.0)


def self_weights(data: np.ndarray, t: float, draws: int, seed: int) -> np.ndarray:
    """ln w_self of noised training points, from densities as they are written."""
    source = np.random.default_rng(seed)
    own = source.integers(len(data), size=draws)
    x = math.exp(-t) * data[own] + math.sqrt(-math.expm1(-2 * t)) * source.standard_normal(
        (draws, data.shape[1])
    )
    logits = -((x[:, None] - math.exp(-t) * data) ** 2).sum(2) / (2 * -math.expm1(-2 * t))
    return logits[np.arange(draws), own] - np.logaddexp.reduce(logits, 1)


@pytest.mark.parametrize("t", [0.2, 0.6, 1.2])
def test_the_measured_excess_entropy_is_minus_the_mean_logarithm_of_the_points_own_weight(
    t: float,
) -> None:
    data = gaussian(60, np.geomspace(3, 0.05, 10), 3) + 2.0
    logs = -self_weights(data, t, 6000, 4)
    found, weight = (
        excess_entropy(data, t, draws=6000, seed=5),
        self_weight(data, t, draws=6000, seed=5),
    )
    error = math.hypot(found.error, logs.std() / math.sqrt(6000) / math.log(60))
    assert abs(found.value - logs.mean() / math.log(60)) < sigmas(6) * error
    assert abs(weight.value - np.exp(-logs).mean()) < sigmas(6) * math.hypot(
        weight.error, np.exp(-logs).std() / math.sqrt(6000)
    )
    assert found.error < logs.std() / math.sqrt(6000) / math.log(60)


def test_two_points_on_a_line_have_the_entropy_of_a_noisy_bit() -> None:
    t = 0.8
    k = math.exp(-t) / math.sqrt(-math.expm1(-2 * t))

    def integrand(y: float) -> float:
        return stats.norm.pdf(y) * np.logaddexp(0.0, -2 * k * (k + y))

    exact = integrate.quad(integrand, -12, 12)[0] / math.log(2)
    found = excess_entropy([[4.0], [6.0]], t, draws=20000)
    assert abs(found.value - exact) < sigmas() * found.error


def test_many_dimensions_follow_the_theory_from_above() -> None:
    """H(I|x) = ln n - I(I; x), and the mean of I over data sets is at most the I(x0; x) of the
    population: f is a lower bound of f^e.
    """
    spectrum = np.geomspace(4, 0.3, 64)
    data = gaussian(1500, spectrum, 7)
    collapse = collapse_time_from(spectrum, 1500)
    at = collapse * np.array([0.5, 1.0, 1.5, 2.0, 4.0])
    found, theory = (
        excess_entropy(data, at, draws=1500),
        excess_entropy_gaussian(spectrum, 1500, at),
    )
    assert (found.value > theory - 6 * found.error).all()
    np.testing.assert_allclose(found.value[[0, 3, 4]], theory[[0, 3, 4]], atol=0.04)
    assert self_weight(data, collapse).value == pytest.approx(0.55, abs=0.06)
    assert measured_collapse_time(data) == pytest.approx(collapse, rel=0.1)


def test_standard_errors_say_how_far_seeds_scatter() -> None:
    data = gaussian(50, np.ones(6), 8)
    runs = [excess_entropy(data, [0.3, 1.0], seed=seed) for seed in range(80)]
    spread = np.std([run.value for run in runs], axis=0, ddof=1)
    claimed = np.mean([run.error for run in runs], axis=0)
    assert (
        spread < 1.3 * claimed
    ).all()  # points are taken once each, so the spread may be smaller
    assert (spread > 0.4 * claimed).all()


def test_the_block_size_is_of_no_matter_and_bounds_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = gaussian(3000, np.ones(3), 9)
    tracemalloc.start()
    whole = excess_entropy(data, [0.1, 1.0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 72e6  # one matrix of all pairs
    monkeypatch.setattr(times, "_BLOCK", 5000)
    parts = excess_entropy(data, [0.1, 1.0])
    np.testing.assert_allclose(np.stack(whole), np.stack(parts), rtol=1e-10)


def test_shapes_seeds_and_kinds() -> None:
    images = torch.randn(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    grid = torch.tensor([[0.2, 0.5, 0.9], [1.0, 2.0, 3.0]])
    found = excess_entropy(images, grid, seed=3)
    assert isinstance(found.value, torch.Tensor)
    assert found.value.shape == found.error.shape == (2, 3)
    assert 0 <= found.value[0, 0] < found.value[1, 2] <= 1
    again = excess_entropy(images.flatten(1).numpy(), grid.numpy(), seed=3)
    np.testing.assert_array_equal(found.value.numpy(), again.value)
    assert (excess_entropy(images, grid, seed=4).value != found.value).any()
    single = excess_entropy(images.numpy(), 0.5, seed=3)
    assert isinstance(single.value, float)
    assert single.value == pytest.approx(again.value[0, 1], rel=1e-12)
    shifted = excess_entropy(
        images.flatten(1).numpy().astype(np.float64) + 100.0, grid.numpy(), seed=3
    )
    np.testing.assert_allclose(shifted.value, again.value, rtol=1e-6)


def test_single_and_equal_points_are_defined() -> None:
    assert excess_entropy([[1.0, 2.0]], [0.1, 5.0]).value.tolist() == [0.0, 0.0]
    assert self_weight([[1.0, 2.0]], 0.1) == (1.0, 0.0)
    assert measured_collapse_time([[1.0, 2.0]]) == math.inf
    same = np.ones((6, 3))
    assert excess_entropy(same, 0.3).value == pytest.approx(1.0)
    assert self_weight(same, 0.3).value == pytest.approx(1 / 6)
    assert measured_collapse_time(same) == 0.0
    twice = np.repeat(gaussian(30, np.ones(5), 1), 2, axis=0)
    assert measured_collapse_time(twice) == 0.0
    assert excess_entropy(twice, 1e-3).value == pytest.approx(math.log(2) / math.log(60), abs=1e-6)
    assert measured_collapse_time(twice, level=0.3) > 0


def test_the_measured_collapse_is_where_the_points_own_weight_is_one_half() -> None:
    data = load_digits().data
    data = (data - data.mean(0)) * math.sqrt(64 / data.var(0).sum())
    found = measured_collapse_time(data, draws=600)
    assert self_weight(data, found, draws=600).value == pytest.approx(0.5, abs=2e-3)
    assert found == pytest.approx(0.532, rel=0.05)
    assert (
        measured_collapse_time(data[::18], draws=100)
        > measured_collapse_time(data[::4], draws=400)
        > found
    )


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: speciation_time([[1.0, 2.0], [0.0, 1.0]]), "cov"),
        (lambda: speciation_time([[1.0, 2.0], [2.0, 1.0]]), "cov"),
        (lambda: speciation_time([[math.nan]]), "cov"),
        (lambda: collapse_time(0, 4), "n "),
        (lambda: collapse_time(9, 0), "d "),
        (lambda: collapse_time(9, 4, -1.0), "variance"),
        (lambda: collapse_time_from([1.0, -1.0], 9), "spectrum"),
        (lambda: excess_entropy([1.0, 2.0], 1.0), "data"),
        (lambda: excess_entropy([[1.0], [math.nan]], 1.0), "data"),
        (lambda: excess_entropy([[1.0], [2.0]], 0.0), "times"),
        (lambda: excess_entropy([[1.0], [2.0]], 1.0, draws=1), "draws"),
        (lambda: measured_collapse_time([[1.0], [2.0]], level=1.0), "level"),
        (lambda: clone_agreement(-1.0, 4), "times"),
        (lambda: ou_time(0.0), "abar"),
        (lambda: step_of(1.0, [0.5, 0.9]), "abars"),
    ],
)
def test_bad_input_is_one_line_that_names_it(call: object, name: str) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        call()  # type: ignore[operator]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("t", "n", "separation", "variance"), [(1.2, 300, 0.7, 0.5), (2.0, 9, 1, 1)]
)
def test_excess_entropy_of_a_mixture_is_that_of_its_density(
    t: float, n: int, separation: float, variance: float
) -> None:
    """What of ln n is left when the entropy of the noised law, less that of the noise, is taken
    off: by Monte Carlo over the density.
    """
    d, draws = 6, 200_000
    source = np.random.default_rng(0)
    signal = math.exp(-2 * t)
    spread = 1 - signal + variance * signal
    centre = np.full(d, separation * math.exp(-t))
    x = source.choice([-1.0, 1.0], (draws, 1)) * centre
    x = x + math.sqrt(spread) * source.standard_normal((draws, d))
    each = [stats.norm.logpdf(x, sign * centre, math.sqrt(spread)).sum(1) for sign in (-1, 1)]
    density = np.logaddexp(*each) - math.log(2)
    filled = -density - 0.5 * d * math.log(2 * math.pi * math.e * (1 - signal))
    wanted = 1 - filled.mean() / math.log(n)
    error = filled.std() / math.sqrt(draws) / math.log(n)
    found = excess_entropy_mixture(t, n, d, separation=separation, variance=variance)
    assert abs(found - wanted) < sigmas(2) * error


def test_excess_entropy_of_a_mixture_ends_at_the_collapse_within_a_class() -> None:
    sizes = np.array([64.0, 4000.0])
    root = collapse_time(sizes / 2, 256, 0.5)
    law = {"separation": 2.0, "variance": 0.5}
    np.testing.assert_allclose(excess_entropy_mixture(0.999 * root, sizes, 256, **law), 0, atol=0)
    after = excess_entropy_mixture(1.01 * root, sizes, 256, **law)
    assert (after > 0).all()
    assert (after < 0.05).all()
    assert excess_entropy_mixture(50.0, 9, 256) == pytest.approx(1)
    assert excess_entropy_mixture(1.0, 1, 256) == 0
    one = excess_entropy_gaussian(np.full(8, 0.7), 50, [0.5, 2.0])
    np.testing.assert_allclose(
        excess_entropy_mixture([0.5, 2.0], 50, 8, separation=0.0, variance=0.7), one
    )
