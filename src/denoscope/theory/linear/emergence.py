"""Which variances a half-trained noise predictor samples, and when each mode emerges in them.

A model stopped at the training time k samples, along a direction that its training set does not
span, the variance 0.5615/k by the probability-flow ODE and about 0.7476/k by DDPM: the c of
"covariance Sigma_0 + c". Merger and Goldt 2025; Wang and Pehlevan 2025.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from denoscope.theory.inputs import numeric
from denoscope.theory.linear.laws import abars, ddpm_law, ode_law, slide_betas
from denoscope.theory.linear.modewise import eigenvalues, training_time

BETAS = slide_betas()
UNSEEN_C = {"ode": 0.561459, "ddpm": 0.747598}
"""c k on unseen directions: e^{-gamma_E}, and the integral of e^{-2 Ein(x)} over x > 0."""


@numeric
def stopped_law(sampler: str, lam: ArrayLike, k: ArrayLike | None, betas: ArrayLike = BETAS) -> Any:
    """The exact variances of samples along modes of variance ``lam`` (m,) after the training times
    k, shape (*k, m), by the probability-flow ODE or DDPM (posterior variance), from N(0, I) at the
    last of ``betas``; ``sampler`` is "ode" or "ddpm".
    """
    if sampler not in UNSEEN_C:
        raise ValueError(f"sampler must be ode or ddpm, got {sampler!r}")
    lam, times = eigenvalues("lam", lam), training_time(k)
    if sampler == "ddpm":
        return ddpm_law(lam, betas, k=times[..., None, None], posterior_variance=True)[..., 0, :]
    laws = [ode_law(lam, float(abars(betas)[-1]), k=float(time)) for time in times.ravel()]
    return np.array(laws).reshape(*times.shape, *lam.shape)


@numeric
def noise_emergence_times(lam: ArrayLike, times: ArrayLike) -> Any:
    """The training time at which each mode ``lam`` (m,) emerges in probability-flow samples of a
    noise predictor, on the grid ``times`` (K,); NaN where the last of them is too early.

    Untrained it samples variances of 1/abar_T, which fall: a mode emerges at the harmonic mean of
    the untrained and the final one, near twice the latter.
    """
    lam, grid = eigenvalues("lam", lam), np.asarray(times, np.float64)
    falling = np.asarray(stopped_law("ode", lam, [0.0, *grid, np.inf]))
    excess = np.log(falling[1:-1] * (1 / falling[0] + 1 / falling[-1]) / 2)
    return np.array(
        [
            np.exp(np.interp(0.0, -values, np.log(grid))) if values[0] > 0 > values[-1] else np.nan
            for values in excess.T
        ]
    )


@numeric
def emergence_exponent(lam: ArrayLike, times: ArrayLike) -> Any:
    """The slope of ln emergence time against ln variance, by least squares over the modes that
    emerge; NaN where fewer than two do.
    """
    lam, times = eigenvalues("lam", lam), np.asarray(times, np.float64)
    known = np.isfinite(times)
    if known.sum() < 2:
        return np.asarray(np.nan)
    return np.polyfit(np.log(lam[known]), np.log(times[known]), 1)[0]
