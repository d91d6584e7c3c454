"""The study's sections: what was found, over training time, over noise levels and sizes, every
cell.
"""

from __future__ import annotations

from collections.abc import Sequence

from denoscope.report import Column, Section, Table
from denoscope.store import Row
from denoscope.studies._conditions import stopped
from denoscope.studies._geometry.emergence import drawings, findings
from denoscope.studies._geometry.emergence.runs import Run, panels, runs


def sections(rows: Sequence[Row]) -> list[Section]:
    """All of these cells; those whose training stopped are listed and left out of every figure."""
    every = runs(rows)
    courses, known = [run for run in every if run.trained], [run for run in every if run.known]
    figures = [drawings.sizes(known)] if len(panels(known)) > 1 else []
    found = [
        Section(
            "Nearness to the Gaussian: what was found",
            [*stopped(rows, "n", "width", "subset", "seed"), *findings.claims(every)],
        )
    ]
    if courses:
        found.append(
            Section(
                "Nearness to the Gaussian over training time",
                [
                    drawings.distance(courses),
                    drawings.solutions(courses),
                    drawings.linearity(courses),
                ],
            )
        )
        found.append(
            Section(
                "What the network does meanwhile",
                [drawings.errors(courses), drawings.samples(courses)],
            )
        )
    found.append(
        Section(
            "Nearness to the Gaussian, noise level by noise level",
            [drawings.levels(every), *figures],
        )
    )
    return [*found, Section("Nearness to the Gaussian: all networks", [table(every)])]


def table(every: Sequence[Run]) -> Table:
    """Every network, sortable."""
    columns = [
        Column("network", "", "training size and width, or the file"),
        Column("subset", "", "which of two training subsets"),
        Column("seed", "", "training seed"),
        Column("nearest", "step", "snapshot nearest to the Gaussian of the training set"),
        Column(
            "distance",
            "there",
            "root mean squared difference a pixel from the Gaussian, averaged over the "
            "intermediate levels",
            ".3f",
        ),
        Column("distance", "end", "the same at the end of training", ".3f"),
        Column(
            "all images",
            "end",
            "distance to the Gaussian of all images that may be trained on",
            ".3f",
        ),
        Column("memorizer", "end", "distance to the closed-form memorizer", ".3f"),
        Column("linearity", "end", "of superpositions", ".4f"),
        Column("least error", "step", "snapshot of least held-out error"),
        Column(
            "held-out error",
            "nearest",
            "relative to the best linear denoiser, at the snapshot nearest to the Gaussian",
            ".2f",
        ),
        Column("held-out error", "end", "the same at the end of training", ".2f"),
        Column(
            "agreement",
            "end",
            "cosine of samples with those of the Gaussian from the same noises",
            ".2f",
        ),
        Column("copies", "end", "share of samples that are copies", ".2f"),
        Column(
            "time",
            "s",
            "seconds until this cell was measured after the one before; the first of a "
            "job carries its training",
            ".1f",
        ),
    ]
    names = (
        "closest_step", "closest", "distance", "distance_all", "distance_memorizer", "linearity", "best_step",
        "held_out_closest", "held_out", "agreement", "copies",
    )  # fmt: skip
    rows = [
        [
            run.group.label,
            row.fields["subset"],
            row.fields["seed"],
            *(row.values.get(name) for name in names),
            row.made["seconds"],
        ]
        for run in every
        for row in sorted(
            run.group.rows, key=lambda row: (row.fields["subset"], row.fields["seed"])
        )
    ]
    return Table(f"All {len(rows)} networks", columns, rows)
