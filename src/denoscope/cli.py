"""The command line. Nothing heavy is imported before it is needed, and a user's mistake costs one line."""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from denoscope import __version__, studies

if TYPE_CHECKING:
    from denoscope.study import Study


class _Mistake(Exception):
    """The user's mistake: one line, exit code 2."""


def _nearest(word: str, valid: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; valid are {', '.join(sorted(valid))}"


class _Parser(argparse.ArgumentParser):
    """argparse with one-line errors that name the nearest valid flag or word."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        if match := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            choices = [choice.strip(" '") for choice in match[2].split(",")]
            message = f"{message[: match.start()]}{match[1]!r} is not valid{_nearest(match[1], choices)}"
        raise _Mistake(message)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """All words, or a mistake that names the unknown flag and the nearest one that exists."""
        namespace, unknown = self.parse_known_args(words)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            raise _Mistake(f"unknown argument {unknown[0]}{_nearest(unknown[0].partition('=')[0], flags)}")
        return namespace


def _values(kind: type, text: str) -> list[Any]:
    """``8`` or, for whole numbers, ``0-9``."""
    if kind is int and (match := re.fullmatch(r"(\d+)-(\d+)", text)):
        first, last = int(match[1]), int(match[2])
        if last < first:
            raise argparse.ArgumentTypeError(f"the range {text} ends before it begins")
        return list(range(first, last + 1))
    try:
        return [kind(text)]
    except ValueError:
        names = {int: "a whole number or a range such as 0-9", float: "a number"}
        raise argparse.ArgumentTypeError(f"{text!r} is not {names.get(kind, kind.__name__)}") from None


def _one(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _add_fields(parser: argparse.ArgumentParser, study: type[Study]) -> None:
    """One flag for every field of the study; axes take several values."""
    group = parser.add_argument_group(f"fields of {study.title()}")
    for item in fields(study):
        kind = type(item.default)
        many = bool(item.metadata["axis"])
        flag = f"--{item.name.replace('_', '-')}"
        text = f"{item.metadata['help']} (default: {item.default}{', takes several' if many else ''})"
        common: dict[str, Any] = {
            "dest": item.name,
            "help": text.replace("%", "%%"),
            "default": argparse.SUPPRESS,
            "metavar": kind.__name__.upper(),
        }
        if kind is bool:
            group.add_argument(flag, action="store_true", dest=item.name, help=common["help"], default=argparse.SUPPRESS)
        elif kind is tuple:
            group.add_argument(flag, nargs=2, type=lambda word: _values(float, word)[0], **{**common, "metavar": ("LOW", "HIGH")})
        elif many:
            group.add_argument(flag, nargs="+", type=lambda word, kind=kind: _values(kind, word), **common)
        else:
            group.add_argument(
                flag, type=lambda word, kind=kind: _values(kind, word)[-1], choices=item.metadata["choices"] or None, **common
            )


def _run_parser(study: type[Study]) -> _Parser:
    parser = _Parser(prog=f"denoscope run {study.title()}", description=study.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_fields(parser, study)
    parser.add_argument(
        "--store",
        type=Path,
        default=Path("runs") / study.title(),
        help="folder of the results; running again resumes (default: %(default)s)",
    )
    parser.add_argument(
        "--on", choices=["processes", "serial"], default="processes", help="one single-threaded process a core, or this process alone"
    )
    parser.add_argument("--workers", type=int, default=None, help="number of processes (default: one a core)")
    parser.add_argument("--threads", type=int, default=1, help="threads a process (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="torch device to train and sample on (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print the cells and the estimated time, do nothing")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="print the table as JSON on standard output, nothing else")
    return parser


def _run(words: Sequence[str]) -> int:
    if not words or words[0].startswith("-"):
        if words and words[0] in ("-h", "--help"):
            print(
                "usage: denoscope run STUDY [options]; denoscope run STUDY --help lists a study's fields; denoscope list names the studies"
            )
            return 0
        raise _Mistake(f"run needs a study first: {', '.join(studies.names())}")
    if words[0] not in studies.names():
        raise _Mistake(f"there is no study {words[0]!r}{_nearest(words[0], studies.names())}")
    study = studies.load(words[0])
    options = vars(_run_parser(study).parse(words[1:]))
    given = {item.name: options.pop(item.name) for item in fields(study) if item.name in options}
    many = {item.name for item in fields(study) if item.metadata["axis"]}
    axes = {name: [v for part in value for v in part] if name in many else _one(value) for name, value in given.items()}
    from denoscope import sweep

    return sweep.command(study, axes, options, [*sys.argv[:1], "run", *words] if sys.argv else list(words))


def _list(words: Sequence[str]) -> int:
    parser = _Parser(prog="denoscope list", description="The studies, a line each.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    described = {name: studies.summary(name) for name in studies.names()}
    if parser.parse(words).json:
        print(json.dumps(described, indent=1))
    else:
        width = max(map(len, described), default=0)
        for name, text in described.items():
            print(f"{name:<{width}}  {text}")
    return 0


def _report(words: Sequence[str]) -> int:
    parser = _Parser(
        prog="denoscope report", description="Writes report.html, table.csv, table.json and figures/ anew from a store's cells."
    )
    parser.add_argument("store", type=Path, metavar="STORE", help="folder that `denoscope run` filled")
    options = parser.parse(words)
    from denoscope import sweep

    print(sweep.report(options.store))
    return 0


def _store(words: Sequence[str]) -> int:
    parser = _Parser(prog="denoscope store", description="Looks after a store of results.")
    parser.add_argument("action", choices=["check", "ls"], help="check: read everything and compare hashes; ls: one line a cell")
    parser.add_argument("store", type=Path, metavar="STORE")
    options = parser.parse(words)
    if not options.store.is_dir():
        raise _Mistake(f"there is no folder {options.store}")
    from denoscope.store import Store

    store = Store(options.store)
    if options.action == "ls":
        for row in store.rows():
            print(row.key, " ".join(f"{name}={value}" for name, value in row.fields.items()))
        return 0
    problems = store.check()
    for problem in problems:
        print(problem)
    print(f"{len(store.folders())} cells, {len(problems)} damaged")
    return 1 if problems else 0


def _cite(words: Sequence[str]) -> int:
    parser = _Parser(prog="denoscope cite", description="What to cite: for a study or a store of results, or everything.")
    parser.add_argument("what", nargs="?", default="", help="a study's name or a store's folder (default: every work)")
    parser.add_argument("--bibtex", action="store_true", help="BibTeX entries")
    options = parser.parse(words)
    from denoscope.references import everything, references

    name = options.what
    if name and name not in studies.names():
        from denoscope.store import Store

        name = str(Store(name).noted().get("study", "")) if Path(name).is_dir() else ""
        if not name:
            raise _Mistake(f"{options.what!r} is neither a study nor a store{_nearest(options.what, studies.names())}")
    works = references(("denoscope", *studies.load(name).references)) if name else everything()
    print("\n\n".join(work.bibtex() for work in works) if options.bibtex else "\n".join(work.text() for work in works))
    return 0


_COMMANDS = {"list": _list, "run": _run, "report": _report, "store": _store, "cite": _cite}
_USAGE = """usage: denoscope COMMAND [options]

Looks at diffusion models through their denoiser: copies or generalizes, with how much data, and why.

  list                 the studies, a line each
  run STUDY            measure a study's cells and write its report; running again resumes
  report STORE         write the report anew from stored cells
  store check|ls STORE look after stored cells
  cite [STUDY|STORE]   what to cite

  --help, --version    also after every command"""


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command. Exit codes: 0 done, 1 our own error, 2 bad input (one line on stderr), 130 interrupted."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            print(_USAGE)
            return 0
        if words[0] == "--version":
            print(f"denoscope {__version__}")
            return 0
        if words[0] not in _COMMANDS:
            raise _Mistake(f"there is no command {words[0]!r}{_nearest(words[0], list(_COMMANDS))}")
        return _COMMANDS[words[0]](words[1:])
    except SystemExit as ended:
        return int(ended.code or 0)
    except (_Mistake, ValueError) as error:
        print(f"denoscope: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("denoscope: interrupted; what was measured is stored, the same command goes on from there", file=sys.stderr)
        return 130
    except (RuntimeError, OSError) as error:
        print(f"denoscope: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
