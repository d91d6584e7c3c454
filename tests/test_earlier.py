"""Stores written by an earlier version: networks are taken, cells are never mixed."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from denoscope.cli import main
from denoscope.earlier import again
from denoscope.files import file_hash
from denoscope.networks import dump
from denoscope.store import MODEL, Row, Store, Value
from denoscope.studies.phase_transition import PhaseTransition
from denoscope.study import Study, Work, grid, trained

TINY: dict[str, Any] = {
    "width": 4,
    "subset": 0,
    "steps": 20,
    "samples": 12,
    "solver_steps": 3,
    "held": 60,
}


def written(root: Path, cells: list[PhaseTransition], version: int = 1) -> Store:
    """A store as version 1 wrote it, with networks that no training leads to: untrained ones."""
    store = Store(root)
    for cell in cells:
        made = {"seconds": 1.0, "job": "", "inputs": cell.inputs(), "threads": 1, "versions": {}}
        arrays = {"samples": np.zeros((12, 1, 8, 8), np.float32), "nearest": np.zeros(12, int)}
        values: dict[str, Value] = {"glc": 0.5, "p_gen": 0.5}
        row = Row(cell.key(version), cell.title(), version, cell.fields(), values, made)
        store.put(row, arrays, {MODEL: dump(cell.denoiser())})
    runs = [{"command": "denoscope run phase_transition", "seconds": 1.0, "processes": 1}]
    store.note({"study": "phase_transition", "runs": runs, "versions": {}})
    return store


def _state(root: Path) -> dict[str, str]:
    return {str(p): file_hash(p) for p in sorted(root.rglob("*")) if p.is_file()}


def test_report_refuses_older_cells_and_the_command_it_names_takes_their_networks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # pages are drawn by the tests of the study
    monkeypatch.setattr("denoscope.sweep.write", lambda page, root: root / "report.html")
    cells = grid(PhaseTransition, n=[8, 16], seed=[0, 1], **TINY)
    store = written(tmp_path / "old", cells)
    before = _state(store.root)
    assert main(["report", str(store.root)]) == 2
    said = capsys.readouterr().err
    assert "4 of 4 cells" in said
    assert "trains no network twice" in said
    assert _state(store.root) == before
    words = shlex.split(said.split("`")[1])
    assert words[:3] == ["denoscope", "run", "phase_transition"]
    assert main([*words[1:], "--dry-run"]) == 0
    assert "4 networks of an earlier version are taken as they are" in capsys.readouterr().err
    assert main([*words[1:], "--on", "serial", "--quiet"]) == 0
    assert {
        p: h for p, h in _state(store.root).items() if p in before and "store.json" not in p
    } == {p: h for p, h in before.items() if "store.json" not in p}
    for cell in cells:
        kept, fresh = (store.cells / cell.key(version) / MODEL for version in (1, None))
        assert file_hash(kept) == file_hash(fresh)
    assert main(["report", str(store.root)]) == 0
    keys = {row["cell"] for row in json.loads((store.root / "table.json").read_text())}
    assert keys == {cell.key() for cell in cells}


def test_cells_without_an_older_network_are_trained_beside_those_with_one(tmp_path: Path) -> None:
    cells = grid(PhaseTransition, n=[8, 16], seed=[0, 1], **TINY)
    store = written(tmp_path, cells[:1])
    assert trained(cells[0], store) is not None
    assert trained(cells[1], store) is None
    found = dict(PhaseTransition.batch(cells, _work(store)))
    alone = dict(PhaseTransition.batch(cells[1:], _work(Store(tmp_path / "none"))))
    assert list(found) == cells
    assert found[cells[0]].files[MODEL] == (store.cells / cells[0].key(1) / MODEL).read_bytes()
    for cell in cells[1:]:
        one, other = (r[cell].values["error_test"] for r in (found, alone))
        assert one == pytest.approx(other, rel=1e-4)


def _work(store: Store) -> Work:
    return Work(trained=partial(trained, store=store))


def test_networks_of_other_images_or_another_training_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = PhaseTransition(n=8, **TINY)
    store = written(tmp_path, [cell])
    assert trained(cell, store) == store.cells / cell.key(1) / MODEL
    assert trained(replace(cell, steps=21), store) is None
    with monkeypatch.context() as patch:
        patch.setattr(PhaseTransition, "inputs", lambda self: {"digits": "other"})
        assert trained(cell, store) is None
    monkeypatch.setattr(PhaseTransition, "trained_since", PhaseTransition.version)
    assert trained(cell, store) is None


def test_commands_name_what_differs_from_the_defaults(tmp_path: Path) -> None:
    rows = [
        Row("", "phase_transition", 1, {**cell.fields(), "range": [0.0, 1.0]}, {}, {})
        for cell in grid(PhaseTransition, n=[16, 8], seed=[0, 1], **TINY)
    ]
    rows += [replace(row, fields={**row.fields, "steps": 30, "skip_bad": True}) for row in rows]
    first, second = again(PhaseTransition, rows, Path("my runs"))
    assert first == (
        "denoscope run phase_transition --n 8 16 --width 4 --subset 0 --range 0.0 1.0 --steps 20 "
        "--samples 12 --solver-steps 3 --held 60 --store 'my runs'"
    )
    assert "--steps 30" in second
    assert "--skip-bad" in second


def test_the_first_version_has_nothing_older(tmp_path: Path) -> None:
    assert trained(Study(), Store(tmp_path)) is None
