"""Precision, recall, density and coverage: extremes, nulls, invariances, ties, and parity with the
authors' package.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from rates import sigmas
from scipy.spatial.distance import cdist
from torch import Tensor

from denoscope.estimate import proportion
from denoscope.laws import metric as laws
from denoscope.metrics import measure
from denoscope.metrics.balls import inside, radii
from denoscope.metrics.support import prdc

PARTS = ("precision", "recall", "density", "coverage")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


GEN, REAL = 0.9 * normal(150, 6, seed=1) + 0.3, normal(210, 6, seed=2)


def values(gen: Tensor, real: Tensor, k: int = 5) -> dict[str, float]:
    return {name: estimate.value for name, estimate in prdc(gen, real, k=k).items()}


def by_definition(gen: Tensor, real: Tensor, k: int) -> dict[str, float]:
    """The four shares from whole distance matrices."""

    def kth(x: Tensor) -> np.ndarray:
        distance = cdist(x.double(), x.double())
        np.fill_diagonal(distance, np.inf)
        return np.sort(distance, 1)[:, k - 1]

    distance = cdist(gen.double(), real.double())
    in_real, in_gen = distance < kth(real)[None], distance < kth(gen)[:, None]
    return {
        "precision": in_real.any(1).mean(),
        "recall": in_gen.any(0).mean(),
        "density": in_real.sum(1).mean() / k,
        "coverage": in_real.any(0).mean(),
    }


@pytest.mark.parametrize("part", PARTS)
def test_each_is_an_estimate_in_its_interval(part: str) -> None:
    laws.check_estimate(lambda g, r: prdc(g, r)[part], GEN, REAL)


@pytest.mark.parametrize(
    ("n", "m", "d", "k"),
    [(150, 210, 6, 5), (90, 61, 2, 1), (40, 300, 33, 3), (13, 12, 4, 10), (30, 30, 1, 4)],
)
def test_parity_with_the_authors_package(n: int, m: int, d: int, k: int) -> None:
    """Version 0.2 fails where k is one less than the number of rows, the largest k that the
    definition allows.
    """
    gen, real = 0.9 * normal(n, d, seed=3) + 0.2, normal(m, d, seed=4)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = compute_prdc(real.numpy(), gen.numpy(), k)
    ours = values(gen, real, k)
    assert ours == pytest.approx(by_definition(gen, real, k), abs=1e-14)
    for part in PARTS:
        assert ours[part] == pytest.approx(theirs[part], abs=1e-14)


def test_as_many_neighbours_as_there_are_other_rows() -> None:
    assert values(GEN[:9], REAL[:9], 8) == pytest.approx(
        by_definition(GEN[:9], REAL[:9], 8), abs=1e-14
    )


def test_single_precision_far_from_the_origin_is_exact() -> None:
    gen, real = ((1000 + x).float() for x in (GEN, REAL))
    assert values(gen, real) == pytest.approx(by_definition(gen, real, 5), abs=1e-14)


@pytest.mark.parametrize("size", [1e-140, 1e140])
def test_tiny_and_huge_features_neither_vanish_nor_overflow(size: float) -> None:
    assert values(size * GEN, size * REAL) == values(GEN, REAL)


def test_intervals_are_conditional_and_of_the_right_rows() -> None:
    found = prdc(GEN, REAL)
    for part, n, given in (
        ("precision", 150, "real"),
        ("recall", 210, "generated"),
        ("coverage", 210, "real"),
    ):
        if part != "coverage":
            assert found[part].method == f"Clopper-Pearson, given the {given} set"
        exact = proportion(round(found[part].value * n), n)
        assert (found[part].low, found[part].high, found[part].n) == (exact.low, exact.high, n)
    assert found["coverage"].method == "Clopper-Pearson, given the generated set"
    assert (found["density"].method, found["density"].n) == ("t, given the real set", 150)


def test_the_order_of_rows_is_of_no_matter() -> None:
    for part in PARTS:
        laws.check_permutation(
            lambda g, r, part=part: prdc(g, r)[part], GEN, REAL, move=(0, 1), tolerance=1e-14
        )


@pytest.mark.parametrize("part", ["precision", "density"])
def test_a_generated_row_does_not_look_at_its_batch(part: str) -> None:
    radius = radii(REAL, 5)
    balls, _ = inside(GEN, REAL, radius)
    parts = torch.cat([inside(rows, REAL, radius)[0] for rows in GEN.split([1, 7, 142])])
    assert torch.equal(balls, parts)
    share = (parts > 0).double().mean() if part == "precision" else parts.double().mean() / 5
    assert prdc(GEN, REAL)[part].value == pytest.approx(float(share), abs=1e-14)


def test_counts_do_not_depend_on_tiles() -> None:
    """More rows than a tile has on each side, against the whole matrix."""
    points, centres = normal(2500, 2, seed=5), normal(2300, 2, seed=6)
    radius = radii(centres, 4)
    balls, held = inside(points, centres, radius)
    matrix = cdist(points, centres) < radius.numpy()
    assert np.array_equal(balls, matrix.sum(1))
    assert np.array_equal(held, matrix.sum(0))


def test_the_unit_of_features_is_of_no_matter() -> None:
    for part in PARTS:
        laws.check_scale(lambda g, r, part=part: prdc(g, r)[part], GEN, REAL)


def test_identical_sets_and_disjoint_ones() -> None:
    same, apart = values(REAL, REAL), values(REAL + 100, REAL)
    assert [same[part] for part in ("precision", "recall", "coverage")] == [1.0, 1.0, 1.0]
    assert same["density"] == pytest.approx(by_definition(REAL, REAL, 5)["density"], abs=1e-14)
    assert set(apart.values()) == {0.0}


def test_a_dropped_mode_costs_recall_and_coverage_not_precision() -> None:
    modes = torch.tensor([[0.0, 0.0], [50.0, 0.0]], dtype=torch.float64).repeat_interleave(300, 0)
    real = modes + normal(600, 2, seed=7)
    both, one = modes + normal(600, 2, seed=8), normal(600, 2, seed=9)
    full, dropped = values(both, real), values(one, real)
    assert dropped["recall"] < 0.55 < 0.9 < full["recall"]
    assert dropped["coverage"] < 0.55 < 0.9 < full["coverage"]
    assert abs(dropped["precision"] - full["precision"]) < 0.05


def test_an_invented_mode_costs_precision_not_recall() -> None:
    real = normal(400, 2, seed=10)
    gen = torch.cat([normal(400, 2, seed=11), normal(200, 2, seed=12) + 50])
    assert values(gen, real)["precision"] == pytest.approx(2 / 3, abs=0.03)
    assert values(gen, real)["recall"] > 0.9


def test_more_rows_from_elsewhere_never_raise_precision() -> None:
    laws.check_monotone(
        lambda g: prdc(g, REAL)["precision"],
        GEN,
        normal(150, 6, seed=13) + 50,
        range(0, 151, 15),
        rising=False,
    )


def test_distances_equal_to_the_radius_are_outside() -> None:
    """On a grid of step 1 with k = 1 every radius is 1, and a point between two nodes is within
    both balls; a node's neighbour is in none.
    """
    grid = torch.arange(12.0)[:, None]
    assert values(grid + 1, grid, 1)["precision"] == 11 / 12
    balls, held = inside(grid + 0.5, grid, radii(grid, 1))
    assert balls.tolist() == [2] * 11 + [1]
    assert held.tolist() == [1] + [2] * 11
    assert inside(grid, grid, radii(grid, 1))[0].tolist() == [1] * 12


def test_a_row_with_k_duplicates_has_an_empty_ball() -> None:
    real = torch.cat([torch.zeros(3, 2), 10 * torch.eye(2)]).double()
    assert radii(real, 2)[:3].tolist() == [0.0] * 3
    assert inside(torch.zeros(1, 2, dtype=torch.float64), real, radii(real, 2))[1].tolist() == [
        0,
        0,
        0,
        0,
        0,
    ]
    assert set(values(torch.ones(20, 3), torch.ones(30, 3)).values()) == {0.0}


def test_two_samples_of_one_law_have_the_coverage_that_theory_gives() -> None:
    """E coverage of one law is 1 - prod_{i<k} (n - 1 - i)/(n + m - 1 - i), whatever the law (Naeem
    et al. 2020, section 3.3).
    """
    n, m, k = 80, 60, 3
    expected = 1 - np.prod([(n - 1 - i) / (n + m - 1 - i) for i in range(k)])

    def draw(seed: int) -> float:
        rows = normal(n + m, 2 + seed % 4, seed=seed).exp()
        return prdc(rows[n:], rows[:n], k=k)["coverage"].value

    laws.check_mean(draw, float(expected), draws=200, sigmas=sigmas())


def test_two_samples_of_one_law_have_density_one_in_the_mean() -> None:
    """Of n - 1 other real rows exactly k - 1 are inside a ball, strictly; a generated row lies
    there with probability k/n, so E density = 1.
    """

    def draw(seed: int) -> float:
        rows = normal(160, 2 + seed % 4, seed=seed)
        return prdc(rows[:70], rows[70:], k=4)["density"].value

    laws.check_mean(draw, 1.0, draws=200, sigmas=sigmas())


def test_precision_and_recall_of_one_law_are_one_another_with_the_sets_changed() -> None:
    assert values(GEN, REAL)["precision"] == values(REAL, GEN)["recall"]


def test_measure_computes_them_once_by_name() -> None:
    found = measure(["recall", "density", "precision", "coverage"], gen=GEN, test=REAL)
    assert list(found) == ["recall", "density", "precision", "coverage"]
    assert found == prdc(GEN, REAL)
    with pytest.raises(ValueError, match="precision needs test"):
        measure(["precision"], gen=GEN, train=REAL)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: prdc(GEN[:5], REAL), "k = 5 neighbours need at least 6 rows, gen has 5"),
        (lambda: prdc(GEN, REAL[:3], k=3), "need at least 4 rows, real has 3"),
        (lambda: prdc(GEN, REAL, k=0), "k counts neighbours"),
        (lambda: prdc(GEN[:0], REAL), "gen has 0"),
        (lambda: prdc(1e160 * GEN, REAL), "distances overflow"),
        (lambda: prdc(GEN, REAL[:, :5]), "gen has 6 features per row and real has 5"),
        (lambda: prdc(torch.full_like(GEN, torch.nan), REAL), "gen has a value that is not finite"),
        (lambda: prdc(torch.zeros(9, 1, 2, 3), REAL), "describe first"),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
