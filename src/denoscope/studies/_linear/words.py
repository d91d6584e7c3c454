"""How findings say numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np


def each(words: Mapping[str, str]) -> str:
    """What holds for each kind of data, in one phrase."""
    return ", ".join(f"{text} for {name}" for name, text in words.items())


def plain(value: float) -> str:
    """Three digits, never an exponent above 1."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def times(ratio: float, reach: np.ndarray) -> str:
    """A ratio with two digits, or on which side of the range ``reach`` (ascending) it lies."""
    return (
        f"above {reach[-1]:.2g}"
        if ratio == math.inf
        else f"below {reach[0]:.2g}"
        if ratio == -math.inf
        else f"{ratio:.2g}"
    )


def size(value: float, sizes: np.ndarray) -> str:
    """A training set size, or on which side of ``sizes`` (ascending) it lies."""
    return (
        f"above {sizes[-1]:.0f}"
        if value == math.inf
        else f"below {sizes[0]:.0f}"
        if value == -math.inf
        else f"{value:.0f}"
    )
