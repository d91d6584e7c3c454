"""The words that name a model, and how each is opened."""

from __future__ import annotations

import hashlib
import json
import os

import torch

from denoscope.files import file_hash, located
from denoscope.integrations.pipeline_files import INDEX
from denoscope.models.model import Model
from denoscope.models.pipelines import pipeline
from denoscope.models.saved import SUFFIX, saved, saved_file
from denoscope.store import MODEL


def is_model(word: str) -> bool:
    """Whether a word names a model (or a store of models) and not a set of images; a name that ends
    in .safetensors always does.
    """
    root = located(word)
    return root.suffix == SUFFIX or any(
        os.path.isfile(root / name) for name in (INDEX, MODEL, "store.json")
    )


def open_model(word: str, *, device: str = "cpu") -> Model:
    """The model that a word names, on a device: a file of `denoscope.save`, a cell of a store that
    keeps its network, or a folder of diffusers.

    What cannot be opened is a one-line ValueError that says what to do.
    """
    root, place = located(word), _device(device)
    if (root / INDEX).is_file():
        return pipeline(root, place)
    return saved(saved_file(root), place)


def fingerprint(word: str) -> str:
    """A hash that changes when the model does: that of a saved file, else of what identifies it."""
    root = located(word)
    if not (root / INDEX).is_file():
        return file_hash(saved_file(root))
    identity = json.dumps(open_model(word).identity, sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()


def _device(name: str) -> torch.device:
    try:
        return torch.empty(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"--device {name} cannot be used here: {str(error).splitlines()[0]}"
        ) from error
