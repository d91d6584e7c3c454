"""A page of synthetic blocks, and a reader of HTML that complains about what is not well formed."""

from __future__ import annotations

import math
from html.parser import HTMLParser

import numpy as np

from denoscope.estimate import Estimate, proportion, unavailable
from denoscope.references import Reference
from denoscope.report import (
    MUTED,
    ClaimRow,
    Claims,
    Column,
    Figure,
    Gallery,
    HeatMap,
    KeyValues,
    Level,
    Marker,
    Page,
    Panel,
    ReferenceList,
    Section,
    Series,
    Strip,
    Table,
    Text,
    curves,
    matrix,
    ordered,
)

EVIL = "<script>alert(1)</script> \"&' </title><img src=x onerror=alert(1)> {{ 7*7 }} $x^1$"
SIZES = np.array([8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536])


def panel(label: str = "width 32", markers: tuple[Marker, ...] = ()) -> Panel:
    y = np.linspace(0, 1, len(SIZES))
    lines = [
        Series(SIZES, y, label, y - 0.1, y + 0.1, ordered(3)[0], kind="measured"),
        Series(SIZES, y / 2, label, tone=MUTED, style="thin", kind="raw"),
    ]
    return Panel(
        lines, label, "training images", "GLc", markers, [Level(1.0, "perfect")], (-0.1, 1.1)
    )


def claims(name: str = "plain") -> Claims:
    """One claim of each kind, with finite, infinite and missing ends."""
    rows = [
        ClaimRow(
            f"{name} agrees", "agrees", name, name, [(0.2, 0.3, 0.4), (0, 0.1, 1)], (0, 1), name
        ),
        ClaimRow("One is left", "disagrees", "above 2", "1", [(0.5, 1, 1.5)], (2, math.inf)),
        ClaimRow("Open", "undecided", "below 3", "9", [(-math.inf, 2, math.inf)], (-math.inf, 3)),
        ClaimRow("A fact", "new", "", "0.4 [0.3, 0.5]", [(0.3, 0.4, 0.5)], (-math.inf, math.inf)),
        ClaimRow("None", "undecided", "above 2", "–", [(math.nan,) * 3], (2, math.inf)),
    ]
    return Claims(rows, name)


def page(name: str = "plain", title: str = "A report") -> Page:
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((8, 8), (8, 8, 1), (8, 8, 3))
    ]
    rows = [
        ["b", 128, proportion(900, 1000), 2.5],
        [name, 16, unavailable(name), math.nan],
        ["a", 1024, proportion(10, 1000), None],
        ["c", 8, Estimate(0.5, -math.inf, math.inf, 1), math.inf],
    ]
    columns = [
        Column(name, name, name),
        Column("N", "images"),
        Column("GLc", tip="one minus excess"),
        Column("time", "s"),
    ]
    heat = HeatMap([[1, math.nan], [0.2, 0]], [name, "b"], ["a", name], name, name, name)
    return Page(
        title,
        name,
        [
            Section(
                name,
                [
                    Text(f"**N* of {name}** and `{name}`\n\nagain N* * 2"),
                ],
            ),
            Section(
                "Figures",
                [
                    Figure("heat", name, matrix([heat], label=name)),
                ],
            ),
            Section(
                "Images",
                [
                    Gallery(
                        name,
                        [name, "nearest", "other"],
                        [Strip(images, [name, "", "0.9"], name)] * 5,
                    )
                ],
            ),
            Section("Cells", [Table(name, columns, rows)]),
            Section(
                "Run",
                [
                    KeyValues({name: name}),
                    ReferenceList([Reference("k", name, name, name, 2024, arxiv="2310.05264")]),
                ],
            ),
        ],
        name,
        [Figure("curves", name, lambda width: curves([panel(name)], width=width)), claims(name)],
    )


class Reader(HTMLParser):
    """Tags with their attributes, ids, and the text of the page; complains about what is closed in
    the wrong order.
    """

    VOID = frozenset(("meta", "link", "img", "br", "hr", "input"))

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({key for key, _ in attrs}) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]
