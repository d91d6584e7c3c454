"""One law for all studies: their tiny sweeps together test every claim and draw every figure."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny as table

from denoscope import studies
from denoscope.report import Figure
from denoscope.report.story import Story
from denoscope.store import Row
from denoscope.studies._reported import Reported


def _figures(study: type[Reported]) -> set[str]:
    """The names that the study's file gives to its figures."""
    found = set()
    for node in ast.walk(ast.parse(inspect.getsource(inspect.getmodule(study)))):  # pyright: ignore[reportArgumentType]
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("figure", "heat_maps"):
            named = node.args[0]
            found |= {named.value} if isinstance(named, ast.Constant) else set()
    return found


def _drawn(story: Story) -> list[str]:
    blocks = [*story.opening, *(b for section in story.sections for b in section.blocks)]
    return [block.name for block in blocks if isinstance(block, Figure)]


@pytest.mark.slow
@pytest.mark.parametrize("name", studies.names())
def test_tiny_sweeps_leave_no_claim_untested_and_no_figure_out(
    name: str, tiny: Callable[[str, str], list[Row]], once: Callable[..., Path]
) -> None:
    study = studies.load(name)
    assert issubclass(study, Reported)
    sweeps = table.sweeps(name, once("networks", table.networks))
    stories = [study.told(tiny(name, sweep)) for sweep in sweeps]
    said = [claim for story in stories for claim in story.claims]
    tested = {claim.says for claim in said if claim.verdict() != "not tested"}
    assert {claim.says for claim in said} == tested
    drawn = [_drawn(story) for story in stories]
    assert all(len(names) == len(set(names)) for names in drawn), "a figure is shown once"
    assert _figures(study) <= {name for names in drawn for name in names}
