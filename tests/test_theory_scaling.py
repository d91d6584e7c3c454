"""Nearest distances and samples needed: integrals against simulation, and their inversions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rates import sigmas

from denoscope.theory.scaling import (
    copies_needed,
    gaussian_excess,
    gaussian_needed,
    nearest_distance,
)


@pytest.mark.parametrize(
    ("d", "clusters", "count"), [(1, 1, 5), (1, 2, 50), (3, 1, 1), (3, 3, 40), (8, 1, 300)]
)
def test_nearest_distances_are_what_theory_expects(d: int, clusters: int, count: int) -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        points = np.zeros((count + 1, clusters, d))
        points[np.arange(count + 1), rng.integers(clusters, size=count + 1)] = rng.standard_normal(
            (count + 1, d)
        )
        found.append(np.sqrt(((points[1:] - points[0]) ** 2).sum((1, 2)).min()))
    for power in (1, 2):
        values = np.array(found) ** power
        wanted = float(nearest_distance(np.array([count]), d, clusters, power)[0])
        assert abs(values.mean() - wanted) < sigmas(10) * values.std(ddof=1) / 20 + 2e-3 * wanted


def test_nearest_distances_fall_as_the_power_of_one_over_d() -> None:
    for d in (3, 6):
        near = nearest_distance(np.array([1e6, 1e7]), d, 1)
        assert np.log10(near[0] / near[1]) == pytest.approx(1 / d, rel=0.03)


def test_needed_sizes_invert_the_curves() -> None:
    for d, clusters, level in ((1, 1, 0.05), (4, 3, 0.2)):
        n = copies_needed(d, clusters, level)
        assert nearest_distance(np.array([n]), d, clusters, 2)[0] / d == pytest.approx(level)
    n = gaussian_needed(4, 48, 0.2, 0.01, 0.05)
    assert gaussian_excess(np.array([n]), 4, 48, 0.2, 0.01)[0] == pytest.approx(0.05)
    assert copies_needed(12, 1, 0.01, largest=100.0) == math.inf
    assert copies_needed(1, 1, 50.0) == 1
