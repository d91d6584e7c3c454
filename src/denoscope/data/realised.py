"""What single training sets make of the optimal linear model, exactly: the numbers whose averages
are those of :mod:`denoscope.theory.linear.expectations`, by the same names and a dimension.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from denoscope.data.population import TrainingSet
from denoscope.theory.linear.divergences import kl_along
from denoscope.theory.linear.dynamics import best_stopping, early_stopped
from denoscope.theory.linear.expectations import KL
from denoscope.theory.linear.laws import abars, ddpm_moments
from denoscope.theory.linear.optimum import best_ridge, losses
from denoscope.theory.linear.sizes import best_c


def realised_numbers(
    sets: Sequence[TrainingSet], spectrum: np.ndarray, n: int, abar: float, betas: np.ndarray
) -> dict[str, np.ndarray]:
    """Every number of training sets of ``n`` rows from a law of this ``spectrum``, (sets,): losses
    at the noise level ``abar`` and averaged over the schedule ``betas``, the law of its samples.

    Beside the expected numbers they have ``k``, the best training time, and ``test_stopped``.
    """
    d, levels = len(spectrum), abars(betas)
    rows = [_losses(item, abar, levels) | _covariance(item, spectrum, d) for item in sets]
    alone = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return alone | _divergences(sets, spectrum, n, betas)


def _losses(item: TrainingSet, abar: float, levels: np.ndarray) -> dict[str, float]:
    """At ``abar``, averaged over ``levels``, with the best ridge, and at the best time to stop."""
    modes, d = item.modes, len(item.modes.lam)
    train, test = losses(modes, abar)
    every_train, every_test = losses(modes, levels)
    ridge, k = float(best_ridge(modes, abar)), float(best_stopping(modes.lam, item.other, abar))
    return {
        "train": float(train) / d,
        "test": float(test) / d,
        "gap": float(test - train) / d,
        "train_mean": float(every_train.mean()) / d,
        "test_mean": float(every_test.mean()) / d,
        "ridge": ridge,
        "test_ridge": float(losses(modes, abar, ridge)[1]) / d,
        "k": k,
        "test_stopped": float(early_stopped(modes.lam, abar, k, item.other)) / d,
    }


def _covariance(item: TrainingSet, spectrum: np.ndarray, d: int) -> dict[str, float]:
    """The covariance's relative squared error, and test variance in directions not spanned."""
    error = item.train.cov - np.diag(spectrum)
    return {
        "frobenius": float((error**2).sum() / (spectrum**2).sum()),
        "unseen": float(item.modes.variance[item.seen :].sum()) / d,
    }


def _divergences(
    sets: Sequence[TrainingSet], spectrum: np.ndarray, n: int, betas: np.ndarray
) -> dict[str, np.ndarray]:
    """Both divergences of the exact law of ancestral samples, noise in the last step, without a
    ridge and with ``abar c`` at each level, the c that is best on average: one recursion for all
    sets.
    """
    lam, found = np.stack([item.modes.lam for item in sets]), {}
    plain = ddpm_moments(lam, betas, last_noise=True)
    for name, direction in KL.items():
        c = float(best_c(spectrum, n, direction, centred=True))
        ridged = ddpm_moments(lam, betas, ridge=c * abars(betas), last_noise=True)
        for ending, law in (("", plain), ("_ridge", ridged)):
            every = []
            for item, variances, share in zip(sets, *law):
                vectors = item.modes.vectors
                mean0 = vectors @ (share * (vectors.T @ item.train.mean))
                every.append(kl_along(spectrum, mean0, variances, vectors, direction=direction))
            found[name + ending] = np.array(every) / len(spectrum)
    return found
