"""What earlier versions of a study left in a store, and how it is measured anew."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from denoscope.store import MODEL, Row
from denoscope.study import Study, declared


def current(study: type[Study], rows: Sequence[Row], root: Path) -> list[Row]:
    """The rows of today's version; a ValueError with the command that measures anew what only an
    earlier version measured.
    """
    keys = {row.key for row in rows}
    old = [r for r in rows if r.version != study.version and key(study, r.fields) not in keys]
    if old:
        commands = " and ".join(f"`{text}`" for text in again(study, old, root))
        found = ", ".join(map(str, sorted({row.version for row in old})))
        raise ValueError(
            f"{len(old)} of {len(rows)} cells in {root} were measured by version {found} of "
            f"{study.title()}, this is version {study.version}: {commands} measures them anew"
            f"{' and trains no network twice' if any(map(kept, old)) else ''}"
        )
    return [row for row in rows if row.version == study.version]


def kept(row: Row) -> bool:
    """Whether a cell keeps its network."""
    return row.path is not None and (row.path / MODEL).is_file()


def key(study: type[Study], stored: Mapping[str, Any]) -> str:
    """The key that a cell with these fields has today; empty where there is no such cell."""
    known = {item.name for item in fields(study)}
    return study.of(stored).key() if stored.keys() <= known else ""


def again(study: type[Study], rows: Sequence[Row], root: Path) -> Iterator[str]:
    """The commands that measure all of these cells: one for each setting of the options."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        options = [row.fields.get(i.name) for i in declared(study) if not i.metadata["axis"]]
        groups.setdefault(str(options), []).append(row)
    for some in groups.values():
        flags = [word for item in declared(study) for word in _flag(item, some)]
        yield shlex.join(["denoscope", "run", study.title(), *flags, "--store", str(root)])


def _flag(item: Any, rows: Sequence[Row]) -> list[str]:
    """A field as the command line writes it; nothing where its default says the same."""
    stored = dict.fromkeys(str(row.fields[item.name]) for row in rows if item.name in row.fields)
    default = item.metadata["sweep"] if item.metadata["axis"] else [item.default]
    if not stored or set(stored) == set(map(str, default)) or stored.keys() == {"[]"}:
        return []
    flag, values = f"--{item.name.replace('_', '-')}", list(stored)
    if isinstance(item.default, bool):
        return [flag]
    if isinstance(item.default, tuple):
        ends: Any = rows[0].fields[item.name]
        return [flag, *map(str, ends)]
    return [flag, *(sorted(values, key=float) if isinstance(item.default, int | float) else values)]
