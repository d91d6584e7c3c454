"""How a file becomes what a model saw: words in order, such as ``exif crop-centre resize:64``.

Words about the file (``exif``, ``max``, ``alpha``) come first, as in every training pipeline; those
that follow change the picture. Recipes of usual trainers are such words under a name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from denoscope.data.images import Images, from_uint8, resize, to_uint8

GROUNDS = MappingProxyType({"black": 0, "grey": 128, "white": 255})
_FILTERS = MappingProxyType(
    {
        "box": Image.Resampling.BOX,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
        "lanczos": Image.Resampling.LANCZOS,
    }
)
_GROUND = "|".join(GROUNDS)
_SIZE = r"(?::\d{1,6}(?:x\d{1,6})?)?"
_SCALED = rf"{_SIZE}(?::(?:{'|'.join(_FILTERS)}))?"
_FILE = MappingProxyType(
    {
        "exif": "",
        "stored": "",
        "max": r":\d{1,10}",
        "stretch": "",
        "alpha": rf":(?:{_GROUND}|drop)",
    }
)
_PICTURE = MappingProxyType(
    {
        "grey": "",
        "crop-centre": r"(?::\d{1,5}:\d{1,5})?",
        "crop": _SIZE,
        "pad": rf":(?:{_GROUND})",
        "halve": _SIZE,
        "short": _SCALED,
        "resize": _SCALED,
        "flips": "",
    }
)
_WRITTEN = MappingProxyType({**_FILE, **_PICTURE})

RECIPES = MappingProxyType(
    {
        "diffusers": "exif alpha:drop short:{n}:bilinear crop:{n}",
        "edm": "stored alpha:drop crop-centre resize:{n}:lanczos",
        "denoising-diffusion-pytorch": "stored alpha:drop short:{n}:bilinear crop:{n} flips",
        "guided-diffusion": "stored alpha:drop halve:{n} short:{n}:bicubic crop:{n}",
        "imagefolder": "stored alpha:drop short:{n}:bilinear crop:{n}",
    }
)
"""What usual trainers do with a file, by name; ``diffusers:64`` is the recipe at 64 pixels."""

WORDS = tuple(_WRITTEN)
SHAPING = ("crop-centre", "crop", "pad", "halve", "short", "resize")
"""Words after which pictures have another size."""
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Preparation:
    """``words`` in order; none: as files are stored, EXIF ignored, transparency laid on white.

    ``exif`` turns pictures as their EXIF data asks, ``stored`` does not; ``max:V`` makes V white
    (of values beyond 8 bits), ``stretch`` each picture's own least and largest value black and
    white; ``alpha:black|grey|white|drop`` lays transparency on a ground or drops it; ``grey`` is
    the luminance; ``crop-centre`` the middle square, ``crop-centre:4:3`` the largest middle part of
    these proportions, ``crop:N``, ``crop:WxH`` the middle N x N, W x H pixels;
    ``pad:black|grey|white`` makes a square; ``resize:N``, ``resize:WxH`` scales whatever the
    proportions, ``short:N`` the shorter side, both with an optional filter
    (``resize:64:lanczos``); ``halve:N`` halves while the shorter side is at least 2 N; ``flips``
    says that training mirrored at random, and changes no picture. A size may be left out until
    :meth:`at` fills it in.
    """

    words: tuple[str, ...] = ()

    @staticmethod
    def of(text: str | Iterable[str]) -> Preparation:
        """Reads words, separated by blanks or commas; recipes become their words.

        An unknown word, and one about the file after one that changes the picture, are a
        ValueError.
        """
        given = text if isinstance(text, str) else " ".join(text)
        words = tuple(w for word in re.split(r"[\s,]+", given.strip()) if word for w in _read(word))
        places = [word.partition(":")[0] in _FILE for word in words]
        if places != sorted(places, reverse=True):
            late = words[places.index(True, places.index(False))]
            raise ValueError(f"prepare: {late} is about the file, so write it first")
        return Preparation(words)

    @property
    def side(self) -> int:
        """The side of squares that are all that is asked for, else 0."""
        width, height = (_sizes(self.words[0]) or (0, 0)) if len(self.words) == 1 else (0, 0)
        return width if width == height and self.has("resize") else 0

    def __str__(self) -> str:
        return " ".join(self.words)

    def has(self, *kinds: str) -> bool:
        """Whether one of these words is said, whatever follows it."""
        return any(word.partition(":")[0] in kinds for word in self.words)

    @property
    def flips(self) -> bool:
        """Whether training mirrored pictures at random."""
        return self.has("flips")

    @cached_property
    def ground(self) -> str:
        """What transparency is laid on, or ``drop``; white where nothing is said."""
        return self._value("alpha") or "white"

    @cached_property
    def most(self) -> int:
        """The value that is white, 0 where nothing is said."""
        return int(self._value("max") or 0)

    def _value(self, kind: str) -> str:
        said = [word.partition(":")[2] for word in self.words if word.partition(":")[0] == kind]
        return said[-1] if said else ""

    @property
    def shapes(self) -> tuple[str, ...]:
        """The words that change the picture."""
        return tuple(word for word in self.words if word.partition(":")[0] in _PICTURE)

    @property
    def about_files(self) -> bool:
        """Whether no word changes the picture."""
        return not self.shapes

    @property
    def open(self) -> bool:
        """Whether a size is left out."""
        return any(_sizes(word) is None for word in self.words)

    def at(self, width: int, height: int) -> Preparation:
        """The same with the sizes that were left out."""
        size = f"{width}" if width == height else f"{width}x{height}"
        return Preparation(tuple(_filled(word, size) for word in self.words))

    def sized(self, width: int, height: int) -> Preparation:
        """The same with that size wherever one is said."""
        size = f"{width}" if width == height else f"{width}x{height}"
        words = [re.sub(r":\d+(x\d+)?", "", w) if _sizes(w) else w for w in self.words]
        return Preparation(tuple(_filled(word, size) for word in words))

    def then(self, *words: str) -> Preparation:
        """With more words at the end, as :meth:`of` reads them."""
        return Preparation.of((*self.words, *words))

    def resized(self, side: int) -> Preparation:
        """With ``resize:SIDE`` at the end, where no other word says a size (else a ValueError); 0
        adds nothing.
        """
        if side and self.has(*SHAPING):
            raise ValueError(f"--resize {side} is the word resize:{side}: write it in --prepare")
        return self.then(f"resize:{side}") if side else self

    def shaped(self, x: Tensor) -> Tensor:
        """Pictures (..., c, h, w), uint8 or float in [-1, 1], after the words that change them.

        ``resize`` without a filter gives float32, all others keep the type. What is too small for a
        crop, and a size that was left out, are a ValueError.
        """
        for word in self.shapes:
            kind, _, rest = word.partition(":")
            x = _CHANGES[kind](x, rest)
        return x


AS_STORED = Preparation()
MIDDLE = Preparation(("crop-centre", "resize"))
"""The middle square at a size that is yet to be said."""


def prepared(images: Images, how: Preparation) -> Images:
    """A set after the words that change pictures."""
    return images.changed(how.shaped) if how.shapes else images


def _read(word: str) -> list[str]:
    """The words that a word stands for."""
    kind, colon, rest = word.partition(":")
    if kind in RECIPES and re.fullmatch(_SIZE, colon + rest):
        return RECIPES[kind].format(n=rest or "?").replace(":?", "").split()
    if kind not in _WRITTEN:
        close = difflib.get_close_matches(kind, [*WORDS, *RECIPES], 1, 0.0)[0]
        raise ValueError(
            f"prepare: there is no word {kind!r}: did you mean {close}? Words: {', '.join(WORDS)}; "
            f"recipes: {', '.join(RECIPES)}"
        )
    if not re.fullmatch(_WRITTEN[kind], colon + rest) or re.search(r"(?<!\d)0+(?!\d)", rest):
        raise ValueError(f"prepare: {word} is not how {kind} is written: such as {_SUCH[kind]}")
    return [word]


_SUCH = MappingProxyType(
    {
        **dict(zip(WORDS, WORDS, strict=True)),
        "max": "max:4095",
        "alpha": "alpha:black, alpha:grey, alpha:white or alpha:drop",
        "crop-centre": "crop-centre or crop-centre:4:3",
        "crop": "crop:64 or crop:64x48",
        "pad": "pad:black, pad:grey or pad:white",
        "halve": "halve:64",
        "short": "short:64 or short:64:bilinear",
        "resize": "resize:64, resize:64x48 or resize:64:lanczos",
    }
)


def _sizes(word: str) -> tuple[int, ...] | None:
    """Width and height that a word names; () where it needs none, None where it lacks one."""
    kind, _, rest = word.partition(":")
    if _PICTURE.get(kind) not in (_SIZE, _SCALED):
        return ()
    first = rest.partition(":")[0]
    if not first[:1].isdigit():
        return None
    width, _, height = first.partition("x")
    return int(width), int(height or width)


def _filled(word: str, size: str) -> str:
    if _sizes(word) is not None:
        return word
    kind, _, rest = word.partition(":")
    return ":".join(part for part in (kind, size, rest) if part)


def _sized(kind: str, rest: str) -> tuple[int, int]:
    size = _sizes(f"{kind}:{rest}")
    if not size:
        raise ValueError(f"prepare: {kind} needs a size here, such as {_SUCH[kind]}")
    return size[0], size[1]


def _scaled(x: Tensor, width: int, height: int, rest: str) -> Tensor:
    """By the filter that ``rest`` ends with, at 8 bits as Pillow does; else bicubic, not rounded.

    Pillow's filters are antialiased, and so is ours.
    """
    name = rest.rpartition(":")[2]
    if name not in _FILTERS:
        flat = x.reshape(-1, *x.shape[-3:])
        made = resize(from_uint8(flat) if x.dtype == torch.uint8 else flat, (height, width))
        return made.reshape(*x.shape[:-2], height, width)
    if x.shape[-2:] == (height, width):
        return x
    eight = x if x.dtype == torch.uint8 else to_uint8(x)
    planes = [
        np.asarray(Image.fromarray(plane.numpy()).resize((width, height), _FILTERS[name]))
        for plane in eight.reshape(-1, *x.shape[-2:])
    ]
    made = torch.from_numpy(np.stack(planes)).reshape(*x.shape[:-2], height, width)
    return made if x.dtype == torch.uint8 else from_uint8(made)


def _resized(x: Tensor, rest: str) -> Tensor:
    return _scaled(x, *_sized("resize", rest), rest)


def _short(x: Tensor, rest: str) -> Tensor:
    """The longer side is cut to whole pixels, as torchvision does."""
    height, width = x.shape[-2:]
    side = min(_sized("short", rest))
    tall, wide = (side * length // min(height, width) for length in (height, width))
    return _scaled(x, wide, tall, rest)


def _halved(x: Tensor, rest: str) -> Tensor:
    while min(x.shape[-2:]) >= 2 * min(_sized("halve", rest)):
        x = _scaled(x, x.shape[-1] // 2, x.shape[-2] // 2, "box")
    return x


def _middle(x: Tensor, width: int, height: int) -> Tensor:
    down, right = x.shape[-2] - height, x.shape[-1] - width
    if min(down, right) < 0:
        raise ValueError(
            f"{x.shape[-1]}x{x.shape[-2]} pixels are fewer than prepare's crop:{width}x{height}"
        )
    top, left = round(down / 2), round(right / 2)
    return x[..., top : top + height, left : left + width]


def _cropped(x: Tensor, rest: str) -> Tensor:
    return _middle(x, *_sized("crop", rest))


def _centred(x: Tensor, rest: str) -> Tensor:
    height, width = x.shape[-2:]
    a, b = (int(side) for side in (rest or "1:1").split(":"))
    return _middle(x, max(1, min(width, height * a // b)), max(1, min(height, width * b // a)))


def _padded(x: Tensor, rest: str) -> Tensor:
    height, width = x.shape[-2:]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    value = float(GROUNDS[rest])
    ground = value if x.dtype == torch.uint8 else value / 127.5 - 1
    return pad(x, (left, side - width - left, top, side - height - top), value=ground)


def _grey(x: Tensor, rest: str) -> Tensor:
    if x.shape[-3] != 3:
        return x
    weights = torch.tensor(_LUMINANCE)[:, None, None]
    made = (x.to(torch.float32) * weights).sum(-3, keepdim=True)
    return made.round().to(torch.uint8) if x.dtype == torch.uint8 else made


_CHANGES: dict[str, Callable[[Tensor, str], Tensor]] = {
    "grey": _grey,
    "crop-centre": _centred,
    "crop": _cropped,
    "pad": _padded,
    "halve": _halved,
    "short": _short,
    "resize": _resized,
    "flips": lambda x, rest: x,
}
