"""A recorded descent is its closed form, tends to gradient flow, and is what plain numpy does."""

from __future__ import annotations

import numpy as np
import pytest

from denoscope.data.population import Population, TrainingSet
from denoscope.networks.linear_maps import (
    Course,
    expected_descent,
    expected_flow,
    falling_schedule,
    largest_rate,
    recorded_descent,
    recorded_steps,
)
from denoscope.theory.spectra import power_law

ABARS = np.array([0.97, 0.8, 0.4])


def _set(d: int, n: int, seed: int, k: float = 1) -> TrainingSet:
    return TrainingSet.draw(Population("power", power_law(d, k)), n, seed)


def _descent(
    item: TrainingSet, abars: np.ndarray, share: float, steps: int
) -> tuple[Course, float]:
    rate = share * float(largest_rate(item.train.cov, falling_schedule(abars)).min())
    modes = (item.modes.lam, item.modes.vectors)
    return recorded_descent(item.train, item.test, modes, abars, rate, steps), rate


@pytest.mark.parametrize(("d", "n", "k"), [(10, 5, 0.0), (14, 9, 1.5), (8, 40, 2.0)])
def test_descent_is_its_closed_form_and_tends_to_the_flow(d: int, n: int, k: float) -> None:
    item, at, far = _set(d, n, 3, k), recorded_steps(60), []
    for share in (0.4, 0.1):
        measured, rate = _descent(item, ABARS, share, 60)
        lam, other = item.modes.lam, item.other
        assert measured.difference(expected_descent(lam, other, ABARS, rate, at)) < 1e-10
        far.append(measured.difference(expected_flow(lam, other, ABARS, 2 * rate * at)))
    assert 0 < far[1] < 0.5 * far[0]


def test_descent_agrees_with_a_loop_in_numpy() -> None:
    """Independent of the package's networks and theory: plain descent on ``d - 2 sqrt(1-y) Tr W +
    Tr W C W^T``.
    """
    item, y = _set(6, 4, 1), 0.8
    measured, rate = _descent(item, np.array([y]), 0.3, 20)
    C, test = (y * part.cov + (1 - y) * np.eye(6) for part in (item.train, item.test))
    shift = item.test.mean - item.train.mean
    W, records = np.zeros((6, 6)), []
    for _ in range(20):
        W -= 2 * rate * (W @ C - np.sqrt(1 - y) * np.eye(6))
        on = np.trace(W @ (test + y * np.outer(shift, shift)) @ W.T)
        records.append(6 - 2 * np.sqrt(1 - y) * np.trace(W) + on)
    at = recorded_steps(20) - 1
    assert np.allclose(measured.test[:, 0], np.array(records)[at], rtol=1e-12)
    best = np.sqrt(1 - y) * np.linalg.inv(C)
    e = item.modes.vectors[:, 0]
    assert measured.weights[-1, 0, 0] == pytest.approx(e @ W @ e / (e @ best @ e), rel=1e-12)


def test_recorded_steps_begin_at_one_and_end_at_the_last() -> None:
    for steps in (1, 2, 7, 500):
        at = recorded_steps(steps)
        assert at[0] == 1
        assert at[-1] == steps
        assert (np.diff(at) > 0).all()
