"""What is needed to run is permissive, and what ships without the sources is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / ".ci"))

import licences
import wheel_check


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 WITH LLVM-exception AND BSD-3-Clause", True),
        ("GPL-3.0-or-later WITH GCC-exception-3.1 AND BSD-3-Clause", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only", False),
        ("MPL-2.0 AND MIT", False),
        ("LicenseRef-Proprietary", False),
        ("", False),
    ],
)
def test_of_several_licences_each_and_one_or_the_other(said: str, allowed: bool) -> None:
    assert licences.permissive(said) == allowed


def test_all_that_is_needed_to_run_is_permissive(capsys: pytest.CaptureFixture[str]) -> None:
    assert licences.main() == 0
    assert {"torch", "numpy", "sympy"} <= set(licences.closure(licences.needed("denoscope")))
    assert "torch" in capsys.readouterr().out


def test_a_python_that_is_found_is_of_its_version() -> None:
    found = dict(wheel_check.pythons())
    assert set(found) == set(wheel_check.VERSIONS)
    for version, python in found.items():
        if python is not None:
            said = subprocess.run([python, "--version"], capture_output=True, text=True).stdout
            assert said.startswith(f"Python {version}.")


def test_one_that_is_not_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {"torch": "GPL-3.0-only"}
    monkeypatch.setattr(licences, "licence", lambda found: said.get(found.metadata["Name"], "MIT"))
    assert licences.main() == 1
    assert capsys.readouterr().err.strip().endswith(": torch")
