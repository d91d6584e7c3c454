"""What every metric must read in each situation, and what it did read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from denoscope.audit.findings import Audit, MetricResult

Readings = Mapping[str, Audit]
"""Audits by the name of their situation."""

FRESH, FEW, MANY = "0% copies", "2% copies", "20% copies"
DROPPED, DOUBLED, SAME = "modes missing", "doubled", "identical"


@dataclass(frozen=True)
class Check:
    """One law of one metric: what was expected, what was read, whether it held."""

    metric: str
    law: str
    read: str
    passed: bool


def _of(audits: Readings, case: str, metric: str) -> MetricResult:
    """A metric by its first descriptor."""
    return next(iter(audits[case].metrics[metric].values()))


def _value(audits: Readings, case: str, metric: str) -> float:
    return _of(audits, case, metric).estimate.value


def _covers(audits: Readings, metric: str, case: str, truth: float) -> tuple[str, bool]:
    """Whether the interval, made twice as wide so that chance alone fails it once in 10 000 seeds,
    holds the truth.
    """
    found = _of(audits, case, metric).estimate
    low, high = 2 * found.low - found.value, 2 * found.high - found.value
    return f"{case}: {found}, twice as wide [{low:.3g}, {high:.3g}]", low <= truth <= high


def _as_control(audits: Readings, metric: str) -> tuple[str, bool]:
    """Without copies a metric reads what it reads for held-out rows: their intervals meet."""
    found = _of(audits, FRESH, metric)
    if found.control is None:
        return f"{found.estimate}, no control", False
    one, other = found.estimate, found.control
    return f"{one}, held-out {other}", one.low <= other.high and other.low <= one.high


def _order(audits: Readings, metric: str, *cases: str) -> tuple[str, bool]:
    """Strictly falling from one situation to the next."""
    values = [_value(audits, case, metric) for case in cases]
    read = ", ".join(f"{case}: {value:.3g}" for case, value in zip(cases, values))
    return read, all(a > b for a, b in pairwise(values))


def _near(
    audits: Readings, metric: str, case: str, truth: float, within: float = 0.0
) -> tuple[str, bool]:
    value = _value(audits, case, metric)
    return f"{case}: {value:.3g}", abs(value - truth) <= within


def _infinite(audits: Readings, metric: str, case: str) -> tuple[str, bool]:
    value = _value(audits, case, metric)
    return f"{case}: {value:g}", not math.isfinite(value)


SAME_AS_HELD, BACK = "reads as held-out rows do without copies", "when the training set comes back"
TWICE = "1 although every training row is there twice"
LAWS: list[tuple[Any, ...]] = [
    *(
        (metric, *law)
        for metric in ("excess", "excess_combined")
        for law in (
            ("twice the interval covers 0 without copies", _covers, FRESH, 0.0),
            ("twice the interval covers 2 %", _covers, FEW, 0.02),
            ("twice the interval covers 20 %", _covers, MANY, 0.2),
            (f"1 {BACK}", _near, SAME, 1.0, 0.02),
            (TWICE, _near, DOUBLED, 1.0, 0.05),
        )
    ),
    ("memorized", SAME_AS_HELD, _as_control),
    ("memorized", "counts 20 % copies", _near, MANY, 0.2, 0.02),
    ("memorized", TWICE, _near, DOUBLED, 1.0, 0.05),
    ("memorized_plain", "counts 20 % copies", _near, MANY, 0.2, 0.02),
    ("memorized_plain", "is blind to copies of doubled rows, as known", _near, DOUBLED, 0.0, 0.5),
    ("nearness", "twice the interval covers ½ without copies", _covers, FRESH, 0.5),
    ("nearness", "falls with fewer copies", _order, SAME, MANY, FRESH),
    ("authenticity", SAME_AS_HELD, _as_control),
    ("authenticity", "falls with copies", _order, FRESH, MANY, SAME),
    ("generalization", SAME_AS_HELD, _as_control),
    ("generalization", f"0 {BACK}", _near, SAME, 0.0),
    ("reproducibility", "1 for equal twins, less for independent ones", _order, MANY, FRESH),
    ("copying_test", "twice the interval covers 0 without copies", _covers, FRESH, 0.0),
    ("copying_test", "falls with copies", _order, FRESH, MANY, SAME),
    ("feature_likelihood", "rises with copies and with missing modes", _order, DROPPED, FRESH),
    ("feature_likelihood", "the training set itself is worse than fresh rows", _order, SAME, FRESH),
    ("mifid", f"worst (not available) {BACK}", _infinite, SAME),
    *(
        (metric, "at least 0.8 without copies", _near, FRESH, 1.0, 0.2)
        for metric in ("precision", "recall", "coverage")
    ),
    ("precision", "does not see missing modes", _near, DROPPED, 1.0, 0.2),
    ("recall", "falls with missing modes", _order, FRESH, DROPPED),
    ("coverage", "falls with missing modes", _order, FRESH, DROPPED),
    ("density", "1 without copies", _near, FRESH, 1.0, 0.2),
    ("frechet", "rises with missing modes", _order, DROPPED, FRESH),
    ("kernel", "twice the interval covers 0 without copies", _covers, FRESH, 0.0),
    ("kernel", "rises with missing modes", _order, DROPPED, FRESH),
    ("vendi", "falls with missing modes", _order, FRESH, DROPPED),
    ("exact_duplicates", "0 without copies", _near, FRESH, 0.0),
    ("exact_duplicates", f"1 {BACK}", _near, SAME, 1.0),
]
"""A metric, its law in words, and the test with what it takes beside audits and metric."""


def check(audits: Readings) -> list[Check]:
    """Every law, in order; one that raises has failed."""
    found = []
    for metric, law, test, *given in LAWS:
        try:
            read, passed = test(audits, metric, *given)
        except (KeyError, ValueError, StopIteration) as error:
            read, passed = f"{type(error).__name__}: {error}", False
        found.append(Check(metric, law, read, bool(passed)))
    return found
