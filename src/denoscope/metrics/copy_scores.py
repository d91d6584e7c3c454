"""Nearest training rows of which the second nearest is no near-duplicate of the nearest.

A row q with nearest training row x* at distance d1 is compared with the distance d2 to the nearest
training row that is no near-duplicate of x*: neither equal to it nor nearer to it than ``spacing``.
d1/d2 is small for a copy however often x* was repeated. Near-duplicates are those of x* alone, not
a connected component, which can chain through a set of low dimension. Left one out, a training row
meets the rows that are not its own near-duplicates: those nearer than the spacing *and* a third as
far as the nearest row beyond the spacing. By the spacing alone a declared share of independent rows
would lose its nearest neighbours, and what is left would look less like a copy than fresh rows do.
In fewer than about five dimensions, where such close pairs come by chance, some of that remains.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from denoscope.metrics.distinct_neighbors import DistinctNeighborSearch
from denoscope.metrics.near_duplicates import KEPT
from denoscope.metrics.shares import quotient
from denoscope.nearest import Neighbors, distances, features, neighbors, same_space, unit

KINDS = ("ratio", "cosine")
_MAPPED = 1 << 28  # bytes of a space beyond which it lies in a temporary file
_BLOCK = 1 << 22  # numbers that are made of length one at once


@dataclass(frozen=True, eq=False)
class CopyScores:
    """Of n rows against the training set: ``score`` (larger is more like a copy), the ``nearest``
    training row's distance and ``index``, the distance ``second`` to the nearest one that is no
    near-duplicate of it (infinite if there is none), the ``cosine`` similarity to the nearest, and
    ``plain``, nearest over second nearest row whatever these are; all (n,), float64 but for the
    int64 index.
    """

    score: Tensor
    nearest: Tensor
    index: Tensor
    second: Tensor
    cosine: Tensor
    plain: Tensor

    def __len__(self) -> int:
        return len(self.score)

    def at(self, rows: Tensor) -> CopyScores:
        """The scores of some rows, by their numbers or by a mask."""
        return CopyScores(*(getattr(self, item.name)[rows] for item in fields(self)))

    @property
    def ratio(self) -> Tensor:
        """nearest/second; 0 if both are 0."""
        return quotient(self.nearest, self.second)


def space(x: Tensor | np.ndarray, kind: str, *, name: str = "features") -> Tensor:
    """The rows between which a descriptor of this ``kind`` takes Euclidean distances: as they are
    for ``"ratio"``, of length one for ``"cosine"``.

    A row of zeros has cosine 0 to all but its equals, by one more coordinate. Many rows of length
    one lie in a temporary file.
    """
    if kind not in KINDS:
        raise ValueError(f"a score is one of {', '.join(KINDS)}, got {kind!r}")
    rows = features(x, name, half=True)
    if kind == "ratio":
        return rows
    precise = torch.promote_types(rows.dtype, torch.float32)
    out = _stored((len(rows), rows.shape[1] + 1), precise)
    height = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), height):
        out[start : start + height] = unit(rows[start : start + height])
    return out


def _stored(shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Room for a matrix: in memory, or in a file without a name where it is large; a full disk is
    an OSError here and not later.
    """
    size = shape[0] * shape[1] * dtype.itemsize
    if size <= _MAPPED:
        return torch.empty(shape, dtype=dtype)
    with tempfile.TemporaryFile() as file:
        block = bytes(1 << 24)
        for start in range(0, size, len(block)):
            file.write(block[: size - start])
        file.flush()
        return torch.from_numpy(
            np.memmap(file, dtype=torch.empty(0, dtype=dtype).numpy().dtype, mode="r+", shape=shape)
        )


def scores(
    query: Tensor | np.ndarray,
    train: Tensor | np.ndarray,
    *,
    kind: str,
    spacing: float,
    exclude_self: bool = False,
    found: Neighbors | None = None,
) -> CopyScores:
    """How much each row of ``query`` (n, k) is like a copy of a row of ``train``, both in the
    :func:`space` of ``kind``.

    The score is 1 - nearest/second for ``"ratio"``, the largest cosine for ``"cosine"``.
    ``exclude_self``: query is train, and each row is scored by the others. ``found`` are nearest
    rows, two or more, that are known already. For the ratio a training set whose rows are all
    near-duplicates of one another is a ValueError, and so is a row without others.
    """
    a, b = same_space(query, train, ("query", "train"), half=True)
    if len(b) < 2 + exclude_self:
        raise ValueError(
            f"train has {len(b)} rows: too few to tell near-duplicates of the nearest from others"
        )
    known = (
        neighbors(a, b, min(KEPT, len(b) - exclude_self), exclude_self=exclude_self)
        if found is None
        else found
    )
    nearest, index, second = DistinctNeighborSearch(a, b, spacing, exclude_self).solve(known)
    if bool(nearest.isinf().any()) or (kind == "ratio" and bool(second.isinf().any())):
        raise ValueError(
            "all rows of train are near-duplicates of one another: the nearest cannot be "
            "compared with another one"
        )
    cosine = 1 - nearest.square() / 2 if kind == "cosine" else cosines(a, b, index)
    score = cosine if kind == "cosine" else 1 - quotient(nearest, second)
    return CopyScores(
        score, nearest, index, second, cosine, quotient(*known.distance[:, :2].double().T)
    )


def cosines(query: Tensor, train: Tensor, index: Tensor) -> Tensor:
    """The cosine similarity of each row of ``query`` (n, k) to the row of ``train`` at ``index``,
    float64 (n,).
    """
    here = torch.arange(len(query), device=query.device)
    return 1 - distances(query, here, train, index, "cosine").double()
