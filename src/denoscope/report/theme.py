"""One visual language for pages and figures: every colour is a pair, light and dark, and has the
name of a CSS variable.

Figures are drawn with the light colours. In the page each light colour becomes ``var(--name)``, so
a figure follows the reader's colour scheme; exported files keep the light ones. The ordered tones
run from amber to navy with falling luminance, so that their order survives colour blindness and
print; every tone has its own marker shape beside. The tones of roles are for things without order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

WIDE = 6.4
"""Width in inches of a figure on a screen or in a paper's text column."""

NARROW = 3.6
"""Width in inches of the same figure on a phone."""

FONT_SIZE = 9.0
"""Points; the size of axis labels and legends. Tick labels are a little smaller."""

BOLD = 1.12
"""The width of a bold letter in those of a plain one."""

COLORS: dict[str, tuple[str, str]] = {
    "ink": ("#1b1e23", "#e8eaed"),
    "muted": ("#59616e", "#a7b0bd"),
    "grid": ("#dfe3e8", "#343a43"),
    "ground": ("#ffffff", "#14171c"),
    "panel": ("#f5f6f8", "#1d2127"),
    "link": ("#0b5cad", "#8ab8ff"),
    "agrees": ("#1a7436", "#5fd38a"),
    "disagrees": ("#b3261e", "#ff8f85"),
    "tone-1": ("#c97a00", "#ffb74d"),
    "tone-2": ("#d1495b", "#ff7f7a"),
    "tone-3": ("#a23b8f", "#d64fb5"),
    "tone-4": ("#6a3fb5", "#9f7bff"),
    "tone-5": ("#17557a", "#7cc0ff"),
    "tone-6": ("#12304f", "#dcefff"),
    "network": ("#165ecf", "#187bdd"),
    "memorizer": ("#e44641", "#cb3d3a"),
    "gaussian": ("#48a479", "#5fe5b0"),
    "gaussian_all": ("#2e6600", "#b5ec6f"),
    "truth": ("#2c0f60", "#baa2ff"),
    "distillate": ("#4d2500", "#d9a16d"),
    "test": ("#2197c5", "#8ddcff"),
    "train": ("#d08106", "#eca230"),
    "gen": ("#a3218a", "#cf65bb"),
    "theory": ("#131519", "#f4f6f9"),
    "chance": ("#7f8591", "#6b727d"),
    "simulation": ("#114c47", "#77b4ab"),
}
INK, MUTED, GRID, GROUND = (COLORS[name][0] for name in ("ink", "muted", "grid", "ground"))
TONES = tuple(light for name, (light, _) in COLORS.items() if name.startswith("tone-"))
MARKS = dict(zip(TONES, "oDsvP^"))
HEAT = ("#f7f1e6", "#f3c98b", "#e58a5f", "#c2456b", "#7b3a92", "#2c2a66")
"""Stops of heat maps, luminance falling; the same in both schemes, as the numerals stand on it."""


def ordered(n: int) -> tuple[str, ...]:
    """``n`` tones for ordered things, smallest first, as far apart as they go (at most 6)."""
    if not 1 <= n <= len(TONES):
        raise ValueError(
            f"there are tones for 1 to {len(TONES)} ordered series, not {n}; draw fewer "
            "lines, or several panels"
        )
    if n == 1:
        return (TONES[4],)
    return tuple(TONES[round(i * (len(TONES) - 1) / (n - 1))] for i in range(n))


def luminance(color: str) -> float:
    """Relative luminance of ``#rrggbb``, 0 black to 1 white (WCAG 2.2)."""
    parts = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2); text needs 4.5, lines need 3."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


_STYLE: dict[str, object] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": FONT_SIZE,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": FONT_SIZE,
    "axes.titleweight": "bold",
    "axes.titlepad": 7.0,
    "figure.facecolor": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": FONT_SIZE,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.edgecolor": "none",
    "legend.fontsize": FONT_SIZE - 0.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": FONT_SIZE - 1,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": FONT_SIZE - 1,
}


def text_width(text: str, size: float = FONT_SIZE - 1) -> float:
    """The width of a line of text in points, at ``size`` points in the figures' own font."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    return text_to_path.get_text_width_height_descent(
        text, FontProperties(family="DejaVu Sans", size=size), ismath=False
    )[0]


def shortened(text: str, room: float, size: float = FONT_SIZE - 1) -> str:
    """``text``, or as much of it as fits into ``room`` points, ending in an ellipsis."""
    if text_width(text, size) <= room:
        return text
    fitting = (text[:n].rstrip() + "…" for n in range(len(text) - 1, 0, -1))
    return next((part for part in fitting if text_width(part, size) <= room), "…")


def wrapped(text: str, room: float, size: float = FONT_SIZE - 1) -> list[str]:
    """``text`` in one line where ``room`` points suffice, else in two of about the same length."""
    words = text.split()
    if text_width(text, size) <= room or len(words) < 2:
        return [text]
    halves = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]
    return list(min(halves, key=lambda half: max(map(len, half))))


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib in this look, whatever the user's settings; ``$`` in a label is a dollar sign."""
    from matplotlib.style import context

    with context(["default", _STYLE]):
        yield
