"""What each metric costs, so that those that would take hours are left to be asked for.

Multiply-adds are counted, and those of two cores of 2024 are taken for granted: an estimate that is
the same on every machine, so that the same question is always answered by the same metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from denoscope.metrics.jackknife import BLOCKS
from denoscope.metrics.likelihood import PASSES

PATIENCE = 120.0
"""The seconds that a metric may take without being named."""

_SINGLE, _DOUBLE, _SPECTRAL = (
    4e10,
    3e10,
    4e10,
)  # multiply-adds a second: products in float32 and float64, decompositions
_CLUSTERING = 1e10  # the same for distances to few centres
_TERM = 2.5e-9  # seconds for one term of a likelihood and its gradient
_HELD = 1 << 25  # squared distances that each of two fits keeps


@dataclass(frozen=True)
class SetSizes:
    """Rows of the sets, 0 where not given, and features per row."""

    gen: int
    train: int
    test: int
    features: int

    @property
    def held(self) -> int:
        """Rows that a control takes in place of the generated ones."""
        return self.test or self.train


def compared(first: int, second: int, features: int) -> float:
    """About the seconds in which rows are compared with rows."""
    return first * second * features / _SINGLE


def passes(s: SetSizes, planted: int = 0) -> float:
    """About the seconds in which all sets, and planted copies, are compared with the training set,
    and the others with themselves and each other.
    """
    with_train = compared(s.train + s.gen + s.test + planted, s.train, s.features)
    return with_train + compared(s.gen + s.test, s.gen + s.test, s.features)


def _fit(centres: int, rows: int, s: SetSizes) -> float:
    """Seconds of one fit of variances and of the likelihoods under it; what does not fit in memory
    is computed again in every pass.
    """
    many = centres * rows
    products = (1 if many <= _HELD else PASSES) * many + centres * (rows + s.test)
    return PASSES * _TERM * many + products * s.features / _DOUBLE


def _facing(n: int, m: int, k: int, subsets: int) -> float:
    """Seconds of Fréchet distances of subsets of n rows from m rows: the rows turned, roots of
    their scatter, singular values of these.
    """
    r = min(n, m, k)
    tall = n > 2 * r
    pooled = (4 * n + 2 * BLOCKS * r) * 2 * r * r if tall else 0
    root = 2 * m * k * k if m > k else 0
    return (
        n * min(m, k) * k / _DOUBLE
        + (root + pooled + subsets * 4 * r * r * (2 * r if tall else n)) / _SPECTRAL
    )


def _jackknifed(n: int, m: int, k: int) -> float:
    """Seconds of a Fréchet distance with its interval."""
    return _facing(n, m, k, BLOCKS + 1) + _facing(m, n, k, BLOCKS)


def _generalization(s: SetSizes) -> float:
    return (s.gen + s.held) * s.train * s.features / _SINGLE


def _mifid(s: SetSizes) -> float:
    given = [n for n in (s.gen, s.test) if n]
    return sum(
        _jackknifed(n, s.train, s.features) + 4 * n * s.train * s.features / _SINGLE for n in given
    )


def _copying_test(s: SetSizes) -> float:
    clusters = (s.train + s.test / 2) * 3 * 8 * 30 / _CLUSTERING
    return (clusters + (s.gen + s.test) * (s.train + s.test / 2) / _SINGLE) * s.features


def _likelihood(s: SetSizes) -> float:
    n = min(s.gen, s.test // 2)
    each = _fit(n, s.train, s) + 20 * _fit(n // 4, s.train, s)
    return 2 * (each + 5 * _fit(s.train // 2, s.train // 2, s))


def _balls(s: SetSizes) -> float:
    within = s.gen**2 + s.test**2
    return 2 * (within / _SINGLE + 4 * s.gen * s.test / _DOUBLE) * s.features


def _kernel(s: SetSizes) -> float:
    return 2 * (s.gen**2 / 2 + s.test**2 / 2 + s.gen * s.test) * (s.features + 30) / _DOUBLE


def _vendi(s: SetSizes) -> float:
    r = min(s.gen, s.features)
    return 2 * (2 * s.gen * s.features * r / _DOUBLE + (BLOCKS + 1) * 2 * r**3 / _SPECTRAL)


def _distance(s: SetSizes) -> float:
    return (1 + (s.gen <= s.train)) * _jackknifed(s.gen, s.test, s.features)


def _pairs(s: SetSizes) -> float:
    return 2 * s.gen**2 * s.features / _DOUBLE


_SECONDS: Mapping[str, Callable[[SetSizes], float]] = {
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


def seconds(name: str, sizes: SetSizes) -> float:
    """About how long the metric and its control take; 0 for what is made of distances that are
    known already.
    """
    return _SECONDS[name](sizes) if name in _SECONDS else 0.0
