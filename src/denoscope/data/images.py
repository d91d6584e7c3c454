"""A set of images, with what is known about it: in memory at 8 bits, or read when it is asked for.

Images are turned into floats in [-1, 1] a batch at a time, so that a set may be larger than memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from denoscope.display import shortened, sized
from denoscope.files import content_hash

_FALLBACK_MEMORY = 8 << 30
_KEPT = 1 << 29  # bytes of a set that stays in memory as it was read
_BATCH = 1 << 26  # bytes of floats made at once
Rows = slice | range | Sequence[int] | Tensor
"""Which images: a slice, or whole numbers."""


@dataclass(frozen=True, eq=False)
class OnDemand:
    """Images of ``shape`` (n, c, h, w) that ``read`` gives by their numbers: uint8, or float32 in
    [-1, 1].
    """

    read: Callable[[Sequence[int]], Tensor]
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.uint8

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Rows) -> Tensor:
        return self.read(_numbers(rows, len(self)))

    def kept(self) -> Tensor | OnDemand:
        """All of them where they are few."""
        if not is_small(self.shape, self.dtype):
            return self
        return torch.cat([self[rows] for rows in batches(self.shape)])


def is_small(shape: Sequence[int], dtype: torch.dtype) -> bool:
    """Whether images of this shape (n, c, h, w) stay in memory."""
    return prod(shape) * dtype.itemsize <= _KEPT


def _numbers(rows: Rows, n: int) -> Sequence[int]:
    if isinstance(rows, slice):
        return range(n)[rows]
    return rows.tolist() if isinstance(rows, Tensor) else rows


def batches(shape: Sequence[int]) -> Iterator[slice]:
    """The rows of a set in parts of bounded size."""
    many = max(1, _BATCH // (4 * prod(shape[1:])))
    return (slice(start, min(start + many, shape[0])) for start in range(0, shape[0], many))


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """Images in [-1, 1], their labels, and everything about their reading that a report must say.

    ``stored`` (n, c, h, w) is float32 in [-1, 1], or uint8: a tensor, or :class:`OnDemand`.
    ``images[rows]`` are some of them as float32, ``data`` all, which more than half of the memory
    is too little for. ``labels`` and ``groups`` are int64 of shape (n,) or None; images of one
    group are known near-duplicates. ``files`` names each image or is empty. ``skipped`` lists
    (file, reason), ``warnings`` what was changed in reading. ``test_from`` is the index at which
    the set's own test split begins, None where it has none; ``hashes`` are :attr:`contents` that
    are known. Anything else is a ValueError.
    """

    stored: Tensor | OnDemand
    name: str
    labels: Tensor | None = None
    groups: Tensor | None = None
    files: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    test_from: int | None = None
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        shape, dtype = self.stored.shape, self.stored.dtype
        if len(shape) != 4 or dtype not in (torch.float32, torch.uint8) or not prod(shape):
            raise ValueError(
                f"{self.name}: images are float32 or uint8 (n, c, h, w) with n >= 1, got "
                f"{dtype} {tuple(shape)}"
            )
        if isinstance(self.stored, Tensor) and dtype == torch.float32:
            low, high = (float(end) for end in self.stored.aminmax())
            if not (low >= -1 and high <= 1):  # false for NaN too
                raise ValueError(f"{self.name}: images lie in [-1, 1], got {low:g} to {high:g}")
        for what, values in (("labels", self.labels), ("groups", self.groups)):
            if values is not None and (values.dtype != torch.int64 or values.shape != (len(self),)):
                got = f"{values.dtype} {tuple(values.shape)}"
                raise ValueError(f"{self.name}: {what} are int64 ({len(self)},), got {got}")
        if self.files and len(self.files) != len(self):
            raise ValueError(f"{self.name}: {len(self.files)} file names for {len(self)} images")

    def __repr__(self) -> str:
        told = [f"{len(self)} of {sized(self.stored.shape[1:])}"]
        told += [f"{len(self.labels.unique())} labels"] if self.labels is not None else []
        told += [f"{len(self.skipped)} skipped"] if self.skipped else []
        told += [f"{len(self.warnings)} warnings"] if self.warnings else []
        return shortened(f"Images({self.name}: {', '.join(told)})")

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: Rows) -> Tensor:
        some = self.stored[rows]
        return from_uint8(some) if some.dtype == torch.uint8 else some

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        _, channels, height, width = self.stored.shape
        return channels, height, width

    @cached_property
    def data(self) -> Tensor:
        """All images, float32 (n, c, h, w) in [-1, 1]."""
        fits(len(self), self.shape)
        return self[:]

    @cached_property
    def sha256(self) -> str:
        """The content hash of ``data``: equal for equal pixels in equal order."""
        return content_hash(self.data.numpy())

    @cached_property
    def contents(self) -> tuple[bytes, ...]:
        """The :func:`content` of each image."""
        parts = (self.stored[rows] for rows in batches(self.stored.shape))
        return self.hashes or tuple(content(picture) for part in parts for picture in part)

    def at(self, rows: Rows) -> Images:
        """Some of the images, in this order, as a set without splits."""
        numbers = _numbers(rows, len(self))
        index, whole = torch.tensor(numbers), self.stored
        return replace(
            self,
            stored=whole[index]
            if isinstance(whole, Tensor)
            else OnDemand(
                lambda some: whole.read([numbers[i] for i in some]),
                (len(numbers), *whole.shape[1:]),
                whole.dtype,
            ),
            labels=None if self.labels is None else self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            files=tuple(self.files[i] for i in numbers) if self.files else (),
            hashes=tuple(self.hashes[i] for i in numbers) if self.hashes else (),
            test_from=None,
        )

    def changed(self, change: Callable[[Tensor], Tensor]) -> Images:
        """The images after a change that each of them undergoes alone, (k, c, h, w) to (k, c', h',
        w') of either type.
        """
        before, one = self.stored, change(self.stored[:1])
        made = OnDemand(lambda rows: change(before[rows]), (len(self), *one.shape[1:]), one.dtype)
        return replace(self, stored=made.kept(), hashes=())


Pictures = Tensor | Images
"""Images as floats (n, c, h, w) in [-1, 1], all of them or on demand."""


def shape_of(images: Pictures) -> tuple[int, ...]:
    """(n, c, h, w)."""
    return tuple(images.stored.shape if isinstance(images, Images) else images.shape)


def content(picture: Tensor) -> bytes:
    """A hash of a picture (c, h, w) at 8 bits, the same for grey that is replicated to colour."""
    eight = picture if picture.dtype == torch.uint8 else to_uint8(picture)
    grey = eight[:1] if bool((eight == eight[:1]).all()) else eight
    return hashlib.blake2b(grey.contiguous().numpy().data, digest_size=16).digest()


def digest(contents: Iterable[bytes], shape: Sequence[int]) -> str:
    """One hash of the contents of a set, in their order, and of the shape of an image."""
    return hashlib.sha256(b"".join([*contents, str(tuple(shape)).encode()])).hexdigest()


def from_uint8(pixels: Tensor) -> Tensor:
    """x / 127.5 - 1: 0..255 to [-1, 1], float32."""
    return pixels.to(torch.float32, copy=True).div_(127.5).sub_(1)


def to_uint8(x: Tensor) -> Tensor:
    """[-1, 1] to the nearest of 0..255, clipped: the inverse of from_uint8. NaN is a ValueError."""
    if x.isnan().any():
        raise ValueError("NaN has no 8-bit value")
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (n, c, h, w) in [-1, 1] at ``size`` (height, width) by antialiased bicubic
    interpolation, clipped; proportions are not kept.

    More than half of the machine's memory would hold is a ValueError.
    """
    if x.shape[-2:] == size:
        return x
    check_memory(len(x) * x.shape[1] * size[0] * size[1], f"{len(x)} images at {size[1]}x{size[0]}")
    found = interpolate(x, size, mode="bicubic", antialias=True, align_corners=False)
    return found.clamp(-1, 1)


def fits(n: int, shape: Sequence[int]) -> None:
    """A ValueError if n images of this shape are too many to be held as floats."""
    check_memory(n * prod(shape), f"{n} images of {' x '.join(map(str, shape))}")


def check_memory(values: int, source: object) -> None:
    """A ValueError if that many float32 values would fill more than half of the memory."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        memory = _FALLBACK_MEMORY
    if 4 * values > memory // 2:
        raise ValueError(
            f"{source} would take more than {4 * values / 2**30:.1f} GiB; half of this "
            f"machine's memory is {memory / 2**31:.1f} GiB: "
            "read fewer images, or smaller ones with resize (--resize N)"
        )
