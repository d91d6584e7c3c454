"""The kernel distance: its definition, unbiasedness, invariances, and parity with torchmetrics."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from rates import sigmas
from torch import Tensor
from torchmetrics.image.kid import poly_mmd

from denoscope.laws import metric as laws
from denoscope.metrics import measure
from denoscope.metrics.jackknife import blocks, interval
from denoscope.metrics.kernel_distance import kernel
from denoscope.random import derive


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


GEN, REAL = 1.2 * normal(90, 5, seed=1) + 0.2, normal(130, 5, seed=2)


def by_definition(x: Tensor, y: Tensor) -> float:
    """The mean of the U-statistic's terms, with numpy from whole matrices."""
    a, b = x.double().numpy(), y.double().numpy()
    xx, yy, xy = ((p @ q.T / p.shape[1] + 1) ** 3 for p, q in ((a, a), (b, b), (a, b)))
    off, off0 = ~np.eye(len(a), dtype=bool), ~np.eye(len(b), dtype=bool)
    return float(xx[off].mean() + yy[off0].mean() - 2 * xy.mean())


@pytest.mark.parametrize(("n", "m", "d"), [(90, 130, 5), (2, 2, 1), (300, 7, 40), (1500, 1100, 3)])
def test_it_is_its_definition_whatever_the_tiles(n: int, m: int, d: int) -> None:
    x, y = 1.2 * normal(n, d, seed=3) + 0.1, normal(m, d, seed=4)
    assert kernel(x, y).value == pytest.approx(by_definition(x, y), rel=1e-9, abs=1e-12)


def test_parity_with_torchmetrics() -> None:
    theirs = float(poly_mmd(REAL[:90], GEN, degree=3, gamma=None, coef=1.0))
    assert kernel(GEN, REAL[:90]).value == pytest.approx(theirs, rel=1e-11)


def test_it_is_an_estimate_in_its_interval_and_symmetric() -> None:
    laws.check_estimate(kernel, GEN, REAL)
    assert kernel(GEN, REAL).value == pytest.approx(kernel(REAL, GEN).value, rel=1e-12)
    assert kernel(GEN, REAL).method == "delete-block jackknife"


@pytest.mark.parametrize("seed", [0, 3])
def test_the_jackknife_leaves_blocks_out_of_the_whole_statistic(seed: int) -> None:
    """Each replicate by the definition, from the rows that are left."""
    block, block0 = blocks(GEN, seed=seed), blocks(REAL, seed=derive(seed, 1))
    without = [by_definition(GEN[block != i], REAL) for i in range(20)]
    without0 = [by_definition(GEN, REAL[block0 != i]) for i in range(20)]
    expected = interval(by_definition(GEN, REAL), without, without0, n=90, low=-math.inf)
    estimate = kernel(GEN, REAL, seed=seed)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_the_order_of_rows_moves_it_by_rounding_alone() -> None:
    laws.check_permutation(kernel, GEN, REAL, move=(0, 1), tolerance=1e-12)
    moved, kept = kernel(GEN.flip(0), REAL), kernel(GEN, REAL)
    assert (moved.low, moved.high) == pytest.approx((kept.low, kept.high), rel=1e-10)


def test_equal_laws_are_at_zero_in_the_mean() -> None:
    def draw(seed: int) -> float:
        rows = normal(70, 3, seed=seed).exp()
        return kernel(rows[:30], rows[30:]).value

    laws.check_mean(draw, 0.0, draws=400, sigmas=sigmas())


@pytest.mark.parametrize(("d", "shift"), [(1, 1.0), (4, 0.5)])
def test_shifted_normal_laws_are_at_their_closed_form_in_the_mean(d: int, shift: float) -> None:
    """Moments of s = x.y/d: with x' shifted in every coordinate, E (s + 1)^3 = 1 + 3 E s + 3 E s² +
    E s³, from those of a normal law.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(8)
    weights = weights / weights.sum()

    def expectation(first: float, second: float) -> float:
        """E (x.y/d + 1)^3 for x ~ N(first·1, I), y ~ N(second·1, I): the law of s from cumulants of
        the d independent products.
        """
        products = np.multiply.outer(points + first, points + second)
        mass = np.outer(weights, weights)
        m1, m2, m3 = ((products**power * mass).sum() for power in (1, 2, 3))
        mean, variance, skew = d * m1, d * (m2 - m1**2), d * (m3 - 3 * m1 * m2 + 2 * m1**3)
        s1, s2, s3 = (
            mean / d,
            (variance + mean**2) / d**2,
            (skew + 3 * variance * mean + mean**3) / d**3,
        )
        return 1 + 3 * s1 + 3 * s2 + s3

    truth = expectation(shift, shift) + expectation(0, 0) - 2 * expectation(shift, 0)
    laws.check_mean(
        lambda seed: (
            kernel(normal(40, d, seed=2 * seed) + shift, normal(50, d, seed=2 * seed + 1)).value
        ),
        truth,
        draws=300,
        sigmas=sigmas(),
    )


@pytest.mark.parametrize("shift", [0.0, 0.3])
@pytest.mark.parametrize("tails", ["normal", "heavy"])
def test_intervals_cover_the_expectation(shift: float, tails: str) -> None:
    """Means over many data sets stand for the expectation: 0 for equal laws. Heavy tails: a random
    scale for every row.
    """

    def rows(n: int, seed: int) -> Tensor:
        scale = (0.4 * normal(n, 1, seed=10**6 + seed)).exp() if tails == "heavy" else 1.0
        return scale * normal(n, 4, seed=seed)

    draws = [kernel(rows(120, 2 * seed) + shift, rows(160, 2 * seed + 1)) for seed in range(300)]
    truth = 0.0 if shift == 0 else float(np.mean([estimate.value for estimate in draws]))
    laws.check_coverage(lambda seed: draws[seed], truth, draws=300, least=0.9)
    widths = [(estimate.high - estimate.low) / 2 for estimate in draws]
    assert float(np.mean(widths)) < 2.0 * 1.96 * float(
        np.std([estimate.value for estimate in draws])
    )


def test_a_farther_law_is_farther() -> None:
    distances = [kernel(REAL + shift, REAL).value for shift in (0.0, 0.3, 0.6, 1.2)]
    assert distances == sorted(distances)


def test_two_rows_have_a_value_without_limits() -> None:
    estimate = kernel(GEN[:2], REAL)
    assert (estimate.low, estimate.high) == (-math.inf, math.inf)
    assert estimate.json()["low"] is None


def test_measure_compares_with_held_out_rows() -> None:
    assert measure("kernel", gen=GEN, test=REAL)["kernel"] == kernel(GEN, REAL)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernel(GEN[:1], REAL), "at least 2 rows, gen has 1"),
        (lambda: kernel(GEN, REAL[:0]), "at least 2 rows, real has 0"),
        (lambda: kernel(GEN, REAL[:, :4]), "gen has 5 features per row and real has 4"),
        (lambda: kernel(GEN, REAL * torch.inf), "real has a value that is not finite"),
        (lambda: kernel(torch.zeros(9, 1, 2, 3), REAL), "describe first"),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
