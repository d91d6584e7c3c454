"""The distances of denoisers at each noise level: known models in the network's place get the
numbers they must, and the page says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from denoscope import Empirical, Estimate, Gaussian, grid, run
from denoscope.cli import main
from denoscope.geometry.distances import pairwise_distances
from denoscope.geometry.linearization import linearity
from denoscope.store import Row, Store
from denoscope.studies._geometry.gap import distances, findings, measuring, reading, superposing
from denoscope.studies._geometry.gap.regimes import EDGES, LEVELS, REGIMES
from denoscope.studies._geometry.groups import grouped
from denoscope.studies._geometry.subject import Data, Subject
from denoscope.studies._source import Source, truth
from denoscope.studies.phase_transition import PhaseTransition
from denoscope.studies.score_gap import ScoreGap
from denoscope.types import Denoiser

SMALL: dict[str, Any] = {"width": 8, "steps": 40, "samples": 8, "solver_steps": 4, "held": 60}


def _data(n: int = 24, source: str = "digits", held: int = 60) -> Data:
    return Data(Source(source), None, held, n, 0)


def _named(data: Data, network: Denoiser) -> dict[str, Denoiser]:
    return {"network": network} | {
        name: make() for name, make in Subject(network, data).others().items()
    }


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Networks hardly trained, measured once: two seeds of one size and one of another."""
    store = Store(tmp_path_factory.mktemp("sweep"))
    return run(grid(ScoreGap, n=8, seed=[0, 1], **SMALL) + grid(ScoreGap, n=96, **SMALL), store)


def _known(ends: dict[int, type[Gaussian] | type[Empirical]]) -> Any:
    """The study with closed forms in the networks' place."""

    def denoisers(cells: Sequence[ScoreGap], work: object) -> Iterator[tuple[Denoiser, None, str]]:
        for cell in cells:
            train = cell.where().train()
            yield (
                (Gaussian.from_data(train) if ends[cell.n] is Gaussian else Empirical(train)),
                None,
                "",
            )

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
    assert (np.sum(list(REGIMES.values()), 0) == 1).all()
    assert LEVELS[REGIMES["low"]].max() < EDGES[0] < LEVELS[REGIMES["intermediate"]].min()
    assert LEVELS[REGIMES["intermediate"]].max() < EDGES[1] < LEVELS[REGIMES["high"]].min()
    assert all(chosen.sum() >= 3 for chosen in REGIMES.values())


def test_distances_are_those_of_the_closed_forms() -> None:
    """Against the Wiener filter written out in numpy, and the library's own mean over points."""
    data, level = _data(100), 0.5

    def half(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return 0.5 * x + 0.1

    subject = Subject(half, data)
    found = distances.distances(subject, _named(data, half), level)
    train = data.train().flatten(1).double().numpy()
    y = subject.noisy("test", 60, level).flatten(1).double().numpy()
    mean, cov = train.mean(0), np.cov(train.T, bias=True)
    wiener = mean + (y - mean) @ np.linalg.solve(cov + level**2 * np.eye(64), cov)
    assert np.allclose(
        found["rmse_network_gaussian"], np.sqrt(((0.5 * y + 0.1 - wiener) ** 2).mean(1)), rtol=1e-4
    )
    expected = np.linalg.norm(0.5 * y + 0.1 - wiener, axis=1) / np.linalg.norm(
        0.5 * y + 0.1, axis=1
    )
    assert np.allclose(found["relative_network_gaussian"], expected, rtol=1e-4)
    assert np.abs(found["rmse_network_distillate"]).max() < 1e-6, (
        "an affine map is its own distillate"
    )
    error = (
        np.linalg.norm(0.5 * np.eye(64) - np.linalg.solve(cov + level**2 * np.eye(64), cov)) ** 2
    )
    assert found["weight_distillate"] == pytest.approx(
        error / np.linalg.norm(np.linalg.solve(cov + level**2 * np.eye(64), cov)) ** 2, rel=1e-4
    )
    names = {"a": half, "b": Empirical(data.train())}
    pair = pairwise_distances(names, subject.noisy("test", 60, level), level)["a", "b"]
    assert found["rmse_network_memorizer"].mean() == pytest.approx(pair.value, rel=1e-6)


def test_linearity_is_that_of_the_library_and_of_affine_maps_about_their_mean() -> None:
    data, level = _data(100), 0.8
    models = _named(data, Empirical(data.train()))
    subject = Subject(models["network"], data)
    found = superposing.linearities(subject, models, level)
    y = subject.noisy("test", 60, level)
    expected = linearity(models["network"], y[:30], y[30:], level)
    assert found["linearity_noisy_network"].mean() == pytest.approx(expected.value, rel=1e-6)
    assert np.abs(found["linearity_centred_gaussian"] - 1).max() < 1e-6
    assert found["nonlinearity_centred_gaussian"].max() < 1e-5
    assert found["nonlinearity_noisy_gaussian"].min() > 0.01, (
        "the offset is taken for non-linearity"
    )
    mean, other = data.train().mean(0), superposing.linearities(subject, models, 50.0)
    assert other["nonlinearity_noisy_gaussian"].mean() == pytest.approx(2**0.5 - 1, abs=0.03), (
        "at high noise D is the mean"
    )
    assert float(mean.norm()) > 1


def test_neutral_images_are_the_unseen_ones_first_and_the_same_for_all_models() -> None:
    for held in (60, 600):
        small, large = (distances.neutral(_data(n, held=held)) for n in (16, 200))
        assert torch.equal(small, large)
        assert len(small) == 8 * 65
        unseen = _data(held=held).unseen()[: len(small)]
        assert torch.equal(small[: len(unseen)], unseen)
    assert distances.points(Subject(Empirical(_data().train()), _data(held=61))) == 60
    assert (
        distances.points(Subject(Empirical(_data().train()), _data(held=600))) == distances.POINTS
    )


def test_distance_beyond_the_span_is_a_least_squares_residual() -> None:
    data = _data(12)
    beyond, rank = distances.beyond_span(data, 60)
    train, x = (images.flatten(1).double().numpy() for images in (data.train(), data.unseen()))
    basis, rest = (train - train.mean(0)).T, (x - train.mean(0)).T
    residual = rest - basis @ np.linalg.lstsq(basis, rest, rcond=None)[0]
    assert rank == 11
    assert np.allclose(beyond, np.sqrt((residual**2).mean(0)), atol=1e-6)
    assert distances.beyond_span(_data(0), 60)[1] < 64, "pixels that are black in all images"
    assert distances.beyond_span(_data(1), 60)[1] == 0


def test_the_truth_in_the_networks_place() -> None:
    data = _data(400, "molrg", 80)
    known = truth(data.source)
    assert known is not None
    result = measuring.measure(Subject(known, data))
    assert not result.arrays["rmse_network_truth"].any()
    middle = REGIMES["intermediate"]
    gap = {
        name: result.arrays[f"rmse_network_{name}"][middle].mean()
        for name in ("gaussian", "gaussian_all")
    }
    assert gap["gaussian_all"] < gap["gaussian"], "the truth is nearer to what more images say"
    assert all(np.isfinite(array).all() for array in result.arrays.values())


def test_claims_of_known_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memorizer of few and a Gaussian of many images show all of the claims, and the other way
    round none that tells them apart.
    """
    claims = {}
    for name, ends in {
        "as claimed": {16: Empirical, 400: Gaussian},
        "reversed": {16: Gaussian, 400: Empirical},
    }.items():
        monkeypatch.setattr(ScoreGap, "denoisers", _known(ends))
        found = run(grid(ScoreGap, n=[16, 400], **SMALL), tmp_path / name.replace(" ", ""))
        claims[name] = {
            finding.headline.split(" (")[0][:40]: finding
            for finding in findings.claims(grouped(found))
        }
        every = grouped(found)
        exact = every[-1] if name == "as claimed" else every[0]
        assert exact.mean("rmse_network_gaussian").max() < 1e-6
        assert exact.mean("rmse_distillate_gaussian").max() < 1e-5
        other = every[0] if name == "as claimed" else every[-1]
        assert not other.mean("rmse_network_memorizer").any()
        assert np.allclose(
            other.mean("rmse_distillate_gaussian"), other.mean("rmse_control_gaussian"), atol=1e-6
        )
    status = {
        name: [finding.status for finding in found.values()] for name, found in claims.items()
    }
    assert status["as claimed"][1:5] == ["good"] * 4
    assert status["as claimed"][0] == "absent", "a Gaussian has no regimes"
    assert status["reversed"][1:5] == ["absent"] * 4


def test_members_are_averaged_and_share_their_points(rows: list[Row]) -> None:
    every = grouped(rows)
    assert [len(group.rows) for group in every] == [2, 1]
    both = np.mean(
        [row.arrays()["rmse_network_gaussian"].astype(np.float64) for row in every[0].rows], 0
    )
    level, worst = reading.extreme(every[0], "rmse_network_gaussian")
    assert worst.value == pytest.approx(both.mean(1).max())
    assert level == LEVELS[both.mean(1).argmax()]
    assert worst.n == 60
    assert reading.share(every[0], float(np.exp(0.5))) == pytest.approx(0.5)
    low, high = reading.trained(every[0]) or (0, 0)
    assert reading.share(every[0], low) - reading.share(every[0], high) == pytest.approx(
        0.95, abs=1e-3
    )


def test_a_given_network_gets_the_numbers_of_the_trained_one(tmp_path: Path) -> None:
    settings = {**SMALL, "level_mean": 0.0, "level_std": 2.0}
    (kept,) = run(grid(PhaseTransition, n=24, **settings), Store(tmp_path))
    trained = ScoreGap(n=24, **settings).run()
    given = ScoreGap(n=24, model=str(kept.path), **settings).run()
    for name, array in trained.arrays.items():
        assert np.allclose(array, given.arrays[name], atol=1e-5), name
    value = given.values["gaussian_intermediate"]
    assert isinstance(value, Estimate)
    assert value.n == 60


def test_the_page_builds(rows: list[Row]) -> None:
    assert len(ScoreGap.sections(rows)) == 5
    assert len(ScoreGap.page(rows, {}).sections) == 7
    assert ScoreGap.sections(rows[:1])
    broken = Row(
        "0" * 16,
        rows[0].study,
        1,
        {**rows[0].fields, "n": 32},
        {"stopped": "the loss is not finite"},
    )
    assert "N = 32" in str(ScoreGap.sections([*rows, broken])[0].blocks[0])


def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "run score_gap --n 8 24 --seed 0 --data molrg --width 4 --steps 20 --samples "
        "8 --solver-steps 4 --held 20 --on serial --quiet"
    )
    assert main([*words.split(), "--store", str(tmp_path / "s")]) == 0
    text = Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text()
    assert "true denoiser" in text
    figures = {path.stem for path in (tmp_path / "s" / "figures").glob("*.svg")}
    assert figures == {
        f"score_gap_{name}" for name in ("models", "sizes", "relative", "weights", "linearity")
    }


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
