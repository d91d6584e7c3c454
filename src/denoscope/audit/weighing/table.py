"""All metrics of an audit, for every descriptor: what was measured, beside what real images read,
or why it was not.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from denoscope.audit.findings import Combined, Evidence, Measured
from denoscope.audit.weighing import measures
from denoscope.audit.weighing.costs import PATIENCE, Sizes, seconds
from denoscope.audit.weighing.measures import Case
from denoscope.estimate import proportion, unavailable
from denoscope.progress import duration

COMBINED, CONTENT = "combined", "content"
"""In place of a descriptor's name: what all that decide say together, and what is the same number
by number.
"""


@dataclass(frozen=True)
class _Row:
    """Metrics that are measured together, the sets they need beside gen and train, and how."""

    names: tuple[str, ...]
    needs: tuple[str, ...]
    measure: Callable[[Case], dict[str, Measured]]


_ROWS = (
    _Row(("generalization",), (), measures.generalization),
    _Row(("reproducibility",), ("twin",), measures.agreement),
    _Row(("memorized",), (), measures.memorized),
    _Row(("memorized_plain",), (), measures.memorized_plain),
    _Row(("excess",), (), measures.excess),
    _Row(("authenticity",), (), measures.authenticity),
    _Row(("copying_test",), ("test",), measures.copying),
    _Row(("feature_likelihood",), ("test",), measures.likelihood),
    _Row(("mifid",), (), measures.informed),
    _Row(("precision", "recall", "density", "coverage"), ("test",), measures.support),
    _Row(("frechet",), ("test",), measures.distance),
    _Row(("kernel",), ("test",), measures.discrepancy),
    _Row(("vendi",), (), measures.diversity),
)

NAMES = (
    "generalization",
    "reproducibility",
    "memorized",
    "memorized_plain",
    "excess",
    "excess_combined",
    "authenticity",
    "copying_test",
    "feature_likelihood",
    "mifid",
    "precision",
    "recall",
    "density",
    "coverage",
    "frechet",
    "kernel",
    "vendi",
    "exact_duplicates",
)
"""All metrics, in the order of a report."""


def check_names(wanted: Sequence[str]) -> None:
    """An unknown name is a ValueError that says the nearest valid one."""
    for name in wanted:
        if name not in NAMES:
            close = difflib.get_close_matches(name, NAMES, 1, 0.0)[0]
            raise ValueError(
                f"--metrics {name}: there is no such metric; did you mean {close}? All: "
                f"{', '.join(NAMES)}"
            )


def measure_all(
    evidence: Sequence[Evidence],
    features: Mapping[str, Mapping[str, Tensor]],
    combined: Combined | None,
    *,
    wanted: Sequence[str],
    thresholds: Mapping[str, float],
    exact: Mapping[str, int],
    seed: int,
    say: Callable[[str], None],
) -> dict[str, dict[str, Measured]]:
    """Each metric of :data:`NAMES`, by the name of the descriptor: all that are ``wanted``, or
    without these all that take minutes at most.

    ``features`` (n, k) by descriptor and role; ``thresholds`` that a protocol fixed, by descriptor;
    ``exact`` counts the rows of gen and test whose content is a training image's, those of test no
    longer among the features. What cannot be measured says why; an unknown name is a ValueError.
    """
    check_names(wanted)
    chosen = [name for name in NAMES if not wanted or name in wanted]
    found: dict[str, dict[str, Measured]] = {name: {} for name in chosen}
    for one in evidence:
        case = Case(one, features[one.name], thresholds.get(one.name), seed)
        for row in _ROWS:
            asked = [name for name in row.names if name in found]
            measured = _measured(row, case, bool(wanted), say) if asked else {}
            for name in asked:
                found[name][one.name] = measured[name]
    if "excess_combined" in found:
        found["excess_combined"][COMBINED] = _together(combined)
    if "exact_duplicates" in found:
        found["exact_duplicates"][CONTENT] = _repeated(features[evidence[0].name], exact)
    return found


def _measured(
    row: _Row, case: Case, named: bool, say: Callable[[str], None]
) -> dict[str, Measured]:
    """What the metrics of a row read, or why they do not; one metric's failure is no failure of the
    audit.
    """
    missing = [f"--{role}" for role in row.needs if role not in case.sets]
    if missing:
        return _nothing(row, f"needs {missing[0]}")
    cost = seconds(row.names[0], _sizes(case))
    if cost > PATIENCE and not named:
        return _nothing(
            row,
            f"not computed: would take about {duration(cost)}; name it in --metrics to compute it",
        )
    if cost > 1:
        say(f"{', '.join(row.names)} by {case.evidence.name}")
    try:
        return row.measure(case)
    except (ValueError, RuntimeError, MemoryError) as error:
        return _nothing(row, str(error).partition("\n")[0] or type(error).__name__)


def _nothing(row: _Row, reason: str) -> dict[str, Measured]:
    return {name: Measured(unavailable(reason)) for name in row.names}


def _sizes(case: Case) -> Sizes:
    gen, train, test = (
        len(case.sets[role]) if role in case.sets else 0 for role in ("gen", "train", "test")
    )
    return Sizes(gen, train, test, case["train"].shape[1])


def _together(combined: Combined | None) -> Measured:
    """Copies beyond the null's false alarms by all descriptors that decide."""
    if combined is None:
        return Measured(
            unavailable("no descriptor tells planted copies from real images well enough to decide")
        )
    rates = combined.rates
    extra = {
        "p_gen": rates.p_gen,
        "p_test": rates.p_test,
        "p_value": rates.p_value,
        "descriptors": list(combined.descriptors),
    }
    extra |= {"power": combined.near_power, "detectable": combined.detectable}
    return Measured(rates.excess, threshold=rates.false_alarm, extra=extra)


def _repeated(sets: Mapping[str, Tensor], exact: Mapping[str, int]) -> Measured:
    """The share of samples whose content is a training image's, beside that of held-out images."""
    held = len(sets["test"]) + exact.get("test", 0) if "test" in sets else 0
    control = proportion(exact.get("test", 0), held) if held else None
    return Measured(proportion(exact.get("gen", 0), len(sets["gen"])), control)
