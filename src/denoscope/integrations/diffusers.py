"""Unconditional pipelines of the library diffusers as denoisers: D(x, sigma) = E[x0 | x0 + sigma n
= x], images in [-1, 1].

The diffusion is read from the scheduler, never assumed: the levels are ``sqrt(1 -
abar_t)/sqrt(abar_t)`` of its own ``alphas_cumprod``, however its betas were made. What its network
predicts (noise, image, velocity, score) is translated by
:mod:`denoscope.integrations.coordinates`. At the levels of training D is the pipeline's own
prediction of x0, before any clipping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denoscope.integrations import pipeline_files
from denoscope.integrations.coordinates import EDM, Coordinates, Exploding, Preserving, Translated
from denoscope.schedule import Schedule, from_betas
from denoscope.types import pad

_PREDICTIONS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}
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


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A pipeline as a ``denoiser``, for images of ``shape`` (c, h, w); ``identity`` (JSON) names
    its classes and hashes its weights.

    ``denoiser`` is the network's own posterior mean; ``limit`` is what the scheduler does to it
    while sampling, None for nothing.
    """

    denoiser: nn.Module
    shape: tuple[int, int, int]
    coordinates: Coordinates
    limit: Limit | None
    identity: Mapping[str, Any]

    @property
    def schedule(self) -> Schedule:
        """The training schedule."""
        return self.coordinates.schedule

    @property
    def sigmas(self) -> Tensor:
        """The levels of training, least noise first, float64."""
        return self.levels(self.coordinates.steps)[:-1].flip(0)

    def levels(self, n: int) -> Tensor:
        """n levels to sample at, from the highest of training to the lowest as the scheduler spaces
        them, then 0: (n + 1,) float64.
        """
        return self.coordinates.levels(n)

    def start(self, noise: Tensor) -> Tensor:
        """The state at ``levels(n)[0]`` from which the pipeline begins, given unit noise."""
        return self.coordinates.spread(self.levels(1)[0]).to(noise) * noise

    def sampled(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The denoiser that the scheduler samples with, bounded as it says: x (b, c, h, w)."""
        clean = self.denoiser(x, sigma)
        return clean if self.limit is None else self.limit(clean)


def from_pipeline(folder: Path | str, *, label: int | None = None) -> Pipeline:
    """The denoiser of an unconditional UNet2D pipeline that diffusers saved in ``folder``.

    Only JSON and safetensors are read, nothing is downloaded and no code of the pipeline runs. A
    class-conditional network needs the ``label`` of one of its classes. Latent or conditional
    pipelines, unknown classes, missing files and pickled weights are one-line ValueErrors, and so
    is diffusers that is not installed.
    """
    found = pipeline_files.read(folder)
    scheduler = pipeline_files.load_scheduler(found, _SCHEDULERS)
    coordinates = _SCHEDULERS[found.scheduler](found.folder, scheduler)
    net = pipeline_files.load_unet(found)
    shape = _shape(found.folder, net, scheduler.config)
    _check_label(found.folder, net, label)
    _differentiable(net)
    identity = {
        "pipeline": found.pipeline,
        "unet": type(net).__name__,
        "scheduler": found.scheduler,
        "prediction": coordinates.prediction,
        "label": label,
        "config_sha256": found.config_sha256(),
        "sha256": found.sha256(),
    }
    whole = _config(net).get("time_embedding_type") == "learned"
    return Pipeline(
        Translated(net, coordinates, whole=whole, label=label),
        shape,
        coordinates,
        _limit(scheduler.config),
        identity,
    )


def _config(net: nn.Module) -> Mapping[str, Any]:
    # a module's attribute; diffusers keeps a frozen dictionary
    return net.config  # pyright: ignore[reportReturnType]


def _shape(folder: Path, net: nn.Module, scheduler: Mapping[str, Any]) -> tuple[int, int, int]:
    """(c, h, w) of the images, if the network maps them to as many channels (or twice)."""
    config = _config(net)
    channels, out, size = config["in_channels"], config["out_channels"], config["sample_size"]
    learned = str(scheduler.get("variance_type")).startswith("learned")
    if out != channels and not (learned and out == 2 * channels):
        raise ValueError(
            f"{folder}: the unet makes {out} channels from {channels}, so it is no "
            f"denoiser of images of {channels} channels"
        )
    sides = (size, size) if isinstance(size, int) else tuple(size or ())
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(
            f"{folder}: unet/config.json does not say the size of the images: sample_size "
            f"is {size!r}"
        )
    return channels, sides[0], sides[1]


def _check_label(folder: Path, net: nn.Module, label: int | None) -> None:
    config = _config(net)
    if config.get("class_embed_type") is not None:
        raise ValueError(
            f"{folder}: the unet takes a {config['class_embed_type']!r} condition; only "
            "unconditional pipelines can be read"
        )
    classes = config.get("num_class_embeds")
    if classes is None and label is not None:
        raise ValueError(f"{folder}: the unet knows no classes, so label must be None, got {label}")
    if classes is not None and (label is None or not 0 <= label < classes):
        raise ValueError(
            f"{folder}: the unet is class-conditional: give label, one of its classes 0 "
            f"... {classes - 1}, got {label}"
        )


class _Attention:
    """diffusers' fused attention in inference mode, where nothing is differentiated, else the plain
    one, which has every derivative.
    """

    def __init__(self) -> None:
        from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

        self.plain, self.fused = AttnProcessor(), AttnProcessor2_0()

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: None = None,
        attention_mask: None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        chosen = self.fused if torch.is_inference_mode_enabled() else self.plain
        return chosen(attn, hidden_states, encoder_hidden_states, attention_mask, temb)


def _differentiable(net: nn.Module) -> None:
    """Makes a UNet2D right under forward-mode derivatives, where a norm needs contiguous inputs,
    and in float64, where a softmax stays.
    """
    from diffusers.models.attention_processor import Attention

    for module in net.modules():
        if isinstance(module, Attention):
            module.upcast_softmax = False
            # any callable of this signature
            module.set_processor(_Attention())  # pyright: ignore[reportArgumentType]
        elif isinstance(module, nn.GroupNorm):
            module.register_forward_pre_hook(_contiguous)


def _contiguous(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.clone(memory_format=torch.contiguous_format) for x in inputs)


def _limit(config: Mapping[str, Any]) -> Limit | None:
    if config.get("thresholding"):
        return Limit(float(config["sample_max_value"]), float(config["dynamic_thresholding_ratio"]))
    return Limit(float(config.get("clip_sample_range", 1.0))) if config.get("clip_sample") else None


def _preserving(folder: Path, scheduler: Any) -> Preserving:
    config = scheduler.config
    prediction = _PREDICTIONS.get(config.get("prediction_type", "epsilon"))
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
            f"{', '.join(_PREDICTIONS)} at discrete times"
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


_SCHEDULERS: Mapping[str, Callable[[Path, Any], Coordinates]] = {
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
}
