"""The images of a question, read once: their moments in folds, in growing subsets, and of what was
not taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import add

import numpy as np
import torch
from torch import Tensor

from denoscope.data.images import Images, check_memory
from denoscope.data.moments import Moments, gather, whole
from denoscope.data.reading import read_images
from denoscope.random import generator

Say = Callable[[str], None]
_ORDER = 0  # place below the seed
_WIDE = 1024  # dimensions from which one eigendecomposition takes seconds


@dataclass(frozen=True, kw_only=True)
class Question:
    """What was asked; :meth:`check` refuses what cannot be answered. ``n`` 0 takes all images,
    ``resize`` 0 and no ``range`` change nothing.
    """

    data: str
    kl: float = 0.1
    gap: float = 0.1
    abar: float = 0.99
    n: int = 0
    seed: int = 0
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
class Sample:
    """N images as moments of the d directions in which they vary.

    ``folds`` are disjoint parts, ``subsets`` nested ones of up to half of the images, ``others``
    the images that were not taken (None: all were). ``pixels`` is the length of an image as read,
    ``varying`` how many of its numbers vary; ``notes`` says what a report must.
    """

    images: Images
    folds: tuple[Moments, ...]
    subsets: tuple[Moments, ...]
    others: Moments | None
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
        return self.own if self.others is None else self.own + self.others

    @property
    def d(self) -> int:
        """How many directions there are to learn."""
        return len(self.folds[0].total)


def read(asked: Question, say: Say) -> Sample:
    """Reads the images of a question and sums their moments; whatever is wrong with them is a
    one-line ValueError.
    """
    value_range = (asked.range[0], asked.range[1]) if asked.range else None
    images = read_images(
        asked.data, skip_bad=asked.skip_bad, resize=asked.resize or None, value_range=value_range
    )
    rows, notes = _rows(images)
    say(f"read {len(images)} images of {' × '.join(map(str, images.shape))}")
    count = asked.n or len(rows)
    if count > len(rows):
        raise ValueError(f"--n {count}: {images.name} has {len(rows)} images")
    if count < 2:
        raise ValueError(f"{images.name} has 1 image; at least 2 are needed")
    same = identical(rows)
    groups = same if images.groups is None else images.groups[: len(rows)]
    order, place = arranged(groups, asked.seed)
    sample = _gathered(images, rows, order, place, count, say)
    repeats = count - int(same[order[:count]].unique().numel())
    return _reduced(
        replace(sample, repeats=repeats, notes=(*notes, *_repeated(repeats), *images.warnings)),
        int(same.unique().numel()),
    )


def _rows(images: Images) -> tuple[Tensor, list[str]]:
    """The images to learn from as rows (n, d): the training split where there is one, one channel
    where all are equal.
    """
    data, notes = images.data, []
    if images.test_from is not None:
        data = data[: images.test_from]
        notes.append(f"only the {len(data)} images of the set's own training split were used")
    if data.shape[1] > 1 and all(
        torch.equal(data[:, 0], data[:, i]) for i in range(1, data.shape[1])
    ):
        data = data[:, :1]
        notes.append("the colour channels are equal in every image: one of them was used")
    return data.flatten(1), notes


def _repeated(repeats: int) -> list[str]:
    return (
        [f"{repeats} images are exact repeats of others; repeats are kept in one fold"]
        if repeats
        else []
    )


def identical(rows: Tensor) -> Tensor:
    """For every row (n, d) the number of the first row equal to it, int64 (n,)."""
    seen: dict[bytes, int] = {}
    found = [
        seen.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), i)
        for i, row in enumerate(rows.numpy())
    ]
    return torch.tensor(found)


def arranged(groups: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """A random order of rows in which groups (int, (n,)) stay together, and each row's position of
    its group in it; both int64 (n,).
    """
    _, member = groups.unique(return_inverse=True)
    place = torch.randperm(int(member.max()) + 1, generator=generator(seed, _ORDER))[member]
    return place.argsort(stable=True), place


def subset_sizes(count: int, d: int) -> list[int]:
    """Sizes of the subsets on which the theory is tried: up to half of the images, around d where
    that many are there.
    """
    most = count // 2
    least = max(2, min(d // 8, most // 8))
    wanted = 3 if d > _WIDE else 6
    return (
        sorted({round(size) for size in np.geomspace(least, most, wanted)}) if most >= least else []
    )


def _gathered(
    images: Images, rows: Tensor, order: Tensor, place: Tensor, count: int, say: Say
) -> Sample:
    """All moments: folds and the images not taken in one pass, the subsets in a second one."""
    n, d = rows.shape
    taken = order[:count]
    units = int(place[taken].max()) + 1
    if units < 2:
        raise ValueError(
            f"{images.name}: all {count} images are the same, or near-duplicates of one; "
            "at least 2 different ones are needed"
        )
    folds = min(2 if d > _WIDE else 5, units)
    sizes = subset_sizes(count, d)
    check_memory(
        2 * (folds + 2 * len(sizes) + 6) * d * d,
        f"{images.name}: the {d} × {d} covariances of {folds} folds",
    )
    part = torch.full((n,), -1)
    part[place >= units] = folds  # a group that was taken in part is on neither side
    part[taken] = place[taken] % folds
    rest = bool((part == folds).any())
    made = gather(rows, part, folds + rest, progress=_teller(say, "second moments"))
    slots = torch.full((n,), -1)
    for slot, (low, high) in enumerate(zip([0, *sizes], sizes)):
        slots[order[low:high]] = slot
    pieces = (
        gather(rows, slots, len(sizes), progress=_teller(say, "second moments of subsets"))
        if sizes
        else []
    )
    return Sample(
        images,
        tuple(made[:folds]),
        tuple(accumulate(pieces, add)),
        made[folds] if rest else None,
        d,
        d,
        0,
        (),
    )


def _teller(say: Say, what: str) -> Callable[[float], None]:
    """Says how far a pass has come, every quarter."""
    said = 0

    def tell(fraction: float) -> None:
        nonlocal said
        if int(4 * fraction) > said:
            said = int(4 * fraction)
            say(f"{what}: {25 * said} %")

    return tell


def _reduced(sample: Sample, distinct: int) -> Sample:
    """Without what cannot vary: constant pixels, and directions that remain empty although there
    are images enough to fill them.
    """
    varies = sample.every.cov.diagonal() > 0
    if not varies.any():
        raise ValueError(
            f"{sample.images.name}: no pixel varies; at least 2 different images are needed"
        )
    found = _each(sample, lambda moments: moments.kept(varies))
    found = replace(found, varying=int(varies.sum()))
    values = np.linalg.eigvalsh(found.every.cov.numpy())
    rank = int((values > floor(values)).sum())
    if rank >= min(found.d, distinct - 1):
        return found
    basis = torch.from_numpy(np.linalg.eigh(found.every.cov.numpy())[1][:, -rank:].copy())
    note = (
        f"the images vary in {rank} directions only: their {found.varying} pixels "
        "depend on each other linearly"
    )
    return replace(_each(found, lambda moments: moments.turned(basis)), notes=(*found.notes, note))


def floor(values: np.ndarray) -> float:
    """What an eigenvalue must exceed to count as above 0: d eps times the largest."""
    return float(len(values) * np.finfo(np.float64).eps * values.max())


def _each(sample: Sample, change: Callable[[Moments], Moments]) -> Sample:
    def of(parts: Sequence[Moments]) -> tuple[Moments, ...]:
        return tuple(map(change, parts))

    return replace(
        sample,
        folds=of(sample.folds),
        subsets=of(sample.subsets),
        others=sample.others and change(sample.others),
    )
