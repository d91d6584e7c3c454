"""Intervals contain what they should as often as they say, and equal those of scipy."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from rates import sigmas
from scipy import stats

from denoscope.estimate import (
    Estimate,
    bootstrap,
    bounded,
    counted,
    distance,
    mean,
    paired,
    paired_shares,
    percentiles,
    permutation,
    proportion,
    proportion_ratio,
    runs,
    unavailable,
)
from denoscope.laws import metric as laws

DRAWS = 2000


@pytest.mark.parametrize(
    ("count", "n"), [(0, 10), (3, 10), (10, 10), (1, 1), (50, 1000), (999, 1000)]
)
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_proportions_are_the_exact_intervals_of_scipy(count: int, n: int, level: float) -> None:
    ours, theirs = (
        proportion(count, n, level),
        stats.binomtest(count, n).proportion_ci(level, method="exact"),
    )
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert (ours.value, ours.n, ours.level, ours.method) == (count / n, n, level, "Clopper-Pearson")


@pytest.mark.parametrize("n", [5, 20, 60])
@pytest.mark.parametrize("p", [0.003, 0.05, 0.3, 0.5, 0.97])
def test_proportions_cover_by_enumeration_of_all_counts(n: int, p: float) -> None:
    covered = sum(
        stats.binom.pmf(count, n, p)
        for count in range(n + 1)
        if proportion(count, n).low <= p <= proportion(count, n).high
    )
    assert covered >= 0.95 - 1e-12


@pytest.mark.parametrize(
    ("n", "p"), [(10, 0.02), (50, 0.05), (200, 0.5), (1000, 0.9), (2000, 0.001)]
)
def test_proportions_cover_in_simulated_data_sets(n: int, p: float) -> None:
    known = cache(lambda count: proportion(count, n))
    counts = np.random.default_rng(0).binomial(n, p, size=DRAWS)
    laws.check_coverage(lambda seed: known(int(counts[seed])), p, draws=DRAWS, least=0.93)


@pytest.mark.parametrize(
    ("n", "x", "n0", "y"),
    [
        (50, 0.9, 50, 0.95),
        (50, 0.02, 50, 0.9),
        (1000, 0.5, 130, 0.95),
        (1000, 0.999, 130, 0.95),
        (200, 0.3, 2000, 0.6),
        (2000, 0.8, 50, 0.5),
        (100, 0.0, 100, 0.95),
    ],
)
def test_ratios_cover_in_simulated_data_sets(n: int, x: float, n0: int, y: float) -> None:
    known = cache(lambda a, b: proportion_ratio(a, n, b, n0))
    source = np.random.default_rng(1)
    top, bottom = source.binomial(n, x, size=DRAWS), source.binomial(n0, y, size=DRAWS)
    laws.check_coverage(
        lambda seed: known(int(top[seed]), int(bottom[seed])), x / y, draws=DRAWS, least=0.93
    )


def test_a_ratio_to_nothing_is_not_available() -> None:
    assert math.isnan(proportion_ratio(3, 5, 0, 5).value)
    assert proportion_ratio(0, 5, 5, 5).low == 0.0
    assert proportion_ratio(5, 5, 5, 5).value == 1.0


def test_a_ratio_is_consistent_with_its_parts_when_the_bottom_is_known_well() -> None:
    """With a bottom of a million of a million the ratio is the proportion."""
    ratio, top = proportion_ratio(30, 100, 10**6, 10**6), proportion(30, 100)
    assert (ratio.low, ratio.high) == pytest.approx((top.low, top.high), abs=1e-4)


def test_means_are_by_t_as_in_scipy() -> None:
    data = np.random.default_rng(2).normal(size=17)
    estimate = mean(data)
    low, high = stats.t.interval(0.95, 16, loc=data.mean(), scale=stats.sem(data))
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((data.mean(), low, high))
    other = np.random.default_rng(3).normal(size=17)
    assert (paired(data, other).low, paired(data, other).high) == pytest.approx(
        tuple(stats.ttest_rel(data, other).confidence_interval())
    )
    assert mean([1.0]).high == math.inf


def test_means_cover() -> None:
    data = np.random.default_rng(4).normal(1.0, 2.0, size=(DRAWS, 6))
    laws.check_coverage(lambda seed: mean(data[seed]), 1.0, draws=DRAWS, least=0.93)


def test_a_bootstrap_of_the_mean_is_near_that_of_scipy() -> None:
    data = np.random.default_rng(5).exponential(size=80)
    ours = bootstrap(lambda rows: float(rows.mean()), data, draws=4000)
    theirs = stats.bootstrap(
        (data,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    scale = data.std() / math.sqrt(80)
    assert abs(ours.low - theirs.low) < 0.2 * scale
    assert abs(ours.high - theirs.high) < 0.2 * scale


def test_percentiles_keep_infinite_draws() -> None:
    draws = [-math.inf] * 10 + [1.0] * 80 + [math.inf] * 10
    assert (percentiles(1.0, draws, 4).low, percentiles(1.0, draws, 4).high) == (
        -math.inf,
        math.inf,
    )
    with pytest.raises(ValueError, match="needs draws"):
        percentiles(1.0, [], 4)


def test_permutation_p_values_are_uniform_under_the_null_and_small_far_from_it() -> None:
    source = np.random.default_rng(6)
    p = [
        permutation(source.normal(size=8), source.normal(size=8), draws=99, seed=i)
        for i in range(200)
    ]
    assert abs(np.mean(p) - 0.5) < sigmas() * math.sqrt(1 / 12 / 200) + 0.01
    assert permutation(np.zeros(10) + np.arange(10) * 1e-3, np.ones(10), draws=999) <= 0.002


def test_complement_turns_the_interval_over() -> None:
    assert proportion(3, 10).complement() == Estimate(
        0.7, 1 - proportion(3, 10).high, 1 - proportion(3, 10).low, 10, 0.95, "Clopper-Pearson"
    )


def test_json_has_no_nan_or_infinity() -> None:
    assert unavailable("why").json() == {
        "value": None,
        "low": None,
        "high": None,
        "n": 0,
        "level": 0.95,
        "method": "why",
    }
    assert Estimate(1.0, -math.inf, 2.0, 3).json()["low"] is None
    assert str(unavailable("why")) == "not available (why)"


def test_impossible_counts_are_refused() -> None:
    for count, n in [(1, 0), (-1, 5), (6, 5)]:
        with pytest.raises(ValueError, match="a proportion needs"):
            proportion(count, n)
    with pytest.raises(ValueError, match="equal shapes"):
        paired([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="no values"):
        mean([])


def test_runs_are_by_t_and_one_alone_by_its_own_error() -> None:
    units = np.array([[1.0, 0.1], [2.0, 0.1], [4.0, 0.1]])
    assert runs(units) == mean([1.0, 2.0, 4.0])
    alone = runs(units[:1], level=0.9)
    assert alone.high - 1 == pytest.approx(0.1 * stats.norm.isf(0.05))
    assert alone.high - 1 == pytest.approx(1 - alone.low)


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_paired_shares_and_distances_cover_and_are_never_of_width_zero(level: float) -> None:
    """Pairs that agree in most rows, and samples of the uniform law against it."""
    rng, trials, n = np.random.default_rng(0), 2000, 60
    both = rng.random((trials, n)) < 0.5
    a, b = (np.where(rng.random((trials, n)) < 0.2, rng.random((trials, n)) < p, both)
            for p in (0.8, 0.3))  # fmt: skip
    covered = 0
    for first, second in zip(a, b):
        e = paired_shares(first, second, level)
        covered += e.low <= 0.1 <= e.high
        assert e.value == pytest.approx(first.mean() - second.mean())
    assert covered / trials > level - sigmas() * (level * (1 - level) / trials) ** 0.5
    same = paired_shares(np.zeros(n), np.zeros(n), level)
    assert same.low < same.value == 0 < same.high
    u = np.sort(rng.random((trials, n)), 1)
    gaps = np.maximum(np.arange(1, n + 1) / n - u, u - np.arange(n) / n).max(1)
    low = np.array([distance(np.array([gap, n]), level).low for gap in gaps])
    assert (low == 0).mean() > level - sigmas() * (level * (1 - level) / trials) ** 0.5
    with pytest.raises(ValueError, match="equal shapes"):
        paired_shares(np.zeros(2), np.zeros(3))


def test_counts_have_the_interval_of_their_proportion() -> None:
    assert counted(np.array([3.0, 50.0]), 0.9) == proportion(3, 50, 0.9)


def test_bounded_intervals_stay_in_the_unit_interval_and_hold_their_value() -> None:
    wide, narrow = np.array([0.01, 0.99, 1.0]), np.array([0.5, 0.51, 0.49])
    made = bounded(mean)(wide)
    assert (made.low, made.value, made.high) == (0.0, mean(wide).value, 1.0)
    assert bounded(mean)(narrow, level=0.5) == mean(narrow, level=0.5)
