"""Bounds of a numerical rank from a partial basis and random probes of what is outside of it:
numbers in, numbers out.

The formulas and their symbols stand in ``denoscope.geometry.ranks``. Degrees of freedom are those
of Satterthwaite (1946), |R R^T|_F^2 from the products of different probes; they are halved for the
error of that estimate and at least m, those of one direction, the least that can be.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaincinv

CONFIDENCE = 0.99
CUTS = 32
SPLITS = (0.1, 0.3, 1.0)
"""Values of m and e that are tried."""


class Bounds(NamedTuple):
    """``low <= rank <= high`` (high = None: not bounded), |J|_F^2 with its bounds, what the basis
    captured of it, the ``line`` that the rank exceeds, and ``freedom``, how many equal directions
    the rest is like (|R|_F^4/|R R^T|_F^2); what probes leave open is ``blur``: how far the line may
    move, or how much one direction outside may have.
    """

    rank: int
    low: int
    high: int | None
    energy: float
    energy_low: float
    energy_high: float
    captured: float
    line: float
    freedom: float
    blur: float


def bounds(squares: np.ndarray, pending: np.ndarray, gram: np.ndarray, share: float) -> Bounds:
    """What theta^2 (k,) descending, the squared parts (k,) of z_i in the last block, and the Gram
    matrix (m, m) of the R^T g say of the rank.
    """
    captured = np.concatenate([[0.0], np.cumsum(squares)])
    rest, rest_low, rest_high, largest, freedom = remainder(gram)
    parts = (share * (captured[-1] + part) for part in (rest_low, rest, rest_high))
    low_line, line, high_line = parts
    high = _first(captured, high_line)
    ceiling = ceilings(captured, largest * np.cumsum(pending), largest, rest_high)
    low = _first(ceiling, low_line) or len(captured) + _beyond(low_line - ceiling[-1], largest)
    rank = _first(captured, line) or max(low, len(captured))
    whole, least, most = (float(captured[-1] + part) for part in (rest, rest_low, rest_high))
    rank = max(low, min(rank, high or rank))
    error, kept = max(high_line - low_line, largest), float(captured[-1])
    return Bounds(rank, low, high, whole, least, most, kept, float(line), freedom, error)


def remainder(gram: np.ndarray) -> tuple[float, float, float, float, float]:
    """``|R|_F^2``, its bounds, a bound of ``|R|_2^2`` and |R|_F^4/|R R^T|_F^2, from the Gram matrix
    of m probes; each bound fails with a third of 1 - ``CONFIDENCE``.
    """
    m, miss = len(gram), (1 - CONFIDENCE) / 3
    rest = np.trace(gram) / m
    if rest <= 0:
        return 0.0, 0.0, 0.0, 0.0, 1.0
    cross = (np.square(gram).sum() - np.square(np.diag(gram)).sum()) / (m * (m - 1))
    freedom = max(1.0, float(rest**2 / max(cross, np.finfo(float).tiny)))
    units = max(m, m * freedom / 2)
    low, high = units * rest / _chi_square(np.array([1 - miss, miss]), units)
    bound = min(high, np.linalg.eigvalsh(gram)[-1] / float(_chi_square(miss, m)))
    return rest, low, high, bound, freedom


def _chi_square(level: float | np.ndarray, freedom: float) -> np.ndarray:
    """Quantiles of the chi-square distribution."""
    return 2 * gammaincinv(freedom / 2, level)


def ceilings(captured: np.ndarray, coupling: np.ndarray, largest: float, rest: float) -> np.ndarray:
    """Upper bounds (k + 1,) of F_0 .. F_k: ``captured`` f_0 .. f_k, ``coupling`` c_1^2 .. c_k^2."""
    k = len(captured) - 1
    r, j = np.arange(k + 1)[:, None], np.arange(k + 1)[None]
    outside = np.minimum(np.arange(k + 1) * largest, rest)
    coupling = np.concatenate([[0.0], coupling])
    best = np.full(k + 1, captured[-1] + rest)
    for m in np.unique(np.linspace(0, k, CUTS + 1).astype(int)):
        inside = captured[np.clip(r - j, 0, m)] + captured[np.minimum(m + j, k)] - captured[m]
        allowed = (j <= r) & (r - j <= m)
        for e in SPLITS:
            split = np.where(allowed, inside + (1 + e) * outside, 0.0).max(1)
            best = np.minimum(best, split + (1 + 1 / e) * coupling[m])
    return best


def _first(sums: np.ndarray, line: float) -> int | None:
    """The first place where the sums exceed the line, if any does."""
    above = np.flatnonzero(sums > line)
    return int(above[0]) if len(above) else None


def _beyond(missing: float, largest: float) -> int:
    """How many directions of the largest energy the missing energy takes beyond the first."""
    return max(0, int(np.ceil(missing / largest)) - 1) if largest > 0 else 0
