"""Kurtosis and the divergence of linear models of items that are not Gaussian: Wilks' law, Mardia's
moments, simulation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from rates import sigmas

from denoscope.theory.linear import any_law_kl, any_law_samples, expected_kl, kl
from denoscope.theory.linear.kurtosis import (
    alone,
    factor_behind,
    kurtosis_factor,
    kurtosis_units,
    leads,
)

D = 12


def _leads(x: np.ndarray) -> np.ndarray:
    return leads(x, x.mean(0), np.linalg.pinv(np.cov(x.T, bias=True)), len(x))


def _sphere(source: np.random.Generator, n: int) -> np.ndarray:
    z = source.standard_normal((n, D))
    return z / np.linalg.norm(z, axis=1, keepdims=True) * np.sqrt(D)


def _heavy(source: np.random.Generator, n: int) -> np.ndarray:
    return source.standard_normal((n, D)) * np.sqrt(10 / source.chisquare(12, (n, 1)))


def _clusters(source: np.random.Generator, n: int) -> np.ndarray:
    return source.choice([-0.9, 0.9], (n, D)) + np.sqrt(0.19) * source.standard_normal((n, D))


def test_leads_are_those_of_wilks() -> None:
    x = np.random.default_rng(0).standard_normal((30, D)) @ np.diag(np.arange(1.0, D + 1))
    found = _leads(x)
    assert found.sum() == pytest.approx(D * 30 / 29)
    for i in (0, 7):  # the covariance without an item shrinks by 1 - u
        rest = np.delete(x, i, 0)
        ratio = np.linalg.det(np.cov(rest.T, ddof=len(rest) - 29)) / np.linalg.det(np.cov(x.T))
        assert ratio == pytest.approx(1 - found[i])


def test_an_item_that_alone_spans_a_direction_leads_wholly() -> None:
    x = np.random.default_rng(1).standard_normal((40, D))
    x[:, 3] = 0.0
    x[9, 3] = 2.0
    found = _leads(x)
    assert np.flatnonzero(alone(found)).tolist() == [9]
    assert np.flatnonzero(np.isinf(kurtosis_units(found, D)[1])).tolist() == [9]


@pytest.mark.parametrize("n", [D + 8, 4 * D])
def test_both_kurtoses_of_gaussian_items_are_one_on_average(n: int) -> None:
    source, sets = np.random.default_rng(2), 400
    units = [kurtosis_units(_leads(source.standard_normal((n, D))), D) for _ in range(sets)]
    for way in np.array(units).mean(2).T:
        assert abs(way.mean() - 1) < sigmas(4) * way.std() / np.sqrt(sets)


@pytest.mark.parametrize(
    ("law", "factor"),
    [
        (_sphere, (D - 1) / (D + 1)),
        (_heavy, (1.25 * (D + 2) - 1) / (D + 1)),
        (_clusters, 1 - 2 * 0.9**4 / (D + 1)),
    ],
)
def test_the_divergence_of_any_law_is_that_of_its_kurtosis(
    law: Callable[[np.random.Generator, int], np.ndarray], factor: float
) -> None:
    source, n = np.random.default_rng(3), 20 * D
    found = []
    for _ in range(300):
        x = law(source, n)
        found.append(kl(np.zeros(D), np.eye(D), x.mean(0), np.cov(x.T, bias=True)) / D)
    assert np.mean(found) == pytest.approx(any_law_kl(D, n, factor), rel=0.05)
    many = kurtosis_units(_leads(law(source, 100_000)), D)[0].mean()
    assert kurtosis_factor(many, D) == pytest.approx(factor, rel=0.05)


def test_gaussian_items_have_the_exact_divergence_and_no_law_has_less_than_a_sphere() -> None:
    n = [5, D, D + 1, 50]
    np.testing.assert_allclose(any_law_kl(D, n), expected_kl(D, n) / D)
    assert kurtosis_factor(1.0, D) == pytest.approx(1)
    assert kurtosis_factor(0.0, D) == (D - 1) / (D + 1)


def test_sizes_and_factors_are_inverses() -> None:
    for factor in (0.9, 1.0, 7.3):
        n = any_law_samples(D, 0.1, factor)
        assert any_law_kl(D, n, factor) <= 0.1 < any_law_kl(D, n - 1, factor)
        assert factor_behind(any_law_kl(D, 60, factor), D, 60) == pytest.approx(factor)
    assert any_law_samples(D, 0.1, np.inf) == np.inf
    error = 3.0 * expected_kl(D, 900, "true||model") / D
    assert factor_behind(any_law_kl(D, 60, 3.0) + error, D, 60, 900) == pytest.approx(3)


def test_too_few_items_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at least d . 4 = {D + 4} items, got {D + 3}"):
        kurtosis_units(np.full(D + 3, 0.5), D)
    with pytest.raises(ValueError, match="kl_per_dim"):
        any_law_samples(D, 0.0)
