"""A training set as theory knows it: moments, modes by falling variance, and which of them one
looks at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from denoscope.studies._linear.population import Moments, Population, moments
from denoscope.theory.linear.optimum import Modes, modes

GROUPS = ("leading", "middle", "trailing", "unseen")
"""Modes that are followed: the first, middle and last eigenvector that the training set spans, and
the mean over those it does not.
"""

_SEEN = 1e-10  # of the largest eigenvalue


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Moments of the training and the test data, and the modes of the training covariance, largest
    variance first.
    """

    train: Moments
    test: Moments
    modes: Modes

    @classmethod
    def draw(cls, population: Population, n: int, seed: int) -> TrainingSet:
        """``n`` items of the population."""
        rows, test = population.draw(n, seed)
        train = moments(rows)
        lam, variance, offset, vectors = modes(test.cov, train.cov, test.mean, train.mean)
        return cls(train, test, Modes(lam[::-1], variance[::-1], offset[::-1], vectors[:, ::-1]))

    @property
    def other(self) -> np.ndarray:
        """Second moments of the test data about the training mean along each mode, (d,)."""
        return self.modes.variance + self.modes.offset

    @property
    def seen(self) -> int:
        """How many modes the training set spans."""
        return int((self.modes.lam > _SEEN * self.modes.lam[0]).sum())

    @property
    def unseen_variance(self) -> float:
        """The mean second moment of the test data along a mode that the training set does not span;
        NaN where it spans all.
        """
        return float(self.grouped(self.other)[-1])

    def grouped(self, values: np.ndarray) -> np.ndarray:
        """``values`` (..., d) of the modes for each of ``GROUPS``, (..., 4); NaN where no mode is
        unseen.
        """
        r = self.seen
        unseen = (
            values[..., r:].mean(-1) if r < values.shape[-1] else np.full(values.shape[:-1], np.nan)
        )
        return np.stack([values[..., 0], values[..., r // 2], values[..., r - 1], unseen], -1)
