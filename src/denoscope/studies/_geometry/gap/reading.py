"""What the pages say of stored arrays: averages over members, within a regime, at the worst level,
and paired differences.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from denoscope.estimate import Estimate, mean, paired
from denoscope.studies._geometry.gap.regimes import LEVELS, REGIMES
from denoscope.studies._geometry.groups import Group, is_file


def within(group: Group, name: str, regime: str) -> np.ndarray:
    """The mean over the levels of a regime, at every point."""
    return group.mean(name)[REGIMES[regime]].mean(0)


def average(group: Group, name: str, regime: str = "intermediate") -> Estimate:
    """The mean over the levels of a regime and over points, by t over points."""
    return mean(within(group, name, regime))


def extreme(
    group: Group, name: str, chosen: np.ndarray | None = None, *, sign: int = 1
) -> tuple[float, Estimate]:
    """The level of the largest (``sign`` -1: smallest) mean over points, of all or of the
    ``chosen`` levels, and that mean.
    """
    found = group.along(name)
    among = range(len(found)) if chosen is None else np.flatnonzero(chosen)
    best = max(among, key=lambda i: sign * found[i].value)
    return float(LEVELS[best]), found[best]


def difference(first: np.ndarray, second: np.ndarray) -> Estimate:
    """The mean of ``first - second`` over points that both share, by t."""
    return paired(first, second)


def trained(group: Group) -> tuple[float, float] | None:
    """The central 95 % of the noise levels of training, log-normal ones; None for a file, of whose
    training nothing is known.
    """
    if is_file(group.rows[0]):
        return None
    middle, spread = _levels(group)
    return math.exp(middle - 1.96 * spread), math.exp(middle + 1.96 * spread)


def share(group: Group, level: float) -> float:
    """The share of training at noise levels of at least ``level``."""
    middle, spread = _levels(group)
    return float(stats.norm.sf((math.log(level) - middle) / spread))


def _levels(group: Group) -> tuple[float, float]:
    fields = group.rows[0].fields
    return float(str(fields["level_mean"])), float(str(fields["level_std"]))
