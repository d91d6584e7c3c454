"""The command `denoscope audit`: does this model copy its training data?"""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch

from denoscope import files
from denoscope.audit.examination import examine
from denoscope.audit.findings import Audit
from denoscope.audit.options import AuditOptions
from denoscope.audit.plan import plan
from denoscope.audit.report.csv_table import as_csv
from denoscope.audit.report.json_document import as_json
from denoscope.audit.report.page import build
from denoscope.audit.report.verdict import gate, repeats
from denoscope.audit.sets.settled import Unsettled
from denoscope.progress import Voice
from denoscope.report import write
from denoscope.study import versions

COPIES = 3
"""The exit code where more than ``--fail-above`` is copied for sure, or nothing could be
decided.
"""
_THREADS = 1024  # of which some libraries cannot start more


def command(flags: Mapping[str, Any], words: Sequence[str]) -> int:
    """Answers the question of the command line, writes audit.html, .json and .csv into
    ``flags['out']``, and returns the exit code.
    """
    options = AuditOptions(**{item.name: flags[item.name] for item in fields(AuditOptions)})
    options.check()
    if not 0 <= flags["threads"] <= _THREADS:
        raise ValueError(
            f"--threads {flags['threads']}: must lie between 1 and {_THREADS}, or be 0 "
            "for all cores"
        )
    if flags["threads"]:
        torch.set_num_threads(flags["threads"])
    say = Voice(flags["quiet"])
    if flags["dry_run"]:
        print(*plan(options, say), sep="\n")
        return 0
    found = _examined(options, say)
    called = shlex.join(["denoscope", *words])
    numbers = as_json(found, called)
    say("drawing")
    with files.staged(options.out, "figures/audit_*") as folder:
        files.write_json(folder / "audit.json", numbers)
        files.write(folder / "audit.csv", as_csv(found))
        write(build(found, called, versions()), folder, "audit")
    if flags["json"]:
        print(json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print(*numbers["verdict"], options.out / "audit.html", sep="\n\n")
    return _failed(found)


def _examined(options: AuditOptions, say: Voice) -> Audit:
    """What was found; where it is asked how files become images, what was tried is shown first."""
    try:
        return examine(options, say)
    except Unsettled as asked:
        print(*asked.table, sep="\n", file=sys.stderr)
        raise


def _failed(found: Audit) -> int:
    """The exit code: what the gate of ``--fail-above`` says, told in one line."""
    limit, together = found.options.fail_above, found.combined
    if limit is None or (said := gate(found, limit)) == "passed":
        return 0
    if said == "failed":
        low = max(repeats(found).low, together.excess.low if together else 0.0)
        why = f"at least {100 * low:.2g} % of samples are copies, more than --fail-above {limit:g}"
    elif together is None or math.isnan(together.excess.value):
        why = f"--fail-above {limit:g} is undecided: no descriptor can decide here"
    else:
        enough = together.would_decide(limit)
        more = (
            f"about {enough[0]} samples and {enough[1]} held-out images would decide"
            if enough
            else "more samples alone would not decide"
        )
        why = (
            f"--fail-above {limit:g} is undecided: up to {100 * together.copies_at_most:.2g} % of "
            f"the samples may be copies; {more}"
        )
    print(f"denoscope: {why}", file=sys.stderr)
    return COPIES
