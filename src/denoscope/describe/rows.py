"""Images as rows of numbers, of bounded size and in bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor

from denoscope.data.images import resize

# rows of one matrix product: one shape, so that a row's result does not depend on the batch it came
# in
_BLOCK = 256


def reduced(images: Tensor, side: int) -> Tensor:
    """Images (n, c, h, w) with a side longer than ``side`` at side x side, antialiased; others as
    they are; another number of axes is a ValueError.
    """
    if images.ndim != 4:
        raise ValueError(f"a descriptor takes images (n, c, h, w), got {tuple(images.shape)}")
    return resize(images, (side, side)) if max(images.shape[-2:]) > side else images


def reduced_shape(shape: tuple[int, ...], side: int) -> tuple[int, ...]:
    """The shape (c, h, w) that :func:`reduced` gives an image of this one."""
    return (shape[0], side, side) if max(shape[1:]) > side else tuple(shape)


def reduction(shape: tuple[int, ...], side: int) -> str:
    """What :func:`reduced` does to images of this shape, in a protocol's words; or empty."""
    return f" reduced from {shape[1]}x{shape[2]} to {side}x{side}" if max(shape[1:]) > side else ""


def projected(images: Tensor, mean: Tensor | None, axes: Tensor, side: int) -> Tensor:
    """``(x - mean) @ axes`` of each image x as a row, float32 (n, k); products are summed in
    float64.

    ``axes`` is (d, k) and ``mean`` (d,), none for zero. Blocks of one fixed shape make a row the
    same to the last bit in every batch.
    """
    axes = axes.to(images.device, torch.float64)
    shift = None if mean is None else mean.to(images.device, torch.float64)
    out = torch.empty(len(images), axes.shape[1], device=images.device)
    block = axes.new_zeros(_BLOCK, len(axes))
    for start in range(0, len(images), _BLOCK):
        rows = reduced(images[start : start + _BLOCK], side).flatten(1)
        block[: len(rows)] = rows if shift is None else rows.to(torch.float64) - shift
        out[start : start + _BLOCK] = (block @ axes)[: len(rows)]
    return out


def expect_shape(images: Tensor, shape: tuple[int, ...]) -> None:
    """A ValueError unless images have this shape (c, h, w)."""
    if tuple(images.shape[1:]) != tuple(shape):
        raise ValueError(
            f"this descriptor takes images of shape (n, {', '.join(map(str, shape))}), "
            f"got {tuple(images.shape)}"
        )
