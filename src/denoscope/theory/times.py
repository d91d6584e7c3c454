"""When a diffusion decides: the speciation time, where it picks a class, and the collapse time,
where it picks a training point.

Time is that of the Ornstein-Uhlenbeck process ``x_t = e^{-t} x_0 + sqrt(1 - e^{-2t}) z``, so ``abar
= e^{-2t}``; generation runs from large t to 0. ``snr(t) = 1/(e^{2t} - 1)`` is the ratio of the two
variances.

* Speciation: the largest eigenvalue L of the data's covariance is drowned by noise once ``L e^{-2t}
  < 1``: ``t_S = ln(L)/2``.
* Collapse: n points at entropy density ``ln n / d`` fill the noised law of the population until
  t_C; below it the exact score of the training set follows single points. The excess entropy f(t)
  is what is left to fill: ``f = alpha = ln n / d`` at large t and 0 at t_C. For a Gaussian
  population with eigenvalues l_i, ``f(t)/alpha = 1 - sum_i ln(1 + l_i snr)/(2 ln n)``.
* Its empirical twin needs no density: with a uniform index I of the training point under x_t,
  ``f^e(t)/alpha = H(I | x_t)/ln n``, the mean of ``-ln w_I(x_t)`` over ``ln n``, w the posterior
  weights of the training points.

Source: Biroli, Bonnaire, de Bortoli and Mezard 2024 (Nature Communications 15, 9957).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from denoscope.theory.inputs import eigen, finite, numeric, variances, within

_BLOCK = 1 << 20  # numbers in one block of (draw, training point) pairs
_GRID = np.linspace(-40.0, 40.0, 801)


class Measured(NamedTuple):
    """A mean over random draws and its standard error, each of the shape of the times."""

    value: Any
    error: Any


@numeric
def ou_time(abar: Any) -> Any:
    """t = -ln(abar)/2: where a variance-preserving process with signal power ``abar`` in (0, 1]
    stands in Ornstein-Uhlenbeck time.
    """
    return -0.5 * np.log(_signal("abar", abar))


@numeric
def step_of(time: Any, abars: Any) -> int:
    """The first index k with ``abars[k] < e^{-2 time}``: the step at which a schedule passes
    ``time``, len(abars) if it never does.

    ``abars`` (steps,) falls from the data towards the noise, step 0 the least noisy.
    """
    signal = _signal("abars", abars)
    if signal.ndim != 1 or (np.diff(signal) > 0).any():
        raise ValueError("abars must be one falling sequence, from the data towards the noise")
    return int(
        (signal >= math.exp(-2 * float(within("time", time, 0.0, math.inf, closed=True)))).sum()
    )


@numeric
def speciation_time(cov: Any) -> Any:
    """t_S = ln(L)/2 with L the largest eigenvalue of the data's covariance ``cov`` (d, d), or of
    its eigenvalues (d,).

    With L <= 1 no direction ever stands out of the noise before the data themselves are reached: 0.
    Source: Biroli et al. 2024.
    """
    spectrum = variances("cov", cov) if np.ndim(cov) < 2 else eigen("cov", cov)[0]
    return 0.5 * np.log(max(float(spectrum.max()), 1.0))


@numeric
def clone_agreement(times: Any, d: Any, *, separation: Any = 1.0, variance: Any = 1.0) -> Any:
    """The probability that two reverse paths that part at time t end in the same half of a balanced
    two-Gaussian mixture.

    The centres ±m have |m|^2 = ``separation``^2 d, each Gaussian has covariance ``variance`` I. phi
    = E[p^2 + (1 - p)^2] with the class posterior p(x_t), which is ``1 - e^{-k^2/2} E[sech(k
    y)]/2``, y standard normal, ``k = |m| e^{-t}/sqrt(1 - e^{-2t} + variance e^{-2t})``: 1/2 long
    before speciation, 1 long after, and 0.7752 at ``t_S = ln(|m|^2)/2`` where the variance is 1, in
    any dimension. Arguments broadcast. Source: Biroli et al. 2024.
    """
    signal = np.exp(-2 * within("times", times, 0.0, math.inf, closed=True))
    k = _parted(signal, d, separation, variance)
    scale = np.maximum(k, 4.0)[
        ..., None
    ]  # the trapezoidal rule, wherever the integrand is: exact to rounding for analytic functions
    y = _GRID / scale
    mean = (
        (np.exp(-0.5 * y**2) / np.cosh(k[..., None] * y) / scale).sum(-1)
        * (_GRID[1] - _GRID[0])
        / math.sqrt(2 * math.pi)
    )
    return 1 - 0.5 * np.exp(-0.5 * k**2) * mean


def _parted(signal: Any, d: Any, separation: Any, variance: Any) -> Any:
    """How far a centre of the noised mixture is from the middle, in standard deviations, at most
    40.
    """
    centre = np.square(finite("separation", separation)) * within("d", d, 0.0, math.inf)
    spread = 1 - signal + within("variance", variance, 0.0, math.inf, closed=True) * signal
    power, spread = np.broadcast_arrays(centre * signal, spread)
    far = np.full(power.shape, math.inf)
    return np.minimum(np.sqrt(np.divide(power, spread, out=far, where=spread > 0)), 40.0)


@numeric
def potential(q: Any, times: Any, d: Any, *, separation: Any = 1.0) -> Any:
    """V(q, t) = q^2/2 - 2 separation^2 ln cosh(q e^{-t} sqrt(d)): what the overlap q = m.x/sqrt(d)
    of a reverse path rolls down.

    For a mixture at ±m with unit variance; one well turns into two at ``ln(2 |m|^2)/2``, half of ln
    2 before t_S. Arguments broadcast. Source: Biroli et al. 2024.
    """
    overlap = finite("q", q)
    x = (
        np.abs(overlap)
        * np.exp(-within("times", times, 0.0, math.inf, closed=True))
        * np.sqrt(within("d", d, 0.0, math.inf))
    )
    return 0.5 * overlap**2 - 2 * np.square(finite("separation", separation)) * (
        x + np.log1p(np.exp(-2 * x)) - math.log(2)
    )


@numeric
def collapse_time(n: Any, d: Any, variance: Any = 1.0) -> Any:
    """t_C = ln(1 + variance/(n^{2/d} - 1))/2 for n points of an isotropic Gaussian, or of one class
    of a mixture, in d dimensions.

    One point has collapsed at every time: +inf. Points without spread never do: 0. Arguments
    broadcast. Source: Biroli et al. 2024.
    """
    size, dimension, spread = np.broadcast_arrays(
        _counts(n),
        within("d", d, 0.0, math.inf),
        within("variance", variance, 0.0, math.inf, closed=True),
    )
    filled = np.expm1(2 * np.log(size) / dimension)
    return 0.5 * np.log1p(
        np.divide(spread, filled, out=np.full(filled.shape, math.inf), where=filled > 0)
    )


@numeric
def collapse_time_from(spectrum: Any, n: Any) -> Any:
    """t_C for n points of a Gaussian with the eigenvalues ``spectrum`` (d,): the root of ``sum_i
    ln(1 + l_i snr(t)) = 2 ln n``, of n's shape.

    The smaller the effective dimension, the later the collapse. One point: +inf; no spread at all:
    0. Source: the Gaussian case of the entropy criterion of Biroli et al. 2024.
    """
    lam, size = variances("spectrum", spectrum), _counts(n)
    if not lam.any():
        return np.where(size > 1, 0.0, math.inf)
    target, v = (
        2 * np.log(size),
        2 * np.log(size) - np.log(lam.max()),
    )  # ln snr from above: the largest eigenvalue alone fills more
    for _ in range(200):  # Newton on an increasing convex function of v, from above: monotone
        filled = lam * np.exp(v)[..., None]
        step = (np.log1p(filled).sum(-1) - target) / (filled / (1 + filled)).sum(-1)
        v = v - step
        if np.abs(step).max(initial=0.0) < 1e-13:
            break
    return np.where(size > 1, 0.5 * np.log1p(np.exp(-v)), math.inf)


@numeric
def excess_entropy_gaussian(spectrum: Any, n: Any, times: Any) -> Any:
    """f(t)/alpha = max(0, 1 - sum_i ln(1 + l_i snr(t))/(2 ln n)), the theory of
    :func:`excess_entropy`; ``n`` and ``times`` broadcast.

    0 at t = 0 if anything varies, and for one point. Source: Biroli et al. 2024.
    """
    lam, size = variances("spectrum", spectrum), _counts(n)
    time = within("times", times, 0.0, math.inf, closed=True)[..., None]
    return _left(size, 0.5 * _grown(lam, time).sum(-1))


@numeric
def excess_entropy_mixture(
    times: Any, n: Any, d: Any, *, separation: Any = 1.0, variance: Any = 1.0
) -> Any:
    """f(t)/alpha of n points of the balanced mixture of :func:`clone_agreement`: what x_t says of
    the class and, within it, of the point is filled, ``1 - (I + d/2 ln(1 + variance snr))/ln n``,
    never below 0; arguments broadcast.

    ``I = ln 2 - E ln(1 + e^{-2k(k + z)})`` is the information of x_t on the class, z standard
    normal: ln 2 after speciation, where :func:`collapse_time` of n/2 points is the root. One point:
    0. Source: Biroli et al. 2024.
    """
    time, size = within("times", times, 0.0, math.inf, closed=True), _counts(n)
    k, z = _parted(np.exp(-2 * time), d, separation, variance), _GRID / 4
    density = np.exp(-0.5 * z**2) * (z[1] - z[0]) / math.sqrt(2 * math.pi)
    told = math.log(2) - (density * np.logaddexp(0, -2 * k[..., None] * (k[..., None] + z))).sum(-1)
    within_class = 0.5 * np.asarray(d) * _grown(np.asarray(variance, float), time)
    return _left(size, told + within_class)


def _left(size: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """max(0, 1 - filled/ln n) of n = ``size`` points; 0 of one."""
    left = np.maximum(np.log(size) - filled, 0.0)
    return np.where(size > 1, left / np.where(size > 1, np.log(size), 1.0), 0.0)


def _grown(variance: np.ndarray, times: np.ndarray) -> np.ndarray:
    """ln(1 + variance snr(times)): 0 without variance, infinite at time 0 with any."""
    grown = np.expm1(2 * times)
    variance, grown = np.broadcast_arrays(variance, grown)
    ratio = np.where(variance > 0, math.inf, 0.0)
    return np.log1p(np.divide(variance, grown, out=ratio, where=grown > 0))


@numeric
def excess_entropy(data: Any, times: Any, *, seed: int = 0, draws: int | None = None) -> Measured:
    """f^e(t)/alpha = -E ln w_self(x_t)/ln n in [0, 1], with its standard error: 1 far from the
    data, 0 once single training points rule.

    w_self is the posterior weight of the training point that was noised. Each draw gives the
    posterior's entropy, which is -ln w_self averaged over who that point was: the same mean with
    less noise, never outside [0, 1]. ``data`` (n, ...) is flattened; ``draws`` noised points
    (default: every training point once) have the same noise at all ``times`` > 0. Fix the mean and
    the scale of the data first: times refer to them. One training point: 0. Memory is bounded for
    any n. Source: Biroli et al. 2024.
    """
    points = _points(data)
    if len(points) == 1:
        return _alone(times, 0.0)
    mean = _average(points, times, _entropy, seed, draws)
    return Measured(mean.value / math.log(len(points)), mean.error / math.log(len(points)))


@numeric
def self_weight(data: Any, times: Any, *, seed: int = 0, draws: int | None = None) -> Measured:
    """E w_self(x_t), the mean posterior weight of the training point that was noised: from 1 at
    small times to 1/n, 1/2 about at t_C.

    Arguments as for :func:`excess_entropy`; each draw gives the sum of the squared weights, which
    has the same mean. One point: 1. Source: the collapse of Biroli et al. 2024, as a participation
    ratio of the posterior.
    """
    points = _points(data)
    return (
        _alone(times, 1.0)
        if len(points) == 1
        else _average(points, times, _participation, seed, draws)
    )


@numeric
def measured_collapse_time(
    data: Any, *, level: float = 0.5, seed: int = 0, draws: int | None = None
) -> Any:
    """The time at which :func:`self_weight` of ``data`` (n, ...) falls through ``level``, to about
    0.1 %: t_C without a model of the data.

    One point, or a level of at most 1/n, which is never fallen through: +inf. 0 where even t = 1e-4
    has less weight, such as for data of which every point is there twice. The noise is that of
    ``seed``.
    """
    level = float(within("level", level, 0.0, 1.0))
    points = _points(data)
    if len(points) == 1 or level <= 1 / len(points):
        return math.inf
    grid = np.geomspace(1e-4, _latest(points), 24)
    for _ in range(3):
        above = _average(points, grid, _participation, seed, draws).value > level * (1 + 1e-9)
        if not above[0]:
            return 0.0
        last = int(above.argmin()) if not above.all() else len(grid) - 1
        grid = np.geomspace(grid[last - 1], grid[last], 24)
    return math.sqrt(grid[0] * grid[-1])


def _latest(points: np.ndarray) -> float:
    """A time by which the noise has drowned all differences between points."""
    return 2 + 0.5 * math.log1p(float(np.square(points).sum(1).max()))


def _alone(times: Any, value: float) -> Measured:
    shape = within("times", times, 0.0, math.inf).shape
    return Measured(np.full(shape, value), np.zeros(shape))


def _average(
    points: np.ndarray,
    times: Any,
    statistic: Callable[[np.ndarray], np.ndarray],
    seed: int,
    draws: int | None,
) -> Measured:
    """The mean over noised training points of ``statistic`` of the logarithms of their posterior
    weights, and its standard error.
    """
    grid = within("times", times, 0.0, math.inf)
    count = len(points) if draws is None else draws
    if count < 2:
        raise ValueError(f"draws must be at least 2, got {count}: one draw has no standard error")
    values = [
        [statistic(logits) for logits in block]
        for block in _posteriors(points, grid.ravel(), seed, count)
    ]
    table = np.concatenate([np.stack(block) for block in values], 1)
    return Measured(
        table.mean(1).reshape(grid.shape),
        (table.std(1, ddof=1) / math.sqrt(count)).reshape(grid.shape),
    )


def _posteriors(
    points: np.ndarray, times: np.ndarray, seed: int, draws: int
) -> Iterator[Iterator[np.ndarray]]:
    """Blocks of draws; in each, for every time, the unnormalised log posterior weights (b, n), 0
    for the point that was noised.

    With ``s^2 = snr(t)`` and x_t from point a and noise z, the weight of b is ``exp(-s^2 |a -
    b|^2/2 - s z.(a - b))``.
    """
    source = np.random.default_rng(seed)
    who = np.concatenate(
        [source.permutation(len(points)) for _ in range(-(-draws // len(points)))]
    )[:draws]
    squares, rows = np.square(points).sum(1), max(1, _BLOCK // len(points))
    for start in range(0, draws, rows):
        own = who[start : start + rows]
        noise = source.standard_normal((len(own), points.shape[1]))
        distance = np.maximum(squares[own, None] + squares - 2 * points[own] @ points.T, 0.0)
        along = (noise * points[own]).sum(1, keepdims=True) - noise @ points.T
        distance[np.arange(len(own)), own] = along[np.arange(len(own)), own] = 0.0
        yield (-0.5 * s**2 * distance - s * along for s in np.expm1(2 * times) ** -0.5)


def _weights(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior weights and the logarithm of the largest over each of them."""
    below = logits - logits.max(1, keepdims=True)
    weights = np.exp(below)
    return weights / weights.sum(1, keepdims=True), below


def _entropy(logits: np.ndarray) -> np.ndarray:
    weights, below = _weights(logits)
    return np.maximum(np.log(np.exp(below).sum(1)) - (weights * below).sum(1), 0.0)


def _participation(logits: np.ndarray) -> np.ndarray:
    return np.square(_weights(logits)[0]).sum(1)


def _points(data: Any) -> np.ndarray:
    """``data`` as centred rows (n, d)."""
    points = finite("data", data)
    if points.ndim < 2 or not points.size:
        raise ValueError(
            "data must hold training points along the first axis, shape (n, ...), got "
            f"{points.shape}"
        )
    rows = points.reshape(len(points), -1)
    return rows - rows.mean(0)


def _counts(n: Any) -> np.ndarray:
    """``n`` as numbers of points of at least 1."""
    return within("n", n, 1.0, math.inf, closed=True)


def _signal(name: str, value: Any) -> np.ndarray:
    """``value`` as signal powers in (0, 1]."""
    signal = within(name, value, 0.0, 1.0, closed=True)
    if not signal.all():
        raise ValueError(f"{name} must be above 0: at 0 no time is late enough")
    return signal
