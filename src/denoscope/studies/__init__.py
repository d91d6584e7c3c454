"""The studies: one file a figure of the literature, registered by being there."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import Field
    from typing import Any

    from denoscope.study import Study


def names() -> list[str]:
    """Every study's name, read from the files here without importing them."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(path.stem for path in files if not path.stem.startswith("_"))


def summary(name: str) -> str:
    """The first paragraph of a study's docstring in one line, read without importing it."""
    tree = ast.parse((Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
    return " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split())


def load(name: str) -> type[Study]:
    """The study class in the file of that name."""
    from denoscope.study import Study

    module = importlib.import_module(f"denoscope.studies.{name}")
    classes = (value for value in vars(module).values() if isinstance(value, type))
    own = (value for value in classes if value.__module__ == module.__name__)
    return next(value for value in own if issubclass(value, Study))


def described(name: str) -> tuple[str, list[Field[Any]]]:
    """A study's docstring and its fields, axes first; read without importing it where its files
    say them.
    """
    from denoscope.studies._declared import declaration

    try:
        return declaration(name)
    except LookupError:
        from denoscope.study import declared

        study = load(name)
        return study.__doc__ or "", declared(study)
