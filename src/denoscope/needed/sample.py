"""The images of a question, read once: their moments in folds, in further sets of as many images,
and of what was not taken.

Fewer images than pixels span a space of as many dimensions as there are images: their coordinates
in it (the triangle of a QR decomposition, which has the Gram matrix of the images) stand for them,
and every covariance is that of coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from denoscope.data.duplicates import first_with_content
from denoscope.data.images import Images, check_memory, fits
from denoscope.data.moments import Moments, gather, whole
from denoscope.data.prepare import Preparation
from denoscope.data.reading import read_images
from denoscope.random import generator
from denoscope.theory.linear.kurtosis import leads

Say = Callable[[str], None]
_ORDER = 0  # place below the seed
_WIDE = 1024  # dimensions from which one eigendecomposition takes seconds
_SETS = 8  # training sets of N images on which a divergence is measured
_PARTS = 5  # of images on which each other is measured
_CHUNK = 4096  # rows at once


@dataclass(frozen=True, kw_only=True)
class Question:
    """What was asked; :meth:`check` refuses what cannot be answered. ``n`` 0 takes all images,
    ``resize`` 0 and no ``range`` change nothing; ``prepare`` are words of
    :class:`~denoscope.data.prepare.Preparation`.
    """

    data: str
    kl: float = 0.1
    gap: float = 0.1
    abar: float = 0.99
    n: int = 0
    seed: int = 0
    prepare: str | tuple[str, ...] = ()
    resize: int = 0
    range: tuple[float, ...] = ()
    skip_bad: bool = False

    def check(self) -> None:
        """A ValueError naming the flag that is wrong."""
        for name, value in (("kl", self.kl), ("gap", self.gap)):
            if not 0 < value < np.inf:
                raise ValueError(f"--{name} {value:g}: must be above 0")
        if not 0 < self.abar < 1:
            raise ValueError(
                f"--abar {self.abar:g}: must lie between 0 (noise alone) and 1 (no noise)"
            )
        if self.n < 0 or self.n == 1:
            raise ValueError(f"--n {self.n}: at least 2 images are needed")
        if self.resize < 0:
            raise ValueError(f"--resize {self.resize}: must be at least 1")


@dataclass(frozen=True, eq=False)
class Arranged:
    """Images as rows (n, s) of ``varying`` pixels, or of coordinates where these are fewer, each
    with the number ``same`` of the first row equal to it, (n,). Parts are disjoint: ``folds`` of
    the ``taken`` rows, ``others`` as in a sample, (k,) each.
    """

    images: Images
    rows: Tensor
    pixels: int
    varying: int
    same: Tensor
    taken: Tensor
    folds: Sequence[Tensor]
    others: Sequence[Tensor]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """N images as moments of the ``d`` directions in which images vary, or of fewer coordinates
    that span them.

    ``folds`` are disjoint parts of them, ``others`` those of the images that were not taken: sets
    of N and a last one of the rest or, where N are not left, some equal ones. ``leads`` (k,) are
    those of the k different images (:mod:`~denoscope.theory.linear.kurtosis`). ``pixels`` is the
    length of an image as read, ``varying`` how many of its numbers vary; ``notes`` says what a
    report must.
    """

    images: Images
    folds: tuple[Moments, ...]
    others: tuple[Moments, ...]
    leads: np.ndarray
    d: int
    pixels: int
    varying: int
    repeats: int
    notes: tuple[str, ...]

    @property
    def own(self) -> Moments:
        """The moments of the N images."""
        return whole(self.folds)

    @property
    def every(self) -> Moments:
        """The moments of all images, those not taken included."""
        return whole([*self.folds, *self.others])

    @property
    def left(self) -> int:
        """How many images were not taken."""
        return sum(part.count for part in self.others)

    @property
    def sets(self) -> list[Moments]:
        """Training sets of N images, the own one first."""
        return [self.own, *(part for part in self.others if part.count == self.own.count)]

    @property
    def checks(self) -> list[tuple[Moments, Moments]]:
        """Training sets, each with images outside of it: all sets of N with all others or, where
        there is one, with each part of those not taken; none where fewer than 2 were left.
        """
        own, every, sets = self.own, self.every, self.sets
        if len(sets) > 1:
            return [(one, every - one) for one in sets]
        return [(own, part) for part in self.others] if len(self.others) > 1 else []


def read(asked: Question, say: Say) -> Sample:
    """The images of a question and their moments; whatever is wrong with them is a one-line
    ValueError.
    """
    return gathered(arranged(asked, say), say)


def arranged(asked: Question, say: Say) -> Arranged:
    """The images in the order in which they are taken."""
    ends = (asked.range[0], asked.range[1]) if asked.range else None
    how = Preparation.of(asked.prepare).resized(asked.resize)
    images = read_images(
        asked.data, skip_bad=asked.skip_bad, prepare=how, value_range=ends, expect=fits
    )
    rows, notes = _rows(images)
    say(f"read {len(images)} images of {' × '.join(map(str, images.shape))}")
    count = asked.n or len(rows)
    if count > len(rows):
        raise ValueError(f"--n {count}: {images.name} has {len(rows)} images")
    if count < 2:
        raise ValueError(f"{images.name} has 1 image; at least 2 are needed")
    same = first_with_content(rows)
    order, place = shuffled(
        same if images.groups is None else images.groups[: len(rows)], asked.seed
    )
    varies = (rows != rows[0]).any(0)
    units = int(place[order[:count]].max()) + 1
    if units < 2 or not varies.any():
        raise ValueError(
            f"{images.name}: all {count} images are the same, or near-duplicates of one; "
            "at least 2 different ones are needed"
        )
    kept = coordinates(rows if varies.all() else rows[:, varies])
    wide, taken = kept.shape[1] > _WIDE, order[:count]
    folds = min(2 if wide else _PARTS, units)
    rest = order[place[order] >= units]  # a group that was taken in part is on neither side
    further = min(0 if wide else _SETS - 1, len(rest) // count)
    cuts = [count * i for i in range(1, further + 1)] or min(_PARTS, len(rest))
    return Arranged(
        images,
        kept,
        rows.shape[1],
        int(varies.sum()),
        same,
        taken,
        [taken[place[taken] % folds == i] for i in range(folds)],
        rest.tensor_split(cuts) if len(rest) else (),
        (*notes, *images.warnings),
    )


def _rows(images: Images) -> tuple[Tensor, list[str]]:
    """The images to learn from as rows (n, d): the training split where there is one, one channel
    where all are equal.
    """
    data, notes = images.data, []
    if images.test_from is not None:
        data = data[: images.test_from]
        notes.append(f"only the {len(data)} images of the set's own training split were used")
    if data.shape[1] > 1 and bool((data == data[:, :1]).all()):
        data = data[:, :1]
        notes.append("the colour channels are equal in every image: one of them was used")
    return data.flatten(1), notes


def shuffled(groups: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """A random order of rows in which groups (int, (n,)) stay together, and each row's position of
    its group in it; both int64 (n,).
    """
    _, member = groups.unique(return_inverse=True)
    place = torch.randperm(int(member.max()) + 1, generator=generator(seed, _ORDER))[member]
    return place.argsort(stable=True), place


def coordinates(rows: Tensor) -> Tensor:
    """Rows (n, d) as they are or, of n < d, their n coordinates from the first one, float64."""
    n, d = rows.shape
    if n >= d:
        return rows
    check_memory(6 * n * d, f"{n} images of {d} numbers")
    return torch.linalg.qr((rows.double() - rows[0]).T, mode="r")[1].T


def gathered(found: Arranged, say: Say) -> Sample:
    """All moments, in one pass."""
    n, size = found.rows.shape
    parts = [*found.folds, *found.others]
    check_memory(
        2 * (len(parts) + 8) * size * size,
        f"{found.images.name}: the {size} × {size} covariances of {len(parts)} parts",
    )
    label = torch.full((n,), -1)
    for i, part in enumerate(parts):
        label[part] = i
    made = gather(found.rows, label, len(parts))
    say("summed second moments")
    different = found.same[found.taken].unique()
    repeats, folds = len(found.taken) - len(different), len(found.folds)
    said = [f"{repeats} images are exact repeats of others; repeats are kept in one fold"]
    sample = Sample(
        images=found.images,
        folds=tuple(made[:folds]),
        others=tuple(made[folds:]),
        leads=leads_of(found.rows[different]),
        d=found.varying,
        pixels=found.pixels,
        varying=found.varying,
        repeats=repeats,
        notes=(*(said if repeats else []), *found.notes),
    )
    return _reduced(sample, int(found.same.unique().numel()))


def leads_of(rows: Tensor) -> np.ndarray:
    """The leads of rows (n, s) in the directions that they span, (n,); 1 where n - 1 directions are
    spanned.
    """
    own = Moments.of(rows)
    lam, vectors = np.linalg.eigh(own.cov.numpy())
    seen = lam > floor(lam)
    if seen.sum() >= len(rows) - 1:
        return np.ones(len(rows))
    precision = (vectors[:, seen] / lam[seen]) @ vectors[:, seen].T
    found = [leads(some, own.mean, precision, len(rows)) for some in rows.split(_CHUNK)]
    return np.concatenate([np.asarray(some) for some in found])


def _reduced(sample: Sample, distinct: int) -> Sample:
    """Without directions that remain empty although there are images enough to fill them."""
    values, vectors = np.linalg.eigh(sample.every.cov.numpy())
    rank = int((values > floor(values)).sum())
    if rank >= min(sample.d, distinct - 1):
        return sample
    basis = torch.from_numpy(vectors[:, -rank:].copy())
    note = (
        f"the images vary in {rank} directions only: their {sample.varying} pixels "
        "depend on each other linearly"
    )
    return replace(
        sample,
        folds=tuple(part.turned(basis) for part in sample.folds),
        others=tuple(part.turned(basis) for part in sample.others),
        d=rank,
        notes=(*sample.notes, note),
    )


def floor(values: np.ndarray) -> float:
    """What an eigenvalue must exceed to count as above 0: d eps times the largest."""
    return float(len(values) * np.finfo(np.float64).eps * values.max())
