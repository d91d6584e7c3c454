"""The command `denoscope audit`: does this model copy its training data?"""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from denoscope import files, report
from denoscope.audit.asked import Asked
from denoscope.audit.examination import examine
from denoscope.audit.findings import Audit
from denoscope.audit.plan import plan
from denoscope.audit.telling.page import build
from denoscope.audit.telling.result import as_csv, as_json
from denoscope.audit.telling.writing import staged
from denoscope.progress import Voice
from denoscope.study import versions

COPIES = 3
"""The exit code where more than ``--fail-above`` is copied for sure, or nothing could be
decided.
"""
_THREADS = 1024  # of which some libraries cannot start more


def command(options: Mapping[str, Any], words: Sequence[str]) -> int:
    """Answers the question of the command line, writes audit.html, .json and .csv into
    ``options['out']``, and returns the exit code.
    """
    asked = Asked(**{item.name: options[item.name] for item in fields(Asked)})
    asked.check()
    if not 0 <= options["threads"] <= _THREADS:
        raise ValueError(
            f"--threads {options['threads']}: must lie between 1 and {_THREADS}, or be 0 "
            "for all cores"
        )
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    say = Voice(options["quiet"])
    if options["dry_run"]:
        print(*plan(asked, say), sep="\n")
        return 0
    _writable(asked.out)
    found = examine(asked, say)
    called = shlex.join(["denoscope", *words])
    numbers = as_json(found, called)
    say("drawing")
    with staged(asked.out, "figures/audit_*") as folder:
        files.write_json(folder / "audit.json", numbers)
        files.write(folder / "audit.csv", as_csv(found))
        report.write(build(found, called, versions()), folder, "audit")
    if options["json"]:
        print(json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print(*numbers["verdict"], asked.out / "audit.html", sep="\n\n")
    return _failed(found)


def _writable(folder: Path) -> None:
    """A ValueError if nothing can be written there, before hours are spent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"--out {folder} cannot be written to; name another folder")


def _failed(found: Audit) -> int:
    """The exit code: whether the limit of ``--fail-above`` is exceeded, said in one line."""
    limit = found.asked.fail_above
    if limit is None:
        return 0
    if found.combined is None or math.isnan(found.combined.rates.excess.value):
        why = (
            found.combined.rates.excess.method
            if found.combined
            else "no descriptor can decide here"
        )
        print(f"denoscope: --fail-above cannot be checked: {why}", file=sys.stderr)
        return COPIES
    low = found.combined.rates.excess.low
    if low <= limit:
        return 0
    print(
        f"denoscope: at least {100 * low:.2g} % of the samples are copies, more than "
        f"--fail-above {limit:g}",
        file=sys.stderr,
    )
    return COPIES
