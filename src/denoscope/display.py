"""How an object is shown where somebody looks at it: in one line, or as a small table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

LONGEST = 100
"""Characters of the one line that an object is shown as."""


def shortened(text: str, longest: int = LONGEST) -> str:
    """A text in one line; the end of a long one is left out, but for a closing bracket."""
    line = " ".join(text.split())
    end = ")" if line.endswith(")") else ""
    return line if len(line) <= longest else f"{line[: longest - 1 - len(end)]}…{end}"


def sized(shape: Iterable[int]) -> str:
    """A shape as 1 × 28 × 28."""
    return " × ".join(map(str, shape))


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]], said: str = "") -> str:
    """A table for notebooks without colours of its own, so that it is read in light and dark."""
    caption = f"<caption>{escape(said)}</caption>" if said else ""
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    head = f"<thead><tr>{_cells('th', header)}</tr></thead>"
    return f"<table>{caption}{head}<tbody>{body}</tbody></table>"


def _cells(tag: str, row: Iterable[object]) -> str:
    return "".join(f"<{tag}>{escape(str(part))}</{tag}>" for part in row)
