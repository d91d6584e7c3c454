"""The commands that fill a store and write its report."""

from __future__ import annotations

import heapq
import json
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from denoscope import execute, studies
from denoscope.earlier import current
from denoscope.progress import bar, duration
from denoscope.report import write, write_claims, write_table
from denoscope.report.tables import table
from denoscope.store import Row, Store
from denoscope.study import (
    Study,
    combinations,
    grid,
    missing,
    pending,
    run,
    swept,
    trained,
    versions,
)

STARTING = 5.0
"""Seconds until the first job of a command works: imports, here and in every process."""
DRAWING = 10.0
"""Seconds to compare the cells, weigh the claims and draw the page, about."""


def command(
    study: type[Study], axes: Mapping[str, Any], options: Mapping[str, Any], words: Sequence[str]
) -> int:
    """Runs the sweep of ``axes`` into ``options['store']`` and writes the report; returns the exit
    code.
    """
    check_options(options)
    everything = {**swept(study), **axes}
    cells = grid(study, **everything)
    left_out = sorted({cell.infeasible() for cell in combinations(study, everything)} - {""})
    store = Store(options["store"])
    rows = fill(cells, store, options, words, left_out)
    if options["dry_run"]:
        return 0
    path = write_all(study, rows, store, options["quiet"])
    print(as_json(store) if options["json"] else path)
    return 0


def as_json(store: Store) -> str:
    """The rows and the claims of a store's report, as its files have them."""
    parts = {"cells": "table", "claims": "claims"}
    found = {
        key: json.loads((store.root / f"{name}.json").read_text()) for key, name in parts.items()
    }
    return json.dumps(found, indent=1, ensure_ascii=False)


def fill(
    cells: Sequence[Study],
    store: Store,
    options: Mapping[str, Any],
    words: Sequence[str],
    left_out: Sequence[str] = (),
) -> list[Row]:
    """Says what is to be done and, unless it is a dry run, does it with progress; the rows of the
    cells that the store then holds.
    """
    noted = _noted(store, type(cells[0]))
    todo, jobs = missing(cells, store), pending(cells, store)
    workers = (
        1
        if options["on"] == "serial"
        else min(options["workers"] or execute.cores(), max(1, len(jobs)))
    )
    say(_plan_text(cells, todo, jobs, workers, left_out, store), options["quiet"])
    if todo and not options["dry_run"]:
        _measure(cells, store, noted, options, workers, words)
    return [row for cell in cells if (row := store.get(cell.key())) is not None]


def report(root: Path) -> Path:
    """Writes the report of every cell of a store anew and returns the page's path."""
    store = Store(root)
    name = str(store.noted().get("study", ""))
    if name not in studies.names():
        raise ValueError(
            f"{root} is not a store of results (it has no store.json that names a study); "
            "name the folder given to --store"
        )
    rows, study = store.rows(), studies.load(name)
    if not rows:
        raise ValueError(
            f"{root} holds no finished cell yet; run `denoscope run {name} --store {root}` first"
        )
    return write_all(study, current(study, rows, root), store, quiet=False)


def _noted(store: Store, study: type[Study]) -> dict[str, Any]:
    noted = store.noted()
    if noted and noted["study"] != study.title():
        raise ValueError(
            f"{store.root} holds results of the study {noted['study']}; choose another "
            "folder with --store"
        )
    return noted


def check_options(options: Mapping[str, Any]) -> None:
    """A ValueError for a number of workers or threads, or a device, that cannot be."""
    import torch

    for name in ("workers", "threads"):
        if options[name] is not None and options[name] < 1:
            raise ValueError(f"--{name} {options[name]}: must be at least 1")
    device = options["device"]
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"--device {device} cannot be used here: {str(error).splitlines()[0]}"
        ) from error


def say(text: str, quiet: bool) -> None:
    """A line on standard error of what is being done, unless ``quiet``."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def makespan(costs: Sequence[float], workers: int) -> float:
    """When the last of these jobs ends, each begun, costliest first, when a worker is free."""
    ends = [0.0] * workers
    for cost in sorted(costs, reverse=True):
        heapq.heapreplace(ends, ends[0] + cost)
    return max(ends)


def _plan_text(
    cells: Sequence[Study],
    todo: Sequence[Study],
    jobs: Sequence[Sequence[Study]],
    workers: int,
    left_out: Sequence[str],
    store: Store,
) -> str:
    kept = {cell.key() for cell in todo if trained(cell, store)}
    costs = [
        sum(cell.measuring() if cell.key() in kept else cell.cost() for cell in job) for job in jobs
    ]
    text = (
        f"{len(cells)} cells, {len(cells) - len(todo)} already stored, {len(todo)} to "
        f"measure in {len(jobs)} jobs on {workers} process(es)"
    )
    if todo:
        text += f", about {duration(STARTING + makespan(costs, workers) + DRAWING)}"
    lines = [text, *(f"left out: {reason}" for reason in left_out)]
    if kept:
        lines.insert(1, f"{len(kept)} networks of an earlier version are taken as they are")
    return "\n".join(lines)


def _measure(
    cells: Sequence[Study],
    store: Store,
    noted: Mapping[str, Any],
    options: Mapping[str, Any],
    workers: int,
    words: Sequence[str],
) -> None:
    import torch

    started = time.monotonic()
    runs = list(noted.get("runs", []))
    entry = {
        "command": _shell(words),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "processes": workers,
        "threads": options["threads"],
    }

    def note(finished: bool) -> None:
        seconds = round(time.monotonic() - started, 1)
        store.note(
            {
                "study": cells[0].title(),
                "runs": [*runs, {**entry, "seconds": seconds, "finished": finished}],
                "versions": versions(),
            }
        )

    note(False)
    if options["on"] == "serial":
        torch.set_num_threads(options["threads"])
        executor = execute.serial
    else:
        executor = execute.processes(workers, threads=options["threads"])
    try:
        with bar(len(cells), "cells", options["quiet"]) as progress:
            run(
                cells,
                store,
                executor,
                device=options["device"],
                progress=progress,
                say=partial(say, quiet=options["quiet"]),
            )
    except BaseException:
        note(False)
        raise
    note(True)


def _shell(words: Sequence[str]) -> str:
    import shlex

    return shlex.join(["denoscope", *words[1:]])


def write_all(study: type[Study], rows: Sequence[Row], store: Store, quiet: bool = True) -> Path:
    """Writes the tables and the report of these rows into their store and returns the page's path;
    says what it does unless ``quiet``.
    """
    say(f"writing the tables of {len(rows)} cells", quiet)
    write_table(table(rows), store.root)
    if compared := study.compare(rows):
        write_table(table(compared), store.root, "comparisons")
    say("weighing the claims", quiet)
    page = study.page(rows, store.noted())
    write_claims(page.claims, store.root)
    say("drawing the page", quiet)
    return write(page, store.root)
