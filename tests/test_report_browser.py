"""The page in a browser: it answers on the first screen, unfolds, sorts, and fits a phone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import EVIL, SIZES, claims, page

from denoscope.report import (
    LOOKS,
    Column,
    Figure,
    Gallery,
    HeatMap,
    Page,
    Panel,
    Section,
    Series,
    Slider,
    Sliders,
    Strip,
    Table,
    Text,
    curves,
    matrix,
    write,
)

_BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_BROWSER is None, reason="no chromium or chrome binary is installed"),
]
DESK, PHONE = (1200, 900), (390, 844)


def _browse(path: Path, profile: Path, *more: str) -> subprocess.CompletedProcess[str]:
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --dump-dom "
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


def _driven(path: Path, script: str) -> Path:
    """A copy of the page without its security policy, so that a test's own script may press its
    buttons.
    """
    source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text())
    copy = path.with_name("driven.html")
    copy.write_text(source.replace("</body>", f"<script>{script}</script></body>"))
    return copy


def _framed(
    pages: Sequence[tuple[Path, tuple[int, int]]], script: str, folder: Path
) -> list[dict[str, Any]]:
    """What the expression ``script`` is in each page, in a frame of its size in CSS pixels."""
    report = "setTimeout(()=>parent.postMessage([window.name,%s],'*'),200)"
    frames = [
        f'<iframe name="{i}" src="{_driven(path, report % script).as_uri()}" '
        f'style="width:{width}px;height:{height}px;border:0"></iframe>'
        for i, (path, (width, height)) in enumerate(pages)
    ]
    listen = (
        "const told={};addEventListener('message',(event)=>{told[event.data[0]]=event.data[1];"
        "document.body.dataset.told=JSON.stringify(told)});"
    )
    outer = folder / "outer.html"
    outer.write_text(f"<!DOCTYPE html><body><script>{listen}</script>{''.join(frames)}")
    done = _browse(outer, folder / "profile", "--virtual-time-budget=4000")
    assert "CONSOLE" not in done.stderr
    told = re.search(r'data-told="([^"]*)"', done.stdout)
    assert told
    found = json.loads(unescape(told[1]))
    assert len(found) == len(pages)
    return [found[str(i)] for i in range(len(pages))]


def _opened(figure: Figure, tmp_path: Path, answer: str) -> Path:
    opening = [figure, claims()]
    sections = [Section(f"Section {i}", [Text("word " * 200)]) for i in range(5)]
    title = "Disjoint halves of one data set, seen by two networks"
    subtitle = "20 networks on digits: N = 8, N = 32, N = 128, N = 512, N = 768"
    return write(Page(title, subtitle, sections, answer, opening), tmp_path / figure.name)


def _roles(count: int) -> Panel:
    looks = list(LOOKS.items())[:count]
    return Panel(
        [
            Series(SIZES, np.linspace(0, 1 + i, len(SIZES)), role, tone=look.tone, style=look.style)
            for i, (role, look) in enumerate(looks)
        ],
        "a panel",
        "training images N",
        "agreement",
    )


def test_answer_and_figure_are_on_the_first_screen(tmp_path: Path) -> None:
    caption = "Agreement of two networks over N; bands are 95 % intervals over five seeds. " * 2
    heat = matrix([HeatMap(np.eye(14), [f"row {i}" for i in range(14)], list("abcdefghijklmn"))])
    figures = [
        Figure("one", caption, lambda width: curves([_roles(4)], width=width)),
        Figure("three", caption, lambda width: curves([_roles(3)] * 3, width=width)),
        Figure("legend", caption, lambda width: curves([_roles(9), _roles(9)], width=width)),
        Figure("finished", caption, heat),
    ]
    answer = (
        "From about 130 training images on, two networks that were trained on disjoint halves make "
        "the same image from the same noise (0.97 [0.95, 0.98]), as published."
    )
    pages = [_opened(figure, tmp_path, answer) for figure in figures]
    shown = [(path, size) for path in pages for size in (DESK, PHONE)]
    script = """(() => {
      const svg = [...document.querySelectorAll(".first figure svg")]
        .find((e) => e.getBoundingClientRect().width > 0);
      const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
      return {answer: document.querySelector(".answer").getBoundingClientRect().bottom,
        top: box.top, bottom: box.bottom, right: box.right,
        scale: Math.min(box.width / view.width, box.height / view.height),
        page: document.documentElement.scrollWidth};
    })()"""
    for (path, (width, height)), box in zip(shown, _framed(shown, script, tmp_path)):
        case = f"{path.parent.name} at {width} x {height}: {box}"
        assert 0 < box["answer"] <= box["top"] < box["bottom"] <= height, case
        assert box["right"] <= width, case
        assert box["page"] <= width, case
        assert box["scale"] * 8 >= (7 if path.parent.name != "finished" else 5), (
            case
        )  # px of a tick


def test_pictures_that_open_a_page_stand_beside_the_answer(tmp_path: Path) -> None:
    rows = [Strip([np.zeros((64, 64), np.uint8)] * 4, ["ratio 0.41", "flagged"] * 2)] * 4
    gallery = Gallery("Pairs", ["sample", "nearest in training"] * 2, rows)
    sections = [Section(f"Section {i}", [Text("word " * 200)]) for i in range(5)]
    answer = "28 of 100 samples (28 %, 95 % 19–37) are copies of training images beyond real ones."
    path = write(Page("Does it copy?", answer, sections, answer, [gallery, claims()]), tmp_path)
    script = """(() => {
      const box = document.querySelector(".first .gallery table").getBoundingClientRect();
      const said = document.querySelector(".first header").getBoundingClientRect();
      return {beside: box.left >= said.right, below: box.top >= said.bottom, right: box.right,
        bottom: box.bottom, page: document.documentElement.scrollWidth};
    })()"""
    desk, phone = _framed([(path, DESK), (path, PHONE)], script, tmp_path)
    assert (desk["beside"], phone["below"]) == (True, True)
    for box, (width, height) in ((desk, DESK), (phone, PHONE)):
        assert max(box["right"], box["page"]) <= width
        assert box["bottom"] <= height


def test_contents_stand_beside_the_page_or_fold_and_print_opens_all(tmp_path: Path) -> None:
    folded = Section(
        "Folded", [Table("Cells", [Column(f"c{i}") for i in range(40)], [[9] * 40])], True
    )
    path = write(Page("t", "", [*page().sections, folded], "Yes.", [claims()]), tmp_path)
    script = """(() => {
      const nav = document.querySelector("nav details");
      const list = document.querySelector("nav ol").getBoundingClientRect();
      const before = [...document.querySelectorAll("details")].map((e) => e.open);
      const title = document.querySelector("h1").getBoundingClientRect();
      const beside = list.width > 0 && list.right <= title.left;
      location.hash = "#section-6"; dispatchEvent(new Event("hashchange"));
      const unfolded = document.querySelector("#section-6 details").open;
      dispatchEvent(new Event("beforeprint"));
      const printed = [...document.querySelectorAll("details")].every((e) => e.open);
      dispatchEvent(new Event("afterprint"));
      const table = document.querySelector("#section-6 .data");
      table.scrollLeft = 300;
      const left = (e) => e.getBoundingClientRect().left;
      const first = left(table.querySelector("td")) - left(table);
      const after = [...document.querySelectorAll("details")].filter((e) => e.open).length;
      return {nav: before.filter(Boolean).length, beside, unfolded, printed, after,
        scrolled: table.scrollLeft, first};
    })()"""
    desk, phone = _framed([(path, DESK), (path, PHONE)], script, tmp_path)
    assert (desk["nav"], desk["beside"], desk["after"]) == (1, True, 2)
    assert (phone["nav"], phone["beside"], phone["after"]) == (0, False, 1)
    for told in (desk, phone):
        assert told["unfolded"]
        assert told["printed"]
        assert told["scrolled"] == 300
        assert 0 <= told["first"] <= 2  # the first column stays


def test_what_scrolls_shows_it_and_a_phone_fits(tmp_path: Path) -> None:
    path = write(page("a-rather-long-name-without-any-place-to-break-it-" * 3), tmp_path)
    script = """(() => ({page: document.documentElement.scrollWidth,
      shown: [...document.querySelectorAll(".narrow svg, .wide svg")]
        .filter((e) => e.getBoundingClientRect().width > 0).length,
      faded: [...document.querySelectorAll(".scroll")]
        .every((e) => e.classList.contains("right") === e.scrollWidth > e.clientWidth + 1),
      some: document.querySelectorAll(".scroll.right").length}))()"""
    (told,) = _framed([(path, (360, 800))], script, tmp_path)
    assert told["page"] <= 360
    assert told["shown"] == 1  # of the two layouts of a figure the narrow one shows
    assert told["faded"]
    assert told["some"] > 0


def test_the_page_is_shown_without_complaint(tmp_path: Path) -> None:
    done = _browse(write(page(EVIL, EVIL), tmp_path), tmp_path / "profile")
    assert "CONSOLE" not in done.stderr
    # the script passed the page's own security policy
    assert 'data-ready="sortable"' in done.stdout
    assert done.stdout.count("<svg viewBox") == 3


def test_tables_sort_by_number_and_text_with_missing_last(tmp_path: Path) -> None:
    script = """
    const texts = (rows) => rows.map((row) => row.cells[0].textContent).join(",");
    const first = () => texts([...document.querySelectorAll("table.sortable tbody tr")]);
    const press = (i) => (document.querySelectorAll("table.sortable button")[i].click(), first());
    document.body.dataset.orders = [0, 0, 1, 1, 2, 2, 3, 3].map(press).join(";");
    document.body.dataset.sorted = [...document.querySelectorAll("th[aria-sort]")]
      .map((th) => th.getAttribute("aria-sort")).join(",");
    """
    done = _browse(_driven(write(page(), tmp_path), script), tmp_path / "profile")
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


def test_a_slider_moves_through_its_pictures_and_fits_a_phone(tmp_path: Path) -> None:
    frames = [[np.full((8, 8), 60 * i, np.uint8)] * 2 for i in range(3)]
    rows = [Slider(f"direction {i}", frames, "half inside") for i in range(5)]
    still = [("original", frames[0][0])]
    block = Sliders("Moved", "strength", ["-1", "0", "+1"], ["a", "b"], 2, rows, still)
    path = write(Page("t", "", [], "answer", [block]), tmp_path)
    script = """(() => {
      const input = document.querySelectorAll(".card input")[1], card = input.closest(".card");
      const shown = (e) => e.offsetWidth;
      const seen = () => [...card.querySelectorAll("img")].filter(shown).map((e) => e.alt);
      const foot = (e) => e.getBoundingClientRect().bottom;
      const before = seen();
      input.value = 0;
      input.dispatchEvent(new Event("input"));
      return {before, after: seen(), word: card.querySelector("output").textContent,
        said: input.getAttribute("aria-valuetext"), page: document.documentElement.scrollWidth,
        low: Math.max(...[...document.querySelectorAll(".card")].map(foot)),
        end: foot(document.querySelector(".first"))};
    })()"""
    for found, (width, _) in zip(
        _framed([(path, DESK), (path, PHONE)], script, tmp_path), (DESK, PHONE)
    ):
        assert found["before"] == [f"direction 1, {view}: strength +1" for view in "ab"]
        assert found["after"] == [f"direction 1, {view}: strength -1" for view in "ab"]
        assert found["word"] == found["said"] == "-1"
        assert found["page"] <= width
        assert found["low"] <= found["end"]
