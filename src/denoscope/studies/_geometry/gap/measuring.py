"""What one denoiser is asked, level by level: its distances from closed forms and from its own
distillate, and how linear it is.
"""

from __future__ import annotations

import numpy as np

from denoscope.estimate import mean
from denoscope.store import Value
from denoscope.studies._geometry.gap.distances import beyond_span, distances, neutral, points
from denoscope.studies._geometry.gap.regimes import LEVELS, REGIMES
from denoscope.studies._geometry.gap.superposing import INPUTS, linearities
from denoscope.studies._geometry.subject import Subject
from denoscope.study import Result


def measure(subject: Subject) -> Result:
    """Every value and array of one cell: arrays are (levels, points) or (levels, pairs), and
    weights (levels,).
    """
    models = {"network": subject.denoiser} | {
        name: make() for name, make in subject.others().items()
    }
    columns = [
        distances(subject, models, level) | linearities(subject, models, level)
        for level in LEVELS.tolist()
    ]
    arrays = {
        name: np.stack([column[name] for column in columns]).astype(np.float32)
        for name in columns[0]
    }
    beyond, rank = beyond_span(subject.data, points(subject))
    arrays |= {"levels": LEVELS, "beyond": beyond.astype(np.float32)}
    return Result(
        _values(arrays, rank)
        | {"dimension": subject.shape.numel(), "distilled": len(neutral(subject.data))},
        arrays,
    )


def _values(arrays: dict[str, np.ndarray], rank: int) -> dict[str, Value]:
    """One number each: means over points of the distance in each regime, and of the least linear
    level.
    """
    values: dict[str, Value] = {"rank": rank}
    for name in ("gaussian", "memorizer", "distillate"):
        for regime, chosen in REGIMES.items():
            values[f"{name}_{regime}"] = mean(arrays[f"rmse_network_{name}"][chosen].mean(0))
    values["distillate_gaussian"] = _worst(arrays["rmse_distillate_gaussian"], 1)
    for kind in INPUTS:
        values[f"linearity_{kind}"] = _worst(arrays[f"linearity_{kind}_network"], -1)
    return values


def _worst(array: np.ndarray, sign: int) -> Value:
    """The mean over points at the level where it is largest (``sign`` 1) or smallest (-1)."""
    return mean(array[np.argmax(sign * array.mean(1))])
