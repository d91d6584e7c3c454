"""Spectra: power laws, participation ratio, Marchenko-Pastur against quadrature, simulation and the
embedded data.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy.integrate import quad

from denoscope.data import read_images
from denoscope.theory.spectra import (
    disjoint_agreement,
    leading_cost,
    leading_overlap,
    marchenko_pastur_atom,
    marchenko_pastur_density,
    marchenko_pastur_edges,
    participation_ratio,
    power_law,
    support,
)

RATIOS = [0.01, 0.3, 0.999, 1.0, 1.001, 2.5, 40.0]
ratio = pytest.mark.parametrize("phi", RATIOS)


def wishart(rng, n, d, spectrum=1.0):
    x = rng.standard_normal((n, d)) * np.sqrt(spectrum)
    return x.T @ x / n


@pytest.mark.parametrize("k", [-2.0, 0.0, 1.0, 2.5, 400.0])
@pytest.mark.parametrize("trace", [None, 3.0])
def test_power_law_has_its_slope_and_trace(k, trace):
    lam = power_law(30, k, trace)
    assert lam.sum() == pytest.approx(30 if trace is None else trace, rel=1e-14)
    np.testing.assert_allclose(
        lam[1:4], lam[:3] * (np.arange(1, 4) / np.arange(2, 5)) ** k, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("call", "name"),
    [((0, 1.0), "d"), ((2.5, 1.0), "d"), ((3, np.nan), "k"), ((3, 1.0, 0.0), "trace")],
)
def test_power_law_names_the_bad_argument(call, name):
    with pytest.raises(ValueError, match=name):
        power_law(*call)


def test_support_drops_what_an_eigendecomposition_leaves_of_zero():
    rows = np.random.default_rng(0).standard_normal((4, 9))
    assert len(support(np.linalg.eigvalsh(rows.T @ rows))) == 4
    assert len(support(np.zeros(3))) == 0
    with pytest.raises(ValueError, match="spectrum"):
        support([1.0, -0.1])


def test_participation_ratio_counts_equal_directions():
    for spectrum in ([2.0] * 7, [2.0] * 7 + [0.0] * 5):
        assert participation_ratio(spectrum) == pytest.approx(7, rel=1e-14)
    assert participation_ratio([0.0, 0.0]) == 0.0
    assert participation_ratio(np.ones((5, 3))) == 0.0


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
def test_participation_ratio_of_items_spectrum_and_covariance_agree(shape):
    items = np.random.default_rng(1).standard_normal(shape) * np.linspace(1, 3, shape[1]) + 5
    cov = np.cov(items, rowvar=False)
    expected = np.trace(cov) ** 2 / np.trace(cov @ cov)
    for given in (items, cov, cov.astype(np.float32), np.maximum(np.linalg.eigvalsh(cov), 0)):
        assert participation_ratio(given) == pytest.approx(expected, rel=1e-6)
    assert participation_ratio(torch.tensor(items)).item() == pytest.approx(expected, rel=1e-12)


def test_participation_ratio_corrected_for_the_number_of_items():
    rng, spectrum, n = np.random.default_rng(2), power_law(300, 0.5), 60
    exact = participation_ratio(spectrum)
    inverses = [
        1 / participation_ratio(rng.standard_normal((n, 300)) * np.sqrt(spectrum), correct=True)
        for _ in range(60)
    ]
    error = np.std(inverses, ddof=1) / np.sqrt(60)
    assert (
        abs(np.mean(inverses) - 1 / exact) < sigmas() * error + 2 / n**2
    )  # the correction is that of first order in 1/n
    assert participation_ratio(rng.standard_normal((n, 300)) * np.sqrt(spectrum)) < 0.5 * exact
    assert participation_ratio(np.eye(5), correct=False) == 5
    assert participation_ratio(np.eye(5)[:, :4] + 3, correct=True) < np.inf


@pytest.mark.parametrize(
    "bad",
    [
        np.array([[1.0, 2.0], [2.0, 1.0]]),
        np.array([1.0, -1.0]),
        np.array([[np.nan, 0.0]]),
        np.ones((2, 2, 2)),
    ],
)
def test_participation_ratio_refuses(bad):
    with pytest.raises(ValueError, match="x_or_cov"):
        participation_ratio(bad)
    with pytest.raises(ValueError, match="correct"):
        participation_ratio(np.eye(3), correct=True)


@pytest.mark.parametrize("k", [0.0, 1.0, 2.0])
def test_the_norm_of_a_covariance_is_learned_from_few_items(k):
    """E||S - S_0||^2 / ||S||^2 = (1 + d_eff)/n exactly for Gaussian data with known mean, far below
    1 at n much less than d.
    """
    rng, spectrum, n = np.random.default_rng(3), power_law(80, k), 20
    errors = [
        ((wishart(rng, n, 80, spectrum) - np.diag(spectrum)) ** 2).sum() / (spectrum**2).sum()
        for _ in range(200)
    ]
    expected = (1 + participation_ratio(spectrum)) / n
    assert abs(np.mean(errors) - expected) < sigmas(3) * np.std(errors) / np.sqrt(200)


@ratio
def test_marchenko_pastur_mass_mean_and_second_moment(phi):
    low, high = marchenko_pastur_edges(phi)

    def moment(power):
        """x = low + (high - low) sin^2 takes the square roots out of the ends."""

        def integrand(angle):
            x = low + (high - low) * np.sin(angle) ** 2
            return marchenko_pastur_density(x, phi) * x**power * (high - low) * np.sin(2 * angle)

        return quad(integrand, 0, np.pi / 2, epsabs=1e-12, epsrel=1e-12, limit=400)[0]

    assert moment(0) == pytest.approx(1 - marchenko_pastur_atom(phi), rel=1e-8)
    assert moment(1) == pytest.approx(1, rel=1e-10)
    assert moment(2) == pytest.approx(1 + phi, rel=1e-10)
    assert disjoint_agreement(phi) == pytest.approx(moment(0.5) ** 2, rel=1e-10)


def test_marchenko_pastur_is_the_spectrum_of_white_data():
    n, d = 500, 300
    lam = np.linalg.eigvalsh(wishart(np.random.default_rng(4), n, d))
    low, high = marchenko_pastur_edges(d / n)
    assert low - 0.03 < lam[0] < lam[-1] < high + 0.1
    for level in (0.3, 1.0, 2.0):
        mass = quad(lambda x: marchenko_pastur_density(x, d / n), low, level)[0]
        assert np.mean(lam < level) == pytest.approx(mass, abs=5 / d)
    np.testing.assert_array_equal(
        marchenko_pastur_density([-1.0, low / 2, high * 2, 0.0], d / n), 0.0
    )
    assert marchenko_pastur_density(0.0, 1.0) == np.inf


def test_agreement_of_disjoint_models_at_its_limits():
    assert disjoint_agreement(0.0) == 1.0
    assert disjoint_agreement(1.0) == pytest.approx((8 / (3 * np.pi)) ** 2, rel=1e-14)
    small = np.array([1e-3, 1e-5, 1e-8])
    np.testing.assert_allclose(disjoint_agreement(small), 1 - small / 4, atol=small[0] ** 2)
    np.testing.assert_allclose(disjoint_agreement(1 / small) / small, 1, rtol=1e-3)
    many = disjoint_agreement(np.geomspace(1e-3, 1e3, 400))
    assert (np.diff(many) < 0).all()
    assert isinstance(disjoint_agreement(torch.tensor([0.5, 2.0])), torch.Tensor)


@pytest.mark.parametrize("phi", [0.2, 1.0, 3.0])
def test_agreement_of_disjoint_models_is_the_overlap_of_their_samples(phi):
    """Samples sqrt(S_0) u of the same u: their overlap a dimension, for two independent training
    sets.
    """
    rng, d, overlaps = np.random.default_rng(5), 90, []
    for _ in range(24):
        roots = []
        for _ in range(2):
            lam, vectors = np.linalg.eigh(wishart(rng, round(d / phi), d))
            roots.append((vectors * np.sqrt(np.maximum(lam, 0))) @ vectors.T)
        u = rng.standard_normal((d, 400))
        overlaps.append([(roots[0] * roots[1]).sum() / d, np.mean((roots[0] @ u) * (roots[1] @ u))])
    error = np.std(overlaps, axis=0, ddof=1) / np.sqrt(24)
    assert (
        np.abs(np.mean(overlaps, axis=0) - disjoint_agreement(phi)) < sigmas(6) * error + 3 / d**2
    ).all()
    assert (error < 0.01).all()


@pytest.mark.parametrize(
    "function",
    [marchenko_pastur_edges, marchenko_pastur_atom, lambda phi: marchenko_pastur_density(1.0, phi)],
)
def test_marchenko_pastur_needs_a_positive_ratio(function):
    with pytest.raises(ValueError, match="phi"):
        function(0.0)
    with pytest.raises(ValueError, match="phi"):
        disjoint_agreement(-1.0)


@pytest.mark.parametrize(("exponent", "k"), [(1, 1), (2, 3), (2, 10)])
def test_first_order_overlaps_are_the_average_of_simulation(exponent: int, k: int) -> None:
    spectrum, rng = power_law(20, exponent), np.random.default_rng(k)
    n = int(60 * leading_cost(spectrum, k))
    lost = []
    for _ in range(150):
        x = rng.standard_normal((n, 20)) * np.sqrt(spectrum)
        vectors = np.linalg.eigh(np.cov(x.T))[1][:, ::-1]
        lost.append(1 - (vectors[:k, :k] ** 2).sum() / k)
    wanted = 1 - float(leading_overlap(spectrum, k, n))
    assert 0.01 < wanted < 0.02
    error = np.std(lost, ddof=1) / np.sqrt(150)
    assert abs(np.mean(lost) - wanted) < 0.1 * wanted + sigmas(3) * error


def test_equal_variances_cost_endlessly_many_rows() -> None:
    assert leading_cost([2.0, 2.0, 1.0], 1) == np.inf
    assert leading_cost([2.0, 2.0, 1.0], 2) == pytest.approx((2 + 2) / 2)
    assert leading_cost([3.0, 1.0], 1) == pytest.approx(3 / 4)


def test_a_part_of_a_finite_set_is_nearer_to_it() -> None:
    spectrum = power_law(20, 1)
    part, law = leading_overlap(spectrum, 3, 400, 1797), leading_overlap(spectrum, 3, 400)
    assert 1 - part == pytest.approx((1 - law) * (1 - 400 / 1797))
    assert leading_overlap(spectrum, 3, 1797, 1797) == pytest.approx(1)


def unit_range(name):
    """Training images of an embedded set as rows on [0, 1]."""
    images = read_images(name)
    return (images.data[: images.test_from].flatten(1).double() + 1) / 2


def test_digits_have_their_known_spectrum():
    rows = unit_range("digits")
    assert participation_ratio(rows) == pytest.approx(13.17, abs=0.005)
    assert np.trace(np.cov(np.asarray(rows), rowvar=False, bias=True)) == pytest.approx(
        4.693, abs=0.0015
    )


@pytest.mark.slow
def test_fashion_mnist_has_its_known_participation_ratio():
    try:
        rows = unit_range("fashion_mnist")
    except (ValueError, ImportError, OSError) as error:
        pytest.skip(str(error))
    assert participation_ratio(rows) == pytest.approx(7.90, abs=0.005)
