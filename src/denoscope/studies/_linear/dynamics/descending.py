"""Gradient descent of a linear model, recorded on its way, beside what theory says of the same
steps.

All noise levels train at once with one step size eta on the noise-averaged loss; the training time
is k = 2 eta steps. A mode with ``v = y lam + 1 - y`` has lost ``(1 - 2 eta v)^steps`` of its way to
the optimum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from denoscope.networks.linear_maps import LinearMaps, descend, largest_rate
from denoscope.schedule import VP
from denoscope.studies._linear.training_set import TrainingSet
from denoscope.theory.linear.dynamics import descent_weights, early_stopped
from denoscope.theory.linear.modewise import loss

_RECORDS_A_DECADE = 24


def schedule(abars: Sequence[float]) -> VP:
    """The schedule with these abar, falling: least noise first."""
    levels = np.asarray(abars)
    return VP(list(1 - levels / np.concatenate([[1.0], levels[:-1]])))


def recorded(steps: int) -> np.ndarray:
    """The steps that are recorded: 1 to ``steps``, about equally spaced in their logarithm."""
    count = 1 + int(np.ceil(_RECORDS_A_DECADE * np.log10(max(steps, 2))))
    return np.unique(np.geomspace(1, steps, count).round().astype(int))


def rate_of(sets: Sequence[TrainingSet], abars: Sequence[float], share: float) -> float:
    """The step size: ``share`` of the largest with which every set's descent is stable at every
    level.
    """
    levels = schedule(abars)
    return share * min(float(largest_rate(item.train.cov, levels).min()) for item in sets)


def descent(
    item: TrainingSet, abars: Sequence[float], rate: float, steps: int
) -> dict[str, np.ndarray]:
    """What the descent of one training set measures at its recorded steps (R,).

    ``train`` and ``test`` (R, levels): exact losses of the maps as they are; ``weight`` (R, levels,
    groups): single modes' weights ``e.W e`` in units of their optimum.
    """
    vectors = torch.from_numpy(np.ascontiguousarray(item.modes.vectors))
    net = LinearMaps((len(vectors),), schedule(abars))
    wanted = set(recorded(steps).tolist())
    best = _optimum(item, abars)
    train, test, weight = [], [], []
    for now in descend(net, item.train.mean, item.train.cov, rate):
        if now.step not in wanted:
            continue
        train.append(now.losses.numpy())
        test.append(net.losses(item.test.mean, item.test.cov).numpy())
        maps = torch.stack([net.affine(t)[0] for t in range(len(abars))])
        weight.append(item.grouped(((maps @ vectors) * vectors).sum(-2).numpy() / best))
        if now.step == steps:
            break
    return {"train": np.array(train), "test": np.array(test), "weight": np.array(weight)}


def predicted(
    item: TrainingSet, abars: Sequence[float], rate: float, steps: np.ndarray
) -> dict[str, np.ndarray]:
    """What theory says of the same quantities after any numbers of ``steps`` (R,) of descent."""
    y = np.asarray(abars)
    share = descent_weights(item.modes.lam, y, rate, steps[:, None]) / _optimum(item, abars)
    return {
        "train": loss(item.modes.lam, item.modes.lam, y[:, None], np.zeros(1), 1 - share).sum(-1),
        "test": loss(item.modes.lam, item.other, y[:, None], np.zeros(1), 1 - share).sum(-1),
        "weight": item.grouped(share),
    }


def flowing(item: TrainingSet, abars: Sequence[float], k: np.ndarray) -> dict[str, np.ndarray]:
    """Train and test loss (R, levels) of gradient flow, the limit of small steps, at the training
    times k (R,).
    """
    lam, y = item.modes.lam, np.asarray(abars)
    return {
        "train": early_stopped(lam, y, k[:, None]),
        "test": early_stopped(lam, y, k[:, None], item.other),
    }


def _optimum(item: TrainingSet, abars: Sequence[float]) -> np.ndarray:
    """Each mode's optimal weight, (levels, d)."""
    y = np.asarray(abars)[:, None]
    return np.sqrt(1 - y) / (y * item.modes.lam + 1 - y)


def difference(measured: dict[str, np.ndarray], theory: dict[str, np.ndarray]) -> float:
    """The largest relative difference of any quantity that both have, at any step and level."""
    return max(float(np.nanmax(np.abs(measured[name] / theory[name] - 1))) for name in theory)


def lowest(k: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Where each column of ``losses`` (R, levels) is least, by a parabola in log k through the
    least record and its neighbours.

    NaN where the least record is the first or the last: the minimum then lies beyond what was
    recorded.
    """
    found = np.full(losses.shape[1], np.nan)
    for column, values in enumerate(losses.T):
        i = int(values.argmin())
        if 0 < i < len(k) - 1:
            a, b, _ = np.polyfit(
                np.log(k[i - 1 : i + 2] / k[i]), values[i - 1 : i + 2] - values[i], 2
            )
            found[column] = k[i] * np.exp(-b / (2 * a))
    return found
