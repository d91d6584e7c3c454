"""What one trained network is asked: how far its samples are from the training points and from the
truth, beside both closed forms.

``D(A, B)`` is the mean over rows of A of the squared Euclidean distance to the nearest row of B.
The generalization score

    GL = D(generated, train) / D(fresh, train)

is 0 for copies of training points and 1 for fresh points of the law (Wang et al. 2024, appendix).
Since anything off the subspaces is far from the training points too, GL alone does not tell novelty
from noise. So it is also computed *within* the subspaces, all points first projected onto the
subspace nearest to each; and with distances that are not squared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from denoscope.distributions import Empirical, MoLRG
from denoscope.estimate import Estimate, mean, unavailable
from denoscope.nearest import neighbors
from denoscope.sampling import sample
from denoscope.store import Value
from denoscope.studies._molrg.network.setting import Place
from denoscope.study import Result
from denoscope.types import Denoiser

_Z = 1.959963984540054  # of a 95 % normal interval


def nearest_distances(points: Tensor, bank: Tensor) -> np.ndarray:
    """The Euclidean distance of every row to the nearest row of ``bank``, float64 (rows,)."""
    return neighbors(points.double(), bank.double()).distance[:, 0].numpy()


def ratio(above: np.ndarray, below: np.ndarray) -> Estimate:
    """The ratio of two means of independent draws, with the interval of the delta method: nothing
    is resampled.
    """
    top, bottom = (float(values.mean()) for values in (above, below))
    if not bottom > 0:
        return unavailable("fresh points are at no distance from the training points", len(above))
    value = top / bottom
    variances = [
        float(values.var(ddof=1)) / len(values) if len(values) > 1 else math.inf
        for values in (above, below)
    ]
    half = _Z * math.sqrt(variances[0] + value**2 * variances[1]) / bottom
    return Estimate(
        value,
        value - half,
        value + half,
        len(above),
        method="delta method over samples and fresh points, training points given",
    )


def energies(points: Tensor, bases: Sequence[Tensor]) -> Tensor:
    """Squared length of every row's projection onto each subspace, (rows, K)."""
    return torch.stack([(points @ basis).square().sum(1) for basis in bases], 1)


def projected(points: Tensor, bases: Sequence[Tensor]) -> Tensor:
    """Every row's projection onto the subspace nearest to it, (rows, n)."""
    each = torch.stack([points @ basis @ basis.T for basis in bases], 1)
    return each[torch.arange(len(points)), energies(points, bases).argmax(1)]


def shares(points: Tensor, truth: MoLRG) -> dict[str, Value]:
    """Where samples are: shares of their energy in the span of all subspaces and in the nearest
    one, and squared distances to that one.

    ``energy`` is the mean squared length relative to the law's own, the dimension d plus n times
    the variance of the ambient noise.
    """
    parts, total = energies(points, truth.bases), points.square().sum(1)
    expected = (
        sum(basis.shape[1] for basis in truth.bases) / len(truth.bases)
        + truth.noise**2 * points.shape[1]
    )
    return {
        "inside": float(parts.sum() / total.sum()),
        "nearest": float(parts.amax(1).sum() / total.sum()),
        "distance": mean((total - parts.amax(1)).clamp(min=0).numpy()),
        "energy": mean((total / expected).numpy()),
    }


def closed_form(place: Place, denoiser: Denoiser) -> Tensor:
    """What a closed-form denoiser makes from the shared noises with the networks' solver, (samples,
    n) in float64.
    """
    sigmas = place.sigmas()
    return sample(denoiser, float(sigmas[0]) * place.noises().double(), sigmas)


def measure(place: Place, generated: Tensor) -> Result:
    """Every value and array of one cell from its samples (samples, n), beside the samples of the
    memorizer and of the truth.
    """
    found = place.instance()
    points = {"network": generated.double(), "fresh": found.fresh}
    points |= {
        "memorizer": closed_form(place, Empirical(found.train)),
        "truth": closed_form(place, found.truth),
    }
    away = {name: nearest_distances(rows, found.train) for name, rows in points.items()}
    bases = found.truth.bases
    within = [
        nearest_distances(projected(points[name], bases), projected(found.train, bases))
        for name in ("network", "fresh")
    ]
    values: dict[str, Value] = {
        "gl": ratio(away["network"] ** 2, away["fresh"] ** 2),
        "gl_within": ratio(within[0] ** 2, within[1] ** 2),
        "gl_unsquared": ratio(away["network"], away["fresh"]),
        **{
            f"gl_{name}": ratio(away[name] ** 2, away["fresh"] ** 2)
            for name in ("memorizer", "truth")
        },
        **shares(points["network"], found.truth),
        **{f"{name}_fresh": value for name, value in shares(found.fresh, found.truth).items()},
        "between": float((away["fresh"] ** 2).mean()),
    }
    arrays = {f"away_{name}": distances.astype(np.float32) for name, distances in away.items()}
    return Result(values, arrays | {"samples": generated.float().numpy()})
