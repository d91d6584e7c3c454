"""The leading directions of training sets beside those of the law: overlaps, angles, and the
variance they capture.

V_k are the k leading eigenvectors of the law's covariance Sigma (for images of the whole set), here
the first k axes, and U_k those of the training covariance, of which N rows without their mean give
N - 1 at most: directions that are missing overlap with nothing.
"""

from __future__ import annotations

import numpy as np

from denoscope.data.population import MeanCovariance, Population

COUNTS = (1, 3, 10, 30)
"""How many leading directions are looked at together."""

SHOWN = 8
"""Directions shown as images, and compared one by one."""


def counts(d: int) -> tuple[int, ...]:
    """The numbers of directions that leave others to be mistaken for."""
    return tuple(k for k in COUNTS if k < d)


def leading(rows: np.ndarray) -> np.ndarray:
    """The eigenvectors of the rows' covariance as rows, largest variance first, zero where the rows
    span no further, shape (d, d).

    Each has the sign with which it points along the law's direction of its rank.
    """
    values, vectors = np.linalg.eigh(MeanCovariance.of(rows).cov)
    spanned = values > len(values) * np.finfo(np.float64).eps * values[-1]
    found = (vectors * spanned).T[::-1]
    return found * np.where(np.diag(found) < 0, -1.0, 1.0)[:, None]


def measured(
    population: Population, n: int, count: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Every number of ``count`` training sets of n rows, by name, each (count,); and the first
    set's leading directions (SHOWN, d).
    """
    rows, first = [], np.zeros((0, 0))
    for seed in range(count):
        train, test = population.draw(n, seed)
        found = leading(train)
        variance = np.einsum("ij,jk,ik->i", found, test.cov, found)
        rows.append(
            _compared(found) | _captured(variance, float(np.trace(test.cov)), population.spectrum)
        )
        first = found[:SHOWN] if not seed else first
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}, first


def _compared(found: np.ndarray) -> dict[str, float]:
    """For each k the overlap ``|U_k^T V_k|_F^2 / k`` and the largest principal angle in degrees;
    for each single direction |cos|.
    """
    numbers = {f"cos_{i + 1}": abs(float(found[i, i])) for i in range(min(SHOWN, len(found)))}
    for k in counts(len(found)):
        cosines = np.clip(np.linalg.svd(found[:k, :k], compute_uv=False), 0.0, 1.0)
        numbers |= {
            f"overlap_{k}": float((cosines**2).mean()),
            f"angle_{k}": float(np.degrees(np.arccos(cosines[-1]))),
        }
    return numbers


def _captured(variance: np.ndarray, total: float, spectrum: np.ndarray) -> dict[str, float]:
    """The share of the test data's variance that all training directions hold, and what the k
    leading ones hold of what k can hold.
    """
    best = np.cumsum(spectrum) / spectrum.sum()
    return {"span": float(variance.sum()) / total} | {
        f"captured_{k}": float(variance[:k].sum()) / total / float(best[k - 1])
        for k in counts(len(spectrum))
    }
