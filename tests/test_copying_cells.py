"""The three-sample test of data-copying: its definition in loops, its null law, planted copies, and
the cells it rests on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from torch import Tensor

from denoscope.laws import metric as laws
from denoscope.metrics import partition
from denoscope.metrics.copying_cells import CopyingTest, copying_test
from denoscope.metrics.partition import content_order, k_means, nearest_centre


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


GEN, TRAIN, TEST = normal(150, 5, seed=1), normal(200, 5, seed=2) + 0.1, normal(170, 5, seed=3)


def copies_in_place(gen: Tensor, train: Tensor, result: CopyingTest) -> Tensor:
    """For each generated row the nearest training row of its own cell."""
    distance = torch.cdist(gen.double(), train.double())
    other = nearest_centre(gen, result.centres)[:, None] != result.labels
    return train[distance.masked_fill(other, math.inf).argmin(1)]


def by_loops(
    gen: np.ndarray, train: np.ndarray, test: np.ndarray, centres: np.ndarray
) -> tuple[float, float, float]:
    """C_T, its null standard deviation and the weighted P(L_gen < L_test), from the definition."""

    def cell(x: np.ndarray) -> int:
        return int(np.argmin([np.linalg.norm(x - centre) for centre in centres]))

    cell_of_train = [cell(t) for t in train]

    def distance(x: np.ndarray) -> float:
        own = cell(x)
        return min(np.linalg.norm(x - t) for t, other in zip(train, cell_of_train) if other == own)

    weighted = shares = squares = nearer = 0.0
    for index in range(len(centres)):
        of_gen, of_test = ([distance(x) for x in rows if cell(x) == index] for rows in (gen, test))
        n, m = len(of_test), len(of_gen)
        if m <= 20:
            continue
        u = sum((g > t) + (g == t) / 2 for g in of_gen for t in of_test)
        z = (u - n * m / 2 + 0.5) / math.sqrt(n * m * (n + m + 1) / 12)
        share = n / len(test)
        weighted, shares, squares = weighted + share * z, shares + share, squares + share**2
        nearer += share * (1 - u / (n * m))
    return weighted / shares, math.sqrt(squares) / shares, nearer / shares


@pytest.mark.parametrize("cells", [1, 3, 4])
@pytest.mark.parametrize("grid", [False, True], ids=["continuous", "ties"])
def test_the_test_is_its_definition_in_loops(cells: int, grid: bool) -> None:
    sets = [
        (x * 2).round() if grid else x
        for x in (GEN[:110].double(), TRAIN[:90].double(), TEST[:80].double())
    ]
    result = copying_test(*sets, cells=cells, seed=4)
    value, deviation, nearer = by_loops(*(x.numpy() for x in sets), result.centres.numpy())
    assert result.value == pytest.approx(value, abs=1e-9)
    assert result.nearer.value == pytest.approx(nearer, abs=1e-12)
    assert result.high - result.value == pytest.approx(stats.norm.ppf(0.975) * deviation)
    assert result.value - result.low == pytest.approx(result.high - result.value)


def test_each_cell_is_a_mann_whitney_test() -> None:
    result = copying_test(GEN, TRAIN, TEST)
    cells = {
        name: nearest_centre(rows, result.centres).numpy()
        for name, rows in (("gen", GEN), ("train", TRAIN), ("test", TEST))
    }
    assert np.array_equal(cells["train"], result.labels)
    for index, cell in enumerate(result.cells):
        gen, train, test = (
            rows[cells[name] == index].double()
            for name, rows in (("gen", GEN), ("train", TRAIN), ("test", TEST))
        )
        assert (cell.gen, cell.train, cell.test, cell.share) == (
            len(gen),
            len(train),
            len(test),
            len(test) / len(TEST),
        )
        near, far = cdist(gen, train).min(1), cdist(test, train).min(1)
        expected = stats.mannwhitneyu(
            near, far, alternative="less", method="asymptotic", use_continuity=True
        )
        assert cell.u == expected.statistic
        assert cell.z is not None
        assert stats.norm.cdf(cell.z) == pytest.approx(expected.pvalue, rel=1e-9)
        assert cell.nearer is not None
        assert cell.nearer.value == pytest.approx(1 - expected.statistic / (len(gen) * len(test)))


def test_a_perfect_generalizer_has_mean_zero_and_the_stated_deviation() -> None:
    """Standardised by its own null deviation, C_T less its continuity term has mean 0 and mean
    square 1.
    """

    def draw(seed: int) -> float:
        gen, train, test = normal(360, 3, seed=seed).split([120, 80, 160])
        result = copying_test(gen, train, test, seed=seed)
        counted = [cell for cell in result.cells if cell.z is not None]
        shift = sum(
            c.share * 0.5 / math.sqrt(c.gen * c.test * (c.gen + c.test + 1) / 12) for c in counted
        ) / sum(c.share for c in counted)
        return (result.value - shift) * stats.norm.ppf(0.975) / (result.high - result.value)

    values = np.array([draw(seed) for seed in range(250)])
    assert abs(values.mean()) < sigmas(2) / math.sqrt(250)
    assert abs(np.mean(values**2) - 1) < sigmas(2) * math.sqrt(2 / 250)


def test_planted_copies_lower_it_and_it_never_turns_back() -> None:
    copies = copies_in_place(GEN, TRAIN, copying_test(GEN, TRAIN, TEST))
    laws.check_monotone(
        lambda gen: copying_test(gen, TRAIN, TEST), GEN, copies, range(0, 151, 10), rising=False
    )
    laws.check_monotone(
        lambda gen: copying_test(gen, TRAIN, TEST).nearer,
        GEN,
        copies,
        range(0, 151, 10),
        rising=True,
    )
    assert copying_test(torch.cat([copies[:75], GEN[75:]]), TRAIN, TEST).high < 0


def test_all_copies_are_below_every_held_out_row_and_far_rows_above() -> None:
    result = copying_test(TRAIN, TRAIN, TEST)
    assert result.high < -5
    assert all(cell.u == 0 for cell in result.cells)
    assert (result.nearer.value, result.nearer.high) == (1.0, 1.0)
    assert result.nearer.low > 0.9
    far = copying_test(30 * GEN, TRAIN, TEST)
    assert far.low > 5
    assert far.nearer.high < 0.05


def test_it_grows_like_the_root_of_the_sample_size_and_the_effect_does_not() -> None:
    once = copying_test(0.7 * GEN, TRAIN, TEST)
    often = copying_test(0.7 * GEN.repeat(16, 1), TRAIN, TEST.repeat(16, 1))
    assert often.value / once.value == pytest.approx(4, rel=0.02)
    assert often.nearer.value == pytest.approx(once.nearer.value, abs=1e-12)
    assert often.high - often.low == pytest.approx(once.high - once.low)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_interval_of_the_effect_covers_a_known_one(scale: float) -> None:
    """Around single training rows, L is |s z| generated and |z| held out: P(L_gen < L_test) =
    (2/pi) arctan(1/s).
    """

    def draw(seed: int) -> CopyingTest:
        rows = normal(240, 1, seed=seed)
        place = torch.tensor([-50.0, 50.0]).repeat(60)[:, None]
        return copying_test(
            place + scale * rows[:120], torch.tensor([[-50.0], [50.0]]), place + rows[120:], cells=2
        )

    laws.check_coverage(
        lambda seed: draw(seed).nearer, 2 / math.pi * math.atan(1 / scale), draws=100, least=0.88
    )


def test_a_cell_with_few_generated_rows_does_not_count() -> None:
    place = torch.tensor([[-50.0, 0], [50.0, 0]])
    train, test = (place.repeat(40, 1) + normal(80, 2, seed=s) for s in (1, 2))
    gen = torch.cat([place[:1] + normal(60, 2, seed=3), place[1:] + normal(20, 2, seed=4)])
    result = copying_test(gen, train, test, cells=2)
    few, many = sorted(result.cells, key=lambda cell: cell.gen)
    assert (few.gen, few.z, few.u, few.nearer) == (20, None, None, None)
    assert (result.value, result.n) == (many.z, 60)
    assert result.high - result.value == pytest.approx(stats.norm.ppf(0.975))


def test_the_order_of_rows_the_unit_and_the_precision_are_of_no_matter() -> None:
    laws.check_estimate(copying_test, GEN, TRAIN, TEST)
    laws.check_permutation(copying_test, GEN, TRAIN, TEST, move=(0, 1, 2))
    laws.check_scale(copying_test, GEN, TRAIN, TEST)
    doubled = copying_test(GEN.double().numpy(), TRAIN, TEST)
    assert doubled.value == pytest.approx(copying_test(GEN, TRAIN, TEST).value, abs=0.01)


def test_the_same_seed_gives_the_same_cells_and_json_holds_no_nan() -> None:
    first, second, other = (
        copying_test(GEN, TRAIN, TEST, cells=6, seed=seed) for seed in (1, 1, 2)
    )
    assert first == second
    assert torch.equal(first.labels, second.labels)
    assert not torch.equal(first.centres, other.centres)
    document = json.loads(json.dumps(first.json(), allow_nan=False))
    assert document["value"] == first.value
    assert len(document["cells"]) == 6
    assert sum(cell["gen"] for cell in document["cells"]) == 150
    assert document["nearer"]["low"] <= document["nearer"]["value"]


def test_k_means_settles_where_scikit_learn_finds_nothing_to_improve() -> None:
    x = torch.cat(
        [normal(300, 4, seed=1), normal(200, 4, seed=2) + 2, 0.3 * normal(100, 4, seed=3) - 1]
    )
    centres = k_means(x, 3, seed=5)
    labels = nearest_centre(x, centres)
    for index in range(3):
        torch.testing.assert_close(x[labels == index].double().mean(0), centres[index])
    again = KMeans(3, init=centres.numpy(), n_init=1, tol=0).fit(x.double().numpy())
    assert np.array_equal(again.labels_, labels)
    assert again.inertia_ == pytest.approx(float((x - centres[labels]).square().sum()))


def test_k_means_finds_separated_clusters_from_every_seed() -> None:
    x = normal(300, 3, seed=1) + 100 * torch.eye(3).repeat(100, 1)
    for seed in range(5):
        labels = nearest_centre(x, k_means(x, 3, seed))
        assert len({tuple(row) for row in labels.reshape(100, 3).tolist()}) == 1
        assert sorted(labels.bincount().tolist()) == [100, 100, 100]


def test_cells_do_not_depend_on_the_order_of_rows_or_on_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    centres = k_means(TRAIN, 4, seed=3)
    torch.testing.assert_close(k_means(TRAIN.flip(0), 4, seed=3), centres, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(partition, "_NUMBERS", 37)
    torch.testing.assert_close(k_means(TRAIN, 4, seed=3), centres, rtol=1e-12, atol=1e-12)
    assert torch.equal(TRAIN[content_order(TRAIN)], TRAIN.flip(0)[content_order(TRAIN.flip(0))])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: copying_test(GEN[:, :4], TRAIN, TEST),
            "gen has 4 features per row and train has 5",
        ),
        (
            lambda: copying_test(GEN, TRAIN, TEST[:, :4]),
            "test has 4 features per row and train has 5",
        ),
        (lambda: copying_test(GEN, TRAIN, TEST[:0]), "needs rows .* 0 test"),
        (lambda: copying_test(GEN, TRAIN, TEST, cells=0), "at least 1 cell"),
        (
            lambda: copying_test(GEN, TRAIN, torch.full_like(TEST, torch.nan)),
            "test has a value that is not finite",
        ),
        (lambda: copying_test(torch.zeros(3, 1, 4, 4), TRAIN, TEST), "describe first"),
        (
            lambda: copying_test(GEN, TRAIN[:1].repeat(9, 1), TEST, cells=2),
            "2 cells need at least 2 different training rows, there are 1",
        ),
        (
            lambda: copying_test(GEN[:20], TRAIN, TEST),
            "no cell has more than 20 of the 20 generated rows",
        ),
        (
            lambda: copying_test(GEN, torch.cat([TRAIN, TRAIN + 99]), TEST, cells=2),
            r"cell \d of 2 has no held-out rows",
        ),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
