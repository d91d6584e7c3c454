"""The memorization-informed Fréchet distance: its definition, copies as the worst, intervals, and
parity with torchmetrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor
from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

from denoscope.estimate import Estimate
from denoscope.laws import metric as laws
from denoscope.metrics import frechet, measure
from denoscope.metrics.divergence import mifid
from denoscope.metrics.jackknife import blocks, interval
from denoscope.random import derive


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


NEAR = 1.3 * normal(140, 4, seed=1) + 0.2, normal(190, 4, seed=2)  # d is 0.027
FAR = 1.3 * normal(80, 20, seed=3), normal(90, 20, seed=4)  # d is 0.47, counted as 1
GEN, TRAIN = NEAR


class Bare(torch.nn.Module):
    """Features that are given are their own features."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, x: Tensor) -> Tensor:
        return x


def by_torchmetrics(real: Tensor, fake: Tensor) -> float:
    score = MemorizationInformedFrechetInceptionDistance(feature=Bare(real.shape[1])).set_dtype(
        torch.float64
    )
    score.update(real, real=True)
    score.update(fake, real=False)
    return float(score.compute())


def apart(gen: Tensor, train: Tensor) -> float:
    """The mean over generated rows of the least 1 - |cos| to a training row, from the whole
    matrix.
    """
    a, b = (
        x.double().numpy() / np.linalg.norm(x.double().numpy(), axis=1, keepdims=True)
        for x in (gen, train)
    )
    return float((1 - np.abs(a @ b.T)).min(1).mean())


def by_definition(gen: Tensor, train: Tensor) -> float:
    a, b = gen.double().numpy(), train.double().numpy()
    c1, c2 = np.cov(a.T), np.cov(b.T)
    distance = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(
        c1 + c2 - 2 * np.real(linalg.sqrtm(c1 @ c2))
    )
    d = apart(gen, train)
    return float(distance / (d if d < 0.1 else 1.0))


@pytest.mark.parametrize(("gen", "train"), [NEAR, FAR], ids=["near", "far"])
def test_it_is_its_definition(gen: Tensor, train: Tensor) -> None:
    assert mifid(gen, train).value == pytest.approx(by_definition(gen, train), rel=1e-9)
    laws.check_estimate(mifid, gen, train)


def test_a_distance_from_a_tenth_on_counts_as_one() -> None:
    assert apart(*FAR) > 0.1 > apart(*NEAR)
    assert mifid(*FAR).value == pytest.approx(frechet(*FAR).value, rel=1e-12)
    assert mifid(*NEAR).value == pytest.approx(frechet(*NEAR).value / apart(*NEAR), rel=1e-9)


def test_parity_with_torchmetrics_once_its_sets_are_exchanged() -> None:
    """It averages over what it calls real (version 1.9.0); the definition averages over generated
    rows, and the Fréchet part is symmetric.
    """
    for gen, train in (NEAR, FAR):
        assert mifid(gen, train).value == pytest.approx(by_torchmetrics(gen, train), rel=1e-9)
    assert mifid(*NEAR).value != pytest.approx(by_torchmetrics(TRAIN, GEN), rel=1e-3)


def test_exact_copies_are_the_worst() -> None:
    """Where torchmetrics 1.9.0 gives a training set copied whole the best score, 0."""
    assert by_torchmetrics(TRAIN, TRAIN) == 0.0
    for copies in (TRAIN, TRAIN.flip(0), -TRAIN, 4 * TRAIN, TRAIN[:100], TRAIN[3:6].repeat(9, 1)):
        estimate = mifid(copies, TRAIN)
        assert (estimate.value, estimate.low, estimate.high) == (math.inf,) * 3
        assert estimate.method == "every generated row is a multiple of a training row: d = 0"
        assert estimate.json()["value"] is None


def test_equal_moments_are_the_worst_as_well() -> None:
    """All sign changes of a set about its mean: other rows, the same mean and covariance."""
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
    axes = torch.cat([torch.eye(3), -torch.eye(3)]) * math.sqrt(3)
    gen, train = corners.repeat(6, 1), axes.repeat(8, 1)
    estimate = mifid(gen, train)
    assert frechet(gen, train).value == 0.0
    assert estimate.value == math.inf
    assert estimate.method == "both sets have the same moments: FD = 0"


def test_identical_sets_are_at_a_frechet_distance_of_exactly_zero() -> None:
    for d in (1, 7, 40):
        x = 100 * normal(60, d, seed=d) + 1000
        assert frechet(x, x.flip(0)).value == 0.0
        assert frechet(x + 1e-3, x).value == pytest.approx(d * 1e-6, rel=1e-3, abs=d * 1e-9)


def test_copies_of_all_rows_are_the_worst_but_of_nearly_all_may_be_the_best() -> None:
    """The Fréchet distance falls with the square of what is not copied, d in proportion to it: it
    ranks models, it does not find copies.
    """
    gen, train = 1.05 * normal(200, 5, seed=5), normal(200, 5, seed=6)
    scores = [
        mifid(torch.cat([train[:count], gen[count:]]), train).value
        for count in (0, 150, 190, 199, 200)
    ]
    plain = [
        frechet(torch.cat([train[:count], gen[count:]]), train).value
        for count in (0, 150, 190, 199, 200)
    ]
    assert plain == sorted(plain, reverse=True)
    assert scores[-1] == math.inf
    assert scores[0] < scores[1]
    assert scores[-2] < scores[0]


def test_the_order_of_rows_moves_it_by_rounding_alone() -> None:
    laws.check_permutation(mifid, GEN, TRAIN, move=(0, 1), tolerance=1e-9)
    moved, kept = mifid(GEN.flip(0), TRAIN.flip(0)), mifid(GEN, TRAIN)
    assert (moved.low, moved.high) == pytest.approx((kept.low, kept.high), rel=1e-8)
    moved, kept = frechet(GEN.flip(0), TRAIN.flip(0)), frechet(GEN, TRAIN)
    assert (moved.low, moved.high) == pytest.approx((kept.low, kept.high), rel=1e-8)


def test_the_jackknife_leaves_blocks_out_of_the_whole_statistic() -> None:
    """Each replicate, taken anew from the rows that are left, gives the same interval: nearest rows
    in a lost block are looked for again.
    """
    block, block0 = blocks(GEN, seed=0), blocks(TRAIN, seed=derive(0, 1))
    without = [by_definition(GEN[block != i], TRAIN) for i in range(20)]
    without0 = [by_definition(GEN, TRAIN[block0 != i]) for i in range(20)]
    expected = interval(by_definition(GEN, TRAIN), without, without0, n=140)
    estimate = mifid(GEN, TRAIN)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), rel=1e-7)


def test_a_replicate_of_copies_alone_leaves_the_interval_open() -> None:
    gen = torch.cat([TRAIN[:30], GEN[:1]])
    estimate = mifid(gen, TRAIN)
    assert math.isfinite(estimate.value)
    assert (estimate.low, estimate.high) == (0.0, math.inf)


@pytest.mark.slow
@pytest.mark.parametrize("d", [3, 12])
def test_intervals_cover_the_mean_score_of_sets_of_this_size(d: int) -> None:
    draws = [
        mifid(1.5 * normal(160, d, seed=2 * seed), normal(200, d, seed=2 * seed + 1))
        for seed in range(100)
    ]
    laws.check_coverage(
        lambda seed: draws[seed], float(np.mean([e.value for e in draws])), draws=100, least=0.88
    )


def test_a_frechet_interval_is_no_wider_for_rows_sorted_by_class() -> None:
    classes = torch.arange(10.0).repeat_interleave(40)[:, None] * torch.ones(1, 3)
    gen, real = classes + normal(400, 3, seed=8), classes + normal(400, 3, seed=9)
    shuffled = torch.randperm(400, generator=torch.Generator().manual_seed(0))

    def width(estimate: Estimate) -> float:
        return estimate.high - estimate.low

    assert width(frechet(gen, real)) == pytest.approx(width(frechet(gen[shuffled], real)), rel=1e-8)


def test_measure_compares_with_the_training_set() -> None:
    assert measure("mifid", gen=GEN, train=TRAIN)["mifid"] == mifid(GEN, TRAIN)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mifid(GEN[:2], TRAIN), "at least 3 rows, gen has 2"),
        (lambda: mifid(GEN, TRAIN[:0]), "at least 3 rows, train has 0"),
        (lambda: mifid(GEN, TRAIN[:, :3]), "gen has 4 features per row and train has 3"),
        (lambda: mifid(GEN * torch.nan, TRAIN), "gen has a value that is not finite"),
        (lambda: mifid(torch.zeros(9, 1, 2, 2), TRAIN), "describe first"),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
