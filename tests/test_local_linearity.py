"""A denoiser against its first-order model: known maps get the numbers they must, and a sweep tells
its claims.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from denoscope import Empirical, grid, run
from denoscope.cli import main
from denoscope.data.sources import Source
from denoscope.data.splits import Split
from denoscope.geometry.jacobians import jacobian
from denoscope.readings import Readings, expanded
from denoscope.store import Row, Store
from denoscope.studies._subject import Subject
from denoscope.studies.local_linearity import (
    FAR,
    LEVELS,
    MEASURES,
    NEAR,
    POINTS,
    QUANTITIES,
    SHOWN,
    STEPS,
    LocalLinearity,
    along,
    at_time,
    deviations,
    length,
)
from denoscope.studies.phase_transition import PhaseTransition

SMALL: dict[str, Any] = {"width": 8, "steps": 40, "samples": 8, "solver_steps": 4, "held": 24}
DATA = Split(Source("digits"), None, 24, 40, 0)
FIGURES = ("deviation", "cosine", "ratio", "change_cosine", "change_error", "noise")


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """Networks hardly trained: two seeds of 8 images and one of 96."""
    found = tiny("local_linearity", "digits")
    return sorted(found, key=lambda row: (row.fields["n"], row.fields["seed"]))  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.fixture(scope="module")
def memorizer() -> Readings:
    """The memorizer in the network's place."""
    subject = Subject(Empirical(DATA.train()), DATA)
    return expanded(LocalLinearity().readings(subject), QUANTITIES)


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
    expected = [math.sqrt(math.expm1(9.95 * t**2 + 0.1 * t)) for t in LEVELS]
    assert np.allclose(list(LEVELS.values()), expected, rtol=1e-12)
    assert set(SHOWN) <= set(LEVELS)
    assert {NEAR, FAR} <= set(STEPS)
    assert [round(40 / math.sqrt(3 * side**2), 2) for side in (64, 32)] == [NEAR, FAR]


def test_a_step_is_the_article_s_in_its_coordinates() -> None:
    """x_t = x/sqrt(1 + sigma^2): a step of lambda there is one of the asked length here."""
    level, n = 3.0, 64
    x = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moved = (x + length(0.5, level, n) * x / x.norm()) / math.sqrt(1 + level**2)
    assert float((moved - x / math.sqrt(1 + level**2)).norm()) == pytest.approx(0.5 * math.sqrt(n))


def test_measures_against_numpy_for_a_quadratic_map() -> None:
    """D(x) = x + a x^2 / 2 has J = diag(1 + a x) and D(x + lv) - D(x) - l J v = a l^2 v^2 / 2,
    exactly.
    """
    a, level = 0.1, 0.8
    subject = Subject(_bent, DATA)
    noisy, random = subject.noisy("test", POINTS, level), subject.noise(3 * POINTS, 10_000)
    found = along(_bent, noisy, random.reshape(POINTS, 3, -1), level)
    x = noisy.flatten(1).double().numpy()
    v = random.flatten(1).double().numpy().reshape(POINTS, 3, 64)
    v /= np.linalg.norm(v, axis=2, keepdims=True)
    step = length(NEAR, level, 64)
    each: dict[str, list[np.ndarray]] = {name: [] for name in MEASURES}
    for sign in (1, -1):
        slope = sign * step * (1 + a * x[:, None]) * v
        value, rest = (x + 0.5 * a * x**2)[:, None], 0.5 * a * step**2 * v**2
        each["ratio"].append(_norm(value + slope + rest) / _norm(value + slope))
        each["off"].append(np.abs(each["ratio"][-1] - 1))
        each["cosine"].append(_cosine(value + slope + rest, value + slope))
        each["change_cosine"].append(_cosine(slope + rest, slope))
        each["change_error"].append(np.minimum(_norm(rest) / _norm(slope), 1))
    for name, expected in each.items():
        mine = found[name][STEPS.index(NEAR)]
        assert mine == pytest.approx(np.mean(expected, (0, 2)), rel=1e-3, abs=1e-6), name


def test_principal_directions_are_the_steepest() -> None:
    """Of a map whose derivative is diagonal: a step along them changes the steepest pixels."""
    x = Subject(_bent, DATA).noisy("test", POINTS, 0.8)
    largest = torch.linalg.svdvals(jacobian(_bent, x[0], torch.tensor(0.8)))[0]
    assert float(largest) == pytest.approx(float((1 + 0.1 * x[0]).abs().max()), rel=1e-5)
    found = expanded(at_time(Subject(_bent, DATA), {"network": _bent}, 0.2), QUANTITIES)
    error = found.of("change_error", length=NEAR)
    assert (error.of(direction="principal").one > error.of(direction="random").one).mean() > 0.9


def _bent(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    return x + 0.05 * x**2


def _norm(x: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x, axis=2)


def _cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x * y).sum(2) / _norm(x) / _norm(y)


def test_affine_maps_are_exactly_linear(memorizer: Readings) -> None:
    for name, best in (("ratio", 1), ("cosine", 1), ("change_cosine", 1), ("change_error", 0)):
        some = memorizer.of(name, who="gaussian")
        assert len(some) == 2 * len(LEVELS) * len(STEPS)
        assert max(float(np.abs(r.value - best).max()) for r in some) < 1e-3, name


def test_the_memorizer_is_not_linear_at_low_noise_and_is_at_high(memorizer: Readings) -> None:
    for name in MEASURES:
        pair = (memorizer.of(name, who=who, direction="random") for who in ("network", "memorizer"))
        for mine, other in zip(*pair, strict=True):
            assert np.allclose(mine.value, other.value, atol=1e-6)
    random = memorizer.of(who="network", direction="random")
    cosine = {t: _by_length(random.of("change_cosine", time=t)) for t in (0.2, 0.7)}
    assert (cosine[0.7] > cosine[0.2]).all()
    assert cosine[0.7].min() > 0.9
    for time in LEVELS:
        error = _by_length(random.of("change_error", time=time))
        assert (np.diff(error) > -0.05).all(), "longer steps are worse, up to noise"
        assert error.max() <= 1
    assert all(np.isfinite(r.value).all() for r in memorizer)


def _by_length(readings: Readings) -> np.ndarray:
    return np.array([some.one.mean() for _, some in readings.by("length")])


def test_deviations_are_those_of_both_published_measures(rows: list[Row]) -> None:
    """Means over seeds, then images; those of the norm ratio do not let signs cancel."""
    found = LocalLinearity.found(rows).of(*MEASURES).over("seed", "subset")
    place: dict[str, Any] = {"n": 8, "who": "network", "direction": "random", "time": 0.5}
    off = deviations(found.of(**place, length=NEAR))
    read = [LocalLinearity.found([row]).of(**place, length=NEAR) for row in rows[:2]]
    cosine = np.mean([1 - r.of("cosine").one.astype(np.float64) for r in read], 0)
    ratio = np.mean([r.of("off").one.astype(np.float64) for r in read], 0)
    assert off.of(measure="cosine").one == pytest.approx(cosine)
    assert off.of(measure="ratio").one == pytest.approx(ratio)
    assert ratio.mean() >= abs(np.mean([r.of("ratio").one.mean() for r in read]) - 1)
    values = rows[0].values["cosine_random_0.5"]
    there = (
        read[0]
        .quantities["cosine"]
        .interval(LocalLinearity.found(rows[:1]).of("cosine", **place, length=FAR).one)
    )
    assert values == there


def test_the_gaussian_is_linear_and_the_truth_is_compared(
    tiny: Callable[[str, str], list[Row]], rows: list[Row]
) -> None:
    assert LocalLinearity.told(rows).claims[-1].verdict() == "supported"
    told = LocalLinearity.told(tiny("local_linearity", "molrg"))
    (true,) = (claim.json() for claim in told.claims if "true denoiser" in claim.says)
    numbers: Any = true["numbers"]
    assert {number["at"]["direction"] for number in numbers} == {"principal", "random"}


def test_a_given_network_gets_the_numbers_of_the_trained_one(tmp_path: Path) -> None:
    (kept,) = run(grid(PhaseTransition, n=24, **SMALL), Store(tmp_path))
    trained = LocalLinearity(n=24, **SMALL).run()
    given = LocalLinearity(n=24, model=str(kept.path), **SMALL).run()
    random = [name for name in trained.arrays if "random" in name]
    assert len(random) == 3 * len(MEASURES)
    for name in random:
        assert np.allclose(trained.arrays[name], given.arrays[name], atol=1e-4), name


@pytest.mark.usefixtures("sketched")
def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "run local_linearity --n 8 --seed 0 --data molrg --width 4 --steps 20 "
        "--samples 8 --solver-steps 4 --held 12 --on serial --quiet"
    )
    assert main([*words.split(), "--store", str(tmp_path / "s")]) == 0
    assert Path(capsys.readouterr().out.strip().splitlines()[-1]).is_file()
    drawn = {path.stem for path in (tmp_path / "s" / "figures").glob("*.svg")}
    assert drawn == {f"local_linearity_{name}" for name in FIGURES}


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
