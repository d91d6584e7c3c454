"""A user's mistake costs one line and exit code 2; nothing is written; output that machines read
stands alone.
"""

from __future__ import annotations

import errno
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any

import pytest

from denoscope import studies
from denoscope.cli import main
from denoscope.studies._declared import declaration
from denoscope.study import declared
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
    commands = (
        ["needed", "--data", "digits", "--out"],
        ["run", "phase_transition", "--store"],
        ["audit", "--gen", "digits[0:50]", "--train", "digits[50:]", "--out"],
        ["probe", "--model", "digits-unet", "--out"],
        ["edit", "--model", "digits-unet", "--image", "digits[0:1]", "--mask", "otsu", "--out"],
        ["watermark", "detect", "--model", "digits-unet", "--images", "a", "--key", "k", "--out"],
    )
    for command in commands:
        assert main([*command, str(tmp_path / "file" / "out")]) == 2
        assert "is a file where a folder is needed" in capsys.readouterr().err
    monkeypatch.setattr("denoscope.files.os.access", lambda *_: False)
    for command in commands:
        assert main([*command, str(tmp_path / "out")]) == 2
        assert f"nothing can be written into {tmp_path} (" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", studies.names())
def test_fields_read_from_a_file_are_those_of_the_class(name: str) -> None:
    def told(items: Sequence[Field[Any]]) -> list[tuple[Any, ...]]:
        return [(item.name, item.type, item.default, dict(item.metadata)) for item in items]

    study = studies.load(name)
    doc, items = declaration(name)
    assert told(items) == told(declared(study))
    assert doc == inspect.cleandoc(study.__doc__ or "")


def test_help_says_every_value_that_is_swept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "phase_transition", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "capacity dial (takes several; default: 32 64 128)" in words
    assert "training steps (default: 3200)" in words


HUB = "org/model"


@pytest.mark.parametrize(
    "words",
    [
        ["edit", "--model", HUB, "--image", "digits[0:1]", "--mask", "otsu"],
        ["audit", "--gen", HUB, "--train", "digits"],
        ["audit", "--gen", "digits[0:9]", "--train", HUB],
        ["probe", "--model", HUB, "--data", "digits"],
        ["watermark", "key", "--model", HUB, "--key", "k.json"],
        ["needed", "--data", HUB],
    ],
)
def test_names_of_a_hub_get_a_way_out(
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"nothing is downloaded: if {HUB} lies on the Hugging Face hub, fetch it with" in error
    assert list(tmp_path.iterdir()) == []


SMALL = {
    "run": [
        *["run", "linear_generalization", "--data", "power1", "--n", "8", "200", "--d", "20"],
        *["--draws", "3", "--steps", "50", "--on", "serial", "--store", "OUT"],
    ],
    "edit": [
        *["edit", "--model", "digits-unet", "--image", "digits[0:1]", "--mask", "otsu", "--out"],
        *["OUT", "--steps", "4", "--directions", "1", "--project", "0"],
    ],
    "embed": [
        *["watermark", "embed", "--model", "digits-unet", "--images", "digits[0:2]", "--key"],
        *["KEY", "--out", "OUT"],
    ],
    "needed": ["needed", "--data", "digits", "--n", "60", "--out", "OUT"],
}


@pytest.mark.slow
@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("name", SMALL)
def test_a_full_disk_costs_one_line_and_the_same_command_goes_on(
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The disk is full at the first write of a command, in the middle and at the last one."""
    key, out = tmp_path / "key.json", tmp_path / "out"
    main(["watermark", "key", "--model", "digits-unet", "--steps", "4", "--key", str(key)])
    places = {"OUT": str(out), "KEY": str(key)}
    words = [*(places.get(word, word) for word in SMALL[name]), "--quiet"]
    written, left = Path.write_bytes, [0]

    def filling(path: Path, content: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            written(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(path, content)

    monkeypatch.setattr(Path, "write_bytes", filling)
    left[0] = many = 10**6
    assert main(words) == 0
    count, whole = many - left[0], _contents(out)
    for room in sorted({0, count // 2}):
        shutil.rmtree(out)
        left[0] = room
        capsys.readouterr()
        assert main(words) == 1
        output, error = capsys.readouterr()
        assert output == ""
        assert re.fullmatch(
            r"denoscope: .*no space is left in .*: make room and run the same command again\n",
            error,
        )
        assert all(name in whole for name in _contents(out))
        left[0] = many
        assert main(words) == 0
        assert _contents(out).keys() == whole.keys()


def _contents(folder: Path) -> dict[str, int]:
    """Files that are no scratch, with their sizes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    return {
        n: size
        for n, size in names.items()
        if n.split("/")[0] not in ("locks", "work", "plan.json")
    }


def test_a_folder_without_results_is_no_sound_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["store", "check", str(tmp_path)]) == 2
    assert "holds no results" in capsys.readouterr().err
