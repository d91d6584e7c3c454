"""The base of all studies: cells are readings, a page is a story, and what pages say beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from denoscope.coordinates import COORDINATES
from denoscope.readings import Quantity, Readings, collected
from denoscope.references import DATA, references
from denoscope.report import Column, KeyValues, Page, ReferenceList, Section, Table
from denoscope.report.story import Story, Told, story
from denoscope.store import Row
from denoscope.study import Study


@dataclass(frozen=True, kw_only=True)
class Reported(Study):
    """One cell is asked, and its answers are stored as readings; a sweep's are told in a story."""

    heading: ClassVar[str] = ""
    """The title of the page."""
    quantities: ClassVar[Mapping[str, Quantity]] = {}
    """All that the study reads or derives, by name."""
    places: ClassVar[tuple[str, ...]] = ()
    """The fields of a cell that are coordinates of its readings."""

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """The readings of all cells whose training did not stop."""
        return collected(finished(rows), cls.quantities, *cls.places)

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """Claims, figures and tables in a paper's order; what these cells lack is left out."""
        raise NotImplementedError

    @classmethod
    def told(cls, rows: Sequence[Row]) -> Story:
        """The parts of the page."""
        return story(cls.story(cls.found(rows)))

    @classmethod
    def subtitle(cls, rows: Sequence[Row]) -> str:
        """Which cells, in one line."""
        several = {name: _values(rows, name) for name in cls.places}
        axes = [f"{name} {', '.join(map(str, values))}" for name, values in several.items()]
        return f"{len(rows)} cells: {'; '.join(axes)}"

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        """What a reader must know of the data and the rules, by name."""
        return {}

    @classmethod
    def page(cls, rows: Sequence[Row], noted: Mapping[str, Any]) -> Page:
        told = cls.told(rows)
        every = Section("All cells", [cells(rows, cls.quantities)], folded=True)
        closing = appendix(rows, conditions(rows, noted, cls.about(rows)), cls.references)
        sections = [*told.sections, every, *closing]
        claims = [claim.json() for claim in told.claims]
        return Page(cls.heading, cls.subtitle(rows), sections, told.answer, told.opening, claims)


def appendix(rows: Sequence[Row], run: Mapping[str, object], cited: Sequence[str]) -> list[Section]:
    """What was run and the works that the page rests on."""
    data = str(rows[0].fields.get("data", ""))
    works = references(("denoscope", *cited, *([DATA[data]] if data in DATA else [])))
    return [
        Section("What was run", [KeyValues(run)], folded=True),
        Section("References", [ReferenceList(works)], folded=True),
    ]


def finished(rows: Sequence[Row]) -> list[Row]:
    """The rows whose training did not stop; none is a ValueError."""
    good = [row for row in rows if not row.values.get("stopped")]
    if not good:
        raise ValueError("the training of every cell stopped at a non-finite loss; lower --lr")
    return good


def _values(rows: Sequence[Row], name: str) -> list[object]:
    values = list(dict.fromkeys(_word(row.fields[name]) for row in rows))
    return sorted(values) if all(isinstance(v, int | float) for v in values) else values  # pyright: ignore[reportArgumentType, reportCallIssue, reportUnknownVariableType]


def cells(rows: Sequence[Row], quantities: Mapping[str, Quantity]) -> Table:
    """Every cell in the order of its axes, with its values and its seconds."""
    varied = [name for name in rows[0].fields if len(_values(rows, name)) > 1]
    names = [name for name in quantities if any(name in row.values for row in rows)]
    shown = [quantities[name] for name in names]
    columns = [Column(COORDINATES[n].label if n in COORDINATES else n) for n in varied]
    columns += [Column(q.label, q.unit, q.tip, q.form) for q in shown]
    columns += [Column("time", "s", "seconds since the cell before it in its job", ".1f")]
    order = sorted(rows, key=lambda row: tuple(sortable(row.fields[name]) for name in varied))
    heads = ([_word(row.fields[name]) for name in varied] for row in order)
    tails = ([*map(row.values.get, names), row.made.get("seconds")] for row in order)
    body = [[*head, *tail] for head, tail in zip(heads, tails)]
    return Table(f"All {len(rows)} cells", columns, body)


def sortable(value: object) -> tuple[float, str]:
    """A key that orders numbers by size and before text."""
    return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))


def conditions(
    rows: Sequence[Row], noted: Mapping[str, Any], about: Mapping[str, object]
) -> dict[str, object]:
    """Names and values: how the cells were made, what the study says of its data, the settings,
    versions and content hashes, and which trainings stopped.
    """
    runs = noted.get("runs", [])
    fields = {name: ", ".join(map(str, _values(rows, name))) for name in rows[0].fields}
    hashes = {name: value for row in rows for name, value in row.made.get("inputs", {}).items()}
    seconds = sum(float(row.made.get("seconds", 0.0)) for row in rows)
    stopped = [f"{row.key}: {row.values['stopped']}" for row in rows if row.values.get("stopped")]
    wall = sum(float(run["seconds"]) for run in runs)
    pairs: dict[str, object] = {
        "command": f"`{runs[-1]['command']}`" if runs else "",
        "wall time": f"{wall:.0f} s in {len(runs)} run(s)" if runs else "",
        "processor time": f"{seconds:.0f} s over {len(rows)} cells",
        "stopped": "; ".join(stopped),
        **about,
        "content hash": ", ".join(f"{name} `{value}`" for name, value in hashes.items()),
        "settings": "; ".join(f"{name} {values}" for name, values in fields.items()),
        "versions": ", ".join(f"{k} {v}" for k, v in rows[0].made.get("versions", {}).items()),
    }
    return {name: value for name, value in pairs.items() if value}


def _word(value: object) -> object:
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return text if text != "" else "none"
