"""First and second moments of images, summed chunk by chunk in float64: all that a linear model
learns from, and additive over parts.

Sums are taken about one fixed image, the origin o: s = sum (x - o), Q = sum (x - o)(x - o)^T. A
pixel that never changes then has a variance of exactly 0, and the moments of a whole are the sums
of those of its parts, so that of any part the rest follows by subtraction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_CHUNK = 1 << 22  # float64 values at once: 32 MiB


@dataclass(frozen=True, eq=False)
class Moments:
    """The moments of ``count`` images of d numbers about ``origin`` (d,): ``total`` s (d,) and
    ``second`` Q (d, d), float64.

    Moments of parts with one origin add and subtract; those of different origins, or more
    subtracted than there is, are a ValueError.
    """

    count: int
    origin: Tensor
    total: Tensor
    second: Tensor

    @classmethod
    def of(cls, images: Tensor, *, origin: Tensor | None = None) -> Moments:
        """The moments of images (n, ...), about their first one unless an ``origin`` is given."""
        return gather(images, torch.zeros(len(images), dtype=torch.int64), 1, origin=origin)[0]

    @property
    def mean(self) -> Tensor:
        """The mean image, (d,)."""
        self._some()
        return self.origin + self.total / self.count

    @property
    def cov(self) -> Tensor:
        """The covariance with 1/N, (d, d), exactly symmetric."""
        self._some()
        shift = self.total / self.count
        return self.second / self.count - torch.outer(shift, shift)

    def kept(self, pixels: Tensor) -> Moments:
        """The moments of some of the pixels, named by index (k,) or by a mask (d,)."""
        second = self.second[pixels][:, pixels]
        return Moments(self.count, self.origin[pixels], self.total[pixels], second)

    def turned(self, basis: Tensor) -> Moments:
        """The moments of the coordinates ``basis^T x``, basis (d, k)."""
        second = basis.T @ self.second @ basis
        return Moments(self.count, self.origin @ basis, self.total @ basis, second)

    def __add__(self, other: Moments) -> Moments:
        self._same_origin(other)
        total, second = self.total + other.total, self.second + other.second
        return Moments(self.count + other.count, self.origin, total, second)

    def __sub__(self, other: Moments) -> Moments:
        self._same_origin(other)
        if other.count > self.count:
            raise ValueError(f"{other.count} images cannot be part of {self.count}")
        total, second = self.total - other.total, self.second - other.second
        return Moments(self.count - other.count, self.origin, total, second)

    def _same_origin(self, other: Moments) -> None:
        if not torch.equal(self.origin, other.origin):
            raise ValueError("only moments about one origin add up; give both the same origin")

    def _some(self) -> None:
        if self.count < 1:
            raise ValueError("no image has no moments; at least 1 is needed")


def gather(
    images: Tensor,
    part: Tensor,
    parts: int,
    *,
    origin: Tensor | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> list[Moments]:
    """The moments of each part of the images (n, ...) in one pass: row i counts for part
    ``part[i]`` of 0..parts-1, or for none if negative.

    The origin is the first image unless given. Memory beyond the images: ``parts`` times d x d
    numbers and two chunks. NaN or infinity, no image, or labels of another length are ValueErrors.
    """
    if not images.numel():
        raise ValueError("no image has no moments; at least 1 is needed")
    rows = images.flatten(1)
    if part.shape != (len(rows),) or int(part.max()) >= parts:
        raise ValueError(
            f"part must hold {len(rows)} numbers below {parts}, got shape "
            f"{tuple(part.shape)} and up to {int(part.max())}"
        )
    center = (rows[0] if origin is None else origin.flatten()).double()
    d, zeros = len(center), center.new_zeros
    made = [Moments(0, center, zeros(d), zeros(d, d)) for _ in range(parts)]
    step = max(1, _CHUNK // len(center))
    for start in range(0, len(rows), step):
        chunk, labels = rows[start : start + step].double() - center, part[start : start + step]
        for index in labels[labels >= 0].unique().tolist():
            mine = labels == index
            made[index] = _with(made[index], chunk if bool(mine.all()) else chunk[mine])
        progress(min(1.0, (start + step) / len(rows)))
    if not all(bool(item.total.isfinite().all()) for item in made):
        raise ValueError("images must be finite; these hold NaN or infinity")
    return made


def whole(parts: Sequence[Moments]) -> Moments:
    """The moments of all parts together."""
    found = parts[0]
    for part in parts[1:]:
        found = found + part
    return found


def _with(moments: Moments, rows: Tensor) -> Moments:
    """``moments`` and more rows, already about the origin; sums in place."""
    moments.total.add_(rows.sum(0))
    moments.second.addmm_(rows.T, rows)
    return Moments(moments.count + len(rows), moments.origin, moments.total, moments.second)
