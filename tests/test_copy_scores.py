"""The second nearest is no near-duplicate of the nearest, whatever repeats how often;
near-duplicates are found; no copy hides behind a repeated image.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from denoscope.data.duplicates import find_duplicates, first_with_content
from denoscope.metrics import authenticity, memorized, nearest_similarity
from denoscope.metrics.copy_scores import scores, space
from denoscope.metrics.distinct_neighbors import DistinctNeighborSearch
from denoscope.metrics.near_duplicates import SelfNeighbors, near_duplicate_distance
from denoscope.metrics.shares import authentic_share, memorized_share, novel_share, quotient
from denoscope.nearest import neighbors, within


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def matrix(a: Tensor, b: Tensor) -> np.ndarray:
    """All distances from float64 differences, rounded as the features are."""
    x, y = a.double().numpy(), b.double().numpy()
    return (
        np.sqrt(np.square(x[:, None] - y[None]).sum(-1)).astype(a.numpy().dtype).astype(np.float64)
    )


def brute_force(
    query: Tensor, train: Tensor, spacing: float, own: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rule row by row from the whole matrix: nearest, index, second."""
    to, among = matrix(query, train), matrix(train, train)
    out = []
    for i, distance in enumerate(to):
        free = np.ones(len(train), bool)
        if own:
            free[i] = False
            beyond = distance[free & (distance >= spacing) & (distance > 0)]
            radius = min(spacing, beyond.min() / 3) if len(beyond) else spacing
            free &= (distance >= radius) & (distance > 0)
        if not free.any():
            out.append((math.inf, -1, math.inf))
            continue
        centre = int(np.flatnonzero(free)[distance[free].argmin()])
        others = free & (among[centre] >= spacing) & (among[centre] > 0)
        out.append((distance[centre], centre, distance[others].min() if others.any() else math.inf))
    nearest, index, second = zip(*out)
    return np.array(nearest), np.array(index), np.array(second)


def repeated(seed: int, copies: int, jitter: float, dim: int = 5) -> Tensor:
    """A training set with exact repeats, near repeats and ties (points of a coarse grid)."""
    base = normal(30, dim, seed=seed)
    grid = (2 * normal(15, dim, seed=seed + 1)).round()
    near = base[:4].repeat(copies, 1) + jitter * normal(4 * copies, dim, seed=seed + 2)
    return torch.cat([base, near, grid, grid[:5], base[3:5].repeat(3, 1)])


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    ("seed", "copies", "jitter"),
    [(0, 1, 1e-3), (10, 3, 1e-2), (20, 12, 1e-3), (30, 40, 1e-3), (40, 2, 0.5)],
)
@pytest.mark.parametrize("spacing", [0.0, 0.05, 0.8])
def test_the_brute_force_equals_brute_force(
    seed: int, copies: int, jitter: float, spacing: float, own: bool
) -> None:
    train = repeated(seed, copies, jitter)
    query = (
        train
        if own
        else torch.cat(
            [
                train[::3] + 1e-3 * normal(len(train[::3]), 5, seed=seed + 3),
                normal(40, 5, seed=seed + 4),
                train[:9],
            ]
        )
    )
    found = scores(query, train, kind="ratio", spacing=spacing, exclude_self=own)
    nearest, index, second = brute_force(query, train, spacing, own)
    np.testing.assert_array_equal(found.nearest.numpy(), nearest)
    np.testing.assert_array_equal(found.index.numpy(), index)
    np.testing.assert_array_equal(found.second.numpy(), second)
    np.testing.assert_allclose(found.score.numpy(), 1 - nearest / second, atol=1e-15)


@pytest.mark.parametrize("own", [False, True])
def test_what_lists_decide_and_what_all_near_duplicates_decide_are_the_same(own: bool) -> None:
    train = repeated(3, 20, 1e-3)
    query = train if own else train[::2] + 0.01
    search = DistinctNeighborSearch(query, train, 0.05, own)
    whole = search._whole(torch.arange(len(query)))
    solved = search.solve(neighbors(query, train, 2, exclude_self=own))
    for a, b in zip(whole, solved):
        assert torch.equal(a, b)


def test_the_order_and_the_number_of_rows_are_of_no_matter() -> None:
    train, query = repeated(5, 6, 1e-3), normal(60, 5, seed=9)
    whole = scores(query, train, kind="ratio", spacing=0.05)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    moved = scores(
        query[order],
        train[torch.randperm(len(train), generator=torch.Generator().manual_seed(2))],
        kind="ratio",
        spacing=0.05,
    )
    assert torch.equal(moved.score, whole.score[order])
    parts = [
        scores(part, train, kind="ratio", spacing=0.05).score for part in query.split([1, 7, 52])
    ]
    assert torch.equal(torch.cat(parts), whole.score)
    known = scores(query, train, kind="ratio", spacing=0.05, found=neighbors(query, train, 5))
    assert torch.equal(known.score, whole.score)


def test_a_copy_scores_one_and_its_quotient_is_zero() -> None:
    train = normal(50, 8)
    for kind in ("ratio", "cosine"):
        rows = space(train, kind)
        found = scores(rows[:7], torch.cat([rows, rows]), kind=kind, spacing=0.0)
        assert found.score.tolist() == [1.0] * 7
        assert found.index.tolist() == list(range(7))
    assert quotient(
        torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 2.0, 4.0, math.inf])
    ).tolist() == [0, 0, 0.25, 0]


def test_the_cosine_space_gives_cosines() -> None:
    query, train = 100 * normal(40, 12) + 3, 0.01 * normal(90, 12, seed=1)
    train[5], query[6] = 0.0, 0.0
    found = scores(space(query, "cosine"), space(train, "cosine"), kind="cosine", spacing=0.1)
    torch.testing.assert_close(
        found.score, nearest_similarity(query, train).double(), atol=2e-7, rtol=0
    )
    torch.testing.assert_close(found.cosine, found.score)
    assert found.score[6] == 1  # zeros are equal to zeros
    ratio = scores(query[:6], train, kind="ratio", spacing=0.0)
    expected = torch.nn.functional.cosine_similarity(
        query[:6].double(), train[ratio.index].double()
    )
    torch.testing.assert_close(ratio.cosine, expected, atol=1e-6, rtol=0)


def test_a_space_that_lies_in_a_file_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x = normal(300, 7)
    small = space(x, "cosine")
    monkeypatch.setattr("denoscope.metrics.copy_scores._MAPPED", 100)
    monkeypatch.setattr("denoscope.metrics.copy_scores._BLOCK", 70)
    assert torch.equal(space(x, "cosine"), small)


@pytest.mark.parametrize(("n", "message"), [(1, "too few"), (2, "near-duplicates of one another")])
def test_a_training_set_without_another_image_is_one_line(n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores(normal(5, 3), torch.ones(n, 3), kind="ratio", spacing=0.1)
    with pytest.raises(ValueError, match="score is one of"):
        space(normal(5, 3), "l2")


@pytest.mark.parametrize("radius", [0.0, 0.3, 1.5, 100.0])
def test_all_pairs_within_a_distance(radius: float) -> None:
    bank, query = repeated(7, 5, 1e-3), repeated(8, 2, 1e-2)
    for shift in (0.0, 1000.0):  # far from the origin products cancel
        distance = matrix(query + shift, bank + shift)
        expected = np.argwhere((distance < radius) | (distance == 0))
        np.testing.assert_array_equal(
            within(query + shift, bank + shift, radius, max_memory="1MiB").numpy(), expected
        )
    each = torch.linspace(0, 3, len(query), dtype=torch.float64)
    distance = matrix(query, bank)
    np.testing.assert_array_equal(
        within(query, bank, each).numpy(),
        np.argwhere((distance < each.numpy()[:, None]) | (distance == 0)),
    )


def test_neighbours_that_are_left_out_are_not_found() -> None:
    query, bank = normal(50, 6), normal(300, 6, seed=1)
    first = neighbors(query, bank, 3)
    rows = torch.arange(50)
    pairs = torch.stack([rows, first.index[:, 1]], 1)
    for bound in ("1GiB", "1MiB"):
        left = neighbors(query, bank, 2, exclude=pairs, max_memory=bound)
        assert torch.equal(left.index, first.index[:, [0, 2]])
    with pytest.raises(ValueError, match="offers 299"):
        neighbors(query, bank, 300, exclude=pairs)


@pytest.mark.parametrize(("copies", "jitter"), [(1, 1e-3), (9, 1e-3), (40, 0.0)])
@pytest.mark.parametrize("spacing", [0.0, 0.05])
def test_near_duplicates_are_all_pairs_and_their_components(
    copies: int, jitter: float, spacing: float
) -> None:
    from scipy.sparse.csgraph import connected_components

    train = repeated(11, copies, jitter)
    own = SelfNeighbors.of(train)
    near = own.near(train, spacing)
    distance = matrix(train, train)
    linked = ((distance < spacing) | (distance == 0)) & ~np.eye(len(train), dtype=bool)
    np.testing.assert_array_equal(near.counts.numpy(), linked.sum(1))
    assert near.links == linked.sum() // 2
    labels = connected_components(linked, directed=False)[1]
    inside = linked.any(1)
    assert ((near.cluster >= 0).numpy() == inside).all()
    together = labels[:, None] == labels[None]
    np.testing.assert_array_equal((near.groups[:, None] == near.groups[None]).numpy(), together)
    assert near.largest == (np.bincount(labels).max() if inside.any() else 0)


def test_equal_rows_and_distances_between_contents() -> None:
    train = repeated(13, 8, 0.0)
    own = SelfNeighbors.of(train)
    assert torch.equal(own.first, first_with_content(train))
    distance = matrix(train, train)
    expected = np.where(distance > 0, distance, np.inf).min(1)[own.distinct.numpy()]
    np.testing.assert_array_equal(own.apart(train).numpy(), expected)
    assert near_duplicate_distance(train, own, 0.0) == 0
    assert near_duplicate_distance(train, own, 0.3) == pytest.approx(np.quantile(expected, 0.3))
    assert near_duplicate_distance(train, own, 0.3) == pytest.approx(
        find_duplicates(train, quantile=0.3).threshold
    )
    held_out = torch.tensor([0.0, 1.0, 2.0, 3.0])
    assert near_duplicate_distance(train, own, 0.5, held_out=held_out) == 2.0
    same = torch.ones(9, 3)
    assert near_duplicate_distance(same, SelfNeighbors.of(same), 0.3) == 0


def test_shares_are_the_public_metrics_from_one_pass() -> None:
    train = normal(200, 4)
    gen = torch.cat([normal(90, 4, seed=1), train[:30] + 0.01])
    own = SelfNeighbors.of(train)
    found = scores(gen, train, kind="ratio", spacing=0.0)
    assert memorized_share(found.plain) == memorized(gen, train)
    assert authentic_share(found.nearest, own.nearest[found.index]) == authenticity(gen, train)
    similarity = scores(
        space(gen, "cosine"), space(train, "cosine"), kind="cosine", spacing=0.0
    ).score
    assert novel_share(similarity, 0.9).value == (similarity <= 0.9).double().mean()


def test_the_control_of_authenticity_leaves_each_row_out() -> None:
    train = torch.cat([normal(60, 3), normal(5, 3, seed=1).repeat(2, 1)])
    distance = matrix(train, train)
    np.fill_diagonal(distance, np.inf)
    expected = [np.delete(distance[distance[i].argmin()], i).min() for i in range(len(train))]
    np.testing.assert_array_equal(SelfNeighbors.of(train).rival.numpy(), expected)


def digits(kind: str) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels of digits in random order: train, test, and others."""
    pixels = torch.from_numpy(load_digits(return_X_y=True)[0]).float() / 8 - 1
    rows = space(
        pixels[torch.randperm(len(pixels), generator=torch.Generator().manual_seed(4))], kind
    )
    return rows[:700], rows[700:1200], rows[1200:]


@pytest.mark.parametrize("jitter", [0.0, 0.01])
def test_a_training_set_copied_twice_does_not_hide_a_model_that_copies_it(jitter: float) -> None:
    """Every training image has a (near-)duplicate; every sample is a copy. The published rule sees
    nothing; a second nearest that is no near-duplicate of the nearest sees all.
    """
    train, test, _ = digits("ratio")
    train = torch.cat([train, train + jitter * normal(*train.shape, seed=1)])
    gen = train[:400] + 0.02 * normal(400, train.shape[1], seed=2)
    held_out = (
        neighbors(test, train).distance[:, 0] if jitter else None
    )  # exact repeats need no held-out images
    spacing = near_duplicate_distance(train, SelfNeighbors.of(train), 0.01, held_out=held_out)
    found = scores(gen, train, kind="ratio", spacing=spacing)
    assert memorized_share(found.plain).value < 0.1
    assert memorized_share(found.ratio).value > 0.9
    fresh = scores(test, train, kind="ratio", spacing=spacing)
    assert memorized_share(fresh.ratio).value < 0.02
    left = scores(train, train, kind="ratio", spacing=spacing, exclude_self=True)
    assert memorized_share(left.ratio).value < 0.02  # a repeated image is no copy of itself
