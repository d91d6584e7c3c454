"""The gallery and the table of rivals say what was stored, no more; verdicts follow intervals."""

from __future__ import annotations

import importlib.util
import json
import math
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from denoscope import studies
from denoscope.cli import main

ROOT = Path(__file__).parent.parent


def _script(path: str) -> ModuleType:
    file = ROOT / path
    spec = importlib.util.spec_from_file_location(file.stem + "_script", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


gallery = _script(".ci/gallery.py")
ALL = [each for some in gallery.ORIGINALS.values() for each in some]


def test_the_page_is_what_its_command_writes() -> None:
    assert (ROOT / "docs" / "gallery.md").read_text() == gallery.page()


def test_all_six_figures_of_the_article_are_there() -> None:
    names = " ".join(each.name for each in gallery.ORIGINALS[gallery.ARTICLE])
    assert all(f"Figure {number}" in names for number in range(1, 7))


@pytest.mark.parametrize("original", ALL, ids=lambda original: original.name)
def test_a_figure_is_answered_by_stored_claims(original: Any) -> None:
    assert original.study in studies.names()
    stored = [each["claim"] for each in gallery.kept(original.study)["claims"]]
    for start in original.claims:
        assert sum(claim.startswith(start) for claim in stored) == 1, start
    assert len(gallery.answering(original)) == len(original.claims) > 0
    if original.drawn:
        assert (gallery.KEPT / f"{original.study}.png").stat().st_size < 400_000


@pytest.mark.parametrize("study", gallery.COMMANDS)
def test_the_commands_of_the_gallery_run(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "fashion_mnist" in gallery.command(study):
        pytest.skip("a set that need not be on this machine")
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(gallery.command(study))[1:], "--dry-run"]) == 0


def test_every_stored_verdict_follows_from_its_intervals() -> None:
    """Again, from the numbers alone: inside the region of the claim, outside it, or both."""
    for study in gallery.COMMANDS:
        for claim in gallery.kept(study)["claims"]:
            low = -math.inf if claim["expected_low"] is None else claim["expected_low"]
            high = math.inf if claim["expected_high"] is None else claim["expected_high"]
            given = [each for each in claim["numbers"] if each["value"] is not None]
            inside = [
                low <= (-math.inf if each["low"] is None else each["low"])
                and (math.inf if each["high"] is None else each["high"]) <= high
                for each in given
            ]
            if claim["verdict"] == "supported" and claim["over"] == "all":
                assert given
                assert all(inside), claim["claim"]
            if claim["verdict"] == "contradicted":
                assert not all(inside), claim["claim"]


def test_nothing_of_the_machine_that_measured_is_kept() -> None:
    for file in gallery.KEPT.glob("*.json"):
        text = file.read_text()
        assert "/tmp" not in text
        assert str(ROOT) not in text
        json.loads(text)


def test_numbers_are_shown_by_their_ends() -> None:
    def number(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 1, "high": value + 1}

    assert gallery.numbers({"numbers": []}) == "–"
    assert gallery.numbers({"numbers": [number(2)]}) == "2 [1, 3]"
    many = {"numbers": [number(value) for value in (5, 2, 9)]}
    assert gallery.numbers(many) == "2 [1, 3] to 9 [8, 10]"
    open_end = {"value": 2.0, "low": None, "high": 3.0}
    assert gallery.numbers({"numbers": [open_end]}) == "2 [-inf, 3]"


def test_rivals_are_compared_in_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    rivals = _script("benchmarks/rivals.py")
    rivals.versus("work", 2.0, "numpy.cov", 6.0)
    rivals.versus("work", 6.0, "torch loop", 2.0, "steps/s", better="more")
    rivals.missing("work", "faiss", "pip install faiss-cpu")
    lines = capsys.readouterr().out.splitlines()
    rows = [json.loads(line.removeprefix(rivals.MARK)) for line in lines]
    assert [row.get("ratio") for row in rows] == [3.0, 3.0, None]
    assert rows[0]["version"]
    sys.modules["rivals"] = rivals
    try:
        table = _script("benchmarks/table.py")
    finally:
        del sys.modules["rivals"]
    made = table.table({"x": {"how": "so", "rows": [{"script": "x", **row} for row in rows]}})
    assert made.count("**3.00**") == 2
    assert "not measured: pip install faiss-cpu" in made
    page = f"a\n{table.BEGIN}\nold\n{table.END}\nb\n"
    assert table.placed(page, "new") == f"a\n{table.BEGIN}\nnew\n{table.END}\nb\n"
    assert table.placed(table.placed(page, "new"), "new") == table.placed(page, "new")
    assert "x: so." in made
    kept = json.loads(table.KEPT.read_text())
    readme = (ROOT / "benchmarks" / "README.md").read_text()
    assert readme.count(table.BEGIN) == readme.count(table.END) == 1
    assert table.placed(readme, table.table(kept)) == readme
    assert all((ROOT / "benchmarks" / f"{name}.py").is_file() for name in table.SCRIPTS)
