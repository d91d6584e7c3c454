"""What single training sets make of the optimal linear model, exactly: the numbers whose averages
are those of :mod:`denoscope.theory.linear.expectations`, by the same names and a dimension.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from denoscope.theory.linear.divergences import kl_along
from denoscope.theory.linear.dynamics import best_stopping, early_stopped
from denoscope.theory.linear.expectations import KL
from denoscope.theory.linear.laws import abars, ddpm_moments
from denoscope.theory.linear.optimum import Modes, best_ridge, losses
from denoscope.theory.linear.sizes import best_c

_SEEN = 1e-10  # of the largest eigenvalue


def set_numbers(
    modes: Modes, cov0: np.ndarray, spectrum: np.ndarray, abar: float, levels: np.ndarray
) -> dict[str, float]:
    """Losses of one training set at ``abar``, averaged over ``levels``, with the best ridge, and at
    the best time ``k`` to stop; the error of its covariance ``cov0`` in the axes of ``spectrum``,
    and the variance of the test data that it does not span.
    """
    d, other = len(spectrum), modes.variance + modes.offset
    train, test = losses(modes, abar)
    every_train, every_test = losses(modes, levels)
    ridge, k = float(best_ridge(modes, abar)), float(best_stopping(modes.lam, other, abar))
    error = cov0 - np.diag(spectrum)
    return {
        "train": float(train) / d,
        "test": float(test) / d,
        "gap": float(test - train) / d,
        "train_mean": float(every_train.mean()) / d,
        "test_mean": float(every_test.mean()) / d,
        "ridge": ridge,
        "test_ridge": float(losses(modes, abar, ridge)[1]) / d,
        "k": k,
        "test_stopped": float(early_stopped(modes.lam, abar, k, other)) / d,
        "frobenius": float((error**2).sum() / (spectrum**2).sum()),
        "unseen": float(modes.variance[modes.lam <= _SEEN * modes.lam.max()].sum()) / d,
    }


def set_divergences(
    sets: Sequence[Modes],
    means: Sequence[np.ndarray],
    spectrum: np.ndarray,
    n: int,
    betas: np.ndarray,
) -> dict[str, np.ndarray]:
    """Both divergences (sets,) of the exact law of ancestral samples, noise in the last step, for
    sets of n rows with these ``means``: without a ridge, and with ``abar c`` at each level, the c
    that is best on average.
    """
    lam, found = np.stack([modes.lam for modes in sets]), {}
    plain = ddpm_moments(lam, betas, last_noise=True)
    for name, direction in KL.items():
        c = float(best_c(spectrum, n, direction, centred=True))
        ridged = ddpm_moments(lam, betas, ridge=c * abars(betas), last_noise=True)
        for ending, law in (("", plain), ("_ridge", ridged)):
            every = [
                kl_along(
                    spectrum,
                    modes.vectors @ (share * (modes.vectors.T @ mean)),
                    variances,
                    modes.vectors,
                    direction=direction,
                )
                for modes, mean, variances, share in zip(sets, means, *law)
            ]
            found[name + ending] = np.array(every) / len(spectrum)
    return found
