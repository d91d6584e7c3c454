"""The command `denoscope audit` from end to end: planted copies are counted, nothing hides them,
mistakes cost one line and leave nothing half-written.
"""

from __future__ import annotations

import csv
import errno
import html
import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from denoscope import audit as audit_package
from denoscope import read_images
from denoscope.audit.evidence.metric_table import NAMES
from denoscope.audit.report.csv_table import COLUMNS
from denoscope.cli import main
from denoscope.data import images as images_room
from denoscope.data.images import to_uint8
from denoscope.report import Page

FAST = ("excess", "excess_combined", "memorized", "exact_duplicates")
"""Metrics that take no time."""
TRAIN, TEST, FRESH = slice(0, 500), slice(500, 900), slice(900, 1200)
Run = Callable[..., int]


@pytest.fixture(scope="module")
def digits() -> Tensor:
    data = read_images("digits").data
    return data[torch.randperm(len(data), generator=torch.Generator().manual_seed(3))]


@pytest.fixture(scope="module")
def sets(digits: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train, test and fresh .npz, all of different digits."""
    folder = tmp_path_factory.mktemp("sets")
    for name, part in (("train", TRAIN), ("test", TEST), ("fresh", FRESH)):
        saved(folder / name, digits[part])
    return folder


@pytest.fixture
def run(sets: Path, tmp_path: Path) -> Run:
    """Audits some samples of the sets; words given later win."""

    def audited(
        *words: object,
        test: bool = True,
        metrics: Sequence[str] = FAST,
        quiet: bool = True,
        drawn: bool = False,
    ) -> int:
        given = [
            "--train",
            sets / "train.npz",
            *(["--test", sets / "test.npz"] if test else []),
            "--out",
            tmp_path / "out",
        ]
        more = ["--planted", 40, *(["--quiet"] if quiet else []), "--metrics", *metrics, *words]
        with pytest.MonkeyPatch.context() as patch:
            if not drawn:  # takes a second
                patch.setattr(audit_package, "build", lambda *_: Page("an audit", "", []))
            return main(["audit", *map(str, [*given, *more])])

    return audited


def saved(path: Path, images: Tensor) -> Path:
    """An .npz of images in [-1, 1]."""
    np.savez(path, images=to_uint8(images).permute(0, 2, 3, 1).numpy())
    return path.with_suffix(".npz")


def noisy(images: Tensor, level: float = 0.03, seed: int = 0) -> Tensor:
    """What a memorizing model makes."""
    return (
        images + level * torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    ).clamp(-1, 1)


def result(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "out" / "audit.json").read_text())


def refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, code: int, said: str, expected: int = 2
) -> None:
    """One line on standard error, nothing on standard output, no report."""
    output, error = capsys.readouterr()
    assert (code, output) == (expected, "")
    assert error.startswith("denoscope: ")
    assert error.count("\n") == 1, error
    assert re.search(said, error.replace("\u00a0", " ")), error
    assert not list(tmp_path.glob("out/audit.*")), "a report of nothing"
    assert not list(tmp_path.glob("out/.report*"))


# what was found


@pytest.mark.parametrize(
    ("copies", "status"),
    [(0, "Copies were not seen"), (15, "are copies of"), (60, "are copies of")],
)
def test_planted_copies_are_counted(
    copies: int, status: str, digits: Tensor, run: Run, tmp_path: Path
) -> None:
    gen = torch.cat([noisy(digits[TRAIN][:copies]), digits[FRESH][copies:]])
    assert run("--gen", saved(tmp_path / "gen", gen)) == 0
    found = result(tmp_path)
    assert status in found["verdict"][0]
    for excess in (found["metrics"]["excess_combined"], found["metrics"]["excess"]):
        assert excess["low"] <= copies / len(gen) <= excess["high"]
        assert excess["low"] > 0 or not copies
    rows = list(csv.DictReader((tmp_path / "out" / "audit.csv").read_text().splitlines()))
    assert [row["verdict"] for row in rows[:copies]].count("copy") >= 0.9 * copies
    right = [int(row["nearest"]) == i for i, row in enumerate(rows[:copies])]
    assert sum(right) >= 0.9 * copies


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("test", [True, False])
def test_doubled_training_images_hide_no_copies(
    noise: float, test: bool, digits: Tensor, run: Run, tmp_path: Path
) -> None:
    if noise and not test:
        pytest.skip("doubles that are not exact are told from neighbours by held-out images")
    once = digits[:200]
    doubled = saved(tmp_path / "doubled", torch.cat([once, noisy(once, noise, 5)]))
    gen = saved(tmp_path / "gen", noisy(once, seed=6))
    assert run("--gen", gen, "--train", doubled, "--fail-above", 0.5, test=test) == 3
    found = result(tmp_path)
    assert found["metrics"]["excess_combined"]["low"] > 0.9
    assert found["metrics"]["memorized"]["value"] > 0.9
    assert found["duplicates"]["images"] >= 390
    assert "The training set is duplicated" in " ".join(found["verdict"])


def test_few_training_images_without_a_control_make_no_copies(
    digits: Tensor, run: Run, tmp_path: Path
) -> None:
    """Images that made the axes lie farther apart on them than fresh ones do, which looked like
    copies: 10 of 10 audits of 16 digits found some.
    """
    gen, found = saved(tmp_path / "gen", digits[FRESH]), 0
    for i, n in enumerate((16, 16, 32, 64)):
        assert (
            run(
                "--gen",
                gen,
                "--train",
                saved(tmp_path / "few", digits[70 * i : 70 * i + n]),
                test=False,
            )
            == 0
        )
        found += "are copies" in result(tmp_path)["verdict"][0]
    assert found <= 1
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert (
            run("--gen", gen, "--train", tmp_path / "few.npz", "--descriptor", "pca:40", test=False)
            == 2
        )


def test_a_pipeline_that_memorized_is_flagged(
    memorizing_pipeline: tuple[Path, Tensor],
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, images = memorizing_pipeline
    words = [
        "--gen",
        folder,
        "--train",
        saved(tmp_path / "train", images),
        "--seeds",
        "0-39",
        "--steps",
        20,
        "--fail-above",
        0.3,
    ]
    assert run(*words) == 3
    found = result(tmp_path)
    assert "are copies of training images" in found["verdict"][0]
    assert found["metrics"]["memorized"]["low"] > 0.5
    first = (tmp_path / "out" / "audit.csv").read_text()
    capsys.readouterr()
    assert run(*words, quiet=False) == 3
    assert "0 of 40 samples, the others are stored" in capsys.readouterr().err
    assert (tmp_path / "out" / "audit.csv").read_text() == first


@pytest.mark.slow
def test_networks_of_a_study_are_told_apart(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "store"
    words = [
        "--n",
        "8",
        "512",
        "--width",
        "64",
        "--subset",
        "0",
        "--seed",
        "0",
        "--steps",
        "800",
        "--samples",
        "24",
        "--solver-steps",
        "4",
    ]
    assert (
        main(
            ["run", "phase_transition", *words, "--store", str(store), "--on", "serial", "--quiet"]
        )
        == 0
    )
    lows = {}
    for cell in (store / "cells").iterdir():
        n = json.loads((cell / "result.json").read_text())["fields"]["n"]
        assert (
            run("--gen", cell, "--train", cell, "--test", cell, "--seeds", "0-99", "--steps", 20)
            == 0
        )
        found = result(tmp_path)
        assert [found["inputs"][role]["count"] for role in ("train", "test")] == [n, 261]
        lows[n] = found["metrics"]["excess_combined"]
    assert lows[8]["low"] > 0.3  # samples of eight images repeat each other
    assert lows[512]["low"] <= 0
    assert lows[512]["high"] < 0.1


# what is written


@pytest.fixture(scope="module")
def whole(
    digits: Tensor, sets: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """An audit with everything that it measures, and its words."""
    folder = tmp_path_factory.mktemp("whole")
    gen, twin = (
        saved(folder / name, digits[part])
        for name, part in (("gen", slice(900, 1000)), ("twin", slice(1000, 1100)))
    )
    out = folder / "out"
    words = [
        "audit",
        "--gen",
        gen,
        "--twin",
        twin,
        "--train",
        sets / "train.npz",
        "--test",
        sets / "test.npz",
        "--out",
        out,
    ]
    return folder, [*map(str, words), "--planted", "40", "--seed", "7"]


@pytest.mark.usefixtures("sketched")
def test_what_is_written(whole: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    folder, words = whole
    assert main(words) == 0
    output, error = capsys.readouterr()
    assert output.splitlines()[-1] == str(folder / "out" / "audit.html")
    assert "train: 500 rows" in error
    page, document = (
        html.unescape((folder / "out" / "audit.html").read_text()).replace("\u00a0", " "),
        result(folder),
    )
    assert output.splitlines()[0] == document["verdict"][0]
    assert document["verdict"][0].partition(".")[0] in re.sub("<[^>]+>", "", page)
    contract = {
        "schema",
        "verdict",
        "state",
        "copies_at_most",
        "metrics",
        "descriptors",
        "duplicates",
        "inputs",
        "command",
        "seed",
        "versions",
        "warnings",
    }
    assert set(document) == contract | {
        "combined",
        "hits",
        "overlap",
        "prepared",
        "protocol",
        "question",
    }
    assert (document["schema"], document["seed"], document["warnings"]) == (1, 7, [])
    assert list(document["metrics"]) == list(NAMES)
    for name, one in document["metrics"].items():
        assert {
            "value",
            "low",
            "high",
            "level",
            "n",
            "method",
            "threshold",
            "descriptor",
            "protocol",
            "by_descriptor",
        } <= set(one), name
        assert one["value"] is not None or one["reason"], name
        assert one["value"] is None or one["low"] <= one["value"] <= one["high"], name
    assert set(document["descriptors"]) == {"pixels", "pca"}
    assert {"auc", "threshold", "preprocessing", "sha256"} <= set(document["descriptors"]["pixels"])
    assert set(document["inputs"]) == {"gen", "train", "test", "twin"}
    assert all({"path", "count", "sha256"} <= set(one) for one in document["inputs"].values())
    rows = list(csv.reader((folder / "out" / "audit.csv").read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 101
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "audit.csv",
        "audit.html",
        "audit.json",
        "figures",
    ]


@pytest.mark.usefixtures("sketched")
def test_json_stands_alone_and_old_figures_go(
    whole: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, words = whole
    (folder / "out" / "figures").mkdir(parents=True, exist_ok=True)
    for name in ("audit_of_before.svg", "mine.svg"):
        (folder / "out" / "figures" / name).write_text("")
    assert main([*words, "--json", "--quiet", "--metrics", *FAST]) == 0
    output, error = capsys.readouterr()
    assert error == ""
    assert json.loads(output) == result(folder)
    left = {path.name for path in (folder / "out" / "figures").iterdir()}
    assert "mine.svg" in left
    assert "audit_of_before.svg" not in left


def test_a_dry_run_writes_nothing(
    whole: tuple[Path, list[str]],
    memorizing_pipeline: tuple[Path, Tensor],
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, words = whole
    assert main([*words, "--out", str(tmp_path / "out"), "--dry-run", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("in all about")
    assert run("--gen", memorizing_pipeline[0], "--seeds", "0-9", "--dry-run") == 0
    assert "10 samples of" in capsys.readouterr().out
    assert run("--gen", "digits", "--dry-run", metrics=["memorised"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_images_on_demand_give_the_same_audit_and_a_dry_run_reads_few_of_them(
    digits: Tensor,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A set that is too large to be kept is described, compared and shown as one in memory is."""
    for name, part in (("train", digits[TRAIN][:150]), ("gen", noisy(digits[TRAIN][:20]))):
        (tmp_path / name).mkdir()
        for i, pixels in enumerate(to_uint8(part)[:, 0].numpy()):
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    words = ("--train", tmp_path / "train", "--gen", tmp_path / "gen")
    found = []
    for kept in (1 << 28, 0):
        monkeypatch.setattr(images_room, "_KEPT", kept)
        assert run(*words, test=False, quiet=False) == 0
        found.append(
            result(tmp_path) | {"command": "", "csv": (tmp_path / "out/audit.csv").read_text()}
        )
    assert found[0] == found[1]
    assert "train: 150 images of 1 × 8 × 8, 0.0 GiB at 8 bits" in capsys.readouterr().err
    monkeypatch.setattr(sys.modules["denoscope.audit.plan"], "_FEW", 10)
    (tmp_path / "train" / "149.png").write_bytes(b"never read")
    assert run(*words, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "train: 150 images of" in said
    assert re.search(r"in all about .* and \d+\.\d GiB", said)


def test_exit_codes(
    digits: Tensor, run: Run, sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gen = saved(tmp_path / "gen", torch.cat([digits[TRAIN][:60], digits[FRESH][60:]]))
    assert run("--gen", gen, "--fail-above", 0.9) == 0
    assert capsys.readouterr().err == ""
    assert run("--gen", gen, "--fail-above", 0.05) == 3
    assert re.fullmatch(
        r"denoscope: at least 1\d % of samples are copies, more than --fail-above 0.05\n",
        capsys.readouterr().err,
    )
    assert result(tmp_path)["gate"] == "failed"
    assert run("--gen", sets / "fresh.npz", "--fail-above", 0.2) == 0
    assert result(tmp_path)["gate"] == "passed"
    capsys.readouterr()
    assert run("--gen", sets / "fresh.npz", "--fail-above", 0.01) == 3
    found = result(tmp_path)
    assert found["gate"] == "undecided"
    assert "--fail-above 0.01 is undecided: up to" in capsys.readouterr().err
    assert found["gate_needs"] is None or found["gate_needs"]["samples"] > 300
    five = [
        str(saved(tmp_path / name, digits[part]))
        for name, part in (("gen", slice(900, 905)), ("train", slice(5)))
    ]
    assert run("--gen", five[0], "--train", five[1], "--fail-above", 0.5, test=False) == 3
    assert "nan" not in capsys.readouterr().err


# features, twins


def test_features_alone(
    digits: Tensor, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def described(name: str, rows: Tensor, **more: Any) -> Path:
        np.savez(tmp_path / name, features=rows.flatten(1).numpy(), **more)
        return tmp_path / f"{name}.npz"

    train, test = (
        described("train", digits[TRAIN], protocol="dino-1"),
        described("test", digits[TEST], protocol="dino-1"),
    )
    copies = torch.cat([noisy(digits[TRAIN][:60]), digits[FRESH][60:]])
    words = ["--train", train, "--test", test]
    assert run("--gen", described("gen", copies), *words) == 0
    found = result(tmp_path)
    assert (
        found["metrics"]["excess_combined"]["low"]
        <= 0.2
        <= found["metrics"]["excess_combined"]["high"]
    )
    assert set(found["descriptors"]) == {"features", "features-cosine"}
    shutil.rmtree(tmp_path / "out")
    capsys.readouterr()
    for other, said in (
        ({"protocol": "dino-2"}, "described by 'dino-2' and --train by 'dino-1'"),
        ({"protocol": "x\x1b[31m"}, r"x\\+x1b"),
    ):
        refused(capsys, tmp_path, run("--gen", described("gen", copies, **other), *words), said)
    refused(
        capsys,
        tmp_path,
        run("--gen", tmp_path / "gen.npz", test=False),
        "--gen holds features and --train holds images",
    )
    gen = described("gen", copies, protocol="dino-1")
    for flag, said in (
        (["--descriptor", "pixels"], "--descriptor"),
        (["--resize", 4], "--resize"),
        (["--range", 0, 1], "--range"),
    ):
        refused(capsys, tmp_path, run("--gen", gen, *words, *flag), f"{said} .*features")
    spoiled = copies.clone()
    spoiled[3, 0, 0, 0] = torch.nan
    refused(capsys, tmp_path, run("--gen", described("gen", spoiled), *words), "row 3 .*not finite")
    assert run("--gen", tmp_path / "gen.npz", *words, "--skip-bad") == 0
    assert result(tmp_path)["inputs"]["gen"]["count"] == 299


def test_a_twin(
    digits: Tensor, run: Run, sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--gen", sets / "fresh.npz", "--twin"]
    longer = saved(tmp_path / "longer", digits[TEST])
    refused(capsys, tmp_path, run(*words, longer), "--twin has 400 rows and --gen has 300")
    refused(capsys, tmp_path, run(*words, sets / "test.npz"), "--test and --twin are the same file")
    assert (
        run(
            *words,
            saved(tmp_path / "twin", noisy(digits[FRESH], 0.01)),
            metrics=["reproducibility"],
        )
        == 0
    )
    assert result(tmp_path)["metrics"]["reproducibility"]["value"] > 0.95
    again = saved(tmp_path / "again", digits[FRESH])
    assert run(*words, again, metrics=["reproducibility"]) == 0
    assert any("a twin is a second model" in line for line in result(tmp_path)["warnings"])


def test_a_model_is_not_sampled_for_pairs_that_cannot_be(
    memorizing_pipeline: tuple[Path, Tensor],
    run: Run,
    sets: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--gen", sets / "fresh.npz", "--twin", memorizing_pipeline[0], "--seeds", "0-39"]
    refused(capsys, tmp_path, run(*words), "--gen has 300 rows and --twin is sampled with 40 seeds")
    assert not (tmp_path / "out" / "samples").exists()
    words = [
        "--gen",
        memorizing_pipeline[0],
        "--train",
        saved(tmp_path / "two", read_images("digits").data[:2]),
        "--seeds",
        "0-39",
    ]
    refused(capsys, tmp_path, run(*words), "--train has 2 images: at least 3")
    assert not (tmp_path / "out" / "samples").exists()
    refused(
        capsys,
        tmp_path,
        run("--gen", memorizing_pipeline[0], "--seeds", 1, 2, 1),
        "--seeds names a seed twice",
    )


# mistakes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gen", ""], "--gen is missing"),
        (["--gen", "nowhere"], "--gen 'nowhere' is neither"),
        (["--gen", "digit"], "did you mean 'digits'"),
        (
            ["--gen", "digits", "--metrics", "memorised"],
            "--metrics memorised: .*did you mean memorized",
        ),
        (["--gen", "digits", "--descriptor", "pixel"], "did you mean 'pixels'"),
        (["--gen", "digits", "--descriptor", "pixels", "pixels"], "pixels is there twice"),
        (["--gen", "digits", "--descriptor", "pca:100000"], "from 1 to 64"),
        (["--gen", "digits", "--descriptor", "nothing_here:f"], "cannot import nothing_here"),
        (["--gen", "digits", "--descriptor", "sscd", "--sscd", __file__], "unknown ending"),
        (["--gen", "digits", "--sscd", "weights.onnx"], "no descriptor runs"),
        (["--gen", "digits", "--protocol", "denoscope-2"], "did you mean 'denoscope-1'"),
        (["--gen", "digits", "--seeds", "0-9"], "neither --gen nor --twin is one"),
        (["--gen", "digits", "--seeds", "0-99999999999"], "more than 10000000 numbers"),
        (["--gen", "digits", "--false-alarm", "1"], "--false-alarm 1"),
        (["--gen", "digits", "--false-alarm", "nan"], "--false-alarm nan"),
        (["--gen", "digits", "--duplicates", "0.9"], "--duplicates 0.9"),
        (["--gen", "digits", "--planted", "5"], "--planted 5: must be at least 20"),
        (["--gen", "digits", "--batch-size", "0"], "--batch-size 0"),
        (
            ["--gen", "digits", "--threads", "100000"],
            "--threads 100000: must lie between 1 and 1024",
        ),
        (["--gen", "digits", "--resize", "100000"], "GiB"),
        (["--gen", "digits", "--fail-above", "2"], "--fail-above 2"),
        (["--gen", "digits", "--widht", "2"], "unknown argument --widht"),
    ],
)
def test_mistakes_cost_one_line(
    words: list[str], said: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, tmp_path, run(*words), said)


def test_sets_that_cannot_be_compared(
    digits: Tensor, run: Run, sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = digits[TRAIN], digits[TEST]
    fresh = sets / "fresh.npz"
    leaking = saved(tmp_path / "leaking", torch.cat([train[:300], test[:100]]))
    refused(
        capsys,
        tmp_path,
        run("--gen", fresh, "--test", leaking),
        r"--test is mostly the training set: 300 of 400 test images \(75 %\)",
    )
    refused(
        capsys,
        tmp_path,
        run("--gen", fresh, "--test", saved(tmp_path / "again", train)),
        r"mostly the training set: 500 of 500 test images \(100 %\)",
    )
    for n, said in ((1, "has 1 image: at least 4"), (2, "has 2 images"), (3, "has 3 images")):
        refused(
            capsys,
            tmp_path,
            run("--gen", fresh, "--train", saved(tmp_path / "few", train[:n]), test=False),
            said,
        )
        refused(
            capsys, tmp_path, run("--gen", fresh, "--test", saved(tmp_path / "few", test[:n])), said
        )
    flat = saved(tmp_path / "flat", torch.zeros(100, 1, 8, 8))
    refused(
        capsys,
        tmp_path,
        run("--gen", fresh, "--train", flat),
        "by pixels: all rows of train are near-duplicates",
    )
    refused(
        capsys,
        tmp_path,
        run("--gen", fresh, "--test", flat),
        "held-out images are all near-duplicates",
    )


@pytest.mark.parametrize(
    "kind",
    [
        "one sample",
        "black",
        "the training set",
        "16 images",
        "1x1",
        "two training images and a test set",
    ],
)
def test_odd_sets_are_answered(kind: str, digits: Tensor, run: Run, tmp_path: Path) -> None:
    train, test, gen = digits[TRAIN], digits[TEST], digits[FRESH]
    if kind == "one sample":
        gen = gen[:1]
    elif kind == "black":
        gen = -torch.ones(50, 1, 8, 8)
    elif kind == "the training set":
        gen = train
    elif kind == "16 images":
        train, test, gen = train[:16], test[:16], gen[:16]
    elif kind == "1x1":
        train, test, gen = (
            torch.rand(3, 200, 3, 1, 1, generator=torch.Generator().manual_seed(1)) * 2 - 1
        ).unbind()
    else:
        train = train[:3]
    names = [saved(tmp_path / name, x) for name, x in (("g", gen), ("t", train), ("h", test))]
    assert (
        run(
            "--gen",
            names[0],
            "--train",
            names[1],
            "--test",
            names[2],
            metrics=[*FAST, "authenticity", "precision", "vendi"],
        )
        == 0
    )
    found = result(tmp_path)
    few = dict.fromkeys(("one sample", "black"), "cannot decide")
    blind = {"two training images and a test set": "cannot decide"}
    copied = {"the training set": "are copies of", **few, **blind}.get(kind, "Copies were not seen")
    assert copied in found["verdict"][0]
    for one in found["metrics"].values():
        assert one["value"] is not None or one["reason"]


def test_a_leaking_test_set_is_said_loudly(
    digits: Tensor, run: Run, sets: Path, tmp_path: Path
) -> None:
    leaking = saved(tmp_path / "leaking", torch.cat([digits[TRAIN][:50], digits[TEST]]))
    assert run("--gen", sets / "fresh.npz", "--test", leaking) == 0
    found = result(tmp_path)
    assert any(
        "50 of 450 test images (11 %) are also training images" in line.replace("\u00a0", " ")
        for line in found["warnings"]
    )
    assert any(line.startswith("The test set leaks: 50 images of 450") for line in found["verdict"])
    assert "Copies were not seen" in found["verdict"][0]


def test_a_folder_with_the_name_of_a_set(
    run: Run, tmp_path: Path, digits: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    for i, image in enumerate(to_uint8(digits[FRESH][:30])):
        Image.fromarray(image[0].numpy()).save(tmp_path / "digits" / f"{i}.png")
    assert run("--gen", "digits[0:40]") == 0
    assert any("written ./digits" in line for line in result(tmp_path)["warnings"])
    assert run("--gen", "./digits") == 0
    assert result(tmp_path)["inputs"]["gen"]["count"] == 30


# what may go wrong while it works


def test_places_that_cannot_be_written(
    run: Run, sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    for place, said in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "below", "is a file"),
        ("/proc/nothing", "nothing can be written into /proc"),
    ):
        refused(capsys, tmp_path, run("--gen", sets / "fresh.npz", "--out", place), said)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("file", ["audit.json", "audit.csv", ".png", "audit.html"])
def test_a_full_disk_leaves_the_last_report(
    file: str,
    run: Run,
    sets: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if file in path.name:
            written(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return written(path, content)

    (tmp_path / "out" / "figures").mkdir(parents=True)
    before = dict.fromkeys(("audit.log", "figures/audit_x.svg"), "before")
    for name, text in before.items():
        (tmp_path / "out" / name).write_text(text)
    monkeypatch.setattr(Path, "write_bytes", full)
    assert run("--gen", sets / "fresh.npz", drawn=file == ".png") == 1
    output, error = capsys.readouterr()
    assert output == ""
    assert re.fullmatch(
        r"denoscope: the report cannot be written into .*, where nothing was changed: "
        r"no space is left in .*: make room and run the same command again\n",
        error,
    )
    left = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_text()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert left == before


def test_ctrl_c_leaves_nothing_half_written(
    run: Run,
    sets: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audit_package, "build", interrupted)
    refused(capsys, tmp_path, run("--gen", sets / "fresh.npz", drawn=True), "interrupted", 130)


def test_a_descriptor_that_fails(
    run: Run,
    sets: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bodies = {
        "leaves": "raise SystemExit(7)",
        "paints": "raise RuntimeError('one\\n\\x1b[31mtwo')",
        "spoils": "return x.flatten(1) * float('nan')",
        "flattens": "return x.flatten()",
        "talks": "return 'hello'",
        "repeats": "return x.flatten(1) * 0 + 1",
    }
    (tmp_path / "failing.py").write_text(
        "".join(f"def {name}(x):\n    {body}\n" for name, body in bodies.items())
    )
    monkeypatch.chdir(tmp_path)
    for name in bodies:
        refused(
            capsys,
            tmp_path,
            run("--gen", sets / "fresh.npz", "--descriptor", f"failing:{name}"),
            f"failing:{name} (failed|gave|needs)|by failing:repeats",
        )


@pytest.mark.usefixtures("sketched")
def test_hostile_names_do_no_harm(
    digits: Tensor, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "<b>\x1b[31mgen"
    folder.mkdir()
    names = [
        "<img src=x onerror=alert(1)>",
        "\x1b]0;owned\x07",
        "line\nbreak",
        "=cmd|calc",
        "\u202etxt",
        "</script><script>alert(1)</script>".replace("/", "\u2215"),
    ]
    for i, image in enumerate(to_uint8(torch.cat([digits[TRAIN][:20], digits[FRESH][:20]]))):
        Image.fromarray(image[0].numpy()).save(folder / f"{names[i % len(names)]}{i}.png")
    (folder / "\x1b[2Jbad.png").write_text("no image")
    assert run("--gen", folder, "--skip-bad", quiet=False, drawn=True) == 0
    assert run("--gen", folder, test=False) == 2
    written = {path.name: path.read_text() for path in (tmp_path / "out").glob("audit.*")}
    assert len(written) == 3
    for text in (*capsys.readouterr(), *written.values()):
        assert not set("\x1b\x07\u202e") & set(text)
    for tag in ("<img src=x", "<script>alert", "<b>"):
        assert tag not in written["audit.html"]
    rows = list(csv.DictReader(written["audit.csv"].splitlines()))
    assert len(rows) == 40
    assert not any(row["file"].startswith("=") for row in rows)
