"""The page: what every study of geometry found of the models, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from denoscope.report import Page
from denoscope.store import Row
from denoscope.studies._geometry import page
from denoscope.studies._geometry.base import Probed


def build(measured: Mapping[type[Probed], Sequence[Row]], called: str) -> Page:
    """The sections of every study's own page, under one title."""
    sections = [section for study, rows in measured.items() for section in study.sections(rows)]
    rows = next(iter(measured.values()))
    cited = list(dict.fromkeys(key for study in measured for key in study.references))
    return page.build("The geometry of a denoiser", sections, rows, {"command": f"`{called}`", **page.conditions(rows, {})}, cited)
