"""Nearest neighbours are exact, whatever the memory bound, the layout of the data, or the ties in
it.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

import denoscope
from denoscope.nearest import bytes_of, neighbors, paired, within
from denoscope.nearest.rows import Metric


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def brute(query: Tensor, bank: Tensor, k: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """All distances from differences in float64, rounded as the features are, then a stable
    sort.
    """
    a, b = query.double().numpy(), bank.double().numpy()
    if metric == "cosine":
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    squared = np.square(a[:, None] - b[None]).sum(-1)
    distance = (squared / 2 if metric == "cosine" else np.sqrt(squared)).astype(query.numpy().dtype)
    index = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distance, index, 1), index


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("q", "n", "d", "k"),
    [
        (120, 500, 16, 3),
        (40, 5000, 24, 2),
        (90, 300, 3, 40),
        (10, 7, 5, 7),
        (1, 1, 1, 1),
        (30, 90, 784, 1),
    ],
)
def test_equals_brute_force(
    q: int, n: int, d: int, k: int, dtype: torch.dtype, metric: str
) -> None:
    query, bank = normal(q, d, seed=1, dtype=dtype) + 3, normal(n, d, seed=2, dtype=dtype) + 3
    found = neighbors(query, bank, k, metric=metric)
    distance, index = brute(query, bank, k, metric)
    torch.testing.assert_close(
        found.distance.numpy(), distance, rtol=1e-6 if dtype == torch.float32 else 1e-12, atol=1e-15
    )
    assert (found.index.numpy() == index).all()
    assert found.distance.dtype == dtype
    assert found.index.dtype == torch.int64


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_agrees_with_scikit_learn(metric: str) -> None:
    query, bank = (
        normal(60, 20, seed=3, dtype=torch.float64),
        normal(400, 20, seed=4, dtype=torch.float64),
    )
    distance, index = (
        NearestNeighbors(n_neighbors=5, metric=metric, algorithm="brute")
        .fit(bank.numpy())
        .kneighbors(query.numpy())
    )
    found = neighbors(query, bank, 5, metric=metric)
    np.testing.assert_allclose(found.distance.numpy(), distance, atol=1e-12)
    assert (found.index.numpy() == index).all()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_memory_bound_changes_no_bit(metric: str) -> None:
    bank = normal(2000, 33, seed=5)
    bank[1000:1400] = bank[:400] + 1e-6 * normal(
        400, 33, seed=6
    )  # near-ties below the rounding of the matrix product
    query = (
        torch.cat([bank[:150], normal(150, 33, seed=7)]) + 1000.0
    )  # far from the origin, where products cancel
    bank = bank + 1000.0
    wide = neighbors(query, bank, 4, metric=metric)
    for bound in ("1MiB", "3MiB", 50_000_000):
        narrow = neighbors(query, bank, 4, metric=metric, max_memory=bound)
        assert torch.equal(wide.distance, narrow.distance)
        assert torch.equal(wide.index, narrow.index)
    assert (wide.index.numpy() == brute(query, bank, 4, metric)[1]).all()


def test_the_batch_and_the_order_of_queries_change_no_bit() -> None:
    query, bank = normal(200, 50, seed=8), normal(900, 50, seed=9)
    whole = neighbors(query, bank, 3)
    alone = [neighbors(query[i : i + 1], bank, 3) for i in range(0, 200, 17)]
    assert torch.equal(torch.cat([one.distance for one in alone]), whole.distance[::17])
    assert torch.equal(torch.cat([one.index for one in alone]), whole.index[::17])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_duplicates_are_at_exactly_zero_and_the_lowest_index_comes_first(
    metric: str, dtype: torch.dtype
) -> None:
    bank = normal(600, 40, seed=10, dtype=dtype) * 100 + 5000
    bank[[7, 311, 599]] = bank[50].clone()
    found = neighbors(bank[50:51], bank, 5, metric=metric)
    assert found.distance[0, :4].tolist() == [0.0] * 4
    assert found.index[0, :4].tolist() == [7, 50, 311, 599]


def test_a_bank_of_equal_rows_stays_in_memory_and_order() -> None:
    found = neighbors(torch.zeros(300, 8), torch.zeros(3000, 8), 3, max_memory="1MiB")
    assert found.index.tolist() == [[0, 1, 2]] * 300
    assert not found.distance.any()


def test_exclude_self_leaves_out_the_row_but_not_its_duplicates() -> None:
    x = normal(700, 6, seed=11)
    x[3] = x[600]
    for bound in ("1GiB", "1MiB"):
        found = neighbors(x, x, 2, exclude_self=True, max_memory=bound)
        assert not (found.index == torch.arange(700)[:, None]).any()
        assert found.index[3, 0] == 600
        assert found.distance[3, 0] == 0
        assert torch.equal(found.index[4:600], neighbors(x, x, 3).index[4:600, 1:])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_integer_grids_full_of_ties_are_sorted_by_distance_then_index(data: st.DataObject) -> None:
    """On a small grid most distances tie: the answer is that of a stable sort."""
    q, n, d = (data.draw(st.integers(1, most)) for most in (6, 40, 3))
    k, seed = data.draw(st.integers(1, n)), data.draw(st.integers(0, 2**20))
    source = torch.Generator().manual_seed(seed)
    query, bank = (
        torch.randint(0, 3, (q, d), generator=source).float(),
        torch.randint(0, 3, (n, d), generator=source).float(),
    )
    distance, index = brute(query, bank, k, "euclidean")
    found = neighbors(query, bank, k)
    assert (found.index.numpy() == index).all()
    np.testing.assert_array_equal(found.distance.numpy(), distance)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12])
def test_the_scale_of_the_features_is_of_no_matter(scale: float) -> None:
    query, bank = normal(50, 10, seed=12), normal(300, 10, seed=13)
    found, scaled = neighbors(query, bank, 3), neighbors(query * scale, bank * scale, 3)
    assert torch.equal(found.index, scaled.index)
    torch.testing.assert_close(scaled.distance / scale, found.distance, rtol=1e-5, atol=0)


def test_an_outlier_far_away_spoils_nothing() -> None:
    query, bank = normal(50, 10, seed=14), normal(800, 10, seed=15)
    bank[5] = 1e6
    query[3] = -1e5
    assert (neighbors(query, bank, 3).index.numpy() == brute(query, bank, 3, "euclidean")[1]).all()


def test_a_lower_precision_of_matrix_products_changes_nothing() -> None:
    query, bank = normal(40, 64, seed=16), normal(500, 64, seed=17)
    before = neighbors(query, bank, 4)
    torch.set_float32_matmul_precision("medium")
    try:
        after = neighbors(query, bank, 4)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(before.index, after.index)
    assert torch.equal(before.distance, after.distance)


def test_a_zero_row_has_cosine_zero_but_to_its_equals() -> None:
    bank = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    found = neighbors(torch.tensor([[0.0, 0.0], [2.0, 0.0]]), bank, 3, metric="cosine")
    assert found.distance.tolist() == [[0.0, 1.0, 1.0], [0.0, 1.0, 2.0]]
    assert found.index.tolist() == [[1, 0, 2], [0, 1, 2]]


def test_pairs_have_the_distances_that_a_search_gives() -> None:
    query, bank = normal(90, 30, seed=18), normal(90, 30, seed=19)
    for metric in ("euclidean", "cosine"):
        found = neighbors(query, bank, 1, metric=metric)
        assert torch.equal(
            paired(query, bank[found.index[:, 0]], metric=metric), found.distance[:, 0]
        )


def test_numpy_integers_gradients_and_empty_queries_are_fine() -> None:
    x = np.arange(12).reshape(6, 2)
    found = neighbors(x, x, 1)
    assert found.distance.dtype == torch.float32
    assert found.index[:, 0].tolist() == list(range(6))
    leaf = normal(4, 2).requires_grad_()
    assert not neighbors(leaf, leaf).distance.requires_grad
    assert neighbors(normal(0, 2), normal(4, 2), 3).index.shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"k": 5}, "k = 5"),
        ({"k": 0}, "k = 0"),
        ({"k": 4, "exclude_self": True}, "offers 3"),
        ({"metric": "manhattan"}, "metric is"),
        ({"max_memory": "a lot"}, "memory size"),
        ({"max_memory": 1000}, "too small"),
        ({"bank": torch.full((4, 3), torch.nan)}, "bank has a value that is not finite in row 0"),
        (
            {"query": torch.tensor([[0.0, 0, 0], [0, torch.inf, 0]])},
            "query has a value that is not finite in row 1",
        ),
        ({"query": torch.zeros(2, 3), "exclude_self": True}, "same rows"),
        ({"query": torch.zeros(2, 5)}, "one descriptor"),
        ({"query": torch.zeros(2, 3, 4, 4)}, "describe first"),
        ({"query": torch.zeros(3)}, r"shape \(n, k\)"),
    ],
)
def test_mistakes_are_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        neighbors(**{"query": torch.zeros(4, 3), "bank": torch.zeros(4, 3), **arguments})


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GiB", 2**30),
        ("64 KiB", 2**16),
        ("1.5MB", 1_500_000),
        (123, 123),
        ("2g", 2 * 10**9),
        ("7b", 7),
    ],
)
def test_memory_sizes(text: str | int, size: int) -> None:
    assert bytes_of(text) == size


def test_it_is_public() -> None:
    assert denoscope.neighbors is neighbors


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_rows_at_half_precision_are_compared_as_the_numbers_that_they_are(metric: Metric) -> None:
    rows = torch.randn(60, 7, generator=torch.Generator().manual_seed(0)).half()
    half = neighbors(rows[:20], rows, 3, metric=metric)
    full = neighbors(rows[:20].float(), rows.float(), 3, metric=metric)
    assert half.distance.dtype == torch.float32
    assert torch.equal(half.distance, full.distance)
    assert torch.equal(half.index, full.index)
    assert torch.equal(within(rows[:20], rows, 2.0), within(rows[:20].float(), rows.float(), 2.0))
