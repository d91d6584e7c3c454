"""The command that asks the studies of geometry of networks that are there already."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from denoscope import MLP, Preconditioned, UNet, grid, run, save
from denoscope.cli import main
from denoscope.metrics import psnr
from denoscope.models import named
from denoscope.parsers import GEOMETRY
from denoscope.probe.page import QUANTITIES, claimed
from denoscope.readings import Reading, Readings
from denoscope.report.claims import Claim
from denoscope.report.story import table
from denoscope.store import MODEL, Store
from denoscope.studies import load
from denoscope.studies._probed import Probed
from denoscope.studies.phase_transition import PhaseTransition

SMALL: dict[str, Any] = {"width": 8, "steps": 30, "samples": 12, "solver_steps": 3, "held": 60}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small store of the main job."""
    root = tmp_path_factory.mktemp("main")
    run(grid(PhaseTransition, n=[8, 32], subset=[0, 1], **SMALL), Store(root))
    return root


def test_every_study_of_geometry_is_asked() -> None:
    from denoscope import studies

    probed = {name for name in studies.names() if issubclass(load(name), Probed)}
    assert set(GEOMETRY) == probed - {"trajectories"}, "which shows paths and asks no geometry"


def test_paths_are_files_cells_and_stores(store: Path, tmp_path: Path) -> None:
    found = named(str(store), {})
    assert [(model.fields["n"], model.fields["subset"]) for model in found] == [
        (8, 0),
        (8, 1),
        (32, 0),
        (32, 1),
    ]
    assert [model.fields["n"] for model in named(str(store), {"n": [32], "subset": [1]})] == [32]
    assert named(found[2].path, {})[0] == found[2]
    save(Preconditioned(MLP((1, 8, 8), 4)), tmp_path / "net.safetensors")
    assert named(str(tmp_path / "net.safetensors"), {})[0].fields == {}
    with pytest.raises(ValueError, match=r"none of its 4 networks has --n 64; `denoscope store ls"):
        named(str(store), {"n": [64]})
    with pytest.raises(ValueError, match="nor a cell or store of"):
        named(str(tmp_path), {})
    copy = tmp_path / "old"
    shutil.copytree(store, copy)
    for row in Store(copy).rows():
        assert row.path is not None
        text = json.loads((row.path / "result.json").read_text())
        (row.path / "result.json").write_text(json.dumps({**text, "files_sha256": {}}))
        (row.path / MODEL).unlink()
    with pytest.raises(ValueError, match="keep no networks"):
        named(str(copy), {})


def test_a_network_is_one_line_and_claims_come_from_units() -> None:
    """Networks of one size are told apart, and a gap of output PSNR that is clear contradicts that
    training and unseen images are denoised alike; at 95 % alone it would be undecided.
    """
    images = np.random.default_rng(0).uniform(1, 2, 40)
    found = Readings(
        [
            Reading(name, {"n": 8, "seed": seed, "width": 4}, value)
            for seed in (0, 1)
            for name, value in (
                ("psnr_gap", partial(psnr.gap, images / 100, images)),
                ("nearer", -images),
                ("memorized", np.zeros(100)),
            )
        ],
        QUANTITIES,
    )
    verdicts = [claim.verdict() for claim in claimed(found) if isinstance(claim, Claim)]
    assert verdicts == ["supported", "supported", "contradicted"]
    made = table("The networks", found, ["n", "seed"], ["memorized"], place="network")
    assert made is not None
    assert [row[0] for row in made.rows] == ["N = 8, seed 0", "N = 8, seed 1"]


@pytest.mark.slow
@pytest.mark.usefixtures("sketched")
def test_all_studies_on_one_page_and_again_from_what_is_stored(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "probe",
        "--model",
        str(store),
        "--subset",
        "0",
        "--n",
        "8",
        "--out",
        str(tmp_path / "out"),
        "--on",
        "serial",
    ]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "out" / "probe.html")
    page = (tmp_path / "out" / "probe.html").read_text()
    assert "The geometry of a denoiser" in page
    assert "N = 8" in page
    assert "At intermediate noise every network is nearer to its Gaussian" in page
    assert page.index("The networks") < page.index("Local linearity of denoisers</h2></summary>")
    assert page.count("<figcaption><strong>How far a network is") == 1, "a figure stands once"
    numbers = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert set(numbers["studies"]) == set(GEOMETRY)
    assert [model["n"] for model in numbers["models"]] == [8]
    assert "NaN" not in (tmp_path / "out" / "probe.json").read_text()
    assert main([*words, "--json", "--studies", "score_gap"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["studies"] == {"score_gap": numbers["studies"]["score_gap"]}
    assert "1 already stored, 0 to measure" in said.err


@pytest.mark.usefixtures("sketched")
def test_a_given_file_is_asked_with_the_images_it_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(Preconditioned(UNet((3, 4, 4), 4)), tmp_path / "net.safetensors")
    words = [
        "probe",
        "--model",
        str(tmp_path / "net.safetensors"),
        "--data",
        "molrg",
        "--n",
        "40",
        "--studies",
        "local_linearity",
    ]
    assert (
        main([*words, "--out", str(tmp_path / "out"), "--on", "serial", "--json", "--quiet"]) == 0
    )
    said = capsys.readouterr()
    assert said.err == ""
    found = json.loads(said.out)
    assert list(found["studies"]) == ["local_linearity"]
    assert (tmp_path / "out" / "local_linearity" / "report.html").is_file()


def test_images_are_prepared_as_the_network_saw_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Colour pictures of 12 × 8 pixels, and a network of 4 × 4 grey ones."""
    pictures = np.random.default_rng(0).integers(0, 256, (40, 8, 12, 3), dtype=np.uint8)
    np.savez(tmp_path / "wide.npz", images=pictures)
    save(Preconditioned(MLP((1, 4, 4), 4)), tmp_path / "net.safetensors")
    words = ["probe", "--model", str(tmp_path / "net.safetensors"), "--held", "8", "--quiet"]
    words += ["--data", str(tmp_path / "wide.npz"), "--studies", "score_gap"]
    words += ["--on", "serial", "--json", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "does not take images of (3, 8, 12)" in capsys.readouterr().err
    assert main([*words, "--prepare", "crop-centre", "resize:4", "grey"]) == 0
    numbers = json.loads(capsys.readouterr().out)["studies"]["score_gap"]
    (cell,) = Store(tmp_path / "out" / "score_gap").rows()
    assert cell.fields["prepare"] == ["crop-centre", "resize:4", "grey"]
    assert numbers


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "nowhere", "--data", "digits"], "--model nowhere: neither a file"),
        (["--model", "NET"], "give its images with --data"),
        (["--model", "NET", "--data", "molrg"], "does not take images of (3, 4, 4)"),
        (
            ["--model", "NET", "--data", "digits", "--n", "9", "20"],
            "--n takes several values with a store alone",
        ),
        (
            ["--model", "NET", "--data", "digits", "--n", "9999"],
            "--n 9999 --subset 0 of --data digits",
        ),
        (["--model", "NET", "--data", "digits", "--test", "molrg"], "give both the same --resize"),
        (["--model", "NET", "--data", "digit"], "did you mean 'digits'"),
        (["--model", "STORE", "--data", "digits"], "is a stored cell, which knows its images"),
        (["--model", "STORE", "--studies", "jacobian"], "did you mean jacobian_rank"),
        (["--model", "BAD", "--data", "digits"], "not a readable safetensors file"),
        (
            ["--model", "NET", "--data", "digits", "--out", "NET"],
            "is a file where a folder is needed",
        ),
        ([], "--model"),
    ],
)
def test_mistakes_cost_one_line(
    words: list[str], said: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(Preconditioned(MLP((1, 8, 8), 4)), tmp_path / "net.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\x80\x04pickle")
    named = {
        "NET": str(tmp_path / "net.safetensors"),
        "STORE": str(store),
        "BAD": str(tmp_path / "bad.safetensors"),
    }
    called = [named.get(word, word) for word in words]
    assert main(["probe", "--out", str(tmp_path / "out"), "--on", "serial", *called]) == 2
    found = capsys.readouterr().err.strip().splitlines()[-1]
    assert found.startswith("denoscope: ")
    assert said in found
    assert not list(tmp_path.rglob("probe.html"))
