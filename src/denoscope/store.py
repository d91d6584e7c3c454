"""Results on disk: one folder per cell, written whole or not at all, readable by people.

``STORE/cells/KEY/result.json`` holds a cell's fields, its measured values and how it was made;
``arrays.safetensors`` lies beside it, and so do whole files such as a trained network
(``model.safetensors``). ``STORE/work/JOB`` is scratch of a job under way (checkpoints) and
``STORE/locks`` keeps two processes off the same job.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from denoscope import files
from denoscope.estimate import Estimate

SCHEMA = 1
ARRAYS = "arrays.safetensors"
MODEL = "model.safetensors"
"""The name of a cell's trained network, where the study keeps it."""
Value = float | int | str | bool | None | Estimate


@dataclass(frozen=True)
class Row:
    """One stored cell: its identity (``key``), the ``fields`` that made it, measured ``values``,
    and ``made`` (seconds, versions, threads).
    """

    key: str
    study: str
    version: int
    fields: dict[str, object]
    values: dict[str, Value]
    made: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays stored beside the result, read anew at every call."""
        if self.path is None:
            return {}
        from safetensors.numpy import load_file

        file = self.path / ARRAYS
        return load_file(file) if file.is_file() else {}


def plain(value: Value) -> object:
    """A value as JSON can hold it: estimates and numbers that are not finite become dictionaries of
    their own.
    """
    if isinstance(value, Estimate):
        return {"estimate": Estimate.json(value)}
    if isinstance(value, float) and not np.isfinite(value):
        return {"float": repr(value)}
    return value


def _revive(value: object) -> Value:
    if isinstance(value, dict) and "estimate" in value:
        plain: dict[str, object] = value["estimate"]
        numbers = {
            name: (np.nan if plain[name] is None else plain[name])
            for name in ("value", "low", "high")
        }
        # the keys are Estimate's own fields
        return Estimate(**{**plain, **numbers})  # pyright: ignore[reportArgumentType]
    if isinstance(value, dict):
        return float(value["float"])
    return value  # pyright: ignore[reportReturnType]  (JSON scalars)


def _hashes(text: Mapping[str, Any]) -> dict[str, str]:
    """The hash of every file that belongs to a cell, by name; cells of version 0.1 before networks
    were kept list none beside their arrays.
    """
    arrays = {ARRAYS: text["arrays_sha256"]} if text["arrays_sha256"] else {}
    return {**arrays, **text.get("files_sha256", {})}


class Store:
    """A folder of results. Reading never writes; writing is atomic; the same key is never written
    twice.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)
        self.cells = self.root / "cells"
        if self.root.exists() and not self.root.is_dir():
            raise ValueError(f"--store {self.root} is a file; name a folder")

    def get(self, key: str) -> Row | None:
        """The cell with this key, or None when it is absent; a damaged one is a ValueError that
        names its folder.
        """
        path = self.cells / key
        return self._read(path) if path.is_dir() else None

    def _read(self, path: Path) -> Row:
        try:
            text = json.loads((path / "result.json").read_text())
            if text["schema"] != SCHEMA:
                raise ValueError(f"schema {text['schema']}, this version reads {SCHEMA}")
            for name in _hashes(text):
                if not (path / name).is_file():
                    raise ValueError(f"{name} is missing")
            values = {name: _revive(value) for name, value in text["values"].items()}
            return Row(
                text["key"],
                text["study"],
                text["version"],
                text["fields"],
                values,
                text["made"],
                path,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); remove that folder and run the same command again"
            ) from error

    def put(
        self, row: Row, arrays: Mapping[str, np.ndarray], whole: Mapping[str, bytes] | None = None
    ) -> Row:
        """Writes a cell with its arrays and ``whole`` files and returns it as stored; if the key is
        there already, the one that is there stays.
        """
        target = self.cells / row.key
        if not target.is_dir():
            from safetensors.numpy import save

            content = dict(whole or {})
            if arrays:
                content[ARRAYS] = save(
                    {name: np.ascontiguousarray(array) for name, array in arrays.items()}
                )
            with files.folder(target) as temporary:
                for name, data in content.items():
                    files.write(temporary / name, data)
                hashes = {name: files.file_hash(temporary / name) for name in content}
                described = {
                    item.name: getattr(row, item.name)
                    for item in fields(row)
                    if item.name not in ("values", "path")
                }
                values = {name: plain(value) for name, value in row.values.items()}
                about = {"arrays_sha256": hashes.pop(ARRAYS, ""), "files_sha256": hashes}
                files.write_json(
                    temporary / "result.json",
                    {"schema": SCHEMA, **described, "values": values, **about},
                )
        return self._read(target)

    def rows(self) -> list[Row]:
        """Every stored cell in key order."""
        return [self._read(path) for path in self.folders()]

    def folders(self) -> list[Path]:
        """The folders of the stored cells in key order."""
        return sorted(
            path for path in self.cells.glob("*") if path.is_dir() and not path.name.startswith(".")
        )

    def check(self) -> list[str]:
        """What is wrong with the store, a line each: unreadable cells, files that do not match
        their hash, names that do not match keys.
        """
        problems = []
        for path in self.folders():
            try:
                row = self._read(path)
                for name, digest in _hashes(json.loads((path / "result.json").read_text())).items():
                    if files.file_hash(path / name) != digest:
                        problems.append(f"{path}: {name} does not match its recorded hash")
                if row.key != path.name:
                    problems.append(f"{path}: holds the cell {row.key}")
            except ValueError as error:
                problems.append(str(error))
        return problems

    def note(self, content: Mapping[str, object]) -> None:
        """Writes ``store.json``: which study the store holds and the commands that filled it."""
        files.write_json(self.root / "store.json", {"schema": SCHEMA, **content})

    def noted(self) -> dict[str, Any]:
        """What :meth:`note` wrote last; an empty dictionary for a new store."""
        return self._json("store.json")

    def keep_plan(self, content: Mapping[str, object]) -> None:
        """Writes ``plan.json``: which unfinished cells belong to one job."""
        files.write_json(self.root / "plan.json", {"schema": SCHEMA, **content})

    def drop_plan(self) -> None:
        """Removes the plan: everything is done."""
        (self.root / "plan.json").unlink(missing_ok=True)

    def plan(self) -> dict[str, Any]:
        """What :meth:`keep_plan` wrote last; an empty dictionary where nothing is under way."""
        return self._json("plan.json")

    def _json(self, name: str) -> dict[str, Any]:
        path = self.root / name
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ValueError(
                f"{path} is not readable JSON ({error}); remove it, the cells stay valid"
            ) from error

    def work(self, job: str) -> Path:
        """The scratch folder of a job, made if needed; :meth:`finish` removes it."""
        path = self.root / "work" / job
        path.mkdir(parents=True, exist_ok=True)
        return path

    def finish(self, job: str) -> None:
        """Drops the scratch folder of a job whose cells are all stored."""
        shutil.rmtree(self.root / "work" / job, ignore_errors=True)

    @contextmanager
    def claim(
        self, job: str, *, wait: bool = False, say: Callable[[str], None] = lambda line: None
    ) -> Iterator[bool]:
        """Whether this process may do the job now: False while another process on the same machine
        does it, unless told to wait for it, which it then says once.

        The lock is the operating system's and goes with its process, however that ends. Where there
        are none (Windows) every claim succeeds: then two processes may do the same work, and the
        first result stays.
        """
        try:
            import fcntl
        except ImportError:
            yield True
            return
        path = self.root / "locks" / f"{job}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+", buffering=0) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if not wait:
                    yield False
                    return
                say(f"waiting for {self.holder(job)} in {self.root}")
                fcntl.flock(handle, fcntl.LOCK_EX)
            with suppress(OSError):  # a full disk: others wait for a process without a number
                handle.truncate(0)
                handle.write(str(os.getpid()).encode())
            yield True

    def holder(self, job: str) -> str:
        """Who claimed the job last."""
        path = self.root / "locks" / f"{job}.lock"
        number = path.read_text() if path.is_file() else ""
        return f"process {number}" if number else "another process"

    def free(self, job: str) -> bool:
        """Whether no process holds the job at this moment."""
        with self.claim(job) as mine:
            return mine
