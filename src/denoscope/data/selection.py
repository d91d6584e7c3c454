"""A part of a source as it is written: ``digits[:1000]``, ``fashion_mnist:train[0:5000]``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from denoscope.data.embedded import EMBEDDED
from denoscope.files import located

Part = Callable[[int, int | None], range]
"""``part(n, test_from)``: which of n rows are read, of a set whose own test split begins there."""


def everything(n: int, test_from: int | None) -> range:
    """The :data:`Part` that is the whole."""
    return range(n)


_WRITTEN = re.compile(r"(.+?)(?::(train|test))?(?:\[(\d{0,15}):(\d{0,15})\])?", re.DOTALL)


@dataclass(frozen=True)
class Selection:
    """Rows ``start`` to before ``stop`` (None: to the end) of the ``split`` (``"train"``,
    ``"test"``, empty: as the reader decides) of ``source``.
    """

    source: str
    split: str = ""
    start: int = 0
    stop: int | None = None

    def rows(self, n: int, test_from: int | None, default: str = "train") -> range:
        """The rows of n that are meant; without splits all. More than there are is a ValueError."""
        if self.split and test_from is None:
            raise ValueError(
                f"{self.source}:{self.split}: {self.source} has no splits of its own; "
                f"write a part as {self.source}[START:STOP]"
            )
        whole = range(n)
        if test_from is not None:
            whole = range(test_from, n) if (self.split or default) == "test" else range(test_from)
        stop = len(whole) if self.stop is None else self.stop
        if not self.start < stop <= len(whole):
            part = f"[{self.start or ''}:{'' if self.stop is None else self.stop}]"
            raise ValueError(
                f"{self.source}{part}: there are {len(whole)} rows, so a part is "
                f"[START:STOP] with 0 <= START < STOP <= {len(whole)}"
            )
        return whole[self.start : stop]


def select(text: str) -> Selection:
    """Reads ``SOURCE``, ``SOURCE:train``, ``SOURCE:test``, each with or without ``[START:STOP]``;
    what exists under the whole name is that.

    A bracket that holds no slice, and a split of another name, are a ValueError.
    """
    if text in EMBEDDED or not text or os.path.exists(located(text)):
        return Selection(text)
    match = _WRITTEN.fullmatch(text)
    source, split, start, stop = match.groups() if match else (text, None, None, None)
    if source.endswith(":") and split:  # FILE.npz::train names an array
        source, split = f"{source}:{split}", None
    if source.endswith("]") and "[" in source:
        raise ValueError(
            f"{text}: a part of a source is written SOURCE[START:STOP] with whole numbers "
            "from 0, such as digits[:1000]"
        )
    known, colon, word = source.rpartition(":")
    if colon and (known in EMBEDDED or (known and os.path.exists(located(known)))):
        raise ValueError(
            f"{text}: {word!r} is no split; write {known}:train or {known}:test, and a "
            f"part of it as {known}:test[START:STOP]"
        )
    return Selection(source, split or "", int(start or 0), int(stop) if stop else None)
