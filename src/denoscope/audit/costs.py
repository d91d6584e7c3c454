"""What each metric costs, so that those that would take hours are left to be asked for.

Multiply-adds are counted, and those of two cores of 2024 are taken for granted: an estimate that is the same on every machine, so that the
same question is always answered by the same metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from denoscope.metrics.jackknife import BLOCKS
from denoscope.metrics.likelihood import PASSES

PATIENCE = 120.0
"""The seconds that a metric may take without being named."""

_SINGLE, _DOUBLE, _SPECTRAL = 4e10, 1.5e10, 1.2e10  # multiply-adds a second: products in float32 and float64, decompositions
_TERM = 8e-9  # seconds for one term of a likelihood and its gradient
_HELD = 1 << 26  # squared distances that a fit keeps
_FLOOR = 20  # draws of a Fréchet floor


@dataclass(frozen=True)
class Sizes:
    """Rows of the sets, 0 where not given, and features a row."""

    gen: int
    train: int
    test: int
    features: int

    @property
    def held(self) -> int:
        """Rows that a control takes in place of the generated ones."""
        return self.test or self.train


def passes(s: Sizes) -> float:
    """About the seconds in which all sets are compared with the training set."""
    return (s.train + s.gen + s.test) * s.train * s.features / _SINGLE


def _fit(centres: int, rows: int, k: int) -> float:
    """Seconds of one fit of variances; what does not fit in memory is computed again in every pass."""
    many = centres * rows
    return many * (PASSES * _TERM + (1 if many <= _HELD else PASSES) * k / _DOUBLE)


def _frechet(n: int, m: int, k: int, times: float) -> float:
    """Seconds of Fréchet distances of n and m rows: roots of scatter matrices, their product, its singular values."""
    r, r0 = min(n, k), min(m, k)
    roots = sum(rows * k * k for rows in (n, m) if rows > k)
    return times * (roots + r * r0 * k + 4 * min(r, r0) ** 2 * max(r, r0)) / _SPECTRAL


def _generalization(s: Sizes) -> float:
    return (s.gen + s.held) * s.train * s.features / _SINGLE


def _mifid(s: Sizes) -> float:
    several = ((s.gen, 1), (s.test, 1 if s.test else 0))
    return sum(_frechet(n, s.train, s.features, given * 2 * BLOCKS) + 4 * n * s.train * s.features / _DOUBLE for n, given in several)


def _copying_test(s: Sizes) -> float:
    return (s.train * 3 * 8 * 30 / _DOUBLE + (s.gen + s.test) * s.train / _SINGLE) * s.features


def _likelihood(s: Sizes) -> float:
    subsets = 20 * _fit(s.gen // 4, s.train, s.features)
    return _fit(s.gen, s.train, s.features) + subsets + 5 * _fit(s.train // 2, s.train // 2, s.features)


def _balls(s: Sizes) -> float:
    within = s.gen**2 + s.test**2
    return 2 * (within / _SINGLE + 4 * s.gen * s.test / _DOUBLE) * s.features


def _kernel(s: Sizes) -> float:
    return 2 * (s.gen**2 / 2 + s.test**2 / 2 + s.gen * s.test) * (s.features + 30) / _DOUBLE


def _vendi(s: Sizes) -> float:
    r = min(s.gen, s.features)
    return 2 * (2 * s.gen * s.features * r / _DOUBLE + (BLOCKS + 1) * 4 * r**3 / _SPECTRAL)


def _distance(s: Sizes) -> float:
    return _frechet(s.gen, s.test, s.features, 2 * BLOCKS + 1 + _FLOOR)


def _pairs(s: Sizes) -> float:
    return 2 * s.gen**2 * s.features / _DOUBLE


_SECONDS: Mapping[str, Callable[[Sizes], float]] = {
    "generalization": _generalization,
    "reproducibility": _pairs,
    "mifid": _mifid,
    "copying_test": _copying_test,
    "feature_likelihood": _likelihood,
    "precision": _balls,
    "frechet": _distance,
    "kernel": _kernel,
    "vendi": _vendi,
}


def seconds(name: str, sizes: Sizes) -> float:
    """About how long the metric and its control take; 0 for what is made of distances that are known already."""
    return _SECONDS[name](sizes) if name in _SECONDS else 0.0
