"""The study of sample sizes in small: its numbers against brute force, its theory against averages,
its page whole.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from denoscope.studies._linear.population import Population, moments, population
from denoscope.studies._linear.twin import gaussian_twin
from rates import sigmas
from scipy.optimize import minimize_scalar

from denoscope import Estimate, grid, run
from denoscope.cli import main
from denoscope.report import Figure, Finding
from denoscope.store import Row, Store
from denoscope.studies._linear.by_size import TWIN
from denoscope.studies._linear.generalization.cells import Measured, compared, differences
from denoscope.studies._linear.generalization.expectations import bayes, expected, floors, frobenius
from denoscope.studies._linear.generalization.measurements import Levels, measured
from denoscope.studies._source import Source
from denoscope.studies.linear_generalization import SIZES, LinearGeneralization
from denoscope.study import swept

GOLDEN = json.loads((Path(__file__).parent / "golden_keys.json").read_text())[
    "linear_generalization"
]
SMALL = {"draws": 3, "steps": 40, "d": 12}
LEVELS = Levels(0.9, 60)


def _law(k: float, d: int) -> Population:
    return population(Source(f"power{k:g}"), d)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    cells = {
        "default": LinearGeneralization(),
        "n=8": LinearGeneralization(n=8),
        "digits": LinearGeneralization(data="digits", draws=5),
    }
    assert GOLDEN["version"] == LinearGeneralization.version
    assert GOLDEN["keys"] == {name: item.key() for name, item in cells.items()}
    assert GOLDEN["defaults"] == json.loads(json.dumps(LinearGeneralization().fields()))


def test_the_sweep_has_every_size_that_fits() -> None:
    cells = grid(LinearGeneralization, **swept(LinearGeneralization))
    assert len(cells) == 3 * len(SIZES) + sum(n <= 1797 // 2 for n in SIZES)
    assert 100 in SIZES


def _loss(
    weights: np.ndarray, shift: np.ndarray, truth: np.ndarray, mean: np.ndarray, abar: float
) -> float:
    """E |eps - W (x_t + b)|^2, from matrices alone."""
    noisy = abar * truth + (1 - abar) * np.eye(len(truth))
    off = weights @ (np.sqrt(abar) * mean + shift)
    return float(
        len(truth)
        - 2 * np.sqrt(1 - abar) * np.trace(weights)
        + np.trace(weights @ noisy @ weights.T)
        + off @ off
    )


def _optimum(cov: np.ndarray, abar: float, ridge: float = 0.0) -> np.ndarray:
    return np.sqrt(1 - abar) * np.linalg.inv(abar * cov + (1 - abar + ridge) * np.eye(len(cov)))


@pytest.mark.parametrize("n", [5, 30])
def test_losses_are_those_of_matrices(n: int) -> None:
    law = _law(1, 12)
    found = measured(law, n, 2, LEVELS)
    for seed in range(2):
        own = moments(law.draw(n, seed)[0])
        shift, zero = -np.sqrt(0.9) * own.mean, np.zeros(12)

        def test(ridge: float, own=own, shift=shift, zero=zero) -> float:
            return (
                _loss(_optimum(own.cov, 0.9, ridge), shift, np.diag(law.spectrum), zero, 0.9) / 12
            )

        train = _loss(_optimum(own.cov, 0.9), shift, own.cov, own.mean, 0.9) / 12
        assert found["train"][seed] == pytest.approx(train, rel=1e-10)
        assert found["test"][seed] == pytest.approx(test(0.0), rel=1e-10)
        assert found["gap"][seed] == pytest.approx(test(0.0) - train, rel=1e-9)
        every = [
            _loss(_optimum(own.cov, y), -np.sqrt(y) * own.mean, np.diag(law.spectrum), zero, y)
            for y in LEVELS.abars
        ]
        assert found["test_mean"][seed] == pytest.approx(np.mean(every) / 12, rel=1e-10)
        best = minimize_scalar(
            lambda log: test(np.exp(log)), bounds=(-9, 2), method="bounded", options={"xatol": 1e-9}
        )
        assert found["test_ridge"][seed] == pytest.approx(best.fun, rel=1e-9)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("n", [5, 30])
def test_the_best_stopping_time_beats_every_other(n: int) -> None:
    law = _law(2, 10)
    found = measured(law, n, 1, LEVELS)
    own = moments(law.draw(n, 0)[0])
    curvature = 0.9 * own.cov + 0.1 * np.eye(10)
    values, vectors = np.linalg.eigh(curvature)
    shift, losses = -np.sqrt(0.9) * own.mean, []
    for k in np.geomspace(0.01, 1000, 600):
        weights = np.sqrt(0.1) * (vectors * (-np.expm1(-k * values) / values)) @ vectors.T
        losses.append(_loss(weights, shift, np.diag(law.spectrum), np.zeros(10), 0.9) / 10)
    assert found["test_stopped"][0] == pytest.approx(min(losses), rel=1e-3)
    assert found["test_stopped"][0] <= min(losses) * (1 + 1e-12)


def _kl(cov: np.ndarray, mean: np.ndarray, other: np.ndarray, shift: np.ndarray) -> float:
    """KL(N(mean, cov) || N(shift, other))."""
    inverse = np.linalg.inv(other)
    logs = np.linalg.slogdet(other)[1] - np.linalg.slogdet(cov)[1]
    return 0.5 * float(
        np.trace(inverse @ cov) - len(cov) + logs + (mean - shift) @ inverse @ (mean - shift)
    )


def test_divergences_are_those_of_the_samplers_own_recursion() -> None:
    """DDPM as matrices: mean and covariance of x_{t-1} from those of x_t, with the weights of the
    training set, noise in the last step.
    """
    law, n = _law(1, 6), 9
    found = measured(law, n, 1, LEVELS)
    own = moments(law.draw(n, 0)[0])
    cov, mean = np.eye(6), np.zeros(6)
    for t in reversed(range(60)):
        beta, abar = LEVELS.betas[t], LEVELS.abars[t]
        weights = _optimum(own.cov, abar)
        step = (np.eye(6) - beta / np.sqrt(1 - abar) * weights) / np.sqrt(1 - beta)
        mean = step @ mean + beta / np.sqrt(1 - abar) * weights @ (
            np.sqrt(abar) * own.mean
        ) / np.sqrt(1 - beta)
        cov = step @ cov @ step.T + beta * np.eye(6)
    truth, zero = np.diag(law.spectrum), np.zeros(6)
    assert found["kl"][0] == pytest.approx(_kl(cov, mean, truth, zero) / 6, rel=1e-9)
    assert found["kl_reverse"][0] == pytest.approx(_kl(truth, zero, cov, mean) / 6, rel=1e-9)


@pytest.mark.parametrize(("k", "n"), [(0, 12), (1, 20), (2, 80)])
def test_the_error_of_the_covariance_is_exact_at_any_size(k: int, n: int) -> None:
    law = _law(k, 25)
    errors = measured(law, n, 400, Levels(0.9, 2))["frobenius"]
    wanted = float(frobenius(25.0**2 / float((law.spectrum**2).sum()), np.array(float(n))))
    assert abs(errors.mean() - wanted) < sigmas(3) * errors.std(ddof=1) / 20


@pytest.mark.parametrize("k", [0, 1, 2])
def test_theory_is_the_average_of_simulation(k: int) -> None:
    """Relative differences at d = 60, away from N = d: those of a theory of large d and 60 training
    sets.
    """
    law, levels = _law(k, 60), Levels(0.9, 1000)
    for n in (20, 180):
        found, wanted = (
            measured(law, n, 60, levels),
            expected(law.spectrum, np.array([float(n)]), levels),
        )
        for name, theory in wanted.items():
            if name not in found or theory[0] <= 0:
                continue
            error = found[name].std(ddof=1) / np.sqrt(60)
            assert abs(found[name].mean() - theory[0]) < 0.04 * theory[0] + sigmas(90) * error, (
                name,
                n,
            )


def test_the_lower_bound_is_one_and_nearly_the_gap() -> None:
    law = _law(1, 60)
    wanted = expected(law.spectrum, np.array([10.0, 30.0, 50.0]), Levels(0.99, 10))
    assert (wanted["bound"] < wanted["gap"]).all()
    assert (wanted["bound"] > 0.7 * wanted["gap"]).all()


def test_floors_are_the_divergence_of_endless_data() -> None:
    law = _law(2, 20)
    wanted = expected(law.spectrum, np.array([1e9]), LEVELS)
    for name, floor in floors(law.spectrum, LEVELS).items():
        assert floor > 0
        assert float(wanted[name][0]) == pytest.approx(floor, rel=1e-4)
    assert bayes(law.spectrum, LEVELS)[0] == pytest.approx(float(wanted["test"][0]), rel=1e-6)


def test_a_twin_has_the_moments_and_nothing_else() -> None:
    law = population(Source("digits"), 0)
    twin = gaussian_twin(law)
    assert law.rows is not None
    assert twin.rows is not None
    assert twin.rows.shape == law.rows.shape
    own = moments(twin.rows)
    assert np.abs(own.mean).max() < 1e-10
    assert np.abs(own.cov - np.diag(law.spectrum)).max() < 1e-9
    assert (
        np.abs(np.mean((twin.rows / np.sqrt(law.spectrum)) ** 4, 0) - 3)
        < sigmas(61) * np.sqrt(96 / len(twin.rows))
    ).all()
    assert (
        np.mean((law.rows / np.sqrt(law.spectrum)) ** 4, 0).max() > 50
    )  # pixels that few images use
    with pytest.raises(ValueError, match="no Gaussian twin"):
        gaussian_twin(_law(1, 5))


@lru_cache
def _rows(root: str) -> list[Row]:
    cells = grid(LinearGeneralization, data=["power0", "power2"], n=[4, 12, 60, 120], **SMALL)
    cells += grid(LinearGeneralization, data="digits", n=[8, 64, 300, 600], **SMALL)
    return run(cells, root)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """A tiny sweep, measured once."""
    return _rows(str(tmp_path_factory.mktemp("linear")))


def test_rows_hold_estimates_and_the_draws_behind_them(rows: list[Row]) -> None:
    for row in rows:
        arrays = row.arrays()
        assert all(
            np.isfinite(values).all() for name, values in arrays.items() if not name.endswith("k")
        )
        found = row.values["test"]
        assert isinstance(found, Estimate)
        assert found.n == 3
        assert found.value == pytest.approx(arrays["test"].mean())
        assert (TWIN + "test" in row.values) == (row.fields["data"] == "digits")


def test_cells_are_told_apart_by_what_differs(rows: list[Row], tmp_path: Path) -> None:
    assert [item.name for item in Measured.collected(rows)] == ["power0", "power2", "digits"]
    more = run(grid(LinearGeneralization, data="power0", n=[4], **{**SMALL, "d": 15}), tmp_path)
    assert [item.name for item in Measured.collected([*rows, *more])] == [
        "power0, d 12",
        "power0, d 15",
        "power2",
        "digits",
    ]
    power0 = Measured.collected(rows)[0]
    assert power0.sizes.tolist() == [4, 12, 60, 120]
    assert {one.name for one in compared(power0)} >= {
        "train",
        "test",
        "kl",
        "kl_reverse_ridge",
        "frobenius",
    }
    assert differences(power0)["frobenius"][0] == max(
        one.off for one in compared(power0) if one.name == "frobenius"
    )


def test_the_page_has_every_figure_and_says_numbers(rows: list[Row]) -> None:
    page = LinearGeneralization.page(rows, {})
    findings = [block for block in page.sections[0].blocks if isinstance(block, Finding)]
    assert len(findings) == 10
    assert all(
        "nan" not in block.headline + block.detail and "inf " not in block.headline
        for block in findings
    )
    figures = [
        block for section in page.sections for block in section.blocks if isinstance(block, Figure)
    ]
    assert [figure.name for figure in figures] == [
        "losses", "losses-mean", "divergence", "norm", "unseen", "rescue", "rescued-divergence",
    ]  # fmt: skip


@pytest.mark.parametrize("n", [2, 12])
def test_a_single_cell_makes_a_page(n: int, tmp_path: Path) -> None:
    assert (
        main(
            [
                "run",
                "linear_generalization",
                "--data",
                "power1",
                "--n",
                str(n),
                *_words(),
                "--store",
                str(tmp_path),
            ]
        )
        == 0
    )
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_the_command_writes_report_tables_and_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "run",
        "linear_generalization",
        "--data",
        "power1",
        "digits",
        "--n",
        "8",
        "61",
        *_words(),
        "--store",
        str(tmp_path),
    ]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Gaussian twin" in page
    assert "Largest relative difference of simulation from theory" in page
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 7
    assert len(json.loads((tmp_path / "table.json").read_text())) == 4
    assert Store(tmp_path).check() == []


def _words() -> list[str]:
    return ["--draws", "2", "--steps", "20", "--d", "12", "--on", "serial", "--quiet"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--n", "1"], "--n 1: a training set needs at least 2 rows"),
        (
            ["--n", "5000", "--data", "digits"],
            "--n 5000: digits has 1796 images, half of which test; at most 898 train",
        ),
        (["--data", "power"], "power"),
        (["--draws", "1"], "--draws 1: must be at least 2"),
        (["--d", "1"], "--d 1: must be at least 2"),
        (["--steps", "0"], "--steps 0: must be at least 1"),
        (["--abar", "1"], "--abar 1.0: must lie between 0 and 1"),
        (["--abar", "nan"], "--abar nan: must lie between 0 and 1"),
    ],
)
def test_bad_input_costs_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["run", "linear_generalization", *words, "--store", str(tmp_path / "s"), "--quiet"])
        == 2
    )
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "s").exists()
