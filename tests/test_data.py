"""Images come in unchanged or with a word about the change; what cannot be read is one clear line;
splits keep their promises.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform

from denoscope.data import (
    Images,
    find_duplicates,
    from_uint8,
    hold_out,
    read_images,
    subset,
    to_uint8,
)
from denoscope.data.emoji import family
from denoscope.data.folders import natural
from denoscope.data.images import fits
from denoscope.data.prepare import Preparation, prepared

RNG = np.random.default_rng(0)


def picture(channels: int = 3, height: int = 8, width: int = 8, seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def one_line(error: pytest.ExceptionInfo[ValueError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def bomb(side: int = 40_000) -> bytes:
    """A PNG whose header claims side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )


# ---- values


def test_eight_bits_come_back() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    x = from_uint8(every)
    assert x[0] == -1
    assert x[255] == 1
    assert torch.equal(to_uint8(x), every)
    assert torch.equal(
        to_uint8(torch.tensor([-3.0, 3.0])), torch.tensor([0, 255], dtype=torch.uint8)
    )
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(torch.tensor([float("nan")]))


def test_images_refuse_what_they_are_not() -> None:
    data = torch.zeros(3, 1, 2, 2)
    for bad in (data.double(), data[0], torch.empty(0, 1, 2, 2), data + 1.5, data / 0):
        with pytest.raises(ValueError, match="x:"):
            Images(bad, "x")
    with pytest.raises(ValueError, match="labels"):
        Images(data, "x", labels=torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="file names"):
        Images(data, "x", files=("a",))
    images = Images(data, "x")
    assert len(images) == 3
    assert images.shape == (1, 2, 2)
    assert images.sha256 == Images(data.clone(), "y").sha256 != Images(data + 0.5, "x").sha256


# ---- embedded sets


def test_digits_are_exact() -> None:
    from sklearn.datasets import load_digits

    digits = read_images("digits")
    raw = load_digits()
    assert digits.shape == (1, 8, 8)
    assert torch.equal((digits.data[:, 0] + 1) * 8, torch.from_numpy(raw.images).float())
    assert digits.labels is not None
    assert (digits.labels.numpy() == raw.target).all()
    assert digits.test_from is None
    assert read_images("digits", prepare="resize:16").shape == (1, 16, 16)


def embedded(name: str) -> Images:
    try:
        return read_images(name)
    except ValueError as error:
        if "install it with" not in str(error) and "needs fontTools" not in str(error):
            raise
        pytest.skip(str(error))


def test_fashion_mnist() -> None:
    images = embedded("fashion_mnist")
    assert images.data.shape == (70_000, 1, 28, 28)
    assert images.test_from == 60_000
    assert images.labels is not None
    assert images.labels[:60_000].bincount().tolist() == [6000] * 10
    assert images.labels[60_000:].bincount().tolist() == [1000] * 10


def test_emoji_variants_share_a_group() -> None:
    images = embedded("emoji")
    assert images.shape == (3, 32, 32)
    assert len(images) > 3000
    assert images.groups is not None
    group = dict(zip(images.files, images.groups.tolist(), strict=True))
    assert group["1F44B"] == group["1F44B-1F3FB"] == group["1F44B-1F3FF"]  # waving hand
    assert (
        group["1F468-200D-1F680"] == group["1F469-1F3FE-200D-1F680"] != group["1F680"]
    )  # astronauts, rocket
    repeats = find_duplicates(images.data, quantile=0)
    assert repeats.exact > 0
    assert torch.equal(
        images.groups, images.groups[repeats.copies]
    )  # equal pictures are variants of one


def test_emoji_that_were_read_before_are_nobody_elses() -> None:
    first = embedded("emoji")
    assert first.groups is not None
    kept, groups = first.data.clone(), first.groups.clone()
    first.data.zero_()
    first.groups.zero_()
    again = embedded("emoji")
    assert torch.equal(again.data, kept)
    assert again.groups is not None
    assert torch.equal(again.groups, groups)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("👋", "👋🏿", True),
        ("🏃🏽‍♀️", "🏃‍♂️", True),
        ("👩🏻‍❤️‍👨🏿", "💑🏽", True),
        ("🤴🏾", "👸", True),
        ("🤝", "🫱🏻‍🫲🏿", True),
        ("♀️", "♂️", False),
        ("🇦🇺", "🇺🇦", False),
        ("👨‍🚀", "👨‍🚒", False),
        ("👩‍👧", "👩‍👧‍👧", False),
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", False),
    ],
)
def test_emoji_families(one: str, other: str, same: bool) -> None:
    assert (family(one) == family(other)) is same


def test_faces() -> None:
    images = embedded("faces")
    assert images.data.shape == (200, 1, 25, 25)
    assert images.labels is not None
    assert images.labels.sum() == 100


def idx(pixels: np.ndarray) -> bytes:
    return struct.pack(f">HBB{pixels.ndim}I", 0, 8, pixels.ndim, *pixels.shape) + pixels.tobytes()


def test_idx_folder(tmp_path: Path) -> None:
    pixels, labels = (
        RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8),
        RNG.integers(0, 9, 5, dtype=np.uint8),
    )
    folder(
        tmp_path,
        {
            "train-images-idx3-ubyte.gz": gzip.compress(idx(pixels)),
            "train-labels-idx1-ubyte": idx(labels),
        },
    )
    for images in (read_images(tmp_path), read_images("fashion_mnist", data_root=tmp_path)):
        assert torch.equal(to_uint8(images.data[:, 0]), torch.from_numpy(pixels))
        assert images.labels is not None
        assert images.labels.tolist() == labels.tolist()
        assert images.test_from is None
    folder(
        tmp_path,
        {"t10k-images-idx3-ubyte": idx(pixels[:2]), "t10k-labels-idx1-ubyte": idx(labels[:2])},
    )
    assert read_images(tmp_path).test_from == 5
    for damaged in (
        idx(pixels)[:-1],
        idx(pixels) + b"x",
        idx(labels),
        b"",
        struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**11, 2**11),
    ):
        folder(tmp_path, {"t10k-images-idx3-ubyte": damaged})
        with pytest.raises(ValueError, match="t10k-images-idx3-ubyte") as error:
            read_images(tmp_path)
        one_line(error)


def test_missing_sets_say_how_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("denoscope.data.embedded._FASHION", tmp_path / "no")
    monkeypatch.setattr("denoscope.data.emoji._FOLDERS", (str(tmp_path),))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    wanted = {
        "fashion_mnist": "apt-get install dataset-fashion-mnist",
        "emoji": "apt-get install fonts-noto-color-emoji",
    }
    for name, command in (wanted | {"faces": "pip install 'denoscope\\[data\\]'"}).items():
        with pytest.raises(ValueError, match=command) as error:
            read_images(name)
        one_line(error)
    folder(tmp_path, {"NotoColorEmoji.ttf": b"nonsense", "lfw_subset.npy": b"nonsense"})
    for name in ("emoji", "faces"):
        with pytest.raises(ValueError, match=r"readable|cannot be read") as error:
            read_images(name, data_root=tmp_path)
        one_line(error)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("digit", "did you mean 'digits'"),
        ("Fashion-MNIST", "did you mean 'fashion_mnist'"),
        ("/no/such", "neither"),
        ("", "neither"),
    ],
)
def test_unknown_names(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint) as error:
        read_images(name)
    assert "emoji" in one_line(error)


# ---- folders


def test_folder_natural_order_and_classes(tmp_path: Path) -> None:
    files = {
        f"class{c}/img{i}.png": png(picture(seed=100 * c + i)) for c in (2, 10) for i in (10, 9, 1)
    }
    images = read_images(
        folder(
            tmp_path, files | {"readme.txt": b"hello", ".hidden.png": b"", "__MACOSX/a.png": b""}
        )
    )
    assert images.files == tuple(f"class{c}/img{i}.png" for c in (2, 10) for i in (1, 9, 10))
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(to_uint8(images.data)[3].permute(1, 2, 0).numpy(), picture(seed=1001))
    assert images.warnings == ("1 file: not read: no image",)
    assert read_images(tmp_path).sha256 == images.sha256


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text("ab/01-.é²", min_size=1, max_size=6), min_size=2, max_size=6))
def test_natural_order_is_total(names: list[str]) -> None:
    turned = names[::-1]
    assert sorted(names, key=natural) == sorted(turned, key=natural)


def test_grey_stays_grey_and_mixes_with_a_warning(tmp_path: Path) -> None:
    folder(tmp_path, {"a.png": png(picture(1, seed=1)), "b.png": png(picture(1, seed=2))})
    grey = read_images(tmp_path)
    assert grey.shape == (1, 8, 8)
    assert not grey.warnings
    folder(tmp_path, {"c.png": png(picture(3))})
    mixed = read_images(tmp_path)
    assert mixed.shape == (3, 8, 8)
    assert torch.equal(mixed.data[:2], grey.data.expand(-1, 3, -1, -1))
    assert mixed.warnings == ("2 files: grey among colour was replicated to RGB",)


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    pixels = picture(4)
    pixels[..., 3] = np.where(np.arange(8) < 4, 0, 255)
    opaque = picture(4, seed=1)
    opaque[..., 3] = 255
    images = read_images(folder(tmp_path, {"a.png": png(pixels), "b.png": png(opaque)}))
    back = to_uint8(images.data).permute(0, 2, 3, 1).numpy()
    assert (back[0, :, :4] == 255).all()
    assert (back[0, :, 4:] == pixels[:, 4:, :3]).all()
    assert (back[1] == opaque[..., :3]).all()
    assert images.warnings == ("1 file: transparency was laid on white",)


def test_sixteen_bits_and_palettes(tmp_path: Path) -> None:
    deep = (picture(1).astype(np.uint16)) * 257
    palette = Image.fromarray(picture(3)).quantize(16)
    stream = io.BytesIO()
    palette.save(stream, "png")
    images = read_images(
        folder(
            tmp_path,
            {"a.png": png(deep), "b.png": stream.getvalue(), "c.png": png(picture(1) > 127)},
        )
    )
    back = to_uint8(images.data).permute(0, 2, 3, 1).numpy()
    assert (back[0, ..., 0] == picture(1)).all()
    assert (back[1] == np.array(palette.convert("RGB"))).all()
    assert (back[2, ..., 0] == np.where(picture(1) > 127, 255, 0)).all()
    assert "1 file: 16-bit grey was scaled to 8 bits" in images.warnings


def test_frames_and_grey_alpha(tmp_path: Path) -> None:
    stream = io.BytesIO()
    frames = [Image.fromarray(picture(1, seed=i)) for i in (1, 2)]
    frames[0].save(stream, "gif", save_all=True, append_images=frames[1:])
    clear = Image.fromarray(picture(1)).convert("LA")
    clear.putalpha(0)
    clear.save(tmp_path / "b.png")
    images = read_images(folder(tmp_path, {"a.gif": stream.getvalue()}))
    assert images.shape == (1, 8, 8)
    assert np.array_equal(to_uint8(images.data)[0, 0].numpy(), picture(1, seed=1))
    assert (images.data[1] == 1).all()
    assert images.warnings == (
        "1 file: only the first frame or page was read",
        "1 file: transparency was laid on white",
    )


def test_numbers_without_a_range_are_refused(tmp_path: Path) -> None:
    for values in (np.ones((4, 4), np.float32), np.ones((4, 4), np.int32)):
        Image.fromarray(values).save(tmp_path / "a.tif")
        with pytest.raises(ValueError, match="no stated range"):
            read_images(tmp_path)


def test_a_dangling_link_is_not_passed_over(tmp_path: Path) -> None:
    folder(tmp_path, {"a.png": png(picture())})
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match=r"b\.png cannot be read"):
        read_images(tmp_path)
    assert len(read_images(tmp_path, skip_bad=True).skipped) == 1


BAD = {
    "truncated": (png(picture(3, 64, 64))[:-2000], "truncated|damaged|broken"),
    "text": (b"this is not an image\n", "not an image"),
    "empty": (b"", "an empty file"),
    "bomb": (bomb(), "decompression bomb"),
    "small_bomb": (bomb(10_000), "decompression bomb"),
    "postscript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n",
        "not an image",
    ),
    "other_size": (png(picture(3, 8, 9)), "9x8 pixels where most are 8x8"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("archive", [False, True])
def test_bad_files(tmp_path: Path, kind: str, archive: bool) -> None:
    content, reason = BAD[kind]
    files = {"0.png": content, "1.png": png(picture(seed=1)), "2.png": png(picture(seed=2))}
    source = folder(tmp_path / "set", files)
    if archive:
        source = tmp_path / "set.zip"
        with zipfile.ZipFile(source, "w") as written:
            for name, data in files.items():
                written.writestr(name, data)
    with pytest.raises(ValueError, match=reason) as error:
        read_images(source)
    text = one_line(error)
    assert "0.png" in text
    assert "--skip-bad" in text
    assert ("--resize" in text) is (kind == "other_size")
    images = read_images(source, skip_bad=True)
    assert images.files == ("1.png", "2.png")
    assert [name for name, _ in images.skipped] == ["0.png"]
    assert images.warnings == ("1 of 3 images could not be used and were skipped",)


def test_resize_makes_one_size(tmp_path: Path) -> None:
    images = read_images(
        folder(tmp_path, {"a.png": png(picture(3, 20, 30)), "b.png": png(picture(3, 8, 8))}),
        prepare="resize:8",
    )
    assert images.shape == (3, 8, 8)
    assert torch.equal(
        to_uint8(images.data[1]), torch.from_numpy(picture(3, 8, 8)).permute(2, 0, 1)
    )
    flat = prepared(Images(torch.full((1, 3, 9, 7), 1.0), "white"), Preparation.of("resize:4"))
    assert torch.allclose(flat.data, torch.ones(1, 3, 4, 4))
    with pytest.raises(ValueError, match="such as resize:64"):
        read_images(tmp_path, prepare="resize:0")


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no readable image"):
        read_images(tmp_path)
    with pytest.raises(ValueError, match="holds no readable image"):
        read_images(folder(tmp_path, {"a.png": b"text"}), skip_bad=True)
    with pytest.raises(ValueError, match="a single image: give the folder"):
        read_images(tmp_path / "a.png")


def test_too_much_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, {f"{i}.png": png(picture(3, 64, 64)) for i in range(4)})
    monkeypatch.setattr("os.sysconf", lambda name: 300)  # 300 pages of 300 bytes
    told: list[tuple[int, int]] = []
    with pytest.raises(ValueError, match="half of this machine's memory"):
        read_images(tmp_path, expect=fits, progress=lambda *done: told.append(done))
    assert not told  # after the first file
    with pytest.raises(ValueError, match="half of this machine's memory"):
        _ = read_images(tmp_path).data
    assert len(read_images(tmp_path, prepare="resize:4")) == 4


# ---- archives


def edm_zip(path: Path, extra: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for i in (0, 1, 10):
            archive.writestr(f"00000/img{i}.png", png(picture(seed=i)))
        for name, content in extra.items():
            archive.writestr(name, content)
    return path


def test_edm_zip(tmp_path: Path) -> None:
    labels = {"labels": [[f"00000/img{i}.png", i % 7] for i in (10, 1, 0)]}
    images = read_images(
        edm_zip(
            tmp_path / "a.zip", {"dataset.json": json.dumps(labels).encode(), "notes.txt": b"x"}
        )
    )
    assert images.files == ("00000/img0.png", "00000/img1.png", "00000/img10.png")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 1, 3]
    assert images.warnings == ("1 file: not read: no image",)
    assert (
        read_images(edm_zip(tmp_path / "b.zip", {"dataset.json": b'{"labels": null}'})).labels
        is None
    )
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    unpacked = read_images(tmp_path / "unpacked")
    assert unpacked.sha256 == images.sha256
    assert unpacked.labels is not None
    assert torch.equal(unpacked.labels, images.labels)


@pytest.mark.parametrize(
    "content",
    [
        b"not json",
        b"[1]",
        b'{"label": 3}',
        b'{"labels": 3}',
        b'{"labels": [["00000/img0.png", 1]]}',
        b'{"labels": [["00000/img0.png", "cat"], ["00000/img1.png", "dog"]]}',
    ],
)
def test_tables_of_labels_that_are_none_are_said_and_left_out(
    tmp_path: Path, content: bytes
) -> None:
    images = read_images(edm_zip(tmp_path / "a.zip", {"dataset.json": content}))
    assert images.labels is None
    assert "labels" in images.warnings[-1]


def test_damaged_archives(tmp_path: Path) -> None:
    whole = edm_zip(tmp_path / "a.zip", {}).read_bytes()
    flipped = bytearray(whole)
    flipped[60:80] = bytes(20)
    for content in (b"text", whole[:-30], bytes(flipped)):
        for suffix in ("zip", "npz"):
            file = tmp_path / f"bad.{suffix}"
            file.write_bytes(content)
            with pytest.raises(ValueError, match=f"bad.{suffix}") as error:
                read_images(file)
            one_line(error)


# ---- npz


@pytest.mark.parametrize("key", ["arr_0", "images"])
@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (4, 5, 6, 1), (4, 5, 6)])
def test_npz(tmp_path: Path, key: str, shape: tuple[int, ...]) -> None:
    pixels, file = RNG.integers(0, 256, shape, dtype=np.uint8), tmp_path / "a.npz"
    np.savez(file, **{key: pixels}, labels=np.arange(4))
    images = read_images(file)
    assert np.array_equal(
        to_uint8(images.data).permute(0, 2, 3, 1).numpy(), pixels.reshape(4, 5, 6, -1)
    )
    assert images.labels is not None
    assert images.labels.tolist() == [0, 1, 2, 3]
    np.savez(file, **{key: (pixels / 255).astype(np.float32)})
    assert torch.allclose(read_images(file, value_range=(0, 1)).data, images.data, atol=1e-6)


def test_npz_alpha(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 3, 4), np.uint8)
    pixels[1, ..., 3] = 255
    np.savez(tmp_path / "a.npz", pixels)
    images = read_images(tmp_path / "a.npz")
    assert (images.data[0] == 1).all()
    assert (images.data[1] == -1).all()
    assert images.warnings == ("1 images: transparency was laid on white",)


GREY = np.zeros((2, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("arrays", "value_range", "reason"),
    [
        ({"images": np.array([{"a": 1}], dtype=object)}, None, "Object arrays cannot be loaded"),
        ({"features": GREY}, None, "neither arr_0 nor images, only features"),
        ({"images": GREY}, None, "--range LOW HIGH"),
        ({"images": GREY - 0.5}, (0, 1), "outside the stated range"),
        ({"images": GREY * np.nan}, (0, 1), "outside the stated range"),
        ({"images": GREY}, (1, 1), "low < high"),
        ({"images": GREY[0]}, (0, 1), "got shape"),
        ({"images": np.zeros((2, 5, 8, 8), np.uint8)}, None, "the last axis or the second"),
        ({"a": np.zeros((2, 8, 8)), "b": np.zeros((2, 8, 8))}, None, "a, b: name .* FILE.npz::KEY"),
        ({"images": np.zeros((0, 8, 8, 3), np.uint8)}, None, "got shape"),
        ({"images": np.zeros((2, 8, 8, 4), np.float32)}, (0, 1), "8-bit"),
        ({"images": np.array([["a"]])}, None, "got shape"),
        ({"images": np.zeros((1, 2, 2, 1), "U1")}, None, "numbers"),
    ],
)
def test_bad_npz(
    tmp_path: Path,
    arrays: dict[str, np.ndarray],
    value_range: tuple[float, float] | None,
    reason: str,
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=reason) as error:
        read_images(tmp_path / "a.npz", value_range=value_range)
    assert "a.npz" in one_line(error)


# ---- subsets


def test_hold_out() -> None:
    pool, test = hold_out(1797, 261, seed=3)
    assert (len(pool), len(test)) == (1536, 261)
    assert torch.equal(torch.cat([pool, test]).sort().values, torch.arange(1797))
    assert torch.equal(hold_out(1797, 261, seed=3)[1], test)
    assert not torch.equal(hold_out(1797, 261, seed=4)[1], test)
    assert len(hold_out(5, 0)[1]) == 0
    for held in (5, -1):
        with pytest.raises(ValueError, match="between 0 and 4"):
            hold_out(5, held)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-3, 9), min_size=12, max_size=60), st.integers(0, 5))
def test_groups_stay_together(labels: list[int], seed: int) -> None:
    groups = torch.tensor(labels)
    n = len(groups)
    if groups.unique(return_counts=True)[1].min() > n // 3:
        with pytest.raises(ValueError, match="no near-duplicate group is as small"):
            hold_out(n, n // 3, seed=seed, groups=groups)
        return
    pool, test = hold_out(n, n // 3, seed=seed, groups=groups)
    assert 0 < len(test) <= n // 3
    assert not set(groups[pool].tolist()) & set(groups[test].tolist())
    most = 0
    for size in range(1, len(pool) // 2 + 1):
        try:
            back = subset(pool, size, 1, seed=seed, groups=groups)
        except ValueError:
            break
        most = size
        assert not set(groups[subset(pool, size, 0, seed=seed, groups=groups)].tolist()) & set(
            groups[back].tolist()
        )
    sizes = groups[pool].unique(return_counts=True)[1]
    assert most > len(pool) // 2 - int(
        sizes.max()
    )  # greedy filling stops short by less than one group


def test_single_groups_are_filled_exactly() -> None:
    assert len(hold_out(100, 37, groups=torch.arange(100) // 2 * 2)[1]) == 36
    assert len(hold_out(100, 37, groups=torch.arange(100))[1]) == 37


@pytest.mark.parametrize("grouped", [False, True])
def test_subsets_are_nested_and_disjoint(grouped: bool) -> None:
    pool, _ = hold_out(100, 25)
    groups = torch.arange(100) // 3 if grouped else None
    for which, sizes in ((0, (1, 8, 30, 75)), (1, (1, 8, 30))):
        sets = [subset(pool, size, which, seed=1, groups=groups) for size in sizes]
        for small, large in pairwise(sets):
            assert torch.equal(large[: len(small)], small)
        assert all(len(s.unique()) == len(s) for s in sets)
        assert set(sets[-1].tolist()) <= set(pool.tolist())
    assert not set(subset(pool, 36, 0, groups=groups).tolist()) & set(
        subset(pool, 36, 1, groups=groups).tolist()
    )
    assert not torch.equal(subset(pool, 30, seed=1), subset(pool, 30, seed=2))


def test_impossible_subsets() -> None:
    pool = torch.arange(11)
    for size, which, most in ((12, 0, 11), (0, 0, 11), (6, 1, 5), (3, 2, 2)):
        with pytest.raises(ValueError, match=f"between 1 and {most} of them"):
            subset(pool, size, which)
    with pytest.raises(ValueError, match="which is 0"):
        subset(pool, 1, 4)


def test_four_subsets_are_disjoint_up_to_a_quarter_of_the_pool() -> None:
    pool = torch.arange(1000, 1043)
    sets = [subset(pool, 10, which, seed=3) for which in range(4)]
    assert len(torch.cat(sets).unique()) == 40
    assert all(torch.equal(subset(pool, 4, which, seed=3), sets[which][:4]) for which in range(4))


# ---- duplicates


def test_duplicates_against_brute_force() -> None:
    rng = np.random.default_rng(5)
    base = rng.normal(size=(150, 6))
    near = base[:20] + 1e-3 * rng.normal(size=(20, 6))
    x = np.concatenate([base, near, near[:5] + 1e-3, base[30:40], base[30:35]]).astype(np.float32)
    found = find_duplicates(torch.from_numpy(x), quantile=0.2)
    distinct, first = np.unique(x, axis=0, return_index=True)
    assert found.exact == len(x) - len(distinct) == 15
    assert sorted(set(found.copies.tolist())) == sorted(first.tolist())
    assert (x[found.copies] == x).all()
    order = np.sort(first)
    distance = squareform(pdist(x[order].astype(np.float64)))
    threshold = np.quantile(np.where(np.eye(len(order)), np.inf, distance).min(1), 0.2)
    assert found.threshold == pytest.approx(threshold, rel=1e-5)
    i, j = np.nonzero(np.triu(distance < found.threshold, 1))
    assert found.links.tolist() == np.stack([order[i], order[j]], 1).tolist()
    graph = squareform(pdist(x.astype(np.float64))) < found.threshold
    _, labels = connected_components(graph, directed=False)
    assert found.largest == np.bincount(labels).max()
    assert len(found.clusters.unique()) == labels.max() + 1
    centre = found.groups.numpy()
    assert (
        np.linalg.norm(x - x[centre], axis=1) < found.threshold
    ).all()  # every row is in its centre's star
    assert (centre[centre] == centre).all()
    assert (centre[found.copies] == centre).all()


def test_all_equal_and_a_chain() -> None:
    found = find_duplicates(torch.ones(50, 1, 3, 3))
    assert (found.exact, found.largest, len(found.links)) == (49, 50, 0)
    assert "100 %" in found.warnings[0]
    steps = torch.cat([torch.arange(20.0), torch.arange(100.0, 120.0, 2.0)])[:, None]
    chain = find_duplicates(
        steps, quantile=0.5
    )  # half the distances are 1, the threshold: none is below it
    assert len(chain.links) == 0
    steps = torch.cat([torch.arange(20.0), torch.arange(100.0, 150.0, 2.0)])[:, None]
    chain = find_duplicates(steps, quantile=0.5)
    assert chain.largest == 20  # single linkage runs along the chain
    assert chain.groups.bincount().max() == 3  # a star does not
    assert chain.json()["largest_cluster"] == 20


def test_no_duplicates() -> None:
    for x in (
        torch.zeros(1, 2),
        torch.eye(2),
        torch.randn(40, 5, generator=torch.Generator().manual_seed(0)),
    ):
        found = find_duplicates(x, quantile=0)
        assert (found.exact, len(found.links), found.largest) == (0, 0, 1)
        assert torch.equal(found.groups, torch.arange(len(x)))
    assert find_duplicates(torch.tensor([[0.0], [-0.0]])).exact == 1
    with pytest.raises(ValueError, match="between 0 and"):
        find_duplicates(x, quantile=0.9)
