"""The study of dimensions in small: what a sweep says, and what each cell keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from denoscope import grid, run
from denoscope.cli import main
from denoscope.readings import Reading, Readings
from denoscope.report import Figure
from denoscope.store import Row, Store
from denoscope.studies.dimension_scaling import (
    METHODS,
    QUANTITIES,
    DimensionScaling,
    line,
    needed,
)
from denoscope.study import swept

GOLDEN = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["dimension_scaling"]
SMALL: dict[str, Any] = {
    "draws": 2,
    "largest": 256,
    "probes": 32,
    "compared": 16,
    "steps": 8,
    "width": 8,
    "batch_size": 8,
    "level": 0.3,
}


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """A tiny sweep, measured once."""
    return tiny("dimension_scaling", "mixtures")


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    cells = {
        "default": DimensionScaling(),
        "network": DimensionScaling(method="network", d=8, clusters=3),
        "coarse": DimensionScaling(level=0.1, sigma=0.5),
    }
    assert GOLDEN["version"] == DimensionScaling.version
    assert GOLDEN["keys"] == {name: item.key() for name, item in cells.items()}
    assert GOLDEN["defaults"] == json.loads(json.dumps(DimensionScaling().fields()))


def test_the_sweep_is_two_lines_and_smoothers_end_early() -> None:
    cells = grid(DimensionScaling, **swept(DimensionScaling))
    assert all(cell.d == 4 or cell.n == 48 for cell in cells)
    assert {cell.method for cell in cells if cell.d > 8} == {"gaussian", "molrg", "network"}
    assert len(grid(DimensionScaling, d=[2, 3], n=[8, 9], full=True)) == 4
    jobs = DimensionScaling.plan(cells)
    assert sorted(cell.key() for job in jobs for cell in job) == sorted(
        cell.key() for cell in cells
    )
    assert all(len({(cell.d, cell.n, cell.clusters) for cell in job}) == 1 for job in jobs)


def _excess(errors: np.ndarray, sizes: np.ndarray) -> Readings:
    at = [{"method": "molrg", "d": 2, "ambient": 9, "k": 1, "size": int(s)} for s in sizes]
    return Readings([Reading("excess", a, e) for a, e in zip(at, errors)], QUANTITIES)


def test_needed_is_where_a_power_law_meets_the_level() -> None:
    sizes = 2 ** np.arange(0, 14)
    errors = sizes[:, None] ** -0.5 * np.array([0.9, 1.0, 1.1])
    e = needed(_excess(errors, sizes), 0.05).estimates().one
    assert e.value == 400
    assert e.low < 400 < e.high
    beyond = needed(_excess(errors[:5], sizes[:5]), 0.05).estimates().one
    assert beyond.value == beyond.high == np.inf
    assert needed(_excess(errors / 100, sizes), 0.05).estimates().one.value == 1


def test_lines_hold_every_method_along_both_dimensions(rows: list[Row]) -> None:
    points = DimensionScaling.found(rows).of("needed")
    by_d, by_n = line(points, "d", "ambient"), line(points, "ambient", "d")
    assert by_d.along("method") == [*METHODS, "network_end"]
    assert (by_d.along("d"), by_d.along("ambient")) == ([1, 2, 4], [48])
    assert (by_n.along("ambient"), by_n.along("d")) == ([12, 24, 48], [4])
    row = next(row for row in rows if row.fields["method"] == "molrg")
    at = {"d": row.fields["d"], "ambient": row.fields["n"], "k": row.fields["clusters"]}
    assert points.of(method="molrg", **at).one.value == row.values["needed"]


def test_a_sweep_tells_every_claim_and_draws_every_figure(rows: list[Row]) -> None:
    told = DimensionScaling.told(rows)
    assert not [c.says for c in told.claims if c.verdict() == "not tested"]
    blocks = [*told.opening, *(block for part in told.sections for block in part.blocks)]
    assert [block.name for block in blocks if isinstance(block, Figure)] == [
        "needed-d",
        "needed-n",
        "excess",
        "wasserstein",
        "nearest",
    ]


def test_cells_of_other_settings_stay_out(rows: list[Row], tmp_path: Path) -> None:
    other = run(
        grid(DimensionScaling, method="molrg", d=2, draws=2, probes=8, compared=4), tmp_path
    )
    page = DimensionScaling.page([*rows, *other], {})
    about = DimensionScaling.about([*rows, *other])
    assert about["left out"] == "1 cells with other settings"
    assert page.answer == DimensionScaling.page(rows, {}).answer


@pytest.mark.parametrize("method", METHODS)
def test_a_single_cell_makes_a_page(method: str, rows: list[Row]) -> None:
    one = next(row for row in rows if row.fields["method"] == method)
    assert DimensionScaling.page([one], {}).answer


def test_the_command_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "run dimension_scaling --method empirical molrg --d 1 3 4 --n 48 --clusters 1"
    tiny = " ".join(f"--{k.replace('_', '-')} {v}" for k, v in SMALL.items())
    command = [*words.split(), *tiny.split(), "--on", "serial", "--quiet", "--store", str(tmp_path)]
    assert main(command) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*/result.json")}
    assert len(made) == 6
    assert main(command) == 0
    assert made == {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*/result.json")}
    assert Store(tmp_path).check() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--d", "20", "--clusters", "3"], "60 orthogonal directions do not fit into --n"),
        (["--d", "3", "--n", "20"], "--full measures every combination"),
        (["--method", "empirical", "--d", "12"], "measured up to --d 8"),
        (["--method", "forest"], "--method forest: there are empirical, kernel"),
        (["--level", "1"], "--level 1.0: must lie between 0 and 1"),
        (["--level", "nan"], "--level nan"),
        (["--sigma", "0"], "--sigma 0.0: must be a positive number"),
        (["--noise", "-1"], "--noise -1.0: must be at least 0"),
        (["--draws", "1"], "--draws 1: must be at least 2"),
        (["--batch-size", "0"], "--batch-size 0: must be at least 1"),
    ],
)
def test_bad_input_costs_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words if "--method" in words else ["--method", "molrg", *words]
    assert (
        main(["run", "dimension_scaling", *given, "--store", str(tmp_path / "s"), "--quiet"]) == 2
    )
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "s").exists()
