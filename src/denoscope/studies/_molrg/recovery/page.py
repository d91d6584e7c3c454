"""The report: what was found, the maps of every noise level, the departure from clustering, every
cell, what was run, what to cite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from denoscope.distributions import MoLRG
from denoscope.random import generator
from denoscope.references import references
from denoscope.report import Column, KeyValues, Page, ReferenceList, Section, Table, Text
from denoscope.store import Row
from denoscope.studies._molrg.equivalence import Departure, departures
from denoscope.studies._molrg.recovery import drawings, findings, training
from denoscope.studies._molrg.recovery.column import METHODS
from denoscope.studies._molrg.recovery.maps import CLUSTERING, TRAINING, Case, cases

SETTING = (
    "Every instance is a fresh mixture of K mutually orthogonal d-dimensional subspaces "
    "of n dimensions with Nₖ points x = Uₖ a + noise in each. (a) looks for bases that "
    "keep the most energy, (1/N) Σ maxₖ ‖Uₖᵀx‖². (b) trains the denoiser that the "
    "mixture itself would have, with unknown bases: E[x₀|x] = Σ wₖ Uₖ Uₖᵀ x / "
    "(1 + σ²), w the softmax of ‖Uₖᵀx‖² / (2σ²(1 + σ²)). Both keep all columns mutually "
    "orthonormal."
)
SIGMAS = np.geomspace(0.02, 4.0, 16)
SHOWN_POINTS = 50


def build(rows: Sequence[Row], noted: Mapping[str, Any], cited: Sequence[str]) -> Page:
    """The page of a sweep."""
    every = cases(rows)
    departed = _departures(rows)
    sections = [
        Section(
            "What was found", [*findings.claims(every, departed and departed[0]), Text(SETTING)]
        )
    ]
    for place, case in enumerate(every, 1):
        shown = [
            drawings.success(case, place),
            drawings.against_edge(case, place),
            drawings.failures(case, place),
            drawings.free(case, place),
        ]
        sections.append(
            Section(f"{case.name.capitalize()}", [figure for figure in shown if figure])
        )
    if departed:
        sections.append(Section("Denoising and clustering", [drawings.departure(*departed)]))
    sections += [
        Section("All cells", [cells(case) for case in every]),
        Section("What was run", [KeyValues(conditions(rows, noted))]),
        Section("References", [ReferenceList(references(("denoscope", *cited)))]),
    ]
    fields = rows[0].fields
    ks = ", ".join(str(k) for k in sorted({int(str(row.fields["k"])) for row in rows}))
    return Page(
        "Recovering subspaces from few points",
        f"Mixtures of K = {ks} low-rank Gaussians in {fields['n']} dimensions, "
        f"{fields['trials']} instances a cell",
        sections,
    )


def _departures(rows: Sequence[Row]) -> tuple[Departure, str] | None:
    """How far noise takes denoising from clustering, at the truth of the widest mixture of the
    sweep; None where K is 1 throughout.
    """
    k, d = (max(int(str(row.fields[name])) for row in rows) for name in ("k", "d"))
    n = int(str(rows[0].fields["n"]))
    if k < 2 or k * d > n:
        return None
    law = MoLRG.random(n, (d,) * k)
    x = law.labelled([SHOWN_POINTS] * k, generator(1)).points
    return departures(
        law.bases, x, SIGMAS.tolist()
    ), f"At the true bases, K = {k}, d = {d}, {SHOWN_POINTS} points in each."


def cells(case: Case) -> Table:
    """Every cell of a case: shares with exact intervals, and what the failures are."""
    columns = [
        Column("K", "", "subspaces"),
        Column("d", "", "dimension of each"),
        Column("Nₖ", "", "in each subspace"),
        Column("(a)", "share", "recovered by subspace clustering", ".2f"),
        Column("(b)", "share", "recovered by diffusion training", ".2f"),
        Column("(a) free", "share", "recovered by clustering without mutual orthogonality", ".2f"),
        Column("(a) below", "trials", "not recovered, objective worse than the truth's"),
        Column("(b) below", "trials", "not recovered, loss worse than the truth's"),
        Column("(a) above", "trials", "not recovered, objective at least as good as the truth's"),
        Column("(b) above", "trials", "not recovered, loss at least as good as the truth's"),
    ]
    lines: list[list[object]] = []
    for pair in case.pairs:
        shown = [pair.maps.get(CLUSTERING), pair.maps.get(TRAINING)]
        places = sorted({(d, count) for of in shown if of for d in of.ds for count in of.counts})
        lines += [[pair.k, d, count, *_cell(shown, d, count)] for d, count in places]
    return Table(f"{len(lines)} cells at {case.name}", columns, lines)


def _cell(maps: Sequence[Any], d: int, count: int) -> list[object]:
    found = [
        (of, of.ds.index(d), of.counts.index(count))
        if of and d in of.ds and count in of.counts
        else None
        for of in maps
    ]
    shares = [None if at is None else at[0].estimate(at[1], at[2]) for at in found]
    first = found[0]
    free = (
        None
        if first is None or first[0].free is None
        else float(first[0].free[first[1], first[2]].mean())
    )
    below = [None if at is None else int(at[0].below[at[1], at[2]].sum()) for at in found]
    data = [
        None if at is None else int((~at[0].success & ~at[0].below)[at[1], at[2]].sum())
        for at in found
    ]
    return [*shares, free, *below, *data]


def conditions(rows: Sequence[Row], noted: Mapping[str, Any]) -> dict[str, object]:
    """What a reader needs to run the sweep again."""
    runs, fields = noted.get("runs", []), rows[0].fields
    spent = {
        name: [row.made.get("seconds", 0.0) for row in rows if row.fields["method"] == name]
        for name in METHODS
    }
    counts = sorted({count for row in rows for count in row.arrays()["counts"].tolist()})
    return {
        **({"command": f"`{runs[-1]['command']}`", "wall time": _wall(runs)} if runs else {}),
        "core time": "; ".join(
            f"{drawings.NAMES[name]} {sum(values):.0f} s over {len(values)} columns"
            for name, values in spent.items()
            if values
        ),
        "instances": f"{fields['trials']} for each K, d and Nₖ = {_span(counts)}; the "
        "same at every noise level and for both methods",
        "starts": f"{fields['starts']} an instance, the same bases for both methods, "
        + " and ".join(_start(s) for s in dict.fromkeys(str(row.fields["start"]) for row in rows)),
        "clustering": "all starts climb to rest without mutual orthogonality, are made "
        f"orthonormal, and the best {fields['keep']} climb on; K = 1: "
        "uncentred PCA",
        "training": f"all starts train {training.SCREENED} steps, the best "
        f"{fields['keep']} by their loss another {fields['steps']}; "
        f"noise-prediction loss, σ from {training.LOW:g} to "
        f"{training.HIGH:g} uniform in log σ, every noise with both signs, gradient steps "
        f"of {training.RATE:g} over the mean eigenvalue falling to 0, polar retraction",
        "versions": ", ".join(
            f"{name} {value}" for name, value in rows[0].made.get("versions", {}).items()
        ),
    }


def _wall(runs: Sequence[Mapping[str, Any]]) -> str:
    return (
        f"{sum(float(run['seconds']) for run in runs):.0f} s in {len(runs)} run(s), "
        f"{runs[-1].get('processes', 1)} process(es)"
    )


def _span(values: Sequence[int]) -> str:
    return f"{values[0]} … {values[-1]}" if len(values) > 2 else " and ".join(map(str, values))


def _start(name: str) -> str:
    return (
        "K random points, each with its d − 1 nearest in angle"
        if name == "neighbours"
        else "uniformly random"
    )
