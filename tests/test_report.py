"""The report: everything escaped, nothing loaded, colours that follow the reader, tables that other
programs read.
"""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from denoscope.estimate import Estimate, proportion, unavailable
from denoscope.references import Reference
from denoscope.report import (
    LOOKS,
    MUTED,
    WIDE,
    Column,
    Figure,
    Finding,
    Gallery,
    HeatMap,
    KeyValues,
    Level,
    Marker,
    Page,
    Panel,
    Position,
    ReferenceList,
    Section,
    Series,
    Strip,
    Table,
    Text,
    curves,
    error_curves,
    image_grid,
    matrix,
    ordered,
    theme,
    write,
    write_table,
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
    heat = HeatMap(
        [[1, math.nan], [0.2, 0]], [name, "b"], ["a", name], name, [name, "h"], ["g", "g"]
    )
    return Page(
        title,
        name,
        [
            Section(
                name,
                [
                    Finding(name, "good", name),
                    Finding(name, "absent"),
                    Text(f"**N* of {name}** and `{name}`\n\nagain N* * 2"),
                ],
            ),
            Section(
                "Figures",
                [
                    Figure("curves", name, lambda width: curves([panel(name)], width=width)),
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
    )


class Reader(HTMLParser):
    """Tags with their attributes, ids, and the text of the page; complains about what is closed in
    the wrong order.
    """

    VOID = frozenset(("meta", "link", "img", "br", "hr"))

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


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(page(EVIL, EVIL), tmp_path_factory.mktemp("evil"))


def test_report_needs_no_torch() -> None:
    code = (
        "import sys, denoscope.report; assert 'torch' not in sys.modules and "
        "'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_string_is_escaped(evil: Path) -> None:
    source = evil.read_text()
    read = Reader(source)
    assert len(read.all("script")) == 1
    assert "<script>alert" not in source
    assert not any(key.startswith("on") for _, attributes in read.tags for key in attributes)
    assert all(
        (image["src"] or "").startswith("data:image/png;base64,") for image in read.all("img")
    )
    text = "".join(read.words)
    assert text.count(EVIL) >= 15
    for attribute in ("title", "alt", "aria-label"):
        assert any(EVIL in (attributes.get(attribute) or "") for _, attributes in read.tags), (
            attribute
        )


def test_svg_text_is_escaped_and_files_are_xml(evil: Path) -> None:
    for name in ("curves", "heat"):
        source = (evil.parent / "figures" / f"{name}.svg").read_text()
        root = ElementTree.fromstring(source)
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
            *(
                "svg",
                "metadata",
                "RDF",
                "Work",
                "type",
                "format",
                "defs",
                "style",
                "g",
                "path",
                "use",
                "clipPath",
                "rect",
            )
        }
    inline = re.findall(r"<svg.*?</svg>", evil.read_text(), re.S)
    assert len(inline) == 3
    assert all(
        "&lt;script&gt;" in "".join(re.findall(r"<text.*?</text>", svg, re.S)) for svg in inline
    )


def test_page_loads_nothing(evil: Path) -> None:
    read = Reader(evil.read_text())
    policy = (
        next(
            meta["content"]
            for meta in read.all("meta")
            if meta.get("http-equiv") == "Content-Security-Policy"
        )
        or ""
    )
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert "script-src 'sha256-" in policy
    for tag, attributes in read.tags:
        for key in ("src", "href", "srcset", "poster", "data"):
            target = attributes.get(key) or ""
            if tag == "a" and target.startswith("https://arxiv.org/"):
                continue
            assert target == "" or target.startswith(("#", "data:", "figures/")), (tag, key, target)
    assert not re.search(r"@import|url\((?!#)", evil.read_text())


def test_ids_are_unique_and_references_resolve(evil: Path) -> None:
    read = Reader(evil.read_text())
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {
        (attributes.get("href") or "")[1:]
        for _, attributes in read.tags
        if (attributes.get("href") or "").startswith("#")
    }
    wanted |= set(re.findall(r"url\(#([^)]+)\)", evil.read_text()))
    assert wanted <= set(ids)


def test_figures_in_the_page_take_its_colours_and_files_keep_theirs(tmp_path: Path) -> None:
    html = write(page(), tmp_path).read_text()
    inline = re.findall(r"<svg.*?</svg>", html, re.S)
    assert len(inline) == 3  # curves for screen and phone, the finished heat map once
    for drawn in inline:
        left = set(re.findall(r"#[0-9a-f]{6}", drawn))
        assert not left & {light for light, _ in theme.COLORS.values()}
        assert {"var(--ink)", "var(--muted)"} <= set(re.findall(r"var\(--[a-z0-9-]+\)", drawn))
    assert "var(--tone-1)" in inline[0]
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", html))
    assert all(
        len(re.findall(f"{name}:#", html)) == 3 for name in used
    )  # light, the reader's dark, and dark on demand
    exported = (tmp_path / "figures" / "curves.svg").read_text()
    assert "var(--" not in exported
    assert theme.TONES[0] in exported
    with Image.open(tmp_path / "figures" / "curves.png") as png:
        assert png.width == round(WIDE * 200)
        assert png.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_svg_text_that_looks_like_markup_of_ours_stays(tmp_path: Path) -> None:
    name = f'id="x" url(#y) {theme.INK}'
    html = write(
        Page("t", "", [Section("s", [Figure("f", "c", curves([panel(name)]))])]), tmp_path
    ).read_text()
    assert name in "".join(Reader(html).words)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_control_characters_do_not_break_the_page(tmp_path: Path) -> None:
    html = write(
        Page("t", "", [Section("s", [Figure("f", "a\x00b\x1b", curves([panel("a\x08b")]))])]),
        tmp_path,
    ).read_text()
    assert "a\ufffdb" in html


def test_a_page_has_the_name_it_is_given(tmp_path: Path) -> None:
    page = Page("t", "", [Section("s", [Text("x")])])
    assert write(page, tmp_path, "needed") == tmp_path / "needed.html"
    with pytest.raises(ValueError, match="file name"):
        write(page, tmp_path, "../needed")


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = write(page(), tmp_path / "a"), write(page(), tmp_path / "b")
    for path in ("report.html", "figures/curves.svg", "figures/curves.png", "figures/heat.svg"):
        assert (first.parent / path).read_bytes() == (second.parent / path).read_bytes()


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
        (
            lambda: matrix([HeatMap([[1]], ["a"], ["a"], row_groups=["g", "h"])]),
            "2 row groups for 1 rows",
        ),
        (lambda: image_grid([[np.zeros((8, 8))]]), "uint8"),
        (lambda: image_grid([[np.zeros((8, 8, 4), np.uint8)]]), "shape"),
        (
            lambda: image_grid([[np.zeros((8, 8), np.uint8)]], columns=["a", "b"]),
            "2 column names for 1",
        ),
    ],
)
def test_bad_drawings_are_refused(make: partial[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([Figure("a", "", curves([panel()]))] * 2, "must be unique"),
        ([Figure("../a", "", curves([panel()]))], "letters, digits"),
        (
            [Gallery("g", ["a", "b"], [Strip([np.zeros((8, 8), np.uint8)])])],
            "1 images and 0 notes for 2 columns",
        ),
        ([Table("t", [Column("a")], [[1, 2]])], "2 cells for 1 columns"),
    ],
)
def test_bad_pages_are_refused_before_anything_is_written(
    blocks: list, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write(Page("t", "", [Section("s", blocks)]), tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_image_grid_draws_every_image() -> None:
    images = [[np.full((8, 8), 10 * i + j, np.uint8) for j in range(3)] for i in range(2)]
    (axes,) = image_grid(images, columns=["a", "b", "c"], labels=["x", "y"]).axes
    assert [int(np.asarray(image.get_array())[0, 0, 0]) for image in axes.images] == [
        0,
        1,
        2,
        10,
        11,
        12,
    ]


def test_gallery_pixels_survive(tmp_path: Path) -> None:
    import base64
    import io

    image = np.random.default_rng(1).integers(0, 256, (8, 8), dtype=np.uint8)
    html = write(
        Page("t", "", [Section("s", [Gallery("g", ["a"], [Strip([image])])])]), tmp_path
    ).read_text()
    (shown,) = Reader(html).all("img")
    with Image.open(io.BytesIO(base64.b64decode((shown["src"] or "").partition(",")[2]))) as png:
        assert np.array_equal(np.asarray(png)[..., 0], image)
    assert (shown["width"], shown["height"]) == ("80", "80")


def test_emphasis_is_minimal_and_star_names_survive(tmp_path: Path) -> None:
    words = "**N* of width 64** is 5*3 and N* < 7, `a < b`, **open\n\nsecond"
    html = write(Page("t", "", [Section("s", [Text(words)])]), tmp_path).read_text()
    assert (
        "<p><strong>N* of width 64</strong> is 5*3 and N* &lt; 7, <code>a &lt; b</code>, **open</p>"
        in html
    )
    assert "<p>second</p>" in html


def test_contents_only_for_long_pages(tmp_path: Path) -> None:
    for count in (3, 4):
        html = write(
            Page("t", "", [Section(f"s{i}", []) for i in range(count)]), tmp_path
        ).read_text()
        assert len(Reader(html).all("nav")) == (count > 3)


def test_table_markup(tmp_path: Path) -> None:
    html = write(page(), tmp_path).read_text()
    read = Reader(html)
    headers = [attributes for attributes in read.all("th") if "aria-sort" in attributes]
    assert [attributes.get("class") for attributes in headers] == [
        None,
        "number",
        "number",
        "number",
    ]
    assert len(read.all("button")) == 4
    cells = [attributes["data-sort"] for attributes in read.all("td") if "data-sort" in attributes]
    assert cells == [
        "b",
        "128.0",
        "0.9",
        "2.5",
        "plain",
        "16.0",
        "",
        "",
        "a",
        "1024.0",
        "0.01",
        "",
        "c",
        "8.0",
        "0.5",
        "inf",
    ]
    text = re.sub(r"\s+", " ", "".join(read.words))
    assert "0.9 [0.88, 0.918]" in text
    assert "[−∞, ∞]" in text
    regions = [attributes for attributes in read.all("div") if attributes.get("role") == "region"]
    assert all(
        attributes.get("tabindex") == "0" and attributes.get("aria-label") for attributes in regions
    )


def test_tables_have_null_and_empty_for_what_is_not_finite(tmp_path: Path) -> None:
    rows = [
        {"name": 'a,"b"\n<c>', "n": np.int64(8), "x": math.nan, "ok": True, "gl": None},
        {
            "name": "d",
            "n": 16,
            "x": np.float32(0.5),
            "gl": proportion(1, 2),
            "more": [1.0, math.inf],
        },
        {"name": "e", "x": -math.inf, "gl": unavailable("why")},
    ]
    csv_path, json_path = write_table(rows, tmp_path)
    with csv_path.open(newline="") as stream:
        read = list(csv.DictReader(stream))
    assert list(read[0]) == ["name", "n", "x", "ok", "gl", "gl_low", "gl_high", "more"]
    assert read[0] == {
        "name": 'a,"b"\n<c>',
        "n": "8",
        "x": "",
        "ok": "true",
        "gl": "",
        "gl_low": "",
        "gl_high": "",
        "more": "",
    }
    assert (read[1]["x"], read[1]["gl"], float(read[1]["gl_low"])) == (
        "0.5",
        "0.5",
        proportion(1, 2).low,
    )
    assert (read[2]["n"], read[2]["x"], read[2]["gl"]) == ("", "", "")
    loaded = json.loads(json_path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert [list(row) for row in loaded] == [["name", "n", "x", "ok", "gl", "more"]] * 3
    assert (loaded[0]["x"], loaded[0]["n"], loaded[1]["x"], loaded[1]["more"], loaded[2]["x"]) == (
        None,
        8,
        0.5,
        [1.0, None],
        None,
    )
    assert loaded[1]["gl"]["value"] == 0.5
    assert (loaded[2]["gl"]["value"], loaded[2]["gl"]["method"]) == (None, "why")
    assert not list(tmp_path.glob(".*"))


_BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)


def _browse(path: Path, profile: Path, *more: str) -> subprocess.CompletedProcess[str]:
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync"
    )
    command = [
        str(_BROWSER),
        *flags.split(),
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        *more,
        path.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.slow
@pytest.mark.skipif(_BROWSER is None, reason="no chromium or chrome binary is installed")
def test_browser_shows_the_page_without_complaint(evil: Path, tmp_path: Path) -> None:
    done = _browse(evil, tmp_path, "--dump-dom")
    assert "CONSOLE" not in done.stderr
    assert (
        'data-ready="sortable"' in done.stdout
    )  # the script passed the page's own security policy
    assert done.stdout.count("<svg") == 3


def _driven(path: Path, script: str) -> Path:
    """A copy of the page without its security policy, so that a test's own script may press its
    buttons.
    """
    source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text())
    copy = path.with_name("driven.html")
    copy.write_text(source.replace("</body>", f"<script>{script}</script></body>"))
    return copy


@pytest.mark.slow
@pytest.mark.skipif(_BROWSER is None, reason="no chromium or chrome binary is installed")
def test_browser_sorts_by_number_and_text_with_missing_last(tmp_path: Path) -> None:
    script = """
    const first = () => [...document.querySelectorAll("table.sortable tbody tr")].map((row) => row.cells[0].textContent).join(",");
    const press = (i) => (document.querySelectorAll("table.sortable button")[i].click(), first());
    document.body.dataset.orders = [0, 0, 1, 1, 2, 2, 3, 3].map(press).join(";");
    document.body.dataset.sorted = [...document.querySelectorAll("th[aria-sort]")].map((th) => th.getAttribute("aria-sort")).join(",");
    """
    done = _browse(_driven(write(page(), tmp_path), script), tmp_path / "profile", "--dump-dom")
    assert "CONSOLE" not in done.stderr
    orders = re.search(r'data-orders="([^"]*)"', done.stdout)
    assert orders
    assert orders[1].split(";") == [
        *("a,b,c,plain", "plain,c,b,a"),
        *("c,plain,b,a", "a,b,plain,c"),
        *("a,c,b,plain", "b,c,a,plain"),
        *("b,c,a,plain", "c,b,a,plain"),
    ]
    assert 'data-sorted="none,none,none,descending"' in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(_BROWSER is None, reason="no chromium or chrome binary is installed")
def test_browser_fits_the_page_on_a_phone(tmp_path: Path) -> None:
    script = """
    const shown = [...document.querySelectorAll(".narrow svg, .wide svg")].filter((svg) => svg.getBoundingClientRect().width > 0).length;
    parent.postMessage(`${document.documentElement.scrollWidth} ${innerWidth} ${shown}`, "*");
    """
    inner = _driven(
        write(page("a-rather-long-name-without-any-place-to-break-it-" * 3), tmp_path), script
    )
    outer = tmp_path / "outer.html"
    listen = "addEventListener('message', (event) => { document.body.dataset.size = event.data; });"
    outer.write_text(
        f'<!DOCTYPE html><body><script>{listen}</script><iframe src="{inner.name}" '
        'style="width:360px;height:800px;border:0"></iframe>'
    )
    done = _browse(outer, tmp_path / "profile", "--dump-dom", "--virtual-time-budget=3000")
    size = re.search(r'data-size="(\d+) 360 (\d)"', done.stdout)
    assert size
    assert int(size[1]) <= 360
    assert size[2] == "1"  # of the two layouts of a figure the narrow one shows
