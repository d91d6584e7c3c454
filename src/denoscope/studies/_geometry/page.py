"""The page of a study of geometry, around the sections that it fills: which models, what was run,
what to cite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from denoscope.references import DATA, references
from denoscope.report import KeyValues, Page, ReferenceList, Section
from denoscope.store import Row
from denoscope.studies import _conditions
from denoscope.studies._geometry.groups import grouped, is_file, told

MOST_NAMED = 6
"""Labels of models that a subtitle lists one by one."""


def build(
    title: str,
    sections: Sequence[Section],
    rows: Sequence[Row],
    run: Mapping[str, object],
    cited: Sequence[str],
) -> Page:
    """``sections``, then what was ``run`` and the works ``cited``."""
    data = str(rows[0].fields["data"])
    works = references(("denoscope", *cited, *([DATA[data]] if data in DATA else [])))
    subtitle = f"{len(rows)} network{'s' if len(rows) > 1 else ''} on {data}: {_models(rows)}"
    return Page(
        title,
        subtitle,
        [
            *sections,
            Section("What was run", [KeyValues(run)]),
            Section("References", [ReferenceList(works)]),
        ],
    )


def _models(rows: Sequence[Row]) -> str:
    """The models by their labels, or where those are many by the sizes and widths of training;
    files by name.
    """
    groups = grouped(rows)
    if len(groups) <= MOST_NAMED:
        return ", ".join(group.label for group in groups)
    trained = [group for group in groups if not is_file(group.rows[0])]
    files = [group.label for group in groups if is_file(group.rows[0])]
    parts = (
        [f"N = {', '.join(map(str, sorted({group.n for group in trained})))}"] if trained else []
    )
    parts += (
        [f"width {', '.join(map(str, sorted({group.width for group in trained})))}"]
        if trained
        else []
    )
    return "; ".join([*parts, *([", ".join(files)] if files else [])])


def conditions(rows: Sequence[Row], noted: Mapping[str, Any]) -> dict[str, object]:
    """What a reader needs to measure these cells again."""
    return _conditions.conditions(rows, noted, {"data": told(rows)})
