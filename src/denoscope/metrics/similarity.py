"""Cosine similarity: to the nearest training row, and between partners."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

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


def unlike_similarity(gen: Tensor | np.ndarray, twin: Tensor | np.ndarray) -> Tensor:
    """The cosine similarity of row i to every other row of ``twin``, shape (n, n - 1): what
    :func:`paired_similarity` is by chance; unequal lengths are a ValueError.
    """
    a, b = same_space(gen, twin, ("gen", "twin"))
    if len(a) != len(b):
        raise ValueError(f"gen and twin need as many rows, got {len(a)} and {len(b)}")
    every = normalize(a.double(), dim=1) @ normalize(b.double(), dim=1).T
    return every[~torch.eye(len(a), dtype=torch.bool)].reshape(len(a), -1)
