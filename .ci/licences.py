"""The licences of what Denoscope needs to run, from what the installed packages say of themselves:
a table, and exit code 1 if one is not permissive or says nothing. Extras are listed after them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PERMISSIVE = re.compile(
    r"0BSD|BSD|BSL|MIT|Apache|PSF|Python Software Foundation|CNRI|ISC|HPND|Zlib|CC0|Unlicense"
    r"|WITH GCC-exception"
)
USERS = ("dev", "docs")
"""Extras of contributors, whose packages no user installs."""
GPU = ("nvidia-", "cuda-")
"""Libraries of a GPU's maker, which the CPU build of torch does not bring."""


def licence(found: Distribution) -> str:
    """What a package says of its licence, in one line: the expression, else its classifiers, else
    the first line of its text.
    """
    about = found.metadata
    classified = [
        line.rpartition(" :: ")[2].removesuffix(" License")
        for line in about.get_all("Classifier") or []
        if line.startswith("License :: OSI Approved :: ")
    ]
    said = about.get("License-Expression") or " AND ".join(classified) or about.get("License") or ""
    return said.strip().partition("\n")[0]


def permissive(said: str) -> bool:
    """Whether a licence lets anybody use, change and pass on, also in closed programs. Of several
    by OR one is enough; of several by AND each must be.
    """
    return any(
        all(PERMISSIVE.search(part) for part in one.split(" AND ")) for one in said.split(" OR ")
    )


def needed(name: str, extras: frozenset[str] = frozenset()) -> Iterator[str]:
    """The installed packages that one requires, by the markers of this machine."""
    for line in distribution(name).requires or []:
        wanted = Requirement(line)
        told = [{**default_environment(), "extra": extra} for extra in extras or {""}]
        if wanted.marker is None or any(wanted.marker.evaluate(one) for one in told):
            yield canonicalize_name(wanted.name)


def closure(names: Iterator[str]) -> list[str]:
    """These packages and all that they require, as far as they are installed."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in seen and _installed(name):
            seen.add(name)
            waiting += needed(name)
    return sorted(seen)


def _installed(name: str) -> bool:
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


def main() -> int:
    extras = frozenset(distribution("denoscope").metadata.get_all("Provides-Extra") or [])
    all_run = closure(needed("denoscope"))
    runtime = [name for name in all_run if not name.startswith(GPU)]
    more = [name for name in closure(needed("denoscope", extras - {*USERS})) if name not in all_run]
    groups = {"needed to run": runtime, "of extras": more}
    groups["of a torch for GPUs"] = [name for name in all_run if name.startswith(GPU)]
    for title, names in groups.items():
        print(f"{title}: {len(names)}")
        for name in names:
            print(_line(distribution(name)))
    refused = [name for name in runtime if not permissive(licence(distribution(name)))]
    if refused:
        print(f"not permissive, and needed to run: {', '.join(refused)}", file=sys.stderr)
    return int(bool(refused))


def _line(found: Distribution) -> str:
    said = licence(found)
    mark = "" if permissive(said) else "  <- not permissive"
    return f"  {found.name:24} {found.version:12} {said or 'nothing said'}{mark}"


if __name__ == "__main__":
    sys.exit(main())
