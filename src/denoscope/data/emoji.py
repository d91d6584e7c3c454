"""Noto Color Emoji in colour; skin-tone and gender variants are known near-duplicates."""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from denoscope.data.decoding import on_ground
from denoscope.data.embedded import missing
from denoscope.data.images import Images, from_uint8, resize
from denoscope.threads import each

if TYPE_CHECKING:
    from fontTools.ttLib import TTFont

_FILE = "NotoColorEmoji.ttf"
_NOTO = ("truetype/noto", "noto", "noto-emoji", "google-noto-emoji")
_FOLDERS = [f"/usr/share/fonts/{name}" for name in _NOTO]

_BATCH = 32  # pictures a thread decodes at once

_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_JOINER, _STYLE, _SIGNS = "\u200d", "\ufe0f", "\u2640\u2642"
_LETTER_A, _LETTER_Z = "\U0001f1e6", "\U0001f1ff"  # of flags
_PERSON, _CHILD, _OLDER = "\U0001f9d1", "\U0001f9d2", "\U0001f9d3"
_HANDSHAKE = "\U0001faf1\U0001faf2"
_SAME = {
    _PERSON: "\U0001f468\U0001f469",  # man, woman
    _CHILD: "\U0001f466\U0001f467",  # boy, girl
    _OLDER: "\U0001f474\U0001f475",  # old man, old woman
    "\U0001fac5": "\U0001f934\U0001f478",  # crowned person: prince, princess
    "\U0001fac4": "\U0001f930\U0001fac3",  # pregnant person: woman, man
    "\U0001f483": "\U0001f57a",  # woman dancing, man dancing
    _PERSON + "\U0001f384": "\U0001f385\U0001f936",  # claus: santa, mrs
    _HANDSHAKE: "\U0001f91d",  # its hands have tones of their own
    _PERSON + _PERSON + _HANDSHAKE: "\U0001f46b\U0001f46c\U0001f46d",  # two holding hands
    _PERSON + _PERSON + "\u2764": "\U0001f491",  # couple with heart
    _PERSON + _PERSON + "\u2764\U0001f48b": "\U0001f48f",  # kiss
    _PERSON + _PERSON + _CHILD: "\U0001f46a",  # family
}
_NEUTRAL = str.maketrans(
    {old: new for new, olds in _SAME.items() for old in olds}
    | dict.fromkeys(_TONES + _SIGNS + _JOINER + _STYLE, "")
)


def family(sequence: str) -> str:
    """What an emoji shows apart from skin tone and gender: equal for all variants of one picture.

    The order of the characters is dropped, since fonts know joined people and things in both
    orders, except in flags.
    """
    if len(sequence) == 1 and sequence in _TONES:
        return _TONES[0]
    neutral = sequence.translate(_NEUTRAL) or sequence
    return neutral if _LETTER_A <= neutral[0] <= _LETTER_Z else "".join(sorted(neutral))


def read_emoji(root: Path | None, size: int) -> Images:
    """The bitmaps of Noto Color Emoji on white, RGB, ``size`` x ``size``, in code-point order;
    ``groups`` are the families.

    ``files`` are code points such as ``1F469-200D-1F680``. A picture is centred on a white square
    before it is scaled. People that face right are another family than those that face left. What
    was read last is kept, until the font changes.
    """
    file = _find(root)
    images = _read(file, file.stat().st_mtime_ns, size)
    groups = None if images.groups is None else images.groups.clone()
    return replace(
        images, data=images.data.clone(), groups=groups
    )  # the caller's own, to change as he likes


@lru_cache(maxsize=1)
def _read(file: Path, changed: int, size: int) -> Images:
    pictures = sorted(_bitmaps(file))
    some = [pictures[start : start + _BATCH] for start in range(0, len(pictures), _BATCH)]
    data = torch.cat(each(lambda batch: _squares([png for _, png in batch], size), some))
    kinds = {kind: i for i, kind in enumerate(sorted({family(text) for text, _ in pictures}))}
    groups = torch.tensor([kinds[family(sequence)] for sequence, _ in pictures])
    files = tuple("-".join(f"{ord(c):04X}" for c in sequence) for sequence, _ in pictures)
    return Images(data, "emoji", groups=groups, files=files)


def _find(root: Path | None) -> Path:
    places = [folder / _FILE for folder in (*([root] if root else []), *map(Path, _FOLDERS))]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise missing("emoji", places, "apt-get install fonts-noto-color-emoji")
    return file


def _bitmaps(file: Path) -> list[tuple[str, bytes]]:
    """The characters and the PNG of every picture in a font."""
    try:
        from fontTools.ttLib import TTFont
    except ImportError as error:
        raise ValueError("emoji needs fontTools: pip install 'denoscope[data]'") from error
    try:
        with TTFont(file, lazy=True) as font:
            sequences = _sequences(font)
            strike = font["CBDT"].strikeData[0].items()
            found = [(sequences[g], bits.imageData) for g, bits in strike if g in sequences]
    except Exception as error:  # a damaged font makes its reader fail with nearly any exception
        said = f"{type(error).__name__}: {error}"
        raise ValueError(f"{file} is not a readable font with bitmaps (CBDT): {said}") from error
    return found


def _sequences(font: TTFont) -> dict[str, str]:
    """Glyph name to its characters: the shortest sequence, of equal ones a person's."""
    characters = {glyph: chr(code) for code, glyph in (font.getBestCmap() or {}).items()}
    known: defaultdict[str, list[str]] = defaultdict(list)
    for glyph, character in characters.items():
        known[glyph].append(character)
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable if lookup.LookupType == 4 else []:  # 4: ligatures
            for first, ligatures in table.ligatures.items():
                for ligature in ligatures:
                    parts = (first, *ligature.Component)
                    if all(part in characters for part in parts):
                        known[ligature.LigGlyph].append("".join(characters[part] for part in parts))
    people = _PERSON + _SAME[_PERSON]
    return {
        glyph: max(found, key=lambda text: (-len(text), text[0] in people, text))
        for glyph, found in known.items()
    }


def _squares(pngs: list[bytes], size: int) -> Tensor:
    """The pictures (n, 3, size, size) in [-1, 1]; those of one size are scaled together."""
    alike = groupby(map(_square, pngs), key=lambda square: square.shape)
    return torch.cat(
        [resize(from_uint8(torch.stack(list(squares))), (size, size)) for _, squares in alike]
    )


def _square(png: bytes) -> Tensor:
    """One picture in the middle of a white square, uint8 (3, side, side)."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as source:
        image = on_ground(source)
    side = max(image.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)
