"""When paths decide, where it is known: memorizers, whose clones are draws of a posterior, the true
denoiser of the mixture, two denoisers that are one; and a sweep that tells its claims.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rates import sigmas

from denoscope import Empirical
from denoscope.cli import main
from denoscope.data.sources import Source, truth
from denoscope.data.splits import Split
from denoscope.data.synthetic import CENTRE
from denoscope.random import Seeds
from denoscope.readings import Readings, expanded
from denoscope.store import Row
from denoscope.studies._decided import CLONES, Scale, left, same_class
from denoscope.studies._followed import FAR, banded, parted
from denoscope.studies._paths import Known
from denoscope.studies._paths import Path as Walk
from denoscope.studies._subject import Subject
from denoscope.studies.dynamical_regimes import QUANTITIES, DynamicalRegimes
from denoscope.theory.times import clone_agreement, excess_entropy

DIGITS = Split(Source("digits"), None, 100, 20, 0)
MIXTURE = Split(Source("mixture"), None, 100, 40, 0)
CELL = DynamicalRegimes(path_steps=32)


def asked(D: object, data: Split) -> Readings:
    subject = Subject(D, data, noises=300)  # pyright: ignore[reportArgumentType]
    return expanded(CELL.stochastic(subject.denoiser, subject), QUANTITIES)


@pytest.fixture(scope="module")
def memorizer() -> Readings:
    return asked(Empirical(DIGITS.train()), DIGITS)


def test_keys_and_defaults_are_frozen() -> None:
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())
    golden = golden["dynamical_regimes"]
    cells = {
        "default": DynamicalRegimes(),
        "mixture": DynamicalRegimes(data="mixture", n=32, seed=1),
    }
    assert golden["version"] == DynamicalRegimes.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(DynamicalRegimes().fields()))


@pytest.mark.parametrize(
    ("n", "many", "sizes"),
    [(16, 1024, [16, 64, 256, 1024]), (16, 1025, [16, 64, 256, 1024, 1025]), (6, 20, [6, 20])],
)
def test_training_sets_grow_by_four_up_to_the_last(n: int, many: int, sizes: list[int]) -> None:
    assert [cell.n for cell in DynamicalRegimes(n=n, many=many).networks()] == sizes


def test_time_is_half_the_logarithm_of_the_noised_variance() -> None:
    scale = Scale.of(MIXTURE)
    assert scale.spread == pytest.approx(CENTRE * 2**0.5, rel=0.01)
    assert scale.spectrum.mean() == pytest.approx(1)
    assert scale.spectrum.max() == pytest.approx(65 / 2, rel=0.02)
    levels = np.array([0.01, 0.2, 5.0])
    np.testing.assert_allclose(scale.sigma(scale.time(levels)), levels)
    assert float(scale.time(scale.spread)) == pytest.approx(0.5 * np.log(2))


def test_clones_of_the_memorizer_are_draws_of_its_posterior(memorizer: Readings) -> None:
    """Of images and of classes, where two draws of the posterior under noised training images say
    how many agree; up to what 32 steps of DDPM miss.
    """
    some = memorizer.of("agree", choice="image")
    for level in some.along("sigma"):
        noise = Seeds(range(CLONES, CLONES + 400)).randn((1, 8, 8))
        x = DIGITS.train()[torch.arange(400) % 20] + level * noise
        weights = Empirical(DIGITS.train()).weights(x, torch.tensor(level))
        wanted = float(weights.square().sum(1).mean())
        assert abs(float(np.mean(some.of(sigma=level).one)) - wanted) < 0.03 + sigmas(40) * 0.03
    known, kinds = Known.of(DIGITS), memorizer.of("agree", choice="class")
    for level in kinds.along("sigma"):
        wanted = float(same_class(known, level, 400).mean())
        assert abs(float(np.mean(kinds.of(sigma=level).one)) - wanted) < 0.03 + sigmas(40) * 0.03


def test_clones_of_the_true_denoiser_agree_as_in_closed_form() -> None:
    D = truth(Source("mixture"))
    agree, scale = asked(D, MIXTURE).of("agree", choice="class"), Scale.of(MIXTURE)
    part = CENTRE / scale.spread
    for level in agree.along("sigma"):
        time = scale.time(level)
        wanted = float(clone_agreement(time, 64, separation=part, variance=part**2))
        assert abs(float(np.mean(agree.of(sigma=level).one)) - wanted) < 0.03 + sigmas(20) * 0.03


def test_what_the_posterior_leaves_is_the_excess_entropy() -> None:
    """Two implementations, at the same noised training points by the law of large numbers."""
    images, scale = DIGITS.train(), Scale.of(DIGITS)
    levels = torch.tensor([0.5, 2.0, 6.0])
    noise = Seeds(range(600)).randn((1, 8, 8))
    states = torch.stack([images[torch.arange(600) % 20] + s * noise for s in levels])
    found = left(Walk(levels, states, states, states[0]), images).mean(1)
    rows = images.flatten(1).double().numpy() / scale.spread
    wanted = excess_entropy(rows, scale.time(levels.numpy()), draws=600)
    np.testing.assert_allclose(found, wanted.value, atol=2 * sigmas(3) * wanted.error.max())


def test_the_memorizers_last_change_lies_where_its_clones_part(memorizer: Readings) -> None:
    fixed, some = memorizer.of("fixed").one, memorizer.of("agree", choice="image")
    sure = [s for s in some.along("sigma") if np.mean(some.of(sigma=s).one) == 1]
    assert float(np.median(fixed)) > Scale.of(DIGITS).time(max(sure))


def test_a_path_leaves_where_it_stays_far() -> None:
    scale, levels = Scale.of(MIXTURE), torch.tensor([8.0, 4.0, 2.0, 1.0])
    still = torch.zeros(4, 2, 1, 8, 8)
    moved = still.clone()
    moved[[0, 2, 3], 1] += 1.01 * FAR * scale.spread
    path, other = (Walk(levels, still, means, still[0]) for means in (still, moved))
    found = expanded(parted(path, other, scale, {}), QUANTITIES)
    np.testing.assert_allclose(found.of("left").one, scale.time([0.5, 2.0]))
    assert found.of("kept").one.tolist() == [True, False]
    assert found.of("apart", sigma=2.0).one.tolist() == pytest.approx([0, 1.01 * FAR])


def test_a_memorizer_copies_in_its_bands_alone() -> None:
    few = Subject(Empirical(DIGITS.train()), DIGITS, noises=30)
    many = replace(few, denoiser=lambda x, sigma: torch.zeros_like(x))
    found = expanded(banded(few, many, Scale.of(DIGITS)), QUANTITIES)
    assert found.of("whole", switched="memorizing").one.all()
    assert not found.of("whole", switched="generalizing").one.any()
    assert found.of("control").one.mean() < 0.05
    inside = found.of("copied", switched="memorizing")
    assert inside.along("band") == [1 / 16, 0.25, 1.0, 4.0, 16.0]
    assert inside.of(band=1 / 16).one.all(), "the last levels alone give a training image"
    assert not found.of("copied", switched="generalizing", band=1 / 16).one.any()


def test_a_sweep_trains_both_networks_of_each_cell(tiny: Callable[[str, str], list[Row]]) -> None:
    rows = tiny("dynamical_regimes", "both")
    found = DynamicalRegimes.found(rows)
    assert found.of("left", who="network").along("n") == [6, 24, 96]
    assert found.of("agree", who="truth").along("data") == ["mixture"]
    assert {r.name for r in found if "seed" in r.at} == {"copied", "whole"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--many 16", "--many 16: must be above --n 16"),
        ("--many 4000 --data digits", "--n 4000: digits has 1536 images"),
        ("--path-steps 2", "--path-steps 2: must be at least 4"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "s")
    assert main(["run", "dynamical_regimes", *words.split(), "--store", store]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
