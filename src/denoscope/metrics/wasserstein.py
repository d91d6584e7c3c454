"""The quadratic Wasserstein distance of two samples."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


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
