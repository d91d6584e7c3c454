"""The report: what was found in words, the figures, every cell, what was run, what to cite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from denoscope.references import references
from denoscope.report import Column, Finding, KeyValues, Page, ReferenceList, Section, Table, Text
from denoscope.report.blocks import Block
from denoscope.store import Row
from denoscope.studies._conditions import conditions
from denoscope.studies._molrg.scaling import drawings, findings, networks
from denoscope.studies._molrg.scaling.denoisers import FACTORS, FORMS, STARTS
from denoscope.studies._molrg.scaling.lines import METHODS, Cell, Line, alike, along, collected

SETTING = (
    "The truth is x₀ = U_k a with a standard normal, k one of K orthogonal subspaces of "
    "dimension d in Rⁿ, and a little ambient noise. Every method turns N training points "
    "into a "
    "denoiser D, and all are held to one measure at fresh points x₀ + σn: the relative "
    "excess risk E|D − D_true|²/E|D_true|², with the true posterior mean in closed form. "
    "It "
    "is 0 for the truth and exists for every denoiser alike, memorizer and network; what "
    "no denoiser can know (the posterior's spread) is not in it.\n\n"
    "What each method knows: the **empirical distribution** nothing (its denoiser "
    "averages the training points); the **kernel smoother** nothing, but it has the best "
    "of "
    f"{len(FACTORS)} bandwidths in two forms ({' and '.join(FORMS)}), chosen by the "
    "excess itself; the **Gaussian fit** nothing (mean and covariance, 1/N); the **MoLRG "
    "fit** d, K, unit "
    "variances and that subspaces are orthogonal, but not which point lies where "
    f"(K-subspaces from {STARTS} starts; PCA for K = 1); the **network**, a residual MLP "
    "on all n "
    "coordinates, nothing. It is shown stopped at its best step, and trained to the end."
)


def build(rows: Sequence[Row], noted: Mapping[str, Any], cited: Sequence[str]) -> Page:
    """The page of a sweep; cells with other settings than most are in the table alone."""
    same = alike(rows)
    cells = collected(same)
    clusters = sorted({cell.fields["clusters"] for cell in cells})
    by_d = [line for k in clusters for line in along(cells, "d", k)]
    by_n = [line for k in clusters for line in along(cells, "n", k)]
    sections = [
        Section("What was found", _findings(by_d, by_n, len(rows) - len(same))),
        Section("Samples needed", [Text(SETTING), *_needed(by_d, by_n)]),
        *_optional("Distances between samples", _distances(by_d)),
        Section("All cells", [table(collected(rows))]),
        Section("What was run", [KeyValues(conditions(rows, noted, told(same[0])))]),
        Section("References", [ReferenceList(references(("denoscope", *cited)))]),
    ]
    fields = same[0].fields
    subtitle = (
        f"{len(rows)} cells; relative excess risk {fields['level']} at σ = "
        f"{fields['sigma']}, {fields['draws']} draws each"
    )
    return Page("Samples needed against dimension", subtitle, sections)


def _optional(title: str, blocks: Sequence[Block]) -> list[Section]:
    return [Section(title, blocks)] if blocks else []


def _findings(by_d: Sequence[Line], by_n: Sequence[Line], left_out: int) -> list[Finding]:
    found = [
        *findings.contrast(by_d),
        *findings.against_n(by_n),
        *findings.against_d(by_d),
        *findings.trained_on(by_d),
    ]
    found += [*findings.distances(_sampled(by_d)), *findings.theory(by_d)]
    if left_out:
        found.append(
            Finding(f"{left_out} cells with other settings are in the table alone.", "neutral")
        )
    return found or [
        Finding("A single d and n: there is nothing to compare; see the table.", "neutral")
    ]


def _sampled(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if all("w2" in cell.arrays for cell in line.cells)]


def _needed(by_d: Sequence[Line], by_n: Sequence[Line]) -> list[Block]:
    blocks: list[Block] = []
    if by_d:
        blocks.append(drawings.needed_against_d(by_d))
    if by_n:
        blocks.append(drawings.needed_against_n(by_n))
    if by_d:
        first = [line for line in by_d if line.clusters == by_d[0].clusters]
        blocks.append(drawings.excess(first))
    return blocks


def _distances(by_d: Sequence[Line]) -> list[Block]:
    sampled, kinds = _sampled(by_d), [line for line in by_d if line.method == "empirical"]
    blocks: list[Block] = []
    if sampled:
        blocks.append(
            drawings.wasserstein([line for line in sampled if line.clusters == sampled[0].clusters])
        )
    if kinds:
        blocks.append(drawings.nearest(kinds))
    return blocks


def table(cells: Sequence[Cell]) -> Table:
    """Every cell, sortable."""
    columns = [
        Column("method"),
        Column("K", "", "number of subspaces", ".0f"),
        Column("d", "", "dimension of each", ".0f"),
        Column("n", "", "ambient dimension", ".0f"),
        Column(
            "N needed",
            "",
            "training points for the level, 95 % bootstrap interval over draws; 'more "
            "than' is a lower bound",
        ),
        Column(
            "excess at the end",
            "",
            "mean relative excess risk at the largest training set tried",
            ".2g",
        ),
        Column("largest N", "", "the largest training set tried", ".0f"),
        Column("time", "s", "seconds of this cell", ".1f"),
    ]
    rows = [
        [
            METHODS[cell.method],
            *(cell.fields[name] for name in ("clusters", "d", "n")),
            str(cell.needed),
            cell.needed.least,
            cell.needed.largest,
            cell.row.made["seconds"],
        ]
        for cell in sorted(
            cells,
            key=lambda c: (
                list(METHODS).index(c.method),
                *(int(c.fields[name]) for name in ("clusters", "d", "n")),
            ),
        )
    ]
    return Table(f"All {len(rows)} curves", columns, rows)


def told(row: Row) -> dict[str, object]:
    """What must be known of training and of intervals."""
    fields = row.fields
    return {
        "networks": f"MLP of width {fields['width']} with {networks.BLOCKS} blocks, EDM "
        f"preconditioning, Adam at {fields['lr']} for {fields['steps']} steps "
        "of "
        f"{fields['batch_size']}, averaged weights ({networks.AVERAGED}), log σ ~ N(ln "
        f"{fields['sigma']}, {networks.LEVEL_SPREAD}²), training sets from K d to "
        f"{networks.REACH} K d",
        "intervals": f"percentile bootstrap over {fields['draws']} draws of mixture, "
        "training set and probes; so few draws cover less often than 95 %",
        "W2": "exact, by optimal assignment of equally many points",
    }
