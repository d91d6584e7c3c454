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
from denoscope.audit.findings import Audit, MetricResult
from denoscope.audit.report import galleries, page
from denoscope.audit.report.matches import flagged, hits
from denoscope.audit.report.measured import TOGETHER, readings, roc
from denoscope.audit.report.verdict import headline
from denoscope.estimate import Estimate, proportion, unavailable
from denoscope.metrics.calibrate import auc
from denoscope.metrics.one_score import score_at
from denoscope.report import Claims, Figure, Gallery, Page, Table
from denoscope.report.blocks import Block, ClaimRow
from denoscope.report.pictures import picture

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
    sections = [block for section in built.sections for block in section.blocks]
    return [*built.opening, *sections]


def _claims(audit: Audit) -> list[ClaimRow]:
    return [row for b in _blocks(_built(audit)) if isinstance(b, Claims) for row in b.rows]


def _figure(audit: Audit, name: str) -> Figure:
    return next(b for b in _blocks(_built(audit)) if isinstance(b, Figure) and b.name == name)


def _blind(audit: Audit) -> Audit:
    """The audit with descriptors to which planted copies look farther than real images."""
    evidence = tuple(
        replace(
            one,
            rates=cases.rates(1, len(one.gen), 1, 300, planted=(1, 100)),
            planted={name: replace(x, score=-x.score) for name, x in one.planted.items()},
        )
        for one in audit.evidence
    )
    return replace(audit, evidence=evidence, combined=None)


def _table(built: Page, title: str) -> Table:
    return next(
        block
        for block in _blocks(built)
        if isinstance(block, Table) and block.title.startswith(title)
    )


def _titles(built: Page) -> list[str]:
    return [section.title for section in built.sections]


def test_the_page_opens_with_the_verdict_beside_four_pairs(copying: Audit) -> None:
    built = _built(copying)
    said = headline(copying)
    assert (said.state, built.answer) == ("copies", said.answer)
    assert built.subtitle.startswith(said.because)
    pairs, figure, claims = built.opening
    assert isinstance(pairs, Gallery)
    assert [len(row.images) for row in pairs.rows] == [4] * page.FIRST
    assert isinstance(figure, Figure)
    assert isinstance(claims, Claims)


def test_one_limit_stands_on_the_page(alone: Audit, copying: Audit) -> None:
    for audit in (alone, cases.counted(copying, n=900, copies=9, held_out=900, alarms=9)):
        built, said = _built(audit), headline(audit)
        words = [str(getattr(block, "text", "")) for block in _blocks(built)]
        assert said.reach
        assert said.reach in said.text
        assert not any("this size" in text for text in (built.answer, built.subtitle, *words))


def test_sections_are_those_that_the_sets_allow(copying: Audit, alone: Audit, rows: Audit) -> None:
    assert _titles(_built(copying)) == [
        "All other claims",
        "How sure this is, and what it does not show",
        "Samples called copies, by descriptor",
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
    for block in _blocks(_built(alone)):
        assert not isinstance(block, Gallery) or "held-out image" not in block.columns


def test_nothing_is_copied_most_where_no_copies_were_seen(alone: Audit, copying: Audit) -> None:
    assert headline(alone).state == "not seen"
    assert copying.combined is not None
    assert alone.combined is not None
    best = replace(alone.combined.best, passed=torch.ones(len(alone.first.gen)))
    marked = replace(alone, combined=replace(alone.combined, at=(best, best)))
    assert hits(marked)  # some are flagged by chance
    assert not any("copied most" in title for title in _titles(_built(marked)))


def test_the_verdict_is_a_claim_that_needs_descriptors_that_see(copying: Audit) -> None:
    first = _claims(copying)[0]
    assert first.agreement == "agrees"
    assert "Its control holds" in first.detail
    clean = cases.counted(copying, n=2000, copies=20, held_out=1000, alarms=10)
    assert _claims(clean)[0].agreement == "undecided"
    far = cases.counted(copying, n=2000, copies=0, held_out=1000, alarms=60)
    assert _claims(far)[0].agreement == "disagrees"
    unlike = cases.counted(copying, n=2000, copies=200, held_out=1000, alarms=10, own=(90, 1000))
    assert _claims(unlike)[0].agreement == "undecided"
    assert headline(unlike).state == "control unlike"
    blind = _claims(_blind(copying))[0]
    assert blind.agreement == "undecided"
    assert "Its control does not hold" in blind.detail


def test_planted_copies_that_were_moved_are_a_claim_of_their_own(copying: Audit) -> None:
    near, moved = _claims(copying)[2:4]
    assert "moved" not in near.says
    assert len(near.intervals) == 4
    assert (moved.agreement, len(moved.intervals)) == ("disagrees", 3)


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
    blind = _blind(copying)
    blind = replace(blind, overlap=replace(blind.overlap, shared={}))
    text = _written(blind, tmp_path)
    assert "The audit cannot decide" in text
    assert "pixels (cannot decide)" in text
    assert "Training images copied most" not in text


def test_a_page_without_planted_copies_is_built(copying: Audit, tmp_path: Path) -> None:
    bare = replace(
        copying,
        evidence=tuple(replace(one, planted={}, areas={}, rates=None) for one in copying.evidence),
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
    twin = next(row for row in _claims(audit) if row.says.startswith("Two runs"))
    assert (twin.agreement, twin.region[0]) == ("agrees", 0.015)
    assert [row[0] for row in _table(built, "Metrics").rows] == [
        "reproducibility",
        "reproducibility, chance",
    ]
    assert "chance alone gives 1.5\u00a0%" in _written(audit, tmp_path)


def _values(row: object) -> list[object]:
    return [float(x) if isinstance(x, Estimate) else x for x in row]  # pyright: ignore[reportGeneralTypeIssues]


def test_numbers_of_the_tables_are_those_of_the_audit(copying: Audit) -> None:
    built = _built(copying)
    combined = copying.combined
    assert combined is not None
    together, *single = sorted(
        map(_values, _table(built, "Samples called copies").rows),
        key=lambda row: row[0] != TOGETHER,
    )
    assert together[:7] == [
        TOGETHER,
        combined.excess.value,
        combined.p_gen,
        combined.p_test,
        combined.own,
        combined.p_value,
        combined.detectable,
    ]
    for row, one in zip(single, copying.evidence, strict=True):
        assert one.rates is not None
        threshold = 1 - score_at(one.score, one.rates.best.threshold)
        assert (row[0], row[5], row[7]) == (one.name, one.rates.p_value, threshold)
    areas = {str(row[0]): row[1:] for row in _table(built, "Planted copies against real").rows}
    for kind, name in (("blur", "blur"), ("shift", "shift (moved)")):
        assert areas[name] == [one.areas[kind] for one in copying.evidence]
    blur = next(r for r in _table(built, "Planted copies: share").rows if r[0] == "blur")
    assert _values(blur)[1:] == [
        *(one.rates.power["blur"].value for one in copying.evidence if one.rates),
        combined.power["blur"].value,
    ]


def test_the_sight_of_a_claim_is_the_headlines(copying: Audit) -> None:
    found, combined = readings(copying), copying.combined
    assert combined is not None
    assert found.of("sight", descriptor=TOGETHER).estimates().one == combined.sight
    again = found.of("power", descriptor=TOGETHER, copies="blur").estimates().one
    assert again == combined.power["blur"]


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
    kinds = [row[0] for row in _table(_built(rows), "Planted copies against real").rows]
    assert kinds == ["noise", "all that are not moved"]


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
    (shown,) = galleries.pairs(copying, slice(page.PAIRS), named=True)
    for strip in shown.rows[:10]:
        for tile, note, role in zip(strip.images, strip.notes, ("gen", "train", "test", "train")):
            row = int(note.removesuffix(".png"))
            assert np.array_equal(tile, picture(galleries.shown(copying, role, row)))
        assert strip.caption.count("**flagged:**") == 1
    ratios = [float(re.findall(r"ratio\u00a0([\d.]+)", s.caption)[-1]) for s in shown.rows]
    assert ratios == sorted(ratios)  # those of held-out images, the closest first
    assert len(shown.rows) == page.PAIRS
    (first,) = galleries.pairs(copying, slice(page.FIRST), named=False)
    assert [s.notes[1] for s in first.rows] == ["flagged"] * page.FIRST


def test_leaked_held_out_images_are_not_shown_for_contrast() -> None:
    train = cases.digits(200)
    audit = cases.audit(
        cases.noisy(train[:30]), train, torch.cat([train[5:8], cases.digits(150, 400)])
    )
    shown = [pair.row for pair in galleries.held_out(audit)]
    assert not {0, 1, 2} & set(shown)
    assert len(shown) == 153 - int(audit.first.aside["test"].sum()) >= 130


def test_most_copied_images_come_first(copying: Audit) -> None:
    found = hits(copying)
    counts = [len(hit.samples) for hit in found]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == int(flagged(copying).sum())
    assert {hit.image for hit in found if len(hit.samples) > 1} <= set(range(5))
    (gallery,) = galleries.most_copied(copying, found)
    assert gallery.rows[0].caption == "2 samples; 2\u00a0alike"
    table = _table(_built(copying), "Training images by flagged samples")
    assert [row[1] for row in table.rows] == counts[: len(table.rows)]


@pytest.mark.parametrize(
    ("shape", "small"),
    [
        ((3, 512, 300), (3, 128, 75)),
        ((1, 28, 28), (1, 28, 28)),
        ((3, 1, 5000), (3, 1, 128)),
    ],
)
def test_large_images_are_shown_small(
    shape: tuple[int, ...], small: tuple[int, ...], copying: Audit
) -> None:
    given = {"gen": cases.given("gen", torch.rand(1, *shape) * 2 - 1)}
    assert galleries.shown(replace(copying, inputs=given), "gen", 0).shape == small


def test_lines_are_shares_nearer_than_any_distance(copying: Audit) -> None:
    figure = _figure(copying, "audit_nearness").figure
    panels = figure.args[1]  # pyright: ignore[reportFunctionMemberAccess, reportAttributeAccessIssue]
    for panel, one in zip(panels, copying.evidence, strict=True):
        assert one.rates is not None
        limit = score_at(one.score, one.rates.best.threshold)
        threshold = 1 - limit
        assert panel.positions[0].x == pytest.approx(threshold)
        samples = panel.series[0]
        x, y = np.asarray(samples.x), np.asarray(samples.y)
        passed = int((one.gen.score > limit).sum())
        assert y[x < threshold].max() == pytest.approx(passed / len(one.gen))
        assert (np.diff(y) > 0).all()
        assert y[-1] == 1


def test_one_copy_among_thousands_shows_above_the_floor() -> None:
    audit = cases.audit(
        torch.cat([cases.noisy(cases.digits(1)), cases.digits(600, 900)]),
        cases.digits(200),
        cases.digits(100, 400),
    )
    figure = _figure(audit, "audit_nearness").figure
    panel = figure.args[1][0]  # pyright: ignore[reportFunctionMemberAccess, reportAttributeAccessIssue]
    assert panel.limits is not None
    kept = int((~audit.first.aside["gen"]).sum())
    assert np.asarray(panel.series[0].y)[0] == pytest.approx(1 / kept)
    assert panel.scale == "log"
    assert panel.limits[0] < 1 / 601


def test_the_roc_curve_has_the_area_that_is_printed() -> None:
    draw = torch.Generator().manual_seed(1)
    copies, null = torch.randn(400, generator=draw) + 1, torch.randn(150, generator=draw)
    far, power = roc(copies, null)
    area = np.trapezoid(np.concatenate([[power[0]], power]), np.concatenate([[0.0], far]))
    assert area == pytest.approx(auc(copies, null).value, abs=0.01)
    assert auc(copies, null).value == pytest.approx(
        mannwhitneyu(copies, null).statistic / (400 * 150)
    )
    assert (np.diff(power) >= 0).all()
    assert (far[0], far[-1], power[-1]) == (1 / 150, 1.0, 1.0)


def test_figures_are_drawn_for_phones_too(copying: Audit) -> None:
    for name in ("audit_nearness", "audit_roc"):
        figure = _figure(copying, name)
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
        _figure(audit, "audit_nearness").figure(report.WIDE)  # pyright: ignore[reportCallIssue]


def test_the_page_says_what_was_run(copying: Audit, tmp_path: Path) -> None:
    text = html.unescape(_written(copying, tmp_path))
    assert "denoscope audit --gen X --train Y" in text
    assert copying.inputs["gen"].sha256 in text
    assert '"version": 1' in text
    assert "WARNING" in text.upper()
    assert "gen: 2 images were cut" in text
    for work in ("Clopper", "Newcombe", "Vovk", "Somepalli"):
        assert work in text
