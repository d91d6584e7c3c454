"""Full-batch gradient descent on the noise-averaged loss, of which the data enter by their mean and
covariance alone.

For centred data ``dL/dW = 2 (W C - sqrt(1-y) I)`` with ``C = y cov0 + (1 - y + gamma) I``, so n
steps of size eta from W(0) end at ``W* + (W(0) - W*) (I - 2 eta C)^n``, which converges if and only
if ``eta < 1 / (largest eigenvalue of C)``. In the model W (x_t + b) the gradient of b, ``2 W^T W
(sqrt(y) mean0 + b)``, is not linear in W; b is therefore held at its optimum ``-sqrt(y) mean0``,
which is to centre the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor

from denoscope.networks.linear_maps.model import LinearMaps
from denoscope.networks.linear_maps.moments import (
    Numbers,
    coefficients,
    curvatures,
    pair,
    penalties,
    plain,
    stable,
)
from denoscope.networks.linear_maps.storage import Dense, noise_losses, noisy
from denoscope.schedule import VP
from denoscope.theory.inputs import eigen


@dataclass(frozen=True)
class Descent:
    """A descent after ``step`` steps, and the ``losses`` (T,) at its maps, without the penalty."""

    step: int
    losses: Tensor


def largest_rate(cov0: Any, schedule: VP, *, ridge: Numbers = 0.0, scaled: bool = False) -> Tensor:
    """The step size from which descent diverges, ``1 / (y lam_max + 1 - y + gamma_t)``, (T,)."""
    variances, _ = eigen("cov0", plain(cov0))
    return 1 / curvatures(torch.from_numpy(variances[-1:]), schedule, ridge, scaled)[:, 0]


def descend(
    net: LinearMaps,
    mean0: Any,
    cov0: Any,
    rate: Numbers,
    *,
    ridge: Numbers = 0.0,
    scaled: bool = False,
) -> Iterator[Descent]:
    """Trains all levels of a dense model in place, from the maps it has, yielding before the first
    step and after every one, without end.

    Each step is ``W_t <- W_t - rate dL/dW_t`` with the gradient of ``E|eps - W_t (x_t + b_t)|^2 +
    gamma_t |W_t|_F^2``; the bias is set to ``-sqrt(y) mean0`` first. ``rate`` and ``ridge``: one
    number or one per level; ``scaled``: gamma_t = ridge abar_t. A rate that diverges
    (:func:`largest_rate`) is a ValueError. Stop where you like: the maps are those of the step last
    yielded. Merger and Goldt 2025.
    """
    if not isinstance(net.maps, Dense):
        raise ValueError("only dense maps descend: LinearMaps(shape, schedule), or dense=True")
    mean, cov = pair("mean0", mean0, "cov0", cov0)
    if mean.size != net.size:
        raise ValueError(f"mean0 must have the model's {net.size} numbers, got {mean.size}")
    rates = stable(rate, largest_rate(cov, net.schedule, ridge=ridge, scaled=scaled))
    gamma = penalties(net.schedule, ridge, scaled)
    data = (torch.from_numpy(mean.flatten()), torch.from_numpy(cov))
    return _steps(net.maps, net.schedule, *data, rates, gamma)


def _steps(
    maps: Dense, schedule: VP, mean: Tensor, cov: Tensor, rates: Tensor, gamma: Tensor
) -> Iterator[Descent]:
    weight, device = maps.weight.data, maps.weight.device
    alpha, std = coefficients(schedule)
    maps.bias.data.copy_(-alpha[:, None] * mean)
    numbers = (number.to(device) for number in (alpha, std, cov, rates, gamma))
    alpha, std, cov, rates, gamma = numbers
    for step in count():
        product = noisy(weight.double(), cov, alpha, std)
        yield Descent(step, noise_losses(weight.double(), product, std))
        product += gamma[:, None, None] * weight
        product.diagonal(dim1=1, dim2=2).sub_(std[:, None])
        weight -= 2 * rates[:, None, None] * product
