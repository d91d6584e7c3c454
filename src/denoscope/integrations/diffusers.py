"""Unconditional pipelines of the library diffusers as denoisers: D(x, sigma) = E[x0 | x0 + sigma n
= x], images in [-1, 1].

The diffusion is read from the scheduler, never assumed: the levels are ``sqrt(1 -
abar_t)/sqrt(abar_t)`` of its own ``alphas_cumprod``, however its betas were made. What its network
predicts (noise, image, velocity, score) is translated by
:mod:`denoscope.integrations.coordinates`. At the levels of training D is the pipeline's own
prediction of x0, before any clipping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denoscope.integrations import pipeline_files, pipeline_loading
from denoscope.integrations.coordinates import (
    Consistent,
    Coordinates,
    Translated,
)
from denoscope.integrations.schedulers import SCHEDULERS, Limit, limit_of
from denoscope.schedule import Schedule


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A pipeline as a ``denoiser``, for images of ``shape`` (c, h, w); ``identity`` (JSON) names
    its classes and hashes its weights.

    ``denoiser`` is the network's own posterior mean; ``limit`` is what the scheduler does to it
    while sampling, None for nothing; ``classes`` counts those of a class-conditional network, and
    ``said`` is what was chosen in reading it.
    """

    denoiser: Translated
    shape: tuple[int, int, int]
    coordinates: Coordinates
    limit: Limit | None
    identity: Mapping[str, Any]
    classes: int = 0
    said: tuple[str, ...] = ()
    folder: Path = Path()

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

    @property
    def at_once(self) -> bool:
        """Whether it maps noise to an image in one step and is no posterior mean."""
        return isinstance(self.coordinates, Consistent)

    def given(self, label: int | Tensor | None) -> Pipeline:
        """The same for one class, or (b,) one for each entry of a batch; one that does not exist
        (None for a network without classes) is a ValueError.
        """
        if not self.classes and label is not None:
            raise ValueError(
                f"{self.folder}: the unet knows no classes, so label must be None, got {label}"
            )
        asked = torch.as_tensor(-1 if label is None else label).flatten()
        known = torch.isin(asked, torch.arange(self.classes)) & (asked == asked.long())
        if self.classes and (asked.is_floating_point() or not bool(known.all())):
            wrong = None if label is None else [*asked[~known].tolist(), *asked.tolist()][0]
            raise ValueError(
                f"{self.folder}: the unet is class-conditional: give label, one of its classes 0 "
                f"... {self.classes - 1}, got {wrong}"
            )
        own, told = self.denoiser, label if isinstance(label, int) else None
        labelled = Translated(own.net, self.coordinates, whole=own.whole, label=label)
        return replace(self, denoiser=labelled, identity={**self.identity, "label": told})


def from_pipeline(
    folder: Path | str, *, label: int | Tensor | None = None, scheduler: str = ""
) -> Pipeline:
    """The denoiser of an unconditional UNet2D pipeline that diffusers saved in ``folder``, of a
    checkpoint, or of the network's own folder, whose ``scheduler`` may have to be named
    (:func:`pipeline_files.read`).

    Only JSON and safetensors are read, nothing is downloaded and no code of the pipeline runs. A
    class-conditional network needs the ``label`` of one of its classes. Latent or conditional
    pipelines, unknown classes, missing files and pickled weights are one-line ValueErrors, and so
    is diffusers that is not installed.
    """
    return unlabelled(folder, scheduler).given(label)


def unlabelled(folder: Path | str, scheduler: str = "") -> Pipeline:
    """What :func:`from_pipeline` reads before a label is asked for."""
    found = pipeline_files.read(folder, scheduler)
    made = pipeline_loading.load_scheduler(found, SCHEDULERS)
    coordinates = SCHEDULERS[found.scheduler](found.folder, made)
    net = pipeline_loading.load_unet(found)
    identity = {
        "pipeline": found.pipeline,
        "unet": type(net).__name__,
        "scheduler": found.scheduler,
        "prediction": coordinates.prediction,
        "label": None,
        "config_sha256": found.config_sha256(),
        "sha256": found.sha256(),
    }
    return _translated(found.folder, net, made, coordinates, identity, found.said)


def from_unet(unet: nn.Module, scheduler: Any, *, label: int | Tensor | None = None) -> Pipeline:
    """The same of a UNet2DModel and a scheduler of diffusers that are there as objects; the
    network's attention is exchanged for one that has every derivative.
    """
    name, coordinates = type(scheduler).__name__, _coordinates(scheduler)
    identity = {"unet": type(unet).__name__, "scheduler": name, "label": None}
    return _translated(Path(name), unet, scheduler, coordinates, identity).given(label)


class AsSampled(nn.Module):
    """The denoiser of a network that is being trained, bounded as its scheduler bounds it; nothing
    in the network is exchanged, so that its training goes on as it would.
    """

    def __init__(self, unet: nn.Module, scheduler: Any, label: int | Tensor | None = None):
        super().__init__()
        whole = _config(unet).get("time_embedding_type") == "learned"
        coordinates = _coordinates(scheduler)
        self.denoiser = Translated(unet, coordinates, whole=whole, label=label)
        self.limit = limit_of(scheduler.config)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        clean = self.denoiser(x, sigma)
        return clean if self.limit is None else self.limit(clean)


def _coordinates(scheduler: Any) -> Coordinates:
    """Those of a scheduler that is there as an object; an unknown one is a ValueError."""
    name = type(scheduler).__name__
    if name not in SCHEDULERS:
        raise ValueError(f"{name} is not a scheduler that can be read: {', '.join(SCHEDULERS)}")
    return SCHEDULERS[name](Path(name), scheduler)


def _translated(
    where: Path,
    net: nn.Module,
    scheduler: Any,
    coordinates: Coordinates,
    identity: Mapping[str, Any],
    said: tuple[str, ...] = (),
) -> Pipeline:
    config = _config(net)
    shape = _shape(where, net, scheduler.config)
    if config.get("class_embed_type") is not None:
        raise ValueError(
            f"{where}: the unet takes a {config['class_embed_type']!r} condition; only "
            "unconditional pipelines can be read: sample it yourself and give the images"
        )
    _differentiable(net)
    whole = config.get("time_embedding_type") == "learned"
    return Pipeline(
        Translated(net, coordinates, whole=whole),
        shape,
        coordinates,
        limit_of(scheduler.config),
        identity,
        config.get("num_class_embeds") or 0,
        said,
        where,
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
