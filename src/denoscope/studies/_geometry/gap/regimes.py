"""The noise levels that are measured, and the three regimes into which Li, Dai and Qu 2024 divide
them.
"""

from __future__ import annotations

import numpy as np

LEVELS = np.geomspace(0.005, 80.0, 15)
"""About a factor of two apart."""

EDGES = (0.1, 20.0)
"""Low regime up to the first, high from the second on, intermediate between; for images in [-1,
1].
"""

NEAR = 0.05
"""The error a pixel below which the paper calls two denoisers the same."""

REGIMES = {
    name: np.digitize(LEVELS, EDGES) == index
    for index, name in enumerate(("low", "intermediate", "high"))
}
"""Which of the levels belong to each regime."""
