"""The sets of an audit, read from whatever the user has: images, files of features, names of sets,
and parts of any of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

from torch import Tensor

from denoscope.audit.sets.cells import is_cell, read_cell
from denoscope.data.arrays import arrays, images_key
from denoscope.data.features import Features, read_features
from denoscope.data.images import Images, check_memory, to_uint8
from denoscope.data.reading import EMBEDDED, read_images
from denoscope.data.selection import Selection, select
from denoscope.files import content_hash, harmless, located

SAMPLED = ("gen", "twin")
"""The roles of generated sets, whose rows may have seeds."""
_BLOCK = 4096  # rows made into bytes at once
_DIGITS = 18  # of a seed in a file's name


@dataclass(frozen=True, eq=False)
class Given:
    """One set. ``role`` is gen, train, test or twin; ``path`` what the user wrote; either
    ``images`` or ``features`` (n, k) float32 is there.

    ``names`` shows each row to a reader (a file, or its number), ``seeds`` are those of generated
    samples where known. ``protocol`` says how given features were made, empty if their file does
    not say; ``made`` how samples were drawn from a model, empty for others.
    """

    role: str
    path: str
    images: Images | None
    features: Tensor | None
    names: tuple[str, ...]
    sha256: str
    seeds: tuple[int, ...] = ()
    protocol: str = ""
    warnings: tuple[str, ...] = ()
    made: str = ""

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def contents(self) -> list[bytes]:
        """A hash of each row's content: images at 8 bits, features by their numbers (0.0 equals
        -0.0).
        """
        rows = self.features if self.images is None else self.images.data
        assert rows is not None
        blocks = (
            block.flatten(1) + 0.0 if self.images is None else to_uint8(block).flatten(1)
            for block in rows.split(_BLOCK)
        )
        return [
            hashlib.blake2b(row, digest_size=16).digest()
            for block in blocks
            for row in block.numpy()
        ]


def read(
    role: str,
    path: str,
    *,
    resize: int = 0,
    value_range: Sequence[float] | None = None,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Given:
    """The set that ``path`` means: whatever :func:`denoscope.read_images` reads, a file of features
    (:mod:`denoscope.data.features`), or a stored cell of `denoscope run phase_transition`, whose
    training images and held-out images are its two splits.

    ``NAME:train`` and ``NAME:test`` are the splits of a set that has them; without either a test
    set is the test split, any other the training split. ``PATH[START:STOP]`` is a part of anything.
    Files of generated samples that are named by numbers (``000000/000123.png``) are taken to be
    named by their seeds. Whatever is wrong is a one-line ValueError that begins with the flag
    ``--role``.
    """
    try:
        chosen = select(path)
        if _holds_features(chosen.source):
            return _of_features(role, path, chosen, read_features(chosen.source, skip_bad=skip_bad))
        low_high = (value_range[0], value_range[1]) if value_range else None
        if is_cell(chosen.source):
            images = read_cell(chosen.source)
        else:
            images = read_images(
                chosen.source,
                skip_bad=skip_bad,
                resize=resize or None,
                value_range=low_high,
                progress=progress,
            )
        return _of_images(role, path, chosen, images)
    except ValueError as error:
        raise ValueError(f"--{role} {harmless(error, 2000)}") from error


def _holds_features(source: str) -> bool:
    """Whether a file is one of features: a ``.pt``, and an ``.npz`` without images."""
    file = located(source)
    if file.suffix.lower() not in (".npz", ".pt") or not os.path.isfile(file):
        return False
    if file.suffix.lower() == ".pt":
        return True
    with arrays(file) as found:
        return images_key(found) is None


def _of_features(role: str, path: str, chosen: Selection, found: Features) -> Given:
    rows = chosen.rows(len(found), None)
    return Given(
        role,
        harmless(path),
        None,
        values := found.rows[rows.start : rows.stop].clone(),
        names=tuple(found.names[i] if found.names else str(i) for i in rows),
        sha256=content_hash(values.numpy()),
        seeds=tuple(found.seeds[i] for i in rows) if found.seeds else (),
        protocol=found.protocol,
        warnings=_said(role, found.warnings),
    )


def _of_images(role: str, path: str, chosen: Selection, images: Images) -> Given:
    rows = chosen.rows(len(images), images.test_from, "test" if role == "test" else "train")
    said = list(images.warnings)
    if chosen.source in EMBEDDED and os.path.exists(chosen.source):
        said.append(
            f"{chosen.source} is the set of that name; what lies here is written ./{chosen.source}"
        )
    if images.test_from is not None and not chosen.split and role in SAMPLED:
        said.append(
            f"only the {'test' if rows.start >= images.test_from else 'training'} split "
            f"of {images.name} was taken"
        )
    part = images if rows == range(len(images)) else _part(images, rows)
    first = (
        images.test_from if images.test_from is not None and rows.start >= images.test_from else 0
    )
    return Given(
        role,
        harmless(path),
        part,
        None,
        names=part.files or tuple(str(i - first) for i in rows),
        sha256=part.sha256,
        seeds=_seeds(part.files) if role in SAMPLED else (),
        warnings=_said(role, said),
    )


def _part(images: Images, rows: range) -> Images:
    part = slice(rows.start, rows.stop)
    labels, groups = (
        None if values is None else values[part].clone()
        for values in (images.labels, images.groups)
    )
    return replace(
        images,
        data=images.data[part].clone(),
        labels=labels,
        groups=groups,
        files=images.files[part],
        test_from=None,
    )


def _said(role: str, warnings: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{role}: {line}" for line in warnings)


def _seeds(files: Sequence[str]) -> tuple[int, ...]:
    """The numbers in the names of files, if all are named by distinct numbers and nothing else."""
    stems = [PurePosixPath(file).stem for file in files]
    if not all(stem.isascii() and stem.isdigit() and len(stem) <= _DIGITS for stem in stems):
        return ()
    numbers = tuple(map(int, stems))
    return numbers if len(set(numbers)) == len(numbers) else ()


def matched(given: Mapping[str, Given]) -> dict[str, Given]:
    """The sets, comparable: all images of one shape, or all features of one size and protocol; the
    twin's row i belongs to the generated row i.

    Grey sets among colour ones are replicated to RGB, with a warning; a twin whose rows have the
    same seeds in another order is put in order. What cannot be compared or paired is a one-line
    ValueError naming both flags.
    """
    found = dict(given)
    train = found["train"]
    for role, one in found.items():
        if (one.images is None) != (train.images is None):
            kinds = [("features" if x.images is None else "images") for x in (one, train)]
            raise ValueError(
                f"--{role} holds {kinds[0]} and --train holds {kinds[1]}: give images for "
                "all sets, or features for all"
            )
    found = _one_shape(found) if train.images is not None else _one_space(found)
    if "twin" in found and "gen" in found:
        found["twin"] = _paired(found["twin"], found["gen"])
    return found


def _one_shape(given: dict[str, Given]) -> dict[str, Given]:
    images = {role: one.images for role, one in given.items() if one.images is not None}
    train = images["train"]
    for role, one in images.items():
        if one.shape[1:] != train.shape[1:]:
            sizes = [f"{x.shape[2]}x{x.shape[1]}" for x in (one, train)]
            raise ValueError(
                f"--{role} has images of {sizes[0]} pixels and --train of {sizes[1]}: "
                f"--resize {min(*one.shape[1:], *train.shape[1:])} makes all one size"
            )
    channels = max(one.shape[0] for one in images.values())
    return {role: _with_channels(one, channels) for role, one in given.items()}


def _with_channels(one: Given, channels: int) -> Given:
    images = one.images
    if images is None or images.shape[0] == channels:
        return one
    check_memory(images.data.numel() * channels, f"--{one.role} in colour")
    colour = replace(images, data=images.data.expand(-1, channels, -1, -1).contiguous())
    said = (
        *one.warnings,
        f"{one.role}: grey images were replicated to RGB, since other sets are in colour",
    )
    return replace(one, images=colour, sha256=colour.sha256, warnings=said)


def _one_space(given: dict[str, Given]) -> dict[str, Given]:
    stated = {role: one.protocol for role, one in given.items() if one.protocol}
    sizes = {role: one.features.shape[1] for role, one in given.items() if one.features is not None}
    for role, size in sizes.items():
        if size != sizes["train"]:
            raise ValueError(
                f"--{role} has {size} features a row and --train has {sizes['train']}: "
                "describe both with one descriptor"
            )
    for role, protocol in stated.items():
        first = next(iter(stated))
        if protocol != stated[first]:
            raise ValueError(
                f"--{role} was described by {protocol!r} and --{first} by "
                f"{stated[first]!r}: features of one protocol are needed"
            )
    return given


def _paired(twin: Given, gen: Given) -> Given:
    """The twin with its row i beside the generated row i: by seeds where both sides have them, else
    by order.
    """
    if len(twin) != len(gen):
        raise ValueError(
            f"--twin has {len(twin)} rows and --gen has {len(gen)}: row by row they must "
            "come from the same starting noise"
        )
    if twin.seeds and gen.seeds:
        if set(twin.seeds) != set(gen.seeds):
            seed = min(set(twin.seeds) - set(gen.seeds))
            raise ValueError(
                f"--twin has a sample of seed {seed} and --gen has none: sample both "
                "models with the same seeds"
            )
        return twin if twin.seeds == gen.seeds else _in_order(twin, gen.seeds)
    if twin.names == gen.names:
        return twin
    if _skipped(twin) or _skipped(gen):
        raise ValueError(
            "--twin cannot be paired with --gen: images were skipped and the other names "
            "differ; name files by their seeds (000123.png)"
        )
    return replace(
        twin,
        warnings=(
            *twin.warnings,
            "twin: its names differ from those of gen; rows were paired in order, as if "
            "from the same starting noise",
        ),
    )


def _skipped(one: Given) -> bool:
    return (
        bool(one.images.skipped)
        if one.images is not None
        else any("skipped" in line for line in one.warnings)
    )


def _in_order(twin: Given, seeds: Sequence[int]) -> Given:
    place = {seed: i for i, seed in enumerate(twin.seeds)}
    order = [place[seed] for seed in seeds]
    names = tuple(twin.names[i] for i in order)
    said = (*twin.warnings, "twin: rows were put in the order of gen's seeds")
    if twin.features is not None:
        rows = twin.features[order]
        return replace(
            twin,
            features=rows,
            names=names,
            seeds=tuple(seeds),
            sha256=content_hash(rows.numpy()),
            warnings=said,
        )
    assert twin.images is not None
    files = tuple(twin.images.files[i] for i in order) if twin.images.files else ()
    labels, groups = (
        None if values is None else values[order]
        for values in (twin.images.labels, twin.images.groups)
    )
    images = replace(
        twin.images, data=twin.images.data[order], files=files, labels=labels, groups=groups
    )
    return replace(
        twin, images=images, names=names, seeds=tuple(seeds), sha256=images.sha256, warnings=said
    )
