"""What the study shows: what was found, denoising, samples, denoisers, bases, every cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from denoscope.report import Column, Finding, Section, Table, Text
from denoscope.store import Row
from denoscope.studies._conditions import stopped
from denoscope.studies._geometry.groups import Group, grouped
from denoscope.studies._geometry.halves import (
    basis_drawings,
    basis_findings,
    drawings,
    findings,
    galleries,
    sample_drawings,
)
from denoscope.studies._geometry.halves.measuring import HARMONIC
from denoscope.studies._geometry.halves.pairs import KINDS, Pairs, averaged, collected
from denoscope.studies._geometry.halves.reading import Growth, growths


def sections(rows: Sequence[Row]) -> list[Section]:
    """Findings, figures and tables; rows whose training stopped are listed and left out of the
    rest.
    """
    groups, every = grouped(rows), collected(rows)
    grown = growths(groups, every)
    growing, halved = ([item for item in grown if enough(item)] for enough in (_grows, _halved))
    samples = [sample_drawings.histograms(every)] if _compared(every) else []
    return [
        Section(
            "Disjoint halves: what was found",
            [*stopped(rows, "n", "width", "subset", "seed"), *claims(groups, every, grown)],
        ),
        Section(
            "Denoising seen and unseen images",
            [drawings.denoising(groups), *([drawings.gap(growing)] if growing else [])],
        ),
        *_samples(groups, samples, halved),
        *([Section("Denoisers that share no image", [drawings.distances(every)])] if every else []),
        Section("Geometry-adaptive harmonic bases", _bases(groups, halved)),
        Section(
            "Disjoint halves: all cells", [*([comparisons(every)] if every else []), cells(groups)]
        ),
    ]


def _grows(item: Growth) -> bool:
    return len(item.groups) > 1


def _halved(item: Growth) -> bool:
    return len(item.pairs.get("halves", [])) > 1


def _compared(every: Sequence[Pairs]) -> bool:
    return any(item.kind != "seeds" for item in every)


def _samples(groups: Sequence[Group], first: list, halved: Sequence[Growth]) -> list[Section]:
    shown = galleries.samples(groups)
    blocks = [
        *([Text(galleries.SAMPLES), *shown] if shown else []),
        *first,
        *([sample_drawings.agreement(halved)] if halved else []),
    ]
    return [Section("Samples of models that share no image", blocks)] if blocks else []


def _bases(groups: Sequence[Group], halved: Sequence[Growth]) -> list:
    overlaps = [basis_drawings.overlaps(halved)] if halved else []
    return [
        Text(galleries.HARMONICS),
        *galleries.harmonics(groups),
        basis_drawings.eigenvalues(groups),
        *overlaps,
    ]


def claims(
    groups: Sequence[Group], every: Sequence[Pairs], grown: Sequence[Growth]
) -> list[Finding]:
    """Every claim that these models can test, width by width."""
    found = []
    for item in grown:
        lead = f"Width {item.width}. " if len(grown) > 1 else ""
        mine = [*findings.denoising(item), *findings.samples(item), *basis_findings.claims(item)]
        found += [replace(finding, headline=lead + finding.headline) for finding in mine]
    given = [basis_findings.given(item) for item in every if item.kind == "given"]
    return [*found, *given, findings.best(groups), *basis_findings.missing(every)]


def comparisons(every: Sequence[Pairs]) -> Table:
    """Every kind of pair, sortable."""
    columns = [
        Column("models"),
        Column("pair"),
        Column("pairs", "", "how many pairs of models"),
        Column("cosine", "same noise", "of the two samples, images less their mean", ".3f"),
        Column("cosine", "unlike noises", "the chance level", ".2f"),
        Column("cosine", "training", "of a sample with its nearest training image", ".3f"),
        Column(
            "nearer",
            "share",
            "of samples nearer to the other model's than to any training image of their own",
            ".2f",
        ),
        Column(
            "apart", "a pixel", f"RMS difference of the denoisers at input {HARMONIC:g} dB", ".3f"
        ),
        Column("overlap", "", "of the leading harmonics", ".2f"),
    ]
    rows = [
        [
            p.label,
            KINDS[p.kind],
            len(p.members),
            p.agreement,
            float(p.unlike.mean()),
            p.likeness,
            averaged(p.closer()),
            p.apart,
            p.shared,
        ]
        for p in every
    ]
    return Table("Pairs of models", columns, rows)


def cells(groups: Sequence[Group]) -> Table:
    """Every cell, sortable."""
    columns = [
        Column("model"),
        Column("half", "", "training subset"),
        Column("seed", "", "training seed"),
        Column("training", "dB", f"output PSNR on training images at input {HARMONIC:g} dB", ".1f"),
        Column("unseen", "dB", "the same on unseen images", ".1f"),
        Column("gap", "dB", "the first less the second", ".1f"),
        Column(
            "cosine", "training", "mean cosine of samples with their nearest training image", ".3f"
        ),
        Column("cosine", "unseen", "the same of unseen images", ".3f"),
    ]
    names = ("psnr_train", "psnr_test", "psnr_gap", "similarity", "similarity_unseen")
    rows = [
        [
            group.label,
            row.fields["subset"],
            row.fields["seed"],
            *(row.values.get(name) for name in names),
        ]
        for group in groups
        for row in group.rows
    ]
    return Table(f"All {len(rows)} models", columns, rows)
