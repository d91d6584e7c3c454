"""Plots over readings: what stands on an axis, what colour, look and panel stand for, and what to
compare with.

They are compiled to the panels of :mod:`denoscope.report.panels`; nothing is drawn here. What the
readings do not have is left out: no empty panel, no empty line, no legend entry without a line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np

from denoscope.coordinates import COORDINATES, name_of
from denoscope.estimate import exact
from denoscope.readings import Reading, Readings
from denoscope.report import blocks, theme
from denoscope.report.figures import curves, error_curves, linear_curves
from denoscope.report.grids import HeatMap, matrix
from denoscope.report.looks import LOOKS, Look, look_of
from denoscope.report.panels import Level, Marker, Panel, Position, Series, Style

_MARKS: tuple[Style, ...] = ("solid", "dashed", "dotted", "line", "thin")


@dataclass(frozen=True)
class Plot:
    """``readings`` of one quantity over the coordinate ``x``: a colour for each value of ``color``,
    a line style for each of ``look``, a panel for each of ``panel``, or for all values together of
    several coordinates; readings that lack one of these stand in every panel of it.

    A role (a value that has a look of its own) is drawn in it; other values of ``color`` take the
    ordered ramp, other values of ``look`` one style each. ``theory`` are readings that are drawn as
    lines without marks over the same x. ``levels`` and ``positions`` are straight lines by their
    names, ``markers`` estimates of x by theirs (at ``height``), ``diagonal`` names the line y = x.
    """

    readings: Readings
    x: str
    color: str = ""
    look: str = ""
    panel: str | Sequence[str] = ""
    title: str = ""
    y: str = ""
    theory: Readings = field(default_factory=Readings)
    levels: Mapping[str, float] = field(default_factory=dict)
    positions: Mapping[str, float] = field(default_factory=dict)
    markers: Readings = field(default_factory=Readings)
    height: float = 0.5
    limits: tuple[float, float] | None = None
    diagonal: str = ""
    scale: Literal["", "linear", "log"] = ""

    @property
    def axis(self) -> str:
        """The scale of the x axis."""
        return COORDINATES[self.x].scale

    def panels(self) -> list[Panel]:
        """A panel for each value of ``panel``; a look stands for the same thing in all of them."""
        everything = self.readings + self.theory
        color = looks(everything, self.color)
        styles = _styles(everything.along(self.look)) if self.look else {}
        found = parts(everything, self.panel, self.title)
        return [self._panel(title, part, color, styles) for title, part in found]

    def _panel(
        self,
        title: str,
        part: Callable[[Readings], Readings],
        color: Mapping[Any, Look],
        styles: Mapping[Any, Style],
    ) -> Panel:
        lines = list(self._lines(part(self.readings), color, styles))
        lines += self._lines(part(self.theory), color, styles, theory=True)
        lines += self._equal(lines)
        return Panel(
            lines,
            title,
            COORDINATES[self.x].label,
            self.y or (self.readings or self.theory).quantity.axis,
            list(self._markers(part(self.markers), color)),
            [Level(y, name) for name, y in self.levels.items()],
            self.limits,
            [Position(x, name) for name, x in self.positions.items()],
            self.scale or ("linear" if self.axis == "log" else ""),
        )

    def _lines(
        self,
        readings: Readings,
        color: Mapping[Any, Look],
        styles: Mapping[Any, Style],
        theory: bool = False,
    ) -> Iterator[Series]:
        coordinates = [c for c in (self.color, self.look) if c]
        for *values, part in readings.by(*coordinates):
            at = dict(zip(coordinates, values))
            if at.get(self.color) is not None and at[self.color] not in color:
                continue
            line = self._line(part, theory)
            if not np.isfinite(line.y).any():
                continue
            yield replace(line, **self._look(at, color, styles, theory))

    def _look(
        self,
        at: Mapping[str, Any],
        color: Mapping[Any, Look],
        styles: Mapping[Any, Style],
        theory: bool,
    ) -> dict[str, Any]:
        """Tone, marker, style and names of a line at its values of ``color`` and ``look``."""
        value, other = at.get(self.color), at.get(self.look)
        own = color.get(value) or look_of(other) or LOOKS["network"]
        style = styles.get(other, own.style) if self.look and self.look != self.color else own.style
        style = "line" if theory and style == "solid" else style
        names = [name_of(c, v) for c, v in at.items() if v is not None]
        label, kind = (names[0], names[1]) if len(names) > 1 else ("".join(names), "")
        return {
            "label": label,
            "kind": kind,
            "tone": own.tone,
            "style": style,
            "spread": "bars" if style == "dots" else "band",
            "marker": "" if theory or style in ("line", "thin") else own.marker,
        }

    def _line(self, part: Readings, theory: bool) -> Series:
        """One line with its band; what is not available leaves a gap."""
        found = sorted(part, key=lambda r: r.at[self.x])
        places = [r.at[self.x] for r in found]
        if len(set(places)) < len(places):
            twice = next(x for x in places if places.count(x) > 1)
            raise ValueError(
                f"several readings of {found[0].name} at {self.x} = {twice} on one line: they "
                f"differ in {', '.join(part.varied())}"
            )
        values = [exact(r.value) if theory else part.estimate(r) for r in found]
        y, low, high = (np.array([getattr(e, k) for e in values]) for k in ("value", "low", "high"))
        y = np.where(np.isfinite(y), y, np.nan)
        banded = bool(np.isfinite(low).any() and np.isfinite(high).any() and (low < high).any())
        return Series(places, y, low=low if banded else None, high=high if banded else None)

    def _equal(self, lines: Sequence[Series]) -> list[Series]:
        if not self.diagonal or not lines:
            return []
        x = np.concatenate([np.asarray(line.x, float) for line in lines])
        ends = [float(x.min()), float(x.max())]
        return [Series(ends, ends, self.diagonal, style="thin")]

    def _markers(self, found: Readings, color: Mapping[Any, Look]) -> Iterator[Marker]:
        for r in found:
            e = found.estimate(r)
            tone = color[r.at[self.color]].tone if self.color in r.at else theme.INK
            yield Marker(e.value, e.low, e.high, self.height, found.quantities[r.name].label, tone)


def parts(
    readings: Readings, coordinates: str | Sequence[str], title: str = ""
) -> Iterator[tuple[str, Callable[[Readings], Readings]]]:
    """Each panel by its title, with what selects its readings.

    There is one for each place by the ``coordinates``, but for places that another tells more of.
    Its title are the values of coordinates that vary, after ``title`` or else the value of the
    first coordinate. Readings that lack a coordinate stand in every panel of it.
    """
    names = [coordinates] if isinstance(coordinates, str) else list(coordinates)
    names = [name for name in names if name]
    every = [dict(zip(names, place)) for *place, _ in readings.by(*names)]
    places = [{c: v for c, v in place.items() if v is not None} for place in every]
    kept = [p for p in places if not any(p.items() < q.items() for q in places)]
    varied = [c for c in names if len({p.get(c) for p in kept}) > 1]
    told = [c for c in names if c in varied or (c == names[0] and not title)]
    for place in kept:
        words = [name_of(c, place[c]) for c in told if c in place]
        yield ", ".join([title, *words] if title else words), partial(_at_place, names, place)


def _at_place(names: Sequence[str], place: Mapping[str, Any], readings: Readings) -> Readings:
    found = (r for r in readings if all(place.get(c) == r.at[c] for c in names if c in r.at))
    return Readings(found, readings.quantities)


def _styles(values: Sequence[Any]) -> dict[Any, Style]:
    """A line style for each value: its look's own where that is not solid, else one of the rest."""
    known = {value: look_of(value) for value in values}
    own: dict[Any, Style] = {
        v: look.style for v, look in known.items() if look and look.style != "solid"
    }
    rest: list[Style] = [style for style in _MARKS if style not in own.values()]
    free = (value for value in values if value not in own)
    others: dict[Any, Style] = {value: style for value, style in zip(free, rest)}  # noqa: C416
    return {**others, **own}


def looks(readings: Readings, coordinate: str) -> dict[Any, Look]:
    """A look for each value of a coordinate: a closed one's values have looks of their own, others
    take the ordered ramp; of more values than this has tones, some that are evenly spread.
    """
    values = readings.along(coordinate) if coordinate else []
    if not values:
        return {}
    if COORDINATES[coordinate].values:
        if missing := [value for value in values if look_of(value) is None]:
            raise ValueError(f"no look for {coordinate} {missing[0]!r}: give it one in LOOKS")
        return {value: look for value in values if (look := look_of(value))}
    places = np.linspace(0, len(values) - 1, min(len(values), len(theme.TONES)))
    shown = [values[round(place)] for place in places]
    ramp = theme.ordered(len(shown))
    return {v: Look(tone, "solid", theme.MARKS.get(tone, "o")) for v, tone in zip(shown, ramp)}


@dataclass(frozen=True)
class Histogram:
    """Shares of the units in bins: an outline for each ``color``, a panel for each ``panel``; what
    lies below the first edge counts in the first bin.
    """

    readings: Readings
    color: str
    panel: str | Sequence[str] = ""
    title: str = ""
    bins: int = 25
    axis = "linear"

    def panels(self) -> list[Panel]:
        """All panels with common edges."""
        low = min(float(np.quantile(r.value, 0.01)) for r in self.readings)
        high = max(float(np.max(r.value)) for r in self.readings)
        edges = np.linspace(math.floor(10 * low) / 10, math.ceil(10 * high) / 10, self.bins + 1)
        look = looks(self.readings, self.color)
        return [
            Panel(
                [self._outline(edges, r, look[r.at[self.color]]) for r in part(self.readings)],
                title,
                self.readings.quantity.axis,
                "share",
            )
            for title, part in parts(self.readings, self.panel, self.title)
        ]

    def _outline(self, edges: np.ndarray, r: Reading, look: Look) -> Series:
        values = np.maximum(np.ravel(r.value), edges[0])
        heights = np.repeat(np.histogram(values, edges)[0] / values.size, 2)
        x, zero = np.repeat(edges, 2)[1:-1], np.zeros(len(heights))
        label = name_of(self.color, r.at[self.color])
        return Series(x, heights, label, zero, heights, look.tone, "line")


@dataclass(frozen=True)
class Distribution:
    """Empirical distribution functions of the units: a line for each ``color``, a panel for each
    ``panel``. On a ``scale`` that is logarithmic a single unit of many shows. ``lines`` are values
    at which a panel has an upright line.
    """

    readings: Readings
    color: str
    panel: str | Sequence[str] = ""
    title: str = ""
    scale: Literal["linear", "log"] = "linear"
    lines: Readings = field(default_factory=Readings)
    axis = "linear"

    def panels(self) -> list[Panel]:
        """A panel for each value of ``panel``."""
        look = looks(self.readings, self.color)
        least = min(1 / np.size(r.value) for r in self.readings)
        return [
            Panel(
                [self._steps(r, look[r.at[self.color]]) for r in part(self.readings)],
                title,
                self.readings.quantity.axis,
                "share at most so large",
                limits=(least / 1.5, 1.2) if self.scale == "log" else (0, 1),
                positions=[
                    Position(self.lines.estimate(r).value, self.lines.quantity.label)
                    for r in part(self.lines)
                ],
                scale=self.scale,
            )
            for title, part in parts(self.readings, self.panel, self.title)
        ]

    def _steps(self, r: Reading, look: Look) -> Series:
        values = np.sort(np.ravel(r.value))
        ends = (np.linspace(0, len(values) - 1, 400), np.geomspace(1, len(values), 400) - 1)
        kept = np.unique(np.concatenate(ends).round().astype(int))
        x, y = values[kept], (kept + 1) / len(values)
        style = "line" if look.style == "solid" else look.style
        return Series(x, y, name_of(self.color, r.at[self.color]), tone=look.tone, style=style)


@dataclass(frozen=True)
class Map:
    """Values of ``readings`` on the grid of two coordinates, one panel for each ``panel``, all on
    one scale from ``low`` to ``high``.

    Rows of numbers run upwards, as on an axis, names from top to bottom. ``edge`` are readings of
    where along ``columns`` a transition is, drawn as a staircase in their rows; without ``ends``
    the numerals of ``low`` and ``high`` are left out. ``unit`` multiplies, 100 for per cent.
    """

    readings: Readings
    rows: str
    columns: str
    panel: str | Sequence[str] = ""
    low: float = 0.0
    high: float = 1.0
    digits: int = 2
    edge: Readings = field(default_factory=Readings)
    ends: bool = True
    unit: float = 1.0

    @property
    def label(self) -> str:
        """What the numbers are."""
        quantity = self.readings.quantity
        return f"{quantity.label} (%)" if self.unit == 100 else quantity.axis

    def maps(self) -> list[HeatMap]:
        """A heat map for each panel; a place without a reading is empty."""
        rows = self.readings.along(self.rows)
        rows = rows[::-1] if _numeric(self.rows, rows) else rows
        columns = self.readings.along(self.columns)
        names = [_named(c, vs) for c, vs in ((self.rows, rows), (self.columns, columns))]
        return [
            HeatMap(
                self._grid(part(self.readings), rows, columns),
                names[0][1],
                names[1][1],
                title,
                x=names[1][0],
                y=names[0][0],
                edge=self._edge(part(self.edge), rows, columns),
            )
            for title, part in parts(self.readings, self.panel)
        ]

    def _grid(self, some: Readings, rows: Sequence[Any], columns: Sequence[Any]) -> np.ndarray:
        return np.array([[self._at(some, row, column) for column in columns] for row in rows])

    def _at(self, some: Readings, row: Any, column: Any) -> float:
        found = some.of(**{self.rows: row, self.columns: column})
        return self.unit * self.readings.estimate(found[0]).value if found else math.nan

    def _edge(self, here: Readings, rows: Sequence[Any], columns: Sequence[Any]) -> list[float]:
        """Where the edge is in each row, in cells from the left; a column's value is its middle."""
        if not here:
            return []
        at = {r.at[self.rows]: self.edge.estimate(r).value for r in here}
        first, last = np.diff(columns)[[0, -1]] if len(columns) > 1 else (1.0, 1.0)
        known = [columns[0] - first, *columns, columns[-1] + last]
        middle = np.arange(len(known)) - 0.5
        return [float(np.interp(at.get(row, math.nan), known, middle)) for row in rows]


def _numeric(coordinate: str, values: Sequence[Any]) -> bool:
    return all(isinstance(v, int | float) for v in values) and not COORDINATES[coordinate].values


def _named(coordinate: str, values: Sequence[Any]) -> tuple[str, list[str]]:
    """The label of an axis and its values: numbers bare, named ones with their names alone."""
    if _numeric(coordinate, values):
        return COORDINATES[coordinate].label, [f"{v:g}".replace("-", "−") for v in values]
    return "", [name_of(coordinate, value) for value in values]


class Panelled(Protocol):
    """What is drawn as panels: :class:`Plot`, :class:`Histogram`, :class:`Distribution`, or
    :class:`~denoscope.report.frontiers.Frontier`.
    """

    @property
    def readings(self) -> Readings: ...

    @property
    def axis(self) -> str: ...

    def panels(self) -> list[Panel]: ...


_DRAW: dict[str, Any] = {"size": curves, "log": error_curves, "linear": linear_curves}


def figure(name: str, caption: str, *plots: Panelled, alt: str = "") -> blocks.Figure | None:
    """All plots as one figure, panels in order; None where none has readings."""
    filled = [plot for plot in plots if plot.readings or getattr(plot, "theory", ())]
    if not filled:
        return None
    if len(axes := {plot.axis for plot in filled}) > 1:
        raise ValueError(f"figure {name} mixes x axes of scales {', '.join(sorted(axes))}")
    panels = [panel for plot in filled for panel in plot.panels()]
    draw = partial(_drawn, _DRAW[filled[0].axis], panels)
    return blocks.Figure(name, caption, draw, alt)


def heat_maps(name: str, caption: str, grid: Map) -> blocks.Figure | None:
    """A figure of heat maps; None where there are no readings."""
    if not grid.readings:
        return None
    options: dict[str, Any] = {"low": grid.low, "high": grid.high, "digits": grid.digits}
    options |= {"edge": grid.edge.quantity.label if grid.edge else "", "ends": grid.ends}
    options["label"] = grid.label
    return blocks.Figure(name, caption, partial(_drawn, partial(matrix, **options), grid.maps()))


def _drawn(draw: Callable[..., Any], what: Sequence[Any], width: float) -> Any:
    return draw(what, width=width)
