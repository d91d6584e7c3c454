"""The dynamics study in small: what it stores, how far descent and samples are from theory, its
page.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rates import sigmas

from denoscope import Estimate, grid
from denoscope.cli import main
from denoscope.readings import Readings
from denoscope.report import Figure
from denoscope.store import Row
from denoscope.studies.linear_dynamics import LinearDynamics, avoidable, shown
from denoscope.study import swept


@pytest.fixture(scope="module")
def rows(tiny: Callable[[str, str], list[Row]]) -> list[Row]:
    """A tiny sweep: few and many training items, synthetic data and images."""
    return tiny("linear_dynamics", "all")


@pytest.fixture(scope="module")
def found(rows: list[Row]) -> Readings:
    return LinearDynamics.found(rows)


def test_keys_and_defaults_are_frozen() -> None:
    """Golden, written by this class: defaults are part of a key's meaning, so a change of either
    must raise ``version``.
    """
    golden = json.loads((Path(__file__).parent / "golden_keys.json").read_text())["linear_dynamics"]
    cells = {"default": LinearDynamics(), "digits": LinearDynamics(data="digits", n=20)}
    assert golden["version"] == LinearDynamics.version
    assert golden["keys"] == {name: item.key() for name, item in cells.items()}
    assert golden["defaults"] == json.loads(json.dumps(LinearDynamics().fields()))


def test_the_sweep_has_sizes_below_and_above_d() -> None:
    cells = grid(LinearDynamics, **swept(LinearDynamics))
    for data in ("power1", "digits"):
        sizes = [cell.n - cell.law().d for cell in cells if cell.data == data]
        assert min(sizes) < 0 < max(sizes)


def test_cells_hold_what_the_page_needs(rows: list[Row], found: Readings) -> None:
    for row in rows:
        cell = found.of(data=row.fields["data"], n=row.fields["n"])
        few = int(str(row.fields["n"])) <= int(str(row.values["d"]))
        assert float(str(row.values["difference"])) < 1e-9
        assert isinstance(row.values["predicted"], Estimate) == few
        loss = cell.of("loss", images="test", source="simulation")
        assert loss.along("abar") == [0.6, 0.95]
        assert {r.value.shape for r in loss} == {(3,)}
        assert len(cell.of("loss", source="theory").along("duration")) > len(loss.along("duration"))
        modes = cell.of("weight").along("mode")
        assert ("unseen" in modes) == few
        assert {r.value.shape for r in cell.of("variance", source="simulation")} == {(40,)}
        assert cell.of("paid").estimates().one == row.values["paid"]


def test_lines_of_theory_pass_through_what_descent_measured(found: Readings) -> None:
    """At the last record, interpolated in log time."""
    for *_, some in found.of("loss").by("data", "n", "images", "abar"):
        measured, theory = (some.of(source=s) for s in ("simulation", "theory"))
        last = measured.along("duration")[-1]
        times = np.array(theory.along("duration"))
        values = np.array([theory.of(duration=float(t)).one[0] for t in times])
        line = np.interp(np.log(last), np.log(times), values)
        assert measured.of(duration=last).one.mean() == pytest.approx(line, rel=0.02)


def test_samples_of_half_trained_models_have_their_exact_variances(found: Readings) -> None:
    """Squares of Gaussians: a mean of 40 is off by sqrt(2/40) of the law."""
    sampled, law = (found.of("variance", source=s) for s in ("simulation", "theory"))
    normed = sampled.against(law, np.divide, "normed", apart="source")
    assert normed.along("duration") == [0.1, 1, 10, 100]
    assert set(normed.along("sampler")) == {"ode", "ddpm"}
    for r in normed:
        assert abs(r.value.mean() - 1) < sigmas(len(normed)) * np.sqrt(2 / 40), r.at


def test_what_is_drawn_is_of_few_items_and_begins_untrained(found: Readings) -> None:
    some = shown(found)
    assert some.along("data") == ["power2, N = 6", "digits, N = 6"]
    left = avoidable(some.of("loss", images="test", source="theory"), some)
    first = left.of(duration=lambda k: k < 0.01)
    assert all(0.8 < r.value[0] <= 1 for r in first)
    assert all(r.value[0] > 0 for r in left)


def test_the_page_draws_every_figure_and_answers(rows: list[Row]) -> None:
    page = LinearDynamics.page(rows, {})
    assert page.answer.startswith("One training time serves all noise levels where N ≤ d")
    blocks = [*page.opening, *(b for section in page.sections for b in section.blocks)]
    figures = {block.name: block for block in blocks if isinstance(block, Figure)}
    names = ["minima", "stopping", "losses", "modes", "prices", "sampled", "unseen", "emergence"]
    assert list(figures) == names
    drawn = [figure.figure(6.4) for figure in figures.values()]  # pyright: ignore[reportCallIssue]
    panels = [len(figure.axes) for figure in drawn]
    assert panels == [2, 2, 4, 4, 2, 4, 2, 2]


def test_many_items_alone_make_a_page(rows: list[Row]) -> None:
    """Without unseen directions the claims about them are not tested, and nothing is drawn of
    them.
    """
    told = LinearDynamics.told([row for row in rows if row.fields["n"] == 30])
    verdicts = [claim.verdict() for claim in told.claims]
    assert verdicts.count("not tested") == 4
    blocks = [b for section in told.sections for b in section.blocks]
    assert "unseen" not in {block.name for block in blocks if isinstance(block, Figure)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--rate 1.5", "--rate 1.5: must lie between 0 and 1"),
        ("--abar 0.5 1.0", "--abar 0.5 1.0: must be different numbers between 0 and 1"),
        ("--n 1", "--n 1: a training set needs at least 2 rows"),
        ("--data digits --n 1500", "half of which test; at most 898 train"),
        ("--draws 0", "--draws 0: must be at least 1"),
    ],
)
def test_bad_input_is_one_line(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "linear_dynamics", *words.split(), "--store", str(tmp_path / "s")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1]


def test_an_option_takes_as_many_numbers_as_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"run linear_dynamics --abar 0.5 0.9 0.99 --n 8 --data power1 --store {tmp_path / 's'}"
    assert main([*words.split(), "--dry-run"]) == 0
    assert "1 to measure" in capsys.readouterr().err
