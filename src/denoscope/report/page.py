"""A page of blocks as one HTML file that needs nothing else, and its figures as files beside it.

The file loads nothing from anywhere: styles, script, drawings and images are inside, and its
Content-Security-Policy forbids the rest (the script is named by its hash).
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
from collections import Counter
from functools import partial
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from denoscope import files
from denoscope.estimate import Estimate
from denoscope.report import notation, svg, theme
from denoscope.report.blocks import Block, Column, Figure, Gallery, Page, Sliders, Table
from denoscope.report.claims import number
from denoscope.report.forest import forest
from denoscope.report.grids import as_rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_HERE = Path(__file__).parent
_SHOWN = 80  # CSS pixels, about the side of a small image in a gallery
_LARGEST = 128  # CSS pixels, the side at which a larger image is shown
_CHUNK = 4  # strips that share one header in a gallery
_STRONG = re.compile(r"\*\*(?=\S)(.+?)\*\*(?!\*)")
_CODE = re.compile(r"`([^`]+)`")
_INTERVAL = re.compile(r"\[[−+\de.∞%\s]+, [−+\de.∞%\s]+\]")


def write(page: Page, folder: Path | str, name: str = "report") -> Path:
    """Writes ``NAME.html`` and ``figures/NAME.svg`` and ``.png`` into ``folder``, each whole or
    absent; returns the page's path.

    Names of figures must be unique; all names are made of letters, digits, ``-`` and ``_``.
    Anything else is a ValueError.
    """
    _check_name("page", name)
    target = Path(folder)
    every = [*page.opening, *(block for section in page.sections for block in section.blocks)]
    found = [block for block in every if isinstance(block, Figure)]
    _check_names(found)
    drawings = {}
    for block in found:
        wide, narrow = _drawn(block)
        drawings[block.name] = _embedded(block, wide, narrow)
        files.write(target / "figures" / f"{block.name}.svg", svg.export(wide, "svg", block.name))
        files.write(target / "figures" / f"{block.name}.png", svg.export(wide, "png"))
    return files.write(target / f"{name}.html", _html(page, drawings).encode("utf-8", "replace"))


def _check_names(figures: list[Figure]) -> None:
    for name, count in Counter(block.name for block in figures).items():
        if count > 1:
            raise ValueError(f"{count} figures are named {name!r}; names of files must be unique")
        _check_name("figure", name)


def _check_name(what: str, name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"{what} name {name!r} is a file name; use letters, digits, '-' and '_'")


def _drawn(block: Figure) -> tuple[Drawing, Drawing | None]:
    if not callable(block.figure):
        return block.figure, None
    return block.figure(theme.WIDE), block.figure(theme.NARROW)


def _embedded(block: Figure, wide: Drawing, narrow: Drawing | None) -> dict[str, Any]:
    alt = block.alt or _STRONG.sub(r"\1", block.caption).replace("`", "")
    return {
        "wide": Markup(svg.inline(wide, f"{block.name}-wide", alt)),
        "narrow": Markup(svg.inline(narrow, f"{block.name}-narrow", alt)) if narrow else None,
        "points": wide.get_figwidth() * 72,
    }


def _html(page: Page, drawings: dict[str, dict[str, Any]]) -> str:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (("prose", _prose), ("symbols", _symbols), ("paragraphs", _paragraphs))
    environment.filters |= {**dict(filters), "png": _png, "forest": forest}
    script = (_HERE / "report.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.jinja").render(
        page=page,
        drawings=drawings,
        kind=_kind,
        gallery=_gallery,
        sliders=_sliders,
        tile=_tile,
        table=_table,
        light={name: pair[0] for name, pair in theme.COLORS.items()},
        dark={name: pair[1] for name, pair in theme.COLORS.items()},
        css=Markup((_HERE / "report.css").read_text()),
        script=Markup(script),
        digest=digest,
    )


def _kind(block: Block) -> str:
    return type(block).__name__


def _symbols(text: object) -> Markup:
    """Plain text, escaped, with indices set below the line."""
    return Markup(notation.marked(str(escape(str(text)))))


def _prose(text: object) -> Markup:
    """Plain text, escaped, with ``**strong**`` and `code` marked, indices set, intervals whole."""
    parts = enumerate(_CODE.split(str(escape(str(text)))))
    marked = [f"<code>{part}</code>" if i % 2 else notation.marked(part) for i, part in parts]
    whole = _INTERVAL.sub(lambda found: found[0].replace(" ", "\u00a0"), "".join(marked))
    return Markup(_STRONG.sub(r"<strong>\1</strong>", whole))


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def _png(image: np.ndarray) -> str:
    """An image as the ``data:`` address of a PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(as_rgb(image)).save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _gallery(block: Gallery) -> list[dict[str, Any]]:
    """Chunks of strips: each image with its note, its words read aloud, its size on the page."""
    strips = []
    for place, strip in enumerate(block.rows, 1):
        if len(strip.images) != len(block.columns) or (
            strip.notes and len(strip.notes) != len(strip.images)
        ):
            found = f"{len(strip.images)} images and {len(strip.notes)} notes"
            where = f"strip {place} of gallery {block.title!r}"
            raise ValueError(f"{where} has {found} for {len(block.columns)} columns")
        notes = list(strip.notes) or [""] * len(strip.images)
        tiles = [
            _tile(image, note, f"{name}, row {place}")
            for image, note, name in zip(strip.images, notes, block.columns)
        ]
        strips.append({"tiles": tiles, "caption": strip.caption})
    return [{"strips": strips[start : start + _CHUNK]} for start in range(0, len(strips), _CHUNK)]


def _sliders(block: Sliders) -> list[dict[str, Any]]:
    """Cards: of each view a stack of tiles, one per position."""
    cards = []
    for row in block.rows:
        if len(row.frames) != len(block.positions):
            found = f"{len(row.frames)} frames for {len(block.positions)} positions"
            raise ValueError(f"slider {row.caption!r} has {found}")
        notes = [f"{block.what} {word}" for word in block.positions]
        stacks = [
            [_tile(image, note, f"{row.caption}, {view}") for image, note in zip(images, notes)]
            for view, images in zip(block.views, zip(*row.frames, strict=True), strict=True)
        ]
        cards.append({"caption": row.caption, "note": row.note, "stacks": stacks})
    return cards


def _tile(image: np.ndarray, note: str, name: str) -> dict[str, Any]:
    height, width = np.shape(image)[:2]
    side = max(height, width)
    scale = math.ceil(_SHOWN / side) if side <= _LARGEST else _LARGEST / side
    alt = f"{name}: {note}" if note else name
    size = {"width": round(width * scale), "height": round(height * scale)}
    return {"image": image, "note": note, "alt": alt, **size}


def _table(block: Table) -> dict[str, Any]:
    for place, row in enumerate(block.rows, 1):
        if len(row) != len(block.columns):
            cells = f"{len(row)} cells for {len(block.columns)} columns"
            raise ValueError(f"row {place} of table {block.title!r} has {cells}")
    numeric = [
        any(_is_number(v) for v in values) and all(_is_number(v) or v is None for v in values)
        for values in zip(*block.rows)
    ]
    numeric = numeric or [False] * len(block.columns)
    rows = [
        [_cell(column, value, right) for column, value, right in zip(block.columns, row, numeric)]
        for row in block.rows
    ]
    return {"columns": list(zip(block.columns, numeric)), "rows": rows}


def _is_number(value: object) -> bool:
    kinds = Number | Estimate | np.generic
    return isinstance(value, kinds) and not isinstance(value, bool | np.bool_ | np.str_)


def _cell(column: Column, value: object, right: bool) -> dict[str, Any]:
    """What a cell shows, and the number or text by which it sorts; what is missing sorts last."""
    show = partial(_number, form=column.form)
    cell: dict[str, Any] = {"numeric": right, "interval": "", "reason": "", "sort": "", "text": ""}
    if isinstance(value, Estimate):
        if math.isnan(value.value):
            return cell | {"reason": value.method or "not available"}
        ends = f"[{show(value.low)}, {show(value.high)}]"
        interval, sort = ends if value.low < value.high else "", repr(float(value.value))
        return cell | {"text": show(value.value), "interval": interval, "sort": sort}
    # a real number by the test before
    if value is None or (_is_number(value) and math.isnan(float(value))):  # pyright: ignore[reportArgumentType]
        return cell | {"reason": "not available"}
    if _is_number(value):
        # a real number by the test before
        return cell | {"text": show(value), "sort": repr(float(value))}  # pyright: ignore[reportArgumentType]
    return cell | {
        "text": ("yes" if value else "no") if isinstance(value, bool | np.bool_) else str(value),
        "sort": str(value),
    }


def _number(value: Any, form: str) -> str:
    return str(int(value)) if isinstance(value, int | np.integer) else number(float(value), form)
