"""The intrinsic dimension of the images themselves, by four estimators, each with an interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import starmap

import numpy as np
from scipy import stats
from torch import Tensor

from denoscope.data.splits import Split
from denoscope.estimate import Estimate, unavailable
from denoscope.geometry.dimension import local_pca_dimension, mle_dimension, two_nn
from denoscope.theory.spectra import participation_ratio

MOST = 2000
"""Images that the dimension is taken from, at most."""

NEIGHBOURS, PATCH = 20, 100
_BLOCKS = 20
NAMES = {
    "two_nn": "TwoNN",
    "mle": f"maximum likelihood, {NEIGHBOURS} neighbours",
    "local_pca": f"local PCA, {PATCH} neighbours, 95 % of variance",
    "participation": "participation ratio of the covariance",
}


def of_images(data: Split) -> dict[str, Estimate]:
    """The dimension of all images that may be trained on, at most ``MOST`` of them."""
    return dict(_of_pool(replace(data, size=min(len(data.pool()), MOST), which=0)))


@lru_cache(maxsize=4)
def _of_pool(data: Split) -> tuple[tuple[str, Estimate], ...]:
    rows = data.train().flatten(1)
    found: dict[str, Callable[[], Estimate]] = {
        "two_nn": lambda: two_nn(rows),
        "mle": lambda: mle_dimension(rows, NEIGHBOURS),
        "local_pca": lambda: local_pca_dimension(rows, PATCH),
        "participation": lambda: participation(rows),
    }
    return tuple(
        starmap(
            lambda name, estimate: (f"dimension_{name}", _tried(estimate, len(rows))), found.items()
        )
    )


def _tried(estimate: Callable[[], Estimate], count: int) -> Estimate:
    try:
        return estimate()
    except ValueError as error:
        return unavailable(str(error), count)


def participation(rows: Tensor) -> Estimate:
    """The participation ratio of the rows' covariance, bias of their number removed; interval by a
    jackknife over blocks of rows.
    """
    data = rows.double().numpy()
    value = float(participation_ratio(data, correct=True))
    blocks = min(_BLOCKS, len(data) // 2)
    without = [
        float(participation_ratio(np.delete(data, np.s_[i::blocks], 0), correct=True))
        for i in range(blocks)
    ]
    spread = np.sqrt((blocks - 1) * np.var(without))
    half = float(stats.t.ppf(0.975, blocks - 1) * spread)
    return Estimate(
        value, value - half, value + half, len(data), 0.95, f"jackknife over {blocks} blocks"
    )
