"""The optimum of a linear diffusion model and its losses: exact for any data, because only first
and second moments enter.

The model predicts the noise of ``x_t = sqrt(y) x0 + sqrt(1-y) eps`` (y = abar) by ``W (x_t + b)``
and minimises the mean of ``|eps - W (x_t + b)|^2 + gamma |W|_F^2`` over a training set with mean
mu_0 and covariance Sigma_0 (1/N): ``W = sqrt(1-y) R``, ``R = (y Sigma_0 + (1-y+gamma) I)^-1``, ``b
= -sqrt(y) mu_0``. On data with moments mu and Sigma every loss is a sum over the eigenvectors e of
Sigma_0 (eigenvalue lam) that needs two more numbers each: ``S = e.Sigma e`` and ``D = (e.(mu -
mu_0))^2``. With ``c = (1-y+gamma)/y`` the gap between test and train is ``((1-y)/y) { Tr (Sigma -
Sigma_0)(Sigma_0 + c)^-2 + |(Sigma_0 + c)^-1 (mu - mu_0)|^2 }``. Losses are sums over the d
dimensions; a model that predicts 0 has the loss d. Merger and Goldt 2025.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import covariance, eigen, finite, numeric
from denoscope.theory.linear.minima import root
from denoscope.theory.linear.modewise import levels, loss, spectrum, vector

_SCAN, _LEAST = 500, 1e-12  # ridges tried, from this share of the largest that can help up to it


class Modes(NamedTuple):
    """Eigenvalues of the training covariance (d,), ascending, the true variance S and squared mean
    error D along each, eigenvectors (d, d).
    """

    lam: np.ndarray
    variance: np.ndarray
    offset: np.ndarray
    vectors: np.ndarray


@numeric
def optimal(cov0: ArrayLike, abar: ArrayLike, ridge: ArrayLike = 0.0) -> Any:
    """``sqrt(1-abar) [abar cov0 + (1-abar+ridge) I]^-1``, (*abar, d, d). Merger and Goldt 2025."""
    lam, vectors = eigen("cov0", cov0)
    abar, ridge = (level[..., None] for level in np.broadcast_arrays(*levels(abar, ridge)))
    weights = np.sqrt(1 - abar) / (abar * lam + (1 - abar) + ridge)
    return (vectors * weights[..., None, :]) @ vectors.T


@numeric
def optimal_bias(mean0: ArrayLike, abar: ArrayLike) -> Any:
    """``-sqrt(abar) mean0``, the bias in ``W (x_t + b)``, (*abar, d). Merger and Goldt 2025."""
    abar, _ = levels(abar, 0.0)
    return -np.sqrt(abar)[..., None] * finite("mean0", mean0)


@numeric
def modes(cov: ArrayLike, cov0: ArrayLike, mean: ArrayLike, mean0: ArrayLike) -> Modes:
    """What every loss needs of the truth (cov, mean) and the training set (cov0, mean0): one
    eigendecomposition, then numbers per mode.
    """
    true = _semidefinite("cov", cov)
    lam, vectors = eigen("cov0", cov0)
    if len(true) != len(lam):
        raise ValueError(f"cov must have the size of cov0, {len(lam)}, got {len(true)}")
    variance = np.maximum(((vectors.T @ true) * vectors.T).sum(1), 0.0)
    difference = vector("mean", mean, len(lam)) - vector("mean0", mean0, len(lam))
    return Modes(lam, variance, (vectors.T @ difference) ** 2, vectors)


@numeric
def losses(modes: Modes, abar: ArrayLike, ridge: ArrayLike = 0.0) -> tuple[Any, Any]:
    """Train and test loss at every ``abar`` and ``ridge``, of their common broadcast shape."""
    return _own_loss(modes.lam, abar, ridge), _loss_on(
        modes.variance + modes.offset, modes.lam, abar, ridge
    )


@numeric
def train_loss(
    cov: Any, cov0: ArrayLike, mean: Any, mean0: Any, abar: ArrayLike, ridge: ArrayLike = 0.0
) -> Any:
    """The loss of the optimum on its own training set; true moments and means have no say."""
    return _own_loss(eigen("cov0", cov0)[0], abar, ridge)


@numeric
def test_loss(
    cov: ArrayLike,
    cov0: ArrayLike,
    mean: ArrayLike,
    mean0: ArrayLike,
    abar: ArrayLike,
    ridge: ArrayLike = 0.0,  # noqa: PT028 -- no test
) -> Any:
    """The optimum's loss on fresh data with moments ``mean``, ``cov``. Merger and Goldt 2025."""
    return losses(modes(cov, cov0, mean, mean0), abar, ridge)[1]


# pytest would collect it by its name
test_loss.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]


@numeric
def gap(
    cov: ArrayLike,
    cov0: ArrayLike,
    mean: ArrayLike,
    mean0: ArrayLike,
    abar: ArrayLike,
    ridge: ArrayLike = 0.0,
) -> Any:
    """Test less train loss, ``((1-y)/y) sum (S + D - lam) / (lam + c)^2`` with c = (1-y+ridge)/y.
    Merger and Goldt 2025.
    """
    found = modes(cov, cov0, mean, mean0)
    abar, ridge = (level[..., None] for level in levels(abar, ridge))
    excess = found.variance + found.offset - found.lam
    return (abar * (1 - abar) * excess / (abar * found.lam + (1 - abar) + ridge) ** 2).sum(-1)


@numeric
def bayes_loss(cov: ArrayLike, abar: ArrayLike) -> Any:
    """The least loss on data with the covariance ``cov``, ``sum y lam / (y lam + 1 - y)``, shape of
    ``abar``; Gaussian data allow no less.
    """
    return _own_loss(eigen("cov", cov)[0], abar, 0.0)


@numeric
def bayes_loss_of(lam: ArrayLike, abar: ArrayLike) -> Any:
    """:func:`bayes_loss` from the eigenvalues (d,) of the covariance."""
    return _own_loss(spectrum("lam", lam), abar, 0.0)


@numeric
def best_ridge(modes: Modes, abar: ArrayLike) -> Any:
    """The ridge with the least test loss at each ``abar``, its shape; 0 where no ridge helps.

    It solves ``gamma Tr R^3 = y Tr R^3 (Sigma - Sigma_0 + (mu - mu_0)(mu - mu_0)^T)``, hence lies
    below the largest y (S + D - lam); every root there is tried. Merger and Goldt 2025.
    """
    noise_levels, _ = levels(abar, 0.0)
    best = [
        _best_ridge_at(modes.lam, modes.variance + modes.offset, float(y))
        for y in noise_levels.ravel()
    ]
    return np.array(best).reshape(noise_levels.shape)


def _own_loss(lam: np.ndarray, abar: Any, ridge: Any) -> np.ndarray:
    return _loss_on(lam, lam, abar, ridge)


def _loss_on(other: np.ndarray, lam: np.ndarray, abar: Any, ridge: Any) -> np.ndarray:
    """The optimum's loss on data of second moments ``other`` about the training mean."""
    abar, ridge = (level[..., None] for level in levels(abar, ridge))
    return loss(lam, other, abar, ridge, 0.0).sum(-1)


def _best_ridge_at(lam: np.ndarray, other: np.ndarray, abar: float) -> float:
    excess, noisy = abar * (other - lam), abar * lam + (1 - abar)
    if excess.max() <= 0:
        return 0.0

    def slope(ridge: np.ndarray) -> np.ndarray:
        """The derivative of the test loss, up to a positive factor."""
        ratio = (noisy.min() + ridge[:, None]) / (noisy + ridge[:, None])
        return ((ridge[:, None] - excess) * ratio**3).sum(-1)

    tried = np.geomspace(_LEAST, 1.0, _SCAN) * excess.max()
    slopes = slope(tried)
    turns = np.flatnonzero((slopes[:-1] < 0) & (slopes[1:] >= 0))
    found = np.concatenate([[0.0], root(slope, tried[turns], tried[turns + 1])])
    return float(found[loss(lam, other, np.asarray(abar), found[:, None], 0.0).sum(-1).argmin()])


def _semidefinite(name: str, value: Any) -> np.ndarray:
    """``value`` as a covariance without negative eigenvalues, up to rounding; else a ValueError
    naming the argument.

    A Cholesky factorisation decides: a tenth of the price of the eigenvalues, which nobody needs
    here.
    """
    matrix = covariance(name, value)
    slack = 1e-7 * np.linalg.norm(matrix) + np.finfo(np.float64).tiny
    try:
        np.linalg.cholesky(matrix + slack * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        raise ValueError(f"{name} must have no negative eigenvalue") from None
    return matrix
