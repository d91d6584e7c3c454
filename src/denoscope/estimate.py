"""Every measured number with its interval.

Proportions are exact (Clopper and Pearson 1934: Wilson and Jeffreys intervals fall to 89 % coverage
at small n and extreme p), means are by t, medians by order statistics, ratios of independent
proportions by MOVER-R (Donner and Zou 2012), everything else by a method that is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.special import bdtr, betaincinv, ndtri, stdtrit

from denoscope.display import html_table, shortened


@dataclass(frozen=True, repr=False)
class Estimate:
    """A value, its interval [low, high] at ``level``, the number of units behind it, and how the
    interval was made.

    ``method`` names the interval. A value that could not be computed is NaN with the reason in
    ``method``; :meth:`json` gives null then.
    """

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95
    method: str = ""

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        if math.isnan(self.value):
            return f"not available ({self.method})"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def __repr__(self) -> str:
        made = f"{100 * self.level:.4g} % {self.method}".strip()
        what = str(self) if math.isnan(self.value) else f"{self}, {made}, n={self.n}"
        return shortened(f"{type(self).__name__}({what})")

    def _repr_html_(self) -> str:
        numbers = [f"{number:.3g}" for number in (self.value, self.low, self.high)]
        row = [*numbers, f"{100 * self.level:.4g} %", self.n, self.method]
        return html_table(["value", "low", "high", "level", "n", "method"], [row])

    def complement(self) -> Estimate:
        """1 minus this estimate, its interval turned over."""
        return Estimate(
            1 - self.value, 1 - self.high, 1 - self.low, self.n, self.level, self.method
        )

    def json(self) -> dict[str, object]:
        """A dictionary without NaN or infinity: those become null. Kinds of estimates that hold
        more add it to these six.
        """
        values = {item.name: getattr(self, item.name) for item in fields(Estimate)}
        return {
            key: (None if isinstance(v, float) and not math.isfinite(v) else v)
            for key, v in values.items()
        }


def unavailable(reason: str, n: int = 0, level: float = 0.95) -> Estimate:
    """The estimate of what cannot be computed, with the reason."""
    return Estimate(math.nan, math.nan, math.nan, n, level, reason)


def proportion(count: float, n: float, level: float = 0.95) -> Estimate:
    """``count`` successes of ``n`` with the exact interval of Clopper and Pearson (1934),
    two-sided, equal tails; effective numbers need not be whole (Korn and Graubard 1998).
    """
    if n < 1 or not 0 <= count <= n:
        raise ValueError(f"a proportion needs 0 <= count <= n and n >= 1, got {count} of {n}")
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - tail))
    return Estimate(count / n, low, high, int(n), level, "Clopper-Pearson")


def share(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Estimate:
    """The mean of independent units in [0, 1] with an interval that never leaves [0, 1].

    Exact (Clopper and Pearson 1934) where every unit is 0 or 1; for units that are averages
    themselves the counts next below and above their sum bound it (conservative, Hoeffding 1956).
    """
    data = np.asarray(values, dtype=np.float64).ravel()
    if not data.size or not ((data >= 0) & (data <= 1)).all():
        raise ValueError("a share needs units in [0, 1], at least one")
    total, n = float(data.sum()), data.size
    low, high = (proportion(int(end), n, level) for end in (math.floor(total), math.ceil(total)))
    return Estimate(total / n, low.low, high.high, n, level, "Clopper-Pearson")


def exact(values: Sequence[float] | np.ndarray, level: float = 1.0) -> Estimate:
    """A number without error, such as a count, a rank or a value of theory; ``level`` is always 1.

    Several numbers are a ValueError: exact values have no units to average.
    """
    data = np.asarray(values, dtype=np.float64).ravel()
    if data.size != 1:
        raise ValueError(f"an exact value is one number, got {data.size}: select or average first")
    return Estimate(float(data[0]), float(data[0]), float(data[0]), 1, 1.0, "exact")


def crossed(values: np.ndarray, level: float = 0.95) -> Estimate:
    """The mean over two crossed samples (runs, images), each of them drawn: by t.

    Its variance is at most that of the row means plus that of the column means over their numbers;
    the degrees of freedom are Satterthwaite's (1946). One row or one column has (-inf, inf).
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 2:
        raise ValueError(f"crossed units are (runs, images), got an array of shape {data.shape}")
    value, (n, m) = float(data.mean()), data.shape
    if min(n, m) < 2:
        return Estimate(value, -math.inf, math.inf, data.size, level, "t, crossed (one run)")
    rows, columns = (float(data.mean(i).var(ddof=1)) / data.shape[1 - i] for i in (1, 0))
    total = rows + columns
    freedom = total**2 / (rows**2 / (n - 1) + columns**2 / (m - 1)) if total > 0 else n + m - 2
    half = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(total)
    return Estimate(
        value, value - half, value + half, data.size, level, "t, runs crossed with units"
    )


def mean(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Estimate:
    """The mean of independent values with Student's t interval; one value alone has the interval
    (-inf, inf).
    """
    data = np.asarray(values, dtype=np.float64).ravel()
    if data.size == 0:
        raise ValueError("the mean of no values is undefined")
    value = float(data.mean())
    if data.size == 1:
        return Estimate(value, -math.inf, math.inf, 1, level, "t (one value)")
    half = float(stdtrit(data.size - 1, (1 + level) / 2) * data.std(ddof=1) / math.sqrt(data.size))
    return Estimate(value, value - half, value + half, int(data.size), level, "t")


def runs(units: np.ndarray, level: float = 0.95) -> Estimate:
    """The mean over runs (k, 2), each a value and its standard error: by t over several, by its own
    error of one alone.
    """
    values, errors = np.asarray(units, dtype=np.float64).T
    if len(values) > 1:
        return mean(values, level)
    value, half = float(values[0]), float(ndtri((1 + level) / 2) * errors[0])
    return Estimate(value, value - half, value + half, 1, level, "normal, one run alone")


def counted(counts: np.ndarray, level: float = 0.95) -> Estimate:
    """The exact interval of counts (2,): how many, of how many."""
    return proportion(*np.reshape(counts, 2), level=level)


def distance(units: np.ndarray, level: float = 0.95) -> Estimate:
    """The largest distance (2,) of an empirical distribution function from a known law's, with its
    number of units (Dvoretzky, Kiefer and Wolfowitz 1956, with the constant of Massart 1990).
    """
    value, n = map(float, np.reshape(units, 2))
    half = math.sqrt(math.log(2 / (1 - level)) / (2 * n))
    low, high = max(0.0, value - half), min(1.0, value + half)
    return Estimate(value, low, high, int(n), level, "Dvoretzky-Kiefer-Wolfowitz")


def bounded(make: Callable[..., Estimate]) -> Callable[..., Estimate]:
    """A maker of intervals of numbers in [0, 1], which never leave it."""

    def made(units: np.ndarray, level: float = 0.95) -> Estimate:
        e = make(units, level)
        return replace(e, low=max(0.0, e.low), high=min(1.0, e.high))

    return made


def median(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Estimate:
    """The median of independent values with the interval between two order statistics, at least
    ``level`` where 6 values or more make that possible.

    Fewer give their extremes, and the estimate's own ``level`` says what these cover: 1 - 2^(1 - n)
    of n values. None is a ValueError.
    """
    data = np.sort(np.asarray(values, dtype=np.float64).ravel())
    if not data.size:
        raise ValueError("the median of no values is undefined")
    below = bdtr(np.arange(data.size), data.size, 0.5)
    skipped = max(0, int(np.searchsorted(below, (1 - level) / 2)) - 1)
    covered = 1 - 2 * float(below[skipped])
    return Estimate(
        float(np.median(data)),
        float(data[skipped]),
        float(data[-1 - skipped]),
        data.size,
        max(0.0, covered),
        "order statistics",
    )


def proportion_ratio(
    count: float, n: float, count0: float, n0: float, level: float = 0.95
) -> Estimate:
    """The ratio (count/n) / (count0/n0) of two independent proportions, interval by MOVER-R on
    Clopper-Pearson limits.

    Donner and Zou (2012), radicands clipped at 0. ``count0 = 0`` leaves the ratio undefined: an
    unavailable estimate.
    """
    if count0 == 0:
        return unavailable("ratio to a proportion of zero", int(n), level)
    top, bottom = proportion(count, n, level), proportion(count0, n0, level)
    x, l1, u1 = top.value, top.low, top.high
    y, l2, u2 = bottom.value, bottom.low, bottom.high
    low_root = math.sqrt(max(0.0, (x * y) ** 2 - l1 * u2 * (2 * x - l1) * (2 * y - u2)))
    high_root = math.sqrt(max(0.0, (x * y) ** 2 - u1 * l2 * (2 * x - u1) * (2 * y - l2)))
    low_scale, high_scale = u2 * (2 * y - u2), l2 * (2 * y - l2)
    low = (x * y - low_root) / low_scale if low_scale > 0 else 0.0
    high = (x * y + high_root) / high_scale if high_scale > 0 else math.inf
    return Estimate(x / y, max(0.0, low), high, int(n), level, "MOVER-R of Clopper-Pearson")


def percentiles(
    value: float,
    draws: Sequence[float] | np.ndarray,
    n: int,
    level: float = 0.95,
    method: str = "percentile bootstrap",
) -> Estimate:
    """``value`` with the central ``level`` interval of bootstrap ``draws``; infinite draws are
    allowed and stay infinite.
    """
    finite = np.sort(np.asarray(draws, dtype=np.float64).ravel())
    if finite.size == 0:
        raise ValueError("a bootstrap interval needs draws")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return Estimate(value, float(low), float(high), n, level, method)


@dataclass(frozen=True, eq=False)
class Resampled:
    """A number of ``n`` units with its ``draws`` (r,): an interval of any level is read off them.

    Infinite draws stay infinite; one that is NaN is unknown and counts for both ends. A ``value``
    that is NaN is not available, for the reason in ``method``.
    """

    value: float
    draws: np.ndarray
    n: int
    method: str = "percentile bootstrap"

    def __call__(self, level: float = 0.95) -> Estimate:
        """The estimate at a level."""
        if math.isnan(self.value):
            return unavailable(self.method, self.n, level)
        low, high = (
            percentiles(
                self.value, np.nan_to_num(self.draws, True, end, math.inf, -math.inf), self.n, level
            )
            for end in (-math.inf, math.inf)
        )
        return Estimate(self.value, low.low, high.high, self.n, level, self.method)

    def map(self, increasing: Callable[[np.ndarray], np.ndarray]) -> Resampled:
        """The same under an increasing function."""
        value = float(increasing(np.asarray(self.value)))
        return replace(self, value=value, draws=increasing(self.draws))


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    data: np.ndarray,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """``statistic(rows of data)`` with a percentile bootstrap interval over rows.

    Never for nearest-neighbour statistics, Fréchet distance or Vendi: repeated rows have distance 0
    there and the interval misses its own estimate (see ``docs/design.md``).
    """
    data = np.asarray(data)
    if len(data) < 2:
        raise ValueError(f"a bootstrap needs at least 2 rows, got {len(data)}")
    rng = np.random.default_rng(seed)
    values = [statistic(data[rng.integers(len(data), size=len(data))]) for _ in range(draws)]
    return percentiles(float(statistic(data)), values, len(data), level)


def paired(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, level: float = 0.95
) -> Estimate:
    """The mean of ``a - b`` for values paired row by row, with the t interval of the
    differences.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"paired values need equal shapes, got {first.shape} and {second.shape}")
    return mean(first - second, level)


def paired_shares(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, level: float = 0.95
) -> Estimate:
    """The share of units that are 1 in ``a`` less that in ``b``, paired row by row, each 0 or 1: by
    the exact intervals of both kinds of unlike pairs (Bonferroni), never of width 0.
    """
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if first.shape != second.shape:
        raise ValueError(f"paired values need equal shapes, got {first.shape} and {second.shape}")
    n, half = first.size, (1 + level) / 2
    more, less = (proportion(int(x.sum()), n, half) for x in (first & ~second, second & ~first))
    value, low, high = more.value - less.value, more.low - less.high, more.high - less.low
    return Estimate(value, low, high, n, level, "Clopper-Pearson of unlike pairs")


def unpaired(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, level: float = 0.95
) -> Estimate:
    """The mean of ``a`` less that of ``b``, independent of each other, by t with the degrees of
    freedom of Welch (1947); one value alone has the interval (-inf, inf).
    """
    first, second = (np.asarray(x, dtype=np.float64).ravel() for x in (a, b))
    value, n = float(first.mean() - second.mean()), first.size + second.size
    if min(first.size, second.size) < 2:
        return Estimate(value, -math.inf, math.inf, n, level, "t (one value)")
    parts = [float(x.var(ddof=1)) / x.size for x in (first, second)]
    weights = [part**2 / (x.size - 1) for part, x in zip(parts, (first, second))]
    freedom = sum(parts) ** 2 / sum(weights) if sum(parts) > 0 else n - 2
    half = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(sum(parts))
    return Estimate(value, value - half, value + half, n, level, "Welch's t")


def mean_ratio(above: np.ndarray, below: np.ndarray, level: float = 0.95) -> Estimate:
    """The ratio of two means of independent draws, by the delta method: nothing is resampled."""
    top, bottom = (float(values.mean()) for values in (above, below))
    if not bottom > 0:
        return unavailable("the mean below is not positive", len(above), level)
    value = top / bottom
    first, second = (
        float(values.var(ddof=1)) / len(values) if len(values) > 1 else math.inf
        for values in (above, below)
    )
    half = float(ndtri((1 + level) / 2)) * math.sqrt(first + value**2 * second) / bottom
    return Estimate(value, value - half, value + half, len(above), level, "delta method")


def permutation(
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    *,
    draws: int = 9999,
    seed: int = 0,
) -> float:
    """The two-sided p-value of a difference in means between ``a`` and ``b``, by random
    relabelling; never below 1/(draws + 1).
    """
    from scipy.stats import permutation_test  # takes a second to import

    first, second = np.asarray(a, dtype=np.float64).ravel(), np.asarray(b, dtype=np.float64).ravel()
    result = permutation_test(
        (first, second),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        n_resamples=draws,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)
