"""N*, its growth with capacity and the dip of reproducibility, on curves whose answers
are known.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from denoscope.estimate import crossed, proportion
from denoscope.laws import metric as laws
from denoscope.metrics import TrainingRun, agreement_rate, growth, transition_point, u_shape
from denoscope.metrics.crossings import rises

SIZES = (8, 16, 32, 64, 128, 256, 512)


def runs(
    center: float,
    *,
    members: int = 4,
    spread: float = 0.0,
    seed: int = 0,
    samples: int = 1000,
    sizes: tuple[int, ...] = SIZES,
) -> list[TrainingRun]:
    """Runs whose GLc is a logistic curve in log2 N with its middle at ``center``, each moved
    sideways by its own ``spread``.
    """
    moves, source = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    cells = []
    for size in sizes:
        for member in range(members):
            glc = 1 / (1 + math.exp(-2 * (math.log2(size) - center - spread * moves.normal())))
            p_gen = source.binomial(samples, 1 - 0.95 * glc) / samples
            cells.append(TrainingRun(size, member // 2, member % 2, p_gen, 0.05, samples))
    return cells


def test_the_transition_of_a_known_curve() -> None:
    found = transition_point(runs(5.3, members=4, spread=0.2))
    assert math.log2(found.point.value) == pytest.approx(5.3, abs=0.25)
    assert found.point.low < found.point.value < found.point.high
    assert found.sizes == SIZES
    assert all(band.low <= band.value <= band.high for band in found.curve)
    assert found.curve[0].value < 0.1
    assert found.curve[-1].value > 0.9
    assert "4 a size" in found.point.method


def test_a_perfect_generalizer_may_exceed_one() -> None:
    found = transition_point(
        [TrainingRun(size, 0, 0, 0.0 if size > 8 else 1.0, 0.05, 100) for size in SIZES]
    )
    assert found.curve[-1].value == pytest.approx(1 / 0.95)


@pytest.mark.parametrize(
    ("p_gen", "value", "words"), [(0.0, -math.inf, "below 8"), (0.99, math.inf, "above 512")]
)
def test_a_transition_beyond_the_sizes_says_on_which_side(
    p_gen: float, value: float, words: str
) -> None:
    point = transition_point(
        [TrainingRun(size, 0, member, p_gen, 0.05, 500) for size in SIZES for member in range(3)]
    ).point
    assert (point.value, point.low, point.high) == (value, value, value)
    assert words in point.method
    assert point.json()["value"] is None


def test_runs_are_drawn_the_same_for_the_same_seed_and_whatever_their_order() -> None:
    members = runs(5.0, spread=0.4)
    assert transition_point(members, seed=3) == transition_point(members[::-1], seed=3)
    assert transition_point(members, seed=3) != transition_point(members, seed=4)


def test_the_interval_covers_the_transition_of_many_runs() -> None:
    """Ten runs a size, each moved by its own 0.5 in log2: intervals contain the crossing of the
    expected curve.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    expected = [
        np.sum(weights / (1 + np.exp(-2 * (math.log2(size) - 5.3 - 0.5 * nodes))))
        / math.sqrt(2 * math.pi)
        for size in SIZES
    ]
    truth = 2 ** float(rises(SIZES, np.array(expected)))
    laws.check_coverage(
        lambda seed: (
            transition_point(runs(5.3, members=10, spread=0.5, seed=seed), draws=400).point
        ),
        truth,
        draws=100,
        least=0.88,
    )


def test_growth_is_the_paired_difference_on_common_runs() -> None:
    small, large = runs(4.0, spread=0.3), runs(6.0, spread=0.3, seed=1)
    found = growth(small, large)
    assert found.value == pytest.approx(2.0, abs=0.5)
    assert found.low > 0.5
    assert found.n == 28
    assert growth(small, large[:-4]).n == 24
    swapped = growth(large, small)
    assert (swapped.value, swapped.high < 0) == (pytest.approx(-found.value), True)


def test_growth_is_paired_so_what_members_share_cancels() -> None:
    """The same members, moved alike: the interval of the difference is far narrower than that of
    the point itself.
    """
    small, large = runs(5.2, spread=0.8, samples=100_000), runs(5.4, spread=0.8, samples=100_000)
    apart = transition_point(small).point
    paired = growth(small, large)
    assert paired.high - paired.low < 0.4 * math.log2(apart.high / apart.low)


def test_growth_of_nothing_is_not_growth() -> None:
    same = runs(5.0, spread=0.3)
    found = growth(same, same)
    assert found.value == 0
    assert found.low <= 0 <= found.high


def test_growth_beyond_the_sizes() -> None:
    never = [TrainingRun(size, m // 2, m % 2, 0.99, 0.05, 500) for size in SIZES for m in range(4)]
    assert growth(runs(5.0), never).value == math.inf
    neither = growth(never, never)
    assert math.isnan(neither.value)
    assert "neither" in neither.method
    with pytest.raises(ValueError, match="share no training run"):
        growth(runs(5.0), [TrainingRun(7, 0, 0, 0.1, 0.05, 10)])


def agreements(
    rates: dict[int, float], *, pairs: int = 4, noises: int = 400, seed: int = 0
) -> dict[int, np.ndarray]:
    """The same noises are hard at every size: one uniform number a noise, with a little of its own
    for each pair.
    """
    source = np.random.default_rng(seed)
    hard = source.uniform(size=noises)
    return {
        size: (0.8 * hard + 0.2 * source.uniform(size=(pairs, noises))) < rate
        for size, rate in rates.items()
    }


def test_a_dip_is_a_u_and_a_slope_is_not() -> None:
    dip = agreements({8: 0.8, 32: 0.4, 128: 0.9})
    left, right = u_shape(dip, 40.0)
    assert left.high < 0
    assert right.high < 0
    assert left.value == pytest.approx(dip[32].mean() - dip[8].mean())
    assert left == crossed(dip[32].astype(float) - dip[8])
    slope = u_shape(agreements({8: 0.2, 32: 0.5, 128: 0.9}), 40.0)
    assert slope[0].low > 0
    assert slope[1].high < 0


def test_the_rate_of_few_pairs_is_by_t_and_of_one_exact() -> None:
    same = agreements({8: 0.8})[8]
    e, by_t = agreement_rate(same), crossed(same)
    assert (e.value, e.low, e.high) == (by_t.value, by_t.low, min(1.0, by_t.high))
    assert agreement_rate(same[0]) == proportion(int(same[0].sum()), same.shape[1])
    assert agreement_rate(np.ones((2, 50))).high == 1.0


def test_the_nearest_grid_point_is_nearest_in_log2() -> None:
    table = agreements({8: 0.8, 16: 0.3, 64: 0.4, 128: 0.9})
    for point, middle in ((31.0, 16), (33.0, 64)):
        below = table[middle].mean() - table[8].mean()
        assert u_shape(table, point)[0].value == pytest.approx(below)


def test_no_dip_is_sought_at_or_beyond_the_ends() -> None:
    table = agreements({8: 0.8, 32: 0.4, 128: 0.9})
    for point in (math.inf, -math.inf, 9.0, 120.0):
        assert all(math.isnan(estimate.value) for estimate in u_shape(table, point))


def test_u_shape_intervals_cover() -> None:
    """Agreement is hard + own < rate: the truth is by a large sample of the same law."""
    rates = {8: 0.8, 32: 0.5, 128: 0.7}
    large = agreements(rates, pairs=1, noises=2_000_000, seed=99)
    truth = float(large[32].mean() - large[8].mean())
    laws.check_coverage(
        lambda seed: u_shape(agreements(rates, pairs=2, seed=seed), 32.0)[0],
        truth,
        draws=100,
        least=0.88,
    )


def test_unequal_noises_are_refused() -> None:
    with pytest.raises(ValueError, match="the same noises"):
        u_shape({8: np.ones((2, 5)), 16: np.ones((2, 6)), 32: np.ones((2, 5))}, 16.0)
