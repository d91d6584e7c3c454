"""The sections of the report: what was found, ranks, sizes, dimensions, every cell."""

from __future__ import annotations

from collections.abc import Sequence

from denoscope.report import Column, Section, Table
from denoscope.store import Row
from denoscope.studies._conditions import stopped
from denoscope.studies._geometry.groups import Group, grouped
from denoscope.studies._geometry.rank import (
    dimension_drawings,
    dimension_findings,
    drawings,
    findings,
)
from denoscope.studies._geometry.rank.dimension_findings import images, known_dimension
from denoscope.studies._geometry.rank.dimensions import NAMES
from denoscope.studies._geometry.rank.reading import PLACES, levels, limit, ratios, times
from denoscope.studies._geometry.rank.ushape import arms


def sections(rows: Sequence[Row]) -> list[Section]:
    """What the study shows of these cells; rows whose training stopped are listed and left out of
    every figure.
    """
    groups = grouped(rows)
    known = known_dimension(groups)
    return [
        Section(
            "Rank of the Jacobian: what was found",
            [
                *stopped(rows, "n", "width", "subset", "seed"),
                *findings.claims(groups),
                *dimension_findings.claims(groups),
            ],
        ),
        Section(
            "Rank of the Jacobian against the noise",
            [
                *(drawings.beside_closed_forms(groups, place) for place in PLACES),
                drawings.over_time(groups),
                drawings.by_rule(groups),
                shapes(groups),
            ],
        ),
        Section("Size and symmetry of the Jacobian", [drawings.sizes(groups)]),
        Section(
            "Intrinsic dimension",
            [dimension_drawings.dimension(groups, known), dimensions(groups[0], known)],
        ),
        Section("Rank of the Jacobian: all cells", [cells(groups)]),
    ]


def shapes(groups: Sequence[Group]) -> Table:
    """Minimum and ends of every model at every kind of points, in shares of the pixels."""
    columns = [
        Column("model"),
        Column("points"),
        Column(
            "least", "rank / pixels", "median over points at the level where it is lowest", ".2f"
        ),
        Column("at σ", "", "the level where the median is lowest", ".2g"),
        Column("at t", "", "its time in a linear variance-preserving diffusion", ".2f"),
        Column("low end", "rank / pixels", "at the lowest level", ".2f"),
        Column("high end", "rank / pixels", "at the highest level", ".2f"),
        Column(
            "rise to low", "", "mean over points of low end less minimum, 95 % t interval", ".2f"
        ),
        Column(
            "rise to high", "", "mean over points of high end less minimum, 95 % t interval", ".2f"
        ),
        Column(
            "limit", "training", "rank / pixels of the covariance of the training images", ".2f"
        ),
    ]
    return Table(
        "The arms of the U, by 0.99 of the norm",
        columns,
        [_shape(group, place) for group in groups for place in PLACES],
    )


def _shape(group: Group, place: str) -> list[object]:
    found = arms(ratios(group, place))
    sigma = float(levels(group, place)[found.at])
    return [
        group.label,
        PLACES[place],
        found.least,
        sigma,
        float(times([sigma])[0]),
        *found.ends,
        *found.rises,
        limit(group, "train"),
    ]


def dimensions(group: Group, known: int | None) -> Table:
    """The dimension of the images themselves, by every estimator."""
    columns = [
        Column("estimator"),
        Column("dimension", "", "with its interval, mostly 95 %", ".3g"),
        Column("images", "", "how many it was taken from"),
        Column("interval", "", "how the interval was made"),
    ]
    rows: list[list[object]] = [
        [NAMES[name], value, value.n, value.method] for name, value in images(group).items()
    ]
    truth: list[list[object]] = [["known", known, None, ""]] if known else []
    return Table("Dimension of the images that may be trained on", columns, rows + truth)


def cells(groups: Sequence[Group]) -> Table:
    """Every cell, sortable."""
    columns = [
        Column("model"),
        Column("subset"),
        Column("seed", "", "training seed"),
        Column(
            "least",
            "rank / pixels",
            "noisy unseen images, median over points at the level where it is lowest; "
            "0.99 of the norm",
            ".2f",
        ),
        Column("at σ", "", "that level", ".2g"),
        Column("low end", "rank / pixels", "at the lowest level", ".2f"),
        Column("high end", "rank / pixels", "at the highest level", ".2f"),
        Column("asymmetry", "", "‖J − Jᵀ‖/‖J‖ where the rank is lowest", ".2f"),
        Column("zero", "points", "numerically zero Jacobians"),
        Column(
            "copies",
            "share",
            "of samples whose nearest training image is less than a third as far as the "
            "second nearest",
            ".2f",
        ),
        Column(
            "time",
            "s",
            "seconds until this cell was measured after the one before; the first of a "
            "job carries its training",
            ".1f",
        ),
    ]
    names = ("least", "least_level", "low_end", "high_end", "asymmetry", "zeros", "memorized")
    rows = [
        [
            group.label,
            row.fields["subset"],
            row.fields["seed"],
            *(row.values.get(name) for name in names),
            row.made["seconds"],
        ]
        for group in groups
        for row in group.rows
    ]
    return Table(f"All {len(rows)} cells", columns, rows)
