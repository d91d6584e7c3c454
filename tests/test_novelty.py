"""Novelty on both sides: nearness by its definition, its null, its ends, groups, and its tails."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy.special import expit, logit
from scipy.stats import beta, norm
from torch import Tensor

from denoscope.laws import metric as laws
from denoscope.metrics import nearness, nearness_of
from denoscope.metrics.grouped import grouped_share, mean_variance


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


GEN, TRAIN, TEST = normal(90, 5, seed=1) * 1.1, normal(120, 5, seed=2), normal(70, 5, seed=3)


def distance(rows: Tensor) -> np.ndarray:
    return np.array([min(np.linalg.norm(x - t) for t in TRAIN.numpy()) for x in rows.numpy()])


@pytest.mark.parametrize("grid", [False, True], ids=["continuous", "ties"])
def test_nearness_is_its_definition_and_its_interval_delongs(grid: bool) -> None:
    gen, test = (np.round(2 * x) if grid else x for x in map(distance, (GEN, TEST)))
    pairs = (gen[:, None] < test) + (gen[:, None] == test) / 2
    found = nearness_of(torch.as_tensor(gen), torch.as_tensor(test))
    assert found.value == pytest.approx(pairs.mean())
    error = pairs.mean(1).var(ddof=1) / len(gen) + pairs.mean(0).var(ddof=1) / len(test)
    half = norm.ppf(0.975) * math.sqrt(error) / (found.value * (1 - found.value))
    assert found.low == pytest.approx(expit(logit(found.value) - half))
    assert found.high == pytest.approx(expit(logit(found.value) + half))
    if not grid:
        assert nearness(GEN, TRAIN, TEST).value == pytest.approx(found.value)
        near, far = np.quantile(test, [0.05, 0.95], method="weibull")
        assert found.near.value == pytest.approx((gen < near).mean(), abs=1 / len(gen))
        assert found.far.value == pytest.approx((gen > far).mean(), abs=1 / len(gen))


def test_copies_read_one_and_noise_reads_nothing_with_ends_that_count_the_fewer() -> None:
    copies, noise = nearness(TRAIN[:40], TRAIN, TEST), nearness(TRAIN[:40] + 50, TRAIN, TEST)
    end = 0.025 ** (1 / 40)
    assert (copies.value, copies.low, copies.high) == (1, pytest.approx(end), 1)
    assert (noise.value, noise.low, noise.high) == (0, 0, pytest.approx(1 - end))
    assert (copies.near.value, copies.far.value) == (1, 0)
    assert (noise.near.value, noise.far.value) == (0, 1)


def test_equal_distances_have_an_interval() -> None:
    found = nearness_of(torch.zeros(30), torch.zeros(20))
    assert found.value == 0.5
    assert found.low < 0.45 < 0.55 < found.high


@pytest.mark.parametrize("part", ["value", "near", "far"])
def test_samples_of_the_held_out_law_read_the_null_given_any_training_set(part: str) -> None:
    def draw(seed: int) -> float:
        train, rows = TRAIN[:60], normal(83, 5, seed=100 + seed)
        found = nearness(rows[:50], train, rows[50:])
        return float(getattr(found, part))

    expected = 0.5 if part == "value" else 0.05
    laws.check_mean(draw, expected, draws=300, sigmas=sigmas(3))


def test_the_intervals_of_nearness_and_its_tails_cover() -> None:
    shift = 0.7
    truths = {
        "near": float(norm.cdf(norm.ppf(0.05) + shift)),
        "far": float(norm.cdf(norm.ppf(0.05) - shift)),
        "": float(norm.cdf(shift / math.sqrt(2))),
    }
    for part, truth in truths.items():

        def draw(seed: int, part: str = part):
            found = nearness_of(normal(300, seed=2 * seed) - shift, normal(150, seed=2 * seed + 1))
            return getattr(found, part) if part else found

        laws.check_coverage(draw, truth, draws=300, least=0.91)


def test_nearness_rises_with_copies_whatever_the_order_and_the_unit() -> None:
    laws.check_monotone(
        lambda gen: nearness(gen, TRAIN, TEST), GEN, TRAIN[:90], [0, 5, 30, 90], rising=True
    )
    laws.check_permutation(nearness, GEN, TRAIN, TEST, move=[0, 1, 2], tolerance=1e-12)
    laws.check_scale(nearness, GEN, TRAIN, TEST)
    laws.check_estimate(nearness, GEN, TRAIN, TEST)
    laws.check_chunks(nearness, GEN, TRAIN, TEST, sizes=(2, 7))


def test_repeated_samples_do_not_narrow_the_interval() -> None:
    gen, test = map(torch.as_tensor, map(distance, (GEN, TEST)))
    labels = torch.arange(len(gen)).repeat(7)
    once = nearness_of(gen, test)
    grouped = nearness_of(gen.repeat(7), test, gen_groups=labels)
    assert grouped.value == pytest.approx(once.value)
    assert grouped.low == pytest.approx(once.low)
    assert nearness_of(gen.repeat(7), test).low > once.low
    assert grouped.near.high == pytest.approx(once.near.high, rel=0.03)


def test_a_share_of_groups_is_korn_and_graubards() -> None:
    values = torch.tensor([1.0, 1, 0, 0, 1, 0, 0, 0])
    groups = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    apart = values.numpy() - 0.375
    error = 4 / 3 * sum(apart[groups == g].sum() ** 2 for g in range(4)) / 64
    assert mean_variance(values, groups) == pytest.approx(error)
    assert mean_variance(values) == pytest.approx(values.numpy().var(ddof=1) / 8)
    single = grouped_share(values)
    assert single.low == pytest.approx(beta.ppf(0.025, 3, 6))
    assert grouped_share(values, groups).low < single.low
    none = grouped_share(torch.zeros(8), groups)
    assert none.high == pytest.approx(beta.ppf(0.975, 1, 4))
    assert mean_variance(values, torch.zeros(8)) == math.inf


def test_one_row_of_a_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="two samples with two held-out rows, got 1 and 70"):
        nearness(GEN[:1], TRAIN, TEST)
