"""Models of the user's own: any ``module:function`` that returns a denoiser.

A tutorial's network, for example, as ``mine.py`` in the current directory, ``--model mine:model``::

    import torch, denoscope
    from safetensors.torch import load_file

    def model():
        net = Net()                                             # eps(x_t, t), t whole
        net.load_state_dict(load_file("net.safetensors"))
        schedule = denoscope.VP.linear()
        return denoscope.from_network(
            net.eval(), "eps", schedule, shape=(3, 32, 32), whole=True, clamp=1.0
        )

The function takes nothing, or ``label``. What it returns says the ``shape`` of one state, and may
say ``levels(n)``, ``start(noise)``, ``sampled``, ``kind``; or it is a whole
:class:`denoscope.models.Model`. The module's source is part of its identity; weights that it loads
are not, unless the function has an attribute ``identity`` (JSON) that names them.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from denoscope.describe.custom import here, imported, is_function, source_hash
from denoscope.files import located
from denoscope.levels import karras
from denoscope.models.model import POSTERIOR_MEAN, Label, Model

_SPLITS = ("train", "test")  # of a set, which is written NAME:train


def names_function(word: str) -> bool:
    """Whether a word is ``module:function``, and neither a path nor a split of a set."""
    split = word.rpartition(":")[2] in _SPLITS
    return ":" in word and is_function(word) and not split and not located(word).exists()


def function(word: str, device: torch.device) -> Model:
    """The model that a function of the user's returns; what fails is a one-line ValueError."""
    called = imported(word)
    takes = "label" in inspect.signature(called).parameters

    def made(label: Label | None) -> Model:
        found = _called(word, called, {"label": label} if takes else {})
        model = found if isinstance(found, Model) else _model(word, found)
        if isinstance(model.denoiser, nn.Module):
            model.denoiser.to(device).requires_grad_(False)
        told = label if isinstance(label, int | float) else None
        about = {"function": word, "sha256": source_hash(word), "label": told}
        identity = {**about, "own": {**_own(word, called), **model.identity}}
        return replace(model, identity=identity, labelled=made if takes else model.labelled)

    return made(None)


def _called(word: str, called: Callable[..., Any], given: dict[str, Any]) -> Any:
    try:
        with here():
            return called(**given)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"{word} failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}; it is "
            "called without arguments (or with label) and returns a denoiser"
        ) from error


def _model(word: str, found: Any) -> Model:
    """The model of a denoiser that says its shape."""
    shape = getattr(found, "shape", None) or getattr(found, "event_shape", None)
    if not callable(found) or shape is None:
        raise ValueError(
            f"{word} returned {type(found).__name__}, no denoiser D(x, sigma) that says the shape "
            "of its images: give it .shape, or return denoscope.models.Model(D, shape)"
        )
    denoiser: Any = found
    return Model(
        denoiser,
        tuple(shape),
        kind=getattr(found, "kind", POSTERIOR_MEAN),
        sampled=getattr(found, "sampled", None) or denoiser,
        levels=getattr(found, "levels", karras),
        start=getattr(found, "start", None),  # pyright: ignore[reportArgumentType] -- its default
    )


def _own(word: str, called: object) -> dict[str, Any]:
    own = getattr(called, "identity", {})
    try:
        return dict(json.loads(json.dumps(own, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{word}.identity must be a JSON object: {error}") from error
