"""The study of leading directions in small: overlaps against brute force, first-order theory
against averages, its page whole.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rates import sigmas
from scipy.linalg import subspace_angles

from denoscope import Estimate, grid, run
from denoscope.cli import main
from denoscope.data.population import Population
from denoscope.report import Finding, Gallery
from denoscope.store import Row, Store
from denoscope.studies._drawn import population
from denoscope.studies._linear.by_size import TWIN
from denoscope.studies._linear.directions.cells import Directions
from denoscope.studies._linear.directions.expectations import cost, overlap, spanned
from denoscope.studies._linear.directions.measurements import counts, leading, measured
from denoscope.studies._source import Source
from denoscope.studies.leading_directions import LeadingDirections
from denoscope.study import swept

GOLDEN = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["leading_directions"]
SMALL = {"draws": 3, "d": 12}


def _law(k: float, d: int) -> Population:
    return population(Source(f"power{k:g}"), d)


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
    rows, _ = _law(1, 9).draw(5, 0)
    found = leading(rows)
    right = np.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:4]
    assert np.abs(np.abs((found[:4] * right).sum(1)) - 1).max() < 1e-10
    assert (found[4:] == 0).all()
    assert (np.diag(found) >= 0).all()


@pytest.mark.parametrize("n", [4, 30])
def test_numbers_are_those_of_subspaces(n: int) -> None:
    law = _law(1, 12)
    found, first = measured(law, n, 2)
    directions = leading(law.draw(n, 0)[0])
    assert np.array_equal(first, directions[:8])
    for k in counts(12):
        if k > n - 1:
            assert found[f"angle_{k}"][0] == 90.0
            continue
        angles = np.degrees(subspace_angles(directions[:k].T, np.eye(12)[:, :k]))
        assert found[f"angle_{k}"][0] == pytest.approx(angles.max(), abs=1e-6)
        assert found[f"overlap_{k}"][0] == pytest.approx(
            np.mean(np.cos(np.radians(angles)) ** 2), abs=1e-9
        )
        held = (
            np.trace(directions[:k] @ np.diag(law.spectrum) @ directions[:k].T)
            / law.spectrum[:k].sum()
        )
        assert found[f"captured_{k}"][0] == pytest.approx(held, rel=1e-9)
    projection = directions.T @ directions
    assert found["span"][0] == pytest.approx(
        np.trace(projection @ np.diag(law.spectrum)) / 12, rel=1e-9
    )
    assert found["cos_2"][0] == pytest.approx(abs(directions[1, 1]))


@pytest.mark.parametrize(("k", "count"), [(1, 1), (2, 3), (2, 10)])
def test_first_order_theory_is_the_average_of_simulation(k: int, count: int) -> None:
    law = _law(k, 20)
    n = int(60 * cost(law.spectrum, count))
    found = measured(law, n, 150)[0][f"overlap_{count}"]
    wanted = float(overlap(law.spectrum, count, np.array(float(n)), None))
    assert 0.98 < wanted < 0.99
    lost, error = 1 - found.mean(), found.std(ddof=1) / np.sqrt(150)
    assert abs(lost - (1 - wanted)) < 0.1 * (1 - wanted) + sigmas(3) * error


def test_a_part_of_a_finite_set_is_nearer_to_it() -> None:
    """Training sets out of the digits and their Gaussian twin: 1/N - 1/M stands for 1/N."""
    law = population(Source("digits"), 0)
    assert law.rows is not None
    wanted = float(overlap(law.spectrum, 3, np.array(400.0), len(law.rows)))
    assert 1 - wanted == pytest.approx(
        (1 - float(overlap(law.spectrum, 3, np.array(400.0), None))) * (1 - 400 / 1797)
    )
    lost = 1 - measured(law, 400, 60)[0]["overlap_3"]
    assert abs(lost.mean() - (1 - wanted)) < 0.15 * (1 - wanted) + sigmas() * lost.std(
        ddof=1
    ) / np.sqrt(60)


def test_equal_variances_cost_endlessly_many_rows() -> None:
    assert cost(np.array([2.0, 2.0, 1.0]), 1) == np.inf
    assert cost(np.array([2.0, 2.0, 1.0]), 2) == pytest.approx((2 + 2) / 2)
    assert cost(np.array([3.0, 1.0]), 1) == pytest.approx(3 / 4)


def test_spanned_variance_is_the_average_of_simulation() -> None:
    law = _law(2, 60)
    for n in (10, 40, 90):
        found = measured(law, n, 80)[0]["span"]
        wanted = float(spanned(law.spectrum, np.array(float(n))))
        assert abs(found.mean() - wanted) < 0.01 * wanted + sigmas(3) * found.std(ddof=1) / np.sqrt(
            80
        )


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """A tiny sweep, measured once."""
    cells = grid(LeadingDirections, data=["power1", "digits"], n=[5, 12, 60, 400], **SMALL)
    return run(cells, tmp_path_factory.mktemp("leading"))


def test_rows_hold_estimates_and_directions(rows: list[Row]) -> None:
    for row in rows:
        assert all(np.isfinite(values).all() for values in row.arrays().values())
        found = row.values["overlap_3"]
        assert isinstance(found, Estimate)
        assert found.n == 3
        assert (TWIN + "overlap_3" in row.values) == (row.fields["data"] == "digits")
        assert row.arrays()["leading"].shape == (8, 61 if row.fields["data"] == "digits" else 12)


def test_the_page_shows_directions_of_images_alone(rows: list[Row]) -> None:
    page = LeadingDirections.page(rows, {})
    galleries = [
        block for section in page.sections for block in section.blocks if isinstance(block, Gallery)
    ]
    assert [item.title for item in galleries] == ["Leading directions, digits"]
    strips = galleries[0].rows
    assert [strip.caption for strip in strips] == [
        "N = 5",
        "N = 12",
        "N = 60",
        "N = 400",
        "all 1797 images",
    ]
    assert strips[0].notes[4:] == ["none"] * 4  # 5 rows have 4 directions
    assert all(
        image.dtype == np.uint8 and image.shape == (8, 8, 1)
        for strip in strips
        for image in strip.images
    )
    findings = [block for block in page.sections[0].blocks if isinstance(block, Finding)]
    assert len(findings) == 6
    assert all("nan" not in item.headline + item.detail for item in findings)
    synthetic = LeadingDirections.page([row for row in rows if row.fields["data"] == "power1"], {})
    assert [section.title for section in synthetic.sections][:2] == [
        "What was found",
        "How they are found",
    ]


def test_found_sizes_lie_between_sizes(rows: list[Row]) -> None:
    item = Directions.collected(rows)[0]
    means = item.means("overlap_1")
    size = item.found_at("overlap_1")
    after = int(np.searchsorted(item.sizes, size))
    assert means[after] > 0.9 > means[after - 1]


@pytest.mark.parametrize("data", ["power2", "digits"])
def test_the_command_writes_report_tables_and_figures(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "run",
        "leading_directions",
        "--data",
        data,
        "--n",
        "9",
        "--draws",
        "2",
        "--d",
        "2",
        "--on",
        "serial",
        "--quiet",
    ]
    assert main([*words, "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 3
    assert Store(tmp_path).check() == []


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
