"""Which models make the same images from the same noises, pair by pair, as readings: of a study
that declares the quantities ``features``, ``cosine``, ``rp``, ``rp_corrected``, ``rp_fixed``,
``chance``, ``pairs``, ``remainder``, ``shared``, ``rp_mean``, ``n_star`` and ``dip``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.coordinates import ROLES
from denoscope.metrics.agreement import chance_level, reproducibility
from denoscope.metrics.pool_descriptors import FIXED, PoolDescriptors
from denoscope.metrics.remainders import likeness
from denoscope.metrics.similarity import paired_similarity
from denoscope.readings import Reading, Readings

RUN = ("subset", "seed")
"""What tells training runs of one size and width apart."""


KINDS = {"halves": ("subset", "seed"), "seeds": ("seed",), "widths": ("width", "seed")}
"""Pairs of networks: the coordinate in which they differ, and those that are free then."""
GAUSSIANS = {"gaussian": ("subset",)}


def agreements(found: Readings, gaussians: Readings, seen: PoolDescriptors) -> Readings:
    """Whether two models make the same image from one noise, pair by pair: two seeds of one width
    and subset, two widths of one subset, disjoint subsets of one width; the Gaussians of disjoint
    subsets; the chance level; and how alike the remainders of networks are.
    """
    made, closed = (
        some.of("sample").map(lambda x: seen.pixels(torch.as_tensor(x)), "features")
        for some in (found, gaussians)
    )

    def pairs(using: Callable[[Any, Any], Any], name: str) -> Readings:
        return pairs_of(made, using, name) + pairs_of(closed, using, name, GAUSSIANS)

    cosines = pairs(lambda a, b: paired_similarity(a, b).numpy(), "cosine")
    chances = pairs(lambda a, b: [chance_level(a, b, threshold=seen.same)], "chance")
    chance = chances.joined(*RUN).map(lambda c: np.array([np.mean(c)]))
    rp = cosines.map(lambda c: c > seen.same, "rp")
    less = rp.against(chance, lambda same, c: (same - c) / (1 - c), "rp_corrected")
    count = chances.joined(*RUN).map(lambda c: [len(c)], "pairs")
    shared = pairs_of(found.of("remainder"), likeness, "shared")
    return rp + less + cosines.map(lambda c: c > FIXED, "rp_fixed") + chance + count + shared


def pairs_of(
    made: Readings,
    using: Callable[[Any, Any], Any],
    name: str,
    kinds: Mapping[str, Sequence[str]] = KINDS,
) -> Readings:
    """``using`` of what two models have of the one quantity of ``made``, for every kind of pair."""
    found = Readings((), made.quantities)
    for pair, (differing, *free) in kinds.items():
        for own in dict.fromkeys(r.name for r in made):
            each = made.pairs(
                lambda a, b, own=own: using(a[own], b[own]), differing, name, own, free=free
            )
            found += each.named(pair=pair)
    return found


def kinds_of_models(
    made: Readings, closed: Callable[[str, int, int], Tensor], n: int, seen: PoolDescriptors
) -> Iterator[Reading]:
    """Mean RP over pairs of different models at one size: of every width and subset, and of the
    ``closed`` forms (who, size, subset) of the subsets.
    """
    kinds: dict[str, list[Tensor]] = {
        f"width {width}, half {which}": [seen.pixels(torch.from_numpy(r.value)) for r in some]
        for which, width, some in made.of(n=n).by("subset", "width")
    }
    for who, which in product(("memorizer", "gaussian"), made.of(n=n).along("subset")):
        kinds[f"{ROLES[who]}, half {which}"] = [seen.pixels(closed(who, n, which))]
    for (row, a), (column, b) in product(kinds.items(), repeat=2):
        yield Reading("rp_mean", {"one": row, "other": column, "n": n}, [mean_rp(a, b, seen.same)])


def mean_rp(first: Sequence[Tensor], second: Sequence[Tensor], threshold: float) -> float:
    """NaN where there are no two different models."""
    pairs = [(a, b) for a in first for b in second if a is not b]
    scores = [reproducibility(a, b, threshold=threshold).value for a, b in pairs]
    return float(np.mean(scores)) if scores else math.nan


def dips(found: Readings) -> Readings:
    """RP of two seeds at the size nearest to N*, less RP at the smallest and at the largest size:
    below 0 at both ends is a U, paired by run and noise; nothing where N* lies beyond the sizes or
    nearest to an end.
    """
    dip = Readings((), found.quantities)
    for width, star in found.of("n_star").by("width"):
        rp = found.of("rp", pair="seeds", width=width)
        point, sizes = star.estimates().one.value, rp.along("n")
        middle = nearest_size(sizes, point) if sizes and math.isfinite(point) else None
        for end in (sizes[0], sizes[-1]) if middle in sizes[1:-1] else ():
            less = rp.of(n=middle).against(rp.of(n=end), name="dip", apart="n")
            dip += less.dropped("n").named(n=end)
    return dip.crossed(*RUN)


def nearest_size(sizes: Sequence[int], point: float) -> int:
    """The size nearest to a point, by ratio."""
    return min(sizes, key=lambda size: abs(math.log2(size / point)))


def telling_sizes(found: Readings) -> list[int]:
    """A memorizing, a middle and a generalizing size: of those with most models the ends, and the
    one nearest to N*.
    """
    counts = {n: len(some) for n, some in found.of("sample").by("n")}
    sizes = [n for n, count in counts.items() if count == max(counts.values())]
    star = [r.value.value for r in found.of("n_star").estimates()]
    point = star[0] if star and math.isfinite(star[0]) else math.sqrt(sizes[0] * sizes[-1])
    return sorted({sizes[0], nearest_size(sizes, point), sizes[-1]})
