"""A denoiser against its first-order model: known maps get the numbers they must, and the page says
what was found.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from denoscope import Empirical, Gaussian, grid, run
from denoscope.cli import main
from denoscope.geometry.jacobians import jacobian
from denoscope.store import Row, Store
from denoscope.studies._geometry.groups import grouped
from denoscope.studies._geometry.linearity import findings, measuring, reading, setting
from denoscope.studies._geometry.subject import Data, Subject
from denoscope.studies._source import Source
from denoscope.studies.local_linearity import LocalLinearity
from denoscope.studies.phase_transition import PhaseTransition
from denoscope.study import Result

SMALL: dict[str, Any] = {"width": 8, "steps": 40, "samples": 8, "solver_steps": 4, "held": 24}
DATA = Data(Source("digits"), None, 24, 40, 0)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Networks hardly trained, measured once: two seeds of one size and one of another."""
    store = Store(tmp_path_factory.mktemp("sweep"))
    return run(
        grid(LocalLinearity, n=8, seed=[0, 1], **SMALL) + grid(LocalLinearity, n=96, **SMALL), store
    )


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["local_linearity"]
    cells = {"default": LocalLinearity(), "n=16": LocalLinearity(n=16, seed=1)}
    assert golden["version"] == LocalLinearity.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(LocalLinearity().fields()))


def test_levels_are_those_of_the_published_schedule() -> None:
    """sigma^2 = exp(9.95 t^2 + 0.1 t) - 1, for rates from 0.1 to 20."""
    assert np.allclose(
        setting.LEVELS,
        [math.sqrt(math.expm1(9.95 * t**2 + 0.1 * t)) for t in setting.TIMES],
        rtol=1e-12,
    )
    assert set(setting.SHOWN) <= set(setting.TIMES)
    assert set(setting.PUBLISHED) <= set(setting.STEPS)
    assert round(40 / math.sqrt(3 * 64**2), 2) == setting.PUBLISHED[0]
    assert round(40 / math.sqrt(3 * 32**2), 2) == setting.PUBLISHED[1]


def test_a_step_is_the_article_s_in_its_coordinates() -> None:
    """x_t = x/sqrt(1 + sigma^2): a step of lambda there is one of the asked length here."""
    level, n = 3.0, 64
    x = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    v = x / x.norm()
    moved = (x + setting.length(0.5, level, n) * v) / math.sqrt(1 + level**2)
    assert float((moved - x / math.sqrt(1 + level**2)).norm()) == pytest.approx(0.5 * math.sqrt(n))


def test_measures_against_numpy_for_a_quadratic_map() -> None:
    """D(x) = x + a x^2 / 2 has J = diag(1 + a x) and D(x + lv) - D(x) - l J v = a l^2 v^2 / 2,
    exactly.
    """
    a, level = 0.1, 0.8

    def bent(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x + 0.5 * a * x**2

    subject = Subject(bent, DATA)
    found = measuring.at_level(subject, {"network": bent}, level)
    x = subject.noisy("test", 24, level).flatten(1).double().numpy()
    v = subject.noise(72, 10_000).flatten(1).double().numpy().reshape(24, 3, 64)
    v /= np.linalg.norm(v, axis=2, keepdims=True)
    step = setting.length(0.36, level, 64)
    ratio, cosine, error = [], [], []
    for sign in (1, -1):
        slope = sign * step * (1 + a * x[:, None]) * v
        value, rest = (x + 0.5 * a * x**2)[:, None], 0.5 * a * step**2 * v**2
        model, moved = value + slope, value + slope + rest
        norms = np.linalg.norm(moved, axis=2), np.linalg.norm(model, axis=2)
        ratio.append(norms[0] / norms[1])
        cosine.append((moved * model).sum(2) / norms[0] / norms[1])
        error.append(np.minimum(np.linalg.norm(rest, axis=2) / np.linalg.norm(slope, axis=2), 1))
    at = setting.STEPS.index(0.36)
    for name, expected in (
        ("ratio", ratio),
        ("cosine", cosine),
        ("change_error", error),
        ("off", np.abs(np.array(ratio) - 1)),
    ):
        assert found[f"{name}_random_network"][at] == pytest.approx(
            np.mean(expected, (0, 2)), rel=1e-3, abs=1e-6
        ), name
    largest = torch.linalg.svdvals(
        jacobian(bent, subject.noisy("test", 24, level)[0], torch.tensor(level))
    )[0]
    assert float(largest) == pytest.approx(np.abs(1 + a * x[0]).max(), rel=1e-5), (
        "the principal direction is the steepest pixel"
    )


@pytest.fixture(scope="module")
def memorizer() -> Result:
    """The memorizer in the network's place."""
    return measuring.measure(Subject(Empirical(DATA.train()), DATA))


def test_affine_maps_are_exactly_linear(memorizer: Result) -> None:
    for kind in measuring.DIRECTIONS:
        for measure, best in (
            ("ratio", 1),
            ("cosine", 1),
            ("change_cosine", 1),
            ("change_error", 0),
            ("off", 0),
        ):
            assert np.abs(memorizer.arrays[f"{measure}_{kind}_gaussian"] - best).max() < 1e-3, (
                measure,
                kind,
            )
    level = measuring.at_level(
        Subject(Gaussian.from_data(DATA.train()), DATA),
        {"network": Gaussian.from_data(DATA.train())},
        1.0,
    )
    assert level["change_error_principal_network"].max() < 1e-3


def test_the_memorizer_is_not_linear_at_low_noise_and_is_at_high(memorizer: Result) -> None:
    arrays = memorizer.arrays
    for measure in measuring.MEASURES:
        assert np.allclose(
            arrays[f"{measure}_random_network"], arrays[f"{measure}_random_memorizer"], atol=1e-6
        )
    middle, high = setting.TIMES.index(0.2), setting.TIMES.index(0.7)
    cosine = arrays["change_cosine_random_network"].mean(2)
    assert (cosine[high] > cosine[middle]).all()
    assert cosine[high].min() > 0.9
    error = arrays["change_error_random_network"].mean(2)
    assert (np.diff(error, axis=1) > -0.05).all(), "longer steps are worse, up to noise"
    assert error.max() <= 1
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_means_are_over_members_then_points(rows: list[Row]) -> None:
    every = grouped(rows)
    assert [len(group.rows) for group in every] == [2, 1]
    both = np.mean(
        [row.arrays()["cosine_random_network"].astype(np.float64) for row in every[0].rows], 0
    )
    found = reading.at(every[0], "cosine_random_network", 0.5, 0.36)
    assert found.value == pytest.approx(
        both[setting.TIMES.index(0.5), setting.STEPS.index(0.36)].mean()
    )
    assert found.n == 24
    assert len(reading.over_steps(every[0], "cosine_random_network", 0.5)) == len(setting.STEPS)
    assert len(reading.over_levels(every[0], "cosine_random_network", 0.36)) == len(setting.TIMES)


def test_a_given_network_gets_the_numbers_of_the_trained_one(tmp_path: Path) -> None:
    (kept,) = run(grid(PhaseTransition, n=24, **SMALL), Store(tmp_path))
    trained = LocalLinearity(n=24, **SMALL).run()
    given = LocalLinearity(n=24, model=str(kept.path), **SMALL).run()
    for name, array in trained.arrays.items():
        if "principal" not in name:
            assert np.allclose(array, given.arrays[name], atol=1e-4), name


def test_the_page_builds(rows: list[Row]) -> None:
    assert len(LocalLinearity.sections(rows)) == 5
    assert len(LocalLinearity.page(rows, {}).sections) == 7
    claims = findings.claims(grouped(rows))
    assert claims[-1].status == "good", "the Gaussian is linear"
    assert len(findings.claims(grouped(rows[:1]))) == len(claims) - 1
    broken = Row(
        "0" * 16,
        rows[0].study,
        1,
        {**rows[0].fields, "n": 32},
        {"stopped": "the loss is not finite"},
    )
    assert "N = 32" in str(LocalLinearity.sections([*rows, broken])[0].blocks[0])


def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "run local_linearity --n 8 --seed 0 --data molrg --width 4 --steps 20 "
        "--samples 8 --solver-steps 4 --held 12 --on serial --quiet"
    )
    assert main([*words.split(), "--store", str(tmp_path / "s")]) == 0
    text = Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text()
    assert "true denoiser" in text
    names = (
        "ratio",
        "cosine",
        "change_cosine",
        "change_error",
        "noise_cosine",
        "noise_change_cosine",
    )
    assert {path.stem for path in (tmp_path / "s" / "figures").glob("*.svg")} == {
        f"local_linearity_{name}" for name in names
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--n 5000", "--n 5000: digits has 1536 images beside the 261 held out"),
        ("--model none.safetensors", "--model none.safetensors: there is no file"),
        ("--test faces", "--test goes with --model"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "local_linearity", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
