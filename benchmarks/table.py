"""Every benchmark that has a rival, in one run, as a table in README.md beside this file.

    python benchmarks/table.py [--quick] [--only nearest fleet]

What each prints is shown while it runs; a line for each rival becomes a row. One that fails is a
row too. With ``--only`` the rows of the others stay (rivals.json). The others of this folder
measure accuracy, or need an hour: run them by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rivals import MARK

HERE = Path(__file__).parent
README, KEPT = HERE / "README.md", HERE / "rivals.json"
BEGIN, END = "<!-- rivals: begin -->", "<!-- rivals: end -->"
SCRIPTS: dict[str, tuple[str, str]] = {
    "nearest": ("--threads 1", "--threads 1 --queries 1000 --bank 12000 --dim 64"),
    "audit": ("--threads 1", "--threads 1 --gen 1000 --train 5000 --test 500 --dim 64 --prdc 3000"),
    "moments": ("", "--turns 3"),
    "fleet": ("", "--width 32 64 --turns 3"),
    "multistage": ("", "--turns 5"),
    "jacobian": (
        "--shape 28 --sigma 6 12 20",
        "--shape 28 --sigma 12 --points 2 --steps 100 --data digits",
    ),
    "edit": (
        "--model digits-unet --data digits[0:12]",
        "--model digits-unet --data digits[0:4] --times 0.5",
    ),
    "plan": ("", ""),
}
"""The arguments of a whole and of a quick run."""
SLOW = ("plan",)
"""Left out of a quick run."""


def measured(name: str, words: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a benchmark; of one that fails its last line."""
    command = [sys.executable, str(HERE / f"{name}.py"), *words]
    print(f"\n== {' '.join(command[1:])}", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, flush=True)
    lines = done.stdout.splitlines()
    rows = [json.loads(line[len(MARK) :]) for line in lines if line.startswith(MARK)]
    if done.returncode:
        rows.append({"what": "", "rival": "", "missing": f"failed: {lines[-1] if lines else ''}"})
    return [{"script": name, **row} for row in rows]


def cells(row: dict[str, Any]) -> list[str]:
    """A row as the table has it."""
    rival = f"{row['rival']} {row.get('version', '')}".strip()
    start = [f"`{row['script']}.py`", row["what"]]
    if "missing" in row:
        return [*start, "", rival, "", f"not measured: {row['missing']}"]
    ours, theirs = (f"{_short(row[name])} {row['unit']}" for name in ("ours", "theirs"))
    return [*start, ours, rival, theirs, f"**{row['ratio']:.2f}**"]


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 1000 else f"{number:.3g}"


def table(found: dict[str, dict[str, Any]]) -> str:
    """The table in Markdown, and on which machine each benchmark was measured, of {script: {how,
    rows}}.
    """
    header = ["benchmark", "what", "ours", "rival", "rival's", "ours is better by a factor of"]
    rows = [row for each in found.values() for row in each["rows"]]
    lines = [header, ["---"] * len(header), *map(cells, rows)]
    ways: dict[str, list[str]] = {}
    for name, each in found.items():
        ways.setdefault(each["how"], []).append(name)
    told = (f"{', '.join(names)}: {how}." for how, names in ways.items())
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", "  \n".join(told)])


def machine() -> str:
    """The processor, its cores, and the versions that decide the numbers."""
    found = re.search(r"model name\s*: (.+)", _read("/proc/cpuinfo"))
    name = found[1] if found else platform.processor() or platform.machine()
    packages = ", ".join(f"{package} {version(package)}" for package in ("torch", "numpy"))
    python = platform.python_version()
    return f"{name}, {os.cpu_count()} cores, one thread each; Python {python}, {packages}"


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).is_file() else ""


def placed(text: str, made: str) -> str:
    """A page with another table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{README} lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes, a few minutes in all")
    parser.add_argument("--only", nargs="+", choices=list(SCRIPTS), default=list(SCRIPTS))
    options = parser.parse_args()
    size = "`make bench QUICK=1`" if options.quick else "`make bench`"
    found = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    for name in options.only:
        if not (options.quick and name in SLOW):
            rows = measured(name, SCRIPTS[name][options.quick].split())
            found[name] = {"how": f"{size} on {machine()}", "rows": rows}
    found = {name: found[name] for name in SCRIPTS if name in found}
    KEPT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    README.write_text(placed(README.read_text(), table(found)))


if __name__ == "__main__":
    main()
