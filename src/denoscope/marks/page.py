"""The pages: what was marked, found or attacked, in one sentence and a figure, then the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from denoscope.apply.watermark import Key
from denoscope.estimate import Estimate, median, proportion
from denoscope.marks.asked import MarkRequest
from denoscope.marks.pictures import read_picture
from denoscope.marks.rows import Row
from denoscope.references import MARKED, references
from denoscope.report import (
    Block,
    Column,
    Figure,
    Gallery,
    KeyValues,
    Page,
    Panel,
    ReferenceList,
    Section,
    Series,
    Strip,
    Table,
    Text,
    error_curves,
)
from denoscope.report.looks import LOOKS
from denoscope.report.pictures import picture
from denoscope.report.theme import MUTED, ordered
from denoscope.report.words import percent

LEVELS = (1e-2, 1e-4, 1e-6)
"""Of p, at which the share of images is told."""
SHOWN, LISTED = 8, 200
"""Pictures, and rows of a table, of a page."""
_LEAST = 1e-16  # p as it is drawn


@dataclass(frozen=True)
class Outcome:
    """What an action made: its ``rows``, the ``keys``, files that were ``skipped`` with reasons,
    ``warnings``, and where its pictures are.
    """

    action: str
    asked: MarkRequest
    rows: Sequence[Row]
    folder: Path
    keys: Sequence[Key] = ()
    skipped: Sequence[tuple[str, str]] = ()
    warnings: Sequence[str] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        return list(dict.fromkeys(row["file"] for row in self.rows))


def shares(rows: Sequence[Row], name: str) -> dict[float, Estimate]:
    """The share of rows whose p is at most each level, exact intervals."""
    found = [row[name] for row in rows]
    return {
        level: proportion(sum(p <= level for p in found), len(found)) for level in LEVELS if found
    }


def middle(rows: Sequence[Row], name: str) -> Estimate | None:
    """The median of what rows have of a number; None where they have it of none."""
    found = [row[name] for row in rows if row[name] is not None]
    return median(found) if found else None


def said(value: Estimate) -> str:
    """A share with its interval, in per cent."""
    return f"{percent(value.value)} [{percent(value.low)}, {percent(value.high)}]"


def build(found: Outcome, answer: str, command: str, versions: Mapping[str, str]) -> Page:
    """The whole page of an action."""
    make = {"embed": _embedded, "detect": _detected, "attack": _attacked}[found.action]
    opening, sections = make(found)
    run = KeyValues(_conditions(found, command, versions))
    works = ReferenceList(references(("denoscope", *MARKED)))
    title = {"embed": "Watermarked images", "detect": "Which watermarks do these images carry?"}
    return Page(
        title.get(found.action, "Attacked images"),
        "\n\n".join(f"{text[:1].upper()}{text[1:]}." for text in found.warnings),
        [
            *sections,
            *_skipped(found),
            Section("What was run", [run], folded=True),
            Section("References", [works], folded=True),
        ],
        answer,
        opening,
    )


def _embedded(found: Outcome) -> tuple[list[Block], list[Section]]:
    rows = found.rows
    names = {
        "psnr_decoded": "PSNR against the unmarked decode, dB",
        "psnr_original": "PSNR against the original, dB",
        "ssim_decoded": "SSIM against the unmarked decode",
        "ssim_original": "SSIM against the original",
        "moved": "length of the step, λ",
        "cosine": "cosine with the key, as stored",
        "clipped": "share of numbers that were clipped",
    }
    found_of = {name: middle(rows, key) for key, name in names.items()}
    table = [[name, value] for name, value in found_of.items() if value is not None]
    equal = sum(row["psnr_decoded"] is None for row in rows)
    notes = (
        [Text(f"{equal} images equal their unmarked decode: their PSNR is left out.")]
        if equal
        else []
    )
    columns = [Column("median over images"), Column("value")]
    how = next((value.method for *_, value in table if value.method), "")
    return [_curve(found)], [
        Section(
            "What marks cost", [Table(f"Of 8-bit images; intervals: {how}", columns, table), *notes]
        ),
        Section("Pictures", [_pairs(found)]),
        Section("How often a mark is found in what was written", [_levels(rows, "p")]),
    ]


def _detected(found: Outcome) -> tuple[list[Block], list[Section]]:
    columns = [
        Column("file"), Column("key"),
        Column("p", form=".2g", tip="of this key alone: exact"),
        Column("adjusted p", form=".2g", tip="of all named keys together (Holm)"),
        Column("cosine", form=".3f"), Column("m", tip="dimension of the carrier"),
    ]  # fmt: skip
    names = ["file", "key", "p", "adjusted_p", "cosine", "dimension"]
    if any(row["warnings"] for row in found.rows):
        names, columns = [*names, "warnings"], [*columns, Column("notes")]
    lines = [[row[name] for name in names] for row in found.rows[:LISTED]]
    left = len(found.rows) - len(lines)
    more = [Text(f"{left} more lines are in rows.csv.")] if left else []
    return [_curve(found)], [
        Section("How many images carry a mark", [_levels(found.rows, "p", found.keys)]),
        Section("Images", [Table("A line per image and key", columns, lines), *more]),
    ]


def _attacked(found: Outcome) -> tuple[list[Block], list[Section]]:
    words = list(dict.fromkeys(row["attack"] for row in found.rows))
    of = {word: [row for row in found.rows if row["attack"] == word] for word in words}
    table = [
        [word, len(rows), middle(rows, "psnr"), middle(rows, "ssim")] for word, rows in of.items()
    ]
    columns = [Column("attack"), Column("images"), Column("PSNR", "dB"), Column("SSIM")]
    shown = min(SHOWN, *map(len, of.values()))
    strips = [
        Strip([_shown(found, row) for row in rows[:shown]], caption=word)
        for word, rows in of.items()
    ]
    title = "Against the images before the attack, medians with exact intervals"
    return [], [
        Section("What attacks change", [Table(title, columns, table)]),
        Section("Pictures", [Gallery("The first images", [""] * shown, strips)]),
    ]


def _curve(found: Outcome) -> Figure:
    """The share of images at or below each p, beside chance."""
    keys = list(dict.fromkeys(row["key"] for row in found.rows))[:4]
    tones = ordered(len(keys)) if len(keys) > 1 else [LOOKS["gen"].tone]
    series = []
    for key, tone in zip(keys, tones):
        p = np.sort([max(row["p"], _LEAST) for row in found.rows if row["key"] == key])
        steps = np.arange(1, len(p) + 1) / len(p)
        name = f"key {key[:6]}" if len(keys) > 1 else "these images"
        series.append(Series(p, steps, name, tone=tone, style="solid" if len(p) < 25 else "line"))
    least = min(min(np.min(line.x) for line in series), 1e-3)
    grid = np.geomspace(least, 1, 200)
    chance = Series(grid, grid, "images without the key", tone=MUTED, style="dashed")
    panel = Panel([*series, chance], x="p", y="share of images at or below", limits=(0, 1.02),
                  scale="linear")  # fmt: skip
    return Figure(
        "p",
        "Share of images whose p-value is at most p. Images that do not depend on the key follow "
        "the dashed line, whatever they are.",
        lambda width: error_curves([panel], width=width),
    )


def _levels(rows: Sequence[Row], name: str, keys: Sequence[Key] = ()) -> Table:
    """The share of images at or below each level, a line per key."""
    many = [key.fingerprint for key in keys] or [rows[0]["key"]]
    columns = [Column("key"), *(Column(f"p ≤ {level:g}") for level in LEVELS)]
    lines = []
    for key in many[:LISTED]:
        of = shares([row for row in rows if row["key"] == key], name)
        lines.append([key, *map(said, of.values())])
    lines.append(["chance", *(percent(level) for level in LEVELS)])
    return Table("Shares of images, exact 95 % intervals (Clopper-Pearson)", columns, lines)


def _pairs(found: Outcome) -> Gallery:
    """Marked and unmarked, and the change at full contrast."""
    rows = found.rows[:SHOWN]
    marked = [_read(found, row["written"]) for row in rows]
    plain = [_read(found, f"unmarked/{Path(row['written']).name}") for row in rows]
    change = [one - two for one, two in zip(marked, plain)]
    scale = max(float(np.abs(np.stack(change)).max()), 1 / 127.5)
    notes = ["" if row["psnr_decoded"] is None else f"{row['psnr_decoded']:.1f} dB" for row in rows]
    return Gallery(
        f"Of the first images; the change is white or black at {scale:.2g}, grey at 0",
        [""] * len(rows),
        [
            Strip([picture(image) for image in plain], caption="decoded unmarked"),
            Strip([picture(image) for image in marked], notes, caption="marked"),
            Strip([picture(part / scale) for part in change], caption="change"),
        ],
    )


def _shown(found: Outcome, row: Row) -> np.ndarray:
    return picture(_read(found, row["written"]))


def _read(found: Outcome, name: str) -> np.ndarray:
    return read_picture(found.folder / name).numpy()


def _skipped(found: Outcome) -> list[Section]:
    if not found.skipped:
        return []
    lines = [list(pair) for pair in found.skipped[:LISTED]]
    table = Table(f"{len(found.skipped)} files", [Column("file"), Column("reason")], lines)
    return [Section("Skipped", [table])]


def _conditions(found: Outcome, command: str, versions: Mapping[str, str]) -> dict[str, object]:
    asked = found.asked
    keys = [
        f"`{key.fingerprint}`: {key.name}, m = {key.dimension}, σ = {key.sigma:.4g}, "
        f"{key.steps} steps"
        for key in found.keys[:8]
    ]
    more = f" and {len(found.keys) - 8} more" if len(found.keys) > 8 else ""
    said: dict[str, object] = {
        "command": f"`{command}`",
        "model": asked.model,
        "keys": "; ".join(keys) + more,
        "images": f"{asked.samples} samples" if asked.samples else asked.images,
        "p-value": "half the tail of Beta(1/2, (m − 1)/2) at the squared cosine of the image's "
        "part in the carrier with the key: exact for any image that does not depend on the key",
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
    }  # fmt: skip
    if found.action == "attack":
        said.pop("p-value")
    if found.action == "embed":
        said["strength"] = f"λ = {asked.strength:g} in variance-preserving coordinates, {asked.how}"
    return {name: text for name, text in said.items() if text}
