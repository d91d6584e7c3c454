"""Many image files, in a folder or a zip archive, as one set."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from denoscope.data.decoding import SUFFIXES, decode
from denoscope.data.images import Images, check_memory, from_uint8, resize
from denoscope.files import archive_members

_LABELS = "dataset.json"
Members = Iterable[tuple[str, Callable[[], bytes]]]
"""Names of files relative to their root, with forward slashes, and how to read each."""


def read_folder(path: Path, *, skip_bad: bool, size: int | None) -> Images:
    """All images below a folder in natural order; labels from ``dataset.json``, else from class sub-folders if every image is in one."""
    images, table = _collect(path, _folder_members(path), skip_bad, size)
    return _labelled(images, _classes(images.files) if table is None else table)


def read_zip(path: Path, *, skip_bad: bool, size: int | None) -> Images:
    """All images of an archive in natural order, read in memory; labels from ``dataset.json`` (the layout of EDM, Karras et al. 2022)."""
    images, table = _collect(path, _zip_members(path), skip_bad, size)
    return _labelled(images, table or {})


def natural(name: str) -> tuple[object, ...]:
    """The sort key under which ``img2.png`` comes before ``img10.png``, folder by folder."""
    parts = [[int(x) if i % 2 else x.casefold() for i, x in enumerate(re.split(r"([0-9]+)", part))] for part in name.split("/")]
    return parts, name


def _folder_members(path: Path) -> Members:
    found = (Path(root, name) for root, _, names in os.walk(path) for name in names)
    return [(file.relative_to(path).as_posix(), file.read_bytes) for file in found if file.is_file() or file.is_symlink()]


def _zip_members(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for name, content in archive_members(path):
        yield name, partial(bytes, content)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _collect(path: Path, members: Members, skip_bad: bool, size: int | None) -> tuple[Images, dict[str, object] | None]:
    """The images among the members, and the table of their labels: None where there is no ``dataset.json``, empty where it has no labels."""
    pictures: dict[str, Tensor] = {}
    skipped: list[tuple[str, str]] = []
    notes: Counter[str] = Counter()
    table: dict[str, object] | None = None
    values = 0
    for name, read in members:
        if name == _LABELS:
            table = _label_table(read(), path)
        elif _hidden(name):
            continue
        elif PurePosixPath(name).suffix.lower() not in SUFFIXES:
            notes["not read: no image by its name"] += 1
        else:
            try:
                pixels, changes = decode(read())
            except (ValueError, OSError) as error:
                if not skip_bad:
                    raise ValueError(f"{path}: {name} cannot be read: {error}; skip_bad (--skip-bad) goes on without it") from error
                skipped.append((name, str(error)))
                continue
            picture = torch.from_numpy(pixels).permute(2, 0, 1)
            pictures[name] = picture if size is None else resize(from_uint8(picture[None]), size)[0]
            values += pictures[name].numel()
            check_memory(values, path)
            notes.update(changes)
    skipped += _odd_sizes(path, pictures, skip_bad)
    if not pictures:
        raise ValueError(f"{path} holds no readable image (looked for {' '.join(sorted(SUFFIXES))}; {len(skipped)} could not be used)")
    names = sorted(pictures, key=natural)
    data, replicated = _stack([pictures[name] for name in names])
    if replicated:
        notes["grey among colour was replicated to RGB"] = replicated
    warnings = [f"{count} of {len(names) + len(skipped)} images could not be used and were skipped"] if (count := len(skipped)) else []
    warnings += [f"{count} {'file' if count == 1 else 'files'}: {note}" for note, count in sorted(notes.items())]
    skipped.sort(key=lambda item: natural(item[0]))
    return Images(data, path.name, files=tuple(names), skipped=tuple(skipped), warnings=tuple(warnings)), table


def _odd_sizes(path: Path, pictures: dict[str, Tensor], skip_bad: bool) -> list[tuple[str, str]]:
    """Takes the pictures of another size than most out of ``pictures`` and returns their names and reasons; without ``skip_bad`` a ValueError."""
    sizes = Counter(tuple(picture.shape[1:]) for picture in pictures.values())
    if len(sizes) < 2:
        return []
    usual = sizes.most_common(1)[0][0]
    odd = [(name, tuple(p.shape[1:])) for name, p in pictures.items() if tuple(p.shape[1:]) != usual]
    reasons = [(name, f"{width}x{height} pixels where most are {usual[1]}x{usual[0]}") for name, (height, width) in odd]
    if not skip_bad:
        name, reason = min(reasons, key=lambda item: natural(item[0]))
        raise ValueError(
            f"{path}: {name} has {reason} ({len(odd)} of {len(pictures)} differ); resize (--resize N) makes all one size, "
            "skip_bad (--skip-bad) goes on without those that differ"
        )
    for name, _ in odd:
        del pictures[name]
    return reasons


def _stack(pictures: list[Tensor]) -> tuple[Tensor, int]:
    """Pictures of one size as float32 (n, c, h, w), and how many were grey among colour."""
    channels = max(len(picture) for picture in pictures)
    data = torch.stack([picture.expand(channels, -1, -1) for picture in pictures])
    return (data if data.is_floating_point() else from_uint8(data)), sum(len(picture) < channels for picture in pictures)


def _label_table(content: bytes, path: Path) -> dict[str, object]:
    try:
        labels = json.loads(content)["labels"]
        return {} if labels is None else dict(labels)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f'{path}: {_LABELS} is not {{"labels": [[file, label], ...]}} ({type(error).__name__})') from error


def _classes(files: tuple[str, ...]) -> dict[str, object]:
    """Label by first sub-folder, numbered in natural order; empty if some image lies outside any."""
    if not all("/" in file for file in files):
        return {}
    kinds = {kind: i for i, kind in enumerate(sorted({file.split("/")[0] for file in files}, key=natural))}
    return {file: kinds[file.split("/")[0]] for file in files}


def _labelled(images: Images, table: dict[str, object]) -> Images:
    if not table:
        return images
    missing = [file for file in images.files if file not in table]
    if missing:
        raise ValueError(f"{images.name}: {_LABELS} has no label for {missing[0]} ({len(missing)} of {len(images)} are missing)")
    labels = [table[file] for file in images.files]
    if not all(isinstance(label, int) for label in labels):
        return replace(images, warnings=(*images.warnings, f"{_LABELS}: labels that are not whole numbers were left out"))
    return replace(images, labels=torch.tensor(labels, dtype=torch.int64))
