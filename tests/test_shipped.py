"""The networks that ship are in the wheel, whole, and open by their names; the command that trains
them resumes bit for bit, and what it writes serves with and without labels.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch

from denoscope import shipped
from denoscope.cli import main as cli
from denoscope.data.embedded import digits
from denoscope.fitting import shipped as training
from denoscope.fitting.shipped import NETWORKS, Shipped, main
from denoscope.guidance import given
from denoscope.models import fingerprint, is_model, named, open_model
from denoscope.networks import load
from denoscope.random import Seeds
from denoscope.shipped import SHA256

ROOT = Path(__file__).parent.parent
CARD = ROOT / "src" / "denoscope" / "shipped" / "README.md"

TINY = ["digits-unet", "--steps", "7", "--width", "4"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is told and kept, and few images are held against it."""
    for name, value in ("SAVED", 0.0), ("TOLD", 0.0), ("LOOKED_AT", 16):
        monkeypatch.setattr(training, name, value)


def killed(folder: Path, looks: int) -> None:
    """The command, until it has told ``looks`` times how it goes."""
    told = []

    def look(self: Shipped, net: object) -> float:
        told.append(net)
        if len(told) == looks:
            raise KeyboardInterrupt
        return 0.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shipped, "held_out_loss", look)
        with pytest.raises(KeyboardInterrupt):
            main([*TINY, "--out", str(folder)])


def test_killed_twice_it_writes_the_same_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    main([*TINY, "--out", str(tmp_path / "whole")])
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'whole' / 'network.safetensors'}\n"
    assert told.err.count("held out") == 7
    for looks in (3, 2):
        killed(tmp_path / "parts", looks)
        assert not (tmp_path / "parts" / "network.safetensors").exists()
    main([*TINY, "--out", str(tmp_path / "parts")])
    whole, parts = (tmp_path / f / "network.safetensors" for f in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()
    D, x = load(whole), torch.zeros(2, 1, 8, 8)
    assert D.classes == 10
    answers = [given(D, label)(x, torch.tensor(1.0)) for label in (-1, 0, 9)]
    assert torch.equal(answers[0], D(x, torch.tensor(1.0)))
    assert not torch.equal(answers[1], answers[2])


def test_what_is_held_out_is_never_trained_on():
    one, images = NETWORKS["digits-unet"], digits()
    unseen = one.split.unseen()
    rows = one.split.pool_rows()
    assert (len(unseen), len(rows)) == (one.held, len(images) - one.held)
    x0, *_, label = next(one.draws(rows, 1, 400))
    assert (x0[0].flatten(1)[:, None] == unseen.flatten(1)).all(-1).sum() == 0
    own = (x0[0].flatten(1)[:, None] == images.data.flatten(1)).all(-1).int().argmax(-1)
    assert torch.equal(label[0], images.labels[own].where(label[0] >= 0, -1))  # pyright: ignore[reportOptionalSubscript]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "0"], "--steps 0: must be at least 1"),
        (["--data", "nowhere"], "nor one of the sets"),
        (["--data", "molrg"], "--data molrg: these images have no labels"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as end:
        main(["digits-unet", "--out", str(tmp_path), *words])
    assert end.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_the_page_of_networks_shows_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    page = (ROOT / "docs" / "networks.md").read_text()
    for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(compile(code, "networks.md", "exec"), {})
        assert capsys.readouterr().out.strip() == code.rpartition("# ")[2].strip()
    (line,) = re.findall(r"```sh\npython -m denoscope.fitting.shipped (.*)\n```", page)
    monkeypatch.chdir(tmp_path)
    main([*shlex.split(line), "--width", "4"])
    assert capsys.readouterr().out == "runs/digits/network.safetensors\n"


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_name_opens_the_network_of_the_card_with_and_without_labels(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"`{SHA256[name]}`" in CARD.read_text()
    assert (is_model(name), fingerprint(name)) == (True, SHA256[name])
    assert shipped.shipped(name).stat().st_size < 5e6
    assert named(name, {})[0].path == name
    model = open_model(name)
    assert (model.classes, model.identity["sha256"]) == (10, SHA256[name])
    noise = Seeds([0, 1]).randn(model.shape)
    sigma = torch.tensor([0.5, 0.5])
    answers = [given(model.denoiser, label)(0.5 * noise, sigma) for label in (0, 1)]
    assert (answers[0] - answers[1]).abs().max() > 1e-3


def test_a_damaged_or_missing_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    words = ["edit", "--model", "digits-unet", "--image", "digits[0:1]", "--mask", "otsu"]
    for content in (b"", b"of another"):
        said = "digits-unet.safetensors is not the file that was released: install denoscope anew"
        with pytest.raises(ValueError, match=said):
            open_model("digits-unet")
        assert cli([*words, "--out", str(tmp_path / "out")]) == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
        (tmp_path / "digits-unet.safetensors").write_bytes(content)


def test_a_wheel_and_an_sdist_hold_the_networks_their_card_and_the_notice(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tmp_path)
    package = tmp_path / "src" / "denoscope"
    shutil.copytree(CARD.parent, package / "shipped")
    for name in ("__init__.py", "py.typed"):
        shutil.copy(ROOT / "src" / "denoscope" / name, package)
    build = (
        "import setuptools.build_meta as b; print(b.build_sdist('.')); print(b.build_wheel('.'))"
    )
    made = subprocess.run(
        [sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as source:
        held = {Path(name).name for name in source.getnames()}
    assert {"py.typed", "README.md", "LICENSE", "NOTICE"} <= held
    assert {f"{name}.safetensors" for name in SHA256} <= held
    with ZipFile(tmp_path / made.stdout.split()[-1]) as wheel:
        names = {name.partition("/")[2]: name for name in wheel.namelist()}
        assert {"shipped/README.md", "py.typed", "licenses/NOTICE"} <= set(names)
        for name, sha256 in SHA256.items():
            content = wheel.read(names[f"shipped/{name}.safetensors"])
            assert hashlib.sha256(content).hexdigest() == sha256
