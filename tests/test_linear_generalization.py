"""The study of sample sizes in small: what it stores, its comparisons against numpy, its page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from denoscope import Estimate, grid, run
from denoscope.cli import main
from denoscope.readings import Readings
from denoscope.report import Figure
from denoscope.store import Row
from denoscope.studies._drawn import between, closing, sooner
from denoscope.studies.linear_generalization import (
    SIZES,
    LinearGeneralization,
    further,
    near_half,
    slopes,
)
from denoscope.study import swept

GOLDEN = json.loads((Path(__file__).parent / "golden_keys.json").read_text())[
    "linear_generalization"
]


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """A tiny sweep: two spectra and images, sizes below and above d."""
    return tiny("linear_generalization", "all")


@pytest.fixture(scope="module")
def found(rows: list[Row]) -> Readings:
    return LinearGeneralization.found(rows)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    cells = {
        "default": LinearGeneralization(),
        "n=8": LinearGeneralization(n=8),
        "digits": LinearGeneralization(data="digits", draws=5),
    }
    assert GOLDEN["version"] == LinearGeneralization.version
    assert GOLDEN["keys"] == {name: item.key() for name, item in cells.items()}
    assert GOLDEN["defaults"] == json.loads(json.dumps(LinearGeneralization().fields()))


def test_the_sweep_has_every_size_that_fits() -> None:
    cells = grid(LinearGeneralization, **swept(LinearGeneralization))
    assert len(cells) == 3 * len(SIZES) + sum(n <= 1797 // 2 for n in SIZES)
    assert 100 in SIZES


def test_cells_hold_averages_and_the_sets_behind_them(rows: list[Row], found: Readings) -> None:
    assert found.along("data") == ["power0", "digits", "power2"], "from flat to steep"
    for row in rows:
        at = {"data": row.fields["data"], "source": "simulation"}
        d = 12 if row.fields["data"] != "digits" else 61
        units = found.of("test", per_d=int(str(row.fields["n"])) / d, **at).one
        value = row.values["test"]
        assert isinstance(value, Estimate)
        assert value.n == len(units) == 3
        assert value.value == pytest.approx(units.mean(), rel=1e-6)
        assert ("twin_test" in row.values) == (row.fields["data"] == "digits")


def test_cells_are_told_apart_by_what_differs(rows: list[Row], tmp_path: Path) -> None:
    small = {"draws": 3, "steps": 40, "d": 15}
    more = run(grid(LinearGeneralization, data="power0", n=[4], **small), tmp_path)
    names = ["power0, d 12", "power0, d 15", "digits", "power2"]
    assert set(LinearGeneralization.found([*rows, *more]).along("data")) == set(names)


def test_theory_stands_at_every_size_and_between() -> None:
    sizes = between([8, 64, 200], 100)
    assert {8, 64, 200} <= set(sizes)
    assert sizes.min() == 8
    assert sizes.max() == 200
    assert ((sizes > 80) & (sizes < 130)).sum() > 20
    alone = between([64], 100)
    assert alone.min() < 64 < alone.max()


def test_comparisons_are_those_of_numpy(rows: list[Row], found: Readings) -> None:
    power0 = found.of(data="power0", source="simulation")
    units = {r.at["per_d"]: r.value for r in power0.of("kl")}
    floor = float(found.of("floor", data="power0", divergence="model||true").one[0])
    far = [ratio for ratio in units if ratio > 4]
    x = np.array([1 / (4 * ratio) for ratio in far])
    y = np.stack([units[ratio] - floor for ratio in far], -1)
    slope = slopes(further(found)).of(data="power0", source="simulation", divergence="model||true")
    assert slope.estimates().one.value == pytest.approx((y @ x / (x @ x)).mean(), rel=1e-5)
    half = near_half(found.of("test"))
    assert half.of(data="power0").along("per_d") == [4 / 12]
    assert set(half.of(data="digits", source=["simulation", "twin"]).along("source")) == {
        "simulation",
        "twin",
    }


def test_a_gap_closes_between_the_sizes_or_beyond_them() -> None:
    def at(ratios: list[float], means: list[float], height: float) -> Estimate:
        units = [mean * (1 + 0.01 * np.linspace(-1, 1, 9)) for mean in means]
        return closing(ratios, units, height=height)

    crossed = at([1, 10, 100], [10, 1, 0.1], 0.5)
    assert crossed.low < 20 < crossed.high
    assert crossed.value == pytest.approx(20, rel=0.01)
    never, always = at([1, 10], [10, 9], 0.5), at([1, 10], [0.2, 0.1], 0.5)
    assert (never.value, never.low) == (np.inf, 10)
    assert (always.value, always.high) == (-np.inf, 1)
    both = [np.stack([m * np.ones(5), 4 * m * np.ones(5)], -1) for m in (1.0, 0.1, 0.01)]
    assert sooner([1, 10, 100], both, height=0.1).value == pytest.approx(0.25)


def test_the_page_draws_every_figure_and_answers(rows: list[Row]) -> None:
    page = LinearGeneralization.page(rows, {})
    assert page.answer.startswith("The test loss comes within 10% of Bayes only at N of the order")
    blocks = [*page.opening, *(b for section in page.sections for b in section.blocks)]
    figures = {block.name: block for block in blocks if isinstance(block, Figure)}
    assert list(figures) == [
        "enough",
        "losses",
        "losses-mean",
        "divergence",
        "rescue",
        "directions",
    ]
    drawn = [figure.figure(6.4) for figure in figures.values()]  # pyright: ignore[reportCallIssue]
    panels = [len(figure.axes) for figure in drawn]
    assert panels == [2, 3, 3, 4, 3, 3]


def test_a_single_cell_makes_a_page(tmp_path: Path) -> None:
    words = "run linear_generalization --data power1 --n 2 --draws 2 --steps 20 --d 12"
    store = ["--on", "serial", "--quiet", "--store", str(tmp_path)]
    assert main([*words.split(), *store]) == 0
    assert (tmp_path / "report.html").stat().st_size > 100_000
    row = json.loads((tmp_path / "table.json").read_text())[0]
    assert {"test", "kl", "unseen"} <= set(row.get("values", row))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--n", "1"], "--n 1: a training set needs at least 2 rows"),
        (
            ["--n", "5000", "--data", "digits"],
            "--n 5000: digits has 1796 images, half of which test; at most 898 train",
        ),
        (["--data", "power"], "power"),
        (["--draws", "1"], "--draws 1: must be at least 2"),
        (["--d", "1"], "--d 1: must be at least 2"),
        (["--steps", "0"], "--steps 0: must be at least 1"),
        (["--abar", "1"], "--abar 1.0: must lie between 0 and 1"),
        (["--abar", "nan"], "--abar nan: must lie between 0 and 1"),
    ],
)
def test_bad_input_costs_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "s"), "--quiet"]
    assert main(["run", "linear_generalization", *words, *store]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "s").exists()
