"""The Vendi score: its definition, what it counts, invariances, intervals, and parity with the
authors' package.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor
from vendi_score import vendi as authors

from denoscope.laws import metric as laws
from denoscope.metrics import measure
from denoscope.metrics.diversity import effective_number, vendi
from denoscope.metrics.jackknife import blocks

ORDERS = [0.0, 0.3, 0.5, 1.0, 1.5, 2.0, 7.0, math.inf]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(x: Tensor, q: float) -> float:
    """From the eigenvalues of the whole cosine kernel, by scipy."""
    rows = x.double().numpy() / np.linalg.norm(x.double().numpy(), axis=1, keepdims=True)
    p = linalg.eigvalsh(rows @ rows.T / len(rows))
    p = p[p > 1e-12]
    if q == 1:
        return float(np.exp(-(p * np.log(p)).sum()))
    return float(1 / p.max()) if q == math.inf else float((p**q).sum() ** (1 / (1 - q)))


@pytest.mark.parametrize("q", ORDERS)
@pytest.mark.parametrize(("n", "k"), [(60, 7), (7, 60), (40, 40), (41, 40)])
def test_it_is_its_definition_from_either_gram_matrix(n: int, k: int, q: float) -> None:
    x = normal(n, k, seed=n) + 0.5
    assert vendi(x, q=q).value == pytest.approx(by_definition(x, q), rel=1e-9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("q", ORDERS)
def test_parity_with_the_authors_package(q: float) -> None:
    """Its score_K takes the order; its score_X drops it and scores at order 1 (version 0.0.3),
    which its own score_K contradicts.
    """
    x = (normal(50, 12, seed=1) + 0.4).numpy()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    order = "inf" if q == math.inf else q
    dual = authors.score_dual(x, q=order)
    assert vendi(x, q=q).value == pytest.approx(dual, rel=1e-10)
    assert vendi(x).value == pytest.approx(authors.score_X(x, q=order), rel=1e-9)
    if q >= 0.5:  # below, it counts the rounding errors of zero eigenvalues
        assert vendi(x, q=q).value == pytest.approx(
            authors.score_K(unit @ unit.T, q=order), rel=1e-4
        )


@pytest.mark.parametrize("q", ORDERS)
def test_orthogonal_groups_of_equal_size_are_counted(q: float) -> None:
    for groups, dimension in ((1, 3), (4, 9), (12, 12)):
        x = torch.eye(dimension)[:groups].repeat(5, 1) * torch.linspace(0.5, 3, 5 * groups)[:, None]
        assert vendi(x, q=q).value == pytest.approx(groups, rel=1e-9)


def test_groups_of_unequal_size_have_the_hill_number_of_their_shares() -> None:
    x = torch.eye(5).repeat_interleave(torch.tensor([50, 30, 10, 8, 2]), 0)
    p = np.array([0.5, 0.3, 0.1, 0.08, 0.02])
    for q in (0.2, 2.0, 5.0):
        assert vendi(x, q=q).value == pytest.approx((p**q).sum() ** (1 / (1 - q)), rel=1e-9)
    assert vendi(x).value == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-9)
    assert vendi(x, q=0).value == pytest.approx(5, rel=1e-9)
    assert vendi(x, q=math.inf).value == pytest.approx(2, rel=1e-9)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_from_one_to_the_number_of_rows(n: int) -> None:
    alike, unlike = vendi(torch.full((n, 4), 0.3)), vendi(torch.eye(n + 1)[:n])
    assert (alike.value, alike.low) == (pytest.approx(1, abs=1e-12), 1.0)
    assert unlike.value == pytest.approx(n, rel=1e-9)
    assert unlike.high <= n


def test_higher_orders_count_less_and_one_is_a_limit() -> None:
    x = normal(80, 9, seed=2) + 0.5
    scores = [vendi(x, q=q).value for q in ORDERS]
    assert scores == sorted(scores, reverse=True)
    for q in (1 - 1e-7, 1 - 1e-9, 1 + 1e-12, 1 + 1e-6):
        assert vendi(x, q=q).value == pytest.approx(vendi(x).value, rel=1e-5)
    assert vendi(x, q=1e6).value == pytest.approx(vendi(x, q=math.inf).value, rel=1e-4)


def test_effective_numbers_ignore_what_is_rounding() -> None:
    p = torch.tensor([0.5, 0.5, 1e-17, -1e-17, 0.0], dtype=torch.float64)
    for q in ORDERS:
        assert effective_number(p, q) == pytest.approx(2, rel=1e-12)


def test_order_scale_sign_and_rotation_are_of_no_matter() -> None:
    x = normal(70, 8, seed=3) + 0.3
    rotation = torch.linalg.qr(normal(8, 8, seed=4)).Q
    scale = torch.linspace(0.1, 9, 70, dtype=torch.float64)[:, None]
    for other in (x.flip(0), scale * x, -x, x @ rotation, torch.cat([x, x.new_zeros(70, 3)], 1)):
        assert vendi(other).value == pytest.approx(vendi(x).value, rel=1e-11)
    laws.check_permutation(vendi, x, move=(0,), tolerance=1e-11)
    moved, kept = vendi(x.flip(0)), vendi(x)
    assert (moved.low, moved.high) == pytest.approx((kept.low, kept.high), rel=1e-9)


def test_a_set_twice_over_is_as_diverse_and_a_collapsed_one_less() -> None:
    x = normal(60, 10, seed=5)
    assert vendi(torch.cat([x, x])).value == pytest.approx(vendi(x).value, rel=1e-10)
    laws.check_monotone(vendi, x, x[:1].repeat(60, 1), range(0, 61, 10), rising=False)


def test_zero_rows_are_alike_and_unlike_all_others() -> None:
    assert vendi(torch.cat([torch.eye(3), torch.zeros(1, 3)])).value == pytest.approx(4, rel=1e-9)
    assert vendi(torch.zeros(6, 3)).value == pytest.approx(1, rel=1e-9)


def test_the_estimate_is_in_its_interval_with_a_name() -> None:
    x = normal(45, 6, seed=6)
    laws.check_estimate(vendi, x)
    assert vendi(x).method == "delete-block jackknife"
    assert measure("vendi", gen=x)["vendi"] == vendi(x)
    assert vendi(x, seed=1) != vendi(x)


@pytest.mark.parametrize(("q", "n"), [(1.0, 150), (2.0, 150), (0.5, 60), (math.inf, 60)])
def test_intervals_cover_the_mean_score_of_sets_of_this_size(q: float, n: int) -> None:
    """Means over many sets stand for the expectation."""
    scales = torch.tensor([3.0, 2, 1, 1, 0.5], dtype=torch.float64)
    draws = [vendi(normal(n, 5, seed=seed) * scales, q=q) for seed in range(150)]
    laws.check_coverage(
        lambda seed: draws[seed], float(np.mean([d.value for d in draws])), draws=150, least=0.88
    )


@pytest.mark.parametrize(
    ("n", "count", "sizes"), [(103, 20, {5, 6}), (7, 20, {1}), (40, 20, {2}), (9, 4, {2, 3})]
)
def test_blocks_are_even_and_follow_the_rows(n: int, count: int, sizes: set[int]) -> None:
    x = normal(n, 3, seed=7)
    block = blocks(x, count)
    assert set(torch.bincount(block).tolist()) == sizes
    assert len(block.unique()) == min(n, count)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    assert torch.equal(blocks(x[order], count), block[order])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: vendi(torch.zeros(0, 3)), "gen has no rows"),
        (lambda: vendi(torch.ones(3, 3), q=-1), "q is the order of an entropy"),
        (lambda: vendi(torch.ones(3, 3), q=math.nan), "q is the order of an entropy"),
        (lambda: vendi(torch.full((3, 3), torch.nan)), "gen has a value that is not finite"),
        (lambda: vendi(torch.zeros(3, 1, 2, 2)), "describe first"),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
