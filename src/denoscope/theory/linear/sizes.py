"""How many samples a linear diffusion model needs, and which ridge helps where there are fewer: on
average over training sets.

Symbols as in :mod:`denoscope.theory.linear.equivalents`. The best c is where a divergence is
stationary: for model||true ``Tr (S_0+c)^-1 = Tr S^-1`` (isotropic data: c = sigma^2 d/(n+d)), for
true||model ``Tr (S_0+c)^-1 = Tr S (S_0+c)^-2``. All traces are explicit functions of kappa, so the
search runs over kappa, and c = kappa (n - df1)/n follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import numeric, variances, within
from denoscope.theory.linear import minima
from denoscope.theory.linear.divergences import Direction, expected_kl, forward
from denoscope.theory.linear.equivalents import (
    Sampled,
    Traces,
    deterministic,
    divergences_of,
    kappa,
    losses_of,
    sampled,
    traces_at,
)
from denoscope.theory.linear.optimum import bayes_loss_of
from denoscope.theory.spectra import support

Trial = Callable[[Traces, np.ndarray], np.ndarray]  # (traces at c, c) -> one number per element


@numeric
def best_c(
    spectrum: ArrayLike,
    n: ArrayLike,
    direction: Direction = "model||true",
    *,
    centred: bool = False,
) -> Any:
    """The c with the least expected divergence of N(mean_0, S_0 + c) from the true law;
    ``spectrum`` (*s, d) and n broadcast.

    n > 0 are degrees of freedom (mean known) or, with ``centred``, items. A variance of 0 is a
    ValueError: no c makes the divergence finite, so leave such directions out. Source: Merger and
    Goldt 2025.
    """
    given, items, toward = variances("spectrum", spectrum), sampled(n, centred), forward(direction)
    if (given <= 0).any():
        raise ValueError(
            "spectrum must hold positive variances for a best c; leave out the "
            "directions of variance 0"
        )
    inverse = (1 / given).sum(-1)

    def value(parts: Traces, c: np.ndarray) -> np.ndarray:
        return divergences_of(given, parts, c, items.share)[0 if toward else 1]

    def slope(parts: Traces, c: np.ndarray) -> np.ndarray:
        return (
            inverse - parts.inverse if toward else parts.inverse - (1 + items.share) * parts.cross2
        )

    start, low, high = _range(given, items, np.zeros(()))
    cell = minima.cell(_over(value, given, items, start), low, high)
    return traces_at(given, items, start + minima.root(_over(slope, given, items, start), *cell))[1]


@numeric
def expected_best_ridge(
    spectrum: ArrayLike, n: ArrayLike, abar: ArrayLike, *, centred: bool = False
) -> Any:
    """The ridge with the least expected test loss at the noise level abar, 0 where none helps;
    ``spectrum`` (*s, d), n and abar broadcast.

    About the mean variance of an unseen direction, and nearly the same at every noise level. To
    about 1e-7 of c = (1 - abar + ridge)/abar. n are degrees of freedom or, with ``centred``, items.
    Source: Merger and Goldt 2025.
    """
    given, items, level = (
        variances("spectrum", spectrum),
        sampled(n, centred),
        within("abar", abar, 0, 1),
    )
    noise = (1 - level) / level

    def test(parts: Traces, c: np.ndarray) -> np.ndarray:
        cross2 = (1 + items.share) * parts.cross2
        return losses_of(
            parts.df1, parts.own2, cross2, given.shape[-1], c, np.minimum(noise / c, 1.0)
        )[1]

    start, low, high = _range(given, items, noise)
    tried = _over(test, given, items, start)
    further = minima.argmin(tried, low, high)
    ridge = level * traces_at(given, items, start + further)[1] - (1 - level)
    return np.where(tried(further) < tried(np.zeros_like(further)), np.maximum(ridge, 0.0), 0.0)


def _range(
    spectrum: np.ndarray, items: Sampled, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """kappa(c), and where the best may lie: well below the least variance to above the largest."""
    seen, n = spectrum * items.factor[..., None], items.freedom
    start = np.asarray(kappa(seen, n, c))
    largest = np.where(spectrum.max(-1) > 0, spectrum.max(-1), 1.0)
    least = np.minimum(np.where(spectrum > 0, spectrum, np.inf).min(-1), largest)
    low = 1e-3 * least * np.minimum(1.0, spectrum.shape[-1] / n)
    return (
        start,
        np.broadcast_to(low, start.shape),
        np.broadcast_to(4 * largest + seen.sum(-1) / n, start.shape),
    )


def _over(trial: Trial, spectrum: np.ndarray, items: Sampled, start: np.ndarray) -> minima.Function:
    """``trial`` as a function of how far kappa is beyond ``start``."""
    return lambda further: trial(*traces_at(spectrum, items, start + further))


@numeric
def samples_needed(
    spectrum: ArrayLike,
    kl_per_dim: float,
    *,
    c: float | Literal["best"] = 0.0,
    direction: Direction = "model||true",
) -> int:
    """The least number of items whose model N(mean_0, S_0 + c) has an expected divergence of at
    most ``kl_per_dim`` nats per dimension.

    c = 0: exact, and the same for every spectrum (about d/(4 kl_per_dim)); c > 0 and "best" (the
    best c at each number of items): deterministic equivalents. ``spectrum`` (d,); variances within
    rounding of 0 need no samples, and d is the number of the others (1 where there are none). A
    divergence that no number of samples reaches, because c is too large, is a ValueError. Mean and
    covariance are estimated, 1/N.
    """
    target, given = float(within("kl_per_dim", kl_per_dim, 0, np.inf)), support(spectrum)
    if not len(given):
        return 1
    level = c if isinstance(c, str) else float(within("c", c, 0, np.inf, closed=True))
    if isinstance(level, str) and level != "best":
        raise ValueError(f"c must be a number of at least 0 or 'best', got {c!r}")
    if not isinstance(level, str) and _floor(given, level, direction) >= target:
        raise ValueError(
            "no number of samples brings the divergence below "
            f"{_floor(given, level, direction):.3g} a dimension at c = {level:g}"
        )
    return minima.least_whole(
        lambda n: _divergence(given, n, level, direction) <= target * len(given)
    )


def _divergence(spectrum: np.ndarray, n: int, c: float | str, direction: Direction) -> float:
    """The expected divergence (total) of n items."""
    if c == 0:
        return expected_kl(len(spectrum), n, direction)
    level = best_c(spectrum, n, direction, centred=True) if isinstance(c, str) else c
    found = deterministic(spectrum, n, level, centred=True)
    return found.kl if forward(direction) else found.kl_reverse


def _floor(spectrum: np.ndarray, c: float, direction: Direction) -> float:
    """The divergence per dimension that c costs even where S_0 = S."""
    ratio = c / spectrum
    gain = ratio if forward(direction) else -ratio / (1 + ratio)
    return 0.5 * float(
        np.abs(gain - np.log1p(ratio) if forward(direction) else gain + np.log1p(ratio)).mean()
    )


@numeric
def samples_for_gap(spectrum: ArrayLike, abar: float, share: float, *, ridge: float = 0.0) -> int:
    """The least number of items for which test less train loss at ``abar`` is expected to be at
    most ``share`` of the Bayes loss.

    ``ridge`` is that of the noise level. Mean and covariance are estimated, 1/N. Without any
    variance in ``spectrum`` (d,) there is no gap: 1. A large ridge closes the gap by learning
    nothing. Source: Merger and Goldt 2025.
    """
    given, target = (
        np.ravel(variances("spectrum", spectrum)),
        float(within("share", share, 0, np.inf)),
    )
    level, extra = (
        float(within("abar", abar, 0, 1)),
        float(within("ridge", ridge, 0, np.inf, closed=True)),
    )
    allowed = target * float(bayes_loss_of(given, level))

    def reached(n: int) -> bool:
        found = deterministic(given, n, (1 - level + extra) / level, abar=level, centred=True)
        return found.test - found.train <= allowed

    return minima.least_whole(reached)
