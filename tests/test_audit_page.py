"""The page of an audit: every number on it is one of the audit, names of strangers stay text,
figures are drawn from the scores.
"""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import audit_cases as cases
import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from denoscope import report
from denoscope.audit.evidence.metric_table import MEANINGS, NAMES
from denoscope.audit.findings import Audit, Evidence, MetricResult
from denoscope.audit.report import figures, galleries, page
from denoscope.audit.report.matches import flagged, hits
from denoscope.audit.report.verdict import headline
from denoscope.estimate import Estimate, proportion, unavailable
from denoscope.metrics.calibrate import auc
from denoscope.report import Figure, Finding, Gallery, Page, Table
from denoscope.report.blocks import Block

VERSIONS = {"denoscope": "1.0", "python": "3.11"}
HOSTILE = (
    "<script>alert(1)</script>.png",
    "a**b**`c`.png",
    "\x1b[31mred\x1b[0m\u202egnp.exe",
    "&lt;b&gt;.png",
    "x" * 300 + ".png",
)


def _copying() -> Audit:
    train = cases.digits(300)
    gen = torch.cat(
        [
            cases.noisy(train[:20]),
            cases.noisy(train[:5], seed=2),
            train[30:33],
            cases.digits(72, 900),
        ]
    )
    clusters = torch.full((300,), -1)
    clusters[[0, 7]] = 0
    return cases.audit(
        gen, train, cases.digits(300, 400), cluster=clusters, warnings=("gen: 2 images were cut",)
    )


@pytest.fixture(scope="module")
def copying() -> Audit:
    return _copying()


@pytest.fixture(scope="module")
def alone() -> Audit:
    return cases.audit(cases.digits(100, 900), cases.digits(300))


@pytest.fixture(scope="module")
def rows() -> Audit:
    return cases.audit(
        cases.noisy(cases.digits(40)), cases.digits(200), cases.digits(200, 400), as_features=True
    )


def _built(audit: Audit) -> Page:
    return page.build(audit, "denoscope audit --gen X --train Y", VERSIONS)


def _written(audit: Audit, folder: Path) -> str:
    return report.write(_built(audit), folder, "audit").read_text()


def _blocks(built: Page) -> list[Block]:
    return [block for section in built.sections for block in section.blocks]


def _table(built: Page, title: str) -> Table:
    return next(
        block
        for block in _blocks(built)
        if isinstance(block, Table) and block.title.startswith(title)
    )


def _titles(built: Page) -> list[str]:
    return [section.title for section in built.sections]


def test_the_verdict_comes_first_and_says_what_the_headline_says(copying: Audit) -> None:
    built = _built(copying)
    first = built.sections[0].blocks[0]
    assert built.sections[0].title == "The verdict"
    assert isinstance(first, Finding)
    status, text = headline(copying)
    assert (status, first.label) == ("copies", "Copies")
    assert text.startswith(f"**{first.headline}**")
    assert first.detail.startswith(text.partition("**")[2].partition("** ")[2])


def test_sections_are_those_that_the_sets_allow(copying: Audit, alone: Audit, rows: Audit) -> None:
    assert _titles(_built(copying)) == [
        "The verdict",
        "What was compared",
        "How near samples come to the training set",
        "Can the descriptors see copies?",
        "The closest pairs",
        "Training images copied most",
        "All metrics",
        "Duplicates and overlap",
        "What was run",
        "References",
    ]
    assert "The closest pairs" not in _titles(_built(rows))
    assert "Training rows copied most" in _titles(_built(rows))
    assert not any(isinstance(block, Gallery) for block in _blocks(_built(rows)))
    held_out = [
        block
        for block in _blocks(_built(alone))
        if isinstance(block, Gallery) and "held-out" in block.title
    ]
    assert not held_out


@pytest.mark.parametrize("name", ["copying", "alone", "rows"])
def test_pages_are_written_whole_with_their_figures(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    audit = request.getfixturevalue(name)
    text = _written(audit, tmp_path)
    assert text.rstrip().endswith("</html>")
    assert not re.search(
        r"\bnan\b|\binf\b",
        re.sub(r"<[^>]*>", "", text.partition("<main")[2].partition("<script")[0]),
        re.IGNORECASE,
    )
    for figure in ("audit_nearness", "audit_roc"):
        assert (tmp_path / "figures" / f"{figure}.svg").stat().st_size > 2000


def test_a_page_without_a_deciding_descriptor_is_built(copying: Audit, tmp_path: Path) -> None:
    low = Estimate(0.7, 0.6, 0.8, 100)
    blind = replace(
        copying, evidence=tuple(_with_area(one, low) for one in copying.evidence), combined=None
    )
    blind = replace(blind, overlap=replace(blind.overlap, shared={}))
    text = _written(blind, tmp_path)
    assert "Undecided" in text
    assert "pixels (cannot decide)" in text
    assert "Training images copied most" not in text


def _with_area(one: Evidence, area: Estimate) -> Evidence:
    assert one.near is not None
    return replace(one, near=replace(one.near, auc=area))


def test_a_page_without_planted_copies_is_built(copying: Audit, tmp_path: Path) -> None:
    bare = replace(
        copying,
        evidence=tuple(replace(one, planted={}, quality={}, near=None) for one in copying.evidence),
        combined=None,
    )
    assert "No copies were planted" in _written(bare, tmp_path)


def test_a_twin_is_a_set_and_its_chance_a_row(tmp_path: Path) -> None:
    gen = cases.noisy(cases.digits(40))
    audit = cases.audit(
        gen, cases.digits(200), cases.digits(200, 400), twin=cases.noisy(cases.digits(40), seed=4)
    )
    extra = {"chance": proportion(3, 200), "fixed_threshold": 0.6}
    audit = replace(
        audit,
        metrics={
            "reproducibility": {"pixels": MetricResult(proportion(180, 200), None, 0.95, extra)}
        },
    )
    built = _built(audit)
    assert [row[0] for row in _table(built, "Sets").rows] == ["gen", "train", "test", "twin"]
    assert [row[0] for row in _table(built, "Metrics").rows] == [
        "reproducibility",
        "reproducibility, chance",
    ]
    assert "chance alone gives 1.5\u00a0%" in _written(audit, tmp_path)


def test_numbers_of_the_tables_are_those_of_the_audit(copying: Audit) -> None:
    built = _built(copying)
    combined = copying.combined
    assert combined is not None
    together, *single = _table(built, "Samples called copies").rows
    assert together[0] == "all that decide"
    # an estimate
    assert together[1].value == pytest.approx(100 * combined.rates.excess.value)  # pyright: ignore[reportAttributeAccessIssue]
    assert together[2:] == [
        100 * combined.rates.p_gen,
        100 * combined.rates.p_test,
        100 * combined.rates.false_alarm,
        combined.rates.p_value,
        100 * combined.detectable,
    ]
    for row, one in zip(single, copying.evidence, strict=True):
        assert (row[0], row[5]) == (one.name, one.rates.p_value)
    for row, one in zip(_table(built, "Descriptors").rows, copying.evidence, strict=True):
        assert row[2] is (one.near and one.near.auc)
        assert row[3] == one.decides
    pixels, pca = _table(built, "Descriptors").rows
    assert pixels[4] == pytest.approx(1 - copying.evidence[0].rates.folds[0].threshold)
    assert pca[4] == copying.evidence[1].rates.folds[0].threshold
    blur = next(row for row in _table(built, "Power").rows if row[0] == "blur")
    # estimates
    assert [cell.value for cell in blur[1:]] == [  # pyright: ignore[reportAttributeAccessIssue]
        *(100 * one.quality["blur"].power.value for one in copying.evidence),
        100 * combined.power["blur"].value,
    ]


def test_every_metric_stands_with_its_control_or_its_reason(copying: Audit) -> None:
    gap = Estimate(-1.0, -2.0, 0.5, 20)
    metrics = {
        "memorized": {"pixels": MetricResult(proportion(4, 100), proportion(0, 100), 1 / 3)},
        "feature_likelihood": {
            "pixels": MetricResult(Estimate(3.0, 2.0, 4.0, 20), extra={"gap": gap, "splits": [1.0]})
        },
        "frechet": {"pixels": MetricResult(unavailable("needs --test"))},
    }
    shown = _table(_built(replace(copying, metrics=metrics)), "Metrics").rows
    assert [row[0] for row in shown] == [
        "memorized",
        "feature_likelihood",
        "feature_likelihood, gap",
        "frechet",
    ]
    assert shown[0][2:5] == [proportion(4, 100), proportion(0, 100), 1 / 3]
    assert shown[2][2] is gap
    assert shown[3][5:] == [None, "needs --test"]


def test_every_metric_has_its_meaning() -> None:
    assert set(MEANINGS) == set(NAMES)


def test_planted_copies_are_counted_as_they_were(copying: Audit, rows: Audit) -> None:
    assert page.conditions(copying, "x", {})["planted copies"] == (
        "100 training images drawn by seed 0, each changed by noise, blur, JPEG, changed "
        "colours, shift, crop and flip"
    )
    assert (
        page.conditions(rows, "x", {})["planted copies"]
        == "100 training rows drawn by seed 0, each changed by noise"
    )
    assert [row[0] for row in _table(_built(rows), "Power").rows] == ["noise"]
    assert [row[0] for row in _table(_built(rows), "AUC").rows] == ["noise"]
    assert [row[0] for row in _table(_built(copying), "AUC").rows][-2:] == [
        "flip (moved)",
        "all that are not moved",
    ]


def test_hostile_names_stay_text(copying: Audit, tmp_path: Path) -> None:
    given = {
        role: replace(one, names=tuple(HOSTILE[i % 5] for i in range(len(one))))
        for role, one in copying.inputs.items()
    }
    given["gen"] = replace(given["gen"], path="/data/<img src=x onerror=alert(1)>\x1b[2J**b**")
    warning = "gen: <b>bold</b> `code`\x1b[1m was skipped"
    text = _written(replace(copying, inputs=given, warnings=(warning,)), tmp_path)
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "<b>" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "a**b**`c`.png" in text  # a name is not marked up
    assert "&amp;lt;b&amp;gt;" in text
    assert "/data/&lt;img src=x onerror=alert(1)&gt;\\x1b[2J**b**" in text
    assert max(map(len, re.findall(r'class="note"[^>]*>([^<]*)<', text))) <= 40


@pytest.mark.parametrize("name", [*HOSTILE, "", "/", "a/b/", "ordinary.png", "\n"])
def test_short_names_are_short_and_visible(name: str) -> None:
    text = galleries.short(name)
    assert len(text) <= 16
    assert text.isprintable()


def test_galleries_pair_each_sample_with_its_nearest_image(copying: Audit) -> None:
    samples, held_out = galleries.galleries(copying)
    images = {
        role: one.images.data for role, one in copying.inputs.items() if one.images is not None
    }
    for strip in samples.rows[:10]:
        rows = [int(note.removesuffix(".png")) for note in strip.notes]
        found = [
            np.array_equal(tile, galleries.tile(images[role], row))
            for tile, role, row in zip(strip.images, ("gen", "train"), rows)
        ]
        assert found == [True, True]
        assert "**flagged:**" in strip.caption
    assert not any("flagged" in strip.caption for strip in held_out.rows)
    scores = [
        float(re.findall(r"ratio\u00a0([\d.]+)", strip.caption)[0]) for strip in held_out.rows
    ]
    assert scores == sorted(scores)
    assert len(samples.rows) == galleries.PAIRS


def test_leaked_held_out_images_are_not_shown_for_contrast() -> None:
    train = cases.digits(200)
    audit = cases.audit(
        cases.noisy(train[:30]), train, torch.cat([train[5:8], cases.digits(150, 400)])
    )
    shown = [given for _, given in galleries.held_out(audit)]
    assert not {0, 1, 2} & set(shown)
    assert len(shown) == 150
    kept = replace(
        audit, evidence=tuple(replace(one, test=_without_first(one, 3)) for one in audit.evidence)
    )
    assert [given for _, given in galleries.held_out(kept)] == shown


def _without_first(one: Evidence, n: int):
    assert one.test is not None
    return type(one.test)(
        *(
            getattr(one.test, name)[n:]
            for name in ("score", "nearest", "index", "second", "cosine", "plain")
        )
    )


def test_most_copied_images_come_first(copying: Audit) -> None:
    found = hits(copying)
    counts = [len(hit.samples) for hit in found]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == int(flagged(copying).sum())
    assert {hit.image for hit in found if len(hit.samples) > 1} <= set(range(5))
    gallery = galleries.most_copied(copying)
    assert gallery is not None
    assert gallery.rows[0].caption == "2 samples; 2\u00a0alike"
    table = _table(_built(copying), "Training images by flagged samples")
    assert [row[1] for row in table.rows] == counts[: len(table.rows)]


def test_large_and_grey_images_are_shown_small() -> None:
    assert galleries.tile(torch.rand(1, 3, 512, 300) * 2 - 1, 0).shape == (128, 75, 3)
    assert galleries.tile(torch.rand(1, 1, 28, 28), 0).shape == (28, 28, 1)
    assert galleries.tile(torch.zeros(1, 3, 1, 5000), 0).shape == (1, 128, 3)


def test_histograms_are_shares_of_each_set(copying: Audit) -> None:
    values = np.array([0.0, 0.1, 0.1, 0.999, 1.0])
    x, y = figures.steps(values, np.linspace(0, 1, 11))
    assert y[::2].sum() == pytest.approx(100)
    assert y[0] == pytest.approx(20)
    assert y[2] == pytest.approx(40)
    assert (x[0], x[-1], len(x)) == (0, 1, 20)
    panels = [figures._histograms(one, "images") for one in copying.evidence]
    for panel, one in zip(panels, copying.evidence):
        heights = np.asarray(panel.series[0].y)[::2]
        assert panel.limits is not None
        assert heights[heights > panel.limits[0]].sum() == pytest.approx(100)
        assert panel.positions[0].x == (
            1 - one.rates.folds[0].threshold
            if one.score == "ratio"
            else one.rates.folds[0].threshold
        )
    assert panels[0].span == (0.0, 1.0)


def test_one_copy_among_thousands_shows_above_the_floor() -> None:
    audit = cases.audit(
        torch.cat([cases.noisy(cases.digits(1)), cases.digits(600, 900)]),
        cases.digits(200),
        cases.digits(100, 400),
    )
    panel = figures._histograms(audit.evidence[0], "images")
    heights = np.asarray(panel.series[0].y)[: 2 * 8]
    assert panel.limits is not None
    assert heights.max() == pytest.approx(100 / 601)
    assert heights.max() > panel.limits[0]


def test_the_roc_curve_has_the_area_that_is_printed() -> None:
    draw = torch.Generator().manual_seed(1)
    copies, null = torch.randn(400, generator=draw) + 1, torch.randn(150, generator=draw)
    far, power = figures.roc(copies, null)
    area = np.trapezoid(np.concatenate([[power[0]], power]), np.concatenate([[0.0], far]))
    assert area == pytest.approx(auc(copies, null).value, abs=0.01)
    assert auc(copies, null).value == pytest.approx(
        mannwhitneyu(copies, null).statistic / (400 * 150)
    )
    assert (np.diff(power) >= 0).all()
    assert (far[0], far[-1], power[-1]) == (1 / 150, 1.0, 1.0)


def test_figures_are_drawn_for_phones_too(copying: Audit) -> None:
    for figure in (figures.nearness(copying), figures.sharpness(copying)):
        assert isinstance(figure, Figure)
        assert callable(figure.figure)
        for width in (report.WIDE, report.NARROW):
            drawn = figure.figure(width)
            assert drawn.get_figwidth() == width
            assert len(drawn.axes) == 2
        assert "**" in figure.caption


def test_unusual_scores_are_drawn(copying: Audit) -> None:
    one = copying.evidence[0]
    same = replace(
        one.gen,
        score=torch.ones(100, dtype=torch.float64),
        nearest=torch.zeros(100),
        second=torch.zeros(100),
    )
    far = replace(one.gen, second=torch.full((100,), torch.inf, dtype=torch.float64))
    for gen in (same, far):
        audit = replace(
            copying, evidence=(replace(one, gen=gen), replace(copying.evidence[1], gen=gen))
        )
        # a function of the width
        figures.nearness(audit).figure(report.WIDE)  # pyright: ignore[reportCallIssue]


def test_the_page_says_what_was_run(copying: Audit, tmp_path: Path) -> None:
    text = html.unescape(_written(copying, tmp_path))
    assert "denoscope audit --gen X --train Y" in text
    assert copying.inputs["gen"].sha256 in text
    assert '"version": 1' in text
    assert "WARNING" in text.upper()
    assert "gen: 2 images were cut" in text
    for work in ("Clopper", "Newcombe", "Vovk", "Somepalli"):
        assert work in text
