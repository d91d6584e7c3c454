"""The command `denoscope needed`: how many images a linear diffusion model needs, and what to do
until there are enough.
"""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from denoscope import files, report
from denoscope.needed.answer import Answers, answer
from denoscope.needed.page import build
from denoscope.needed.sample import Question, Sample, read
from denoscope.needed.words import verdict
from denoscope.progress import Voice
from denoscope.study import versions


def command(options: Mapping[str, Any], words: Sequence[str]) -> int:
    """Answers the question of the command line, writes needed.html, .json and .csv into
    ``options['out']``, and returns the exit code.
    """
    asked = Question(**{item.name: options[item.name] for item in fields(Question)})
    asked.check()
    target = Path(options["out"])
    if target.exists() and not target.is_dir():
        raise ValueError(f"--out {target} is a file; name a folder, or one that does not exist yet")
    say = Voice(options["quiet"])
    sample = read(asked, say)
    found = answer(asked, sample, say)
    called = shlex.join(["denoscope", *words])
    numbers = as_json(found, sample, called)
    page = build(found, sample, called, versions())
    files.write(target / "needed.csv", _csv(found.table))
    files.write_json(target / "needed.json", numbers)
    path = report.write(page, target, "needed")
    if options["json"]:
        print(json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print(*numbers["verdict"], path, sep="\n\n")
    return 0


def as_json(found: Answers, sample: Sample, called: str) -> dict[str, Any]:
    """Every number of the answer; what is infinite or unknown is null, and ``null`` says why."""
    images, asked = sample.images, found.asked
    return {
        "command": called,
        "verdict": [
            text.replace("\u00a0", " ").replace("**", "") for text in verdict(found, sample)
        ],
        "question": {item.name: getattr(asked, item.name) for item in fields(Question)},
        "images": {
            "name": images.name,
            "read": len(images),
            "shape": list(images.shape),
            "sha256": images.sha256,
            "taken": found.n,
            "others": sample.others.count if sample.others else 0,
            "repeats": sample.repeats,
            "skipped": [list(item) for item in images.skipped],
            "notes": list(sample.notes),
        },
        "dimensions": {
            "pixels": sample.pixels,
            "varying": sample.varying,
            "d": found.d,
            "spanned": found.spanned,
        },
        "participation_ratio": {"value": found.ratio, "corrected": _number(found.ratio_corrected)},
        "needed": {
            "kl": {"no_ridge": dict(found.sizes.plain), "best_ridge": dict(found.sizes.ridge)},
            "gap": {f"{level.abar:g}": level.needed for level in found.levels},
        },
        "unseen_share": {
            "expected": found.unseen.predicted,
            "expected_from_training_spectrum": found.unseen.alone,
            "cross_validated": {**found.unseen.crossed.json(), "images": found.unseen.count},
            "others": found.unseen.others,
        },
        "ridge": {"c": found.ridge, "c_from_training_spectrum": found.ridge_theory},
        "stopping": {"k": _number(found.level.k), "eta": found.eta, "steps": _number(found.steps)},
        "levels": [
            {
                **{item.name: getattr(level, item.name) for item in fields(level)},
                "k": _number(level.k),
            }
            for level in found.levels
        ],
        "subsets": [
            {item.name: getattr(tried, item.name) for item in fields(tried)}
            for tried in found.tried
        ],
        "largest_relative_difference": max((tried.off for tried in found.tried), default=None),
        "sizes": [dict(row) for row in found.table],
        "spectrum": {
            "own": found.lam.tolist(),
            "held_out": found.held.tolist(),
            "estimated": found.spectrum.tolist(),
            "trusted": found.trusted,
        },
        "null": {
            "kl, kl_reverse": "infinite: without ridge the divergence has no mean at so few images",
            "k, steps": "infinite: held-out loss falls until the end of training",
            "corrected": "infinite: the images are too few to tell",
            "others": "all images were taken",
        },
        "seed": asked.seed,
        "versions": versions(),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _csv(table: Sequence[Mapping[str, float | None]]) -> str:
    """The table over N; what is infinite is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
