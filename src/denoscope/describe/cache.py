"""Features on disk: described once, memory-mapped ever after, and never those of other images or of
another descriptor.

``FOLDER/KEY/features.npy`` holds rows, float32 or at half precision as the descriptor gives them,
and ``about.json`` what they are of: content, descriptor's identity, shape, and the file's SHA-256.
KEY hashes the first three, but all of it is compared as a whole, so that neither a collision nor an
edited file answers for other data. Rows under way lie in ``FOLDER/.KEY.part`` with a record of how
many are good: a run that was killed goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from denoscope import files
from denoscope.data.images import Pictures, shape_of
from denoscope.describe.identity import Describer, key
from denoscope.store import Store

_ROWS = "features.npy"
_ABOUT = "about.json"
_SMALL = 1 << 26  # bytes of features that stay in memory, and of images described at once
_AT_ONCE = {False: 1024, True: 128}
"""Images, by whether the descriptor is costly: no more are lost when a run is killed."""
Progress = Callable[[int, int], None]


class Cache:
    """Features by content and descriptor in a folder; without one, nothing is kept. ``notes`` lists
    what a reader of results should know.

    Only descriptors that are costly are kept on disk; the features of others are computed anew,
    into a file without a name that goes with the process where they are many. Either way what is
    held in memory beside the images is bounded.
    """

    def __init__(self, folder: Path | str | None = None):
        self.folder = Path(folder).expanduser() if folder else None
        self.notes: list[str] = []
        if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"the cache {self.folder} is a file; name a folder")

    def features(
        self,
        images: Pictures,
        content: str,
        descriptor: Describer,
        *,
        batch: int = 0,
        progress: Progress = lambda done, total: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> Tensor:
        """The features (n, k) of images (n, c, h, w), float32, memory-mapped where they are many.

        ``content`` is the images' content hash; ``batch`` images are described at once (0: by their
        size); ``progress(done, total)`` counts images, ``say`` is told if another process is waited
        for. A folder that cannot be written, or is full, is an OSError of one line.
        """
        at_once = batch or max(
            1, min(_AT_ONCE[descriptor.costly], _SMALL // (4 * prod(shape_of(images)[1:])))
        )
        blocks = _Blocks(images, descriptor, at_once, progress)
        if self.folder is None or not descriptor.costly:
            return _unkept(blocks, self.folder)
        about = {"content": content, "descriptor": dict(descriptor.identity)}
        about["images"] = list(shape_of(images))
        place = self.folder / key(about)
        found = self._read(place, about)
        if found is not None:
            return found
        with _one_line(self.folder), Store(self.folder).claim(place.name, wait=True, say=say):
            found = self._read(place, about)  # another process may have made them meanwhile
            return _computed(blocks, place, about) if found is None else found

    def _read(self, place: Path, about: Mapping[str, Any]) -> Tensor | None:
        """The stored features, if they are there, undamaged and of exactly this."""
        if not place.is_dir():
            return None
        try:
            noted = json.loads((place / _ABOUT).read_text())
            if noted["about"] == json.loads(json.dumps(about)) and noted[
                "sha256"
            ] == files.file_hash(place / _ROWS):
                return _mapped(place / _ROWS)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.notes.append(f"features in {place} were damaged, or of something else, and made anew")
        with _one_line(place.parent):
            shutil.rmtree(place)
        return None


class _Blocks:
    """The features of a range of images, block by block."""

    def __init__(self, images: Pictures, descriptor: Describer, at_once: int, progress: Progress):
        self.images, self.descriptor = images, descriptor
        self.at_once, self.progress = at_once, progress

    def __len__(self) -> int:
        return len(self.images)

    def after(self, done: int) -> Iterator[np.ndarray]:
        """Blocks (b, k) of the images from ``done`` on; another width is a ValueError."""
        self.progress(done, len(self))
        width = None
        for start in range(done, len(self), self.at_once):
            some = self.images[start : start + self.at_once]
            block = self.descriptor(some).cpu()
            block = block if block.dtype == torch.float16 else block.to(torch.float32)
            if block.ndim != 2 or width not in (None, block.shape[1]):
                raise ValueError(
                    f"{self.descriptor.name} gave features of shape {tuple(block.shape)} "
                    f"after some of width {width}"
                )
            width = block.shape[1]
            yield block.contiguous().numpy()
            self.progress(min(start + self.at_once, len(self)), len(self))


def _mapped(file: Path | BinaryIO) -> Tensor:
    """A stored array, its pages read when they are used; writing to it changes memory alone."""
    opened = isinstance(file, Path)
    array = np.load(file, mmap_mode="c", allow_pickle=False) if opened else _map_open(file)
    if array.dtype not in (np.float32, np.float16) or array.ndim != 2:
        raise ValueError(f"holds {array.dtype} of shape {array.shape}")
    return torch.from_numpy(array)


def _map_open(file: BinaryIO) -> np.ndarray:
    file.flush()
    file.seek(0)
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return np.memmap(file, dtype, "c", file.tell(), shape)


def _header(file: BinaryIO, rows: int, block: np.ndarray) -> None:
    """Of rows like those of a block."""
    header = {
        "descr": block.dtype.newbyteorder("<").str,
        "fortran_order": False,
        "shape": (rows, block.shape[1]),
    }
    np.lib.format.write_array_header_1_0(file, header)


def _unkept(blocks: _Blocks, folder: Path | None) -> Tensor:
    """Features in memory if they are small, else in a file that has no name."""
    stream = blocks.after(0)
    first = next(stream)
    if len(blocks) * first[0].nbytes <= _SMALL:
        return torch.from_numpy(np.concatenate([first, *stream]))
    with _one_line(folder or Path(tempfile.gettempdir())):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            _header(file, len(blocks), first)
            file.write(first.data)
            for block in stream:
                file.write(block.data)
            return _mapped(file)


def _computed(blocks: _Blocks, place: Path, about: Mapping[str, Any]) -> Tensor:
    """Describes what is not yet described, and stores all of it under its name at once."""
    part = place.with_name(f".{place.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    with open(part / _ROWS, "ab+") as file:
        done, width, digest = _resumed(file, part, about)
        for block in blocks.after(done):
            if not done:
                width = block.shape[1]
                _header(file, len(blocks), block)
                file.flush()
                digest = _digest(file, file.tell())
            if block.shape[1] != width:
                raise ValueError(
                    f"{blocks.descriptor.name} gave {block.shape[1]} features per image, "
                    f"and {width} in the run that was interrupted"
                )
            file.write(block.data)
            digest.update(block.data)
            file.flush()
            os.fsync(file.fileno())
            done += len(block)
            state = {"about": about, "rows": done, "width": width, "bytes": file.tell()}
            state["sha256"] = digest.hexdigest()
            files.write_json(part / _ABOUT, state)
    part.replace(place)
    return _mapped(place / _ROWS)


def _resumed(file: BinaryIO, part: Path, about: Mapping[str, Any]) -> tuple[int, int, Any]:
    """Rows that are there, their width, the hash so far; what is beyond or unlike is cut off."""
    try:
        noted = json.loads((part / _ABOUT).read_text())
        rows, width, size = (int(noted[name]) for name in ("rows", "width", "bytes"))
        digest = _digest(file, size)
        if (
            noted["about"] == json.loads(json.dumps(about))
            and noted["sha256"] == digest.hexdigest()
        ):
            file.truncate(size)
            file.seek(size)
            return rows, width, digest
    except (OSError, ValueError, KeyError, TypeError):
        pass
    file.truncate(0)
    return 0, 0, hashlib.sha256()


def _digest(file: BinaryIO, size: int) -> Any:
    """The running SHA-256 of a file's first ``size`` bytes."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (piece := file.read(min(size, _SMALL))):
        digest.update(piece)
        size -= len(piece)
    return digest


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    """An OSError of what is done in the folder says in one line what to do."""
    try:
        yield
    except OSError as error:
        told = files.no_room(error, f"the cache {folder}")
        if told is error:
            told = OSError(
                f"the cache {folder} cannot be used: {error.strerror or error}; name another folder"
            )
        raise told from error
