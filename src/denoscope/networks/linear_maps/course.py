"""A descent recorded on its way, and what theory says of the same steps: exact losses on two sets
of data, and the weights of single modes over their optimum.

All noise levels train at once with one step size eta; the training time is k = 2 eta steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from denoscope.networks.linear_maps.gradient import descend
from denoscope.networks.linear_maps.model import LinearMaps
from denoscope.schedule import VP
from denoscope.theory.linear.dynamics import (
    descent_loss,
    descent_weights,
    early_stopped,
    flow_weights,
)

_A_DECADE = 24  # records


class Course(NamedTuple):
    """At the recorded steps (R,): ``train`` and ``test`` loss (R, levels), and ``weights`` ``e.W
    e`` of each mode over their optimum (R, levels, d).
    """

    train: np.ndarray
    test: np.ndarray
    weights: np.ndarray

    def difference(self, theory: Course) -> float:
        """The largest relative difference from ``theory`` of anything at any step and level."""
        pairs = zip(self, theory)
        return max(float(np.nanmax(np.abs(mine / other - 1), initial=0)) for mine, other in pairs)


def falling_schedule(abars: np.ndarray) -> VP:
    """The schedule with these abar (levels,), falling: least noise first."""
    return VP(list(1 - abars / np.concatenate([[1.0], abars[:-1]])))


def recorded_steps(steps: int) -> np.ndarray:
    """The steps that are recorded: 1 to ``steps``, about equally spaced in their logarithm."""
    count = 1 + int(np.ceil(_A_DECADE * np.log10(max(steps, 2))))
    return np.unique(np.geomspace(1, steps, count).round().astype(int))


def recorded_descent(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    modes: tuple[np.ndarray, np.ndarray],
    abars: np.ndarray,
    rate: float,
    steps: int,
) -> Course:
    """Descends from zero on data with the mean and covariance ``train``, and measures on these and
    on ``test``; ``modes`` are the eigenvalues (d,) and vectors (d, d) of that covariance.
    """
    lam, vectors = modes[0], torch.from_numpy(np.ascontiguousarray(modes[1]))
    net = LinearMaps((len(lam),), falling_schedule(abars))
    wanted, found = set(recorded_steps(steps).tolist()), []
    for now in descend(net, *train, rate):
        if now.step in wanted:
            maps = torch.stack([net.affine(t)[0] for t in range(len(abars))])
            weights = ((maps @ vectors) * vectors).sum(-2).numpy()
            shares = weights / flow_weights(lam, abars, None)
            found.append((now.losses.numpy(), net.losses(*test).numpy(), shares))
        if now.step == steps:
            break
    return Course(*(np.array(part) for part in zip(*found)))


def expected_descent(
    lam: np.ndarray, other: np.ndarray, abars: np.ndarray, rate: float, steps: np.ndarray
) -> Course:
    """The closed form after ``steps`` (R,); ``other`` (d,): test second moments along the modes."""
    at = steps[:, None]
    train, test = (descent_loss(lam, abars, rate, at, *of) for of in ((), (other,)))
    weights = descent_weights(lam, abars, rate, at) / flow_weights(lam, abars, None)
    return Course(train, test, weights)


def expected_flow(lam: np.ndarray, other: np.ndarray, abars: np.ndarray, k: np.ndarray) -> Course:
    """The same of gradient flow, the limit of small steps, at the training times k (R,)."""
    at = k[:, None]
    train, test = early_stopped(lam, abars, at), early_stopped(lam, abars, at, other)
    weights = flow_weights(lam, abars, at) / flow_weights(lam, abars, None)
    return Course(train, test, weights)
