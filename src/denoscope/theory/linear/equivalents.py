"""What a random training set does on average: deterministic equivalents for any spectrum and any
N/d, with ridge or without.

Symbols: lambda_i the eigenvalues of the true covariance S, dimension d; S_0 = (1/n) X^T X of n
independent items (degrees of freedom), c the number added to S_0. kappa(c) is the root of ``kappa =
c + (kappa/n) sum lambda/(lambda + kappa)``: the resolvent (S_0 + c)^-1 behaves like ``(kappa/c) (S
+ kappa)^-1``. With df1 = sum lambda/(lambda + kappa), df2 = sum (lambda/(lambda + kappa))^2, q =
(df1 - df2)/kappa, s_j = sum (lambda + kappa)^-j, r = kappa/c = n/(n - df1) and kappa' = dkappa/dc =
n/(n - df2), every trace is a sum of positive terms::

    Tr (S_0+c)^-1     = r s_1                              Tr S (S_0+c)^-1   = r df1 Tr (S_0+c)^-2
    = r kappa' (r q s_1 / n + s_2)       Tr S (S_0+c)^-2   = r^2 kappa' q E ln|S_0+c|       = sum
    ln(lambda + kappa) + (n - d) ln r - df1       Tr S_0 (S_0+c)^-2 = kappa' q

so that c = 0 needs no limit. Where n items have their mean subtracted (``centred``) and S_0 is
normalised by 1/n, S_0 is that of n - 1 degrees of freedom and the spectrum f lambda, f = (n - 1)/n,
and the estimated mean is off by S/n.

Relative errors are O(1/d) in general; Gaussian data are not needed, but independent entries are.
Sources: Silverstein 1995, Ledoit and Péché 2011, Bach 2024 (the equivalents); Merger and Goldt 2025
(their use).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import numeric, variances, within

_EPS = np.finfo(np.float64).eps
_limits = np.errstate(
    divide="ignore", invalid="ignore", over="ignore"
)  # 0 and +inf are answers here
_NO_FREEDOM = (
    1e-30  # degrees of freedom of one item without its mean: a limit that every formula reaches
)


class Traces(NamedTuple):
    """Expected traces of the training covariance S_0 against c and S, of the broadcast shape."""

    kappa: Any  # (S_0 + c)^-1 behaves like (kappa/c) (E S_0 + kappa)^-1
    slope: Any  # d kappa / d c
    df1: Any  # Tr S_0 (S_0 + c)^-1
    df2: Any
    inverse: Any  # Tr (S_0 + c)^-1
    inverse2: Any  # Tr (S_0 + c)^-2
    cross: Any  # Tr S (S_0 + c)^-1
    cross2: Any  # Tr S (S_0 + c)^-2
    own2: Any  # Tr S_0 (S_0 + c)^-2
    log_det: Any  # E ln|S_0 + c|


class Equivalents(NamedTuple):
    """Expected losses, unseen variance, divergences (nats), totals over d, broadcast."""

    kappa: Any
    train: Any
    test: Any
    unseen: Any  # Tr P S, P the projection on the directions that the training set does not span
    kl: Any  # model || true
    kl_reverse: Any  # true || model


class Sampled(NamedTuple):
    """What n items leave: degrees of freedom, E S_0 = factor S, the share of S in the mean."""

    freedom: np.ndarray
    factor: np.ndarray
    share: np.ndarray


def sampled(n: ArrayLike, centred: bool) -> Sampled:
    """n items whose mean is known (n > 0, any real number), or with ``centred`` estimated and
    subtracted (n >= 1, S_0 with 1/n).
    """
    if not centred:
        count = within("n", n, 0, np.inf)
        return Sampled(count, np.ones_like(count), np.zeros_like(count))
    count = within("n", n, 0, np.inf)
    if (count < 1).any():
        raise ValueError(f"n must be at least 1 where the mean is subtracted, got {count.min():g}")
    freedom = np.maximum(count - 1, _NO_FREEDOM)
    return Sampled(freedom, freedom / count, 1 / count)


@numeric
def kappa(spectrum: ArrayLike, n: ArrayLike, c: ArrayLike) -> Any:
    """The root of ``kappa = c + (kappa/n) sum_i lambda_i/(lambda_i + kappa)``, to about 1e-14
    relative.

    ``spectrum`` (*s, d), n > 0 degrees of freedom and c >= 0 broadcast against s. At c = 0 it is
    the positive root where n is less than the rank (the number of positive variances), else 0.
    Source: Silverstein 1995.
    """
    return _kappa(
        variances("spectrum", spectrum),
        within("n", n, 0, np.inf),
        within("c", c, 0, np.inf, closed=True),
    )


def _kappa(spectrum: np.ndarray, n: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Newton on ln kappa for ``n - df1 - n c/kappa`` inside a bracket that bisection shrinks."""
    low, high = _bracket(spectrum, n, c)
    zero = low <= 0  # c = 0 and n >= rank
    low, high = np.where(zero, 1.0, low), np.where(zero, 1.0, high)
    n, c = np.broadcast_to(n, low.shape), np.broadcast_to(c, low.shape)
    value = high
    for _ in range(200):
        excess, growth = _excess(spectrum, n, c, value)
        low, high = np.where(excess < 0, value, low), np.where(excess > 0, value, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            new = value * np.exp(-excess / growth)
        value_next = np.where((new >= low) & (new <= high), new, np.sqrt(low) * np.sqrt(high))
        done = zero | (
            np.abs(value_next - value) <= 2 * _EPS * (1 + n / np.maximum(growth, _EPS)) * value
        )
        value = value_next
        if done.all():
            break
    return np.where(zero, 0.0, value)


def _bracket(spectrum: np.ndarray, n: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of kappa of the broadcast shape; the lower is 0 exactly where kappa is."""
    positive = spectrum > 0
    rank = positive.sum(-1)
    least = np.where(rank > 0, np.where(positive, spectrum, np.inf).min(-1), 0.0)
    least = np.where(np.isfinite(least), least, 0.0)
    low = np.maximum(c, least * (rank / n - 1))
    return low, np.maximum(low, c + spectrum.sum(-1) / n)


def _excess(
    spectrum: np.ndarray, n: np.ndarray, c: np.ndarray, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``n - df1 - n c/kappa`` and its derivative in ln kappa."""
    missing, growth = _missing(spectrum, n, value)
    ridge = n * (c / value)
    return missing - ridge, growth + ridge


def _missing(
    spectrum: np.ndarray, n: np.ndarray, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``n - df1`` at kappa > 0, precise at both ends, and its derivative in ln kappa."""
    at = value[..., None]
    large = spectrum > at
    shares = np.where(large, at, spectrum) / (spectrum + at)
    return (n - large.sum(-1)) + np.where(large, shares, -shares).sum(-1), (
        shares * (1 - shares)
    ).sum(-1)


@numeric
def traces(spectrum: ArrayLike, n: ArrayLike, c: ArrayLike, *, centred: bool = False) -> Traces:
    """All expected traces at c: ``spectrum`` (*s, d), n and c broadcast against s.

    Where c = 0 and S_0 is singular those that diverge are +inf (``log_det``: -inf). n > 0 are
    degrees of freedom; with ``centred`` n >= 1 items with their mean subtracted, S_0 normalised by
    1/n.
    """
    given = variances("spectrum", spectrum)
    return _traces(given, sampled(n, centred), within("c", c, 0, np.inf, closed=True))


@_limits
def _traces(spectrum: np.ndarray, items: Sampled, c: np.ndarray) -> Traces:
    seen = spectrum * items.factor[..., None]
    root = _kappa(seen, items.freedom, c)
    return _assembled(seen, items, root, _ratio(root, c, items.freedom, (seen > 0).sum(-1)))


@_limits
def traces_at(spectrum: np.ndarray, items: Sampled, root: np.ndarray) -> tuple[Traces, np.ndarray]:
    """The traces where kappa is ``root`` > kappa(0), and its c: no equation to solve."""
    seen = spectrum * items.factor[..., None]
    missing = np.maximum(_missing(seen, items.freedom, root)[0], 0.0)
    r = items.freedom / missing
    return _assembled(seen, items, root, r), root / r


def _assembled(seen: np.ndarray, items: Sampled, root: np.ndarray, r: np.ndarray) -> Traces:
    """The formulas of the module docstring."""
    n, at = items.freedom, root[..., None]
    inverses = 1 / (seen + at)
    shares = np.where(seen > 0, seen * inverses, 0.0)
    df1, s1, s2 = shares.sum(-1), inverses.sum(-1), (inverses**2).sum(-1)
    q = np.where(seen > 0, shares * inverses, 0.0).sum(-1)
    slope = n / (n / r + root * q)
    inverse2 = np.where(np.isinf(s2), np.inf, r * slope * (r * q * s1 / n + s2))
    spare = np.where(n == seen.shape[-1], 0.0, (n - seen.shape[-1]) * np.log1p(r * df1 / n))  # ln r
    log_det = np.log(seen + at).sum(-1) + spare - df1
    cross, cross2 = _product(r, df1) / items.factor, _product(r * r * slope, q) / items.factor
    return Traces(
        root,
        slope,
        df1,
        (shares**2).sum(-1),
        r * s1,
        inverse2,
        cross,
        cross2,
        _product(slope, q),
        log_det,
    )


def _ratio(root: np.ndarray, c: np.ndarray, n: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """r = kappa/c, at c = 0 its limit: +inf where n <= rank, else n/(n - rank)."""
    c, n, rank = (
        np.broadcast_to(c, root.shape),
        np.broadcast_to(n, root.shape),
        np.broadcast_to(rank, root.shape),
    )
    limit = np.where(n > rank, n / np.where(n > rank, n - rank, 1.0), np.inf)
    return np.where(c > 0, root / np.where(c > 0, c, 1.0), limit)


def _product(factor: np.ndarray, trace: np.ndarray) -> np.ndarray:
    """The product, 0 where the trace is (nothing varies), whatever the factor."""
    return np.where(trace == 0, 0.0, factor * trace)


@numeric
def deterministic(
    spectrum: ArrayLike,
    n: ArrayLike,
    c: ArrayLike,
    *,
    abar: ArrayLike | None = None,
    centred: bool = False,
) -> Equivalents:
    """Expected train and test loss at one noise level, unseen variance and both divergences of
    N(mean_0, S_0 + c) from the true law.

    ``spectrum`` (*s, d), n, c and abar broadcast against s; nats and losses are totals over d. c >=
    0 is that of the loss, c = (1 - abar + ridge)/abar: without ``abar`` the ridge is 0 and abar =
    1/(1 + c); an abar with (1 - abar)/abar > c is a ValueError. n are degrees of freedom (mean
    known) or, with ``centred``, items. At c = 0 the losses are their limits, the test loss +inf
    where n <= rank. Both divergences are +inf where a true variance is 0 (leave such directions
    out), at c = 0 also where n < d (S_0 is singular), and the one true||model at n = d. Source:
    Merger and Goldt 2025.
    """
    given, items = variances("spectrum", spectrum), sampled(n, centred)
    level = within("c", c, 0, np.inf, closed=True)
    parts = _traces(given, items, level)
    train, test = losses_of(
        parts.df1,
        parts.own2,
        (1 + items.share) * parts.cross2,
        given.shape[-1],
        level,
        noise_share(level, abar),
    )
    divergences = divergences_of(given, parts, level, items.share)
    return Equivalents(
        *np.broadcast_arrays(parts.kappa, train, test, _unseen(given, items.freedom), *divergences)
    )


def noise_share(c: np.ndarray, abar: ArrayLike | None) -> np.ndarray:
    """rho = ((1 - abar)/abar)/c, the share of c that is noise, in [0, 1]; 1 without abar."""
    if abar is None:
        return np.ones_like(c)
    level = within("abar", abar, 0, 1 + _EPS)
    noise = (1 - level) / level
    if (noise > c * (1 + 1e-9) + 4 * _EPS).any():
        raise ValueError(
            "c must be at least (1 - abar)/abar, the noise itself; give c = (1 - abar + ridge)/abar"
        )
    return np.where(c > 0, np.minimum(noise / np.where(c > 0, c, 1.0), 1.0), 1.0)


@_limits
def losses_of(
    df1: np.ndarray,
    own2: np.ndarray,
    cross2: np.ndarray,
    d: ArrayLike,
    c: np.ndarray,
    rho: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Train and test loss (totals) from the traces at c, ``cross2`` with the error of the mean in
    it; rho as in :func:`noise_share`.

    ``train = df1 + (1-rho)^2 (d - df1) + rho (1-rho) c own2`` and ``test = train + rho c (cross2 -
    own2)``, +inf where cross2 is (a singular S_0 at c = 0).
    """
    own = np.where(c > 0, rho * (1 - rho) * c * own2, 0.0)
    train = df1 + (1 - rho) ** 2 * (d - df1) + own
    return train, train + np.where(np.isinf(cross2), np.inf, rho * c * (cross2 - own2))


@_limits
def divergences_of(
    spectrum: np.ndarray, parts: Traces, c: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Expected KL model||true and true||model, rounding below 0 cut."""
    flat = (spectrum <= 0).any(-1)
    log_det = np.log(spectrum).sum(-1)
    forward = 0.5 * (c * (1 / spectrum).sum(-1) + log_det - parts.log_det)
    reverse = 0.5 * (parts.cross * (1 + share) - spectrum.shape[-1] - log_det + parts.log_det)
    forward, reverse = (
        np.where(flat, np.inf, forward),
        np.where(flat | np.isinf(parts.cross), np.inf, reverse),
    )
    return np.maximum(forward, 0.0), np.maximum(reverse, 0.0)


@numeric
def unseen_variance(spectrum: ArrayLike, n: ArrayLike) -> Any:
    """``Tr P S = n kappa(0)``: the expected variance in the directions that n independent items do
    not span, 0 where n >= rank.

    n are degrees of freedom: pass N - 1 where the mean was removed. ``spectrum`` (*s, d), n
    broadcast against s.
    """
    return _unseen(variances("spectrum", spectrum), within("n", n, 0, np.inf))


def _unseen(spectrum: np.ndarray, n: np.ndarray) -> np.ndarray:
    return n * _kappa(spectrum, n, np.zeros(()))
