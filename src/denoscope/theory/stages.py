"""Intervals of noise levels in which the optimal denoiser changes little (Zhang et al. 2024,
multistage framework, section 4.2), from numbers alone.

The similarity of two levels is the share of coordinates in which the optimal noise predictions
eps* = (x - D(x)) / sigma of x0 + sigma n differ by at most eta, x0 and n shared. The first interval
is the longest in which the mean similarity to the lowest level stays at least alpha, the last one
the longest in which that to the highest does. For more intervals, each level is compared with those
of its own interval, and the mean of that is made as large as it can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import erf


class LinearPrediction(NamedTuple):
    """A noise prediction that is linear in both: along eigenvector i of the covariance it is
    ``image[i] x0 + noise[i] n``.
    """

    image: np.ndarray
    noise: np.ndarray


def optimal(lam: np.ndarray, sigma: float) -> LinearPrediction:
    """The optimal one of a Gaussian law with eigenvalues ``lam`` at sigma > 0."""
    return LinearPrediction(sigma / (lam + sigma**2), sigma**2 / (lam + sigma**2))


def collapsed(lam: np.ndarray, sigma: float) -> LinearPrediction:
    """That of a posterior mean which is the mean of all, at the same points."""
    return LinearPrediction(np.full_like(lam, 1 / sigma), np.ones_like(lam))


def true_noise(lam: np.ndarray) -> LinearPrediction:
    """The noise itself."""
    return LinearPrediction(np.zeros_like(lam), np.ones_like(lam))


def gaussian_similarity(
    lam: np.ndarray,
    vectors: np.ndarray,
    pairs: Sequence[tuple[LinearPrediction, LinearPrediction]],
    eta: float,
) -> np.ndarray:
    """The expected similarity of each of ``pairs`` of predictions (k,) of a Gaussian law with
    eigenvalues ``lam`` (d,) and eigenvectors ``vectors`` (d, d) in columns: every coordinate of
    their difference is normal.
    """
    along = [lam * (a.image - b.image) ** 2 + (a.noise - b.noise) ** 2 for a, b in pairs]
    variance = np.maximum(np.stack(along) @ (vectors**2).T, 1e-300)
    return erf(eta / np.sqrt(2 * variance)).mean(1)


def first_boundary(times: np.ndarray, similarity: np.ndarray, alpha: float) -> np.ndarray:
    """The largest time up to which the mean of ``similarity`` (..., T) from the first of ``times``
    (T,), evenly spaced, is at least alpha, (...); the first time where none is.
    """
    running = np.cumsum(similarity, -1) / np.arange(1, len(times) + 1)
    enough = running >= alpha
    last = len(times) - 1 - np.argmax(enough[..., ::-1], -1)
    return np.where(enough.any(-1), times[last], times[0])


def last_boundary(times: np.ndarray, similarity: np.ndarray, alpha: float) -> np.ndarray:
    """The smallest time from which on the mean of ``similarity`` (..., T) is at least alpha, (...);
    the last time where none is.
    """
    return -first_boundary(-times[::-1], similarity[..., ::-1], alpha)


def within_stages(similarity: np.ndarray, starts: tuple[int, ...]) -> float:
    """The mean over levels of a level's mean similarity (T, T) to those of its own interval; each
    of ``starts``, rising and from 1 to T - 1, begins another interval.
    """
    ends = (*starts, len(similarity))
    parts = (similarity[a:b, a:b] for a, b in zip((0, *starts), ends))
    return float(sum(part.sum() / len(part) for part in parts) / len(similarity))


def stages(similarity: np.ndarray, count: int) -> tuple[int, ...]:
    """The ``count - 1`` starts of further intervals that make :func:`within_stages` largest, by
    dynamic programming; a count that is not from 1 to T is a ValueError.
    """
    n = len(similarity)
    if not 1 <= count <= n:
        raise ValueError(f"{n} levels have from 1 to {n} intervals, got {count}")
    block = np.pad(similarity.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    a, b = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    inside = block[b, b] - block[a, b] - block[b, a] + block[a, a]
    value = np.where(b > a, inside / np.maximum(b - a, 1), -np.inf)
    best, before = value[0], []
    for _ in range(count - 1):
        reached = best[:, None] + value
        before.append(reached.argmax(0))
        best = reached.max(0)
    starts, end = [], n
    for choice in reversed(before):
        end = int(choice[end])
        starts.append(end)
    return tuple(reversed(starts))
