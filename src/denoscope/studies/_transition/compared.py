"""What several cells say together: agreement of models from the same noises, where each width turns
from copying to generalizing, and which sizes tell it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations, pairwise, product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.data import find_duplicates
from denoscope.data.sources import Source
from denoscope.metrics import (
    TrainingRun,
    chance_level,
    growth,
    paired_similarity,
    reproducibility,
    transition_point,
    u_shape,
)
from denoscope.readings import Reading, Readings
from denoscope.store import Row
from denoscope.studies._transition.cell import Place, memorizer
from denoscope.studies._transition.setting import FIXED_THRESHOLD, Setting, prepare

MOST_SEARCHED = 10_000


def setting_of(row: Row) -> Setting:
    """The setting in which a cell was measured."""
    fields: dict[str, Any] = row.fields
    source = Source(fields["data"], fields["skip_bad"], fields["resize"], tuple(fields["range"]))
    return prepare(source, fields["held"], fields["samples"], fields["solver_steps"])


def duplicates(shared: Setting) -> str:
    """Exact and near duplicates among the images that models may train on, in words."""
    reals = shared.reals[:MOST_SEARCHED]
    found = find_duplicates(reals)
    words = (
        f"{found.exact} exact, {len(found.links)} near pairs in {len(reals)} training images, "
        f"largest cluster {found.largest} (near: below the {found.quantile:g} quantile of "
        "nearest-neighbour distances)"
    )
    return "; ".join([words, *found.warnings])


def agreements(found: Readings, shared: Setting) -> Readings:
    """How often two models make the same image from one noise: two seeds of one width and subset,
    two widths of one subset, or disjoint subsets of one width; (pairs, noises) at each size.
    """
    models = [
        (r.at, shared.pixels(torch.from_numpy(r.value)))
        for *_, some in found.of("sample").by("width", "n", "subset", "seed")
        for r in some
    ]
    pairs: dict[tuple[Any, ...], list[tuple[Tensor, Tensor]]] = {}
    for (p, a), (q, b) in combinations(models, 2):
        if (kind := kind_of(p, q)) and p["n"] == q["n"]:
            width = (p["width"], q["width"]) if kind == "widths" else p["width"]
            pairs.setdefault((kind, width, p["n"]), []).append((a, b))
    made = [
        Reading(name, {"pair": kind, "width": width, "n": n}, value)
        for (kind, width, n), members in pairs.items()
        for name, value in agreement(members, shared.same).items()
    ]
    return Readings(made, found.quantities)


def kind_of(p: Mapping[str, Any], q: Mapping[str, Any]) -> str:
    """What two models are to each other; nothing where they differ in more."""
    if p["width"] == q["width"]:
        return "seeds" if p["subset"] == q["subset"] else "halves"
    return "widths" if p["subset"] == q["subset"] else ""


def agreement(members: Sequence[tuple[Tensor, Tensor]], threshold: float) -> dict[str, Any]:
    """RP with its chance level, over pairs of models' features."""
    cosines = np.stack([paired_similarity(a, b).numpy() for a, b in members])
    chances = [chance_level(a, b, threshold=threshold) for a, b in members]
    same, chance = cosines > threshold, float(np.mean(chances))
    corrected = (same.mean() - chance) / (1 - chance) if chance < 1 else math.nan
    fixed = float(np.mean(cosines > FIXED_THRESHOLD))
    found = {"chance": chance, "rp_corrected": corrected, "rp_fixed": fixed, "pairs": len(members)}
    return {"rp": same} | {name: np.array([value]) for name, value in found.items()}


def transitions(found: Readings, samples: int) -> Readings:
    """GLc over sizes and N* for each width, the growth of N* between neighbours, the dips of RP."""
    runs = {
        width: runs_of(some, samples) for width, some in found.of("p_gen", "p_test").by("width")
    }
    made = []
    for width, mine in runs.items():
        if not mine:
            continue
        point = transition_point(mine)
        for n, e in zip(point.sizes, point.curve):
            made.append(Reading("curve", {"width": width, "n": n}, e))
        star = partial(lambda runs, level: transition_point(runs, level=level).point, mine)
        made.append(Reading("n_star", {"width": width}, star))
        seeds = {r.at["n"]: r.value for r in found.of("rp", pair="seeds", width=width)}
        for i, side in enumerate(("before", "after") if seeds else ()):
            dip = partial(
                lambda t, p, i, level: u_shape(t, p, level=level)[i], seeds, point.point.value, i
            )
            made.append(Reading("dip", {"width": width, "side": side}, dip))
    for small, large in pairwise(width for width in runs if runs[width]):
        grows = partial(growth, runs[small], runs[large])
        made.append(Reading("growth", {"width": (small, large)}, grows))
    return Readings(made, found.quantities)


def runs_of(found: Readings, samples: int) -> list[TrainingRun]:
    """The training runs of one width with their copy rates."""
    rates = {
        (n, subset, seed): {r.name: r.value.value for r in some}
        for n, subset, seed, some in found.by("n", "subset", "seed")
    }
    return [TrainingRun(*key, r["p_gen"], r["p_test"], samples) for key, r in rates.items()]


def telling_sizes(found: Readings) -> list[int]:
    """A memorizing, a middle and a generalizing size: of those with most models the ends, and the
    one nearest to N*.
    """
    counts = {n: len(some) for n, some in found.of("sample").by("n")}
    sizes = [n for n, count in counts.items() if count == max(counts.values())]
    star = found.of("n_star").estimates()
    point = star[0].value.value if star else math.inf
    if not math.isfinite(point):
        point = math.sqrt(sizes[0] * sizes[-1])
    middle = min(sizes, key=lambda size: abs(math.log2(size / point)))
    return sorted({sizes[0], middle, sizes[-1]})


def matrix(found: Readings, rows: Sequence[Row]) -> Readings:
    """Mean RP over pairs of different models, of every width and subset and the memorizers of the
    subsets, at the telling sizes.
    """
    widths, made = found.of("sample").along("width"), []
    shown = telling_sizes(found.of(width=widths[len(widths) // 2]))
    shared = setting_of(rows[0])
    for n in shown:
        kinds = {
            f"width {width}, half {subset}": [
                shared.pixels(torch.from_numpy(r.value)) for r in some
            ]
            for subset, width, some in found.of("sample", n=n).by("subset", "width")
        }
        for subset in found.of("sample", n=n).along("subset"):
            made_by = memorizer(place_of(rows[0], n, subset))
            kinds[f"memorizer, half {subset}"] = [shared.pixels(made_by)]
        for one, other in product(kinds, repeat=2):
            value = np.array([_mean_rp(kinds[one], kinds[other], shared.same)])
            made.append(Reading("rp_mean", {"one": one, "other": other, "n": n}, value))
    return Readings(made, found.quantities)


def place_of(row: Row, n: int, subset: int) -> Place:
    """Where the training set of this size and subset comes from in the setting of a cell."""
    fields: dict[str, Any] = row.fields
    source = Source(fields["data"], fields["skip_bad"], fields["resize"], tuple(fields["range"]))
    return Place(source, fields["held"], fields["samples"], fields["solver_steps"], n, subset)


def _mean_rp(first: Sequence[Tensor], second: Sequence[Tensor], threshold: float) -> float:
    """NaN where there are no two different models."""
    scores = [
        reproducibility(a, b, threshold=threshold).value
        for a in first
        for b in second
        if a is not b
    ]
    return float(np.mean(scores)) if scores else math.nan
