"""Collapse: curves that cross at a known power of d, their ranges and what chance makes of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from denoscope.estimate import Resampled
from denoscope.metrics.collapse import over_dimensions, range_by_chance
from denoscope.metrics.crossings import apart

DIMS = (3, 4, 6, 9)


def curves(
    shift: float,
    noise: float = 0.0,
    runs: int = 3,
    dims: tuple[int, ...] = DIMS,
    at: float = 16.0,
    error: float = 0.0,
) -> dict[int, Resampled]:
    """Where GL, a logistic of log2 N that is one half at ``at`` d^shift, crosses one half."""
    rng, sizes, made = np.random.default_rng(1), (2, 4, 8, 16, 32, 64, 128, 256, 512), {}
    for d in dims:
        logits = [
            (math.log2(size) - math.log2(at) - shift * math.log2(d)) * math.log(3) for size in sizes
        ]
        units = [
            np.stack(
                [v := 1 / (1 + np.exp(-x)) + noise * rng.standard_normal(runs), 0 * v + error], 1
            )
            for x in logits
        ]
        made[d] = apart(sizes, units, seed=d, own=d).rise()
    return made


@pytest.mark.parametrize("shift", [0.0, 1.0, 1.5])
def test_what_decides_is_known(shift: float) -> None:
    found = {name: made().value for name, made in over_dimensions(curves(shift)).items()}
    octaves = math.log2(9 / 3)
    assert found["power"] == pytest.approx(shift, abs=0.05)
    assert found["range_n"] == pytest.approx(shift * octaves, abs=0.05)
    assert found["range_ratio"] == pytest.approx(abs(shift - 1) * octaves, abs=0.05)
    assert found["narrowing"] == pytest.approx((abs(shift - 1) - shift) * octaves, abs=0.1)
    middle = math.exp(np.mean(np.log(DIMS)))
    assert found["ratio"] == pytest.approx(16 * middle ** (shift - 1), rel=0.05)


def test_intervals_hold_the_truth_and_widen_with_the_spread_of_runs() -> None:
    points = [curves(1.0, noise, runs=8) for noise in (0.01, 0.08)]
    narrow, wide = ({name: made() for name, made in over_dimensions(p).items()} for p in points)
    for found in (narrow, wide):
        assert found["power"].low < 1 < found["power"].high
        assert found["ratio"].low < 16 < found["ratio"].high
        assert found["narrowing"].high < 0
    widths = [found["power"].high - found["power"].low for found in (narrow, wide)]
    assert widths[1] > 3 * widths[0]
    chance = [range_by_chance(p) for p in points]
    assert chance[1] > 3 * chance[0] > 0
    assert narrow["range_ratio"].value < 6 * chance[0]


def test_the_sampling_error_of_single_runs_makes_an_interval() -> None:
    sharp, blurred = (
        over_dimensions(curves(1.0, runs=1, error=error))["ratio"]() for error in (0.0, 0.05)
    )
    assert sharp.high - sharp.low < 1e-9
    assert blurred.high - blurred.low > 0.5


def test_a_height_beyond_the_sizes_makes_nothing_available() -> None:
    beyond = {3: curves(1.0, dims=(3,))[3], 4: curves(1.0, dims=(4,), at=4000.0)[4]}
    assert beyond[4].value == math.inf
    assert all(math.isnan(made().value) for made in over_dimensions(beyond).values())
    assert math.isnan(range_by_chance(beyond))
    assert set(over_dimensions(curves(1.0, dims=(4,)))) == {"ratio"}
