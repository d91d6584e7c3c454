"""Plots and stories: what is drawn, in which look, and what opens a page."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from denoscope.estimate import exact, mean, share
from denoscope.readings import Quantity, Reading, Readings
from denoscope.report import Figure, Gallery, Strip, Table, write_claims
from denoscope.report.claims import Claim, above, below
from denoscope.report.looks import LOOKS
from denoscope.report.pictures import gallery, picture, signed
from denoscope.report.plots import Distribution, Histogram, Map, Plot, figure, heat_maps
from denoscope.report.story import crosstab, story, table

QUANTITIES = {
    "error": Quantity("error", "MSE", form=".3f", tip="squared error"),
    "turn": Quantity("N*", interval=exact),
}
RNG = np.random.default_rng(0)
FOUND = Readings(
    [
        Reading("error", {"who": who, "n": n, "sigma": sigma}, RNG.normal(size=30) + n * sigma)
        for who in ("network", "memorizer")
        for n in (8, 32, 128)
        for sigma in (0.1, 1.0)
    ],
    QUANTITIES,
)


def test_a_plot_draws_its_readings_in_their_looks() -> None:
    panels = Plot(FOUND, "sigma", color="n", look="who", panel="n").panels()
    assert [panel.title for panel in panels] == ["N = 8", "N = 32", "N = 128"]
    panel = panels[1]
    assert (panel.x, panel.y) == ("noise level σ", "error (MSE)")
    assert [(line.label, line.kind) for line in panel.series] == [
        ("N = 32", "network"),
        ("N = 32", "memorizer"),
    ]
    units = FOUND.of(who="memorizer", n=32, sigma=1.0).one
    line = panel.series[1]
    assert (line.y[1], line.low[1], line.high[1]) == (  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]
        mean(units).value,
        mean(units).low,
        mean(units).high,
    )
    roles = Plot(FOUND.of(sigma=1.0), "n", color="who").panels()[0].series
    assert [(s.tone, s.style, s.marker) for s in roles] == [
        (look.tone, look.style, look.marker) for look in (LOOKS["network"], LOOKS["memorizer"])
    ]


def test_theory_has_no_marks_and_no_band() -> None:
    theory = Readings([Reading("error", {"n": n}, 1 / n) for n in (8, 16, 128)], QUANTITIES)
    lines = Plot(FOUND.of(who="network", sigma=1.0), "n", theory=theory).panels()[0].series
    assert [line.style for line in lines] == ["solid", "line"]
    assert lines[1].low is None
    np.testing.assert_array_equal(lines[1].y, [1 / 8, 1 / 16, 1 / 128])


def test_a_line_has_one_number_at_a_place() -> None:
    with pytest.raises(ValueError, match=r"several readings of error at n = 8 on one line.*who"):
        Plot(FOUND.of(sigma=1.0), "n").panels()


def test_a_value_without_a_look_is_an_error() -> None:
    with pytest.raises(ValueError, match="no coordinate"):
        Plot(FOUND, "n", color="whoo").panels()


def test_nothing_to_draw_is_no_figure() -> None:
    nothing = FOUND.of(n=9)
    assert figure("none", "nothing", Plot(nothing, "n", color="who")) is None
    assert heat_maps("none", "nothing", Map(nothing, "who", "n")) is None
    assert table("none", nothing, ["n"], ["error"]) is None
    assert crosstab("none", nothing, "who", "n") is None


@pytest.mark.parametrize(
    "plot",
    [
        Plot(FOUND.of(sigma=1.0), "n", color="who", levels={"none": 0.0}, limits=(-1, 140)),
        Plot(FOUND, "sigma", color="n", look="who", panel="n", scale="log"),
        Histogram(FOUND.of(sigma=0.1), "who", "n"),
        Distribution(FOUND.of(sigma=0.1), "who", "n"),
    ],
)
def test_every_kind_of_plot_draws(plot: Plot | Histogram | Distribution) -> None:
    made = figure("one", "caption", plot)
    assert isinstance(made, Figure)
    drawn = made.figure(3.6)  # pyright: ignore[reportCallIssue]
    assert len(drawn.axes) == len(plot.panels())


def test_outlines_hold_every_unit_and_steps_reach_one() -> None:
    for panel in Histogram(FOUND.of(sigma=0.1), "who", "n").panels():
        for line in panel.series:
            assert np.asarray(line.y)[::2].sum() == pytest.approx(1)
    panel = Distribution(FOUND.of(sigma=0.1, n=8), "who").panels()[0]
    values = FOUND.of(sigma=0.1, n=8, who="network").one
    for x, y in zip(panel.series[0].x, panel.series[0].y):  # pyright: ignore[reportArgumentType]
        assert y == pytest.approx(np.mean(values <= x))


def test_a_single_unit_of_thousands_shows_on_a_logarithmic_scale() -> None:
    q = {
        "far": Quantity("distance", interval=exact),
        "line": Quantity("threshold", interval=exact),
    }
    values = np.concatenate([[-5.0], np.random.default_rng(0).normal(size=4999)])
    found = Readings([Reading("far", {"n": 8}, values), Reading("line", {"n": 8}, -4.0)], q)
    lines = found.of("line")
    (panel,) = Distribution(found.of("far"), "n", "n", scale="log", lines=lines).panels()
    assert [(p.x, p.label) for p in panel.positions] == [(-4.0, "threshold")]
    line = panel.series[0]
    assert (np.asarray(line.x)[0], np.asarray(line.y)[0]) == (-5, 1 / 5000)
    assert panel.limits is not None
    assert panel.limits[0] < 1 / 5000
    assert panel.scale == "log"
    assert np.asarray(line.y)[:20] == pytest.approx(np.arange(1, 21) / 5000)


def test_a_map_puts_values_at_their_places() -> None:
    grid = Map(FOUND.of(sigma=1.0), "who", "n", low=0, high=130).maps()[0]
    assert grid.rows == ["network", "memorizer"]
    assert (grid.columns, grid.x, grid.y) == (["8", "32", "128"], "training images N", "")
    expected = [
        [FOUND.of(who=w, n=n, sigma=1.0).one.mean() for n in (8, 32, 128)]
        for w in ("network", "memorizer")
    ]
    np.testing.assert_allclose(np.asarray(grid.values), expected)


def test_rows_of_numbers_run_upwards_and_the_edge_runs_through_its_rows() -> None:
    q = {"share": Quantity("share", interval=share), "half": Quantity("half", interval=exact)}
    found = Readings(
        [
            Reading("share", {"n": n, "rank": rank, "who": who}, np.arange(4) < rank)
            for n in (2, 4, 6)
            for rank in (1, 2)
            for who in ("network", "memorizer")
        ],
        q,
    )
    at = {("network", 1): 4, ("network", 2): 5, ("memorizer", 1): np.inf, ("memorizer", 2): np.nan}
    edge = Readings([Reading("half", {"who": w, "rank": r}, x) for (w, r), x in at.items()], q)
    grid = Map(found, "rank", "n", ("who",), high=100, digits=0, edge=edge, ends=False, unit=100)
    one, two = grid.maps()
    assert one.rows == ["2", "1"]
    np.testing.assert_allclose(np.asarray(one.values), [[50] * 3, [25] * 3])
    assert one.edge == [2.0, 1.5]  # 4 is the middle of the second cell, 5 the border to the third
    np.testing.assert_array_equal(
        two.edge, [np.nan, 3.5]
    )  # beyond the last, at whose border it ends
    made = heat_maps("edged", "caption", grid)
    assert made is not None
    for width in (6.4, 3.6):
        drawn = made.figure(width)  # pyright: ignore[reportCallIssue]
        assert drawn.get_figwidth() == width
        assert [text.get_text() for text in drawn.texts] == ["share (%)", "half"]


def test_tables_of_places_and_of_rows_by_columns() -> None:
    made = table("All", FOUND.of(sigma=1.0), ["n", "who"], ["error"])
    assert isinstance(made, Table)
    assert [row[:2] for row in made.rows][:2] == [[8, "network"], [8, "memorizer"]]
    assert made.rows[0][2] == mean(FOUND.of(n=8, who="network", sigma=1.0).one)
    named = table("All", FOUND.of(sigma=1.0), ["n", "who"], ["error"], place="denoiser")
    assert isinstance(named, Table)
    assert named.columns[0].label == "denoiser"
    assert [row[0] for row in named.rows][:2] == ["N = 8, network", "N = 8, memorizer"]
    assert [row[1] for row in named.rows] == [row[2] for row in made.rows]
    cross = crosstab("Errors", FOUND.of(sigma=1.0), "who", "n")
    assert isinstance(cross, Table)
    assert [column.label for column in cross.columns] == ["denoiser", "N = 8", "N = 32", "N = 128"]
    assert cross.rows[1][3] == mean(FOUND.of(n=128, who="memorizer", sigma=1.0).one)


def told() -> list[object]:
    growth = FOUND.of(who="network", sigma=1.0)
    return [
        Claim("Errors grow", growth.change("n"), above(0)),
        "Over n",
        figure("first", "The figure.", Plot(growth, "n")),
        Claim("Errors are small", growth, below(1)),
        Claim("Memorizers are there", growth.of(who="gaussian"), above(0)),
        figure("second", "Another.", Plot(growth, "n")),
        "Empty",
        None,
        "Numbers",
        table("All", growth, ["n"], ["error"]),
        Claim("A third", growth, below(1)),
        Claim("A fourth", growth, below(1)),
    ]


def test_a_story_answers_first() -> None:
    page = story(told())  # pyright: ignore[reportArgumentType]
    assert page.answer.startswith("Errors grow: supported, ")
    first, claims = page.opening
    assert isinstance(first, Figure)
    assert first.name == "first"
    assert [row.says for row in claims.rows] == ["Errors grow", "Errors are small", "A third"]  # pyright: ignore[reportAttributeAccessIssue]
    assert [section.title for section in page.sections] == [
        "All other claims",
        "Over n",
        "Numbers",
    ]
    rest = page.sections[0].blocks[0]
    assert [row.says for row in rest.rows] == ["A fourth"]  # pyright: ignore[reportAttributeAccessIssue]
    assert "Memorizers are there" in rest.foot  # pyright: ignore[reportAttributeAccessIssue]
    assert [section.folded for section in page.sections] == [False, False, True]


def test_claims_leave_as_files(tmp_path: Path) -> None:
    page = story(told())  # pyright: ignore[reportArgumentType]
    claims = [claim.json() for claim in page.claims]
    write_claims(claims, tmp_path)
    kept = json.loads((tmp_path / "claims.json").read_text())
    assert [c["verdict"] for c in kept].count("not tested") == 1
    with open(tmp_path / "claims.csv") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == sum(len(c["numbers"]) or 1 for c in kept)
    assert lines[0]["claim"] == "Errors grow"
    assert float(lines[0]["low"]) == kept[0]["numbers"][0]["low"]


def test_pictures() -> None:
    image = np.array([[[-1.0, 1.0], [0.0, np.nan]]])
    assert picture(image)[..., 0].tolist() == [[0, 255], [128, 0]]
    assert np.abs(signed(3 * image[:, :1])).max() == 1
    made = gallery("G", ["a"], [("row", [(image, "note")])])
    assert isinstance(made, Gallery)
    assert isinstance(made.rows[0], Strip)
    assert made.rows[0].notes == ["note"]


def test_panels_by_several_coordinates_are_the_places_that_there_are() -> None:
    """One for each place; what lacks a coordinate stands in every panel of it, and a place that
    another tells more of has none.
    """
    given = [Reading("error", {"model": "net", "sigma": s}, RNG.normal(size=9)) for s in (0.1, 1.0)]
    every = FOUND.of(who="network") + given
    panels = Plot(every, "sigma", panel=("n", "model")).panels()
    assert [p.title for p in panels] == ["net", "N = 8", "N = 32", "N = 128"]
    assert [len(p.series) for p in panels] == [1, 1, 1, 1]
    panels = Plot(FOUND.of(n=8), "sigma", panel=("n", "who"), title="Errors").panels()
    assert [p.title for p in panels] == ["Errors, network", "Errors, memorizer"]
    line = FOUND.of(who="network", n=8).dropped("who")
    panels = Plot(FOUND.of(n=[32, 128]), "sigma", panel=("who", "n"), color="n")
    assert len(panels.panels()) == 4
    both = Plot(line.dropped("n") + FOUND.of(n=32), "sigma", "n", panel="who").panels()
    assert [len(p.series) for p in both] == [2, 2]


def test_more_values_than_tones_draw_some_that_are_spread() -> None:
    many = Readings([Reading("error", {"n": n, "rank": 1}, [1.0, 2.0]) for n in range(1, 12)],
                    QUANTITIES)  # fmt: skip
    lines = Plot(many, "rank", color="n").panels()[0].series
    assert [line.label for line in lines] == [f"N = {n}" for n in (1, 3, 5, 7, 9, 11)]
