"""Published ways to bring an image before a copy-detection network, by name: similarities depend on
them.

* ``rpgl-2024``: square 320 x 320 whatever the proportions, ImageNet's mean and standard deviation
  (Zhang et al. 2024; also what the authors of SSCD advise, Pizzi et al. 2022).
* ``dcr-2023``: the short side to 256, the middle 224 x 224, mean and standard deviation 0.5
  (Somepalli et al. 2023).
* ``square-N``: as ``rpgl-2024`` at N x N: cheaper, and a protocol of its own.

Sizes change by antialiased bilinear interpolation and are rounded to 8 bits, as an image library
does; grey becomes red, green and blue.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from denoscope.data.images import to_uint8

NAMES = ("rpgl-2024", "dcr-2023", "square-N")
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SIDES = (32, 1024)


@dataclass(frozen=True)
class Preprocessing:
    """``side``: the network's square; ``short``: the short side before the middle is cut, or 0."""

    name: str
    side: int
    short: int = 0
    mean: tuple[float, float, float] = _IMAGENET[0]
    std: tuple[float, float, float] = _IMAGENET[1]

    @property
    def imagenet(self) -> bool:
        """Whether ImageNet's mean and deviation are taken out before the network."""
        return (self.mean, self.std) == _IMAGENET

    @property
    def geometry(self) -> str:
        """What happens to sizes, in words."""
        square = f"{self.side}x{self.side}"
        cut = f"short side to {self.short}, middle {square}" if self.short else f"to {square}"
        return f"{cut}, antialiased bilinear, 8 bits, RGB"

    @property
    def normalisation(self) -> str:
        """What happens to values in [0, 1], in words."""
        plain = f"mean {self.mean[0]:g}, std {self.std[0]:g}"
        return "ImageNet mean and std" if self.imagenet else plain

    def pixels(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) in [-1, 1] with 1 or 3 channels as uint8 (n, 3, side, side)."""
        h, w = images.shape[-2:]
        scaled = (self.short * h // min(h, w), self.short * w // min(h, w))
        size = scaled if self.short else (self.side, self.side)
        if size != (h, w):
            images = interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
        top, left = (round((edge - self.side) / 2) for edge in size)
        square = images[..., top : top + self.side, left : left + self.side]
        return to_uint8(square).expand(-1, 3, -1, -1)

    def normalised(self, pixels: Tensor) -> Tensor:
        """uint8 (n, 3, h, w) as float32, the protocol's mean and standard deviation taken out."""
        numbers = (torch.tensor(x, device=pixels.device) for x in (self.mean, self.std))
        mean, std = (x[:, None, None] for x in numbers)
        return (pixels.to(torch.float32) / 255 - mean) / std


def preprocessing(name: str) -> Preprocessing:
    """The preprocessing of this name; another one is a ValueError that names the nearest."""
    if name == "rpgl-2024":
        return Preprocessing(name, 320)
    if name == "dcr-2023":
        return Preprocessing(name, 224, 256, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    if match := re.fullmatch(r"square-(\d{1,6})", name):
        if not _SIDES[0] <= int(match[1]) <= _SIDES[1]:
            raise ValueError(f"{name}: a square has {_SIDES[0]} to {_SIDES[1]} pixels per side")
        return Preprocessing(name, int(match[1]))
    close = difflib.get_close_matches(name, (*NAMES, "square-96"), 1, 0.0)[0]
    raise ValueError(
        f"there is no preprocessing {name!r}: did you mean {close!r}? All: {', '.join(NAMES)}"
    )
