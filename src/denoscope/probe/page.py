"""The page: what the studies of geometry found of the models, then the figures and tables of
each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from denoscope.report import Page
from denoscope.store import Row
from denoscope.studies._geometry import page
from denoscope.studies._geometry.base import Probed


def build(measured: Mapping[type[Probed], Sequence[Row]], called: str) -> Page:
    """The sections of every study's own page under one title, those with its findings before all
    others.
    """
    each = [study.sections(rows) for study, rows in measured.items()]
    sections = [first for first, *_ in each] + [
        section for _, *others in each for section in others
    ]
    rows = next(iter(measured.values()))
    cited = list(dict.fromkeys(key for study in measured for key in study.references))
    return page.build(
        "The geometry of a denoiser",
        sections,
        rows,
        {"command": f"`{called}`", **page.conditions(rows, {})},
        cited,
    )
