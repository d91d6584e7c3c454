"""Spectra of covariances: power laws, how many directions count, and what sampling makes of white
data (Marchenko and Pastur).

Symbols: lambda_nu the eigenvalues of a covariance S of dimension d; phi = d/N for N items; the
Marchenko-Pastur law is the spectrum of (1/N) X^T X with independent entries of variance 1 in the
limit of large d and N: a density on [(1 - sqrt phi)^2, (1 + sqrt phi)^2] and, where phi > 1, an
atom of weight 1 - 1/phi at 0. Its moments are E x^s = 2F1(-s, 1 - s; 2; phi) for phi <= 1; where
phi > 1 its eigenvalues above 0 are phi times those of 1/phi.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import hyp2f1

from denoscope.theory.inputs import eigen, finite, numeric, variances, within


@numeric
def power_law(d: int, k: float, trace: float | None = None) -> Any:
    """The spectrum nu^-k, nu = 1..d, scaled to the sum ``trace`` (default d, a mean variance of 1),
    shape (d,).

    Source: Merger and Goldt 2025.
    """
    if int(d) != d or d < 1:
        raise ValueError(f"d must be a whole number of at least 1, got {d}")
    total = within("trace", d if trace is None else trace, 0, np.inf)
    exponent = float(finite("k", k))
    powers = (
        np.arange(1.0, int(d) + 1) / (d if exponent < 0 else 1)
    ) ** -exponent  # the largest is 1: no overflow
    return powers * (total / powers.sum())


def without_rounding(name: str, value: Any) -> np.ndarray:
    """``value`` (*s, d) as variances, what an eigendecomposition leaves of zero (at most d eps
    times the largest) set to 0.

    Below zero by more than 1e-7 of the largest is a ValueError naming the argument.
    """
    numbers = np.atleast_1d(finite(name, value))
    largest = np.abs(numbers).max(-1, keepdims=True, initial=0)
    variances(name, np.where(numbers > -1e-7 * largest, np.maximum(numbers, 0), numbers))
    return np.where(numbers > numbers.shape[-1] * np.finfo(np.float64).eps * largest, numbers, 0.0)


@numeric
def support(spectrum: ArrayLike) -> Any:
    """The variances of a spectrum (d,) that are not 0, up to rounding; shape (rank,)."""
    numbers = np.ravel(without_rounding("spectrum", spectrum))
    return numbers[numbers > 0]


@numeric
def participation_ratio(x_or_cov: ArrayLike, *, correct: bool = False) -> Any:
    """``d_eff = (Tr S)^2 / Tr S^2``, between 1 and the rank of the covariance S; 0 where nothing
    varies.

    A vector is the spectrum of S, a symmetric square is S itself, any other matrix holds items as
    rows (their mean is subtracted). ``correct`` removes the bias of n items, 1/d_pop = 1/d_emp -
    1/n (positive, because n items less their mean have d_emp <= n - 1); without items it is a
    ValueError. ||S - S_0||_F^2 / ||S||_F^2 is about d_eff/n for the covariance S_0 of n items.
    Source: Merger and Goldt 2025.
    """
    given = finite("x_or_cov", x_or_cov)
    items = given.ndim == 2 and not _symmetric(given)
    if correct and not items:
        raise ValueError(
            "correct needs the items themselves, as rows of x_or_cov; a covariance does "
            "not tell their number"
        )
    first, second = _moments(given, items)
    if first == 0:
        return np.zeros(())
    return 1 / np.asarray(second / first**2 - (1 / len(given) if correct else 0.0))


@numeric
def covariance_error(effective: ArrayLike, n: ArrayLike) -> Any:
    """The expected ``|S_0 - S|_F^2 / |S|_F^2`` of n Gaussian items less their mean, exact at any n;
    about d_eff/n, with ``effective`` the participation ratio. Moments of the Wishart law.
    """
    count = within("n", n, 1, np.inf, closed=True)
    return ((count - 1) * (within("effective", effective, 0, np.inf) + 1) + 1) / count**2


@numeric
def leading_cost(spectrum: ArrayLike, k: int) -> Any:
    """The rows that the k leading directions of a falling ``spectrum`` (d,) cost together,
    ``(1/k) sum_{i<=k<j} lambda_i lambda_j / (lambda_i - lambda_j)^2``: (1 - overlap) n to first
    order; +inf where the next variance is no smaller. Source: Anderson 1963.
    """
    given = np.ravel(variances("spectrum", spectrum))
    inner, outer = given[:k, None], given[None, k:]
    if outer.size and outer.max() >= inner.min():
        return np.asarray(np.inf)
    return (inner * outer / (inner - outer) ** 2).sum() / k


@numeric
def leading_overlap(spectrum: ArrayLike, k: int, n: ArrayLike, total: int | None = None) -> Any:
    """The expected overlap ``|U_k^T V_k|_F^2 / k`` of the k leading directions of n rows with those
    of their law, to first order in 1/n, n's shape; of rows out of ``total`` with those of all, 1/n
    - 1/total stands for 1/n.
    """
    count = within("n", n, 1, np.inf, closed=True)
    return 1 - leading_cost(spectrum, k) * (1 / count - (1 / total if total else 0.0))


def _symmetric(matrix: np.ndarray) -> bool:
    """Square and its own transpose up to what float32 rounds."""
    return matrix.shape[0] == matrix.shape[1] and bool(
        np.allclose(matrix, matrix.T, rtol=0, atol=1e-7 * np.abs(matrix).max(initial=0))
    )


def _moments(given: np.ndarray, items: bool) -> tuple[float, float]:
    """Tr S and Tr S^2 up to a common scale and its square."""
    if items:
        centred = given - given.mean(0)
        gram = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
        return float(np.trace(gram)), float((gram**2).sum())
    spectrum = variances("x_or_cov", given) if given.ndim < 2 else eigen("x_or_cov", given)[0]
    return float(spectrum.sum()), float((spectrum**2).sum())


@numeric
def marchenko_pastur_edges(phi: ArrayLike) -> tuple[Any, Any]:
    """The ends ``(1 -+ sqrt phi)^2`` for unit variance. Source: Marchenko and Pastur 1967."""
    root = np.sqrt(_ratio(phi))
    return (1 - root) ** 2, (1 + root) ** 2


@numeric
def marchenko_pastur_density(x: ArrayLike, phi: ArrayLike) -> Any:
    """The density ``sqrt((x - a)(b - x)) / (2 pi phi x)`` at x, 0 outside [a, b]; broadcast; it
    integrates to min(1, 1/phi).

    +inf at x = 0 where phi = 1 (the one integrable singularity).
    """
    x, phi = np.broadcast_arrays(finite("x", x), _ratio(phi))
    low, high = (1 - np.sqrt(phi)) ** 2, (1 + np.sqrt(phi)) ** 2
    inside = (x > 0) & (x >= low) & (x <= high)
    there = np.where(inside, x, 1.0)
    height = np.sqrt(np.where(inside, (there - low) * (high - there), 0.0)) / (
        2 * np.pi * phi * there
    )
    return np.where((x == 0) & (low == 0), np.inf, height)


@numeric
def marchenko_pastur_atom(phi: ArrayLike) -> Any:
    """The share ``max(0, 1 - 1/phi)`` of exact zeros: directions that N < d items do not span."""
    return np.maximum(0.0, 1 - 1 / _ratio(phi))


@numeric
def disjoint_agreement(phi: ArrayLike) -> Any:
    """``q = (E sqrt x)^2`` under Marchenko-Pastur: the overlap of samples of two linear models
    trained on disjoint sets of N = d/phi items.

    Both make their sample sqrt(S_0) u from the same noise u; for white data the two empirical
    covariances are free, so that (1/d) Tr sqrt(S_1) sqrt(S_2) is the product of the two means. 1 at
    phi = 0, (8/(3 pi))^2 at phi = 1. Source: Maillard and Goldt 2026.
    """
    phi = within("phi", phi, 0, np.inf, closed=True)
    wide = np.maximum(phi, 1.0)
    return hyp2f1(-0.5, 0.5, 2.0, np.minimum(phi, 1 / wide)) ** 2 / wide


def _ratio(phi: ArrayLike) -> np.ndarray:
    """phi = d/N as a positive float64 array."""
    return within("phi", phi, 0, np.inf)
