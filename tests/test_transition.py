"""Novelty by N: GLc and nearness with their draws, crossings over training subsets, ratios between
widths, and the dip of reproducibility, on sweeps whose answers are known.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from denoscope.estimate import Estimate, Resampled, crossed, mean, share
from denoscope.laws import metric as laws
from denoscope.metrics import calibrated, nearness_of
from denoscope.metrics.crossings import rises
from denoscope.metrics.model_pairs import dips, nearest_size
from denoscope.metrics.transition import (
    curves,
    interaction,
    over_subsets,
    redrawn_sides,
    scatter,
    sides,
    transitions,
)
from denoscope.readings import Quantity, Reading, Readings

NAMES = ("similarity", "nearer", "as_near", "farther", "curve", "n_star", "n_middle", "growth")
QUANTITIES = {name: Quantity(name) for name in (*NAMES, "dip")}
QUANTITIES["rp"] = Quantity("RP", interval=share)
SIZES, SAMPLES, HELD = (8, 16, 32, 64, 128, 256), 200, 99
RNG = np.random.default_rng(0)


def sweep(
    middles: dict[int, float],
    *,
    subsets: int = 2,
    apart: float = 0.0,
    seed: int = 0,
    sizes: tuple[int, ...] = SIZES,
) -> Readings:
    """Samples of which the most are copies below N = 2^middle and few above, the same noises for
    all widths; subsets lie ``apart``.
    """
    rng = np.random.default_rng(seed)
    chance, held = rng.random(SAMPLES), rng.standard_normal(HELD)
    moved = apart * rng.standard_normal(subsets)
    found = []
    for (width, middle), n, subset, run in product(middles.items(), sizes, range(subsets), (0, 1)):
        copies = 1 / (1 + math.exp(-2 * (middle + moved[subset] - math.log2(n))))
        gen = rng.standard_normal(SAMPLES) + 9 * (chance < copies)
        at = {"width": width, "n": n, "subset": subset, "seed": run}
        for images, scores in (("gen", gen), ("test", held)):
            found.append(Reading("similarity", {**at, "images": images}, scores))
    return Readings(found, QUANTITIES)


def point(found: Readings, name: str = "n_star") -> Estimate:
    return transitions(sides(found)).of(name).estimates().one


def test_beyond_what_fits_into_a_subset_its_curve_goes_on_as_the_others() -> None:
    found = sweep({32: 7.5})
    fits = [r for r in found if r.at["subset"] == 0 or r.at["n"] <= 128]
    whole, short = point(found), point(Readings(fits, QUANTITIES))
    assert 128 < short.low < short.value < short.high < 256
    assert short.value == pytest.approx(whole.value, rel=0.05)


@pytest.mark.parametrize("held", [7, 99, 261])
def test_undrawn_they_are_nearness_and_its_tails(held: int) -> None:
    gen, test = RNG.normal(0.4, 1.2, 150), RNG.normal(size=held)
    near, middle, far = redrawn_sides(gen, test, draws=3)[:, 0]
    expected = nearness_of(torch.as_tensor(-gen), torch.as_tensor(-test))
    assert (near, middle, far) == pytest.approx(
        (expected.near.value, expected.value, expected.far.value)
    )


def test_equal_similarities_count_half() -> None:
    near, middle, far = redrawn_sides(np.zeros(10), np.zeros(39), draws=1)[:, 0]
    assert (near, middle, far) == (0.5, 0.5, 0.5)


def test_draws_are_those_of_both_samples_and_hold_out() -> None:
    """The spread of nearness is DeLong's, and models are drawn together."""
    gen, test = RNG.normal(size=300), RNG.normal(size=150)
    drawn = redrawn_sides(gen, test, draws=2000)
    e = nearness_of(torch.as_tensor(-gen), torch.as_tensor(-test))
    assert np.std(drawn[1, 1:]) == pytest.approx((e.high - e.low) / 3.92, rel=0.1)
    np.testing.assert_array_equal(drawn[:, 1:3], redrawn_sides(gen, test, draws=2000)[:, 1:3])
    less = drawn[1] - redrawn_sides(gen + 0.1, test, draws=2000)[1]
    assert np.std(less[1:]) < 0.3 * np.std(drawn[1, 1:])


def test_glc_is_calibrated_whatever_the_hold_out_and_has_a_ceiling() -> None:
    laws.check_mean(
        lambda seed: float(
            (1 - redrawn_sides(*np.random.default_rng(seed).normal(size=(2, 33)), draws=1)[0, 0])
            / 0.95
        ),
        1.0,
        draws=400,
        sigmas=5,
    )
    e = calibrated(nearness_of(torch.full((50,), 9.0), torch.arange(40.0) / 40).near)
    assert e.value == e.high == pytest.approx(1 / 0.95)
    assert e.low < 1


def test_a_curve_is_the_mean_over_runs_and_its_ends_are_exact_where_nothing_copies() -> None:
    found = sweep({32: 5.0})
    made = curves(sides(found), SAMPLES).of("curve").estimates()
    by_hand = [
        calibrated(nearness_of(*(torch.as_tensor(-x) for x in (gen.value, test.value))).near).value
        for gen, test in zip(found.of(images="gen", n=32), found.of(images="test", n=32))
    ]
    assert made.of(n=32).one.value == pytest.approx(np.mean(by_hand))
    never = [Reading(r.name, r.at, r.value - 30 * (r.at["images"] == "gen")) for r in found]
    far = curves(sides(Readings(never, QUANTITIES)), SAMPLES).of("curve").estimates()
    assert all(r.value.value == pytest.approx(1 / 0.95) for r in far)
    assert all(1 < r.value.low < r.value.high for r in far)


def test_the_transition_of_a_known_curve() -> None:
    star, middle = (point(sweep({32: 5.3}, apart=0.1), name) for name in ("n_star", "n_middle"))
    assert math.log2(star.value) == pytest.approx(5.3, abs=0.3)
    assert star.low < star.value < star.high
    assert "2 training subsets" in star.method
    assert middle.value > star.value  # nearness of real images is one half already


@pytest.mark.parametrize(("middle", "value"), [(0.0, -math.inf), (20.0, math.inf)])
def test_a_transition_beyond_the_sizes_says_on_which_side(middle: float, value: float) -> None:
    e = point(sweep({32: middle}))
    assert (e.value, e.low, e.high) == (value, value, value)


def test_an_end_beyond_the_sizes_is_open() -> None:
    """Nothing is extrapolated: half of the subsets' scatter lies below the smallest size."""
    e = point(sweep({32: 3.4}, apart=0.5, seed=3))
    assert e.low == -math.inf
    assert 8 < e.value < 16
    assert e.high == math.inf or e.high <= SIZES[-1]


def test_subsets_on_both_sides_of_an_end_leave_it_open() -> None:
    one, two = sweep({32: 5.0}), sweep({32: 20.0})
    mixed = Readings([*one.of(subset=0), *two.of(subset=1)], QUANTITIES)
    e = point(mixed)
    assert (e.low, e.high) == (-math.inf, math.inf)


def test_the_ratio_is_paired_so_what_subsets_share_cancels() -> None:
    found = sweep({32: 5.0, 64: 6.0}, subsets=4, apart=0.6)
    made = transitions(sides(found))
    ratio = made.of("growth").estimates().one
    assert ratio.value == pytest.approx(2, rel=0.2)
    assert ratio.low > 1
    alone = made.of("n_star", width=32).estimates().one
    assert math.log2(ratio.high / ratio.low) < 0.5 * math.log2(alone.high / alone.low)
    assert made.of("growth").one.draws.shape == (500,)


def test_the_ratio_of_what_never_crosses_is_unknown() -> None:
    e = point(sweep({32: 20.0, 64: 20.0}), "growth")
    assert math.isnan(e.value)
    assert point(sweep({32: 5.0, 64: 20.0}), "growth").value == math.inf


def test_scatter_is_pooled_over_widths() -> None:
    table = RNG.normal(size=(3, 4))
    spread, freedom = scatter(list(table))
    assert (spread, freedom) == (pytest.approx(math.sqrt(table.var(1, ddof=1).mean())), 9)
    assert scatter([table[0], np.array([1.0, math.inf])]) == scatter([table[0]])
    assert scatter([np.array([1.0])]) == (0.0, 0)
    left, degrees = interaction(table + 5 * RNG.normal(size=4) + 7 * RNG.normal(size=(3, 1)))
    assert degrees == 6
    assert left == pytest.approx(interaction(table)[0])


def test_subsets_alone_are_a_mean_by_t() -> None:
    """Without any scatter of draws the interval is Student's, at any level."""
    units = RNG.normal(size=5)
    made = over_subsets(np.repeat(units[:, None], 4001, 1), float(units.std(ddof=1)), 4)
    for level in (0.8, 0.95):
        e, t = made(level), mean(units, level)
        assert (e.value, e.low, e.high) == pytest.approx((t.value, t.low, t.high), rel=0.02)
    assert "not included" in over_subsets(units[None], 0.0, 0).method


def test_intervals_cover_the_transition_of_other_subsets() -> None:
    """Few subsets: a bootstrap over them would end at their range."""
    sizes, middles = (8, 32, 128), {32: 4.6, 64: 5.0, 128: 5.4}

    def drawn(seed: int) -> Readings:
        return transitions(sides(sweep(middles, apart=0.3, seed=seed, sizes=sizes), draws=200))

    glc = [1 / (1 + math.exp(2 * (4.6 - math.log2(n)))) for n in sizes]
    truth = 2 ** float(rises(sizes, np.array(glc)))
    found = [drawn(seed).estimates() for seed in range(60)]
    laws.check_coverage(
        lambda seed: found[seed].of("n_star", width=32).one, truth, draws=60, least=0.85
    )
    laws.check_coverage(
        lambda seed: found[seed].of("growth", width=(32, 64)).one, 2**0.4, draws=60, least=0.85
    )


def rates(same: dict[int, float], star: float, *, pairs: int = 4, noises: int = 300) -> Readings:
    """Pairs of seeds that agree at such rates, the same noises hard at every size, and N*."""
    rng = np.random.default_rng(5)
    hard = rng.uniform(size=noises)
    found = [
        Reading(
            "rp",
            {"n": n, "width": 32, "subset": i, "seed": (0, 1), "pair": "seeds"},
            (0.8 * hard + 0.2 * rng.uniform(size=noises)) < rate,
        )
        for n, rate in same.items()
        for i in range(pairs)
    ]
    one = Resampled(star, np.full(9, star), 4)
    return Readings([*found, Reading("n_star", {"width": 32}, one)], QUANTITIES)


def test_a_dip_is_a_u_and_a_slope_is_not() -> None:
    dip = rates({8: 0.8, 32: 0.4, 128: 0.9}, 40.0)
    ends = dips(dip).estimates()
    assert [r.at["n"] for r in ends] == [8, 128]
    assert all(r.value.high < 0 for r in ends)
    tables = (np.stack([r.value for r in dip.of("rp", n=n)]).astype(float) for n in (32, 8))
    assert ends[0].value == crossed(np.subtract(*tables))
    slope = dips(rates({8: 0.2, 32: 0.5, 128: 0.9}, 40.0)).estimates()
    assert slope[0].value.low > 0 > slope[1].value.high


@pytest.mark.parametrize("star", [math.inf, -math.inf, 9.0, 120.0])
def test_no_dip_is_sought_at_or_beyond_the_ends(star: float) -> None:
    assert not dips(rates({8: 0.8, 32: 0.4, 128: 0.9}, star))


def test_the_nearest_size_is_nearest_by_ratio() -> None:
    assert [nearest_size((16, 64), at) for at in (31.0, 33.0)] == [16, 64]
