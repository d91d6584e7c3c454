"""Where curves cross a height, on plain arrays, never extrapolated: -inf lies below the first size,
+inf above the last.

A curve that rises crosses where its isotonic fit on log2 of the size first reaches the height; one
that falls does where it is below for good, between two sizes on the log-log line. Curves come with
bootstrap draws of their means, and so do their crossings: what is made of several of these keeps
the draws that they share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from denoscope.estimate import Estimate, Resampled
from denoscope.random import derive

DRAWS = 2000


def isotonic(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
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


def rises(
    sizes: Sequence[float] | np.ndarray,
    values: np.ndarray,
    height: float = 0.5,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """log2 of the size at which the isotonic fit of ``values`` (..., s) on log2 ``sizes`` (s,)
    first reaches ``height``, linear in between, shape (...).

    -inf if the fit is above ``height`` at the smallest size, +inf if it stays below it. Sizes must
    increase, weights (s,) be positive.
    """
    x, y = np.log2(np.asarray(sizes, dtype=np.float64)), np.asarray(values, dtype=np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    if x.ndim != 1 or y.shape[-1:] != x.shape or w.shape[-1:] != x.shape:
        raise ValueError(
            f"a curve needs a value and a weight per size, got {x.shape}, {y.shape} and {w.shape}"
        )
    if (np.diff(x) <= 0).any() or (w <= 0).any() or not np.isfinite(y).all():
        raise ValueError("sizes must increase, weights be positive and values finite")
    return _first(x, isotonic(y, w), height)


def _first(x: np.ndarray, fit: np.ndarray, height: float) -> np.ndarray:
    """Where nondecreasing ``fit`` (..., s) over ``x`` (s,) reaches ``height``; a plateau at the
    height is reached at its start, whatever the rounding of its mean.
    """
    reached = fit >= height - 1e-12
    right = np.minimum((~reached).sum(-1), len(x) - 1)[..., None]
    left = np.maximum(right - 1, 0)
    high, low = (np.take_along_axis(fit, place, -1)[..., 0] for place in (right, left))
    rise = np.where(high > low, high - low, 1.0)
    at = x[left[..., 0]] + (height - low) / rise * (x[right[..., 0]] - x[left[..., 0]])
    at = np.where(reached[..., 0], np.where(fit[..., 0] > height + 1e-12, -np.inf, x[0]), at)
    return np.where(reached[..., -1], at, np.inf)


def falls(
    sizes: Sequence[float] | np.ndarray, values: np.ndarray, height: float = 0.5
) -> np.ndarray:
    """log2 of the size from which ``values`` (..., s) stay below ``height``, between two sizes on
    the log-log line, shape (...); -inf: always, +inf: not within these sizes.
    """
    x, y = np.log2(np.asarray(sizes, dtype=np.float64)), np.asarray(values, dtype=np.float64)
    above = y >= height
    last = len(x) - 1 - above[..., ::-1].argmax(-1)
    ends = np.stack([np.minimum(last, len(x) - 2), np.minimum(last + 1, len(x) - 1)], -1)
    logs = np.log(np.maximum(np.take_along_axis(y, ends, -1), np.finfo(np.float64).tiny))
    drop = np.where(logs[..., 0] > logs[..., 1], logs[..., 0] - logs[..., 1], 1.0)
    left, right = x[ends[..., 0]], x[ends[..., 1]]
    at = left + (right - left) * (logs[..., 0] - np.log(height)) / drop
    return np.where(above[..., -1], np.inf, np.where(above.any(-1), at, -np.inf))


def as_size(log2: np.ndarray | float) -> np.ndarray:
    """Sizes from their log2; no crossing stays -inf or +inf."""
    return np.where(np.isfinite(log2), np.exp2(np.where(np.isfinite(log2), log2, 0.0)), log2)


@dataclass(frozen=True, eq=False)
class Curve:
    """Means at each of ``sizes`` (s,) with ``draws`` (r, s) of them and how these were made; ``n``
    counts the units, ``weights`` (s,) are those of the isotonic fit.
    """

    sizes: Sequence[float]
    means: np.ndarray
    draws: np.ndarray
    weights: np.ndarray
    n: int
    method: str

    def rise(self, height: float = 0.5) -> Resampled:
        """log2 of the size at which the curve, rising, reaches a height."""
        both = np.vstack([self.means, self.draws])
        return self._crossed(rises(self.sizes, both, height, self.weights))

    def fall(self, height: float = 0.5) -> Resampled:
        """log2 of the size from which the curve, falling, is below a height."""
        return self._crossed(falls(self.sizes, np.vstack([self.means, self.draws]), height))

    def at(self) -> list[Resampled]:
        """The mean at every size."""
        return [self._made(np.append(m, column)) for m, column in zip(self.means, self.draws.T)]

    def _crossed(self, both: np.ndarray) -> Resampled:
        first, last = self.sizes[0], self.sizes[-1]
        sides = {-np.inf: f"; no crossing: below {first}", np.inf: f"; no crossing: above {last}"}
        made = self._made(both)
        return replace(made, method=made.method + sides.get(made.value, ""))

    def _made(self, both: np.ndarray) -> Resampled:
        return Resampled(float(both[0]), both[1:], self.n, self.method)


def apart(
    sizes: Sequence[float],
    units: Sequence[np.ndarray],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    own: int = 0,
) -> Curve:
    """The curve of the means of ``units`` [(k,), ...], those of each size drawn by themselves
    (training runs).

    Units (k, 2) are a value and its standard error, which is drawn where a size has one unit alone:
    the spread of several contains it. Curves with equal numbers of units and one ``seed`` are
    paired, they share their draws; errors are drawn from ``own``, another for each.
    """
    source, errors = (np.random.default_rng(derive(*s)) for s in ((seed,), (seed, 1, own)))
    columns = [np.atleast_2d(np.asarray(u, np.float64).T) for u in units]
    drawn = np.stack([drawn_means(v[0], draws, source) for v in columns], 1)
    alone = [v[1, 0] if v.shape == (2, 1) else 0.0 for v in columns]
    drawn += np.array(alone) * errors.standard_normal(drawn.shape)
    return _curve(sizes, [v[0] for v in columns], drawn, "units")


def together(
    sizes: Sequence[float], units: Sequence[np.ndarray], *, draws: int = DRAWS, seed: int = 0
) -> Curve:
    """The curve of the means of ``units`` [(k,), ...] that all sizes share (noises): one draw is
    the same for all.
    """
    table = np.stack([np.asarray(u, np.float64) for u in units])
    drawn = drawn_means(table, draws, np.random.default_rng(derive(seed)))
    return _curve(sizes, table, drawn.T, "units that all sizes share")


def drawn_means(units: np.ndarray, draws: int, source: np.random.Generator) -> np.ndarray:
    """Draws of the mean over the last axis of units (..., k), (..., draws): by Student's t, where a
    bootstrap of few units is too narrow. One unit alone has no spread.
    """
    k, mean = units.shape[-1], units.mean(-1, keepdims=True)
    weights = source.standard_normal((draws, k)) / np.sqrt(k)
    weights /= np.sqrt(source.chisquare(max(k - 1, 1), (draws, 1)))
    return mean + (units - mean) @ weights.T


def _curve(
    sizes: Sequence[float],
    units: Sequence[np.ndarray] | np.ndarray,
    draws: np.ndarray,
    of: str,
) -> Curve:
    counts = np.array([len(u) for u in units])
    few, most = counts.min(), counts.max()
    words = f"{few}" if few == most else f"{few} to {most}"
    method = f"draws by t over {of}, {words} a size"
    if few == 1:
        method += "; where one is alone by its own error, retraining not included"
    means = np.array([np.mean(u) for u in units])
    return Curve(sizes, means, draws, counts, int(counts.sum()), method)


def crossing(
    sizes: Sequence[float],
    units: Sequence[np.ndarray],
    level: float = 0.95,
    *,
    height: float = 0.5,
    curve: Callable[..., Curve] = apart,
    falling: bool = False,
) -> Estimate:
    """The size at which the means of the units first reach ``height``, or from which they are below
    it, with its interval: a maker for :meth:`~denoscope.readings.Readings.across`.
    """
    of = curve(sizes, units)
    return (of.fall if falling else of.rise)(height).map(as_size)(level)


def joint(
    points: Sequence[Resampled],
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    rising: bool = False,
) -> Resampled:
    """``statistic`` of several numbers, (k, ...) to (...), drawn jointly; not available unless all
    are finite.

    A draw in which one is infinite counts for both ends of the interval; of a statistic that is
    ``rising`` in all of them it counts for the end at which it is, where it has one.
    """
    values, draws = np.array([p.value for p in points]), np.stack([p.draws for p in points])
    if not np.isfinite(values).all():
        return Resampled(np.nan, draws[0], len(points), "not crossed everywhere")
    with np.errstate(invalid="ignore"):  # the mean of -inf and inf is NaN: both ends
        drawn = statistic(draws if rising else np.where(np.isinf(draws), np.nan, draws))
    return Resampled(float(statistic(values)), drawn, len(points), points[0].method)


def slope(x: Sequence[float] | np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The least-squares slope of (k, ...) on ``x`` (k,), as a statistic of :func:`joint`."""
    centred = np.asarray(x, dtype=np.float64) - np.mean(x)
    return lambda y: np.tensordot(centred, y, 1) / (centred**2).sum()


def spread(shift: Sequence[float] | np.ndarray | float = 0.0) -> Callable[..., np.ndarray]:
    """The range of (k, ...) less ``shift`` (k,), as a statistic of :func:`joint`."""
    return lambda y: np.ptp((y.T - shift).T, axis=0)


def less(large: Resampled, small: Resampled) -> Resampled:
    """The difference of two crossings that share their draws; where both lie beyond the same end of
    the sizes it is unknown: a draw counts for both ends of the interval then.
    """
    with np.errstate(invalid="ignore"):  # inf - inf
        value, drawn = np.subtract(large.value, small.value), large.draws - small.draws
    method = "neither crosses within the sizes" if np.isnan(value) else f"paired {large.method}"
    return Resampled(float(value), drawn, large.n, method)
