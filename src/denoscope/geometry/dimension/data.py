"""The dimension of the set that data lie on, from the distances of each point to its nearest
neighbours, or from their spectrum.

Where N points fill d dimensions evenly, r_1 < r_2 < ... the distances of one of them to the others,
the volumes r_k^d are the arrivals of a Poisson process: ``log(r_k / r_j)`` over j < k are k - 1
independent exponentials of rate d, in any order. Two neighbours see the smallest scale; more of
them vary less, and take in more of what is not flat, even or without an edge. So both estimates
fall short of d near the edge of a set, by about 6 % (two) and 10 % (twenty neighbours) in a ball of
d = 5 and N = 1000, more as d grows: N must grow as a power of d. The intervals hold the error of
drawing N points, not that bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.special import bdtr, stdtrit
from torch import Tensor

from denoscope.estimate import Estimate, unavailable
from denoscope.nearest import features, neighbors
from denoscope.theory.spectra import participation_ratio

_LEVEL = 0.95
_BLOCKS = 20
_NUMBERS = 1 << 22  # of the neighbourhoods that local PCA holds at once


def two_nn(x: Tensor | np.ndarray, *, discard: float = 0.1) -> Estimate:
    """The rate d of ``log(r_2 / r_1)``, whose ``discard`` largest share is censored: known only to
    be as large as the largest one kept.

    Unbiased where the theory holds: (m - 1)/(sum of the m kept + (N - m) times the largest kept).
    ``x``: (N, *event), at least 6 distinct points; repeated points are taken once, and ``method``
    counts them. The interval is Student's t over the means in up to 20 blocks of every 20th row,
    which are independent where rows are, while points that share a neighbour are not; it is (0,
    inf) below 12 points. A ``discard`` outside [0, 1), too few points, and equal neighbour
    distances throughout (a grid) are a ValueError. Source: Facco et al. 2017, with the likelihood
    in place of their straight line, which weights the largest ratios too much.
    """
    if not 0 <= discard < 1:
        raise ValueError(f"discard must be a share from 0 to less than 1, got {discard}")

    def inverse(distance: Tensor) -> float:
        logs = (distance[:, 1] / distance[:, 0]).log().sort().values
        kept = max(2, int(len(logs) * (1 - discard)))
        return float(logs.clamp_max(logs[kept - 1]).sum()) / (kept - 1)

    return _from_distances(x, 2, inverse, "two nearest neighbours")


def mle_dimension(x: Tensor | np.ndarray, k: int = 20) -> Estimate:
    """One over the mean of ``log(r_k / r_j)`` over all points and j < k: the maximum likelihood
    from ``k`` neighbours.

    The inverses of the points' estimates are averaged, not the estimates, whose mean would be (k -
    1)/(k - 2) times too large. ``x``: (N, *event), at least 2 (k + 1) distinct points; repeated
    points and the interval as in :func:`two_nn`, (0, inf) below 4 (k + 1) points. k < 2, too few
    points and a grid are a ValueError. Source: Levina and Bickel 2004; MacKay and Ghahramani 2005.
    """
    if k < 2:
        raise ValueError(f"k must be at least 2 neighbours, got {k}")

    def inverse(distance: Tensor) -> float:
        return float((distance[:, -1:] / distance[:, :-1]).log().mean())

    return _from_distances(x, k, inverse, f"{k} nearest neighbours")


def local_pca_dimension(x: Tensor | np.ndarray, k: int = 100, share: float = 0.95) -> Estimate:
    """The median over points of how many principal directions hold at least ``share`` of the
    variance of the point's ``k`` neighbours.

    ``x``: (N, *event), N > k. At most k - 1; short of d unless k is several times d, and above it
    where noise holds more than 1 - share of the local variance. The interval is the one of a
    median, of as many independent places as neighbourhoods fit beside each other, N/(k + 1); all
    that the method can answer where those are fewer than 6. k < 2, a ``share`` outside (0, 1) and
    too few points are a ValueError. O(N k^2 n) beside the search. Source: Fukunaga and Olsen 1971.
    """
    if k < 2 or not 0 < share < 1:
        raise ValueError(f"k must be at least 2 and share between 0 and 1, got {k} and {share}")
    rows = _rows(x, k + 1)
    index = neighbors(rows, rows, k, exclude_self=True).index
    height = max(1, _NUMBERS // (k * rows.shape[1]))
    ranks = torch.cat([_rank(rows[part], share) for part in index.split(height)]).double().numpy()
    low, high = _median_interval(ranks, len(rows) // (k + 1), (0, min(k - 1, rows.shape[1])))
    method, value = f"median of {len(rows) // (k + 1)} places apart", float(np.median(ranks))
    return Estimate(value, low, high, len(rows), _LEVEL, method)


def participation_dimension(x: Tensor | np.ndarray) -> Estimate:
    """The participation ratio of the covariance of ``x`` (N, *event), the bias of N removed.

    The interval is Student's t over a jackknife of up to 20 blocks of every 20th row. Fewer than 4
    points are a ValueError. Source: Merger and Goldt 2025.
    """
    rows = _rows(x, 4).numpy()
    value = float(participation_ratio(rows, correct=True))
    blocks = min(_BLOCKS, len(rows) // 2)
    left = (np.delete(rows, np.s_[i::blocks], 0) for i in range(blocks))
    without = [float(participation_ratio(some, correct=True)) for some in left]
    spread = math.sqrt((blocks - 1) * np.var(without))
    half = float(stdtrit(blocks - 1, (1 + _LEVEL) / 2)) * spread
    method = f"jackknife over {blocks} blocks"
    return Estimate(value, value - half, value + half, len(rows), _LEVEL, method)


def dimensions(x: Tensor | np.ndarray) -> dict[str, Estimate]:
    """The dimension of ``x`` (N, *event) by every estimator, each as it is called here; where one
    needs more points, its reason stands in place of an estimate.
    """
    every: dict[str, Callable[..., Estimate]] = {"two_nn": two_nn, "mle": mle_dimension}
    every |= {"local_pca": local_pca_dimension, "participation": participation_dimension}
    return {name: _tried(estimator, x) for name, estimator in every.items()}


def _tried(estimator: Callable[..., Estimate], x: Tensor | np.ndarray) -> Estimate:
    try:
        return estimator(x)
    except ValueError as error:
        return unavailable(str(error), len(x))


def _rows(x: Tensor | np.ndarray, least: int) -> Tensor:
    """Items as rows of float64."""
    items = torch.as_tensor(x)
    if items.ndim < 2 or len(items) < least:
        raise ValueError(
            f"x must hold at least {least} points, shape (N, *event), got shape "
            f"{tuple(items.shape)}"
        )
    return features(items.flatten(1), "x").double().cpu()


def _from_distances(
    x: Tensor | np.ndarray, k: int, inverse: Callable[[Tensor], float], method: str
) -> Estimate:
    """One over the mean over rows of distances (N, k), and its spread between blocks of points."""
    least = 2 * (k + 1)
    rows = _rows(x, least)
    found = neighbors(rows, rows, k, exclude_self=True)
    fresh = (found.distance[:, 0] > 0) | (
        found.index[:, 0] > torch.arange(len(rows))
    )  # ties come lowest first: the first of equal rows
    repeated = len(rows) - int(fresh.sum())
    if repeated:
        rows = _rows(rows[fresh], least)
        found = neighbors(rows, rows, k, exclude_self=True)
    whole = inverse(found.distance)
    if not whole > 0:
        raise ValueError(
            "the nearest neighbours of every point are equally far, as on a grid: add a "
            "little noise to x"
        )
    blocks = min(_BLOCKS, len(rows) // least)
    spread = _relative_spread(rows, k, inverse, blocks)
    high = 1 / (whole * (1 - spread)) if spread < 1 else math.inf
    said = f", {repeated} repeated points left out" if repeated else ""
    said, low = f"{method}, t over {blocks} blocks{said}", 1 / (whole * (1 + spread))
    return Estimate(1 / whole, low, high, len(rows), _LEVEL, said)


def _relative_spread(
    rows: Tensor, k: int, inverse: Callable[[Tensor], float], blocks: int
) -> float:
    """Half the t interval of a mean over blocks of rows as a share of it; inf of fewer than 2."""
    if blocks < 2:
        return math.inf
    parts = [rows[i::blocks] for i in range(blocks)]
    near = (neighbors(part, part, k, exclude_self=True).distance for part in parts)
    values = np.array([inverse(distance) for distance in near])
    half = stdtrit(blocks - 1, (1 + _LEVEL) / 2) * values.std(ddof=1) / math.sqrt(blocks)
    return float(half / values.mean()) if values.mean() > 0 else math.inf


def _rank(places: Tensor, share: float) -> Tensor:
    """The number of leading variances (b, k, n) that reach the share of all, (b,); 0 of none."""
    centred = places - places.mean(1, keepdim=True)
    gram = centred @ centred.mT if places.shape[1] < places.shape[2] else centred.mT @ centred
    cumulated = torch.linalg.eigvalsh(gram).clamp_min(0).flip(1).cumsum(1)
    total = cumulated[:, -1:]
    return torch.where(total[:, 0] > 0, (cumulated < share * total).sum(1) + 1, 0)


def _median_interval(
    values: np.ndarray, places: int, limits: tuple[float, float]
) -> tuple[float, float]:
    """The distribution-free interval of a median of ``places`` values, by dependent quantiles."""
    first = int(np.searchsorted(bdtr(np.arange(places), places, 0.5), (1 - _LEVEL) / 2))
    if first < 1:
        return limits
    at = (first - 1) / (places - 1)
    return float(np.quantile(values, at, method="lower")), float(
        np.quantile(values, 1 - at, method="higher")
    )
