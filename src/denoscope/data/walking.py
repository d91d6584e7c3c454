"""The files below a folder, found without following links in circles."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from denoscope.files import Member, read_regular


@dataclass(frozen=True)
class Below:
    """Files below a folder, (name, reason) of unreadable folders, links to folders already read,
    and which ``folders`` were read (device, inode).
    """

    files: list[Member]
    unreadable: list[tuple[str, str]]
    repeated: int
    folders: frozenset[tuple[int, int]]


def below(path: Path) -> Below:
    """All files below a folder; links are followed, no folder is read twice, nor a circle."""
    files: list[Member] = []
    unreadable: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    repeated = 0
    waiting = [("", str(path))]
    while waiting:
        name, place = waiting.pop()
        try:
            status = os.stat(place)
            if (status.st_dev, status.st_ino) in seen:
                repeated += 1
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as listing:
                entries = sorted(listing, key=lambda entry: (not entry.is_symlink(), entry.name))
        except OSError as error:
            unreadable.append((name or ".", error.strerror or str(error)))
            continue
        for entry in entries:
            inside = f"{name}/{entry.name}" if name else entry.name
            if _is_folder(entry):
                waiting.append((inside, entry.path))  # real folders are taken up before links
            else:
                files.append((inside, partial(read_regular, entry.path)))
    return Below(files, unreadable, repeated, frozenset(seen))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links
        return False
