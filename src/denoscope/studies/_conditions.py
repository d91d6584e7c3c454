"""What a reader needs to run a sweep again, and what did not run to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from denoscope.report import Finding
from denoscope.store import Row

SYMBOLS = {"n": "N =", "n_k": "N_k =", "d": "d ="}
"""How a field is written before its value, where that is not its name."""


def conditions(
    rows: Sequence[Row], noted: Mapping[str, Any], told: Mapping[str, object]
) -> dict[str, object]:
    """Names and values: how the cells were made, what the study tells of its data, the settings,
    versions and content hashes.
    """
    runs = noted.get("runs", [])
    fields = list(rows[0].fields)
    values = {name: list(dict.fromkeys(_word(row.fields[name]) for row in rows)) for name in fields}
    hashes = {name: value for row in rows for name, value in row.made.get("inputs", {}).items()}
    seconds = sum(float(row.made.get("seconds", 0.0)) for row in rows)
    return {
        **(
            {
                "command": f"`{runs[-1]['command']}`",
                "wall time": f"{sum(float(run['seconds']) for run in runs):.0f} s in "
                f"{len(runs)} run(s)",
            }
            if runs
            else {}
        ),
        "core time": f"{seconds:.0f} s over {len(rows)} cells",
        **told,
        **(
            {"content hash": ", ".join(f"{name} `{value}`" for name, value in hashes.items())}
            if hashes
            else {}
        ),
        "settings": "; ".join(f"{name} {', '.join(found)}" for name, found in values.items()),
        "versions": ", ".join(
            f"{name} {value}" for name, value in rows[0].made.get("versions", {}).items()
        ),
    }


def _word(value: object) -> str:
    return (" ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)) or "none"


def stopped(rows: Sequence[Row], *names: str) -> list[Finding]:
    """A line for every training that stopped, which these fields identify."""
    found = [row for row in rows if row.values.get("stopped")]
    which = [
        ", ".join(f"{SYMBOLS.get(name, name)} {row.fields[name]}" for name in names)
        for row in found
    ]
    return [
        Finding(f"{words[:1].upper()}{words[1:]}: {row.values['stopped']}.", "absent")
        for words, row in zip(which, found)
    ]
