"""The arrays of an ``.npz`` file, looked at before any of them is loaded, and never unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from denoscope.data.images import check_memory
from denoscope.files import harmless

PICTURES = ("arr_0", "images")
"""Names under which images may stand; a two-dimensional ``arr_0`` is none."""
ROWS = ("features", "reps", "arr_0")
"""Names of features: in the article of RP and GL, in dgm-eval, in a matrix without a name."""
_SHOWN = 8  # names in an error


class Arrays:
    """What an open ``.npz`` holds; a damaged one is a one-line ValueError without its name."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        self._members = {info.filename.removesuffix(".npy"): info for info in infos}
        if len(self._members) < len(infos):
            raise ValueError("two of its arrays have one name: write it anew")

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

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of an array, as its header claims."""
        with self._archive.open(self._members[name]) as stream:
            return _header(stream)

    def load(self, name: str) -> np.ndarray:
        """Numbers or texts; Python objects, and headers that claim too much, are refused."""
        info = self._members[name]
        with self._archive.open(info) as stream:
            shape, dtype = _header(stream)
            if dtype.hasobject:
                raise ValueError(
                    f"{name} is pickled, and Object arrays cannot be loaded since they "
                    "may run code: save plain numbers"
                )
            if prod(shape) * dtype.itemsize != info.file_size - stream.tell():
                claims = f"{name} claims the shape {shape} of {dtype}"
                raise ValueError(f"{claims}, but has {info.file_size} bytes: damaged")
        check_memory(max(prod(shape), info.file_size // 4), name)
        with self._archive.open(info) as stream:
            return npy.read_array(stream, allow_pickle=False)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array in version {version[0]} of NumPy's format: save plain numbers")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    if any(side < 0 for side in shape):
        raise ValueError(f"an array claims the shape {shape}: damaged")
    return shape, dtype


@contextmanager
def arrays(path: Path) -> Iterator[Arrays]:
    """An ``.npz``, open; whatever goes wrong is a one-line ValueError that begins with its name."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield Arrays(archive)
    except ValueError as error:
        raise ValueError(f"{harmless(path)}: {harmless(error)}") from error
    except Exception as error:  # a damaged file makes its readers fail with nearly any exception
        said = harmless(error) or type(error).__name__
        raise ValueError(f"{harmless(path)} cannot be read: {said}") from error


def images_key(found: Arrays) -> str | None:
    """The name of the array of images, None if there is none."""
    return next((key for key in PICTURES if key in found and not _is_matrix(found, key)), None)


def rows_key(found: Arrays) -> str | None:
    """The name of the array of features, None if there is none."""
    keys = (key for key in ROWS if key in found and (key != "arr_0" or _is_matrix(found, key)))
    return next(keys, None)


def _is_matrix(found: Arrays, key: str) -> bool:
    return key == "arr_0" and len(found.header(key)[0]) == 2
