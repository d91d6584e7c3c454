"""What the study shows: what was found, distances, distillates, linearity, every cell."""

from __future__ import annotations

from collections.abc import Sequence

from denoscope.report import Column, Section, Table
from denoscope.store import Row
from denoscope.studies._conditions import stopped
from denoscope.studies._geometry.gap import drawings, findings
from denoscope.studies._geometry.groups import Group, grouped

_COLUMNS = {
    "rank": Column("rank", "directions", "that the training images span"),
    "gaussian_low": Column(
        "Gaussian", "low σ", "distance a pixel of the network from the Gaussian of its training set"
    ),
    "gaussian_intermediate": Column("Gaussian", "middle σ", "the same at intermediate noise"),
    "gaussian_high": Column("Gaussian", "high σ", "the same at high noise"),
    "memorizer_intermediate": Column(
        "memorizer", "middle σ", "distance a pixel from the memorizer of its training set"
    ),
    "distillate_intermediate": Column(
        "distillate", "middle σ", "distance a pixel from its own best affine map"
    ),
    "distillate_gaussian": Column(
        "distillate, Gaussian", "worst σ", "distance a pixel between these two where it is largest"
    ),
    "linearity_noisy": Column(
        "linearity", "least", "linearity score on noisy unseen images, at its lowest over σ"
    ),
    "linearity_centred": Column(
        "about the mean", "least", "the same with the mean training image as origin"
    ),
}


def sections(rows: Sequence[Row]) -> list[Section]:
    """Findings, figures and the table of cells; rows whose training stopped are listed and left out
    of the rest.
    """
    every = grouped(rows)
    sized = [drawings.sizes(every, "rmse")] if len(every) > 1 else []
    return [
        Section(
            "Score gap: what was found", [*stopped(rows, "n", "seed"), *findings.claims(every)]
        ),
        Section(
            "Distance from Gaussian, memorizer and distillate",
            [drawings.models(every), *sized, drawings.sizes(every, "relative")],
        ),
        Section("The distillate’s matrix", [drawings.weights(every)]),
        Section("Linearity of superpositions", [drawings.linearity(every)]),
        Section("Score gap: all cells", [cells(every)]),
    ]


def cells(every: Sequence[Group]) -> Table:
    """Every cell, sortable."""
    columns = [Column("model"), Column("seed", "", "training seed"), *_COLUMNS.values()]
    rows = [
        [group.label, row.fields["seed"], *(row.values.get(name) for name in _COLUMNS)]
        for group in every
        for row in group.rows
    ]
    return Table(f"All {len(rows)} cells", columns, rows)
