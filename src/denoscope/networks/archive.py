"""Networks as files: safetensors with a JSON configuration and a table of classes; no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from denoscope import files
from denoscope.networks.linear_maps import LinearMaps
from denoscope.networks.mlp import MLP, FiLM
from denoscope.networks.multistage import Experts, MultiStage
from denoscope.networks.precondition import Preconditioned
from denoscope.networks.subspaces import Subspaces
from denoscope.networks.unet import UNet
from denoscope.networks.uvit import UViT
from denoscope.types import Denoiser

NETWORKS = {
    each.__name__: each
    for each in (MLP, FiLM, UNet, UViT, MultiStage, Experts, LinearMaps, Subspaces)
}


def write_tensors(
    path: Path | str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]
) -> Path:
    """Writes named tensors and a JSON description into one safetensors file, atomically."""
    return files.write(path, _packed(tensors, about))


def _packed(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(plain, {"denoscope": json.dumps(about)})


def read_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What :func:`write_tensors` wrote; a truncated or other file is a ValueError naming it."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["denoscope"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError) as error:
        said = f"(truncated, or of another kind): {error}"
        raise ValueError(f"{path} is not a readable safetensors file {said}") from error
    except (KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is a safetensors file, but denoscope did not write it: it has no configuration"
        ) from error


def save(denoiser: nn.Module, path: Path | str) -> Path:
    """Writes a denoiser of this library's networks: weights, class names, constructor arguments."""
    return files.write(path, dump(denoiser))


def dump(denoiser: nn.Module) -> bytes:
    """The file that :func:`save` writes; a denoiser of other networks is a ValueError."""
    config = getattr(denoiser, "config", None)
    if config is None:
        raise ValueError(
            "only denoisers of this library's networks can be saved, not "
            f"{type(denoiser).__name__}: save a fleet's members one by one, and of another network "
            "its weights, safetensors.torch.save_file(net.state_dict(), FILE), and name the "
            "function that builds it wherever a model is asked for, module:function"
        )
    return _packed(denoiser.state_dict(), {"kind": "denoiser", "config": config})


def load(path: Path | str) -> nn.Module:
    """The denoiser that :func:`save` wrote; a damaged or foreign file is a ValueError naming it."""
    tensors, about = read_tensors(path)
    if about.get("kind") != "denoiser":
        raise ValueError(f"{path} holds a {about.get('kind')}, not a denoiser")
    try:
        denoiser = _build(about["config"])
        denoiser.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(f"{path} does not fit its own configuration: {said}") from error
    return denoiser


def _build(config: Mapping[str, Any]) -> nn.Module:
    arguments = dict(config)
    name = arguments.pop("class")
    if name == "Preconditioned":
        return Preconditioned(_build(arguments.pop("net")), **arguments)
    if name not in NETWORKS:
        raise ValueError(
            f"unknown network class {name!r}, known: Preconditioned, {', '.join(NETWORKS)}"
        )
    return NETWORKS[name](**arguments)


def expect(denoiser: Denoiser, event: tuple[int, ...]) -> None:
    """A ValueError after a name unless the denoiser answers a state of shape ``event`` alike."""
    state = torch.zeros(1, *event)
    try:
        with torch.no_grad():
            answer = denoiser(state, torch.ones(1))
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"does not take images of {event}: {str(error).splitlines()[0]}"
        ) from error
    if answer.shape != state.shape:
        raise ValueError(f"answers with shape {tuple(answer.shape[1:])} to images of {event}")
