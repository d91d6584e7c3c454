"""The same images in every container that people have are one set; large ones are read when they
are asked for; what is not read ends with the way out.
"""

from __future__ import annotations

import io
import json
import pickle
import shlex
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from denoscope.audit.sets.inputs import read
from denoscope.cli import main
from denoscope.data import images as images_room
from denoscope.data import read_images
from denoscope.data.images import OnDemand, from_uint8, to_uint8

N = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 6, 5, 3), dtype=np.uint8)
DATA = from_uint8(torch.from_numpy(PIXELS)).permute(0, 3, 1, 2)
LABELS = list(range(N))


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def folder(root: Path) -> Path:
    root.mkdir()
    for i, pixels in enumerate(PIXELS):
        (root / f"{i}.png").write_bytes(png(pixels))
    return root


def packed(file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for i, pixels in enumerate(PIXELS):
            archive.writestr(f"{i}.png", png(pixels))
    return file


def tar(file: Path, rows: range = range(N)) -> Path:
    with tarfile.open(file, "w") as archive:
        for i in rows:
            for name, content in ((f"{i:04d}.png", png(PIXELS[i])), (f"{i:04d}.cls", b"%d" % i)):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file


def table(rows: range = range(N)) -> Any:
    pa = pytest.importorskip("pyarrow")
    pictures = [{"bytes": png(PIXELS[i]), "path": None} for i in rows]
    return pa.table({"id": [str(i) for i in rows], "image": pictures, "label": list(rows)})


def parquet(file: Path, rows: range = range(N)) -> Path:
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(table(rows), file, row_group_size=5)
    return file


def arrow(file: Path, rows: range = range(N), *, stream: bool = True) -> Path:
    pa = pytest.importorskip("pyarrow")
    rows_ = table(rows)
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(str(file), "wb") as out, make(out, rows_.schema) as writer:
        writer.write_table(rows_, max_chunksize=5)
    return file


def tensors(file: Path, value: object) -> Path:
    torch.save(value, file)
    return file


def array(file: Path, **named: np.ndarray) -> Path:
    np.savez(file, **named)  # pyright: ignore[reportArgumentType]
    return file


NCHW = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
CONTAINERS: dict[str, Callable[[Path], Path | str]] = {
    "zip": lambda p: packed(p / "a.zip"),
    "npz": lambda p: array(p / "a.npz", arr_0=PIXELS, arr_1=np.arange(N)),
    "samples": lambda p: array(p / "a.npz", samples=PIXELS),
    "key": lambda p: (
        f"{array(p / 'a.npz', train_images=PIXELS, test_images=PIXELS[:2])}::train_images"
    ),
    "key-split": lambda p: f"{array(p / 'a.npz', train=PIXELS, test=PIXELS[:2])}::train[0:]",
    "channels-first": lambda p: array(p / "a.npz", arr_0=PIXELS.transpose(0, 3, 1, 2)),
    "npy": lambda p: [np.save(p / "a.npy", PIXELS), p / "a.npy"][1],
    "fortran": lambda p: [np.save(p / "a.npy", np.asfortranarray(PIXELS)), p / "a.npy"][1],
    "pt": lambda p: tensors(p / "a.pt", NCHW.contiguous()),
    "pt-strided": lambda p: tensors(p / "a.pt", NCHW),
    "pt-list": lambda p: tensors(p / "a.pt", list(NCHW)),
    "pt-batches": lambda p: tensors(p / "a.pt", [NCHW[:7], NCHW[7:]]),
    "pt-key": lambda p: f"{tensors(p / 'a.pt', {'x': NCHW, 'y': NCHW[:3]})}::x",
    "tar": lambda p: tar(p / "a.tar"),
    "parquet": lambda p: parquet(p / "a.parquet"),
    "arrow": lambda p: arrow(p / "a.arrow"),
    "arrow-file": lambda p: arrow(p / "a.arrow", stream=False),
}


@pytest.mark.parametrize("kept", [1 << 28, 0])
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_is_one_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str, kept: int
) -> None:
    """In memory, and read on demand where it is too large for that."""
    monkeypatch.setattr(images_room, "_KEPT", kept)
    monkeypatch.setattr("denoscope.data.arrays._KEPT", kept)
    source = str(CONTAINERS[container](tmp_path))
    whole, flat = read("train", source), read("train", str(folder(tmp_path / "flat")))
    assert whole.images is not None
    assert isinstance(whole.images.stored, OnDemand) == (kept == 0)
    assert whole.sha256 == flat.sha256
    assert torch.equal(whole.images.data, DATA)
    assert torch.equal(whole.images[torch.tensor([7, 2])], DATA[[7, 2]])
    part = read("train", f"{source.removesuffix('[0:]')}[3:8]")
    assert part.images is not None
    assert torch.equal(part.images.data, DATA[3:8])
    assert part.contents == whole.contents[3:8]
    if whole.images.labels is not None:
        assert whole.images.labels.tolist() == LABELS
        assert part.images.labels is not None
        assert part.images.labels.tolist() == LABELS[3:8]


def test_floats_in_tensors_ask_for_their_range(tmp_path: Path) -> None:
    file = str(tensors(tmp_path / "a.pt", DATA))
    with pytest.raises(ValueError, match=r"--gen .*need their value_range \(--range LOW HIGH\)"):
        read("gen", file)
    found = read("gen", file, value_range=(-1, 1))
    assert found.images is not None
    assert torch.allclose(found.images.data, DATA, atol=1e-6)
    np.save(tmp_path / "rows.npy", PIXELS.reshape(N, -1).astype(np.float32))
    assert read("gen", str(tmp_path / "rows.npy")).shape == (90,)
    named = array(tmp_path / "a.npz", images=PIXELS, vectors=PIXELS.reshape(N, -1) / 9.0)
    assert read("gen", f"{named}::vectors").shape == (90,)


def test_shards_of_a_folder_follow_one_another(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    for shard in range(3):
        tar(tmp_path / f"web/set-{shard:06d}.tar", range(4 * shard, 4 * shard + 4))
    found = read("train", f"{tmp_path / 'web'}[2:11]")
    assert found.images is not None
    assert torch.equal(found.images.data, DATA[2:11])
    assert found.names[0] == "set-000000.tar/0002.png"


def test_splits_of_datasets_go_to_their_roles(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    parquet(tmp_path / "data/train-00000-of-00002.parquet", range(5))
    parquet(tmp_path / "data/train-00001-of-00002.parquet", range(5, 8))
    parquet(tmp_path / "data/test-00000-of-00001.parquet", range(8, N))
    parquet(tmp_path / "data/validation-00000-of-00001.parquet", range(2))
    train, test, gen = (read(role, str(tmp_path)) for role in ("train", "test", "gen"))
    assert train.images is not None
    assert test.images is not None
    assert torch.equal(train.images.data, DATA[:8])
    assert torch.equal(test.images.data, DATA[8:])
    assert "train: splits that were left out: validation" in train.warnings
    assert "gen: only the training split of" in gen.warnings[-1]


def test_a_part_is_cut_before_anything_is_decoded(tmp_path: Path) -> None:
    path, told = folder(tmp_path / "set"), []
    (path / "11.png").write_bytes(b"damaged")
    found = read("train", f"{path}[2:5]", progress=lambda *done: told.append(done))
    assert found.names == ("2.png", "3.png", "4.png")
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_total_is_known_after_the_first_file(tmp_path: Path) -> None:
    told: list[object] = []
    path = folder(tmp_path / "set")
    read_images(path, expect=lambda *said: told.append(said), progress=lambda *x: told.append(x))
    assert told[:2] == [(N, (3, 6, 5)), (1, N)]


def test_files_that_change_while_they_are_read_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_room, "_KEPT", 0)
    path = folder(tmp_path / "set")
    images = read_images(path)
    (path / "3.png").write_bytes(png(PIXELS[0, :3]))
    assert torch.equal(images[:3], DATA[:3])
    with pytest.raises(ValueError, match=r"3\.png was changed after it was read: start again"):
        images[3:5]


def test_sets_on_demand_change_as_sets_in_memory_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path / "set")

    def all_of() -> list[Tensor]:
        whole = read_images(path, prepare="crop-centre resize:4")
        return [
            whole.data,
            whole.at(torch.tensor([5, 1])).at(range(1, 2)).data,
            whole.changed(lambda x: x[:, :1]).data,
        ]

    small = all_of()
    monkeypatch.setattr(images_room, "_KEPT", 0)
    assert all(torch.equal(a, b) for a, b in zip(small, all_of(), strict=True))


CHECKPOINT = {"step": 10, "model": {"conv.weight": torch.zeros(4, 3, 3, 3)}, "opt": {}}


@pytest.mark.parametrize(
    ("name", "make", "match"),
    [
        ("a.pt", lambda f: torch.save(CHECKPOINT, f), "is a checkpoint.* give the images"),
        ("a.ckpt", lambda f: torch.save({"state_dict": {}, "epoch": 3}, f), "is a checkpoint"),
        ("a.pt", lambda f: torch.save({"a": DATA, "b": DATA}, f), r"a, b.*FILE\.pt::KEY"),
        ("a.pkl", lambda f: f.write_bytes(pickle.dumps([1])), "never opened.*savez"),
        ("a.tar.gz", lambda f: f.write_bytes(b"x"), "unpack it and give the folder"),
        ("a.h5", lambda f: f.write_bytes(b"x"), "no kind of file that is read.*savez"),
        ("a.mp4", lambda f: f.write_bytes(b"x"), "write its frames"),
        ("a.png", lambda f: f.write_bytes(b"x"), "give the folder that holds all of them"),
        ("a.tar", lambda f: f.write_bytes(b"x"), "cannot be read"),
        ("a.parquet", lambda f: f.write_bytes(b"x"), "cannot be read|a.parquet"),
        ("a.arrow", lambda f: f.write_bytes(b"ARROW1"), "a.arrow"),
        ("a.npy", lambda f: f.write_bytes(b"x"), "a.npy"),
        ("a.npz", lambda f: np.savez(f, x=PIXELS, y=PIXELS), r"x, y.* FILE\.npz::KEY"),
        ("data.mdb", lambda f: f.write_bytes(b"x"), "LMDB"),
    ],
)
def test_what_is_not_read_ends_with_the_way_out(
    tmp_path: Path, name: str, make: Callable[[Path], object], match: str
) -> None:
    make(tmp_path / name)
    path = tmp_path if name == "data.mdb" else tmp_path / name
    with pytest.raises(ValueError, match=match) as error:
        read("gen", str(path))
    assert str(error.value).startswith("--gen ")
    assert "\n" not in str(error.value)


def test_names_that_mean_nothing_here(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing is downloaded.*hf download google/ddpm"):
        read("gen", "google/ddpm-cifar10-32")
    file = array(tmp_path / "a.npz", images=PIXELS)
    with pytest.raises(ValueError, match="has no array x, only images"):
        read("gen", f"{file}::x")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"name": "mine", "images": [{"id": 1}]}, "no labels were read"),
        ({"labels": [["0.png", 0], ["1.png", 1]]}, "10 of 12 images have none, such as 2.png"),
    ],
)
def test_labels_of_some_files_are_left_out(tmp_path: Path, table: object, said: str) -> None:
    path = folder(tmp_path / "set")
    (path / "dataset.json").write_text(json.dumps(table))
    images = read_images(path)
    assert len(images) == N
    assert images.labels is None
    assert said in images.warnings[-1]
    some = read_images(path, part=lambda n, test_from: range(2))
    assert (some.labels is None) == ("name" in str(table))


@pytest.mark.usefixtures("sketched")
def test_the_example_of_the_docs_audits_digits_in_three_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    digits = to_uint8(read_images("digits").data[:, 0]).numpy()
    made, train, held = digits[:60], digits[:200], digits[300:600]
    np.savez(tmp_path / "samples.npz", made=made, other=made[:1])
    with tarfile.open(tmp_path / "train.tar", "w") as archive:
        for i, pixels in enumerate(train):
            info = tarfile.TarInfo(f"{i:04d}.png")
            info.size = len(content := png(pixels))
            archive.addfile(info, io.BytesIO(content))
    rows = [{"bytes": png(pixels), "path": None} for pixels in held]
    pq.write_table(pa.table({"image": rows}), tmp_path / "held.parquet")
    docs = (Path(__file__).parent.parent / "docs" / "audit.md").read_text()
    line = next(line for line in docs.splitlines() if "samples.npz::made" in line)
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(line)[1:], "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("60 of 60 samples")
