"""How many different things a set shows: the Vendi score.

With K_ij = cos(x_i, x_j) and p the eigenvalues of K/n, which sum to 1, the score is the exponential of their Rényi entropy,
(sum p^q)^(1/(1 - q)): the effective number of rows that have nothing in common. X X^T and X^T X share their eigenvalues: the smaller is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import Estimate
from denoscope.metrics.jackknife import blocks, interval
from denoscope.metrics.protocol import metric
from denoscope.nearest import features, unit

_ROWS = 4096


def effective_number(eigenvalues: Tensor, q: float = 1.0) -> float:
    """(sum p^q)^(1/(1 - q)) of p = eigenvalues/their sum; exp of Shannon's entropy at q = 1, their number at q = 0, 1/max p at q = inf.

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


def _across_rows(x: Tensor, left_out: list[Tensor]) -> Iterator[Tensor]:
    points = unit(x)
    gram = points @ points.T
    yield gram
    for out in left_out:
        yield gram[~out][:, ~out]


def _across_columns(x: Tensor, left_out: list[Tensor]) -> Iterator[Tensor]:
    def part(rows: Tensor) -> Tensor:
        points = unit(rows)
        return points.T @ points

    gram = sum((part(rows) for rows in x.split(_ROWS)), x.new_zeros(()).double())
    yield gram
    for out in left_out:
        yield gram - part(x[out])


def _spectra(x: Tensor, block: Tensor) -> Iterator[Tensor]:
    """The eigenvalues of K/n of all rows, then without each block in turn, from the smaller Gram matrix."""
    left_out = [block == index for index in block.unique()] if len(x) > 1 else []
    grams = _across_rows(x, left_out) if len(x) <= x.shape[1] else _across_columns(x, left_out)
    for gram in grams:
        yield torch.linalg.eigvalsh(gram / gram.trace())


@metric("friedman2023", "pasarkar2024", "efron1981")
def vendi(gen: Tensor | np.ndarray, *, q: float = 1, seed: int = 0) -> Estimate:
    """The effective number of rows of ``gen`` (n, k) that are nothing alike by cosine, between 1 and n (Friedman and Dieng 2023).

    ``q`` from 0 to infinity is the order of the entropy (Pasarkar and Dieng 2024): 1 is Shannon's, smaller ones weigh rare rows more. A
    zero row has cosine 0 to all rows but zero rows. A score grows with n: compare sets of one size. The interval is by a delete-block
    jackknife, rows dealt into 20 blocks with ``seed``.
    """
    if not q >= 0:
        raise ValueError(f"q is the order of an entropy, from 0 to infinity, got {q}")
    x = features(gen, "gen")
    if not len(x):
        raise ValueError("gen has no rows")
    value, *without = (effective_number(spectrum, q) for spectrum in _spectra(x, blocks(x, seed=seed)))
    return interval(value, without, n=len(x), low=1.0, high=float(len(x)))
