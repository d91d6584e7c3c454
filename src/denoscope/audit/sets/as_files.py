"""Sets that are given as arrays: written into files first, which are then read as all others."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from denoscope import files
from denoscope.audit.options import AuditOptions
from denoscope.data.images import Images, to_uint8

ROLES = ("gen", "train", "test", "twin")


def as_files(options: AuditOptions) -> AuditOptions:
    """The same question with arrays among its sets as files below ``options.out``/given: images
    (n, c, h, w), uint8 or floats in [-1, 1] (rounded to 8 bits), or features (n, k).
    """
    given = {role: getattr(options, role) for role in ROLES}
    arrays = {role: one for role, one in given.items() if not isinstance(one, str)}
    return replace(options, **_written(arrays, options.out / "given")) if arrays else options


def _written(arrays: Mapping[str, Any], folder: Path) -> dict[str, str]:
    found = {}
    for role, one in arrays.items():
        stream = io.BytesIO()
        np.savez(stream, **_named(role, one))
        found[role] = str(files.write(folder / f"{role}.npz", stream.getvalue()))
    return found


def _named(role: str, one: Any) -> dict[str, Any]:
    """The array under the key of its file; what is none is a ValueError."""
    if isinstance(one, Path):
        raise ValueError(f"{role} is a path: give it as text, str(PATH)")
    try:
        values = torch.as_tensor(one).detach().cpu()
        if values.ndim == 2:
            return {"features": values.numpy()}
        stored = values if values.dtype == torch.uint8 else values.float()
        pixels = Images(stored, role)[:]
        return {"images": to_uint8(pixels).permute(0, 2, 3, 1).numpy()}
    except (TypeError, ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(
            f"{role} is neither a set's name nor images (n, c, h, w), uint8 or in [-1, 1], nor "
            f"features (n, k): {said}"
        ) from error
