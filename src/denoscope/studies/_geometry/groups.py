"""Which model and which images a stored cell of a geometry study is about, in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from denoscope.data.sources import Source
from denoscope.data.splits import Split
from denoscope.store import Row


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
