"""Images as files that every tool reads, and the audit by their seeds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from denoscope import files
from denoscope.data.images import to_uint8
from denoscope.files import located


def write_images(images: Tensor, folder: Path | str, *, seeds: Sequence[int] | None = None) -> Path:
    """Writes images (n, c, h, w), uint8 or in [-1, 1] (clipped, rounded to 8 bits), as PNG files of
    a folder, named by their ``seeds`` (default: their numbers), and returns the folder.

    Anything else, numbers that are not finite, and a folder that holds files already, are a
    ValueError.
    """
    root = located(folder)
    if images.ndim != 4 or images.shape[1] not in (1, 3, 4) or not len(images):
        raise ValueError(
            f"images are (n, c, h, w) with 1, 3 or 4 channels, got {tuple(images.shape)}"
        )
    if not bool(images.isfinite().all()):
        raise ValueError("images hold numbers that are not finite")
    names = range(len(images)) if seeds is None else seeds
    if len(names) != len(images) or len(set(names)) < len(names) or min(names) < 0:
        raise ValueError(f"{len(images)} images need as many different seeds from 0 on")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ValueError(f"{root} is there already: name a new or an empty folder")
    pixels = images if images.dtype == torch.uint8 else to_uint8(images)
    for name, rows in zip(names, pixels.cpu().permute(0, 2, 3, 1).numpy(), strict=True):
        picture = Image.fromarray(rows[..., 0] if rows.shape[2] == 1 else rows)
        stream = io.BytesIO()
        picture.save(stream, "png")
        files.write(root / f"{name:06d}.png", stream.getvalue())
    return root
