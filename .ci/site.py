"""What the site takes from outside `docs`: the README as its first page, the benchmarks, the card
of the shipped networks, the house rules, the changes, every public name by its room, and the
tutorials, which are notebooks.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import denoscope

sys.path.insert(0, str(Path(__file__).parent))

import formulas
import tutorials

ROOT = Path(__file__).parent.parent
TAKEN = {
    "README.md": "index.md",
    "benchmarks/README.md": "benchmarks.md",
    "src/denoscope/shipped/README.md": "shipped.md",
    "src/denoscope/shipped/fashion_mnist.png": "fashion_mnist.png",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
SOURCES = {page: source for source, page in TAKEN.items()}
ROOMS = ("apply.edit", "apply.inverse", "apply.watermark", "audit", "guidance", "monitor")


def _names() -> str:
    """Every public name, then the rooms of which one imports more."""
    top = "\n\n".join(f"::: denoscope.{name}" for name in denoscope.__all__)
    more = "\n\n".join(f"::: denoscope.{room}" for room in ROOMS)
    return f"# Python\n\n## From `denoscope`\n\n{top}\n\n## Rooms\n\n{more}\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for page, source in SOURCES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    files.append(File.generated(config, "api.md", content=_names()))
    for path in tutorials.TUTORIALS:
        text, figures = tutorials.page(path)
        name = f"tutorials/{path.stem}"
        files.append(File.generated(config, f"{name}.md", content=text))
        for count, figure in enumerate(figures):
            files.append(File.generated(config, f"{name}-{count}.png", content=figure))
    return files


def _placed(link: str, source: str) -> str:
    """Where a link of the file at `source` leads, from its page on the site."""
    path, hash_, anchor = link.partition("#")
    if "://" in link or not path:
        return link
    target = normpath(str(PurePosixPath(source).parent / path))
    return relpath(_page(target), PurePosixPath(_page(source)).parent) + hash_ + anchor


def _page(source: str) -> str:
    """Where a file of the repository lies on the site."""
    return TAKEN.get(source, source.removeprefix("docs/").replace(".ipynb", ".md"))


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    name = page.file.src_uri
    source = SOURCES.get(name, f"docs/{name}")
    placed = re.sub(r"(?<=\]\()([^)\s]+)", lambda found: _placed(found[1], source), text)
    return formulas.set_in(placed)
