"""Files of `denoscope.save`, and cells of a store that keep one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from denoscope import guidance
from denoscope.data.refusals import on_hub
from denoscope.files import file_hash
from denoscope.levels import karras
from denoscope.models.model import ONE_STEP, POSTERIOR_MEAN, Label, Model
from denoscope.networks import LinearMaps, Preconditioned, Subspaces, load
from denoscope.networks.archive import expect
from denoscope.store import MODEL

SUFFIX = ".safetensors"


def saved_file(root: Path) -> Path:
    """The file of a network: itself, or the one in a stored cell's folder; none is a ValueError."""
    file = root / MODEL if root.is_dir() else root
    if not os.path.isfile(file):
        hint = "; name one of its cells, DIR/cells/KEY" if (file.parent / "cells").is_dir() else ""
        fetch = on_hub(str(root)) if root.suffix != SUFFIX and not root.parent.exists() else ""
        raise ValueError(f"there is no file {file.name} there{hint or fetch}")
    return file


def saved(file: Path, device: torch.device) -> Model:
    """The model in a file of `denoscope.save`."""
    denoiser = _loaded(file).eval().requires_grad_(False)
    event = _event(denoiser)
    try:
        expect(denoiser, event)
    except ValueError as error:
        raise ValueError(f"its network {error}") from error
    low, high = (0.002, 80.0)
    if isinstance(denoiser, LinearMaps):
        low, high = float(denoiser.levels[0]), float(denoiser.levels[-1])

    def levels(n: int) -> Tensor:
        return karras(n, low, high)

    identity = {"file": "denoscope", "sha256": file_hash(file)}
    at_once = isinstance(denoiser, Preconditioned) and denoiser.kind == "consistency"
    kind = ONE_STEP if at_once else POSTERIOR_MEAN
    model = Model(denoiser.to(device), event, identity, kind, levels=levels)
    classes = int(getattr(denoiser, "classes", 0))

    def labelled(label: Label) -> Model:
        told = {"label": label} if isinstance(label, int) else {}
        asked = guidance.given(denoiser, label)  # pyright: ignore[reportArgumentType] -- it refuses
        return replace(model, denoiser=asked, sampled=asked, identity={**identity, **told})

    return replace(model, classes=classes, labelled=labelled) if classes else model


def _loaded(file: Path) -> nn.Module:
    try:
        return load(file)
    except ValueError as error:
        if file.suffix == SUFFIX:
            raise
        raise ValueError(
            "it is no file of denoscope.save; a checkpoint says neither its network nor its "
            "schedule, and a pickle is never opened: give module:function, which builds the "
            "denoiser, or sample it with the code that trained it and give audit the images"
        ) from error


def _event(denoiser: nn.Module) -> tuple[int, ...]:
    """The shape of one state of a network of this library."""
    net = denoiser.net if isinstance(denoiser, Preconditioned) else denoiser
    # all others have a shape
    return (net.n,) if isinstance(net, Subspaces) else tuple(net.shape)  # pyright: ignore[reportArgumentType]
