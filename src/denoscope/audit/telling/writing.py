"""The files of a report put in place together: a failure while they are made leaves those of the
last one as they were.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged(folder: Path, old: str) -> Iterator[Path]:
    """Yields an empty folder inside ``folder``; when the block ends without an error all its files
    take their places, and files of the pattern ``old`` that are not among them are removed. What
    cannot be written is an OSError that names the folder.
    """
    try:
        with tempfile.TemporaryDirectory(
            dir=folder, prefix=".report-", ignore_cleanup_errors=True
        ) as made:
            yield Path(made)
            _placed(Path(made), folder, old)
    except OSError as error:
        raise OSError(
            f"the report cannot be written into {folder}, where nothing was changed: "
            f"{error.strerror or error}"
        ) from error


def _placed(made: Path, folder: Path, old: str) -> None:
    names = [file.relative_to(made) for file in made.rglob("*") if file.is_file()]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        (made / name).replace(folder / name)
    for file in folder.glob(old):
        if file.relative_to(folder) not in names:
            file.unlink(missing_ok=True)
