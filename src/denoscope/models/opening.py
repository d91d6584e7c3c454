"""The words that name a model, and how each is opened."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import torch

from denoscope.files import file_hash, located
from denoscope.models import graphs, saved
from denoscope.models.functions import function, names_function
from denoscope.models.model import Label, Model
from denoscope.models.pipelines import is_pipeline, pipeline, pipeline_hash
from denoscope.shipped import SHA256, shipped
from denoscope.store import MODEL


def is_model(word: str) -> bool:
    """Whether a word names a model (or a store of models) and not a set of images; a name that ends
    in .safetensors or .onnx always does.
    """
    root = located(word)
    return (
        root.suffix in (saved.SUFFIX, graphs.SUFFIX)
        or any(os.path.isfile(root / name) for name in (MODEL, "store.json"))
        or word in SHA256
        or is_pipeline(word)
        or names_function(word)
    )


def open_model(word: str, *, device: str = "cpu", label: Label | None = None) -> Model:
    """The model that a word names, on a device, for a label: one that comes along by its name
    (``digits-unet``, ``fashion-mnist-unet``), a file of `denoscope.save`, a cell of a store that
    keeps its network, a folder of diffusers (``FOLDER::SCHEDULER`` where it names none), an ONNX
    file, or ``module:function``.

    ``label``: one class (or number), or (b,) one for each state of a batch. What cannot be opened
    is a one-line ValueError that says what to do.
    """
    return unlabelled(word, device).given(label)


def unlabelled(word: str, device: str = "cpu") -> Model:
    """What :func:`open_model` opens before a label is asked for."""
    place = _device(device)
    if is_pipeline(word):
        return pipeline(word, place)
    if names_function(word):
        return function(word, place)
    file = _file(word)
    return graphs.graph(file) if file.suffix == graphs.SUFFIX else saved.saved(file, place)


def fingerprint(word: str) -> str:
    """A hash that changes when the model does: of its files, or what a function says of itself."""
    if is_pipeline(word):
        return pipeline_hash(word)
    if names_function(word):
        identity = json.dumps(unlabelled(word).identity, sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()
    return file_hash(_file(word))


def _file(word: str) -> Path:
    return shipped(word) if word in SHA256 else saved.saved_file(located(word))


def _device(name: str) -> torch.device:
    try:
        return torch.empty(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"--device {name} cannot be used here: {str(error).splitlines()[0]}"
        ) from error
