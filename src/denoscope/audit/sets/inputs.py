"""The sets of an audit, read from whatever the user has: images, files of features, names of sets,
and parts of any of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

from torch import Tensor

from denoscope.audit.sets.cells import is_cell, read_cell
from denoscope.data.arrays import arrays, images_key
from denoscope.data.features import Features, read_features
from denoscope.data.images import Images, to_uint8
from denoscope.data.prepare import AS_STORED, Preparation
from denoscope.data.reading import EMBEDDED, read_images
from denoscope.data.selection import Selection, select
from denoscope.files import content_hash, harmless, located

SAMPLED = ("gen", "twin")
"""The roles of generated sets, whose rows may have seeds."""
_BLOCK = 4096  # rows made into bytes at once
_DIGITS = 18  # of a seed in a file's name


@dataclass(frozen=True, eq=False)
class InputSet:
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
    prepare: Preparation = AS_STORED,
    value_range: Sequence[float] | None = None,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> InputSet:
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
                prepare=prepare,
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


def _of_features(role: str, path: str, chosen: Selection, found: Features) -> InputSet:
    rows = chosen.rows(len(found), None)
    return InputSet(
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


def _of_images(role: str, path: str, chosen: Selection, images: Images) -> InputSet:
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
    return InputSet(
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
