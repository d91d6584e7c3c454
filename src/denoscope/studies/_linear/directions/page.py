"""The report: what was found in words, the directions as images, the figures, every cell, what was
run, what to cite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from denoscope.references import DATA, references
from denoscope.report import Column, KeyValues, Page, ReferenceList, Section, Table, Text
from denoscope.store import Row
from denoscope.studies._conditions import conditions
from denoscope.studies._linear.directions import drawings, findings
from denoscope.studies._linear.directions.cells import Directions
from denoscope.studies._linear.directions.measurements import COUNTS

GALLERY = (
    "The leading eigenvectors of the covariance of N images beside those of the whole "
    "set, largest variance first; grey is zero, and "
    "each has the sign with which it points along the whole set's. "
    "Under each: |cos| of the angle to the whole set's direction of the same rank. "
    "Neighbours of nearly equal variance are mixed up long "
    "after their common plane is found."
)


def build(rows: Sequence[Row], noted: Mapping[str, Any], cited: Sequence[str]) -> Page:
    """The page of a sweep over kinds of data and training set sizes."""
    every = Directions.collected(rows)
    pictured = [drawings.gallery(item) for item in every if item.law.basis is not None]
    of_data = [DATA[item.law.name] for item in every if item.law.name in DATA]
    sections = [
        Section("What was found", findings.claims(every)),
        *([Section("The directions", [Text(GALLERY), *pictured])] if pictured else []),
        Section("How they are found", [drawings.overlaps(every), drawings.angles(every)]),
        Section("What they span", [drawings.variance(every)]),
        Section("All cells", [cells(every)]),
        Section("What was run", [KeyValues(conditions(rows, noted, told(every)))]),
        Section("References", [ReferenceList(references(("denoscope", *cited, *of_data)))]),
    ]
    subtitle = (
        f"{', '.join(item.name for item in every)}: {len(rows)} cells, "
        f"{rows[0].fields['draws']} training sets each"
    )
    return Page("The leading directions of few samples", subtitle, sections)


def cells(every: Sequence[Directions]) -> Table:
    """Every cell, sortable."""
    numbers = {"span": ("spanned", "share of the variance in the span of the rows")}
    for k in COUNTS:
        numbers |= {
            f"overlap_{k}": (
                f"overlap, {k}",
                f"overlap of the subspace of the {k} leading directions with the law's",
            ),
            f"angle_{k}": (
                f"angle, {k}",
                f"largest principal angle of the {k} leading directions, degrees",
            ),
            f"captured_{k}": (
                f"held, {k}",
                f"variance that the {k} leading training directions hold, of what {k} can hold",
            ),
        }
    numbers = {
        name: said
        for name, said in numbers.items()
        if any(name in row.values for item in every for row in item.rows)
    }
    columns = [Column("data"), Column("N", "rows", "size of the training set", ".0f")]
    columns += [Column(label, "", tip, ".3g") for label, tip in numbers.values()]
    table = [
        [item.name, int(size), *(row.values.get(name) for name in numbers)]
        for item in every
        for size, row in zip(item.sizes, item.rows)
    ]
    return Table(f"All {len(table)} cells", columns, table)


def told(every: Sequence[Directions]) -> dict[str, object]:
    """What must be known of the data."""
    return {
        "data": "; ".join(item.described() for item in every),
        "truth": "directions: those of the law, for images of the whole set, of which "
        "training sets are a part; variance: of the law, "
        "for images of all that were not drawn",
        "Gaussian twin": "for images: Gaussian rows, as many as there are images, with "
        "exactly their mean and covariance, drawn from in "
        "the same way",
    }
