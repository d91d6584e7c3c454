"""The house keeps its order: import ranks, lazy names, no heavy imports where none are needed,
nothing that must stay out.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import denoscope

SOURCE = Path(denoscope.__file__).parent
RANKS: dict[float, str] = {
    -1: "display",
    0: "types random files fields references estimate progress threads theory",
    1: "schedule nearest store execute coordinates shipped",
    1.5: "levels readings",
    2: "distributions networks",
    2.5: "data",
    3: "sampling geometry describe guidance smoothing",
    4: "fitting metrics",
    4.5: "report",
    5: "apply monitor laws",
    6: "study integrations",
    6.5: "earlier models",
    7: "studies",
    8: "sweep needed audit edits marks arguments",
    8.5: "probe doctor parsers",
    9: "cli",
}
RANK = {room: rank for rank, rooms in RANKS.items() for room in rooms.split()}


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    """Rooms of ours that a file imports, not counting imports for type checking alone."""
    tree = ast.parse(path.read_text())
    skipped = {
        node
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.dump(test.test)
        for statement in test.body
        for node in ast.walk(statement)
    }
    rooms = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = (node.module or "").split(".")
            if module[0] == "denoscope":
                rooms |= {module[1]} if len(module) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            rooms |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("denoscope.")
            }
    return rooms & set(RANK)


FILES = sorted(
    path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.name != "__init__.py"
)


def _upward(path: Path) -> set[str]:
    """The rooms that a file imports although its own rank lets it not."""
    room = _room(path)
    allowed = {room} if path.parent != SOURCE else {"types"} - {room}
    return {other for other in _imports(path) - allowed if RANK[other] >= RANK[room]}


def test_imports_go_down_the_ranks() -> None:
    assert {_room(path) for path in FILES} <= set(RANK)
    upward = {str(path.relative_to(SOURCE)): sorted(_upward(path)) for path in FILES}
    assert not {path: rooms for path, rooms in upward.items() if rooms}


def test_no_class_name_means_two_things() -> None:
    homes: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(str(path.relative_to(SOURCE)))
    assert not {name: where for name, where in homes.items() if len(where) > 1}


def _modules() -> list[str]:
    return [item.name for item in pkgutil.walk_packages([str(SOURCE)], "denoscope.")]


def test_every_public_name_is_there_after_every_module_was_imported() -> None:
    for name in _modules():
        importlib.import_module(name)
    assert len(denoscope.__all__) <= 80
    for name in denoscope.__all__:
        value = getattr(denoscope, name)
        assert not isinstance(value, types.ModuleType), f"denoscope.{name} is shadowed by a module"


def test_every_public_name_has_a_docstring() -> None:
    aliases = {"Denoiser", "Descriptor", "Levels", "Noise", "Step"}
    for name in set(denoscope.__all__) - aliases:
        assert getattr(denoscope, name).__doc__, name


def test_type_checkers_see_the_names_that_load_lazily() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    seen = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert seen == set(denoscope.__all__)


LIGHT = """
import sys
from denoscope.cli import main
from denoscope.studies import names
for words in ["--help"], ["list"], ["--version"], ["cite"], ["run", "nonsense"], ["needed",
"--help"], ["run", "--help"], *(
    ["run", name, flag] for name in names() for flag in ("--help", "--typo")
):
    main(words)
    heavy = {"torch", "numpy", "scipy", "matplotlib", "sklearn"} & set(sys.modules)
    if heavy:
        sys.exit(f"{words} imported {heavy}")
"""


def test_light_commands_import_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["torchvision", "lpips", "torch-fidelity", "clean-fid", "timm"])
def test_what_breaks_a_cpu_torch_is_not_installed(name: str) -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version(name)


def test_nothing_unpickles_or_evaluates() -> None:
    banned = ("pickle", "torch.load", "eval(", "exec(", "yaml.load", "allow_pickle=True")
    for path in FILES:
        text = path.read_text()
        names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        assert not names & {"pickle", "eval", "exec"}, path
        assert not any(
            word in text for word in banned if word not in ("pickle", "eval(", "exec(")
        ), path


def test_what_is_cited_exists_and_reads_as_one_line_and_as_bibtex() -> None:
    from denoscope import studies
    from denoscope.metrics import available, citations
    from denoscope.references import DATA, everything, references

    keys = [work.key for work in everything()]
    assert len(keys) == len(set(keys))
    cited = [
        *DATA.values(),
        *(key for name in studies.names() for key in studies.load(name).references),
    ]
    assert len(references(cited)) == len(set(cited))
    assert citations(available())
    for work in everything():
        assert "\n" not in work.text()
        assert work.bibtex().startswith(f"@misc{{{work.key},")
        assert work.bibtex().count("{") == work.bibtex().count("}")
    with pytest.raises(KeyError):
        references(["nobody1900"])
