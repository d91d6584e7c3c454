"""Distances between samples: the exact quadratic Wasserstein distance of two equal-sized sets, and
the nearest training point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from denoscope.nearest import neighbors
from denoscope.random import generator
from denoscope.studies._molrg.scaling import denoisers
from denoscope.studies._molrg.scaling.truth import Draw

_SAMPLES = 7  # the place of a model's own draws below a draw's seed

Sampler = Callable[[Draw, int, int], Tensor]


def wasserstein(first: Tensor, second: Tensor) -> float:
    """W2 between the uniform laws on two sets of equally many points (m, n): an optimal assignment,
    exact. Unequal sets are a ValueError.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"W2 by assignment needs equally many points, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}"
        )
    cost = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist").square().numpy()
    rows, columns = linear_sum_assignment(cost)
    return float(np.sqrt(cost[rows, columns].mean()))


def repeated(draw: Draw, size: int, count: int) -> Tensor:
    """The training points, each ``count``/``size`` times."""
    return draw.train(size).repeat(count // size, 1)


def of_gaussian(draw: Draw, size: int, count: int) -> Tensor:
    """Samples of the fitted Gaussian."""
    return denoisers.fitted_gaussian(draw, size).sample(count, generator(draw.seed, _SAMPLES, size))


def of_molrg(draw: Draw, size: int, count: int) -> Tensor:
    """Samples of the fitted mixture."""
    return denoisers.fitted_molrg(draw, size).sample(count, generator(draw.seed, _SAMPLES, size))


SAMPLERS: dict[str, Sampler] = {"empirical": repeated, "gaussian": of_gaussian, "molrg": of_molrg}


def compared(method: str, draws: Sequence[Draw], count: int) -> dict[str, np.ndarray]:
    """``w2_sizes`` (j,) and ``w2`` (j, draws) between ``count`` samples of the model and as many
    fresh ones, and ``w2_floor`` (draws,).

    The floor is the distance of two sets of fresh samples, which no model goes below on average.
    Sizes are powers of 4 up to ``count``.
    """
    sizes = [4**j for j in range(1, 20) if 4**j <= count]
    fresh = [draw.fresh(2 * count) for draw in draws]
    found = [
        [
            wasserstein(SAMPLERS[method](draw, size, count), each[:count])
            for draw, each in zip(draws, fresh)
        ]
        for size in sizes
    ]
    floor = [wasserstein(each[count:], each[:count]) for each in fresh]
    return {
        "w2_sizes": np.array(sizes, dtype=np.int64),
        "w2": np.array(found),
        "w2_floor": np.array(floor),
    }


def nearest(draws: Sequence[Draw], sizes: Sequence[int]) -> np.ndarray:
    """The mean distance of a fresh point to the nearest of N, (sizes, draws), both without ambient
    noise, which would be a floor of its own.
    """
    pure = [Draw(replace(draw.setting, noise=0.0), draw.index) for draw in draws]
    return np.array(
        [
            [float(neighbors(draw.clean, draw.train(size)).distance.mean()) for draw in pure]
            for size in sizes
        ]
    )
