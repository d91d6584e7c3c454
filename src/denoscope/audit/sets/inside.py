"""Sets that are the same files: one folder twice, or one inside another."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import combinations

from denoscope.audit.sets.cells import is_cell
from denoscope.data.embedded import EMBEDDED, has_idx
from denoscope.data.selection import Selection, select
from denoscope.data.walking import below
from denoscope.files import harmless, located
from denoscope.models import is_model

_KINDS = {"gen": "samples", "twin": "samples"}


def apart(paths: Mapping[str, str]) -> None:
    """A ValueError if two sets, by role, are the same folder or file, or one folder is inside the
    other, links followed. Different parts of one source, models and cells of a store are apart.
    """
    known = {role: select(path) for role, path in paths.items() if not _knows_parts(path)}
    for (one, first), (other, second) in combinations(known.items(), 2):
        _same(one, first, other, second)
        for (a, outer), (b, inner) in (
            ((one, first), (other, second)),
            ((other, second), (one, first)),
        ):
            if _inside(inner, outer):
                raise ValueError(
                    f"--{b} {harmless(inner.source)} lies inside --{a} {harmless(outer.source)}, "
                    f"so its images would be read as {_KINDS.get(a, a + ' images')} too: move it "
                    f"out, or give a folder without it"
                )


def _knows_parts(path: str) -> bool:
    """Whether each role takes its own part of what is named, or images are no files."""
    source = select(path).source
    folder = located(source)
    cell = is_cell(source) or (folder.is_dir() and has_idx(folder))
    return source in EMBEDDED or is_model(source) or cell or not os.path.exists(folder)


def _same(one: str, first: Selection, other: str, second: Selection) -> None:
    if not os.path.samefile(located(first.source), located(second.source)):
        return
    ends = [(x.start, x.stop if x.stop is not None else float("inf")) for x in (first, second)]
    (start, stop), (begin, end) = ends
    if first.split == second.split and start < end and begin < stop:
        raise ValueError(
            f"--{one} and --{other} are the same {_kind(first)} {harmless(first.source)}: give "
            "each its own images, or parts without common ones, such as [0:500] and [500:1000]"
        )


def _kind(one: Selection) -> str:
    return "folder" if os.path.isdir(located(one.source)) else "file"


def _inside(inner: Selection, outer: Selection) -> bool:
    """Whether a folder is met below another one."""
    here, there = located(inner.source), located(outer.source)
    if not (here.is_dir() and there.is_dir()) or os.path.samefile(here, there):
        return False
    status = os.stat(here)
    return (status.st_dev, status.st_ino) in below(there).folders
