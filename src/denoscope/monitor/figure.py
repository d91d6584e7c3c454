"""The figure of a training that is watched: copies, errors, and where the network lies between
Gaussian and memorizer, against steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from denoscope.monitor.choice import TOLERATED, Choice
from denoscope.monitor.log import LookAt
from denoscope.report.figures import error_curves
from denoscope.report.looks import LOOKS
from denoscope.report.panels import Level, Panel, Position, Series
from denoscope.report.svg import export

_Lines = Mapping[str, tuple[str, str]]
_PANELS: tuple[tuple[str, _Lines, str, Literal["linear", "log"]], ...] = (
    ("copies beyond the control", {"excess": ("gen", "samples")}, "share", "linear"),
    (
        "denoising error",
        {"train_error": ("train", "training images"), "held_error": ("test", "held-out images")},
        "relative error",
        "log",
    ),
    (
        "distance from",
        {"to_gaussian": ("gaussian", "Gaussian"), "to_memorizer": ("memorizer", "memorizer")},
        "standard deviations",
        "linear",
    ),
)
"""Title, estimates with role and name, unit and scale of each panel."""


def drawn(looks: Sequence[LookAt], choice: Choice, form: Literal["svg", "png"] = "svg") -> bytes:
    """The figure as a file's bytes; the upright line is at the choice's step."""
    kept = [Position(choice.step, f"keep: step {choice.step}")]
    panels = [
        Panel(
            [_line(looks, name, *role, scale) for name, role in lines.items() if _has(looks, name)],
            title,
            "step",
            unit,
            levels=[Level(0.0), Level(TOLERATED, "tolerated")] if "excess" in lines else [],
            positions=kept,
            scale=scale,
        )
        for title, lines, unit, scale in _PANELS
    ]
    return export(error_curves(panels), form)


def _has(looks: Sequence[LookAt], name: str) -> bool:
    return name in looks[0].estimates


def _line(looks: Sequence[LookAt], name: str, role: str, label: str, scale: str) -> Series:
    estimates = [look.estimates[name] for look in looks]
    y, low, high = ([getattr(e, end) for e in estimates] for end in ("value", "low", "high"))
    if scale == "log":  # of an error that is hardly above 0 the band ends where it can be drawn
        low = [max(end, value / 10) for end, value in zip(low, y)]
    look = LOOKS[role]
    return Series([k.step for k in looks], y, label, low, high, look.tone, marker=look.marker)
