"""What was measured and claimed as files that other programs read: ``table``, ``claims``."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from denoscope.estimate import Estimate
from denoscope.files import write, write_json
from denoscope.store import Row, Store


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


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as flat dictionaries of key, fields, values and, where they were measured, seconds."""
    return [
        {
            "cell": row.key,
            **row.fields,
            **row.values,
            **({"seconds": row.made["seconds"]} if row.made else {}),
        }
        for row in rows
    ]


def frame(store: Store | Path | str) -> Any:
    """The cells of a store as a pandas DataFrame: a row each, with the columns of ``table.csv``."""
    try:
        import pandas  # pyright: ignore[reportMissingImports] -- an extra
    except ImportError as error:
        raise ImportError(
            "frame needs pandas: pip install 'denoscope[pandas]'; table.csv of the store has the "
            "same columns"
        ) from error
    found = store if isinstance(store, Store) else Store(store)
    return pandas.DataFrame([_parts(row) for row in table(found.rows())])


def scalars(result: Any) -> dict[str, float]:
    """The numbers of a result by name, for any logger of experiments: of an estimate NAME, NAME/low
    and NAME/high. What is not finite, or no number, is left out.

    ``result`` is a mapping such as :func:`~denoscope.measure` returns, or has one as ``metrics``,
    ``estimates`` or ``values``: an audit, a monitor's choice or look, a stored row. Mappings in it
    are joined by a slash.
    """
    held = (getattr(result, name, None) for name in ("metrics", "estimates", "values"))
    found = next((one for one in (result, *held) if isinstance(one, Mapping)), None)
    if found is None:
        raise ValueError(f"a {type(result).__name__} has no named numbers")
    return {name: number for name, number in _numbers(found, "") if math.isfinite(number)}


def _numbers(found: Mapping[str, Any], before: str) -> Iterator[tuple[str, float]]:
    for key, value in found.items():
        name, value = f"{before}{key}", getattr(value, "estimate", value)
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{name}/")
        elif isinstance(value, Estimate):
            yield from zip(
                (name, f"{name}/low", f"{name}/high"), (value.value, value.low, value.high)
            )
        elif isinstance(value, bool | int | float | np.number):
            yield name, float(value)


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
    return {key: _text(value) for key, value in _parts(row).items()}


def _parts(row: Mapping[str, object]) -> dict[str, object]:
    """A row with three columns for each estimate."""
    out: dict[str, object] = {}
    for key, value in row.items():
        parts = {"": value}
        if isinstance(value, Estimate):
            parts = {"": value.value, "_low": value.low, "_high": value.high}
        out |= {key + suffix: part for suffix, part in parts.items()}
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
