"""Random features: constants against their definitions, spectra and losses against finite matrices
and the published equations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import optimize

from denoscope.theory.random_features import (
    atom,
    constants,
    density,
    generalization_bulk,
    generalization_time,
    losses,
    memorization_bulk,
    memorization_time,
    relaxation_time,
    support,
)
from denoscope.theory.random_features.resolvent import Ensemble

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(240)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def soft(x: np.ndarray) -> np.ndarray:
    """Odd, and unbounded: x^3 with a sine."""
    return 0.2 * x**3 + np.sin(x)


@pytest.mark.parametrize(("activation", "scale"), [(np.tanh, 1.0), (soft, 1.0), (np.arctan, 1.0)])
@pytest.mark.parametrize(("time", "variance"), [(0.1, 1.0), (0.01, 0.4), (1.3, 2.0)])
def test_constants_are_their_definitions(
    activation: Callable[[np.ndarray], np.ndarray], scale: float, time: float, variance: float
) -> None:
    """By Gauss-Hermite quadrature over signal and noise, so that a and b do not presuppose Stein's
    lemma.
    """
    k = constants(time, variance=variance, activation=activation)
    signal, noise = math.exp(-time) * math.sqrt(variance), math.sqrt(-math.expm1(-2 * time))
    values = activation(signal * NODES[:, None] + noise * NODES)
    shared = values @ WEIGHTS
    g = math.hypot(signal, noise)
    assert k.a == pytest.approx(WEIGHTS @ (shared * NODES) / signal, abs=1e-10)
    assert k.b == pytest.approx(WEIGHTS @ (values @ (WEIGHTS * NODES)), abs=1e-10)
    assert k.a == pytest.approx(k.mu / g, abs=1e-15)
    assert k.b**2 == pytest.approx(noise**2 * k.mu**2 / g**2, abs=1e-15)
    assert k.v**2 == pytest.approx(WEIGHTS @ shared**2 - k.a**2 * signal**2, abs=1e-10)
    assert k.s**2 == pytest.approx(
        WEIGHTS @ (values**2 @ WEIGHTS) - k.a**2 * signal**2 - k.v**2 - k.b**2, abs=1e-10
    )


def test_constants_of_tanh() -> None:
    for time, v2, s2, b in (
        (0.01, 0.025542, 0.001874, 0.085233),
        (0.1, 0.013841, 0.013574, 0.257884),
    ):
        k = constants(time)
        np.testing.assert_allclose(
            [k.mu, k.power, k.v**2, k.s**2, k.b], [0.605706, 0.394294, v2, s2, b], atol=6e-7
        )
    pure = constants(0.5, variance=0.0)
    assert (pure.v, pure.b) == pytest.approx((0.0, math.sqrt(-math.expm1(-1.0)) * pure.a), abs=1e-7)


CASES = [
    (4.0, 8.0, 0.1, None, math.inf),
    (64.0, 8.0, 0.01, [0.5, 1.5], math.inf),
    (16.0, 4.0, 0.1, [0.0, 0.0, 1.0, 3.0], 4.0),
    (0.5, 3.0, 0.3, None, 2.0),
    (6.0, 2.0, 0.1, None, 16.0),
]


@pytest.mark.parametrize("z", [-1e-3, -2.0, 0.05 + 0.01j, 1.0 + 1e-6j])
@pytest.mark.parametrize(("psi_p", "psi_n", "time", "spectrum"), [case[:4] for case in CASES])
def test_the_resolvent_solves_the_published_equations(
    psi_p: float, psi_n: float, time: float, spectrum: list | None, z: complex
) -> None:
    """Bonnaire et al. 2025 for exactly averaged noise, as printed; E <, > over the spectrum."""
    model = Ensemble.of(psi_p, psi_n, time, spectrum, math.inf, np.tanh)
    away = -1.0 if z.real < 0 else 1j
    q = complex(model.solve(np.asarray(z), away, np.asarray(1e-7)).state[..., 0])
    k, lam = model.constants, np.asarray([1.0] if spectrum is None else spectrum)
    signal, s_hat = k.a**2 * math.exp(-2 * time), k.b**2 * psi_p + 1 / q
    point = model.solve(np.asarray(z), away, np.asarray(1e-7))
    d = complex(1 / point.state[..., 1])
    r_hat = psi_p * signal / d
    s, r = np.mean(1 / (s_hat + lam * r_hat)), np.mean(lam / (s_hat + lam * r_hat))
    assert complex(point.s) == pytest.approx(s, rel=1e-9)
    assert d == pytest.approx(1 + psi_p / psi_n * (signal * r + k.v**2 * q), rel=1e-9)
    parts = np.array([psi_p * (k.s**2 - z), psi_p * k.v**2 / d, (1 - psi_p) / q, -s / q**2])
    assert abs(parts.sum()) < 1e-8 * abs(parts).max()
    assert q.imag > 0 or q.real > 0


def flat(
    psi_p: float, psi_n: float, m: float, time: float, z: float, zeta: float, start: np.ndarray
) -> np.ndarray:
    """(q, r) of the theorem of Urfin et al. 2026 for a flat spectrum, by a root finder of scipy."""
    k = constants(time)
    signal, noise, mu2, rest = (
        math.exp(-2 * time),
        -math.expm1(-2 * time),
        k.mu**2,
        k.power - k.mu**2,
    )
    kappa = k.v**2 / rest

    def equations(logs: np.ndarray) -> list[float]:
        q, r = np.exp(logs)
        l1, l2 = ells(q, r)
        first = (
            1 / q
            + mu2 * psi_p * (signal + noise / m) / l1
            + (m - 1) * mu2 * psi_p * noise / (m * l2)
            - 1 / r
            - psi_p * zeta
        )
        second = (1 - psi_p) / q - r / q**2 + (1 + (m - 1) * kappa) * rest * psi_p / (m * l1)
        second += (m - 1) * (1 - kappa) * rest * psi_p / (m * l2) - psi_p * z
        return [first * r, second * q]

    def ells(q: float, r: float) -> tuple[float, float]:
        share = psi_p / (psi_n * m)
        l1 = 1 + share * (mu2 * r * (signal * m + noise) + rest * q * (1 + (m - 1) * kappa))
        return l1, 1 + share * (mu2 * r * noise + rest * q * (1 - kappa))

    q, r = np.exp(optimize.root(equations, np.log(start), tol=1e-14).x)
    l1, l2 = ells(q, r)
    trace = 1 / l1 + (m - 1) / l2
    return np.array([q, r, trace, 1 - trace / m + mu2 * psi_p * noise * r * trace**2 / m**2])


@pytest.mark.parametrize(
    ("psi_p", "psi_n", "m"), [(1.0, 4.0, 1.0), (8.0, 4.0, 4.0), (32.0, 4.0, 1.0), (2.0, 1.5, 16.0)]
)
@pytest.mark.parametrize(("ridge", "time"), [(1e-2, 0.1), (1.0, 0.4)])
def test_finite_noises_are_the_published_theorem(
    psi_p: float, psi_n: float, m: float, ridge: float, time: float
) -> None:
    k, noise = constants(time), -math.expm1(-2 * time)
    found = losses(psi_p, psi_n, time, ridge, noises=m)
    point = Ensemble.of(psi_p, psi_n, time, None, m, np.tanh).solve(
        np.asarray(-ridge), -1.0, np.asarray(1e-3 * ridge)
    )
    start = np.array([float(point.state[..., 0]), float(point.s)])
    q, r, trace, value = flat(psi_p, psi_n, m, time, -ridge, 0.0, start)
    np.testing.assert_allclose(start, [q, r], rtol=1e-9)
    t2 = psi_p / m * k.mu * math.sqrt(noise) * r * trace
    h = 1e-4 * ridge
    by_z = (
        flat(psi_p, psi_n, m, time, -ridge + h, 0.0, start)[3]
        - flat(psi_p, psi_n, m, time, -ridge - h, 0.0, start)[3]
    ) / (2 * h)
    by_zeta = (
        flat(psi_p, psi_n, m, time, -ridge, h, start)[3]
        - flat(psi_p, psi_n, m, time, -ridge, -h, start)[3]
    ) / (2 * h)
    second = k.mu**2 * by_zeta + (k.power - k.mu**2) * by_z
    assert found.objective == pytest.approx(1 - value, rel=1e-9)
    assert found.train == pytest.approx(1 - value - ridge * by_z, rel=1e-5, abs=1e-7)
    assert found.test == pytest.approx(1 - 2 * k.mu * math.sqrt(noise) * t2 + second, rel=1e-5)
    assert found.bias == pytest.approx((1 - k.mu * t2 / math.sqrt(noise)) ** 2, rel=1e-8)
    assert found.score_error - found.bias == pytest.approx(
        second / noise - k.mu**2 * t2**2 / noise, rel=1e-4, abs=1e-7
    )


class Simulated(NamedTuple):
    u: np.ndarray
    v: np.ndarray
    fresh_u: np.ndarray
    fresh_v: np.ndarray
    slope: np.ndarray


def simulate(
    d: int,
    psi_p: float,
    psi_n: float,
    time: float,
    m: int,
    spectrum: np.ndarray,
    seed: int = 0,
    test: int = 15000,
) -> Simulated:
    """Second moments of real tanh features over n m noised points and over fresh ones, and the
    features' response to each mode.
    """
    source = np.random.default_rng(seed)
    p, n = round(psi_p * d), round(psi_n * d)
    w = source.standard_normal((p, d)) / math.sqrt(d)

    def moments(points: np.ndarray, repeats: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        u, v, slope = np.zeros((p, p)), np.zeros((p, d)), np.zeros((p, d))
        for _ in range(repeats):
            xi = source.standard_normal(points.shape)
            x = math.exp(-time) * points + math.sqrt(-math.expm1(-2 * time)) * xi
            f = np.tanh(x @ w.T)
            u += f.T @ f / (repeats * len(points))
            v += f.T @ xi / (repeats * len(points))
            slope += f.T @ x / (repeats * len(points))
        return u, v, slope

    def data(count: int) -> np.ndarray:
        return source.standard_normal((count, d)) * np.sqrt(spectrum)

    train_u, train_v, _ = moments(data(n), m)
    return Simulated(train_u, train_v, *moments(data(test), 1))


def ridge_fit(sim: Simulated, ridge: float) -> np.ndarray:
    """sqrt(D/p) A^T of the minimum."""
    return -np.linalg.solve(sim.u + ridge * np.eye(len(sim.u)), sim.v)


def loss(u: np.ndarray, v: np.ndarray, fit: np.ndarray) -> float:
    return 1 + (np.trace(fit.T @ u @ fit) + 2 * np.trace(fit.T @ v)) / v.shape[1]


@pytest.mark.parametrize(
    ("d", "psi_p", "psi_n", "time", "m", "levels", "ridges"),
    [
        (60, 4.0, 8.0, 0.1, 60, (1.0,), (1e-3, 1.0)),
        (150, 4.0, 4.0, 0.3, 1, (1.0,), (0.03, 0.5)),
        (80, 8.0, 3.0, 0.1, 4, (0.3, 1.7), (3e-2, 0.3)),
        (60, 1.0, 6.0, 0.2, 2, (0.0, 0.0, 1.0, 4.0), (1e-3, 0.3)),
        (80, 12.0, 3.0, 0.1, 10, (0.0, 2.0), (0.1, 0.5)),
    ],
)
def test_losses_are_those_of_finite_models(
    d: int,
    psi_p: float,
    psi_n: float,
    time: float,
    m: int,
    levels: tuple[float, ...],
    ridges: tuple[float, ...],
) -> None:
    spectrum = np.tile(levels, d)[:d]
    sim = simulate(d, psi_p, psi_n, time, m, spectrum)
    found = losses(psi_p, psi_n, time, ridges, spectrum=spectrum, noises=m)
    noised = math.exp(-2 * time) * spectrum - math.expm1(-2 * time)
    for i, ridge in enumerate(ridges):
        fit = ridge_fit(sim, ridge)
        assert found.train[i] == pytest.approx(loss(sim.u, sim.v, fit), rel=0.04)
        assert found.test[i] == pytest.approx(loss(sim.fresh_u, sim.fresh_v, fit), rel=0.04)
        penalty = ridge * np.square(fit).sum() / d
        assert found.objective[i] == pytest.approx(loss(sim.u, sim.v, fit) + penalty, rel=0.04)
        slope = (
            -(fit * sim.slope).sum(0) / math.sqrt(-math.expm1(-2 * time)) / noised
        )  # of the score, mode by mode
        mean = np.array([slope[spectrum == level].mean() for level in np.unique(spectrum)])
        bias = (
            noised * (1 / noised - mean[np.searchsorted(np.unique(spectrum), spectrum)]) ** 2
        ).mean()
        assert found.bias[i] == pytest.approx(bias, rel=0.15, abs=0.05 / noised.min())


def test_finite_models_approach_the_losses_as_one_over_their_dimension() -> None:
    """A small ridge on a linear manifold, where the distance is large: the ratio to the theory at d
    = 20 and 80.
    """

    def distance(d: int, seeds: int) -> float:
        spectrum = np.tile([0.0, 2.0], d)[:d]
        sims = [simulate(d, 8.0, 3.0, 0.1, 4, spectrum, seed, test=6000) for seed in range(seeds)]
        test = np.mean([loss(sim.fresh_u, sim.fresh_v, ridge_fit(sim, 1e-2)) for sim in sims])
        return abs(test / losses(8.0, 3.0, 0.1, 1e-2, spectrum=spectrum, noises=4).test - 1)

    near, far = distance(80, 2), distance(20, 8)
    assert 0.05 < far < 0.25
    assert near < 0.45 * far


def test_published_losses() -> None:
    """Theory values of an independent implementation of the same formulas, t = 0.1, flat
    spectrum.
    """
    wide = losses(4, 8, 0.1, [1e-4, 1.0])
    np.testing.assert_allclose([*wide.train[:1], *wide.test], [0.7765, 0.8956, 0.8587], atol=6e-5)
    over = losses(16, 4, 0.1, [1e-4, 0.1])
    np.testing.assert_allclose([over.train[0], *over.test], [0.4934, 1.836, 0.9313], atol=5e-4)
    noisy = losses([1, 4, 32, 8, 4], 4, 0.1, 1e-3, noises=[1, 1, 1, 4, 16])
    np.testing.assert_allclose(noisy.test, [1.141, 3.061, 1.191, 1.918, 1.073], atol=6e-4)


@pytest.mark.parametrize(
    ("m", "place", "height"), [(1, 4.1, 3.07), (2, 8.4, 2.96), (4, 17.0, 2.97), (16, 69.5, 3.49)]
)
def test_the_test_loss_peaks_where_parameters_interpolate_all_noised_points(
    m: int, place: float, height: float
) -> None:
    psi_p = np.geomspace(2.0, 30.0, 400) * m
    test = losses(psi_p, 4, 0.1, 1e-3, noises=m).test
    assert psi_p[test.argmax()] == pytest.approx(place, rel=0.035)
    assert test.max() == pytest.approx(height, abs=0.012)
    sharp = losses(psi_p, 3, 0.2, 1e-7, noises=m).test
    assert psi_p[sharp.argmax()] == pytest.approx(3 * m, rel=0.01)


def test_exact_averages_have_no_peak_and_are_the_limit_of_many_noises() -> None:
    psi_p = np.geomspace(1.0, 300.0, 60)
    test = losses(psi_p, 4, 0.1, 1e-3).test
    assert (np.diff(test[5:]) > 0).all()
    for field, limit in zip(losses(psi_p, 4, 0.1, 1e-3, noises=1e8), losses(psi_p, 4, 0.1, 1e-3)):
        np.testing.assert_allclose(field, limit, rtol=1e-5)


@pytest.mark.parametrize("spectrum", [None, [0.0, 0.5, 4.0]])
def test_limits_of_ridge_and_data(spectrum: list[float] | None) -> None:
    lam = np.asarray([1.0] if spectrum is None else spectrum)
    score = (1 / (math.exp(-0.4) * lam - math.expm1(-0.4))).mean()
    stiff = losses(5, 3, 0.2, 1e9, spectrum=spectrum)
    np.testing.assert_allclose(stiff, [1.0, 1.0, 1.0, score, score], rtol=1e-6)
    rich = losses(5, 1e9, 0.2, 1e-3, spectrum=spectrum)
    assert rich.train == pytest.approx(rich.test, abs=1e-6)
    assert rich.train < losses(2, 1e9, 0.2, 1e-3, spectrum=spectrum).train  # more features, better
    assert losses(1e4, math.inf, 0.2, 1e-6, spectrum=spectrum).score_error < 0.02 * score
    assert (
        losses(5, 3, 0.2, 0.0, spectrum=spectrum).train
        < losses(5, 3, 0.2, 1e-2, spectrum=spectrum).train
    )


@pytest.mark.parametrize("noises", [1.0, 7.0, math.inf])
def test_losses_are_consistent_with_each_other(noises: float) -> None:
    """The objective's derivative along the ridge is the penalty over the ridge; errors are bias
    plus variance; test is above train.
    """
    ridge, h = np.geomspace(1e-3, 10, 9), 1e-4
    spectrum = [0.2, 1.0, 2.0]
    found = losses(6, 2, 0.15, ridge, spectrum=spectrum, noises=noises)
    steps = [
        losses(6, 2, 0.15, ridge * math.exp(sign * h), spectrum=spectrum, noises=noises).objective
        for sign in (1, -1)
    ]
    np.testing.assert_allclose(
        found.objective - found.train, (steps[0] - steps[1]) / (2 * h), rtol=1e-5
    )
    for rising in (
        found.test - found.train,
        np.diff(found.train),
        found.score_error - found.bias,
        found.bias,
    ):
        assert (rising > 0).all()


def nodes(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """A quadrature for densities with square-root ends, or a hard one."""
    angle = (np.arange(600) + 0.5) / 600 * math.pi
    x = low + (high - low) * (1 - np.cos(angle)) / 2
    return x, (high - low) / 2 * np.sin(angle) * math.pi / 600


@pytest.mark.parametrize(
    ("psi_p", "psi_n", "time", "spectrum", "noises"),
    [*CASES, (4.0, 4.0, 0.1, None, 1.0), (16.0, math.inf, 0.1, [0.3, 1.0], math.inf)],
)
def test_densities_and_atom_hold_all_eigenvalues_and_their_mean(
    psi_p: float, psi_n: float, time: float, spectrum: list | None, noises: float
) -> None:
    place, weight = atom(psi_p, psi_n, time, spectrum=spectrum, noises=noises)
    mass, mean = weight, weight * place
    for low, high in support(psi_p, psi_n, time, spectrum=spectrum, noises=noises):
        x, w = nodes(low, high)
        rho = density(x, psi_p, psi_n, time, spectrum=spectrum, noises=noises)
        assert (rho >= 0).all()
        mass, mean = mass + w @ rho, mean + w @ (rho * x)
    assert mass == pytest.approx(1.0, abs=1e-6)
    variance = 1.0 if spectrum is None else float(np.mean(spectrum))
    assert mean == pytest.approx(constants(time, variance=variance).power, rel=1e-5)


@pytest.mark.parametrize(
    ("psi_p", "psi_n", "time", "m", "levels", "distance"),
    [
        (4.0, 6.0, 0.2, 2, (1.0,), 0.03),
        (8.0, 2.0, 0.1, 8, (0.2, 1.8), 0.03),
        (8.0, 4.0, 0.05, 30, (1.0,), 0.08),
    ],
)
def test_eigenvalues_of_a_finite_matrix_fall_into_the_bulks(
    psi_p: float, psi_n: float, time: float, m: int, levels: tuple[float, ...], distance: float
) -> None:
    """Each gap parts exactly the number that the densities say; Kolmogorov distances and the ends
    are of finite size.
    """
    d = 120
    spectrum = np.tile(levels, d)[:d]
    eigenvalues = np.linalg.eigvalsh(simulate(d, psi_p, psi_n, time, m, spectrum, test=2).u)
    bulks = support(psi_p, psi_n, time, spectrum=spectrum, noises=m)
    below = 0.0
    for i, (low, high) in enumerate(bulks):
        x, w = nodes(low, high)
        reached = below + np.cumsum(w * density(x, psi_p, psi_n, time, spectrum=spectrum, noises=m))
        assert np.abs(np.searchsorted(eigenvalues, x) / len(eigenvalues) - reached).max() < (
            distance if i == 0 else 0.008
        )
        count = round(reached[-1] * len(eigenvalues))
        assert reached[-1] == pytest.approx(count / len(eigenvalues), abs=1e-4)
        assert eigenvalues[count - 1] == pytest.approx(high, rel=0.12)
        if i + 1 < len(bulks):
            assert (eigenvalues < math.sqrt(high * bulks[i + 1, 0])).sum() == count
        below = reached[-1]


def test_the_atom_is_the_share_of_directions_without_data() -> None:
    eigenvalues = np.linalg.eigvalsh(simulate(40, 9.0, 2.0, 0.1, 3, np.ones(40), test=2).u)
    place, weight = atom(9.0, 2.0, 0.1, noises=3)
    assert (place, weight) == (0.0, pytest.approx((np.abs(eigenvalues) < 1e-12).mean(), abs=1e-12))


def test_the_two_bulks_of_memorization_and_generalization() -> None:
    """In their limit the bulks' ends are the closed forms; the population has the upper one
    alone.
    """
    far = support(4e4, 400.0, 0.1)
    low, high = memorization_bulk(4e4, 400.0, 0.1)
    assert far[-2] == pytest.approx([low, high], rel=0.02)
    assert far[-1] == pytest.approx(
        generalization_bulk(4e4, 0.1), rel=0.25
    )  # (1 ± 1/sqrt(psi_n))-like corrections
    np.testing.assert_allclose(
        support(16.0, math.inf, 0.1)[-1], generalization_bulk(16.0, 0.1), rtol=1e-5
    )
    np.testing.assert_allclose(
        support(16.0, math.inf, 0.1, spectrum=[2.0])[-1],
        generalization_bulk(16.0, 0.1, variance=2.0),
        rtol=1e-5,
    )
    k = constants(0.1)
    assert atom(64, 8, 0.1) == pytest.approx((k.s**2, 1 - 9 / 64))
    assert atom(16, math.inf, 0.1) == pytest.approx((k.s**2 + k.v**2, 15 / 16))
    assert atom(4, 8, 0.1)[1] == atom(8, 4, 0.1, noises=2)[1] == 0.0
    assert density([k.s**2, -1.0, 1e6], 64, 8, 0.1).tolist() == pytest.approx([0.0] * 3, abs=1e-9)


def test_memorization_takes_a_time_proportional_to_the_data_and_generalization_does_not() -> None:
    psi_n = np.array([50.0, 100.0, 200.0])
    memory = memorization_time(1e7, psi_n, 0.1)
    np.testing.assert_allclose(memory[1:] / memory[:-1], 2.0, rtol=0.01)
    noise, k = -math.expm1(-0.2), constants(0.1)
    assert memory[0] == pytest.approx(50.0 / (noise * k.v**2), rel=0.02)
    assert generalization_time(1e7, 0.1) == pytest.approx(1 / (noise * k.mu**2), rel=0.01)
    assert relaxation_time(0.0, 4.0, 0.1) == math.inf


def test_gradient_flow_learns_the_modes_of_u_within_their_times_and_memorizes_late() -> None:
    """dA/dtau = -d^2 grad L from zero at psi_p = 16, psi_n = 4, t = 0.1: (train, test) after tau =
    10, 100, 1000, 10000.
    """
    d, psi_p, psi_n, time = 40, 16.0, 4.0, 0.1
    sim = simulate(d, psi_p, psi_n, time, 100, np.ones(d))
    u, vectors = np.linalg.eigh(sim.u)

    def after(tau: float) -> tuple[float, float]:
        learned = -np.expm1(-2 * tau / (2 * relaxation_time(u, psi_p, time)))
        fit = -vectors @ ((learned / u)[:, None] * (vectors.T @ sim.v))
        return loss(sim.u, sim.v, fit), loss(sim.fresh_u, sim.fresh_v, fit)

    table = np.array([after(tau) for tau in (10.0, 100.0, 1e3, 1e4)])
    np.testing.assert_allclose(
        table, [(0.820, 0.838), (0.756, 0.882), (0.607, 1.075), (0.508, 1.722)], rtol=0.05
    )
    final = losses(psi_p, psi_n, time, 1e-9, noises=100)
    assert after(1e9) == pytest.approx((final.train, final.test), rel=0.06)
    early, late = (
        after(generalization_time(psi_p, time)),
        after(memorization_time(psi_p, psi_n, time)),
    )
    whole = final.test - final.train
    assert early[1] - early[0] < 0.05 * whole
    assert 0.3 < (late[1] - late[0]) / whole < 0.9

    grid, steps = 0.05, 200  # the flow itself, by explicit Euler steps of the gradient
    fit = np.zeros_like(sim.v)
    for _ in range(steps):
        fit -= grid * 2 * -math.expm1(-2 * time) / psi_p * (sim.u @ fit + sim.v)
    assert (loss(sim.u, sim.v, fit), loss(sim.fresh_u, sim.fresh_v, fit)) == pytest.approx(
        after(grid * steps), rel=2e-3
    )


def test_shapes_and_kinds() -> None:
    found = losses(
        torch.tensor([[2.0], [4.0]]),
        torch.tensor([1.0, 3.0, 5.0]),
        0.1,
        0.1,
        spectrum=torch.tensor([1.0, 0.0]),
    )
    assert isinstance(found.test, torch.Tensor)
    assert all(field.shape == (2, 3) for field in found)
    single = losses(4, 3, 0.1, 0.1, spectrum=[1.0, 0.0])
    assert isinstance(single.test, float)
    assert single.test == pytest.approx(float(found.test[1, 1]), rel=1e-12)
    assert density(np.ones((2, 3)), 4, 3, 0.1).shape == (2, 3)


@pytest.mark.parametrize(
    ("psi_p", "psi_n", "time", "ridge", "spectrum", "noises"),
    [
        (1e3, 1e-2, 0.1, 1e-6, None, 4.0),
        (1e-3, 1e3, 0.1, 1e-6, None, 1.0),
        (4.0, 4.0, 1e-4, 1e-10, None, 1.0),
        (9.0, 3.0, 8.0, 1e-6, [0.0], math.inf),
        (1.0, 1.0, 0.3, 1e-8, [0.0, 1e4, 1.0], 3.0),
        (1e5, 1e2, 0.01, 0.0, np.arange(1, 400.0) ** -2, math.inf),
    ],
)
def test_extreme_sizes_have_finite_losses(
    psi_p: float, psi_n: float, time: float, ridge: float, spectrum: list | None, noises: float
) -> None:
    found = losses(psi_p, psi_n, time, ridge, spectrum=spectrum, noises=noises)
    assert all(math.isfinite(value) for value in found)
    assert -1e-9 <= found.train <= found.objective + 1e-9 <= 1 + 2e-9
    assert found.score_error >= found.bias - 1e-6 >= -1e-6


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: constants(0.0), "time"),
        (lambda: constants(0.1, activation=np.cos), "odd"),
        (lambda: constants(0.1, activation=lambda x: 2 * x), "linear"),
        (lambda: losses(0.0, 1.0, 0.1, 0.1), "psi_p"),
        (lambda: losses(1.0, math.nan, 0.1, 0.1), "psi_n"),
        (lambda: losses(1.0, 1.0, 0.1, -0.1), "ridge"),
        (lambda: losses(1.0, 1.0, 0.1, 0.0, noises=2), "ridge"),
        (lambda: losses(1.0, 1.0, 0.1, 0.1, noises=0.5), "noises"),
        (lambda: losses(1.0, 1.0, 0.1, 0.1, spectrum=[-1.0]), "spectrum"),
        (lambda: density([math.nan], 1.0, 1.0, 0.1), "x "),
        (lambda: relaxation_time(-1.0, 1.0, 0.1), "eigenvalue"),
    ],
)
def test_bad_input_is_one_line_that_names_it(call: Callable[[], object], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        call()
