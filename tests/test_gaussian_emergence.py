"""The study in small: known denoisers get the numbers they must, a killed training goes on as if
nothing had happened, the page builds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from denoscope import Empirical, Estimate, fitting, grid, run, save
from denoscope.cli import main
from denoscope.geometry.distances import score_distance
from denoscope.geometry.linearization import linearity
from denoscope.store import Row, Store
from denoscope.studies._geometry.emergence import findings, measuring, trajectory
from denoscope.studies._geometry.emergence.course import Course, turn
from denoscope.studies._geometry.emergence.runs import runs, widest
from denoscope.studies._geometry.emergence.trajectory import (
    CHECKPOINT,
    snapshot_steps,
    trajectories,
)
from denoscope.studies._geometry.subject import Data, Subject
from denoscope.studies._source import Source
from denoscope.studies.gaussian_emergence import GaussianEmergence
from denoscope.study import Result, Work, swept
from denoscope.types import Denoiser

DATA = Data(Source("digits"), None, 261, 24, 0)
SMALL: dict[str, Any] = {"steps": 60, "samples": 12, "solver_steps": 4, "snapshots": 4, "first": 5}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """A tiny sweep, measured once."""
    return run(
        grid(GaussianEmergence, n=[16, 200], width=[4, 8], subset=[0, 1], **SMALL),
        Store(tmp_path_factory.mktemp("sweep")),
    )


def _measured(*denoisers: Denoiser, data: Data = DATA) -> Result:
    return measuring.measure({step: Subject(D, data, 12, 4) for step, D in enumerate(denoisers, 1)})


def _value(result: Result, name: str) -> float:
    found = result.values[name]
    assert isinstance(found, Estimate | float | int)
    return float(found)


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


@pytest.mark.parametrize(
    ("first", "last", "count"), [(30, 8000, 12), (5, 60, 4), (1, 3, 9), (50, 20, 5), (10, 100, 1)]
)
def test_snapshots_are_evenly_spaced_in_the_logarithm(first: int, last: int, count: int) -> None:
    steps = snapshot_steps(first, last, count)
    assert steps == sorted(set(steps))
    assert steps[-1] == last
    assert len(steps) <= count
    if len(steps) > 3 and first > 1:
        ratios = np.diff(np.log(steps))
        assert ratios.max() < 1.3 * ratios.min()


def test_the_gaussian_and_the_memorizer_are_recognized() -> None:
    result = _measured(DATA.gaussian(), Empirical(DATA.train()))
    to_gaussian, to_memorizer = result.arrays["to_gaussian"], result.arrays["to_memorizer"]
    assert np.abs(to_gaussian[0]).max() < 1e-6
    assert np.abs(to_memorizer[1]).max() < 1e-6
    assert np.allclose(to_gaussian[1], to_memorizer[0], atol=1e-6)
    assert np.allclose(result.arrays["with_gaussian"][0], 1, atol=1e-5)
    assert result.arrays["copies"].tolist() == [result.arrays["copies"][0], 1.0]
    assert _value(result, "closest_step") == 1
    assert _value(result, "distance") > 0.1


def test_numbers_are_those_of_the_geometry() -> None:
    """Distances, linearity and errors against the library's own functions, level by level."""
    D = Data(Source("digits"), None, 261, 300, 1).gaussian()
    result, subject = _measured(D), Subject(D, DATA)
    x = subject.clean("test", 200)
    for i, level in enumerate(measuring.LEVELS):
        y = x + level * subject.noise(200)
        assert score_distance(D, DATA.gaussian(), y[:100], level).value == pytest.approx(
            result.arrays["to_gaussian"][0, i].mean(), rel=1e-5
        )
        assert linearity(D, y[:100], y[100:], level).value == pytest.approx(
            result.arrays["linearity"][0, i].mean(), rel=1e-5
        )
        error = float((D(y[:100], torch.tensor(level)) - x[:100]).square().mean())
        assert error == pytest.approx(result.arrays["error_test"][0, i].mean(), rel=1e-4)


def test_the_best_linear_denoiser_has_relative_error_one() -> None:
    result = _measured(DATA.gaussian_all())
    course = Course(result.arrays.__getitem__)
    assert course.error("test").mean() == pytest.approx(1, abs=1e-4)
    assert course.edges[1] == pytest.approx(
        float(np.linalg.eigvalsh(DATA.gaussian_all().cov.double().numpy())[-1] ** 0.5), rel=1e-4
    )
    assert "closest_step" not in result.values


def test_a_turn_is_found_and_its_values_are_of_other_points() -> None:
    x = np.linspace(-1, 1, 9)[:, None]
    noise = 0.01 * np.random.default_rng(0).standard_normal(100)
    course = 1 + (x - 0.5) ** 2 + noise
    found = turn(course)
    assert (found.index, found.last) == (6, 8)
    assert found.within
    assert found.value.value == pytest.approx(course[6, 1::2].mean())
    assert found.rise.value == pytest.approx(0.25, abs=1e-9)
    assert not turn(course[:7]).within
    assert not turn(course[6:]).within


def _weights(
    found: Iterator[tuple[dict[int, nn.Module], str]],
) -> list[dict[int, list[torch.Tensor]]]:
    return [
        {step: [p.clone() for p in net.parameters()] for step, net in course.items()}
        for course, _ in found
    ]


def _same(
    first: list[dict[int, list[torch.Tensor]]], other: list[dict[int, list[torch.Tensor]]]
) -> bool:
    return all(
        a.keys() == b.keys()
        and all(torch.equal(p, q) for step in a for p, q in zip(a[step], b[step]))
        for a, b in zip(first, other)
    )


@pytest.mark.parametrize(
    "lost", ["nothing", "the snapshot of the checkpoint", "an early snapshot", "half of a snapshot"]
)
def test_a_killed_training_goes_on_as_if_undisturbed(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two snapshots, or at one before it was written; an early one that is gone or
    damaged means a new start.
    """
    cells = [GaussianEmergence(n=n, width=4, **SMALL).trained() for n in (16, 40)]
    steps = [5, 11, 26, 60]
    undisturbed = _weights(trajectories(cells, steps, Work(), 1.0))
    monkeypatch.setattr(trajectory, "training", partial(fitting.training, every=0.0))

    def killed(fraction: float) -> None:
        if fraction >= 0.45:
            raise KeyboardInterrupt

    taken = trajectory.Snapshots.take

    def killed_before(self: trajectory.Snapshots, step: int, net: nn.Module) -> None:
        if step == 26:
            raise KeyboardInterrupt
        taken(self, step, net)

    with monkeypatch.context() as patch:
        if lost == "the snapshot of the checkpoint":
            patch.setattr(trajectory.Snapshots, "take", killed_before)
        with pytest.raises(KeyboardInterrupt):
            list(trajectories(cells, steps, Work(tmp_path, killed), 1.0))
    assert (tmp_path / CHECKPOINT).is_file()
    assert (tmp_path / "step-26.safetensors").is_file() == (
        lost != "the snapshot of the checkpoint"
    )
    if lost == "an early snapshot":
        (tmp_path / "step-5.safetensors").unlink()
    if lost == "half of a snapshot":
        (tmp_path / "step-5.safetensors").write_bytes(
            (tmp_path / "step-5.safetensors").read_bytes()[:100]
        )
    begun: list[float] = []
    assert _same(
        undisturbed, _weights(trajectories(cells, steps, Work(tmp_path, begun.append), 1.0))
    )
    assert (begun[0] > 0.4) == (lost in ("nothing", "the snapshot of the checkpoint"))
    assert _same(
        undisturbed, _weights(trajectories(cells, steps, Work(tmp_path), 1.0))
    )  # killed while measuring


def test_snapshots_are_those_of_shorter_trainings() -> None:
    """Under a constant rate the weights at step 20 of 60 are those at the end of 20."""
    cell = GaussianEmergence(n=16, width=4, **SMALL).trained()
    ((course, _),) = trajectories([cell], [20, 60], Work(), 1.0)
    ((short, _),) = trajectories(
        [GaussianEmergence(n=16, width=4, **{**SMALL, "steps": 20}).trained()], [20], Work(), 1.0
    )
    assert all(torch.equal(p, q) for p, q in zip(course[20].parameters(), short[20].parameters()))


def test_rows_do_not_depend_on_their_fleet(rows: list[Row]) -> None:
    for row in rows:
        assert all(np.isfinite(array).all() for array in row.arrays().values())
        assert row.arrays()["to_gaussian"].shape == (4, len(measuring.LEVELS), measuring.POINTS)
    alone = GaussianEmergence(n=16, width=8, subset=1, **SMALL).run()
    stored = next(
        row
        for row in rows
        if (row.fields["n"], row.fields["width"], row.fields["subset"]) == (16, 8, 1)
    )
    assert np.allclose(
        alone.arrays["to_gaussian"], stored.arrays()["to_gaussian"], rtol=1e-3, atol=1e-5
    )


def test_a_given_network_is_as_at_the_end_of_its_training(tmp_path: Path) -> None:
    cell = GaussianEmergence(n=16, width=4, **SMALL)
    ((course, _),) = trajectories([cell.trained()], cell.moments(), Work(), 1.0)
    path = save(course[60], tmp_path / "net.safetensors")
    given, own = GaussianEmergence(n=16, model=str(path), **SMALL).run(), cell.run()
    assert given.arrays["steps"].tolist() == [0]
    for name in ("to_gaussian", "linearity", "error_train"):
        assert np.allclose(given.arrays[name][0], own.arrays[name][-1], atol=1e-6)


def test_the_page_builds(rows: list[Row]) -> None:
    assert len(GaussianEmergence.page(rows, {}).sections) == 7
    assert len(findings.claims(runs(rows))) >= 7
    assert [found.n for found in widest(runs(rows))] == [16, 200]
    assert all(found.pairs is not None and found.pairs.shape == (4, 12) for found in runs(rows))
    assert runs(rows[:1])[0].pairs is None
    assert GaussianEmergence.page(rows[:1], {}).sections


def test_a_stopped_training_is_listed(rows: list[Row]) -> None:
    broken = Row(
        "0" * 16,
        rows[0].study,
        1,
        {**rows[0].fields, "n": 32},
        {"stopped": "the loss is not finite"},
        rows[0].made,
    )
    built = GaussianEmergence.page([*rows, broken], {})
    assert "N = 32, width 4, subset 0, seed 0: the loss is not finite." in str(
        built.sections[0].blocks[0]
    )
    with pytest.raises(ValueError, match="lower --lr"):
        GaussianEmergence.page([broken], {})


def test_a_diverging_training_is_a_stopped_cell() -> None:
    result = GaussianEmergence(n=16, width=4, **{**SMALL, "lr": 1e30}).run()
    assert "stopped" in result.values


def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "run gaussian_emergence --n 16 64 --width 4 --steps 30 --snapshots 3 --first "
        "4 --samples 8 --solver-steps 3 --on serial --quiet --store"
    )
    assert main([*words.split(), str(tmp_path / "s")]) == 0
    text = Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text()
    assert "Gaussian" in text
    for name in ("distance", "solutions", "linearity", "errors", "samples", "levels", "sizes"):
        assert (tmp_path / "s" / "figures" / f"gaussian_emergence_{name}.svg").is_file()


def test_given_networks_have_a_page_without_a_course(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = GaussianEmergence(n=16, width=4, **SMALL)
    ((course, _),) = trajectories([cell.trained()], [5, 60], Work(), 1.0)
    paths = [str(save(net, tmp_path / f"after{step}.safetensors")) for step, net in course.items()]
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


def test_where_the_truth_is_known_it_is_compared() -> None:
    result = GaussianEmergence(n=32, width=4, data="molrg", held=100, **SMALL).run()
    assert result.arrays["to_truth"].shape == result.arrays["to_gaussian"].shape
    errors = {
        name: result.arrays[f"error_test_{name}"][1:6].mean()
        for name in ("truth", "gaussian_all", "gaussian", "memorizer")
    }
    assert min(errors, key=lambda name: float(errors[name])) == "truth"


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
