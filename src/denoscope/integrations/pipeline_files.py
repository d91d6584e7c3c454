"""The folder of a diffusers pipeline, read without running anything in it: JSON configurations and
safetensors, nothing else.

``model_index.json`` names the pipeline and its components, ``unet/config.json`` with
``unet/*.safetensors`` are the network, and ``scheduler/scheduler_config.json`` is the diffusion;
each may also lie in the folder itself. A folder without an index is a checkpoint of accelerate
(``unet_ema``, ``unet``) or the network's own; its scheduler lies beside it or above it, or is
named. Nothing is ever downloaded, unpickled, or imported from the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoscope.files import file_hash

INDEX = "model_index.json"
PIPELINES = (
    "DDPMPipeline",
    "DDIMPipeline",
    "PNDMPipeline",
    "ScoreSdeVePipeline",
    "ConsistencyModelPipeline",
    "DiffusionPipeline",
)
"""Pipelines that are a UNet2DModel and a scheduler and nothing else."""
_NETWORK, _AVERAGED = "UNet2DModel", "unet_ema"
_SCHEDULER = "scheduler_config.json"
WAY_OUT = "sample it yourself and give the images"
_WEIGHTS = re.compile(
    r"diffusion_pytorch_model(?:\.(?P<variant>(?!safetensors)[\w-]+?))?(?:-\d+-of-\d+)?\.safetensors"
)


@dataclass(frozen=True)
class Files:
    """What a folder says of a network and its diffusion: class names, both configurations, the
    folder ``unet`` of the weights, their files and their ``variant``; ``said`` is what was found
    out, or chosen, on the way.
    """

    folder: Path
    unet: Path
    pipeline: str
    scheduler: str
    unet_config: Mapping[str, Any]
    scheduler_config: Mapping[str, Any]
    weights: tuple[Path, ...]
    variant: str | None
    said: tuple[str, ...] = ()

    def sha256(self) -> str:
        """The hash of the weights: of their file, or of the hashes of their files in name order."""
        hashes = [file_hash(path) for path in self.weights]
        return (
            hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        )

    def config_sha256(self) -> str:
        """The hash of both configurations, whatever their spelling as JSON."""
        return hashlib.sha256(
            json.dumps([self.unet_config, self.scheduler_config], sort_keys=True).encode()
        ).hexdigest()


def is_folder(root: Path) -> bool:
    """Whether a folder holds what :func:`read` may read."""
    network = root / "config.json"
    return (
        os.path.isfile(root / INDEX)
        or any(os.path.isfile(root / part / "config.json") for part in ("unet", _AVERAGED))
        or (os.path.isfile(network) and read_json(network).get("_class_name") == _NETWORK)
    )


def read(folder: Path | str, scheduler: str = "") -> Files:
    """What a pipeline's folder, a checkpoint or a network's own folder says.

    ``scheduler`` names the diffusion where the folder does not: a class of diffusers, with its own
    defaults, or a folder with a ``scheduler_config.json``. A missing file, or a pipeline that is
    not unconditional in pixels, is a one-line ValueError.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ValueError(
            f"there is no folder {folder}; pipelines are read from folders on this "
            "machine, nothing is downloaded: fetch it first and give its folder"
        )
    index = read_json(root / INDEX) if (root / INDEX).exists() else {}
    pipeline, unet, said = _pipeline(root, index) if index else _checkpoint(root)
    name, config, found = _diffusion(root, index, scheduler)
    weights, variant = _weights(unet)
    return Files(
        root,
        unet,
        pipeline,
        name,
        read_json(unet / "config.json"),
        config,
        weights,
        variant,
        (*said, *found),
    )


def _pipeline(root: Path, index: Mapping[str, Any]) -> tuple[str, Path, tuple[str, ...]]:
    """The pipeline that an index names, the folder of its network, and what to know of it."""
    pipeline = index.get("_class_name")
    if pipeline not in PIPELINES:
        plain = index.get("unet") == ["diffusers", _NETWORK]
        raise ValueError(
            f"{root}: {shown(pipeline)} is not a pipeline that can be read; "
            f"unconditional ones are {', '.join(PIPELINES)}: {WAY_OUT}"
            + (f", or name {root / 'unet'} if that is an ordinary denoiser" if plain else "")
        )
    _check_components(root, index)
    averaged = (
        f"{root / _AVERAGED} holds averaged weights, and the pipeline's own, in unet, are taken, "
        f"as diffusers does: name {root / _AVERAGED} for the others"
    )
    said = (averaged,) if (root / _AVERAGED).is_dir() else ()
    return pipeline, root / "unet" if (root / "unet").is_dir() else root, said


def _checkpoint(root: Path) -> tuple[str, Path, tuple[str, ...]]:
    """The same of a folder without an index: a checkpoint's averaged weights, its others, or the
    network that the folder itself is.
    """
    if (root / _AVERAGED).is_dir():
        said = f"{root} is a checkpoint: its averaged weights, unet_ema, are taken, as samplers do"
        beside = f"; name {root / 'unet'} for the others" if (root / "unet").is_dir() else ""
        return _NETWORK, root / _AVERAGED, (said + beside,)
    unet = root / "unet" if (root / "unet").is_dir() else root
    made = read_json(unet / "config.json").get("_class_name")
    if made != _NETWORK:
        raise ValueError(
            f"{unet}: the network is a {shown(made)}; only an unconditional {_NETWORK} can be "
            f"read: {WAY_OUT}"
        )
    return _NETWORK, unet, ()


def _diffusion(
    root: Path, index: Mapping[str, Any], named: str
) -> tuple[str, Mapping[str, Any], tuple[str, ...]]:
    """The scheduler's class name and configuration: the one that is named, that of the folder, or
    that of a folder above.
    """
    given = Path(named).expanduser()
    if named and (given / _SCHEDULER).is_file():
        return *_scheduler(given), ()
    if named.isidentifier():
        return named, {}, (f"{root}: the diffusion is {named} with its defaults, as named",)
    if named:
        raise ValueError(
            f"{root}::{named}: {named} is neither a scheduler's class nor a folder with a "
            f"{_SCHEDULER}; write FOLDER::DDPMScheduler or FOLDER::FOLDER"
        )
    own = next((at for at in (root / "scheduler", root) if (at / _SCHEDULER).is_file()), None)
    if index:
        return index["scheduler"][1], read_json((own or root / "scheduler") / _SCHEDULER), ()
    if own is not None:
        return *_scheduler(own), ()
    above = (root.resolve().parents[up] / "scheduler" for up in (0, 1))
    if (found := next((at for at in above if (at / _SCHEDULER).is_file()), None)) is not None:
        return *_scheduler(found), (f"{root} names no scheduler: that of {found} is taken",)
    raise ValueError(
        f"{root} names no scheduler, which says what its network was trained to predict: name it, "
        f"{root}::DDPMScheduler (with its defaults) or {root}::FOLDER of a {_SCHEDULER}"
    )


def _scheduler(folder: Path) -> tuple[str, Mapping[str, Any]]:
    config = read_json(folder / _SCHEDULER)
    name = config.get("_class_name")
    if not isinstance(name, str):
        raise ValueError(f"{folder / _SCHEDULER} does not say its class, _class_name")
    return name, config


def _check_components(folder: Path | str, index: Mapping[str, Any]) -> None:
    """A ValueError unless the components are a UNet2DModel and a scheduler alone."""
    parts = {
        name: value
        for name, value in index.items()
        if isinstance(value, list) and any(part is not None for part in value)
    }
    if others := sorted(set(parts) - {"unet", "scheduler"}):
        raise ValueError(
            f"{folder} is no unconditional pixel pipeline, it also has "
            f"{', '.join(map(shown, others))}: latent, text and conditional "
            f"pipelines cannot be read; {WAY_OUT}"
        )
    for name in ("unet", "scheduler"):
        value = parts.get(name)
        if not (
            value and len(value) == 2 and value[0] == "diffusers" and isinstance(value[1], str)
        ):
            raise ValueError(
                f"{folder}: the {name} is {shown(value)}, not a class of diffusers; code "
                f"of a pipeline is never run: {WAY_OUT}"
            )
    if parts["unet"][1] != _NETWORK:
        raise ValueError(
            f"{folder}: the unet is a {shown(parts['unet'][1])}; only an unconditional "
            f"{_NETWORK} can be read: {WAY_OUT}"
        )


def _weights(unet: Path) -> tuple[tuple[Path, ...], str | None]:
    """The network's safetensors files and the variant they are of; plain ones first."""
    found: dict[str | None, list[Path]] = {}
    for path in sorted(unet.glob("*.safetensors")):
        if match := _WEIGHTS.fullmatch(path.name):
            found.setdefault(match["variant"], []).append(path)
    if not found:
        pickled = next(iter(sorted(unet.glob("*.bin"))), None)
        raise ValueError(
            f"{unet} has no weights as safetensors"
            + (
                f", only {shown(pickled.name)}, a pickle, which can run code when it is "
                "read; convert it where you trust it: "
                "UNet2DModel.from_pretrained(FOLDER).save_pretrained(FOLDER, "
                "safe_serialization=True)"
                if pickled
                else " (diffusion_pytorch_model.safetensors)"
            )
        )
    variant = None if None in found else next(iter(found))
    return tuple(found[variant]), variant


def read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read: {error.strerror}; it belongs to every pipeline that "
            "save_pretrained wrote"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {one_line(error)}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return value


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def shown(value: object) -> str:
    return ascii(value)[:120]
