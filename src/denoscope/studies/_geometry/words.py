"""How findings about denoisers say numbers with their intervals, of one group or of each, and which
groups are opposed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from denoscope.estimate import Estimate
from denoscope.studies._geometry.groups import Group


def number(value: float, form: str = ".3f") -> str:
    """A number with a true minus sign, and none before zero."""
    text = f"{value:{form}}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def said(e: Estimate, form: str = ".3f") -> str:
    """A value with its interval, where it has a finite one."""
    interval = f" [{number(e.low, form)}, {number(e.high, form)}]" if math.isfinite(e.low) else ""
    return f"{number(e.value, form)}{interval}"


def each(every: Sequence[Group], phrase: Callable[[Group], str]) -> str:
    """What holds for each group, in one phrase."""
    return "; ".join(f"{group.label}: {phrase(group)}" for group in every)


def sizes(every: Sequence[Group]) -> tuple[Group, Group] | None:
    """The groups of the smallest and the largest training set, where there are two sizes."""
    return (every[0], every[-1]) if every[0].n != every[-1].n else None
