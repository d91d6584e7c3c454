"""Variances and correlations along directions, against numpy's own."""

from __future__ import annotations

import numpy as np
import pytest

from denoscope.metrics.modewise import correlations, squares, variances_along

RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.standard_normal((2, 50, 6)) @ RNG.standard_normal((6, 6))
VECTORS = np.linalg.qr(RNG.standard_normal((6, 6)))[0][:, :4]


def test_variances_are_those_of_projections() -> None:
    wanted = (FIRST @ VECTORS).var(0)
    assert variances_along(np.cov(FIRST.T, ddof=0), VECTORS) == pytest.approx(wanted)
    assert squares(FIRST, VECTORS).mean(0) == pytest.approx(wanted, rel=1e-6)


def test_correlations_are_pearsons_and_zero_of_a_constant() -> None:
    found = correlations(FIRST, SECOND, VECTORS)
    a, b = FIRST @ VECTORS, SECOND @ VECTORS
    assert found == pytest.approx([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T)])
    assert (correlations(FIRST, np.ones_like(FIRST), VECTORS) == 0).all()
