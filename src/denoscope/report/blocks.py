"""What a page is made of: small frozen blocks that hold plain data and know nothing of HTML.

Every string is plain text and is escaped. In running text (texts, findings, captions, values of
what was run) ``**strong**`` and ```code``` between backticks are marked, and there as in labels
the index of a symbol such as N_k is set below the line; nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure as Drawing

    from denoscope.references import Reference


@dataclass(frozen=True)
class Text:
    """Running text; an empty line begins a new paragraph."""

    text: str


Agreement: TypeAlias = Literal["agrees", "disagrees", "undecided", "new"]
"""How what was found here stands to what was published or expected; a fact without either is new.
"""


@dataclass(frozen=True)
class ClaimRow:
    """One claim in one line of a table.

    ``says`` is its sentence, ``expected`` the published number or the region in words, ``here``
    what was found with its interval. ``intervals`` are (low, value, high), the decisive one first,
    drawn against the ``region`` (low, high) in which they are expected; ends may be infinite.
    ``detail`` is what a reader unfolds: controls, other numbers, methods.
    """

    says: str
    agreement: Agreement
    expected: str
    here: str
    intervals: Sequence[tuple[float, float, float]]
    region: tuple[float, float]
    detail: str = ""


@dataclass(frozen=True)
class Claims:
    """A table of claims, one per line; ``foot`` says in one line what these cells do not test."""

    rows: Sequence[ClaimRow]
    foot: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption, saved as ``figures/NAME.svg`` and ``.png``; ``alt`` (default: the
    caption) is read aloud.

    Give a function of the width in inches, such as ``lambda width: curves(panels, width=width)``,
    and phones get their own layout; a finished drawing is scrolled there.
    """

    name: str
    caption: str
    figure: Drawing | Callable[[float], Drawing]
    alt: str = ""


@dataclass(frozen=True)
class Strip:
    """A gallery's row: uint8 images (h, w), (h, w, 1) or (h, w, 3), notes below, a caption left."""

    images: Sequence[np.ndarray]
    notes: Sequence[str] = ()
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """Strips of images under common column names, shown enlarged with visible pixels."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Strip]


@dataclass(frozen=True)
class Slider:
    """One slider under its pictures: ``frames`` has the uint8 images of each position, as many as
    there are views; ``note`` stands below.
    """

    caption: str
    frames: Sequence[Sequence[np.ndarray]]
    note: str = ""


@dataclass(frozen=True)
class Sliders:
    """Sliders of one quantity ``what``, whose ``positions`` have these words; they stand at
    ``start`` until they are moved, by keyboard too. ``views`` says what a frame's pictures are.
    ``still``: pictures with their names on a card without a slider, before the others.
    """

    title: str
    what: str
    positions: Sequence[str]
    views: Sequence[str]
    start: int
    rows: Sequence[Slider]
    still: Sequence[tuple[str, np.ndarray]] = ()


@dataclass(frozen=True)
class Column:
    """A column's name, unit, explanation (on hover, read aloud), and the format of its numbers."""

    label: str
    unit: str = ""
    tip: str = ""
    form: str = ".3g"


@dataclass(frozen=True)
class Table:
    """A sortable table: cells are text, numbers, Estimates (shown with their interval) or None."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class KeyValues:
    """Names and values, such as what was run."""

    pairs: Mapping[str, object]


@dataclass(frozen=True)
class ReferenceList:
    """The works that the page rests on, with links and BibTeX."""

    works: Sequence[Reference]


Block: TypeAlias = Text | Claims | Figure | Gallery | Sliders | Table | KeyValues | ReferenceList


@dataclass(frozen=True)
class Section:
    """A titled part of a page; a ``folded`` one shows its title until it is opened."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """A whole report: under the title the ``answer`` in one sentence, then the blocks of the
    ``opening`` (the figure, at most three claims), then sections; more than three have contents.
    ``claims`` are all claims as data.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    answer: str = ""
    opening: Sequence[Block] = ()
    claims: Sequence[Mapping[str, object]] = ()
