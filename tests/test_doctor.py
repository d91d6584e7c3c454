"""The doctor finds every metric well, and says which one is not."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from typing import Any

import pytest

from denoscope.audit.evidence import controlled_metrics
from denoscope.audit.evidence.metric_table import NAMES
from denoscope.cli import main
from denoscope.estimate import Estimate


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("denoscope.doctor.cases"), "ROWS", 150)


@pytest.mark.slow
def test_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--quiet"]) == 0
    output, error = capsys.readouterr()
    assert error == ""
    found = json.loads(output)
    assert all(
        set(one) == {"metric", "law", "read", "passed"} and one["passed"] is True for one in found
    )
    assert set(NAMES) <= {one["metric"] for one in found}
    assert {"one sample", "NaN"} <= {one["metric"] for one in found}


def test_broken_metrics_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that fails, one that is biased, and one that is constant; the others are still found
    well.
    """
    sound = controlled_metrics.authentic_share

    def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of order")

    def biased(*given: Any) -> Estimate:
        found = sound(*given)
        return replace(found, value=1 - found.value, low=1 - found.high, high=1 - found.low)

    monkeypatch.setattr(controlled_metrics, "feature_likelihood", failing)
    monkeypatch.setattr(controlled_metrics, "authentic_share", biased)
    monkeypatch.setattr(controlled_metrics, "vendi", lambda *_, **__: Estimate(3.0, 3.0, 3.0, 150))
    assert main(["doctor", "--seed", "11"]) == 1
    output, error = capsys.readouterr()
    assert "20% copies" in error
    lines = output.splitlines()
    assert {line.split()[1] for line in lines if line.startswith("FAIL")} == {
        "feature_likelihood",
        "authenticity",
        "vendi",
    }
    assert (
        lines[-1]
        == f"{sum(line.startswith('pass') for line in lines)} of {len(lines) - 2} checks passed"
    )


def test_mistakes_cost_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--sed", "1"]) == 2
    assert "did you mean --seed" in capsys.readouterr().err
