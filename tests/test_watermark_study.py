"""The study of watermarks: marks of many images are those of the published functions, closed forms
meet what is measured, and a sweep tells its claims.
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
from scipy.fft import dctn

from denoscope.apply.watermark import Key, detect, marked, noise_level, sampled
from denoscope.cli import main
from denoscope.data.embedded import digits
from denoscope.distributions import Gaussian
from denoscope.levels import karras
from denoscope.readings import Readings, expanded
from denoscope.store import Row
from denoscope.studies._detected import by_chance, chances, marked_twice, named, perturbed
from denoscope.studies._marked import (
    KEYS,
    LOWEST,
    Bearer,
    equal,
    spread_spectrum,
    squares,
    unclamped,
)
from denoscope.studies._predicted import Predicted, half_found, posterior_change
from denoscope.studies.watermark import QUANTITIES, Watermark

SHAPE, STEPS = (1, 8, 8), karras(12, high=noise_level(1))


@pytest.fixture(scope="module")
def law() -> Gaussian:
    return Gaussian.from_data(digits().data.double()[:1000], ridge=1e-3)


@pytest.fixture(scope="module")
def here(law: Gaussian) -> Bearer:
    """Forty digits in double precision, each with a key of its own."""
    key = Key.make(0, SHAPE, "all", noise_level(0.3), steps=12)
    return Bearer.of(law, key, digits().data.double()[1000:1040], STEPS, 6.0)


def read(readings) -> Readings:
    return Readings(readings, QUANTITIES)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: a change of either must raise ``version``."""
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["watermark"]
    cells = {"default": Watermark(), "high": Watermark(carrier="high", time=1.0)}
    assert golden["version"] == Watermark.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(Watermark().fields()))


def test_marks_are_those_of_the_published_functions(law: Gaussian, here: Bearer) -> None:
    """In given images, in samples, and as they are detected."""
    x0 = digits().data.double()[1000:1040]
    one = marked(law, x0, here.key, 6.0, STEPS, direction=here.own)
    assert torch.allclose(here.marked, one.images, atol=1e-9)
    assert torch.allclose(here.unmarked, one.unmarked, atol=1e-9)
    start = float(STEPS[0]) * torch.randn(3, *SHAPE, dtype=torch.float64)
    two = sampled(law, start, here.key, 6.0, STEPS, direction=here.own[:3])
    assert torch.allclose(here.samples(start).marked, two.images, atol=1e-9)
    same = replace(here, key=here.key).toward(here.key.direction)
    seen = detect(law, same, here.key, STEPS).p
    assert torch.allclose(here.p(here.states(same), here.key.direction[None]), seen)


def test_closed_forms_are_what_is_measured(law: Gaussian, here: Bearer) -> None:
    """Of every carrier of the Gaussian, over many keys, to the error of their number; power where
    inversion is exact.
    """
    for carrier in ("all", "low", "high"):
        key = Key.make(0, SHAPE, carrier, noise_level(0.3), steps=12)
        n = 800
        x0 = digits().data.double()[1000:1040].repeat(n // 40, 1, 1, 1)
        some = Bearer.of(law, key, x0, STEPS, 6.0, "additive", 30)
        found = read(unclamped(some, {})) + read(Predicted.of(some, law).readings())
        error = squares(some.marked, some.unmarked)
        theory = 4 * 10 ** (-found.of("psnr_theory").one[0] / 10)
        assert abs(error.mean() - theory) < sigmas() * error.std() / n**0.5
        share = found.of("recovered").one
        off = share.mean() - found.of("recovered_theory").one[0]
        assert abs(off) < sigmas() * share.std() / n**0.5 + 1e-9
        change = read(posterior_change(some, law))
        kept, linear = (change.of(name).one for name in ("kept", "kept_linear"))
        assert abs(kept.mean() - linear[0]) < sigmas() * kept.std() / len(kept) ** 0.5
        for hits, power in zip(found.of("found_raw").one, found.of("power").one):
            bound = sigmas(9) * (hits - power).std() / n**0.5
            assert abs(hits.mean() - power.mean()) < bound + 0.04


def test_slopes_of_a_network_are_the_jacobians_products(law: Gaussian, here: Bearer) -> None:
    """Of a linear law both are one number."""
    found = read(posterior_change(here, None))
    assert np.allclose(found.of("kept").one, found.of("kept_linear").one, rtol=1e-6)


def test_half_of_the_marks_are_found_where_the_power_says_so(law: Gaussian, here: Bearer) -> None:
    """The PSNR that is read off a line, put back into the closed form; no crossing, no number."""
    some = Predicted.of(here, law)
    lines = expanded(some.readings(), QUANTITIES).of("power_line").named(
        model="gaussian", carrier="all", time=0.3)  # fmt: skip
    db = half_found(lines).one.item()
    theory = read(some.readings()).of("psnr_theory").one[0]
    at = Predicted.of(here.at(6.0 * 10 ** ((theory - db) / 20)), law).readings()
    assert read(at).of("power").one[-1].mean() == pytest.approx(0.5, abs=0.02)
    assert not half_found(lines.map(lambda power: power / 3))


def test_spread_spectrum_leaves_the_lowest_coefficients_alone(here: Bearer) -> None:
    x0 = digits().data.double()[1000:1040]
    pixels = equal(spread_spectrum(x0, 1.0), here)
    assert torch.equal(pixels.unmarked, x0)
    changed = np.asarray(dctn((pixels.marked - x0).numpy(), axes=(-2, -1), norm="ortho"))
    place = np.add.outer(np.arange(8), np.arange(8)) / 8
    assert np.abs(changed[:, 0][:, place < LOWEST]).max() < 1e-9
    assert np.abs(changed[:, 0][:, place >= LOWEST]).min() > 0
    wanted = squares(here.marked, here.unmarked).mean()
    assert squares(pixels.marked, x0).mean() == pytest.approx(wanted, rel=1e-3)
    assert pixels.p(pixels.states(pixels.marked)).median() < 1e-2


def test_images_without_the_key_have_uniform_p(here: Bearer) -> None:
    """Of pairs with fresh keys, and of all keys together."""
    x0 = digits().data.double()[1000:1040]
    found = read(chances(here, here, x0, 2000))
    for kind in ("gen", "test", "attacked", "other"):
        distance, n = found.of("distance", kind=kind).one
        assert n == 2000
        assert distance < np.sqrt(np.log(2 / 1e-6) / (2 * n))
    worst, n = found.of("distance_published").one
    assert worst > np.sqrt(np.log(2 / 1e-6) / (2 * n))
    again = read(by_chance(here, here.x, 2000, "test"))
    assert np.array_equal(again.of("alarms").one, found.of("alarms", kind="test").one)


def test_an_image_is_given_the_key_that_it_carries(here: Bearer) -> None:
    strong = here.at(60.0)
    found = read(named(strong, strong.states(strong.marked), "none"))
    assert found.of("named").one.mean() >= 0.9  # another key may be near one's own
    assert not found.of("misnamed").one.any()
    assert len(strong.keys) == KEYS


def test_an_image_with_two_keys_is_given_to_neither(here: Bearer) -> None:
    """Both are found in what is marked twice, where neither mark is clipped."""
    second = here.keys.roll(KEYS // 2, 0)[:40]
    z = here.x + 60 * (here.own + second)
    assert float(torch.stack([here.p(z), here.p(z, second)]).max()) < 1e-5
    found = read(named(here, z, "remark"))
    assert not found.of("named").one.any()
    assert not found.of("misnamed").one.any()
    assert (marked_twice(here) - here.stored).abs().amax((1, 2, 3)).min() > 0.1


def test_images_are_attacked_in_turn(here: Bearer) -> None:
    from denoscope.apply.watermark import as_stored
    from denoscope.data.perturb import PERTURBATIONS

    both = perturbed(here.stored, ("blur", "median"))
    for i, name in enumerate(("blur", "median")):
        own = as_stored(PERTURBATIONS[name](here.stored[i::2], seed=i))
        assert torch.equal(both[i::2], own)


def test_the_claims_of_a_tiny_sweep(tiny: Callable[[str, str], list[Row]]) -> None:
    """A closed form holds even there, and so few pairs and images decide nothing by chance."""
    told = Watermark.told(tiny("watermark", "digits"))
    said = {claim.says: claim.verdict() for claim in told.claims}
    exact = [verdict for says, verdict in said.items() if "‖JP‖/√m, on the Gaussian" in says]
    alarms = [verdict for says, verdict in said.items() if "exact p-value" in says]
    assert (exact, alarms) == (["supported"], 2 * ["undecided"])
    assert all("found" in row.values for row in tiny("watermark", "digits"))


@pytest.mark.usefixtures("sketched")
def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "run watermark --model gaussian --time 0.3 --carrier all null_most ring --images 8"
    words += " --pairs 100 --solver-steps 4 --on serial --quiet"
    assert main([*words.split(), "--store", str(tmp_path / "s")]) == 0
    assert Path(capsys.readouterr().out.strip().splitlines()[-1]).is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--model none.safetensors --data digits", "there is no file none.safetensors"),
        ("--model mine:model", "--model mine:model: give --data, images that it never saw"),
        ("--time 0", "--time 0: must lie between .001 and 1, noise alone"),
        ("--images 1001", "--images 1001: must be at most 1000"),
        ("--strength 0", "--strength 0: must be a positive number below 10"),
        ("--carrier replaced --time 0.3", "Tree-Ring's marks are put in at --time 1"),
        ("--model digits-unet --time 0.2", "networks are asked at --time 0.1, 0.3, 1.0"),
        ("--model digits-unet --data faces --time 0.3", "faces has images of (1, 25, 25)"),
        ("--model digits-unet --images 300 --time 0.3", "--images 300: there are 261 unseen"),
        ("--carrier nothing", "nothing"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "watermark", *words.split(), "--store", str(tmp_path / "s")]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
