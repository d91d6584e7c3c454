"""Deterministic equivalents: exact arithmetic, closed forms, the published table and simulated
training sets; sizes, ridges, observation.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from rates import sigmas

from denoscope.theory.linear.cross_validation import observed, observed_best_c, observed_best_ridge
from denoscope.theory.linear.divergences import DIRECTIONS, expected_kl
from denoscope.theory.linear.equivalents import deterministic, kappa, traces, unseen_variance
from denoscope.theory.linear.optimum import bayes_loss_of
from denoscope.theory.linear.oracle import oracle_variances
from denoscope.theory.linear.sizes import (
    best_c,
    expected_best_ridge,
    samples_for_gap,
    samples_needed,
)
from denoscope.theory.spectra import power_law

SPECTRA = {
    "white": np.ones(7),
    "steep": power_law(9, 4.0),
    "with zeros": np.array([0.0, 2.0, 0.0, 1e-9, 5.0]),
    "spiked": np.array([1e8, 1.0, 1.0, 1e-8]),
    "nothing": np.zeros(3),
}
spectra = pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA.keys())
direction = pytest.mark.parametrize("direction", DIRECTIONS)

TABLE = """
0 25 75 0.23921 78.488 1.60393 37.462
0 50 50 0.48524 51.989 1.08042 24.675
0 90 10 0.84167 13.105 0.50626 6.9851
0 200 0 0.98038 1.03557 0.15200 0.32927
0 400 0 0.98673 0.99682 0.06829 0.09557
0 1600 0 0.98934 0.99079 0.01598 0.01704
1 25 43.771 0.23866 46.415 1.31195 21.598
1 50 23.826 0.48032 25.188 0.86634 11.431
1 90 3.951 0.80089 6.4438 0.43196 3.1992
1 200 0 0.95221 1.06878 0.14501 0.29102
1 400 0 0.96654 0.99029 0.06598 0.08835
1 1600 0 0.97282 0.97636 0.01567 0.01615
2 25 4.545 0.22862 5.1576 0.52197 1.8909
2 50 1.622 0.40317 2.1990 0.34282 0.62708
2 90 0.1967 0.53931 1.19632 0.22987 0.25036
2 200 0 0.63736 0.82230 0.14647 0.10539
2 400 0 0.67291 0.74720 0.11294 0.07159
2 1600 0 0.69707 0.71278 0.08838 0.05400
"""


def simulated(spectrum, n, seed, *, centred=False):
    """Eigenvalues of one training covariance (1/n), the true variance and squared mean error along
    each, unknown mean if centred.
    """
    x = np.random.default_rng(seed).standard_normal((n, len(spectrum))) * np.sqrt(spectrum)
    mean = x.mean(0) if centred else np.zeros(len(spectrum))
    lam, vectors = np.linalg.eigh((x - mean).T @ (x - mean) / n)
    lam[: max(0, len(spectrum) - n + centred)] = 0
    return lam, (vectors**2 * spectrum[:, None]).sum(0), (vectors.T @ mean) ** 2


@spectra
@pytest.mark.parametrize("n", [1e-6, 0.3, 1, 2, 2.999999, 3, 4, 9, 9.5, 1e3, 1e12])
@pytest.mark.parametrize("c", [0.0, 1e-14, 1e-3, 7.0, 1e9])
def test_kappa_solves_its_equation_in_exact_arithmetic(spectrum, n, c):
    """The sign of kappa - c - (kappa/n) df1 changes within 1e-13 of the answer, in rational
    numbers.
    """
    found = kappa(spectrum, n, c)
    if c == 0 and n >= (spectrum > 0).sum():
        assert found == 0
        return
    lam, n, c = [Fraction(float(value)) for value in spectrum], Fraction(float(n)), Fraction(c)

    def excess(value):
        return value - c - value / n * sum(one / (one + value) for one in lam if one)

    wide = Fraction(1, 10**13) * (
        100 if n == Fraction(2.999999) else 1
    )  # near n = rank at c = 0 the root itself is ill-conditioned
    assert excess(Fraction(found) * (1 - wide)) < 0 < excess(Fraction(found) * (1 + wide))


@spectra
@pytest.mark.parametrize("centred", [False, True])
def test_nothing_is_ever_nan(spectrum, centred):
    n = np.array([1.0, 1.5, 2, 3, 4, 5, 7, 9, 10, 1e4, 1e12])[:, None] * (
        1 if centred else np.array([[1.0]])
    )
    c = np.array([0.0, 1e-200, 1e-12, 1e-3, 1.0, 1e12])
    for answer in (
        deterministic(spectrum, n, c, centred=centred),
        traces(spectrum, n, c, centred=centred),
    ):
        for name, part in zip(answer._fields, answer):
            assert part.shape == (11, 6), name
            assert not np.isnan(part).any(), name
    if not centred:
        assert not np.isnan(np.array(deterministic(spectrum, 1e-9, c))).any()


@pytest.mark.parametrize("n", [3.0, 20.0, 60.0])
@pytest.mark.parametrize("c", [0.02, 1.5])
@pytest.mark.parametrize("k", [0.0, 1.3])
def test_traces_are_the_textbook_formulas(n, c, k):
    lam = power_law(20, k)
    root, d = kappa(lam, n, c), 20
    df1, df2 = (lam / (lam + root)).sum(), ((lam / (lam + root)) ** 2).sum()
    slope = 1 / (1 - df2 / n)
    first = (d - df1) / c
    second = (d - df1) / c**2 - slope * (df1 - df2) / (root * c)
    expected = {
        "kappa": root,
        "slope": slope,
        "df1": df1,
        "df2": df2,
        "inverse": first,
        "inverse2": second,
        "cross": root * df1 / c,
        "cross2": (root * df1 / c - slope * df2) / c,
        "own2": first - c * second,
        "log_det": d * np.log(c) + np.log1p(lam / root).sum() + n * np.log(root / c) - df1,
    }
    for name, value in traces(lam, n, c)._asdict().items():
        assert value == pytest.approx(expected[name], rel=1e-10), name


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("n", [4.0, 12.0, 50.0])
def test_traces_are_each_others_derivatives(n, centred):
    lam, c, h = power_law(12, 1.0), 0.3, 1e-4
    low, at, high = (traces(lam, n, value, centred=centred) for value in (c - h, c, c + h))

    def slope(name):
        return (getattr(high, name) - getattr(low, name)) / (2 * h)

    assert slope("log_det") == pytest.approx(at.inverse, rel=1e-5)
    assert -slope("inverse") == pytest.approx(at.inverse2, rel=1e-5)
    assert -slope("cross") == pytest.approx(at.cross2, rel=1e-5)
    assert slope("kappa") == pytest.approx(at.slope, rel=1e-5)
    assert -slope("df1") == pytest.approx(at.own2, rel=1e-5)


@pytest.mark.parametrize("phi", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("variance", [1.0, 3.0])
def test_white_data_are_marchenko_pastur(phi, variance):
    """c phi m^2 + (c + 1 - phi) m - 1 = 0 for variance 1, else in its units."""
    d, c = 50, 0.4
    z = c / variance
    m = (-(z + 1 - phi) + np.sqrt((z + 1 - phi) ** 2 + 4 * z * phi)) / (2 * z * phi)
    found = traces(variance * np.ones(d), d / phi, c)
    assert found.inverse == pytest.approx(d * m / variance, rel=1e-12)
    assert found.kappa == pytest.approx(c / (1 - phi + phi * z * m), rel=1e-12)


@pytest.mark.parametrize("row", TABLE.strip().splitlines())
def test_the_published_numbers(row):
    """d = 100, Tr S = d: losses at abar = 0.99 without ridge, divergences at c = 0.01, mean
    estimated; the unseen variance of N degrees.
    """
    k, n, unseen = map(float, row.split()[:3])
    lam = power_law(100, k)
    loss = deterministic(lam, n, 0.01 / 0.99, abar=0.99, centred=True)
    law = deterministic(lam, n, 0.01, centred=True)
    assert unseen_variance(lam, n) == pytest.approx(unseen, abs=6e-4)
    assert deterministic(lam, n + 1, 0.3, centred=True).unseen == pytest.approx(unseen, abs=6e-4)
    for found, digits in zip((loss.train, loss.test, law.kl, law.kl_reverse), row.split()[3:]):
        assert abs(found / 100 - float(digits)) <= 0.501 * 10.0 ** -len(digits.split(".")[1])


@pytest.mark.parametrize("k", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("n", [30, 200])
@pytest.mark.parametrize("abar", [0.95, 0.5])
def test_training_sets_behave_so_on_average(k, n, abar):
    """Losses with a ridge, unseen variance and both divergences of 20 simulated training sets
    within 3 %.
    """
    lam, ridge = power_law(100, k), 0.05
    c = (1 - abar + ridge) / abar
    expected = deterministic(lam, n, c, abar=abar, centred=True)
    found = np.zeros(5)
    for seed in range(20):
        lam0, variance, offset = simulated(lam, n, seed, centred=True)
        weight = 1 / (abar * lam0 + 1 - abar + ridge)
        base = 1 - 2 * (1 - abar) * weight + (1 - abar) ** 2 * weight**2
        found += [
            (base + abar * (1 - abar) * weight**2 * lam0).sum(),
            (base + abar * (1 - abar) * weight**2 * (variance + offset)).sum(),
            variance[lam0 == 0].sum(),
            0.5
            * (
                (1 / lam).sum() * c + np.log(lam).sum() - np.log(lam0 + c).sum()
            ),  # Tr S^-1 S_0 and the mean make d on average
            0.5
            * (
                ((variance + offset) / (lam0 + c)).sum()
                - 100
                - np.log(lam).sum()
                + np.log(lam0 + c).sum()
            ),
        ]
    np.testing.assert_allclose(found / 20, expected[1:], rtol=0.03)


@pytest.mark.parametrize("k", [0.0, 1.0, 1.5, 2.0])
def test_few_samples_leave_much_variance_unseen(k):
    lam, n = power_law(200, k), 50
    found = [simulated(lam, n, seed) for seed in range(20)]
    outside = np.mean([variance[lam0 == 0].sum() for lam0, variance, _ in found])
    assert outside == pytest.approx(unseen_variance(lam, n), rel=0.03)
    assert unseen_variance(lam, n) == pytest.approx(
        {0.0: 150, 1.0: 78.4, 1.5: 23.85, 2.0: 4.63}[k], rel=1.5e-3
    )
    assert unseen_variance(lam, n) > lam[n:].sum() * (
        1 - 1e-12
    )  # more than the best n directions would leave
    np.testing.assert_array_equal(unseen_variance(lam, [200, 201, 1e9]), 0)


@pytest.mark.parametrize("n", [30, 90, 100, 101, 130])
def test_no_ridge_at_all_is_the_limit_of_little(n):
    lam = power_law(100, 1.0)
    limit, near = deterministic(lam, n, 0.0), deterministic(lam, n, 1e-11)
    for name, value in limit._asdict().items():
        close = getattr(near, name)
        if np.isinf(value):
            assert close > {"test": 1e4, "kl": 100, "kl_reverse": 1e4}[name], name
        else:
            assert close == pytest.approx(
                value, rel=1e-3, abs=1e-3 if name in ("kappa", "unseen") else 0
            ), name
    assert np.isinf(limit.test) == (n <= 100)
    assert np.isinf(limit.kl) == (n < 100)
    assert np.isinf(limit.kl_reverse) == (n <= 100)


def test_a_direction_without_variance_is_infinitely_far_but_costs_no_loss():
    lam = np.r_[power_law(20, 1.0), np.zeros(5)]
    whole, part = (
        deterministic(lam, 30, 0.2, centred=True),
        deterministic(lam[:20], 30, 0.2, centred=True),
    )
    assert whole.kl == whole.kl_reverse == np.inf
    for name in ("kappa", "train", "test", "unseen"):
        assert getattr(whole, name) == pytest.approx(getattr(part, name), rel=1e-13)


def test_one_item_is_its_own_mean():
    """N = 1: S_0 = 0, so every trace is known, and the mean is off by S."""
    lam, c = np.array([2.0, 1.0, 0.5]), 0.3
    found = traces(lam, 1, c, centred=True)
    expected = {
        "inverse": 3 / c,
        "inverse2": 3 / c**2,
        "cross": 3.5 / c,
        "cross2": 3.5 / c**2,
        "log_det": 3 * np.log(c),
        "df1": 0.0,
        "own2": 0.0,
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-12, abs=1e-25), name
    loss = deterministic(lam, 1, c, centred=True)
    assert loss.train == pytest.approx(0, abs=1e-25)
    assert loss.test == pytest.approx(2 * 3.5 / c, rel=1e-12)
    assert loss.unseen == pytest.approx(3.5, rel=1e-12)


def test_many_samples_reach_the_bayes_loss_and_the_truth():
    lam, abar = power_law(40, 1.0), 0.9
    found = deterministic(lam, 1e9, (1 - abar) / abar)
    assert found.test == pytest.approx(bayes_loss_of(lam, abar), rel=1e-7)
    assert found.train == pytest.approx(bayes_loss_of(lam, abar), rel=1e-7)
    sure = deterministic(lam, 1e9, 0.0)
    assert sure.kl == pytest.approx(40 * 40 / 4e9, rel=1e-6)
    assert sure.kl_reverse == pytest.approx(40 * 40 / 4e9, rel=1e-6)


@pytest.mark.parametrize("k", [0.0, 1.0, 3.0])
def test_without_ridge_the_divergence_knows_no_spectrum(k):
    n = np.array([600, 1000, 10000])
    found = deterministic(power_law(500, k), n, 0.0, centred=True)
    np.testing.assert_allclose(found.kl, expected_kl(500, n), rtol=0.01)
    np.testing.assert_allclose(found.kl_reverse, expected_kl(500, n, "true||model"), rtol=0.03)


def test_the_answer_for_many_is_the_answer_for_each():
    lam, n, c = (
        np.stack([power_law(30, k) for k in (0.0, 1.0, 2.0)]),
        np.array([[5.0], [60.0]]),
        np.array([0.01, 0.2, 3.0]),
    )
    many = deterministic(lam, n, c)
    for name, part in many._asdict().items():
        assert part.shape == (2, 3), name
        for i in range(2):
            for j in range(3):
                assert part[i, j] == pytest.approx(
                    getattr(deterministic(lam[j], n[i, 0], c[j]), name), rel=1e-12
                ), name
    assert isinstance(deterministic(torch.tensor(lam), 5, 0.1).test, torch.Tensor)
    assert isinstance(deterministic(lam[0], 5, 0.1).test, float)


def test_abar_says_how_much_of_c_is_noise():
    lam = power_law(30, 1.0)
    for name in ("train", "test"):
        alone, told = (
            getattr(deterministic(lam, 20, 0.25, abar=abar), name) for abar in (None, 0.8)
        )
        assert alone == pytest.approx(told, rel=1e-12)
    clean = deterministic(lam, 20, 0.25, abar=1.0)  # no noise but a ridge: nothing is predicted
    assert clean.train == clean.test == 30


def test_the_oracle_is_what_simulation_finds():
    lam, n, bins = power_law(300, 1.0), 600, 5
    found = []
    for seed in range(4):
        lam0, variance, _ = simulated(lam, n, seed)
        found.append(
            [
                (oracle_variances(lam, n, lam0) - variance).reshape(bins, -1).mean(1),
                variance.reshape(bins, -1).mean(1),
            ]
        )
    difference, size = np.mean(found, axis=0)
    assert (np.abs(difference) < 0.02 * size).all()


@pytest.mark.parametrize("phi", [0.25, 1.0, 4.0])
def test_the_oracle_of_white_data_is_their_variance(phi):
    """All directions have the variance 1, also where the edge of the support is at 0; x = 0 is an
    unseen direction.
    """
    x = np.linspace(1.001 * (1 - np.sqrt(phi)) ** 2 + 1e-9, 0.999 * (1 + np.sqrt(phi)) ** 2, 50)
    np.testing.assert_allclose(oracle_variances(np.ones(40), 40 / phi, x), 1, rtol=1e-7)
    assert oracle_variances(np.ones(40), 40 / phi, 0.0) == pytest.approx(
        1 if phi > 1 else 0, rel=1e-12
    )


@pytest.mark.parametrize("n", [40, 150])
def test_the_oracle_gives_the_expected_test_loss_of_a_filter(n):
    """With the ridge as the filter, whose expected test loss is known; unseen directions
    included.
    """
    lam, abar = power_law(100, 1.0), 0.9
    found = []
    for seed in range(10):
        lam0, _, _ = simulated(lam, n, seed)
        weight = 1 / (abar * lam0 + 1 - abar)
        found.append(
            (
                (1 - (1 - abar) * weight) ** 2
                + abar * (1 - abar) * weight**2 * oracle_variances(lam, n, lam0)
            ).sum()
        )
    assert np.mean(found) == pytest.approx(deterministic(lam, n, (1 - abar) / abar).test, rel=0.01)


def test_the_oracle_solves_its_equation_for_every_kind_of_spectrum():
    """|kappa|^2/x of the root that real arithmetic finds: on kappa = -(p + iq) with (1/n) sum
    lam^2/((lam - p)^2 + q^2) = 1, x grows with p.
    """
    for lam in (
        power_law(30, 3.0),
        np.r_[1e-3 * np.ones(10), np.ones(10)],
        np.r_[np.ones(20), 30.0, 100.0],
    ):
        for n in (7.0, 20.5, 200.0):
            p = np.linspace(0, 1.5 * lam.max(), 41)[1:] + 1e-6

            def width(w, p=p, lam=lam, n=n):
                return (lam**2 / ((lam - p[:, None]) ** 2 + w[:, None])).sum(1) / n - 1

            low, high = np.full(40, 1e-30), np.full(40, (lam**2).sum() / n)
            inside = width(low) > 0
            for _ in range(200):
                middle = np.sqrt(low * high)
                low, high = (
                    np.where(width(middle) > 0, middle, low),
                    np.where(width(middle) > 0, high, middle),
                )
            root = -(p + 1j * np.sqrt(low))[inside]
            x = -(root * (1 - (lam / (lam + root[:, None])).sum(1) / n)).real
            np.testing.assert_allclose(
                oracle_variances(lam, n, x), np.abs(root) ** 2 / x, rtol=1e-7
            )


@pytest.mark.parametrize("variance", [1.0, 2.0])
def test_the_best_c_of_white_data(variance):
    n = np.array([1, 20, 100, 300, 1e5])
    np.testing.assert_allclose(
        best_c(variance * np.ones(100), n), variance * 100 / (n + 100), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("n", "forward", "reverse"),
    [(20, 1.683, 2.03), (50, None, 1.75), (100, 1.010, 1.41), (300, 0.505, 0.80)],
)
def test_the_best_c_of_white_data_with_their_mean_subtracted(n, forward, reverse):
    assert best_c(2 * np.ones(100), n, "true||model", centred=True) == pytest.approx(
        reverse, abs=0.02
    )
    if forward is not None:
        assert best_c(2 * np.ones(100), n, centred=True) == pytest.approx(forward, abs=6e-4)


def test_the_best_c_of_power_laws():
    n, one, two = [25, 50, 100, 200, 400, 1600], power_law(200, 1.0), power_law(200, 2.0)
    np.testing.assert_allclose(
        best_c(one, n, centred=True), [0.300, 0.267, 0.216, 0.154, 0.097, 0.030], atol=6e-4
    )
    np.testing.assert_allclose(
        best_c(one, n, "true||model", centred=True),
        [0.652, 0.517, 0.387, 0.268, 0.171, 0.056],
        atol=6e-4,
    )
    np.testing.assert_allclose(best_c(two, n, centred=True)[[0, -1]], [8.0e-3, 6.1e-4], rtol=0.01)
    np.testing.assert_allclose(
        best_c(two, n, "true||model", centred=True)[[0, -1]], [6.4e-2, 1.2e-3], rtol=0.02
    )
    for way, divergence, expected in (
        ("model||true", "kl", 0.378),
        ("true||model", "kl_reverse", 0.229),
    ):
        found = deterministic(one, 50, best_c(one, 50, way, centred=True), centred=True)
        assert getattr(found, divergence) / 200 == pytest.approx(expected, abs=6e-4)


@direction
@pytest.mark.parametrize("centred", [False, True])
def test_no_other_c_is_better(direction, centred):
    """Also for two separate bulks, where the divergence may have two valleys."""
    for lam in (
        power_law(50, 1.5),
        np.r_[1e-5 * np.ones(25), np.ones(25)],
        np.r_[np.ones(10), 300.0],
    ):
        for n in (2, 12, 26, 200):
            best = best_c(lam, n, direction, centred=centred)
            tried = np.r_[best, best * (1 + 1e-3), best / (1 + 1e-3), np.geomspace(1e-9, 1e3, 2000)]
            found = deterministic(lam, n, tried, centred=centred)
            values = found.kl if direction == "model||true" else found.kl_reverse
            assert values[0] <= values.min() + 1e-10 * abs(values.min())


@pytest.mark.parametrize(
    ("n", "expected"),
    [(30, (0.568, 0.563, 0.509)), (100, (0.331, 0.327, 0.288)), (300, (0.163, 0.160, 0.136))],
)
def test_the_best_ridge_hardly_depends_on_the_noise(n, expected):
    found = expected_best_ridge(power_law(100, 1.0), n, [0.999, 0.99, 0.9], centred=True)
    np.testing.assert_allclose(found, expected, atol=6e-4)


def test_the_best_ridge_rescues_few_samples():
    lam, abar = power_law(100, 1.0), 0.99
    ridge = expected_best_ridge(lam, 30, abar, centred=True)
    best = deterministic(lam, 30, (1 - abar + ridge) / abar, abar=abar, centred=True).test / 100
    assert best == pytest.approx(0.986, abs=6e-4)
    assert bayes_loss_of(lam, abar) / 100 == pytest.approx(0.974, abs=6e-4)
    assert deterministic(lam, 30, (1 - abar) / abar, abar=abar, centred=True).test / 100 > 40
    tried = np.r_[0.0, np.geomspace(1e-6, 1e3, 3000)]
    scan = deterministic(lam, 30, (1 - abar + tried) / abar, abar=abar, centred=True).test
    assert 100 * best <= scan.min() * (1 + 1e-12)
    assert expected_best_ridge(np.zeros(4), 5, 0.5) == 0.0


@direction
@pytest.mark.parametrize("target", [3.0, 0.4, 0.05])
def test_samples_needed_is_the_least_number_that_does(direction, target):
    lam = power_law(30, 1.0)
    n = np.arange(1, 3000)
    plain = expected_kl(30, n, direction)
    assert samples_needed(lam, target, direction=direction) == n[plain <= 30 * target][0]
    assert (
        samples_needed(np.r_[lam, np.zeros(9)], target, direction=direction)
        == n[plain <= 30 * target][0]
    )
    n = n[:400]
    for c, level in ((1e-4, 1e-4), ("best", best_c(lam, n, direction, centred=True))):
        found = deterministic(lam, n, level, centred=True)
        values = found.kl if direction == "model||true" else found.kl_reverse
        assert samples_needed(lam, target, c=c, direction=direction) == n[values <= 30 * target][0]


@direction
def test_a_best_c_saves_samples_where_they_are_few(direction):
    for target, k in ((1.0, 0.0), (0.3, 1.0), (0.1, 2.0)):
        assert samples_needed(
            power_law(60, k), target, c="best", direction=direction
        ) < samples_needed(power_law(60, k), target, direction=direction)
    assert samples_needed(np.zeros(4), 0.1, direction=direction) == 1
    for lam in (power_law(60, 1.0), power_law(60, 2.0), torch.ones(60)):
        assert samples_needed(lam, 0.01, direction=direction) == pytest.approx(60 / 0.04, rel=0.15)


@pytest.mark.parametrize("abar", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_samples_for_a_closed_gap_are_the_least_that_do(abar, ridge):
    lam, n, share = power_law(40, 1.0), np.arange(1, 2000), 0.1
    found = deterministic(lam, n, (1 - abar + ridge) / abar, abar=abar, centred=True)
    enough = found.test - found.train <= share * bayes_loss_of(lam, abar)
    first = samples_for_gap(lam, abar, share, ridge=ridge)
    assert first == n[enough][0]
    assert enough[first - 1 :].all()
    assert samples_for_gap(np.zeros(3), abar, share) == 1


@pytest.mark.parametrize("n", [30, 100, 101, 300])
@pytest.mark.parametrize("k", [0.0, 1.0])
def test_the_training_set_alone_knows_what_it_has_not_seen(n, k):
    """The estimates' mean over training sets is the truth's, within their scatter and O(1/d)."""
    lam, c, abar = power_law(100, k), 0.3, 0.9
    estimates, truths = [], []
    for seed in range(24):
        lam0, variance, offset = simulated(lam, n, seed, centred=True)
        weight = 1 / (abar * (lam0 + c))
        base = (1 - (1 - abar) * weight) ** 2
        found = observed(lam0, n, c, abar=abar)
        estimates.append([found.train, found.test, observed(lam0, n, 0.0).unseen, found.cross])
        truths.append(
            [
                (base + abar * (1 - abar) * weight**2 * lam0).sum(),
                (base + abar * (1 - abar) * weight**2 * (variance + offset)).sum(),
                variance[lam0 == 0].sum() if n <= 100 else 0.0,
                (variance / (lam0 + c)).sum(),
            ]
        )
    difference = np.subtract(estimates, truths)
    allowed = sigmas(32) * difference.std(0) / np.sqrt(24) + 0.02 * np.abs(truths).mean(0)
    assert (np.abs(difference.mean(0)) <= allowed).all()
    np.testing.assert_allclose(
        difference[:, 0], 0, atol=1e-9
    )  # the training loss is not an estimate


def test_the_observed_best_c_is_near_the_best():
    lam = power_law(100, 1.0)
    for n in (20, 100, 400):
        lam0s = [simulated(lam, n, seed, centred=True)[0] for seed in range(8)]
        expected = best_c(lam, n, "true||model", centred=True)
        assert np.mean([observed_best_c(lam0, n) for lam0 in lam0s]) == pytest.approx(
            expected, rel=0.1
        )
        ridge = expected_best_ridge(lam, n, 0.95, centred=True)
        assert np.mean([observed_best_ridge(lam0, n, 0.95) for lam0 in lam0s]) == pytest.approx(
            ridge, rel=0.15
        )


@pytest.mark.parametrize("n", [20, 100, 400])
def test_observed_choices_minimise_their_estimates(n):
    lam0 = simulated(power_law(60, 1.0), n, 0, centred=True)[0]
    tried, abar = np.geomspace(1e-6, 1e2, 4000), 0.9
    score = 0.5 * (
        (1 + 1 / n) * observed(lam0, n, tried).cross + np.log(lam0 + tried[:, None]).sum(1)
    )
    best = observed_best_c(lam0, n)
    own = 0.5 * ((1 + 1 / n) * observed(lam0, n, best).cross + np.log(lam0 + best).sum())
    assert own <= score.min() + 1e-9
    ridge = observed_best_ridge(lam0, n, abar)
    levels = (1 - abar + np.r_[ridge, tried]) / abar
    losses = observed(lam0, n, levels, abar=abar).test
    assert losses[0] <= losses[1:].min() + 1e-9


def test_observed_defines_its_singular_cases():
    lam0 = simulated(power_law(40, 1.0), 15, 0, centred=True)[0]
    assert (lam0 > 0).sum() == 14
    bare = observed(lam0, 15, 0.0)
    assert bare.test == bare.cross == np.inf
    assert bare.train == pytest.approx(14)
    short = observed(lam0[lam0 > 0], 15, 0.2, d=40)
    for one, other in zip(observed(lam0, 15, 0.2), short):
        assert one == pytest.approx(other, rel=1e-12)
    nothing = observed(np.zeros(6), 9, [0.0, 1.0])
    assert not np.isnan(np.array(nothing)).any()
    assert (nothing.unseen == 0).all()
    assert observed_best_c(np.zeros(6), 9) == 0.0
    constant = np.r_[
        np.zeros(4), simulated(power_law(8, 1.0), 50, 0, centred=True)[0]
    ]  # pixels that are always black
    assert observed(constant, 50, 0.0).unseen == 0.0
    assert observed_best_c(constant, 50) == pytest.approx(
        observed_best_c(constant[4:], 50), rel=1e-9
    )
    assert isinstance(observed(torch.tensor(lam0), 15, 0.1).test, torch.Tensor)
    many = observed(np.stack([lam0, 2 * lam0]), np.array([15, 16]), 0.1).test
    assert many[1] == pytest.approx(observed(2 * lam0, 16, 0.1).test, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: kappa([1.0, -1.0], 3, 0.1), "spectrum"),
        (lambda: kappa([1.0, np.nan], 3, 0.1), "spectrum"),
        (lambda: kappa([1.0], 0, 0.1), "n"),
        (lambda: deterministic([1.0], 3, -0.1), "c"),
        (lambda: deterministic([1.0], 0.5, 0.1, centred=True), "n"),
        (lambda: deterministic([1.0], 3, 0.1, abar=0.5), "c"),
        (lambda: deterministic([1.0], 3, 0.1, abar=1.5), "abar"),
        (lambda: oracle_variances([1.0], 3, [-1.0]), "x"),
        (lambda: best_c([1.0, 0.0], 3), "spectrum"),
        (lambda: best_c([1.0], 3, "both"), "direction"),
        (lambda: samples_needed([1.0], 0.0), "kl_per_dim"),
        (lambda: samples_needed([1.0], 0.1, c="better"), "c"),
        (lambda: samples_needed([1.0], 0.001, c=5.0), "no number"),
        (lambda: samples_for_gap([1.0], 1.0, 0.1), "abar"),
        (lambda: samples_for_gap([1.0], 0.5, 0.0), "share"),
        (lambda: observed([1.0, 1.0], 1, 0.1), "n"),
        (lambda: observed([1.0, 1.0], 2, 0.1), "lam0"),
        (lambda: observed([1.0, 1.0], 5, 0.1, d=1), "d"),
    ],
)
def test_a_bad_argument_is_named(call, name):
    with pytest.raises(ValueError, match=rf"^{name} "):
        call()
