"""An audit as one CSV line per sample.

Names of files are data of strangers: characters that do not print are escaped, and a name that a
spreadsheet would take for a formula has an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
import math

import torch
from torch import Tensor

from denoscope.audit.findings import Audit
from denoscope.files import harmless

COLUMNS = (
    "sample",
    "file",
    "seed",
    "nearest",
    "nearest_file",
    "similarity",
    "second",
    "ratio",
    "p_value",
    "verdict",
    "duplicate_cluster",
)
_FORMULA = ("=", "+", "-", "@")
_LONGEST = 1 << 16


def as_csv(audit: Audit) -> str:
    """One line per sample, by the first descriptor: the ``nearest`` training image, the cosine
    ``similarity`` to it, the distance to the ``second`` nearest that is no near-duplicate of it,
    and the ``ratio`` of both distances.

    ``p_value`` is that of all descriptors that decide, empty if none does; ``verdict`` is exact
    copy, copy, novel, set aside or undecided; ``duplicate_cluster`` that of the nearest training
    image, empty if it has no duplicate. What is not finite is empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_lines(audit))
    return text.getvalue()


def _lines(audit: Audit) -> list[list[object]]:
    gen, train, scores, together = (
        audit.inputs["gen"],
        audit.inputs["train"],
        audit.first.gen,
        audit.combined,
    )
    empty: list[object] = [""] * len(gen)
    nearest = scores.index.tolist()
    cluster = audit.duplicates.cluster[scores.index].tolist()
    columns: list[list[object]] = [
        list(range(len(gen))),
        [cell(name) for name in gen.names],
        list(gen.seeds) or empty,
        nearest,
        [cell(train.names[index]) for index in nearest],
        *(_numbers(values) for values in (scores.cosine, scores.second, scores.ratio)),
        _numbers(together.p_values) if together else empty,
        list(_verdicts(audit)),
        [index if index >= 0 else "" for index in cluster],
    ]
    return [list(line) for line in zip(*columns, strict=True)]


def cell(text: str) -> str:
    """A stranger's text for a spreadsheet: what does not print as an escape, and an apostrophe
    before what looks like a formula.
    """
    shown = harmless(text, _LONGEST)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def _numbers(values: Tensor) -> list[object]:
    return [value if math.isfinite(value) else "" for value in values.tolist()]


def _verdicts(audit: Audit) -> list[str]:
    """What each sample is called; exact copies are, whatever the descriptors see."""
    n = len(audit.inputs["gen"])
    shared = audit.overlap.shared.get(("gen", "train"))
    exact = torch.zeros(n, dtype=torch.bool) if shared is None else shared.exact
    others = (
        ["undecided"] * n
        if audit.combined is None or audit.combined.is_unlike
        else ["copy" if copied else "novel" for copied in audit.combined.copies.tolist()]
    )
    aside = audit.first.aside["gen"].tolist()
    return [
        "exact copy" if same else "set aside" if away else other
        for same, away, other in zip(exact.tolist(), aside, others, strict=True)
    ]
