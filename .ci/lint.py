"""The linters as tests, which `make lint` and `make test` run; `pytest` alone does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PYTHON = Path(sys.executable)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["basedpyright", "--level", "error", "--pythonpath", str(PYTHON)],
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
    ],
    ids=["types", "rules", "format"],
)
def test_the_linter_has_nothing_to_say(words: list[str]) -> None:
    command = [str(PYTHON.with_name(words[0])), *words[1:]]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
