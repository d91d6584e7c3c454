"""The report: what was found, the figures, crossings and cells, what was run, what to cite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from denoscope.references import references
from denoscope.report import Column, KeyValues, Page, ReferenceList, Section, Table, Text
from denoscope.store import Row
from denoscope.studies._conditions import conditions, stopped
from denoscope.studies._molrg.network import drawings, findings
from denoscope.studies._molrg.network.halfway import (
    HALF,
    LEVELS,
    Crossings,
    finished,
    in_order,
    scores,
    whole,
)
from denoscope.studies._molrg.network.setting import FRESH, WIDTHS, shape

SETTING = (
    "Data lie on K orthogonal subspaces of dimension d of an n-dimensional space, with "
    "standard normal coefficients. A network is trained on exactly N_k points of each "
    "subspace "
    "and sampled by a deterministic solver from noises that all networks share. With "
    "D(A, B) the mean over A of the squared distance to the nearest point of B, "
    "**GL = D(generated, train) / D(fresh, train)**: 0 for copies of training points, 1 "
    "for fresh points of the law. What lies off the subspaces is far from the "
    "training points too, so GL is also computed **within** the subspaces, after "
    "projecting every point onto the subspace nearest to it.\n\n"
    "Every cell draws its own subspaces, training points and initialisation: runs are "
    "independent, and intervals speak about all of these together."
)


def build(rows: Sequence[Row], noted: Mapping[str, Any], cited: Sequence[str]) -> Page:
    """The page of a sweep; rows whose training stopped are listed and left out of every figure."""
    rows = in_order(rows)
    good = finished(rows)
    if not good:
        raise ValueError("the training of every cell stopped at a non-finite loss; lower --lr")
    found = {
        name: scores(good, name)
        for name in ("gl", "gl_within", "gl_unsquared", "gl_memorizer", "gl_truth")
    }
    half = Crossings.of(found["gl"], HALF)
    fields = good[0].fields
    closed = {drawings.MEMORIZER: found["gl_memorizer"], drawings.TRUTH: found["gl_truth"]}
    sections = [
        Section(
            "What was found",
            [
                *stopped(rows, "d", "n_k", "seed"),
                *findings.claims(good, found["gl"], found["gl_within"], str(fields["net"])),
            ],
        ),
        Section(
            "The transition",
            [
                Text(SETTING),
                drawings.transition(found["gl"], half, closed),
                drawings.half_points(found),
            ],
        ),
        Section("Crossings", [crossings(found)]),
        Section("Novelty or noise", [drawings.controls(found), drawings.places(good)]),
        Section("All cells", [cells(rows)]),
        Section("What was run", [KeyValues(conditions(rows, noted, told(good[0])))]),
        Section("References", [ReferenceList(references(("denoscope", *cited)))]),
    ]
    seeds = len({whole(row, "seed") for row in rows})
    dims = ", ".join(map(str, half.dims))
    subtitle = (
        f"{len(rows)} networks ({fields['net']}): n = {fields['n']}, K = "
        f"{fields['k']}, d = {dims}; {len(found['gl'][0].sizes)} sizes, {seeds} "
        f"seed{'s' if seeds > 1 else ''}"
    )
    return Page("Generic networks on mixtures of low-rank Gaussians", subtitle, sections)


def crossings(found: Mapping[str, Sequence[Any]]) -> Table:
    """N_k/d at several levels of GL for every dimension, and how they depend on d."""
    names = {"gl": "GL", "gl_within": "GL within", "gl_unsquared": "GL, unsquared"}
    dims = [item.d for item in found["gl"]]
    columns = [
        Column("score"),
        Column("level", "", "the level that the curve crosses", ".2f"),
        Column("mean", "N_k/d", "geometric mean over d"),
        Column(
            "power",
            "of d",
            "N_k at the crossing grows as this power of d; 1: the curves collapse against N_k/d",
            ".2f",
        ),
        Column("range in N_k", "octaves", "largest over smallest crossing, log2", ".2f"),
        Column("range in N_k/d", "octaves", "the same in units of d", ".2f"),
        *(
            Column(
                f"d = {d}",
                "N_k/d",
                "N_k/d at the crossing; 0 is below the smallest, ∞ above the largest size",
            )
            for d in dims
        ),
    ]
    rows = []
    for name, label in names.items():
        for level in LEVELS:
            at = Crossings.of(found[name], level)
            rows.append(
                [
                    label,
                    level,
                    at.ratio(),
                    at.slope(),
                    *(at.spread(by_dimension=which) for which in (False, True)),
                    *at.ratios(),
                ]
            )
    return Table("Where the curves cross", columns, rows)


def cells(rows: Sequence[Row]) -> Table:
    """Every cell, sortable."""
    columns = [
        Column("d", "", "dimension of each subspace"),
        Column("N_k", "points", "training points of each subspace"),
        Column("seed"),
        Column("N_k/d", "", "training points a dimension", ".1f"),
        Column("GL", "", "0 copies, 1 as far from the training points as fresh points", ".3f"),
        Column(
            "GL within",
            "",
            "the same after projecting every point onto its nearest subspace",
            ".3f",
        ),
        Column("GL, unsquared", "", "distances not squared", ".3f"),
        Column("memorizer", "GL", "closed-form memorizer, same noises and solver", ".2g"),
        Column("truth", "GL", "true denoiser, same noises and solver", ".2f"),
        Column("inside", "share", "energy in the span of the true subspaces", ".3f"),
        Column("nearest", "share", "energy in the subspace nearest to each sample", ".3f"),
        Column("distance", "squared", "mean squared distance to the nearest subspace", ".3g"),
        Column("energy", "", "mean squared length relative to the law's", ".2f"),
        Column(
            "time",
            "s",
            "seconds until this cell was measured after the one before; the first of a "
            "job carries its training",
            ".1f",
        ),
    ]
    names = (
        "gl",
        "gl_within",
        "gl_unsquared",
        "gl_memorizer",
        "gl_truth",
        "inside",
        "nearest",
        "distance",
        "energy",
    )
    table = [
        [
            *(whole(row, name) for name in ("d", "n_k", "seed")),
            whole(row, "n_k") / whole(row, "d"),
            *(row.values.get(name) for name in names),
            row.made["seconds"],
        ]
        for row in rows
    ]
    return Table(f"All {len(rows)} cells", columns, table)


def told(row: Row) -> dict[str, object]:
    """What must be known of data and network."""
    fields = row.fields
    net, n = str(fields["net"]), whole(row, "n")
    width = whole(row, "width") or WIDTHS[net]
    return {
        "data": f"{fields['k']} random subspaces, orthogonal to each other, in {n} "
        f"dimensions, unit variances, ambient noise {fields['noise']}; N_k "
        f"training points and {FRESH} fresh points of each",
        "network": f"{net} of width {width} on {' × '.join(map(str, shape(net, n)))} "
        "numbers, preconditioned as EDM at the spread of the data",
    }
