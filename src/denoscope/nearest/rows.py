"""Rows of features, and exact distances of pairs of them."""

from __future__ import annotations

import math
import re
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Metric = Literal["euclidean", "cosine"]
_UNITS = {"": 1, "b": 1} | {
    f"{p}{s}": b**e
    for e, p in enumerate("kmgt", 1)
    for s, b in (("ib", 1024), ("b", 1000), ("", 1000))
}
_SLAB = 1 << 14
"""Numbers in one block of exact differences: its shape depends on the features alone, never on the
memory bound.
"""


def bytes_of(size: str | int) -> int:
    """The number of bytes in ``"1GiB"``, ``"500MB"``, ``"64 KiB"`` or a plain integer; anything
    else is a ValueError.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(size), re.IGNORECASE)
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError(
            f"a memory size is a number of bytes or a text such as '1GiB' or '500MB', got {size!r}"
        )
    return int(float(match[1]) * _UNITS[match[2].lower()])


def features(x: Tensor | np.ndarray, name: str, *, half: bool = False) -> Tensor:
    """``x`` as an (n, k) tensor of float32 or float64, or as it is at ``half`` precision, detached;
    images, other shapes, and rows that are not finite are a ValueError naming it.
    """
    x = torch.as_tensor(x).detach()
    if x.ndim == 4:
        raise ValueError(
            f"{name} is a batch of images of shape {tuple(x.shape)}: describe first, then "
            "pass its (n, k) features"
        )
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"{name} needs features of shape (n, k), got {tuple(x.shape)}")
    if x.dtype != torch.float64 and not (half and x.dtype == torch.float16):
        x = x.to(torch.float32)
    if len(x) and not all(math.isfinite(bound) for bound in torch.aminmax(x)):
        row = int((~torch.isfinite(x)).any(1).nonzero()[0])
        raise ValueError(
            f"{name} has a value that is not finite in row {row}: drop such rows first"
        )
    return x


def same_space(
    first: Tensor | np.ndarray,
    second: Tensor | np.ndarray,
    names: tuple[str, str],
    *,
    half: bool = False,
) -> tuple[Tensor, Tensor]:
    """Both as features of one dtype; different feature sizes are a ValueError naming both."""
    a, b = (features(x, name, half=half) for x, name in zip((first, second), names, strict=True))
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"{names[0]} has {a.shape[1]} features per row and {names[1]} has {b.shape[1]}: "
            "use one descriptor for both"
        )
    dtype = torch.promote_types(a.dtype, b.dtype)
    return a.to(dtype), b.to(dtype)


def unit(x: Tensor) -> Tensor:
    """Rows of length one in float64, with one more coordinate that is 1 for a zero row: so it has
    cosine 0 to all rows but its equals.
    """
    x = x.double()
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return torch.cat([x / norm.where(norm > 0, 1.0), (norm == 0).to(x.dtype)], 1)


def distances(query: Tensor, rows: Tensor, bank: Tensor, columns: Tensor, metric: Metric) -> Tensor:
    """Exact distances of the pairs (rows[i], columns[i]) from float64 differences, in blocks of one
    fixed shape; float32 for rows at half precision.
    """
    height = max(1, _SLAB // query.shape[1])
    kind = torch.promote_types(query.dtype, torch.float32)
    out = torch.empty(len(rows), dtype=kind, device=query.device)
    for start in range(0, len(rows), height):
        stop = min(start + height, len(rows))
        filler = (0, height - (stop - start))
        a = query[torch.nn.functional.pad(rows[start:stop], filler)]
        b = bank[torch.nn.functional.pad(columns[start:stop], filler)]
        a, b = (unit(a), unit(b)) if metric == "cosine" else (a.double(), b.double())
        squared = (a - b).square_().sum(1)[: stop - start]
        out[start:stop] = (squared / 2 if metric == "cosine" else squared.sqrt()).to(kind)
    return out


def paired(
    first: Tensor | np.ndarray,
    second: Tensor | np.ndarray,
    *,
    metric: Metric = "euclidean",
    names: tuple[str, str] = ("first", "second"),
) -> Tensor:
    """The distance of row i to row i, shape (n,), to the last bit as :func:`neighbors` would give
    it; unequal lengths are a ValueError.
    """
    a, b = same_space(first, second, names)
    check_metric(metric)
    if len(a) != len(b):
        raise ValueError(
            f"{names[0]} has {len(a)} rows and {names[1]} has {len(b)}: pairs need row i "
            "of one to belong to row i of the other"
        )
    rows = torch.arange(len(a), device=a.device)
    return distances(a, rows, b, rows, metric)


def check_metric(metric: str) -> None:
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"metric is 'euclidean' or 'cosine', got {metric!r}")
