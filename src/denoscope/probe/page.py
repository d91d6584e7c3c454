"""The page: a line for each network with what matters first, then every study of geometry, folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from denoscope.references import DATA, references
from denoscope.report import Column, KeyValues, Page, ReferenceList, Section, Table, Text
from denoscope.report.blocks import Block
from denoscope.report.story import Story
from denoscope.store import Row, Value
from denoscope.studies._geometry.base import Probed
from denoscope.studies._geometry.groups import label
from denoscope.studies._reported import conditions

CARD: dict[tuple[str, str], Column] = {
    ("jacobian_rank", "memorized"): Column("copies", "share", "of samples, 1/3 rule", ".2f"),
    ("jacobian_rank", "least"): Column("rank", "least", "of the Jacobian over noise levels", ".0f"),
    ("gaussian_emergence", "distance"): Column("to the Gaussian", "RMS per pixel", "", ".3f"),
    ("gaussian_emergence", "distance_memorizer"): Column("to the memorizer", "RMS per pixel"),
    ("gaussian_emergence", "held_out"): Column("held-out error", "× linear", "", ".2f"),
    ("disjoint_halves", "psnr_gap"): Column("train less test", "dB", "output PSNR", ".1f"),
}
"""What a network is asked first: the study and its value, and how a card calls it."""


def build(measured: Mapping[type[Probed], Sequence[Row]], called: str) -> Page:
    """The answer of the first study, the cards, and the story of every study."""
    told = {study: study.told(rows) for study, rows in measured.items()}
    first, rows = next(iter(measured.items()))
    data = str(rows[0].fields["data"])
    cited = dict.fromkeys(key for study in measured for key in study.references)
    works = references(("denoscope", *cited, *([DATA[data]] if data in DATA else [])))
    run = {"command": f"`{called}`", **conditions(rows, {}, first.about(rows))}
    return Page(
        "The geometry of a denoiser",
        first.subtitle(rows),
        [
            *(Section(study.heading, parts(story), folded=True) for study, story in told.items()),
            Section("What was run", [KeyValues(run)], folded=True),
            Section("References", [ReferenceList(works)], folded=True),
        ],
        told[first].answer,
        [cards(measured)],
        [claim.json() for story in told.values() for claim in story.claims],
    )


def cards(measured: Mapping[type[Probed], Sequence[Row]]) -> Table:
    """One line for each network: does it copy, its rank, its gaps to Gaussian and memorizer, and how
    much better it denoises what it saw.
    """
    values: dict[str, dict[tuple[str, str], Value]] = {}
    for study, rows in measured.items():
        several = len({row.fields["width"] for row in rows}) > 1
        for row in rows:
            card = values.setdefault(label(row, widths=several), {})
            card |= {(study.title(), name): value for name, value in row.values.items()}
    known = [key for key in CARD if any(key in card for card in values.values())]
    body = [[name, *(card.get(key) for key in known)] for name, card in values.items()]
    return Table("Networks", [Column("network"), *(CARD[key] for key in known)], body)


def parts(story: Story) -> list[Block]:
    """A study's page within a section of another."""
    blocks: list[Block] = [Text(f"**{story.answer}**"), *story.opening]
    for section in story.sections:
        blocks += [Text(f"**{section.title}**"), *section.blocks]
    return blocks
