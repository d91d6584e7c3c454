"""Where GL crosses a level for each dimension d, and whether N_k/d_k is what decides it.

A crossing is where the isotonic fit of GL on log2 N_k first reaches the level, linear in between,
as N* is in the study of images. If GL is a function of N_k/d alone, log2 N_k at the crossing is
log2 d plus a constant: its slope on log2 d is 1, and the crossings spread over d when counted in
N_k but not when counted in N_k/d. Intervals resample training runs within each size, with the
sampling error of each run's GL added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from denoscope.estimate import Estimate, percentiles, unavailable
from denoscope.metrics.crossings import rises
from denoscope.random import derive
from denoscope.store import Row

DRAWS = 2000
HALF, NEAR_ONE = 0.5, 0.9
LEVELS = (0.25, HALF, 0.75, NEAR_ONE)
_Z = 1.959963984540054  # the half-width of a 95 % interval in standard errors
NOT_REACHED = "not crossed at every d"


def whole(row: Row, name: str) -> int:
    """A whole-number field of a row."""
    return int(str(row.fields[name]))


def finished(rows: Sequence[Row]) -> list[Row]:
    """The rows whose training did not stop."""
    return [row for row in rows if not row.values.get("stopped")]


def in_order(rows: Sequence[Row]) -> list[Row]:
    """The rows by dimension, size and seed, so that no number depends on the order in which they
    were stored.
    """
    return sorted(rows, key=lambda row: (whole(row, "d"), whole(row, "n_k"), whole(row, "seed")))


@dataclass(frozen=True)
class Scores:
    """One score of all runs of one dimension ``d``: for each of ``sizes`` (N_k), the runs' values
    and the standard errors of sampling.
    """

    d: int
    sizes: tuple[int, ...]
    values: tuple[np.ndarray, ...]
    errors: tuple[np.ndarray, ...]

    @property
    def means(self) -> np.ndarray:
        """The mean over runs at every size, (s,)."""
        return np.array([runs.mean() for runs in self.values])

    @cached_property
    def drawn(self) -> np.ndarray:
        """Bootstrap draws of the means, (DRAWS, s): runs drawn within each size, each with its
        sampling error.
        """
        source = np.random.default_rng(derive(0, self.d))
        columns = []
        for values, errors in zip(self.values, self.errors):
            members = source.integers(len(values), size=(DRAWS, len(values)))
            columns.append(
                (values[members] + errors[members] * source.standard_normal(members.shape)).mean(1)
            )
        return np.stack(columns, 1)

    @property
    def curve(self) -> list[Estimate]:
        """The mean at every size with its pointwise interval."""
        return [
            percentiles(float(value), column, len(runs))
            for value, column, runs in zip(self.means, self.drawn.T, self.values)
        ]


def scores(rows: Sequence[Row], name: str) -> list[Scores]:
    """One score of all finished runs, by dimension, smallest first."""
    found: dict[int, dict[int, list[Estimate]]] = {}
    for row in in_order(finished(rows)):
        value = row.values.get(name)
        if isinstance(value, Estimate) and math.isfinite(value.value):
            found.setdefault(whole(row, "d"), {}).setdefault(whole(row, "n_k"), []).append(value)
    return [_scores(d, found[d]) for d in sorted(found)]


def _scores(d: int, cells: dict[int, list[Estimate]]) -> Scores:
    sizes = tuple(sorted(cells))
    values = tuple(np.array([e.value for e in cells[size]]) for size in sizes)
    return Scores(
        d,
        sizes,
        values,
        tuple(np.array([(e.high - e.low) / (2 * _Z) for e in cells[size]]) for size in sizes),
    )


@dataclass(frozen=True, eq=False)
class Crossings:
    """log2 of the N_k at which GL crosses ``level`` for each of ``dims``, (D,), and its bootstrap
    draws, (D, DRAWS).

    -inf is below the smallest size, +inf above the largest.
    """

    level: float
    dims: tuple[int, ...]
    points: np.ndarray
    drawn: np.ndarray
    method: str

    @staticmethod
    def of(curves: Sequence[Scores], level: float) -> Crossings:
        """The crossings of every dimension's curve."""
        points = np.array(
            [rises(item.sizes, item.means, level) for item in curves], dtype=np.float64
        )
        drawn = np.stack([rises(item.sizes, item.drawn, level) for item in curves])
        counts = sorted({len(runs) for item in curves for runs in item.values})
        return Crossings(level, tuple(item.d for item in curves), points, drawn, _method(counts))

    @property
    def log_dims(self) -> np.ndarray:
        """log2 d, (D, 1)."""
        return np.log2(np.array(self.dims, dtype=np.float64))[:, None]

    @property
    def complete(self) -> bool:
        """Whether every dimension's curve crosses within the sizes."""
        return bool(np.isfinite(self.points).all())

    def sizes(self) -> list[Estimate]:
        """N_k at the crossing of every dimension; 0 is below the smallest size, +inf above the
        largest.
        """
        return [
            percentiles(float(v), np.exp2(draws), DRAWS, method=self.method)
            for v, draws in zip(np.exp2(self.points), self.drawn)
        ]

    def ratios(self) -> list[Estimate]:
        """N_k/d at the crossing of every dimension."""
        return [
            Estimate(e.value / d, e.low / d, e.high / d, e.n, e.level, e.method)
            for e, d in zip(self.sizes(), self.dims)
        ]  # a monotone map of one draw each: percentiles map along

    def ratio(self) -> Estimate:
        """The geometric mean over d of N_k/d at the crossing; draws with crossings beyond both ends
        of the sizes count for both ends.
        """
        if not self.complete:
            return unavailable(NOT_REACHED, len(self.dims))
        with np.errstate(invalid="ignore"):  # the mean of -inf and inf is NaN
            drawn = np.exp2((self.drawn - self.log_dims).mean(0))
        value = float(np.exp2((self.points - self.log_dims[:, 0]).mean()))
        return self._between(
            value, np.where(np.isnan(drawn), 0.0, drawn), np.where(np.isnan(drawn), math.inf, drawn)
        )

    def slope(self) -> Estimate:
        """The least-squares slope of log2 N_k at the crossing on log2 d: 1 where N_k/d decides, 0
        where N_k alone does.
        """
        if len(self.dims) < 2:
            return unavailable("a slope over d needs at least two dimensions")
        centred = self.log_dims - self.log_dims.mean()
        return self._estimate(
            self.points,
            self.drawn,
            lambda logs: (centred * logs.reshape(len(centred), -1)).sum(0) / (centred**2).sum(),
        )

    def spread(self, *, by_dimension: bool) -> Estimate:
        """The range over d, in octaves, of the crossing counted in N_k, or in N_k/d."""
        shift = self.log_dims if by_dimension else 0 * self.log_dims
        return self._estimate(
            self.points - shift[:, 0], self.drawn - shift, lambda logs: np.ptp(logs, axis=0)
        )

    def narrowing(self) -> Estimate:
        """How much the range over d changes, in octaves, when N_k is counted in units of d; below
        0: the crossings draw together.
        """
        return self._estimate(
            self.points,
            self.drawn,
            lambda logs: np.ptp(_less(logs, self.log_dims), axis=0) - np.ptp(logs, axis=0),
        )

    def chance(self) -> float:
        """The range over d, in octaves, that the spread of training runs alone would show, were all
        crossings the same: the median draw.
        """
        finite = self.drawn[:, np.isfinite(self.drawn).all(0)]
        if not self.complete or not finite.size:
            return math.nan
        return float(np.median(np.ptp(finite - np.median(finite, 1, keepdims=True), axis=0)))

    def _estimate(
        self, points: np.ndarray, drawn: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
    ) -> Estimate:
        """A statistic of finite logs; draws in which some dimension does not cross count for both
        ends of the interval.
        """
        if not self.complete:
            return unavailable(NOT_REACHED, len(self.dims))
        finite = np.isfinite(drawn).all(0)
        values = statistic(np.where(finite, drawn, 0.0))
        value = float(np.ravel(statistic(points))[0])
        return self._between(
            value, np.where(finite, values, -math.inf), np.where(finite, values, math.inf)
        )

    def _between(self, value: float, least: np.ndarray, most: np.ndarray) -> Estimate:
        """``value`` with the low end of the interval of one set of draws and the high end of that
        of another.
        """
        low, high = (percentiles(value, draws, DRAWS) for draws in (least, most))
        return Estimate(value, low.low, high.high, len(self.dims), low.level, self.method)


def _method(counts: Sequence[int]) -> str:
    """How intervals were made, from the different numbers of runs a size."""
    if max(counts) == 1:
        return "sampling error of one run a size, retraining not included"
    return (
        "percentile bootstrap over training runs, "
        f"{counts[0] if len(counts) == 1 else f'{counts[0]} to {counts[-1]}'} a size"
    )


def _less(logs: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """``logs`` (D,) or (D, draws) less ``shift`` (D, 1)."""
    return logs - (shift if logs.ndim == 2 else shift[:, 0])
