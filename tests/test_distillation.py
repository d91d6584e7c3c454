"""The closest affine map: itself for an affine denoiser, the Wiener filter for an exact posterior
mean; and distances between denoisers.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rates import FAILURE_RATE
from scipy import stats
from torch import Tensor

from denoscope.distributions import Empirical, Gaussian, GaussianMixture
from denoscope.geometry.distances import beyond_span, outputs, pairwise_distances, score_distance
from denoscope.geometry.distillation import (
    Affine,
    distill,
    singular_correlations,
    weight_error,
    wiener,
)
from denoscope.random import generator
from denoscope.types import Denoiser

F64 = torch.float64


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=F64)


def _affine(n: int, seed: int = 0) -> Affine:
    return Affine(_normal(n, n, seed=seed), _normal(n, seed=seed + 1))


def _wiener(mean: Tensor, cov: Tensor, sigma: float) -> Affine:
    eye = torch.eye(len(cov), dtype=F64)
    weight = cov @ torch.linalg.inv(cov + sigma**2 * eye)
    return Affine(weight, (eye - weight) @ mean.flatten())


def _most(runs: int, comparisons: int) -> float:
    """The quantile of Student's t for the mean of so many runs at the one failure rate."""
    return float(stats.t.isf(FAILURE_RATE / comparisons / 2, runs - 1))


def _square(x: Tensor, sigma: Tensor) -> Tensor:
    return x.square()


# Distillation


@pytest.mark.parametrize("sigma", [0.01, 1.0, 80.0])
@pytest.mark.parametrize("count", [3, 400])
def test_the_distillate_of_an_affine_map_is_itself_from_any_data(count: int, sigma: float) -> None:
    D = _affine(9)
    found = distill(D, 3 + 2 * _normal(count, 9, seed=5), sigma)
    torch.testing.assert_close(found.weight, D.weight, atol=1e-8, rtol=0)
    torch.testing.assert_close(found.bias, D.bias, atol=1e-7, rtol=0)


@pytest.mark.parametrize("sigma", [0.05, 1.0, 10.0])
def test_the_distillate_of_a_gaussian_is_its_wiener_filter_of_images_too(sigma: float) -> None:
    data = torch.cat([_normal(30, 1, 4, 3), -1 + 0.2 * _normal(10, 1, 4, 3, seed=1)])
    law = Gaussian.from_data(data)
    found, expected = distill(law, data, sigma), _wiener(law.mean, law.cov, sigma)
    torch.testing.assert_close(tuple(found), tuple(expected), atol=1e-8, rtol=0)
    noisy = data + sigma * _normal(*data.shape, seed=3)
    torch.testing.assert_close(
        found(noisy, torch.tensor(sigma)), law(noisy, torch.tensor(sigma)), atol=1e-7, rtol=0
    )


def test_a_single_precision_denoiser_is_found_to_its_rounding() -> None:
    law = Gaussian.from_data(torch.randn(50, 1, 8, 8, generator=generator(2)))
    found = distill(law, law.sample(20, generator(3)), 0.5)
    assert found.weight.dtype == F64
    assert (
        weight_error(found.weight, _wiener(law.mean.double(), law.cov.double(), 0.5).weight) < 1e-10
    )


def _spread(runs: list[Affine], exact: Affine) -> tuple[Tensor, Tensor]:
    """Mean error of every number of W and b over runs, and the standard error of that mean."""
    errors = torch.stack([torch.cat([run.weight.flatten(), run.bias]) for run in runs]) - torch.cat(
        [exact.weight.flatten(), exact.bias]
    )
    return errors.mean(0), errors.std(0) / math.sqrt(len(runs))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_the_distillate_of_the_memorizer_tends_to_the_wiener_filter_of_its_data(
    sigma: float,
) -> None:
    data = _normal(7, 3, seed=4) * torch.tensor([2.0, 1.0, 0.3], dtype=F64) + 0.5
    law = Gaussian.from_data(data)
    exact = _wiener(law.mean, law.cov, sigma)
    runs = [
        distill(Empirical(data), data, sigma, seed=seed, repeats=400, batch=2800)
        for seed in range(20)
    ]
    error, standard = _spread(runs, exact)
    # 0.005 bounds the bias of a ratio at 2 800 rows
    assert bool((error.abs() < _most(20, 12) * standard + 0.005).all())
    assert weight_error(runs[0].weight, exact.weight) < 0.01


def test_the_distillate_of_a_mixture_tends_to_the_wiener_filter_of_its_two_moments() -> None:
    means = torch.tensor([[-2.0, 0.0], [1.0, 1.5], [1.0, -1.0]], dtype=F64)
    covs = torch.stack(
        [
            torch.diag(torch.tensor(pair, dtype=F64))
            for pair in ([0.1, 0.5], [0.3, 0.05], [0.2, 0.2])
        ]
    )
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=F64)
    law = GaussianMixture(means, covs, weights)
    centre = weights @ means
    spread = torch.einsum("k,ki,kj->ij", weights, means - centre, means - centre)
    exact = _wiener(centre, spread + torch.tensordot(weights, covs, dims=1), 0.8)
    runs = [
        distill(law, law.sample(2000, generator(seed)), 0.8, seed=seed, repeats=2, batch=4000)
        for seed in range(20)
    ]
    error, standard = _spread(runs, exact)
    assert bool((error.abs() < _most(20, 6) * standard + 0.005).all())
    assert float(exact.weight[0, 0]) > 0.5


def test_no_other_affine_map_is_closer_on_the_rows_it_was_made_of() -> None:
    data, rows = _normal(40, 4), []

    def D(x: Tensor, sigma: Tensor) -> Tensor:
        rows.append(x)
        return x.sin()

    found = distill(D, data, 0.6, repeats=3)
    y = torch.cat(rows).numpy()
    assert len(y) == 120
    design = np.column_stack([y, np.ones(len(y))])
    best = np.linalg.lstsq(design, np.sin(y), rcond=None)[0]
    np.testing.assert_allclose(found.weight, best[:-1].T, atol=1e-10)
    np.testing.assert_allclose(found.bias, best[-1], atol=1e-10)


@pytest.mark.parametrize("ridge", [0.01, 2.0, 1e4])
def test_ridge_is_that_of_the_normal_equations_and_leaves_the_bias_free(ridge: float) -> None:
    data, rows = _normal(30, 4) + 2, []

    def D(x: Tensor, sigma: Tensor) -> Tensor:
        rows.append(x)
        return x**3

    found = distill(D, data, 0.6, ridge=ridge, repeats=2)
    y = torch.cat(rows)
    answers, spread = y**3, y - y.mean(0)
    expected = torch.linalg.solve(
        spread.T @ spread / len(y) + ridge * torch.eye(4, dtype=F64), spread.T @ answers / len(y)
    ).T
    torch.testing.assert_close(found.weight, expected, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(
        found.bias, answers.mean(0) - expected @ y.mean(0), rtol=1e-8, atol=1e-8
    )


def test_too_few_rows_give_the_map_of_least_norm_that_fits_them() -> None:
    rows = []

    def D(x: Tensor, sigma: Tensor) -> Tensor:
        rows.append(x)
        return x.cos()

    found = distill(D, _normal(3, 10), 1.0, repeats=2)
    y = torch.cat(rows)
    torch.testing.assert_close(found(y, torch.tensor(1.0)), y.cos())
    expected = torch.linalg.pinv(y - y.mean(0)) @ (y.cos() - y.cos().mean(0))
    torch.testing.assert_close(found.weight, expected.T, atol=1e-9, rtol=0)


def test_one_row_gives_a_constant() -> None:
    found = distill(_square, _normal(1, 5), 1.0, repeats=1)
    assert not bool(found.weight.any())


def test_noise_comes_in_opposite_pairs_from_the_seed_whatever_the_batch() -> None:
    seen: list[Tensor] = []

    def D(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(x)
        return x.square()

    data = _normal(6, 2, 3)
    first = distill(D, data, 0.5, seed=4, repeats=4)
    noise = (torch.cat(seen).reshape(4, 6, 2, 3) - data) / 0.5
    torch.testing.assert_close(noise[1::2], -noise[::2])
    assert not torch.allclose(noise[0], noise[2])
    torch.testing.assert_close(
        tuple(distill(D, data, 0.5, seed=4, repeats=4, batch=5)), tuple(first), atol=1e-10, rtol=0
    )
    assert not torch.allclose(distill(D, data, 0.5, seed=5, repeats=4).weight, first.weight)


def test_by_default_there_are_eight_rows_for_each_unknown() -> None:
    for count in (3, 50, 1000):
        seen: list[int] = []

        def D(x: Tensor, sigma: Tensor, seen: list[int] = seen) -> Tensor:
            seen.append(len(x))
            return x

        distill(D, _normal(count, 10), 1.0)
        assert 8 * 11 <= sum(seen) < 8 * 11 + count
        assert max(seen) <= 256


@pytest.mark.parametrize("sigma", [0.4, 3.0])
def test_the_distillate_turns_with_its_denoiser(sigma: float) -> None:
    data, turn = _normal(12, 4), torch.linalg.qr(_normal(4, 4, seed=7)).Q
    law, turned = (
        GaussianMixture(data[:3], torch.eye(4, dtype=F64).expand(3, 4, 4) * 0.1),
        data @ turn.T,
    )

    def D(x: Tensor, level: Tensor) -> Tensor:
        return law(x @ turn, level) @ turn.T

    plain = [distill(law, data, sigma, repeats=200, seed=seed, batch=2400) for seed in range(16)]
    other = [
        distill(D, turned, sigma, repeats=200, seed=100 + seed, batch=2400) for seed in range(16)
    ]
    expected = [Affine(turn @ run.weight @ turn.T, turn @ run.bias) for run in plain]
    first, second = (
        [torch.cat([run.weight.flatten(), run.bias]) for run in runs] for runs in (expected, other)
    )
    gap = torch.stack(first).mean(0) - torch.stack(second).mean(0)
    standard = ((torch.stack(first).var(0) + torch.stack(second).var(0)) / 16).sqrt()
    assert bool((gap.abs() < _most(16, 20) * standard).all())


def test_the_random_part_falls_with_the_rows_and_a_twin_has_none_of_it() -> None:
    data = _normal(5, 3, seed=4)
    law = Gaussian.from_data(data)
    exact = _wiener(law.mean, law.cov, 0.7).weight
    D = Empirical(data)
    few, many = (
        [distill(D, data, 0.7, seed=s, repeats=r, batch=3000).weight for s in range(40)]
        for r in (20, 160)
    )
    plain = [sum(weight_error(W, exact) for W in runs) / 40 for runs in (few, many)]
    assert 4 < plain[0] / plain[1] < 16
    pairs = np.array([weight_error(W, exact, twin=twin) for W, twin in zip(many[::2], many[1::2])])
    assert abs(pairs.mean()) < _most(20, 1) * pairs.std(ddof=1) / math.sqrt(20)
    assert pairs.mean() < plain[1] / 2


def test_an_affine_map_is_a_denoiser_of_any_event_of_its_size() -> None:
    D = _affine(6)
    x = _normal(5, 2, 3)
    expected = x.flatten(1) @ D.weight.T + D.bias
    torch.testing.assert_close(D(x, torch.ones(5)), expected.reshape(5, 2, 3))
    torch.testing.assert_close(D(x[0], torch.tensor(1.0)), expected[0].reshape(2, 3))
    assert D(x.float(), torch.ones(5)).dtype == torch.float32
    with pytest.raises(ValueError, match="6 numbers"):
        D(_normal(6, 5), torch.ones(6))


def test_weight_errors_and_correlations_of_known_matrices() -> None:
    W = torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0]))
    assert weight_error(W, W) == 0
    assert weight_error(2 * W, W) == pytest.approx(1)
    assert weight_error(0 * W, W) == pytest.approx(1)
    torch.testing.assert_close(singular_correlations(W, -3 * W, 3), torch.eye(3, dtype=F64))
    swapped = singular_correlations(W, W[[1, 0, 2, 3]][:, [1, 0, 2, 3]], 2)
    torch.testing.assert_close(swapped, torch.eye(2, dtype=F64)[[1, 0]])
    for bad in (W[:2], 0 * W):
        with pytest.raises(ValueError, match="W0"):
            weight_error(W, bad)
    for k in (0, 5):
        with pytest.raises(ValueError, match="k must"):
            singular_correlations(W, W, k)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": -1.0}, "sigma"),
        ({"sigma": torch.ones(5)}, "one level"),
        ({"x": torch.ones(0, 3)}, "data"),
        ({"x": torch.ones(3)}, "data"),
        ({"x": torch.ones(5, 3, dtype=torch.int64)}, "data"),
        ({"x": torch.full((5, 3), math.nan)}, "finite"),
        ({"ridge": -1.0}, "ridge"),
        ({"ridge": math.nan}, "ridge"),
        ({"repeats": 0}, "repeats"),
        ({"batch": 0}, "batch"),
        ({"batch": -1}, "batch"),
        ({"D": lambda x, sigma: x * math.nan}, "finite"),
        ({"D": lambda x, sigma: x[:1]}, "shape"),
    ],
)
def test_bad_input_is_one_clear_error(options: dict, word: str) -> None:
    given = {"D": _square, "x": torch.ones(5, 3), "sigma": 1.0, **options}
    with pytest.raises(ValueError, match=word):
        distill(given.pop("D"), given.pop("x"), given.pop("sigma"), **given)


# Distances


def test_the_distance_of_a_shifted_denoiser_is_the_length_of_the_shift() -> None:
    y, D, shift = _normal(33, 2, 3), _affine(6), _normal(2, 3, seed=2)
    found = score_distance(D, lambda x, sigma: D(x, sigma) + shift, y, 0.5)
    assert found.value == pytest.approx(float(shift.square().mean().sqrt()))
    assert found.n == 33
    assert found.high - found.low < 1e-9
    assert score_distance(D, D, y, 0.5, relative=True).value == 0
    double = score_distance(D, lambda x, sigma: 3 * D(x, sigma), y, 0.5, relative=True)
    assert double.value == pytest.approx(2)


def test_distances_are_those_of_each_row_at_its_level_in_every_batch() -> None:
    levels = torch.logspace(-1, 1, 11, dtype=F64)
    data = _normal(6, 4, seed=1)
    first, second, y = Empirical(data), Gaussian.from_data(data), _normal(11, 4)
    rows = (first(y, levels) - second(y, levels)).square().mean(1).sqrt()
    for batch in (1, 4, 256):
        found = score_distance(first, second, y, levels, batch=batch)
        assert found.value == pytest.approx(float(rows.mean()))
    assert found.high - found.low == pytest.approx(
        2 * 2.2281388519649385 * float(rows.std()) / math.sqrt(11)
    )
    assert score_distance(second, first, y, levels).value == pytest.approx(found.value)
    relative = score_distance(first, second, y, levels, relative=True)
    assert relative.value == pytest.approx(float((2 * rows / first(y, levels).norm(dim=1)).mean()))


def test_distances_grow_to_nothing_where_noise_is_all() -> None:
    data = _normal(20, 5, seed=1)
    for sigma in (100.0, 1000.0):
        y = data + sigma * _normal(20, 5, seed=2)
        apart = score_distance(Empirical(data), Gaussian.from_data(data), y, sigma)
        assert apart.high < 10 / sigma


def test_all_pairs_are_those_of_two_with_each_denoiser_called_once() -> None:
    calls: list[int] = []

    def counted(x: Tensor, sigma: Tensor) -> Tensor:
        calls.append(len(x))
        return x.sin()

    y, law = _normal(30, 5), _affine(5)
    found = pairwise_distances({"a": counted, "b": law, "c": _square}, y, 1.0, batch=8)
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert calls == [8, 8, 8, 6]
    assert found["b", "c"] == score_distance(law, _square, y, 1.0)
    assert found["a", "c"].value <= found["a", "b"].value + found["b", "c"].value


def test_a_distance_relative_to_zero_is_not_available() -> None:
    found = score_distance(lambda x, sigma: 0 * x, _square, torch.ones(3, 2), 1.0, relative=True)
    assert math.isnan(found.value)
    assert "length 0" in found.method


def test_outputs_are_rows_in_double_precision() -> None:
    found = outputs(_square, torch.full((5, 2, 2), 3.0), 1.0, batch=2)
    torch.testing.assert_close(found, torch.full((5, 4), 9.0, dtype=F64))


@pytest.mark.parametrize(
    ("D", "y", "sigma", "word"),
    [
        (_square, torch.ones(3, 2), 0.0, "sigma"),
        (_square, torch.ones(3, 2), math.nan, "sigma"),
        (_square, torch.ones(3, 2), torch.ones(2), "sigma"),
        (_square, torch.ones(3, 2), torch.ones(3, 2), "sigma"),
        (_square, torch.ones(2), 1.0, "points"),
        (_square, torch.ones(0, 2), 1.0, "points"),
        (lambda x, sigma: x / 0, torch.ones(3, 2), 1.0, "finite"),
        (lambda x, sigma: x.flatten(), torch.ones(3, 2), 1.0, "shape"),
    ],
)
def test_bad_points_are_refused(D: Denoiser, y: Tensor, sigma: float | Tensor, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        score_distance(_square, D, y, sigma)


def test_one_denoiser_has_no_distance() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        pairwise_distances({"a": _square}, torch.ones(3, 2), 1.0)


def test_distance_beyond_the_span_is_a_least_squares_residual() -> None:
    rng = torch.Generator().manual_seed(0)
    train, x = torch.randn(12, 1, 4, 5, generator=rng), torch.randn(30, 1, 4, 5, generator=rng)
    train[:, :, 0] = -1.0
    beyond, rank = beyond_span(train, x)
    rows, points = (images.flatten(1).double().numpy() for images in (train, x))
    basis, rest = (rows - rows.mean(0)).T, (points - rows.mean(0)).T
    residual = rest - basis @ np.linalg.lstsq(basis, rest, rcond=None)[0]
    assert rank == 11
    np.testing.assert_allclose(beyond, np.sqrt((residual**2).mean(0)), atol=1e-6)
    assert beyond_span(torch.cat([train, x]), x)[1] == 20
    assert beyond_span(train.repeat(3, 1, 1, 1), x)[1] == 11, "numbers that never vary span nothing"
    assert beyond_span(train[:1], x)[1] == 0


def test_the_wiener_filter_is_that_of_the_gaussian() -> None:
    gaussian = Gaussian.from_data(torch.randn(40, 5, generator=torch.Generator().manual_seed(0)))
    x = torch.randn(9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    matrix = wiener(gaussian.cov, 0.7)
    expected = gaussian.mean + (x - gaussian.mean) @ matrix.T
    torch.testing.assert_close(gaussian(x, torch.tensor(0.7)), expected)
