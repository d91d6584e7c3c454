"""What makes a function a metric: a name, the works it rests on, and the sets it asks for by its
argument names.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.references import Reference, references
from denoscope.types import Descriptor

F = TypeVar("F", bound=Callable[..., Estimate | dict[str, Estimate]])


@dataclass(frozen=True)
class _Entry:
    function: Callable[..., Estimate | dict[str, Estimate]]
    cites: tuple[str, ...]
    pixels: bool

    def sets(self) -> list[str]:
        """The sets that the metric asks for; ``real`` is held-out data, so that a Fréchet distance
        does not reward copies.
        """
        parameters = inspect.signature(self.function).parameters.values()
        return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]


_METRICS: dict[str, _Entry] = {}


def metric(*cites: str, pixels: bool = False, parts: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Makes a function of feature sets a metric that :func:`measure` knows by its name, resting on
    the works with these reference keys.

    ``pixels``: it compares images number by number, so that no descriptor is put before it.
    ``parts``: it gives several estimates by these names, and each of them is a metric. An unknown
    key is a KeyError at import.
    """
    references(cites)

    def register(function: F) -> F:
        for name in parts or (function.__name__,):
            _METRICS[name] = _Entry(function, cites, pixels)
        return function

    return register


def available() -> list[str]:
    """The names of all metrics."""
    return sorted(_METRICS)


def _entry(name: str) -> _Entry:
    if name not in _METRICS:
        close = difflib.get_close_matches(name, _METRICS, 1, 0.0)
        raise ValueError(
            f"there is no metric {name!r}: did you mean {close[0]!r}? All: {', '.join(available())}"
        )
    return _METRICS[name]


def citations(names: Iterable[str]) -> list[Reference]:
    """The works that these metrics rest on, each once."""
    return references(key for name in names for key in _entry(name).cites)


def measure(
    names: Iterable[str],
    *,
    gen: Tensor | np.ndarray,
    train: Tensor | np.ndarray | None = None,
    test: Tensor | np.ndarray | None = None,
    twin: Tensor | np.ndarray | None = None,
    descriptor: Descriptor | None = None,
) -> dict[str, Estimate]:
    """The metrics ``names`` of these sets, in order: features (n, k), or images (n, c, h, w) if a
    ``descriptor`` is given.

    A metric's ``real`` is ``test``. An unknown name (the nearest valid one is named) and a metric
    whose set is missing are a ValueError.
    """
    names = [names] if isinstance(names, str) else list(names)
    entries = {name: _entry(name) for name in names}
    sets = {"gen": gen, "train": train, "test": test, "twin": twin}
    described: dict[tuple[str, bool], Tensor | np.ndarray] = {}

    def prepared(name: str, asked: str, pixels: bool) -> Tensor | np.ndarray:
        given = sets[asked]
        if given is None:
            raise ValueError(f"{name} needs {asked}: pass {asked}=...")
        if given.ndim != 4 or (descriptor is None and not pixels):
            return given
        if (asked, pixels) not in described:
            images = torch.as_tensor(given)
            described[asked, pixels] = (
                images.flatten(1) if pixels or descriptor is None else descriptor(images)
            )
        return described[asked, pixels]

    computed: dict[
        Callable[..., Estimate | dict[str, Estimate]], Estimate | dict[str, Estimate]
    ] = {}

    def value(name: str, entry: _Entry) -> Estimate:
        if entry.function not in computed:
            given = (
                prepared(name, "test" if asked == "real" else asked, entry.pixels)
                for asked in entry.sets()
            )
            computed[entry.function] = entry.function(*given)
        found = computed[entry.function]
        return found[name] if isinstance(found, dict) else found

    return {name: value(name, entry) for name, entry in entries.items()}
