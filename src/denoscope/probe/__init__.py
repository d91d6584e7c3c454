"""The command `denoscope probe`: the studies of a denoiser's geometry on given networks."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from denoscope import files, report, studies, sweep
from denoscope.models import NamedModel, fingerprint, named
from denoscope.models.stores import CHOSEN
from denoscope.probe.page import build
from denoscope.store import Row, Store, plain
from denoscope.studies._probed import Probed
from denoscope.study import versions

READING = ("data", "test", "held", "skip_bad", "resize", "range", "prepare")
"""The options that say which images a plain file was trained on."""


def command(options: Mapping[str, Any], words: Sequence[str]) -> int:
    """Measures the models study by study, writes probe.html and .json, returns the exit code."""
    sweep.check_options(options)
    target = Path(options["out"])
    chosen = {name: options[name] for name in CHOSEN if options[name]}
    models = [model for path in options["model"] for model in named(path, chosen)]
    label = options["label"]
    asked = {name: options[name] for name in READING if options[name] not in (None, False, ())}
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in asked.items()}
    measured: dict[type[Probed], list[Row]] = {}
    for name in options["studies"]:
        study = _study(name)
        cells = [replace(cell(study, model, given, chosen), label=label) for model in models]
        refuse(cells)
        if not options["quiet"]:
            print(f"{name}:", end=" ", file=sys.stderr, flush=True)
        measured[study] = sweep.fill(cells, Store(target / name), options, ["", *words])
        if not options["dry_run"]:
            sweep.write_all(study, measured[study], Store(target / name))
    if options["dry_run"]:
        return 0
    called = shlex.join(["denoscope", *words])
    numbers = as_json(measured, models, called)
    with files.staged(target) as folder:
        files.write_json(folder / "probe.json", numbers)
        report.write(build(measured, called), folder, "probe")
    text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
    print(text if options["json"] else target / "probe.html")
    return 0


def _study(name: str) -> type[Probed]:
    found = studies.load(name)
    assert issubclass(found, Probed)
    return found


def cell(
    study: type[Probed],
    model: NamedModel,
    given: Mapping[str, Any],
    chosen: Mapping[str, Sequence[int]],
) -> Probed:
    """A study's cell of a model: stored cells bring their fields, files take the ``given``."""
    if model.fields:
        if given:
            name = next(iter(given)).replace("_", "-")
            raise ValueError(
                f"--{name} goes with files of networks; {model.path} is a stored cell, "
                "which knows its images"
            )
        return study(model=model.path, **_shared(model))
    if "data" not in given:
        raise ValueError(
            f"--model {model.path} is a file that does not say what it was trained on: "
            "give its images with --data"
        )
    several = next((name for name in CHOSEN if len(chosen.get(name, ())) > 1), "")
    if several:
        raise ValueError(
            f"--{several} takes several values with a store alone; {model.path} is one network"
        )
    one = {name: values[0] for name, values in chosen.items()}
    return study(model=model.path, **{"n": 0, **one, **given})


def _shared(model: NamedModel) -> dict[str, Any]:
    """The fields of a model's cell that a study of geometry has too."""
    names = {item.name for item in fields(Probed)}
    return {name: value for name, value in model.fields.items() if name in names}


def refuse(cells: Sequence[Probed]) -> None:
    """A ValueError for the first cell that cannot be."""
    for item in cells:
        if reason := item.infeasible():
            raise ValueError(reason)


def as_json(
    measured: Mapping[type[Probed], Sequence[Row]], models: Sequence[NamedModel], called: str
) -> dict[str, Any]:
    """Every value of every study, and what was measured."""
    return {
        "schema": 1,
        "command": called,
        "models": [
            {"path": model.path, "sha256": fingerprint(model.path), **_shared(model)}
            for model in models
        ],
        "studies": {
            study.title(): [
                {
                    "model": row.fields["model"],
                    **{name: plain(value) for name, value in row.values.items()},
                }
                for row in rows
            ]
            for study, rows in measured.items()
        },
        "versions": versions(),
    }
