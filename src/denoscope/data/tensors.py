"""Tensors in a file of PyTorch (a zip archive of numbers, and a pickle that says how they are laid
out), read without unpickling.

The pickle is only tokenized and its tokens are followed on a stack of plain values: names in it are
kept as texts, never looked up, and nothing is ever called. What is no tensor, number, text or
container of these becomes :class:`Unknown`.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from denoscope.data.images import check_memory

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


def read_tensors(path: Path) -> object:
    """What was saved, a :class:`Layout` for each tensor; anything unreadable is an exception."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{_root(archive)}/data.pkl")
        if info.file_size > _LONGEST:
            raise ValueError(f"its description has {info.file_size} bytes; the limit is {_LONGEST}")
        return _followed(archive.read(info))


def numbers(path: Path, layout: Layout) -> np.ndarray:
    """The numbers of a real tensor; other kinds, and layouts beyond the store, are a ValueError."""
    if layout.kind != _BFLOAT and layout.kind not in _TYPES:
        raise ValueError(f"the tensor has the type {layout.kind}; features are real numbers")
    kind = np.dtype(_TYPES.get(layout.kind, "<u2"))
    ends = [(side - 1) * step for side, step in zip(layout.size, layout.stride, strict=True)]
    if min((*layout.size, *layout.stride, layout.offset), default=0) < 0 or (
        prod(layout.size) and layout.offset + sum(ends) >= layout.count
    ):
        raise ValueError("the tensor reaches beyond its numbers: damaged")
    check_memory(prod(layout.size), "it")
    with zipfile.ZipFile(path) as archive:
        root = _root(archive)
        info = archive.getinfo(f"{root}/data/{layout.key}")
        if info.file_size != layout.count * kind.itemsize:
            raise ValueError(
                f"{layout.count} numbers of type {layout.kind} are announced, but there "
                f"are {info.file_size} bytes: damaged"
            )
        check_memory(info.file_size // 4, "it")
        order = f"{root}/byteorder"
        big = order in archive.namelist() and archive.read(order) == b"big"
        stored = np.frombuffer(archive.read(info), kind.newbyteorder(">" if big else "<"))
    steps = [step * kind.itemsize for step in layout.stride]
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


def layouts(value: object) -> Mapping[str, Layout]:
    """The tensors of a value by name: those of a dictionary, or the value itself under no name."""
    if isinstance(value, Layout):
        return {"": value}
    items = value.items() if isinstance(value, dict) else ()
    return {str(key): item for key, item in items if isinstance(item, Layout)}
