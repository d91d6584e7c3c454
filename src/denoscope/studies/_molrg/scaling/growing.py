"""The relative excess of a method on growing training sets, until it is well below the level."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from denoscope.studies._molrg.scaling import denoisers
from denoscope.studies._molrg.scaling.truth import Draw

Method = Callable[[Draw, int], Tensor]

SMOOTHERS: dict[str, Method] = {"empirical": denoisers.empirical, "kernel": denoisers.kernel}
FITS: dict[str, Method] = {"gaussian": denoisers.gaussian, "molrg": denoisers.molrg}
CLOSED = SMOOTHERS | FITS

MOST_FITTED = 2048
WELL_BELOW = 0.8
"""Growing ends where every draw's excess is below this part of the level."""


def sizes_for(method: str, largest: int) -> list[int]:
    """The training set sizes tried: powers of two; for fits every size up to 32, then factors of
    2^(1/4), at most ``MOST_FITTED``.
    """
    if method in SMOOTHERS:
        return sorted({2**j for j in range(int(np.log2(largest)) + 1)} | {largest})
    top = min(largest, MOST_FITTED)
    return [
        size
        for size in sorted({*range(1, 33), *(round(2 ** (j / 4)) for j in range(21, 64)), top})
        if size <= top
    ]


def grown(
    method: str, draws: Sequence[Draw], largest: int, level: float, tell: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """``sizes`` (s,), ``error`` (s, draws) and ``dial`` (s,), the variant with the least mean error
    (only kernel smoothers have several).
    """
    sizes, errors, dials = sizes_for(method, largest), [], []
    for done, size in enumerate(sizes):
        each = np.stack([draw.excess(CLOSED[method](draw, size)).numpy() for draw in draws], 1)
        best = int(each.mean(1).argmin())
        errors.append(each[best])
        dials.append(best)
        tell((done + 1) / len(sizes))
        if errors[-1].max() < WELL_BELOW * level:
            break
    return {
        "sizes": np.array(sizes[: len(errors)], dtype=np.int64),
        "error": np.array(errors),
        "dial": np.array(dials, dtype=np.int64),
    }
