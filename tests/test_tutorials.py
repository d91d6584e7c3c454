"""The tutorials run, and say what they show."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / ".ci"))

import tutorials


def _words(cell: nbformat.NotebookNode) -> list[list[str]]:
    """How each thing that a cell says begins: three words, whatever the numbers are."""
    texts = [tutorials.printed(cell), *tutorials.answered(cell, "text/markdown")]
    return [re.findall(r"[A-Za-z]{2,}", text)[:3] for text in texts]


def _figures(cell: nbformat.NotebookNode) -> int:
    return len(tutorials.answered(cell, "image/png"))


@pytest.mark.slow
@pytest.mark.parametrize("path", tutorials.TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs_and_says_what_it_shows(path: Path, tmp_path: Path) -> None:
    shown = nbformat.read(path, as_version=4).cells
    made = tutorials.executed(path, tmp_path).cells
    assert [_words(cell) for cell in made] == [_words(cell) for cell in shown]
    assert [_figures(cell) for cell in made] == [_figures(cell) for cell in shown]


@pytest.mark.parametrize("path", tutorials.TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_is_small_has_figures_and_is_not_of_digits(path: Path) -> None:
    text, figures = tutorials.page(path)
    assert "digits" not in text
    assert figures
    assert all(figure.startswith(b"\x89PNG") and len(figure) < 100_000 for figure in figures)
    assert text.count("![") == len(figures)


def test_all_four_are_there() -> None:
    assert len(tutorials.TUTORIALS) == 4
