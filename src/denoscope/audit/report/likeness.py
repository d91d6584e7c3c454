"""Are samples unlike real images: too far from the training set, or too near on the whole?"""

from __future__ import annotations

from denoscope.audit.findings import Audit
from denoscope.metrics.novelty import REAL_LIKE, TAIL, Nearness, nearness_of
from denoscope.report.words import numbers, percent, percents

STRICT = 1 - 0.05 / 3  # one of three intervals outside is enough


def nearness(audit: Audit, level: float = 0.95) -> Nearness | None:
    """By the first descriptor, without what is set aside; None where there is too little."""
    one = audit.first
    if one.test is None:
        return None
    kept = {role: ~one.aside[role] for role in ("gen", "test")}
    if min(int(rows.sum()) for rows in kept.values()) < 2:
        return None
    return nearness_of(
        one.gen.nearest[kept["gen"]],
        one.test.nearest[kept["test"]],
        gen_groups=one.groups["gen"][kept["gen"]],
        test_groups=one.groups["test"][kept["test"]],
        level=level,
    )


def unlikeness(audit: Audit, things: str, *, copied: bool) -> str:
    """In which way samples are unlike real images for sure; empty if none is, or if they are nearer
    and ``copied`` says it already.
    """
    found, strict = nearness(audit), nearness(audit, STRICT)
    if found is None or strict is None:
        return ""
    far = strict.far.low >= REAL_LIKE[1] or strict.near.high <= REAL_LIKE[0]
    if strict.high < 0.5 or (far and strict.low <= 0.5):
        side = (
            f"{percents(found.far, bracket=True)} lie beyond the farthest {percent(TAIL)} of those"
        )
        how = "farther from the training set than held-out ones"
    elif not copied and (strict.low > 0.5 or strict.near.low >= REAL_LIKE[1]):
        side = (
            f"{percents(found.near, bracket=True)} lie within the nearest {percent(TAIL)} of those"
        )
        how = "nearer to the training set than held-out ones: copied, or duller"
    else:
        return ""
    measured = f"nearness {numbers(found)}; ½ is real"
    return f"**Unlike real {things}:** samples are {how} ({measured}); {side}."
