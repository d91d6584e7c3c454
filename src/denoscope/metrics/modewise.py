"""Samples and laws along given directions: variances, and agreement of two models mode by mode."""

from __future__ import annotations

import numpy as np


def variances_along(cov: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The variance of a law of covariance (d, d) along each column of ``vectors`` (d, k), (k,)."""
    return ((cov @ vectors) * vectors).sum(0)


def squares(rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Squared deviations of ``rows`` (N, d) from their mean along each column, (N, k) in float32:
    their mean over rows is the variance.
    """
    return (((rows - rows.mean(0)) @ vectors) ** 2).astype(np.float32)


def correlations(first: np.ndarray, second: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Pearson's correlation along each column between samples (N, d) of two models from the same
    noises, (k,); 0 where one of them does not vary.
    """
    a, b = ((rows - rows.mean(0)) @ vectors for rows in (first, second))
    scale = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return np.divide((a * b).sum(0), scale, out=np.zeros_like(scale), where=scale > 0)
