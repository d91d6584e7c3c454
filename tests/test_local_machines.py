"""The study in small: a closed form in a network's place is recognized."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from denoscope.cli import main
from denoscope.distributions import LocalScore
from denoscope.sampling import heun, sample
from denoscope.store import Row
from denoscope.studies.local_score import LEVELS, LocalMachines, alike, nearest


def test_keys_and_defaults_are_frozen() -> None:
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["local_score"]
    cells = {"default": LocalMachines(), "mlp": LocalMachines(net="mlp", n=64)}
    assert golden["version"] == LocalMachines.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(LocalMachines().fields()))


@pytest.mark.parametrize(("machine", "anywhere"), [("local", False), ("anywhere", True)])
def test_a_machine_in_place_of_the_network_is_itself(machine: str, anywhere: bool) -> None:
    """Its window is found where windows differ, and its samples have r^2 = 1 with its own."""
    cell = LocalMachines(n=12, samples=5, solver_steps=4, calibrated=4)
    D = LocalScore(cell.where().train(), 3, anywhere)
    levels = cell.recipe().sigmas().float()
    made = sample(D, float(levels[0]) * cell.noise(), levels, heun)
    result = cell.measured(D, made)
    chosen = cell.windows(D, anywhere)
    assert all(chosen[level] == 3 for level in LEVELS if 0.2 <= level <= 6.4)
    arrays = {json.loads(k)[1].get("machine"): v for k, v in result.arrays.items() if "r2" in k}
    assert np.median(arrays[machine]) > 0.99
    assert np.median(arrays["memorizer"]) < 0.99


def test_r2_is_the_squared_correlation() -> None:
    a, b = torch.randn(2, 4, 1, 3, 3, generator=torch.Generator().manual_seed(0)).unbind(0)
    wanted = [np.corrcoef(x.flatten(), y.flatten())[0, 1] ** 2 for x, y in zip(a, b)]
    np.testing.assert_allclose(alike(a, b), wanted, rtol=1e-6)
    np.testing.assert_allclose(alike(a, 1 - 2 * a), 1, rtol=1e-6)


def test_windows_are_those_of_the_nearest_level() -> None:
    windows = {0.1: 3, 1.0: 5, 10.0: 9}
    sizes = [nearest(windows, sigma) for sigma in (0.0, 0.05, 0.3, 0.4, 3.0, 80.0)]
    assert sizes == [3, 3, 3, 5, 5, 9]


@pytest.mark.slow
def test_a_sweep_measures_every_closed_form(tiny: Callable[[str, str], list[Row]]) -> None:
    found = LocalMachines.found(tiny("local_score", "digits"))
    r2 = found.of("r2")
    assert len(r2) == 3 * 5
    assert all(((r.value >= 0) & (r.value <= 1 + 1e-9)).all() for r in r2)
    assert all(int(r.value[0]) % 2 for r in found.of("window"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--threshold 1", "--threshold 1.0: must be at least 0 and below 1"),
        ("--calibrated 0", "--calibrated 0: must be at least 1"),
        ("--net cnn", "--net cnn: there are"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "local_score", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
