"""The report: what was found, the figures, early stopping against ridge as a table, every cell,
what was run, what to cite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from denoscope.estimate import Estimate
from denoscope.references import DATA, references
from denoscope.report import Column, Figure, KeyValues, Page, ReferenceList, Section, Table, Text
from denoscope.store import Row
from denoscope.studies._conditions import conditions
from denoscope.studies._linear.dynamics import drawings, findings
from denoscope.studies._linear.dynamics.measured import Data, averages, collected
from denoscope.studies._linear.dynamics.stopping import LEVELS

_TABLED = [int(np.abs(LEVELS - abar).argmin()) for abar in (0.9999, 0.999, 0.99, 0.9, 0.5)]


def build(rows: Sequence[Row], noted: Mapping[str, Any], cited: Sequence[str]) -> Page:
    """The page of a sweep."""
    every = collected(rows)
    shown = list(enumerate(every, 1))
    of_data = [DATA[data.name] for data in every if data.name in DATA]
    sections = [
        Section("What was found", findings.claims(every)),
        Section(
            "Loss against training time", [drawings.losses(data, place) for place, data in shown]
        ),
        Section("Mode by mode", [drawings.modes(data, place) for place, data in shown]),
        Section(
            "When to stop",
            [drawings.minima(every), drawings.stopping(every), drawings.prices(every)],
        ),
        Section(
            "Early stopping against ridge",
            [
                Text(TABLES),
                *(table for data in every for table in (best_settings(data), best_losses(data))),
            ],
        ),
        Section("Samples of half-trained models", samples_of(every)),
        Section("All cells", [cells(every)]),
        Section("What was run", [KeyValues(conditions(rows, noted, {"data": told(every)}))]),
        Section("References", [ReferenceList(references(("denoscope", *cited, *of_data)))]),
    ]
    subtitle = (
        f"{len(rows)} cells of {rows[0].fields['draws']} training sets: "
        f"{', '.join(data.name for data in every)}"
    )
    return Page("Training a linear diffusion model", subtitle, sections)


def told(every: Sequence[Data]) -> str:
    """Which data, in which units."""
    return (
        "; ".join(f"{data.name}, d = {data.d}" for data in every)
        + "; variances in units in which they sum to d; means of training sets subtracted"
    )


def samples_of(every: Sequence[Data]) -> list[Figure]:
    """The figures of what half-trained models sample."""
    few = [data for data in every if data.shown.few]
    figures = [drawings.sampled(data, place) for place, data in enumerate(every, 1)]
    return [*figures, *([drawings.unseen(few)] if few else []), drawings.emergence(every)]


TABLES = (
    "At each noise level the best training time and the best ridge, and the test loss "
    "they lead to: means over training sets, beside their expectation for "
    "Gaussian data of the same spectrum. Early stopping is expected from the average "
    "true variance along a mode of given eigenvalue (Ledoit and Péché 2011), "
    "the ridge and the optimum of the training loss by deterministic equivalents."
)


def best_settings(data: Data) -> Table:
    """The best stopping time and the best ridge at five noise levels, and their expectation."""
    cell = data.shown
    columns = [
        Column("ᾱ", "", "share of the signal in the variance", ".4f"),
        Column("best k", "", "training time 2ητ with the least test loss", ".3f"),
        Column("expected", "", "for Gaussian data", ".3f"),
        Column("1 / best k", "", "", ".3f"),
        Column("best ridge", "", "penalty γ with the least test loss", ".3f"),
        Column("expected", "", "for Gaussian data", ".3f"),
    ]
    unseen = averages(cell.arrays["unseen"][:, None])[0].value
    words = f" (mean unseen variance {unseen:.3f})" if cell.few else ""
    return Table(
        f"When to stop, or which ridge: {data.name}, d = {cell.d}, N = {cell.n}{words}",
        columns,
        [_settings(cell.arrays, i) for i in _TABLED],
    )


def _settings(arrays: Mapping[str, np.ndarray], i: int) -> list[object]:
    k, ridge = arrays["best_k"][:, i], arrays["best_ridge"][:, i]
    expected = [float(arrays[f"expected_{name}"][i]) for name in ("k", "ridge")]
    return [
        float(LEVELS[i]),
        _average(k),
        expected[0],
        _average(1 / k),
        _average(ridge),
        expected[1],
    ]


def best_losses(data: Data) -> Table:
    """The test losses of early stopping, ridge and training on, at five noise levels, and their
    expectation.
    """
    cell = data.shown
    columns = [
        Column("ᾱ", "", "share of the signal in the variance", ".4f"),
        Column("stopped", "", "at the best k", ".4f"),
        Column("expected", "", "for Gaussian data", ".4f"),
        Column("ridge", "", "the best one", ".4f"),
        Column("expected", "", "for Gaussian data", ".4f"),
        Column("trained on", "", "the optimum of the training loss", ".4g"),
        Column("expected", "", "for Gaussian data", ".4g"),
        Column("Bayes", "", "least loss that Gaussian data of the true covariance allow", ".4f"),
    ]
    return Table(
        f"Test loss / d: {data.name}, d = {cell.d}, N = {cell.n}",
        columns,
        [_losses(cell.arrays, i, cell.d) for i in _TABLED],
    )


def _losses(arrays: Mapping[str, np.ndarray], i: int, d: int) -> list[object]:
    pairs: list[object] = []
    for name in ("loss_k", "loss_ridge", "loss_trained"):
        pairs += [
            _average(arrays[f"best_{name}"][:, i] / d),
            float(arrays[f"expected_{name}"][i]) / d,
        ]
    return [float(LEVELS[i]), *pairs, float(arrays["bayes"][i]) / d]


def _average(values: np.ndarray) -> Estimate | None:
    """The mean of finite values, None where training on is best in one of the training sets."""
    return averages(values[:, None])[0] if np.isfinite(values).all() else None


def cells(every: Sequence[Data]) -> Table:
    """Every cell, sortable."""
    columns = [
        Column("data"),
        Column("d"),
        Column("N", "items", "size of the training sets"),
        Column(
            "descent − theory",
            "relative",
            "largest difference of gradient descent from its closed form",
            ".1e",
        ),
        Column(
            "from flow",
            "relative",
            "largest difference of gradient descent from gradient flow",
            ".1e",
        ),
        Column(
            "best time",
            "k",
            "the one time with the least mean log test loss over all noise levels",
            ".3g",
        ),
        Column("spread", "max / min", "of the best times of all noise levels", ".3g"),
        Column("price", "relative", "largest excess test loss of one time for all levels", ".2e"),
        Column(
            "k × unseen",
            "",
            "best time times mean variance of an unseen direction; the rule says 1",
            ".3g",
        ),
        Column(
            "ridge − stop",
            "relative",
            "test loss of the best ridge less that of stopping, mean over levels",
            ".2e",
        ),
        Column(
            "overfitting",
            "×",
            "test loss trained to the end over that of stopping, at the worst level",
            ".3g",
        ),
        Column("exponent", "", "of emergence times against variances, denoising", ".3f"),
        Column("exponent", "", "the same, noise prediction", ".3f"),
        Column("time", "s", "seconds to measure", ".1f"),
    ]
    names = (
        "difference",
        "difference_flow",
        "shared",
        "spread",
        "paid",
        "predicted",
        "ridge_less_stop",
        "trained",
    )
    rows = [
        [
            data.name,
            cell.d,
            cell.n,
            *(
                cell.row.values.get(name)
                for name in (*names, "exponent_denoising", "exponent_noise")
            ),
            cell.row.made["seconds"],
        ]
        for data in every
        for cell in data.cells
    ]
    return Table(f"All {len(rows)} cells", columns, rows)
