"""The command that trains the networks that ship: it resumes bit for bit, and what it writes serves
with and without labels.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from denoscope.data.embedded import digits
from denoscope.files import file_hash
from denoscope.fitting import shipped
from denoscope.fitting.shipped import NETWORKS, Shipped, main
from denoscope.guidance import given
from denoscope.models import open_model
from denoscope.networks import load
from denoscope.random import Seeds

TINY = ["digits", "--steps", "7", "--width", "4"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is told and kept, and few images are held against it."""
    for name, value in ("SAVED", 0.0), ("TOLD", 0.0), ("LOOKED_AT", 16):
        monkeypatch.setattr(shipped, name, value)


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
    one, images = NETWORKS["digits"], digits()
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
        main(["digits", "--out", str(tmp_path), *words])
    assert end.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_the_page_of_networks_shows_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    page = (Path(__file__).parent.parent / "docs" / "networks.md").read_text()
    for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(compile(code, "networks.md", "exec"), {})
        assert capsys.readouterr().out.strip() == code.rpartition("# ")[2].strip()
    (line,) = re.findall(r"```sh\npython -m denoscope.fitting.shipped (.*)\n```", page)
    monkeypatch.chdir(tmp_path)
    main([*shlex.split(line), "--width", "4"])
    assert capsys.readouterr().out == "runs/digits/network.safetensors\n"


@pytest.mark.parametrize("name", list(NETWORKS))
def test_files_are_those_of_the_card_and_know_their_labels(name: str) -> None:
    folder = Path(__file__).parent.parent / "networks"
    found = folder / f"{name}.safetensors"
    assert f"`{file_hash(found)}`" in (folder / "README.md").read_text()
    model = open_model(str(found))
    assert (model.classes, found.stat().st_size < 5e6) == (10, True)
    noise = Seeds([0, 1]).randn(model.shape)
    sigma = torch.tensor([0.5, 0.5])
    answers = [given(model.denoiser, label)(0.5 * noise, sigma) for label in (0, 1)]
    assert (answers[0] - answers[1]).abs().max() > 1e-3
