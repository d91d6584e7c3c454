"""The report: everything escaped, nothing loaded, colours that follow the reader, tables that other
programs read.
"""

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from pages import EVIL, Reader, claims, page, panel
from PIL import Image

from denoscope.estimate import proportion, unavailable
from denoscope.report import (
    WIDE,
    ClaimRow,
    Column,
    Figure,
    Gallery,
    Page,
    Section,
    Strip,
    Table,
    Text,
    curves,
    theme,
    write,
    write_table,
)
from denoscope.report.forest import forest


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
    inline = re.findall(r"<svg viewBox.*?</svg>", evil.read_text(), re.S)
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
    inline = re.findall(r"<svg viewBox.*?</svg>", html, re.S)
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


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("N_k > d_l", "N<sub>k</sub> &gt; d<sub>l</sub>"),
        ("(x_0, σ_min, ᾱ_t)", "(x<sub>0</sub>, σ<sub>min</sub>, ᾱ<sub>t</sub>)"),
        ("**E_12**", "<strong>E<sub>12</sub></strong>"),
        ("`N_k` and `a_b` N_k", "<code>N_k</code> and <code>a_b</code> N<sub>k</sub>"),
        ("n_train of_k x_range __x_1 a_b_c N_ _k", "n_train of_k x_range __x_1 a_b_c N_ _k"),
        ("0.3 [−1, ∞]", "0.3 [−1,\u00a0∞]"),
    ],
)
def test_indices_are_set_and_names_of_fields_stay(text: str, html: str, tmp_path: Path) -> None:
    source = write(Page("t", "", [Section(text, [Text(text)])]), tmp_path).read_text()
    assert f"<p>{html}</p>" in source


def test_indices_are_set_in_figures_where_unicode_has_them(tmp_path: Path) -> None:
    figure = Figure("f", "c", curves([replace(panel("σ_min"), x="N_k, x_0, D_b, n_train")]))
    source = write(Page("t", "", [Section("s", [figure])]), tmp_path).read_text()
    for text in (">Nₖ, x₀, D_b, n_train<", ">σₘᵢₙ<"):
        assert text in source


def test_claims_are_one_line_each(tmp_path: Path) -> None:
    source = write(Page("t", "", [], "Yes.", [claims("name")]), tmp_path).read_text()
    (table,) = re.findall(r'<table class="claims".*?</table>', source, re.S)
    rows = re.findall(r'<tr role="row" class="(\w+)">(.*?)</tr>', table, re.S)
    assert [agreement for agreement, _ in rows] == [row.agreement for row in claims().rows]
    assert [row.count("<details") for _, row in rows] == [1, 0, 0, 0, 0]
    assert [row.count("<svg") for _, row in rows] == [1, 1, 1, 0, 0]  # no region, no number
    assert source.index("Yes.") < source.index(table) < source.index('class="foot"')


def test_a_forest_shows_intervals_against_their_region() -> None:
    def drawn(region: tuple[float, float], *intervals: tuple[float, float, float]) -> str:
        return forest(ClaimRow("", "agrees", "", "", intervals, region))

    inside = drawn((0, 1), (0.2, 0.4, 0.6), (0.1, 0.5, 9), (0.3, math.nan, 0.5))
    root = ElementTree.fromstring(inside)
    assert [g.get("class") for g in root.iter("g")] == ["other", "decisive"]  # the dark one on top
    (region,) = root.iter("rect")
    left = float(region.get("x", ""))
    right = left + float(region.get("width", ""))
    (decisive,) = (g for g in root.iter("g") if g.get("class") == "decisive")
    low, high = map(float, re.findall(r"M([\d.]+) [\d.]+H([\d.]+)", decisive[0].get("d", ""))[0])
    assert left < low < float(decisive[1].get("cx", "")) < high < right
    assert [text.text for text in root.iter("text")] == ["0", "1"]
    beyond = drawn((-math.inf, 3), (-math.inf, 2, math.inf))
    assert beyond.count("L") == 4  # an arrow of two strokes at each end
    assert inside.count("L") == 2  # and where an interval leaves the scale
    assert 'rect class="region" x="0.0"' in beyond


def test_folded_sections_and_captions_of_galleries(tmp_path: Path) -> None:
    image = np.zeros((8, 8), np.uint8)
    gallery = Gallery("g", ["a", "b"], [Strip([image] * 2, caption="N_k = 8"), Strip([image] * 2)])
    sections = [Section("Open", []), Section("Shut", [gallery], folded=True)]
    source = write(Page("t", "", sections), tmp_path).read_text()
    assert re.findall(r'<details class="folded">\s*<summary><h2 id="title-(\d)">', source) == ["2"]
    rows = re.findall(r"<tr>(.*?)</tr>", source[source.index('class="gallery"') :], re.S)
    assert [row.count("<td") + row.count("<th") for row in rows] == [3, 3, 3]
    assert rows[1].startswith('<th scope="row">N<sub>k</sub> = 8</th><td>')


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
