"""What a figure of curves is made of: lines with bands, markers, reference levels, panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from denoscope.report import theme

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Style = Literal["solid", "line", "dots", "dashed", "dotted", "thin"]
"""``solid`` has a mark a point (24 at most), ``line`` none (theory), ``dots`` are marks alone."""


@dataclass(frozen=True)
class Series:
    """One line: ``y`` over ``x``, with ``low`` and ``high`` as a band or as bars; all of one
    length, NaN leaves a gap.

    ``label`` names the colour and ``kind`` the line style: where kinds are given the legend
    explains the two separately (three widths and two quantities take five entries, not six).
    ``marker`` is the mark of a role (see :data:`~denoscope.report.looks.LOOKS`); without one the
    tone has its own. ``left`` and ``right`` are bars along x.
    """

    x: ArrayLike
    y: ArrayLike
    label: str = ""
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    tone: str = theme.INK
    style: Style = "solid"
    spread: Literal["band", "bars"] = "band"
    kind: str = ""
    marker: str = ""
    left: ArrayLike | None = None
    right: ArrayLike | None = None


@dataclass(frozen=True)
class Marker:
    """A position on the x axis with its interval, drawn at height ``y`` as a point with whiskers
    and a dotted line down to the axis.

    An infinite ``x``, ``low`` or ``high`` lies beyond the measured range: it is drawn as an arrow
    at that edge.
    """

    x: float
    low: float
    high: float
    y: float = 0.5
    label: str = ""
    tone: str = theme.INK


@dataclass(frozen=True)
class Level:
    """A horizontal reference line at ``y``, named in the legend."""

    y: float
    label: str = ""
    tone: str = theme.MUTED


@dataclass(frozen=True)
class Position:
    """A vertical reference line at ``x``, named in the legend."""

    x: float
    label: str = ""
    tone: str = theme.MUTED


@dataclass(frozen=True)
class Panel:
    """One pair of axes: lines, markers, reference lines, and the words on it.

    ``limits`` are those of y; ``scale`` is the kind of the y axis where that is not the figure's.
    """

    series: Sequence[Series]
    title: str = ""
    x: str = ""
    y: str = ""
    markers: Sequence[Marker] = ()
    levels: Sequence[Level] = ()
    limits: tuple[float, float] | None = None
    positions: Sequence[Position] = ()
    scale: Literal["", "linear", "log"] = ""
