"""Numbers of single training sets against brute force, and their expectation against averages."""

from __future__ import annotations

import numpy as np
import pytest
from rates import sigmas
from scipy.optimize import minimize_scalar

from denoscope.data.population import MeanCovariance, Population, TrainingSet
from denoscope.data.realised import realised_numbers
from denoscope.theory.linear import bayes_loss_of, covariance_error, deterministic
from denoscope.theory.linear.expectations import expected_numbers, sampled_floors
from denoscope.theory.linear.laws import abars, slide_betas
from denoscope.theory.spectra import power_law

BETAS = slide_betas(60)
ABAR = 0.9


def _law(k: float, d: int) -> Population:
    return Population(f"power{k}", power_law(d, k))


def _realised(law: Population, n: int, count: int, betas: np.ndarray = BETAS):
    sets = [TrainingSet.draw(law, n, seed) for seed in range(count)]
    return realised_numbers(sets, law.spectrum, n, ABAR, betas)


def _loss(
    weights: np.ndarray, shift: np.ndarray, truth: np.ndarray, mean: np.ndarray, abar: float
) -> float:
    """E |eps - W (x_t + b)|^2, from matrices alone."""
    noisy = abar * truth + (1 - abar) * np.eye(len(truth))
    off = weights @ (np.sqrt(abar) * mean + shift)
    traces = np.trace(weights @ noisy @ weights.T) - 2 * np.sqrt(1 - abar) * np.trace(weights)
    return float(len(truth) + traces + off @ off)


def _optimum(cov: np.ndarray, abar: float, ridge: float = 0.0) -> np.ndarray:
    return np.sqrt(1 - abar) * np.linalg.inv(abar * cov + (1 - abar + ridge) * np.eye(len(cov)))


@pytest.mark.parametrize("n", [5, 30])
def test_losses_are_those_of_matrices(n: int) -> None:
    law = _law(1, 12)
    found, truth, zero = _realised(law, n, 2), np.diag(law.spectrum), np.zeros(12)
    for seed in range(2):
        own = MeanCovariance.of(law.draw(n, seed)[0])

        def test(ridge: float, y: float = ABAR, own: MeanCovariance = own) -> float:
            weights = _optimum(own.cov, y, ridge)
            return _loss(weights, -np.sqrt(y) * own.mean, truth, zero, y) / 12

        shift = -np.sqrt(ABAR) * own.mean
        train = _loss(_optimum(own.cov, ABAR), shift, own.cov, own.mean, ABAR) / 12
        assert found["train"][seed] == pytest.approx(train, rel=1e-10)
        assert found["test"][seed] == pytest.approx(test(0.0), rel=1e-10)
        assert found["gap"][seed] == pytest.approx(test(0.0) - train, rel=1e-9)
        every = [test(0.0, y) for y in abars(BETAS)]
        assert found["test_mean"][seed] == pytest.approx(np.mean(every), rel=1e-10)
        look = {"bounds": (-9, 2), "method": "bounded", "options": {"xatol": 1e-9}}
        best = minimize_scalar(lambda log: test(np.exp(log)), **look)  # pyright: ignore[reportArgumentType, reportCallIssue]
        assert found["test_ridge"][seed] == pytest.approx(best.fun, rel=1e-9)  # pyright: ignore[reportAttributeAccessIssue]
        assert found["ridge"][seed] == pytest.approx(np.exp(best.x), rel=1e-3)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("n", [5, 30])
def test_the_best_stopping_time_beats_every_other(n: int) -> None:
    law = _law(2, 10)
    found, own = _realised(law, n, 1), MeanCovariance.of(law.draw(n, 0)[0])
    values, vectors = np.linalg.eigh(ABAR * own.cov + (1 - ABAR) * np.eye(10))
    shift, losses = -np.sqrt(ABAR) * own.mean, []
    for k in np.geomspace(0.01, 1000, 600):
        weights = np.sqrt(1 - ABAR) * (vectors * (-np.expm1(-k * values) / values)) @ vectors.T
        losses.append(_loss(weights, shift, np.diag(law.spectrum), np.zeros(10), ABAR) / 10)
    assert found["test_stopped"][0] == pytest.approx(min(losses), rel=1e-3)
    assert found["test_stopped"][0] <= min(losses) * (1 + 1e-12)


def _kl(cov: np.ndarray, mean: np.ndarray, other: np.ndarray, shift: np.ndarray) -> float:
    """KL(N(mean, cov) || N(shift, other))."""
    inverse, off = np.linalg.inv(other), mean - shift
    logs = np.linalg.slogdet(other)[1] - np.linalg.slogdet(cov)[1]
    return 0.5 * float(np.trace(inverse @ cov) - len(cov) + logs + off @ inverse @ off)


def test_divergences_are_those_of_the_samplers_own_recursion() -> None:
    """DDPM as matrices: mean and covariance of x_{t-1} from those of x_t, with the weights of the
    training set, noise in the last step.
    """
    law, n = _law(1, 6), 9
    found, own = _realised(law, n, 1), MeanCovariance.of(law.draw(n, 0)[0])
    cov, mean = np.eye(6), np.zeros(6)
    for beta, abar in list(zip(BETAS, abars(BETAS)))[::-1]:
        pull = beta / np.sqrt(1 - abar) * _optimum(own.cov, abar)
        step = (np.eye(6) - pull) / np.sqrt(1 - beta)
        mean = step @ mean + pull @ (np.sqrt(abar) * own.mean) / np.sqrt(1 - beta)
        cov = step @ cov @ step.T + beta * np.eye(6)
    truth, zero = np.diag(law.spectrum), np.zeros(6)
    assert found["kl"][0] == pytest.approx(_kl(cov, mean, truth, zero) / 6, rel=1e-9)
    assert found["kl_reverse"][0] == pytest.approx(_kl(truth, zero, cov, mean) / 6, rel=1e-9)


@pytest.mark.parametrize(("k", "n"), [(0, 12), (1, 20), (2, 80)])
def test_the_error_of_the_covariance_is_exact_at_any_size(k: int, n: int) -> None:
    law = _law(k, 25)
    errors = []
    for seed in range(400):
        own = MeanCovariance.of(law.draw(n, seed)[0])
        errors.append(((own.cov - np.diag(law.spectrum)) ** 2).sum() / (law.spectrum**2).sum())
    wanted = covariance_error(25.0**2 / float((law.spectrum**2).sum()), float(n))
    assert abs(np.mean(errors) - wanted) < sigmas(3) * np.std(errors, ddof=1) / 20


@pytest.mark.parametrize("k", [0, 1, 2])
def test_theory_is_the_average_of_simulation(k: int) -> None:
    """Relative differences at d = 60, away from N = d: those of a theory of large d and 60 training
    sets.
    """
    law, betas = _law(k, 60), slide_betas(1000)
    for n in (20, 180):
        found = _realised(law, n, 60, betas)
        wanted = expected_numbers(law.spectrum, [float(n)], ABAR, betas)
        for name in wanted.keys() & found.keys():
            theory = float(wanted[name][0])
            error = found[name].std(ddof=1) / np.sqrt(60)
            off = abs(found[name].mean() - theory)
            assert theory <= 0 or off < 0.04 * theory + sigmas(90) * error, (name, n)


def test_losses_over_the_schedule_are_averages_over_its_levels() -> None:
    law, betas = _law(2, 40), slide_betas(1000)
    wanted = expected_numbers(law.spectrum, [25.0, 60.0], ABAR, betas)
    for i, n in enumerate((25.0, 60.0)):
        every = deterministic(law.spectrum, n, 1 / abars(betas) - 1, centred=True)
        assert wanted["train_mean"][i] == pytest.approx(every.train.mean() / 40, rel=1e-6)
        assert wanted["test_mean"][i] == pytest.approx(every.test.mean() / 40, rel=1e-6)


def test_the_lower_bound_is_one_and_nearly_the_gap() -> None:
    wanted = expected_numbers(power_law(60, 1), [10.0, 30.0, 50.0], 0.99, slide_betas(10))
    assert (wanted["bound"] < wanted["gap"]).all()
    assert (wanted["bound"] > 0.7 * wanted["gap"]).all()


def test_floors_are_the_divergence_of_endless_data() -> None:
    spectrum = power_law(20, 2)
    wanted = expected_numbers(spectrum, [1e9], ABAR, BETAS)
    for name, floor in sampled_floors(spectrum, BETAS).items():
        assert floor > 0
        assert float(wanted[name][0]) == pytest.approx(floor, rel=1e-4)
    bayes = bayes_loss_of(spectrum, ABAR) / 20
    assert float(wanted["test"][0]) == pytest.approx(bayes, rel=1e-6)
