"""What the model saw: misfits of files and samples are found, tried on samples that are left out of
the count, and asked where more than one way fits; what was read stands in the verdict.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from denoscope import cli
from denoscope.audit import AuditOptions, examine
from denoscope.audit.report.verdict import verdict
from denoscope.audit.sets.as_sampled import as_sampled
from denoscope.audit.sets.fits import fits
from denoscope.audit.sets.settled import Settled, Unsettled, settle
from denoscope.data import Images, read_images
from denoscope.data.grids import by_lines, laid_out, of_cells
from denoscope.data.prepare import Preparation
from denoscope.progress import Voice

QUIET = Voice(quiet=True)
SIDE = 16
TRAIN, TEST, FRESH, COPIED = 120, 60, 24, 36


def scene(seed: int, height: int = 20, width: int = 32) -> np.ndarray:
    """Blocks of colour on a ground: uint8 (h, w, 3)."""
    rng = np.random.default_rng([3, seed])
    picture = np.ones((height, width, 3)) * rng.uniform(0.2, 0.8, 3)
    for _ in range(6):
        top, left = rng.integers(0, height - 2), rng.integers(0, width - 2)
        tall, wide = rng.integers(2, height // 2), rng.integers(2, width // 2)
        picture[top : top + tall, left : left + wide] = rng.uniform(0, 1, 3)
    return (255 * picture).round().astype(np.uint8)


def middle(picture: np.ndarray) -> np.ndarray:
    """The shorter side at 16 pixels and the middle square, by Pillow."""
    image = Image.fromarray(picture)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def near(picture: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng([5, seed]).normal(0, 3, picture.shape)
    return (picture + noise).clip(0, 255).round().astype(np.uint8)


def put(folder: Path, pictures: Sequence[np.ndarray], ending: str = "png", **how: Any) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{i:04d}.{ending}", ending, **how)
    return str(folder)


Saw = Callable[[np.ndarray], np.ndarray]


def three(
    root: Path, make: Callable[[int], np.ndarray], saw: Saw, copied: int = COPIED
) -> dict[str, str]:
    """A folder of training files, one of held-out ones, and samples: copies of what the model saw,
    then fresh images.
    """
    train = [make(i) for i in range(TRAIN)]
    samples = [near(saw(x), i) for i, x in enumerate(train[:copied])]
    samples += [saw(make(2000 + i)) for i in range(FRESH + COPIED - copied)]
    test = [make(1000 + i) for i in range(TEST)]
    named = {"train": train, "test": test, "gen": samples}
    return {role: put(root / role, pictures) for role, pictures in named.items()}


def asked(paths: dict[str, str], **how: Any) -> AuditOptions:
    return AuditOptions(**{**how, **paths})


def settled(paths: dict[str, str], **how: Any) -> Settled:
    return settle(asked(paths, **how), QUIET)


@pytest.mark.parametrize("resize", [0, SIDE])
def test_a_centre_crop_is_found_by_copies(tmp_path: Path, resize: int) -> None:
    found = settled(three(tmp_path, scene, middle), resize=resize)
    assert str(found.how["train"]) == str(found.how["test"]) == f"crop-centre resize:{SIDE}"
    assert len(found.chose) == (FRESH + COPIED) // 4
    assert [one.fits for _, one in found.tried] == [True] + [False] * (len(found.tried) - 1)
    assert "32x20 pixels and --gen of 16x16" in found.misfits[0]


def test_samples_that_tell_nothing_are_not_made_to_choose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Blocks of colour look alike cropped and squeezed, so that without copies it is asked."""
    paths = three(tmp_path, scene, middle, copied=0)
    with pytest.raises(Unsettled, match=r"ways fit .* such as --prepare-train") as error:
        settled(paths)
    advised = str(error.value).rpartition("--prepare-train ")[2]
    assert not settled(paths, prepare_train=advised).tried
    flags = [word for role, path in paths.items() for word in (f"--{role}", path)]
    assert cli.main(["audit", *flags, "--out", str(tmp_path / "out"), "--quiet"]) == 2
    output, told = capsys.readouterr()
    assert not output
    assert told.splitlines()[0].split() == ["distance", "nearer", "best", "for", "fits"]
    assert told.splitlines()[-1].startswith("denoscope: --train has images of 32x20")
    assert len(told.splitlines()) == 2 + len(error.value.table) - 1


def sprite(seed: int) -> np.ndarray:
    """On nothing at all, in which red is hidden."""
    picture = scene(seed, SIDE, SIDE)
    clear = scene(seed + 5000, SIDE, SIDE)[..., :1] > 128
    hidden = np.array([200, 0, 0], dtype=np.uint8)
    return np.dstack([np.where(clear, hidden, picture), 255 * (~clear).astype(np.uint8)])


@pytest.mark.parametrize("word", ["black", "white", "drop"])
def test_the_ground_under_transparency_is_found(tmp_path: Path, word: str) -> None:
    def saw(picture: np.ndarray) -> np.ndarray:
        kept = picture[..., 3:] > 0
        ground = {"black": 0, "white": 255}.get(word)
        return picture[..., :3] if ground is None else np.where(kept, picture[..., :3], ground)

    def eight(picture: np.ndarray) -> np.ndarray:
        return saw(picture).astype(np.uint8)

    found = settled(three(tmp_path, sprite, eight, copied=0))
    assert str(found.how["train"]) == f"alpha:{word}"


def test_turned_files_are_told_from_upright_ones(tmp_path: Path) -> None:
    paths = three(tmp_path, lambda i: scene(i, SIDE, SIDE), lambda x: x)
    for role in ("train", "test"):
        for i, file in enumerate(sorted(Path(paths[role]).iterdir())):
            orientation, turns = [(1, 0), (3, 2), (6, 1), (8, 3)][i % 4]
            exif = Image.Exif()
            exif[0x0112] = orientation
            upright = np.asarray(Image.open(file))
            Image.fromarray(np.rot90(upright, turns).copy()).save(file, exif=exif)
    assert str(settled(paths).how["train"]) == "exif"
    assert not settled(paths, prepare="stored").tried


def test_values_of_twelve_bits_are_found(tmp_path: Path) -> None:
    def deep(seed: int) -> np.ndarray:
        grey = scene(seed, SIDE, SIDE)[..., 0].astype(np.uint16)
        return grey * 14 + 300

    def saw(picture: np.ndarray) -> np.ndarray:
        return (picture / 4095 * 255).round().astype(np.uint8)

    assert str(settled(three(tmp_path, deep, saw)).how["train"]) == "max:4095"


def test_grey_samples_of_colour_files(tmp_path: Path) -> None:
    def saw(picture: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(picture).convert("L"))

    found = settled(three(tmp_path, lambda i: scene(i, SIDE, SIDE), saw, copied=30))
    assert str(found.how["train"]) == "grey"


def test_what_fits_is_not_asked(tmp_path: Path) -> None:
    paths = three(tmp_path, lambda i: scene(i, SIDE, SIDE), lambda x: x)
    found = settled(paths)
    assert not found.tried
    assert not any(how.words for how in found.how.values())
    assert {str(how) for how in settled(paths, prepare="edm").how.values()} == {
        "stored alpha:drop crop-centre resize:16:lanczos"
    }
    with pytest.raises(ValueError, match="--resize 8 is the word resize:8"):
        settled(paths, prepare="crop:4", resize=8)


def test_the_right_way_is_dropped_as_seldom_as_declared() -> None:
    """Training images whose other way tells nothing, and fresh samples of their law."""
    dropped = 0
    for seed in range(100):
        g = torch.Generator().manual_seed(seed)
        train, samples, mix = (torch.randn(n, 12, generator=g) for n in (60, 20, 12))
        ways = [(samples, train), (samples @ mix, train @ mix)]
        dropped += not fits([x for x, _ in ways], [y for _, y in ways])[0].fits
    assert dropped <= 2  # of 100 at an error of .001: more in 1 of 6 000 runs


def grids(cells: np.ndarray, columns: int, border: int, margin: int) -> np.ndarray:
    """Cells (n, h, w, c) as one picture on black."""
    rows, (_, h, w, _) = len(cells) // columns, cells.shape
    size = [n * (side + border) - border + 2 * margin for n, side in ((rows, h), (columns, w))]
    canvas = np.zeros((*size, 3), np.uint8)
    for i, cell in enumerate(cells):
        top, left = (margin + k * (s + border) for k, s in zip(divmod(i, columns), (h, w)))
        canvas[top : top + h, left : left + w] = cell
    return canvas


@pytest.mark.parametrize(("border", "margin"), [(2, 2), (2, 0), (0, 0)])
def test_grids_are_found_and_cut(border: int, margin: int) -> None:
    cells = np.stack([scene(i, 12, 12) for i in range(24)])
    pictures = np.stack([grids(cells[i : i + 6], 3, border, margin) for i in range(0, 24, 6)])
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    grid = of_cells(x, 12, 12)
    assert grid is not None
    assert (str(grid), grid.border, grid.margin) == ("2x3", border, margin)
    assert laid_out("2x3", x) == grid
    assert by_lines(x) == (grid if border else None)
    assert (grid.cut(x).flatten(0, 1).permute(0, 2, 3, 1).numpy() == cells).all()
    large = torch.from_numpy(np.stack([scene(i, 24, 24) for i in range(8)])).permute(0, 3, 1, 2)
    assert of_cells(large, 12, 12) is None
    assert by_lines(large) is None


def test_grids_of_samples_are_offered_and_every_cell_counts(tmp_path: Path) -> None:
    train = np.stack([scene(i, SIDE, SIDE) for i in range(TRAIN)])
    rng = np.random.default_rng(0)
    pictures = [
        grids(np.stack([near(train[j], j) for j in rng.choice(60, 9, replace=False)]), 3, 2, 2)
        for _ in range(6)
    ]
    test = [scene(1000 + i, SIDE, SIDE) for i in range(TEST)]
    paths = {"gen": put(tmp_path / "gen", pictures), "train": put(tmp_path / "train", list(train))}
    paths["test"] = put(tmp_path / "test", test)
    with pytest.raises(ValueError, match=r"56x56 .* 3x3 images of 16x16 with 2 .*: --grid 3x3"):
        settled(paths)
    found = audited(tmp_path, paths, grid="3x3")
    assert len(found.inputs["gen"]) == 54
    assert found.combined is not None
    assert found.combined.excess.low > 0.8
    assert "Samples are the cells of grids of 3x3." in " ".join(verdict(found))


def audited(root: Path, paths: dict[str, str], **how: Any) -> Any:
    metrics = ("excess_combined",)
    return examine(asked(paths, **how, out=root / "out", metrics=metrics), QUIET)


def test_the_verdict_says_what_was_compared_and_counts_no_chooser(tmp_path: Path) -> None:
    found = audited(tmp_path, three(tmp_path, scene, middle))
    names = set(found.inputs["gen"].names)
    assert len(names) == 45
    assert not names & found.settled.chose
    copies = sum(int(Path(name).stem) < COPIED for name in names)
    assert found.combined.excess.low < copies / 45 < found.combined.excess.high
    text = " ".join(verdict(found))
    assert "training images and held-out ones by `crop-centre resize:16`" in text
    assert "15 samples, which are left out of the count" in text
    assert found.protocol["prepare"]["train"] == "crop-centre resize:16"


def test_mirrored_copies_are_named_and_counted_when_asked(tmp_path: Path) -> None:
    train = [scene(i, SIDE, SIDE) for i in range(80)]
    samples = [near(x[:, ::-1] if i % 2 else x, i) for i, x in enumerate(train[:60])]
    test = [scene(1000 + i, SIDE, SIDE) for i in range(TEST)]
    named = {"train": train, "gen": samples, "test": test}
    paths = {role: put(tmp_path / role, pictures) for role, pictures in named.items()}
    plain, both = audited(tmp_path, paths), audited(tmp_path, paths, flips=True)
    assert plain.combined.excess.high < 0.8
    assert "30 of 60 samples, mirrored" in " ".join(verdict(plain))
    assert both.combined.excess.low > 0.8
    assert "Mirrored training images were compared too" in " ".join(verdict(both))
    assert "mirrored, come" not in " ".join(verdict(both))


def test_copies_are_planted_as_samples_are_before_they_are_prepared(tmp_path: Path) -> None:
    paths = three(tmp_path, lambda i: scene(i, SIDE, SIDE), lambda x: x)
    options = asked(paths, prepare="grey resize:4", planted=20)
    made = as_sampled(options, settle(options, QUIET))
    assert made is not None
    stored = {x.numpy().tobytes() for x in read_images(paths["train"]).data}
    assert made.shape == (20, 3, SIDE, SIDE)
    assert all(x.contiguous().numpy().tobytes() in stored for x in made)
    plain = asked(paths, prepare="alpha:drop")
    assert as_sampled(plain, settle(plain, QUIET)) is None


def test_sets_that_are_the_same_files_are_refused(tmp_path: Path) -> None:
    paths = three(tmp_path / "project", lambda i: scene(i, SIDE, SIDE), lambda x: x)
    inside = {**paths, "train": str(tmp_path / "project")}
    with pytest.raises(ValueError, match=r"--gen .*gen lies inside --train"):
        audited(tmp_path, {"gen": inside["gen"], "train": inside["train"]})
    os.symlink(paths["gen"], Path(paths["train"]) / "link")
    with pytest.raises(ValueError, match="lies inside --train"):
        audited(tmp_path, paths)
    os.unlink(Path(paths["train"]) / "link")
    os.symlink(paths["train"], tmp_path / "again")
    with pytest.raises(ValueError, match="--train and --gen are the same folder"):
        audited(tmp_path, {**paths, "gen": str(tmp_path / "again")})
    train = paths["train"]
    found = audited(tmp_path, {"gen": f"{train}[0:60]", "train": f"{train}[60:120]"})
    assert len(found.inputs["gen"]) == 60


def test_images_are_known_by_content_and_what_was_left_out_is_in_the_verdict(
    tmp_path: Path,
) -> None:
    paths = three(tmp_path, lambda i: scene(i, SIDE, SIDE), lambda x: x)
    for i, file in enumerate(sorted(Path(paths["train"]).iterdir())[:30]):
        file.rename(file.with_suffix((".jfif", "", ".dat")[i % 3]))
    (Path(paths["train"]) / "notes.txt").write_text("not an image")
    found = audited(tmp_path, paths)
    assert len(found.inputs["train"]) == TRAIN
    assert "train: 1 file: not read: no image" in " ".join(verdict(found))
    (Path(paths["train"]) / "slice.bin").write_bytes(bytes(128) + b"DICM" + bytes(20))
    with pytest.raises(ValueError, match=r"slice\.bin cannot be read: DICOM.*convert it to PNG"):
        read_images(paths["train"])


def test_classes_are_compared_within_themselves(tmp_path: Path) -> None:
    """A class that is dense reads as copies against all classes, and not within it."""
    g = torch.Generator().manual_seed(0)

    def images(dense: int, wide: int) -> Images:
        scale = torch.cat([torch.full((dense,), 0.05), torch.full((wide,), 0.3)])
        data = scale[:, None, None, None] * torch.randn(dense + wide, 1, 6, 6, generator=g)
        labels = torch.cat([torch.zeros(dense), torch.ones(wide)]).long()
        return Images(data.clamp(-1, 1), "drawn", labels=labels)

    paths = {}
    for role, counts in {"train": (40, 260), "test": (40, 260), "gen": (80, 0)}.items():
        one = images(*counts)
        paths[role] = str(tmp_path / f"{role}.npz")
        kept = {"images": one.data[:, 0].numpy(), "labels": one.labels}
        np.savez(paths[role], **kept)  # pyright: ignore[reportArgumentType]
    found = audited(tmp_path, paths, by_class=True, range=(-1.0, 1.0))
    assert [len(found.inputs[role]) for role in ("train", "test", "gen")] == [40, 40, 80]
    assert found.combined is None or found.combined.excess.low <= 0
    assert "within classes" in " ".join(verdict(found))
    np.savez(paths["gen"], images=images(80, 0).data[:, 0].numpy())
    with pytest.raises(ValueError, match="--gen has no labels"):
        audited(tmp_path, paths, by_class=True, range=(-1.0, 1.0))


def test_a_statement_settles_its_own_question_alone(tmp_path: Path) -> None:
    def clear(seed: int) -> np.ndarray:
        opaque = np.full((20, 32, 1), 255, np.uint8)
        opaque[:4] = 0
        return np.concatenate([scene(seed), opaque], 2)

    def saw(picture: np.ndarray) -> np.ndarray:
        return middle((picture[..., :3] * (picture[..., 3:] > 0)).astype(np.uint8))

    found = settled(three(tmp_path, clear, saw), prepare_train="alpha:black")
    assert len(found.misfits) == 1
    assert found.how["train"] == Preparation.of(f"alpha:black crop-centre resize:{SIDE}")


def test_a_statement_that_does_not_fit_is_doubted(tmp_path: Path) -> None:
    paths = three(tmp_path, scene, middle)
    wrong = settled(paths, prepare_train=f"resize:{SIDE}")
    assert not wrong.chose
    assert f"`crop-centre resize:{SIDE}` alone fits" in wrong.doubt
    assert not settled(paths, prepare_train=f"crop-centre resize:{SIDE}").doubt
