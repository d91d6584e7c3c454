"""What theory expects of leading directions, for Gaussian data of the same spectrum.

To first order in 1/N the subspace of the k leading directions loses ``(1/k) sum_{i<=k<j} lambda_i
lambda_j / (lambda_i - lambda_j)^2 / N`` of its overlap (Anderson 1963): the number of rows that it
costs, which gaps between the variances decide. Training sets out of a finite set of M rows are
compared with that set: there 1/N - 1/M stands for 1/N. The variance that the rows span is 1 - n
kappa(0)/Tr Sigma, n = N - 1.
"""

from __future__ import annotations

import numpy as np

from denoscope.theory.linear.equivalents import unseen_variance


def overlap(spectrum: np.ndarray, k: int, sizes: np.ndarray, total: int | None) -> np.ndarray:
    """The expected overlap ``|U_k^T V_k|_F^2 / k`` to first order, sizes' shape; ``total``: how
    many rows there are, None for a law.
    """
    return 1 - cost(spectrum, k) * (1 / sizes - (1 / total if total else 0.0))


def cost(spectrum: np.ndarray, k: int) -> float:
    """The rows that the k leading directions cost together, (1 - overlap) N to first order; +inf
    where the next is no smaller. Anderson 1963.
    """
    inner, outer = spectrum[:k, None], spectrum[None, k:]
    if outer.size and outer.max() >= inner.min():
        return np.inf
    return float((inner * outer / (inner - outer) ** 2).sum()) / k


def spanned(spectrum: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The expected share of the variance that N rows without their mean span, sizes' shape."""
    return 1 - unseen_variance(spectrum, sizes - 1) / spectrum.sum()
