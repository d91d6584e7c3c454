"""When to stop, against brute force, many draws and the published setting; when modes emerge."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from denoscope.data.population import Population, TrainingSet
from denoscope.theory.linear.emergence import (
    UNSEEN_C,
    emergence_exponent,
    noise_emergence_times,
    stopped_law,
)
from denoscope.theory.linear.learning import emergence_times
from denoscope.theory.linear.minima import recorded_minimum
from denoscope.theory.linear.stopping import compare_stopping, expect_stopping
from denoscope.theory.spectra import power_law

LEVELS = 1 - np.array([0.5, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4])


def _sets(d: int, n: int, count: int) -> list[TrainingSet]:
    law = Population("power1", power_law(d, 1))
    return [TrainingSet.draw(law, n, seed) for seed in range(count)]


def test_the_least_record_is_found_between_records() -> None:
    x = np.geomspace(0.1, 10, 30)
    assert recorded_minimum(x, (np.log(x) - 0.3) ** 2 + 1) == pytest.approx(np.exp(0.3), rel=1e-9)
    assert np.isnan(recorded_minimum(x, x))
    assert np.isnan(recorded_minimum(x, -x))


def test_stopping_beats_every_other_time_and_one_time_costs_little() -> None:
    item = _sets(40, 15, 3)[2]
    found = compare_stopping(item.modes, LEVELS)
    y, lam, other = LEVELS[:, None], item.modes.lam, item.other

    def loss(k: float) -> np.ndarray:
        rate = y * lam + 1 - y
        w = np.sqrt(1 - y) * -np.expm1(-k * rate) / rate
        return (1 - 2 * np.sqrt(1 - y) * w + w**2 * (y * other + 1 - y)).sum(1)

    times = np.geomspace(0.01, 100, 3000)
    brute = np.array([loss(k) for k in times])
    assert np.allclose(found.k, times[brute.argmin(0)], rtol=5e-3)
    assert np.allclose(found.stopped, brute.min(0), rtol=1e-5)
    assert float(found.shared_k) == pytest.approx(times[np.log(brute).mean(1).argmin()], rel=0.01)
    assert (found.shared >= found.stopped - 1e-9).all()
    assert (found.shared / found.stopped - 1).max() < 0.01
    assert (found.unstopped > found.ridged).all()


def test_expectations_are_those_of_many_draws() -> None:
    sets = _sets(60, 24, 24)
    found = [compare_stopping(item.modes, LEVELS) for item in sets]
    lams = [item.modes.lam for item in sets]
    theory = expect_stopping(power_law(60, 1), 24, LEVELS, lams)
    for name in ("k", "ridge", "stopped", "ridged", "unstopped"):
        measured = np.mean([getattr(item, name) for item in found], 0)
        assert np.allclose(measured, getattr(theory, name), rtol=0.05), name


def test_the_published_setting_is_reproduced() -> None:
    """Merger and Goldt 2025: with lambda ~ 1/nu, d = 100 and N = 40, best k and 1/ridge are near
    one over the unseen variance at every level.
    """
    sets, low = _sets(100, 40, 8), LEVELS > 0.95
    found = [compare_stopping(item.modes, LEVELS) for item in sets]
    k, unseen = np.array([item.k for item in found]), np.mean([s.unseen_variance for s in sets])
    assert (k.max(1) / k.min(1)).max() < 1.25
    assert np.allclose(k.mean(0)[low] * unseen, 1, atol=0.1)
    ridge = np.mean([item.ridge for item in found], 0)
    assert np.allclose(ridge[low] / unseen, 1, atol=0.1)
    assert all((item.stopped <= item.ridged).all() for item in found)


def test_emergence_times_pass_their_levels() -> None:
    lam, grid = np.array([3.0, 0.3, 0.03]), np.geomspace(1e-2, 1e5, 71)
    for value, k in zip(lam, noise_emergence_times(lam, grid)):
        untrained, trained, now = stopped_law("ode", [value], [0.0, np.inf, k])[:, 0]
        assert now == pytest.approx(2 / (1 / untrained + 1 / trained), rel=0.02)
    denoising = emergence_times(lam, 0.002, 80.0)
    assert emergence_exponent(lam, denoising) == pytest.approx(-1, abs=0.03)
    small = np.array([1e-3, 1e-4])
    exponent = emergence_exponent(small, noise_emergence_times(small, grid))
    assert exponent == pytest.approx(-1, abs=0.02)
    assert np.isnan(noise_emergence_times([1e-9], grid)).all()  # later than the last time
    assert emergence_exponent(lam, np.full(3, 2.0)) == pytest.approx(0, abs=1e-12)
    assert np.isnan(emergence_exponent(lam, [1.0, np.nan, np.nan]))


def test_unseen_directions_have_their_constants() -> None:
    for sampler, constant in UNSEEN_C.items():
        times = np.array([20.0, 50.0])
        law = stopped_law(sampler, [0.0], times)
        assert law[:, 0] * times == pytest.approx([constant] * 2, rel=0.1)
        alone = stopped_law(sampler, [0.0, 2.0], 50.0)
        assert alone[0] == pytest.approx(law[1, 0], rel=1e-12)
    assert UNSEEN_C["ode"] == pytest.approx(np.exp(-np.euler_gamma), abs=1e-6)
    ein = lambda x: quad(lambda t: -np.expm1(-t) / t, 0, x)[0]  # noqa: E731
    tail = np.exp(-2 * np.euler_gamma) / 50  # where Ein(x) = ln x + gamma_E
    whole = quad(lambda x: np.exp(-2 * ein(x)), 0, 50, limit=200)[0] + tail
    assert UNSEEN_C["ddpm"] == pytest.approx(whole, abs=1e-6)
