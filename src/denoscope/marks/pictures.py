"""PNG files that are whole or absent."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from torch import Tensor

from denoscope.data.images import from_uint8
from denoscope.files import read_regular, write


def write_picture(pixels: Tensor, file: Path) -> None:
    """One image (c, h, w), uint8 with 1, 3 or 4 channels, as PNG."""
    rows = pixels.cpu().permute(1, 2, 0).numpy()
    stream = io.BytesIO()
    Image.fromarray(rows[..., 0] if rows.shape[2] == 1 else rows).save(stream, "png")
    write(file, stream.getvalue())


def read_picture(file: Path) -> Tensor:
    """What :func:`write_picture` wrote, (c, h, w) in [-1, 1]."""
    import numpy as np
    import torch

    with Image.open(io.BytesIO(read_regular(file))) as picture:
        rows = np.array(picture)
    return from_uint8(torch.from_numpy(rows.reshape(*rows.shape[:2], -1)).permute(2, 0, 1))
