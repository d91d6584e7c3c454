"""The arrays of an ``.npz``, ``.npy`` or ``.pt`` file, looked at before any of them is loaded, and
never unpickled.

Large arrays that are stored as they are stay in the file and are read row by row.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from denoscope.data.images import check_memory
from denoscope.data.tensors import (
    Layout,
    is_checkpoint,
    joined,
    layouts,
    numbers,
    read_tensors,
    together,
)
from denoscope.files import begins, harmless, located

SUFFIXES = (".npz", ".npy", ".pt", ".pth", ".ckpt")
"""Of files that hold arrays."""
PICTURES = ("arr_0", "images", "")
"""Names under which images may stand; a two-dimensional one is none."""
ROWS = ("features", "reps", "arr_0", "")
"""Names of features: in the article of RP and GL, in dgm-eval, in a matrix without a name."""
_SHOWN = 8  # names in an error
_KEPT = 1 << 26  # bytes of an array that is read at once, whatever it is stored in


@dataclass(frozen=True)
class Stored:
    """An array in a file: ``shape``, ``dtype``, how to ``load`` it and, where its numbers lie in
    the file as they are, how to ``map`` it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    load: Callable[[], np.ndarray]
    map: Callable[[], np.ndarray] | None = None

    @property
    def large(self) -> bool:
        """Whether it stays in the file."""
        return self.map is not None and prod(self.shape) * self.dtype.itemsize > _KEPT


class Arrays:
    """What an open file holds, by name; a damaged one is a one-line ValueError without its name.
    ``channels_first`` says that images are (n, channels, height, width) where both can be meant.
    """

    def __init__(self, members: Mapping[str, Callable[[], Stored]], *, channels_first: bool):
        self._members, self.channels_first = members, channels_first

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def first(self, *names: str) -> str | None:
        """The first of the names that is there."""
        return next((name for name in names if name in self), None)

    def listed(self) -> str:
        """The names of the arrays, for an error."""
        names = [harmless(name, 60) for name in self._members]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return ", ".join(names[:_SHOWN]) + more or "nothing"

    def stored(self, name: str) -> Stored:
        """The array as its header describes it; one that would run code is a ValueError."""
        found = self._members[name]()
        if found.dtype.hasobject:
            raise ValueError(
                f"{name} is pickled, and Object arrays cannot be loaded since they "
                "may run code: save plain numbers"
            )
        return found

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of an array, as its header claims."""
        found = self._members[name]()
        return found.shape, found.dtype

    def load(self, name: str) -> np.ndarray:
        """Numbers or texts; Python objects, and headers that claim too much, are refused."""
        found = self.stored(name)
        check_memory(prod(found.shape), name or "it")
        return found.load()

    def only(self, *axes: int) -> str | None:
        """The name of the only array of real numbers with so many axes, None if there are more;
        damaged ones, and those called features, do not count.
        """
        fit = [name for name in self._members if name not in ROWS and self._has(name, axes)]
        return fit[0] if len(fit) == 1 else None

    def _has(self, name: str, axes: Sequence[int]) -> bool:
        try:
            shape, dtype = self.header(name)
        except Exception:  # of an array that was not asked for: nearly any exception
            return False
        return len(shape) in axes and dtype.kind in "uif"


def images_key(found: Arrays, key: str = "") -> str | None:
    """The name of the array of images: ``key`` if it is no matrix, else a usual name, else the only
    one that it can be; None if there is none.
    """
    if key:
        return key if len(found.header(key)[0]) != 2 else None
    named = (k for k in PICTURES if k in found)
    usual = next((k for k in named if k == "images" or len(found.header(k)[0]) != 2), None)
    return found.only(3, 4) if usual is None and rows_key(found) is None else usual


def rows_key(found: Arrays, key: str = "") -> str | None:
    """The name of the array of features: ``key``, or a usual name, or in a file of tensors the only
    matrix; None if there is none.
    """
    unnamed = ("arr_0", "")
    usual = (k for k in ROWS if k in found and (k not in unnamed or len(found.header(k)[0]) < 3))
    return key or next(usual, found.only(2) if found.channels_first else None)


def keyed(source: str | Path) -> tuple[Path, str]:
    """A file and the array in it that is meant, ``FILE.npz::KEY``; what exists under the whole name
    has no key.
    """
    file, mark, key = str(source).rpartition("::")
    if mark and not os.path.exists(located(source)) and os.path.isfile(located(file)):
        return located(file), key
    return located(source), ""


def holds_arrays(path: Path) -> bool:
    """Whether a path is a file of arrays, by its name."""
    return path.suffix.lower() in SUFFIXES and os.path.isfile(path)


@contextmanager
def arrays(path: Path, key: str = "") -> Iterator[Arrays]:
    """A file of arrays, open; whatever goes wrong, a missing ``key`` too, is a one-line ValueError
    that begins with its name.
    """
    try:
        with _opened(path) as found:
            if key and key not in found:
                raise ValueError(f"has no array {harmless(key, 60)}, only {found.listed()}")
            yield found
    except ValueError as error:
        raise ValueError(f"{harmless(path)}: {harmless(error)}") from error
    except Exception as error:  # a damaged file makes its readers fail with nearly any exception
        said = harmless(error) or type(error).__name__
        raise ValueError(f"{harmless(path)} cannot be read: {said}") from error


@contextmanager
def _opened(path: Path) -> Iterator[Arrays]:
    kind = path.suffix.lower()
    if kind == ".npz":
        with zipfile.ZipFile(path) as archive:
            yield Arrays(_npz(path, archive), channels_first=False)
    elif kind == ".npy":
        yield Arrays({"": partial(_npy, path)}, channels_first=False)
    else:
        yield Arrays(_tensors(path), channels_first=True)


def _npz(path: Path, archive: zipfile.ZipFile) -> dict[str, Callable[[], Stored]]:
    infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    found = {
        info.filename.removesuffix(".npy"): partial(_member, path, archive, info) for info in infos
    }
    if len(found) < len(infos):
        raise ValueError("two of its arrays have one name: write it anew")
    return found


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    def load() -> np.ndarray:
        check_memory(info.file_size // 4, name)
        with archive.open(info) as stream:
            return npy.read_array(stream, allow_pickle=False)

    name = info.filename.removesuffix(".npy")
    with archive.open(info) as stream:
        shape, order, dtype = _header(stream)
        header = stream.tell()
    _check_size(name, shape, dtype, info.file_size - header)
    if info.compress_type != zipfile.ZIP_STORED:
        return Stored(shape, dtype, load)
    offset = begins(path, info) + header
    return Stored(shape, dtype, load, partial(np.memmap, path, dtype, "r", offset, shape, order))


def _npy(path: Path) -> Stored:
    with open(path, "rb") as stream:
        shape, order, dtype = _header(stream)
        offset = stream.tell()
    _check_size("it", shape, dtype, path.stat().st_size - offset)
    if dtype.hasobject or not prod(shape):
        return Stored(shape, dtype, partial(np.empty, shape, dtype))
    mapped: Callable[[], Any] = partial(np.memmap, path, dtype, "r", offset, shape, order)
    return Stored(shape, dtype, lambda: np.array(mapped()), mapped)


def _check_size(name: str, shape: tuple[int, ...], dtype: np.dtype, size: int) -> None:
    if not dtype.hasobject and prod(shape) * dtype.itemsize != size:
        claims = f"{name} claims the shape {shape} of {dtype}"
        raise ValueError(f"{claims}, but has {size} bytes: damaged")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], Any, np.dtype]:
    """Shape, order and type."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array in version {version[0]} of NumPy's format: save plain numbers")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if any(side < 0 for side in shape):
        raise ValueError(f"an array claims the shape {shape}: damaged")
    return shape, "F" if fortran else "C", dtype


def _tensors(path: Path) -> dict[str, Callable[[], Stored]]:
    try:
        value = read_tensors(path)
    except Exception as error:  # damaged, or no description of tensors: nearly any exception
        raise ValueError(
            "is not a readable file of tensors; save images with numpy.savez(FILE, images=ROWS), "
            f"features with numpy.savez(FILE, features=ROWS) ({harmless(error)})"
        ) from error
    if is_checkpoint(value):
        raise ValueError(
            "is a checkpoint: its tensors are a network's weights, no images and no features. "
            "Sample it with the code that trained it and give the images: a folder of PNG files, "
            "or numpy.savez(FILE, images=ROWS) with ROWS uint8 (n, height, width, channels)"
        )
    texts = value.items() if isinstance(value, dict) else ()
    said = {str(key): partial(_text, text) for key, text in texts if isinstance(text, str)}
    return said | {name: partial(_tensor, path, some) for name, some in layouts(value).items()}


def _text(text: str) -> Stored:
    return Stored((), np.array(text).dtype, lambda: np.array(text))


def _tensor(path: Path, some: tuple[Layout, ...]) -> Stored:
    shape, dtype = joined(some)
    plain = len(some) == 1 and some[0].is_plain
    mapped = partial(numbers, path, some[0], mapped=True) if plain else None
    return Stored(shape, dtype, partial(together, path, some), mapped)
