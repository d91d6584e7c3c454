"""Images from wherever they are: an embedded set, a folder, an ``.npz``, a ``.zip``."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from denoscope.data.arrays import PICTURES, Arrays, arrays
from denoscope.data.decoding import ALPHA
from denoscope.data.embedded import digits, faces, fashion_mnist, has_idx, read_idx
from denoscope.data.emoji import read_emoji
from denoscope.data.folders import Progress, read_folder, read_zip
from denoscope.data.images import Images, check_memory, from_uint8
from denoscope.data.prepare import GROUNDS, Preparation, prepared
from denoscope.files import harmless, located

EMBEDDED = ("digits", "fashion_mnist", "emoji", "faces")
"""The sets that have a name."""


def read_images(
    source: str | Path,
    *,
    skip_bad: bool = False,
    prepare: str | Preparation = "",
    value_range: tuple[float, float] | None = None,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> Images:
    """The images of ``source``: an embedded set's name, a folder, an ``.npz`` or a ``.zip``.

    * ``digits``, ``fashion_mnist``, ``emoji``, ``faces``: see :mod:`denoscope.data.embedded`;
      ``data_root`` is searched first. A folder of the same name is written ``./digits``.
    * folder: all images below it in natural order (2 before 10); labels from ``dataset.json``, else
      from class sub-folders if every image is in one. A folder with MNIST-like IDX files is read as
      such.
    * ``.npz``: ``arr_0`` or ``images``, uint8 (n, h, w, c) or (n, h, w); other number types need
      ``value_range`` = (low, high), which 8-bit images ignore. Integer ``labels``, or ``arr_1`` as
      ADM writes, are taken along. Pickled objects are never loaded.
    * ``.zip`` as EDM writes: images and an optional ``dataset.json``, read in memory.

    ``skip_bad`` goes on without unreadable images and those of another size than most, and lists
    them in ``skipped``; ``prepare`` says how files become images, in the words of
    :class:`~denoscope.data.prepare.Preparation`, such as ``resize:64``; ``progress(done, total)``
    is told how many files are decoded. Whatever else is wrong is a one-line ValueError, in which
    characters of names that do not print are escaped, as they are in ``files`` and ``skipped``.
    """
    how = prepare if isinstance(prepare, Preparation) else Preparation.of(prepare)
    if how.open:
        raise ValueError(f"prepare: {how} needs a size, such as resize:64 or diffusers:64")
    if str(source) in EMBEDDED and not isinstance(source, Path):
        root = None if data_root is None else Path(data_root).expanduser()
        return _embedded(str(source), root, how)
    path = located(source)
    if not str(source) or not os.path.exists(path):
        raise ValueError(_unknown(str(source)))
    try:
        return _read(path, skip_bad, how, value_range, progress)
    except ValueError as error:
        raise ValueError(harmless(error, 2000)) from error


def _read(
    path: Path,
    skip_bad: bool,
    how: Preparation,
    value_range: tuple[float, float] | None,
    progress: Progress | None,
) -> Images:
    if os.path.isdir(path):
        if not has_idx(path):
            return read_folder(path, skip_bad=skip_bad, prepare=how, progress=progress)
        images = read_idx(path, harmless(path.name))
    elif not os.path.isfile(path):
        raise ValueError(f"{path} is no regular file")
    elif path.suffix.lower() == ".zip":
        return read_zip(path, skip_bad=skip_bad, prepare=how, progress=progress)
    elif path.suffix.lower() == ".npz":
        images = _read_npz(path, value_range, how)
    else:
        raise ValueError(f"{path} is neither a folder nor an .npz nor a .zip")
    return prepared(images, how)


def _embedded(name: str, root: Path | None, how: Preparation) -> Images:
    if name == "emoji":
        return prepared(read_emoji(root, how.side or 32), how)
    read = {"fashion_mnist": fashion_mnist, "faces": faces}
    images = digits() if name == "digits" else read[name](root)
    return prepared(images, how)


def _unknown(source: str) -> str:
    near = difflib.get_close_matches(source.lower(), EMBEDDED, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    sets = f"nor one of the sets {', '.join(EMBEDDED)}{hint}"
    return f"{source!r} is neither an existing folder, .npz or .zip {sets}"


def _read_npz(path: Path, value_range: tuple[float, float] | None, how: Preparation) -> Images:
    with arrays(path) as found:
        key = found.first(*PICTURES)
        if key is None:
            raise ValueError(f"has neither {' nor '.join(PICTURES)}, only {found.listed()}")
        pixels, notes = _channels_first(found.load(key), how)
        check_memory(pixels.size, key)
        data = _unit(pixels, value_range or ((0, how.most) if how.most else None))
        labels, left_out = _labels(found, len(data))
    return Images(data, harmless(path.name), labels=labels, warnings=(*notes, *left_out))


def _labels(found: Arrays, n: int) -> tuple[Tensor | None, list[str]]:
    """The labels of n images, if there are whole numbers for them, and what else is to be said."""
    name = found.first("labels", "arr_1")
    if name is None:
        return None, []
    shape, dtype = found.header(name)
    if shape != (n,) or dtype.kind not in "iu":
        return None, [f"labels of type {dtype} and shape {shape} were left out"]
    return torch.from_numpy(found.load(name).astype(np.int64)), []


def _channels_first(pixels: np.ndarray, how: Preparation) -> tuple[np.ndarray, list[str]]:
    """(n, h, w, c) or (n, h, w) to (n, c, h, w), 1 or 3 channels; 8-bit alpha is laid on its
    ground.
    """
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.ndim != 4 or not pixels.size:
        raise ValueError(f"images are (n, height, width, channels), got shape {pixels.shape}")
    channels = pixels.shape[3]
    if channels not in (1, 3, 4):
        first = pixels.shape[1] in (1, 3, 4)
        turned = "; (n, channels, height, width) must be transposed first" if first else ""
        raise ValueError(
            f"images have 1, 3 or 4 channels on the last axis, got shape {pixels.shape}{turned}"
        )
    notes: list[str] = []
    if channels == 4:
        if pixels.dtype != np.uint8:
            raise ValueError("transparency (a fourth channel) is understood in 8-bit images only")
        alpha = pixels[..., 3:].astype(np.float32) / 255
        if not how.has("alpha") and (count := int((alpha < 1).any((1, 2, 3)).sum())):
            notes.append(f"{count} images: {ALPHA}")
        if how.ground != "drop":
            below = GROUNDS[how.ground] * (1 - alpha)
            pixels = np.rint(pixels[..., :3] * alpha + below).astype(np.uint8)
        pixels = pixels[..., :3]
    return pixels.transpose(0, 3, 1, 2), notes


def _unit(pixels: np.ndarray, value_range: tuple[float, float] | None) -> Tensor:
    """Pixels to [-1, 1]: 8-bit ones by x / 127.5 - 1, others by the range they are said to have."""
    if pixels.dtype == np.uint8:
        return from_uint8(torch.from_numpy(np.ascontiguousarray(pixels)))
    if not (np.issubdtype(pixels.dtype, np.floating) or np.issubdtype(pixels.dtype, np.integer)):
        raise ValueError(f"images are numbers, got type {pixels.dtype}")
    least, most = float(pixels.min()), float(pixels.max())
    if value_range is None:
        values = f"{pixels.dtype} values from {least:g} to {most:g}"
        raise ValueError(f"{values} need their value_range (--range LOW HIGH)")
    low, high = value_range
    if not low < high:
        raise ValueError(f"value_range is (low, high) with low < high, got ({low:g}, {high:g})")
    slack = 1e-6 * (high - low)
    if not (least >= low - slack and most <= high + slack):  # false for NaN too
        raise ValueError(
            f"values from {least:g} to {most:g} lie outside the stated range {low:g} to {high:g}"
        )
    unit = (pixels.astype(np.float64) - low) * (2 / (high - low)) - 1
    return torch.from_numpy(np.ascontiguousarray(unit.clip(-1, 1), dtype=np.float32))
