"""Many image files, in a folder or a zip archive, as one set: decoded on all cores."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from denoscope.data.decoding import SUFFIXES, decode
from denoscope.data.images import Images, check_memory, from_uint8
from denoscope.data.prepare import Preparation
from denoscope.data.walking import below
from denoscope.execute import cores
from denoscope.files import Member, archive, harmless

_LABELS = "dataset.json"
_BATCH = 8  # files a task decodes
_ROWS = 256  # pictures turned into floats at once
Progress = Callable[[int, int], None]
"""``progress(done, total)``: how many of the files are decoded."""


def read_folder(
    path: Path, *, skip_bad: bool, prepare: Preparation, progress: Progress | None = None
) -> Images:
    """All images below a folder, natural order; labels from ``dataset.json``, else sub-folders."""
    found = below(path)
    unreadable = [(name, reason) for name, reason in found.unreadable if not _hidden(name)]
    if unreadable and not skip_bad:
        raise ValueError(
            f"{path}: the folder {unreadable[0][0]} cannot be read: {unreadable[0][1]}; "
            "skip_bad (--skip-bad) goes on without it"
        )
    images = _set(path, found.files, unreadable, skip_bad, prepare, progress, classes=True)
    if not found.repeated:
        return images
    line = f"links to folders that were read already, passed over: {found.repeated}"
    return replace(images, warnings=(*images.warnings, line))


def read_zip(
    path: Path, *, skip_bad: bool, prepare: Preparation, progress: Progress | None = None
) -> Images:
    """An archive's images in natural order; labels from ``dataset.json`` (Karras et al. 2022)."""
    with archive(path) as members:
        twice = [name for name, count in Counter(name for name, _ in members).items() if count > 1]
        if twice:
            raise ValueError(
                f"{path}: {len(twice)} names stand for more than one file, such as "
                f"{twice[0]}: pack it anew"
            )
        return _set(path, members, [], skip_bad, prepare, progress, classes=False)


def natural(name: str) -> tuple[object, ...]:
    """The sort key under which ``img2.png`` comes before ``img10.png``, folder by folder."""
    parts = [
        [_number(x) if i % 2 else x.casefold() for i, x in enumerate(re.split(r"([0-9]+)", part))]
        for part in name.split("/")
    ]
    return parts, name


def _number(digits: str) -> tuple[int, str]:
    """Digits in the order of their numbers, however many there are."""
    plain = digits.lstrip("0")
    return len(plain), plain


def _hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or any(p.startswith(".") and not p.startswith("..") for p in parts)


@dataclass(frozen=True)
class _Decoded:
    """One file's picture, uint8 or prepared float32 (c, h, w), with notes; or None, the reason."""

    name: str
    picture: Tensor | None
    notes: Sequence[str]


def _set(
    path: Path,
    members: Sequence[Member],
    passed: list[tuple[str, str]],
    skip_bad: bool,
    prepare: Preparation,
    progress: Progress | None,
    *,
    classes: bool,
) -> Images:
    """The images among the members; ``passed`` are folders that were left out, with reasons."""
    visible = [member for member in members if not _hidden(member[0])]
    wanted = [m for m in visible if PurePosixPath(m[0]).suffix.lower() in SUFFIXES]
    wanted.sort(key=lambda m: natural(m[0]))
    table = next((_label_table(read, path) for name, read in visible if name == _LABELS), None)
    pictures, bad, notes = _collect(path, wanted, skip_bad, prepare, progress)
    bad = [*passed, *bad, *_odd_sizes(path, pictures, skip_bad)]
    bad.sort(key=lambda item: natural(item[0]))
    if not pictures:
        raise ValueError(
            f"{path} holds no readable image (looked for {' '.join(sorted(SUFFIXES))}; "
            f"{len(bad)} could not be used)"
        )
    notes["not read: no image by its name"] = len(visible) - len(wanted) - (table is not None)
    names = list(pictures)
    data, notes["grey among colour was replicated to RGB"] = _stack(list(pictures.values()))
    left = f"{len(bad)} of {len(names) + len(bad)} images could not be used and were skipped"
    said = [left] if bad else []
    counted = [(count, note) for note, count in sorted(notes.items()) if count]
    said += [f"{count} {'file' if count == 1 else 'files'}: {note}" for count, note in counted]
    skipped = tuple((harmless(name), harmless(reason)) for name, reason in bad)
    files, name = tuple(map(harmless, names)), harmless(path.name)
    images = Images(data, name, files=files, skipped=skipped, warnings=tuple(said))
    found = table if table is not None else _classes(names) if classes else {}
    return _labelled(images, names, found)


def _collect(
    path: Path,
    members: Sequence[Member],
    skip_bad: bool,
    prepare: Preparation,
    progress: Progress | None,
) -> tuple[dict[str, Tensor], list[tuple[str, str]], Counter[str]]:
    """Pictures by name, (name, reason) of the unreadable, how many files each note is about."""
    pictures: dict[str, Tensor] = {}
    bad: list[tuple[str, str]] = []
    notes: Counter[str] = Counter()
    values = 0
    for done, file in enumerate(_decoded(members, prepare), 1):
        if file.picture is None:
            if not skip_bad:
                raise ValueError(
                    f"{path}: {file.name} cannot be read: {file.notes[0]}; skip_bad "
                    "(--skip-bad) goes on without it"
                )
            bad.append((file.name, file.notes[0]))
        else:
            pictures[file.name] = file.picture
            values += file.picture.numel()
            check_memory(values, path)
            notes.update(file.notes)
        if progress:
            progress(done, len(members))
    return pictures, bad, notes


def _decoded(members: Sequence[Member], prepare: Preparation) -> Iterator[_Decoded]:
    """The files in order, decoded by a thread a core, a few tasks ahead of the one asked for."""
    threads = cores()
    waiting: deque[Future[list[_Decoded]]] = deque()
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter(
            "ignore"
        )  # Pillow's, about damaged metadata and large images: what matters is an error or a note
        try:
            for start in range(0, len(members), _BATCH):
                waiting.append(pool.submit(_decode_some, members[start : start + _BATCH], prepare))
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for task in waiting:
                task.cancel()


def _decode_some(members: Sequence[Member], prepare: Preparation) -> list[_Decoded]:
    return [_decode_one(name, read, prepare) for name, read in members]


def _decode_one(name: str, read: Callable[[], bytes], prepare: Preparation) -> _Decoded:
    try:
        pixels, notes = decode(read(), prepare)
        picture = prepare.shaped(torch.from_numpy(pixels).permute(2, 0, 1))
    except ValueError as error:
        return _Decoded(name, None, [str(error)])
    return _Decoded(name, picture, notes)


def _odd_sizes(path: Path, pictures: dict[str, Tensor], skip_bad: bool) -> list[tuple[str, str]]:
    """Takes the pictures of another size than most out of ``pictures`` and returns their names and
    reasons; without ``skip_bad`` a ValueError.
    """
    sizes = Counter(tuple(picture.shape[1:]) for picture in pictures.values())
    if len(sizes) < 2:
        return []
    usual = sizes.most_common(1)[0][0]
    odd = [(name, tuple(p.shape[1:])) for name, p in pictures.items() if p.shape[1:] != usual]
    most = f"pixels where most are {usual[1]}x{usual[0]}"
    reasons = [(name, f"{width}x{height} {most}") for name, (height, width) in odd]
    if not skip_bad:
        name, reason = reasons[0]
        raise ValueError(
            f"{path}: {name} has {reason} ({len(odd)} of {len(pictures)} differ); resize "
            "(--resize N) makes all one size, "
            "skip_bad (--skip-bad) goes on without those that differ"
        )
    for name, _ in odd:
        del pictures[name]
    return reasons


def _stack(pictures: list[Tensor]) -> tuple[Tensor, int]:
    """Pictures of one size as float32 (n, c, h, w), a few at a time; how many turned to colour."""
    channels = max(len(picture) for picture in pictures)
    data = torch.empty((len(pictures), channels, *pictures[0].shape[1:]))
    for start in range(0, len(pictures), _ROWS):
        some = pictures[start : start + _ROWS]
        rows = torch.stack([picture.expand(channels, -1, -1) for picture in some])
        data[start : start + _ROWS] = rows if rows.is_floating_point() else from_uint8(rows)
    return data, sum(len(picture) < channels for picture in pictures)


def _label_table(read: Callable[[], bytes], path: Path) -> dict[str, object]:
    """File to label as ``dataset.json`` has them; empty where it has none."""
    try:
        labels = json.loads(read())["labels"]
        return {} if labels is None else dict(labels)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        said = f'is not {{"labels": [[file, label], ...]}} ({type(error).__name__})'
        raise ValueError(f"{path}: {_LABELS} {said}") from error


def _classes(files: Sequence[str]) -> dict[str, object]:
    """Label by first sub-folder, numbered in natural order; empty if some image is in none."""
    if not all("/" in file for file in files):
        return {}
    names = sorted({file.split("/")[0] for file in files}, key=natural)
    kinds = {kind: i for i, kind in enumerate(names)}
    return {file: kinds[file.split("/")[0]] for file in files}


def _labelled(images: Images, names: Sequence[str], table: dict[str, object]) -> Images:
    if not table:
        return images
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(
            f"{images.name}: {_LABELS} has no label for {missing[0]} ({len(missing)} of "
            f"{len(images)} are missing)"
        )
    labels = [table[name] for name in names]
    if not all(isinstance(label, int) and abs(label) < 1 << 63 for label in labels):
        line = f"{_LABELS}: labels that are not whole numbers were left out"
        return replace(images, warnings=(*images.warnings, line))
    return replace(images, labels=torch.tensor(labels, dtype=torch.int64))
