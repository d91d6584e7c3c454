"""Files that are whole or absent: atomic writes, content hashes, archives read without trusting them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    import numpy as np


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path | str, content: bytes | str) -> Path:
    """Writes a file so that a reader at any moment, or after a kill, sees the old content or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_json(path: Path | str, value: object) -> Path:
    """Writes readable JSON atomically; NaN and infinity are refused, since JSON has neither."""
    return write(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def folder(path: Path | str) -> Iterator[Path]:
    """A folder written as a whole: yields a temporary one that takes the name ``path`` when the block ends without an error.

    If another process has put ``path`` there meanwhile, its folder stays and this one is dropped: both hold the same result.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid4().hex}.tmp"
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.iterdir():
            _sync(file)
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def content_hash(*arrays: np.ndarray) -> str:
    """SHA-256 of the arrays' types, shapes and values, 64 hex digits; byte order and memory layout do not matter."""
    import numpy as np

    digest = hashlib.sha256()
    for array in arrays:
        plain = np.ascontiguousarray(array)
        plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{plain.dtype.str}{plain.shape}".encode())
        digest.update(plain.data if plain.size else b"")
    return digest.hexdigest()


def file_hash(path: Path | str) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def archive_members(path: Path | str, *, largest: int = 1 << 28) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of a zip archive's files, in name order, read in memory and never unpacked to disk.

    A damaged archive, or a member that claims more than ``largest`` bytes, is a ValueError naming it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for info in sorted(archive.infolist(), key=lambda item: item.filename):
                if info.is_dir():
                    continue
                if info.file_size > largest:
                    raise ValueError(f"{path}: {info.filename} would unpack to {info.file_size} bytes; the limit is {largest}")
                yield info.filename, archive.read(info)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:  # RuntimeError: encrypted
        raise ValueError(f"{path} is not a readable zip archive: {error}") from error
