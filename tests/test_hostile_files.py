"""Whatever is in a folder or an archive is read, or refused in one harmless line, or counted:
nothing hangs, runs, escapes or is lost in silence.
"""

from __future__ import annotations

import io
import os
import random
import struct
import subprocess
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from denoscope.data import read_features, read_images, to_uint8
from denoscope.data.folders import natural
from denoscope.files import harmless

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
PLAIN = Image.fromarray(PIXELS)


def coded(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def raw_png(width: int, height: int, depth: int, colour: int, data: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return coded(PLAIN, "jpeg", exif=exif)


FRAMES = {"save_all": True, "append_images": [PLAIN.rotate(90)]}
DEEP = RNG.integers(0, 256, (8, 48), dtype=np.uint8)

READ: dict[str, tuple[bytes, str]] = {  # file: what is said of it
    "a.png": (coded(PLAIN), ""),
    "is_a_png.jpg": (coded(PLAIN), ""),
    "A.PNG": (coded(PLAIN), ""),
    "anim.gif": (coded(PLAIN, "gif", **FRAMES), "first frame"),
    "anim.webp": (coded(PLAIN, "webp", lossless=True, **FRAMES), "first frame"),
    "anim.png": (coded(PLAIN, "png", **FRAMES), "first frame"),
    "pages.tif": (coded(PLAIN, "tiff", **FRAMES), "first frame"),
    "cmyk.jpg": (coded(PLAIN.convert("CMYK"), "jpeg"), "CMYK was converted"),
    "deep.png": (
        coded(Image.fromarray(DEEP[:, :8].astype(np.uint16) * 257)),
        "16-bit grey was scaled",
    ),
    "deep_colour.png": (
        raw_png(8, 8, 16, 2, b"".join(b"\0" + row.tobytes() for row in DEEP)),
        "16-bit colour was cut",
    ),
    "clear.png": (coded(PLAIN.quantize(8), transparency=0), "transparency was laid on white"),
    "half_clear.png": (
        coded(PLAIN.quantize(8), transparency=bytes([0, 128])),
        "transparency was laid on white",
    ),
    "turned.jpg": (turned(), "EXIF"),
    "exif.jpg": (coded(PLAIN, "jpeg", exif=b"Exif\0\0nonsense"), ""),
    "lab.tif": (coded(PLAIN.convert("LAB"), "tiff"), ""),
    "one_bit.png": (coded(PLAIN.convert("1")), ""),
    "<script>alert(1)<.png": (coded(PLAIN), ""),
    "x" * 250 + ".png": (coded(PLAIN), ""),
}
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty.png": (b"", "an empty file"),
    "text.png": (b"hello", "not an image"),
    "page.png": (b"<!DOCTYPE html><script>alert(1)</script>", "not an image"),
    "program.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not an image"),
    "cut.png": (
        coded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)))[:-2000],
        "truncated|broken",
    ),
    "cut.jpg": (coded(PLAIN.resize((64, 64)), "jpeg")[:-300], "truncated|broken"),
    "bomb.png": (raw_png(30_000, 30_000, 8, 0), "decompression bomb"),
    "small_bomb.png": (raw_png(9_500, 9_500, 8, 0), "decompression bomb"),
    "flat.png": (raw_png(0, 8, 8, 0), "not an image"),
    "bomb.ppm": (b"P6\n99999 99999\n255\n", "decompression bomb"),
    "\x1b]0;owned\x07\x1b[31m\n.png": (b"hello", "not an image"),
}


@pytest.mark.parametrize("name", READ)
def test_unusual_images_are_read_with_a_word(tmp_path: Path, name: str) -> None:
    content, note = READ[name]
    (tmp_path / name).write_bytes(content)
    images = read_images(tmp_path)
    assert images.shape[1:] == (8, 8)
    assert images.files == (name,)
    assert len(images.warnings) == bool(note)
    assert note in " ".join(images.warnings)
    if name in ("a.png", "is_a_png.jpg", "anim.png", "anim.webp", "pages.tif"):
        assert np.array_equal(to_uint8(images.data)[0].permute(1, 2, 0).numpy(), PIXELS)


def test_sixteen_bit_colour_loses_at_most_one_level(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(READ["deep_colour.png"][0])
    exact = DEEP.reshape(8, 8, 3, 2) @ np.array([256, 1]) / 257
    assert (
        np.abs(to_uint8(read_images(tmp_path).data)[0].permute(1, 2, 0).numpy() - exact).max() <= 1
    )


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_image_is_one_harmless_line_or_counted(tmp_path: Path, name: str) -> None:
    content, reason = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=reason) as error:
        read_images(tmp_path)
    assert str(error.value).isprintable()
    (tmp_path / "good.png").write_bytes(coded(PLAIN))
    images = read_images(tmp_path, skip_bad=True)
    assert images.files == ("good.png",)
    assert [file for file, _ in images.skipped] == [harmless(name)]
    assert images.warnings == ("1 of 2 images could not be used and were skipped",)


def test_one_folder_with_everything(tmp_path: Path) -> None:
    for name, (content, _) in (READ | REFUSED).items():
        (tmp_path / name).write_bytes(content)
    images = read_images(tmp_path, skip_bad=True)
    assert sorted(images.files) == sorted(READ)
    assert len(images.skipped) == len(REFUSED)
    assert all(text.isprintable() for pair in images.skipped for text in pair)
    alone = {name: read_images(tmp_path, skip_bad=True).sha256 for name in "ab"}
    assert len(set(alone.values())) == 1  # whatever order the threads end in


def test_what_is_no_file_is_never_waited_for(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(coded(PLAIN))
    os.mkfifo(tmp_path / "pipe.png")
    for name, target in {
        "dangling": "gone.png",
        "circle": "circle.png",
        "device": "/dev/zero",
        "to_pipe": "pipe.png",
    }.items():
        (tmp_path / f"{name}.png").symlink_to(target)
    with pytest.raises(ValueError, match=r"circle\.png cannot be read"):
        read_images(tmp_path)
    skipped = dict(read_images(tmp_path, skip_bad=True).skipped)
    assert set(skipped) == {"pipe.png", "dangling.png", "circle.png", "device.png", "to_pipe.png"}
    assert (
        skipped["pipe.png"] == skipped["device.png"] == skipped["to_pipe.png"] == "no regular file"
    )
    os.mkfifo(tmp_path / "set.zip")
    os.mkfifo(tmp_path / "set.npz")
    for file in ("set.zip", "set.npz"):
        with pytest.raises(ValueError, match="no regular file"):
            read_images(tmp_path / file)
    with pytest.raises(ValueError, match="no regular file"):
        read_features(tmp_path / "set.npz")


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    for name in ("set/a/1.png", "elsewhere/2.png", "set/x.png/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(coded(PLAIN))
    (tmp_path / "set/b").symlink_to(tmp_path / "elsewhere")
    plain = read_images(tmp_path / "set")
    assert plain.files == ("a/1.png", "b/2.png", "x.png/3.png")
    assert not plain.warnings
    (tmp_path / "set/a/up").symlink_to("..")
    (tmp_path / "set/c").symlink_to("a")
    circle = read_images(tmp_path / "set")
    assert circle.files == plain.files
    assert circle.warnings == ("links to folders that were read already, passed over: 2",)


def test_folders_that_cannot_be_read_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(coded(PLAIN))
    scan = os.scandir

    def guarded(path: str) -> object:
        if path.endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr("os.scandir", guarded)  # the superuser may read everything
    with pytest.raises(
        ValueError, match=r"the folder b cannot be read: Permission denied; skip_bad \(--skip-bad\)"
    ):
        read_images(tmp_path)
    assert read_images(tmp_path, skip_bad=True).skipped == (("b", "Permission denied"),)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """An image so many folders down that no recursion reaches it."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    with open(os.open("a.png", os.O_WRONLY | os.O_CREAT, dir_fd=here), "wb") as stream:
        stream.write(coded(PLAIN))
    os.close(here)
    yield tmp_path
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # Python's own way is a recursion


def test_deep_folders_are_no_recursion(deep: Path) -> None:
    images = read_images(deep)
    assert images.files[0].endswith("d/d/a.png")
    assert len(images.files[0]) <= 400


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    try:
        with open(os.fsencode(tmp_path) + b"/\xff\xfe.png", "wb") as stream:
            stream.write(coded(PLAIN))
    except OSError:
        pytest.skip("this file system takes only names in Unicode")
    images = read_images(tmp_path)
    assert images.files == ("\\udcff\\udcfe.png",)
    assert images.files[0].encode()


@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_harmless_texts_print_in_one_line(text: str) -> None:
    shown = harmless(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert shown.encode().decode() == shown
    assert len(shown) <= 400
    assert harmless(shown) == shown
    assert harmless(harmless(9 * f"{text}\n" * 99)) == harmless(9 * f"{text}\n" * 99)


def test_harmless_leaves_names_alone() -> None:
    for name in ("a b/ü-ß_漢字 (1).png", "<script>", "50\u00a0000", "👍.png"):
        assert harmless(name) == name
    assert harmless("a\x1b[2J\r\n\u202e\ud800") == "a\\x1b[2J\\r\\n\\u202e\\ud800"


def test_numbers_in_names_may_have_any_length() -> None:
    names = ["9" * 5000, "1" + "0" * 5000, "007", "8"]
    assert sorted(names, key=natural) == ["007", "8", "9" * 5000, "1" + "0" * 5000]


# ---- archives


def packed(
    path: Path,
    members: dict[str, bytes] | list[tuple[str, bytes]],
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in dict(members).items() if isinstance(members, dict) else members:
            archive.writestr(name, content)
    return path


def test_archives_do_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    names = ["../../out.png", "/tmp/denoscope_out.png", "..\\out.png", "good.png", "\x1b[31m.png"]
    path = packed(tmp_path / "set.zip", dict.fromkeys(names, coded(PLAIN)))
    before = sorted(tmp_path.rglob("*"))
    images = read_images(path)
    assert len(images) == 5
    assert all(file.isprintable() for file in images.files)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/denoscope_out.png").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_with_one_name_twice(tmp_path: Path) -> None:
    path = packed(
        tmp_path / "set.zip", [("a.png", coded(PLAIN)), ("a.png", coded(PLAIN.rotate(90)))]
    )
    with pytest.raises(ValueError, match=r"1 names stand for more than one file, such as a\.png"):
        read_images(path)


def test_archives_in_archives_and_with_nothing(tmp_path: Path) -> None:
    inner = packed(tmp_path / "inner.zip", {"a.png": coded(PLAIN)})
    for members in ({"inner.zip": inner.read_bytes()}, {}, {"folder/": b""}):
        with pytest.raises(ValueError, match="holds no readable image"):
            read_images(packed(tmp_path / "set.zip", members))


def test_encrypted_and_damaged_members_are_counted(tmp_path: Path) -> None:
    path = packed(tmp_path / "set.zip", {f"{i}.png": coded(PLAIN) for i in range(3)})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the first is said to be encrypted
    content[content.index(b"2.png") + 60] ^= 255  # a byte of the last is wrong
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"0\.png cannot be read: a damaged or encrypted member"):
        read_images(path)
    images = read_images(path, skip_bad=True)
    assert images.files == ("1.png",)
    assert [name for name, _ in images.skipped] == ["0.png", "2.png"]


def test_bombs_in_archives_are_not_unpacked(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.png", "w", force_zip64=True) as stream,
    ):
        for _ in range(300):
            stream.write(bytes(1 << 20))
    with pytest.raises(
        ValueError, match=r"a\.png cannot be read: it would unpack to 314572800 bytes"
    ):
        read_images(tmp_path / "set.zip")


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(["zip", "deflated", "images", "features"]), st.integers(0, 2**32))
def test_damage_anywhere_is_an_error_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int
) -> None:
    root = tmp_path_factory.mktemp("damage")
    path = root / ("a.npz" if kind in ("images", "features") else "a.zip")
    if kind == "images":
        np.savez_compressed(path, arr_0=np.stack([PIXELS, PIXELS]))
    elif kind == "features":
        np.savez(path, features=DEEP / 7, names=np.arange(8).astype(str))
    else:
        packed(
            path,
            {f"{i}.png": coded(PLAIN) for i in range(2)},
            zipfile.ZIP_DEFLATED if kind == "deflated" else zipfile.ZIP_STORED,
        )
    draw = random.Random(seed)
    content = bytearray(path.read_bytes())
    if draw.random() < 0.3:
        del content[draw.randrange(len(content)) :]
    else:
        for _ in range(draw.choice([1, 1, 4])):
            content[draw.randrange(len(content))] = draw.choice([0, 255, draw.randrange(256)])
    path.write_bytes(content)
    said = ""
    try:
        read = (
            read_features(path)
            if kind == "features"
            else read_images(path, skip_bad=draw.random() < 0.5)
        )
        assert len(read)
    except ValueError as error:
        said = str(error)
    assert said == harmless(said, 4000)
