"""A measured value averaged over training runs."""

from __future__ import annotations

from collections.abc import Sequence

from denoscope.estimate import Estimate, mean
from denoscope.store import Row


def over_runs(rows: Sequence[Row], name: str) -> Estimate | None:
    """A value's mean over rows: by t over them where there are several, else the row's own interval; None where one lacks it."""
    found = [row.values.get(name) for row in rows]
    if not found or any(not isinstance(value, Estimate | int | float) for value in found):
        return None
    if len(found) == 1:
        return found[0] if isinstance(found[0], Estimate) else mean([float(str(found[0]))])
    return mean([value.value if isinstance(value, Estimate) else float(str(value)) for value in found])
