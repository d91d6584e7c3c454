"""Which variances a half-trained linear model samples: laws of two samplers, samples drawn for
comparison, and when each mode emerges.

A model stopped at the training time k samples, along a direction its training set does not span,
the variance 0.5615/k by the probability-flow ODE and about 0.7476/k by DDPM: the c of "covariance
Sigma_0 + c". Merger and Goldt 2025; Wang and Pehlevan 2025.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from denoscope.estimate import Estimate, mean
from denoscope.levels import uniform
from denoscope.networks.linear_maps import LinearMaps
from denoscope.random import Seeds, generator
from denoscope.sampling import ancestral, heun, sample
from denoscope.schedule import VP
from denoscope.studies._linear.training_set import TrainingSet
from denoscope.theory.linear.laws import abars, ddpm_law, ode_law, slide_betas
from denoscope.theory.linear.learning import emergence_times

BETAS = slide_betas()
ABAR_T = float(abars(BETAS)[-1])
TIMES = np.geomspace(1e-2, 1e5, 71)
SAMPLED = np.array([0.1, 1.0, 10.0, 100.0])
SAMPLERS = ("ode", "ddpm")
UNSEEN_C = {"ode": 0.561459, "ddpm": 0.747598}
"""c k on unseen directions: e^{-gamma_E}, and the integral of e^{-2 Ein(x)} over x > 0."""

SPAN = (0.002, 80.0)
"""The last and the first noise level of the denoiser of Wang and Pehlevan (2025) whose emergence
times are compared.
"""

EMERGENCES = ("noise", "denoising")

_FLOW_LEVELS = 80


def law(name: str, lam: np.ndarray, k: float) -> np.ndarray:
    """The exact variances that a sampler has along modes of variance ``lam`` after the training
    time k, from N(0, I) at abar_T.
    """
    if name == "ode":
        return ode_law(lam, ABAR_T, k=k)
    return ddpm_law(lam, BETAS, k=k, posterior_variance=True)


def curves(item: TrainingSet) -> dict[str, np.ndarray]:
    """The laws over ``TIMES``: one array (times, groups) a sampler."""
    lam = item.grouped(item.modes.lam)
    known = np.where(np.isnan(lam), 0.0, lam)
    return {
        name: np.where(np.isnan(lam), np.nan, [law(name, known, float(k)) for k in TIMES])
        for name in SAMPLERS
    }


def emergence(lam: np.ndarray) -> dict[str, np.ndarray]:
    """The training time at which each mode emerges in samples of the two kinds of model, by the
    names of ``EMERGENCES``.

    A noise predictor that is untrained samples variances of 1/abar_T, which fall: a mode emerges at
    the harmonic mean of the untrained and the final one (near twice the latter). A denoiser that is
    untrained samples a point, and the variances rise (Wang and Pehlevan 2025): a mode emerges half
    way in the logarithm. NaN where the last of ``TIMES`` is too early.
    """
    falling = np.array([law("ode", lam, float(k)) for k in (0.0, *TIMES, np.inf)])
    excess = np.log(falling[1:-1] * (1 / falling[0] + 1 / falling[-1]) / 2)
    noise = [
        float(np.exp(np.interp(0.0, -values, np.log(TIMES))))
        if values[0] > 0 > values[-1]
        else np.nan
        for values in excess.T
    ]
    return {"noise": np.array(noise), "denoising": emergence_times(lam, *SPAN)}


def exponent(lam: np.ndarray, times: np.ndarray) -> float:
    """The slope of log emergence time against log variance, by least squares over the modes that
    emerge.
    """
    known = np.isfinite(times)
    return (
        float(np.polyfit(np.log(lam[known]), np.log(times[known]), 1)[0])
        if known.sum() > 1
        else np.nan
    )


def samples(item: TrainingSet, noises: int) -> dict[str, np.ndarray]:
    """Variances of real samples at the ``SAMPLED`` times: arrays (times, groups, 3) of the value
    and its 95 % interval, one a sampler.

    Each model is stopped at its time at all levels of the schedule, its training set centred; every
    sample starts from a noise of its own.
    """
    schedule = VP(list(BETAS))
    start = Seeds(range(noises)).randn((len(item.modes.lam),), torch.float64) / schedule.alpha(
        len(schedule) - 1
    )
    found: dict[str, list[Any]] = {name: [] for name in SAMPLERS}
    for k in SAMPLED:
        net = LinearMaps.closed_form(
            np.zeros(len(item.modes.lam)), item.train.cov, schedule, k=float(k)
        )
        for name in SAMPLERS:
            found[name].append(_variances(item, _drawn(name, net, start)))
    return {name: np.array(values) for name, values in found.items()}


def _drawn(name: str, net: LinearMaps, start: torch.Tensor) -> np.ndarray:
    if name == "ode":
        sigmas = torch.cat(
            [
                torch.logspace(
                    float(net.levels[-1].log10()), -3, _FLOW_LEVELS, dtype=torch.float64
                ),
                torch.zeros(1),
            ]
        )
        return sample(net, start, sigmas, heun).numpy()
    draws = generator(len(start))
    noise = partial(torch.randn, start.shape, generator=draws, dtype=start.dtype)
    return sample(
        net, start, uniform(len(BETAS), net.schedule), ancestral, lambda x: noise()
    ).numpy()


def _variances(item: TrainingSet, drawn: np.ndarray) -> np.ndarray:
    squares = item.grouped((drawn @ item.modes.vectors) ** 2)
    found = [
        _interval(mean(column)) if np.isfinite(column).all() else [np.nan] * 3
        for column in squares.T
    ]
    return np.array(found)


def _interval(found: Estimate) -> list[float]:
    return [found.value, found.low, found.high]
