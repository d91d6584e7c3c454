"""Crossings of curves: the isotonic fit, the first rise and the last fall, censoring at both ends,
and what is made of several of them.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from denoscope.estimate import Resampled, mean
from denoscope.laws import metric as laws
from denoscope.metrics.crossings import (
    apart,
    as_size,
    crossing,
    falls,
    isotonic,
    joint,
    less,
    rises,
    slope,
    spread,
    together,
)

SIZES = (8, 16, 32, 64, 128, 256, 512)


@pytest.mark.parametrize("seed", range(5))
def test_the_isotonic_fit_is_that_of_scikit_learn(seed: int) -> None:
    source = np.random.default_rng(seed)
    values, weights = source.normal(size=(6, 11)), source.uniform(0.1, 5, size=11)
    ours = isotonic(values, weights)
    for row, fit in zip(values, ours):
        np.testing.assert_allclose(
            fit,
            IsotonicRegression().fit(np.arange(11), row, weights).predict(np.arange(11)),
            atol=1e-12,
        )


def test_the_crossing_is_linear_in_log2() -> None:
    assert rises([8, 32], np.array([0.25, 0.75])) == pytest.approx(4.0)
    assert rises([8, 16, 32], np.array([0.0, 0.2, 0.8])) == pytest.approx(4.5)
    assert rises([8, 16, 32], np.array([0.0, 0.5, 0.5])) == pytest.approx(4.0)
    assert rises([8, 16], np.array([0.5, 0.9])) == 3.0


def test_the_first_crossing_counts_after_violators_are_pooled() -> None:
    """.6 then .2 pool to .4; the crossing lies between that pool and .8."""
    assert rises([8, 16, 32, 64], np.array([0.0, 0.6, 0.2, 0.8])) == pytest.approx(5.25)
    heavy = rises(
        [8, 16, 32, 64], np.array([0.0, 0.6, 0.2, 0.8]), weights=np.array([1.0, 3.0, 1.0, 1.0])
    )
    assert heavy == pytest.approx(3 + 0.5 / 0.5)  # the pool is (3 · .6 + .2)/4 = .5


def test_no_crossing_is_infinite_and_never_extrapolated() -> None:
    values = np.array([[0.6, 0.7, 0.9], [0.1, 0.2, 0.4], [0.1, 0.6, 0.9]])
    found = rises([8, 16, 32], values)
    assert found[0] == -math.inf
    assert found[1] == math.inf
    assert 3 < found[2] < 4


@pytest.mark.parametrize(
    ("sizes", "values"),
    [([8, 8], [0.0, 1.0]), ([8, 16], [0.0, math.nan]), ([8, 16], [0.0, 1.0, 2.0])],
)
def test_a_broken_curve_is_refused(sizes: list[int], values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"sizes must increase|a curve needs a value"):
        rises(sizes, np.array(values))


def test_where_values_fall_below_a_level() -> None:
    sizes, values = np.array([1.0, 10.0, 100.0, 1000.0]), np.array([10.0, 1.0, 0.1, 0.01])
    assert as_size(falls(sizes, values, 0.5)) == pytest.approx(20.0)
    assert as_size(falls(sizes, values, 20.0)) == -np.inf
    assert as_size(falls(sizes, values, 0.001)) == np.inf
    assert as_size(falls(sizes, np.array([1.0, 0.1, 2.0, 0.1]), 1.5)) == pytest.approx(
        100 * 10 ** (np.log(2 / 1.5) / np.log(20))
    )


def _logistic(center: float, runs: int, noise: float, seed: int) -> list[np.ndarray]:
    """Runs at each size whose mean is a logistic curve in log2 of the size."""
    source = np.random.default_rng(seed)
    expected = 1 / (1 + np.exp(-2 * (np.log2(SIZES) - center)))
    return [value + noise * source.standard_normal(runs) for value in expected]


TRUTH = float(as_size(rises(SIZES, np.concatenate(_logistic(5.3, 1, 0.0, 0)))))


@pytest.mark.parametrize("runs", [2, 4, 10])
def test_intervals_of_a_crossing_cover_it_with_few_runs_too(runs: int) -> None:
    laws.check_coverage(
        lambda seed: crossing(SIZES, _logistic(5.3, runs, 0.15, seed)), TRUTH, draws=100, least=0.89
    )


@pytest.mark.parametrize("k", [2, 3, 20])
def test_means_are_drawn_by_students_t(k: int) -> None:
    units = np.random.default_rng(k).standard_normal(k)
    found, expected = apart((8, 16), [units, units], draws=50_000).at()[1](0.9), mean(units, 0.9)
    assert found.value == pytest.approx(expected.value)
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.05 * width)
    assert found.high == pytest.approx(expected.high, abs=0.05 * width)


def test_a_run_alone_has_its_own_error_and_no_more() -> None:
    blurred = apart((8, 16), [np.array([[0.2, 0.05]]), np.array([[0.8, 0.05]])])
    assert np.std(blurred.draws, 0) == pytest.approx(0.05, rel=0.1)
    assert "alone by its own error" in blurred.method
    assert np.ptp(apart((8, 16), [np.array([0.2]), np.array([0.8])]).draws) == pytest.approx(0.6)


def test_units_that_sizes_share_move_together() -> None:
    """What all sizes have in common does not blur their difference."""
    common = np.random.default_rng(0).standard_normal(50)
    both = together((8, 32), [common - 1, common + 1])
    assert np.ptp(both.draws[:, 1] - both.draws[:, 0]) < 1e-12
    assert both.rise(0.0).value == pytest.approx(4 - common.mean(), abs=1e-9)


def test_paired_crossings_forget_what_they_share() -> None:
    moves = np.random.default_rng(0).normal(0, 0.5, 4)
    small, large = (
        apart(SIZES, [np.concatenate(u) for u in zip(*(_logistic(at + m, 1, 0, 0) for m in moves))])
        for at in (5.2, 5.7)
    )
    small, large = small.rise(), large.rise()
    paired, apart_ = less(large, small)(), [e().high - e().low for e in (small, large)]
    assert paired.low < 0.5 < paired.high
    assert paired.high - paired.low < 0.75 * math.hypot(*apart_)
    assert less(small, small)().value == 0


def test_makers_take_a_level() -> None:
    units = _logistic(5.3, 6, 0.1, 1)
    narrow, wide = crossing(SIZES, units, 0.8), crossing(SIZES, units, 0.99)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    falling = [1 - u for u in units]
    turned = crossing(SIZES, falling, falling=True)
    assert turned.value == as_size(falls(SIZES, np.mean(falling, 1)))
    assert turned.low < turned.value < turned.high


def test_what_lies_beyond_the_sizes_counts_for_both_ends() -> None:
    never, always = (Resampled(v, np.full(100, v), 4) for v in (math.inf, -math.inf))
    here = Resampled(5.0, np.where(np.arange(100) < 10, math.inf, 5.0), 4, "t")
    assert math.isnan(less(never, never)().value)
    assert less(never, always)().value == math.inf
    unknown = less(here, Resampled(4.0, here.draws - 1, 4, "t"))()
    assert (unknown.low, unknown.value, unknown.high) == (-math.inf, 1.0, math.inf)
    assert math.isnan(joint([here, never], np.ptp)().value)
    assert (joint([here, here], spread())().low, joint([here, here], spread())().high) == (
        -math.inf,
        math.inf,
    )
    rising = joint([here, here], lambda y: y.mean(0), rising=True)()
    assert (rising.low, rising.high) == (5.0, math.inf)


@pytest.mark.parametrize("shift", [0.0, 1.0, 1.5])
def test_what_crossings_over_a_dimension_say_together(shift: float) -> None:
    """Crossings at 16 d^shift: their slope on log2 d, and their range counted in units of d."""
    dims = np.log2([3, 4, 6, 9])
    source = np.random.default_rng(1)
    points = [
        Resampled(4 + shift * d, 4 + shift * d + source.normal(0, 0.01, 500), 3) for d in dims
    ]
    octaves = math.log2(3)
    assert joint(points, slope(dims))().value == pytest.approx(shift)
    assert joint(points, spread())().value == pytest.approx(shift * octaves)
    assert joint(points, spread(dims))().value == pytest.approx(abs(shift - 1) * octaves)
    assert joint(points, slope(dims))().high - shift < 0.05
