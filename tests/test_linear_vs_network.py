"""The comparison in small: known models in the network's place get the numbers they must, and the
page says what was found.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rates import sigmas

from denoscope import Empirical, Estimate, Gaussian, grid, run, sample
from denoscope.cli import main
from denoscope.data.sources import Source
from denoscope.store import Row, Store
from denoscope.studies._linear.networks import findings, measuring, page
from denoscope.studies._linear.networks.runs import collected
from denoscope.studies._transition.cell import LEVELS, Place
from denoscope.studies.linear_vs_network import LinearVsNetwork
from denoscope.studies.phase_transition import PhaseTransition
from denoscope.study import Result, swept
from denoscope.types import Denoiser

PLACE = Place(Source("digits"), 200, 300, 18, 24, 0)
SMALL: dict[str, Any] = {"width": 8, "steps": 60, "samples": 60, "solver_steps": 6, "held": 80}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """A tiny sweep, measured once."""
    return run(
        grid(LinearVsNetwork, n=[16, 200], seed=[0, 1], **SMALL),
        Store(tmp_path_factory.mktemp("sweep")),
    )


def _measured(denoiser: Denoiser, place: Place = PLACE) -> Result:
    setting = place.setting()
    return measuring.measure(
        place, denoiser, sample(denoiser, float(setting.sigmas[0]) * setting.noise, setting.sigmas)
    )


def _value(result: Result, name: str) -> float:
    found = result.values[name]
    assert isinstance(found, Estimate | float | int)
    return float(found)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())[
        "linear_vs_network"
    ]
    cells = {"default": LinearVsNetwork(), "n=16": LinearVsNetwork(n=16, seed=1)}
    assert golden["version"] == LinearVsNetwork.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(LinearVsNetwork().fields()))


def test_networks_are_those_of_the_transition() -> None:
    item, other = (kind(n=100, seed=2, lr=1e-3) for kind in (LinearVsNetwork, PhaseTransition))
    assert (item.recipe(), item.where()) == (other.recipe(), other.where())
    assert item.member().initial == other.member().initial


def test_a_plan_covers_every_cell_once_in_two_jobs() -> None:
    cells = grid(LinearVsNetwork, **swept(LinearVsNetwork))
    jobs = LinearVsNetwork.plan(cells)
    assert len(jobs) == 2
    assert sorted(c.key() for job in jobs for c in job) == sorted(c.key() for c in cells)
    assert len(LinearVsNetwork.plan(cells[:1])) == 1


@pytest.mark.parametrize("size", [24, 400])
def test_the_linear_model_in_the_networks_place_is_the_linear_model(size: int) -> None:
    place = Place(PLACE.source, 200, 300, 18, size, 0)
    result = _measured(Gaussian.from_data(place.setting().train(size, 0).double()), place)
    model, arrays = measuring.linear(place), result.arrays
    assert _value(result, "cosine_linear") > 0.99999
    assert np.allclose(arrays["correlation_linear"][: model.leading], 1, atol=1e-5)
    assert np.allclose(
        arrays["network_own"].mean(0)[:10], arrays["linear_own"].mean(0)[:10], rtol=1e-3
    )
    assert _value(result, "outside") < 1e-6
    ratio = result.values["ratio_leading"]
    assert isinstance(ratio, Estimate)
    assert abs(ratio.value - 1) < sigmas() * (ratio.high - ratio.low) / 3.9


def test_the_memorizer_in_the_networks_place_is_the_memorizer() -> None:
    result = _measured(Empirical(PLACE.setting().train(24, 0)))
    assert _value(result, "cosine_memorizer") > 0.99999
    assert np.allclose(result.arrays["correlation_memorizer"], 1, atol=1e-4)
    for kind in ("train", "test"):
        between = result.arrays[f"position_{kind}"]
        assert np.nanmax(np.abs(between)) < 1e-4
    assert _value(result, "outside") < 1e-6


def test_the_best_linear_denoiser_is_at_the_other_end() -> None:
    result = _measured(Gaussian.from_data(PLACE.setting().reals))
    for kind in ("train", "test"):
        between = result.arrays[f"position_{kind}"]
        assert np.isfinite(between).sum() > 4
        assert np.nanmax(np.abs(between - 1)) < 1e-4
    assert _value(result, "outside") > 0.1  # 24 images do not span what all of them do


def test_the_law_is_that_of_the_solver_and_tends_to_the_ode() -> None:
    gaps = []
    for steps in (12, 48):
        model = measuring.linear(Place(PLACE.source, 200, 10, steps, 24, 0))
        gaps.append(
            np.abs(model.law / np.where(model.ode > 0, model.ode, np.inf) - 1)[
                : model.leading
            ].max()
        )
        assert np.allclose(model.law[model.seen :], 0, atol=1e-12)
    assert gaps[1] < 0.1 * gaps[0]
    wide = measuring.linear(Place(PLACE.source, 200, 4000, 18, 24, 0))
    measured = measuring.squares(wide.samples, wide.vectors["own"])[:, : wide.seen].astype(
        np.float64
    )
    error = measured.std(0) / np.sqrt(len(measured))
    assert (np.abs(measured.mean(0) - wide.law[: wide.seen]) < sigmas(wide.seen) * error).all()


def test_theory_of_the_gaussians_is_what_is_measured() -> None:
    """The closed form against Monte Carlo over fresh noise, within its error, at every level, on
    both sets of images.
    """
    setting, model = PLACE.setting(), measuring.linear(PLACE)
    theory = measuring._theory(model)
    images = {"train": setting.train(24, 0).double(), "test": setting.test.double()}
    known = {
        "gaussian": Gaussian.from_data(images["train"]),
        "all": Gaussian.from_data(setting.reals.double()),
    }
    noise = torch.Generator().manual_seed(5)
    for name, denoiser in known.items():
        for kind, clean in images.items():
            many = clean.repeat(-(-2000 // len(clean)), 1, 1, 1)
            for i in (0, 5, 10):
                x = many + LEVELS[i] * torch.randn(many.shape, generator=noise, dtype=torch.float64)
                each = (denoiser(x, torch.tensor(LEVELS[i])) - many).flatten(1).square().mean(1)
                # images repeat: the noise is what varies, so the spread within each image sets the
                # error
                blocks = each.reshape(-1, len(clean)).mean(1)
                assert float(theory[f"theory_{kind}_{name}"][i]) == pytest.approx(
                    float(each.mean()), abs=float(12 * blocks.std() / np.sqrt(len(blocks)))
                )


def test_places_between_solutions() -> None:
    loss, empirical, best = (
        np.array([1.0, 2.0, 3.0, 1.0]),
        np.array([1.0, 1.0, 1.0, 1.0]),
        np.array([3.0, 3.0, 3.0, 1.2]),
    )
    assert np.allclose(measuring.positions(loss, empirical, best)[:3], [0, 0.5, 1])
    assert np.isnan(measuring.positions(loss, empirical, best)[3])


def test_rows_are_finite_and_do_not_depend_on_their_fleet(rows: list[Row]) -> None:
    for row in rows:
        arrays = row.arrays()
        assert all(
            np.isfinite(array).all()
            for name, array in arrays.items()
            if not name.startswith("position")
        )
        assert arrays["network_own"].shape == (60, 64)
    alone = LinearVsNetwork(n=16, seed=1, **SMALL).run()
    stored = next(row for row in rows if row.fields["n"] == 16 and row.fields["seed"] == 1)
    assert np.allclose(
        alone.arrays["network_own"].mean(0),
        stored.arrays()["network_own"].mean(0),
        rtol=1e-3,
        atol=1e-6,
    )


def test_the_page_builds(rows: list[Row]) -> None:
    built = page.build(rows, {}, LinearVsNetwork.references)
    assert len(built.sections) == 8
    claims = findings.claims(collected(rows))
    assert claims[-1].status == "good"
    assert page.build(rows[:1], {}, LinearVsNetwork.references).sections


def test_a_stopped_training_is_listed(rows: list[Row]) -> None:
    broken = Row(
        "0" * 16,
        rows[0].study,
        1,
        {**rows[0].fields, "n": 32},
        {"stopped": "the loss is not finite"},
    )
    built = page.build([*rows, broken], {}, LinearVsNetwork.references)
    assert "N = 32" in str(built.sections[0].blocks[0])
    with pytest.raises(ValueError, match="lower --lr"):
        page.build([broken], {}, LinearVsNetwork.references)


def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "run linear_vs_network --n 16 64 --seed 0 --width 4 --steps 30 --samples 30 "
        "--solver-steps 4 --held 60 --on serial --quiet --store"
    )
    assert main([*words.split(), str(tmp_path / "s")]) == 0
    text = Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text()
    assert "place" in text
    assert (tmp_path / "s" / "figures" / "variances_own.svg").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--n 1", "--n 1: a training set needs at least 2 images"),
        ("--n 5000", "--n 5000: digits has 1536 images beside the 261 held out"),
        ("--lr -1", "--lr -1.0: must be a positive number"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "linear_vs_network", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
