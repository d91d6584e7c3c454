"""What heavy tails do to the divergence of a linear model: Mardia's kurtosis, and the law for items
that are not Gaussian.

With z = S^(-1/2) (x - mu) and ``f = (E|z|^4 - d) / (d (d+1))``, 1 for a Gaussian and at least (d-1)
/ (d+1) for any law, the covariance of n items scatters as that of n/f Gaussian ones, their mean as
ever: to second order in 1/n the divergence of the model from the best linear model N(mu, S) is ``f
d (d+1)/(4n) + d/(2n)``, of any law with finite fourth moments. Only model||true scales so.

z is not known: whitened by the covariance of all n items, kurtosis reads too low, by that of all
others without bound too high. The *lead* of an item, ``u_i = N/(N-1) (x_i - m).(N S_0)^-1 (x_i -
m)``, is Beta(d/2, (n-1-d)/2) for Gaussian ones (Wilks 1963) and 1 where it alone spans a direction.
Source: Mardia 1970.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import numeric, within
from denoscope.theory.linear.divergences import expected_kl
from denoscope.theory.linear.minima import least_whole

_ALONE = 1e-9  # 1 - u of an item without which a direction is empty: rounding


@numeric
def leads(items: ArrayLike, mean: ArrayLike, precision: ArrayLike, n: int) -> Any:
    """u of some ``items`` (m, d) out of n whose covariance with 1/n has the pseudo-inverse
    ``precision`` (d, d); shape (m,).
    """
    away = np.asarray(items) - np.asarray(mean)
    return ((away @ np.asarray(precision)) * away).sum(1) / (n - 1)


@numeric
def kurtosis_units(lead: ArrayLike, d: int) -> tuple[Any, Any]:
    """Numbers (n,) whose means are the kurtosis E|z|^4 over d (d+2), whitened by all items, and by
    all for one factor and all others for the other; each has expectation 1 for Gaussian items.

    +inf where an item alone spans a direction; n < d + 4 is a ValueError: then the second has no
    expectation.
    """
    u = within("lead", np.minimum(lead, 1.0), 0, 1, closed=True)
    if len(u) < d + 4:
        raise ValueError(f"lead must be that of at least d + 4 = {d + 4} items, got {len(u)}")
    a, total = d / 2, (len(u) - 1) / 2
    scale = u**2 * total / (a * (a + 1))
    apart = np.where(alone(u), 1.0, 1 - u)
    return scale * (total + 1), np.where(alone(u), np.inf, scale / apart * (total - a - 1))


def alone(lead: ArrayLike) -> np.ndarray:
    """Which items alone span a direction, (n,) bool."""
    return 1 - np.asarray(lead) < _ALONE


@numeric
def kurtosis_factor(ratio: ArrayLike, d: int) -> Any:
    """f from the kurtosis over that of a Gaussian; not below its least value for any law."""
    return np.maximum((np.asarray(ratio) * (d + 2) - 1), d - 1) / (d + 1)


@numeric
def any_law_kl(d: int, n: ArrayLike, factor: ArrayLike = 1.0) -> Any:
    """The expected divergence model||true in nats per dimension, ``f (g - 1/(2n)) + 1/(2n)`` with g
    the exact one of Gaussian items; n and ``factor`` broadcast, +inf for n <= d.
    """
    mean_share, exact = 1 / (2 * within("n", n, 0, np.inf)), np.asarray(expected_kl(d, n)) / d
    endless = np.isinf(exact)
    spread = np.asarray(factor) * np.where(endless, 1.0, exact - mean_share)
    return np.where(endless, np.inf, spread + mean_share)


def any_law_samples(d: int, kl_per_dim: float, factor: float = 1.0) -> float:
    """The least number of items whose :func:`any_law_kl` is at most ``kl_per_dim``; +inf of an
    infinite factor.
    """
    target = float(within("kl_per_dim", kl_per_dim, 0, np.inf))
    if np.isinf(factor):
        return np.inf
    return least_whole(lambda n: any_law_kl(d, n, factor) <= target)


@numeric
def factor_behind(kl: ArrayLike, d: int, n: int, others: float = np.inf) -> Any:
    """The f with which :func:`any_law_kl` is ``kl``; of a model measured against the moments of so
    many ``others``, whose own error f raises too.
    """
    error = expected_kl(d, others, "true||model") / d if np.isfinite(others) else 0.0
    return (np.asarray(kl) - 1 / (2 * n)) / (expected_kl(d, n) / d - 1 / (2 * n) + error)
