"""Folders of diffusers."""

from __future__ import annotations

from pathlib import Path

import torch

from denoscope.integrations.diffusers import from_pipeline
from denoscope.models.model import Model


def pipeline(root: Path, device: torch.device) -> Model:
    """The model in a pipeline's folder."""
    found = from_pipeline(root)
    found.denoiser.to(device)
    return Model(
        found.denoiser,
        found.shape,
        found.identity,
        sampled=found.sampled,
        levels=found.levels,
        start=found.start,
        spacing="the levels of its scheduler, evenly spaced in training time from the last to the "
        "first, then 0",
    )
