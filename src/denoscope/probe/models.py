"""What `--model` names: files of networks, stored cells that keep theirs, stores of such cells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from denoscope.store import MODEL, Store
from denoscope.studies._probed import Probed

CHOSEN = ("n", "width", "subset", "seed")
"""The fields by which cells of a store are chosen."""


@dataclass(frozen=True)
class ProbedNetwork:
    """A network by its ``path``, and the ``fields`` of its cell, empty for a plain file."""

    path: str
    fields: Mapping[str, Any]


def resolve(path: str, chosen: Mapping[str, Sequence[int]]) -> list[ProbedNetwork]:
    """The networks of a path, of a store those that are ``chosen``; none is a ValueError."""
    root = Path(path).expanduser()
    if root.is_file():
        return [ProbedNetwork(path, {})]
    if (root / "result.json").is_file():
        return [_cell(root)]
    if not (root / "cells").is_dir():
        raise ValueError(
            f"--model {path}: neither a file written by denoscope.save, nor a cell or "
            "store of `denoscope run phase_transition`"
        )
    kept = [row for row in Store(root).rows() if row.path and (row.path / MODEL).is_file()]
    found = [row for row in kept if all(row.fields.get(k) in some for k, some in chosen.items())]
    if not kept:
        raise ValueError(
            f"--model {path}: the cells of this store keep no networks; run its study "
            "once more into another folder with --store"
        )
    if not found:
        asked = ", ".join(f"--{name} {' '.join(map(str, some))}" for name, some in chosen.items())
        raise ValueError(
            f"--model {path}: none of its {len(kept)} networks has {asked}; `denoscope "
            f"store ls {path}` lists them"
        )
    order = sorted(found, key=lambda row: [int(str(row.fields.get(name, 0))) for name in CHOSEN])
    return [_cell(row.path) for row in order if row.path is not None]


def _cell(folder: Path) -> ProbedNetwork:
    """A stored cell's network, with the fields that a study of geometry has too."""
    names = {item.name for item in fields(Probed)}
    try:
        kept = json.loads((folder / "result.json").read_text())["fields"]
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{folder} is damaged ({error}); run `denoscope store check`") from error
    if not (folder / MODEL).is_file():
        raise ValueError(f"--model {folder}: this cell keeps no network ({MODEL})")
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in kept.items() if k in names}
    return ProbedNetwork(str(folder), plain)
