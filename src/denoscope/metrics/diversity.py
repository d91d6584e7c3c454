"""How many different things a set shows: the Vendi score.

With K_ij = cos(x_i, x_j) and p the eigenvalues of K/n, which sum to 1, the score is the exponential
of their Rényi entropy, (sum p^q)^(1/(1 - q)): the effective number of rows that have nothing in
common. X X^T and X^T X share their eigenvalues: the smaller is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.metrics.jackknife import blocks, interval
from denoscope.metrics.protocol import metric
from denoscope.nearest import features, unit
from denoscope.threads import each

_ROWS = 4096


def effective_number(eigenvalues: Tensor, q: float = 1.0) -> float:
    """(sum p^q)^(1/(1 - q)) of p = eigenvalues/their sum; exp of Shannon's entropy at q = 1, their
    number at q = 0, 1/max p at q = inf.

    Eigenvalues below the rounding error of the largest are zero.
    """
    largest = float(eigenvalues.max())
    p = eigenvalues[eigenvalues > len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps * largest]
    logs = (p / p.sum()).log()
    if math.isinf(q):
        return math.exp(-float(logs.max()))
    if abs(q - 1) < 1e-8:  # nearer, the quotient below loses more than the limit is off
        return math.exp(-float((logs.exp() * logs).sum()))
    return math.exp(float(torch.logsumexp(q * logs, 0)) / (1 - q))


def _across_rows(x: Tensor) -> Callable[[Tensor | None], Tensor]:
    """X X^T of rows of length one, whole or without the rows that are said."""
    points = unit(x)
    gram = points @ points.T
    return lambda out: gram if out is None else gram[~out][:, ~out]


def _across_columns(x: Tensor) -> Callable[[Tensor | None], Tensor]:
    """X^T X of rows of length one, whole or without the rows that are said."""

    def part(rows: Tensor) -> Tensor:
        points = unit(rows)
        return points.T @ points

    gram = sum((part(rows) for rows in x.split(_ROWS)), x.new_zeros(()).double())
    return lambda out: gram if out is None else gram - part(x[out])


def _numbers(x: Tensor, block: Tensor, q: float) -> list[float]:
    """The effective numbers of all rows, then without each block in turn, from the smaller Gram
    matrix.
    """
    gram = _across_rows(x) if len(x) <= x.shape[1] else _across_columns(x)

    def number(out: Tensor | None) -> float:
        some = gram(out)
        return effective_number(torch.linalg.eigvalsh(some / some.trace()), q)

    return each(number, [None, *(block == index for index in block.unique() if len(x) > 1)])


@metric("friedman2023", "pasarkar2024", "efron1981")
def vendi(gen: Tensor | np.ndarray, *, q: float = 1, seed: int = 0) -> Estimate:
    """The effective number of rows of ``gen`` (n, k) that are nothing alike by cosine, between 1
    and n (Friedman and Dieng 2023).

    ``q`` from 0 to infinity is the order of the entropy (Pasarkar and Dieng 2024): 1 is Shannon's,
    smaller ones weigh rare rows more. A zero row has cosine 0 to all rows but zero rows. A score
    grows with n: compare sets of one size. The interval is by a delete-block jackknife, rows dealt
    into 20 blocks with ``seed``.
    """
    if not q >= 0:
        raise ValueError(f"q is the order of an entropy, from 0 to infinity, got {q}")
    x = features(gen, "gen")
    if not len(x):
        raise ValueError("gen has no rows")
    value, *without = _numbers(x, blocks(x, seed=seed), q)
    return interval(value, without, n=len(x), low=1.0, high=float(len(x)))
