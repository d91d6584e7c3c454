"""Perturbations of images: planted near-copies that calibrate copy metrics, and attacks on
watermarks.

A perturbation maps images (n, c, h, w) in [-1, 1] to images of the same shape, dtype, device and
range. Its strength is exact, only the direction or the place is drawn, so that what is measured on
it belongs to one strength: a shift by one pixel is by one pixel, to a side that is drawn. Image i
draws from (seed, i) alone: not from the batch it is in.
"""

from __future__ import annotations

import io
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, interpolate, pad

from denoscope.data.images import from_uint8, to_uint8
from denoscope.random import generator

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def _require(valid: bool, line: str) -> None:
    if not valid:
        raise ValueError(line)


def _uniform(n: int, numbers: int, seed: int) -> Tensor:
    """Draws in [0, 1), shape (n, numbers), row i from (seed, i)."""
    return torch.stack([torch.rand(numbers, generator=generator(seed, i)) for i in range(n)])


def _signs(n: int, numbers: int, seed: int) -> Tensor:
    """Draws of -1 or 1, shape (n, numbers)."""
    return torch.where(_uniform(n, numbers, seed) < 0.5, -1.0, 1.0)


def _columns(values: Tensor, images: Tensor) -> tuple[Tensor, ...]:
    """The columns of ``values`` (n, k), a number per image, as (n, 1, 1, 1) like ``images``."""
    return values.to(images)[:, :, None, None, None].unbind(1)


def _take(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels (rows[i, y], columns[i, x]) of image i, indices (n, h') and (n, w') clipped to it."""
    n, c, h, w = images.shape
    sizes = ((rows, h), (columns, w))
    row, column = (index.clamp(0, side - 1).to(images.device) for index, side in sizes)
    image, channel = (torch.arange(size, device=images.device) for size in (n, c))
    places = (image[:, None, None, None], channel[:, None, None])
    return images[*places, row[:, None, :, None], column[:, None, None, :]]


class Perturbation(ABC):
    """A callable ``(images, seed) -> images``, (n, c, h, w) in [-1, 1]; others are a ValueError."""

    def __call__(self, images: Tensor, seed: int = 0) -> Tensor:
        """The perturbed images, always a new tensor, the same for the same seed."""
        described = f"{images.dtype} {tuple(images.shape)}"
        _require(
            images.ndim == 4 and images.is_floating_point(),
            f"a perturbation takes floating images (n, c, h, w), got {described}",
        )
        if not images.numel():
            return images.clone()
        low, high = (float(end) for end in images.aminmax())
        got = f"got values from {low:g} to {high:g}"
        _require(low >= -1 and high <= 1, f"a perturbation takes images in [-1, 1], {got}")
        return self._apply(images, seed).clamp(-1, 1)

    @abstractmethod
    def _apply(self, images: Tensor, seed: int) -> Tensor: ...


@dataclass(frozen=True)
class GaussianNoise(Perturbation):
    """Independent normal noise of standard deviation ``std`` >= 0; 2/255 is one 8-bit step."""

    std: float = 0.05

    def __post_init__(self) -> None:
        _require(0 <= self.std < math.inf, f"noise has a deviation of at least 0, got {self.std}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        draws = (generator(seed, i) for i in range(len(images)))
        noise = [torch.randn(images.shape[1:], generator=draw) for draw in draws]
        return images + self.std * torch.stack(noise).to(images)


@dataclass(frozen=True)
class Crop(Perturbation):
    """A window with the share ``keep`` in (0, 1] of each side, at random, enlarged bicubically."""

    keep: float = 0.9

    def __post_init__(self) -> None:
        _require(0 < self.keep <= 1, f"a crop keeps a share in (0, 1] of a side, got {self.keep}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        size = images.shape[-2:]
        window = [max(1, round(self.keep * side)) for side in size]
        if window == list(size):
            return images
        drawn = _uniform(len(images), 2, seed)
        rows, columns = (
            (drawn[:, axis : axis + 1] * (side - kept + 1)).long() + torch.arange(kept)
            for axis, (side, kept) in enumerate(zip(size, window))
        )
        window = _take(images, rows, columns)
        return interpolate(window, size, mode="bicubic", antialias=True, align_corners=False)


@dataclass(frozen=True)
class Flip(Perturbation):
    """Left and right exchanged."""

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        return images.flip(-1)


@dataclass(frozen=True)
class Shift(Perturbation):
    """By ``pixels`` >= 0 to one of eight sides and corners at random; the edge is repeated."""

    pixels: int = 1

    def __post_init__(self) -> None:
        whole = self.pixels >= 0 and self.pixels == int(self.pixels)
        _require(whole, f"a shift is by 0, 1, ... pixels, got {self.pixels}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        h, w = images.shape[-2:]
        left = f"a shift by {self.pixels} pixels leaves nothing of images of {h} x {w}"
        _require(self.pixels < min(h, w), left)
        side = (8 * _uniform(len(images), 1, seed)).long()
        side = side + (side >= 4)  # of the nine squares of a 3 x 3 board all but the middle
        down, right = self.pixels * (side // 3 - 1), self.pixels * (side % 3 - 1)
        return _take(images, torch.arange(h) - down, torch.arange(w) - right)


@dataclass(frozen=True)
class Rotation(Perturbation):
    """By ``degrees`` about the centre, either way; bilinear, the edge is repeated."""

    degrees: float = 5.0

    def __post_init__(self) -> None:
        _require(math.isfinite(self.degrees), f"a rotation has a finite angle, got {self.degrees}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        n, _, h, w = images.shape
        angle = math.radians(self.degrees) * _signs(n, 1, seed)[:, 0].to(images)
        cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
        turn = torch.stack([cos, -sin * h / w, none, sin * w / h, cos, none], 1).reshape(
            n, 2, 3
        )  # coordinates run over [-1, 1] on both axes
        grid = affine_grid(turn, list(images.shape), align_corners=False)
        return grid_sample(
            images, grid, mode="bilinear", padding_mode="border", align_corners=False
        )


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Images (n, c, h, w) under a normal density of standard deviation ``sigma`` >= 0 pixels, the
    edge repeated: linear.
    """
    radius = math.ceil(4 * sigma)
    if not radius:
        return images
    offset = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = (-0.5 * (offset / sigma) ** 2).softmax(0).to(images)
    planes = pad(images.flatten(0, 1)[:, None], (radius,) * 4, mode="replicate")
    blurred = conv2d(conv2d(planes, kernel[None, None, None, :]), kernel[None, None, :, None])
    return blurred.reshape(images.shape)


@dataclass(frozen=True)
class Blur(Perturbation):
    """A normal density of standard deviation ``sigma`` >= 0 pixels; the edge is repeated."""

    sigma: float = 0.5

    def __post_init__(self) -> None:
        _require(0 <= self.sigma < math.inf, f"a blur is by at least 0 pixels, got {self.sigma}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        return gaussian_blur(images, self.sigma)


@dataclass(frozen=True)
class JPEG(Perturbation):
    """What Pillow writes at ``quality`` 1 to 100 and reads again, in 8 bits; 1 or 3 channels."""

    quality: int = 75

    def __post_init__(self) -> None:
        _require(1 <= self.quality <= 100, f"the quality of JPEG is 1 to 100, got {self.quality}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        channels = images.shape[1]
        _require(channels in (1, 3), f"JPEG takes images with 1 or 3 channels, got {channels}")
        pixels = to_uint8(images.detach().cpu()).permute(0, 2, 3, 1).numpy()
        coded = np.stack([self._code(x[..., 0] if channels == 1 else x) for x in pixels])
        found = from_uint8(torch.from_numpy(coded.reshape(pixels.shape)))
        return found.permute(0, 3, 1, 2).contiguous().to(images)

    def _code(self, pixels: np.ndarray) -> np.ndarray:
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "JPEG", quality=self.quality)
        with Image.open(content) as image:
            return np.asarray(image)


@dataclass(frozen=True)
class Jitter(Perturbation):
    """Brightness moved by ``brightness``, contrast times 1 +- ``contrast`` about the image's mean,
    colour times 1 +- ``saturation`` about its grey.

    Each up or down as drawn, each strength in [0, 1]; the grey is the luma of ITU-R BT.601, images
    without three channels have no colour.
    """

    brightness: float = 0.1
    contrast: float = 0.1
    saturation: float = 0.1

    def __post_init__(self) -> None:
        for name, strength in (
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
        ):
            _require(0 <= strength <= 1, f"the strength of {name} is 0 to 1, got {strength}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        brightness, contrast, saturation = _columns(
            torch.tensor([self.brightness, self.contrast, self.saturation], dtype=torch.float64)
            * _signs(len(images), 3, seed),
            images,
        )
        if images.shape[1] == 3:
            images = images + saturation * (
                images - (images * images.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
            )
        return images + contrast * (images - images.mean((1, 2, 3), keepdim=True)) + brightness


@dataclass(frozen=True)
class Quantise(Perturbation):
    """Every number to the nearest of ``levels`` >= 2 even ones; 256 keeps 8-bit images."""

    levels: int = 16

    def __post_init__(self) -> None:
        _require(self.levels >= 2, f"at least 2 levels are needed, got {self.levels}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        steps = (self.levels - 1) / 2
        return ((images + 1) * steps).round() / steps - 1


@dataclass(frozen=True)
class Brightness(Perturbation):
    """Light, 0 at -1, times ``factor`` >= 0; what would be brighter than 1 is 1."""

    factor: float = 1.1

    def __post_init__(self) -> None:
        _require(0 <= self.factor < math.inf, f"a factor is at least 0, got {self.factor}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        return (images + 1) * self.factor - 1


@dataclass(frozen=True)
class Median(Perturbation):
    """Every number the median of the ``size`` x ``size`` around it, odd; the edge is repeated."""

    size: int = 3

    def __post_init__(self) -> None:
        odd = self.size >= 1 and self.size % 2 == 1
        _require(odd, f"a median is over 1, 3, 5, ... pixels per side, got {self.size}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        around = pad(images, (self.size // 2,) * 4, mode="replicate")
        windows = around.unfold(2, self.size, 1).unfold(3, self.size, 1)
        return windows.flatten(4).median(-1).values


@dataclass(frozen=True)
class Resize(Perturbation):
    """To the share ``scale`` in (0, 1] of each side and back, bicubically."""

    scale: float = 0.75

    def __post_init__(self) -> None:
        _require(0 < self.scale <= 1, f"a resize is to a share in (0, 1], got {self.scale}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        size = images.shape[-2:]
        small = [max(1, round(self.scale * side)) for side in size]
        if small == list(size):
            return images
        for target in (small, list(size)):
            images = interpolate(
                images, target, mode="bicubic", antialias=True, align_corners=False
            )
        return images


@dataclass(frozen=True)
class Erase(Perturbation):
    """A rectangle with the share ``area`` in [0, 1] of the image, at random, made grey (0)."""

    area: float = 0.1

    def __post_init__(self) -> None:
        _require(0 <= self.area <= 1, f"the erased area is a share in [0, 1], got {self.area}")

    def _apply(self, images: Tensor, seed: int) -> Tensor:
        sides = [(side, round(math.sqrt(self.area) * side)) for side in images.shape[-2:]]
        drawn = _uniform(len(images), 2, seed)
        free = torch.tensor([side - gone + 1 for side, gone in sides])
        starts = (drawn * free).floor()[:, :, None].unbind(1)
        places = [torch.arange(side) - start for start, (side, _) in zip(starts, sides)]
        down, right = ((at >= 0) & (at < gone) for at, (_, gone) in zip(places, sides))
        inside = down[:, None, :, None] & right[:, None, None, :]
        return images.masked_fill(inside.to(images.device), 0.0)


PERTURBATIONS: dict[str, Perturbation] = {
    "noise": GaussianNoise(),
    "crop": Crop(),
    "flip": Flip(),
    "shift": Shift(),
    "rotation": Rotation(),
    "blur": Blur(),
    "jpeg": JPEG(),
    "colour": Jitter(),
    "quantise": Quantise(),
    "brightness": Brightness(),
    "median": Median(),
    "resize": Resize(),
    "erase": Erase(),
}
"""Mild perturbations by name, at strengths at which an image is recognised as the same."""
