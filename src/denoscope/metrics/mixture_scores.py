"""Whether samples of a mixture of low-rank Gaussians are copies, novel or noise: distances to the
training points relative to those of fresh points, and where the samples lie.

With D(A, B) the mean over A of the squared distance to the nearest point of B, the generalization
score is ``GL = D(generated, train) / D(fresh, train)``: 0 for copies, 1 for fresh points of the law
(Wang et al. 2024, appendix). Whatever is off the subspaces is far from the training points too, so
GL alone does not tell novelty from noise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from denoscope.data.mixtures import MixtureSplit
from denoscope.distributions import MoLRG
from denoscope.estimate import Estimate, mean, mean_ratio
from denoscope.geometry.subspaces import energies, onto_nearest
from denoscope.nearest import neighbors


def scores(
    data: MixtureSplit, generated: Tensor, others: Mapping[str, Tensor]
) -> dict[str, Estimate | float]:
    """GL of samples (rows, n), within the subspaces and unsquared; ``gl_NAME`` of others; shares
    and distances of samples and of fresh points; and ``between``, the denominator of GL.
    """
    points = {"network": generated.double(), "fresh": data.fresh, **others}
    away = {name: _distances(rows, data.train) for name, rows in points.items()}
    bank = onto_nearest(data.train, data.truth.bases)
    samples, fresh = (
        _distances(onto_nearest(points[name], data.truth.bases), bank)
        for name in ("network", "fresh")
    )
    at_fresh = placement(data.fresh, data.truth)
    return {
        "gl": mean_ratio(away["network"] ** 2, away["fresh"] ** 2),
        "gl_within": mean_ratio(samples**2, fresh**2),
        "gl_unsquared": mean_ratio(away["network"], away["fresh"]),
        **{f"gl_{name}": mean_ratio(away[name] ** 2, away["fresh"] ** 2) for name in others},
        **placement(points["network"], data.truth),
        **{f"{name}_fresh": value for name, value in at_fresh.items()},
        "between": float((away["fresh"] ** 2).mean()),
    }


def _distances(points: Tensor, bank: Tensor) -> np.ndarray:
    """The Euclidean distance of every row to the nearest row of ``bank``, float64 (rows,)."""
    return neighbors(points.double(), bank.double()).distance[:, 0].numpy()


def placement(points: Tensor, truth: MoLRG) -> dict[str, Estimate | float]:
    """Where points are: shares of their energy ``inside`` the span of all subspaces and in the
    ``nearest`` one, squared ``distance`` to that one.

    ``energy`` is the mean squared length relative to the law's own, the dimension d plus n times
    the variance of the ambient noise.
    """
    parts, total = energies(points, truth.bases), points.square().sum(1)
    dims = sum(basis.shape[1] for basis in truth.bases) / len(truth.bases)
    expected = dims + truth.noise**2 * points.shape[1]
    return {
        "inside": float(parts.sum() / total.sum()),
        "nearest": float(parts.amax(1).sum() / total.sum()),
        "distance": mean((total - parts.amax(1)).clamp(min=0).numpy()),
        "energy": mean((total / expected).numpy()),
    }
