"""The command `denoscope doctor`: every metric of the audit on synthetic truth, where it is known
what it must read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from denoscope.audit.examination import judge
from denoscope.audit.findings import Audit
from denoscope.audit.options import AuditOptions
from denoscope.audit.sets.inputs import InputSet
from denoscope.describe.protocols import protocol
from denoscope.doctor.cases import Case, cases, single, spoiled
from denoscope.doctor.checks import Check, check
from denoscope.files import content_hash
from denoscope.progress import Voice
from denoscope.threads import one_thread


def command(options: Mapping[str, Any]) -> int:
    """Runs every check and prints a line each; the exit code is 0 if all passed, else 1."""
    found = examine(options["seed"], Voice(options["quiet"]))
    if options["json"]:
        print(json.dumps([asdict(item) for item in found], indent=1, ensure_ascii=False))
    else:
        print(_table(found))
    return 0 if all(item.passed for item in found) else 1


def examine(seed: int, say: Voice) -> list[Check]:
    """All checks: what the metrics read in every situation, and that hopeless input is refused or
    answered in one line.
    """
    audits = {}
    with one_thread():  # the sets are small
        for case in cases(seed):
            say(case.name)
            audits[case.name] = _audited(case, seed)
        return [*check(audits), _one_sample(seed), _not_a_number(seed)]


def _given(role: str, rows: Tensor) -> InputSet:
    return InputSet(
        role, "synthetic", None, rows, tuple(map(str, range(len(rows)))), content_hash(rows.numpy())
    )


def _audited(case: Case, seed: int) -> Audit:
    options = AuditOptions(gen="synthetic", train="synthetic", test="synthetic", seed=seed)
    return judge(
        options,
        protocol(options.protocol),
        {role: _given(role, rows) for role, rows in case.rows.items()},
        Voice(quiet=True),
    )


def _one_sample(seed: int) -> Check:
    """One sample: every metric has a value or says in one line why not."""
    law = "every metric has a value or a reason"
    try:
        found = _audited(single(seed), seed)
    except ValueError as error:
        return Check("one sample", law, str(error), False)
    bad = [
        name
        for name, each in found.metrics.items()
        for one in each.values()
        if one.estimate.value != one.estimate.value and not one.estimate.method
    ]
    return Check(
        "one sample", law, f"{len(found.metrics)} metrics, {len(bad)} without either", not bad
    )


def _not_a_number(seed: int) -> Check:
    law = "refused in one line that names the row"
    try:
        _audited(spoiled(seed), seed)
    except ValueError as error:
        return Check("NaN", law, str(error), "7" in str(error) and "\n" not in str(error))
    return Check("NaN", law, "accepted", False)


def _table(found: Sequence[Check]) -> str:
    """One line per check, and how many passed."""
    wide = max(len(item.metric) for item in found)
    law = max(len(item.law) for item in found)
    lines = [
        f"{'pass' if item.passed else 'FAIL'}  {item.metric:<{wide}}  {item.law:<{law}}  "
        f"{item.read}"
        for item in found
    ]
    passed = sum(item.passed for item in found)
    return "\n".join([*lines, "", f"{passed} of {len(found)} checks passed"])
