"""What the README shows works as it is written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from denoscope import studies
from denoscope.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


AUDIT = (ROOT / "docs" / "audit.md").read_text()
STUDIES = (ROOT / "docs" / "studies.md").read_text()


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_eight_lines_print_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    code = _blocks("python")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 8
    said = re.search(r"# (0 \[0, [0-9.]+\])", code)
    assert said
    exec(compile(code, "README", "exec"), {})
    assert capsys.readouterr().out.strip() == said[1]


def test_the_rank_of_any_denoiser_is_one_call(capsys: pytest.CaptureFixture[str]) -> None:
    code = _blocks("python")[1]
    exec(compile(code, "README", "exec"), {})
    assert capsys.readouterr().out.strip() == code.rpartition("# ")[2].strip()


def test_images_behind_a_measurement_are_one_call(capsys: pytest.CaptureFixture[str]) -> None:
    code = _blocks("python")[2]
    exec(compile(code, "README", "exec"), {})
    assert capsys.readouterr().out.strip() == code.rpartition("# ")[2].partition(":")[0]


@pytest.mark.slow
@pytest.mark.usefixtures("one_process", "sketched")
def test_every_command_line_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [
        line.split("#")[0] for line in _blocks("sh")[1].splitlines() if line.startswith("denoscope")
    ]
    assert len(lines) >= 6
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, line
    assert (tmp_path / "runs" / "small" / "report.html").is_file()


def test_the_page_of_studies_has_every_study_and_its_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [line for block in _blocks("sh", STUDIES) for line in block.splitlines()]
    lines = [line for line in commands if line.startswith("denoscope run ")]
    assert sorted(line.split()[2] for line in lines) == studies.names()
    assert [line.split()[1] for line in commands if line not in lines] == ["probe"], (
        "tests/test_probe.py runs it"
    )
    for line in lines:
        assert main([*shlex.split(line)[1:], "--dry-run"]) == 0, line
    assert not list(tmp_path.rglob("*.html"))


def test_the_page_of_the_audit_shows_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for block in _blocks("sh", AUDIT) for line in block.splitlines()]
    lines = [line for line in lines if "train.tar" not in line]  # tests/test_containers.py runs it
    assert lines[-1] == "denoscope doctor", "tests/test_doctor.py runs it"
    for line, shown in zip(lines[1:3], (r"> \*\*(.+?)\*\*", "> (What was compared: .+)")):
        assert main(shlex.split(line)[1:]) == 0
        said = re.search(shown, AUDIT)
        assert said
        assert said[1] in capsys.readouterr().out.replace("\u00a0", " ")
    code = next(block for block in _blocks("python", AUDIT) if "examine" in block)
    exec(compile(code, "audit.md", "exec"), {})
    assert capsys.readouterr().out.strip() == code.rpartition("# ")[2].strip()


def test_make_targets_and_linked_files_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", "\n".join(_blocks("sh")), flags=re.MULTILINE):
        assert f"\n{target}:" in makefile
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link
