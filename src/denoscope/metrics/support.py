"""Do generated samples lie where real ones do, and the other way round: precision, recall, density,
coverage.

The support of a set is estimated by balls around its rows, each up to its k-th nearest other row of
the set. Precision is the share of generated rows in some real ball and recall the share of real
rows in some generated ball (Kynkäänniemi et al. 2019); density is the number of real balls around a
generated row, over k, and coverage the share of real balls that hold a generated row (Naeem et al.
2020). Inside is strict, so a row with k duplicates has an empty ball.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from denoscope.estimate import Estimate, mean, proportion
from denoscope.metrics.balls import inside, radii
from denoscope.metrics.protocol import metric
from denoscope.nearest import same_space


def _given(estimate: Estimate, condition: str) -> Estimate:
    return replace(estimate, method=f"{estimate.method}, given the {condition} set")


def _share(count: Tensor, condition: str) -> Estimate:
    """The share of rows with a count above 0."""
    return _given(proportion(int((count > 0).sum()), len(count)), condition)


@metric(
    "kynkaanniemi2019",
    "naeem2020",
    "clopper1934",
    parts=("precision", "recall", "density", "coverage"),
)
def prdc(gen: Tensor | np.ndarray, real: Tensor | np.ndarray, *, k: int = 5) -> dict[str, Estimate]:
    """Precision, recall, density and coverage by balls up to the k-th nearest neighbour, the row
    itself not counted, ``<`` strictly.

    A perfect generator does not read 1: compare with held-out rows. Intervals are conditional:
    precision and density vary the generated rows with the real set given, recall and coverage the
    real rows with the generated set given; proportions are exact, density is by t. At most k rows
    in either set are a ValueError.
    """
    a, b = same_space(gen, real, ("gen", "real"))
    if k < 1:
        raise ValueError(f"k counts neighbours and is at least 1, got {k}")
    for rows, name in ((a, "gen"), (b, "real")):
        if len(rows) <= k:
            raise ValueError(
                f"k = {k} neighbours need at least {k + 1} rows, {name} has {len(rows)}"
            )
    balls, held = inside(a, b, radii(b, k))
    reached, _ = inside(b, a, radii(a, k))
    return {
        "precision": _share(balls, "real"),
        "recall": _share(reached, "generated"),
        "density": _given(mean(balls.double().cpu().numpy() / k), "real"),
        "coverage": _share(held, "generated"),
    }
