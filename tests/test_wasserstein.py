"""W2 of two samples against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from denoscope.metrics.wasserstein import wasserstein


def test_w2_is_the_best_of_all_assignments() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    best = min(
        np.mean([((a[i] - b[j]) ** 2).sum() for i, j in enumerate(order)])
        for order in itertools.permutations(range(5))
    )
    assert wasserstein(torch.tensor(a), torch.tensor(b)) == pytest.approx(np.sqrt(best), rel=1e-12)
    points = torch.randn(40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert wasserstein(points, points.flip(0) + 3.0) == pytest.approx(6.0)
    with pytest.raises(ValueError, match="equally many points"):
        wasserstein(points, points[1:])
