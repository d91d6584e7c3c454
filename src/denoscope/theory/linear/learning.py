"""Learning curves of linear denoisers, mode by mode: which variances a half-trained model samples,
and when each emerges.

Variance-exploding convention: a denoiser ``D(x) = W (x - mu) + mu`` of ``x = x0 + sigma n`` is
trained apart at every noise level by gradient flow on ``E |D - x0|^2``, in the training time ``k =
2 eta tau``. Along a mode of variance lam its weight goes to ``w* = lam/(lam + sigma^2)``, from Q as

    one layer,  W      w = w* + (Q - w*) e^{-k (lam + sigma^2)}
    two layers, P P^T  w = w* Q / ((w* - Q) e^{-4 k lam} + Q)

and the probability-flow ODE ``d ln x / d sigma = (1 - w)/sigma`` turns ``sigma_T^2`` into the
variance of the samples. Large variances emerge first, at times about proportional to 1/lam. A
circular convolution as long as the signal learns its Fourier modes alike, at a rate multiplied by
the length. Wang and Pehlevan 2025 (arXiv 2503.03206).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import covariance, finite, numeric, within
from denoscope.theory.linear.integrals import ein
from denoscope.theory.linear.modewise import decayed, eigenvalues, relaxed, training_time

_DOUBLINGS = 200  # training times tried, each twice the one before
_BISECTIONS = 60


@numeric
def denoiser_weights(
    lam: ArrayLike, sigma: ArrayLike, k: ArrayLike | None, *, initial: ArrayLike = 0.0
) -> Any:
    """Each mode's weight at time k from ``initial``; lam, sigma and k broadcast."""
    lam, sigma, k, start = (
        eigenvalues("lam", lam),
        _level("sigma", sigma),
        training_time(k),
        finite("initial", initial),
    )
    rate = lam + sigma**2
    return lam * relaxed(rate, k) + start * decayed(rate, k)


@numeric
def denoiser_variance(
    lam: ArrayLike, k: ArrayLike | None, sigma_0: float, sigma_T: float, *, initial: ArrayLike = 0.0
) -> Any:
    """Variances of probability-flow samples from N(mu, sigma_T^2) down to sigma_0 after the
    training time k; lam and k broadcast.

    ``initial`` is the weight that every noise level starts from. Wang and Pehlevan 2025:
    ``sigma_T^2 (Phi(sigma_0) / Phi(sigma_T))^2``.
    """
    lam, k, start = eigenvalues("lam", lam), training_time(k), finite("initial", initial)
    return _one_layer_variance(lam, k, _span(sigma_0, sigma_T), start)


@numeric
def two_layer_weights(
    lam: ArrayLike, sigma: ArrayLike, k: ArrayLike | None, *, initial: ArrayLike
) -> Any:
    """Each mode's weight of the two-layer denoiser P P^T at the training time k, a sigmoid; lam,
    sigma and k broadcast.

    It starts at ``initial`` above 0: at 0 it would stay.
    """
    lam, sigma, k, start = (
        eigenvalues("lam", lam),
        _level("sigma", sigma),
        training_time(k),
        within("initial", initial, 0, np.inf),
    )
    return start / (decayed(4 * lam, k) + start * (lam + sigma**2) * 4 * relaxed(4 * lam, k))


@numeric
def two_layer_variance(
    lam: ArrayLike, k: ArrayLike | None, sigma_0: float, sigma_T: float, *, initial: ArrayLike
) -> Any:
    """:func:`denoiser_variance` of the two-layer denoiser P P^T.

    With w = Q / (A + B sigma^2) at a fixed k the flow integrates to ``sigma^{1 - Q/A} (A + B
    sigma^2)^{Q/2A}``.
    """
    lam, k, start = eigenvalues("lam", lam), training_time(k), within("initial", initial, 0, np.inf)
    return _two_layer_variance(lam, k, _span(sigma_0, sigma_T), start)


@numeric
def weight_times(
    lam: ArrayLike, sigma: ArrayLike, *, initial: ArrayLike = 0.0, two_layer: bool = False
) -> Any:
    """The training time at which each mode's weight rises to half its optimum; 0 where it starts
    higher, +inf where lam = 0.

    ``ln(2 (1 - Q/w*)) / (lam + sigma^2)`` with one layer, ``ln(w*/Q - 1) / (4 lam)`` with two.
    """
    lam, start = (
        eigenvalues("lam", lam),
        finite("initial", initial) if not two_layer else within("initial", initial, 0, np.inf),
    )
    total = lam + _level("sigma", sigma) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        share = start * total / lam
        times = (
            np.log(np.maximum(1 / share - 1, 1)) / (4 * lam)
            if two_layer
            else np.log(np.maximum(2 * (1 - share), 1)) / total
        )
    return np.where(lam > 0, times, np.inf)


@numeric
def emergence_times(
    lam: ArrayLike,
    sigma_0: float,
    sigma_T: float,
    *,
    initial: ArrayLike = 0.0,
    two_layer: bool = False,
) -> Any:
    """The training time at which each mode's sampled variance is half way, in its logarithm, from
    the untrained to the trained one.

    The first such time if there are several; +inf for a mode whose variance training does not
    change.
    """
    lam, span = eigenvalues("lam", lam), _span(sigma_0, sigma_T)
    start = within("initial", initial, 0, np.inf) if two_layer else finite("initial", initial)

    def log_variance(k: Any) -> np.ndarray:
        return np.log(
            (_two_layer_variance if two_layer else _one_layer_variance)(
                lam, np.asarray(k), span, start
            )
        )

    before, after = log_variance(0.0), log_variance(np.inf)
    tried = 2.0 ** np.arange(_DOUBLINGS).reshape(-1, *[1] * lam.ndim) / 2.0**20 / (lam + span[1])
    beyond = np.abs(np.stack([log_variance(k) for k in tried]) - before) >= 0.5 * np.abs(
        after - before
    )
    first = np.take_along_axis(tried, beyond.argmax(0)[None], 0)[0]
    low, high = 0.5 * first, first
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        passed = np.abs(log_variance(middle) - before) >= 0.5 * np.abs(after - before)
        low, high = np.where(passed, low, middle), np.where(passed, middle, high)
    return np.where(np.abs(after - before) > 1e-12, high, np.inf)


@numeric
def fourier_variances(cov: ArrayLike) -> Any:
    """The variances (n,) of a signal's Fourier modes, in the order of ``numpy.fft.fft``: all that a
    circular convolution sees of cov (n, n).
    """
    return (
        np.fft.ifft(np.fft.fft(covariance("cov", cov), axis=0), axis=1)
        .diagonal()
        .real.clip(min=0.0)
    )


@numeric
def convolution_weights(
    lam: ArrayLike, sigma: ArrayLike, k: ArrayLike | None, *, initial: ArrayLike = 0.0
) -> Any:
    """The Fourier coefficients of a circular convolution's filter at the training time k, from
    filters with the coefficients ``initial``.

    ``lam`` holds the variances of all Fourier modes, of any shape; the filter is as large as the
    signal, so its rates are those of
    :func:`denoiser_weights` times the number of modes. Wang and Pehlevan 2025.
    """
    return denoiser_weights(lam, sigma, training_time(k) * np.size(lam), initial=initial)


def _one_layer_variance(
    lam: np.ndarray, k: np.ndarray, span: tuple[float, float], start: np.ndarray
) -> np.ndarray:
    low, high = span
    unlearned = np.log(low / high) - _entire(0 * lam, k, span)
    return high * np.exp((1 - start) * decayed(lam, k) * unlearned + _entire(lam, k, span))


def _two_layer_variance(
    lam: np.ndarray, k: np.ndarray, span: tuple[float, float], start: np.ndarray
) -> np.ndarray:
    low, high = span
    left = decayed(4 * lam, k)
    base = left + start * (1 - left)
    with np.errstate(divide="ignore"):
        knee = base / (start * 4 * relaxed(4 * lam, k))
    return high * np.exp(
        (1 - start / base) * np.log(low / high)
        - start / base * np.log1p((high - low) / (knee + low))
    )


def _entire(lam: np.ndarray, k: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """``Ein(k (lam + sigma_0^2)) - Ein(k (lam + sigma_T^2))``."""
    low, high = span
    time = np.where(np.isinf(k), 0.0, k)
    return np.where(
        np.isinf(k),
        np.log((lam + low) / (lam + high)),
        ein(time * (lam + low)) - ein(time * (lam + high)),
    )


def _span(sigma_0: Any, sigma_T: Any) -> tuple[float, float]:
    """Squares of the last and first level, 0 < sigma_0 < sigma_T; else a ValueError by name."""
    high = float(within("sigma_T", sigma_T, 0, np.inf))
    return float(within("sigma_0", sigma_0, 0, high)) ** 2, high**2


def _level(name: str, value: Any) -> np.ndarray:
    return within(name, value, 0, np.inf)
