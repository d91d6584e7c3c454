"""Pictures in shards, as training on many images has them: WebDataset archives, and the Parquet and
Arrow files of `datasets`.

The pictures are encoded files within a file. In archives, and in Arrow files as `datasets` writes
them, they lie there as they are; of Parquet files one group of rows is unpacked at a time.
"""

from __future__ import annotations

import re
import tarfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from denoscope.data.decoding import SUFFIXES
from denoscope.files import Member, harmless, part_of

ENDINGS = (".tar", ".parquet", ".arrow")
"""Of the files that are shards."""
_TEST = ("test", "validation", "valid", "val")
_SPLIT = re.compile(r"(?:^|[/_-])(train|test|validation|valid|val)(?=[/._-]|$)")
_COLUMNS = ("image", "img", "jpg", "png")
_LABELS = ("label", "labels", "fine_label", "cls")
_LONGEST = 64  # bytes of a label in a file of its own


@dataclass(frozen=True)
class Shard:
    """``members`` in order, and whole numbers as ``labels`` by their names, where there are any."""

    members: Sequence[Member]
    labels: Mapping[str, object] = field(default_factory=dict)


def in_splits(path: Path, names: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Shards with the split that each is of (empty: none), training images before test images, and
    what is to be said of others that were left out.

    A name tells its split as `datasets` writes it: ``train-00000-of-00003.parquet``, ``test/…``. A
    validation split is taken for the test split where there is none of that name.
    """
    names = [name for name in names if not PurePosixPath(name).name.startswith("cache-")]
    of = {name: (_SPLIT.findall(name) or [""])[-1] for name in names}
    kinds = set(of.values())
    if "train" not in kinds or len(kinds) == 1:
        return list(names), [""] * len(names), []
    test = next((kind for kind in _TEST if kind in kinds), "")
    train = [name for name in names if of[name] == "train"]
    held = [name for name in names if of[name] == test]
    left = sorted(kinds - {"train", test})
    said = [f"splits that were left out: {', '.join(left)}"] if left else []
    return train + held, ["train"] * len(train) + ["test"] * len(held), said


def opened(path: Path, name: str) -> Shard:
    """The pictures of a shard, which are called by ``name``; a damaged one is a one-line
    ValueError.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".tar":
            return _tar(path, name)
        return _parquet(path, name) if suffix == ".parquet" else _arrow(path, name)
    except ValueError as error:
        raise ValueError(f"{harmless(path)}: {harmless(error)}") from error
    except Exception as error:  # a damaged file makes its readers fail with nearly any exception
        said = harmless(error) or type(error).__name__
        way = "it is cut off or damaged, fetch it again"
        raise ValueError(f"{harmless(path)} cannot be read, {way} ({said})") from error


def _tar(path: Path, name: str) -> Shard:
    with tarfile.open(path, "r:") as archive:
        infos = [info for info in archive if info.isreg()]
    inside = f"{name}/" if name else ""
    read = {info.name: partial(part_of, path, info.offset_data, info.size) for info in infos}
    members = [
        (f"{inside}{file}", get)
        for file, get in read.items()
        if PurePosixPath(file).suffix.lower() in SUFFIXES
    ]
    classes = {
        info.name.removesuffix(".cls"): read[info.name]()
        for info in infos
        if info.name.endswith(".cls") and info.size <= _LONGEST
    }
    stems = {name: name.removeprefix(inside).partition(".")[0] for name, _ in members}
    return Shard(
        members,
        {
            name: int(classes[stem])
            for name, stem in stems.items()
            if classes.get(stem, b"").isdigit()
        },
    )


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
        import pyarrow.parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"a {path.suffix} file needs pyarrow: pip install 'denoscope[parquet]'"
        ) from error
    return pyarrow


def _columns(pa: Any, schema: Any) -> tuple[str, str | None]:
    """The columns of pictures and of labels."""
    fields = {schema.field(i).name: schema.field(i).type for i in range(len(schema.names))}
    pictures = [
        name
        for name, kind in fields.items()
        if (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)
        or (name in _COLUMNS and pa.types.is_binary(kind))
    ]
    if not pictures:
        raise ValueError(
            f"no column holds encoded pictures, only {harmless(', '.join(fields), 200)}: write "
            "its images as PNG files into a folder and give it"
        )
    labels = (name for name in _LABELS if name in fields and pa.types.is_integer(fields[name]))
    return pictures[0], next(labels, None)


def _rows(name: str, path: Path, n: int) -> list[str]:
    return [f"{name or path.name}[{row}]" for row in range(n)]


def _parquet(path: Path, name: str) -> Shard:
    pa = _pyarrow(path)
    file = pa.parquet.ParquetFile(path)
    pictures, labels = _columns(pa, file.schema_arrow)
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    names = _rows(name, path, sum(groups))
    kept = _Groups(file, pictures)
    places = [(group, row) for group, n in enumerate(groups) for row in range(n)]
    members = [
        (name, partial(kept.read, group, row))
        for name, (group, row) in zip(names, places, strict=True)
    ]
    if labels is None:
        return Shard(members)
    values = file.read(columns=[labels]).column(0).to_pylist()
    return Shard(members, dict(zip(names, values, strict=True)))


@dataclass
class _Groups:
    """Groups of rows of a Parquet file, of which the last one asked for is kept."""

    file: Any
    column: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    number: int = -1
    values: Any = None

    def read(self, group: int, row: int) -> bytes:
        """The encoded picture of a row."""
        with self.lock:
            if group != self.number:
                table = self.file.read_row_group(group, columns=[self.column])
                self.number, self.values = group, table.column(0).combine_chunks()
            value = self.values[row].as_py()
        return _there(value.get("bytes") if isinstance(value, dict) else value)


def _there(content: bytes | None) -> bytes:
    if content is None:
        raise ValueError("its row holds a path and no picture: embed the pictures")
    return content


def _arrow(path: Path, name: str) -> Shard:
    """Each picture as a part of the file, whose address the column has."""
    pa = _pyarrow(path)
    source = pa.memory_map(str(path))
    start = source.read_buffer(1).address
    source.seek(0)
    batches = list(_batches(pa, source))
    pictures, labels = _columns(pa, batches[0].schema)
    parts = [part for batch in batches for part in _parts(pa, batch, pictures, start)]
    size = path.stat().st_size
    if any(part is not None and not 0 <= part[0] <= sum(part) <= size for part in parts):
        raise ValueError("its columns are packed: save it with datasets' save_to_disk")
    names = _rows(name, path, len(parts))
    members = [
        (name, partial(_there, None) if part is None else partial(part_of, path, *part))
        for name, part in zip(names, parts, strict=True)
    ]
    values = [x for batch in batches for x in (batch.column(labels).to_pylist() if labels else [])]
    return Shard(members, dict(zip(names, values, strict=True)) if values else {})


def _batches(pa: Any, source: Any) -> list[Any]:
    """Of a stream, which `datasets` writes, or of a file."""
    head = source.read(6)
    source.seek(0)
    if head == b"ARROW1":
        file = pa.ipc.open_file(source)
        found = [file.get_batch(i) for i in range(file.num_record_batches)]
    else:
        found = list(pa.ipc.open_stream(source))
    if not found:
        raise ValueError("holds no rows")
    return found


def _parts(pa: Any, batch: Any, column: str, start: int) -> list[tuple[int, int] | None]:
    """Offset and size in the file of each picture of a batch, None for one that is not there."""
    values = batch.column(column)
    values = values.field("bytes") if pa.types.is_struct(values.type) else values
    _, ends, content = values.buffers()
    kind = np.int64 if pa.types.is_large_binary(values.type) else np.int32
    ends = np.frombuffer(ends, kind)[values.offset : values.offset + len(values) + 1]
    first = (content.address if content else start) - start
    sizes = zip(ends[:-1].tolist(), np.diff(ends).tolist(), values.is_valid().to_pylist())
    return [(first + at, size) if there else None for at, size, there in sizes]
