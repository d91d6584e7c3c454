"""The sets of an audit, read from whatever the user has: images, files of features, names of sets,
and parts of any of them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

import torch
from torch import Tensor

from denoscope.audit.sets.cells import is_cell, read_cell
from denoscope.data.arrays import arrays, holds_arrays, images_key, keyed
from denoscope.data.embedded import EMBEDDED
from denoscope.data.features import Features, read_features
from denoscope.data.grids import Grid
from denoscope.data.images import Images, batches, digest
from denoscope.data.pictures import Expect, Progress
from denoscope.data.prepare import AS_STORED, Preparation, prepared
from denoscope.data.reading import read_images
from denoscope.data.selection import Selection, select
from denoscope.files import content_hash, harmless

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
    not say; ``made`` how samples were drawn from a model, empty for others; ``total`` how many
    rows there are where only a few were read, else 0.
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
    total: int = 0

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image (c, h, w), or of one row of features (k,)."""
        return (len(self.given[0]),) if self.images is None else self.images.shape

    @property
    def given(self) -> Tensor:
        """The features of a set that was given as such."""
        assert self.features is not None  # a set has images or features
        return self.features

    def at(self, rows: Sequence[int]) -> InputSet:
        """Some rows of the set, in this order."""
        names = tuple(self.names[i] for i in rows)
        seeds = tuple(self.seeds[i] for i in rows) if self.seeds else ()
        if self.images is None:
            values = self.given[list(rows)]
            sha = content_hash(values.numpy())
            return replace(self, features=values, names=names, seeds=seeds, sha256=sha)
        images = self.images.at(rows)
        return replace(self, images=images, names=names, seeds=seeds, sha256=_identity(images))

    @cached_property
    def contents(self) -> Sequence[bytes]:
        """A hash of each row's content: images at 8 bits, features by their numbers (0.0 equals
        -0.0).
        """
        if self.images is not None:
            return self.images.contents
        blocks = (block + 0.0 for block in self.given.split(_BLOCK))
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
    grid: Grid | None = None,
    value_range: Sequence[float] | None = None,
    skip_bad: bool = False,
    progress: Progress = lambda done, total: None,
    expect: Expect = lambda n, shape: None,
    few: int = 0,
) -> InputSet:
    """The set that ``path`` means: whatever :func:`denoscope.read_images` reads, a file of features
    (:mod:`denoscope.data.features`), or a stored cell of `denoscope run phase_transition`, whose
    training images and held-out images are its two splits.

    ``NAME:train`` and ``NAME:test`` are the splits of a set that has them; without either a test
    set is the test split, any other the training split. ``PATH[START:STOP]`` is a part of anything.
    Files of generated samples that are named by numbers (``000000/000123.png``) are taken to be
    named by their seeds. ``grid`` takes the cells of pictures. Whatever is wrong is a one-line
    ValueError that begins with the flag ``--role``.
    """
    try:
        chosen = select(path)
        if holds_features(chosen.source):
            return _of_features(role, path, chosen, read_features(chosen.source, skip_bad=skip_bad))
        part = _Cut(chosen, "test" if role == "test" else "train")
        if is_cell(chosen.source):
            images = read_cell(chosen.source)
            return _of_images(role, path, images.at(part(len(images), images.test_from)), part)
        images = read_images(
            chosen.source,
            skip_bad=skip_bad,
            prepare=AS_STORED if grid else prepare,
            value_range=(value_range[0], value_range[1]) if value_range else None,
            part=part,
            progress=progress,
            expect=expect,
            few=few,
        )
        found = _of_images(role, path, images, part)
        return _cells(found, grid, prepare) if grid else found
    except ValueError as error:
        raise ValueError(f"--{role} {harmless(error, 2000)}") from error


@dataclass
class _Cut:
    """The rows that a selection means, of a set with splits those of ``split`` unless it names one;
    known once the reader has asked for them.
    """

    chosen: Selection
    split: str
    rows: range = range(0)
    test_from: int | None = None

    def __call__(self, n: int, test_from: int | None) -> range:
        self.rows, self.test_from = self.chosen.rows(n, test_from, self.split), test_from
        return self.rows

    @property
    def is_test(self) -> bool:
        """Whether the rows are of the set's own test split."""
        return self.test_from is not None and self.rows.start >= self.test_from


def holds_features(source: str) -> bool:
    """Whether a file is one of features: one of arrays that holds no images."""
    file, key = keyed(source)
    if not holds_arrays(file):
        return False
    with arrays(file, key) as found:
        return images_key(found, key) is None


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


def _of_images(role: str, path: str, images: Images, part: _Cut) -> InputSet:
    said, source = list(images.warnings), part.chosen.source
    if source in EMBEDDED and os.path.exists(source):
        said.append(f"{source} is the set of that name; what lies here is written ./{source}")
    if part.test_from is not None and not part.chosen.split and role in SAMPLED:
        said.append(
            f"only the {'test' if part.is_test else 'training'} split of {images.name} was taken"
        )
    first = part.test_from or 0 if part.is_test else 0
    return InputSet(
        role,
        harmless(path),
        images,
        None,
        names=images.files or tuple(str(i - first) for i in part.rows[: len(images)]),
        sha256=_identity(images),
        seeds=_seeds(images.files) if role in SAMPLED else (),
        warnings=_said(role, said),
        total=max(0, len(part.rows) - len(images) - len(images.skipped)) and len(part.rows),
    )


def _identity(images: Images) -> str:
    return digest(images.contents, images.shape)


def _cells(one: InputSet, grid: Grid, prepare: Preparation) -> InputSet:
    """The cells of pictures, prepared; those of one colour, which fill up a last grid, left out."""
    assert one.images is not None
    pictures = one.images.stored
    cut = torch.cat([grid.cut(pictures[rows]) for rows in batches(pictures.shape)])
    empty = (cut == cut[..., :1, :1]).flatten(2).all(2)
    names = [f"{name} [{i + 1}]" for name in one.names for i in range(cut.shape[1])]
    keep = (~empty).flatten().nonzero()[:, 0].tolist()
    shown = tuple(names[i] for i in keep)
    cells = cut.flatten(0, 1)[keep]
    images = replace(one.images, stored=cells, labels=None, groups=None, files=shown, hashes=())
    images = prepared(images, prepare)
    lost = f"{one.role}: {int(empty.sum())} cells of one colour were left out"
    said = (*one.warnings, *([lost] if empty.any() else []))
    return replace(
        one, images=images, names=shown, sha256=_identity(images), seeds=(), warnings=said
    )


def uncut(name: str) -> str:
    """The picture that a cell is of."""
    return re.sub(r" \[\d+\]$", "", name)


def _said(role: str, warnings: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{role}: {line}" for line in warnings)


def _seeds(files: Sequence[str]) -> tuple[int, ...]:
    """The numbers in the names of files, if all are named by distinct numbers and nothing else."""
    stems = [PurePosixPath(file).stem for file in files]
    if not all(stem.isascii() and stem.isdigit() and len(stem) <= _DIGITS for stem in stems):
        return ()
    numbers = tuple(map(int, stems))
    return numbers if len(set(numbers)) == len(numbers) else ()
