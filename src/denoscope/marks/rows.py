"""Rows of results that grow on disk: a command that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from denoscope.files import harmless, read_regular, write_json
from denoscope.report import write_table

Row = dict[str, Any]


class Rows:
    """``rows.csv`` and ``rows.json``, a line per image (and key, or attack), in a folder whose
    ``settings.json`` says what they were made of. Other settings are a ValueError.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]):
        self.folder, about = folder, json.loads(json.dumps(about))
        settings = self._read("settings.json")
        if settings is not None and settings != about:
            names = sorted(k for k in {*settings, *about} if settings.get(k) != about.get(k))
            raise ValueError(
                f"--out {folder} holds results with another {', '.join(map(harmless, names))}: "
                "name another folder"
            )
        found: Any = self._read("rows.json") if settings is not None else []
        self.known: dict[str, Row] = {_place(row): row for row in found or []}
        self.met: dict[str, Row] = {}
        if settings is None:
            write_json(folder / "settings.json", about)

    def _read(self, name: str) -> Any:
        try:
            return json.loads(read_regular(self.folder / name))
        except FileNotFoundError:
            return None
        except ValueError as error:
            if not (self.folder / name).exists():
                return None
            raise ValueError(f"--out {self.folder / name} is damaged: {error}") from error

    def take(self, wanted: Row) -> bool:
        """Whether the row with these names is there already, with these values and its file."""
        row = self.known.get(_place(wanted))
        same = row is not None and all(row.get(name) == value for name, value in wanted.items())
        if row is None or not same or not self._is_there(row):
            return False
        self.met[_place(row)] = row
        return True

    def _is_there(self, row: Row) -> bool:
        return "written" not in row or (self.folder / row["written"]).is_file()

    def add(self, rows: Sequence[Row]) -> None:
        """Rows that were made, written at once with all that are known."""
        made = {_place(row): row for row in rows}
        self.met |= made
        self.known |= made
        write_table(list(self.known.values()), self.folder, "rows")

    def finish(self, order: Sequence[str]) -> list[Row]:
        """All rows of this run, by the places of their files in ``order``; others are dropped."""
        place = {name: i for i, name in enumerate(order)}
        rows = sorted(self.met.values(), key=lambda row: place[row["file"]])
        write_table(rows, self.folder, "rows")
        return rows


def _place(row: Row) -> str:
    return json.dumps([row["file"], row.get("key"), row.get("attack")])
