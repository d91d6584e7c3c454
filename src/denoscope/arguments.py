"""What every command shares: arguments that are refused in one line naming the nearest valid one,
and flags made of a study's fields.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dataclasses import Field

_MOST = 10_000_000  # numbers of a range


class Mistake(Exception):
    """The user's mistake: one line, exit code 2."""


def nearest(word: str, valid: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; valid are {', '.join(sorted(valid))}"


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors that name the nearest valid flag or word."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        if match := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            choices = [choice.strip(" '") for choice in match[2].split(",")]
            message = (
                f"{message[: match.start()]}{match[1]!r} is not valid{nearest(match[1], choices)}"
            )
        raise Mistake(message)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """All words, or a mistake that names the unknown flag and the nearest one that exists."""
        namespace, unknown = self.parse_known_args(words)
        if unknown:
            flags = [
                flag
                for action in self._actions
                for flag in action.option_strings
                if flag.startswith("--")
            ]
            raise Mistake(
                f"unknown argument {unknown[0]}{nearest(unknown[0].partition('=')[0], flags)}"
            )
        return namespace


def values(kind: type, text: str) -> list[Any]:
    """``8`` or, for whole numbers, ``0-9``."""
    if kind is int and (match := re.fullmatch(r"(\d+)-(\d+)", text)):
        first, last = int(match[1]), int(match[2])
        if last < first:
            raise argparse.ArgumentTypeError(f"the range {text} ends before it begins")
        if last - first >= _MOST:
            raise argparse.ArgumentTypeError(f"the range {text} has more than {_MOST} numbers")
        return list(range(first, last + 1))
    try:
        return [kind(text)]
    except ValueError:
        names = {int: "a whole number or a range such as 0-9", float: "a number"}
        raise argparse.ArgumentTypeError(
            f"{text!r} is not {names.get(kind, kind.__name__)}"
        ) from None


def add_fields(parser: argparse.ArgumentParser, study: str, items: Sequence[Field[Any]]) -> None:
    """One flag for every field of the study of that name; axes take several values."""
    group = parser.add_argument_group(f"fields of {study}")
    for item in items:
        kind = type(item.default)
        flag = f"--{item.name.replace('_', '-')}"
        common: dict[str, Any] = {
            "dest": item.name,
            "help": f"{item.metadata['help']}{_when_left_out(item)}".replace("%", "%%"),
            "default": argparse.SUPPRESS,
        }
        if kind is bool:
            group.add_argument(flag, action="store_true", **common)
            continue
        common["metavar"] = kind.__name__.upper()
        if item.type == "tuple[str, ...]":
            group.add_argument(flag, nargs="+", **{**common, "metavar": "WORD"})
        elif kind is tuple:
            pair = {} if item.default else {"nargs": 2, "metavar": ("LOW", "HIGH")}
            group.add_argument(
                flag,
                type=lambda word: values(float, word)[0],
                **{**common, "nargs": "+", "metavar": "FLOAT", **pair},
            )
        elif item.metadata["axis"]:
            group.add_argument(
                flag, nargs="+", type=lambda word, kind=kind: values(kind, word), **common
            )
        else:
            group.add_argument(
                flag,
                type=lambda word, kind=kind: values(kind, word)[-1],
                choices=item.metadata["choices"] or None,
                **common,
            )


def _when_left_out(item: Field[Any]) -> str:
    """What a field is where its flag is not given: every value of an axis that is swept."""
    if item.metadata["axis"]:
        swept = " ".join(str(value) or "none" for value in item.metadata["sweep"])
        return f" (takes several; default: {swept})"
    value = item.default
    if isinstance(value, str | tuple):
        value = " ".join(map(str, [value] if isinstance(value, str) else value)) or "none"
    return "" if value is False else f" (default: {value})"


def add_execution(parser: argparse.ArgumentParser) -> None:
    """The flags of commands that measure cells: where they run, and how much is said."""
    parser.add_argument(
        "--on",
        choices=["processes", "serial"],
        default="processes",
        help="one single-threaded process per core, or this process alone",
    )
    parser.add_argument(
        "--workers", type=int, default=None, help="number of processes (default: one per core)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="threads per process (default: %(default)s)"
    )
    parser.add_argument(
        "--device", default="cpu", help="torch device to train and sample on (default: %(default)s)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the cells and the estimated time, do nothing"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
