"""The report on a sweep: what was found in words, the figures, every cell, what was run, what to cite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from denoscope.estimate import Estimate
from denoscope.references import references
from denoscope.report import Column, Finding, KeyValues, Page, ReferenceList, Section, Table, Text
from denoscope.store import Row
from denoscope.studies._transition import compare, drawings
from denoscope.studies._transition.cell import FALSE_ALARM
from denoscope.studies._transition.compare import Agreement, Verdicts
from denoscope.studies._transition.drawings import at, number
from denoscope.studies._transition.setting import FIXED_THRESHOLD, PAIR_QUANTILE


def build(rows: Sequence[Row], noted: Mapping[str, Any], cited: Sequence[str]) -> Page:
    """The page of a sweep; rows whose training stopped are listed and left out of every figure."""
    good = compare.finished(rows)
    if not good:
        raise ValueError("the training of every cell stopped at a non-finite loss; lower --lr")
    models = compare.models(good)
    pairs = compare.agreements(models)
    found = compare.verdicts(good, pairs)
    widths, sizes = sorted({m.width for m in models}), sorted({m.n for m in models})
    shown = telling_sizes(found, widths[len(widths) // 2], sizes)
    setting = compare.setting_of(good[0])
    floor = setting.floor()
    sections = [
        Section("What was found", [*stopped(rows), *findings(good, found, pairs, widths, sizes, floor)]),
        Section(
            "The transition",
            [
                drawings.transition(found, pairs, widths),
                drawings.controls(good, widths, FALSE_ALARM),
                drawings.quality(good, widths, floor),
            ],
        ),
        Section("Samples", [Text(GALLERY), *drawings.galleries(models, widths[len(widths) // 2], shown)]),
        Section("Reproducibility", [drawings.agreement(pairs, widths), drawings.heat_maps(models, shown)]),
        Section("Memorization", [drawings.memorized(good, widths)]),
        Section("Denoising", [drawings.errors(good, shown, widths)]),
        Section("All cells", [cells(rows)]),
        Section("What was run", [KeyValues(conditions(rows, noted))]),
        Section("References", [ReferenceList(references(("denoscope", *cited)))]),
    ]
    fields = good[0].fields
    subtitle = (
        f"{len(rows)} models ({fields['net']}) on {setting.images.name}: {len(sizes)} training sizes, widths {', '.join(map(str, widths))}"
    )
    return Page("From memorization to generalization", subtitle, sections)


GALLERY = (
    "Each row starts from one noise: the model's sample; the training image nearest to it (mean-removed pixel cosine below); and the sample "
    "of a second model, trained on the same images with another seed, from the same noise (cosine between the two samples below)."
)


def telling_sizes(found: Verdicts, width: int, sizes: Sequence[int]) -> list[int]:
    """A memorizing, a middle and a generalizing size: the ends, and the one nearest to N* of this width."""
    point = found.transitions[width].point.value
    if not math.isfinite(point):
        point = 2 ** np.mean([math.log2(sizes[0]), math.log2(sizes[-1])])
    middle = min(sizes, key=lambda size: abs(math.log2(size / point)))
    return sorted({sizes[0], middle, sizes[-1]})


def stopped(rows: Sequence[Row]) -> list[Finding]:
    """A line for every training that stopped."""
    return [
        Finding(
            f"Width {row.fields['width']}, N = {row.fields['n']}, subset {row.fields['subset']}, seed {row.fields['seed']}: {row.values['stopped']}.",
            "absent",
        )
        for row in rows
        if row.values.get("stopped")
    ]


def findings(
    rows: Sequence[Row], found: Verdicts, pairs: Sequence[Agreement], widths: Sequence[int], sizes: Sequence[int], floor: Estimate
) -> list[Finding]:
    """Every claim of the papers that the sweep can test, with its numbers, whether it appeared or not."""
    results = [_crossing(found, width) for width in widths]
    results += [_growth(found, small, large) for small, large in found.growths]
    results += [_dip(found, pairs, width) for width in widths if width in found.dips]
    results += [item for width in widths for item in _ends(rows, pairs, width, sizes)]
    last = [row for row in rows if at(row, "n") == sizes[-1]]
    ratios = [f"{np.mean([number(r, 'frechet') for r in last if at(r, 'width') == w]) / floor.value:.1f} at width {w}" for w in widths]
    results.append(
        Finding(
            f"At N = {sizes[-1]} the samples' Fréchet distance to held-out images is {', '.join(ratios)} times that of as many real images.",
            "neutral",
            "Novelty counts only where samples are images: see the quality figure.",
        )
    )
    return results


def _words(size: float, sizes: Sequence[int]) -> str:
    return f"below {sizes[0]}" if size == -math.inf else f"above {sizes[-1]}" if size == math.inf else f"{size:.0f}"


def _crossing(found: Verdicts, width: int) -> Finding:
    item = found.transitions[width]
    first, last = item.curve[0], item.curve[-1]
    low, high = _words(item.point.low, item.sizes), _words(item.point.high, item.sizes)
    happened = math.isfinite(item.point.value)
    said = f"goes from copying to generalizing at N* = {item.point.value:.0f} images [{low} to {high}]" if happened else (
        f"shows no crossing: N* is {_words(item.point.value, item.sizes)}"
    )  # fmt: skip
    return Finding(
        f"Width {width} {said}.",
        "good" if happened else "absent",
        f"GLc rises from {first} at N = {item.sizes[0]} to {last} at N = {item.sizes[-1]}. {item.point.method.capitalize()}.",
    )


def _growth(found: Verdicts, small: int, large: int) -> Finding:
    change = found.growths[small, large]
    if math.isnan(change.value):
        return Finding(f"Whether N* grows from width {small} to {large} cannot be said: {change.method}.", "absent")
    grows = change.low > 0
    factor = f"a factor of {2**change.value:.1f} [{2**change.low:.1f}, {2**change.high:.1f}]"
    return Finding(
        f"N* {'grows' if grows else 'does not clearly grow'} from width {small} to width {large}: {factor}.",
        "good" if grows else "absent",
        f"log2 N* changes by {change}, {change.method}.",
    )


def _dip(found: Verdicts, pairs: Sequence[Agreement], width: int) -> Finding:
    start, end = found.dips[width]
    if math.isnan(start.value):
        return Finding(f"At width {width} the U-shape of RP cannot be tested: {start.method}.", "absent")
    both = start.high < 0 and end.high < 0
    curve = {p.n: p.rp.value for p in pairs if p.kind == "seeds" and p.width == width}
    least = min(curve, key=lambda n: curve[n])
    return Finding(
        f"At width {width} reproducibility {'is U-shaped in N' if both else 'shows no significant U in N'}: its least is {curve[least]:.2f} at N = {least}.",
        "good" if both else "absent",
        f"RP nearest to N* less RP at the smallest N: {start}; less RP at the largest N: {end}. {start.method.capitalize()}.",
    )


def _ends(rows: Sequence[Row], pairs: Sequence[Agreement], width: int, sizes: Sequence[int]) -> list[Finding]:
    """What the two ends of the sizes say about one width: copies of the memorizer, and agreement across disjoint data."""
    mine = [row for row in rows if at(row, "width") == width]
    results = []
    same, copied = (drawings.averaged(mine, name)[1] for name in ("rp_memorizer", "memorized"))
    results.append(
        Finding(
            f"Width {width} makes the memorizer's image from {same[0]:.0%} of noises at N = {sizes[0]} and from {same[-1]:.0%} at N = {sizes[-1]}; "
            f"{copied[0]:.0%} and {copied[-1]:.0%} of samples are copies by the 1/3 rule.",
            "neutral",
        )
    )
    halves = sorted((p for p in pairs if p.kind == "halves" and p.width == width), key=lambda p: p.n)
    if len(halves) > 1:
        first, last = halves[0], halves[-1]
        results.append(
            Finding(
                f"Models of width {width} trained on disjoint images agree on {first.rp.value:.0%} of noises at N = {first.n} and {last.rp.value:.0%} at N = {last.n}.",
                "good" if last.rp.low > first.rp.high else "absent",
                f"RP {first.rp} (chance {first.chance:.2f}) and {last.rp} (chance {last.chance:.2f}).",
            )
        )
    return results


def cells(rows: Sequence[Row]) -> Table:
    """Every cell, sortable."""
    columns = [
        Column("N", "images", "size of the training set"),
        Column("width", "", "width of the network"),
        Column("subset", "", "which of two disjoint training subsets"),
        Column("seed", "", "training seed"),
        Column("GLc", "", "calibrated generalization, 1 − excess: 0 copies, 1 as novel as held-out images", ".2f"),
        Column("GLc, PCA", "", "the same by whitened principal components", ".2f"),
        Column(f"GL at {FIXED_THRESHOLD:g}", "", "uncalibrated: share of samples at most this similar to training images", ".2f"),
        Column("memorized", "", "share by the 1/3 rule, near-duplicates not counted", ".2f"),
        Column("RP, memorizer", "", "share of noises from which the memorizer makes the same image", ".2f"),
        Column("authentic", "", "share of authentic samples (Alaa et al.)", ".2f"),
        Column("Fréchet", "", "distance to held-out images in pixel space", ".2f"),
        Column("error", "× linear", "held-out denoising error relative to the Wiener denoiser of all data", ".2f"),
        Column("time", "s", "seconds until this cell was measured after the one before; the first of a job carries its training", ".1f"),
    ]
    names = ("glc", "glc_pca", "gl_fixed", "memorized", "rp_memorizer", "authenticity", "frechet", "error_test")
    order = sorted(rows, key=lambda row: (at(row, "width"), at(row, "n"), at(row, "subset"), at(row, "seed")))
    table = [
        [*(row.fields[name] for name in ("n", "width", "subset", "seed")), *(row.values.get(name) for name in names), row.made["seconds"]]
        for row in order
    ]
    return Table(f"All {len(rows)} cells", columns, table)


def conditions(rows: Sequence[Row], noted: Mapping[str, Any]) -> dict[str, object]:
    """What a reader needs to run the sweep again."""
    first, setting = rows[0], compare.setting_of(rows[0])
    fields = {name: value for name, value in first.fields.items() if name not in ("n", "width", "subset", "seed")}
    runs = noted.get("runs", [])
    seconds = sum(float(run["seconds"]) for run in runs)
    axes = {name: ", ".join(str(v) for v in sorted({at(row, name) for row in rows})) for name in ("n", "width", "subset", "seed")}
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
        "core time": f"{sum(float(row.made['seconds']) for row in rows):.0f} s over {len(rows)} cells, {first.made['threads']} thread(s) a process",
        "image set": f"{setting.images.name}: {len(setting.images)} images of {' × '.join(map(str, setting.images.shape))}, {len(setting.test)} held out",
        "content hash": f"`{next(iter(first.made['inputs'].values()))}`",
        "training sizes": axes["n"],
        "widths": axes["width"],
        "subsets and seeds": f"{axes['subset']}; {axes['seed']}",
        "copy threshold": f"chosen on half of the held-out images at a false-alarm rate of {FALSE_ALARM:g}, counted on the other half, halves swapped",
        "RP threshold": f"{setting.same:.4f}, the {PAIR_QUANTILE:g} quantile of mean-removed pixel cosine over pairs of distinct real images",
        "settings": ", ".join(f"{name} {value}" for name, value in fields.items()),
        "versions": ", ".join(f"{name} {value}" for name, value in first.made["versions"].items()),
        **({"notes on the data": "; ".join(setting.images.warnings)} if setting.images.warnings else {}),
    }
