"""Frontiers: one quantity against another at the same places, with the intervals of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from denoscope.coordinates import name_of
from denoscope.readings import Readings
from denoscope.report import theme
from denoscope.report.panels import Level, Panel, Series, Style
from denoscope.report.plots import parts

_OWN = ("X", "*", "h", "p", "<", ">")  # marks of references
_STYLES: tuple[Style, ...] = ("solid", "dashed", "dotted")


@dataclass(frozen=True)
class Frontier:
    """``readings`` of the quantity ``y`` against those of ``x`` at the same place, bars along both
    axes: a tone for each value of ``color``, whose points are joined ``along`` a coordinate, a line
    style for each of ``group``, and a panel for each of ``panel``.

    ``references`` are points in ink that stand in every panel whose coordinates they share.
    """

    readings: Readings
    x: str
    y: str
    color: str
    along: str
    group: str
    panel: str | Sequence[str] = ""
    references: Readings = field(default_factory=Readings)
    levels: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[float, float] | None = None
    axis = "log"

    def panels(self) -> list[Panel]:
        """All panels; a value of ``color`` looks alike in all of them."""
        look, quantities = self._looks(), self.readings.quantities
        marks = dict(zip(self.references.along(self.color), _OWN))
        found = []
        for title, part in parts(self.readings, self.panel):
            lines = [
                self._line(some, name_of(self.color, value), *look[value])
                for value, some in part(self.readings).by(self.color)
            ]
            lines += [
                self._line(some, name_of(self.color, value), theme.INK, "dots", marks[value])
                for value, some in part(self.references).by(self.color)
            ]
            lines = [line for line in lines if np.size(line.x)]
            names = quantities[self.x].axis, quantities[self.y].axis
            levels = [Level(y, name) for name, y in self.levels.items()]
            found.append(Panel(lines, title, *names, (), levels, self.limits, scale="linear"))
        return found

    def _looks(self) -> dict[object, tuple[str, Style, str]]:
        """The tone, style and mark of each colour: tones in order within its group."""
        found: dict[object, tuple[str, Style, str]] = {}
        for style, (_, some) in zip(_STYLES, self.readings.by(self.group)):
            values = some.along(self.color)
            for value, tone in zip(values, theme.ordered(len(values))):
                found[value] = tone, style, theme.MARKS[tone]
        return found

    def _line(self, some: Readings, label: str, tone: str, style: Style, marker: str) -> Series:
        found = some.estimates()
        places = [at for at in found.along(self.along) if self._both(found, at)]
        numbers = {
            name: np.array([self._numbers(found.of(name, **{self.along: at})) for at in places])
            for name in (self.x, self.y)
        }
        (x, left, right), (y, low, high) = (numbers[name].reshape(-1, 3).T for name in numbers)
        ends = (np.where(np.isfinite(end), end, np.nan) for end in (low, high, left, right))
        low, high, left, right = ends
        return Series(x, y, label, low, high, tone, style, "bars", "", marker, left, right)

    def _both(self, found: Readings, at: object) -> bool:
        return {r.name for r in found.of(self.x, self.y, **{self.along: at})} == {self.x, self.y}

    def _numbers(self, found: Readings) -> tuple[float, float, float]:
        return found.one.value, found.one.low, found.one.high
