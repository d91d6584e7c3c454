"""Arrays of a file as images: large ones stay there and are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from denoscope.data.arrays import PICTURES, Arrays, Stored, arrays, images_key, rows_key
from denoscope.data.decoding import ALPHA
from denoscope.data.images import Images, OnDemand, batches, is_small
from denoscope.data.pictures import ReadOptions
from denoscope.data.prepare import GROUNDS, Preparation
from denoscope.files import harmless

Ends = tuple[float, float] | None
"""The values that are black and white, where numbers are not 8 bits."""


def read_arrays(path: Path, key: str, how: ReadOptions) -> Images:
    """The images of a file of arrays, under ``key`` or a usual name; (n, h, w, c), (n, h, w) or
    (n, c, h, w). Anything wrong is a one-line ValueError that begins with the file's name.
    """
    with arrays(path, key) as found:
        name = images_key(found, key)
        if name is None:
            raise ValueError(_no_images(found, key, path.suffix))
        stored = found.stored(name)
        axes, channels = _axes(stored.shape, found.channels_first)
        rows, one = how.part(stored.shape[0], None), tuple(stored.shape[axis] for axis in axes[1:3])
        shape = (len(rows), min(channels, 3), *one)
        kind = torch.uint8 if stored.dtype == np.uint8 else torch.float32
        how.expect(len(rows), shape[1:])
        if how.few and not is_small(shape, kind):
            rows = rows[: how.few]
            shape = (len(rows), *shape[1:])
        pixels = _Pixels(_opened(found, name, stored), axes, rows, how.prepare, _ends(stored, how))
        pixels.check(stored.dtype, channels)
        labels, left_out = _labels(found, stored.shape[0], rows)
        kept = OnDemand(pixels, shape, kind).kept()
        said = (*pixels.notes(channels), *left_out)
    return Images(kept, harmless(path.name), labels=labels, warnings=said)


def _opened(found: Arrays, name: str, stored: Stored) -> Callable[[], np.ndarray]:
    if stored.map is not None and stored.large:
        return stored.map
    loaded = found.load(name)
    return lambda: loaded


def _no_images(found: Arrays, key: str, suffix: str) -> str:
    if key or rows_key(found) == "":
        return f"has the shape {found.header(key)[0]}; images are (n, height, width, channels)"
    usual = " nor ".join(filter(None, PICTURES))
    return f"has neither {usual}, only {found.listed()}: name the array as FILE{suffix}::KEY"


def _axes(shape: tuple[int, ...], first: bool) -> tuple[tuple[int, ...], int]:
    """The axes that are n, height, width and channels (none: grey), and how many channels; where
    these may stand on the second axis or the last, they do ``first``.
    """
    if len(shape) not in (3, 4) or 0 in shape:
        raise ValueError(f"images are (n, height, width, channels), got shape {shape}")
    if len(shape) == 3:
        return (0, 1, 2), 1
    last, second = (shape[axis] in (1, 3, 4) for axis in (3, 1))
    if not (last or second):
        raise ValueError(
            f"images have 1, 3 or 4 channels, on the last axis or the second, got shape {shape}"
        )
    return ((0, 2, 3, 1), shape[1]) if second and (first or not last) else ((0, 1, 2, 3), shape[3])


def _ends(stored: Stored, how: ReadOptions) -> Ends:
    if stored.dtype == np.uint8:
        return None
    return how.value_range or ((0.0, float(how.prepare.most)) if how.prepare.most else None)


def _labels(found: Arrays, n: int, rows: range) -> tuple[Tensor | None, list[str]]:
    """The labels of some of n images, if there are whole numbers, and what else is to be said."""
    name = found.first("labels", "arr_1")
    if name is None:
        return None, []
    shape, dtype = found.header(name)
    if shape != (n,) or dtype.kind not in "iu":
        return None, [f"labels of type {dtype} and shape {shape} were left out"]
    return torch.from_numpy(found.load(name)[rows].astype(np.int64)), []


@dataclass(frozen=True)
class _Pixels:
    """Pictures by their numbers among ``rows`` of an array, (k, c, h, w)."""

    open: Callable[[], np.ndarray]
    axes: tuple[int, ...]
    rows: range
    how: Preparation
    ends: Ends

    def __call__(self, numbers: Sequence[int]) -> Tensor:
        block = self._block(numbers)
        if block.shape[3] == 4:
            block = self._on_ground(block)
        return _unit(block.transpose(0, 3, 1, 2), self.ends)

    def _block(self, numbers: Sequence[int]) -> np.ndarray:
        """(k, h, w, c) as stored, a copy: what was mapped is let go."""
        array = self.open()
        rows = [self.rows[i] for i in numbers]
        whole = rows == list(range(rows[0], rows[0] + len(rows)))
        some = np.array(array[rows[0] : rows[0] + len(rows)] if whole else array[rows])
        return some[..., None] if some.ndim == 3 else some.transpose(self.axes)

    def _blocks(self) -> Iterator[np.ndarray]:
        shape = (len(self.rows), *self.open().shape[1:])
        return (self._block(range(len(self.rows))[rows]) for rows in batches(shape))

    def _on_ground(self, block: np.ndarray) -> np.ndarray:
        """RGBA on its ground, or without its transparency."""
        if self.how.ground == "drop":
            return block[..., :3]
        alpha = block[..., 3:].astype(np.float32) / 255
        below = GROUNDS[self.how.ground] * (1 - alpha)
        return np.rint(block[..., :3] * alpha + below).astype(np.uint8)

    def check(self, dtype: np.dtype, channels: int) -> None:
        """A ValueError if the numbers are none, or not what they are said to be."""
        if dtype == np.uint8:
            return
        if channels == 4:
            raise ValueError("transparency (a fourth channel) is understood in 8-bit images only")
        if dtype.kind not in "fiu":
            raise ValueError(f"images are numbers, got type {dtype}")
        found = [(float(block.min()), float(block.max())) for block in self._blocks()]
        least, most = np.min(found, axis=0)[0], np.max(found, axis=0)[1]  # NaN stays NaN
        if self.ends is None:
            values = f"{dtype} values from {least:g} to {most:g}"
            raise ValueError(f"{values} need their value_range (--range LOW HIGH)")
        low, high = self.ends
        if not low < high:
            raise ValueError(f"value_range is (low, high) with low < high, got ({low:g}, {high:g})")
        slack = 1e-6 * (high - low)
        if not (least >= low - slack and most <= high + slack):  # false for NaN too
            raise ValueError(
                f"values from {least:g} to {most:g} lie outside the stated range {low:g} to "
                f"{high:g}"
            )

    def notes(self, channels: int) -> list[str]:
        """What is to be said of transparency that nobody spoke of."""
        if channels < 4 or self.how.has("alpha"):
            return []
        count = sum(int((block[..., 3] < 255).any((1, 2)).sum()) for block in self._blocks())
        return [f"{count} images: {ALPHA}"] if count else []


def _unit(pixels: np.ndarray, ends: Ends) -> Tensor:
    """Numbers to [-1, 1] by the values that are black and white; 8-bit ones as they are."""
    if ends is None:
        return torch.from_numpy(np.ascontiguousarray(pixels))
    low, high = ends
    unit = (pixels.astype(np.float64) - low) * (2 / (high - low)) - 1
    return torch.from_numpy(np.ascontiguousarray(unit.clip(-1, 1), dtype=np.float32))
