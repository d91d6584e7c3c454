"""What the optimal linear model of N rows has on average over training sets, for Gaussian data of
any spectrum: losses, the divergence of what it samples, the error of its covariance.

All numbers are a dimension. Losses are those at one noise level, and averaged over a schedule of
``betas``; samples are those of DDPM with noise in the last step, which adds the schedule's least
noise beta_1 to every variance. Where it does not quite do that (variances below beta_1, or large
beside 1/abar_T), the difference it makes at N = inf is added. Merger and Goldt 2025.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from denoscope.theory.inputs import numeric
from denoscope.theory.linear.divergences import DIRECTIONS, Direction, forward, kl_along
from denoscope.theory.linear.equivalents import deterministic
from denoscope.theory.linear.laws import abars, ddpm_law
from denoscope.theory.linear.sizes import best_c, expected_best_ridge
from denoscope.theory.spectra import covariance_error, participation_ratio

KL: dict[str, Direction] = dict(zip(("kl", "kl_reverse"), DIRECTIONS))
"""Names of divergences, and their directions."""

_NODES = 160  # noise levels between which losses are interpolated, to about 1e-7


@numeric
def expected_numbers(
    spectrum: ArrayLike, sizes: ArrayLike, abar: float, betas: ArrayLike
) -> dict[str, Any]:
    """Expected numbers by name, each of the shape of ``sizes`` (s,), any real numbers of at least
    2.

    ``train``, ``test`` and their ``gap`` at ``abar``, its lower ``bound`` by directions without
    data, both losses with ``_mean`` over the schedule, the best ``ridge`` and ``test_ridge``,
    ``frobenius`` and ``unseen`` variance; ``kl`` and ``kl_reverse``, with ``_ridge`` the best one.
    """
    given, n = np.asarray(spectrum, np.float64), np.asarray(sizes, np.float64)
    d, noise = len(given), (1 - abar) / abar
    at = deterministic(given, n, noise, centred=True)
    ridge = expected_best_ridge(given, n, abar, centred=True)
    rescued = deterministic(given, n, noise + ridge / abar, abar=abar, centred=True)
    train, test = np.array([_over_schedule(given, float(size), betas) for size in n]).T
    return {
        "train": at.train / d,
        "test": at.test / d,
        "gap": (at.test - at.train) / d,
        "bound": at.unseen / noise / d,
        "train_mean": train / d,
        "test_mean": test / d,
        "ridge": ridge,
        "test_ridge": rescued.test / d,
        "frobenius": covariance_error(participation_ratio(given), n),
        "unseen": at.unseen / d,
    } | _divergences(given, n, np.asarray(betas, np.float64))


def sampled_floors(spectrum: np.ndarray, betas: np.ndarray) -> dict[str, float]:
    """Divergences per dimension of samples of the true optimum: what no rows take away."""
    return _aligned(spectrum, ddpm_law(spectrum, betas, last_noise=True))


def _over_schedule(spectrum: np.ndarray, n: float, betas: ArrayLike) -> tuple[float, float]:
    """Train and test loss averaged over the schedule."""
    noise = 1 / abars(betas) - 1
    nodes = noise if len(noise) <= _NODES else np.geomspace(noise[0], noise[-1], _NODES)
    at = deterministic(spectrum, n, nodes, centred=True)
    if nodes is noise:
        return at.train.mean(), at.test.mean()
    lines = CubicSpline(np.log(nodes), np.stack([at.train, at.test], -1))
    return tuple(lines(np.clip(np.log(noise), *np.log(nodes[[0, -1]]))).mean(0))


def _divergences(
    spectrum: np.ndarray, sizes: np.ndarray, betas: np.ndarray
) -> dict[str, np.ndarray]:
    """Both divergences, without a ridge and with the best one."""
    least, limits, found = float(betas[0]), sampled_floors(spectrum, betas), {}
    simple = _aligned(spectrum, spectrum + least)
    for name, direction in KL.items():
        for ending, c in (("", 0.0), ("_ridge", best_c(spectrum, sizes, direction, centred=True))):
            both = deterministic(spectrum, sizes, c + least + 0 * sizes, centred=True)
            total = both.kl if forward(direction) else both.kl_reverse
            found[name + ending] = total / len(spectrum)
        found[name] = found[name] + limits[name] - simple[name]
    return found


def _aligned(spectrum: np.ndarray, variances: np.ndarray) -> dict[str, float]:
    """Each divergence, per dimension, of centred samples with these variances along the true
    axes.
    """
    d = len(spectrum)
    return {
        name: float(kl_along(spectrum, np.zeros(d), variances, np.eye(d), direction=direction)) / d
        for name, direction in KL.items()
    }
