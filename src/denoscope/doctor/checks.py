"""What every metric must read in each situation, and what it did read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from denoscope.audit.findings import Audit, MetricResult

Readings = Mapping[str, Audit]
"""Audits by the name of their situation."""

FRESH, FEW, MANY, DROPPED, DOUBLED, SAME = (
    "0% copies",
    "2% copies",
    "20% copies",
    "modes missing",
    "doubled",
    "identical",
)


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


def _covers(audits: Readings, case: str, metric: str, truth: float) -> tuple[str, bool]:
    """Whether the interval, made twice as wide so that chance alone fails it once in 10 000 seeds,
    holds the truth.
    """
    found = _of(audits, case, metric).estimate
    return f"{case}: {found}", 2 * found.low - found.value <= truth <= 2 * found.high - found.value


def _as_control(audits: Readings, metric: str) -> tuple[str, bool]:
    """Without copies a metric reads what it reads for held-out rows: their intervals meet."""
    found = _of(audits, FRESH, metric)
    if found.control is None:
        return f"{found.estimate}, no control", False
    return (
        f"{found.estimate}, held-out {found.control}",
        found.estimate.low <= found.control.high and found.control.low <= found.estimate.high,
    )


def _order(audits: Readings, metric: str, *cases: str) -> tuple[str, bool]:
    """Strictly falling from one situation to the next."""
    values = [_value(audits, case, metric) for case in cases]
    return ", ".join(f"{case}: {value:.3g}" for case, value in zip(cases, values)), all(
        a > b for a, b in pairwise(values)
    )


def _near(
    audits: Readings, case: str, metric: str, truth: float, within: float
) -> tuple[str, bool]:
    value = _value(audits, case, metric)
    return f"{case}: {value:.3g}", abs(value - truth) <= within


def _laws(a: Readings) -> Iterator[tuple[str, str, Callable[[], tuple[str, bool]]]]:
    for metric in ("excess", "excess_combined"):
        yield metric, "interval covers 0 without copies", lambda m=metric: _covers(a, FRESH, m, 0.0)
        yield metric, "interval covers 2 %", lambda m=metric: _covers(a, FEW, m, 0.02)
        yield metric, "interval covers 20 %", lambda m=metric: _covers(a, MANY, m, 0.2)
        yield (
            metric,
            "1 when the training set comes back",
            lambda m=metric: _near(a, SAME, m, 1.0, 0.02),
        )
        yield (
            metric,
            "1 although every training row is there twice",
            lambda m=metric: _near(a, DOUBLED, m, 1.0, 0.05),
        )
    yield (
        "memorized",
        "reads as held-out rows do without copies",
        lambda: _as_control(a, "memorized"),
    )
    yield "memorized", "counts 20 % copies", lambda: _near(a, MANY, "memorized", 0.2, 0.02)
    yield (
        "memorized",
        "1 although every training row is there twice",
        lambda: _near(a, DOUBLED, "memorized", 1.0, 0.05),
    )
    yield (
        "memorized_plain",
        "counts 20 % copies",
        lambda: _near(a, MANY, "memorized_plain", 0.2, 0.02),
    )
    yield (
        "memorized_plain",
        "is blind to copies of doubled rows, as known",
        lambda: _near(a, DOUBLED, "memorized_plain", 0.0, 0.5),
    )
    yield (
        "authenticity",
        "reads as held-out rows do without copies",
        lambda: _as_control(a, "authenticity"),
    )
    yield "authenticity", "falls with copies", lambda: _order(a, "authenticity", FRESH, MANY, SAME)
    yield (
        "generalization",
        "reads as held-out rows do without copies",
        lambda: _as_control(a, "generalization"),
    )
    yield (
        "generalization",
        "0 when the training set comes back",
        lambda: _near(a, SAME, "generalization", 0.0, 0.0),
    )
    yield (
        "reproducibility",
        "1 for equal twins, less for independent ones",
        lambda: _order(a, "reproducibility", MANY, FRESH),
    )
    yield (
        "copying_test",
        "interval covers 0 without copies",
        lambda: _covers(a, FRESH, "copying_test", 0.0),
    )
    yield "copying_test", "falls with copies", lambda: _order(a, "copying_test", FRESH, MANY, SAME)
    yield (
        "feature_likelihood",
        "rises with copies and with missing modes",
        lambda: _order(a, "feature_likelihood", DROPPED, FRESH),
    )
    yield (
        "feature_likelihood",
        "the training set itself is worse than fresh rows",
        lambda: _order(a, "feature_likelihood", SAME, FRESH),
    )
    yield (
        "mifid",
        "worst (not available) when the training set comes back",
        lambda: _infinite(a, SAME, "mifid"),
    )
    for metric in ("precision", "recall", "coverage"):
        yield metric, "at least 0.8 without copies", lambda m=metric: _near(a, FRESH, m, 1.0, 0.2)
    yield (
        "precision",
        "does not see missing modes",
        lambda: _near(a, DROPPED, "precision", 1.0, 0.2),
    )
    yield "recall", "falls with missing modes", lambda: _order(a, "recall", FRESH, DROPPED)
    yield "coverage", "falls with missing modes", lambda: _order(a, "coverage", FRESH, DROPPED)
    yield "density", "1 without copies", lambda: _near(a, FRESH, "density", 1.0, 0.2)
    yield "frechet", "rises with missing modes", lambda: _order(a, "frechet", DROPPED, FRESH)
    yield "kernel", "interval covers 0 without copies", lambda: _covers(a, FRESH, "kernel", 0.0)
    yield "kernel", "rises with missing modes", lambda: _order(a, "kernel", DROPPED, FRESH)
    yield "vendi", "falls with missing modes", lambda: _order(a, "vendi", FRESH, DROPPED)
    yield (
        "exact_duplicates",
        "0 without copies",
        lambda: _near(a, FRESH, "exact_duplicates", 0.0, 0.0),
    )
    yield (
        "exact_duplicates",
        "1 when the training set comes back",
        lambda: _near(a, SAME, "exact_duplicates", 1.0, 0.0),
    )


def _infinite(audits: Readings, case: str, metric: str) -> tuple[str, bool]:
    value = _value(audits, case, metric)
    return f"{case}: {value:g}", not math.isfinite(value)


def check(audits: Readings) -> list[Check]:
    """Every law, in order; one that raises has failed."""
    found = []
    for metric, law, test in _laws(audits):
        try:
            read, passed = test()
        except (KeyError, ValueError, StopIteration) as error:
            read, passed = f"{type(error).__name__}: {error}", False
        found.append(Check(metric, law, read, bool(passed)))
    return found
