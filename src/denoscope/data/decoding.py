"""One image file's bytes to 8-bit pixels, without trusting them."""

from __future__ import annotations

import io

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


def _turned(image: Image.Image) -> bool:
    """Whether EXIF names an orientation: some training pipelines turn pictures by it."""
    try:
        return bool(image.info.get("exif")) and image.getexif().get(_ORIENTATION, 1) != 1
    except Exception:  # damaged EXIF data: nearly any exception
        return False


def _notes(image: Image.Image) -> list[str]:
    """What decoding leaves out or changes, as far as the header tells."""
    tiles = getattr(image, "tile", None)  # how the bytes are stored
    colour = image.format == "PNG" and image.mode in ("RGB", "RGBA", "LA")
    deep = colour and bool(tiles) and "16" in str(tiles[0][3])
    found = {FRAMES: getattr(image, "is_animated", False), DEEP_COLOUR: deep}
    found |= {INKS: image.mode == "CMYK", TURNED: _turned(image)}
    return [note for note, there in found.items() if there]


def _pixels(image: Image.Image, how: Preparation) -> tuple[np.ndarray, list[str]]:
    if image.width * image.height > _LARGEST:
        raise Image.DecompressionBombError
    notes = _notes(image)
    image.load()
    if how.has("exif", "stored") and TURNED in notes:
        notes.remove(TURNED)
        if how.has("exif"):
            ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16") or (
        image.mode == "I" and image.format in ("PNG", "PPM")
    ):  # those hold 16 bits in a wider mode
        return _eight_bits(image, how), notes if how.has("max", "stretch") else [*notes, DEEP]
    if image.mode[0] in "IF":
        if how.has("max", "stretch"):
            return _eight_bits(image, how), notes
        raise ValueError(
            "its numbers have no stated range: give --prepare max:V with the value that is white, "
            "or store them as .npz and give value_range (--range LOW HIGH)"
        )
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        if not how.has("alpha") and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
            notes.append(ALPHA)
        pixels = np.array(on_ground(image, how.ground))
    else:
        pixels = np.array(image.convert("RGB"))
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
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            return _pixels(image, how)
    except UnidentifiedImageError:
        raise ValueError("not an image" if content else "an empty file") from None
    except Image.DecompressionBombError:
        raise ValueError(
            f"more than {_LARGEST // 10**6} million pixels: a decompression bomb, or too "
            "large to be read"
        ) from None
    except Exception as error:  # a damaged file makes decoders fail with nearly any exception
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
