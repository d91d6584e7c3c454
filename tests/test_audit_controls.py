"""One score of all descriptors, cross-fitted, and both controls: intervals and bounds hold planted
truths, and what is unlike is not called copied.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from digit_views import GEN, draw, mixed
from torch import Tensor

from denoscope.audit.evidence.by_descriptor import calibrated, descriptor_evidence
from denoscope.audit.evidence.planted_copies import plant_features
from denoscope.audit.findings import Evidence
from denoscope.estimate import proportion_ratio
from denoscope.metrics.calibrate import fisher
from denoscope.metrics.controlled_rates import SPENT, Calibrated, Rates, beyond, exceeds
from denoscope.metrics.crossfit import FOLDS, folds_of
from denoscope.metrics.grouped import Share
from denoscope.metrics.one_score import OneScore, log_nearness, score_at, thresholds


def together(evidence: tuple[Evidence, ...], false_alarm: float = 0.02, seed: int = 0):
    return calibrated(evidence, false_alarm=false_alarm, seed=seed)


def clusters(seed: int, *counts: int, width: float = 1.0) -> list[Tensor]:
    """Rows of a mixture of four clusters, of one law for a seed, in 24 dimensions."""
    source = torch.Generator().manual_seed(seed)
    means, axes = (
        2 * torch.randn(4, 24, generator=source),
        torch.linalg.qr(torch.randn(4, 24, 5, generator=source)).Q,
    )

    def rows(n: int) -> Tensor:
        k = torch.randint(4, (n,), generator=source)
        inner = torch.einsum("nsi,ni->ns", axes[k], torch.randn(n, 5, generator=source))
        return means[k] + width * inner + 0.05 * torch.randn(n, 24, generator=source)

    return [rows(n) for n in counts]


def audited(train: Tensor, test: Tensor | None, gen: Tensor, seed: int = 0) -> Calibrated:
    """Two views of rows, at a false alarm rate of 1 %."""
    sets = {"train": train, "gen": gen} | ({} if test is None else {"test": test})
    planted = plant_features(train, 200, seed)
    first, second = (
        descriptor_evidence(kind, kind, {}, sets, planted, quantile=0.01)
        for kind in ("ratio", "cosine")
    )
    second = replace(second, groups=first.groups, aside=first.aside)
    return calibrated((first, second), false_alarm=0.01, seed=seed)


def state(found: Calibrated) -> str:
    if found.is_unlike:
        return "control unlike"
    return "copies" if found.excess.low > 0 else "hold-out near" if found.is_near else "not seen"


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.2])
def test_the_excess_of_planted_copies_of_digits_and_the_bound_hold(share: float) -> None:
    """The excess estimates c (power - p)/(1 - p), which lies below c; the bound holds c itself."""
    covered, bounded, false = 0, 0, 0
    for seed in range(100):
        copied = torch.rand(GEN, generator=torch.Generator().manual_seed(seed + 10**6)) < share
        found = together(mixed(draw(seed), copied, seed), seed=seed)
        c = float(copied.double().mean())
        covered += found.excess.low <= c
        bounded += c <= found.copies_at_most
        false += found.excess.low > 0
    assert min(covered, bounded) >= 94
    assert share or false <= 6


def test_a_hundredth_of_copies_is_found_in_most_audits_of_a_clustered_set() -> None:
    found = []
    for seed in range(12):
        train, test, gen = clusters(seed, 600, 600, 600)
        gen[:6] = plant_features(train, 6, seed + 99)["noise"]
        found.append(audited(train, test, gen, seed))
    assert sum(one.excess.low > 0 for one in found) >= 6
    assert sum(one.excess.low <= 0.01 <= one.excess.high for one in found) >= 11


@pytest.mark.parametrize("copied", [0, 60])
def test_a_holdout_of_another_source_makes_no_copies(copied: int) -> None:
    states = Counter()
    for seed in range(8):
        (train, gen), (test,) = clusters(seed, 400, 400), clusters(seed, 400, width=3.0)
        gen[:copied] = plant_features(train, 400, seed)["noise"][:copied]
        found = audited(train, test, gen, seed)
        states[state(found)] += 1
        assert found.copies_at_most >= copied / 400
    assert states["copies"] == 0
    assert states["control unlike"] >= 7


def test_shots_of_one_recording_make_no_copies() -> None:
    states = Counter()
    for seed in range(8):
        recorded, test, gen = clusters(seed, 100, 400, 400)
        source = torch.Generator().manual_seed(seed)
        train, test, gen = (
            x + 0.25 * torch.randn(x.shape, generator=source)
            for x in (recorded.repeat(4, 1), test, gen)
        )
        states[state(audited(train, test, gen, seed))] += 1
    assert states["copies"] == 0
    assert states["control unlike"] >= 6


def test_a_holdout_of_near_duplicates_neither_hides_copies_nor_passes_the_gate() -> None:
    for seed in range(6):
        train, test, gen = clusters(seed, 600, 600, 600)
        copies = plant_features(train, 200, seed + 50)["noise"]
        test[:60], gen[:18] = copies[:60], copies[100:118]
        found = audited(train, test, gen, seed)
        assert state(found) == "hold-out near"
        assert found.copies_at_most >= 0.03
        assert found.gate(0.01) != "passed"


def test_a_generator_collapsed_onto_few_fresh_images_makes_no_copies() -> None:
    states = Counter()
    for seed in range(12):
        train, test, few = clusters(seed, 400, 400, 10)
        gen = few[torch.randint(10, (400,), generator=torch.Generator().manual_seed(seed))]
        found = audited(train, test, gen, seed)
        states[state(found)] += 1
        assert found.best.gen.rows <= 10
    assert states["copies"] == 0


def test_blank_rows_in_every_set_are_set_aside_in_all_of_them() -> None:
    for seed in range(4):
        sets = clusters(seed, 400, 400, 400)
        for x in sets:
            x[:24] = 0.0
        features: dict[str, Tensor] = dict(zip(("train", "test", "gen"), sets))
        one = descriptor_evidence(
            "rows", "ratio", {}, features, plant_features(sets[0], 100, 0), quantile=0.01
        )
        assert one.aside["gen"][:24].all()
        assert one.aside["test"][:24].all()
        assert one.aside["own"][:24].all()
        assert one.aside["gen"].sum() <= 60
        assert state(calibrated([one], false_alarm=0.01, seed=seed)) == "not seen"


def test_a_sample_is_not_set_aside_for_being_near_a_training_image() -> None:
    train, test, gen = clusters(0, 400, 400, 400)
    gen[:40] = train[:40]
    one = descriptor_evidence(
        "rows", "ratio", {}, {"train": train, "test": test, "gen": gen}, {}, quantile=0.01
    )
    assert one.aside["gen"][:40].sum() <= 3
    leaked = test.clone()
    leaked[:5] = train[:5]
    one = descriptor_evidence(
        "rows", "ratio", {}, {"train": train, "test": leaked, "gen": gen}, {}, quantile=0.01
    )
    assert one.aside["gen"][:5].all()
    assert one.aside["test"][:5].all()


def share(count: int, n: int) -> Share:
    return Share(count / n, n, n)


def rates(copies: tuple[int, int], controls: dict[str, tuple[int, int]], planted: tuple[int, int]):
    shares = {name: share(*one) for name, one in controls.items()}
    passed = torch.zeros(copies[1])
    at = tuple(
        Rates(1.0, share(*copies), shares, {"near": share(*planted)}, passed, spent)
        for spent in SPENT
    )
    even = (shares["own"], shares["own"])
    return Calibrated(("one",), at, torch.ones(copies[1]), 0.01, 0.01, even)


def test_both_controls_bound_and_the_bound_is_divided_by_power() -> None:
    found = rates((40, 600), {"test": (6, 600), "own": (20, 800)}, (90, 100))
    ends = [
        proportion_ratio(560, 600, n - k, n, level).complement()
        for k, n in ((6, 600), (20, 800))
        for level in (1 - 2 * max(SPENT), 0.95)
    ]
    assert found.excess.low == pytest.approx(min(ends[0].low, ends[2].low))
    assert found.excess.high == pytest.approx(max(ends[1].high, ends[3].high))
    assert found.excess.value == pytest.approx((40 / 600 - 0.01) / 0.99)
    power = [proportion_ratio(10, 100, n - k, n).complement().low for k, n in ((6, 600), (20, 800))]
    bound = max(ends[1].high / power[0], ends[3].high / power[1])
    assert found.copies_at_most == pytest.approx(bound)
    assert rates((40, 600), {"test": (6, 600), "own": (6, 600)}, (2, 100)).copies_at_most == 1
    assert found.unlike == exceeds(share(20, 800), share(6, 600)) == fisher(20, 800, 6, 600)


def test_the_gate_fails_by_the_lower_end_passes_by_the_bound_and_else_asks_for_more() -> None:
    controls = {"test": (6, 600), "own": (6, 600)}
    assert rates((90, 600), controls, (95, 100)).gate(0.05) == "failed"
    few = rates((6, 600), controls, (95, 100))
    assert few.gate(0.05) == "passed"
    assert few.gate(0.01) == "undecided"
    samples, held_out = few.would_decide(0.015) or (0, 0)
    assert samples > 600
    assert held_out == samples
    assert rates((6, 600), controls, (2, 100)).gate(0.5) == "undecided"
    assert rates((6, 600), controls, (2, 100)).would_decide(0.01) is None
    unlike = rates((90, 600), {"test": (6, 600), "own": (60, 600)}, (95, 100))
    assert (unlike.is_unlike, unlike.gate(0.001)) == (True, "undecided")


def test_a_control_that_always_passes_leaves_nothing_known() -> None:
    found = rates((100, 100), {"test": (50, 50), "own": (1, 100)}, (90, 100))
    assert math.isnan(found.excess.value)
    assert "p_test = 1" in found.excess.method
    assert beyond(share(1, 10), share(10, 10)).low == -math.inf


def test_folds_keep_groups_whole_and_are_as_many_as_can_be() -> None:
    groups = torch.tensor([0, 0, 0, 1, 2, 2, 3, 4, 5, 6])
    fold = folds_of(groups, 3)
    assert all(len(fold[groups == g].unique()) == 1 for g in groups.unique())
    assert sorted(fold.unique().tolist()) == list(range(FOLDS))
    with pytest.raises(ValueError, match="near-duplicates of one another"):
        folds_of(torch.zeros(9), 0)


def test_p_values_are_ranks_among_images_that_had_no_part_and_are_valid() -> None:
    evidence = draw(1)
    found = together(evidence)
    n, m = len(evidence[0].gen), int((~evidence[0].aside["test"]).sum())
    assert (found.p_values * (m + 1)).round().allclose(found.p_values * (m + 1))
    for rate in (0.05, 0.2, 0.5):
        part = float((found.p_values[~evidence[0].aside["gen"]] <= rate).double().mean())
        assert part <= rate + 4 * math.sqrt(rate * (1 - rate) * (1 / n + 1 / m))


def test_the_order_of_samples_and_descriptors_is_of_no_matter() -> None:
    evidence = mixed(draw(4), torch.arange(GEN) < 9, 4)
    whole, turned = together(evidence), together(evidence[::-1])
    assert whole.excess.value == pytest.approx(turned.excess.value, abs=1e-9)
    back = torch.arange(GEN).flip(0)
    moved = together(
        tuple(
            replace(
                one,
                gen=one.gen.at(back),
                aside={**one.aside, "gen": one.aside["gen"][back]},
                groups={**one.groups, "gen": one.groups["gen"][back]},
            )
            for one in evidence
        )
    )
    assert torch.equal(moved.p_values, whole.p_values[back])
    assert moved.excess == whole.excess


def test_a_small_holdout_raises_the_rate_and_too_small_a_one_is_refused() -> None:
    train, test, gen = clusters(2, 200, 30, 200)
    assert audited(train, test, gen).false_alarm == pytest.approx(1 / 25)
    with pytest.raises(ValueError, match="at least 4 held-out images"):
        audited(train, test[:3], gen)


def test_without_held_out_images_training_images_are_the_only_control() -> None:
    train, gen = clusters(3, 400, 400)
    fresh = audited(train, None, gen)
    assert list(fresh.best.controls) == ["own"]
    assert fresh.crossed is None
    assert (fresh.is_unlike, fresh.is_near) == (False, False)
    assert fresh.excess.low <= 0
    gen[:40] = plant_features(train, 40, 9)["noise"]
    assert audited(train, None, gen).excess.low > 0.05


def test_the_score_weighs_descriptors_by_what_they_tell_and_never_turns_one() -> None:
    source = torch.Generator().manual_seed(0)
    null, copies = torch.randn(400, 3, generator=source), torch.randn(300, 3, generator=source)
    copies += torch.tensor([3.0, 0.0, -2.0])
    score = OneScore.fitted(null.double(), copies.double())
    assert score.weights[0] > 5 * score.weights[1]
    assert (score.weights >= 0).all()
    assert score.weights[2] == 0
    assert torch.equal(
        OneScore.fitted(null[:, :1].double(), copies.double()).weights, torch.ones(1)
    )


def test_the_best_threshold_lies_between_the_asked_one_and_the_copies() -> None:
    source = torch.Generator().manual_seed(0)
    null = -torch.log(torch.rand(500, generator=source)).double() / 4
    copies = 3 + 0.2 * torch.randn(300, generator=source).double()
    asked, best = thresholds(null, copies, 600, 500, 0.01)
    assert float((null > asked).double().mean()) == pytest.approx(0.01)
    assert asked < best < float(copies.quantile(0.1))
    hidden, same = thresholds(null, null[:300], 600, 500, 0.01)
    assert hidden == asked <= same


def test_scores_and_nearness_are_each_others_inverse() -> None:
    evidence = draw(0)
    for one in evidence:
        x = log_nearness(one.score, one.gen)
        back = np.array([score_at(one.score, float(value)) for value in x[:20]])
        assert back == pytest.approx(one.gen.score[:20].numpy(), abs=1e-6)
