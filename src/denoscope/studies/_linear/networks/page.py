"""The report: what was found, the figures, every cell, what was run, what to cite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from denoscope.references import DATA, references
from denoscope.report import Column, KeyValues, Page, ReferenceList, Section, Table
from denoscope.store import Row
from denoscope.studies._conditions import conditions, stopped
from denoscope.studies._linear.networks import drawings, findings
from denoscope.studies._linear.networks.runs import Runs, collected


def build(rows: Sequence[Row], noted: Mapping[str, Any], cited: Sequence[str]) -> Page:
    """The page of a sweep; rows whose training stopped are listed and left out of every figure."""
    every = collected(rows)
    if not every:
        raise ValueError("the training of every cell stopped at a non-finite loss; lower --lr")
    data = str(rows[0].fields["data"])
    sections = [
        Section("What was found", [*stopped(rows, "n", "seed"), *findings.claims(every)]),
        Section("Over the size of the training set", [drawings.summary(every)]),
        Section(
            "Variance, direction by direction",
            [
                drawings.variances(every, "own"),
                drawings.ratios(every),
                drawings.variances(every, "all"),
            ],
        ),
        Section("Agreement, direction by direction", [drawings.correlations(every)]),
        Section(
            "Denoising",
            [
                drawings.losses(every, "train"),
                drawings.losses(every, "test"),
                drawings.positions(every),
            ],
        ),
        Section("All cells", [cells(every)]),
        Section("What was run", [KeyValues(conditions(rows, noted, {"data": told(every, data)}))]),
        Section(
            "References",
            [
                ReferenceList(
                    references(("denoscope", *cited, *([DATA[data]] if data in DATA else [])))
                )
            ],
        ),
    ]
    seeds = len({row.fields["seed"] for row in rows})
    subtitle = (
        f"{len(rows)} networks of width {rows[0].fields['width']} on {data}: "
        f"{len(every)} training sizes, {seeds} seeds"
    )
    return Page("Linear model and network", subtitle, sections)


def told(every: Sequence[Runs], data: str) -> str:
    """Which images, in which units."""
    dimension = every[0].rows[0].values["dimension"]
    return (
        f"{data}, {dimension} numbers an image in [−1, 1]; "
        f"{every[0].rows[0].fields['held']} images held out; one training set a size, "
        "the smaller within the larger; covariances with 1/N"
    )


def cells(every: Sequence[Runs]) -> Table:
    """Every cell, sortable."""
    columns = [
        Column("N", "images", "size of the training set"),
        Column("seed", "", "training seed"),
        Column("spanned", "directions", "rank of the training covariance"),
        Column("leading", "directions", "how many hold half of its variance"),
        Column("cosine", "linear model", "of samples from the same noise", ".2f"),
        Column("cosine", "memorizer", "of samples from the same noise", ".2f"),
        Column("ratio", "leading", "variance of the network over that of the linear model", ".2f"),
        Column("ratio", "others", "the same over the other spanned directions", ".2f"),
        Column(
            "outside", "share", "variance of the network outside of the training set's span", ".2g"
        ),
        Column("place", "training", "0 memorizer, 1 best linear denoiser", ".2f"),
        Column("place", "held-out", "0 memorizer, 1 best linear denoiser", ".2f"),
        Column(
            "time",
            "s",
            "seconds until this cell was measured after the one before; the first of a "
            "job carries its training",
            ".1f",
        ),
    ]
    names = (
        "seen",
        "leading",
        "cosine_linear",
        "cosine_memorizer",
        "ratio_leading",
        "ratio_trailing",
        "outside",
        "position_train",
        "position_test",
    )
    rows = [
        [runs.n, row.fields["seed"], *(row.values.get(name) for name in names), row.made["seconds"]]
        for runs in every
        for row in sorted(runs.rows, key=lambda row: int(str(row.fields["seed"])))
    ]
    return Table(f"All {len(rows)} cells", columns, rows)
