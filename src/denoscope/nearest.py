"""Exact k nearest neighbours in bounded memory: the one primitive under all copy metrics.

Squared distances of whole tiles come from one matrix product, |q - b|² = |q|² + |b|² - 2 q·b on centred rows, which is fast but
rounded. So the product only proposes: every pair whose *lower* bound (the rounded value less its rounding error) is below the k-th
smallest *upper* bound stays a candidate, and candidates are decided by distances computed from differences in float64. What comes out
is therefore the exact answer, the same to the last bit for every memory bound.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Metric = Literal["euclidean", "cosine"]
_UNITS = {"": 1, "b": 1} | {f"{p}{s}": b**e for e, p in enumerate("kmgt", 1) for s, b in (("ib", 1024), ("b", 1000), ("", 1000))}
_SLAB = 1 << 14  # numbers in one block of exact differences: its shape depends on the features alone, never on the memory bound


@dataclass(frozen=True)
class Neighbors:
    """The k nearest bank rows of each query row: ``distance`` (q, k) ascending, ``index`` int64 (q, k); ties have the lowest index first."""

    distance: Tensor
    index: Tensor


def bytes_of(size: str | int) -> int:
    """The number of bytes in ``"1GiB"``, ``"500MB"``, ``"64 KiB"`` or a plain integer; anything else is a ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(size), re.IGNORECASE)
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError(f"a memory size is a number of bytes or a text such as '1GiB' or '500MB', got {size!r}")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def features(x: Tensor | np.ndarray, name: str) -> Tensor:
    """``x`` as an (n, k) tensor of float32 or float64, detached; images, other shapes, and rows that are not finite are a ValueError naming it."""
    x = torch.as_tensor(x).detach()
    if x.ndim == 4:
        raise ValueError(f"{name} is a batch of images of shape {tuple(x.shape)}: describe first, then pass its (n, k) features")
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"{name} needs features of shape (n, k), got {tuple(x.shape)}")
    if x.dtype != torch.float64:
        x = x.to(torch.float32)
    if len(x) and not all(math.isfinite(bound) for bound in torch.aminmax(x)):
        row = int((~torch.isfinite(x)).any(1).nonzero()[0])
        raise ValueError(f"{name} has a value that is not finite in row {row}: drop such rows first")
    return x


def same_space(first: Tensor | np.ndarray, second: Tensor | np.ndarray, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    """Both as features of one dtype; different feature sizes are a ValueError naming both."""
    a, b = features(first, names[0]), features(second, names[1])
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{names[0]} has {a.shape[1]} features a row and {names[1]} has {b.shape[1]}: use one descriptor for both")
    dtype = torch.promote_types(a.dtype, b.dtype)
    return a.to(dtype), b.to(dtype)


def unit(x: Tensor) -> Tensor:
    """Rows of length one in float64, with one more coordinate that is 1 for a zero row: so it has cosine 0 to all rows but its equals."""
    x = x.double()
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return torch.cat([x / norm.where(norm > 0, 1.0), (norm == 0).to(x.dtype)], 1)


def _distances(query: Tensor, rows: Tensor, bank: Tensor, columns: Tensor, metric: Metric) -> Tensor:
    """Exact distances of the pairs (rows[i], columns[i]) from float64 differences, in blocks of one fixed shape."""
    height = max(1, _SLAB // query.shape[1])
    out = torch.empty(len(rows), dtype=query.dtype, device=query.device)
    for start in range(0, len(rows), height):
        stop = min(start + height, len(rows))
        filler = (0, height - (stop - start))
        a = query[torch.nn.functional.pad(rows[start:stop], filler)]
        b = bank[torch.nn.functional.pad(columns[start:stop], filler)]
        a, b = (unit(a), unit(b)) if metric == "cosine" else (a.double(), b.double())
        squared = (a - b).square_().sum(1)[: stop - start]
        out[start:stop] = (squared / 2 if metric == "cosine" else squared.sqrt()).to(query.dtype)
    return out


def paired(
    first: Tensor | np.ndarray, second: Tensor | np.ndarray, *, metric: Metric = "euclidean", names: tuple[str, str] = ("first", "second")
) -> Tensor:
    """The distance of row i to row i, shape (n,), to the last bit as :func:`neighbors` would give it; unequal lengths are a ValueError."""
    a, b = same_space(first, second, names)
    _check_metric(metric)
    if len(a) != len(b):
        raise ValueError(
            f"{names[0]} has {len(a)} rows and {names[1]} has {len(b)}: pairs need row i of one to belong to row i of the other"
        )
    rows = torch.arange(len(a), device=a.device)
    return _distances(a, rows, b, rows, metric)


def _check_metric(metric: str) -> None:
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"metric is 'euclidean' or 'cosine', got {metric!r}")


@dataclass(frozen=True)
class _Frame:
    """Where the matrix product works: centred and scaled points, and ``slack``, the relative rounding error of its squared distances."""

    metric: Metric
    centre: Tensor | float
    scale: float
    dtype: torch.dtype
    slack: float

    @staticmethod
    def of(query: Tensor, bank: Tensor, metric: Metric) -> _Frame:
        exact = query.dtype == torch.float64 or torch.get_float32_matmul_precision() != "highest"
        dtype = torch.float64 if exact else torch.float32
        # probabilistic bound on a rounded inner product: a few sqrt(k) units (Higham and Mary 2019); the constant covers centring and scaling
        slack = (4 * math.sqrt(query.shape[1]) + 16) * torch.finfo(dtype).eps
        if metric == "cosine":
            return _Frame(metric, 0.0, 1.0, dtype, slack)
        largest = max(abs(float(bound)) for x in (query, bank) for bound in torch.aminmax(x))
        exponent = max(-100, min(100, math.frexp(largest)[1]))  # squares must neither overflow nor vanish
        return _Frame(metric, bank.mean(0).to(dtype), 2.0**-exponent, dtype, slack)

    def _points(self, x: Tensor) -> Tensor:
        return unit(x).to(self.dtype) if self.metric == "cosine" else (x.to(self.dtype) - self.centre).mul_(self.scale)

    def queries(self, x: Tensor) -> Tensor:
        """[q, 1] for each row."""
        points = self._points(x)
        return torch.cat([points, points.new_ones(len(points), 1)], 1)

    def bank(self, x: Tensor, width: int) -> Tensor:
        """[-2b, (1 - slack)|b|²] for each row, so that a product with [q, 1] bounds |q - b|² - (1 - slack)|q|² from below; filled up with infinity."""
        points = self._points(x)
        out = points.new_zeros(width, points.shape[1] + 1)
        torch.mul(points, -2, out=out[: len(x), :-1])
        out[: len(x), -1] = points.square_().sum(1).mul_(1 - self.slack)
        out[len(x) :, -1] = math.inf
        return out

    def ceiling(self, low: Tensor, squares: Tensor) -> Tensor:
        """What a pair's lower bound may at most be, if ``low`` is the lower bound of the k-th pair; both less (1 - slack)|q|².

        A pair has d² <= low + 2 slack (|q|² + |b|²), and |b|² <= 2|q|² + 2d²: so d² <= (low + 6 slack |q|²)/(1 - 4 slack).
        """
        shift = squares * (1 - self.slack)
        bound = (low + shift + 6 * self.slack * squares) / (1 - 4 * self.slack) - shift
        return bound.clamp_max(torch.finfo(low.dtype).max)


@dataclass(frozen=True)
class _Sizes:
    """Block sizes under a memory bound: queries at once, tile rows and columns, columns a group, and pairs held before they are thinned."""

    chunk: int
    rows: int
    columns: int
    group: int
    pairs: int

    @staticmethod
    def within(bound: int, bank: int, k: int, width: int) -> _Sizes:
        row = 32 * (width + 2)  # bytes that preparing one row takes
        chunk = bound // 4 // (row + 500 * k)
        widest = bound // 8 // row
        if chunk < 1 or widest < min(bank, 4) or bound < 1 << 20:
            least = max(1 << 20, 32 * row, 4 * (row + 500 * k))
            raise ValueError(f"max_memory of {bound} bytes is too small here: give at least {least}")
        tile = min(1 << 22, bound // 256)  # numbers in a tile; its worst case, every pair a candidate, takes 64 bytes a number
        columns = min(4096, widest, tile, bank)
        columns = math.ceil(bank / math.ceil(bank / columns))
        group = max(1, min(64, columns // (4 * k)))
        columns = math.ceil(columns / group) * group
        return _Sizes(chunk, max(1, tile // columns), columns, group, bound // 400)


class _Candidates:
    """Pairs that may be among the k nearest of their row, each with its lower bound."""

    def __init__(self, query: Tensor, bank: Tensor, k: int, metric: Metric):
        self.query, self.bank, self.k = query, bank, k
        self.metric: Metric = metric
        self.parts: list[tuple[Tensor, Tensor, Tensor]] = []
        self.count = 0

    def add(self, rows: Tensor, columns: Tensor, low: Tensor) -> None:
        self.parts.append((rows, columns, low))
        self.count += len(rows)

    def thin(self, ceiling: Tensor, most: int) -> None:
        """Drops pairs above their row's ceiling; if more than ``most`` are left, keeps the k exactly nearest of each row."""
        rows, columns, low = (torch.cat(part) for part in zip(*self.parts))
        keep = (low <= ceiling[rows]).nonzero()[:, 0]
        rows, columns, low = rows[keep], columns[keep], low[keep]
        if len(rows) > most:
            keep, _ = self._nearest(rows, columns)
            rows, columns, low = rows[keep], columns[keep], low[keep]
        self.parts, self.count = [(rows, columns, low)], len(rows)

    def _nearest(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Positions of the k nearest pairs of each row, ordered by (row, distance, column), and their distances."""
        distance = _distances(self.query, rows, self.bank, columns, self.metric)
        order = columns.argsort(stable=True)
        order = order[distance[order].argsort(stable=True)]
        order = order[rows[order].argsort(stable=True)]
        counts = torch.bincount(rows, minlength=len(self.query))
        rank = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows[order]]
        order = order[rank < self.k]
        return order, distance[order]

    def result(self, ceiling: Tensor) -> Neighbors:
        self.thin(ceiling, self.count)
        rows, columns, _ = self.parts[0]
        order, distance = self._nearest(rows, columns)
        shape = (len(self.query), self.k)
        return Neighbors(distance.reshape(shape), columns[order].reshape(shape))


def _search(query: Tensor, bank: Tensor, k: int, frame: _Frame, sizes: _Sizes, first: int | None) -> Neighbors:
    """The neighbours of one chunk of queries; with ``first``, query i is bank row first + i and is not its own neighbour."""
    points = frame.queries(query)
    squares = points[:, :-1].square().sum(1)
    best = points.new_full((len(query), k), math.inf)  # lower bounds of k pairs of each row, the least seen so far
    candidates = _Candidates(query, bank, k, frame.metric)
    buffer = points.new_empty(min(sizes.rows, len(query)), sizes.columns)
    for left in range(0, len(bank), sizes.columns):
        block = frame.bank(bank[left : left + sizes.columns], sizes.columns).T
        for top in range(0, len(query), sizes.rows):
            here = slice(top, min(top + sizes.rows, len(query)))
            tile = torch.mm(points[here], block, out=buffer[: here.stop - top])
            if first is not None:
                tile.diagonal(first + top - left).fill_(math.inf)
            groups = tile.view(len(tile), sizes.group, -1)
            least = groups.amin(1)
            best[here] = torch.cat([best[here], least], 1).topk(k, largest=False).values
            ceiling = frame.ceiling(best[here].amax(1), squares[here])
            row, column = (least <= ceiling[:, None]).nonzero().T
            values = groups[row, :, column]
            at, member = (values <= ceiling[row, None]).nonzero().T
            candidates.add(top + row[at], left + member * groups.shape[2] + column[at], values[at, member])
            if candidates.count > sizes.pairs:
                candidates.thin(frame.ceiling(best.amax(1), squares), sizes.pairs // 2)
    return candidates.result(frame.ceiling(best.amax(1), squares))


@torch.no_grad()
def neighbors(
    query: Tensor | np.ndarray,
    bank: Tensor | np.ndarray,
    k: int = 1,
    *,
    metric: Metric = "euclidean",
    exclude_self: bool = False,
    max_memory: str | int = "1GiB",
) -> Neighbors:
    """The k nearest rows of ``bank`` (n, d) to each row of ``query`` (q, d), exactly.

    Distances are Euclidean (not squared) or 1 - cosine, in the dtype of the features, computed from float64 differences: duplicates are at
    exactly 0. Ties have the lowest index first. A zero row has cosine 0 to every row but another zero row. ``exclude_self``: query i is
    bank row i, which is left out. ``max_memory`` bounds what is used beside inputs and result (the matrix library's own buffers come on top); it never changes the
    result. More neighbours than bank rows, values that are not finite, and different sizes are a ValueError.
    """
    query, bank = same_space(query, bank, ("query", "bank"))
    _check_metric(metric)
    if exclude_self and len(query) != len(bank):
        raise ValueError(f"exclude_self needs query and bank to be the same rows, got {len(query)} and {len(bank)}")
    if not 1 <= k <= len(bank) - exclude_self:
        raise ValueError(f"k = {k} neighbours were asked of a bank that offers {len(bank) - exclude_self}")
    if not len(query):
        return Neighbors(query.new_empty(0, k), torch.empty(0, k, dtype=torch.int64, device=query.device))
    sizes = _Sizes.within(bytes_of(max_memory), len(bank), k, query.shape[1])
    frame = _Frame.of(query, bank, metric)
    starts = range(0, len(query), sizes.chunk)
    found = [_search(query[s : s + sizes.chunk], bank, k, frame, sizes, s if exclude_self else None) for s in starts]
    return Neighbors(torch.cat([f.distance for f in found]), torch.cat([f.index for f in found]))
