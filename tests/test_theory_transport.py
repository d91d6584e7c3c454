"""The flow of a Gaussian against the equation that it solves, integrated; distances of flows
against optimal transport and against limits.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import sqrtm

from denoscope.theory.linear import flow_distance, flow_map

RNG = np.random.default_rng(3)
D = 4
MEANS = RNG.standard_normal((3, D))
ROOTS = RNG.standard_normal((3, D, D)) / 2
COVS = ROOTS @ ROOTS.transpose(0, 2, 1)
COVS[2] = np.diag([0.0, 0.5, 0.5, 2.0])  # singular, with a repeated variance


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize(("high", "low"), [(20.0, 0.01), (3.0, 0.5)])
def test_the_map_is_the_flow_integrated(which: int, high: float, low: float) -> None:
    """d x/d sigma = -sigma score, the score by solving with the covariance of the noised law."""
    mean, cov, z = MEANS[which], COVS[which], RNG.standard_normal(D)

    def slope(sigma: float, x: np.ndarray) -> np.ndarray:
        return sigma * np.linalg.solve(cov + sigma**2 * np.eye(D), x - mean)

    wanted = solve_ivp(slope, (high, low), high * z, rtol=1e-10, atol=1e-12).y[:, -1]
    found = flow_map(mean, cov, high, low)
    np.testing.assert_allclose(found.offset + found.matrix @ z, wanted, rtol=1e-7, atol=1e-8)


def test_from_far_away_it_is_the_mean_and_the_root_of_the_covariance() -> None:
    for mean, cov in zip(MEANS, COVS):
        limit, near = flow_map(mean, cov), flow_map(mean, cov, 1e6)
        np.testing.assert_allclose(limit.offset, mean)
        np.testing.assert_allclose(limit.matrix @ limit.matrix, cov, atol=1e-12)
        np.testing.assert_allclose(near.offset, limit.offset, atol=1e-5)
        np.testing.assert_allclose(near.matrix, limit.matrix, atol=1e-9)


@pytest.mark.parametrize("high", [5.0, math.inf])
def test_the_distance_is_a_metric(high: float) -> None:
    laws = list(zip(MEANS, COVS))
    far = np.array([[flow_distance(*a, *b, high) for b in laws] for a in laws])
    assert (np.diag(far) == 0).all()
    np.testing.assert_allclose(far, far.T)
    assert (far[:, None] <= far[:, :, None] + far[None] + 1e-12).all()
    assert (far[~np.eye(3, dtype=bool)] > 0.5).all()


def test_it_is_no_less_than_optimal_transport_and_equal_where_covariances_commute() -> None:
    def optimal(m: np.ndarray, S: np.ndarray, m0: np.ndarray, S0: np.ndarray) -> float:
        """W2 of two Gaussians: Dowson and Landau 1982."""
        root = np.real(sqrtm(S))
        cross = np.real(sqrtm(root @ S0 @ root))
        return math.sqrt(np.square(m - m0).sum() + np.trace(S + S0 - 2 * cross))

    apart = [(MEANS[i], COVS[i], MEANS[j], COVS[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert all(flow_distance(*laws) > optimal(*laws) + 1e-3 for laws in apart)
    one = COVS[0] @ COVS[0]
    alike = (MEANS[0], COVS[0], MEANS[1], one)
    assert flow_distance(*alike) == pytest.approx(optimal(*alike), rel=1e-6)


def test_tensors_in_tensors_out_and_mistakes_are_named() -> None:
    m, S, m0, S0 = (torch.as_tensor(x) for x in (MEANS[0], COVS[0], MEANS[1], COVS[1]))
    assert torch.is_tensor(flow_map(m, S).matrix)
    assert float(flow_distance(m, S, m0, S0)) == pytest.approx(
        flow_distance(MEANS[0], COVS[0], MEANS[1], COVS[1])
    )
    with pytest.raises(ValueError, match="sigma_T must be above"):
        flow_map(MEANS[0], COVS[0], 0.5, 0.5)
    with pytest.raises(ValueError, match="sigma_0 must lie"):
        flow_map(MEANS[0], COVS[0], 1.0, -1.0)
    with pytest.raises(ValueError, match="mean must have shape"):
        flow_map(MEANS[0][:2], COVS[0])
