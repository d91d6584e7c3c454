"""Intervals of noise levels: closed forms against simulation, dynamic programming against brute
force.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from denoscope import Gaussian
from denoscope.theory.stages import (
    LinearPrediction,
    collapsed,
    first_boundary,
    gaussian_similarity,
    last_boundary,
    optimal,
    stages,
    true_noise,
    within_stages,
)

DRAW = np.random.default_rng(0)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_dynamic_programme_is_brute_force(count: int) -> None:
    for _ in range(5):
        grid = DRAW.random((9, 9))
        grid = grid + grid.T
        every = combinations(range(1, 9), count - 1)
        best = max(within_stages(grid, starts) for starts in every)
        assert within_stages(grid, stages(grid, count)) == pytest.approx(best, abs=1e-12)


def test_blocks_are_found() -> None:
    which = np.repeat([0, 1, 2], [4, 2, 6])
    assert stages(np.equal.outer(which, which).astype(float), 3) == (4, 6)


def test_more_intervals_than_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="from 1 to 3"):
        stages(np.eye(3), 4)


def test_boundaries_of_a_step() -> None:
    times = np.linspace(0, 1, 101)
    low = (times < 0.5).astype(float)  # the mean up to t is min(1, .5/t)
    assert first_boundary(times, low, 0.999) == pytest.approx(0.49)
    assert first_boundary(times, low, 0.8) == pytest.approx(0.61, abs=0.011)
    assert last_boundary(times, low[::-1], 0.999) == pytest.approx(0.51)
    assert first_boundary(times, 0 * low, 0.5) == 0
    assert last_boundary(times, 0 * low, 0.5) == 1
    both = np.stack([low, 1 + 0 * low])
    assert first_boundary(times, both, 0.999).tolist() == pytest.approx([0.49, 1.0])


@pytest.mark.parametrize("eta", [0.02, 0.3])
def test_the_similarity_of_a_gaussian_law_is_what_its_denoiser_shows(eta: float) -> None:
    d, n = 5, 200_000
    root = torch.from_numpy(DRAW.standard_normal((d, d)))
    cov = root @ root.T / d
    lam, vectors = (x.numpy() for x in torch.linalg.eigh(cov))
    law = Gaussian(torch.zeros(d, dtype=torch.float64), cov)
    x0 = law.sample(n, torch.Generator().manual_seed(0))
    noise = torch.from_numpy(DRAW.standard_normal((n, d)))

    def predicted(sigma: float) -> torch.Tensor:
        x = x0 + sigma * noise
        return (x - law(x, torch.tensor(sigma, dtype=torch.float64))) / sigma

    pairs: list[tuple[torch.Tensor, torch.Tensor, LinearPrediction, LinearPrediction]] = [
        (predicted(0.3), predicted(1.0), optimal(lam, 0.3), optimal(lam, 1.0)),
        (predicted(0.3), noise, optimal(lam, 0.3), true_noise(lam)),
        (predicted(2.0), x0 / 2.0 + noise, optimal(lam, 2.0), collapsed(lam, 2.0)),
    ]
    for a, b, one, other in pairs:
        seen = float(((a - b).abs() <= eta).double().mean())
        error = 5 * 0.5 / np.sqrt(n)  # coordinates of a point depend on each other
        found = gaussian_similarity(lam, vectors, [(one, other), (one, one)], eta)
        assert found == pytest.approx([seen, 1.0], abs=error)
        assert found[1] == 1
