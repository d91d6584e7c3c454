"""How a number of samples grows with a dimension: laws fitted to crossings, jointly over draws.

N = a + b d by least squares of relative errors, ln N = a + b d, and ln N = a + b ln d. The miss of
a law is the rms of fitted N over N less 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from denoscope.estimate import Resampled

Law = Literal["linear", "exponential", "power"]
_LEAST = 1e-12  # miss that is none


def laws_of(x: Sequence[float], points: Sequence[Resampled]) -> dict[str, Resampled]:
    """``factor`` exp(b) per dimension of the exponential, slope b of the ``straight`` line,
    exponent b of the ``power``, and ``verdict``: ln of the exponential's miss over the line's,
    below 0 where growth is exponential.
    """
    at, drawn = np.array(x, float), np.stack([[p.value, *p.draws] for p in points], 1)
    linear, exponential, power = (
        np.array([fitted(law, at, row) for row in drawn]).T
        for law in ("linear", "exponential", "power")
    )
    found = {
        "factor": np.exp(exponential[0]),
        "straight": linear[0],
        "power": power[0],
        "verdict": np.log(exponential[1] / linear[1]),
    }
    method = points[0].method
    return {k: Resampled(float(v[0]), v[1:], len(x), method) for k, v in found.items()}


def fitted(law: Law, x: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Slope and miss of a law; counts that are infinite are left out, and with fewer than two
    others nothing is known.
    """
    kept = np.isfinite(counts)
    if kept.sum() < 2:
        return math.nan, math.nan
    x, counts = x[kept], counts[kept]
    design = np.stack([np.log(x) if law == "power" else x, np.ones(len(x))], 1)
    linear = law == "linear"
    scale, target = (counts[:, None], np.ones(len(x))) if linear else (1.0, np.log(counts))
    found, *_ = np.linalg.lstsq(design / scale, target, rcond=None)
    model = design @ found if linear else np.exp(design @ found)
    return float(found[0]), max(_LEAST, float(np.sqrt(np.mean((model / counts - 1) ** 2))))
