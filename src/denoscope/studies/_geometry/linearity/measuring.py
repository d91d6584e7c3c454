"""What one denoiser is asked: D(x + lv) against D(x) + l J v around noisy unseen images, along
principal and random directions.

All means of one point are over three directions and both signs of l. ``ratio`` and ``cosine`` are
the published ones, in which D(x) is on both sides; ``off`` is ``|ratio - 1|``, whose mean does not
let signs cancel; ``change_cosine`` and ``change_error`` compare D(x + lv) - D(x) with l J v, the
error relative to ``|l J v|`` and capped at 1, where it is as large as what was to be predicted.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import mean
from denoscope.geometry.linearization import first_order
from denoscope.geometry.singular import svd
from denoscope.store import Value
from denoscope.studies._geometry.linearity.setting import (
    LEVELS,
    PUBLISHED,
    SHOWN,
    STEPS,
    TIMES,
    length,
)
from denoscope.studies._geometry.subject import Subject
from denoscope.study import Result
from denoscope.types import Denoiser

MEASURES = ("ratio", "off", "cosine", "change_cosine", "change_error")
DIRECTIONS = ("principal", "random")
POINTS = 24
_EACH = 3
_APART = 10_000  # place of the random directions' noises behind those of the points


def measure(subject: Subject) -> Result:
    """Every value and array of one cell; ``MEASURE_DIRECTIONS_MODEL`` is (levels, steps,
    points).
    """
    models = {"network": subject.denoiser} | {
        name: make() for name, make in subject.others().items() if name != "gaussian_all"
    }
    columns = [at_level(subject, models, level) for level in LEVELS.tolist()]
    arrays = {
        name: np.stack([column[name] for column in columns]).astype(np.float32)
        for name in columns[0]
    }
    return Result(
        _values(arrays),
        arrays | {"levels": LEVELS, "times": np.array(TIMES), "steps": np.array(STEPS)},
    )


def at_level(
    subject: Subject, models: Mapping[str, Denoiser], level: float
) -> dict[str, np.ndarray]:
    """Every measure of every model at one level, each (steps, points)."""
    count = min(POINTS, len(subject.data.unseen()))
    x = subject.noisy("test", count, level)
    random = subject.noise(count * _EACH, _APART).reshape(count, _EACH, -1)
    found = {}
    for name, model in models.items():
        principal = svd(model, x, torch.full((count,), level), min(_EACH, x[0].numel())).V.mT
        for kind, directions in zip(DIRECTIONS, (principal, random)):
            found |= {
                f"{measure}_{kind}_{name}": values
                for measure, values in _along(model, x, directions, level).items()
            }
    return found


def _along(model: Denoiser, x: Tensor, directions: Tensor, level: float) -> dict[str, np.ndarray]:
    """The measures (steps, points) along directions (points, k, n), averaged over them and over
    both signs.
    """
    points, each, n = directions.shape
    steps = [sign * length(step, level, n) for step in STEPS for sign in (1, -1)]
    states = x.repeat_interleave(each, 0)
    found = first_order(
        model, states, directions.reshape(states.shape), torch.full((len(states),), level), steps
    )
    named = {
        "ratio": found.norm_ratio,
        "off": (found.norm_ratio - 1).abs(),
        "cosine": found.cosine,
        "change_cosine": found.change_cosine,
        "change_error": found.change_error.clamp(max=1),
    }
    return {
        name: values.reshape(len(STEPS), 2, points, each).mean((1, 3)).numpy()
        for name, values in named.items()
    }


def _values(arrays: dict[str, np.ndarray]) -> dict[str, Value]:
    """The network's measures at the times that have panels, at the larger end of the published
    range, by t over points.
    """
    step = STEPS.index(PUBLISHED[1])
    return {
        f"{measure}_{kind}_{time:g}": mean(
            arrays[f"{measure}_{kind}_network"][TIMES.index(time), step]
        )
        for measure in MEASURES
        for kind in DIRECTIONS
        for time in SHOWN
    }
