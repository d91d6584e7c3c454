"""Runs the tutorials, each in a folder that is thrown away, and writes what they print and draw
back into them: `make tutorials`, or `tutorials.py docs/tutorials/NAME.ipynb ...` for some.
"""

from __future__ import annotations

import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

TUTORIALS = sorted((Path(__file__).parent.parent / "docs" / "tutorials").glob("*.ipynb"))
LIMIT = 180  # seconds a cell


def executed(path: Path, folder: Path) -> NotebookNode:
    """A notebook with what its cells print and draw now, run in a folder; a cell that fails raises
    nbclient's CellExecutionError.
    """
    book = nbformat.read(path, as_version=4)
    at = {"metadata": {"path": str(folder)}}
    NotebookClient(book, timeout=LIMIT, resources=at).execute()
    for cell in book.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    return book


def printed(cell: NotebookNode) -> str:
    """What a cell prints."""
    return "".join(out.get("text", "") for out in cell.get("outputs", [])).strip()


def answered(cell: NotebookNode, kind: str) -> list[str]:
    """What a cell shows of one kind, such as "text/markdown" or "image/png" (in base 64)."""
    shown = [out.get("data", {}) for out in cell.get("outputs", [])]
    return [data[kind] for data in shown if kind in data]


def _parts(book: NotebookNode, name: str) -> Iterator[str]:
    count = 0
    for cell in book.cells:
        yield f"```python\n{cell.source}\n```" if cell.cell_type == "code" else cell.source
        if text := printed(cell):
            yield f"```text\n{text}\n```"
        for text in answered(cell, "text/markdown"):
            yield "> " + text.replace("\n", "\n> ")
        for _ in answered(cell, "image/png"):
            yield f"![What the code draws]({name}-{count}.png)"
            count += 1


def page(path: Path) -> tuple[str, list[bytes]]:
    """A notebook as Markdown, and its figures, which are called `NAME-0.png` and so on."""
    book = nbformat.read(path, as_version=4)
    figures = [b64decode(text) for cell in book.cells for text in answered(cell, "image/png")]
    return "\n\n".join(_parts(book, path.stem)), figures


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:] or TUTORIALS):
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder)), path)
        print(f"{time.perf_counter() - began:5.0f} s  {path.name}")
