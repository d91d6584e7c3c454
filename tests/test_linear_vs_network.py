"""The comparison in small: known models in the network's place get the numbers they must, and the
page says what was found.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rates import sigmas

from denoscope import Empirical, Estimate, Gaussian, grid, sample
from denoscope.cli import main
from denoscope.data.sources import Source
from denoscope.data.splits import Split
from denoscope.fitting.closed_forms import ClosedForms
from denoscope.readings import Readings, expanded
from denoscope.store import Row
from denoscope.studies.linear_vs_network import (
    LEVELS,
    QUANTITIES,
    LinearVsNetwork,
    positions,
    readings,
    values,
)
from denoscope.study import swept
from denoscope.types import Denoiser

FORMS = ClosedForms(Split(Source("digits"), None, 200, 24, 0), 300, 18)
SMALL: dict[str, Any] = {"width": 8, "steps": 60, "samples": 60, "solver_steps": 6, "held": 80}


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """A tiny sweep, measured once."""
    return tiny("linear_vs_network", "digits")


def _measured(denoiser: Denoiser, forms: ClosedForms = FORMS) -> tuple[dict[str, float], Readings]:
    """Values and readings of a denoiser in the network's place."""
    start, levels = forms.starts()
    found = readings(forms, denoiser, sample(denoiser, start, levels.to(start.dtype)))
    numbers = values(found, forms.linear())
    return {k: float(v) for k, v in numbers.items()}, expanded(found, QUANTITIES)  # pyright: ignore[reportArgumentType]


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


def test_a_plan_covers_every_cell_once_in_two_jobs() -> None:
    cells = grid(LinearVsNetwork, **swept(LinearVsNetwork))
    jobs = LinearVsNetwork.plan(cells)
    assert len(jobs) == 2
    assert sorted(c.key() for job in jobs for c in job) == sorted(c.key() for c in cells)
    assert len(LinearVsNetwork.plan(cells[:1])) == 1


@pytest.mark.parametrize("size", [24, 400])
def test_the_linear_model_in_the_networks_place_is_the_linear_model(size: int) -> None:
    forms = ClosedForms(Split(Source("digits"), None, 200, size, 0), 300, 18)
    numbers, found = _measured(Gaussian.from_data(forms.where.train().double()), forms)
    assert numbers["cosine_linear"] > 0.99999
    leading = [r.value for r in found.of("correlation", to="gaussian") if r.at["order"] <= 3]
    assert np.allclose(leading, 1, atol=1e-5)
    variance = found.of("variance", basis="own")
    for order in variance.along("order")[:8]:
        own = variance.of(order=order)
        assert own.of(who="network").one.mean() == pytest.approx(
            own.of(who="gaussian").one.mean(), rel=1e-3
        )
    assert numbers["outside"] < 1e-6
    e = found.of("ratio", mode="leading").estimates().one
    assert abs(e.value - 1) < sigmas() * (e.high - e.low) / 3.9


def test_the_memorizer_in_the_networks_place_is_the_memorizer() -> None:
    numbers, found = _measured(Empirical(FORMS.where.train()))
    assert numbers["cosine_memorizer"] > 0.99999
    assert np.allclose([r.value for r in found.of("correlation", to="memorizer")], 1, atol=1e-4)
    assert max(abs(float(r.value)) for r in found.of("position")) < 1e-4
    assert numbers["outside"] < 1e-6


def test_the_best_linear_denoiser_is_at_the_other_end() -> None:
    numbers, found = _measured(FORMS.where.gaussian_all())
    for kind in ("train", "test"):
        between = np.array([r.value for r in found.of("position", images=kind)])
        assert len(between) > 4
        assert np.abs(between - 1).max() < 1e-4
    assert numbers["outside"] > 0.1  # 24 images do not span what all of them do


def test_theory_of_the_gaussians_is_what_is_measured() -> None:
    """The closed form against noisy images, within their error, at every level and on both sets of
    images.
    """
    _, found = _measured(FORMS.where.gaussian())
    for who in ("gaussian", "gaussian_all"):
        for kind in ("train", "test"):
            for level in (LEVELS[0], LEVELS[5], LEVELS[10]):
                at = {"who": who, "images": kind, "sigma": float(level)}
                units, wanted = found.of("error", **at).one, found.of("exact_error", **at).one
                error = units.std(ddof=1) / np.sqrt(len(units))
                assert abs(units.mean() - float(wanted)) < sigmas(12) * error


def test_places_between_solutions() -> None:
    loss, empirical, best = (
        np.array([1.0, 2.0, 3.0, 1.0]),
        np.array([1.0, 1.0, 1.0, 1.0]),
        np.array([3.0, 3.0, 3.0, 1.2]),
    )
    assert np.allclose(positions(loss, empirical, best)[:3], [0, 0.5, 1])
    assert np.isnan(positions(loss, empirical, best)[3])


def test_rows_are_finite_and_do_not_depend_on_their_fleet(rows: list[Row]) -> None:
    for row in rows:
        assert all(np.isfinite(array).all() for array in row.arrays().values())
    alone = LinearVsNetwork(n=16, seed=1, **SMALL).run().values
    stored = next(r for r in rows if (r.fields["n"], r.fields["seed"]) == (16, 1)).values
    for name in ("ratio_leading", "cosine_linear", "position_test"):
        mine, other = alone[name], stored[name]
        assert isinstance(mine, Estimate | float)
        assert float(mine) == pytest.approx(float(other), rel=1e-3, abs=1e-6)  # pyright: ignore[reportArgumentType]


def test_one_network_has_a_page(rows: list[Row]) -> None:
    page = LinearVsNetwork.page(rows[:1], {})
    assert page.claims
    assert page.opening


@pytest.mark.usefixtures("sketched")
def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "run linear_vs_network --n 16 --seed 0 --width 4 --steps 30 --samples 30 "
        "--solver-steps 4 --held 60 --on serial --quiet --store"
    )
    assert main([*words.split(), str(tmp_path / "s")]) == 0
    text = Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text()
    assert "place" in text
    assert (tmp_path / "s" / "figures" / "variances.svg").is_file()


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
