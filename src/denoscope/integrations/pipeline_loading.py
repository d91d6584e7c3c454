"""The network and the scheduler of a pipeline's files, as the library diffusers makes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from torch import nn

from denoscope.integrations.pipeline_files import WAY_OUT, Files, one_line, shown


def library() -> ModuleType:
    """The package diffusers; a ValueError that says how to install it if it is not there."""
    try:
        import diffusers
    except ImportError as error:
        raise ValueError(
            "reading a pipeline needs diffusers: pip install 'denoscope[diffusers]' "
            f"({one_line(error)})"
        ) from error
    return diffusers


def load_unet(files: Files) -> nn.Module:
    """The network in float32, in inference mode, frozen; weights that do not fit their
    configuration are a one-line ValueError.
    """
    made = library().UNet2DModel
    try:
        net, info = made.from_pretrained(
            str(files.unet),
            local_files_only=True,
            use_safetensors=True,
            variant=files.variant,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except Exception as error:  # whatever the other library raises about these files
        raise ValueError(f"{files.unet} cannot be loaded: {one_line(error)}") from error
    wrong = {
        kind: info.get(kind)
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
        if info.get(kind)
    }
    for kind, keys in wrong.items():
        raise ValueError(
            f"{files.unet}: the weights do not fit config.json: "
            f"{kind.replace('_', ' ')} {shown(list(keys)[:3])}"
        )
    return net.float().eval().requires_grad_(False)


def load_scheduler(files: Files, known: Mapping[str, object]) -> Any:
    """The scheduler of its configuration, if its class is ``known`` and installed."""
    made = getattr(library(), files.scheduler, None) if files.scheduler in known else None
    if made is None:
        raise ValueError(
            f"{files.folder}: the scheduler {shown(files.scheduler)} is not one that can "
            f"be read: {', '.join(known)}; {WAY_OUT}"
        )
    try:
        return made.from_config(dict(files.scheduler_config))
    except Exception as error:  # whatever the other library raises about this configuration
        raise ValueError(
            f"{files.folder}: {files.scheduler} does not take its configuration: {one_line(error)}"
        ) from error
