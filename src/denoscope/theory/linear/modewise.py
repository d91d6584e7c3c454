"""One mode of a linear denoiser at one noise level: what optimum, training dynamics and sampling
laws have in common.

Along an eigenvector of the training covariance with eigenvalue ``lam``, ``x_t = sqrt(y) x0 +
sqrt(1-y) eps`` has the variance ``v = y lam + 1 - y`` (y = abar), and a ridge ``gamma |W|_F^2``
adds to it: ``u = v + gamma``. The noise predictor's weight is ``w = sqrt(1-y) q``. Gradient flow at
rate eta from zero solves ``dq/dk = 1 - u q`` in the training time ``k = 2 eta tau``: ``q = (1 -
e^{-k u}) / u``, and ``q = 1/u`` at k = inf, the optimum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from denoscope.theory.inputs import finite, variances, within

_FOR_EVER = 1e200  # training times beyond it would overflow


def eigenvalues(name: str, value: Any) -> np.ndarray:
    """``value`` as variances of its shape, a number without axes; else a ValueError by name."""
    return variances(name, value).reshape(np.shape(value))


def spectrum(name: str, value: Any) -> np.ndarray:
    """``value`` as a list of variances, shape (d,); else a ValueError naming the argument."""
    values = variances(name, value)
    if values.ndim != 1:
        raise ValueError(f"{name} must be a list of variances, got shape {values.shape}")
    return values


def vector(name: str, value: Any, d: int) -> np.ndarray:
    """``value`` as finite numbers, shape (d,); else a ValueError naming the argument."""
    numbers = finite(name, value)
    if numbers.shape != (d,):
        raise ValueError(f"{name} must have shape ({d},), got {numbers.shape}")
    return numbers


def training_time(k: Any) -> np.ndarray:
    """``k`` as float64 of at least 0, +inf allowed and None meaning it, as does all beyond 1e200;
    else a ValueError naming the argument.
    """
    times = np.asarray(np.inf if k is None else k, np.float64)
    if not (times >= 0).all():
        raise ValueError(
            "k must be a training time of at least 0, or inf for the optimum, got "
            f"{np.extract(~(times >= 0), times)[0]:g}"
        )
    return np.where(times > _FOR_EVER, np.inf, times)


def levels(abar: Any, ridge: Any) -> tuple[np.ndarray, np.ndarray]:
    """``abar`` in (0, 1) and ``ridge`` of at least 0; else a ValueError naming the argument."""
    return within("abar", abar, 0, 1), within("ridge", ridge, 0, np.inf, closed=True)


def relaxed(rate: np.ndarray, k: np.ndarray) -> np.ndarray:
    """``(1 - e^{-k rate}) / rate``: 1/rate at k = inf, k at rate 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(rate > 0, -np.expm1(-k * rate) / rate, k)


def decayed(rate: np.ndarray, k: np.ndarray) -> np.ndarray:
    """``e^{-k rate}``: 1 at rate 0, whatever k."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(rate > 0, np.exp(-k * rate), 1.0)


def loss(
    lam: np.ndarray,
    other: np.ndarray,
    abar: np.ndarray,
    ridge: np.ndarray,
    left: np.ndarray | float,
) -> np.ndarray:
    """The noise-prediction loss ``(1 - (1-y) q)^2 + y (1-y) other q^2`` of one mode that has
    ``left`` of its way to the optimum before it.

    ``other`` is the second moment, along the mode and about the learned mean, of the data that the
    loss is measured on: lam itself for the training loss. Written without cancellation, so that it
    is exact at small noise, too.
    """
    total = abar * lam + (1 - abar) + ridge
    return (
        (abar * lam + ridge + (1 - abar) * left) ** 2 + (1 - abar) * abar * other * (1 - left) ** 2
    ) / total**2
