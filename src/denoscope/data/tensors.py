"""Tensors in a file of PyTorch (a zip archive of numbers, and a pickle that says how they are laid
out), read without unpickling.

The pickle is only tokenized and its tokens are followed on a stack of plain values: names in it are
kept as texts, never looked up, and nothing is ever called. What is no tensor, number, text or
container of these becomes :class:`Unknown`.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from denoscope.data.images import check_memory
from denoscope.files import begins

_LONGEST = 1 << 22  # bytes of the description; the numbers lie elsewhere
_TYPES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8", "Int": "<i4"}
_TYPES |= {"Short": "<i2", "Char": "<i1", "Byte": "<u1"}
_BFLOAT = "BFloat16"
_PLAIN = ("INT", "LONG", "FLOAT", "UNICODE", "STRING", "BYTES")
"""Beginnings and ends of the names of tokens that carry their own value."""
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


@dataclass(frozen=True)
class Unknown:
    """Something that only unpickling would tell; ``name`` is what the file calls it."""

    name: str = ""


@dataclass(frozen=True)
class Layout:
    """A tensor as it is described: a view of the numbers under ``key``."""

    kind: str
    key: str
    count: int
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def is_plain(self) -> bool:
        """Whether NumPy has its type, and no number is there twice."""
        return self.kind in _TYPES and prod(self.size) <= self.count


def read_tensors(path: Path) -> object:
    """What was saved, a :class:`Layout` for each tensor; anything unreadable is an exception."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{_root(archive)}/data.pkl")
        if info.file_size > _LONGEST:
            raise ValueError(f"its description has {info.file_size} bytes; the limit is {_LONGEST}")
        return _followed(archive.read(info))


def joined(some: Sequence[Layout]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of one tensor, or of several of one shape: pictures stacked, batches of them
    one behind the other. A type that is no real number is of no kind that is one.
    """
    sizes = {layout.size for layout in some}
    kinds = {layout.kind for layout in some}
    kind = np.dtype("<f4" if kinds == {_BFLOAT} else _TYPES.get(min(kinds), "V1"))
    if len(some) == 1:
        return some[0].size, kind
    if len(kinds) > 1 or len({size[-3:] for size in sizes}) > 1:
        raise ValueError("its tensors have different shapes or types: save one of all, with stack")
    return (sum(prod(layout.size[:-3]) for layout in some), *some[0].size[-3:]), kind


def together(path: Path, some: Sequence[Layout]) -> np.ndarray:
    """The numbers of one tensor, or of several as :func:`joined` says."""
    if len(some) == 1:
        return numbers(path, some[0])
    with zipfile.ZipFile(path) as archive:
        parts = [_viewed(_loaded(archive, layout), layout) for layout in some]
    return np.concatenate([part.reshape(-1, *part.shape[-3:]) for part in parts])


def numbers(path: Path, layout: Layout, *, mapped: bool = False) -> np.ndarray:
    """The numbers of a real tensor; other kinds, and layouts beyond the store, are a ValueError.
    ``mapped`` leaves them in the file until they are used.
    """
    with zipfile.ZipFile(path) as archive:
        return _viewed(_loaded(archive, layout, path if mapped else None), layout)


def _loaded(archive: zipfile.ZipFile, layout: Layout, path: Path | None = None) -> np.ndarray:
    """The store of a tensor, mapped where a path is given."""
    if layout.kind != _BFLOAT and layout.kind not in _TYPES:
        raise ValueError(f"the tensor has the type {layout.kind}; features are real numbers")
    kind = np.dtype(_TYPES.get(layout.kind, "<u2"))
    ends = [(side - 1) * step for side, step in zip(layout.size, layout.stride, strict=True)]
    if min((*layout.size, *layout.stride, layout.offset), default=0) < 0 or (
        prod(layout.size) and layout.offset + sum(ends) >= layout.count
    ):
        raise ValueError("the tensor reaches beyond its numbers: damaged")
    if path is None or prod(layout.size) > layout.count:
        check_memory(prod(layout.size), "it")
    root = _root(archive)
    info = archive.getinfo(f"{root}/data/{layout.key}")
    if info.file_size != layout.count * kind.itemsize:
        raise ValueError(
            f"{layout.count} numbers of type {layout.kind} are announced, but there "
            f"are {info.file_size} bytes: damaged"
        )
    order = f"{root}/byteorder"
    big = order in archive.namelist() and archive.read(order) == b"big"
    kind = kind.newbyteorder(">" if big else "<")
    if path is not None and info.compress_type == zipfile.ZIP_STORED:
        return np.memmap(path, kind, "r", begins(path, info), (layout.count,))
    check_memory(info.file_size // 4, "it")
    return np.frombuffer(archive.read(info), kind)


def _viewed(stored: np.ndarray, layout: Layout) -> np.ndarray:
    steps = [step * stored.itemsize for step in layout.stride]
    view = np.lib.stride_tricks.as_strided
    values = view(stored[layout.offset :], layout.size, steps, writeable=False)
    if layout.kind == _BFLOAT:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values


def _root(archive: zipfile.ZipFile) -> str:
    """The folder in which the archive keeps everything."""
    return archive.namelist()[0].split("/")[0]


def _followed(content: bytes) -> object:
    """The value that the tokens build."""
    stack: list[Any] = []
    memory: dict[int, Any] = {}
    value: Any
    for token, value, _ in pickletools.genops(content):
        name = token.name
        if name == "STOP":
            return stack.pop()
        if name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memory[value] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memory[value])
        elif name == "GLOBAL":
            stack.append(Unknown(value))
        elif name not in ("PROTO", "FRAME"):
            _step(stack, name, value)
    raise ValueError("the description ends early")


def _step(stack: list[Any], name: str, value: Any) -> None:
    """One token that builds a value out of itself or of those on the stack."""
    if name == "MARK":
        stack.append(_MARK)
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name.startswith("EMPTY_"):
        stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[name]())
    elif name in _TUPLES or name == "TUPLE":
        stack.append(tuple(_taken(stack, _TUPLES.get(name))))
    elif name in ("SETITEM", "SETITEMS"):
        items = _taken(stack, 2 if name == "SETITEM" else None)
        if isinstance(
            stack[-1], dict
        ):  # other keys would be hashed, which nested ones make endless
            pairs = zip(items[::2], items[1::2], strict=True)
            stack[-1].update((key, item) for key, item in pairs if isinstance(key, str | int))
    elif name in ("APPEND", "APPENDS"):
        items = _taken(stack, 1 if name == "APPEND" else None)
        if isinstance(stack[-1], list):
            stack[-1].extend(items)
    elif name == "BUILD":
        stack.pop()
    elif name == "BINPERSID":
        stack.append(("storage", stack.pop()))
    elif name == "REDUCE":
        stack.append(made(*_taken(stack, 2)))
    elif any(word in name for word in _PLAIN):
        stack.append(value)
    else:
        raise ValueError(f"{name} is not among what tensors are described with")


def _taken(stack: list[Any], count: int | None) -> list[Any]:
    """The last values of the stack in order: ``count`` of them, or all after the last mark."""
    if count is None:
        place = next(i for i in range(len(stack) - 1, -1, -1) if stack[i] is _MARK)
        items = stack[place + 1 :]
        del stack[place:]
        return items
    items = stack[-count:]
    del stack[-count:]
    return items


def made(maker: Any, given: Any) -> object:
    """What a call in the file stands for: a layout, an empty ordered dictionary, or unknown."""
    match maker, given:
        case Unknown("collections OrderedDict"), ():
            return {}
        case (
            Unknown("torch._utils _rebuild_tensor_v2"),
            (
                ("storage", ("storage", Unknown() as kind, str() as key, str(), int() as count)),
                int() as offset,
                tuple() as size,
                tuple() as stride,
                *_,
            ),
        ) if len(size) == len(stride) and all(isinstance(side, int) for side in (*size, *stride)):
            real = kind.name.removeprefix("torch ").removesuffix("Storage")
            return Layout(real, key, count, offset, size, stride)
    return Unknown()


def layouts(value: object) -> Mapping[str, tuple[Layout, ...]]:
    """The tensors of a value by name: those of a dictionary; or the value itself, or what a list
    of tensors holds, under no name.
    """
    if isinstance(value, list | tuple) and value and all(_is_picture(item) for item in value):
        return {"": tuple(value)}
    items = {"": value} if isinstance(value, Layout) else value if isinstance(value, dict) else {}
    return {str(key): (item,) for key, item in items.items() if isinstance(item, Layout)}


def _is_picture(value: object) -> bool:
    return isinstance(value, Layout) and len(value.size) in (3, 4)


def is_checkpoint(value: object) -> bool:
    """Whether tensors are a network's: they have dotted names, or lie in a dictionary within the
    dictionary.
    """
    if not isinstance(value, dict):
        return False
    inner = [item for item in value.values() if isinstance(item, dict)]
    dotted = any("." in name for name in layouts(value))
    return "state_dict" in value or dotted or any(map(layouts, inner))
