"""How files become what a model saw: words do what training pipelines do, in their order."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from denoscope.data import read_images, to_uint8
from denoscope.data.decoding import decode
from denoscope.data.prepare import AS_STORED, RECIPES, WORDS, Preparation

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (54, 44, 3), dtype=np.uint8)


def stored(pixels: np.ndarray, form: str = "png", **how: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **how)
    return stream.getvalue()


def made(content: bytes, words: str) -> np.ndarray:
    """A file's bytes as 8-bit (h, w, c)."""
    how = Preparation.of(words)
    x = how.shaped(torch.from_numpy(decode(content, how)[0]).permute(2, 0, 1))
    return (x if x.dtype == torch.uint8 else to_uint8(x)).permute(1, 2, 0).numpy()


def test_words_come_back_and_recipes_become_words() -> None:
    assert str(Preparation.of("exif, crop-centre resize:64")) == "exif crop-centre resize:64"
    assert Preparation.of(["edm:32"]).words == (
        "stored",
        "alpha:drop",
        "crop-centre",
        "resize:32:lanczos",
    )
    for name in RECIPES:
        free = Preparation.of(name)
        assert free.open
        assert free.at(48, 48) == Preparation.of(f"{name}:48")
    assert Preparation.of("denoising-diffusion-pytorch:8").flips
    assert Preparation.of("") == AS_STORED
    assert Preparation.of("resize:lanczos").at(4, 3).words == ("resize:4x3:lanczos",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resise:4", "did you mean resize"),
        ("resize:0", "such as resize:64"),
        ("alpha", "alpha:black"),
        ("crop-centre:4", "crop-centre:4:3"),
        ("resize:64 exif", "exif is about the file"),
    ],
)
def test_what_is_no_word_is_told_how_it_is_written(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Preparation.of(text)


def test_a_size_that_was_left_out_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(stored(PICTURE))
    with pytest.raises(ValueError, match="diffusers:64"):
        read_images(tmp_path, prepare="diffusers")


def pillow(image: Image.Image, side: int, kind: Image.Resampling) -> Image.Image:
    """The shorter side scaled, then the middle square."""
    w, h = image.size
    image = image.resize((side * w // min(w, h), side * h // min(w, h)), kind)
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    return image.crop((left, top, left + side, top + side))


def halved(image: Image.Image, side: int) -> Image.Image:
    """Dhariwal and Nichol's crop: box halving, then bicubic."""
    while min(image.size) >= 2 * side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    return pillow(image, side, Image.Resampling.BICUBIC)


def test_recipes_are_what_pillow_does() -> None:
    content, image = stored(PICTURE), Image.fromarray(PICTURE)
    side = image.crop((0, 5, 44, 49))
    expected = {
        "imagefolder:32": pillow(image, 32, Image.Resampling.BILINEAR),
        "diffusers:32": pillow(image, 32, Image.Resampling.BILINEAR),
        "edm:32": side.resize((32, 32), Image.Resampling.LANCZOS),
        "guided-diffusion:16": halved(image, 16),
    }
    for words, right in expected.items():
        assert (made(content, words) == np.asarray(right)).all(), words


def test_geometry_keeps_the_middle_and_the_proportions() -> None:
    content = stored(PICTURE)
    assert (made(content, "crop:20x10") == PICTURE[22:32, 12:32]).all()
    assert made(content, "crop-centre:4:3").shape == (33, 44, 3)
    assert made(content, "crop-centre:1:2").shape == (54, 27, 3)
    padded = made(content, "pad:white")
    assert padded.shape == (54, 54, 3)
    assert (padded[:, 5:49] == PICTURE).all()
    assert (padded[:, :5] == 255).all()
    grey = np.asarray(Image.fromarray(PICTURE).convert("L"))
    assert np.abs(made(content, "grey")[..., 0].astype(int) - grey).max() <= 1
    with pytest.raises(ValueError, match="fewer than"):
        made(content, "crop:64")


def test_alpha_is_laid_where_it_is_said_or_dropped() -> None:
    rgba = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8)
    alpha = rgba[..., 3:] / 255
    for word, ground in (("black", 0), ("grey", 128), ("white", 255)):
        right = rgba[..., :3] * alpha + ground * (1 - alpha)
        assert np.abs(made(stored(rgba), f"alpha:{word}") - right).max() <= 1
    assert (made(stored(rgba), "alpha:drop") == rgba[..., :3]).all()
    assert (made(stored(rgba), "") == made(stored(rgba), "alpha:white")).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_as_pillow_does(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = stored(PICTURE, exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        from PIL import ImageOps

        right = np.asarray(ImageOps.exif_transpose(image))
    assert (made(content, "exif") == right).all()
    assert (made(content, "stored") == PICTURE).all()
    assert not decode(content, Preparation.of("exif"))[1]


def test_deep_values_are_white_where_it_is_said() -> None:
    values = np.array([[0, 1024, 2048, 4095, 5000]], dtype=np.uint16)
    assert made(stored(values), "max:4095")[0, :, 0].tolist() == [0, 64, 128, 255, 255]
    assert made(stored(values), "")[0, :, 0].tolist() == [0, 4, 8, 16, 19]
    assert made(stored(values), "stretch")[0, :, 0].tolist() == [0, 52, 104, 209, 255]


def test_arrays_are_prepared_like_files(tmp_path: Path) -> None:
    rgba = RNG.integers(0, 256, (3, 8, 6, 4), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=rgba)
    for i, picture in enumerate(rgba):
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / f"{i}.png").write_bytes(stored(picture))
    words = "alpha:black crop-centre resize:4:box"
    one, other = (read_images(tmp_path / at, prepare=words) for at in ("a.npz", "set"))
    assert (to_uint8(one.data).int() - to_uint8(other.data).int()).abs().max() <= 1
    deep = np.array([0, 2047.5, 4095], dtype=np.float32).reshape(1, 1, 3)
    np.savez(tmp_path / "deep.npz", images=deep)
    assert read_images(tmp_path / "deep.npz", prepare="max:4095").data.flatten().tolist() == [
        -1,
        0,
        1,
    ]


def test_every_word_is_documented() -> None:
    assert all(f"``{word}" in str(Preparation.__doc__) for word in WORDS)
