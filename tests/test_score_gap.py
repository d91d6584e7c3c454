"""The distances of denoisers at each noise level: known models in the network's place get the
numbers they must, and the claims say so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import SMALL

from denoscope import Empirical, Estimate, Gaussian, grid, run
from denoscope.cli import main
from denoscope.data.sources import Source, truth
from denoscope.data.splits import Split
from denoscope.geometry.distances import pairwise_distances
from denoscope.geometry.linearization import linearity
from denoscope.readings import Readings
from denoscope.report import Figure
from denoscope.store import Row, Store
from denoscope.studies._subject import Subject
from denoscope.studies.phase_transition import PhaseTransition
from denoscope.studies.score_gap import (
    EDGES,
    LEVELS,
    POINTS,
    QUANTITIES,
    REGIMES,
    ScoreGap,
    at_level,
    linearities,
    neutral,
    points,
    regimes,
)
from denoscope.sweep import write_all
from denoscope.types import Denoiser


def _data(n: int = 24, source: str = "digits", held: int = 60) -> Split:
    return Split(Source(source), None, held, n, 0)


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """Networks hardly trained: two seeds of one size and one of another."""
    return tiny("score_gap", "digits")


def _known(ends: dict[int, type[Gaussian] | type[Empirical]]) -> Any:
    """The study with closed forms in the networks' place."""

    def denoisers(cells: Sequence[ScoreGap], work: object) -> Iterator[tuple[Denoiser, None, str]]:
        for cell in cells:
            train = cell.where().train()
            exact = ends[cell.n] is Gaussian
            yield (Gaussian.from_data(train) if exact else Empirical(train)), None, ""

    return denoisers


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["score_gap"]
    cells = {"default": ScoreGap(), "n=16": ScoreGap(n=16, seed=1)}
    assert golden["version"] == ScoreGap.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(ScoreGap().fields()))


def test_regimes_divide_the_levels() -> None:
    assert [level for some in REGIMES.values() for level in some] == LEVELS.tolist()
    low, high = EDGES.values()
    assert max(REGIMES["low"]) < low < min(REGIMES["intermediate"])
    assert max(REGIMES["intermediate"]) < high < min(REGIMES["high"])
    assert all(len(levels) >= 3 for levels in REGIMES.values())


def test_distances_are_those_of_the_closed_forms() -> None:
    """Against the Wiener filter written out in numpy, and the library's own mean over points."""
    data, level = _data(100), 0.5

    def half(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return 0.5 * x + 0.1

    subject = Subject(half, data)
    found = Readings(at_level(subject, level), QUANTITIES)
    train = data.train().flatten(1).double().numpy()
    y = subject.noisy("test", 60, level).flatten(1).double().numpy()
    mean, cov = train.mean(0), np.cov(train.T, bias=True)
    matrix = np.linalg.solve(cov + level**2 * np.eye(64), cov)
    apart = 0.5 * y + 0.1 - (mean + (y - mean) @ matrix)
    network = found.of(who="network", to="gaussian")
    assert np.allclose(network.of("distance").one, np.sqrt((apart**2).mean(1)), rtol=1e-4)
    expected = np.linalg.norm(apart, axis=1) / np.linalg.norm(0.5 * y + 0.1, axis=1)
    assert np.allclose(network.of("relative").one, expected, rtol=1e-4)
    own = found.of("distance", who="network", to="distillate").one
    assert own.max() < 1e-6, "an affine map is its own distillate"
    error = np.linalg.norm(0.5 * np.eye(64) - matrix) ** 2 / np.linalg.norm(matrix) ** 2
    assert found.of("weight", who="distillate").one[0] == pytest.approx(error, rel=1e-4)
    names = {"a": half, "b": Empirical(data.train())}
    pair = pairwise_distances(names, subject.noisy("test", 60, level), level)["a", "b"]
    memorizer = found.of("distance", who="network", to="memorizer").one
    assert memorizer.mean() == pytest.approx(pair.value, rel=1e-6)


def test_linearity_is_that_of_the_library_and_of_affine_maps_about_their_mean() -> None:
    data, level = _data(100), 0.8
    subject = Subject(Empirical(data.train()), data)
    found, other = (
        Readings(linearities(subject, subject.everyone(), sigma), QUANTITIES)
        for sigma in (level, 50.0)
    )
    y = subject.noisy("test", 60, level)
    expected = linearity(subject.denoiser, y[:30], y[30:], level)
    score = found.of("linearity", who="network", asked_on="noisy").one
    assert score.mean() == pytest.approx(expected.value, rel=1e-6)
    gaussian, far = found.of(who="gaussian"), other.of(who="gaussian")
    assert gaussian.of("linearity", asked_on="centred").one.min() > 1 - 1e-6
    assert gaussian.of("nonlinearity", asked_on="centred").one.max() < 1e-5
    noisy = gaussian.of("nonlinearity", asked_on="noisy").one
    assert noisy.min() > 0.01, "the offset is taken for non-linearity"
    mean = far.of("nonlinearity", asked_on="noisy").one.mean()
    assert mean == pytest.approx(2**0.5 - 1, abs=0.03), "at high noise D is the mean"


def test_neutral_images_are_the_unseen_ones_first_and_the_same_for_all_models() -> None:
    for held in (60, 600):
        small, large = (neutral(_data(n, held=held)) for n in (16, 200))
        assert torch.equal(small, large)
        assert len(small) == 8 * 65
        unseen = _data(held=held).unseen()[: len(small)]
        assert torch.equal(small[: len(unseen)], unseen)
    assert points(_data(held=61)) == 60
    assert points(_data(held=600)) == POINTS


def test_the_truth_in_the_networks_place() -> None:
    data = _data(400, "molrg", 80)
    known = truth(data.source)
    assert known is not None
    near = {"gaussian": 0.0, "gaussian_all": 0.0}
    for level in REGIMES["intermediate"][::3]:
        found = Readings(at_level(Subject(known, data), level), QUANTITIES)
        network = found.of("distance", who="network")
        assert not network.of(to="truth").one.any()
        near = {to: near[to] + float(network.of(to=to).one.mean()) for to in near}
    assert near["gaussian_all"] < near["gaussian"], "the truth is nearer to what more images say"


@pytest.mark.parametrize("reversed_", [False, True])
def test_claims_of_known_models(
    reversed_: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A memorizer of few and a Gaussian of many images show all of the claims that tell them apart,
    and the other way round none.
    """
    few, many = (Gaussian, Empirical) if reversed_ else (Empirical, Gaussian)
    monkeypatch.setattr(ScoreGap, "learned", _known({16: few, 400: many}))
    rows = run(grid(ScoreGap, n=[16, 400], **SMALL), tmp_path)
    found = ScoreGap.found(rows).of("distance")
    exact, other = (16, 400) if reversed_ else (400, 16)
    assert max(r.value.max() for r in found.of(who="network", to="gaussian", n=exact)) < 1e-6
    assert max(r.value.max() for r in found.of(who="distillate", n=exact)) < 1e-5
    assert not any(r.value.any() for r in found.of(who="network", to="memorizer", n=other))
    for own, control in zip(found.of(who="distillate", n=other), found.of(who="control", n=other)):
        assert np.allclose(own.value, control.value, atol=1e-6)
    verdicts = [claim.verdict() for claim in ScoreGap.told(rows).claims if claim.expected]
    names = ("near", "few", "ends", "gap", "grows", "affine", "affine grows", "noisy", "centred")
    told = dict(zip([*names, "span"], verdicts, strict=True))
    apart = {told[name] for name in ("near", "few", "grows", "affine", "affine grows", "centred")}
    assert apart == ({"contradicted"} if reversed_ else {"supported"})
    if not reversed_:
        assert (told["ends"], told["gap"]) == ("supported", "contradicted"), "no regimes"


def test_members_are_averaged_and_share_their_points(rows: list[Row]) -> None:
    found = ScoreGap.found(rows).of("distance", who="network", to="gaussian", n=8)
    both = np.stack([np.stack([r.value for r in found.of(seed=seed)]) for seed in (0, 1)]).mean(0)
    averaged = found.over("seed", "subset")
    np.testing.assert_allclose(np.stack([r.value for r in averaged]), both, rtol=1e-6)
    low = regimes(averaged).of(regime="low").estimates().one
    assert (low.value, low.n) == (pytest.approx(both[: len(REGIMES["low"])].mean()), 60)


def test_values_are_those_of_the_readings(rows: list[Row]) -> None:
    row = rows[0]
    found = ScoreGap.found([row])
    network = found.of("distance", who="network", to="memorizer", sigma=REGIMES["high"])
    value = row.values["memorizer_high"]
    assert isinstance(value, Estimate)
    assert value.value == pytest.approx(np.mean([r.value for r in network]), rel=1e-6)
    worst = max(r.value.mean() for r in found.of("distance", who="distillate"))
    far = row.values["distillate_gaussian"]
    assert isinstance(far, Estimate)
    assert far.value == pytest.approx(worst)
    counted = [row.values[name] for name in ("dimension", "distilled")]
    assert counted == [64, 520]


def test_a_given_network_gets_the_numbers_of_the_trained_one(tmp_path: Path) -> None:
    settings = {**SMALL, "level_mean": 0.0, "level_std": 2.0}
    (kept,) = run(grid(PhaseTransition, n=24, **settings), Store(tmp_path))
    trained = ScoreGap(n=24, **settings).run()
    given = ScoreGap(n=24, model=str(kept.path), **settings).run()
    assert trained.arrays.keys() == given.arrays.keys()
    for name, array in trained.arrays.items():
        assert np.allclose(array, given.arrays[name], atol=1e-5), name
    value = given.values["gaussian_intermediate"]
    assert isinstance(value, Estimate)
    assert value.n == 60


@pytest.mark.usefixtures("sketched")
def test_the_report_is_written(rows: list[Row], tmp_path: Path) -> None:
    text = write_all(ScoreGap, rows, Store(tmp_path)).read_text()
    assert "95 % between σ = 0.012 and 221; 16 % of them at σ ≥ 20" in text
    names = ("models", "sizes", "relative", "weights", "linearity")
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert drawn == {f"score_gap_{name}" for name in names}


def test_pages_of_incomplete_sweeps_build(
    rows: list[Row], tiny: Callable[[str, str], list[Row]]
) -> None:
    alone = ScoreGap.told(rows[:1])
    assert "nearer to its Gaussian" not in alone.answer
    mixed = ScoreGap.told([*rows, *tiny("score_gap", "given")])
    assert isinstance(mixed.opening[0], Figure)
    assert mixed.claims[0].verdict() == ScoreGap.told(rows).claims[0].verdict()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--n 5000", "--n 5000: digits has 1536 images beside the 261 held out"),
        ("--model none.safetensors", "--model none.safetensors: there is no file"),
        ("--test faces", "--test goes with --model"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "score_gap", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
