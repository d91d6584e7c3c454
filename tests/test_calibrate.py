"""Thresholds come from one half of the hold-out and are judged on the other; what they can detect
is known beforehand.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import Tensor

from denoscope.estimate import proportion_ratio
from denoscope.laws import metric as laws
from denoscope.metrics import CopyRates, auc, copy_rates, detectable, excess
from denoscope.metrics.calibrate import halves, upper_quantile


def scores(n: int, seed: int, shift: float = 0.0) -> Tensor:
    return shift + torch.randn(
        n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


@pytest.mark.parametrize(
    ("n", "alpha"), [(20, 0.05), (60, 0.05), (130, 0.05), (30, 0.1), (7, 0.5), (19, 0.05)]
)
def test_a_share_alpha_passes_the_threshold_it_chose_and_no_more(n: int, alpha: float) -> None:
    x = scores(n, 0)
    threshold = upper_quantile(x, alpha)
    assert int((x > threshold).sum()) == math.floor(alpha * n + 1e-9)
    assert threshold == pytest.approx(
        np.quantile(x.numpy(), 1 - alpha, method="inverted_cdf"), abs=1e-12
    )


def test_everything_passes_at_alpha_one() -> None:
    assert upper_quantile(scores(5, 0), 1.0) == -math.inf


def test_folds_are_counts_at_the_threshold_of_the_other_half() -> None:
    gen, test = scores(300, 1, 0.5), scores(261, 2)
    rates = copy_rates(gen, test, seed=3)
    first, second = rates.folds
    assert (first.held_out, second.held_out) == (131, 130)
    for fold in rates.folds:
        assert fold.copies == int((gen > fold.threshold).sum())
        assert fold.threshold in test.tolist()
    # every held-out score is either in the half that chose a threshold, where floor(alpha m) pass,
    # or was counted
    assert int((test > first.threshold).sum()) == first.alarms + 6
    assert int((test > second.threshold).sum()) == second.alarms + 6
    assert rates.p_gen == pytest.approx((first.copies + second.copies) / 600)
    assert rates.p_test == pytest.approx((first.alarms / 131 + second.alarms / 130) / 2)
    ratios = [
        proportion_ratio(300 - f.copies, 300, f.held_out - f.alarms, f.held_out)
        for f in rates.folds
    ]
    assert rates.generalization.value == pytest.approx((ratios[0].value + ratios[1].value) / 2)
    assert rates.generalization.low == min(ratios[0].low, rates.generalization.value)
    assert rates.excess.value == pytest.approx(1 - rates.generalization.value)
    assert rates.excess.low == pytest.approx(1 - rates.generalization.high)


def test_the_split_is_a_function_of_the_seed() -> None:
    gen, test = scores(100, 1), scores(100, 2)
    assert copy_rates(gen, test, seed=5) == copy_rates(gen, test, seed=5)
    assert len({copy_rates(gen, test, seed=seed).folds for seed in range(10)}) > 5


def test_few_held_out_images_raise_the_false_alarm_rate_and_the_result_says_so() -> None:
    rates = copy_rates(scores(50, 1), scores(20, 2), false_alarm=0.05)
    assert rates.false_alarm == pytest.approx(0.1)
    assert "false alarm rate 0.1, since 20 held-out images" in rates.excess.method
    assert "false alarm" not in copy_rates(scores(50, 1), scores(40, 2)).excess.method


def test_p_test_of_one_is_not_available_and_of_zero_is_fine() -> None:
    test = torch.cat([torch.zeros(10), torch.ones(10)])
    broken = CopyRates((copy_rates(scores(5, 0), test).folds[0],) * 2, 0.1, 0.1)
    impossible = [fold.__class__(fold.threshold, 1, 5, 10, 10) for fold in broken.folds]
    estimate = CopyRates((impossible[0], impossible[1]), 0.1, 0.1).excess
    assert math.isnan(estimate.value)
    assert "p_test = 1" in estimate.method
    assert estimate.json()["value"] is None
    clean = [fold.__class__(0.5, 2, 5, 0, 10) for fold in broken.folds]
    assert CopyRates((clean[0], clean[1]), 0.1, 0.1).excess.value == pytest.approx(0.4)


def test_the_false_alarm_rate_of_the_other_half_is_alpha_in_the_mean() -> None:
    """The chance to exceed the r-th largest of m is r/(m + 1): here 7/131 and 7/132 for m = 130 and
    131.
    """
    expectation = (7 / 131 + 7 / 132) / 2
    laws.check_mean(
        lambda seed: copy_rates(scores(10, 1), scores(261, seed), seed=seed).p_test,
        expectation,
        draws=400,
        sigmas=sigmas(),
    )


def test_the_p_value_is_fishers_and_is_valid_under_the_null() -> None:
    rates = copy_rates(scores(200, 1, 0.6), scores(160, 2))
    fold = rates.folds[0]
    table = [
        [fold.copies, fold.generated - fold.copies],
        [fold.alarms, fold.held_out - fold.alarms],
    ]
    assert rates.p_value == pytest.approx(stats.fisher_exact(table, "greater").pvalue)
    small = [
        copy_rates(scores(200, 2 * seed + 10**6), scores(160, 2 * seed + 10**6 + 1)).p_value <= 0.05
        for seed in range(300)
    ]
    assert sum(small) <= stats.binom.isf(1e-6, 300, 0.05)


def test_excess_is_the_excess_of_copy_rates_and_covers_the_planted_share_end_to_end() -> None:
    """100 data sets with a true copy share of 0.2, copies at random: at least 88 intervals contain
    it.
    """

    def draw(seed: int):
        source = torch.Generator().manual_seed(seed)
        gen, train, test = torch.randn(900, 6, generator=source).split([300, 200, 400])
        copied = torch.rand(300, generator=source) < 0.2
        gen = torch.where(
            copied[:, None], train[torch.randint(0, 200, (300,), generator=source)], gen
        )
        return excess(gen, train, test, seed=seed)

    laws.check_coverage(draw, 0.2, draws=100, least=0.88)


def test_the_detectable_share_is_found_four_times_in_five() -> None:
    generated, held_out, p_test, power = 300, 130, 0.05, 0.9
    share = detectable(generated, held_out, p_test, power=power)
    source = np.random.default_rng(0)
    copies = source.binomial(generated, p_test + share * (power - p_test), size=20_000)
    alarms = source.binomial(held_out, p_test, size=20_000)
    found = stats.hypergeom.sf(copies - 1, generated + held_out, copies + alarms, generated) <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=sigmas() * math.sqrt(0.16 / 20_000) + 0.01)


def test_the_detectable_share_falls_with_samples_and_rises_as_power_falls() -> None:
    shares = [detectable(n, n, 0.05) for n in (30, 100, 300, 1000)]
    assert shares == sorted(shares, reverse=True)
    assert detectable(300, 300, 0.05, power=0.5) > detectable(300, 300, 0.05)
    assert detectable(300, 300, 0.05, power=0.05) == math.inf
    assert detectable(2, 2, 0.05) == math.inf
    assert copy_rates(scores(300, 1), scores(260, 2)).detectable(0.9) < 0.2


def test_the_area_is_that_of_the_roc_curve() -> None:
    copies, test = scores(80, 1, 2.0), scores(100, 2)
    labels = np.r_[np.ones(80), np.zeros(100)]
    assert auc(copies, test).value == pytest.approx(
        roc_auc_score(labels, torch.cat([copies, test]).numpy()), abs=1e-12
    )


@pytest.mark.parametrize(
    ("positive", "negative", "value"),
    [([1.0], [0.0], 1.0), ([0.0], [1.0], 0.0), ([1.0, 1.0], [1.0], 0.5)],
)
def test_auc_at_its_ends_has_an_open_interval(
    positive: list[float], negative: list[float], value: float
) -> None:
    estimate = auc(torch.tensor(positive), torch.tensor(negative))
    assert estimate.value == value
    assert 0 <= estimate.low <= value <= estimate.high <= 1
    assert estimate.high - estimate.low > 0.5


def test_a_perfect_auc_of_many_scores_is_known_well() -> None:
    estimate = auc(torch.ones(200), torch.zeros(300))
    assert estimate.value == estimate.high == 1.0
    assert 0.95 < estimate.low < 1


@pytest.mark.parametrize(("shift", "m", "n"), [(0.0, 40, 60), (1.0, 40, 60), (2.5, 30, 100)])
def test_auc_intervals_cover(shift: float, m: int, n: int) -> None:
    truth = float(stats.norm.cdf(shift / math.sqrt(2)))
    laws.check_coverage(
        lambda seed: auc(scores(m, 2 * seed, shift), scores(n, 2 * seed + 1)),
        truth,
        draws=300,
        least=0.91,
    )


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_a_false_alarm_rate_is_between_zero_and_one(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        copy_rates(scores(5, 0), scores(50, 1), false_alarm=rate)


def test_groups_stay_whole_and_singletons_are_split_as_if_there_were_none() -> None:
    alone = halves(101, 5)
    for one, other in zip(alone, halves(101, 5, torch.arange(101) * 7)):
        assert torch.equal(one, other)
    labels = torch.randint(30, (101,), generator=torch.Generator().manual_seed(0))
    first, second = halves(101, 5, labels)
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(101))
    assert not set(labels[first].tolist()) & set(labels[second].tolist())
    assert abs(len(first) - len(second)) <= 2 * int(labels.bincount().max())
    with pytest.raises(ValueError, match="nothing to calibrate with"):
        halves(20, 0, torch.zeros(20))
    with pytest.raises(ValueError, match="one label for each"):
        halves(20, 0, torch.zeros(19))


def test_a_large_group_leaves_a_small_part_and_a_larger_false_alarm_rate() -> None:
    labels = torch.cat([torch.zeros(180, dtype=torch.int64), torch.arange(1, 21)])
    rates = copy_rates(scores(50, 1), scores(200, 2), false_alarm=0.01, groups=labels)
    small = min(fold.held_out for fold in rates.folds)
    assert small <= 20
    assert rates.false_alarm == pytest.approx(1 / small)
    assert copy_rates(scores(50, 1), scores(200, 2), false_alarm=0.01).false_alarm == pytest.approx(
        0.01
    )


def test_copies_of_one_image_do_not_narrow_an_interval() -> None:
    copies, test = scores(40, 1, 1.5), scores(300, 2)
    many, one = auc(copies.repeat(5), test, units=40), auc(copies, test)
    assert many == one
    few = auc(copies, test, units=10)
    assert few.high - few.low > one.high - one.low
