"""Gaussian data that share everything linear with a set of real images: what a linear model would
measure if images were Gaussian.

The twin has as many rows as the set has images, and exactly its mean and covariance. A study that
draws training sets from both sees in the difference what images have beyond their second moments,
and nothing of the set's finite size, which the two share.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from denoscope.random import derive
from denoscope.studies._linear.population import Population

_PLACE = (
    1 << 40
)  # below a seed, beyond any training set's size: the twin's noise is no training set's


@lru_cache(maxsize=2)
def gaussian_twin(population: Population, seed: int = 0) -> Population:
    """The twin of a set of images; a law that is drawn from is Gaussian already, and a
    ValueError.
    """
    if population.rows is None:
        raise ValueError(f"{population.name} is Gaussian itself: it has no Gaussian twin")
    noise = np.random.default_rng(derive(seed, _PLACE)).standard_normal(population.rows.shape)
    noise -= noise.mean(0)
    factor = np.linalg.cholesky(noise.T @ noise / len(noise))
    color = np.linalg.inv(factor).T * np.sqrt(population.spectrum)
    return replace(population, name=f"Gaussian twin of {population.name}", rows=noise @ color)
