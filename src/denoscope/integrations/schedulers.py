"""The schedulers of the library diffusers: their coordinates, their levels, and how they bound what
is sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from denoscope.integrations.coordinates import (
    EDM,
    Consistent,
    Coordinates,
    Exploding,
    Preserving,
    Straight,
)
from denoscope.networks.precondition import DIFFUSERS
from denoscope.schedule import from_betas
from denoscope.types import pad

_FAINTEST = 2.0**-24
"""Stands for abar = 0 at the end of a schedule, whose level would be infinite: 4096, more where the
level before is near that.
"""


@dataclass(frozen=True)
class Limit:
    """How a scheduler bounds its prediction of x0: to +-``bound``, or with a ``quantile`` by
    dynamic thresholding (then up to ``bound``).
    """

    bound: float
    quantile: float | None = None

    def __call__(self, clean: Tensor) -> Tensor:
        """The bounded images (b, c, h, w). Dynamic thresholding: Saharia et al. 2022, 2.3."""
        if self.quantile is None:
            return clean.clamp(-self.bound, self.bound)
        largest = torch.quantile(clean.flatten(1).abs(), self.quantile, dim=1).clamp(
            1, max(self.bound, 1.0)
        )
        scale = pad(largest, clean)
        return torch.minimum(torch.maximum(clean, -scale), scale) / scale


def limit_of(config: Mapping[str, Any]) -> Limit | None:
    """The bound that a scheduler's configuration states; None for none."""
    if config.get("thresholding"):
        return Limit(float(config["sample_max_value"]), float(config["dynamic_thresholding_ratio"]))
    clips = config.get("clip_sample") or config.get("clip_denoised")
    return Limit(float(config.get("clip_sample_range", 1.0))) if clips else None


def _preserving(folder: Path, scheduler: Any) -> Preserving:
    config = scheduler.config
    prediction = DIFFUSERS.get(config.get("prediction_type", "epsilon"))
    if (
        prediction is None
        or config.get("use_flow_sigmas")
        or config.get("timestep_type", "discrete") != "discrete"
    ):
        said = ", ".join(
            f"{name} {config[name]!r}"
            for name in ("prediction_type", "use_flow_sigmas", "timestep_type")
            if name in config
        )
        raise ValueError(
            f"{folder}: the scheduler's {said} cannot be read; known are "
            f"{', '.join(DIFFUSERS)} at discrete times"
        )
    abar = scheduler.alphas_cumprod.to(torch.float64)
    if config.get("rescale_betas_zero_snr") or abar[-1] <= 0:
        if prediction == "eps":
            raise ValueError(
                f"{folder}: its schedule ends in pure noise, where predicted noise "
                "(epsilon) says nothing of the image"
            )
        abar = torch.cat([abar[:-1], (abar[-2:-1] / 4).clamp(max=_FAINTEST)])
    try:
        return Preserving(
            from_betas(1 - abar / torch.cat([abar.new_ones(1), abar[:-1]])), prediction
        )
    except ValueError as error:
        raise ValueError(
            f"{folder}: the scheduler's alphas_cumprod do not fall from 1 towards 0: {error}"
        ) from error


def _exploding(folder: Path, scheduler: Any) -> Exploding:
    config = scheduler.config
    return Exploding(
        2 * config["sigma_min"], 2 * config["sigma_max"], config["num_train_timesteps"]
    )  # of images in [0, 1]


def _edm(folder: Path, scheduler: Any) -> EDM:
    config = scheduler.config
    sign = {"epsilon": 1.0, "v_prediction": -1.0}.get(config["prediction_type"])
    if sign is None:
        raise ValueError(
            f"{folder}: the scheduler's prediction_type {config['prediction_type']!r} "
            "cannot be read"
        )
    rho = config["rho"] if config["sigma_schedule"] == "karras" else None
    return EDM(
        config["sigma_min"],
        config["sigma_max"],
        config["num_train_timesteps"],
        config["sigma_data"],
        sign,
        rho,
    )


def _consistent(folder: Path, scheduler: Any) -> Consistent:
    config = scheduler.config
    names = ("sigma_min", "sigma_max", "num_train_timesteps", "sigma_data", "rho")
    return Consistent(*(config[name] for name in names))


def _straight(folder: Path, scheduler: Any) -> Straight:
    config = scheduler.config
    moved = ("use_dynamic_shifting", "invert_sigmas", "shift_terminal", "use_karras_sigmas")
    moved += ("use_exponential_sigmas", "use_beta_sigmas", "stochastic_sampling")
    if used := [name for name in moved if config.get(name)]:
        raise ValueError(
            f"{folder}: the scheduler's {', '.join(used)} cannot be read: sample it yourself and "
            "give the images"
        )
    return Straight(config["num_train_timesteps"], config["shift"])


SCHEDULERS: Mapping[str, Callable[[Path, Any], Coordinates]] = {
    **dict.fromkeys(
        (
            "DDPMScheduler",
            "DDPMParallelScheduler",
            "DDIMScheduler",
            "DDIMParallelScheduler",
            "PNDMScheduler",
            "DPMSolverMultistepScheduler",
            "DPMSolverSinglestepScheduler",
            "DEISMultistepScheduler",
            "UniPCMultistepScheduler",
            "EulerDiscreteScheduler",
            "EulerAncestralDiscreteScheduler",
            "HeunDiscreteScheduler",
            "LMSDiscreteScheduler",
            "KDPM2DiscreteScheduler",
            "KDPM2AncestralDiscreteScheduler",
        ),
        _preserving,
    ),
    "ScoreSdeVeScheduler": _exploding,
    "EDMEulerScheduler": _edm,
    "EDMDPMSolverMultistepScheduler": _edm,
    "FlowMatchEulerDiscreteScheduler": _straight,
    "CMStochasticIterativeScheduler": _consistent,
}
