"""Readings: verbs equal numpy, names are checked, and what is stored is what is collected."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from denoscope.estimate import Estimate, crossed, exact, mean, paired, share
from denoscope.readings import (
    Quantity,
    Reading,
    Readings,
    collected,
    estimated,
    expanded,
    stacked,
    stored,
)
from denoscope.store import Row, Store

QUANTITIES = {
    "error": Quantity("error"),
    "gap": Quantity("gap"),
    "copies": Quantity("copies", interval=share),
    "rank": Quantity("rank", interval=exact),
    "crossing": Quantity("crossing"),
}
RNG = np.random.default_rng(0)
UNITS = RNG.normal(size=(2, 3, 2, 20))
"""(who, n, seed, units)."""
SIZES, WHO, SEEDS = (8, 32, 128), ("network", "gaussian"), (0, 1)


def table() -> Readings:
    return Readings(
        [
            Reading("error", {"who": who, "n": n, "seed": seed}, UNITS[i, j, k])
            for i, who in enumerate(WHO)
            for j, n in enumerate(SIZES)
            for k, seed in enumerate(SEEDS)
        ],
        QUANTITIES,
    )


def values(readings: Readings) -> np.ndarray:
    return np.stack([r.value for r in readings])


def test_verbs_equal_numpy() -> None:
    found = table()
    np.testing.assert_array_equal(
        values(found.of(who="network", n=[8, 128])), UNITS[0, [0, 2]].reshape(4, 20)
    )
    np.testing.assert_array_equal(values(found.over("seed")), UNITS.mean(2).reshape(6, 20))
    np.testing.assert_array_equal(values(found.joined("seed")), UNITS.reshape(6, 40))
    np.testing.assert_allclose(values(found.runs("seed")), UNITS.mean(-1).reshape(6, 2))
    network, gaussian = found.of(who="network"), found.of(who="gaussian")
    less = network.against(gaussian, name="gap", apart="who")
    np.testing.assert_array_equal(values(less), (UNITS[0] - UNITS[1]).reshape(6, 20))
    assert [r.at for r in less] == [r.at for r in network]
    assert {r.name for r in less} == {"gap"}
    change = network.over("seed").change("n", "gap")
    np.testing.assert_allclose(change.one, UNITS[0, 2].mean(0) - UNITS[0, 0].mean(0))


def test_readings_at_unlike_places_meet_where_both_are() -> None:
    """A given network has no N: it meets its own, and trained ones theirs."""
    given = [
        Reading("error", {"model": "net", "who": who}, np.arange(3.0) + i)
        for i, who in enumerate(WHO)
    ]
    every = table().of(seed=0).dropped("seed") + given
    less = every.of(who="network").against(every.of(who="gaussian"), name="gap", apart="who")
    assert [r.at.get("n", r.at.get("model")) for r in less] == [*SIZES, "net"]
    np.testing.assert_array_equal(less.of(model="net").one, [-1.0] * 3)
    assert every.thinned("n", 1).along("n") == [8]
    assert every.thinned("n", 1).along("model") == ["net"]


def test_intervals_are_those_of_the_kind() -> None:
    network = table().of(who="network", n=8, seed=0)
    for level in (0.5, 0.95, 0.999):
        assert network.estimates(level).one == mean(UNITS[0, 0, 0], level)
    coins = Readings([Reading("copies", {}, np.array([1, 0, 1, 1]))], QUANTITIES)
    assert coins.estimates().one == share([1, 0, 1, 1])
    ranks = Readings([Reading("rank", {}, np.array([7, 9]))], QUANTITIES)
    with pytest.raises(ValueError, match="an exact value is one number, got 2"):
        ranks.estimates()


def test_unpaired_and_crossed_estimates_are_made_at_any_level() -> None:
    network = table().of(who="network", n=8)
    both = network.crossed("seed")
    assert both.estimates(0.9).one == crossed(UNITS[0, 0], 0.9)
    one, two = network.of(seed=0), network.of(seed=1)
    ratio = one.against(two, estimated(paired), "gap", apart="seed")
    assert ratio.estimates(0.8).one == paired(UNITS[0, 0, 0], UNITS[0, 0, 1], 0.8)


def test_across_makes_one_of_many_and_pairs_keep_both_ends() -> None:
    def steepest(sizes: list[int], units: list[np.ndarray], level: float) -> Estimate:
        return mean(np.polyfit(np.log(sizes), np.stack(units), 1)[0], level)

    slopes = table().over("seed").across("n", steepest, "crossing")
    assert [r.at for r in slopes] == [{"who": who} for who in WHO]
    expected = np.polyfit(np.log(SIZES), UNITS[0].mean(1), 1)[0]
    assert slopes.estimates().of(who="network").one == mean(expected)
    pairs = table().pairs(lambda a, b: a["error"] * b["error"], "seed", "gap", "error")
    assert [r.at["seed"] for r in pairs] == [(0, 1)] * 6
    np.testing.assert_array_equal(values(pairs), UNITS.prod(2).reshape(6, 20))


def test_pairs_differ_in_one_coordinate_whatever_the_free_ones_are() -> None:
    """Two values of N, of whatever seeds: every product of these, the pairs of both kept."""
    found = (
        table()
        .of(who="network")
        .pairs(lambda a, b: a["error"] * b["error"], "n", "gap", "error", free=("seed",))
    )
    ends = [(one, two) for i, one in enumerate(SIZES) for two in SIZES[i + 1 :]]
    expected = {(n, (a, b)) for n in ends for a in SEEDS for b in SEEDS}
    assert {(r.at["n"], r.at["seed"]) for r in found} == expected
    assert len(found) == len(expected)
    for r in found:
        (i, j), (a, b) = (SIZES.index(n) for n in r.at["n"]), r.at["seed"]
        np.testing.assert_array_equal(r.value, UNITS[0, i, a] * UNITS[0, j, b])


def test_crossed_over_several_coordinates_and_shares_stay_inside() -> None:
    """Both coordinates together are the runs; the interval of a share ends at 0 and 1."""
    both = table().of(who="network").crossed("n", "seed").estimates().one
    assert both == crossed(UNITS[0].reshape(6, 20))
    nearly = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    assert crossed(nearly).high > 1
    copies = [Reading("copies", {"seed": i}, row) for i, row in enumerate(nearly)]
    e = Readings(copies, QUANTITIES).crossed("seed").estimates().one
    assert (e.value, e.low, e.high) == (0.875, max(0.0, crossed(nearly).low), 1.0)


def test_ends_are_those_of_each_place_and_of_all_runs_there() -> None:
    """Seeds are a sample: one that ends earlier has no end of its own; another law has one."""
    at = [("network", 0, SIZES), ("network", 1, SIZES[:2]), ("gaussian", 0, SIZES[:2])]
    found = Readings(
        [
            Reading("error", {"who": who, "seed": seed, "n": n}, np.full(3, float(n)))
            for who, seed, sizes in at
            for n in sizes
        ],
        QUANTITIES,
    )
    ends = [(r.at["who"], r.at["seed"], r.at["n"]) for r in found.last("n")]
    assert ends == [("network", 0, 128), ("gaussian", 0, 32)]
    assert len(found.first("n")) == 3
    assert [r.value.mean() for r in found.change("n", "gap")] == [120, 24]
    assert not found.of(n=8).last("n")


def test_the_largest_is_chosen_on_other_units_than_it_is_read_on() -> None:
    """Of many quantities that are all 0 the largest reads 0: no selection effect."""
    rng = np.random.default_rng(1)
    read = []
    for _ in range(400):
        some = [Reading("error", {"sigma": s}, rng.normal(size=16)) for s in range(30)]
        read.append(Readings(some, QUANTITIES).largest("sigma").one.mean())
    assert abs(np.mean(read)) < 4 * np.std(read) / math.sqrt(len(read))
    naive = rng.normal(size=(400, 30, 16)).mean(-1).max(1).mean()
    assert naive > 0.4


def test_a_field_takes_the_name_of_the_house() -> None:
    read = Readings([Reading("error", {"clusters": 3, "n": 8}, [1.0])], QUANTITIES)
    assert read.moved({"clusters": "k"})[0].at == {"k": 3, "n": 8}


def test_the_least_of_every_unit_is_chosen_by_the_other_half() -> None:
    """Each unit is read where the units of other parity are lowest: of many that are all 0 the
    least is 0, and nothing rises from it by chance.
    """
    rng = np.random.default_rng(1)
    course = np.array([[3.0, 1.0], [0.0, 2.0], [1.0, 0.0]])

    def least(values: np.ndarray) -> np.ndarray:
        some = [Reading("error", {"sigma": float(s)}, v) for s, v in enumerate(values)]
        return Readings(some, QUANTITIES).least("sigma").one

    assert least(course).tolist() == [1.0, 2.0]
    assert least(course[:, :1]).tolist() == [0.0]
    rises = [
        [mean(values[end] - least(values)).low > 0 for end in (0, -1)]
        for values in rng.normal(size=(200, 13, 16))
    ]
    assert np.mean(np.all(rises, 1)) < 0.03
    u = np.linspace(-1, 1, 13)[:, None] ** 2 + 0.1 * rng.normal(size=(13, 16))
    assert all(mean(u[end] - least(u)).low > 0 for end in (0, -1))


def test_what_else_is_read_at_a_chosen_place() -> None:
    chosen = Readings([Reading("gap", {"n": 32, "who": "network"}, [1.0])], QUANTITIES)
    assert [r.at for r in table().meeting(chosen)] == [
        {"who": "network", "n": 32, "seed": seed} for seed in SEEDS
    ]
    assert not table().meeting(Readings([], QUANTITIES))


def test_order_is_that_of_the_declaration_or_of_numbers() -> None:
    found = Readings(reversed(table()), QUANTITIES)
    assert found.along("who") == list(WHO)
    assert found.along("n") == list(SIZES)
    assert [who for who, _ in found.by("who")] == list(WHO)
    assert [r.at["n"] for r in found.first("n")] == [8] * 4
    assert not found.of(n=8).last("n")
    assert found.thinned("n", 2).along("n") == [8, 128]
    assert found.thinned("n", 6).along("n") == list(SIZES)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda r: r.of("eror"), "no quantity 'eror': did you mean 'error'"),
        (lambda r: r.of(whoo="network"), "no coordinate 'whoo': did you mean 'who'"),
        (lambda r: r.of(who="gausian"), "who has no value 'gausian': did you mean 'gaussian'"),
        (lambda r: r.named("gpa"), "no quantity 'gpa': did you mean 'gap'"),
        (lambda r: r.named(who="me"), "who has no value 'me'"),
        (lambda r: r.over("sed"), "no coordinate 'sed': did you mean 'seed'"),
        (lambda r: r.by("sed") and list(r.by("sed")), "no coordinate 'sed'"),
        (lambda r: r.of(n=8).against(r.of(n=32)), "never meet: n is .8. in the one and .32."),
        (lambda r: r.against(r.dropped("seed")), "2 readings at"),
        (lambda r: r.one, "12 readings where one is wanted"),
        (lambda r: r.of(seed=0).map(lambda v: v[:3]).against(r), "paired units need equal shapes"),
        (
            lambda r: list(Readings([Reading("x", {}, [1.0])], QUANTITIES).estimates()),
            "no quantity 'x'",
        ),
    ],
)
def test_silence_is_a_defect(act, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        act(table())


def test_what_a_sweep_lacks_is_left_out() -> None:
    few = table().of(n=8)
    assert not few.change("n")
    assert not few.of(who="memorizer").against(few)
    assert not few.across("n", lambda v, u, level: mean(u[0]), "crossing")
    assert not few.largest("sigma").of("gap")


NAMES = st.text(min_size=1, max_size=12)
DTYPES = ("float16", "float32", "float64", "int64", "int32", "uint8", "bool")


@given(NAMES, NAMES, st.sampled_from(DTYPES), st.integers(1, 3), st.integers(1, 4))
def test_stored_then_collected_is_the_identity(
    name: str, model: str, dtype: str, sizes: int, units: int
) -> None:
    sigma = np.geomspace(0.1, 10.0, sizes)
    value = (np.arange(sizes * units).reshape(sizes, units) % 2).astype(dtype)
    made = Estimate(0.5, 0.25, 1.0, 12, 0.95, "by, hand")
    readings = [
        Reading(name, {"sigma": sigma, "model": model}, value),
        Reading(name, {"model": f"{model}, other"}, made),
    ]

    class Kept(Row):
        def arrays(self) -> dict[str, np.ndarray]:
            return stored(readings)

    row = Kept("k", "s", 1, {"seed": 3}, {})
    found = collected([row], {name: Quantity("any")}, "seed")
    alone = expanded(readings, {name: Quantity("any")})
    assert [{**r.at, "seed": 3} for r in alone] == [r.at for r in found]
    assert [r.at["sigma"] for r in found if "sigma" in r.at] == sigma.tolist()
    for i, r in enumerate(r for r in found if "sigma" in r.at):
        assert r.at["model"] == model
        assert r.at["seed"] == 3
        assert r.value.dtype == value.dtype
        np.testing.assert_array_equal(r.value, value[i])
    assert found[-1].value == made


def test_a_store_keeps_readings(tmp_path: Path) -> None:
    rows = [
        Row(f"key{i}", "study", 1, {"n": n}, {"rank": 3 + i, "error": 9.0, "stopped": ""})
        for i, n in enumerate(SIZES)
    ]
    store = Store(tmp_path)
    for i, row in enumerate(rows):
        arrays = stored(
            stacked(
                sigma=np.array([0.5, 2.0]),
                at=lambda s, i=i: [Reading("error", {}, s * UNITS[0, i, 0])],
            )
        )
        store.put(row, arrays)
    found = collected(store.rows(), QUANTITIES, "n")
    np.testing.assert_array_equal(
        values(found.of("error", sigma=2.0)), np.float32(2.0 * UNITS[0, :, 0])
    )
    assert [r.value.value for r in found.of("rank")] == [3, 4, 5]
    assert len(found.of("error")) == 6  # the summary of a reading is no reading


def test_axes_of_one_name_may_differ() -> None:
    readings = [
        Reading(name, {"sigma": sigma}, np.outer(sigma, np.arange(3)))
        for name, sigma in (("error", np.array([1.0, 2.0])), ("gap", np.array([3.0, 4.0, 5.0])))
    ]
    found = expanded(readings, QUANTITIES)
    assert [r.at["sigma"] for r in found] == [1, 2, 3, 4, 5]
    assert [r.value.tolist() for r in found] == [[0, s, 2 * s] for s in (1, 2, 3, 4, 5)]


def test_a_cell_says_nothing_twice() -> None:
    same = [Reading("error", {"n": 8}, np.ones(3))] * 2
    with pytest.raises(ValueError, match="two readings of error"):
        stored(same)
    with pytest.raises(ValueError, match=r"error of shape \(2, 3\) has axes of \(4,\) values"):
        stored([Reading("error", {"sigma": np.ones(4)}, np.ones((2, 3)))])
    with pytest.raises(ValueError, match="no coordinate 'sgima'"):
        stored([Reading("error", {"sgima": 1.0}, np.ones(2))])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([0.5, 0.95, 0.999]))
def test_a_share_stays_within_its_ends(units: list[float], level: float) -> None:
    e = share(units, level)
    assert 0 <= e.low <= e.value + 1e-12
    assert e.value - 1e-12 <= e.high <= 1
    assert share(units, 0.99999).high >= e.high


def test_crossed_units_cover() -> None:
    """Runs and images both drawn: nominal 95 %, the interval of one sample alone far below."""
    rng = np.random.default_rng(0)
    hits = naive = 0
    for _ in range(400):
        runs, images = rng.normal(size=(6, 1)), rng.normal(size=(1, 40))
        table = runs + images + rng.normal(size=(6, 40))
        e, one = crossed(table), mean(table.mean(0))
        hits += e.low <= 0 <= e.high
        naive += one.low <= 0 <= one.high
    assert hits >= 370
    assert naive < 300
