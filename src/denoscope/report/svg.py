"""A drawn figure as bytes for a file, or as SVG that takes its colours from its page."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree

from denoscope.report import theme
from denoscope.report.notation import lowered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_VARIABLES = {light: f"var(--{name})" for name, (light, _) in theme.COLORS.items()}
_HEX = re.compile(r"#[0-9a-f]{6}\b")
_DROPPED = {"metadata", "style"}


def export(figure: Figure, form: Literal["svg", "png"], salt: str = "") -> bytes:
    """The figure on white, for a paper: SVG, letters as outlines, or PNG at 200 dots per inch."""
    return _render(figure, form, salt, fonts="path", ground=theme.GROUND)


def inline(figure: Figure, name: str, alt: str) -> str:
    """The figure as an ``<svg>`` element whose theme colours are CSS variables and whose ids begin
    with ``name``.

    Letters stay text; all of it is escaped again on the way out. ``alt`` is what a screen reader
    says.
    """
    source = _render(figure, "svg", name, fonts="none", ground="none").decode()
    root = ElementTree.fromstring(source)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in _DROPPED:
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        named = ((_local(key), value) for key, value in element.attrib.items())
        element.attrib = {key: _attribute(key, value, name) for key, value in named}
    view = root.attrib["viewBox"]
    root.attrib = {"viewBox": view, "role": "img", "aria-label": alt}
    return ElementTree.tostring(root, encoding="unicode")


def _render(figure: Figure, form: str, salt: str, *, fonts: str, ground: str) -> bytes:
    """The canvas of that form writes the laid-out figure, once; ``savefig`` would draw it twice."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_text(lowered(text.get_text()))
    buffer = io.BytesIO()
    dated = ("Date", "Creator", "Format", "Type") if form == "svg" else ("Software",)
    metadata = dict.fromkeys(dated)
    with theme.style(), rc_context({"svg.fonttype": fonts, "svg.hashsalt": salt or "denoscope"}):
        figure.set(facecolor=ground, edgecolor="none", dpi=200)
        if form == "svg":
            FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)
        else:
            FigureCanvasAgg(figure).print_png(buffer, metadata=metadata)
    if form != "svg":
        return buffer.getvalue()
    return _UNPRINTABLE.sub("\ufffd", buffer.getvalue().decode()).encode()


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _attribute(key: str, value: str, prefix: str) -> str:
    if key == "id":
        return f"{prefix}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    if key == "style":
        value = _HEX.sub(lambda match: _VARIABLES.get(match[0], match[0]), value)
    return value.replace("url(#", f"url(#{prefix}-")
