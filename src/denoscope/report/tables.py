"""What was measured and claimed as files that other programs read: ``table``, ``claims``."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from denoscope.estimate import Estimate
from denoscope.files import write, write_json


def write_table(
    rows: Sequence[Mapping[str, object]], folder: Path | str, name: str = "table"
) -> tuple[Path, Path]:
    """Writes ``NAME.csv`` and ``NAME.json``, each whole or absent, and returns their paths.

    Columns are the union of the rows' keys in order of first use. NaN, infinity and what a row
    lacks are null in JSON and empty in CSV. An :class:`Estimate` is an object in JSON and three
    columns ``key``, ``key_low``, ``key_high`` in CSV.
    """
    keys = list(dict.fromkeys(key for row in rows for key in row))
    measured = {key for row in rows for key, value in row.items() if isinstance(value, Estimate)}
    ends = {key: ("", "_low", "_high") if key in measured else ("",) for key in keys}
    header = [f"{key}{end}" for key in keys for end in ends[key]]
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(row) for row in rows)
    target = Path(folder)
    plain = [{key: _json(row.get(key)) for key in keys} for row in rows]
    return write(target / f"{name}.csv", text.getvalue()), write_json(
        target / f"{name}.json", plain
    )


def write_claims(claims: Sequence[Mapping[str, Any]], folder: Path | str) -> None:
    """Writes ``claims.json``, one object per claim, and ``claims.csv``, one line per number."""
    target = Path(folder)
    write_json(target / "claims.json", [_json(claim) for claim in claims])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ("claim", "verdict", "published", "expected_low", "expected_high", "over")
    measured = ("value", "low", "high", "level", "n", "method")
    writer.writerow([*about, "control", "control_holds", "at", *measured])
    for claim in claims:
        for number in claim["numbers"] or [{"at": {}}]:
            at = " ".join(f"{key}={value}" for key, value in number["at"].items())
            said = [claim[name] for name in (*about, "control", "control_holds")]
            writer.writerow(map(_text, [*said, at, *(number.get(name) for name in measured)]))
    write(target / "claims.csv", text.getvalue())


def _flat(row: Mapping[str, object]) -> dict[str, object]:
    out: dict[str, object] = {}
    for key, value in row.items():
        parts = {"": value}
        if isinstance(value, Estimate):
            parts = {"": value.value, "_low": value.low, "_high": value.high}
        out |= {key + suffix: _text(part) for suffix, part in parts.items()}
    return out


def _text(value: object) -> object:
    plain = _json(value)
    return "" if plain is None else str(plain).lower() if isinstance(plain, bool) else plain


def _json(value: object) -> object:
    """As JSON has it: plain numbers, null for what is not finite, text for the unknown."""
    if isinstance(value, Estimate):
        return value.json()
    if isinstance(value, np.ndarray | np.generic):
        return _json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return str(value)
