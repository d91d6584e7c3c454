"""Masks of images: where an edit shall change something, in words.

==========================  =====================================================================
word                        the pixels inside
==========================  =====================================================================
rectangle:Y,X,HEIGHT,WIDTH  from row Y and column X on, both counted from 0 at the top left
polygon:Y,X,Y,X,Y,X,...     a polygon by its corners, with its edge
superpixel:Y,X              the superpixel that holds a pixel (SLIC, Achanta et al. 2012)
otsu                        the object: that side of Otsu's threshold (1979) which is less on the
                            border
FILE                        an image of the same size: where it is bright
==========================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from denoscope.files import harmless, located

if TYPE_CHECKING:
    from types import ModuleType

PIECES = 16
"""Superpixels of an image, about."""


def mask(words: Sequence[str], image: Tensor) -> Tensor:
    """The union of the pixels that the words name for an ``image`` (c, h, w), bool of its shape.

    Words that are not understood, and masks that are empty, full or of another size, are a
    ValueError.
    """
    kept = torch.stack([torch.from_numpy(_named(word, image)) for word in words]).any(0)
    said = f"--mask {' '.join(map(harmless, words))}"
    if not bool(kept.any()):
        raise ValueError(f"{said} is empty: no pixel of the image is inside")
    if bool(kept.all()):
        raise ValueError(f"{said} is the whole image: leave some pixels outside")
    return kept.expand(image.shape).clone()


def _named(word: str, image: Tensor) -> np.ndarray:
    """The pixels (h, w) of one word."""
    kind, _, numbers = word.partition(":")
    if kind in SHAPES:
        least, shape, help = SHAPES[kind]
        return shape(_whole(word, numbers, least, help), image)
    if not located(word).is_file():
        words = ", ".join(f"{kind}:{said}".rstrip(":") for kind, (_, _, said) in SHAPES.items())
        raise ValueError(f"--mask {harmless(word)}: no such file; a mask is a file, or {words}")
    return _drawn(word, image)


def _whole(word: str, numbers: str, least: Sequence[int], help: str) -> list[int]:
    """The whole numbers of a word, as many as one of ``least`` or, of more than two, even."""
    try:
        found = [int(part) for part in numbers.split(",")] if numbers else []
    except ValueError:
        found = [-1]
    many = len(found) >= 6 and len(found) % 2 == 0 if not least else len(found) in least
    if not many or min(found, default=0) < 0:
        kind = word.partition(":")[0]
        raise ValueError(f"--mask {harmless(word)} is not {kind}:{help}, in whole pixels")
    return found


def _rectangle(numbers: Sequence[int], image: Tensor) -> np.ndarray:
    y, x, height, width = numbers
    kept = np.zeros(image.shape[1:], bool)
    kept[y : y + height, x : x + width] = True
    return kept


def _polygon(numbers: Sequence[int], image: Tensor) -> np.ndarray:
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (image.shape[2], image.shape[1]))
    ImageDraw.Draw(canvas).polygon(list(zip(numbers[1::2], numbers[::2])), fill=1, outline=1)
    return np.asarray(canvas) > 0


def _otsu(_: Sequence[int], image: Tensor) -> np.ndarray:
    grey = _grey(image)
    if grey.min() == grey.max():
        raise ValueError("--mask otsu: the image is of one colour; name a rectangle")
    bright = grey > _skimage("filters").threshold_otsu(grey)
    border = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    return bright if border.mean() <= 0.5 else ~bright


def _superpixel(numbers: Sequence[int], image: Tensor) -> np.ndarray:
    y, x = numbers
    grey = _grey(image)
    if not (y < grey.shape[0] and x < grey.shape[1]):
        raise ValueError(
            f"--mask superpixel:{y},{x}: the image has {grey.shape[0]} rows and "
            f"{grey.shape[1]} columns, counted from 0"
        )
    pieces = _skimage("segmentation").slic(grey, PIECES, compactness=0.1, channel_axis=None)
    return pieces == pieces[y, x]


def _drawn(word: str, image: Tensor) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(Path(located(word))) as opened:
            bright = np.asarray(opened.convert("L")) > 127
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"--mask {harmless(word)} is not a readable image: {error}") from error
    if bright.shape != tuple(image.shape[1:]):
        sizes = (f"{h} × {w}" for h, w in (bright.shape, image.shape[1:]))
        raise ValueError("--mask {} has {} pixels, the image {}".format(harmless(word), *sizes))
    return bright


def _grey(image: Tensor) -> np.ndarray:
    return image.double().mean(0).cpu().numpy()


def _skimage(module: str) -> ModuleType:
    import importlib

    try:
        return importlib.import_module(f"skimage.{module}")
    except ImportError as error:
        raise ValueError(
            "automatic masks need scikit-image: pip install 'denoscope[data]', or name a rectangle"
        ) from error


Shape = Callable[[Sequence[int], Tensor], np.ndarray]
SHAPES: dict[str, tuple[tuple[int, ...], Shape, str]] = {
    "rectangle": ((4,), _rectangle, "Y,X,HEIGHT,WIDTH"),
    "polygon": ((), _polygon, "Y,X,Y,X,Y,X"),
    "superpixel": ((2,), _superpixel, "Y,X"),
    "otsu": ((0,), _otsu, ""),
}
"""How many numbers a word takes (none: pairs, three or more), its pixels, and how it is written."""
