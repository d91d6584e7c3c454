"""What theory expects of those measurements, for Gaussian data of the same spectrum: the
deterministic equivalents, a dimension.

The error of the covariance is exact at any size: with d_eff the participation ratio and a
subtracted mean, the relative squared Frobenius error is ``((N-1)(d_eff+1) + 1)/N^2`` on average.
Divergences are those of a sampler that adds its schedule's least noise beta_1 to every variance,
and where it does not quite do that (variances below beta_1, or large beside 1/abar_T) the
difference it makes at N = inf.
"""

from __future__ import annotations

import numpy as np

from denoscope.studies._linear.generalization.measurements import DIVERGENCES, Levels
from denoscope.theory.linear.divergences import forward
from denoscope.theory.linear.equivalents import deterministic
from denoscope.theory.linear.laws import ddpm_law
from denoscope.theory.linear.optimum import bayes_loss_of
from denoscope.theory.linear.sizes import best_c, expected_best_ridge
from denoscope.theory.spectra import participation_ratio


def expected(spectrum: np.ndarray, sizes: np.ndarray, levels: Levels) -> dict[str, np.ndarray]:
    """The expectation of every measured number that has one, by its name, each of the shape of
    ``sizes`` (any real numbers of at least 2).
    """
    d, noise = len(spectrum), (1 - levels.abar) / levels.abar
    at = deterministic(spectrum, sizes, noise, centred=True)
    ridge = expected_best_ridge(spectrum, sizes, levels.abar, centred=True)
    rescued = deterministic(
        spectrum, sizes, noise + ridge / levels.abar, abar=levels.abar, centred=True
    )
    means = _means(spectrum, sizes, levels)
    found = {
        "train": at.train / d,
        "test": at.test / d,
        "gap": (at.test - at.train) / d,
        "train_mean": means[0] / d,
        "test_mean": means[1] / d,
        "ridge": ridge,
        "test_ridge": rescued.test / d,
        "frobenius": frobenius(float(participation_ratio(spectrum)), sizes),
        "unseen": at.unseen / d,
        "bound": at.unseen / noise / d,
    }
    return found | _divergences(spectrum, sizes, levels)


def bayes(spectrum: np.ndarray, levels: Levels) -> tuple[float, float]:
    """The least loss a dimension that Gaussian data allow: at ``levels.abar``, and averaged over
    the schedule.
    """
    return (
        float(bayes_loss_of(spectrum, levels.abar)) / len(spectrum),
        float(bayes_loss_of(spectrum, levels.abars).mean()) / len(spectrum),
    )


def frobenius(effective: float, sizes: np.ndarray) -> np.ndarray:
    """The expected ``|Sigma_0 - Sigma|_F^2 / |Sigma|_F^2`` of N Gaussian rows, exact; about
    d_eff/N. Moments of the Wishart law.
    """
    return ((sizes - 1) * (effective + 1) + 1) / sizes**2


def floors(spectrum: np.ndarray, levels: Levels) -> dict[str, float]:
    """Each divergence, a dimension, of samples of the true law's own optimum: what no number of
    images takes away.
    """
    return _between(spectrum, ddpm_law(spectrum, levels.betas, last_noise=True))


def _between(spectrum: np.ndarray, variances: np.ndarray) -> dict[str, float]:
    """Each divergence, a dimension, of centred Gaussian samples with these variances."""
    ratio = variances / spectrum
    model, true = (ratio - 1 - np.log(ratio)).mean() / 2, (1 / ratio - 1 + np.log(ratio)).mean() / 2
    return {
        name: float(model if forward(direction) else true)
        for name, direction in DIVERGENCES.items()
    }


def _means(
    spectrum: np.ndarray, sizes: np.ndarray, levels: Levels
) -> tuple[np.ndarray, np.ndarray]:
    """Train and test loss averaged over the schedule."""
    noise = (1 - levels.abars) / levels.abars
    every = [deterministic(spectrum, float(n), noise, centred=True) for n in sizes]
    return np.array([item.train.mean() for item in every]), np.array(
        [item.test.mean() for item in every]
    )


def _divergences(spectrum: np.ndarray, sizes: np.ndarray, levels: Levels) -> dict[str, np.ndarray]:
    """Both divergences where sampling adds the schedule's least noise, and where the best ridge is
    added to that.
    """
    least, found = float(levels.betas[0]), {}
    limits, simple = floors(spectrum, levels), _between(spectrum, spectrum + least)
    for name, direction in DIVERGENCES.items():
        for ending, c in (("", 0.0), ("_ridge", best_c(spectrum, sizes, direction, centred=True))):
            both = deterministic(spectrum, sizes, c + least + 0 * sizes, centred=True)
            found[name + ending] = (both.kl if forward(direction) else both.kl_reverse) / len(
                spectrum
            )
        found[name] = found[name] + limits[name] - simple[name]
    return found
