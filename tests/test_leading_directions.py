"""The study of leading directions in small: overlaps against brute force, theory against averages,
its page whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rates import sigmas
from scipy.linalg import subspace_angles

from denoscope import Estimate, grid
from denoscope.cli import main
from denoscope.data.sources import Source
from denoscope.readings import Reading, Readings
from denoscope.report import Gallery
from denoscope.store import Row
from denoscope.studies._drawn import population
from denoscope.studies.leading_directions import (
    QUANTITIES,
    LeadingDirections,
    counts,
    leading,
    measured,
    reached,
    theory,
)
from denoscope.study import swept
from denoscope.theory.spectra import leading_overlap

GOLDEN = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["leading_directions"]


def numbers(law: str, d: int, n: int, count: int) -> Readings:
    """What is read of training sets of a law."""
    return Readings(measured(population(Source(law), d), n, count, "simulation"), QUANTITIES)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    cells = {
        "default": LeadingDirections(),
        "n=8": LeadingDirections(n=8),
        "power2": LeadingDirections(data="power2", d=50),
    }
    assert GOLDEN["version"] == LeadingDirections.version
    assert GOLDEN["keys"] == {name: item.key() for name, item in cells.items()}
    assert GOLDEN["defaults"] == json.loads(json.dumps(LeadingDirections().fields()))
    assert len(grid(LeadingDirections, **swept(LeadingDirections))) == 2 * 9 + 7


def test_leading_directions_are_the_svd_of_centred_rows() -> None:
    rows, _ = population(Source("power1"), 9).draw(5, 0)
    found = leading(rows)
    right = np.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:4]
    assert np.abs(np.abs((found[:4] * right).sum(1)) - 1).max() < 1e-10
    assert (found[4:] == 0).all()
    assert (np.diag(found) >= 0).all()


@pytest.mark.parametrize("n", [4, 30])
def test_numbers_are_those_of_subspaces(n: int) -> None:
    law, found = population(Source("power1"), 12), numbers("power1", 12, n, 2)
    directions = leading(law.draw(n, 0)[0])
    for k in counts(12):
        overlap, angle, captured = (
            found.of(name, leading=k).one[0] for name in ("overlap", "angle", "captured")
        )
        if k > n - 1:
            assert angle == 90.0
            continue
        angles = np.degrees(subspace_angles(directions[:k].T, np.eye(12)[:, :k]))
        assert angle == pytest.approx(angles.max(), abs=1e-6)
        assert overlap == pytest.approx(np.mean(np.cos(np.radians(angles)) ** 2), abs=1e-9)
        held = np.trace(directions[:k] @ np.diag(law.spectrum) @ directions[:k].T)
        assert captured == pytest.approx(held / law.spectrum[:k].sum(), rel=1e-9)
    projection = directions.T @ directions
    span = np.trace(projection @ np.diag(law.spectrum)) / 12
    assert found.of("span").one[0] == pytest.approx(span, rel=1e-9)
    assert found.of("cos", rank=2).one[0] == pytest.approx(abs(directions[1, 1]))


def test_a_part_of_the_digits_is_found_as_theory_says() -> None:
    law = population(Source("digits"), 0)
    assert law.rows is not None
    lost = 1 - numbers("digits", 0, 400, 60).of("overlap", leading=3).one
    wanted = 1 - float(leading_overlap(law.spectrum, 3, 400, len(law.rows)))
    error = lost.std(ddof=1) / np.sqrt(60)
    assert abs(lost.mean() - wanted) < 0.15 * wanted + sigmas() * error


def test_spanned_variance_is_the_average_of_simulation() -> None:
    sizes = (10, 40, 90)
    expected = theory(population(Source("power2"), 60).spectrum, None, sizes).of(source="theory")
    for n in sizes:
        found = numbers("power2", 60, n, 80).of("span").one
        wanted = expected.of("span", rows=n).one[0]
        error = found.std(ddof=1) / np.sqrt(80)
        assert abs(found.mean() - wanted) < 0.01 * wanted + sigmas(3) * error


def test_a_share_is_found_between_the_sizes_around_it() -> None:
    some = [Reading("span", {"rows": n}, np.full(5, s)) for n, s in ((8, 0.5), (32, 0.95))]
    e = reached(Readings(some, QUANTITIES)).estimates().one
    assert 8 < e.low == e.value == e.high < 32
    assert (0.5 / 0.05) ** (np.log(e.value / 8) / np.log(4)) == pytest.approx(0.5 / 0.1)


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """A tiny sweep, measured once."""
    return tiny("leading_directions", "both")


def test_rows_hold_estimates_and_pictures_of_images_alone(rows: list[Row]) -> None:
    for row in rows:
        assert all(np.isfinite(values).all() for values in row.arrays().values())
        found = row.values["overlap_3"]
        assert isinstance(found, Estimate)
        assert found.n == 3
        assert ("twin_overlap_3" in row.values) == (row.fields["data"] == "digits")
    pictures = LeadingDirections.found(rows).of("picture")
    assert pictures.along("data") == ["digits"]
    assert all(r.value.shape == (1, 8, 8) for r in pictures)


def test_the_page_shows_the_directions_of_images_alone(rows: list[Row]) -> None:
    told = LeadingDirections.told(rows)
    blocks = [block for part in told.sections for block in part.blocks]
    (gallery,) = (block for block in blocks if isinstance(block, Gallery))
    sizes = [f"N = {n}" for n in (5, 12, 60, 400)]
    assert [strip.caption for strip in gallery.rows] == [*sizes, "all images"]
    assert gallery.rows[0].notes[4:] == ["none"] * 4  # 5 rows have 4 directions
    images = np.stack([image for strip in gallery.rows for image in strip.images])
    assert images.shape == (5 * 8, 8, 8, 1)
    assert images.dtype == np.uint8


def test_one_cell_has_a_page(rows: list[Row]) -> None:
    for row in (rows[0], rows[-1]):
        page = LeadingDirections.page([row], {})
        assert page.claims
        assert "not tested" not in page.answer


@pytest.mark.usefixtures("sketched")
def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "run leading_directions --data power2 --n 9 --draws 2 --d 4 --on serial --quiet"
    assert main([*words.split(), "--store", str(tmp_path)]) == 0
    assert str(tmp_path / "report.html") in capsys.readouterr().out
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "digits", "--n", "1"], "--n 1: a training set needs at least 2 rows"),
        (
            ["--data", "digits", "--n", "900"],
            "--n 900: digits has 1796 images, half of which test; at most 898 train",
        ),
        (
            ["--data", "power0"],
            "--data power0: all directions have the same variance, so none of them lead",
        ),
        (["--data", "digit"], "did you mean 'digits'?"),
        (["--draws", "1"], "--draws 1: must be at least 2"),
        (["--d", "1"], "--d 1: must be at least 2"),
        (["--resize", "-1"], "--resize -1: must be at least 0"),
    ],
)
def test_bad_input_costs_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["run", "leading_directions", *words, "--store", str(tmp_path / "s"), "--quiet"]) == 2
    )
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "s").exists()
