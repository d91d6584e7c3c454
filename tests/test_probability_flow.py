"""The probability-flow distance against its closed form, its laws as a metric, the cover of its
interval, and its parts over training sets.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rates import sigmas as normal_quantile
from zoo import ZOO, covariances, normal

from denoscope.distributions import Gaussian
from denoscope.estimate import crossed
from denoscope.levels import karras
from denoscope.metrics import flow_distance
from denoscope.metrics.log_means import root_mean
from denoscope.metrics.probability_flow import bias, sample_distance, squared_distances, variance
from denoscope.sampling import euler, sample
from denoscope.theory import linear

FIRST, SECOND = (Gaussian(normal(6, seed=s), covariances(1, 6, seed=s)[0]) for s in (21, 22))
LEVELS = karras(60, 0.01, 20.0)[:-1]


def test_between_gaussians_it_is_its_closed_form() -> None:
    noise = normal(4000, 6, seed=5)
    found = flow_distance(FIRST, SECOND, noise, LEVELS)
    (m1, S1), (m2, S2) = ((D.mean.numpy(), D.cov.numpy()) for D in (FIRST, SECOND))
    wanted = linear.flow_distance(m1, S1, m2, S2, 20.0, 0.01)
    error = (found.high - found.low) / 2 / 1.96
    assert abs(found.value - wanted) < normal_quantile() * error
    assert 0.03 > error / wanted > 0.001
    maps = [linear.flow_map(m, S, 20.0, 0.01) for m, S in ((m1, S1), (m2, S2))]
    exact = (noise.numpy() @ (maps[0].matrix - maps[1].matrix).T) + maps[0].offset - maps[1].offset
    assert found.value == pytest.approx(math.sqrt(np.square(exact).sum(1).mean()), rel=1e-3)


def test_it_is_a_metric_on_the_same_noises() -> None:
    noise, levels = normal(12, 5, seed=6), karras(12, 0.05, 20.0)
    zoo = [ZOO[name] for name in ("gaussian", "mixture", "empirical")]
    far = [[flow_distance(a, b, noise, levels) for b in zoo] for a in zoo]
    assert all((far[i][i].value, far[i][i].low, far[i][i].high) == (0, 0, 0) for i in range(3))
    value = np.array([[e.value for e in row] for row in far])
    assert (value == value.T).all()
    assert (value[:, None] <= value[:, :, None] + value[None] + 1e-12).all()
    assert all(0 < far[i][j].low < far[i][j].value < far[i][j].high for i, j in ((0, 1), (1, 2)))


def test_it_takes_any_step_and_any_descriptor_and_samples_that_are_there() -> None:
    noise, levels = normal(9, 1, 2, 3, seed=7), karras(9, 0.05, 20.0)
    D, other = ZOO["gaussian of images"], ZOO["empirical of images"]
    made = [sample(m, 20.0 * noise, levels, euler) for m in (D, other)]
    found = flow_distance(D, other, noise, levels, step=euler)
    assert found == sample_distance(*(x.flatten(1) for x in made))
    assert found.value == pytest.approx(float((made[0] - made[1]).norm() / 3))
    half = flow_distance(
        D, other, noise, levels, step=euler, descriptor=lambda x: x.flatten(1)[:, :2] / 2
    )
    parts = [x.flatten(1)[:, :2] / 2 for x in made]
    assert half.value == pytest.approx(float((parts[0] - parts[1]).norm() / 3))
    units = squared_distances(*(x.flatten(1) for x in made))
    assert found == root_mean(units)
    with pytest.raises(ValueError, match="gen has 4 rows and twin has 5"):
        sample_distance(torch.zeros(4, 3), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="describe first"):
        sample_distance(*made)


@pytest.mark.parametrize("share", [1.0, 0.2])
def test_its_interval_covers(share: float) -> None:
    """2 000 sets of 100 noises: two Gaussians of 64 numbers, and models that agree on most
    noises.
    """
    rng, lam = np.random.default_rng(8), np.arange(1, 65.0) ** -1
    (m1, S1), (m2, S2) = (np.zeros(64), np.diag(lam)), (np.full(64, 0.1), np.diag(lam[::-1]))
    maps = [linear.flow_map(m, S) for m, S in ((m1, S1), (m2, S2))]
    scale, offset = np.diag(maps[0].matrix - maps[1].matrix), maps[0].offset - maps[1].offset
    truth = math.sqrt(share) * linear.flow_distance(m1, S1, m2, S2)
    squares = np.square(offset + rng.standard_normal((2000, 100, 64)) * scale).sum(2)
    squares = squares * (rng.random(squares.shape) < share)
    found = [root_mean(row) for row in squares]
    assert 0.93 <= np.mean([e.low <= truth <= e.high for e in found]) <= 0.975


def test_of_one_noise_nothing_is_known_and_of_equal_ones_everything() -> None:
    one, same = root_mean(np.array([4.0])), root_mean(np.full(5, 9.0))
    assert (one.value, one.low, one.high) == (2.0, 0.0, math.inf)
    assert (same.value, same.low, same.high) == pytest.approx((3.0, 3.0, 3.0))


def _of_sets(
    rng: np.random.Generator, sets: int, shift: float
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Samples of models ``x_S(z) = (I + B + A_S) z + a_S`` of truth ``z``, and their squared bias
    and variance.
    """
    d, k = 12, 40
    z, B = rng.standard_normal((k, d)), shift * np.diag(np.arange(d) / d)
    maps, offsets = (0.2 * rng.standard_normal((sets, *s)) for s in ((d, d), (1, d)))
    return z + z @ B + z @ maps + offsets, z, np.square(B).sum(), 0.04 * d * (d + 1)


def test_bias_and_variance_add_up_to_the_error() -> None:
    samples, truth, _, _ = _of_sets(np.random.default_rng(9), 4, 1.0)
    error = np.square(samples - truth).sum(2).mean()
    assert bias(samples, truth).mean() + variance(samples).mean() == pytest.approx(error)
    assert variance(samples).mean() == pytest.approx(samples.var(0, ddof=1).sum(1).mean())
    naive = np.square(samples.mean(0) - truth).sum(1).mean()
    assert bias(samples, truth).mean() == pytest.approx(naive - variance(samples).mean() / 4)
    assert bias(samples, truth).shape == variance(samples).shape == (4, 40)


def test_their_units_are_the_jackknife_over_sets() -> None:
    samples, truth, _, _ = _of_sets(np.random.default_rng(9), 5, 0.5)
    for part in (lambda x: bias(x, truth), variance):
        whole, less = (
            part(samples).mean(0),
            [part(np.delete(samples, i, 0)).mean(0) for i in range(5)],
        )
        np.testing.assert_allclose(part(samples), [5 * whole - 4 * one for one in less])


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_they_are_unbiased_and_their_intervals_cover(shift: float) -> None:
    rng, found, right = np.random.default_rng(9), [], []
    for _ in range(600):
        samples, truth, squared, spread = _of_sets(rng, 4, shift)
        both = crossed(bias(samples, truth)), crossed(variance(samples))
        found.append([e.value - t for e, t in zip(both, (squared, spread))])
        right.append([e.low <= t <= e.high for e, t in zip(both, (squared, spread))])
    error = np.std(found, axis=0, ddof=1) / math.sqrt(len(found))
    assert (np.abs(np.mean(found, 0)) < normal_quantile(4) * error).all()
    assert (np.mean(right, 0) >= 0.93).all()


def test_two_sets_tell_nothing_of_their_own_error() -> None:
    with pytest.raises(ValueError, match="at least 3 sets, got 2"):
        variance(np.zeros((2, 5, 3)))
