"""What one training set makes of a linear diffusion model: losses, the law it samples, and how much
of the covariance was learned.

All numbers are a dimension and in units in which Tr Sigma = d. Losses are measured on the law
itself, or on the images that were not drawn; the divergences of the sampled law and the error of
the covariance are those from the law, for images the whole set (a held-out half may not vary at all
in a direction in which few images do, and no divergence from it would be finite).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from denoscope.studies._linear.population import Moments, Population
from denoscope.studies._linear.training_set import TrainingSet
from denoscope.theory.linear.divergences import DIRECTIONS, kl
from denoscope.theory.linear.dynamics import best_stopping, early_stopped
from denoscope.theory.linear.laws import abars, ddpm_law, ddpm_mean, slide_betas
from denoscope.theory.linear.optimum import Modes, best_ridge, losses
from denoscope.theory.linear.sizes import best_c

DIVERGENCES = dict(zip(("kl", "kl_reverse"), DIRECTIONS))
"""The names of measured divergences, and their directions."""


@dataclass(frozen=True)
class Levels:
    """The noise level ``abar`` at which losses are shown, and the schedule of ``steps`` levels that
    samples and sums go through.
    """

    abar: float
    steps: int

    @cached_property
    def betas(self) -> np.ndarray:
        return slide_betas(self.steps)

    @cached_property
    def abars(self) -> np.ndarray:
        return abars(self.betas)


def measured(population: Population, n: int, count: int, levels: Levels) -> dict[str, np.ndarray]:
    """Every number of ``count`` training sets of n rows, by name, each (count,)."""
    sets = [TrainingSet.draw(population, n, seed) for seed in range(count)]
    rows = [{**_losses(item.modes, levels), **_covariance(item, population)} for item in sets]
    alone = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {**alone, **_divergences(sets, population, n, levels)}


def _losses(found: Modes, levels: Levels) -> dict[str, float]:
    """At ``levels.abar``, averaged over the schedule, with the best ridge, and at the best time to
    stop.
    """
    d, other = len(found.lam), found.variance + found.offset
    train, test = losses(found, levels.abar)
    every_train, every_test = losses(found, levels.abars)
    ridge = float(best_ridge(found, levels.abar))
    k = float(best_stopping(found.lam, other, levels.abar))
    return {
        "train": float(train) / d,
        "test": float(test) / d,
        "gap": float(test - train) / d,
        "train_mean": float(every_train.mean()) / d,
        "test_mean": float(every_test.mean()) / d,
        "ridge": ridge,
        "test_ridge": float(losses(found, levels.abar, ridge)[1]) / d,
        "k": k,
        "test_stopped": float(early_stopped(found.lam, levels.abar, k, other)) / d,
    }


def _covariance(item: TrainingSet, population: Population) -> dict[str, float]:
    """The relative squared Frobenius error of the covariance, and the test data's variance in
    directions that the set does not span.
    """
    spectrum = population.spectrum
    error = item.train.cov - np.diag(spectrum)
    return {
        "frobenius": float((error**2).sum() / (spectrum**2).sum()),
        "unseen": float(item.modes.variance[item.seen :].sum()) / population.d,
    }


def _divergences(
    sets: Sequence[TrainingSet], population: Population, n: int, levels: Levels
) -> dict[str, np.ndarray]:
    """Both divergences of what ancestral sampling makes, without a ridge and with the one that
    theory calls best.
    """
    spectrum, plain = population.spectrum, _sampled(sets, levels, 0.0)
    found = {}
    for name, direction in DIVERGENCES.items():
        best = _sampled(sets, levels, float(best_c(spectrum, n, direction, centred=True)))
        for ending, laws in (("", plain), ("_ridge", best)):
            law = population.moments()
            every = [
                kl(law.mean, law.cov, made.mean, made.cov, direction=direction) for made in laws
            ]
            found[name + ending] = np.array(every) / population.d
    return found


def _sampled(sets: Sequence[TrainingSet], levels: Levels, c: float) -> list[Moments]:
    """The exact law of ancestral samples, noise in the last step, for the ridge ``abar c`` at each
    level: one recursion for all sets.
    """
    lam = np.stack([item.modes.lam for item in sets])
    ridge = c * levels.abars
    variances = ddpm_law(lam, levels.betas, ridge=ridge, last_noise=True)
    shares = ddpm_mean(lam, levels.betas, ridge=ridge)
    return [_law(item, variance, share) for item, variance, share in zip(sets, variances, shares)]


def _law(item: TrainingSet, variance: np.ndarray, share: np.ndarray) -> Moments:
    """Variances and shares of the training mean along each mode, as a mean and a covariance."""
    vectors = item.modes.vectors
    return Moments(
        vectors @ (share * (vectors.T @ item.train.mean)), (vectors * variance) @ vectors.T
    )
