"""The command `denoscope watermark`: keys, marks in images, their detection, and attacks."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from denoscope import files, report
from denoscope.estimate import proportion
from denoscope.files import harmless
from denoscope.marks.asked import ImageSet, MarkRequest, keys_of, opened
from denoscope.marks.attacking import attack_all
from denoscope.marks.finding import attributed, detect_all
from denoscope.marks.marking import embed_all, make_key
from denoscope.marks.page import Outcome, build, middle, said, shares
from denoscope.progress import Voice
from denoscope.report.words import percent
from denoscope.study import versions
from denoscope.threads import at_most


def command(action: str, options: Mapping[str, Any], words: Sequence[str]) -> int:
    """Runs "key", "embed", "detect" or "attack" and returns the exit code."""
    names = {item.name for item in fields(MarkRequest)} & set(options)
    asked = MarkRequest(**{name: options[name] for name in names})
    say = Voice(options["quiet"])
    called = shlex.join(["denoscope", "watermark", *words])
    with at_most(options["threads"]):
        if action == "key":
            return _key(asked, options["json"])
        target = Path(options["out"])
        found = {"embed": _embed, "detect": _detect, "attack": _attack}[action](asked, target, say)
    answer = ANSWERS[action](found)
    numbers = as_json(found, answer, called)
    with files.staged(target) as folder:
        files.write_json(folder / f"{action}.json", numbers)
        report.write(build(found, answer, called, versions()), folder, action)
    say("done")
    if options["json"]:
        print(json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print(answer.replace("**", ""), *found.warnings, target / f"{action}.html", sep="\n")
    return 0


def _key(asked: MarkRequest, as_data: bool) -> int:
    key, file = make_key(asked, opened(asked))
    about = {
        "key": str(file), "fingerprint": key.fingerprint, "carrier": key.name,
        "dimension": key.dimension, "sigma": key.sigma, "steps": key.steps, "model": key.model,
    }  # fmt: skip
    if as_data:
        print(json.dumps(about, indent=1))
        return 0
    print(
        f"key {key.fingerprint}: {key.name}, {key.dimension} dimensions, sigma {key.sigma:.4g}; "
        "who has this file can mark and detect: keep it secret"
    )
    print(file)
    return 0


def _embed(asked: MarkRequest, target: Path, say: Voice) -> Outcome:
    if bool(asked.images) == bool(asked.samples):
        raise ValueError("embed marks given --images, or --samples of the model: give one of both")
    about = opened(asked)
    keys = keys_of(asked, about)
    if len(keys) != 1:
        raise ValueError(f"embed takes one --key, got {len(keys)}")
    rows, given = embed_all(asked, about, keys[0], target, say)
    return Outcome("embed", asked, rows, target, keys, *_notes(given))


def _detect(asked: MarkRequest, target: Path, say: Voice) -> Outcome:
    about = opened(asked)
    keys = keys_of(asked, about)
    rows, given = detect_all(asked, about, keys, target, say)
    key, many = attributed(rows, keys, asked.level)
    numbers = {
        "images": len(key), "found": int((many > 0).sum()), "several": int((many > 1).sum()),
        "by_key": {one.fingerprint: int((key == i).sum()) for i, one in enumerate(keys)},
    }  # fmt: skip
    return Outcome("detect", asked, rows, target, keys, *_notes(given), numbers)


def _attack(asked: MarkRequest, target: Path, say: Voice) -> Outcome:
    rows, given = attack_all(asked, target, say)
    return Outcome("attack", asked, rows, target, (), *_notes(given))


def _notes(given: ImageSet | None) -> tuple[Sequence[tuple[str, str]], Sequence[str]]:
    """Which files were left out, and what was changed in reading."""
    return ((), ()) if given is None else (given.images.skipped, given.warnings)


def _told_embed(found: Outcome) -> str:
    seen = shares(found.rows, "p")[1e-2]
    cost = middle(found.rows, "psnr_original") or middle(found.rows, "psnr_decoded")
    against = "the original" if middle(found.rows, "psnr_original") else "the unmarked decode"
    db = f", {cost} dB from {against} (median)" if cost else ""
    return (
        f"**{len(found.rows)} images carry key {found.keys[0].fingerprint} at λ = "
        f"{found.asked.strength:g}**{db}; as written, p ≤ .01 in {said(seen)} of them."
    )


def _told_detect(found: Outcome) -> str:
    numbers, level = found.numbers, found.asked.level
    several = (
        f"; {numbers['several']} of these carry several keys, so that none is named"
        if numbers["several"]
        else ""
    )
    which = f"one of {len(found.keys)} keys" if len(found.keys) > 1 else "the key"
    verb = "carries" if numbers["found"] == 1 else "carry"
    share = said(proportion(numbers["found"], numbers["images"]))
    return (
        f"**{numbers['found']} of {numbers['images']} images {verb} {which}** ({share}) at the "
        f"level {level:g}{several}. An image that has nothing to do with the keys is called so "
        f"with a chance of at most {percent(level)}."
    )


def _told_attack(found: Outcome) -> str:
    count = len({row["attack"] for row in found.rows})
    what = "attack" if count == 1 else "attacks"
    return f"**{len(found.rows)} images after {count} {what}**, in a folder each."


ANSWERS = {"embed": _told_embed, "detect": _told_detect, "attack": _told_attack}


def as_json(found: Outcome, answer: str, called: str) -> dict[str, Any]:
    """Every number, and what it was made of."""
    told = {}
    if found.action != "attack":
        told["shares"] = {
            key.fingerprint: {
                f"{level:g}": one.json()
                for level, one in shares(
                    [row for row in found.rows if row["key"] == key.fingerprint], "p"
                ).items()
            }
            for key in found.keys
        }
    return {
        "schema": 1,
        "command": called,
        "answer": answer.replace("**", ""),
        **found.numbers,
        **told,
        "keys": [key.fingerprint for key in found.keys],
        "rows": list(found.rows),
        "skipped": [{"file": harmless(name), "reason": why} for name, why in found.skipped],
        "warnings": list(found.warnings),
        "versions": versions(),
    }
