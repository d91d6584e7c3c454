"""Intervals of noise levels from data: the memorizer at many levels, and the study in small."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from denoscope import Empirical
from denoscope.cli import main
from denoscope.store import Row
from denoscope.studies.noise_intervals import COARSE, NoiseIntervals, boundaries, programmed

Tiny = Callable[[str, str], list[Row]]


def test_keys_and_defaults_are_frozen() -> None:
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["noise_intervals"]
    cells = {"default": NoiseIntervals(), "half": NoiseIntervals(n=100, amplitude=0.5)}
    assert golden["version"] == NoiseIntervals.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(NoiseIntervals().fields()))


@pytest.mark.parametrize("memory", ["1GiB", 20_000])
def test_posterior_means_along_levels_are_those_of_each_level(memory: int | str) -> None:
    draw = torch.Generator().manual_seed(0)
    data, x0, noise = (torch.randn(n, 2, 3, generator=draw).double() for n in (40, 5, 5))
    sigmas = torch.tensor([0.02, 0.5, 3.0, 150.0], dtype=torch.float64)
    law = Empirical(data, max_memory=memory)
    one = torch.stack([law(x0 + s * noise, s.expand(5)) for s in sigmas])
    assert torch.allclose(law.along(x0, noise, sigmas), one, atol=1e-9)


def test_one_image_is_known_at_every_level() -> None:
    cell = NoiseIntervals(n=1, pairs=4, times=COARSE)
    arrays = cell.run().arrays
    shares = [v for k, v in arrays.items() if v.shape[-1] == 4]
    assert shares
    assert all(np.all(v == 1) for v in shares)


def test_the_sweep_has_a_boundary_for_each_set_reading_and_alpha(tiny: Tiny) -> None:
    rows = tiny("noise_intervals", "digits")
    found = NoiseIntervals.found(rows)
    every = boundaries(found).of("boundary")
    assert len(every) == 4 * 3 * 3
    for amplitude in (0.5, 1.0):  # a smaller alpha never shortens an interval
        for reading, edge, sign in (("printed", "first", -1), ("code", "last", 1)):
            at = every.of(amplitude=amplitude, reading=reading, edge=edge)
            for _, some in at.by("n"):
                times = [some.of(alpha=a).one.value for a in (0.8, 0.9, 0.95)]
                assert (sign * np.diff(times) >= 0).all()
    three = programmed(found).of("boundary")
    for _, _, _, some in three.by("n", "amplitude", "by"):
        first, last = (some.of(edge=edge).one.value for edge in ("first", "last"))
        assert 0 < first < last < 1
    assert NoiseIntervals.told(rows).answer


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--n 5000", "digits has 1797 images"),
        ("--amplitude 0", "above 0"),
        ("--times 5", "at least 24"),
    ],
)
def test_bad_input_costs_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "store")
    assert main(["run", "noise_intervals", *words.split(), "--store", store]) == 2
    assert said in capsys.readouterr().err
