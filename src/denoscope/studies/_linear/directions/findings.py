"""What the cells say of leading directions, in words and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from denoscope.report import Finding
from denoscope.studies._linear.by_size import TWIN
from denoscope.studies._linear.directions.cells import FOUND, Directions
from denoscope.studies._linear.words import each

SEVERAL = 8
"""The first direction is found at about d_eff where it takes at most so many times d_eff."""

NEARLY = 0.99
"""The share of the variance at which almost all of it is spanned."""


def claims(every: Sequence[Directions]) -> list[Finding]:
    """Every claim that the cells can test, and the facts they rest on."""
    found = [_span(every), *(_order(item) for item in every if item.counts)]
    return [*found, *_twins(every), _theory(every), _effective(every)]


def _from(value: float, item: Directions) -> str:
    """From which N on, in words."""
    return (
        f"N > {item.sizes[-1]:.0f}"
        if value == math.inf
        else f"N ≤ {item.sizes[0]:.0f}"
        if value == -math.inf
        else f"N = {value:.0f}"
    )


def _span(every: Sequence[Directions]) -> Finding:
    at = {item.name: item.nearest(item.effective / item.d) for item in every}
    shares = {
        item.name: (
            item.means("span")[at[item.name]],
            min(item.sizes[at[item.name]] - 1, item.d) / item.d,
        )
        for item in every
    }
    said = {
        item.name: f"{shares[item.name][0]:.0%} of the variance in " f"{shares[item.name][1]:.0%} of the directions (N " "= " f"{item.sizes[at[item.name]]:.0f})" for item in every
    }  # fmt: skip
    good = all(variance > directions for variance, directions in shares.values())
    late = {item.name: _from(item.found_at("span"), item) for item in every}
    nearly = {item.name: _from(_grid_size(item), item) for item in every}
    return Finding(
        f"About N = d_eff rows span much of the variance and little of the space: {each(said)}.",
        "good" if good else "absent",
        f"{FOUND:.0%} of the variance is spanned from {each(late)}, and {NEARLY:.0%}, in "
        f"theory, from {each(nearly)}; a model has "
        "samples in no other directions.",
    )


def _grid_size(item: Directions) -> float:
    """The size from which theory has the rows span almost all of the variance."""
    enough = np.flatnonzero(item.spanned(item.grid) >= NEARLY)
    return float(item.grid[enough[0]]) if len(enough) else math.inf


def _order(item: Directions) -> Finding:
    sizes = {k: item.found_at(f"overlap_{k}") for k in item.counts}
    first, last = sizes[item.counts[0]], sizes[item.counts[-1]]
    good = first < last / 2 and first <= SEVERAL * item.effective
    gap = item.law.spectrum[0] / item.law.spectrum[1]
    held = _counted(item, {k: item.found_at(f"captured_{k}") for k in item.counts})
    return Finding(
        f"{item.name}: "
        f"{'the first direction is found long before the tail' if good else 'the first direction is not found before the others'}. "
        ""
        ""
        f"The k leading directions overlap with the law's by {FOUND:g} from "
        f"{_counted(item, sizes)}.",
        "good" if good else "absent",
        f"d_eff = {item.effective:.1f}, d = {item.d}. The largest variance is {gap:.2f} "
        "times the second: gaps between variances decide, "
        "not d_eff. To first order a subspace costs so "
        "many rows, (1 − overlap) N: "
        f"{', '.join(f'{item.cost(k):.0f} for k = {k}' for k in item.counts)}. Neighbours "
        "of nearly equal "
        "variance that are mixed up cost little variance: the k "
        f"leading training directions hold {FOUND:.0%} of what k can hold from {held}.",
    )


def _counted(item: Directions, sizes: Mapping[int, float]) -> str:
    return ", ".join(f"{_from(size, item)} for k = {k}" for k, size in sizes.items())


def _twins(every: Sequence[Directions]) -> list[Finding]:
    found = []
    for item in every:
        if not item.has_twin or not item.counts:
            continue
        off = {
            k: np.abs(item.means(f"overlap_{k}") - item.means(f"{TWIN}overlap_{k}"))
            for k in item.counts
        }
        worst = max(off, key=lambda k: float(off[k].max()))
        rest = max(float(off[k].max()) for k in item.counts if k != worst) if len(off) > 1 else 0.0
        size = item.sizes[int(off[worst].argmax())]
        span = float(np.abs(item.means("span") - item.means(TWIN + "span")).max())
        found.append(
            Finding(
                f"{item.name} against Gaussian data of the same covariance and number: "
                f"overlaps differ by at most {off[worst].max():.2f} "
                f"(k = {worst}, N = {size:.0f}), "
                f"by {rest:.2f} for the other k; the spanned variance by {span:.3f}.",
                "neutral",
                f"Means over {item.fields['draws']} training sets each. Where the "
                "differences are within the intervals, leading "
                "directions of images are found as those of Gaussian data.",
            )
        )
    return found


def _theory(every: Sequence[Directions]) -> Finding:
    span = {
        item.name: float(np.abs(item.means("span") / item.spanned(item.sizes) - 1).max())
        for item in every
    }
    overlap = {}
    for item in every:
        pairs = [(item.means(f"overlap_{k}"), item.overlaps(k, item.sizes)) for k in item.counts]
        off = [
            float(np.abs(mine / theory - 1)[theory > FOUND].max())
            for mine, theory in pairs
            if (theory > FOUND).any()
        ]
        if off:
            overlap[item.name] = max(off)
    good = all(off < 0.1 for off in (*span.values(), *overlap.values()))
    said = each({name: f"{off:.1%}" for name, off in overlap.items()})
    return Finding(
        "Theory and simulation: the largest relative difference of the spanned variance is "
        f"{each({name: f'{off:.1%}' for name, off in span.items()})}"
        + (f"; of overlaps {said}." if said else "."),
        "good" if good else "absent",
        f"Overlaps where first-order theory has more than {FOUND:g}: below that the next "
        "orders count.",
    )


def _effective(every: Sequence[Directions]) -> Finding:
    images = "; ".join(item.described() for item in every if item.has_twin)
    said = {item.name: f"{item.effective:.2f} of d = {item.d}" for item in every}
    return Finding(
        f"The naive answer, the participation ratio d_eff = (Tr Σ)²/Tr Σ², is {each(said)}.",
        "neutral",
        f"Pixels as they are read, mean subtracted ({images})." if images else "",
    )
