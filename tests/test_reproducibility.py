"""Which models make the same image from the same noise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from denoscope import MLP, Preconditioned, grid, save
from denoscope.cli import main
from denoscope.data.sources import Source
from denoscope.data.splits import Split
from denoscope.estimate import crossed
from denoscope.fitting.frameworks import FRAMEWORKS, WAYS
from denoscope.metrics.probability_flow import sample_distance
from denoscope.readings import Readings
from denoscope.report.pairs import triangles
from denoscope.store import Row
from denoscope.studies._behind import STD, Behind, operators
from denoscope.studies.reproducibility import EDM, NAMES, Reproducibility
from denoscope.study import swept

WIDTH = 16
DIGITS = Split(Source("digits"), None, 40, 200, 0)
BEHIND = Behind(DIGITS, 24, 18)
GOLDEN = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["reproducibility"]


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    return tiny("reproducibility", "digits")


@pytest.fixture(scope="module")
def found(rows: list[Row]) -> Readings:
    return Reproducibility.found(rows)


def _of(found: Readings, name: str, pair: tuple[str, str], n: int) -> Any:
    return found.of(name, maker=lambda both: both == pair, n=n).one


def test_keys_are_golden() -> None:
    assert Reproducibility().key() == GOLDEN["default"]
    assert Reproducibility(maker="distilled", n=16).key() == GOLDEN["distilled"]


def test_the_default_sweep_has_all_makers_at_the_ends_and_training_sets_of_edm() -> None:
    cells = grid(Reproducibility, **swept(Reproducibility))
    others = [c for c in cells if c.maker != "edm"]
    assert {(c.n, c.width, c.subset) for c in others} == {(16, 128, 0), (1024, 128, 0)}
    assert {c.maker for c in others} == set(FRAMEWORKS) - {"edm"}
    edm = {(c.n, c.width, c.subset) for c in cells if c.maker == "edm"}
    sets = {(n, w, s) for n in (16, 64, 384) for w in (32, 128) for s in range(4)}
    assert edm == sets | {(1024, 128, 0)}
    jobs = Reproducibility.plan(cells)
    assert sorted(c.key() for job in jobs for c in job) == sorted(c.key() for c in cells)
    assert all(len({c.how() for c in job}) == 1 for job in jobs)


def test_frameworks_differ_in_what_they_say() -> None:
    recipes = {word: Reproducibility(maker=word).recipe() for word in FRAMEWORKS}
    assert {word: r.kind for word, r in recipes.items() if r.kind != "edm"} == {
        "eps": "eps",
        "v": "v",
        "flow": "flow",
        "consistency": "consistency",
        "distilled": "consistency",
    }
    assert {r.net for r in recipes.values()} == {"film", "unet", "uvit"}
    members = [Reproducibility(maker=word).member() for word in FRAMEWORKS]
    assert len({m.initial for m in members} | {m.order for m in members}) == 2 * len(members)


def test_a_model_agrees_with_its_double_everywhere(rows: list[Row]) -> None:
    edm = [r for r in rows if r.fields["maker"] == "edm" and not r.fields["model"]]
    double = [replace(r, fields={**r.fields, "maker": "again"}) for r in edm]
    found, pair = Reproducibility.found([*edm, *double]), (EDM, NAMES["again"])
    assert np.all(_of(found, "rp", pair, 6))
    assert np.all(_of(found, "mae", pair, 96))
    assert np.max(_of(found, "pfd", pair, 6)) == 0
    assert found.of("rp_by_way").map(np.all).of(way="heun", maker=lambda p: p == pair)[0].value
    assert np.mean(_of(found, "shared", pair, 6)) > 0.9


def test_the_linear_model_is_the_gaussian(found: Readings) -> None:
    """Two samplers of one law: matrices level by level, and the Wiener filter."""
    pair = (NAMES["linear"], NAMES["gaussian"])
    for n in (6, 96):
        assert np.mean(_of(found, "rp", pair, n)) > 0.95
        assert not np.any(_of(found, "shared", pair, n))


def test_pairs_equal_what_samples_say(found: Readings) -> None:
    made = {k: found.of("sample", maker=k, n=6).without("width").one for k in (EDM, NAMES["eps"])}
    a, b = (torch.from_numpy(x).flatten(1) for x in made.values())
    pfd = found.of("pfd", maker=lambda p: p == tuple(made), n=6).estimates().one
    assert pfd.value == pytest.approx(sample_distance(a, b).value / 8, rel=1e-5)
    mae = ((a - b).abs().mean(1) < 15 / 127.5).numpy()
    assert np.array_equal(_of(found, "mae", (EDM, NAMES["eps"]), 6), mae)


def test_the_spread_over_training_sets_is_their_variance(found: Readings) -> None:
    made = found.of("sample", maker=EDM, n=6, width=WIDTH)
    x = np.stack([r.value.reshape(len(r.value), -1) for r in made]).astype(np.float64)
    assert len(x) == 4
    spread = found.of("spread", n=6, width=WIDTH).estimates().one
    assert spread.value**2 == pytest.approx(x.var(0, ddof=1).sum(1).mean() / 64, rel=1e-9)
    assert spread.low < spread.value < spread.high
    assert crossed(np.ones((3, 4))).value == 1


def test_noises_that_are_shared_make_stochastic_samples_alike(found: Readings) -> None:
    """Of one model nothing else differs: the same, and not the same."""
    drawn = found.of("sampled", maker=EDM, n=96, subset=0)
    same, other = (drawn.of(way=way).one.astype(np.float32) for way in ("ddpm", "ddpm_other"))
    base = found.of("sample", maker=EDM, n=96).without("width").one
    heun = drawn.of(way="heun").one.astype(np.float32)
    assert np.corrcoef(heun.ravel(), base.ravel())[0, 1] > 0.8, "18 steps and 4 of one model"
    assert np.abs(same - other).mean() == 0, "the first model's own noises are the shared ones"
    eps = found.of("sampled", maker=NAMES["eps"], n=96)
    assert np.abs(eps.of(way="ddpm").one - eps.of(way="ddpm_other").one).mean() > 0.01
    steps = {way for way, how in WAYS.items() if how.one_step}
    assert set(found.of("sampled", maker=NAMES["distilled"]).along("way")) == steps


def test_triangles_hold_few_images_below_and_many_above(found: Readings) -> None:
    rp = found.of("rp")
    square = triangles(rp).estimates()
    first, second = EDM, NAMES["eps"]
    for one, other, n in ((first, second, 96), (second, first, 6)):
        value = np.mean(_of(found, "rp", (first, second), n))
        assert square.of(one=one, other=other).one.value == pytest.approx(value)
    assert np.isnan(square.of(one=first, other=first).one.value)
    assert square.along("one") == square.along("other")


def test_given_models_stand_beside(found: Readings) -> None:
    assert {"A", "B"} <= {name for pair in found.of("rp").along("maker") for name in pair}
    chance = _of(found, "chance", ("A", "B"), 6)
    assert 0 <= chance[0] <= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--maker gan", "--maker gan: there are edm, again, eps"),
        ("--model A=net.safetensors A=net.safetensors", "--model A=… is given twice"),
        ("--model net.safetensors", "write NAME=PATH"),
        ("--model EDM=net.safetensors", "a name of its own"),
        ("--model A=odd.safetensors", "samples of unlike shapes cannot be paired"),
        ("--n 500 --subset 3", "four disjoint subsets of 500 do not fit into 1536 images"),
        ("--model A=nowhere.safetensors", "there is no file nowhere.safetensors"),
    ],
)
def test_bad_input_is_one_line(
    words: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    save(Preconditioned(MLP((1, 8, 8), 4)), tmp_path / "net.safetensors")
    save(Preconditioned(MLP((1, 4, 4), 4)), tmp_path / "odd.safetensors")
    few = "--on serial --steps 1 --samples 4 --width 4"
    few += "" if "--n " in words else " --n 4 --subset 0"
    few += "" if "--maker" in words else " --maker edm"
    assert main(["run", "reproducibility", *words.split(), *few.split(), "--store", "s"]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def behind_gaussian() -> dict[str, torch.Tensor]:
    """What the Gaussian of 200 digits takes to be behind measurements of held-out ones."""
    return dict(BEHIND.of(DIGITS.gaussian(), 0))


@pytest.mark.parametrize("way", ["inpainted", "enlarged"])
def test_images_behind_a_measurement_have_it_and_their_own_noise_where_it_says_so(
    way: str, behind_gaussian: dict[str, torch.Tensor]
) -> None:
    shared, other = behind_gaussian[way], behind_gaussian[f"{way}_other"]
    measure = operators(tuple(shared.shape[1:]))[way]
    for made in (shared, other):
        apart = measure(made) - measure(DIGITS.unseen()[: len(made)])
        assert float(apart.std()) < 1.5 * STD
    assert float((shared - other).std()) > 2 * STD
    again = dict(BEHIND.of(DIGITS.gaussian(), 1))
    torch.testing.assert_close(again[way], shared)
    assert not torch.allclose(again[f"{way}_other"], other, atol=0.1)


def test_a_closed_form_agrees_with_itself_behind_every_measurement() -> None:
    units = {
        (r.name, r.at["way"], r.at.get("who")): r.value
        for r in BEHIND.measured(DIGITS.gaussian(), 0)
    }
    for way in ("inpainted", "enlarged"):
        assert units["rp_closed", way, "gaussian"].all()
        assert units["rp_closed", way, "memorizer"].mean() < 0.5
        assert units["rp_closed", f"{way}_other", "gaussian"].mean() < 0.8


def test_images_of_one_row_are_not_measured() -> None:
    assert not operators((1, 1, 48))
