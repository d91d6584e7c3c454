"""The equivalents from the training covariance alone: what its own eigenvalues say about data it
has not seen.

Symbols as in :mod:`denoscope.theory.linear.equivalents`; lam0 the eigenvalues of S_0, n degrees of
freedom. Because df1 = Tr S_0 (S_0+c)^-1 is observed, so is ``r = kappa/c = n/(n - df1)``, and with
it the traces against the unknown truth::

    Tr S (S_0+c)^-1 = r df1        Tr S (S_0+c)^-2 = r^2 Tr S_0 (S_0+c)^-2        Tr P S = n
    kappa(0) = n^2 / sum_{lam0 > 0} 1/lam0

the last where S_0 has as many positive eigenvalues as degrees of freedom (else nothing is unseen).
This is generalised cross-validation (Craven and Wahba 1978) for every function of the resolvent.
Where n items have their mean subtracted and S_0 is normalised by 1/n, n - 1 degrees of freedom are
left and the traces against S are divided by f = (n - 1)/n.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import numeric, within
from denoscope.theory.linear import minima
from denoscope.theory.linear.equivalents import Sampled, losses_of, noise_share, sampled
from denoscope.theory.spectra import without_rounding


class Observed(NamedTuple):
    """Estimates for one training set, totals over d, each of the broadcast shape."""

    kappa: Any
    train: Any  # exact
    test: Any  # on fresh data, the error of the mean included
    unseen: Any  # the truth's variance in the directions that the training set does not span
    cross: Any  # Tr S (S_0 + c)^-1


class _Seen(NamedTuple):
    """Positive eigenvalues (*s, m) (0: rounding), their number, what items leave, the dimension."""

    lam0: np.ndarray
    rank: np.ndarray
    items: Sampled
    d: int


@numeric
def observed(
    lam0: ArrayLike,
    n: ArrayLike,
    c: ArrayLike,
    *,
    abar: ArrayLike | None = None,
    d: int | None = None,
    centred: bool = True,
) -> Observed:
    """Train and test loss, unseen variance and Tr S (S_0 + c)^-1 from the eigenvalues ``lam0`` (*s,
    m) of S_0 and the number n of items.

    Zeros in lam0 may be left out where ``d`` tells the dimension. c >= 0 and abar are as in
    :func:`~denoscope.theory.linear.equivalents.deterministic`; n, c and abar broadcast against s.
    S_0 is normalised by 1/n, its mean subtracted unless ``centred`` is False. At c = 0 test loss
    and cross are +inf where the items do no more than span their directions. n < 2 (centred) or
    more positive eigenvalues than degrees of freedom are a ValueError.
    """
    seen, level = _seen(lam0, n, d, centred), within("c", c, 0, np.inf, closed=True)
    df1, missing, own2 = _sums(seen, level)
    r = _ratio(seen, missing)
    cross, cross2 = _against_truth(seen, df1, own2, r)
    train, test = losses_of(
        df1, own2, (1 + seen.items.share) * cross2, seen.d, level, noise_share(level, abar)
    )
    spanned = _kappa0(seen)
    root = np.where(level > 0, level * np.where(level > 0, r, 1.0), spanned)
    unseen = np.where(
        seen.items.freedom < seen.d, seen.items.freedom * spanned / seen.items.factor, 0.0
    )
    return Observed(*np.broadcast_arrays(root, train, test, unseen, cross))


@numeric
def observed_best_c(
    lam0: ArrayLike, n: ArrayLike, *, d: int | None = None, centred: bool = True
) -> Any:
    """The c with the least estimated divergence true||model, up to a constant ``1/2 [(1 + 1/n) Tr S
    (S_0+c)^-1 + ln|S_0+c|]``.

    Where the items span less than they could, the directions without variance have none in truth
    and are left out; 0 where there is no variance at all. Arguments as for :func:`observed`.
    """
    seen = _seen(lam0, n, d, centred)
    empty = np.where(
        seen.items.freedom > seen.rank, 0.0, seen.d - seen.rank
    )  # directions that only c fills

    def value(c: np.ndarray) -> np.ndarray:
        df1, missing, own2 = _sums(seen, c)
        cross, _ = _against_truth(seen, df1, own2, _ratio(seen, missing))
        return (
            (1 + seen.items.share) * cross
            + _positive(seen, np.log(seen.lam0 + c[..., None]))
            + empty * np.log(c)
        )

    def slope(c: np.ndarray) -> np.ndarray:
        df1, missing, own2 = _sums(seen, c)
        _, cross2 = _against_truth(seen, df1, own2, _ratio(seen, missing))
        return (
            _positive(seen, 1 / (seen.lam0 + c[..., None]))
            + empty / c
            - (1 + seen.items.share) * cross2
        )

    low, high = _range(seen)
    return np.where(seen.rank > 0, minima.root(slope, *minima.cell(value, low, high)), 0.0)


@numeric
def observed_best_ridge(
    lam0: ArrayLike, n: ArrayLike, abar: ArrayLike, *, d: int | None = None, centred: bool = True
) -> Any:
    """The ridge with the least estimated test loss at the noise level abar, 0 where none helps; to
    about 1e-7 of 1 - abar + ridge.

    Arguments as for :func:`observed`. Source: Craven and Wahba 1978 (generalised cross-validation).
    """
    seen, level = _seen(lam0, n, d, centred), within("abar", abar, 0, 1)
    noise = (1 - level) / level

    def test(further: np.ndarray) -> np.ndarray:
        c = noise + further
        df1, missing, own2 = _sums(seen, c)
        cross2 = (1 + seen.items.share) * _against_truth(seen, df1, own2, _ratio(seen, missing))[1]
        return losses_of(df1, own2, cross2, seen.d, c, noise / c)[1]

    low, high = (
        np.broadcast_to(end, np.broadcast_shapes(end.shape, level.shape)) for end in _range(seen)
    )
    further = minima.argmin(test, low, high)
    return np.where(test(further) < test(np.zeros_like(further)), level * further, 0.0)


def _seen(lam0: Any, n: Any, d: int | None, centred: bool) -> _Seen:
    kept, items = without_rounding("lam0", lam0), sampled(n, centred)
    size = kept.shape[-1] if d is None else d
    if size < kept.shape[-1]:
        raise ValueError(
            f"d must be at least the number of eigenvalues in lam0, {kept.shape[-1]}, got {size}"
        )
    if (items.freedom < 1).any():
        raise ValueError(
            "n must be at least 2 items where the mean is subtracted, else 1: fewer tell "
            "nothing about their variance"
        )
    rank = (kept > 0).sum(-1)
    if (rank > items.freedom).any():
        raise ValueError(
            f"lam0 must not hold more positive eigenvalues ({rank.max()}) than degrees of "
            f"freedom ({items.freedom.min():g})"
        )
    return _Seen(kept, rank, items, size)


def _sums(seen: _Seen, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """df1, n - df1 without cancellation, and Tr S_0 (S_0+c)^-2."""
    at = c[..., None]
    total = np.where(seen.lam0 > 0, seen.lam0 + at, 1.0)
    own2 = (seen.lam0 / total**2).sum(-1)
    return (
        (seen.lam0 / total).sum(-1),
        (seen.items.freedom - seen.rank) + _positive(seen, at / total),
        own2,
    )


def _positive(seen: _Seen, values: np.ndarray) -> np.ndarray:
    """The sum over the positive eigenvalues."""
    return np.where(seen.lam0 > 0, values, 0.0).sum(-1)


def _ratio(seen: _Seen, missing: np.ndarray) -> np.ndarray:
    """r = kappa/c; +inf where c = 0 and the items just span their directions."""
    return np.where(missing > 0, seen.items.freedom / np.where(missing > 0, missing, 1.0), np.inf)


def _against_truth(
    seen: _Seen, df1: np.ndarray, own2: np.ndarray, r: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Tr S (S_0+c)^-1 and Tr S (S_0+c)^-2."""
    return r * df1 / seen.items.factor, r**2 * own2 / seen.items.factor


def _kappa0(seen: _Seen) -> np.ndarray:
    """kappa at c = 0, in the units of S_0."""
    inverses = np.where(seen.lam0 > 0, 1 / np.where(seen.lam0 > 0, seen.lam0, 1.0), 0.0).sum(-1)
    just = (seen.items.freedom == seen.rank) & (seen.rank > 0)
    return np.where(just, seen.items.freedom / np.where(just, inverses, 1.0), 0.0)


def _range(seen: _Seen) -> tuple[np.ndarray, np.ndarray]:
    """Where the best c may lie: from well below the least eigenvalue to above their sum."""
    largest = np.where(seen.lam0.max(-1) > 0, seen.lam0.max(-1), 1.0)
    least = np.minimum(np.where(seen.lam0 > 0, seen.lam0, np.inf).min(-1), largest)
    low = 1e-3 * least * np.minimum(1.0, seen.d / seen.items.freedom)
    shape = np.broadcast_shapes(low.shape, seen.items.freedom.shape)
    return np.broadcast_to(low, shape), np.broadcast_to(4 * largest + seen.lam0.sum(-1), shape)
