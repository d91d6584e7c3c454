"""Metrics of copying, agreement and distance: extremes, nulls, invariances, and parity with what
others compute.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy import linalg
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.laws import metric as laws
from denoscope.metrics import (
    authenticity,
    available,
    chance_level,
    citations,
    corrected,
    excess,
    frechet,
    frechet_floor,
    generalization,
    mae_score,
    measure,
    memorized,
    pair_threshold,
    reproducibility,
    unlike_similarity,
)
from denoscope.metrics.jackknife import blocks
from denoscope.random import derive


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


GEN, TRAIN, TEST, TWIN = (
    normal(150, 6, seed=1),
    normal(200, 6, seed=2),
    normal(180, 6, seed=3),
    normal(150, 6, seed=4),
)
COPIES = TRAIN[:150]

ROWWISE = [generalization, memorized, authenticity]
SCORES: list[tuple[Callable[..., Estimate], tuple[Tensor, ...]]] = [
    *((score, (GEN, TRAIN)) for score in ROWWISE),
    (excess, (GEN, TRAIN, TEST)),
    (reproducibility, (GEN, TWIN)),
    (mae_score, (GEN / 9, TWIN / 9)),
    (frechet, (GEN, TEST)),
]


def name(value: object) -> str:
    return getattr(value, "__name__", "sets")


@pytest.mark.parametrize(("score", "sets"), SCORES, ids=name)
def test_every_metric_gives_a_value_in_its_interval(
    score: Callable[..., Estimate], sets: tuple[Tensor, ...]
) -> None:
    laws.check_estimate(score, *sets)


@pytest.mark.parametrize(
    "score",
    [generalization, memorized, authenticity, lambda g, t: excess(g, t, TEST)],
    ids=["gl", "ratio", "authenticity", "excess"],
)
def test_the_order_of_rows_is_of_no_matter(score: Callable[..., Estimate]) -> None:
    laws.check_permutation(score, GEN, TRAIN, move=(0, 1))


@pytest.mark.parametrize("score", [reproducibility, mae_score])
def test_the_order_of_pairs_is_of_no_matter(score: Callable[..., Estimate]) -> None:
    laws.check_permutation(score, GEN / 9, TWIN / 9, move=(0, 1), together=True)


def test_the_order_of_rows_moves_a_frechet_distance_by_rounding_alone() -> None:
    laws.check_permutation(frechet, GEN, TEST, move=(0, 1), tolerance=1e-10)


@pytest.mark.parametrize("score", ROWWISE)
def test_a_row_does_not_look_at_its_batch(score: Callable[..., Estimate]) -> None:
    laws.check_chunks(score, GEN, TRAIN)


@pytest.mark.parametrize("score", [reproducibility, mae_score])
def test_a_pair_does_not_look_at_its_batch(score: Callable[..., Estimate]) -> None:
    laws.check_chunks(score, GEN / 9, TWIN / 9, split=(0, 1))


@pytest.mark.parametrize(
    ("score", "sets"), [(s, sets) for s, sets in SCORES if s not in (mae_score, frechet)], ids=name
)
def test_the_unit_of_features_is_of_no_matter(
    score: Callable[..., Estimate], sets: tuple[Tensor, ...]
) -> None:
    laws.check_scale(score, *sets)


def test_all_copies_and_none() -> None:
    far = torch.eye(6)
    laws.check_extreme(generalization, COPIES, TRAIN, value=0.0)
    laws.check_extreme(generalization, far[:3], far[3:], value=1.0)
    laws.check_extreme(memorized, COPIES, TRAIN, value=1.0)
    laws.check_extreme(memorized, far[:3], far[3:], value=0.0)
    laws.check_extreme(authenticity, COPIES, TRAIN, value=0.0)
    laws.check_extreme(authenticity, 100 * far, TRAIN, value=1.0)
    laws.check_extreme(excess, COPIES, TRAIN, TEST, value=1.0)
    laws.check_extreme(reproducibility, GEN, GEN, value=1.0)
    laws.check_extreme(reproducibility, GEN, -GEN, value=0.0)
    laws.check_extreme(mae_score, GEN, GEN, value=1.0)
    laws.check_extreme(mae_score, GEN, GEN + 1, value=0.0)
    laws.check_extreme(frechet, TEST, TEST, value=0.0, tolerance=1e-9)


@pytest.mark.parametrize(
    ("score", "rising"),
    [
        (lambda gen: generalization(gen, TRAIN, threshold=0.95), False),
        (lambda gen: memorized(gen, TRAIN), True),
        (lambda gen: authenticity(gen, TRAIN), False),
        (lambda gen: excess(gen, TRAIN, TEST), True),
    ],
    ids=["generalization", "memorized", "authenticity", "excess"],
)
def test_more_planted_copies_never_read_as_fewer(
    score: Callable[[Tensor], Estimate], rising: bool
) -> None:
    laws.check_monotone(score, GEN, COPIES, range(0, 151, 10), rising=rising)


@pytest.mark.parametrize("threshold", [0.6, 0.9])
def test_generalization_is_its_definition_over_the_cosine_matrix(threshold: float) -> None:
    matrix = cosine_similarity(GEN.double(), TRAIN.double())
    estimate = generalization(GEN, TRAIN, threshold=threshold)
    assert estimate.value == pytest.approx(1 - (matrix.max(1) > threshold).mean(), abs=0)
    assert (estimate.n, estimate.method) == (150, "Clopper-Pearson")
    pairs = cosine_similarity(GEN.double(), TWIN.double()).diagonal()
    assert reproducibility(GEN, TWIN, threshold=threshold).value == (pairs > threshold).mean()


def test_unlike_rows_are_the_matrix_without_its_diagonal() -> None:
    matrix = cosine_similarity(GEN.double(), TWIN.double())
    others = matrix[~np.eye(len(matrix), dtype=bool)].reshape(len(matrix), -1)
    np.testing.assert_allclose(unlike_similarity(GEN, TWIN), others, atol=1e-12)
    assert chance_level(GEN, TWIN) == pytest.approx((others > 0.6).mean())
    with pytest.raises(ValueError, match="as many rows"):
        unlike_similarity(GEN, TWIN[1:])


def test_a_copy_is_above_the_threshold_strictly() -> None:
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    for dtype in (torch.float32, torch.float64):
        assert generalization(a.to(dtype), b.to(dtype), threshold=0.6).value == 1.0
        assert reproducibility(a.to(dtype), b.to(dtype), threshold=0.6).value == 0.0
    assert generalization(a, a, threshold=1.0).value == 1.0
    assert mae_score(torch.full((1, 4), 0.5), torch.zeros(1, 4), threshold=0.5).value == 0.0


def test_memorized_and_authenticity_are_their_definitions_over_the_distance_matrix() -> None:
    distance = cdist(GEN.double(), TRAIN.double())
    first, second = np.sort(distance, 1)[:, :2].T
    assert memorized(GEN, TRAIN, ratio=0.8).value == (first / second < 0.8).mean()
    within = cdist(TRAIN.double(), TRAIN.double())
    np.fill_diagonal(within, np.inf)
    assert authenticity(GEN, TRAIN).value == (first > within.min(1)[distance.argmin(1)]).mean()


def test_the_plain_ratio_is_blind_to_duplicated_training_data_and_groups_see() -> None:
    train = torch.cat([TRAIN, TRAIN + 1e-3 * normal(200, 6, seed=5), TRAIN[:9], TRAIN[:9]])
    groups = torch.cat([torch.arange(200), torch.arange(200), torch.arange(9), torch.arange(9)])
    gen = COPIES + 1e-3 * normal(150, 6, seed=6)
    assert memorized(gen, train).value < 0.2
    assert memorized(gen, train, groups=groups).value == 1.0
    distance = torch.from_numpy(cdist(GEN.double(), train.double()))
    other = groups[distance.argmin(1)][:, None] != groups[None]
    ratio = distance.min(1).values / distance.where(other, torch.inf).min(1).values
    assert memorized(GEN, train, groups=groups, ratio=0.7).value == pytest.approx(
        float((ratio < 0.7).double().mean()), abs=1e-12
    )


def test_a_copy_of_a_duplicated_row_is_a_copy() -> None:
    train = torch.tensor([[0.0], [0.0], [5.0]])
    assert memorized(torch.zeros(1, 1), train).value == 1.0
    assert memorized(torch.tensor([[0.1]]), train).value == 0.0


def test_a_perfect_generalizer_has_no_excess() -> None:
    """Generated and held-out rows from one law: the mean excess over data sets is 0."""

    def draw(seed: int) -> float:
        gen, train, test = normal(420, 5, seed=seed).split([120, 100, 200])
        return excess(gen, train, test, seed=seed).value

    laws.check_mean(draw, 0.0, draws=150, sigmas=sigmas())


def test_excess_finds_the_share_of_planted_copies_in_the_mean() -> None:
    def draw(seed: int) -> float:
        gen, train, test = normal(420, 5, seed=seed).split([120, 100, 200])
        return excess(torch.cat([train[:30], gen[30:]]), train, test, seed=seed).value

    laws.check_mean(draw, 0.25, draws=150, sigmas=sigmas())


def test_excess_may_be_negative_and_its_low_end_more_so() -> None:
    estimate = excess(-GEN.abs() - 5, TRAIN.abs(), TEST.abs())
    assert estimate.value < 0
    assert estimate.low < estimate.value
    assert estimate.high <= 1


def test_chance_is_the_share_over_all_pairs_of_strangers_and_is_what_shuffling_gives() -> None:
    gen, twin = normal(700, 3, seed=7), normal(700, 3, seed=8)
    matrix = cosine_similarity(gen.double(), twin.double())
    off = ~np.eye(700, dtype=bool)
    chance = chance_level(gen, twin)
    assert chance == (matrix[off] > 0.6).mean()
    shuffled = [reproducibility(gen, twin.roll(shift, 0)).value for shift in range(1, 700, 35)]
    assert abs(np.mean(shuffled) - chance) < 0.02
    rp = reproducibility(gen, twin)
    assert corrected(rp, chance).value == pytest.approx((rp.value - chance) / (1 - chance))
    assert corrected(reproducibility(gen, gen), chance).high == 1.0
    assert math.isnan(corrected(rp, 1.0).value)


def test_memorizers_of_eight_images_agree_by_chance_one_time_in_eight() -> None:
    images = torch.eye(8)
    gen, twin = (
        images.repeat(50, 1),
        images.repeat(50, 1)[torch.randperm(400, generator=torch.Generator().manual_seed(0))],
    )
    assert chance_level(gen, twin, threshold=0.9) == pytest.approx(1 / 8, abs=0.003)


@pytest.mark.parametrize("quantile", [0.5, 0.99, 0.999])
def test_the_pair_threshold_is_the_quantile_over_all_pairs(quantile: float) -> None:
    x = normal(601, 4, seed=9)
    values = np.sort(cosine_similarity(x.double())[np.triu_indices(601, 1)])
    passing = math.floor((1 - quantile) * len(values) + 1e-9)
    threshold = pair_threshold(x, quantile)
    assert threshold == pytest.approx(values[len(values) - 1 - passing], abs=1e-12)
    assert threshold == pytest.approx(
        np.quantile(values, quantile, method="inverted_cdf"), abs=1e-3
    )


def test_the_pair_threshold_of_equal_rows_is_one() -> None:
    assert pair_threshold(torch.ones(40, 3)) == pytest.approx(1.0)


def reference_frechet(gen: Tensor, real: Tensor) -> float:
    a, b = gen.double().numpy(), real.double().numpy()
    c1, c2 = np.cov(a.T), np.cov(b.T)
    return float(
        np.sum((a.mean(0) - b.mean(0)) ** 2)
        + np.trace(c1 + c2 - 2 * np.real(linalg.sqrtm(c1 @ c2)))
    )


def test_frechet_agrees_with_the_matrix_root_of_scipy() -> None:
    gen = GEN @ normal(6, 6, seed=10) + 0.3
    assert frechet(gen, TEST).value == pytest.approx(reference_frechet(gen, TEST), rel=1e-9)


def test_frechet_of_shifted_points_is_the_squared_shift() -> None:
    assert frechet(TEST + 2.0, TEST).value == pytest.approx(6 * 4.0, rel=1e-5)


def test_frechet_covers_a_known_distance() -> None:
    """Two normal laws with variances 1 and 1.5² in 4 dimensions are 4 · 0.25 apart, means 1 apart
    add 4: the bias is small at n = 1000.
    """
    laws.check_coverage(
        lambda seed: frechet(
            1.5 * normal(1000, 4, seed=2 * seed) + 1, normal(1000, 4, seed=2 * seed + 1)
        ),
        4 * 0.25 + 4,
        draws=100,
        least=0.88,
    )


def test_a_frechet_floor_is_the_bias_and_falls_with_n() -> None:
    pool, real = normal(2000, 5, seed=11), normal(1500, 5, seed=12)
    small, large = frechet_floor(pool, real, 100), frechet_floor(pool, real, 1000)
    assert 0 < large.value < small.value
    assert small.low <= small.value <= small.high
    perfect = frechet(normal(100, 5, seed=13), real)
    assert perfect.value < 3 * small.high
    with pytest.raises(ValueError, match="pool of at least"):
        frechet_floor(real, pool, 5000)


@pytest.mark.parametrize(
    ("n", "m", "d", "scale", "shift"),
    [(150, 150, 16, 1.0, 0.0), (300, 200, 40, 1.2, 0.1), (120, 400, 60, 1.5, 0.0)],
)
def test_the_limit_of_a_frechet_distance_is_the_distance_of_the_laws_in_the_mean(
    n: int, m: int, d: int, scale: float, shift: float
) -> None:
    """Two normal laws are d (scale - 1)² + d shift² apart; 1/n of terms of second order stays, so
    the bias left is small beside that of the value.
    """
    truth = d * (scale - 1) ** 2 + d * shift**2
    draws = [
        frechet(scale * normal(n, d, seed=2 * seed) + shift, normal(m, d, seed=2 * seed + 1))
        for seed in range(24)
    ]
    bias, left = (
        np.mean([e.value for e in draws]) - truth,
        np.mean([e.limit.value for e in draws]) - truth,
    )
    error = float(np.std([e.limit.value for e in draws], ddof=1)) / math.sqrt(24)
    assert abs(left) < 0.03 * bias + sigmas() * error
    assert error < bias / 25
    covered = np.mean([e.limit.low <= truth <= e.limit.high for e in draws])
    assert covered >= 0.75


def test_the_limit_of_a_frechet_distance_is_a_line_over_the_jackknifes_subsets() -> None:
    block, block0 = blocks(GEN, seed=4), blocks(TEST, seed=derive(4, 1))
    estimate = frechet(GEN, TEST, seed=4)
    value = reference_frechet(GEN, TEST)
    first = np.mean([reference_frechet(GEN[block != i], TEST) for i in range(20)])
    second = np.mean([reference_frechet(GEN, TEST[block0 != i]) for i in range(20)])
    assert estimate.limit.value == pytest.approx(
        value - 19 * (first - value) - 19 * (second - value), rel=1e-7
    )
    assert estimate.limit.high - estimate.limit.value == pytest.approx(
        estimate.high - estimate.value, rel=1e-9
    )
    assert (
        json.loads(json.dumps(estimate.json(), allow_nan=False))["limit"]["value"]
        == estimate.limit.value
    )


def test_the_limit_needs_more_rows_than_features() -> None:
    short = frechet(normal(20, 19), normal(60, 19, seed=1))
    assert math.isnan(short.limit.value)
    assert "more than 19 rows" in short.limit.method
    # a dictionary within
    assert short.json()["limit"]["value"] is None  # pyright: ignore[reportIndexIssue]
    assert math.isfinite(frechet(normal(22, 19), normal(60, 19, seed=1)).limit.value)


def test_measure_runs_metrics_by_name_and_describes_images_once() -> None:
    calls = []

    def describe(images: Tensor) -> Tensor:
        calls.append(len(images))
        return images.flatten(1)[:, :4]

    gen, twin, train, test = (normal(n, 1, 2, 3, seed=n).clamp(-1, 1) for n in (30, 30, 50, 60))
    names = ["generalization", "excess", "reproducibility", "mae_score", "frechet", "memorized"]
    found = measure(names, gen=gen, train=train, test=test, twin=twin, descriptor=describe)
    assert list(found) == names
    assert sorted(calls) == [30, 30, 50, 60]
    assert found["generalization"] == generalization(describe(gen), describe(train))
    assert found["frechet"] == frechet(describe(gen), describe(test))
    assert found["mae_score"] == mae_score(gen.flatten(1), twin.flatten(1))
    assert measure("memorized", gen=GEN.numpy(), train=TRAIN.numpy())["memorized"] == memorized(
        GEN, TRAIN
    )


def test_measure_refuses_unknown_names_missing_sets_and_bare_images() -> None:
    with pytest.raises(ValueError, match="did you mean 'generalization'"):
        measure(["generalisation"], gen=GEN)
    with pytest.raises(ValueError, match="excess needs test"):
        measure(["excess"], gen=GEN, train=TRAIN)
    with pytest.raises(ValueError, match="describe first"):
        measure(["generalization"], gen=torch.zeros(3, 1, 2, 2), train=torch.zeros(3, 1, 2, 2))


def test_every_metric_names_its_sources() -> None:
    assert {
        "authenticity",
        "excess",
        "frechet",
        "generalization",
        "mae_score",
        "memorized",
        "reproducibility",
    } <= set(available())
    assert all(citations([name]) for name in available())
    assert [work.key for work in citations(["reproducibility", "authenticity"])] == [
        "zhang2024",
        "clopper1934",
        "alaa2022",
    ]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: generalization(torch.zeros(2, 1, 4, 4), TRAIN),
            "gen is a batch of images .* describe first",
        ),
        (lambda: generalization(GEN, TRAIN[:, :5]), "gen has 6 features per row and train has 5"),
        (lambda: generalization(GEN[:0], TRAIN), "gen has no rows"),
        (
            lambda: excess(GEN, TRAIN, torch.full_like(TEST, torch.nan)),
            "test has a value that is not finite",
        ),
        (lambda: excess(GEN, TRAIN, TEST[:3]), "at least 4 held-out"),
        (lambda: reproducibility(GEN, TWIN[1:]), "gen has 150 rows and twin has 149"),
        (lambda: mae_score(GEN, TWIN[1:]), "gen has 150 rows and twin has 149"),
        (lambda: memorized(GEN, TRAIN, groups=torch.zeros(3)), "one label for each of the 200"),
        (lambda: memorized(GEN, TRAIN, groups=torch.zeros(200)), "different groups"),
        (lambda: memorized(GEN, TRAIN[:1]), "different groups"),
        (lambda: authenticity(GEN, TRAIN[:1]), "two training rows"),
        (lambda: frechet(GEN[:2], TEST), "at least 3 rows, gen has 2"),
        (lambda: pair_threshold(GEN[:1]), "two rows"),
        (lambda: chance_level(GEN, TWIN[1:]), "equally long"),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
