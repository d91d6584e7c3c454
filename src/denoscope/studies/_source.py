"""Which images a study reads, and how; read once a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from denoscope.data import Images, read_images
from denoscope.studies import _synthetic
from denoscope.types import Denoiser

SYNTHETIC = "molrg"
"""The name of the set whose true denoiser is known; a folder of that name is written
``./molrg``.
"""


@dataclass(frozen=True)
class Source:
    """Arguments of :func:`denoscope.read_images`, or the name ``molrg``; ``resize`` 0 and an empty
    ``range`` change nothing.
    """

    data: str
    skip_bad: bool = False
    resize: int = 0
    range: tuple[float, ...] = ()


@lru_cache(maxsize=2)
def load(source: Source) -> Images:
    """The image set, read once a process."""
    if source.data == SYNTHETIC:
        return _synthetic.images()
    value_range = (source.range[0], source.range[1]) if source.range else None
    return read_images(
        source.data, skip_bad=source.skip_bad, resize=source.resize or None, value_range=value_range
    )


def truth(source: Source) -> Denoiser | None:
    """The true denoiser of the set's law, where it is known."""
    return _synthetic.truth() if source.data == SYNTHETIC else None
