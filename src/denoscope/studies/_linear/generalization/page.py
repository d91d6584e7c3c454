"""The report: what was found in words, the figures, theory against simulation, every cell, what was
run, what to cite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from denoscope.references import DATA, references
from denoscope.report import Column, KeyValues, Page, ReferenceList, Section, Table, Text
from denoscope.store import Row
from denoscope.studies._conditions import conditions
from denoscope.studies._linear.by_size import TWIN
from denoscope.studies._linear.generalization import drawings, findings
from denoscope.studies._linear.generalization.cells import Measured, differences

SETTING = (
    "A linear model predicts the noise in x_t = √ᾱ x₀ + √(1−ᾱ) ε by W_t (x_t + b_t), one "
    "map for each noise level. Its optimum depends "
    "on the training rows only through their mean μ₀ and "
    "covariance Σ₀, and what it samples is Gaussian, N(μ₀, Σ₀ + c): so every number here "
    "is exact for its training set, and none comes "
    "from a network that was trained to "
    "some accuracy. `power0`, `power1`, `power2` are Gaussian with the eigenvalues ν^−k, "
    "k = 0, 1, 2; everything is scaled to Tr Σ = d.\n\n"
    "Dots are averages over training sets, with 95 % intervals by Student's t; lines are "
    "what theory expects of Gaussian data with the "
    "same spectrum."
)
COLUMNS = {
    "train": "train loss a dimension at the level shown",
    "test": "test loss a dimension at the level shown",
    "train_mean": "train loss a dimension, averaged over the schedule",
    "test_mean": "test loss a dimension, averaged over the schedule",
    "test_ridge": "test loss with the best ridge",
    "ridge": "the ridge with the least test loss at the level shown",
    "test_stopped": "test loss at the best time to stop",
    "k": "that training time, k = 2 × rate × steps, the median over training sets",
    "kl": "KL(model ‖ true) a dimension, nats",
    "kl_reverse": "KL(true ‖ model) a dimension, nats",
    "kl_ridge": "KL(model ‖ true) with the best ridge",
    "kl_reverse_ridge": "KL(true ‖ model) with the best ridge",
    "frobenius": "squared error of the covariance relative to its squared norm",
    "unseen": "share of the variance in directions that the training rows do not span",
}
LABELS = {
    "train": "train",
    "test": "test",
    "train_mean": "train, all levels",
    "test_mean": "test, all levels",
    "test_ridge": "test, ridge",
    "ridge": "best ridge",
    "test_stopped": "test, stopped",
    "k": "best time",
    "kl": "KL(m‖t)",
    "kl_reverse": "KL(t‖m)",
    "kl_ridge": "KL(m‖t), ridge",
    "kl_reverse_ridge": "KL(t‖m), ridge",
    "frobenius": "|Σ₀−Σ|²/|Σ|²",
    "unseen": "unseen",
}


def build(rows: Sequence[Row], noted: Mapping[str, Any], cited: Sequence[str]) -> Page:
    """The page of a sweep over kinds of data and training set sizes."""
    every = Measured.collected(rows)
    of_data = [DATA[item.law.name] for item in every if item.law.name in DATA]
    sections = [
        Section("What was found", findings.claims(every)),
        Section(
            "Train and test loss",
            [Text(SETTING), drawings.losses(every), drawings.losses(every, mean=True)],
        ),
        Section("The law of the samples", [drawings.divergence(every), drawings.norm(every)]),
        Section("Directions without data", [drawings.unseen(every)]),
        Section(
            "Ridge and early stopping", [drawings.rescue(every), drawings.rescued_divergence(every)]
        ),
        Section("Theory against simulation", [comparison(every)]),
        Section("All cells", [cells(every)]),
        Section("What was run", [KeyValues(conditions(rows, noted, told(every)))]),
        Section("References", [ReferenceList(references(("denoscope", *cited, *of_data)))]),
    ]
    subtitle = (
        f"{', '.join(item.name for item in every)}: {len(rows)} cells, "
        f"{rows[0].fields['draws']} training sets each"
    )
    return Page("How many samples a linear diffusion model needs", subtitle, sections)


def comparison(every: Sequence[Measured]) -> Table:
    """The largest relative difference of simulation from theory, and where, for every number and
    kind of data.
    """
    kinds = [
        (item, prefix) for item in every for prefix in ("", TWIN) if not prefix or item.has_twin
    ]
    tip = "largest relative difference, and the size N where it is"
    columns = [
        Column("number"),
        *(Column(f"{item.name}{', twin' if prefix else ''}", "", tip) for item, prefix in kinds),
    ]
    found = [differences(item, prefix) for item, prefix in kinds]
    table = [
        [
            words,
            *(
                f"{part[name][0]:.1%} (N = {part[name][1]:.0f})" if name in part else None
                for part in found
            ),
        ]
        for name, words in findings.WORDS.items()
        if any(name in part for part in found)
    ]
    return Table("Largest relative difference of simulation from theory", columns, table)


def cells(every: Sequence[Measured]) -> Table:
    """Every cell, sortable."""
    columns = [Column("data"), Column("N", "rows", "size of the training set", ".0f")]
    columns += [Column(LABELS[name], "", tip, ".3g") for name, tip in COLUMNS.items()]
    table = [
        [item.name, int(size), *(row.values.get(name) for name in COLUMNS)]
        for item in every
        for size, row in zip(item.sizes, item.rows)
    ]
    return Table(f"All {len(table)} cells", columns, table)


def told(every: Sequence[Measured]) -> dict[str, object]:
    """What must be known of data and levels."""
    levels = every[0].levels
    first, last = levels.betas[0], levels.abars[-1]
    return {
        "noise levels": f"losses at ᾱ = {levels.abar:g}; schedule of {levels.steps} "
        f"steps, β from {first:.3g} to {levels.betas[-1]:.3g}, "
        f"ᾱ_T = {last:.3g}",
        "sampling": "ancestral from N(0, I), σ_t² = β_t, noise in the last step too: "
        "directions without data get the variance c = "
        f"{first:.4g}",
        "data": "; ".join(item.described() for item in every),
        "truth": "Gaussian data: the law itself. Images: losses on all images that were "
        "not drawn; divergences and the error of the "
        "covariance against the moments "
        "of the whole set, whose spectrum theory uses too",
    }
