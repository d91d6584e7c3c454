"""Where memorization turns into generalization: the crossing N*, whether it grows with capacity,
and the dip of reproducibility there.

N* is where the isotonic fit of GLc on log2 N first crosses one half, linear in between. It is never
extrapolated: -inf says that the curve is above one half from the start, +inf that it never gets
there. Intervals resample training runs, so they speak about retraining.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from denoscope.estimate import Estimate, percentiles, unavailable
from denoscope.random import derive


@dataclass(frozen=True)
class TrainingRun:
    """One trained model: its training size, subset and seed, and its copy rates from ``samples``
    generated images.
    """

    size: int
    subset: int
    seed: int
    p_gen: float
    p_test: float
    samples: int

    @property
    def generalization(self) -> float:
        """GLc = (1 - p_gen)/(1 - p_test); p_test = 1 leaves it undefined: NaN."""
        return (1 - self.p_gen) / (1 - self.p_test) if self.p_test < 1 else math.nan


@dataclass(frozen=True)
class Transition:
    """``point`` is N*, ``curve`` the mean GLc at each of ``sizes`` with its pointwise bootstrap
    interval.
    """

    point: Estimate
    sizes: tuple[int, ...]
    curve: tuple[Estimate, ...]


def _isotonic(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted least-squares nondecreasing fit over the last axis, as max over j <= i of min
    over k >= i of the mean of j..k.

    Equal to pooling adjacent violators (Barlow et al. 1972), for whole arrays of curves at once;
    ``weights`` (s,) or of the shape of ``values``.
    """
    n = values.shape[-1]
    total = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values * weights, -1)], -1)
    mass = np.concatenate([np.zeros((*weights.shape[:-1], 1)), np.cumsum(weights, -1)], -1)
    fit = np.full(values.shape, -np.inf)
    for j in range(n):
        means = (total[..., j + 1 :] - total[..., j : j + 1]) / (
            mass[..., j + 1 :] - mass[..., j : j + 1]
        )
        least = np.minimum.accumulate(means[..., ::-1], -1)[..., ::-1]
        fit[..., j:] = np.maximum(fit[..., j:], least)
    return fit


def crossing(
    sizes: Sequence[int] | np.ndarray,
    values: np.ndarray,
    weights: np.ndarray | None = None,
    level: float = 0.5,
) -> np.ndarray:
    """log2 of the size at which the isotonic fit of ``values`` (..., s) on log2 ``sizes`` (s,)
    first reaches ``level``, shape (...).

    -inf if the fit is above ``level`` at the smallest size, +inf if it stays below it. Sizes must
    increase, weights be positive.
    """
    x, y = np.log2(np.asarray(sizes, dtype=np.float64)), np.asarray(values, dtype=np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    if x.ndim != 1 or y.shape[-1:] != x.shape or w.shape[-1:] != x.shape:
        raise ValueError(
            f"a curve needs one value and one weight a size, got {x.shape}, {y.shape} and {w.shape}"
        )
    if (np.diff(x) <= 0).any() or (w <= 0).any() or not np.isfinite(y).all():
        raise ValueError("sizes must increase, weights be positive and values finite")
    fit = _isotonic(y, w)
    reached = (
        fit >= level - 1e-12
    )  # a plateau at the level is reached at its start, whatever the rounding of its mean
    right = np.minimum((~reached).sum(-1), len(x) - 1)[..., None]
    left = np.maximum(right - 1, 0)
    high, low = (
        np.take_along_axis(fit, right, -1)[..., 0],
        np.take_along_axis(fit, left, -1)[..., 0],
    )
    rise = np.where(high > low, high - low, 1.0)
    at = x[left[..., 0]] + (level - low) / rise * (x[right[..., 0]] - x[left[..., 0]])
    at = np.where(reached[..., 0], np.where(fit[..., 0] > level + 1e-12, -np.inf, x[0]), at)
    return np.where(reached[..., -1], at, np.inf)


def _by_size(runs: Sequence[TrainingRun]) -> dict[int, list[TrainingRun]]:
    cells: dict[int, list[TrainingRun]] = {}
    for run in sorted(runs, key=lambda run: (run.size, run.subset, run.seed)):
        if math.isfinite(run.generalization):
            cells.setdefault(run.size, []).append(run)
    if not cells:
        raise ValueError("a transition needs training runs with p_test below 1")
    return cells


def _curves(
    cells: Mapping[int, list[TrainingRun]],
    members: Mapping[int, np.ndarray],
    source: np.random.Generator,
) -> np.ndarray:
    """The mean GLc at each size of each draw, (draws, s): the drawn members (draws, runs), their
    samples drawn again as binomials.
    """
    columns = []
    for size, runs in cells.items():
        p_gen, p_test, samples = (
            np.array([getattr(run, key) for run in runs])[members[size]]
            for key in ("p_gen", "p_test", "samples")
        )
        columns.append(((1 - source.binomial(samples, p_gen) / samples) / (1 - p_test)).mean(1))
    return np.stack(columns, 1)


def _members(
    cells: Mapping[int, list[TrainingRun]], draws: int, source: np.random.Generator
) -> dict[int, np.ndarray]:
    return {
        size: source.integers(len(runs), size=(draws, len(runs))) for size, runs in cells.items()
    }


def _mean_curve(cells: Mapping[int, list[TrainingRun]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean GLc and number of samples at each size."""
    values = np.array([np.mean([run.generalization for run in runs]) for runs in cells.values()])
    return values, np.array(
        [sum(run.samples for run in runs) for runs in cells.values()], dtype=np.float64
    )


def _size(log2: np.ndarray | float) -> np.ndarray:
    """Sizes from their log2; no crossing stays -inf or +inf."""
    return np.where(np.isfinite(log2), np.exp2(np.where(np.isfinite(log2), log2, 0.0)), log2)


def _runs_a_size(cells: Mapping[int, list[TrainingRun]]) -> str:
    counts = sorted({len(runs) for runs in cells.values()})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def transition_point(
    runs: Sequence[TrainingRun], *, draws: int = 2000, seed: int = 0
) -> Transition:
    """N* of one capacity with its percentile bootstrap over training runs within each size, samples
    drawn again inside as binomials.

    -inf and +inf, as value or as an end of the interval, mean below the smallest and above the
    largest size. Runs with p_test = 1 are left out. Few runs a size make the interval too short
    when runs differ much: `benchmarks/coverage.py` prints .58, .82 and .91 with 2, 4 and 10 runs a
    size.
    """
    cells = _by_size(runs)
    sizes = tuple(cells)
    values, weights = _mean_curve(cells)
    source = np.random.default_rng(derive(seed))
    curves = _curves(cells, _members(cells, draws, source), source)
    point = float(_size(crossing(sizes, values, weights)))
    method = f"percentile bootstrap over training runs, {_runs_a_size(cells)} a size"
    if math.isinf(point):
        method += (
            f"; no crossing: {'below' if point < 0 else 'above'} "
            f"{sizes[0] if point < 0 else sizes[-1]}"
        )
    band = (
        percentiles(value, column, len(cells[size]), method=method)
        for value, column, size in zip(values.tolist(), curves.T, sizes)
    )
    return Transition(
        percentiles(point, _size(crossing(sizes, curves, weights)), len(runs), method=method),
        sizes,
        tuple(band),
    )


def _common(
    small: Sequence[TrainingRun], large: Sequence[TrainingRun]
) -> tuple[list[TrainingRun], list[TrainingRun]]:
    """The runs of each whose (size, subset, seed) both have."""
    first, second = (
        {(run.size, run.subset, run.seed): run for run in runs if run.p_test < 1}
        for runs in (small, large)
    )
    keys = sorted(first.keys() & second.keys())
    if not keys:
        raise ValueError(
            "the two capacities share no training run of the same size, subset and seed"
        )
    return [first[key] for key in keys], [second[key] for key in keys]


def _difference(large: np.ndarray, small: np.ndarray, unknown: float) -> np.ndarray:
    """large - small; where both lie beyond the same end of the sizes, ``unknown``."""
    same = np.isinf(large) & (large == small)
    return np.where(same, unknown, np.where(same, 0.0, large) - np.where(same, 0.0, small))


def growth(
    runs_small: Sequence[TrainingRun],
    runs_large: Sequence[TrainingRun],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """log2 N* of the larger capacity less that of the smaller, on common (size, subset, seed), by
    paired bootstrap: both draw the same members.

    Above 0: N* grows with capacity. A draw in which both have no crossing on the same side counts
    for both ends of the interval.
    """
    pair = [_by_size(runs) for runs in _common(runs_small, runs_large)]
    source = np.random.default_rng(derive(seed))
    members = _members(pair[0], draws, source)
    points, drawn = [], []
    for cells in pair:
        values, weights = _mean_curve(cells)
        points.append(crossing(tuple(cells), values, weights))
        drawn.append(crossing(tuple(cells), _curves(cells, members, source), weights))
    n = sum(len(runs) for runs in pair[0].values())
    value = float(_difference(points[1], points[0], math.nan))
    if math.isnan(value):
        return unavailable("neither capacity crosses one half within the sizes", n)
    low, high = (
        percentiles(value, _difference(drawn[1], drawn[0], unknown), n)
        for unknown in (-math.inf, math.inf)
    )
    return Estimate(
        value,
        low.low,
        high.high,
        n,
        low.level,
        f"paired bootstrap over training runs, {_runs_a_size(pair[0])} a size",
    )


def _shares(n: int, draws: int, source: np.random.Generator) -> np.ndarray:
    """How often each of n units is drawn in a bootstrap of them, as shares, (draws, n)."""
    return source.multinomial(n, np.full(n, 1 / n), size=draws) / n


@lru_cache(maxsize=4)
def _noise_shares(noises: int, draws: int, seed: int) -> np.ndarray:
    """How often each shared noise is drawn: the same draws for every table of these noises, so that
    comparisons are paired.
    """
    return _shares(noises, draws, np.random.default_rng(derive(seed, 1)))


def _resampled(table: np.ndarray, columns: np.ndarray, source: np.random.Generator) -> np.ndarray:
    """The mean of a table (pairs, noises) in each draw, pairs drawn here and noises by the given
    shares (draws, noises).
    """
    return ((_shares(len(table), len(columns), source) @ table) * columns).sum(1)


def agreement_rate(same: np.ndarray, *, draws: int = 2000, seed: int = 0) -> Estimate:
    """The RP score of several pairs of runs, ``same`` bool (pairs, shared noises), with a bootstrap
    over pairs, then noises.
    """
    table = np.atleast_2d(np.asarray(same, dtype=np.float64))
    source = np.random.default_rng(derive(seed))
    resampled = _resampled(table, _noise_shares(table.shape[1], draws, seed), source)
    return percentiles(
        float(table.mean()),
        resampled,
        table.size,
        method=f"bootstrap over {len(table)} pairs of runs, then shared noises",
    )


def u_shape(
    agreements: Mapping[int, np.ndarray], point: float, *, draws: int = 2000, seed: int = 0
) -> tuple[Estimate, Estimate]:
    """RP at the size nearest to ``point`` = N*, less RP at the smallest and less RP at the largest
    size; both intervals below 0: a U.

    ``agreements`` has, for each size, bool (pairs of runs, shared noises). The bootstrap draws
    pairs within each size, then noises, the same ones for all sizes. Not available if N* is beyond
    the sizes or nearest to an end.
    """
    sizes = sorted(agreements)
    if not sizes:
        raise ValueError("a U-shape test needs agreements of at least three sizes")
    tables = {size: np.atleast_2d(np.asarray(agreements[size], dtype=np.float64)) for size in sizes}
    noises = tables[sizes[0]].shape[1]
    if any(table.shape[1] != noises or not table.size for table in tables.values()):
        raise ValueError(
            "all sizes must share the same noises: one column each, and have at least "
            "one pair of runs"
        )
    if not math.isfinite(point):
        beyond = unavailable("N* lies beyond the sizes", noises)
        return beyond, beyond
    middle = min(sizes, key=lambda size: abs(math.log2(size / point)))
    if middle in (sizes[0], sizes[-1]):
        at_end = unavailable(f"N* = {point:.3g} is nearest to an end of the sizes", noises)
        return at_end, at_end
    source = np.random.default_rng(derive(seed))
    columns = _noise_shares(noises, draws, seed)
    resampled = {
        size: _resampled(tables[size], columns, source) for size in (middle, sizes[0], sizes[-1])
    }
    method = f"bootstrap over pairs of runs and shared noises, at {middle} against {{}}"

    def less(end: int) -> Estimate:
        value = float(tables[middle].mean() - tables[end].mean())
        return percentiles(
            value, resampled[middle] - resampled[end], noises, method=method.format(end)
        )

    return less(sizes[0]), less(sizes[-1])
