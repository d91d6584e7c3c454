"""Descriptors together: p-values are valid, folds are counted as for one, and the excess covers on
real images.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from digit_views import GEN, draw, mixed, rows
from rates import sigmas
from torch import Tensor

from denoscope.audit.evidence.combined import combine, conformal
from denoscope.audit.findings import NEAR, Combined, Evidence
from denoscope.metrics import copy_rates
from denoscope.metrics.calibrate import halves

SEEDS = 100


def together(evidence: tuple[Evidence, ...], false_alarm: float = 0.02, seed: int = 0) -> Combined:
    found = combine(evidence, false_alarm=false_alarm, seed=seed)
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.2])
def test_the_combined_excess_of_planted_copies_of_digits_is_covered(share: float) -> None:
    """The truth is c (power - p)/(1 - p): power and p of all near copies and all fresh images by
    the p-values of each fold.
    """
    covered = 0
    for seed in range(SEEDS):
        evidence = draw(seed)
        copied = torch.rand(GEN, generator=torch.Generator().manual_seed(seed + 10**6)) < share
        rates = together(
            tuple(replace(one, gen=mixed(one, copied, seed)) for one in evidence), seed=seed
        ).rates
        truth = np.mean(
            [
                _truth(share, evidence, part, rates.false_alarm)
                for part in halves(500, seed, evidence[0].groups)
            ]
        )
        covered += rates.excess.low <= truth <= rates.excess.high
    assert covered >= 88


def _truth(share: float, evidence: tuple[Evidence, ...], part: Tensor, rate: float) -> float:
    null = torch.stack([one.held_out for one in evidence])[:, part]
    near = torch.stack([torch.cat([one.planted[word].score for word in NEAR]) for one in evidence])
    fresh = torch.stack([one.gen.score for one in evidence])
    power, p = (float((conformal(x, null) <= rate).double().mean()) for x in (near, fresh))
    return share * (power - p) / (1 - p)


@pytest.mark.parametrize("descriptors", [1, 2, 3])
@pytest.mark.parametrize("ties", [False, True])
def test_a_fresh_image_has_a_p_value_of_at_most_a_with_probability_at_most_a(
    descriptors: int, ties: bool
) -> None:
    source = torch.Generator().manual_seed(descriptors)
    draws, m = 4000, 99
    base = torch.randn(draws, 1, m + 1, generator=source)
    x = 0.7 * base + 0.7 * torch.randn(
        draws, descriptors, m + 1, generator=source
    )  # descriptors agree in part
    x = x.round() if ties else x
    p = torch.stack([conformal(one[:, :1], one[:, 1:])[0] for one in x])
    for rate in (0.01, 0.03, 0.1, 0.3, 0.7):
        share = float((p <= rate + 1e-12).double().mean())
        assert share <= rate + sigmas(30) * math.sqrt(rate * (1 - rate) / draws)
        if descriptors == 1 and not ties:
            assert share == pytest.approx(
                rate, abs=sigmas(30) * math.sqrt(rate * (1 - rate) / draws)
            )


def test_conformal_p_values_are_counts() -> None:
    null = torch.tensor([[0.1, 0.2, 0.3, 0.3], [4.0, 3.0, 2.0, 1.0]], dtype=torch.float64)
    gen = torch.tensor([[0.3, 0.0, 0.4, 0.25], [0.0, 0.0, 0.0, 9.0]], dtype=torch.float64)
    assert conformal(gen, null).tolist() == pytest.approx([1.0, 1.0, 0.4, 0.4])
    assert conformal(gen[:1], null[:1]).tolist() == pytest.approx([0.6, 1.0, 0.2, 0.6])


def test_one_descriptor_gives_the_copies_that_a_threshold_gives() -> None:
    """Of one descriptor p <= a is to be among the top floor(a (m + 1)) - 1 of m held-out scores:
    copy_rates at that rate.
    """
    evidence = draw(0)[0]
    found = together((evidence,), seed=3)
    m = [len(part) for part in halves(500, 3, evidence.groups)]
    assert found.descriptors == ("pixels",)
    for fold, part in zip(found.rates.folds, halves(500, 3, evidence.groups)):
        allowed = math.floor(0.02 * (len(part) + 1) + 1e-9) - 1
        threshold = evidence.held_out[part].sort(descending=True).values[allowed]
        assert fold.copies == int((evidence.gen.score > threshold).sum())
    assert [fold.held_out for fold in found.rates.folds] == m[::-1]
    single = copy_rates(
        evidence.gen.score, evidence.held_out, false_alarm=0.02, groups=evidence.groups, seed=3
    )
    assert found.rates.excess.value == pytest.approx(single.excess.value, abs=0.01)


def test_copies_power_and_what_can_be_detected() -> None:
    evidence = draw(1)
    copied = torch.arange(GEN) < 60
    found = together(tuple(replace(one, gen=mixed(one, copied, 1)) for one in evidence))
    assert found.copies[:60].double().mean() > 0.8
    assert found.copies[60:].double().mean() < 0.06
    assert torch.equal(found.copies, found.p_values <= found.rates.false_alarm + 1e-12)
    assert found.near_power.value == pytest.approx(
        np.mean([found.power[word].value for word in NEAR])
    )
    assert found.near_power.n == 500
    assert found.near_power.low < found.near_power.value < found.near_power.high
    assert found.detectable == found.rates.detectable(found.near_power.value)
    assert 0 < found.detectable < 0.2
    assert found.rates.excess.low > 0.1


def test_a_hold_out_that_is_too_small_raises_the_rate_and_says_so() -> None:
    few = torch.arange(80)
    evidence = tuple(
        replace(one, test=rows(one.null, few), counted=few, groups=None) for one in draw(2)
    )
    rates = together(evidence, false_alarm=0.01).rates
    assert rates.asked == 0.01
    assert rates.false_alarm == pytest.approx(2 / 41)
    assert "false alarm rate 0.0488, since 80 held-out images" in rates.excess.method
    enough = together(draw(2), false_alarm=0.01).rates
    assert enough.false_alarm == 0.01
    assert rates.folds[0].alarms >= 0


def test_a_descriptor_that_cannot_decide_is_left_out() -> None:
    first, second = draw(3)
    assert first.near is not None
    blind = replace(second, near=replace(first.near, auc=replace(first.near.auc, value=0.89)))
    assert together((first, blind)).descriptors == ("pixels",)
    assert together((first, blind)).p_values.equal(together((first,)).p_values)
    unknown = replace(second, near=None)
    assert combine((blind, unknown), false_alarm=0.02, seed=0) is None


def test_without_held_out_images_fresh_samples_are_no_copies_and_copies_are() -> None:
    low, found = [], []
    for seed in range(6):
        evidence = draw(seed, test=False)
        rates = together(evidence, seed=seed).rates
        low.append(rates.excess.low)
        copied = torch.arange(GEN) < 30
        found.append(
            together(
                tuple(replace(one, gen=mixed(one, copied, seed)) for one in evidence), seed=seed
            ).rates.excess.low
        )
    assert np.mean(np.array(low) <= 0) >= 5 / 6
    assert min(found) > 0.02


def test_the_order_of_descriptors_and_samples_is_of_no_matter() -> None:
    evidence = draw(4)
    whole, turned = together(evidence), together(evidence[::-1])
    assert torch.equal(whole.p_values, turned.p_values)
    assert turned.descriptors == whole.descriptors[::-1]
    back = torch.arange(len(evidence[0].gen)).flip(0)
    moved = together(tuple(replace(one, gen=rows(one.gen, back)) for one in evidence))
    assert torch.equal(moved.p_values, whole.p_values[back])
    assert moved.rates == whole.rates
