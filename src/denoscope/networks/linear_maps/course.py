"""A descent recorded on its way: exact losses on two sets of data, and the weights of single modes.

All noise levels train at once with one step size; theory says the same of every step (see
:mod:`denoscope.theory.linear.dynamics`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from denoscope.networks.linear_maps.gradient import descend
from denoscope.networks.linear_maps.model import LinearMaps
from denoscope.schedule import VP

_A_DECADE = 24  # records


class Course(NamedTuple):
    """At the recorded steps (R,): ``train`` and ``test`` loss (R, levels), and ``weights`` ``e.W e``
    along each mode (R, levels, d).
    """

    train: np.ndarray
    test: np.ndarray
    weights: np.ndarray


def falling_schedule(abars: Sequence[float]) -> VP:
    """The schedule with these abar, falling: least noise first."""
    levels = np.asarray(abars)
    return VP(list(1 - levels / np.concatenate([[1.0], levels[:-1]])))


def recorded_steps(steps: int) -> np.ndarray:
    """The steps that are recorded: 1 to ``steps``, about equally spaced in their logarithm."""
    count = 1 + int(np.ceil(_A_DECADE * np.log10(max(steps, 2))))
    return np.unique(np.geomspace(1, steps, count).round().astype(int))


def recorded_descent(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    vectors: np.ndarray,
    schedule: VP,
    rate: float,
    steps: int,
) -> Course:
    """Descends from zero on data with the mean and covariance ``train``, and measures on these and
    on ``test``; the modes are the columns of ``vectors`` (d, d).
    """
    modes = torch.from_numpy(np.ascontiguousarray(vectors))
    net, wanted, found = LinearMaps((len(modes),), schedule), set(recorded_steps(steps)), []
    for now in descend(net, *train, rate):
        if now.step in wanted:
            maps = torch.stack([net.affine(t)[0] for t in range(len(schedule))])
            weights = ((maps @ modes) * modes).sum(-2)
            found.append((now.losses.numpy(), net.losses(*test).numpy(), weights.numpy()))
        if now.step == steps:
            break
    return Course(*(np.array(part) for part in zip(*found)))
