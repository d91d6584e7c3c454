"""The denoiser under study: trained by the transition's recipe or read from a file, with the images
that it saw and did not see.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from denoscope import MLP, Gaussian, Preconditioned, grid, run, sample, save
from denoscope.data.sources import Source, truth
from denoscope.data.sources import load as images_of
from denoscope.data.splits import Split
from denoscope.networks import load
from denoscope.readings import collected
from denoscope.store import MODEL, Row, Store
from denoscope.studies._probed import Probed, places_of
from denoscope.studies._subject import Subject, given
from denoscope.studies.phase_transition import QUANTITIES, PhaseTransition
from denoscope.studies.score_gap import ScoreGap

SMALL: dict[str, Any] = {"width": 8, "steps": 40, "samples": 20, "solver_steps": 4, "held": 60}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Two cells of the main job, with their networks."""
    return run(grid(PhaseTransition, n=[8, 32], **SMALL), Store(tmp_path_factory.mktemp("main")))


def test_a_model_that_is_there_is_asked_once(tmp_path: Path) -> None:
    word = str(save(Preconditioned(MLP((1, 8, 8), 8)), tmp_path / "net.safetensors"))
    cells = grid(ScoreGap, model=["", word], seed=[0, 1], width=[16, 64], n=[8, 32])
    assert [cell.model for cell in cells].count("") == 8
    assert [cell.n for cell in cells if cell.model] == [8, 32]


def test_the_main_job_keeps_the_network_that_made_its_samples(stored: list[Row]) -> None:
    for row in stored:
        assert row.path is not None
        cell = PhaseTransition(n=int(str(row.fields["n"])), **SMALL)
        kept = collected([row], QUANTITIES).of("sample").one
        sigmas = cell.recipe().sigmas().float()
        again = sample(load(row.path / MODEL), float(sigmas[0]) * cell.noise(), sigmas)
        assert torch.allclose(again.clamp(-1, 1), torch.from_numpy(kept), atol=1e-4)


def test_training_and_unseen_images_are_those_of_the_main_job() -> None:
    shared = {"n": 32, "subset": 1, "seed": 3, **SMALL}
    mine, other = Probed(**shared), PhaseTransition(**shared)
    assert mine.where() == other.where()
    assert mine.recipe() == other.recipe()
    assert (mine.member().initial, mine.member().order) == (
        other.member().initial,
        other.member().order,
    )


def test_points_are_shared_and_nested() -> None:
    one, other = (
        Subject(
            Gaussian.from_data(torch.randn(9, 1, 8, 8)), Split(Source("digits"), None, 60, n, 0)
        )
        for n in (16, 32)
    )
    assert torch.equal(one.noisy("test", 5, 0.3), other.noisy("test", 5, 0.3))
    assert torch.equal(one.noise(3), other.noise(7)[:3])
    assert torch.equal(one.noise(2, first=3), other.noise(5)[3:])
    assert not torch.equal(one.noise(20), one.start()[:20] / one.sigmas[0])
    assert torch.equal(one.clean("train", 20)[16:], one.data.train()[:4]), (
        "fewer images than points are repeated"
    )
    level = one.noisy("test", 4, 0.5) - one.clean("test", 4)
    assert torch.allclose(level, 0.5 * one.noise(4), atol=1e-6)


def test_the_known_law_is_that_of_its_images() -> None:
    images, known = images_of(Source("molrg")), truth(Source("molrg"))
    assert known is not None
    assert truth(Source("digits")) is None
    noisy = images.data[:4000] + 0.2 * torch.randn(
        4000, *images.shape, generator=torch.Generator().manual_seed(0)
    )
    best = float((known(noisy, torch.tensor(0.2)) - images.data[:4000]).square().mean())
    linear = float(
        (Gaussian.from_data(images.data)(noisy, torch.tensor(0.2)) - images.data[:4000])
        .square()
        .mean()
    )
    assert best < 0.95 * linear, "the truth is better than the best linear denoiser"
    expected = (
        6 / 48 * (0.4**2 * 0.2**2) / (0.4**2 + 0.2**2)
    )  # the error of the subspace's own Wiener filter: the least there can be
    assert expected < best < 1.3 * expected
    rank = torch.linalg.matrix_rank(images.data.flatten(1).double(), rtol=1e-6)
    assert rank == 12


def test_given_networks_are_tried_on_the_images(tmp_path: Path) -> None:
    save(Preconditioned(MLP((1, 8, 8), 4)), tmp_path / "net.safetensors")
    data = Split(Source("digits"), None, 60, 0, 0)
    assert given(str(tmp_path / "net.safetensors"), data).denoiser(
        data.train()[:2], torch.ones(2)
    ).shape == (2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"does not take images of \(3, 4, 4\)"):
        given(str(tmp_path / "net.safetensors"), Split(Source("molrg"), None, 60, 0, 0))
    with pytest.raises(ValueError, match="there is no file"):
        given(str(tmp_path / "none.safetensors"), data)
    (tmp_path / "bad.safetensors").write_bytes(b"pickle")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        given(str(tmp_path / "bad.safetensors"), data)


def _row(model: str = "", n: int = 8, width: int = 4, seed: int = 0, **values: Any) -> Row:
    return Row(
        f"{model}{n}{width}{seed}",
        "s",
        1,
        {"model": model, "n": n, "width": width, "subset": 0, "seed": seed},
        values,
    )


def test_places_are_those_of_training_or_the_name_of_a_file() -> None:
    """A file is told by its name and by what tells its own cells apart; a stored cell as if it had
    been trained here; N = 0, which is all of a set, is no place.
    """
    rows = [
        _row(n=32),
        _row(seed=1),
        _row("store/cells/abc", n=32, seed=1),
        _row("a/net.safetensors", n=0),
        _row("a/twice.safetensors", n=0),
        _row("a/twice.safetensors", n=16),
    ]
    assert places_of(rows) == [
        {"n": 32, "subset": 0, "seed": 0, "width": 4},
        {"n": 8, "subset": 0, "seed": 1, "width": 4},
        {"n": 32, "subset": 0, "seed": 1, "width": 4},
        {"model": "net"},
        {"model": "twice"},
        {"n": 16, "model": "twice"},
    ]
    alike = [_row(f"{home}/cells/{key}") for home, key in ("a1", "b2", "a3")]
    files = [_row(f"{home}/net.safetensors", n=0) for home in "ab"]
    assert [at["model"] for at in places_of([*alike, *files])] == [
        "a/1",
        "b",
        "a/3",
        "a/net",
        "b/net",
    ]
    with pytest.raises(ValueError, match="training of every cell stopped"):
        Probed.found([_row(stopped="the loss is nan")])
    found = Probed.subtitle([row for row in rows if row.fields.update(data="digits") is None])
    assert found == "6 networks on digits: N = 8, N = 16, N = 32, width 4, net, twice"
