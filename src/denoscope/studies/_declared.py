"""The fields of a study read from its file, without importing what it computes with: a flag that
is asked for, or mistyped, need not wait for it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import Field, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from denoscope.fields import axes_first, axis, option

_ROOT = Path(__file__).parents[1]
_MAKERS: dict[str, Any] = {"axis": axis, "option": option}


UNREAD = object()
"""What only an import could tell: functions and what they return, modules, arrays."""


class Skeleton:
    """Stands for `Study` where classes are made of fields alone."""


class Module(dict[str, Any]):
    """The names of a module of ours; each is evaluated when it is first asked for."""

    def __init__(self, path: Path):
        super().__init__(_MAKERS)
        body = ast.parse(path.read_text(encoding="utf-8")).body
        self.bound = dict(pair for node in body for pair in _bound(node))

    def __missing__(self, name: str) -> Any:
        self[name] = self.value(self.bound[name])
        return self[name]

    def value(self, node: Any) -> Any:
        """What an expression, a class, or a name of another module of ours stands for."""
        match node:
            case ast.ClassDef():
                return self.skeleton(node)
            case (module, name):
                found = _module(module)
                return found[name] if name in (*_MAKERS, *found.bound) else UNREAD
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self[name]
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return tuple(self._items(parts))
            case ast.Dict(keys=names, values=parts):
                return {self.value(name): self.value(part) for name, part in zip(names, parts)}
            case ast.Subscript(value=part, slice=ast.Slice(lower=low, upper=high)):
                ends = (None if end is None else self.value(end) for end in (low, high))
                return self.value(part)[slice(*ends)]
            case ast.UnaryOp(op=ast.USub(), operand=part):
                return -self.value(part)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self.value(left) / self.value(right)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self.value(left) | self.value(right)
            case ast.JoinedStr(values=parts):
                return "".join(map(str, self._items(parts)))
            case ast.FormattedValue(value=part):
                return self.value(part)
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(by)), attr="join")):
                return by.join(self.value(node.args[0]))
            case ast.Call(func=ast.Name(id="tuple"), args=[part]):
                return tuple(self.value(part))
            case ast.Call(func=ast.Name(id=name)) if name in _MAKERS:
                named = {str(each.arg): self.value(each.value) for each in node.keywords}
                return _MAKERS[name](*self._items(node.args), **named)
        return UNREAD

    def _items(self, parts: Sequence[ast.expr]) -> Iterator[Any]:
        for part in parts:
            if isinstance(part, ast.Starred):
                yield from self.value(part.value)
            else:
                yield self.value(part)

    def skeleton(self, node: ast.ClassDef) -> Any:
        """A study's class with its bases and its fields alone; any other class is unread."""
        names = (base.id for base in node.bases if isinstance(base, ast.Name))
        found = [Skeleton if name == "Study" else self[name] for name in names]
        bases = tuple(k for k in found if isinstance(k, type) and issubclass(k, Skeleton))
        if not bases:
            return UNREAD
        made = [k for k in node.body if isinstance(k, ast.AnnAssign) and _makes(k.value)]
        body = {ast.unparse(item.target): self.value(item.value) for item in made}
        kinds = {ast.unparse(item.target): ast.unparse(item.annotation) for item in made}
        about = {"__annotations__": kinds, "__doc__": ast.get_docstring(node)}
        return dataclass(kw_only=True)(type(node.name, bases, {**body, **about}))


def _bound(node: ast.stmt) -> Iterator[tuple[str, Any]]:
    """The names that a statement binds: expressions, classes, (module, name) of ours, or None."""
    if isinstance(node, ast.ClassDef):
        yield node.name, node
    elif isinstance(node, ast.FunctionDef):
        yield node.name, None
    elif isinstance(node, ast.Import | ast.ImportFrom):
        module = (isinstance(node, ast.ImportFrom) and node.module) or ""
        ours = module.startswith("denoscope.")
        for alias in node.names:
            yield alias.asname or alias.name, (module, alias.name) if ours else None
    elif isinstance(node, ast.AnnAssign) and node.value:
        yield ast.unparse(node.target), node.value
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from zip(map(ast.unparse, target.elts), node.value.elts)
            else:
                yield ast.unparse(target), node.value


def _makes(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in _MAKERS


@cache
def _module(name: str) -> Module:
    path = _ROOT.joinpath(*name.split(".")[1:])
    return Module(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))


def declaration(name: str) -> tuple[str, list[Field[Any]]]:
    """The docstring and the fields of a study; a LookupError where its files alone do not say."""
    module = _module(f"denoscope.studies.{name}")
    try:
        classes = (
            module[name] for name, to in module.bound.items() if isinstance(to, ast.ClassDef)
        )
        study: Any = next(found for found in classes if isinstance(found, type))
    except (StopIteration, KeyError, TypeError) as error:
        raise LookupError(f"the fields of {name} cannot be read from its file") from error
    found = axes_first(fields(study))
    if any(part is UNREAD for item in found for part in _parts(item)):
        raise LookupError(f"the fields of {name} cannot be read from its file")
    return study.__doc__ or "", found


def _parts(item: Field[Any]) -> Iterator[Any]:
    """Everything that a flag is made of."""
    yield item.default
    for value in item.metadata.values():
        yield from value if isinstance(value, tuple) else (value,)
