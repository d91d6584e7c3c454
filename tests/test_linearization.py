"""How linear a denoiser is: exact for affine maps, first order for smooth ones, and the closed
forms of what the mean adds.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy import stats
from torch import Tensor

from denoscope.distributions import Empirical, Gaussian, MoLRG
from denoscope.geometry.linearization import (
    first_order,
    linearity,
    linearity_error,
    local_linearity,
    recentred,
    superposition,
)
from denoscope.networks import UNet
from denoscope.random import generator
from denoscope.types import Denoiser

F64 = torch.float64


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=F64)


def _gaussian(n: int, scale: float = 0.0, seed: int = 1) -> Gaussian:
    root = _normal(n, n, seed=seed) / math.sqrt(n)
    return Gaussian(scale * _normal(n, seed=seed + 1), root @ root.T)


# Local linearity


@pytest.mark.parametrize("sigma", [0.05, 1.0, 30.0])
def test_an_affine_denoiser_equals_its_first_order_model_at_any_step(sigma: float) -> None:
    levels = torch.full((5,), sigma, dtype=F64)
    found = first_order(
        _gaussian(7, 2.0),
        _normal(5, 7),
        _normal(5, 7, seed=9),
        levels,
        [-40.0, -1.0, 1e-3, 1.0, 40.0],
    )
    torch.testing.assert_close(found.cosine, torch.ones(5, 5, dtype=F64), atol=1e-12, rtol=0)
    torch.testing.assert_close(found.norm_ratio, torch.ones(5, 5, dtype=F64), atol=1e-12, rtol=0)
    torch.testing.assert_close(found.change_cosine, torch.ones(5, 5, dtype=F64), atol=1e-9, rtol=0)
    assert float(found.change_error.max()) < 1e-8


def _curvature(D: MoLRG, x: Tensor, v: Tensor, sigma: float) -> Tensor:
    """The second derivative of D along v, by differences of its closed-form Jacobian."""
    level, h = torch.tensor(sigma, dtype=F64), 1e-5
    return ((D.jacobian(x + h * v, level) - D.jacobian(x - h * v, level)) / (2 * h)) @ v


@pytest.mark.parametrize("sigma", [0.6, 1.5])
def test_the_error_of_the_change_is_the_second_order_term_and_that_of_the_value_its_square(
    sigma: float,
) -> None:
    D, x, v = MoLRG.random(12, [2, 3, 2], seed=3), _normal(12, seed=4), _normal(12, seed=5)
    v = v / v.norm()
    steps = torch.tensor([1e-2, 1e-3, 1e-4], dtype=F64)
    found = first_order(D, x, v, sigma, steps)
    slope = D.jacobian(x, torch.tensor(sigma, dtype=F64)) @ v
    expected = steps * _curvature(D, x, v, sigma).norm() / 2 / slope.norm()
    np.testing.assert_allclose(found.change_error, expected, rtol=0.05)
    orders = torch.log10(found.change_error[:-1] / found.change_error[1:])
    torch.testing.assert_close(orders, torch.ones(2, dtype=F64), atol=0.02, rtol=0)
    ratio_orders = torch.log10((found.norm_ratio[0] - 1).abs() / (found.norm_ratio[1] - 1).abs())
    assert abs(float(ratio_orders) - 2) < 0.1
    assert bool((found.cosine >= found.change_cosine).all())


def test_the_published_pair_matches_differences_of_the_closed_form() -> None:
    D, x, v, levels = (
        MoLRG.random(9, [2, 2], noise=0.1, seed=6),
        _normal(4, 9),
        _normal(4, 9, seed=2),
        torch.tensor([0.3, 0.5, 1, 2], dtype=F64),
    )
    steps = [0.0, 0.5, 3.0]
    cosine, ratio = local_linearity(D, x, v, levels, steps)
    for i in range(4):
        unit = v[i] / v[i].norm()
        for s, step in enumerate(steps):
            moved = D(x[i] + step * unit, levels[i])
            model = D(x[i], levels[i]) + step * D.jacobian(x[i], levels[i]) @ unit
            assert float(cosine[s, i]) == pytest.approx(
                float(moved @ model / moved.norm() / model.norm()), abs=1e-12
            )
            assert float(ratio[s, i]) == pytest.approx(
                float(moved.norm() / model.norm()), abs=1e-12
            )


def test_shapes_follow_the_batch_and_a_direction_broadcasts_at_any_length() -> None:
    D, x = MoLRG.random(6, [2, 2], seed=1), _normal(2, 3, 6)
    cosine, ratio = local_linearity(D, x, _normal(6), torch.ones(2, 3, dtype=F64), [1.0, 2.0])
    assert cosine.shape == ratio.shape == (2, 2, 3)
    again = local_linearity(
        D, x, 100 * _normal(6).expand(2, 3, 6), torch.ones(2, 3, dtype=F64), [1.0, 2.0]
    )
    torch.testing.assert_close(again, (cosine, ratio))
    assert local_linearity(D, x[0, 0], _normal(6), 1.0, [1.0])[0].shape == (1,)
    flipped = local_linearity(D, x, -_normal(6), torch.ones(2, 3, dtype=F64), [-1.0, -2.0])
    torch.testing.assert_close(flipped, (cosine, ratio))


def test_a_step_of_zero_agrees_and_zero_vectors_have_defined_values() -> None:
    D = MoLRG.random(6, [2, 2], seed=1)
    found = first_order(D, _normal(6), _normal(6, seed=3), 1.0, [0.0])
    assert [float(part) for part in found] == pytest.approx([1, 1, 1, 0])
    nothing = first_order(lambda x, sigma: 0 * x, _normal(6), _normal(6, seed=3), 1.0, [2.0])
    assert [float(part) for part in nothing] == [1, 1, 1, 0]
    kink = first_order(
        lambda x, sigma: (x - 1).relu(),
        torch.zeros(3, dtype=F64),
        torch.ones(3, dtype=F64),
        1.0,
        [4.0],
    )
    assert [float(part) for part in kink] == [0, math.inf, 0, math.inf]


def test_a_network_of_images_is_locally_linear_in_single_precision() -> None:
    net = UNet((1, 8, 8), width=8)
    with torch.no_grad():
        for weight in net.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=generator(weight.numel()))
    x = torch.randn(3, 1, 8, 8, generator=generator(1))
    found = first_order(
        net, x, torch.randn(1, 8, 8, generator=generator(2)), torch.full((3,), 0.7), [0.05, 4.0]
    )
    assert found.cosine.shape == (2, 3)
    assert bool((found.change_error[0] < 0.1 * found.change_error[1]).all())


@pytest.mark.parametrize(
    ("direction", "steps", "word"),
    [
        (torch.zeros(4), [1.0], "direction"),
        (torch.tensor([1.0, math.nan, 0, 0]), [1.0], "direction"),
        (torch.ones(3), [1.0], "direction"),
        (torch.ones(2, 4), [1.0], "direction"),
        (torch.ones(4), [math.inf], "steps"),
        (torch.ones(4), [math.nan], "steps"),
        (torch.ones(4), [], "steps"),
    ],
)
def test_bad_directions_and_steps_are_refused(
    direction: Tensor, steps: list[float], word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        local_linearity(lambda x, sigma: x, torch.ones(4), direction, 1.0, steps)


# Superposition


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.99, 1.0])
def test_a_gaussian_of_mean_zero_scores_one_at_every_level(share: float) -> None:
    levels = torch.logspace(-2, 2, 40, dtype=F64)
    x1, x2 = (levels[:, None] * _normal(40, 8, seed=seed) for seed in (1, 2))
    score, error = (
        function(_gaussian(8), x1, x2, levels, share=share)
        for function in (linearity, linearity_error)
    )
    assert score.value == pytest.approx(1, abs=1e-12)
    assert error.value < 1e-12
    assert score.n == 40


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_an_affine_map_is_off_by_its_constant_alone(share: float) -> None:
    D, x1, x2 = _gaussian(6, 1.5), _normal(30, 6, seed=1), _normal(30, 6, seed=2)
    a, b = math.sqrt(share), math.sqrt(1 - share)
    constant = D(torch.zeros(6, dtype=F64), torch.tensor(0.8, dtype=F64))
    mixed = D(a * x1 + b * x2, torch.tensor(0.8, dtype=F64))
    expected = (a + b - 1) * constant.norm() / mixed.norm(dim=1)
    torch.testing.assert_close(superposition(D, x1, x2, 0.8, share=share).error, expected)
    assert linearity_error(D, x1, x2, 0.8, share=share).value == pytest.approx(
        float(expected.mean())
    )
    assert linearity(D, x1, x2, 0.8, share=share).value < 1


def test_a_constant_scores_one_with_an_error_of_root_two_less_one() -> None:
    x1, x2 = _normal(5, 3, seed=1), _normal(5, 3, seed=2)
    assert linearity(lambda x, sigma: torch.ones_like(x), x1, x2, 1.0).value == pytest.approx(1)
    assert linearity_error(lambda x, sigma: torch.ones_like(x), x1, x2, 1.0).value == pytest.approx(
        math.sqrt(2) - 1
    )


def test_the_score_of_a_shifted_identity_is_that_of_quadrature() -> None:
    shift, count = np.array([1.3, 0.0]), 20_000
    x1, x2 = _normal(count, 2, seed=1), _normal(count, 2, seed=2)
    found = linearity(lambda x, sigma: x + torch.from_numpy(shift), x1, x2, 1.0, batch=count)

    u, v = np.meshgrid(np.linspace(-7, 7, 2001), np.linspace(-7, 7, 2001))
    first, second = u + 1j * v + shift[0], u + 1j * v + math.sqrt(2) * shift[0]
    cosine = np.abs((first * second.conj()).real) / np.abs(first * second).clip(1e-300)
    exact = (cosine * stats.norm.pdf(u) * stats.norm.pdf(v)).sum() * (14 / 2000) ** 2
    error = (found.high - found.low) / 2 / stats.t.ppf(0.975, count - 1)
    assert abs(found.value - exact) < sigmas() * error + 1e-4


def test_a_memorizer_is_less_linear_than_the_gaussian_of_its_data() -> None:
    data = _normal(6, 10, seed=8)
    data = data - data.mean(0)
    pairs = torch.combinations(torch.arange(6)).repeat(4, 1)
    x1, x2 = (data[pairs[:, side]] + 0.5 * _normal(60, 10, seed=side) for side in (0, 1))
    assert linearity(Empirical(data), x1, x2, 0.5).high < 0.95
    assert linearity(Gaussian.from_data(data), x1, x2, 0.5).value == pytest.approx(1, abs=1e-9)


def test_the_score_is_the_same_for_every_batch_and_in_every_rotation() -> None:
    D, x1, x2 = MoLRG.random(8, [2, 2], seed=3), _normal(23, 8, seed=1), _normal(23, 8, seed=2)
    turn = torch.linalg.qr(_normal(8, 8, seed=4)).Q
    plain = superposition(D, x1, x2, 0.7)
    torch.testing.assert_close(superposition(D, x1, x2, 0.7, batch=5), plain)
    torch.testing.assert_close(
        superposition(lambda x, s: D(x @ turn, s) @ turn.T, x1 @ turn.T, x2 @ turn.T, 0.7), plain
    )
    assert plain.cosine.shape == (23,)


def test_an_error_relative_to_nothing_is_not_available() -> None:
    half = math.sqrt(0.5)

    def D(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.where((x - 2 * half).abs() < 1e-9, 0.0, x)

    found = linearity_error(D, torch.ones(3, 2, dtype=F64), torch.ones(3, 2, dtype=F64), 1.0)
    assert math.isnan(found.value)
    assert "length 0" in found.method
    assert linearity(D, torch.ones(3, 2, dtype=F64), torch.ones(3, 2, dtype=F64), 1.0).value == 0


@pytest.mark.parametrize(
    ("x1", "x2", "sigma", "options", "word"),
    [
        (torch.ones(3, 4), torch.ones(2, 4), 1.0, {}, "one shape"),
        (torch.ones(3, 4), torch.ones(3, 4), 0.0, {}, "sigma"),
        (torch.ones(3, 4), torch.ones(3, 4), -1.0, {}, "sigma"),
        (torch.ones(3, 4), torch.ones(3, 4), torch.ones(2), {}, "sigma"),
        (torch.ones(3, 4), torch.ones(3, 4), torch.ones(3, 4), {}, "sigma"),
        (torch.ones(3, 4), torch.ones(3, 4), 1.0, {"share": 1.5}, "share"),
        (torch.ones(3, 4), torch.ones(3, 4), 1.0, {"share": math.nan}, "share"),
        (torch.ones(3, 4), torch.ones(3, 4), 1.0, {"batch": 0}, "batch"),
        (torch.ones(4), torch.ones(4), 1.0, {}, "points"),
    ],
)
def test_bad_pairs_are_refused(
    x1: Tensor, x2: Tensor, sigma: float | Tensor, options: dict, word: str
) -> None:
    for function in (linearity, linearity_error):
        with pytest.raises(ValueError, match=word):
            function(lambda x, sigma: x, x1, x2, sigma, **options)


@pytest.mark.parametrize(
    ("D", "word"), [(lambda x, sigma: x / 0, "finite"), (lambda x, sigma: x[..., :2], "shape")]
)
def test_bad_denoisers_are_refused(D: Denoiser, word: str) -> None:
    x = torch.ones(3, 4)
    with pytest.raises(ValueError, match=word):
        linearity(D, x, x, 1.0)
    with pytest.raises(ValueError, match=word):
        local_linearity(D, x, x[0], torch.ones(3), [1.0])


def test_about_its_mean_a_wiener_filter_is_linear() -> None:
    gaussian = Gaussian.from_data(
        torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) + 2
    )
    x1, x2 = torch.randn(2, 9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert superposition(gaussian, x1, x2, 0.5).error.min() > 0.01
    moved = superposition(recentred(gaussian, gaussian.mean), x1, x2, 0.5)
    assert moved.error.max() < 1e-6
