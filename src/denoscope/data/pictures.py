"""Many picture files as one set: decoded once on all cores to learn what they are, and kept at 8
bits where they are few; else decoded again whenever they are asked for.
"""

from __future__ import annotations

import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from denoscope.data.decoding import decode
from denoscope.data.images import OnDemand, content, is_small
from denoscope.data.prepare import AS_STORED, Preparation
from denoscope.data.selection import Part, everything
from denoscope.execute import cores
from denoscope.files import Member

_BATCH = 8  # files a task decodes
Progress = Callable[[int, int], None]
"""``progress(done, total)``: how many of the files are decoded."""
Expect = Callable[[int, tuple[int, ...]], None]
"""``expect(n, shape)``: how many images of which shape (c, h, w) there will be, told after the
first one.
"""


@dataclass(frozen=True)
class ReadOptions:
    """How a set is read: what :func:`denoscope.read_images` takes. Of a set that is too large to be
    kept only the first ``few`` are read; 0: all.
    """

    skip_bad: bool = False
    prepare: Preparation = AS_STORED
    value_range: tuple[float, float] | None = None
    part: Part = everything
    progress: Progress = lambda done, total: None
    expect: Expect = lambda n, shape: None
    few: int = 0


@dataclass(frozen=True)
class _Decoded:
    """One file's picture, uint8 or prepared float32 (c, h, w), with notes; or None, the reason."""

    member: Member
    picture: Tensor | None
    notes: Sequence[str]
    content: bytes = b""


@dataclass
class Catalogue:
    """What is known of readable files of one size: ``members``, ``contents``, how many colour
    channels each has, the ``pictures`` themselves where they are kept; of the others (name, reason)
    ``bad``; how many files each of ``notes`` is about.
    """

    prepare: Preparation
    members: list[Member] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    pictures: list[Tensor] | None = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    dtype: torch.dtype = torch.uint8

    @property
    def channels(self) -> int:
        """Of the set: grey among colour is replicated."""
        return max(shape[0] for shape in self.shapes)

    @property
    def grey(self) -> int:
        """How many grey pictures there are among colour."""
        return sum(shape[0] < self.channels for shape in self.shapes)

    def add(self, file: _Decoded, picture: Tensor) -> None:
        """Takes note of a picture."""
        self.members.append(file.member)
        self.contents.append(file.content)
        self.shapes.append(tuple(picture.shape))
        self.notes.update(file.notes)
        self.dtype = picture.dtype
        if self.pictures is not None:
            self.pictures.append(picture)

    def left(self, kept: Sequence[int]) -> None:
        """Forgets all pictures but those."""
        self.members = [self.members[i] for i in kept]
        self.contents = [self.contents[i] for i in kept]
        self.shapes = [self.shapes[i] for i in kept]
        self.pictures = self.pictures and [self.pictures[i] for i in kept]

    def stored(self) -> Tensor | OnDemand:
        """The set, (n, c, h, w)."""
        shape = (len(self.members), self.channels, *self.shapes[0][1:])
        if self.pictures is None:
            return OnDemand(self._again, shape, self.dtype)
        data = torch.empty(shape, dtype=self.dtype)
        for row, picture in zip(data, self.pictures, strict=True):
            row[:] = picture
        return data

    def _again(self, numbers: Sequence[int]) -> Tensor:
        data = torch.empty((len(numbers), self.channels, *self.shapes[0][1:]), dtype=self.dtype)
        members = [self.members[i] for i in numbers]
        for row, i, file in zip(data, numbers, _decoded(members, self.prepare), strict=True):
            if file.picture is None or tuple(file.picture.shape) != self.shapes[i]:
                raise ValueError(f"{file.member[0]} was changed after it was read: start again")
            row[:] = file.picture
        return data


def looked_at(path: Path, members: Sequence[Member], how: ReadOptions) -> Catalogue:
    """All pictures among the members, decoded once. One that cannot be read, or has another size
    than most, is a ValueError without ``skip_bad``.
    """
    found = Catalogue(how.prepare)
    for done, file in enumerate(_decoded(members, how.prepare), 1):
        if file.picture is None:
            _refuse(path, file, how.skip_bad)
            found.bad.append((file.member[0], file.notes[0]))
        else:
            if not found.members:
                _begin(found, len(members), file.picture, how)
            found.add(file, file.picture)
        how.progress(done, len(members))
        if found.pictures is None and done == how.few:
            break
    _one_size(path, found, how.skip_bad)
    return found


def _begin(found: Catalogue, n: int, first: Tensor, how: ReadOptions) -> None:
    how.expect(n, tuple(first.shape))
    if not is_small((n, *first.shape), first.dtype):
        found.pictures = None


def _refuse(path: Path, file: _Decoded, skip_bad: bool) -> None:
    if not skip_bad:
        raise ValueError(
            f"{path}: {file.member[0]} cannot be read: {file.notes[0]}; skip_bad "
            "(--skip-bad) goes on without it"
        )


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
    return [_decode_one(member, prepare) for member in members]


def _decode_one(member: Member, prepare: Preparation) -> _Decoded:
    try:
        pixels, notes = decode(member[1](), prepare)
        picture = prepare.shaped(torch.from_numpy(pixels).permute(2, 0, 1))
    except ValueError as error:
        return _Decoded(member, None, [str(error)])
    return _Decoded(member, picture, notes, content(picture))


def _one_size(path: Path, found: Catalogue, skip_bad: bool) -> None:
    """Moves pictures of another size than most to the bad ones; a ValueError without
    ``skip_bad``.
    """
    sizes = Counter(shape[1:] for shape in found.shapes)
    if len(sizes) < 2:
        return
    usual = sizes.most_common(1)[0][0]
    odd = [i for i, shape in enumerate(found.shapes) if shape[1:] != usual]
    most = f"pixels where most are {usual[1]}x{usual[0]}"
    reasons = [
        (found.members[i][0], f"{found.shapes[i][2]}x{found.shapes[i][1]} {most}") for i in odd
    ]
    if not skip_bad:
        name, reason = reasons[0]
        raise ValueError(
            f"{path}: {name} has {reason} ({len(odd)} of {len(found.members)} differ); resize "
            "(--resize N) makes all one size, "
            "skip_bad (--skip-bad) goes on without those that differ"
        )
    found.bad += reasons
    found.left([i for i, shape in enumerate(found.shapes) if shape[1:] == usual])
