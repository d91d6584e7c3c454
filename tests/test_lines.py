"""Lines are what their names and their legend show, on every scale."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.text import Annotation
from pages import SIZES

from denoscope.report import (
    LOOKS,
    Level,
    Marker,
    Panel,
    Position,
    Series,
    curves,
    error_curves,
    linear_curves,
    ordered,
    theme,
)


def ends(*values: float, x: np.ndarray = SIZES, names: str = "abcdefgh", **more: str) -> Panel:
    """A straight line from 0 to each value."""
    lines = [
        Series(x, np.linspace(0, value, len(x)), name, tone=tone, **more)  # pyright: ignore[reportArgumentType]
        for value, name, tone in zip(values, names, cycle(theme.TONES))
    ]
    return Panel(lines, "", "training images", "error", limits=(-0.1, 1.1))


def named(axes: Axes) -> list[Annotation]:
    return [text for text in axes.texts if isinstance(text, Annotation)]


@pytest.mark.parametrize("width", [3.6, 6.4])
def test_up_to_four_lines_say_their_names_where_they_end(width: float) -> None:
    crowded = ends(1.0, 0.98, 0.96, 0.2)
    figure = curves([crowded, replace(crowded, levels=[Level(0.5, "half")])], width=width)
    figure.draw_without_rendering()
    assert not figure.legends
    hosts = [axes for axes in figure.axes if named(axes)]
    assert len(hosts) == (1 if width > 4 else 2)  # the last panel of each row
    for axes in hosts:
        names = sorted(named(axes), key=lambda name: name.get_window_extent().y0)
        boxes = [name.get_window_extent() for name in names]
        assert {"a", "b", "c", "d"} <= {name.get_text() for name in names}
        assert all(low.y1 <= high.y0 + 0.5 for low, high in pairwise(boxes))
        assert all(axes.bbox.x1 < box.x0 < box.x1 <= figure.bbox.x1 for box in boxes)
        tied = {
            to_hex(patch.get_edgecolor()): axes.transAxes.transform(patch.get_path().vertices)
            for patch in axes.patches
            if isinstance(patch, PathPatch)
        }
        for series in crowded.series:
            end = axes.transData.transform([np.ravel(series.x)[-1], np.ravel(series.y)[-1]])
            (box,) = (n.get_window_extent() for n in names if n.get_text() == series.label)
            assert np.allclose(tied[series.tone][0], end)
            assert box.y0 <= tied[series.tone][-1][1] <= box.y1


@pytest.mark.parametrize(
    "panels",
    [
        [ends(1, 0.8, 0.6, 0.4, 0.2)],
        [ends(1.0, 1.0)],
        [ends(1.0, 0.5, kind="measured")],
        [ends(1.0, 0.5, names=["a name that is far too long " * 4, "b"])],
        [ends(1.0), ends(1.0, names="b"), ends(1.0, names="c")],
        [Panel([*ends(0.5).series, *ends(1.0, x=SIZES[:4], names="b").series])],
        [ends(1.0, 4.0)],
    ],
    ids=["five", "one end", "kinds", "long", "not in the last panel", "ends early", "outside"],
)
def test_lines_that_cannot_be_labelled_are_in_the_legend(panels: list[Panel]) -> None:
    figure = curves(panels)
    assert not any(map(named, figure.axes))
    (legend,) = figure.legends
    shown = {text.get_text() for text in legend.get_texts()}
    for series in (series for panel in panels for series in panel.series):
        assert any(name and series.label.startswith(name.rstrip("…")) for name in shown)


def test_every_legend_entry_has_a_line_that_looks_like_it() -> None:
    fine = np.geomspace(8, 1024, 60)
    ways = [("theory", "line", fine), ("simulation", "dots", SIZES), ("raw", "thin", SIZES)]
    tones = list(zip("abc", ordered(3)))
    kinds = [
        Series(x, x / 9, name, tone=tone, style=style, kind=kind)  # pyright: ignore[reportArgumentType]
        for kind, style, x in ways
        for name, tone in tones
    ]
    roles = [
        Series(SIZES, SIZES / k, role, tone=look.tone, style=look.style, marker=look.marker)
        for k, (role, look) in enumerate(LOOKS.items(), 1)
    ]
    references = {"levels": [Level(2, "l")], "positions": [Position(64, "p")]}
    for lines in (kinds, roles, [replace(s, x=fine, y=fine) for s in roles]):
        figure = curves([Panel(lines, **references)])
        drawn = [look(line) for line in figure.axes[0].lines]
        (legend,) = figure.legends
        for handle, text in zip(legend.legend_handles, legend.get_texts()):
            if not text.get_text():
                continue  # fills a column
            assert isinstance(handle, Line2D)
            color, dash, mark = look(handle)
            same = [(c, m) for c, d, m in drawn if d == dash]
            assert same
            assert color == theme.INK or (color, mark) in same  # a kind of several colours is ink


def look(line: Line2D) -> tuple[str, str, str]:
    """Colour, dash and mark; a line that is not drawn has marks alone."""
    dash = str(line._unscaled_dash_pattern)  # pyright: ignore[reportAttributeAccessIssue]
    return to_hex(line.get_color()), line.get_linestyle() + dash, str(line.get_marker())


@pytest.mark.parametrize(("points", "marks"), [(24, {"o", "h"}), (25, {"", "h"})])
def test_lines_of_many_points_carry_no_marks_but_dots_do(points: int, marks: set[str]) -> None:
    x = np.linspace(1, 9, points)
    lines = [Series(x, x, marker="o"), Series(x, x + 1, style="dots", marker="h")]
    (axes,) = linear_curves([Panel(lines)]).axes
    assert {line.get_marker() for line in axes.lines} == marks


@pytest.mark.parametrize("draw", [curves, error_curves, linear_curves])
def test_a_panel_may_have_a_logarithmic_or_a_linear_axis(draw: Any) -> None:
    marks = tuple(Marker(64, low, 128, y=0.1) for low in (16, 32))
    for scale in ("log", "linear"):
        panel = Panel([Series(SIZES, 1 / SIZES, "a")], markers=marks, scale=scale, limits=(1e-3, 1))
        (axes,) = draw([panel]).axes
        assert axes.get_yscale() == scale
        assert axes.get_ylim() == (1e-3, 1)
        heights = [line.get_ydata()[0] for line in axes.lines if line.get_markersize() == 6.5]
        at = np.sort(
            axes.transAxes.inverted().transform(
                axes.transData.transform([(64, y) for y in heights])
            )[:, 1]
        )
        assert np.allclose(np.diff(at), 0.035)  # as far apart on either scale
        ticks = [y for y in axes.get_yticks() if 1e-3 <= y <= 1]
        assert len(ticks) >= 3
