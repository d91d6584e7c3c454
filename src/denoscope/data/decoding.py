"""One image file's bytes to 8-bit pixels, without trusting them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from denoscope.data.prepare import AS_STORED, GROUNDS, Preparation

_NAMES = ".png .jpg .jpeg .bmp .gif .webp .tif .tiff .ppm .pgm .pbm"
SUFFIXES = frozenset(_NAMES.split())
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""Never those that start another program, such as EPS."""

ALPHA = "transparency was laid on white"
DEEP = "16-bit grey was scaled to 8 bits"
DEEP_COLOUR = "16-bit colour was cut to 8 bits"
FRAMES = "only the first frame or page was read"
INKS = "CMYK was converted to RGB"
TURNED = "stored as it is, though its EXIF data asks for it to be shown turned or mirrored"
_LARGEST = 90_000_000  # pixels; more is a decompression bomb, or nothing that a set of images holds
_ORIENTATION = 0x0112
_HEADS = (
    (0, b"\x89PNG\r\n\x1a\n", ""),
    (0, b"\xff\xd8\xff", ""),
    (0, b"GIF8", ""),
    (8, b"WEBP", ""),
    (0, b"II*\0", ""),
    (0, b"MM\0*", ""),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypavif", "AVIF"),
    (4, b"jP  ", "JPEG 2000"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "a Photoshop file"),
    (128, b"DICM", "DICOM"),
)
"""Where files of images say what they are, and the names of those that are not read here."""
HEAD = 132
"""Bytes of a file that say so."""
_T = TypeVar("_T")


def is_image(head: bytes) -> bool:
    """Whether the first :data:`HEAD` bytes are those of an image file, readable here or not."""
    return any(head[at : at + len(mark)] == mark for at, mark, _ in _HEADS)


@dataclass(frozen=True)
class Held:
    """What a file holds before it is prepared: ``size`` (width, height), whether EXIF asks for it
    to be ``turned``, whether anything in it is transparent (``alpha``), whether it has no colours
    (``grey``), the largest of values beyond 8 bits (``peak``, 0 for 8 bits), and whether turning
    swaps its sides (``lies``).
    """

    size: tuple[int, int]
    turned: bool = False
    alpha: bool = False
    grey: bool = False
    peak: int = 0
    lies: bool = False

    @property
    def upright(self) -> tuple[int, int]:
        """The size after it was turned."""
        return (self.size[1], self.size[0]) if self.lies else self.size


def on_ground(image: Image.Image, ground: str = "white") -> Image.Image:
    """The picture on a ground of :data:`GROUNDS`, or with its transparency dropped; RGB."""
    rgba = image.convert("RGBA")
    if ground == "drop":
        return rgba.convert("RGB")
    level = GROUNDS[ground]
    below = Image.new("RGBA", rgba.size, (level, level, level, 255))
    return Image.alpha_composite(below, rgba).convert("RGB")


def _eight_bits(image: Image.Image, how: Preparation) -> np.ndarray:
    """Grey values at 8 bits: of 65 535, of what is said to be white, or stretched."""
    values = np.asarray(image).astype(np.float64)
    low, high = (values.min(), values.max()) if how.has("stretch") else (0.0, how.most or 65535)
    shown = (values - low).clip(0, high - low) * (255 / max(high - low, 1e-30))
    return np.rint(shown).astype(np.uint8)[..., None]


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, by which some training pipelines turn pictures: from 5 on sides swap."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1)) if image.info.get("exif") else 1
    except Exception:  # damaged EXIF data: nearly any exception
        return 1


def _notes(image: Image.Image) -> list[str]:
    """What decoding leaves out or changes, as far as the header tells."""
    tiles = getattr(image, "tile", None)  # how the bytes are stored
    colour = image.format == "PNG" and image.mode in ("RGB", "RGBA", "LA")
    deep = colour and bool(tiles) and "16" in str(tiles[0][3])
    found = {FRAMES: getattr(image, "is_animated", False), DEEP_COLOUR: deep}
    found |= {INKS: image.mode == "CMYK", TURNED: _orientation(image) != 1}
    return [note for note, there in found.items() if there]


def _deep(image: Image.Image) -> bool:
    """Whether it has 16 bits of grey, which some formats hold in a wider mode."""
    wide = image.mode == "I" and image.format in ("PNG", "PPM")
    return wide or image.mode.startswith("I;16")


def _clear(image: Image.Image) -> bool:
    """Whether anything in it is transparent."""
    could = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    return could and np.asarray(image.convert("RGBA"))[..., 3].min() < 255


def _stored(image: Image.Image) -> Held:
    orientation, size = _orientation(image), image.size
    turned, lies = orientation != 1, orientation >= 5
    if image.mode[0] in "IF":
        return Held(size, turned, False, True, int(np.asarray(image).max()), lies)
    pixels = np.asarray(image.convert("RGB"))
    grey = bool((pixels == pixels[..., :1]).all())
    return Held(size, turned, _clear(image), grey, lies=lies)


def _pixels(image: Image.Image, how: Preparation) -> tuple[np.ndarray, list[str]]:
    notes = _notes(image)
    image.load()
    deep, clear = _deep(image), _clear(image)
    if how.has("exif", "stored") and TURNED in notes:
        notes.remove(TURNED)
        image = ImageOps.exif_transpose(image) if how.has("exif") else image
    if deep:
        return _eight_bits(image, how), notes if how.has("max", "stretch") else [*notes, DEEP]
    if image.mode[0] in "IF":
        if how.has("max", "stretch"):
            return _eight_bits(image, how), notes
        raise ValueError(
            "its numbers have no stated range: give --prepare max:V with the value that is white, "
            "or store them as .npz and give value_range (--range LOW HIGH)"
        )
    notes += [ALPHA] if clear and not how.has("alpha") else []
    pixels = np.array(on_ground(image, how.ground) if clear else image.convert("RGB"))
    one = image.mode in ("P", "PA") and (pixels == pixels[..., :1]).all()
    grey = image.mode in ("1", "L", "LA") or one
    return pixels[..., :1] if grey else pixels, notes


def decode(content: bytes, how: Preparation = AS_STORED) -> tuple[np.ndarray, list[str]]:
    """The pixels, uint8 (h, w, 1) for grey or (h, w, 3) for colour, and notes of what had to be
    changed without being asked for; ``how`` says it by its words about the file.

    Not an image, truncated, or a decompression bomb (more than 90 million pixels): a one-line
    ValueError with the reason. Pillow may warn beside it; whoever decodes many images silences that
    once, since filters of warnings are no thread's own.
    """
    return _opened(content, lambda image: _pixels(image, how))


def stored(content: bytes) -> Held:
    """What a file holds; errors as those of :func:`decode`."""
    return _opened(content, _stored)


def decodings(content: bytes, hows: Sequence[Preparation]) -> list[np.ndarray]:
    """The pixels after each of these preparations, decoded once; errors as :func:`decode`'s."""
    return _opened(content, lambda image: [_pixels(image, how)[0] for how in hows])


def _opened(content: bytes, use: Callable[[Image.Image], _T]) -> _T:
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > _LARGEST:
                raise Image.DecompressionBombError
            return use(image)
    except UnidentifiedImageError:
        raise ValueError(_unidentified(content)) from None
    except Image.DecompressionBombError:
        raise ValueError(
            f"more than {_LARGEST // 10**6} million pixels: a decompression bomb, or too "
            "large to be read"
        ) from None
    except Exception as error:  # a damaged file makes decoders fail with nearly any exception
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def _unidentified(content: bytes) -> str:
    if not content:
        return "an empty file"
    name = next((name for at, mark, name in _HEADS if content[at : at + len(mark)] == mark), "")
    return f"{name}, which is not read here: convert it to PNG" if name else "not an image"
