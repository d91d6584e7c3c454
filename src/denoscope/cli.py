"""The command line. Nothing heavy is imported before it is needed, and a user's mistake costs one
line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoscope import __version__, parsers, studies
from denoscope.arguments import Mistake, Parser, add_execution, add_fields, nearest
from denoscope.files import NoRoom, harmless, no_room, promise

if TYPE_CHECKING:
    from dataclasses import Field


def _one(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _run_parser(study: str, told: str, items: Sequence[Field[Any]]) -> Parser:
    parser = Parser(
        prog=f"denoscope run {study}",
        description=told,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_fields(parser, study, items)
    parser.add_argument(
        "--store",
        type=Path,
        default=Path("runs") / study,
        help="folder of the results; running again resumes (default: %(default)s)",
    )
    add_execution(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the table as JSON on standard output, nothing else",
    )
    return parser


def _run(words: Sequence[str]) -> int:
    if not words or words[0].startswith("-"):
        if words and words[0] in ("-h", "--help"):
            print(
                "usage: denoscope run STUDY [options]; denoscope run STUDY --help lists "
                "a study's fields; denoscope list names the studies"
            )
            return 0
        raise Mistake(f"run needs a study first: {', '.join(studies.names())}")
    if words[0] not in studies.names():
        raise Mistake(f"there is no study {words[0]!r}{nearest(words[0], studies.names())}")
    told, items = studies.described(words[0])
    options = vars(_run_parser(words[0], told, items).parse(words[1:]))
    if not options["dry_run"]:
        promise(options["store"], "--store")
    given = {item.name: options.pop(item.name) for item in items if item.name in options}
    many = {item.name for item in items if item.metadata["axis"]}
    axes = {
        name: [v for part in value for v in part] if name in many else _one(value)
        for name, value in given.items()
    }
    from denoscope import sweep

    return sweep.command(
        studies.load(words[0]),
        axes,
        options,
        [*sys.argv[:1], "run", *words] if sys.argv else list(words),
    )


def _needed(words: Sequence[str]) -> int:
    options = vars(parsers.needed().parse(words))
    if not options["dry_run"]:
        promise(options["out"])
    from denoscope import needed

    return needed.command(options, ["needed", *words])


def _probe(words: Sequence[str]) -> int:
    options = vars(parsers.probe().parse(words))
    if not options["dry_run"]:
        promise(options["out"])
    from denoscope import probe

    return probe.command({**options, "range": tuple(options["range"] or ())}, ["probe", *words])


def _audit(words: Sequence[str]) -> int:
    options = vars(parsers.audit().parse(words))
    if not options["dry_run"]:
        promise(options["out"])
    plain = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }
    from denoscope import audit

    return audit.command(
        {**plain, "seeds": tuple(seed for part in options["seeds"] for seed in part)},
        ["audit", *words],
    )


def _edit(words: Sequence[str]) -> int:
    options = vars(parsers.edit().parse(words))
    promise(options["out"])
    from denoscope import edits

    return edits.command(options, ["edit", *words])


def _watermark(words: Sequence[str]) -> int:
    actions = ", ".join(parsers.MARKING)
    if not words or words[0] in ("-h", "--help"):
        told = "\n".join(f"  {name:<8}{text}" for name, text in parsers.MARKING.items())
        line = f"usage: denoscope watermark ACTION [options]\n\n{told}\n\n  --help after each"
        if words:
            print(line)
            return 0
        raise Mistake(f"watermark needs an action first: {actions}")
    if words[0] not in parsers.MARKING:
        raise Mistake(f"watermark {words[0]!r}: must be one of {actions}")
    options = vars(parsers.watermark(words[0]).parse(words[1:]))
    if "out" in options:
        promise(options["out"])
    from denoscope import marks

    return marks.command(words[0], options, list(words))


def _doctor(words: Sequence[str]) -> int:
    parser = Parser(
        prog="denoscope doctor",
        description="Every metric of the audit on synthetic truth: base rates, "
        "sensitivity, hostile cases; in under a minute.",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the synthetic sets (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the table as JSON on standard output, nothing else",
    )
    options = vars(parser.parse(words))
    from denoscope import doctor

    return doctor.command(options)


def _list(words: Sequence[str]) -> int:
    parser = Parser(prog="denoscope list", description="The studies, a line each.")
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
    parser = Parser(
        prog="denoscope report",
        description="Writes report.html, table.csv, table.json and figures/ anew from a "
        "store's cells.",
    )
    parser.add_argument(
        "store", type=Path, metavar="STORE", help="folder that `denoscope run` filled"
    )
    options = parser.parse(words)
    from denoscope import sweep

    print(sweep.report(options.store))
    return 0


def _store(words: Sequence[str]) -> int:
    parser = Parser(prog="denoscope store", description="Looks after a store of results.")
    parser.add_argument(
        "action",
        choices=["check", "ls"],
        help="check: read everything and compare hashes; ls: one line per cell",
    )
    parser.add_argument("store", type=Path, metavar="STORE")
    options = parser.parse(words)
    if not options.store.is_dir():
        raise Mistake(f"there is no folder {options.store}")
    from denoscope.store import Store

    store = Store(options.store)
    if options.action == "ls":
        for row in store.rows():
            print(row.key, " ".join(f"{name}={value}" for name, value in row.fields.items()))
        return 0
    if not store.noted() and not store.folders():
        raise Mistake(f"{options.store} holds no results: name a folder that `run` filled")
    problems = store.check()
    for problem in problems:
        print(problem)
    print(f"{len(store.folders())} cells, {len(problems)} damaged")
    return 1 if problems else 0


def _cite(words: Sequence[str]) -> int:
    parser = Parser(
        prog="denoscope cite",
        description="What to cite: for a study, a store of results, a command, or everything.",
    )
    parser.add_argument(
        "what",
        nargs="?",
        default="",
        help="a study's name, a store's folder, or needed, audit, edit, watermark (default: all)",
    )
    parser.add_argument("--bibtex", action="store_true", help="BibTeX entries")
    options = parser.parse(words)
    from denoscope.references import COMMANDS, everything, references

    name = options.what
    if name and name not in COMMANDS and name not in studies.names():
        from denoscope.store import Store

        name = str(Store(name).noted().get("study", "")) if Path(name).is_dir() else ""
        if not name:
            raise Mistake(
                f"{options.what!r} is neither a study nor a "
                f"store{nearest(options.what, [*studies.names(), *COMMANDS])}"
            )
    cited = [*COMMANDS.get(name, ())]
    cited += studies.load(name).references if name in studies.names() else ()
    works = references(("denoscope", *cited)) if name else everything()
    print(
        "\n\n".join(work.bibtex() for work in works)
        if options.bibtex
        else "\n".join(work.text() for work in works)
    )
    return 0


_COMMANDS = {
    "list": _list,
    "run": _run,
    "audit": _audit,
    "probe": _probe,
    "needed": _needed,
    "edit": _edit,
    "watermark": _watermark,
    "report": _report,
    "store": _store,
    "cite": _cite,
    "doctor": _doctor,
}
_USAGE = """usage: denoscope COMMAND [options]

Looks at diffusion models through their denoiser: copies or generalizes, from how much data, why.

  list                 the studies, a line each
  run STUDY            measure a study's cells and write its report; running again resumes
  audit --gen X --train Y   does a model copy its training data: samples, training, held-out images
  probe --model PATH   the geometry of trained denoisers
  needed --data SET    how many images a linear model needs, and what to do until there are enough
  edit --model M --image I --mask X   move an image where the denoiser's Jacobian says
  watermark key|embed|detect|attack   marks in images, found with an exact p-value
  report STORE         write the report anew from stored cells
  store check|ls STORE look after stored cells
  cite [STUDY|STORE|COMMAND]  what to cite
  doctor               every metric of the audit on synthetic truth

  --help, --version    also after every command"""


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command. Exit codes: 0 done, 1 our own error, 2 bad input (one line on stderr), 130
    interrupted.
    """
    words = list(sys.argv[1:] if words is None else words)
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            print(_USAGE)
            return 0
        if words[0] == "--version":
            print(f"denoscope {__version__}")
            return 0
        if words[0] not in _COMMANDS:
            raise Mistake(f"there is no command {words[0]!r}{nearest(words[0], list(_COMMANDS))}")
        return _COMMANDS[words[0]](words[1:])
    except SystemExit as ended:
        return int(ended.code or 0)
    except (Mistake, ValueError) as error:
        print(f"denoscope: {_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = (
            "what was measured is stored, the same command goes on from there"
            if words[0] in ("run", "probe", "audit", "watermark")
            else "nothing was written"
        )
        print(f"denoscope: interrupted; {kept}", file=sys.stderr)
        return 130
    except (RuntimeError, OSError, MemoryError) as error:
        if isinstance(error, OSError) and not isinstance(error, NoRoom):
            error = no_room(error, error.filename or "a folder for temporary files")
        print(f"denoscope: {_line(error)}", file=sys.stderr)
        return 1


def _line(error: Exception) -> str:
    """What an error says, in one line without anything that a terminal would obey."""
    return harmless(" ".join((str(error) or type(error).__name__).splitlines()), 4000)


if __name__ == "__main__":
    sys.exit(main())
