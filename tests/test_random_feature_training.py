"""Simulated features against brute force and the theory, and the study in small."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from denoscope.cli import main
from denoscope.fitting.simulated_features import SimulatedFeatures, simulated
from denoscope.store import Row
from denoscope.studies.random_feature_training import RandomFeatureTraining, outside, summit
from denoscope.theory.random_features import losses


def _features(p: int, n: int, noises: int, seed: int = 0, d: int = 20) -> SimulatedFeatures:
    return simulated(d, p, n, 0.1, noises, np.random.default_rng(seed))


def test_keys_and_defaults_are_frozen() -> None:
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())
    golden = golden["random_feature_training"]
    cells = {"default": RandomFeatureTraining(), "m=1": RandomFeatureTraining(noises=1)}
    assert golden["version"] == RandomFeatureTraining.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(RandomFeatureTraining().fields()))


def test_exact_averages_are_those_of_many_noises() -> None:
    """The same features and points, 20 000 noises each: within five standard errors."""
    exact, drawn = _features(15, 10, 0), _features(15, 10, 20_000)
    assert np.abs(exact.u - drawn.u).max() < 5 / math.sqrt(200_000)
    assert np.abs(exact.v - drawn.v).max() < 10 / math.sqrt(200_000)
    assert np.array_equal(exact.law_u, drawn.law_u)
    many = _features(15, 60_000, 1)
    assert np.abs(many.law_u - many.u).max() < 5 / math.sqrt(60_000)
    assert np.abs(many.law_v - many.v).max() < 10 / math.sqrt(60_000)


def test_losses_are_those_of_the_matrices() -> None:
    """Gradient descent on A itself, and the normal equations, without the eigenbasis."""
    f, d = _features(12, 30, 0), 20
    p, root = len(f.u), math.sqrt(f.noise)

    def at(a: np.ndarray) -> tuple[float, float]:
        quadratic = ((f.u, f.v), (f.law_u, f.law_v))
        return tuple(  # pyright: ignore[reportReturnType]
            1 + (f.noise * np.trace(a @ u @ a.T) + 2 * root * np.trace(a @ v)) / d
            for u, v in quadratic
        )

    fitted = -np.linalg.solve(f.u + 0.1 * np.eye(p), f.v).T / root
    assert f.fitted(0.1) == pytest.approx(at(fitted), rel=1e-9)
    a, tau, steps = np.zeros((d, p)), 3.0, 20_000
    for _ in range(steps):
        gradient = 2 * (f.noise * a @ f.u + root * f.v.T) / d
        a -= tau / steps * d**2 / p * gradient
    assert f.trained(tau) == pytest.approx(at(a), rel=1e-3)
    assert f.trained(0.0) == (1.0, 1.0)
    train = [f.trained(tau)[0] for tau in (1, 10, 100, 1e4)]
    assert train == sorted(train, reverse=True)


@pytest.mark.parametrize(
    ("features", "per_d", "noises", "ridge"),
    [
        (2, 4, 0, 0.01),
        (4, 8, 0, 1e-4),
        (4, 8, 0, 1.0),
        (8, 4, 0, 0.1),
        (1, 2, 1, 1.0),
        (4, 2, 1, 1.0),
        (2, 4, 4, 0.1),
        (6, 2, 2, 0.1),
    ],
)
def test_losses_are_near_theory(features: float, per_d: float, noises: int, ridge: float) -> None:
    """Within 3 standard errors or 2 % at d = 100."""
    d = 100
    made = np.array(
        [
            _features(int(features * d), int(per_d * d), noises, seed, d).fitted(ridge)
            for seed in range(4)
        ]
    )
    expected = losses(features, per_d, 0.1, ridge, noises=noises or math.inf)
    allowed = np.maximum(3 * made.std(0, ddof=1) / 2, 0.02 * np.array(expected[:2]))
    assert (np.abs(made.mean(0) - expected[:2]) < allowed).all()


def test_where_a_curve_is_largest() -> None:
    sizes = np.array([1.0, 2, 4, 8, 16])
    parabola = 3 - (np.log2(sizes) - 1.3) ** 2
    noise = 0.01 * np.random.default_rng(0).standard_normal((5, 6))
    found = summit(sizes, list(parabola[:, None] + noise))(0.95)
    assert found.low < 2**1.3 < found.high
    assert found.value == pytest.approx(2**1.3, rel=0.02)


def test_eigenvalues_off_the_bulks_are_counted() -> None:
    values, bulks = np.array([0.1, 0.1, 1.0, 1.5, 3.0, 9.0]), np.array([[1.0, 2.0], [8.0, 9.0]])
    assert outside(values, 2 / 6, bulks) == pytest.approx(1 / 6)
    assert outside(values, 0.0, bulks) == pytest.approx(3 / 6)


@pytest.mark.slow
def test_cells_are_their_theory_and_their_draws(tiny: Callable[[str, str], list[Row]]) -> None:
    found = RandomFeatureTraining.found(tiny("random_feature_training", "all"))
    assert all(r.value.shape == (3,) for r in found.of("loss", "spectrum", "course"))
    end = found.of("loss", loss="train").first("ridge")
    assert all(np.mean(r.value) < 1 for r in end)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--ridge 0 0.1", "--ridge (0.0, 0.1): must be positive numbers"),
        ("--features 0", "--features 0.0: must be a positive number"),
        ("--noises -1", "--noises -1: must be at least 0"),
        ("--features 1000", "--features 1000.0: 64000 features are too many"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "s")
    assert main(["run", "random_feature_training", *words.split(), "--store", store]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
