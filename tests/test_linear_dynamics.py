"""The dynamics study in small: descent is its closed form, stopping times are minima, half-trained
models sample their laws, the page says so.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from denoscope.studies._linear.population import population
from denoscope.studies._linear.training_set import TrainingSet
from scipy.integrate import quad

from denoscope import Estimate, grid, run
from denoscope.cli import main
from denoscope.store import Row, Store
from denoscope.studies._linear.dynamics import descending, emergence, findings, page, stopping
from denoscope.studies._linear.dynamics.measured import collected
from denoscope.studies._source import Source
from denoscope.studies.linear_dynamics import LinearDynamics
from denoscope.study import swept

SMALL = {"d": 12, "draws": 3, "steps": 120, "samples": 40, "abar": (0.95, 0.6)}
ABARS = (0.97, 0.8, 0.4)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """A tiny sweep, measured once: few and many training items, synthetic data and images."""
    cells = grid(LinearDynamics, data=["power2", "digits"], n=[6, 30], **SMALL)
    return run(cells, Store(tmp_path_factory.mktemp("sweep")))


def _set(d: int, n: int, seed: int = 0, k: str = "power1") -> TrainingSet:
    return TrainingSet.draw(population(Source(k), d), n, seed)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["linear_dynamics"]
    cells = {"default": LinearDynamics(), "digits": LinearDynamics(data="digits", n=20)}
    assert golden["version"] == LinearDynamics.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(LinearDynamics().fields()))


def test_the_sweep_has_sizes_below_and_above_d() -> None:
    cells = grid(LinearDynamics, **swept(LinearDynamics))
    for data in ("power1", "digits"):
        sizes = [cell.n - cell.law().d for cell in cells if cell.data == data]
        assert min(sizes) < 0 < max(sizes)


@pytest.mark.parametrize(
    ("d", "n", "law"), [(10, 5, "power0"), (14, 9, "power1.5"), (8, 40, "power2")]
)
def test_descent_is_its_closed_form_and_tends_to_the_flow(d: int, n: int, law: str) -> None:
    item = _set(d, n, 3, law)
    steps, far = 60, []
    for share in (0.4, 0.1):
        rate = descending.rate_of([item], ABARS, share)
        measured = descending.descent(item, ABARS, rate, steps)
        at = descending.recorded(steps)
        assert descending.difference(measured, descending.predicted(item, ABARS, rate, at)) < 1e-10
        far.append(descending.difference(measured, descending.flowing(item, ABARS, 2 * rate * at)))
    assert 0 < far[1] < 0.5 * far[0]


def test_descent_agrees_with_a_loop_in_numpy() -> None:
    """Independent of the package's networks and theory: plain descent on ``d - 2 sqrt(1-y) Tr W +
    Tr W C W^T``.
    """
    item, y = _set(6, 4, 1), 0.8
    rate = descending.rate_of([item], (y,), 0.3)
    C, test = (y * part.cov + (1 - y) * np.eye(6) for part in (item.train, item.test))
    shift = item.test.mean - item.train.mean
    W, records = np.zeros((6, 6)), []
    for _ in range(20):
        W -= 2 * rate * (W @ C - np.sqrt(1 - y) * np.eye(6))
        records.append(
            6
            - 2 * np.sqrt(1 - y) * np.trace(W)
            + np.trace(W @ (test + y * np.outer(shift, shift)) @ W.T)
        )
    found = descending.descent(item, (y,), rate, 20)["test"][:, 0]
    assert np.allclose(found, np.array(records)[descending.recorded(20) - 1], rtol=1e-12)


def test_recorded_steps_begin_at_one_and_end_at_the_last() -> None:
    for steps in (1, 2, 7, 500):
        at = descending.recorded(steps)
        assert at[0] == 1
        assert at[-1] == steps
        assert (np.diff(at) > 0).all()


def test_the_least_record_is_found_between_records() -> None:
    k = np.geomspace(0.1, 10, 30)
    losses = np.stack([(np.log(k) - 0.3) ** 2 + 1, k, -k], 1)
    found = descending.lowest(k, losses)
    assert found[0] == pytest.approx(np.exp(0.3), rel=1e-9)
    assert np.isnan(found[1:]).all()


def test_stopping_beats_every_other_time_and_one_time_costs_little() -> None:
    item = _set(40, 15, 2)
    found = stopping.stopping(item)
    lam, other, y = item.modes.lam, item.other, stopping.LEVELS

    def test_loss(k: float) -> np.ndarray:
        rate = y[:, None] * lam + 1 - y[:, None]
        w = np.sqrt(1 - y[:, None]) * -np.expm1(-k * rate) / rate
        return (
            1 - 2 * np.sqrt(1 - y[:, None]) * w + w**2 * (y[:, None] * other + 1 - y[:, None])
        ).sum(1)

    times = np.geomspace(0.01, 100, 3000)
    brute = np.array([test_loss(k) for k in times])
    assert np.allclose(found.k, times[brute.argmin(0)], rtol=5e-3)
    assert np.allclose(found.loss_k, brute.min(0), rtol=1e-5)
    assert found.shared == pytest.approx(times[np.log(brute).mean(1).argmin()], rel=0.01)
    assert (found.loss_shared >= found.loss_k - 1e-9).all()
    assert (found.loss_shared / found.loss_k - 1).max() < 0.01
    assert (found.loss_trained > found.loss_ridge).all()


def test_expectations_are_those_of_many_draws() -> None:
    law = population(Source("power1"), 60)
    sets = [TrainingSet.draw(law, 24, seed) for seed in range(24)]
    found = [stopping.stopping(item) for item in sets]
    theory = stopping.expected(law.spectrum, 24, sets)
    for name in ("loss_k", "loss_ridge", "loss_trained", "k", "ridge"):
        measured = np.mean([getattr(item, name) for item in found], 0)
        assert np.allclose(measured, getattr(theory, name), rtol=0.05), name
    assert np.mean([item.unseen_variance for item in sets]) == pytest.approx(
        theory.unseen * (1 + 1 / 24), rel=0.05
    )


def test_the_published_setting_is_reproduced() -> None:
    """Merger and Goldt 2025: with lambda ~ 1/nu, d = 100 and N = 40, best k and 1/ridge are near
    one over the unseen variance at every level.
    """
    law = population(Source("power1"), 100)
    found = [stopping.stopping(TrainingSet.draw(law, 40, seed)) for seed in range(8)]
    k, low = np.array([item.k for item in found]), stopping.NOISES < 0.05
    assert (k.max(1) / k.min(1)).max() < 1.25
    unseen = np.mean([TrainingSet.draw(law, 40, seed).unseen_variance for seed in range(8)])
    assert np.allclose(k.mean(0)[low] * unseen, 1, atol=0.1)
    assert np.allclose(np.mean([item.ridge for item in found], 0)[low] / unseen, 1, atol=0.1)
    assert all((item.loss_k <= item.loss_ridge).all() for item in found)


def test_emergence_times_pass_their_levels() -> None:
    lam = np.array([3.0, 0.3, 0.03])
    times = emergence.emergence(lam)
    for value, k in zip(lam, times["noise"]):
        untrained, trained, now = (
            float(emergence.law("ode", np.array([value]), t)[0]) for t in (0.0, np.inf, k)
        )
        assert now == pytest.approx(2 / (1 / untrained + 1 / trained), rel=0.02)
    assert emergence.exponent(lam, times["denoising"]) == pytest.approx(-1, abs=0.03)
    assert emergence.exponent(
        np.array([1e-3, 1e-4]), emergence.emergence(np.array([1e-3, 1e-4]))["noise"]
    ) == pytest.approx(-1, abs=0.02)
    assert np.isnan(
        emergence.emergence(np.array([1e-9]))["noise"]
    ).all()  # later than the last of TIMES
    assert emergence.exponent(lam, np.full(3, 2.0)) == pytest.approx(0, abs=1e-12)


def test_unseen_directions_have_their_constants() -> None:
    for name, constant in emergence.UNSEEN_C.items():
        values = [float(emergence.law(name, np.zeros(1), k)[0]) * k for k in (20.0, 50.0)]
        assert values == pytest.approx([constant] * 2, rel=0.1)
    assert emergence.UNSEEN_C["ode"] == pytest.approx(np.exp(-np.euler_gamma), abs=1e-6)
    ein = lambda x: quad(lambda t: -np.expm1(-t) / t, 0, x)[0]  # noqa: E731
    tail = np.exp(-2 * np.euler_gamma) / 50  # where Ein(x) = ln x + gamma_E
    assert emergence.UNSEEN_C["ddpm"] == pytest.approx(
        quad(lambda x: np.exp(-2 * ein(x)), 0, 50, limit=200)[0] + tail, abs=1e-6
    )


def test_rows_hold_what_the_page_needs(rows: list[Row]) -> None:
    for row in rows:
        arrays = row.arrays()
        assert float(str(row.values["difference"])) < 1e-9
        assert arrays["test"].shape == (3, len(arrays["k"]), 2)
        assert list(arrays["abars"]) == [0.95, 0.6]
        assert isinstance(row.values["spread"], Estimate | None)
        for name in ("law_ode", "train_theory", "best_k", "expected_loss_trained"):
            assert not np.isnan(arrays[name][..., :3]).any(), name
        assert not np.isnan(arrays["sampled_ddpm"][:, :3]).any()
        few = int(str(row.fields["n"])) <= int(str(row.values["d"]))
        assert isinstance(row.values["predicted"], Estimate) == few


def test_the_page_builds_and_its_figures_draw(rows: list[Row]) -> None:
    built = page.build(rows, {}, LinearDynamics.references)
    assert [section.title for section in built.sections][:2] == [
        "What was found",
        "Loss against training time",
    ]
    claims = findings.claims(collected(rows))
    assert claims[0].status == "good"
    assert "digits" in claims[1].detail
    assert page.build(rows[:1], {}, LinearDynamics.references).sections
    assert collected(rows)[0].name == "power2"


def test_many_items_alone_make_a_page(rows: list[Row]) -> None:
    """Without unseen directions the claims about them are left out, and nothing is drawn of
    them.
    """
    many = [row for row in rows if row.fields["n"] == 30 and row.fields["data"] == "power2"]
    built = page.build(many, {}, LinearDynamics.references)
    assert len(built.sections[0].blocks) < 7


def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "run linear_dynamics --data power1 --n 4 --d 8 --draws 2 --steps 40 "
        "--samples 10 --on serial --quiet --store"
    )
    assert main([*words.split(), str(tmp_path / "s")]) == 0
    text = Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text()
    assert "Gradient descent follows its closed form" in text
    assert (tmp_path / "s" / "figures" / "stopping.svg").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--rate 1.5", "--rate 1.5: must lie between 0 and 1"),
        ("--abar 0.5 1.0", "--abar 0.5 1.0: must be different numbers between 0 and 1"),
        ("--n 1", "--n 1: a training set needs at least 2 items"),
        ("--data digits --n 1500", "half of the images of digits"),
        ("--draws 0", "--draws 0: must be at least 1"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "linear_dynamics", *words.split(), "--store", str(tmp_path / "s")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1]
