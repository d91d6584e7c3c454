"""One role, one look: the colour, the line and the mark that a denoiser, a set of images or a
reference has in every figure of every page.

A figure shows roles or the ordered ramp (:func:`denoscope.report.theme.ordered`), never both. No
two roles are nearer than ΔE 20 (CIE 1976) for normal, deuteranope and protanope eyes, in light and
in dark; marks tell the roles apart once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from denoscope.report import theme
from denoscope.report.panels import Style


@dataclass(frozen=True)
class Look:
    """A tone ``#rrggbb`` of the theme, a line style, and the mark of matplotlib at its points."""

    tone: str
    style: Style
    marker: str


_ROLES: dict[str, tuple[Style, str]] = {
    "network": ("solid", "o"),
    "memorizer": ("solid", "s"),
    "gaussian": ("solid", "D"),
    "gaussian_all": ("dashed", "d"),
    "truth": ("solid", "^"),
    "distillate": ("solid", "v"),
    "test": ("solid", "P"),
    "train": ("solid", "X"),
    "gen": ("solid", "*"),
    "theory": ("line", ""),
    "chance": ("dotted", ""),
    "simulation": ("dots", "h"),
}

LOOKS: Mapping[str, Look] = MappingProxyType(
    {role: Look(theme.COLORS[role][0], style, mark) for role, (style, mark) in _ROLES.items()}
)
"""The look of a role: ``network``; the closed-form ``memorizer`` of the training set, ``gaussian``
of its mean and covariance, ``gaussian_all`` of all images, ``truth`` of the data's law;
``distillate``, a network's linear student; images ``test`` (held out), ``train`` and ``gen``
(samples); ``theory``, ``chance`` and ``simulation``.
"""

ALIKE: Mapping[str, str] = MappingProxyType(
    {
        "halves": "network",
        "given": "network",
        "seeds": "gen",
        "nearest": "train",
        "unseen": "test",
        "unlike": "chance",
        "places": "distillate",
        "control": "memorizer",
        "training": "network",
        "clustering": "gaussian",
        "free": "chance",
        "noisy": "memorizer",
        "soft": "network",
        "none": "gaussian",
        "ridge": "distillate",
        "stop": "network",
        "measured": "simulation",
        "empirical": "memorizer",
        "kernel": "train",
        "molrg": "truth",
        "network_end": "network",
        "near": "train",
        "moved": "train",
        "trained": "gaussian",
        "stopped": "network",
        "shared": "gen",
        "ode": "network",
        "ddpm": "memorizer",
        "noise": "network",
        "denoising": "truth",
        "twin": "simulation",
        "bound": "theory",
        "bayes": "chance",
        "first_order": "chance",
        "rule": "chance",
        "dimension": "chance",
        "projected": "network",
        "masked": "gaussian",
        "global": "memorizer",
        "frame": "truth",
        "pixels": "train",
        "uniform": "chance",
        "all": "test",
        "low": "memorizer",
        "ring": "train",
        "high": "gaussian",
        "null": "network",
        "null_most": "truth",
        "replaced": "gen",
        "dct": "distillate",
        "data": "train",
        "class": "gaussian",
        "image": "memorizer",
        "memorizing": "memorizer",
        "generalizing": "network",
        "unified": "gaussian",
        "experts": "train",
        "multistage": "network",
        "published": "truth",
        "density": "network",
        "gradient": "gaussian",
        "decrease": "truth",
    }
)
"""Values of other coordinates, each with the role whose look it takes."""

_OWN: dict[str, Style] = dict.fromkeys(("network_end", "bound", "shared"), "dashed")
_OWN["twin"] = "thin"
"""The line style of values that stand beside their role."""


def look_of(value: object) -> Look | None:
    """The look of a role, or of a value that takes that of one; None of any other."""
    look, style = LOOKS.get(ALIKE.get(str(value), str(value))), _OWN.get(str(value))
    return replace(look, style=style) if look and style else look
