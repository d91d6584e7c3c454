"""The study in small: curves that are known give their times, and a sweep tells its claims."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from denoscope import Empirical, grid
from denoscope.cli import main
from denoscope.metrics import frechet, frechet_floor
from denoscope.readings import Reading, Readings
from denoscope.store import Row
from denoscope.studies.memorization_time import GOOD, QUANTITIES, MemorizationTime, Times
from denoscope.study import swept

STEPS = np.geomspace(10, 40_000, 14)


def test_keys_and_defaults_are_frozen() -> None:
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())
    golden = golden["memorization_time"]
    cells = {"default": MemorizationTime(), "n=16": MemorizationTime(n=16, width=128, subset=1)}
    assert golden["version"] == MemorizationTime.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(MemorizationTime().fields()))


def test_fleets_are_the_runs_of_one_size() -> None:
    cells = grid(MemorizationTime, **swept(MemorizationTime))
    jobs = MemorizationTime.plan(cells)
    assert all(len({(c.n, c.width) for c in job}) == 1 for job in jobs)
    assert sorted(c.key() for job in jobs for c in job) == sorted(c.key() for c in cells)


def _curves(memory: float, learned: float) -> Readings:
    """Copies that set in at ``10 N^memory`` steps and samples good at ``50 N^learned``, 4 runs."""
    rng, found = np.random.default_rng(0), []
    for n in (16, 64, 256):
        for step in STEPS.tolist():
            off = step / np.exp(0.02 * rng.standard_normal(4))
            share = 1 / (1 + (10 * n**memory / off) ** 4)
            ratio = GOOD * 50 * n**learned / off
            at = {"n": n, "width": 64, "step": step}
            values = {"copies": share, "excess": share, "quality": ratio}
            found += [Reading(name, at, value) for name, value in values.items()]
            found.append(Reading("gap", {**at, "sigma": 0.1}, 1 + share))
    return Readings(found, QUANTITIES)


@pytest.mark.parametrize(("memory", "learned"), [(1.0, 0.0), (0.5, 0.2)])
def test_exponents_of_known_curves_are_found(memory: float, learned: float) -> None:
    times = Times.of(_curves(memory, learned))
    for name, wanted in (
        ("tau_mem", memory),
        ("tau_third", memory),
        ("tau_split", memory),
        ("tau_gen", learned),
        ("window", memory - learned),
    ):
        found = times.exponent(name, "n").estimates().one
        assert found.low < wanted + 0.05
        assert found.high > wanted - 0.05
        assert found.value == pytest.approx(wanted, abs=0.05)
    at = times.all().of("tau_mem", n=64).estimates().one
    assert at.value == pytest.approx(10 * 64**memory, rel=0.1)


def test_curves_that_never_cross_have_no_exponent() -> None:
    low = _curves(1.0, 0.0).of("copies", "excess", "quality", "gap")
    kept = Readings(
        [Reading(r.name, r.at, 0.4 * r.value if r.name == "excess" else r.value) for r in low],
        QUANTITIES,
    )
    times = Times.of(kept)
    assert not times.exponent("tau_mem", "n")
    assert times.all().of("tau_mem", n=16).estimates().one.value == np.inf


def test_the_memorizer_copies_and_the_numbers_are_those_of_the_metrics() -> None:
    cell = MemorizationTime(n=16, samples=60, solver_steps=18, held=100)
    data = cell.where()
    found = {(r.name, *r.at.values()): r.value for r in cell.looked(Empirical(data.train()))}
    assert found["copies",] == 1
    assert found["excess",] > 0.9
    assert found["error", "train", 0.1] < 1e-6 < found["error", "test", 0.1]
    floor = frechet_floor(data.pool().flatten(1), data.unseen().flatten(1), 60).value
    own = frechet(data.train().flatten(1), data.unseen().flatten(1)).value
    assert found["quality",] == pytest.approx(own / floor, rel=0.25)


def test_a_training_is_as_long_as_its_set_asks_for() -> None:
    assert MemorizationTime(n=16, per_image=50).moments()[-1] == 800
    assert MemorizationTime(n=256, per_image=50, steps=1000).moments()[-1] == 1000


@pytest.mark.slow
def test_a_sweep_measures_every_run(tiny: Callable[[str, str], list[Row]]) -> None:
    found = MemorizationTime.found(tiny("memorization_time", "digits"))
    assert all(r.value.shape == (4,) and np.isfinite(r.value).all() for r in found)
    assert np.mean([r.value for r in found.of("excess", n=16).last("step")]) > 0.5
    assert not any(r.value.any() for r in found.of("copies").first("step"))


def test_a_diverging_training_is_a_stopped_cell() -> None:
    few: dict[str, Any] = {"per_image": 2, "samples": 12, "solver_steps": 4, "snapshots": 3}
    assert "stopped" in MemorizationTime(n=16, width=4, lr=1e30, **few).run().values


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--n 1", "--n 1: a training set needs at least 2 images"),
        ("--snapshots 1", "--snapshots 1: must be at least 2"),
        ("--per-image 0", "--per-image 0: must be at least 1"),
        ("--samples 4000", "--samples 4000: there are 1536 real images to compare with"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "memorization_time", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
