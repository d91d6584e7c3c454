"""The fields of a study: axes, which a sweep varies, and options, which have one value in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import Field, field
from typing import Any


def axis(default: Any, help: str, sweep: Sequence[Any] = ()) -> Any:
    """A study's field that may take many values; ``sweep`` are those that the command line takes
    when none are given.
    """
    return field(
        default=default, metadata={"axis": True, "help": help, "sweep": tuple(sweep) or (default,)}
    )


def option(default: Any, help: str, choices: Sequence[str] = ()) -> Any:
    """A study's field that has one value in a sweep; ``choices`` lists the valid ones."""
    return field(default=default, metadata={"axis": False, "help": help, "choices": tuple(choices)})


def axes_first(items: Iterable[Field[Any]]) -> list[Field[Any]]:
    """Fields in the order in which they are listed."""
    return sorted(items, key=lambda item: not item.metadata.get("axis", False))
