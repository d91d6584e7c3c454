"""Stored cells read back: models that differ in their training seed and subset alone, together, and
what to call them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from denoscope.data.sources import Source
from denoscope.data.splits import Split
from denoscope.estimate import Estimate, mean
from denoscope.store import Row
from denoscope.studies._averages import Averaged

MEMBERS = ("seed", "subset")
"""The fields in which members of a group differ."""


@dataclass(frozen=True, eq=False)
class Group(Averaged):
    """Models alike but for ``MEMBERS``: ``label`` names them in a legend; a given model is
    alone.
    """

    label: str
    rows: Sequence[Row]

    @property
    def n(self) -> int:
        """Number of training images; 0: all of the set that are not held out."""
        return int(str(self.rows[0].fields["n"]))

    @property
    def width(self) -> int:
        """Width of networks that were trained here; of a given one the field says nothing unless
        its cell was read.
        """
        return int(str(self.rows[0].fields["width"]))

    def data(self) -> Split:
        """The images of the first member."""
        return data_of(self.rows[0])

    def along(self, name: str) -> list[Estimate]:
        """Means over points of an array (levels, points), one a level: first averaged over members,
        which share their points; then by t.

        The intervals are for these models: they say nothing of training others.
        """
        return [mean(row) for row in self.mean(name)]


def finished(rows: Sequence[Row]) -> list[Row]:
    """The rows whose training did not stop; none is a ValueError."""
    good = [row for row in rows if not row.values.get("stopped")]
    if not good:
        raise ValueError("the training of every cell stopped at a non-finite loss; lower --lr")
    return good


def grouped(rows: Sequence[Row]) -> list[Group]:
    """Finished rows in groups, by training size, width and model."""
    good = finished(rows)
    widths = {row.fields["width"] for row in good if not is_file(row)}
    order = sorted(
        good,
        key=lambda row: (
            row.fields["n"] or np.inf,
            row.fields["width"],
            row.fields["model"],
            row.fields["seed"],
        ),
    )
    groups: dict[str, list[Row]] = {}
    for row in order:
        groups.setdefault(label(row, widths=len(widths) > 1), []).append(row)
    return [Group(name, members) for name, members in groups.items()]


def is_file(row: Row) -> bool:
    """Whether the model is a plain file, of which size and width of training are not known; a
    stored cell's are among the fields.
    """
    model = str(row.fields["model"])
    return bool(model) and Path(model).parent.name != "cells"


def label(row: Row, *, widths: bool) -> str:
    """What a legend calls the model of a row: its file, or its training size and, where ``widths``
    differ, its width.
    """
    if is_file(row):
        return Path(str(row.fields["model"])).stem
    return f"N = {row.fields['n']}" + (f", width {row.fields['width']}" if widths else "")


def data_of(row: Row) -> Split:
    """The images of a row's model."""
    fields = row.fields
    # two numbers or none
    reading = (bool(fields["skip_bad"]), int(str(fields["resize"])), tuple(fields["range"]))  # pyright: ignore[reportArgumentType]
    test = Source(str(fields["test"]), *reading) if fields["test"] else None
    return Split(
        Source(str(fields["data"]), *reading),
        test,
        int(str(fields["held"])),
        int(str(fields["n"])),
        int(str(fields["subset"])),
    )


def told(rows: Sequence[Row]) -> str:
    """Which images, in which units."""
    fields, data = rows[0].fields, data_of(rows[0])
    shape = " × ".join(map(str, data.train().shape[1:]))
    unseen = (
        f"{len(data.unseen())} images of {fields['test']}"
        if fields["test"]
        else f"{len(data.unseen())} images held out"
    )
    return (
        f"{fields['data']}, images of {shape} in [−1, 1]; unseen: {unseen}; smaller "
        "training sets lie within larger ones"
    )
