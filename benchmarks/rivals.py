"""The common form of a benchmark's answer: one line of JSON for each rival, of which `make bench`
makes the table of README.md.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version

MARK = "RIVAL "
"""How such a line begins."""


def versus(
    what: str, ours: float, rival: str, theirs: float, unit: str = "s", better: str = "less"
) -> None:
    """Prints how ours compares with a rival that was measured in the same run, in ``unit``;
    ``better`` is "less" or "more". The ratio is by how much ours is better: above 1 it is.
    """
    ratio = theirs / ours if better == "less" else ours / theirs
    _print(what=what, ours=ours, rival=rival, theirs=theirs, unit=unit, ratio=ratio)


def missing(what: str, rival: str, install: str) -> None:
    """Prints that a rival is not installed, and how it would be."""
    _print(what=what, rival=rival, missing=install)


def _print(**row: object) -> None:
    package = str(row["rival"]).split()[0].partition(".")[0]
    try:
        row["version"] = version({"faiss": "faiss-cpu"}.get(package, package))
    except PackageNotFoundError:
        row["version"] = ""
    print(f"{MARK}{json.dumps(row, ensure_ascii=False)}", flush=True)
