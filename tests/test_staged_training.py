"""The study in small: what is compared, at which costs, and what it says of known curves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from denoscope import grid
from denoscope.cli import main
from denoscope.fitting.loss import denoising_loss
from denoscope.levels import log_normal
from denoscope.networks import Preconditioned, UNet
from denoscope.random import generator
from denoscope.readings import Reading, Readings
from denoscope.store import Row
from denoscope.studies.multistage import QUANTITIES, StagedTraining, compared
from denoscope.study import Work, swept

STEPS = [100, 200, 400, 800]
FEW: dict[str, Any] = {"n": 64, "width": 4, "steps": 32, "snapshots": 3, "samples": 20, "held": 40}
FEW |= {"solver_steps": 3, "batch_size": 8}


def test_keys_and_defaults_are_frozen() -> None:
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["multistage"]
    cells = {"default": StagedTraining(), "experts": StagedTraining(n=64, arm="experts", seed=2)}
    assert golden["version"] == StagedTraining.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(StagedTraining().fields()))


def test_few_images_are_asked_for_copies_alone() -> None:
    cells = grid(StagedTraining, **swept(StagedTraining))
    few = {cell.arm for cell in cells if cell.n == 64}
    assert few == {"unified", "experts"}
    assert {cell.arm for cell in cells if cell.n == 1024} == set(swept(StagedTraining)["arm"])


def test_networks_see_the_same_rows_and_train_for_equal_operations() -> None:
    cells = [StagedTraining(arm=arm, **FEW) for arm in swept(StagedTraining)["arm"]]
    assert len({(c.member().order, c.member().initial) for c in cells}) == 1
    spent = [c.moments()[-1] * c.stages().operations(c.arm) for c in cells]
    np.testing.assert_allclose(spent, spent[0], rtol=0.03)


def test_the_held_out_loss_is_the_training_loss() -> None:
    cell = StagedTraining(**FEW)
    D = Preconditioned(UNet((1, 8, 8), 4), "edm", cell.where().spread())
    found = {tuple(r.at): r.value for r in cell.looked(D) if r.name == "loss" and not r.at}
    images = cell.where().unseen()
    many = images[torch.arange(20_000) % len(images)]
    draw = generator(1)
    sigma = log_normal(cell.level_mean, cell.level_std)(len(many), draw)
    noise = torch.randn(many.shape, generator=draw)
    with torch.no_grad():
        wanted = denoising_loss(D, many, sigma, noise).item()
    assert found[()] == pytest.approx(wanted, rel=0.03)


def _found(speed: float) -> Readings:
    """A unified network and one that learns ``speed`` times as fast at twice the operations."""
    rng, found = np.random.default_rng(0), []
    for arm, fast, cost in (("unified", 1.0, 1.0), ("multistage", speed, 2.0)):
        off = 1 + 0.002 * rng.standard_normal(3)
        for step in STEPS:
            loss = (1 + 50 / (fast * step)) * off
            found.append(Reading("loss", {"arm": arm, "step": step}, loss))
        each = {"operations": cost, "pace": cost}
        found += [Reading(name, {"arm": arm}, np.full(3, v)) for name, v in each.items()]
    return Readings(found, QUANTITIES)


def test_known_curves_give_their_ratios() -> None:
    every = compared(_found(2.0))
    assert every.of("iterations").estimates().one.value == pytest.approx(0.5, rel=0.1)
    assert every.of("work").estimates().one.value == pytest.approx(1.0, rel=0.1)
    assert every.of("seconds").estimates().one.value == pytest.approx(1.0, rel=0.1)
    assert every.of("final").estimates().one.value == pytest.approx(
        (1 + 1 / 32) / (1 + 1 / 16), rel=0.01
    )
    assert every.of("timed").estimates().one.value == pytest.approx(1.0, rel=0.01)


def test_one_run_decides_nothing() -> None:
    alone = Readings([Reading(r.name, r.at, r.value[:1]) for r in _found(2.0)], QUANTITIES)
    assert not compared(alone)


def test_a_killed_cell_goes_on_with_what_its_policy_learned(tmp_path: Path) -> None:
    cell = StagedTraining(arm="multistage", policy="gradient", **FEW)

    class Killed(Exception):
        pass

    def kill(fraction: float) -> None:
        if fraction > 0.4:
            raise Killed

    with pytest.raises(Killed):
        cell.run(Work(tmp_path / "a", kill))
    again, whole = cell.run(Work(tmp_path / "a")), cell.run(Work(tmp_path / "b"))
    for name in ("loss", "glc", "operations"):
        assert again.values[name] == whole.values[name]


@pytest.mark.slow
def test_a_sweep_measures_every_network(tiny: Callable[[str, str], list[Row]]) -> None:
    found = StagedTraining.found(tiny("multistage", "digits"))
    shares = [
        r.value.value
        for r in found.of("visits", arm="multistage", policy="density", lr=3e-3, n=256)
    ]
    assert sum(shares) == pytest.approx(1)
    loss = found.of("loss", n=256, policy="density", lr=3e-3).without("stage")
    for arm in loss.along("arm"):
        first, last = (loss.of(arm=arm).first("step"), loss.of(arm=arm).last("step"))
        assert first.one.shape == last.one.shape == (2,)
        assert last.one.mean() < first.one.mean()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--edges 3 1", "edges between stages must rise"),
        ("--edges 0.5", "--widths: 2 stages need 2 positive widths"),
        ("--widths 1 0 1", "--widths: 3 stages need 3 positive widths"),
        ("--arm four", "--arm four: there are unified, experts, multistage and published"),
        ("--policy often", "--policy often: there are density, uniform, gradient and decrease"),
        ("--policy uniform --arm unified", "the unified network has one stage"),
        ("--arm published --edges 1 --widths 1 1", "--arm published has three stages"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "multistage", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
