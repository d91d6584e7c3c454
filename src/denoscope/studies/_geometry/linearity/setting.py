"""Where local linearity is asked: noise levels by their times of the variance-preserving diffusion,
and lengths of steps.

The article's figure is in the coordinates of a variance-preserving diffusion, ``x_t = alpha (x0 +
sigma n)`` with ``alpha = 1/sqrt(1 + sigma^2)`` and ``|x_t|`` about sqrt(d). Its step of length
lambda there is one of ``lambda sqrt(1 + sigma^2)`` in x0 + sigma n, which is taken here; the
answers D(x) are the same in both.
"""

from __future__ import annotations

import torch

from denoscope.schedule import VPSDE

TIMES = (0.01, 0.04, 0.1, 0.2, 0.35, 0.5, 0.7)
"""Of the schedule with rates from 0.1 to 20; 0.04, 0.5 and 0.7 are those of the published
panels.
"""

SHOWN = (0.04, 0.2, 0.5, 0.7)
"""The times that have a panel of their own."""

LEVELS = VPSDE().sigma(torch.tensor(TIMES, dtype=torch.float64)).numpy()

STEPS = (0.02, 0.05, 0.1, 0.2, 0.36, 0.5, 0.72, 1.0)
"""Lengths lambda/sqrt(d) of steps in the variance-preserving coordinates."""

PUBLISHED = (0.36, 0.72)
"""The published range, lambda = 40, reaches to the first for 3 x 64 x 64 images and to the second
for 3 x 32 x 32.
"""


def length(step: float, level: float, n: int) -> float:
    """The length in x0 + sigma n of a step of ``step`` sqrt(n) in variance-preserving
    coordinates.
    """
    return step * (n * (1 + level**2)) ** 0.5
