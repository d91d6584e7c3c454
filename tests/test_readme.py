"""What the README shows works as it is written."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from diffusers import DDPMScheduler
from pipelines import saved

from denoscope import read_images, studies, write_images
from denoscope.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
_at = importlib.util.spec_from_file_location("readability", ROOT / ".ci" / "readability.py")
assert _at
assert _at.loader
readability = importlib.util.module_from_spec(_at)
sys.modules["readability"] = readability
_at.loader.exec_module(readability)

DOCS = {path.stem: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
AUDIT, STUDIES = DOCS["audit"], DOCS["studies"]
RUN_ELSEWHERE = {
    "audit": "below, tests/test_containers.py and tests/test_doctor.py",
    "edit": "tests/test_edits.py",
    "models": "tests/test_foreign_models.py",
    "monitor": "tests/test_monitor.py",
    "networks": "tests/test_shipped.py",
    "studies": "below and tests/test_probe.py",
    "watermark": "tests/test_marks.py",
}
"""Pages whose lines need more than a folder to run in."""
HERE = sorted(set(DOCS) - set(RUN_ELSEWHERE))


def _blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def _lines(text: str) -> list[list[str]]:
    """The command lines of a page, without `denoscope` and without comments."""
    lines = "\n".join(_blocks("sh", text)).splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("denoscope ")]


def test_the_eight_lines_print_what_they_say() -> None:
    code = _blocks("python", DOCS["start"])[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 8


@pytest.mark.slow
@pytest.mark.parametrize("page", HERE)
def test_the_code_of_a_page_prints_what_it_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for code in _blocks("python", DOCS[page]):
        exec(compile(code, page, "exec"), {})
        said = re.split(r": ", code.rpartition("# ")[2].strip())[0]
        assert capsys.readouterr().out.strip() == said


@pytest.mark.slow
@pytest.mark.usefixtures("one_process", "sketched")
@pytest.mark.parametrize("page", HERE)
def test_every_command_line_of_a_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in _lines(DOCS[page]):
        assert main(words) == 0, words


@pytest.mark.slow
@pytest.mark.usefixtures("one_process", "sketched")
def test_every_command_of_the_first_table_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    digits = read_images("digits").data
    for name, part in {"samples": digits[:80], "train": digits[:160], "held": digits[900:]}.items():
        write_images(part, tmp_path / name)
    write_images(digits[:1], tmp_path / "one")
    next((tmp_path / "one").glob("*.png")).rename(tmp_path / "image.png")
    saved(tmp_path / "pipeline", DDPMScheduler())
    (tmp_path / "mine.py").write_text(_blocks("python", DOCS["models"])[0])
    commands = re.findall(r"`denoscope ([^`]+)` \|", README)
    assert len(commands) == 6
    for command in commands:
        assert main([*shlex.split(command), "--quiet"]) == 0, command


def test_the_first_page_is_short() -> None:
    found = readability.read(README)
    assert found.words <= 400
    assert found.mean <= 14
    assert len(found.longest.split()) <= 30, found.longest


@pytest.mark.parametrize("page", sorted({*DOCS} - {"studies"}))
def test_the_sentences_of_a_page_are_short(page: str) -> None:
    found = readability.read(DOCS[page])
    assert found.mean <= 16
    assert readability.length(found.longest) <= 35, found.longest


def test_sentences_end_where_they_end() -> None:
    prose = "# A title\n\nOne two *three.* Four,\nfive `six seven`!\n* Eight\n"
    text = prose + "\n| a | b |\n```sh\nx\n```\n"
    found = readability.read(text)
    assert [len(sentence.split()) for sentence in found.sentences] == [3, 3, 1]
    assert found.words == 12


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
    for out, shown in {
        "runs/copies": r"> \*\*(.+?)\*\*",
        "runs/cropped": "> (What was compared: .+)",
    }.items():
        line = next(line for line in lines if line.endswith(out))
        assert main(shlex.split(line)[1:]) == 0
        said = re.search(shown, AUDIT)
        assert said
        assert said[1] in capsys.readouterr().out.replace("\u00a0", " ")
    code = next(block for block in _blocks("python", AUDIT) if "examine" in block)
    exec(compile(code, "audit.md", "exec"), {})
    assert capsys.readouterr().out.strip() == code.rpartition("# ")[2].strip()


def test_make_targets_and_linked_files_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    texts = {ROOT / "README.md": README, **{ROOT / "docs" / f"{n}.md": t for n, t in DOCS.items()}}
    for path, text in texts.items():
        for target in re.findall(
            r"^make (\w+)", "\n".join(_blocks("sh", text)), flags=re.MULTILINE
        ):
            assert f"\n{target}:" in makefile
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (path.parent / link).exists(), link


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir"]
    done = subprocess.run(
        [*words, str(tmp_path / "site")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(DOCS) + 5
    for page in pages:
        foreign = r"""<(?:link|script|img)[^>]+(?:href|src)=["']?https?://"""
        assert not re.search(foreign, page.read_text()), page
