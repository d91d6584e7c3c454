"""What the study shows: what was found, the published measures, the change alone, closed forms,
every cell.
"""

from __future__ import annotations

from collections.abc import Sequence

from denoscope.report import Column, Section, Table
from denoscope.store import Row
from denoscope.studies._conditions import stopped
from denoscope.studies._geometry.groups import Group, grouped
from denoscope.studies._geometry.linearity import drawings, findings
from denoscope.studies._geometry.linearity.setting import PUBLISHED

_SHOWN = {"ratio": "norm ratio", "cosine": "cosine", "change_error": "change error"}
_TIMES = (0.5, 0.04)


def sections(rows: Sequence[Row]) -> list[Section]:
    """Findings, figures and the table of cells; rows whose training stopped are listed and left out
    of the rest.
    """
    every = grouped(rows)
    return [
        Section(
            "Local linearity: what was found",
            [*stopped(rows, "n", "seed"), *findings.claims(every)],
        ),
        Section(
            "Norm ratio and cosine around a point",
            [drawings.steps(every, "ratio"), drawings.steps(every, "cosine")],
        ),
        Section(
            "The change alone",
            [drawings.steps(every, "change_cosine"), drawings.steps(every, "change_error")],
        ),
        Section(
            "Local linearity beside closed forms",
            [drawings.noise(every, "cosine"), drawings.noise(every, "change_cosine")],
        ),
        Section("Local linearity: all cells", [cells(every)]),
    ]


def cells(every: Sequence[Group]) -> Table:
    """Every cell, sortable, at the longer end of the published range along principal directions."""
    names = {
        f"{measure}_principal_{time:g}": (label, time)
        for time in _TIMES
        for measure, label in _SHOWN.items()
    }
    tip = f"along principal directions, at a step of {PUBLISHED[1]:g} √d"
    columns = [
        Column("model"),
        Column("seed", "", "training seed"),
        *(Column(label, f"t = {time:g}", tip) for label, time in names.values()),
    ]
    rows = [
        [group.label, row.fields["seed"], *(row.values.get(name) for name in names)]
        for group in every
        for row in group.rows
    ]
    return Table(f"All {len(rows)} cells", columns, rows)
