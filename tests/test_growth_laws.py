"""Laws of growth on known growth."""

from __future__ import annotations

import numpy as np
import pytest

from denoscope.estimate import Resampled
from denoscope.metrics.growth_laws import Law, fitted, laws_of

DIMENSIONS = np.array([1.0, 2.0, 4.0, 8.0])
GROWTH: dict[Law, tuple[float, np.ndarray]] = {
    "linear": (3.0, 5 + 3 * DIMENSIONS),
    "exponential": (np.log(3), 10 * 3**DIMENSIONS),
    "power": (2.0, 7 * DIMENSIONS**2),
}


@pytest.mark.parametrize("law", GROWTH)
def test_laws_of_growth_are_told_apart(law: Law) -> None:
    slope, counts = GROWTH[law]
    found = {kind: fitted(kind, DIMENSIONS, counts) for kind in GROWTH}
    assert found[law][0] == pytest.approx(slope, rel=1e-6)
    assert found[law][1] < 1e-6
    assert min(found, key=lambda kind: found[kind][1]) == law


def _points(counts: np.ndarray, noise: float) -> list[Resampled]:
    rng = np.random.default_rng(0)
    return [Resampled(n, n * np.exp(noise * rng.standard_normal(200)), 4) for n in counts]


def test_the_verdict_has_the_sign_of_the_law_and_no_sign_between() -> None:
    steep = laws_of(DIMENSIONS.tolist(), _points(GROWTH["exponential"][1], 0.02))
    assert steep["verdict"]().high < 0
    assert steep["factor"]().low < 3 < steep["factor"]().high
    straight = laws_of(DIMENSIONS.tolist(), _points(GROWTH["linear"][1], 0.02))
    assert straight["verdict"]().low > 0
    assert straight["straight"]().low < 3 < straight["straight"]().high
    between = laws_of(DIMENSIONS.tolist(), _points(np.array([10.0, 12.0, 19.0, 34.0]), 0.2))
    assert between["verdict"]().low < 0 < between["verdict"]().high


def test_points_beyond_reach_are_left_out() -> None:
    counts = np.array([10.0, 30.0, 90.0, np.inf])
    assert fitted("exponential", np.arange(1.0, 5.0), counts)[0] == pytest.approx(np.log(3))
    assert np.isnan(fitted("linear", np.arange(2.0), np.array([1.0, np.inf]))[0])
