"""The sets of an audit: every kind of source is read as what it is, parts are the right parts, and
what cannot be compared is one clear line.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from denoscope.audit.sets.inputs import InputSet, read
from denoscope.audit.sets.matching import matched
from denoscope.data import read_features, read_images
from denoscope.data.images import digest
from denoscope.data.prepare import Preparation
from denoscope.data.selection import Selection, select
from denoscope.data.tensors import Layout, Unknown, made, numbers
from denoscope.files import content_hash

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(6, 4)).astype(np.float32)


def png(seed: int, channels: int = 3, side: int = 8) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, channels), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(stream, "png")
    return stream.getvalue()


def folder(
    root: Path, names: list[str], *, channels: int = 3, side: int = 8, first: int = 0
) -> str:
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(first + i, channels, side))
    return str(root)


def refused(role: str, path: str | Path, match: str, **options: object) -> None:
    with pytest.raises(ValueError, match=match) as error:
        # # options of every type on purpose
        read(role, str(path), **options)  # pyright: ignore[reportArgumentType]
    text = str(error.value)
    assert text.startswith(f"--{role} ")
    assert text.replace("\u00a0", " ").isprintable()


# ---- parts


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("digits", Selection("digits")),
        ("digits[:1000]", Selection("digits", "", 0, 1000)),
        ("digits[5:]", Selection("digits", "", 5, None)),
        ("digits[:]", Selection("digits")),
        ("fashion_mnist:test", Selection("fashion_mnist", "test")),
        ("fashion_mnist:train[10:20]", Selection("fashion_mnist", "train", 10, 20)),
        ("a:b/[c]/d[0:3]", Selection("a:b/[c]/d", "", 0, 3)),
        ("nothing/there", Selection("nothing/there")),
    ],
)
def test_parts_are_written(text: str, meant: Selection) -> None:
    assert select(text) == meant


def test_what_exists_is_meant_by_its_whole_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("set[0:1]", "set:test"):
        folder(tmp_path / name, ["a.png", "b.png"])
        assert len(read("gen", name)) == 2
    folder(tmp_path / "set", ["a.png", "b.png", "c.png"])
    assert read("gen", "set[1:2]").names == ("b.png",)


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("digits[5]", "SOURCE"),
        ("digits[-5:]", "whole numbers"),
        ("digits[0:9:2]", "whole numbers"),
        ("digits[5:5]", "there are 1797 rows"),
        ("digits[1797:]", "there are 1797 rows"),
        ("digits[:1798]", "STOP <= 1797"),
        ("digits:test", "no splits of its own"),
        ("digits:valid", "'valid' is no split"),
        ("digit[:3]", "did you mean 'digits'"),
        ("", "neither"),
        ("x" * 5000, "neither"),
        ("~no_such_user/x", "neither"),
        ("/dev/null", "no regular file"),
    ],
)
def test_parts_and_names_that_mean_nothing(path: str, match: str) -> None:
    refused("train", path, match)


def test_a_part_is_that_part() -> None:
    whole, part = read("gen", "digits"), read("gen", "digits[3:9]")
    assert whole.images is not None
    assert part.images is not None
    assert torch.equal(part.images.data, whole.images.data[3:9])
    assert part.images.labels is not None
    assert whole.images.labels is not None
    assert torch.equal(part.images.labels, whole.images.labels[3:9])
    assert part.names == tuple(map(str, range(3, 9)))
    assert part.sha256 == digest(part.images.contents, part.images.shape) != whole.sha256
    assert (
        part.images.data.untyped_storage().nbytes() == 6 * 64 * 4
    )  # the rest is not kept in memory
    assert read("gen", "digits[0:]").sha256 == whole.sha256


def test_splits_go_to_their_roles(tmp_path: Path) -> None:
    def idx(pixels: np.ndarray) -> bytes:
        return (
            np.array([0, 0, 8, pixels.ndim], np.uint8).tobytes()
            + np.array(pixels.shape, ">u4").tobytes()
            + pixels.tobytes()
        )

    pixels = RNG.integers(0, 256, (7, 4, 4), dtype=np.uint8)
    for split, part in (("train", pixels[:5]), ("t10k", pixels[5:])):
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(idx(part))
    train, test, gen = (read(role, str(tmp_path)) for role in ("train", "test", "gen"))
    assert [len(one) for one in (train, test, gen)] == [5, 2, 5]
    assert test.names == ("0", "1")
    assert train.warnings == test.warnings == ()
    assert train.sha256 == gen.sha256 == read("test", f"{tmp_path}:train").sha256
    assert read("gen", f"{tmp_path}:test[1:]").names == ("1",)
    assert read("gen", f"{tmp_path}:test").warnings == ()
    refused("test", f"{tmp_path}[2:3]", "there are 2 rows")


# ---- images


def test_folders_archives_and_arrays_are_one_set(tmp_path: Path) -> None:
    names = ["00000/img2.png", "00000/img10.png"]
    flat = read("gen", folder(tmp_path / "set", names))
    assert flat.names == tuple(names)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in names:
            archive.write(tmp_path / "set" / name, name)
    images = read_images(tmp_path / "set")
    pixels = ((images.data + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "arr.npz", pixels)
    np.savez(tmp_path / "images.npz", images=pixels / np.float32(255), features=ROWS)
    assert (
        flat.sha256
        == digest(images.contents, images.shape)
        == read("gen", str(tmp_path / "set.zip")).sha256
        == read("gen", str(tmp_path / "arr.npz")).sha256
    )
    ranged = read("gen", str(tmp_path / "images.npz"), value_range=[0, 1])
    assert ranged.images is not None  # images are better than features
    assert torch.allclose(ranged.images.data, images.data, atol=1e-6)
    refused("gen", tmp_path / "images.npz", "--range LOW HIGH")
    small = read("gen", str(tmp_path / "set"), prepare=Preparation.of("resize:4"))
    assert small.images is not None
    assert small.images.shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("names", "seeds"),
    [
        (["000000.png", "000123.png", "7.png"], (0, 7, 123)),
        (["000000/000001.png", "001000/001000.png"], (1, 1000)),
        (["0/1.png", "1/1.png"], ()),
        (["a1.png", "a2.png"], ()),
        (["1.png", "²2.png"], ()),
        (["1.png", "9" * 30 + ".png"], ()),
    ],
)
def test_seeds_are_read_from_names(
    tmp_path: Path, names: list[str], seeds: tuple[int, ...]
) -> None:
    path = folder(tmp_path / "set", names)
    assert read("gen", path).seeds == seeds
    assert read("train", path).seeds == ()


def test_unreadable_images_are_refused_or_counted(tmp_path: Path) -> None:
    path = folder(tmp_path / "set", ["0.png", "1.png", "2.png"])
    (tmp_path / "set/1.png").write_bytes(b"no")
    refused("gen", path, r"1\.png cannot be read: not an image; skip_bad \(--skip-bad\)")
    told: list[tuple[int, int]] = []
    found = read(
        "gen", path, skip_bad=True, progress=lambda done, total: told.append((done, total))
    )
    assert found.names == ("0.png", "2.png")
    assert found.seeds == (0, 2)
    assert found.warnings == ("gen: 1 of 3 images could not be used and were skipped",)
    assert told == [(1, 3), (2, 3), (3, 3)]


# ---- features


def save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]  # objects on purpose, too
    return path


@pytest.mark.parametrize("key", ["features", "reps", "arr_0"])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int64, np.uint8])
def test_features_in_npz(tmp_path: Path, key: str, kind: type) -> None:
    values = (10 * np.abs(ROWS)).astype(kind)
    found = read("train", str(save(tmp_path / "a.npz", **{key: np.asfortranarray(values)})))
    assert found.images is None
    assert found.features is not None
    assert torch.equal(found.features, torch.from_numpy(values.astype(np.float32)))
    assert found.names == tuple("012345")
    assert found.sha256 == content_hash(values.astype(np.float32))
    assert found.protocol == ""


def test_own_feature_files(tmp_path: Path) -> None:
    names = np.array([f"img{i}\x1b[0m" for i in range(6)])
    path = save(
        tmp_path / "a.npz",
        features=ROWS,
        protocol=np.array("rpgl-2024"),
        names=names,
        seeds=np.arange(6) * 3,
    )
    found = read("gen", f"{path}[1:3]")
    assert found.names == ("img1\\x1b[0m", "img2\\x1b[0m")
    assert found.seeds == (3, 6)
    assert found.protocol == "rpgl-2024"
    assert found.features is not None
    assert np.array_equal(found.features.numpy(), ROWS[1:3])


def test_dgm_eval_files(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.npz",
        model=np.array("dinov2"),
        checkpoint=np.array(None),
        reps=ROWS,
        hparams=np.array({"a": 1}),
    )
    found = read_features(path)  # its other arrays are pickled and stay unread
    assert np.array_equal(found.rows.numpy(), ROWS)
    assert found.protocol == "dgm-eval dinov2"


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (Path("was_run"),))


def test_torch_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows, file = torch.from_numpy(ROWS), tmp_path / "set-features-2048.pt"
    for value in (
        rows,
        {"2048": rows},
        {"features": rows, "mu": rows[0], "protocol": "x"},
        rows.double().T.contiguous().T,
        {"a": rows, "n": 3},
    ):
        torch.save(value, file)
        assert torch.equal(read_features(file).rows, rows)
    torch.save({"features": rows, "protocol": "x"}, file)
    assert read("gen", str(file)).protocol == "x"
    torch.save(rows.bfloat16(), file)
    assert torch.equal(read_features(file).rows, rows.bfloat16().float())
    for value, match in (
        ({"a": rows, "b": rows}, "no plain tensor"),
        ({"mu": ROWS.mean(0), "sigma": np.cov(ROWS.T)}, "no plain tensor"),
        (_Runs(), "no plain tensor"),
        (rows > 0, "real numbers"),
        ([rows], "no plain tensor"),
        (rows.to_sparse(), "no plain tensor"),
        (rows[0], "shape"),
        (rows.to(torch.complex64), "real numbers"),
        (torch.zeros(1).expand(1 << 40, 1 << 10), "half of this machine's memory"),
    ):
        torch.save(value, file)
        refused("gen", file, match)
    file.write_bytes(pickle.dumps(_Runs()))
    refused("gen", file, "readable file of tensors")
    for kind in (torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        torch.save((rows.abs() * 9).to(kind), file)
        assert torch.equal(read_features(file).rows, (rows.abs() * 9).to(kind).float())
    assert not (tmp_path / "was_run").exists()


def laughs(depth: int) -> bytes:
    """A pickle of one dictionary whose key is a tuple of two tuples of two tuples and so on."""
    nested = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(depth))
    return b"\x80\x02}N" + nested + b"Ns."


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (laughs(100), "no plain tensor"),
        (b"\x80\x02" + b"(" * 40_000 + b"t" * 40_000 + b".", "no plain tensor"),
        (b"\x80\x02" + b"]" * 40_000 + b"(t" * 40_000 + b".", "no plain tensor"),
        (b"\x80\x02", "readable file of tensors"),
        (b".", "readable file of tensors"),
        (b"R.", "readable file of tensors"),
        (b"cos\nsystem\nX\x04\x00\x00\x00exit\x85R.", "no plain tensor"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "no plain tensor"),
        (bytes(5_000_000), "the limit is"),
    ],
)
def test_hostile_torch_files(tmp_path: Path, content: bytes, match: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", content)
    refused("gen", tmp_path / "a.pt", match)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (6, 5), (5, 1)),
        (1, (6, 4), (4, 1)),
        (0, (6, 4), (-4, 1)),
        (-1, (6, 4), (4, 1)),
        (0, (1 << 70, 1), (0, 0)),
    ],
)
def test_torch_layouts_beyond_their_numbers(
    tmp_path: Path, offset: int, size: tuple[int, int], stride: tuple[int, int]
) -> None:
    storage = ("storage", ("storage", Unknown("torch FloatStorage"), "0", "cpu", 24))
    layout = made(
        Unknown("torch._utils _rebuild_tensor_v2"), (storage[1:], offset, size, stride, False, {})
    )
    assert isinstance(layout, Unknown)  # a storage stands under one name only
    layout = made(
        Unknown("torch._utils _rebuild_tensor_v2"), (storage, offset, size, stride, False, {})
    )
    assert isinstance(layout, Layout)
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data/0", ROWS.tobytes())
    with pytest.raises(ValueError, match=r"damaged|memory"):
        numbers(tmp_path / "a.pt", layout)


NOT_FINITE = ROWS.copy()
NOT_FINITE[[2, 4], 1] = np.nan, np.inf


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"features": NOT_FINITE}, r"row 2 of features is not finite .*2 of 6"),
        (
            {"features": np.full((2, 2), 1e300)},
            "row 0 of features is not finite in single precision",
        ),
        ({"features": ROWS[0]}, r"shape \(4,\)"),
        ({"features": ROWS[None]}, r"shape \(1, 6, 4\)"),
        ({"features": ROWS[:0]}, r"shape \(0, 4\)"),
        ({"reps": ROWS[:, :0]}, r"shape \(6, 0\)"),
        ({"features": np.array(1.0)}, "shape"),
        ({"features": ROWS + 1j}, "real numbers"),
        ({"features": ROWS > 0}, "real numbers"),
        ({"features": ROWS.astype("U9")}, "real numbers"),
        ({"features": np.zeros((2, 2), [("a", "f4")])}, "real numbers"),
        ({"features": np.array([[{}]], object)}, "pickled"),
        ({"mu": ROWS[0], "sigma": ROWS}, "only moments"),
        (
            {"../features": ROWS, "x\x1b[31m": ROWS},
            r"neither features .* only \.\./features, x\\x1b\[31m",
        ),
        ({"features": ROWS, "names": np.array(["a"])}, "names has the shape"),
        ({"features": ROWS, "names": np.arange(6)}, "names has the shape"),
        ({"features": ROWS, "names": np.array([{}] * 6)}, "names has the shape"),
        ({"features": ROWS, "seeds": np.arange(6.0)}, "seeds has the shape"),
        ({}, "only nothing"),
    ],
)
def test_features_that_are_none(tmp_path: Path, arrays: dict[str, np.ndarray], match: str) -> None:
    refused("test", save(tmp_path / "a.npz", **arrays), match)


def test_rows_that_are_not_finite_can_be_left_out(tmp_path: Path) -> None:
    found = read(
        "gen", str(save(tmp_path / "a.npz", features=NOT_FINITE, seeds=np.arange(6))), skip_bad=True
    )
    assert found.features is not None
    assert np.array_equal(found.features.numpy(), ROWS[[0, 1, 3, 5]])
    assert found.names == ("0", "1", "3", "5")
    assert found.seeds == (0, 1, 3, 5)
    assert found.warnings == ("gen: 2 of 6 rows are not finite and were skipped",)
    refused("gen", save(tmp_path / "a.npz", features=NOT_FINITE[[2]]), "row 0", skip_bad=True)


def member(shape: tuple[int, ...], payload: bytes, descr: str = "<f4") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"shape": shape, "fortran_order": False, "descr": descr}
    )
    return stream.getvalue() + payload


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ([("features.npy", member((1 << 40, 1 << 20), bytes(16)))], "damaged"),
        ([("features.npy", member((1 << 62, 1 << 62), b""))], "damaged"),
        ([("features.npy", member((2, -2), bytes(16)))], "damaged"),
        ([("features.npy", member((2, 2), bytes(15)))], "damaged"),
        ([("features.npy", member((2, 2), bytes(17)))], "damaged"),
        ([("features.npy", member((1, 1), b"", "|O"))], "pickled"),
        ([("features.npy", member((1, 1), bytes(16), "|V16"))], "real numbers"),
        ([("features.npy", b"\x93NUMPY\x03\x00" + bytes(60))], "version 3"),
        ([("features.npy", b"")], "a.npz"),
        ([("features.npy", pickle.dumps(ROWS))], "a.npz"),
        ([("features", member((2, 2), bytes(16)))], "only nothing"),
        (
            [("/features.npy", member((2, 2), bytes(16))), ("../../features.npy", b"")],
            "neither features",
        ),
        ([("features.npy", member((2, 2), bytes(16)))] * 2, "two of its arrays have one name"),
        ([("a.zip", b"")], "only nothing"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_npz(tmp_path: Path, files: list[tuple[str, bytes]], match: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, content in files:
            archive.writestr(name, content)
    refused("gen", tmp_path / "a.npz", match)


def test_a_bomb_of_features_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", member((1000, 1000), bytes(4_000_000)))
    assert (tmp_path / "a.npz").stat().st_size < 10_000
    monkeypatch.setattr("os.sysconf", lambda name: 2000)  # 2000 pages of 2000 bytes
    refused("gen", tmp_path / "a.npz", "half of this machine's memory")


# ---- sets together


def sets(**paths: str | Path) -> dict[str, InputSet]:
    return {role: read(role, str(path)) for role, path in paths.items()}


def test_sets_of_one_shape_stay_as_they_are() -> None:
    given = sets(gen="digits[:10]", train="digits[10:50]", test="digits[50:]")
    together = matched(given)
    assert together == given
    assert together is not given


def test_shapes_that_differ_are_named_with_a_remedy(tmp_path: Path) -> None:
    given = sets(
        gen=folder(tmp_path / "a", ["a.png"], side=16),
        train=folder(tmp_path / "b", ["a.png"], side=12),
    )
    with pytest.raises(
        ValueError,
        match=r"--gen has images of 16x16 pixels and --train of 12x12: "
        "say how files became what the model saw, such as --prepare crop-centre resize:12",
    ):
        matched(given)


def test_grey_among_colour_is_replicated(tmp_path: Path) -> None:
    given = sets(
        gen=folder(tmp_path / "a", ["a.png"]),
        train=folder(tmp_path / "b", ["a.png", "b.png"], channels=1),
    )
    together = matched(given)
    grey, colour = given["train"].images, together["train"].images
    assert grey is not None
    assert colour is not None
    assert torch.equal(colour.data, grey.data.expand(-1, 3, -1, -1))
    assert together["train"].sha256 == digest(colour.contents, colour.shape)
    assert together["train"].sha256 != given["train"].sha256
    assert colour.contents == replace(colour, hashes=()).contents  # grey is grey in colour too
    assert together["train"].warnings == (
        "train: grey images were replicated to RGB, since other sets are in colour",
    )
    assert together["gen"] is given["gen"]


def test_features_must_be_of_one_kind(tmp_path: Path) -> None:
    other = RNG.normal(size=(6, 5))
    plain = save(tmp_path / "plain.npz", features=ROWS)
    named = [save(tmp_path / f"{p}.npz", features=ROWS, protocol=np.array(p)) for p in ("p", "q")]
    assert matched(sets(gen=plain, train=named[0]))["train"].protocol == "p"
    for given, match in (
        (sets(gen="digits", train=plain), "--gen holds images and --train holds features"),
        (sets(gen=plain, train="digits"), "--gen holds features and --train holds images"),
        (sets(gen=plain, train=plain, test="digits"), "--test holds images"),
        (
            sets(gen=save(tmp_path / "o.npz", reps=other), train=plain),
            "--gen has 5 features per row and --train has 4",
        ),
        (
            sets(gen=named[0], train=plain, test=named[1]),
            "--test was described by 'q' and --gen by 'p'",
        ),
    ):
        with pytest.raises(ValueError, match=match):
            matched(given)


def test_twins_are_paired_by_seed_or_by_order(tmp_path: Path) -> None:
    train = folder(tmp_path / "train", ["a.png"])
    gen = folder(tmp_path / "gen", ["5.png", "6.png", "7.png"])

    def twin(names: list[str], first: int = 0) -> InputSet:
        path = folder(tmp_path / "-".join(names), names, first=first)
        return matched(sets(gen=gen, train=train, twin=path))["twin"]

    assert twin(["0005.png", "6.png", "x/7.png"]).seeds == (5, 6, 7)
    unnamed = twin(["a.png", "b.png", "c.png"])
    assert len(unnamed.warnings) == 1
    assert "paired in order" in unnamed.warnings[0]
    with pytest.raises(ValueError, match="--twin has a sample of seed 8 and --gen has none"):
        twin(["5.png", "6.png", "8.png"])
    with pytest.raises(ValueError, match="--twin has 2 rows and --gen has 3"):
        twin(["5.png", "6.png"])


def test_a_twin_in_another_order_is_put_in_order(tmp_path: Path) -> None:
    train = save(tmp_path / "t.npz", features=ROWS)
    gen = save(tmp_path / "g.npz", features=ROWS, seeds=np.arange(6))
    order = np.array([3, 0, 5, 1, 4, 2])
    twin = save(
        tmp_path / "w.npz",
        features=ROWS[order],
        seeds=order,
        names=np.array([f"n{i}" for i in order]),
    )
    found = matched(sets(gen=gen, train=train, twin=twin))["twin"]
    assert found.features is not None
    assert np.array_equal(found.features.numpy(), ROWS)
    assert found.seeds == tuple(range(6))
    assert found.names == tuple(f"n{i}" for i in range(6))
    assert found.sha256 == content_hash(ROWS)
    images = {
        "gen": folder(tmp_path / "g", ["z/1.png", "y/2.png"]),
        "twin": folder(tmp_path / "w", ["a/2.png", "b/1.png"]),
    }
    turned = matched(sets(train=folder(tmp_path / "t", ["a.png"]), **images))
    assert turned["gen"].seeds == turned["twin"].seeds == (2, 1)
    turned = matched(
        sets(
            train=tmp_path / "t",
            gen=tmp_path / "w",
            twin=folder(tmp_path / "v", ["a/1.png", "b/2.png"]),
        )
    )
    assert turned["twin"].names == ("b/2.png", "a/1.png")
    assert turned["twin"].images is not None
    twin = turned["twin"].images
    assert turned["twin"].sha256 == digest(replace(twin, hashes=()).contents, twin.shape)


def test_skipped_images_do_not_shift_the_pairs(tmp_path: Path) -> None:
    names = ["a.png", "b.png", "c.png"]
    given = {"train": read("train", folder(tmp_path / "t", ["a.png"]))}
    for role, bad in (("gen", "a.png"), ("twin", "b.png")):
        path = folder(tmp_path / role, names)
        (tmp_path / role / bad).write_bytes(b"")
        given[role] = read(role, path, skip_bad=True)
    with pytest.raises(ValueError, match="images were skipped"):
        matched(given)
