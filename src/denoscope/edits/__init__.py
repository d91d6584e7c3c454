"""The command `denoscope edit`: local edits of an image by any model with derivatives."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from denoscope import files, report
from denoscope.edits.asked import EditRequest, subject
from denoscope.edits.changes import PLACES, beyond, change, find, moved
from denoscope.edits.page import Results, answer, build
from denoscope.edits.pictures import enlarged, save, sheet
from denoscope.progress import Voice
from denoscope.report.pictures import picture
from denoscope.study import versions
from denoscope.threads import at_most


def command(options: Mapping[str, Any], words: Sequence[str]) -> int:
    """Finds or takes directions, edits the images, writes edit.html, .json, pictures and
    directions.safetensors into ``options['out']``, and returns the exit code.
    """
    asked = EditRequest(**{item.name: options[item.name] for item in fields(EditRequest)})
    target, say = Path(options["out"]), Voice(options["quiet"])
    with at_most(options["threads"]):
        found = results(asked, say)
    called = shlex.join(["denoscope", *words])
    numbers = as_json(found, called)
    page = build(found, called, versions())
    with files.staged(target) as folder:
        found.kept.write(folder / "directions.safetensors")
        _write_pictures(found, folder)
        files.write_json(folder / "edit.json", numbers)
        report.write(page, folder, "edit")
    say("done")
    if options["json"]:
        print(json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print(answer(found).replace("**", ""), *found.warnings, target / "edit.html", sep="\n")
    return 0


def results(asked: EditRequest, say: Voice) -> Results:
    """All that is made of what is asked."""
    about = subject(asked)
    say(f"{len(about.images)} images, {float(about.mask.float().mean()):.0%} inside the mask")
    kept = about.given or find(asked, about)
    say(f"{len(kept.names)} directions at sigma {kept.sigma:.3g}")
    strengths = asked.strengths
    spaced = np.linspace(strengths[0], strengths[-1], PLACES).round(4).tolist()
    places = sorted({*strengths, *spaced}) if len(strengths) > 1 else strengths
    slid = moved(about, kept, about.images[:1], places, asked.batch_size)
    say(f"{len(kept.names) * len(places)} edits of {about.names[0]}")
    strips = moved(about, kept, about.images, strengths, asked.batch_size)
    changes = [
        change(delta[:, 0], places, kept.mask.cpu(), images)
        for delta, images in zip(slid.change.cpu(), slid.images.cpu())
    ]
    off = float((slid.unedited - about.images[:1]).square().mean().sqrt())
    said = [*about.warnings, *kept.warnings, *beyond(kept.names, changes)]
    return Results(asked, about, kept, places, slid, strips, changes, off, said)


def as_json(found: Results, called: str) -> dict[str, Any]:
    """Every number, and what it was made of."""
    kept = found.kept
    return {
        "schema": 1,
        "command": called,
        "answer": answer(found).replace("**", ""),
        "model": {"path": found.asked.model, "sha256": found.about.fingerprint},
        "images": [
            {"name": name, "sha256": files.content_hash(image.cpu().numpy())}
            for name, image in zip(found.about.names, found.about.images)
        ],
        "mask": {"words": kept.words, "share": found.spread},
        "sigma": kept.sigma,
        "strengths": found.asked.strengths,
        "directions": [
            {"name": name, **own, **asdict(one)}
            for name, own, one in zip(kept.names, kept.spectral, found.changes)
        ],
        "round_trip": found.round_trip,
        "found_on": kept.image,
        "tolerance": kept.tolerance,
        "seed": found.asked.seed,
        "warnings": list(found.warnings),
        "versions": versions(),
    }


def _write_pictures(found: Results, target: Path) -> None:
    """A contact sheet per direction, and every edited image at its own size."""
    words = [f"{value:+g}" if value else "0" for value in found.asked.strengths]
    for name, images, delta in zip(found.kept.names, found.strips.images, found.strips.change):
        slug = name.replace(" ", "-")
        shown = [[picture(image) for image in row] for row in images.cpu().numpy()]
        maps = [found.map(part[0]) for part in delta]
        columns = [[enlarged(row[i]) for row in shown] for i in range(len(found.about.names))]
        save(
            sheet(name, words, [columns[0], maps, *columns[1:]]), target / "sheets" / f"{slug}.png"
        )
        for word, row in zip(words, shown):
            for place, image in enumerate(row):
                save(image, target / "images" / f"{slug}_{word}_{place}.png")
