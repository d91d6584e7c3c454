"""A user's mistake costs one line and exit code 2; nothing is written; output that machines read
stands alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from denoscope.cli import main
from denoscope.sweep import makespan

TINY = [
    "--n",
    "8",
    "32",
    "--width",
    "8",
    "--subset",
    "0",
    "--seed",
    "0",
    "1",
    "--steps",
    "40",
    "--samples",
    "24",
    "--solver-steps",
    "4",
    "--held",
    "60",
]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], "no command 'rnu'; did you mean run?"),
        (["run"], "run needs a study first: .*phase_transition"),
        (
            ["run", "phase_transitions"],
            "no study 'phase_transitions'; did you mean phase_transition?",
        ),
        (
            ["run", "phase_transition", "--widht", "3"],
            "unknown argument --widht; did you mean --width?",
        ),
        (["run", "phase_transition", "--n", "many"], "'many' is not a whole number or a range"),
        (["run", "phase_transition", "--n", "9-3"], "the range 9-3 ends before it begins"),
        (
            ["run", "phase_transition", "--n", "100000"],
            "--n 100000: digits has 1536 images beside the 261 held out",
        ),
        (
            ["run", "phase_transition", "--n", "0", "--width", "8"],
            "--n 0: a training set needs at least 2 images",
        ),
        (["run", "phase_transition", "--held", "5000"], "5000"),
        (["run", "phase_transition", "--net", "umlp"], "'umlp' is not valid"),
        (["run", "phase_transition", "--data", "digit"], "digit"),
        (
            ["run", "phase_transition", "--device", "abacus", "--steps", "1"],
            "--device abacus cannot be used here",
        ),
        (["run", "phase_transition", "--workers", "0"], "--workers"),
        (["run", "phase_transition", "--steps", "0"], "--steps"),
        (["run", "phase_transition", "--width", "-3"], "--width"),
        (["run", "phase_transition", "--lr", "-1"], "--lr"),
        (["report", "nowhere"], "nowhere is not a store"),
        (["store", "check", "nowhere"], "no folder nowhere"),
        (["store", "chekc", "nowhere"], "did you mean check"),
        (["cite", "phase"], "neither a study nor a store"),
    ],
)
def test_mistakes_cost_one_line(
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert error.startswith("denoscope: ")
    assert error.count("\n") == 1
    assert re.search(said, error), error
    assert list(tmp_path.iterdir()) == []


def test_help_and_list_name_every_study_and_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "phase_transition" in capsys.readouterr().out
    assert main(["list", "--json"]) == 0
    assert "phase_transition" in json.loads(capsys.readouterr().out)
    assert main(["run", "phase_transition", "--help"]) == 0
    text = capsys.readouterr().out
    for flag in (
        "--n ",
        "--width ",
        "--seed ",
        "--steps ",
        "--data ",
        "--net ",
        "--samples ",
        "--store ",
        "--dry-run",
    ):
        assert flag in text


def test_cite_names_the_works_of_a_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cite", "phase_transition"]) == 0
    assert "arXiv:2310.05264" in capsys.readouterr().out
    assert main(["cite", "phase_transition", "--bibtex"]) == 0
    assert "@misc{zhang2024" in capsys.readouterr().out


def test_a_dry_run_counts_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "phase_transition", "--dry-run"]) == 0
    assert "108 cells, 0 already stored" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("costs", "workers", "end"),
    [([3, 3, 3], 2, 6), ([5, 1, 1, 1], 2, 5), ([2.5], 4, 2.5), ([], 2, 0)],
)
def test_an_estimate_ends_with_the_last_job(costs: list[float], workers: int, end: float) -> None:
    assert makespan(costs, workers) == end


@pytest.mark.usefixtures("sketched")
def test_run_measures_reports_resumes_and_checks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    words = ["run", "phase_transition", *TINY, "--store", str(store), "--on", "serial"]
    assert main(words) == 0
    output, error = capsys.readouterr()
    assert output.splitlines()[-1] == str(store / "report.html")
    doing = ["writing the tables of 4 cells", "weighing the claims", "drawing the page"]
    assert [line for line in error.splitlines() if line in doing] == doing
    for name in (
        "report.html",
        "table.csv",
        "table.json",
        "comparisons.csv",
        "comparisons.json",
        "store.json",
    ):
        assert (store / name).is_file()
    first = (store / "table.csv").read_text()
    assert main([*words, "--quiet", "--json"]) == 0
    output, error = capsys.readouterr()
    assert error == ""
    assert len(json.loads(output)["cells"]) == 4
    assert (store / "table.csv").read_text() == first
    assert main(["store", "check", str(store)]) == 0
    assert "4 cells, 0 damaged" in capsys.readouterr().out
    assert main(["report", str(store)]) == 0


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "denoscope.cli", "--version"], capture_output=True, text=True
    )
    assert done.stdout.startswith("denoscope 0.")


def test_what_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    commands = ["needed", "--data", "digits", "--out"], ["run", "phase_transition", "--store"]
    for command in commands:
        assert main([*command, str(tmp_path / "file" / "out")]) == 2
        assert "is a file where a folder is needed" in capsys.readouterr().err
    monkeypatch.setattr("denoscope.files.os.access", lambda *_: False)
    for command in commands:
        assert main([*command, str(tmp_path / "out")]) == 2
        assert f"nothing can be written into {tmp_path}:" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_results_is_no_sound_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["store", "check", str(tmp_path)]) == 2
    assert "holds no results" in capsys.readouterr().err
