"""The study in small: known errors give their costs, and a swap is a swap."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from denoscope import grid
from denoscope.cli import main
from denoscope.estimate import exact
from denoscope.geometry.ranks import gaussian_rank
from denoscope.readings import Reading, Readings
from denoscope.store import Row
from denoscope.studies.capacity_by_noise import (
    LEVELS,
    QUANTITIES,
    CapacityByNoise,
    needed,
)
from denoscope.study import swept

FEW: dict[str, Any] = {"n": 64, "net": "mlp", "reference": 8, "steps": 20, "samples": 20}
FEW |= {"solver_steps": 3, "held": 40, "batch_size": 8}


def test_keys_and_defaults_are_frozen() -> None:
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())
    golden = golden["capacity_by_noise"]
    cells = {"default": CapacityByNoise(), "width=4": CapacityByNoise(width=4, seed=1)}
    assert golden["version"] == CapacityByNoise.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(CapacityByNoise().fields()))


def test_widths_of_a_seed_share_a_job_and_its_reference() -> None:
    every = swept(CapacityByNoise)
    for net, seeds in (("film", [6]), ("unet", [1] * 6)):
        jobs = CapacityByNoise.plan(grid(CapacityByNoise, **every, net=net))
        assert [len({cell.seed for cell in job}) for job in jobs] == seeds
        assert all({cell.width for cell in job} == set(every["width"]) for job in jobs)


def test_a_cell_alone_is_that_of_its_job() -> None:
    narrow, wide, other = (
        CapacityByNoise(width=w, seed=seed, **FEW) for w, seed in ((2, 0), (8, 0), (2, 1))
    )
    together = dict(CapacityByNoise.batch([narrow, wide, other]))
    alone = narrow.run()
    assert alone.arrays.keys() == together[narrow].arrays.keys()
    for name, array in alone.arrays.items():
        np.testing.assert_allclose(array, together[narrow].arrays[name], rtol=1e-4)
    assert any("rank" in name for name in together[wide].arrays)
    assert not any("regime" in name for name in together[wide].arrays)


def test_parameters_that_a_power_law_needs() -> None:
    """An error 1 + (100/p)^a of p parameters is within 5 % of the largest's at known p."""
    counts, found = {w: 1000.0 * w for w in (2**k for k in range(11))}, []
    for width, p in counts.items():
        found.append(Reading("parameters", {"width": width}, exact([p])))
        for sigma, power in ((0.1, 0.5), (10.0, 2.0)):
            error = np.full(3, 1 + (100 / p) ** power)
            found.append(Reading("error", {"width": width, "sigma": sigma}, error))
    every = Readings(found, QUANTITIES)
    size = needed(every.of("error"), every.of("parameters"))
    largest = 1 + (100 / 1_024_000) ** 0.5
    wanted = 100 / (1.05 * largest - 1) ** 2
    assert size.of(sigma=0.1).estimates().one.value == pytest.approx(wanted, rel=0.05)
    assert size.of(sigma=10.0).estimates().one.value == pytest.approx(1e3)


def test_the_rank_is_that_of_one_image() -> None:
    cell = CapacityByNoise(width=2, **FEW)
    gaussian = cell.where().gaussian()
    lam = torch.linalg.eigvalsh(gaussian.cov).flip(0).clamp(min=0).numpy()
    for level in (0.1, 2.0):
        x = level * torch.randn(3, 1, 8, 8)
        found = CapacityByNoise.rank(gaussian, x, level)
        assert abs(found - gaussian_rank(lam, np.array([level]))[0]) <= 1


@pytest.mark.slow
def test_a_sweep_compares_every_width_with_its_reference(
    tiny: Callable[[str, str], list[Row]],
) -> None:
    found = CapacityByNoise.found(tiny("capacity_by_noise", "digits"))
    assert found.along("width") == [2, 4, 16]
    assert all(r.value.shape == (3,) for r in found.of("error", "quality", "glc", "rank"))
    rank = found.of("rank")
    assert rank.along("sigma") == pytest.approx(LEVELS.tolist())
    assert rank[0].value.max() <= 64
    assert {len(found.of("quality", width=w)) for w in (2, 4)} == {4}
    assert math.isfinite(float(found.of("quality", width=16).one.mean()))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--width 128", "--reference 64: must be at least 128"),
        ("--edges 3 1", "edges between stages must rise"),
        ("--edges 3", "three stages have two levels between them"),
        ("--samples 4000", "--samples 4000: there are 1536 real images to compare with"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "capacity_by_noise", *words.split(), "--store", str(tmp_path / "s")]
    assert main(command) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
