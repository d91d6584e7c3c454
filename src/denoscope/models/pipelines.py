"""Folders of diffusers: pipelines, accelerate's checkpoints, a network's own folder with its
scheduler named, ``FOLDER::SCHEDULER``.
"""

from __future__ import annotations

import hashlib

import torch

from denoscope.files import located
from denoscope.integrations.diffusers import Pipeline, unlabelled
from denoscope.integrations.pipeline_files import is_folder, read
from denoscope.models.model import ONE_STEP, POSTERIOR_MEAN, Label, Model

SEPARATOR = "::"


def is_pipeline(word: str) -> bool:
    """Whether a word names a folder of diffusers."""
    return is_folder(located(word.partition(SEPARATOR)[0]))


def pipeline_hash(word: str) -> str:
    """The hash of the weights and configurations of a folder of diffusers."""
    folder, _, scheduler = word.partition(SEPARATOR)
    found = read(located(folder), scheduler)
    text = " ".join((found.sha256(), found.config_sha256(), found.scheduler))
    return hashlib.sha256(text.encode()).hexdigest()


def pipeline(word: str, device: torch.device) -> Model:
    """The model in a folder of diffusers."""
    folder, _, scheduler = word.partition(SEPARATOR)
    found = unlabelled(located(folder), scheduler)
    found.denoiser.to(device)
    return _model(found)


def _model(found: Pipeline) -> Model:
    def labelled(label: Label) -> Model:
        asked = found.given(label)  # pyright: ignore[reportArgumentType] -- it refuses numbers
        return _model(asked)

    wants = ""
    if found.classes and found.denoiser.label is None:
        wants = (
            "the unet is class-conditional: give --label, one of its classes 0 ... "
            f"{found.classes - 1}, several, or all"
        )
    return Model(
        found.denoiser,
        found.shape,
        found.identity,
        kind=ONE_STEP if found.at_once else POSTERIOR_MEAN,
        sampled=found.sampled,
        levels=found.levels,
        start=found.start,
        spacing="the levels of its scheduler, evenly spaced in training time from the last to the "
        "first, then 0",
        classes=found.classes,
        said=found.said,
        labelled=labelled if found.classes else None,
        wants=wants,
    )
