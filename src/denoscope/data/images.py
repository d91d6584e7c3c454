"""A set of images as one tensor in [-1, 1], with what is known about it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from denoscope.files import content_hash

_FALLBACK_MEMORY = 8 << 30


@dataclass(frozen=True, eq=False)
class Images:
    """Images in [-1, 1], their labels, and everything about their reading that a report must say.

    ``data`` is float32 of shape (n, c, h, w). ``labels`` and ``groups`` are int64 of shape (n,) or
    None; images of one group are known near-duplicates. ``files`` names each image or is empty.
    ``skipped`` lists (file, reason), ``warnings`` what was changed in reading. ``test_from`` is the
    index at which the set's own test split begins, None where it has none. Anything else is a
    ValueError.
    """

    data: Tensor
    name: str
    labels: Tensor | None = None
    groups: Tensor | None = None
    files: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    test_from: int | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != 4 or self.data.dtype != torch.float32 or not self.data.numel():
            raise ValueError(
                f"{self.name}: images are float32 (n, c, h, w) with n >= 1, got "
                f"{self.data.dtype} {tuple(self.data.shape)}"
            )
        low, high = (float(end) for end in self.data.aminmax())
        if not (low >= -1 and high <= 1):  # false for NaN too
            raise ValueError(f"{self.name}: images lie in [-1, 1], got {low:g} to {high:g}")
        for what, values in (("labels", self.labels), ("groups", self.groups)):
            if values is not None and (values.dtype != torch.int64 or values.shape != (len(self),)):
                got = f"{values.dtype} {tuple(values.shape)}"
                raise ValueError(f"{self.name}: {what} are int64 ({len(self)},), got {got}")
        if self.files and len(self.files) != len(self):
            raise ValueError(f"{self.name}: {len(self.files)} file names for {len(self)} images")

    def __len__(self) -> int:
        return len(self.data)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        _, channels, height, width = self.data.shape
        return channels, height, width

    @cached_property
    def sha256(self) -> str:
        """The content hash of ``data``: equal for equal pixels in equal order."""
        return content_hash(self.data.numpy())


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
