"""Paths whose course is known: the memorizer in the network's place, choices that settle, images
that are known; and a sweep that tells its claims.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from denoscope import Empirical
from denoscope.cli import main
from denoscope.data.sources import Source
from denoscope.data.splits import Split
from denoscope.readings import Readings, expanded
from denoscope.store import Row
from denoscope.studies._paths import settled, staying
from denoscope.studies._subject import Subject
from denoscope.studies.trajectories import QUANTITIES, Trajectories, strip

DATA = Split(Source("digits"), None, 24, 20, 0)


@pytest.fixture(scope="module")
def memorizer() -> Readings:
    """The memorizer in the network's place."""
    subject = Subject(Empirical(DATA.train()), DATA, noises=40)
    return expanded(Trajectories().readings(subject), QUANTITIES)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["trajectories"]
    cells = {"default": Trajectories(), "n=16": Trajectories(n=16, seed=1)}
    assert golden["version"] == Trajectories.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(Trajectories().fields()))


def test_a_choice_settles_where_it_last_changed() -> None:
    """Paths by columns: settled from the start, from the third level on, only with the end."""
    chosen = torch.tensor([[1, 2, 1], [1, 3, 2], [1, 2, 1], [1, 2, 2], [1, 2, 1]])
    sigmas = torch.tensor([8.0, 4.0, 2.0, 1.0])
    stays = staying(chosen)
    assert stays.T.tolist() == [[True] * 4, [False, False, True, True], [False] * 4]
    assert settled(stays, sigmas).tolist() == [3.0, 1.0, -1.0]


def test_strips_show_levels_whose_noise_is_seen() -> None:
    sigmas = torch.logspace(2, -3, 30)
    assert float(sigmas[strip(sigmas)].min()) >= 0.1
    assert len(strip(sigmas)) == 6
    assert strip(torch.tensor([50.0, 1.0, 0.01])).tolist() == [0, 1]


def test_the_memorizer_copies_and_knows_its_images(memorizer: Readings) -> None:
    mine = memorizer.of(who="network")
    assert mine.of("copy").one.all()
    assert mine.of("met").one.all()
    levels = mine.of("known").along("sigma")
    assert all(mine.of("known", sigma=s).one.all() for s in levels if s < 0.5)
    assert not mine.of("known", sigma=levels[-1]).one.all()
    gained = mine.of("settled").against(
        memorizer.of("settled", who="memorizer"), name="gained", apart="who"
    )
    assert all((np.asarray(r.value) == 0).all() for r in gained)


def test_who_has_settled_stays_and_its_end_comes_nearer(memorizer: Readings) -> None:
    for who in ("network", "gaussian"):
        mine = memorizer.of(who=who)
        for choice in ("image", "class"):
            some = mine.of("decided", choice=choice)
            shares = [some.of(sigma=s).one for s in some.along("sigma")]
            assert all((low >= high).all() for low, high in pairwise(shares))
        kind, image = (mine.of("settled", choice=c).one for c in ("class", "image"))
        assert (kind >= image).all()
        away = [mine.of("away", sigma=s).one.mean() for s in mine.of("away").along("sigma")]
        assert away[0] < 0.05 < away[-1]


def test_a_sweep_pictures_the_image_that_was_given(
    tiny: Callable[[str, str], list[Row]],
) -> None:
    found = Trajectories.found(tiny("trajectories", "given"))
    assert found.of("noised").along("images") == ["given"]
    assert found.of("denoised").along("who") == ["network", "memorizer", "gaussian"]


@pytest.mark.parametrize(("word", "line"), [("faces", "same --resize"), ("nosuch", "nosuch")])
def test_an_image_that_does_not_fit_is_one_line(word: str, line: str) -> None:
    said = Trajectories(image=word).infeasible()
    assert line in said
    assert said.startswith("--image")
    assert "\n" not in said


@pytest.mark.slow
@pytest.mark.usefixtures("sketched")
def test_the_command_writes_a_page(tmp_path: Path) -> None:
    words = "run trajectories --n 8 --seed 0 --width 8 --steps 40 --samples 6 --solver-steps 4"
    assert main([*words.split(), "--held", "24", "--store", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "N = 8, noise 1" in page
    assert "N = 8, training images" in page
