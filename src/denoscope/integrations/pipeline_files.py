"""The folder of a diffusers pipeline, read without running anything in it: JSON configurations and
safetensors, nothing else.

``model_index.json`` names the pipeline and its components, ``unet/config.json`` with
``unet/*.safetensors`` are the network, and ``scheduler/scheduler_config.json`` is the diffusion.
Nothing is ever downloaded, unpickled, or imported from the folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from denoscope.files import file_hash

INDEX = "model_index.json"
PIPELINES = (
    "DDPMPipeline",
    "DDIMPipeline",
    "PNDMPipeline",
    "ScoreSdeVePipeline",
    "DiffusionPipeline",
)
"""Pipelines that are a UNet2DModel and a scheduler and nothing else."""
_WEIGHTS = re.compile(
    r"diffusion_pytorch_model(?:\.(?P<variant>(?!safetensors)[\w-]+?))?(?:-\d+-of-\d+)?\.safetensors"
)


@dataclass(frozen=True)
class Files:
    """What the folder of an unconditional pipeline says: class names, both configurations, the
    files of the weights and their ``variant``.
    """

    folder: Path
    pipeline: str
    scheduler: str
    unet_config: Mapping[str, Any]
    scheduler_config: Mapping[str, Any]
    weights: tuple[Path, ...]
    variant: str | None

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


def library() -> ModuleType:
    """The package diffusers; a ValueError that says how to install it if it is not there."""
    try:
        import diffusers
    except ImportError as error:
        raise ValueError(
            "reading a pipeline needs diffusers: pip install 'denoscope[diffusers]' "
            f"({_line(error)})"
        ) from error
    return diffusers


def read(folder: Path | str) -> Files:
    """What a pipeline's folder says; a missing file, or a pipeline that is not unconditional in
    pixels, is a one-line ValueError.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ValueError(
            f"there is no folder {folder}; pipelines are read from folders on this "
            "machine, nothing is downloaded"
        )
    index = _json(root / INDEX)
    pipeline = index.get("_class_name")
    if pipeline not in PIPELINES:
        raise ValueError(
            f"{folder}: {_shown(pipeline)} is not a pipeline that can be read; "
            f"unconditional ones are {', '.join(PIPELINES)}"
        )
    scheduler = _components(folder, index)
    weights, variant = _weights(root / "unet")
    return Files(
        root,
        pipeline,
        scheduler,
        _json(root / "unet" / "config.json"),
        _json(root / "scheduler" / "scheduler_config.json"),
        weights,
        variant,
    )


def _components(folder: Path | str, index: Mapping[str, Any]) -> str:
    """The scheduler's class name, if the components are a UNet2DModel and a scheduler alone."""
    parts = {
        name: value
        for name, value in index.items()
        if isinstance(value, list) and any(part is not None for part in value)
    }
    if others := sorted(set(parts) - {"unet", "scheduler"}):
        raise ValueError(
            f"{folder} is no unconditional pixel pipeline, it also has "
            f"{', '.join(map(_shown, others))}: latent, text and conditional "
            "pipelines cannot be read; sample it yourself and give the images"
        )
    for name in ("unet", "scheduler"):
        value = parts.get(name)
        if not (
            value and len(value) == 2 and value[0] == "diffusers" and isinstance(value[1], str)
        ):
            raise ValueError(
                f"{folder}: the {name} is {_shown(value)}, not a class of diffusers; code "
                "of a pipeline is never run"
            )
    if parts["unet"][1] != "UNet2DModel":
        raise ValueError(
            f"{folder}: the unet is a {_shown(parts['unet'][1])}; only an unconditional "
            "UNet2DModel can be read"
        )
    return parts["scheduler"][1]


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
                f", only {_shown(pickled.name)}, a pickle, which can run code when it is "
                "read; convert it where you trust it: "
                "UNet2DModel.from_pretrained(FOLDER).save_pretrained(FOLDER, "
                "safe_serialization=True)"
                if pickled
                else " (diffusion_pytorch_model.safetensors)"
            )
        )
    variant = None if None in found else next(iter(found))
    return tuple(found[variant]), variant


def load_unet(files: Files) -> nn.Module:
    """The network in float32, in inference mode, frozen; weights that do not fit their
    configuration are a one-line ValueError.
    """
    made = library().UNet2DModel
    try:
        net, info = made.from_pretrained(
            str(files.folder / "unet"),
            local_files_only=True,
            use_safetensors=True,
            variant=files.variant,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except Exception as error:  # whatever the other library raises about these files
        raise ValueError(f"{files.folder / 'unet'} cannot be loaded: {_line(error)}") from error
    wrong = {
        kind: info.get(kind)
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
        if info.get(kind)
    }
    for kind, keys in wrong.items():
        raise ValueError(
            f"{files.folder / 'unet'}: the weights do not fit config.json: "
            f"{kind.replace('_', ' ')} {_shown(list(keys)[:3])}"
        )
    return net.float().eval().requires_grad_(False)


def load_scheduler(files: Files, known: Mapping[str, object]) -> Any:
    """The scheduler of its configuration, if its class is ``known`` and installed."""
    made = getattr(library(), files.scheduler, None) if files.scheduler in known else None
    if made is None:
        raise ValueError(
            f"{files.folder}: the scheduler {_shown(files.scheduler)} is not one that can "
            f"be read: {', '.join(known)}"
        )
    try:
        return made.from_config(dict(files.scheduler_config))
    except Exception as error:  # whatever the other library raises about this configuration
        raise ValueError(
            f"{files.folder / 'scheduler'}: {files.scheduler} does not take its "
            f"configuration: {_line(error)}"
        ) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read: {error.strerror}; it belongs to every pipeline that "
            "save_pretrained wrote"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {_line(error)}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return value


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _shown(value: object) -> str:
    return ascii(value)[:120]
