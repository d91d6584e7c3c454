"""Models whose samples can be audited: a diffusers pipeline's folder, a file of `denoscope.save`, a
cell of a store that keeps its network.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denoscope import files
from denoscope.files import located
from denoscope.integrations.diffusers import from_pipeline
from denoscope.integrations.pipeline_files import INDEX
from denoscope.levels import karras
from denoscope.networks import LinearMaps, Preconditioned, Subspaces, load
from denoscope.networks.archive import expect
from denoscope.store import MODEL
from denoscope.types import Denoiser

SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class GenerativeModel:
    """A denoiser ready to be sampled: images of ``shape``, states of the ``event`` shape it
    computes with, from ``start(noise)`` down ``levels(n)``.

    ``identity`` is JSON that differs wherever samples could. ``spacing`` says in words how the
    levels are chosen.
    """

    identity: Mapping[str, Any]
    shape: tuple[int, int, int]
    event: tuple[int, ...]
    denoiser: Denoiser
    levels: Callable[[int], Tensor]
    start: Callable[[Tensor], Tensor]
    spacing: str


def is_model(path: str) -> bool:
    """Whether a path names a model (or a store of models) and not a set of images; a name that ends
    in .safetensors always does.
    """
    root = located(path)
    return root.suffix == SUFFIX or any(
        os.path.isfile(root / name) for name in (INDEX, MODEL, "store.json")
    )


def open_model(
    role: str, path: str, shape: tuple[int, int, int], device: str = "cpu"
) -> GenerativeModel:
    """The model that a path names, on a device; ``shape`` (c, h, w) is that of the images if a
    network of flat vectors does not say it.

    What cannot be opened, or makes no images, is a one-line ValueError naming ``--role``.
    """
    root, place = located(path), _device(device)
    try:
        if (root / INDEX).is_file():
            return _pipeline(root, place)
        return _checkpoint(root / MODEL if root.is_dir() else root, shape, place)
    except ValueError as error:
        raise ValueError(f"--{role} {path}: {error}") from error


def _device(name: str) -> torch.device:
    try:
        return torch.empty(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"--device {name} cannot be used here: {str(error).splitlines()[0]}"
        ) from error


def _pipeline(root: Path, device: torch.device) -> GenerativeModel:
    found = from_pipeline(root)
    found.denoiser.to(device)
    spacing = (
        "the levels of its scheduler, evenly spaced in training time from the last "
        "to the first, then 0"
    )
    return GenerativeModel(
        found.identity, found.shape, found.shape, found.sampled, found.levels, found.start, spacing
    )


def _checkpoint(file: Path, shape: tuple[int, int, int], device: torch.device) -> GenerativeModel:
    if not file.is_file():
        hint = "; name one of its cells, DIR/cells/KEY" if (file.parent / "cells").is_dir() else ""
        raise ValueError(f"there is no file {file.name} there{hint}")
    denoiser = load(file).eval().requires_grad_(False)
    event = _event(denoiser)
    if math.prod(event) != math.prod(shape) and len(event) != 3:
        raise ValueError(
            f"its network makes {math.prod(event)} numbers, and images of the training "
            f"set have {math.prod(shape)}"
        )
    try:
        expect(denoiser, event)
    except ValueError as error:
        raise ValueError(f"its network {error}") from error
    denoiser.to(device)

    def levels(n: int) -> Tensor:
        low, high = (
            (float(denoiser.levels[0]), float(denoiser.levels[-1]))
            if isinstance(denoiser, LinearMaps)
            else (0.002, 80.0)
        )
        return karras(n, low, high)

    identity = {"file": "denoscope", "sha256": files.file_hash(file)}
    channels, height, width = event if len(event) == 3 else shape
    spacing = "levels equally spaced in their seventh root (Karras et al. 2022)"
    return GenerativeModel(
        identity,
        (channels, height, width),
        event,
        denoiser,
        levels,
        lambda noise: levels(1)[0].to(noise) * noise,
        spacing,
    )


def _event(denoiser: nn.Module) -> tuple[int, ...]:
    """The shape of one state of a network of this library."""
    net = denoiser.net if isinstance(denoiser, Preconditioned) else denoiser
    # all others have a shape
    return (net.n,) if isinstance(net, Subspaces) else tuple(net.shape)  # pyright: ignore[reportArgumentType]
