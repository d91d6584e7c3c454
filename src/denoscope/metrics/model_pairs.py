"""Which models make the same images from the same noises, pair by pair, as readings: of a study that
declares the quantities ``features``, ``cosine``, ``rp``, ``rp_corrected``, ``rp_fixed``, ``chance``
and ``pairs``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoscope.metrics.agreement import chance_level, reproducibility
from denoscope.metrics.pool_descriptors import FIXED, PoolDescriptors
from denoscope.metrics.similarity import paired_similarity
from denoscope.readings import Readings

RUN = ("subset", "seed")
"""What tells training runs of one size and width apart."""


def agreements(found: Readings, seen: PoolDescriptors) -> Readings:
    """Whether two models make the same image from one noise, pair by pair: two seeds of one width
    and subset, two widths of one subset, disjoint subsets of one width; and the chance level.
    """
    made = found.of("sample").map(lambda x: seen.pixels(torch.from_numpy(x)), "features")
    cosines = pairs_of(made, lambda a, b: paired_similarity(a, b).numpy(), "cosine")
    chances = pairs_of(made, lambda a, b: [chance_level(a, b, threshold=seen.same)], "chance")
    chance = chances.joined(*RUN).map(lambda c: np.array([np.mean(c)]))
    rp = cosines.map(lambda c: c > seen.same, "rp")
    less = rp.against(chance, lambda same, c: (same - c) / (1 - c), "rp_corrected")
    count = chances.joined(*RUN).map(lambda c: [len(c)], "pairs")
    return rp + less + cosines.map(lambda c: c > FIXED, "rp_fixed") + chance + count


def pairs_of(made: Readings, using: Callable[[Any, Any], Any], name: str) -> Readings:
    """``using`` of the features of two models, for every kind of pair."""
    kinds = {"halves": ("subset", "seed"), "seeds": ("seed",), "widths": ("width", "seed")}
    found = Readings((), made.quantities)
    for pair, (differing, *free) in kinds.items():
        each = made.pairs(
            lambda a, b: using(a["features"], b["features"]), differing, name, "features", free=free
        )
        found += each.named(pair=pair)
    return found


def mean_rp(first: Sequence[Tensor], second: Sequence[Tensor], threshold: float) -> float:
    """NaN where there are no two different models."""
    pairs = [(a, b) for a in first for b in second if a is not b]
    scores = [reproducibility(a, b, threshold=threshold).value for a, b in pairs]
    return float(np.mean(scores)) if scores else math.nan
