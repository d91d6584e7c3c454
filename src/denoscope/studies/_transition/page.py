"""The report on a sweep: what was found in words, the figures, every cell, what was run, what to
cite.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from denoscope.data import find_duplicates
from denoscope.references import DATA, references
from denoscope.report import Column, KeyValues, Page, ReferenceList, Section, Table, Text
from denoscope.store import Row
from denoscope.studies._conditions import stopped
from denoscope.studies._transition import compare, drawings, findings, gallery, rp_drawings
from denoscope.studies._transition.cell import FALSE_ALARM
from denoscope.studies._transition.compare import Model, Verdicts, at
from denoscope.studies._transition.setting import FIXED_THRESHOLD, PAIR_QUANTILE, Setting

MOST_SEARCHED = 10_000


def build(rows: Sequence[Row], noted: Mapping[str, Any], cited: Sequence[str]) -> Page:
    """The page of a sweep; rows whose training stopped are listed and left out of every figure."""
    good = compare.finished(rows)
    if not good:
        raise ValueError("the training of every cell stopped at a non-finite loss; lower --lr")
    models = compare.models(good)
    pairs = compare.agreements(models)
    found = compare.verdicts(good, pairs)
    widths, sizes = sorted({m.width for m in models}), sorted({m.n for m in models})
    shown = telling_sizes(found, widths[len(widths) // 2], fullest(models))
    setting = compare.setting_of(good[0])
    floor = setting.floor()
    of_data = [DATA[setting.images.name]] if setting.images.name in DATA else []
    sections = [
        Section(
            "What was found",
            [
                *stopped(rows, "width", "n", "subset", "seed"),
                *findings.claims(good, found, pairs, widths, sizes, floor),
            ],
        ),
        Section(
            "The transition",
            [
                drawings.transition(good, found, pairs, widths),
                drawings.controls(good, widths, FALSE_ALARM),
                drawings.quality(good, widths, floor),
            ],
        ),
        Section(
            "Samples", [Text(GALLERY), *gallery.galleries(models, widths[len(widths) // 2], shown)]
        ),
        Section(
            "Reproducibility",
            [rp_drawings.agreement(pairs, widths), rp_drawings.heat_maps(models, shown)],
        ),
        Section("Memorization", [drawings.memorized(good, widths)]),
        Section("Denoising", [drawings.errors(good, shown, widths)]),
        Section("All cells", [cells(rows)]),
        Section("What was run", [KeyValues(conditions(rows, noted))]),
        Section("References", [ReferenceList(references(("denoscope", *cited, *of_data)))]),
    ]
    fields = good[0].fields
    subtitle = (
        f"{len(rows)} models ({fields['net']}) on {setting.images.name}: "
        f"{len(sizes)} training sizes, widths {', '.join(map(str, widths))}"
    )
    return Page("From memorization to generalization", subtitle, sections)


GALLERY = (
    "Each row starts from one noise: the model's sample; the training image nearest to "
    "it (mean-removed pixel cosine below); and the sample "
    "of a second model, trained on the same images with another seed, from the same "
    "noise (cosine between the two samples below)."
)


def telling_sizes(found: Verdicts, width: int, sizes: Sequence[int]) -> list[int]:
    """A memorizing, a middle and a generalizing size: the ends, and the one nearest to N* of this
    width.
    """
    point = found.transitions[width].point.value
    if not math.isfinite(point):
        point = 2 ** np.mean([math.log2(sizes[0]), math.log2(sizes[-1])])
    middle = min(sizes, key=lambda size: abs(math.log2(size / point)))
    return sorted({sizes[0], middle, sizes[-1]})


def fullest(models: Sequence[Model]) -> list[int]:
    """The sizes with the most models: where both subsets fit."""
    counts = Counter(model.n for model in models)
    return sorted(n for n, count in counts.items() if count == max(counts.values()))


def cells(rows: Sequence[Row]) -> Table:
    """Every cell, sortable."""
    columns = [
        Column("N", "images", "size of the training set"),
        Column("width", "", "width of the network"),
        Column("subset", "", "which of two disjoint training subsets"),
        Column("seed", "", "training seed"),
        Column(
            "GLc",
            "",
            "calibrated generalization, 1 − excess: 0 copies, 1 as novel as held-out images",
            ".2f",
        ),
        Column("GLc, PCA", "", "the same by whitened principal components", ".2f"),
        Column(
            f"GL at {FIXED_THRESHOLD:g}",
            "",
            "uncalibrated: share of samples at most this similar to training images",
            ".2f",
        ),
        Column("memorized", "", "share by the 1/3 rule, near-duplicates not counted", ".2f"),
        Column(
            "RP, memorizer",
            "",
            "share of noises from which the memorizer makes the same image",
            ".2f",
        ),
        Column("authentic", "", "share of authentic samples (Alaa et al.)", ".2f"),
        Column("Fréchet", "", "distance to held-out images in pixel space", ".2f"),
        Column(
            "error",
            "× linear",
            "held-out denoising error relative to the Wiener denoiser of all data",
            ".2f",
        ),
        Column(
            "time",
            "s",
            "seconds until this cell was measured after the one before; the first of a "
            "job carries its training",
            ".1f",
        ),
    ]
    names = (
        "glc",
        "glc_pca",
        "gl_fixed",
        "memorized",
        "rp_memorizer",
        "authenticity",
        "frechet",
        "error_test",
    )
    order = sorted(
        rows, key=lambda row: (at(row, "width"), at(row, "n"), at(row, "subset"), at(row, "seed"))
    )
    table = [
        [
            *(row.fields[name] for name in ("n", "width", "subset", "seed")),
            *(row.values.get(name) for name in names),
            row.made["seconds"],
        ]
        for row in order
    ]
    return Table(f"All {len(rows)} cells", columns, table)


def duplicates(setting: Setting) -> str:
    """Exact and near duplicates among the images that models may train on (at most 10 000 of them),
    in words.
    """
    reals = setting.reals[:MOST_SEARCHED]
    found = find_duplicates(reals)
    words = (
        f"{found.exact} exact, {len(found.links)} near pairs in {len(reals)} training "
        f"images, largest cluster {found.largest}"
    )
    return "; ".join(
        [
            f"{words} (near: below the {found.quantile:g} quantile of nearest-neighbour distances)",
            *found.warnings,
        ]
    )


def conditions(rows: Sequence[Row], noted: Mapping[str, Any]) -> dict[str, object]:
    """What a reader needs to run the sweep again."""
    first, setting = rows[0], compare.setting_of(rows[0])
    fields = {
        name: value
        for name, value in first.fields.items()
        if name not in ("n", "width", "subset", "seed")
    }
    runs = noted.get("runs", [])
    seconds = sum(float(run["seconds"]) for run in runs)
    axes = {
        name: ", ".join(str(v) for v in sorted({at(row, name) for row in rows}))
        for name in ("n", "width", "subset", "seed")
    }
    return {
        **(
            {
                "command": f"`{runs[-1]['command']}`",
                "wall time": f"{seconds:.0f} s in {len(runs)} run(s)",
                "processes": runs[-1]["processes"],
            }
            if runs
            else {}
        ),
        "core time": f"{sum(float(row.made['seconds']) for row in rows):.0f} s over "
        f"{len(rows)} cells, {first.made['threads']} thread(s) a process",
        "image set": f"{setting.images.name}: {len(setting.images)} images of "
        f"{' × '.join(map(str, setting.images.shape))}, {len(setting.test)} "
        "held out",
        **(
            {
                "skipped": f"{len(setting.images.skipped)} unreadable images, such as "
                f"{setting.images.skipped[0][0]}"
            }
            if setting.images.skipped
            else {}
        ),
        "duplicates": duplicates(setting),
        "content hash": f"`{next(iter(first.made['inputs'].values()))}`",
        "training sizes": axes["n"],
        "widths": axes["width"],
        "subsets and seeds": f"{axes['subset']}; {axes['seed']}",
        "copy threshold": "chosen on half of the held-out images at a false-alarm rate "
        f"of {FALSE_ALARM:g}, counted on the other half, halves swapped",
        "RP threshold": f"{setting.same:.4f}, the {PAIR_QUANTILE:g} quantile of "
        "mean-removed pixel cosine over pairs of distinct real images",
        "settings": ", ".join(f"{name} {value}" for name, value in fields.items()),
        "versions": ", ".join(f"{name} {value}" for name, value in first.made["versions"].items()),
        **(
            {"notes on the data": "; ".join(setting.images.warnings)}
            if setting.images.warnings
            else {}
        ),
    }
