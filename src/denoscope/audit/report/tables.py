"""Tables of an audit that are no readings: sets, all metrics, the training images copied most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from denoscope.audit.findings import Audit, MetricResult
from denoscope.audit.report.caveats import thing
from denoscope.audit.report.matches import Hit, alike
from denoscope.estimate import Estimate
from denoscope.files import harmless
from denoscope.report import Column, Table
from denoscope.report.words import count

PARTS = {
    "near": "nearest tail",
    "far": "farthest tail",
    "nearer": "share nearer",
    "gap": "gap",
    "limit": "limit",
    "chance": "chance",
    "corrected": "beyond chance",
}
"""Parts of a metric that a page shows in rows of their own."""
MOST = 15
"""Rows of a table of training images."""
_REAL = (
    "the same of real images, with its interval: for copying held-out ones, or training images "
    "among themselves; for quality training images; of C_T, nearness and FLD see below"
)


def inputs(audit: Audit) -> Table:
    """The sets: names of strangers are cells, which are never marked up."""
    columns = [Column(name) for name in ("set", "read from", "count", "shape", "sha256")]
    rows = []
    for role, one in audit.inputs.items():
        shape = " × ".join(map(str, one.shape))
        rows.append([role, harmless(one.path), len(one), shape, one.sha256])
    return Table("Sets", columns, rows)


def metrics(audit: Audit) -> Table:
    columns = [Column("metric"), Column("descriptor"), Column("value", "", "with its interval")]
    columns += [Column("real", "", _REAL), Column("threshold")]
    columns += [Column("n", "", "units behind the value"), Column("interval", "", "how it is made")]
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
    n = None if math.isnan(found.value) else found.n
    yield [name, descriptor, found, one.control, one.threshold, n, found.method]
    extra = one.extra or {}
    real = extra.get("real", {})
    for part, value in extra.items():
        if part in PARTS and isinstance(value, Estimate):
            told = (value, real.get(part), None, value.n, value.method)
            yield [f"{name}, {PARTS[part]}", descriptor, *told]


def copied(audit: Audit, found: Sequence[Hit]) -> Table:
    """Training images by the number of flagged samples nearest to them."""
    columns = [
        Column(f"training {thing(audit)[:-1]}"),
        Column("samples", "", "flagged samples nearest to it"),
        Column("alike", "", "training images in its cluster of duplicates, itself included"),
        Column("for example", "", "the sample most like it"),
    ]
    train, gen = (audit.inputs[role].names for role in ("train", "gen"))
    rows = [
        [
            harmless(train[hit.image]),
            len(hit.samples),
            alike(audit, hit.image),
            harmless(gen[hit.samples[0]]),
        ]
        for hit in found[:MOST]
    ]
    most = f", the first {MOST} of {count(len(found))}" if len(found) > MOST else ""
    return Table(f"Training {thing(audit)} by flagged samples nearest to them{most}", columns, rows)
