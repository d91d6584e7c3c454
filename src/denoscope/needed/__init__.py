"""The command `denoscope needed`: how many images a linear diffusion model needs, and what to do
until there are enough.
"""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from denoscope import files, report
from denoscope.estimate import Estimate, mean
from denoscope.needed.answer import Answers, answer
from denoscope.needed.page import build
from denoscope.needed.sample import Arranged, Question, Sample, arranged, gathered
from denoscope.needed.words import verdict
from denoscope.progress import Voice, duration
from denoscope.study import versions
from denoscope.threads import at_most


def command(options: Mapping[str, Any], words: Sequence[str]) -> int:
    """Answers the question of the command line, writes needed.html, .json and .csv into
    ``options['out']``, and returns the exit code.
    """
    asked = Question(**{item.name: options[item.name] for item in fields(Question)})
    asked.check()
    target = Path(options["out"])
    say = Voice(options["quiet"])
    with at_most(options["threads"]):
        found = arranged(asked, say)
        if options["dry_run"]:
            print(*plan(found), sep="\n")
            return 0
        sample = gathered(found, say)
        answers = answer(asked, sample, say)
        called = shlex.join(["denoscope", *words])
        numbers = _finite(as_json(answers, sample, called))
        page = build(answers, sample, called, versions())
        with files.staged(target) as folder:
            files.write(folder / "needed.csv", _csv(numbers["sizes"]))
            files.write_json(folder / "needed.json", numbers)
            report.write(page, folder, "needed")
    if options["json"]:
        print(json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print(*numbers["verdict"], target / "needed.html", sep="\n\n")
    return 0


def plan(found: Arranged) -> list[str]:
    """What would be done, and about how long it takes here."""
    n, size = found.rows.shape
    small, parts = min(size, 300), len(found.folds) + len(found.others)
    begun = time.perf_counter()
    np.linalg.eigh(np.eye(small) + 1 / small)
    each = (time.perf_counter() - begun) * (size / small) ** 3  # an eigendecomposition
    spent = 3 + (5 * parts + 6) * each + 1e-9 * n * size**2 + 1e-3 * found.varying
    return [
        f"{len(found.taken)} of {n} images of {found.pixels} numbers, of which {found.varying} "
        "vary",
        f"moments of {size} × {size} in {parts} parts: about {duration(spent)}",
    ]


def as_json(found: Answers, sample: Sample, called: str) -> dict[str, Any]:
    """Every number of the answer; why some are null is in their ``reason`` or in ``null``."""
    images, asked, law = sample.images, found.asked, found.law
    crossed = mean([f.unseen for f in found.crossed])
    return {
        "command": called,
        "verdict": [
            text.replace("\u00a0", " ").replace("**", "") for text in verdict(found, sample)
        ],
        "question": asdict(asked),
        "images": {
            "name": images.name,
            "read": len(images),
            "shape": list(images.shape),
            "sha256": images.sha256,
            "taken": found.n,
            "others": sample.left,
            "repeats": sample.repeats,
            "skipped": [list(item) for item in images.skipped],
            "notes": list(sample.notes),
        },
        "dimensions": {
            "pixels": sample.pixels,
            "varying": sample.varying,
            "d": found.d,
            "spanned": law.spanned,
        },
        "kl_now": _known(law.now),
        "predicted": _known(law.predicted),
        "kurtosis": _known(law.kurtosis),
        "measured": {
            **{name: _known(getattr(law.measured, name)) for name in ("kl", "loss", "unseen")},
            "training_images": law.measured.count,
            "over": law.measured.over,
        },
        "participation_ratio": {"value": found.ratio, "corrected": found.ratio_corrected},
        "needed": {
            "kl": {"no_ridge": _sides(found.plain), "best_ridge": _sides(found.ridged)},
            "gap": {f"{level.abar:g}": level.needed for level in found.levels},
        },
        "unseen_share": {
            "expected": found.unseen,
            "cross_validated": {**crossed.json(), "images": round(found.crossed[0].count)},
            "others": law.measured.unseen.value if law.measured.left else None,
        },
        "ridge": {"c": found.ridge},
        "stopping": {"k": found.level.k},
        "levels": [asdict(level) for level in found.levels],
        "sizes": found.table,
        "spectrum": {
            "own": found.lam.tolist(),
            "held_out": found.held.tolist(),
            "estimated": found.spectrum.tolist(),
            "trusted": found.trusted,
        },
        "null": {
            "kl": "infinite: such training sets leave directions empty",
            "k": "infinite: held-out loss falls until the end of training",
            "corrected": "infinite: the images are too few to tell",
            "others": "all images were taken",
        },
        "seed": asked.seed,
        "versions": versions(),
    }


def _known(e: Estimate) -> dict[str, Any]:
    """An estimate without a value where it is infinite or not known from above, and why."""
    if math.isfinite(e.value) and (e.low < e.value or math.isfinite(e.high)):
        return e.json()
    return {**e.json(), "value": None, "reason": e.method}


def _sides(e: Estimate) -> dict[str, Any]:
    """Images needed, by the side of the divergence."""
    return {"model||true": _known(e)["value"], **_known(e)}


def _finite(tree: Any) -> Any:
    """The same with None for what is not finite."""
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def _csv(table: Sequence[Mapping[str, float | None]]) -> str:
    """The table over N; what is infinite is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
