"""The study in small: known denoisers get the numbers they must, and a sweep tells its claims."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from denoscope import Empirical, Estimate, grid, save
from denoscope.cli import main
from denoscope.data.sources import Source
from denoscope.data.splits import Split
from denoscope.geometry.distances import score_distance
from denoscope.geometry.linearization import linearity
from denoscope.readings import Reading, Readings, expanded
from denoscope.report import Figure
from denoscope.store import Row
from denoscope.studies._subject import Subject
from denoscope.studies.gaussian_emergence import (
    LEVELS,
    POINTS,
    QUANTITIES,
    GaussianEmergence,
    averaged,
    highest,
    readings,
    turn,
)
from denoscope.study import Work, swept
from denoscope.types import Denoiser

DATA = Split(Source("digits"), None, 261, 24, 0)
SMALL: dict[str, Any] = {"steps": 60, "samples": 12, "solver_steps": 4, "snapshots": 4, "first": 5}
FIGURES = ("distance", "solutions", "linearity", "errors", "samples", "levels", "sizes")


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """A tiny sweep, measured once."""
    return tiny("gaussian_emergence", "digits")


def _measured(*denoisers: Denoiser, data: Split = DATA) -> tuple[Readings, dict[str, Any]]:
    """Readings and values of denoisers as if they were the snapshots 1, 2, ..."""
    found = list(readings({i: Subject(D, data, 12, 4) for i, D in enumerate(denoisers, 1)}))
    return expanded(found, QUANTITIES), GaussianEmergence().values(found)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())[
        "gaussian_emergence"
    ]
    cells = {"default": GaussianEmergence(), "n=16": GaussianEmergence(n=16, width=8, subset=1)}
    assert golden["version"] == GaussianEmergence.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(GaussianEmergence().fields()))


def test_the_sweep_has_two_disjoint_training_sets_a_size() -> None:
    cells = grid(GaussianEmergence, **swept(GaussianEmergence))
    assert len(cells) == 4 * 3 * 2
    jobs = GaussianEmergence.plan(cells)
    assert sorted(c.key() for job in jobs for c in job) == sorted(c.key() for c in cells)


def test_the_gaussian_and_the_memorizer_are_recognized() -> None:
    found, values = _measured(DATA.gaussian(), Empirical(DATA.train()))
    to = {
        (name, step): np.stack([r.value for r in found.of("distance", to=name, step=step)])
        for name in ("gaussian", "memorizer")
        for step in (1, 2)
    }
    assert np.abs(to["gaussian", 1]).max() < 1e-6
    assert np.abs(to["memorizer", 2]).max() < 1e-6
    assert np.allclose(to["gaussian", 2], to["memorizer", 1], atol=1e-6)
    assert np.allclose(found.of("agreement", step=1).one, 1, atol=1e-5)
    assert found.of("copies", step=2).one.all()
    assert values["closest_step"] == 1
    assert values["distance"].value > 0.1
    assert values["copies"] == 1


def test_numbers_are_those_of_the_geometry() -> None:
    """Distances, linearity and errors against the library's own functions, level by level."""
    D = Split(Source("digits"), None, 261, 300, 1).gaussian()
    (found, _), subject = _measured(D), Subject(D, DATA)
    network = found.of(who="network")
    x = subject.clean("test", 200)
    for level in LEVELS.tolist():
        y = x + level * subject.noise(200)
        assert score_distance(D, DATA.gaussian(), y[:100], level).value == pytest.approx(
            network.of("distance", to="gaussian", sigma=level).one.mean(), rel=1e-5
        )
        assert linearity(D, y[:100], y[100:], level).value == pytest.approx(
            network.of("linearity", sigma=level).one.mean(), rel=1e-5
        )
        error = float((D(y[:100], torch.tensor(level)) - x[:100]).square().mean())
        seen = network.of("error", images="test", sigma=level).one
        assert error == pytest.approx(seen.mean(), rel=1e-4)


def test_the_best_linear_denoiser_has_relative_error_one() -> None:
    found, values = _measured(DATA.gaussian_all())
    relative = averaged(found).of("relative", who="network", images="test")
    assert relative.one.mean() == pytest.approx(1, abs=1e-4)
    assert highest(found) == pytest.approx(
        float(np.linalg.eigvalsh(DATA.gaussian_all().cov.double().numpy())[-1] ** 0.5), rel=1e-4
    )
    assert "closest_step" not in values


def test_a_turn_is_found_and_its_values_are_of_other_points() -> None:
    x = np.linspace(-1, 1, 9)[:, None]
    course = 1 + (x - 0.5) ** 2 + 0.01 * np.random.default_rng(0).standard_normal(100)
    steps = [Reading("distance", {"step": i}, units) for i, units in enumerate(course)]
    distance = Readings(steps, QUANTITIES)
    nearest = distance.smallest("step")
    assert nearest[0].at == {"step": 6}
    assert nearest.one.mean() == pytest.approx(course[6, 1::2].mean())
    turns = turn(distance)
    assert turns.of(side="after").one.mean() == pytest.approx(0.25, abs=1e-9)
    assert turns.of(side="before").one.mean() == pytest.approx(2.25, abs=1e-9)
    assert not turn(distance.of(step=3))


def test_rows_do_not_depend_on_their_fleet(rows: list[Row]) -> None:
    found = GaussianEmergence.found(rows)
    distance = found.of("distance")
    assert len(distance) == 8 * 4 * 3 * len(LEVELS)
    assert all(r.value.shape == (POINTS,) and np.isfinite(r.value).all() for r in distance)
    alone = GaussianEmergence(n=16, width=8, subset=1, **SMALL).run().values
    stored = next(
        row
        for row in rows
        if (row.fields["n"], row.fields["width"], row.fields["subset"]) == (16, 8, 1)
    ).values
    for name in ("distance", "held_out", "linearity"):
        mine, other = alone[name], stored[name]
        assert isinstance(mine, Estimate)
        assert isinstance(other, Estimate)
        assert mine.value == pytest.approx(other.value, rel=1e-3)


def test_a_given_network_is_as_at_the_end_of_its_training(tmp_path: Path) -> None:
    cell = GaussianEmergence(n=16, width=4, **SMALL)
    ((course, _),) = GaussianEmergence.course([cell], Work()).denoisers()
    path = save(course[60], tmp_path / "net.safetensors")
    given, own = GaussianEmergence(n=16, model=str(path), **SMALL).run(), cell.run()
    for name in ("distance", "linearity", "held_out", "agreement"):
        assert float(given.values[name]) == pytest.approx(float(own.values[name]), abs=1e-6)  # pyright: ignore[reportArgumentType]
    assert "closest_step" not in given.values


def test_a_sweep_tells_every_claim_and_draws_every_figure(rows: list[Row]) -> None:
    told = GaussianEmergence.told(rows)
    absent = [claim.says for claim in told.claims if claim.verdict() == "not tested"]
    assert absent == [
        "With most images the network ends this far from the true denoiser",
        "A given network's distance to the Gaussian of its training set",
    ]
    blocks = [*told.opening, *(block for part in told.sections for block in part.blocks)]
    names = {block.name for block in blocks if isinstance(block, Figure)}
    assert names == {f"gaussian_emergence_{name}" for name in FIGURES}


def test_where_the_truth_is_known_it_is_compared() -> None:
    cell = GaussianEmergence(n=32, width=4, data="molrg", held=100, **SMALL)
    ((course, _),) = GaussianEmergence.course([cell], Work()).denoisers()
    found, _ = _measured(course[60], data=cell.where())
    assert len(found.of("distance", to="truth")) == len(LEVELS)
    inner = {"images": "test", "sigma": LEVELS.tolist()[1:6]}
    errors = {
        who: np.mean([r.value.mean() for r in found.of("error", who=who, **inner)])
        for who in ("truth", "gaussian_all", "gaussian", "memorizer")
    }
    assert min(errors, key=lambda who: float(errors[who])) == "truth"


def test_a_stopped_training_is_listed(rows: list[Row]) -> None:
    fields = {**rows[0].fields, "n": 32}
    broken = Row("0" * 16, rows[0].study, 2, fields, {"stopped": "not finite"}, rows[0].made)
    built = GaussianEmergence.page([*rows, broken], {})
    run = next(part for part in built.sections if part.title == "What was run").blocks[0]
    assert run.pairs["stopped"] == f"{'0' * 16}: not finite"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="lower --lr"):
        GaussianEmergence.page([broken], {})


def test_a_diverging_training_is_a_stopped_cell() -> None:
    result = GaussianEmergence(n=16, width=4, **{**SMALL, "lr": 1e30}).run()
    assert "stopped" in result.values


def test_given_networks_have_a_page_without_a_course(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = GaussianEmergence(n=16, width=4, **SMALL)
    ((course, _),) = GaussianEmergence.course([cell], Work()).denoisers()
    paths = [str(save(course[s], tmp_path / f"after{s}.safetensors")) for s in (5, 60)]
    words = (
        f"run gaussian_emergence --model {' '.join(paths)} --n 16 --width 4 --subset "
        "0 --samples 8 --solver-steps 3 --on serial --quiet --store"
    )
    assert main([*words.split(), str(tmp_path / "s")]) == 0
    text = Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text()
    assert "after60" in text
    assert sorted(path.stem for path in (tmp_path / "s" / "figures").glob("*.svg")) == [
        "gaussian_emergence_levels"
    ]
    claims = json.loads((tmp_path / "s" / "claims.json").read_text())
    given = next(c for c in claims if c["claim"].startswith("A given network's"))
    assert len(given["numbers"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--n 1", "--n 1: a training set needs at least 2 images"),
        ("--snapshots 0", "--snapshots 0: must be at least 1"),
        ("--first 0", "--first 0: must be at least 1"),
        ("--lr -1", "--lr -1.0: must be a positive number"),
        ("--model nowhere.safetensors", "--model nowhere.safetensors: there is no file"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "gaussian_emergence", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
