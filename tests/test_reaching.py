"""After how much longer one training reaches what another ends with: known curves."""

from __future__ import annotations

import numpy as np
import pytest

from denoscope.metrics.reaching import least_at, scaled, steps_ratio

STEPS = np.unique(np.geomspace(20, 4000, 14).round().astype(int))


def curves(speed: float, seed: int, noise: float = 0.0) -> np.ndarray:
    """Losses that fall like 1/step, ``speed`` times as fast, three runs."""
    rng = np.random.default_rng(seed)
    return 1 + (100 / (speed * STEPS[:, None])) * np.exp(noise * rng.standard_normal((1, 3)))


@pytest.mark.parametrize("speed", [1.0, 1.5, 2.0])
def test_a_training_that_is_as_much_faster_takes_as_many_fewer_steps(speed: float) -> None:
    steps = STEPS.tolist()
    found = steps_ratio(steps, curves(speed, 0, 0.01), steps, curves(1.0, 1, 0.01))
    ratio, twice = found.map(np.exp2)(), scaled(found, np.full(3, 2.0)).map(np.exp2)()
    assert ratio.value == pytest.approx(1 / speed, rel=0.1)
    assert ratio.low < 1 / speed + 0.1
    assert ratio.high > 1 / speed - 0.1
    for end in ("low", "value", "high"):
        assert getattr(twice, end) == pytest.approx(2 * getattr(ratio, end), rel=1e-6)


def test_an_end_that_is_not_reached_is_infinitely_far() -> None:
    steps = STEPS.tolist()
    found = steps_ratio(steps, curves(0.1, 0), steps, curves(1.0, 1)).map(np.exp2)()
    assert found.value == np.inf
    assert found.low > 1


def test_costs_that_differ_by_run_widen_the_interval() -> None:
    steps = STEPS.tolist()
    ratio = steps_ratio(steps, curves(1.5, 0, 0.01), steps, curves(1.0, 1, 0.01))
    same, other = (
        scaled(ratio, np.array(costs)).map(np.exp2)()
        for costs in ([2.0, 2.0, 2.0], [1.0, 2.0, 4.0])
    )
    assert other.high - other.low > 2 * (same.high - same.low)


def test_the_least_loss_until_a_step() -> None:
    losses = np.array([[4.0, 4.0], [2.0, 3.0], [3.0, 1.0]])
    np.testing.assert_allclose(least_at([1, 4, 16], losses, 2.0), [3.0, 3.5])
    np.testing.assert_allclose(least_at([1, 4, 16], losses, 99.0), [2.0, 1.0])
