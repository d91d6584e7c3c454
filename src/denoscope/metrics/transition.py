"""Where memorization turns into generalization: the crossing N*, whether it grows with capacity,
and the dip of reproducibility there.

N* is where the isotonic fit of GLc on log2 N first crosses one half
(:mod:`denoscope.metrics.crossings`). Intervals draw training runs anew, so they speak about
retraining.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from denoscope.estimate import Estimate, bounded, crossed, mean, share, unavailable
from denoscope.metrics.crossings import Curve, apart, as_size, less


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

    @property
    def error(self) -> float:
        """The standard error of its GLc by sampling."""
        return math.sqrt(self.p_gen * (1 - self.p_gen) / self.samples) / (1 - self.p_test)


@dataclass(frozen=True)
class Transition:
    """``point`` is N*, ``curve`` the mean GLc at each of ``sizes`` with its pointwise interval."""

    point: Estimate
    sizes: tuple[int, ...]
    curve: tuple[Estimate, ...]


def _by_size(runs: Sequence[TrainingRun]) -> dict[int, list[TrainingRun]]:
    cells: dict[int, list[TrainingRun]] = {}
    for run in sorted(runs, key=lambda run: (run.size, run.subset, run.seed)):
        if math.isfinite(run.generalization):
            cells.setdefault(run.size, []).append(run)
    if not cells:
        raise ValueError("a transition needs training runs with p_test below 1")
    return cells


def _curve(cells: Mapping[int, list[TrainingRun]], draws: int, seed: int, own: int = 0) -> Curve:
    units = [np.array([[run.generalization, run.error] for run in runs]) for runs in cells.values()]
    return apart(tuple(cells), units, draws=draws, seed=seed, own=own)


def transition_point(
    runs: Sequence[TrainingRun], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Transition:
    """N* of one capacity, the training runs of each size drawn anew; a run alone by its sampling
    error.

    -inf and +inf, as value or as an end of the interval, mean below the smallest and above the
    largest size. Runs with p_test = 1 are left out.
    """
    curve = _curve(_by_size(runs), draws, seed)
    point = curve.rise().map(as_size)(level)
    return Transition(point, tuple(map(int, curve.sizes)), tuple(e(level) for e in curve.at()))


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


def growth(
    runs_small: Sequence[TrainingRun],
    runs_large: Sequence[TrainingRun],
    level: float = 0.95,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """log2 N* of the larger capacity less that of the smaller, on common (size, subset, seed), both
    curves drawn with the same runs.

    Above 0: N* grows with capacity.
    """
    curves = [
        _curve(_by_size(runs), draws, seed, own)
        for own, runs in enumerate(_common(runs_small, runs_large))
    ]
    small, large = (curve.rise() for curve in curves)
    return less(large, small)(level)


def agreement_rate(same: np.ndarray, level: float = 0.95) -> Estimate:
    """The RP score of several pairs of runs, ``same`` bool (pairs, shared noises): by t over pairs
    crossed with noises, never beyond [0, 1]; of one pair alone exact over its noises.
    """
    table = np.atleast_2d(np.asarray(same, dtype=np.float64))
    return share(table[0], level) if len(table) == 1 else bounded(crossed)(table, level)


def u_shape(
    agreements: Mapping[int, np.ndarray], point: float, level: float = 0.95
) -> tuple[Estimate, Estimate]:
    """RP at the size nearest to ``point`` = N*, less RP at the smallest and less RP at the largest
    size; both intervals below 0: a U.

    ``agreements`` has, for each size, bool (pairs of runs, shared noises), the same pairs in the
    same order. By t over pairs crossed with noises; of one pair alone over its noises. Not available
    if N* is beyond the sizes or nearest to an end.
    """
    sizes = sorted(agreements)
    tables = {n: np.atleast_2d(np.asarray(agreements[n], dtype=np.float64)) for n in sizes}
    if not sizes or len({table.shape for table in tables.values()}) > 1:
        raise ValueError("all sizes must share the same pairs of runs and the same noises")
    middle = nearest_size(sizes, point) if math.isfinite(point) else sizes[0]
    if middle in (sizes[0], sizes[-1]):
        absent = unavailable(f"N* = {point:.3g} is beyond the sizes or nearest to an end of them")
        return absent, absent
    below = (tables[middle] - tables[end] for end in (sizes[0], sizes[-1]))
    first, last = (
        mean(less[0], level) if len(less) == 1 else crossed(less, level) for less in below
    )
    return first, last


def nearest_size(sizes: Sequence[int], point: float) -> int:
    """The size nearest to a point, by ratio."""
    return min(sizes, key=lambda size: abs(math.log2(size / point)))
