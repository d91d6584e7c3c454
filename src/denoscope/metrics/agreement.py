"""Do two models make the same image from the same noise? Row i belongs to row i."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from denoscope.estimate import Estimate, proportion, unavailable
from denoscope.metrics.calibrate import cosine_blocks
from denoscope.metrics.protocol import metric
from denoscope.metrics.similarity import paired_similarity
from denoscope.nearest import same_space


def agreements(
    gen: Tensor | np.ndarray, twin: Tensor | np.ndarray, *, threshold: float = 0.6
) -> Tensor:
    """Which rows agree: cosine similarity of row i to row i above ``threshold``, bool (n,)."""
    return paired_similarity(gen, twin) > threshold


@metric("zhang2024", "clopper1934")
def reproducibility(
    gen: Tensor | np.ndarray, twin: Tensor | np.ndarray, *, threshold: float = 0.6
) -> Estimate:
    """RP = P(cos(gen_i, twin_i) > threshold), row i of both from the same noise (Zhang et al. 2024,
    RP score); unequal lengths: ValueError.
    """
    same = agreements(gen, twin, threshold=threshold)
    return proportion(int(same.sum()), len(same))


@metric("zhang2024", "clopper1934", pixels=True)
def mae_score(
    gen: Tensor | np.ndarray, twin: Tensor | np.ndarray, *, threshold: float = 15 / 127.5
) -> Estimate:
    """P(mean |gen_i - twin_i| < threshold) over flattened images in [-1, 1] (Zhang et al. 2024, MAE
    score).

    The default threshold is 15 grey levels of 255, as in the code of the paper. Unequal lengths are
    a ValueError.
    """
    a, b = same_space(gen, twin, ("gen", "twin"))
    if len(a) != len(b) or not len(a):
        raise ValueError(
            f"gen has {len(a)} rows and twin has {len(b)}: row i of one must come from "
            "the same noise as row i of the other"
        )
    difference = (a - b).abs().double().mean(1)
    return proportion(int((difference < threshold).sum()), len(a))


def chance_level(
    gen: Tensor | np.ndarray, twin: Tensor | np.ndarray, *, threshold: float = 0.6
) -> float:
    """The reproducibility that pairing by chance would give: the share of similarities above
    ``threshold`` over all pairs i != j, exactly.

    It is at least about 1/N if both models only repeat N training images. Fewer than two rows are a
    ValueError.
    """
    a, b = same_space(gen, twin, ("gen", "twin"))
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(
            f"a chance level needs two equally long sets of at least 2 rows, got {len(a)} "
            f"and {len(b)}"
        )
    above = 0
    for start, block in cosine_blocks(a, b):
        block.diagonal(start).fill_(-torch.inf)
        above += int((block > threshold).sum())
    return above / (len(a) * (len(a) - 1))


def corrected(agreement: Estimate, chance: float) -> Estimate:
    """(RP - chance)/(1 - chance): 0 is what chance gives, 1 is full agreement; the interval is
    conditional on the chance level.
    """
    if chance >= 1:
        return unavailable("chance agreement is 1", agreement.n, agreement.level)
    value, low, high = (
        (bound - chance) / (1 - chance)
        for bound in (agreement.value, agreement.low, agreement.high)
    )
    return Estimate(
        value,
        low,
        high,
        agreement.n,
        agreement.level,
        f"{agreement.method}, less the chance level {chance:.3g}",
    )
