"""Picture files in a folder, or in an archive or a table of them, as one set with its labels."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch

from denoscope.data.decoding import HEAD, SUFFIXES, is_image
from denoscope.data.images import Images
from denoscope.data.pictures import ReadOptions, looked_at
from denoscope.data.refusals import without_pictures
from denoscope.data.shards import ENDINGS, Shard, in_splits, opened
from denoscope.data.walking import below
from denoscope.files import Member, archive, harmless

_LABELS = "dataset.json"
_OTHER = "not read: no image"


def read_folder(path: Path, how: ReadOptions) -> Images:
    """All images below a folder, natural order; labels from ``dataset.json``, else sub-folders. A
    folder without images is one of shards.
    """
    found = below(path)
    unreadable = [(name, reason) for name, reason in found.unreadable if not _hidden(name)]
    if unreadable and not how.skip_bad:
        raise ValueError(
            f"{path}: the folder {unreadable[0][0]} cannot be read: {unreadable[0][1]}; "
            "skip_bad (--skip-bad) goes on without it"
        )
    names = [name for name, _ in found.files if not _hidden(name)]
    shards = [name for name in names if _ending(name) in ENDINGS]
    if shards and not any(_ending(name) in SUFFIXES for name in names):
        return read_shards(path, sorted(shards, key=natural), how)
    images = _set(path, found.files, unreadable, how, classes=True)
    if not found.repeated:
        return images
    line = f"links to folders that were read already, passed over: {found.repeated}"
    return replace(images, warnings=(*images.warnings, line))


def read_zip(path: Path, how: ReadOptions) -> Images:
    """An archive's images in natural order; labels from ``dataset.json`` (Karras et al. 2022)."""
    members = archive(path)
    twice = [name for name, count in Counter(name for name, _ in members).items() if count > 1]
    if twice:
        raise ValueError(
            f"{path}: {len(twice)} names stand for more than one file, such as "
            f"{twice[0]}: pack it anew"
        )
    return _set(path, members, [], how, classes=False)


def read_shards(path: Path, names: Sequence[str], how: ReadOptions) -> Images:
    """The images of WebDataset archives, or of Parquet or Arrow files of `datasets`, in the order
    of these files below ``path`` (or of the file itself); training images first where they have
    splits.
    """
    chosen, splits, said = in_splits(path, names)
    shards = [opened(path / name if name else path, name) for name in chosen]
    counts = [len(shard.members) for shard in shards]
    starts = sum(n for n, split in zip(counts, splits, strict=True) if split != "test")
    members = [member for shard in shards for member in shard.members]
    cut = starts if "test" in splits and starts < len(members) else None
    rows = how.part(len(members), cut)
    images = _chosen(path, [members[i] for i in rows], [], how, _joined(shards))
    whole = rows == range(len(members)) and not images.skipped
    return replace(images, warnings=(*images.warnings, *said), test_from=cut if whole else None)


def _joined(shards: Sequence[Shard]) -> dict[str, object]:
    return {name: label for shard in shards for name, label in shard.labels.items()}


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


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _set(
    path: Path,
    members: Sequence[Member],
    passed: list[tuple[str, str]],
    how: ReadOptions,
    *,
    classes: bool,
) -> Images:
    """The images among the members; ``passed`` are folders that were left out, with reasons."""
    visible = [member for member in members if not _hidden(member[0])]
    wanted = _pictures(visible)
    table = next((read for name, read in visible if name == _LABELS), None)
    passed_over = len(visible) - len(wanted) - (table is not None)
    labels, said = _label_table(table) if table else ({}, [])
    if classes and table is None:
        labels = _classes([name for name, _ in wanted])
    if not wanted:
        raise ValueError(_none(path, len(passed)) + without_pictures([name for name, _ in visible]))
    rows = how.part(len(wanted), None)
    images = _chosen(path, [wanted[i] for i in rows], passed, how, labels, {_OTHER: passed_over})
    return replace(images, warnings=(*images.warnings, *said))


def listed(path: Path) -> list[Member]:
    """The picture files of a folder, an archive or a shard, in the order in which they are read; of
    a folder of shards none.
    """
    if path.is_dir():
        return _pictures([member for member in below(path).files if not _hidden(member[0])])
    if _ending(path.name) in ENDINGS:
        return list(opened(path, "").members)
    return _pictures([member for member in archive(path) if not _hidden(member[0])])


def _pictures(members: Sequence[Member]) -> list[Member]:
    """Images by their names, or else by their first bytes, in natural order."""
    found = [one for one in members if _ending(one[0]) in SUFFIXES or _begins(one)]
    return sorted(found, key=lambda member: natural(member[0]))


def _begins(member: Member) -> bool:
    if _ending(member[0]) in ENDINGS:
        return False
    try:
        return is_image(member[1](first=HEAD))
    except ValueError:
        return False


def _none(path: Path, bad: int) -> str:
    looked = f"looked for {' '.join(sorted(SUFFIXES))}; {bad} could not be used"
    return f"{path} holds no readable image ({looked})"


def _chosen(
    path: Path,
    members: Sequence[Member],
    passed: list[tuple[str, str]],
    how: ReadOptions,
    labels: dict[str, object],
    notes: dict[str, int] | None = None,
) -> Images:
    """The images of these members, in this order."""
    found = looked_at(path, members, how)
    bad = sorted([*passed, *found.bad], key=lambda item: natural(item[0]))
    if not found.members:
        raise ValueError(_none(path, len(bad)))
    found.notes.update({**(notes or {}), "grey among colour was replicated to RGB": found.grey})
    names = [name for name, _ in found.members]
    left = f"{len(bad)} of {len(names) + len(bad)} images could not be used and were skipped"
    said = [left] if bad else []
    counted = [(count, note) for note, count in sorted(found.notes.items()) if count]
    said += [f"{count} {'file' if count == 1 else 'files'}: {note}" for count, note in counted]
    return _labelled(
        Images(
            found.stored(),
            harmless(path.name),
            files=tuple(map(harmless, names)),
            skipped=tuple((harmless(name), harmless(reason)) for name, reason in bad),
            warnings=tuple(said),
            hashes=tuple(found.contents),
        ),
        names,
        labels,
    )


def _label_table(read: Callable[[], bytes]) -> tuple[dict[str, object], list[str]]:
    """File to label as ``dataset.json`` has them, and what is to be said where it is another's."""
    try:
        labels = json.loads(read())["labels"]
        return {} if labels is None else dict(labels), []
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}, [f'{_LABELS} is not {{"labels": [[file, label], ...]}}: no labels were read']


def _classes(files: Sequence[str]) -> dict[str, object]:
    """Label by first sub-folder, numbered in natural order; empty if some image is in none."""
    if not all("/" in file for file in files):
        return {}
    names = sorted({file.split("/")[0] for file in files}, key=natural)
    kinds = {kind: i for i, kind in enumerate(names)}
    return {file: kinds[file.split("/")[0]] for file in files}


def _labelled(images: Images, names: Sequence[str], table: dict[str, object]) -> Images:
    """With the labels that the table has, if it has one for each image: nothing needs labels."""
    if not table:
        return images
    missing = [name for name in names if name not in table]
    labels = [table.get(name) for name in names]
    if missing:
        line = (
            f"labels were left out: {len(missing)} of {len(images)} images have none, such as "
            f"{harmless(missing[0])}"
        )
    elif not all(isinstance(label, int) and abs(label) < 1 << 63 for label in labels):
        line = "labels that are not whole numbers were left out"
    else:
        return replace(images, labels=torch.tensor(labels, dtype=torch.int64))
    return replace(images, warnings=(*images.warnings, line))
