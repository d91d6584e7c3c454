"""A page from its story: claims, figures, tables, galleries and texts in the order in which a paper
would bring them.

The first claim is the page's answer and the first figure its figure; these and at most two claims
more open the page. All other claims stand in one table after it; a string begins a section, a
section that has no block is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from denoscope.coordinates import COORDINATES, name_of
from denoscope.readings import Readings
from denoscope.report.blocks import Block, Column, Figure, Section, Table
from denoscope.report.claims import Claim, claims

Told: TypeAlias = str | Claim | Block | Sequence[Block] | None
FIRST = 3
"""Claims that open a page."""


@dataclass(frozen=True)
class Story:
    """What a page says: its ``answer`` in a sentence, the ``opening``, ``sections``, all claims."""

    answer: str
    opening: Sequence[Block]
    sections: Sequence[Section]
    claims: Sequence[Claim]


def story(told: Iterable[Told]) -> Story:
    """The parts of a page in order."""
    said: list[Claim] = []
    found: list[tuple[str, list[Block]]] = [("", [])]
    for item in told:
        if isinstance(item, str):
            found.append((item, []))
        elif isinstance(item, Claim):
            said.append(item)
        elif item is not None:
            found[-1][1].extend(item if isinstance(item, Sequence) else [item])
    tested = [claim for claim in said if claim.verdict() != "not tested"]
    absent = [claim for claim in said if claim.verdict() == "not tested"]
    figure = next((b for _, blocks in found for b in blocks if isinstance(b, Figure)), None)
    opening: list[Block] = [*([figure] if figure else []), claims(tested[:FIRST])]
    rest = [claims([*tested[FIRST:], *absent])] if said[FIRST:] or absent else []
    parts = [(name, [b for b in blocks if b is not figure]) for name, blocks in found]
    sections = [Section("All other claims", rest)] if rest else []
    sections += [Section(name or "More", some, folded(some)) for name, some in parts if some]
    return Story(answer(tested), opening if said or figure else [], sections, said)


def answer(tested: Sequence[Claim]) -> str:
    """The first claim with its verdict and its number."""
    if not tested:
        return "These cells test none of the claims."
    first = tested[0]
    verdict = f"{first.verdict()}, " if first.expected else ""
    return f"{first.says}: {verdict}{first.here()}."


def folded(some: Sequence[Block]) -> bool:
    """Whether a section is for looking things up: tables alone are opened on demand."""
    return all(isinstance(block, Table) for block in some)


def table(
    title: str, readings: Readings, keys: Sequence[str], names: Sequence[str], *, place: str = ""
) -> Table | None:
    """One row for each place by the coordinates ``keys`` (those that there are, in one column if it
    has a name, ``place``), one column for each of ``names``; None where there are no readings.
    """
    wanted = readings.of(*names)
    if not wanted:
        return None
    shown = [readings.quantities[name] for name in names]
    keys = [key for key in keys if wanted.along(key)]
    columns = [Column(place)] if place else [Column(COORDINATES[key].label) for key in keys]
    columns += [Column(q.label, q.unit, q.tip, q.form) for q in shown]
    rows = []
    for *values, some in wanted.by(*keys):
        at = [name_of(c, v) for c, v in zip(keys, values) if v is not None]
        rows.append(
            [*([", ".join(at)] if place else map(_key, keys, values)), *_cells(some, names)]
        )
    return Table(title, columns, rows)


def _cells(some: Readings, names: Sequence[str]) -> list[object]:
    found = some.estimates()
    return [_only(found.of(name)) for name in names]


def _only(found: Readings) -> object:
    return found.one if found else None


def crosstab(title: str, readings: Readings, rows: str, columns: str) -> Table | None:
    """One quantity: a row per value of ``rows``, a column per value of ``columns``; None of
    nothing.
    """
    if not readings:
        return None
    q, along = readings.quantity, readings.along(columns)
    head = [Column(COORDINATES[rows].label)]
    head += [Column(name_of(columns, value), q.unit, q.tip, q.form) for value in along]
    found = readings.estimates()
    every = ((value, [some.of(**{columns: at}) for at in along]) for value, some in found.by(rows))
    body = [[_key(rows, value), *map(_only, some)] for value, some in every]
    return Table(f"{title}: {q.axis}", head, body)


def _key(coordinate: str, value: Any) -> object:
    if value is None or (isinstance(value, int | float) and not COORDINATES[coordinate].values):
        return value
    return name_of(coordinate, value)


def columns(readings: Readings, keys: Mapping[str, object]) -> dict[str, object]:
    """One value for each quantity at a place, as a row of ``table.csv`` has them."""
    found = readings.of(**keys).estimates()
    return {r.name: r.value for r in found}
