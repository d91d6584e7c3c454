"""The pages of theory: their commands run, their formulas are set, their figures are small."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from denoscope.cli import main

sys.path.insert(0, str(Path(__file__).parent.parent / ".ci"))

import formulas
import readability

PAGES = sorted((Path(__file__).parent.parent / "docs" / "theory").glob("*.md"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_of_theory(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = path.read_text()
    (command,) = re.findall(r"^denoscope (run .+)$", text, flags=re.MULTILINE)
    assert main([*shlex.split(command), "--dry-run"]) == 0
    (figure,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert (path.parent / figure).stat().st_size <= 100_000
    assert all((path.parent / link).exists() for link in re.findall(r"\]\(([^)#]+)", text))
    found = readability.read(formulas.DISPLAYED.sub("", text))
    assert found.mean <= 16
    assert readability.length(found.longest) <= 35, found.longest


def test_formulas_are_set_in_the_colour_of_the_text() -> None:
    found = formulas.set_in("Before\n\n$$\nx < \\frac{1}{2}\n$$\n\nafter $5")
    assert found.startswith("Before\n\n<div")
    assert found.endswith("</div>\n\nafter $5")
    assert 'aria-label="x &lt; \\frac{1}{2}"' in found
    assert 'fill="currentColor"' in found
    assert "$$" not in found
