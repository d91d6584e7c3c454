"""Files that are whole or absent: atomic writes, content hashes, archives read without trusting
them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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
    """Writes a file so that a reader at any moment, or after a kill, sees the old content or the
    new one, never a part.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        _sync(temporary)
        temporary.replace(path)
    except OSError as error:
        raise no_room(error, path.parent) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


class NoRoom(OSError):
    """A full disk, in one line that says what to do."""


def no_room(error: OSError, place: Path | str) -> OSError:
    """What to do where no space is left at ``place``, as an error of one line; any other error as
    it is.
    """
    if not isinstance(error, NoRoom) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return NoRoom(f"no space is left in {place}: make room and run the same command again")


def write_json(path: Path | str, value: object) -> Path:
    """Writes readable JSON atomically; NaN and infinity are refused, since JSON has neither."""
    return write(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def folder(path: Path | str) -> Iterator[Path]:
    """A folder written as a whole: yields a temporary one that takes the name ``path`` when the
    block ends without an error.

    If another process has put ``path`` there meanwhile, its folder stays and this one is dropped:
    both hold the same result.
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
    """SHA-256 of the arrays' types, shapes and values, 64 hex digits; byte order and memory layout
    do not matter.
    """
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


def harmless(text: object, longest: int = 400) -> str:
    """A text for one line of a terminal or a page: what does not print (control and direction
    characters, line breaks, bytes that are no Unicode) as a visible escape such as ``\\x1b``, and
    the middle of a very long one left out.
    """
    shown = "".join(
        c if c.isprintable() or c == "\u00a0" else c.encode("unicode_escape").decode()
        for c in str(text)
    )
    return (
        shown
        if len(shown) <= longest
        else f"{shown[: longest // 2]}\u2026{shown[1 - longest // 2 :]}"
    )


def located(path: Path | str) -> Path:
    """A path with ``~`` for the home folder; an unknown user's stays as it is."""
    return Path(os.path.expanduser(path))


Member = tuple[str, Callable[..., bytes]]
"""A file's name relative to its root, with forward slashes, and how to read it; files of folders
and zip archives give their ``first=n`` bytes alone.
"""


def promise(folder: Path, flag: str = "--out") -> None:
    """A ValueError, before any work, if nothing could be written into the folder of ``flag``, which
    may not exist yet: it is read-only, or full, or a file is in its way. Nothing is left there.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"{flag} {there} is a file where a folder is needed: name another folder")
    try:
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it is read-only")
        tempfile.TemporaryDirectory(dir=there, prefix=".writable-").cleanup()
    except OSError as error:
        raise ValueError(
            f"{flag} {folder}: nothing can be written into {there} ({error.strerror}): "
            "name another folder"
        ) from error


def archive(path: Path | str, *, largest: int = 1 << 28) -> list[Member]:
    """The files of a zip archive in name order, each read in memory when asked for, from any
    thread, and never unpacked to disk; it is open as long as one of them is kept.

    A damaged archive, or a member that is damaged, encrypted or claims more than ``largest`` bytes
    when it is read, is a ValueError.
    """
    try:
        opened = zipfile.ZipFile(path)
    except (
        Exception
    ) as error:  # a damaged directory makes the module fail with nearly any exception
        raise ValueError(f"{path} is not a readable zip archive: {error}") from error
    infos = sorted(
        (info for info in opened.infolist() if not info.filename.endswith("/")),
        key=lambda info: info.filename,
    )
    return [(info.filename, partial(_member, opened, info, largest)) for info in infos]


def _member(opened: zipfile.ZipFile, info: zipfile.ZipInfo, largest: int, first: int = -1) -> bytes:
    if first < 0 and info.file_size > largest:
        raise ValueError(f"it would unpack to {info.file_size} bytes; the limit is {largest}")
    try:
        with opened.open(info) as stream:
            return stream.read(first)
    except Exception as error:  # damaged or encrypted: nearly any exception
        raise ValueError(
            f"a damaged or encrypted member: {str(error) or type(error).__name__}"
        ) from error


def begins(path: Path | str, info: zipfile.ZipInfo) -> int:
    """Where in an archive the bytes of a member begin: behind a header of its own."""
    with open(path, "rb") as stream:
        stream.seek(info.header_offset + 26)
        name, extra = (int.from_bytes(stream.read(2), "little") for _ in range(2))
    return info.header_offset + 30 + name + extra


def part_of(path: Path | str, offset: int, size: int, *, largest: int = 1 << 28) -> bytes:
    """Some bytes of a file; fewer than announced, or more than ``largest``, are a ValueError."""
    if not 0 <= size <= largest:
        raise ValueError(f"it has {size} bytes; the limit is {largest}")
    try:
        with open(path, "rb") as stream:
            stream.seek(offset)
            content = stream.read(size)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    if len(content) < size:
        raise ValueError("the file ends before it: damaged")
    return content


def read_regular(path: Path | str, *, largest: int = 1 << 28, first: int = -1) -> bytes:
    """The bytes of a regular file or of a link to one, or only the ``first`` so many; a pipe, a
    device or a socket is a ValueError and never waited for, like more than ``largest`` bytes.
    """
    try:
        with open(
            os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)),
            "rb",
        ) as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ValueError("no regular file")
            if first < 0 and found.st_size > largest:
                raise ValueError(f"it has {found.st_size} bytes; the limit is {largest}")
            return stream.read(first)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error


@contextmanager
def staged(target: Path, old: str = "") -> Iterator[Path]:
    """Yields an empty folder inside ``target``; when the block ends without an error all its files
    take their places, and files of the pattern ``old`` that are not among them are removed. What
    cannot be written is an OSError that names ``target``.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=target, prefix=".report-", ignore_cleanup_errors=True
        ) as made:
            yield Path(made)
            _placed(Path(made), target, old)
    except OSError as error:
        told = no_room(error, target)
        raise OSError(
            f"the report cannot be written into {target}, where nothing was changed: "
            f"{told.strerror or told}"
        ) from error


def _placed(made: Path, target: Path, old: str) -> None:
    names = [file.relative_to(made) for file in made.rglob("*") if file.is_file()]
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        (made / name).replace(target / name)
    for file in target.glob(old) if old else ():
        if file.relative_to(target) not in names:
            file.unlink(missing_ok=True)
