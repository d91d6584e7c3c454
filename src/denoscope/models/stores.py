"""The models that a word names: one, or those of a store's cells that are chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoscope.data.refusals import fetch_first
from denoscope.files import located
from denoscope.models.opening import is_model
from denoscope.shipped import SHA256
from denoscope.store import MODEL, Store

CHOSEN = ("n", "width", "subset", "seed")
"""The fields by which cells of a store are chosen."""


@dataclass(frozen=True)
class NamedModel:
    """A model by its ``path``, and the ``fields`` of its cell, empty where it is none."""

    path: str
    fields: Mapping[str, Any]


def named(word: str, chosen: Mapping[str, Sequence[int]]) -> list[NamedModel]:
    """The models of a word, of a store those that are ``chosen``; none is a ValueError."""
    root = located(word)
    if (root / "result.json").is_file():
        return [_cell(root)]
    if (root / "cells").is_dir():
        return _stored(word, root, chosen)
    if root.is_file() or is_model(word):
        return [NamedModel(word, {})]
    raise ValueError(
        f"--model {word}: neither a file written by denoscope.save, nor a cell or store of "
        f"`denoscope run phase_transition`, nor {' or '.join(SHA256)}{fetch_first(word)}"
    )


def _stored(word: str, root: Path, chosen: Mapping[str, Sequence[int]]) -> list[NamedModel]:
    kept = [row for row in Store(root).rows() if row.path and (row.path / MODEL).is_file()]
    found = [row for row in kept if all(row.fields.get(k) in some for k, some in chosen.items())]
    if not kept:
        raise ValueError(
            f"--model {word}: the cells of this store keep no networks; run its study "
            "once more into another folder with --store"
        )
    if not found:
        asked = ", ".join(f"--{name} {' '.join(map(str, some))}" for name, some in chosen.items())
        raise ValueError(
            f"--model {word}: none of its {len(kept)} networks has {asked}; `denoscope "
            f"store ls {word}` lists them"
        )
    order = sorted(found, key=lambda row: [int(str(row.fields.get(name, 0))) for name in CHOSEN])
    return [_cell(row.path) for row in order if row.path is not None]


def _cell(folder: Path) -> NamedModel:
    """A stored cell's network, with the cell's fields."""
    try:
        fields = json.loads((folder / "result.json").read_text())["fields"]
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{folder} is damaged ({error}); run `denoscope store check`") from error
    if not (folder / MODEL).is_file():
        raise ValueError(f"--model {folder}: this cell keeps no network ({MODEL})")
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return NamedModel(str(folder), plain)
