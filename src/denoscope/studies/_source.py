"""Which images a study reads, and how; read once a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from denoscope.data import Images, read_images


@dataclass(frozen=True)
class Source:
    """Arguments of :func:`denoscope.read_images`; ``resize`` 0 and an empty ``range`` change nothing."""

    data: str
    skip_bad: bool = False
    resize: int = 0
    range: tuple[float, ...] = ()


@lru_cache(maxsize=2)
def load(source: Source) -> Images:
    """The image set, read once a process."""
    value_range = (source.range[0], source.range[1]) if source.range else None
    return read_images(source.data, skip_bad=source.skip_bad, resize=source.resize or None, value_range=value_range)
