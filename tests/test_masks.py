"""Masks in words: the pixels that they name, and what a wrong word is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from denoscope.apply.masks import mask
from denoscope.data.embedded import digits


def rows(kept: Tensor) -> list[str]:
    return ["".join(".#"[int(bit)] for bit in row) for row in kept[0]]


def disc(channels: int = 1) -> Tensor:
    """A bright disc of radius 5 on a dark ground, 20 x 24, with a darker half."""
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    inside = (y - 9) ** 2 + (x - 11) ** 2 <= 25
    image = torch.where(inside, torch.where(x < 11, 0.9, 0.4), -1.0)
    return image.expand(channels, -1, -1)


def test_a_rectangle_and_a_polygon_and_their_union() -> None:
    blank = torch.zeros(3, 4, 5)
    assert rows(mask(["rectangle:1,2,2,2"], blank)) == [".....", "..##.", "..##.", "....."]
    assert rows(mask(["polygon:0,0,0,3,3,0"], blank)) == ["####.", "###..", "##...", "#...."]
    both = mask(["rectangle:1,2,2,9", "rectangle:3,0,1,1"], blank)
    assert rows(both) == [".....", "..###", "..###", "#...."]
    assert both.shape == (3, 4, 5)
    assert torch.equal(both[0], both[2])


@pytest.mark.parametrize("sign", [1, -1])
def test_otsu_finds_the_object_dark_or_bright(sign: int) -> None:
    assert torch.equal(mask(["otsu"], sign * disc(3)), disc(3) > -0.5)


def test_a_superpixel_is_the_piece_around_a_pixel() -> None:
    left, right = mask(["superpixel:9,8"], disc()), mask(["superpixel:9,14"], disc())
    assert left[0, 9, 8]
    assert right[0, 9, 14]
    assert not (left & right).any()
    assert (disc()[left] > 0.5).float().mean() > 0.9


def test_a_drawn_mask_is_its_bright_part(tmp_path: Path) -> None:
    drawn = torch.zeros(8, 8, dtype=torch.uint8)
    drawn[:3, 2:] = 255
    Image.fromarray(drawn.numpy()).convert("RGB").save(tmp_path / "m.png")
    image = digits().data[0]
    assert torch.equal(mask([str(tmp_path / "m.png")], image)[0], drawn > 0)


BAD = {
    "no such file; a mask is a file, or rectangle:Y,X,HEIGHT,WIDTH, polygon": ["m.png"],
    "rectangle:1,2 is not rectangle:Y,X,HEIGHT,WIDTH, in whole pixels": ["rectangle:1,2"],
    "rectangle:a,b,c,d is not": ["rectangle:a,b,c,d"],
    "polygon:1,2,3,4 is not polygon": ["polygon:1,2,3,4"],
    "otsu:3 is not otsu": ["otsu:3"],
    "superpixel:9,9: the image has 8 rows and 8 columns, counted from 0": ["superpixel:9,9"],
    "--mask rectangle:9,9,2,2 is empty": ["rectangle:9,9,2,2"],
    "is the whole image: leave some pixels outside": ["rectangle:0,0,8,8"],
    "has 4 × 5 pixels, the image 8 × 8": ["small.png"],
    "is not a readable image": ["text.png"],
}


@pytest.mark.parametrize(("message", "words"), BAD.items())
def test_mistakes_are_named(
    message: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("L", (5, 4), 255).save("small.png")
    Path("text.png").write_text("no image")
    with pytest.raises(ValueError, match=re.escape(message)):
        mask(words, digits().data[0])


def test_one_colour_has_no_object() -> None:
    with pytest.raises(ValueError, match="one colour; name a rectangle"):
        mask(["otsu"], torch.zeros(1, 8, 8))
