"""The tables of an audit's page: what was compared, what each descriptor counted, all metrics, what
the sets share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from denoscope.audit.findings import DECIDES, MOVED, NEAR, Audit, Evidence, MetricResult
from denoscope.audit.report.caveats import called, control, thing
from denoscope.audit.report.matches import Hit, alike
from denoscope.estimate import Estimate
from denoscope.files import harmless
from denoscope.report import Column, Table
from denoscope.report.words import count, hundredfold

PARTS = {
    "nearer": "share nearer",
    "gap": "gap",
    "limit": "limit",
    "chance": "chance",
    "corrected": "beyond chance",
}
"""Parts of a metric that a page shows in rows of their own."""
_POOLED = "all that are not moved"
MOST = 15
"""Rows of a table of training images."""


def inputs(audit: Audit) -> Table:
    columns = [
        Column("set"),
        Column("read from"),
        Column("count"),
        Column("shape", "", "channels × height × width of an image, or features a row"),
        Column("sha256", "", "of the content"),
    ]
    rows = []
    for role in ("gen", "train", "test", "twin"):
        if role in audit.inputs:
            one = audit.inputs[role]
            shape = (
                one.images.shape
                if one.images is not None
                else one.features.shape[1:]
                if one.features is not None
                else ()
            )
            rows.append(
                [role, harmless(one.path), len(one), " × ".join(map(str, shape)), one.sha256[:16]]
            )
    return Table("Sets", columns, rows)


def descriptors(audit: Audit) -> Table:
    columns = [
        Column("descriptor"),
        Column(
            "score",
            "",
            "ratio: distance to the nearest over the second nearest that is no "
            "near-duplicate of it; cosine: similarity to the nearest",
        ),
        Column(
            "AUC",
            "",
            "of near copies "
            f"({', '.join(name for name in NEAR if name in audit.first.planted)}) against "
            "the null, with its interval",
            ".3f",
        ),
        Column("decides", "", f"whether that AUC is at least {DECIDES:g}"),
        Column(
            "threshold",
            "",
            "that the stated share of the null passes: a ratio below it, a cosine above "
            "it, is called a copy by this descriptor",
        ),
        Column("spacing", "", "training images nearer than this are near-duplicates"),
    ]
    rows = [
        [
            found.name,
            found.score,
            found.near.auc if found.near else None,
            found.decides,
            _threshold(found),
            found.spacing,
        ]
        for found in audit.evidence
    ]
    return Table(
        f"Descriptors, calibrated on {count(len(audit.first.held_out))} {control(audit)}",
        columns,
        rows,
    )


def _threshold(found: Evidence) -> float:
    """The threshold in the units of the figures."""
    value = found.rates.folds[0].threshold
    return 1 - value if found.score == "ratio" else value


def rates(audit: Audit) -> Table:
    columns = [
        Column("by"),
        Column(
            "excess",
            "%",
            f"share of copies among samples beyond what {control(audit)} show, with its "
            "interval; a negative one is farther from the training set than those",
            ".2f",
        ),
        Column("samples", "%", "that pass the threshold, averaged over the two folds", ".2f"),
        Column(
            "real",
            "%",
            f"of {control(audit)} that pass it, counted on the half that did not choose it",
            ".2f",
        ),
        Column("at", "%", "the false alarm rate at which the threshold was chosen", ".2g"),
        Column("p", "", "Fisher's exact one-sided test at the threshold of the first fold", ".2g"),
        Column(
            "detectable",
            "%",
            "the smallest share of copies that this would find in 4 of 5 audits",
            ".2g",
        ),
    ]
    rows: list[Sequence[object]] = []
    if audit.combined:
        rates = audit.combined.rates
        rows.append(
            [
                "all that decide",
                hundredfold(rates.excess),
                100 * rates.p_gen,
                100 * rates.p_test,
                100 * rates.false_alarm,
                rates.p_value,
                100 * audit.combined.detectable,
            ]
        )
    for found in audit.evidence:
        rates = found.rates
        least = 100 * rates.detectable(found.near.power.value) if found.near else None
        rows.append(
            [
                found.name,
                hundredfold(rates.excess),
                100 * rates.p_gen,
                100 * rates.p_test,
                100 * rates.false_alarm,
                rates.p_value,
                least,
            ]
        )
    return Table(f"Samples called copies, and {control(audit)}", columns, rows)


def metrics(audit: Audit) -> Table:
    columns = [
        Column("metric"),
        Column("descriptor"),
        Column("value", "", "with its interval"),
        Column(
            "real",
            "",
            "the same of real images, with its interval: for copying held-out ones, or "
            "training images among themselves; for quality training images",
        ),
        Column("threshold"),
        Column("n", "", "units behind the value"),
        Column("interval", "", "how it was made"),
    ]
    rows = [
        row
        for name, by in audit.metrics.items()
        for descriptor, one in by.items()
        for row in _measured(name, descriptor, one)
    ]
    return Table("Metrics; where there is no value the last column says why", columns, rows)


def _measured(name: str, descriptor: str, one: MetricResult) -> Iterator[Sequence[object]]:
    """The row of a metric, and one for each part of it that has a value of its own."""
    found = one.estimate
    yield [
        name,
        descriptor,
        found,
        one.control,
        one.threshold,
        None if math.isnan(found.value) else found.n,
        found.method,
    ]
    for part, value in (one.extra or {}).items():
        if part in PARTS and isinstance(value, Estimate):
            yield [f"{name}, {PARTS[part]}", descriptor, value, None, None, value.n, value.method]


def overlap(audit: Audit) -> list[Table]:
    if not audit.overlap.shared:
        return []
    columns = [
        Column("of"),
        Column("also in"),
        Column("exactly", "", "the same numbers"),
        Column(
            "nearly", "", f"nearer than the threshold by {audit.first.name}, exact ones not counted"
        ),
        Column("of", "rows"),
        Column("threshold"),
    ]
    rows = [
        [a, b, int(one.exact.sum()), one.near, len(one.exact), one.threshold]
        for (a, b), one in audit.overlap.shared.items()
    ]
    return [Table("What the sets share", columns, rows)]


def _kinds(audit: Audit) -> list[str]:
    return [name for name in (*NEAR, *MOVED) if name in audit.first.quality]


def _kind(name: str) -> str:
    return f"{called(name)} (moved)" if name in MOVED else called(name)


def areas(audit: Audit) -> Table:
    """AUC of planted copies, by perturbation and descriptor."""
    tip = "the chance that a planted copy scores higher than an image of the null"
    columns = [
        Column("copies with"),
        *(Column(found.name, "", tip, ".3f") for found in audit.evidence),
    ]
    rows: list[Sequence[object]] = [
        [_kind(name), *(found.quality[name].auc for found in audit.evidence)]
        for name in _kinds(audit)
    ]
    if len(rows) > 1:
        rows.append([_POOLED, *(found.near and found.near.auc for found in audit.evidence)])
    return Table("AUC: planted copies of training images against real ones", columns, rows)


def powers(audit: Audit) -> Table:
    """Shares of planted copies that are found, by perturbation: by each descriptor alone, and by
    all together that decide.
    """
    alone = "that pass the threshold of this descriptor alone"
    columns = [Column("copies with"), *(Column(found.name, "%", alone) for found in audit.evidence)]
    rows = [
        [_kind(name), *(hundredfold(found.quality[name].power) for found in audit.evidence)]
        for name in _kinds(audit)
    ]
    rows.append(
        [_POOLED, *(found.near and hundredfold(found.near.power) for found in audit.evidence)]
    )
    if audit.combined:
        columns.append(Column("together", "%", "flagged by all descriptors together that decide"))
        shares = [
            *(audit.combined.power.get(name) for name in _kinds(audit)),
            audit.combined.near_power,
        ]
        rows = [[*row, one and hundredfold(one)] for row, one in zip(rows, shares, strict=True)]
    return Table(
        "Power: planted copies that are found", columns, rows if len(rows) > 2 else rows[:1]
    )


def copied(audit: Audit, found: Sequence[Hit]) -> Table:
    """Training images by the number of flagged samples nearest to them."""
    columns = [
        Column(f"training {thing(audit)[:-1]}"),
        Column("samples", "", "flagged samples nearest to it"),
        Column("alike", "", "training images in its cluster of duplicates, itself included"),
        Column("for example", "", "the sample most like it"),
    ]
    names = audit.inputs["train"].names, audit.inputs["gen"].names
    rows = [
        [
            harmless(names[0][hit.image]),
            len(hit.samples),
            alike(audit, hit.image),
            harmless(names[1][hit.samples[0]]),
        ]
        for hit in found[:MOST]
    ]
    most = f", the first {MOST} of {count(len(found))}" if len(found) > MOST else ""
    return Table(f"Training {thing(audit)} by flagged samples nearest to them{most}", columns, rows)
