"""Whether a rank over the noise levels is U-shaped: its two ends against its minimum, point by
point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from denoscope.estimate import Estimate, mean, median

PEAK = 0.05
"""By how much a rank ratio must exceed those at both neighbouring levels to count as a peak."""


@dataclass(frozen=True)
class Arms:
    """``at``: the level of the least median over points, ``least`` that median, ``ends`` those at
    the first and last level, ``peaks`` the levels in between whose median stands out by more than
    ``PEAK`` above both neighbours: none in a plain U.

    ``rises``: how much more the rank is there than at the minimum, mean over points with the t
    interval of their differences.
    """

    at: int
    least: Estimate
    ends: tuple[Estimate, Estimate]
    rises: tuple[Estimate, Estimate]
    peaks: list[int]

    @property
    def both(self) -> bool:
        """Whether both ends lie above the minimum, intervals and all."""
        return all(rise.low > 0 for rise in self.rises)


def arms(ratios: np.ndarray) -> Arms:
    """The arms of ranks (levels, points), levels in order.

    Each point's minimum is read at the level where the other half of the points has its least mean:
    the choice of the lowest level does not favour a difference.
    """
    medians = [median(row) for row in ratios]
    values = np.array([estimate.value for estimate in medians])
    at, above = int(values.argmin()), np.diff(values)
    peaks = np.flatnonzero((above[:-1] > PEAK) & (-above[1:] > PEAK)) + 1
    return Arms(
        at,
        medians[at],
        (medians[0], medians[-1]),
        (mean(_rises(ratios, 0)), mean(_rises(ratios, -1))),
        peaks.tolist(),
    )


def _rises(ratios: np.ndarray, end: int) -> np.ndarray:
    count = ratios.shape[1]
    rises = np.empty(count)
    for half in (0, 1):
        mine = np.arange(count) % 2 == half
        others = ratios[:, ~mine] if (~mine).any() else ratios
        rises[mine] = ratios[end, mine] - ratios[others.mean(1).argmin(), mine]
    return rises
