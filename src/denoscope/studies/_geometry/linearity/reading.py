"""What the page says of stored arrays (levels, steps, points): means over points at one level and
step, with intervals.
"""

from __future__ import annotations

import numpy as np

from denoscope.estimate import Estimate, mean
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.linearity.setting import STEPS, TIMES


def points(group: Group, name: str, time: float, step: float) -> np.ndarray:
    """An array's values at one level and step, averaged over the group's members, (points,)."""
    return group.mean(name)[TIMES.index(time), STEPS.index(step)]


def at(group: Group, name: str, time: float, step: float) -> Estimate:
    """Their mean, by t over points."""
    return mean(points(group, name, time, step))


def over_steps(group: Group, name: str, time: float) -> list[Estimate]:
    """The mean at every step."""
    return [at(group, name, time, step) for step in STEPS]


def over_levels(group: Group, name: str, step: float) -> list[Estimate]:
    """The mean at every noise level."""
    return [at(group, name, time, step) for time in TIMES]
