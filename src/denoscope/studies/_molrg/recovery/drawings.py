"""The figures of recovery: success maps with their edge, failures of the optimiser, and success
against Nₖ - d.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from denoscope.report import INK, MUTED, WIDE, Level, Panel, Series, error_curves, ordered, theme
from denoscope.report.blocks import Figure
from denoscope.studies._molrg.equivalence import Departure
from denoscope.studies._molrg.recovery.maps import CLUSTERING, TRAINING, Case, Map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import LineStyleType

NAMES = {CLUSTERING: "(a) subspace clustering", TRAINING: "(b) diffusion training"}
POINTS, DIMENSION = "points a subspace, Nₖ", "dimension d"
EDGE, LATER = "Nₖ = d", "Nₖ = d + 1"
Shown: TypeAlias = tuple[str, Map, np.ndarray]
_BY_WIDTH = 6.0  # inches above which two maps stand side by side


def success(case: Case, place: int) -> Figure:
    """Success maps of both methods side by side, a row for each K."""
    panels = _paired(case, lambda of: of.share)
    trials = case.maps[0].success.shape[2]
    caption = (
        f"**Success of recovery, {case.name}.** Share of {trials} random instances in "
        "which every subspace is recovered, ‖ÛÛᵀ − U*U*ᵀ‖_F ≤ 0.5. "
        "Both maps of a row see the same points and the same starts. The line is Nₖ = d: "
        "as many points as dimensions. Cells without a number are "
        "0 or 100 %."
    )
    return _maps(f"success_{place}", caption, panels, 0)


def failures(case: Case, place: int) -> Figure:
    """Failures of the optimiser, a row for each K."""
    panels = _paired(case, lambda of: of.below.mean(2))
    caption = (
        f"**Failures of the optimiser, {case.name}.** Share of instances that are not "
        "recovered and end with an objective worse than the truth's: the "
        "energy kept for clustering, the denoising loss on common noise for training. "
        "All other failures are the data's: the objective itself prefers "
        "other subspaces."
    )
    return _maps(f"failures_{place}", caption, panels, 0)


def free(case: Case, place: int) -> Figure | None:
    """Success maps of clustering without the joint constraint."""
    found = [pair.maps[CLUSTERING] for pair in case.pairs if pair.k > 1 and CLUSTERING in pair.maps]
    panels = [
        (f"{_of(of.k)}: without orthogonality", of, of.free.mean(2))
        for of in found
        if of.free is not None
    ]
    caption = (
        f"**K-subspaces without mutual orthogonality, {case.name}.** Any split of the "
        "points into groups of d then keeps all their energy, so Nₖ = d "
        "identifies nothing in principle, and the edge belongs at Nₖ = d + 1 (the line). "
        "What succeeds left of it does so because of where it starts."
    )
    return _maps(f"unconstrained_{place}", caption, panels, 1) if panels else None


def _of(k: int) -> str:
    return f"K = {k}"


def _paired(case: Case, values: Callable[[Map], np.ndarray]) -> list[Shown | None]:
    """One panel a method and K, those of one K after each other; None where a method was run at
    other K only.
    """
    names = [name for name in NAMES if any(name in pair.maps for pair in case.pairs)]
    return [
        (f"{_of(pair.k)}: {NAMES[name]}", of, values(of)) if (of := pair.maps.get(name)) else None
        for pair in case.pairs
        for name in names
    ]


def _maps(name: str, caption: str, panels: Sequence[Shown | None], shift: int) -> Figure:
    return Figure(name, caption, lambda width: maps(panels, shift=shift, width=width))


def maps(panels: Sequence[Shown | None], *, shift: int = 0, width: float = WIDE) -> Drawing:
    """Maps (title, whose axes, shares) over Nₖ to the right and d upwards, two in a row where there
    is room, with the edge Nₖ = d + shift.
    """
    columns = 2 if width >= _BY_WIDTH else 1
    shown = list(panels) if columns == 2 else [panel for panel in panels if panel]
    rows = [shown[i : i + columns] for i in range(0, len(shown), columns)]
    cell = (
        (width - 0.42 * columns - 0.05)
        / columns
        / max(len(panel[1].counts) for panel in shown if panel)
    )
    heights = [0.62 + cell * max(len(panel[1].ds) for panel in row if panel) for row in rows]
    total = sum(heights) + 0.34
    with theme.style():
        figure = Drawing(figsize=(width, total))
        top = total
        for row, height in zip(rows, heights):
            for column, panel in enumerate(row):
                if panel:
                    tall, wide = cell * len(panel[1].ds), cell * len(panel[1].counts)
                    left = 0.4 + column * (width + 0.02) / columns
                    axes = figure.add_axes(
                        (left / width, (top - 0.24 - tall) / total, wide / width, tall / total)
                    )
                    _map(axes, *panel, shift, cell)
            top -= height
        _key(figure, total, width, (EDGE, LATER)[shift])
    return figure


def _map(axes: Axes, title: str, of: Map, values: np.ndarray, shift: int, cell: float) -> None:
    scale = LinearSegmentedColormap.from_list("heat", theme.HEAT)
    for (i, j), value in np.ndenumerate(values):
        color = to_hex(scale(float(value)))
        axes.add_patch(Rectangle((j, i), 1, 1, facecolor=color, edgecolor=color, linewidth=0.3))
        if 0 < value < 1:
            ink = max(
                ("#000000", "#fefefe"), key=lambda tone, ground=color: theme.contrast(tone, ground)
            )
            axes.text(
                j + 0.5,
                i + 0.47,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                fontsize=min(7.0, 34 * cell),
                color=ink,
            )
    for i, d in enumerate(of.ds):
        _edge(axes, of, i, d + shift)
    axes.set(
        xlim=(0, len(of.counts)),
        ylim=(0, len(of.ds)),
        xlabel=POINTS,
        ylabel=DIMENSION if len(of.ds) > 3 else "d",
    )
    axes.set_title(title, pad=4)
    axes.grid(visible=False)
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(False)
    axes.xaxis.labelpad = axes.yaxis.labelpad = 1.5
    axes.set_xticks(np.arange(len(of.counts)) + 0.5, [str(count) for count in of.counts])
    axes.set_yticks(np.arange(len(of.ds)) + 0.5, [str(d) for d in of.ds])


def _edge(axes: Axes, of: Map, i: int, least: int) -> None:
    """The staircase between the cells with fewer points than ``least`` and the others, in row i and
    down to the row below it.
    """
    x = sum(count < least for count in of.counts)
    below = sum(count < least - (of.ds[i] - of.ds[i - 1]) for count in of.counts) if i else x
    for color, wide in (("#000000", 2.6), ("#fefefe", 1.2)):
        axes.plot(
            [below, x, x],
            [i, i, i + 1],
            color=color,
            linewidth=wide,
            solid_capstyle="butt",
            clip_on=False,
            zorder=4 + (wide < 2),
        )


def _key(figure: Drawing, total: float, width: float, edge: str) -> None:
    """The colour scale and the line's name, at the foot."""
    axes = figure.add_axes((0.4 / width, 0.17 / total, 1.5 / width, 0.1 / total))
    scale = LinearSegmentedColormap.from_list("heat", theme.HEAT)
    for i in range(50):
        axes.add_patch(
            Rectangle((i / 50, 0), 0.021, 1, facecolor=to_hex(scale(i / 49)), edgecolor="none")
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), yticks=[])
    axes.set_xticks([0, 0.5, 1], ["0", "50", "100 %"])
    axes.tick_params(length=0, pad=1.5)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    line = figure.add_axes((2.35 / width, 0.17 / total, 0.3 / width, 0.1 / total))
    for color, wide in (("#000000", 2.6), ("#fefefe", 1.2)):
        line.plot([0, 1], [0.5, 0.5], color=color, linewidth=wide, solid_capstyle="butt")
    line.set(ylim=(0, 1))
    line.axis("off")
    figure.text(
        2.73 / width,
        0.22 / total,
        edge,
        va="center",
        ha="left",
        fontsize=theme.FONT_SIZE - 1,
        color=INK,
    )


def against_edge(case: Case, place: int) -> Figure:
    """Success against Nₖ - d, all dimensions together, a panel for each K."""
    caption = (
        f"**Success against Nₖ − d, {case.name}.** All dimensions together, with exact 95 "
        "% intervals. Without noise clustering would jump from 0 to 1 at "
        "Nₖ − d = 0, the dashed line."
    )
    return Figure(f"against_edge_{place}", caption, partial(_against_edge, case))


def _lines(case: Case) -> list[list[tuple[str, str, LineStyleType, Map, np.ndarray]]]:
    """What each panel shows: label, tone, style, whose axes, which successes."""
    tones = dict(zip((CLUSTERING, TRAINING), ordered(2)[::-1]))
    panels = []
    for pair in case.pairs:
        lines = [
            (NAMES[name], tones[name], "-" if name == CLUSTERING else "none", of, of.success)
            for name, of in pair.maps.items()
        ]
        lines += [
            ("(a) without orthogonality", MUTED, ":", of, of.free)
            for of in pair.maps.values()
            if of.free is not None and pair.k > 1
        ]
        panels.append(lines)
    return panels


def _against_edge(case: Case, width: float) -> Drawing:
    panels = _lines(case)
    columns = min(len(panels), 3 if width >= _BY_WIDTH else 1)
    rows = -(-len(panels) // columns)
    with theme.style():
        figure = Drawing(figsize=(width, rows * 2.1 + 0.45), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, pair, lines in zip(grid.flat, case.pairs, panels):
            for _, tone, style, of, which in lines:
                _line(axes, of, which, tone, style)
            axes.axvline(0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)), zorder=1.5)
            axes.set(title=_of(pair.k), xlabel="Nₖ − d", ylim=(-0.04, 1.04))
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        for axes in grid[:, 0]:
            axes.set_ylabel("share recovered")
        entries: dict[str, tuple[str, LineStyleType]] = {
            label: (tone, style) for lines in panels for label, tone, style, _, _ in lines
        }
        handles = [
            Line2D(
                [], [], color=tone, linestyle=style, marker=theme.MARKS.get(tone, ""), markersize=4
            )
            for tone, style in entries.values()
        ]
        figure.legend(
            handles,
            list(entries),
            loc="outside upper left",
            ncols=1 if width < _BY_WIDTH else len(handles),
        )
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def _line(axes: Axes, of: Map, which: np.ndarray, tone: str, style: LineStyleType) -> None:
    found = [
        (offset, e) for offset in of.offsets() if (e := of.at_offset(offset, which)) is not None
    ]
    x, y = np.array([offset for offset, _ in found]), np.array([e.value for _, e in found])
    mark = theme.MARKS.get(tone, "")
    if style != ":":
        shifted = x + (0.12 if style == "none" else -0.12)
        axes.vlines(
            shifted,
            [e.low for _, e in found],
            [e.high for _, e in found],
            color=tone,
            linewidth=1.0,
            zorder=2.5,
        )
        axes.plot(
            shifted,
            y,
            color=tone,
            linestyle="none",
            marker=mark,
            markersize=3.5,
            markeredgewidth=0,
            zorder=3,
        )
    if style != "none":
        axes.plot(x, y, color=tone, linestyle=style, linewidth=1.2, zorder=2)


def departure(found: Departure, told: str) -> Figure:
    """What argmax on noisy points and soft weights change in the loss, against sigma."""
    sigma, tones = found.sigma, ordered(3)
    assigned = _banded(
        sigma,
        found.argmax.value / found.exact,
        found.argmax.error / found.exact,
        "assigned by the noisy point",
        tones[0],
    )
    soft = _banded(
        sigma,
        found.soft.value / found.exact,
        found.soft.error / found.exact,
        "soft weights",
        tones[2],
    )
    wrong = _banded(
        sigma, found.wrong.value, found.wrong.error, "assigned to another subspace", tones[1]
    )
    clean = Level(0.0, "assigned by the clean point: exactly clustering")
    panels = [
        Panel(
            [assigned, soft],
            "Loss",
            "noise level σ",
            "relative change of the loss",
            levels=[clean],
            scale="linear",
        ),
        Panel([wrong], "Assignments", "noise level σ", "share of noisy points", scale="linear"),
    ]
    caption = (
        f"**Where diffusion training stops being subspace clustering.** {told} With the "
        "assignment of the clean point the denoising loss is exactly an "
        "affine function of the clustering objective; a denoiser can only assign by the "
        "noisy point, or weigh softly. Bands: 95 % over noise."
    )
    return Figure("departure", caption, lambda width: error_curves(panels, width=width))


def _banded(x: np.ndarray, y: np.ndarray, error: np.ndarray, label: str, tone: str) -> Series:
    return Series(x, y, label, y - 1.96 * error, y + 1.96 * error, tone, "solid")
