"""Formulas between lines of `$$`, set as SVG in the colour of the text around them."""

from __future__ import annotations

import re
from html import escape
from io import BytesIO

from matplotlib import rc_context
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image

DISPLAYED = re.compile(r"^\$\$\n(.+?)\n\$\$$", flags=re.DOTALL | re.MULTILINE)


def set_in(text: str) -> str:
    """A page with its formulas set."""
    return DISPLAYED.sub(lambda found: _svg(" ".join(found[1].split())), text)


def _svg(formula: str) -> str:
    drawn = BytesIO()
    with rc_context({"mathtext.fontset": "cm", "svg.hashsalt": formula}):
        math_to_image(f"${formula}$", drawn, prop=FontProperties(size=13), format="svg")
    picture = drawn.getvalue().decode()
    picture = re.sub(r"<metadata>.*?</metadata>", "", picture[picture.index("<svg") :], flags=re.S)
    picture = re.sub(r"\s*\n\s*", " ", picture).replace("<svg ", '<svg fill="currentColor" ', 1)
    picture = re.sub(r'<g id="patch_1">.*?</g>', "", picture)
    style = 'style="overflow-x: auto; margin: 1em 0"'
    return f'<div role="img" aria-label="{escape(formula, quote=True)}" {style}>{picture}</div>'
