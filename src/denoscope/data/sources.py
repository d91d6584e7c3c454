"""Which images are read, and how, read once per process; and their true denoiser, where known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from denoscope.data import synthetic
from denoscope.data.images import Images, fits
from denoscope.data.prepare import Preparation
from denoscope.data.reading import read_images
from denoscope.types import Denoiser

MIXTURE = "mixture"
SYNTHETIC = MappingProxyType(
    {
        "molrg": (synthetic.images, synthetic.truth),
        MIXTURE: (synthetic.mixture_images, synthetic.mixture),
    }
)
"""Sets whose true denoiser is known; a folder of such a name is written ``./molrg``."""


@dataclass(frozen=True)
class Source:
    """Arguments of :func:`denoscope.read_images`, or a drawn set; 0 and () change nothing.
    ``prepare`` are the words of a preparation, ``resize`` is its word ``resize:N``, the last one.
    """

    data: str
    skip_bad: bool = False
    resize: int = 0
    range: tuple[float, ...] = ()
    prepare: tuple[str, ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any], data: str) -> Source:
        """The set ``data``, read as a stored cell with these fields read its images."""
        names = ("skip_bad", "resize", "range", "prepare")
        given: dict[str, Any] = {name: fields[name] for name in names if name in fields}
        found = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        return replace(cls(data), **found)

    def preparation(self) -> Preparation:
        """How files become images; a word that is not known is a ValueError."""
        return Preparation.of(self.prepare).resized(self.resize)


@lru_cache(maxsize=2)
def load(source: Source) -> Images:
    """The image set, read once per process."""
    if source.data in SYNTHETIC:
        return SYNTHETIC[source.data][0]()
    value_range = (source.range[0], source.range[1]) if source.range else None
    return read_images(
        source.data,
        skip_bad=source.skip_bad,
        prepare=source.preparation(),
        value_range=value_range,
        expect=fits,
    )


def truth(source: Source) -> Denoiser | None:
    """The true denoiser of the set's law, where it is known."""
    return SYNTHETIC[source.data][1]() if source.data in SYNTHETIC else None
