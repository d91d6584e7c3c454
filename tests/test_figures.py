"""Figures: colours that every eye tells apart, ticks and names that never touch, lines that are
what their legend shows.
"""

from __future__ import annotations

import math
import re
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from pages import SIZES, panel

from denoscope.report import (
    LOOKS,
    HeatMap,
    Marker,
    Panel,
    Position,
    Series,
    curves,
    error_curves,
    matrix,
    ordered,
    theme,
)
from denoscope.report.grids import as_rgb


def test_drawing_leaves_the_settings_alone() -> None:
    from matplotlib import rcParams

    before = dict(rcParams)
    curves([panel()])
    assert dict(rcParams) == before


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast_of_text_and_lines(scheme: int) -> None:
    colors = {name: pair[scheme] for name, pair in theme.COLORS.items()}
    for back in ("ground", "panel"):
        for text in ("ink", "muted", "link", "agrees", "disagrees"):
            assert theme.contrast(colors[text], colors[back]) >= 4.5, (text, back)
    assert all(
        theme.contrast(color, colors["ground"]) >= 3
        for name, color in colors.items()
        if name.startswith("tone-") or name in LOOKS
    )


# Viénot, Brettel and Mollon (1999): what remains of linear RGB for protanopes and deuteranopes
_DICHROMATS = {
    "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


def _lab(color: str, seen: list[list[float]] | None) -> np.ndarray:
    from skimage.color import rgb2lab

    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear if seen is None else np.array(seen) @ linear, 0, 1)
    return rgb2lab(
        np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)[
            None, None
        ]
    )[0, 0]


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("seen", [None, *_DICHROMATS.values()], ids=["all", *_DICHROMATS])
def test_tones_are_told_apart(scheme: int, seen: list[list[float]] | None) -> None:
    pytest.importorskip("skimage")
    pair = dict(theme.COLORS.values())
    roles = tuple(look.tone for look in LOOKS.values())
    for tones, least in ((ordered(3), 20), (ordered(6), 10), (roles, 20)):
        labs = [_lab(tone if scheme == 0 else pair[tone], seen) for tone in tones]
        assert min(np.linalg.norm(a - b) for i, a in enumerate(labs) for b in labs[:i]) >= least


def test_each_role_has_its_own_mark_and_each_colour_one_name() -> None:
    marks = [look.marker for look in LOOKS.values() if look.style in ("solid", "dashed", "dots")]
    assert all(marks)
    assert len(marks) == len(set(marks))
    assert len({light for light, _ in theme.COLORS.values()}) == len(theme.COLORS)


def test_light_tones_and_heat_fall_in_luminance() -> None:
    for ramp in (theme.TONES, theme.HEAT):
        assert all(theme.luminance(a) > theme.luminance(b) for a, b in pairwise(ramp))
    assert all(len(set(ordered(n))) == n for n in range(1, 7))
    with pytest.raises(ValueError, match="1 to 6"):
        ordered(7)


@pytest.mark.parametrize("width", [3.6, 6.4])
def test_tick_labels_never_touch(width: float) -> None:
    figure = curves([panel("a"), panel("b")], width=width)
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert np.allclose(axes.get_xticks(), SIZES)
        labels = [label for label in axes.get_xticklabels() if label.get_text()]
        assert labels[0].get_text() == "8"
        assert labels[-1].get_text() == "1536"
        boxes = [label.get_window_extent() for label in labels]
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_panels_wrap_to_the_width() -> None:
    x = np.geomspace(0.01, 10, 5)
    panels = [Panel([Series(x, x**2)], title) for title in "abc"]
    for width, rows in ((6.4, 1), (3.6, 3)):
        figure = error_curves(panels, width=width)
        figure.draw_without_rendering()
        assert len({round(axes.get_position().y0, 3) for axes in figure.axes}) == rows


def test_theory_is_a_line_simulation_dots_and_references_upright() -> None:
    fine = np.geomspace(8, 1024, 50)
    theory = Series(fine, 100 / fine, "k = 1", style="line", kind="theory")
    simulation = Series(
        SIZES[:3], 100 / np.array(SIZES[:3]), "k = 1", style="dots", kind="simulation"
    )
    figure = curves([Panel([theory, simulation], positions=(Position(64, "N = d"),), scale="log")])
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    assert np.allclose(axes.get_xticks(), SIZES[:3])  # those of the dots, not of the line
    looks = {
        (line.get_linestyle(), line.get_marker())
        for line in axes.lines
        if len(np.atleast_1d(line.get_xdata())) > 2
    }
    assert looks == {("-", ""), ("None", looks_of_dots(axes))}
    assert any(np.allclose(line.get_xdata(), 64) for line in axes.lines)
    assert {text.get_text() for text in figure.legends[0].texts} >= {
        "theory",
        "simulation",
        "N = d",
    }


def looks_of_dots(axes: Axes) -> object:
    return next(line.get_marker() for line in axes.lines if line.get_linestyle() == "None")


def test_legend_fits_and_names_each_thing_once() -> None:
    for width in (3.6, 6.4):
        figure = curves(
            [panel("width 32", (Marker(40, 30, 50, label="N* = 40 [30, 50]"),)), panel("width 32")],
            width=width,
        )
        figure.draw_without_rendering()
        (legend,) = figure.legends
        names = [text.get_text() for text in legend.get_texts() if text.get_text()]
        assert names == ["width 32", "measured", "raw", "N* = 40 [30, 50]", "perfect"]
        box = legend.get_window_extent()
        assert box.x1 <= figure.bbox.x1 + 1
        assert all(box.y0 >= axes.get_window_extent().y1 for axes in figure.axes)


def test_markers_beyond_the_grid_are_arrows_at_the_edge() -> None:
    marks = (
        Marker(math.inf, 900, math.inf),
        Marker(-math.inf, -math.inf, 10),
        Marker(math.nan, math.nan, math.nan),
        Marker(60, 50, 70),
    )
    (axes,) = curves([panel("a", marks)]).axes
    left, right = axes.get_xlim()
    at = {
        line.get_marker(): line.get_xdata()[0]
        for line in axes.lines
        if line.get_markersize() == 6.5
    }
    assert at == {">": right, "<": left, "o": 60}


@pytest.mark.parametrize("x", [[], [8], [8, 16]])
def test_tiny_or_missing_data_still_draws(x: list[int]) -> None:
    for draw in (curves, error_curves):
        draw(
            [
                Panel(
                    [Series(x, [math.nan] * len(x), "a"), Series(x, [0.5] * len(x), "b")],
                    markers=[Marker(8, 4, math.inf)],
                )
            ]
        ).draw_without_rendering()


def test_overlapping_marker_intervals_are_drawn_apart() -> None:
    marks = tuple(Marker(x, x / 2, x * 2) for x in (40, 50, 60, 900))
    (axes,) = curves([panel("a", marks)]).axes
    heights = [float(line.get_ydata()[0]) for line in axes.lines if line.get_markersize() == 6.5]
    assert len(set(heights[:3])) == 3
    assert heights[3] == heights[0] == 0.5


def test_numerals_of_a_heat_map_are_readable() -> None:
    values = np.linspace(0, 1, 40).reshape(5, 8)
    (axes,) = matrix([HeatMap(values, list("abcde"), list("abcdefgh"))]).axes
    cells = [patch.get_facecolor() for patch in axes.patches]
    texts = [text for text in axes.texts if re.fullmatch(r"[01]\.\d\d", text.get_text())]
    assert len(texts) == len(cells) == 40
    hexes = ["#" + "".join(f"{round(255 * channel):02x}" for channel in cell[:3]) for cell in cells]
    assert (
        min(theme.contrast(str(text.get_color()), cell) for text, cell in zip(texts, hexes)) >= 4.5
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: curves([]), "at least one panel"),
        (lambda: matrix([HeatMap([[1]], ["a", "b"], ["a"])]), "2 row and 1 column names"),
        (lambda: as_rgb(np.zeros((8, 8))), "uint8"),
        (lambda: as_rgb(np.zeros((8, 8, 4), np.uint8)), "shape"),
    ],
)
def test_bad_drawings_are_refused(make: partial[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
