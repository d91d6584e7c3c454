"""Cosine similarity: to the nearest training row, and between partners."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from denoscope.nearest import neighbors, paired, same_space


def nearest_similarity(
    query: Tensor | np.ndarray,
    bank: Tensor | np.ndarray,
    *,
    names: tuple[str, str] = ("gen", "train"),
) -> Tensor:
    """The cosine similarity of each row of ``query`` to the row of ``bank`` that is most like it,
    shape (n,).
    """
    a, b = same_space(query, bank, names)
    for rows, name in ((a, names[0]), (b, names[1])):
        if not len(rows):
            raise ValueError(f"{name} has no rows")
    return 1 - neighbors(a, b, metric="cosine").distance[:, 0]


def paired_similarity(gen: Tensor | np.ndarray, twin: Tensor | np.ndarray) -> Tensor:
    """The cosine similarity of row i to row i, shape (n,); unequal lengths are a ValueError."""
    similarity = 1 - paired(gen, twin, metric="cosine", names=("gen", "twin"))
    if not len(similarity):
        raise ValueError("gen has no rows")
    return similarity
