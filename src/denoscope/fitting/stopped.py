"""Samples of linear models whose training was stopped at one time at all noise levels."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike

from denoscope.data.population import MeanCovariance, Population
from denoscope.levels import uniform
from denoscope.networks.linear_maps import LinearMaps
from denoscope.random import Seeds, generator
from denoscope.sampling import ancestral, heun, sample
from denoscope.schedule import VP
from denoscope.theory.linear.emergence import stopped_law
from denoscope.theory.linear.optimum import modes
from denoscope.theory.linear.stopping import compare_stopping

_FLOW_LEVELS = 80


def stopped_samples(
    sampler: str, cov0: np.ndarray, times: ArrayLike, betas: np.ndarray, count: int
) -> np.ndarray:
    """``count`` samples (times, count, d) of models of centred data with the covariance ``cov0``,
    stopped at these training times at every level of ``betas``, by the probability-flow ``ode`` or
    by ``ddpm``; every sample has a noise of its own, the same at all times.
    """
    d, schedule = len(cov0), VP(list(betas))
    start = Seeds(range(count)).randn((d,), torch.float64) / schedule.alpha(len(schedule) - 1)
    draw = _flow if sampler == "ode" else _ancestral
    nets = (
        LinearMaps.closed_form(np.zeros(d), cov0, schedule, k=float(k)) for k in np.ravel(times)
    )
    return np.stack([draw(net, start) for net in nets])


def _flow(net: LinearMaps, start: torch.Tensor) -> np.ndarray:
    high = float(net.levels[-1].log10())
    sigmas = torch.logspace(high, -3, _FLOW_LEVELS, dtype=torch.float64)
    return sample(net, start, torch.cat([sigmas, torch.zeros(1)]), heun).numpy()


def _ancestral(net: LinearMaps, start: torch.Tensor) -> np.ndarray:
    draws = generator(len(start))
    noise = partial(torch.randn, start.shape, generator=draws, dtype=start.dtype)
    levels = uniform(len(net.levels), net.schedule)
    return sample(net, start, levels, ancestral, lambda x: noise()).numpy()


def stopped_linear(
    law: Population, train: torch.Tensor, count: int, levels: np.ndarray, first: int = 0
) -> torch.Tensor:
    """``count`` samples, images, of the linear model of ``train`` (N, *shape) stopped at the one
    time that is best for images of ``law`` over the noise ``levels`` 1 - abar, by the
    probability-flow ODE; noises from seed ``first`` on.
    """
    assert law.center is not None
    assert law.basis is not None
    pixels = train.flatten(1).double().numpy()
    own = MeanCovariance.of((pixels - law.center) @ law.basis * law.scale)
    of = modes(law.moments().cov, own.cov, law.moments().mean, own.mean)
    variances = stopped_law("ode", of.lam, float(compare_stopping(of, 1 - levels).shared_k))
    noise = Seeds(range(first, first + count)).randn((law.d,), torch.float64).numpy()
    rows = own.mean + (noise * np.sqrt(variances)) @ of.vectors.T
    found = law.center + rows @ law.basis.T / law.scale
    return torch.from_numpy(found).reshape(count, *train.shape[1:]).to(train)
