"""After how much longer one training reaches what another ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from denoscope.estimate import Resampled
from denoscope.metrics.crossings import less, together


def steps_ratio(
    steps: Sequence[int], losses: np.ndarray, steps0: Sequence[int], losses0: np.ndarray
) -> Resampled:
    """log2 of the ratio of the steps at which runs with ``losses`` (steps, runs), and those with
    ``losses0`` themselves, reach the last of ``losses0``, run i that of run i.

    Both means are fitted by falling curves, with draws by t over runs that both share; +inf where
    the end is not reached, -inf where it is at the first step.
    """
    target = losses0[-1]
    ours, theirs = (
        together(at, list(target - curve)).rise(0.0)
        for at, curve in ((steps, losses), (steps0, losses0))
    )
    return less(ours, theirs)


def scaled(ratio: Resampled, costs: np.ndarray) -> Resampled:
    """The same log2 ratio in another unit: of runs whose steps cost ``costs`` (runs,) as much."""
    found = less(ratio, together([1.0], [-np.log2(costs)]).at()[0])
    return replace(found, method=ratio.method)


def least_at(steps: Sequence[int], losses: np.ndarray, step: float) -> np.ndarray:
    """The least loss until ``step``, linear in log step between known ones, (runs,)."""
    least = np.minimum.accumulate(losses, 0).T
    return np.array([np.interp(np.log(step), np.log(steps), run) for run in least])
