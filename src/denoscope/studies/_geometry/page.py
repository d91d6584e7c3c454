"""The page of a study of geometry, around the sections that it fills: which models, what was run, what to cite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from denoscope.references import DATA, references
from denoscope.report import KeyValues, Page, ReferenceList, Section
from denoscope.store import Row
from denoscope.studies import _conditions
from denoscope.studies._geometry.groups import grouped, told


def build(title: str, sections: Sequence[Section], rows: Sequence[Row], run: Mapping[str, object], cited: Sequence[str]) -> Page:
    """``sections``, then what was ``run`` and the works ``cited``."""
    data = str(rows[0].fields["data"])
    works = references(("denoscope", *cited, *([DATA[data]] if data in DATA else [])))
    models = ", ".join(group.label for group in grouped(rows))
    subtitle = f"{len(rows)} network{'s' if len(rows) > 1 else ''} on {data}: {models}"
    return Page(title, subtitle, [*sections, Section("What was run", [KeyValues(run)]), Section("References", [ReferenceList(works)])])


def conditions(rows: Sequence[Row], noted: Mapping[str, Any]) -> dict[str, object]:
    """What a reader needs to measure these cells again."""
    return _conditions.conditions(rows, noted, {"data": told(rows)})
