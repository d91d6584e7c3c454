"""How far the law that a linear diffusion model samples, N(mu_0, S_0 + c), is from the true N(mu,
S): both divergences, in nats.

``KL(p||q) = 1/2 [Tr S_q^-1 S_p - d + ln|S_q|/|S_p| + (mu_p - mu_q).S_q^-1 (mu_p - mu_q)]``. The one
of the truth from the model is also half the excess denoising loss over all noise levels, ``1/2
int_0^1 [L_test(y) - L_Bayes(y)] / (y (1-y)) dy``, y = abar, where the model at each level has the
ridge y c, which makes it the exact predictor of N(mu_0, S_0 + c); in u = ln(y/(1-y)) the weight is
du, and the integrand is analytic for
|Im u| < pi and falls exponentially on both sides. On average over training sets (c = 0, more items
than dimensions) both are digamma functions of n and d alone, whatever the mean and covariance, and
d/(4n) per dimension to first order.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import hyp2f1, psi

from denoscope.theory.inputs import eigen, finite, numeric, variances, within
from denoscope.theory.linear.modewise import vector
from denoscope.theory.linear.optimum import Modes, losses, modes

Direction = Literal["model||true", "true||model"]
DIRECTIONS: tuple[Direction, ...] = ("model||true", "true||model")

_STEP = 0.5  # of the trapezoidal rule in u: its error is about exp(-2 pi^2/step) of the integrand
_TAIL = 34.0  # e-foldings beyond the outermost mode
_LAST = 36.0  # beyond it 1 - y is no longer a float64


def forward(direction: str) -> bool:
    """True for ``model||true``, False for ``true||model``; anything else is a ValueError."""
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be 'model||true' or 'true||model', got {direction!r}")
    return direction == "model||true"


@numeric
def kl(
    mean: ArrayLike,
    cov: ArrayLike,
    mean0: ArrayLike,
    cov0: ArrayLike,
    c: float = 0.0,
    *,
    direction: Direction = "model||true",
) -> Any:
    """KL divergence between the model N(mean0, cov0 + c I) and the truth N(mean, cov), in nats.

    +inf, in both directions, where one of the two covariances is singular (an eigenvalue of at most
    d eps times its largest): that law lives on a subspace, which has no share of the other. Also
    where both live on the same one: give the moments in its coordinates. Source: Kullback and
    Leibler 1951.
    """
    ridge = float(within("c", c, 0, np.inf, closed=True))
    truth = modes(cov, cov0, mean, mean0)
    lam = eigen("cov", cov)[0]
    if _singular(lam) or _singular(truth.lam + ridge):
        return np.asarray(np.inf)
    if not forward(direction):
        return _kl(truth.lam + ridge, truth.variance + truth.offset, lam)
    model = modes(cov0, cov, mean0, mean)
    return _kl(model.lam, model.variance + ridge + model.offset, truth.lam + ridge)


@numeric
def kl_along(
    spectrum: ArrayLike,
    mean0: ArrayLike,
    variances0: ArrayLike,
    vectors: ArrayLike,
    *,
    direction: Direction = "model||true",
) -> Any:
    """:func:`kl` where eigenvectors are known already: the truth N(0, diag ``spectrum``), the model
    with ``variances0`` (d,) along the columns of ``vectors`` (d, d).
    """
    lam, model = variances("spectrum", spectrum), variances("variances0", variances0)
    mean, columns = vector("mean0", mean0, len(lam)), finite("vectors", vectors)
    if _singular(lam) or _singular(model):
        return np.asarray(np.inf)
    if not forward(direction):
        return _kl(model, columns.T**2 @ lam + (columns.T @ mean) ** 2, lam)
    return _kl(lam, columns**2 @ model + mean**2, model)


def _kl(base: np.ndarray, other: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    """KL(p||q) from q's eigenvalues, the variance plus squared mean error of p along each, and p's
    eigenvalues; rounding below 0 cut.
    """
    return np.maximum(0.5 * ((other / base - 1) + np.log(base) - np.log(spectrum)).sum(), 0.0)


def _singular(lam: np.ndarray) -> bool:
    """Whether the least of the eigenvalues is rounding beside the largest."""
    return bool(lam.min() <= len(lam) * np.finfo(np.float64).eps * lam.max())


@numeric
def kl_from_losses(
    mean: ArrayLike, cov: ArrayLike, mean0: ArrayLike, cov0: ArrayLike, c: float = 0.0
) -> Any:
    """``KL(true||model) = 1/2 int [L_test(y) - L_Bayes(y)] / (y (1-y)) dy`` with the ridge y c at
    each level: equal to :func:`kl`.

    +inf where :func:`kl` is. The trapezoidal rule in ln(y/(1-y)) is exact here to about 1e-10
    relative until condition numbers of 1e10. Source: Guo, Shamai and Verdú 2005; Verdú 2010
    (mismatched estimation).
    """
    ridge = float(within("c", c, 0, np.inf, closed=True))
    truth, lam = modes(cov, cov0, mean, mean0), eigen("cov", cov)[0]
    if _singular(lam) or _singular(truth.lam + ridge):
        return np.asarray(np.inf)
    ends = np.array(
        [
            min(lam[0], truth.lam[0] + ridge),
            max(lam[-1], truth.lam[-1] + ridge, truth.variance.max() + truth.offset.sum()),
        ]
    )
    # A change of units shifts u alone: modes are centred on u = 0, where y and 1 - y are precise.
    scale = np.sqrt(ends.prod())
    nodes = np.arange(
        -np.log(ends[1] / scale) - _TAIL, min(_LAST, -np.log(ends[0] / scale) + _TAIL), _STEP
    )
    return 0.5 * _STEP * _excess(truth, lam, ridge, scale, 1 / (1 + np.exp(-nodes))).sum()


def _excess(truth: Modes, lam: np.ndarray, c: float, scale: float, abar: np.ndarray) -> np.ndarray:
    """Test less Bayes loss at each abar, for data in units of sqrt(scale)."""
    test = losses(
        truth._replace(
            lam=truth.lam / scale, variance=truth.variance / scale, offset=truth.offset / scale
        ),
        abar,
        abar * c / scale,
    )[1]
    bayes = losses(Modes(lam / scale, lam / scale, np.zeros_like(lam), truth.vectors), abar)[1]
    return test - bayes


@numeric
def expected_kl(d: int, n: ArrayLike, direction: Direction = "model||true") -> Any:
    """The divergence averaged over Gaussian training sets of ``n`` items in d dimensions, c = 0:
    exact, n's shape, in nats.

    The mean is estimated and the covariance normalised by 1/n; neither the true mean nor the true
    covariance (not singular) matters. +inf for n <= d, where the training covariance is singular;
    true||model for n <= d + 2, where its inverse has no mean. Source: moments of the Wishart law
    (Muirhead 1982); Merger and Goldt 2025 for d^2/(4n).
    """
    size, count = _dimensions(d), within("n", n, 0, np.inf)
    least = size if forward(direction) else size + 2
    there = np.where(count > least, count, least + 1.0)
    digammas = psi((there[..., None] - np.arange(1, size + 1)) / 2).sum(-1)
    spread = size * np.log(there / 2) - digammas
    gain = 0.0 if forward(direction) else (there + 1) * size / (there - size - 2) - size
    return np.where(count > least, 0.5 * (spread if forward(direction) else gain - spread), np.inf)


@numeric
def expected_kl_limit(phi: ArrayLike, direction: Direction = "model||true") -> Any:
    """:func:`expected_kl` per dimension for many of them at phi = d/n:
    ``1/2 [1 + (1/phi - 1) ln(1 - phi)]`` = phi/4 + phi^2/12 + ...

    and, true||model, ``1/2 [1/(1 - phi) - 2 - (1/phi - 1) ln(1 - phi)]``, also phi/4 first. phi's
    shape; +inf beyond phi = 1 (there 1/2 and +inf).
    """
    ratio = within("phi", phi, 0, np.inf, closed=True)
    there = np.minimum(ratio, 1.0)
    spread = there / 4 * hyp2f1(1.0, 1.0, 3.0, there)
    if forward(direction):
        return np.where(ratio > 1, np.inf, spread)
    return np.where(ratio >= 1, np.inf, 0.5 * there / np.where(ratio >= 1, 1.0, 1 - there) - spread)


def _dimensions(d: Any) -> int:
    if int(d) != d or d < 1:
        raise ValueError(f"d must be a whole number of at least 1, got {d}")
    return int(d)
