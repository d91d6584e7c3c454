"""How findings say numbers."""

from __future__ import annotations

from collections.abc import Mapping


def each(words: Mapping[str, str]) -> str:
    """What holds for each kind of data, in one phrase."""
    return ", ".join(f"{text} for {name}" for name, text in words.items())
